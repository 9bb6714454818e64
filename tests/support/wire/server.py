"""A small HTTP server on loopback whose answers go wrong, each in one way; the name of the model selects the way.

It answers the routes of Ollama, OpenAI and Anthropic, writes its chunks by hand, and needs only the standard library.
Slow answers take a fraction of a second.
"""

from __future__ import annotations

import json
import select
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

SLOW_S, GAP_S = 0.03, 0.15
# A model's text may contain anything, even what looks like an end mark.
WORDS = ("Once ", 'upon "error": "a time" ', '{"done":true} ', "data: [DONE]")
FAILURE = "llama runner process has terminated: signal: killed"
PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.24.0 (Ubuntu)</center>\r\n</body>\r\n</html>\r\n"
)
LIMITS = {
    "Retry-After": "7",
    "X-RateLimit-Limit": "100",
    "X-RateLimit-Remaining": "0",
    "X-RateLimit-Reset": "1795662000",
    "X-Request-ID": "req-4711",
    "X-Maintenance-Until": "2026-11-26T06:00:00Z",
}

# What the server does, by the name of the model.
BEHAVIOURS = {
    "fine": "answers as it should",
    "slow-first": "the first chunk comes late",
    "gap": "a pause between two chunks",
    "not-found": "404, the model is missing",
    "crash": "500, the runner ended",
    "limited": "429 with headers for limits, retry and maintenance",
    "page-502": "502 with the page of a gateway",
    "error-first": "200, the first object is an error",
    "error-inside": "200, an error object after two chunks",
    "cut": "200, the connection ends in the middle of the body",
    "ends-early": "200, the body ends as it should, without the mark of its end",
    "garbage": "200 with a text that is not an answer",
    "page-200": "200 with the page of a gateway",
    "drops": "the connection is closed before any header",
    "hangs": "nothing comes until the client gives up",
    "hangs-between": "nothing comes after two chunks until the client gives up",
    "busy": "503, the queue is full",
}
# Not in the matrix: the first attempt gets a 503 that asks for a retry.
FLAKY = "busy-once"
REASONS = {
    200: "OK",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class WireServer(socketserver.ThreadingTCPServer):
    """The server; ``seen`` counts requests by model, ``url`` is where it listens."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: Counter[str] = Counter()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> WireServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is not an error here."""


class _Handler(socketserver.StreamRequestHandler):
    server: WireServer

    def handle(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        """Answer one request; whether another may follow on this connection."""
        line = self.rfile.readline(65_536).decode("latin-1").split()
        if len(line) != 3:
            return False
        headers = {}
        while header := self.rfile.readline(65_536).decode("latin-1").strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = self._body(headers)
        try:
            asked = json.loads(body) if body else {}
        except ValueError:
            asked = {}
        path = line[1].partition("?")[0]
        model = str(asked.get("model") or asked.get("name") or "fine").removesuffix(":latest")
        self.server.seen[model] += 1
        talk = _Talk(self.connection, path, model, asked)
        talk.answer(attempt=self.server.seen[model])
        return talk.may_go_on

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


class _Talk:
    """One answer."""

    def __init__(self, connection: socket.socket, path: str, model: str, asked: dict[str, Any]) -> None:
        self.connection, self.path, self.model, self.asked = connection, path, model, asked
        self.is_native = path.startswith("/api/")
        default = path in {"/api/generate", "/api/chat"}
        self.streams = bool(asked.get("stream", default)) and path not in {"/api/show", "/api/tags", "/api/embed"}
        self.may_go_on = True

    def answer(self, *, attempt: int) -> None:
        model = ("busy" if attempt == 1 else "fine") if self.model == FLAKY else self.model
        if model == "drops":
            self.may_go_on = False
        elif model == "hangs":
            self._wait_for_the_client()
        elif model in {"not-found", "crash", "limited", "busy"}:
            self._refuse(model)
        elif model in {"page-502", "page-200"}:
            self._send(int(model[-3:]), PAGE.encode(), kind="text/html")
        elif model == "garbage":
            self._send(200, b"Service ready", kind="text/plain")
        elif self.streams:
            self._stream(model)
        else:
            self._whole(model)

    # --- what goes wrong -------------------------------------------------------------------------------------------

    def _wait_for_the_client(self) -> None:
        """Until the client closes, for two seconds at most."""
        select.select([self.connection], [], [], 2)
        self.may_go_on = False

    def _refuse(self, model: str) -> None:
        status, text, more = {
            "not-found": (404, "model 'not-found' not found", {}),
            "crash": (500, FAILURE, {}),
            "limited": (429, "too many requests", LIMITS),
            "busy": (
                503,
                "server busy, please try again.  maximum pending requests exceeded",
                {"Retry-After-Ms": "1"},
            ),
        }[model]
        self._send(status, json.dumps(self.failure(text, status)).encode(), more=more)

    def failure(self, text: str, status: int = 500) -> dict[str, Any]:
        """An error as the routes write it (openai/openai.go, anthropic/anthropic.go at v0.24.0)."""
        if self.is_native:
            return {"error": text}
        kind = {404: "not_found_error", 429: "rate_limit_error"}.get(status, "api_error")
        if self.path == "/v1/messages":
            return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}
        kind = "not_found_error" if status == 404 else "api_error"
        return {"error": {"message": text, "type": kind, "param": None, "code": None}}

    def _whole(self, model: str) -> None:
        if model in {"error-first", "error-inside"}:
            self._send(200, json.dumps(self.failure(FAILURE)).encode())
            return
        body = json.dumps(self.whole(is_done=model != "ends-early")).encode()
        if model in {"slow-first", "gap"}:
            time.sleep(SLOW_S)
        if model in {"cut", "hangs-between"}:
            self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            self._write(body[: len(body) // 2])
            self.may_go_on = False
            if model == "hangs-between":
                self._wait_for_the_client()
            return
        self._send(200, body)

    def _stream(self, model: str) -> None:
        kind = "application/x-ndjson" if self.is_native else "text/event-stream"
        self._head(200, {"Content-Type": kind, "Transfer-Encoding": "chunked"})
        if model == "slow-first":
            time.sleep(SLOW_S)
        for number, event in enumerate([] if model == "error-first" else self.events()):
            if number == 3 and model in {"cut", "ends-early", "hangs-between", "error-inside"}:
                break
            if number == 3 and model == "gap":
                time.sleep(GAP_S)
            self._chunk(event)
        if model == "cut":
            # A chunk that says it is longer than what comes.
            self._write(b'40\r\n{"mod')
            self.may_go_on = False
            return
        if model == "hangs-between":
            self._wait_for_the_client()
            return
        if model in {"error-first", "error-inside"}:
            self._chunk(self.event(self.failure(FAILURE), name="error"))
        self._write(b"0\r\n\r\n")

    # --- contents ---------------------------------------------------------------------------------------------------------

    def event(self, value: dict[str, Any], *, name: str | None = None) -> bytes:
        """An object as one chunk of a stream."""
        text = json.dumps(value, separators=(",", ":"))
        if self.is_native:
            return text.encode() + b"\n"
        head = f"event: {name}\n" if name and self.path == "/v1/messages" else ""
        return f"{head}data: {text}\n\n".encode()

    def events(self) -> Iterator[bytes]:
        """A good stream: in each route at least three chunks before the last ones."""
        if self.is_native:
            for word in WORDS:
                yield self.event(self.native(word, is_done=False))
            yield self.event(self.native("", is_done=True))
        elif self.path == "/v1/messages":
            yield from (self.event(value, name=value["type"]) for value in self._messages())
        else:
            for word in WORDS:
                yield self.event(self.choice({"role": "assistant", "content": word}, None))
            yield self.event(self.choice({"role": "assistant", "content": ""}, "stop"))
            yield b"data: [DONE]\n\n"

    def _messages(self) -> Iterator[dict[str, Any]]:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model, "content": []}
        usage = {"input_tokens": 3, "output_tokens": 0}
        yield {
            "type": "message_start",
            "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage},
        }
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        for word in WORDS:
            yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        yield {"type": "content_block_stop", "index": 0}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        }
        yield {"type": "message_stop"}

    def native(self, text: str, *, is_done: bool) -> dict[str, Any]:
        """An object of /api/generate or /api/chat."""
        said = {"message": {"role": "assistant", "content": text}} if self.path == "/api/chat" else {"response": text}
        end = {"done_reason": "stop", "total_duration": 5, "eval_count": 4} if is_done else {}
        return {"model": self.model, "created_at": "2026-11-21T01:57:30.736052Z", **said, "done": is_done, **end}

    def choice(self, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        """A chunk of /v1/chat/completions."""
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": self.model,
            "choices": choices,
        }

    def whole(self, *, is_done: bool) -> dict[str, Any]:
        """An answer in one piece."""
        text = "".join(WORDS)
        if self.path == "/api/tags":
            return {"models": []}
        if self.path == "/api/embed":
            return {"model": self.model, "embeddings": [[0.5] * 8]}
        if self.is_native:
            return self.native(text, is_done=is_done)
        if self.path == "/v1/messages":
            said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": text}]}
            usage = {"input_tokens": 3, "output_tokens": 4}
            return {
                "id": "msg_1",
                "model": self.model,
                "stop_reason": "end_turn",
                "stop_sequence": None,
                **said,
                "usage": usage,
            }
        choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": self.model,
            "choices": choices,
            "usage": usage,
        }

    # --- on the wire -----------------------------------------------------------------------------------------------

    def _head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", *(f"{name}: {value}" for name, value in headers.items())]
        self._write("\r\n".join([*lines, "", ""]).encode())

    def _send(
        self, status: int, body: bytes, *, kind: str = "application/json", more: dict[str, str] | None = None
    ) -> None:
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})})
        self._write(body)

    def _chunk(self, data: bytes) -> None:
        self._write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _write(self, data: bytes) -> None:
        self.connection.sendall(data)
