"""What the recorder writes of an answer: the right outcome for every form of answer, and nothing private."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erranalytics.client import Recorder, wrap
from erranalytics.client.masking import RequestWords, error_body, masked
from erranalytics.client.observer import BODY_BYTES, PIECE_BYTES, CallObserver

httpx = pytest.importorskip("httpx", reason="httpx is not installed")


# --- answers of other shapes ------------------------------------------------------------------------------------------


def answered(path: Path, body: bytes, *, asked: dict[str, Any], route: str, headers: dict[str, str]) -> dict[str, Any]:
    """The record of a call whose answer comes in pieces of seven bytes."""

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return (body[at : at + 7] for at in range(0, len(body), 7))

    transport = httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, stream=Body()))
    url = "http://ollama:11434" + route
    with (
        wrap(httpx.Client(transport=transport), Recorder(path)) as client,
        client.stream("POST", url, json=asked) as response,
    ):
        for _ in response.iter_raw():
            pass
    return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])


EVENTS = {"content-type": "text/event-stream"}
DONE = b'{"response":"a","done":false}\n{"response":"","done":true}\n'
CASES: dict[str, tuple[bytes, bool, str, dict[str, str], str, int | None]] = {
    "lines with their content type": (DONE, True, "/api/generate", {"content-type": "application/x-ndjson"}, "completed", 2),
    "lines with another content type": (DONE, True, "/api/generate", {"content-type": "application/json"}, "completed", 2),
    "the last line lacks its line feed": (DONE[:-1], True, "/api/generate", {}, "completed", 2),
    "lines with carriage returns": (DONE.replace(b"\n", b"\r\n"), True, "/api/generate", {}, "completed", 2),
    "compressed": (gzip.compress(DONE), True, "/api/generate", {"content-encoding": "gzip"}, "completed", 2),
    "an unknown content encoding": (b"\x1b\x03", True, "/api/generate", {"content-encoding": "br"}, "not_observable", None),
    "events without blanks": (b'data:{"choices":[{"finish_reason":null}]}\n\ndata:[DONE]\n\n', True, "/v1/chat/completions", EVENTS, "completed", 1),
    "events with remarks": (b': ping\n\ndata: {"type":"message_stop"}\n\n', True, "/v1/messages", EVENTS, "completed", 1),
    "a reason to stop is not the end mark": (b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', True, "/v1/chat/completions", EVENTS, "truncated", 1),
    "responses that complete": (b'event: response.completed\ndata: {"type":"response.completed","response":{"error":null}}\n\n', True, "/v1/responses", EVENTS, "completed", 1),
    "responses that fail": (b'data: {"type":"response.failed","response":{"error":{"message":"no"}}}\n\n', True, "/v1/responses", EVENTS, "failed_mid_stream", 1),
    "a whole answer where a stream was asked": (b'{"object":"chat.completion","choices":[{"finish_reason":"stop"}]}', True, "/v1/chat/completions", {"content-type": "application/json"}, "completed", None),
    "an error in the middle, and more after it": (b'{"error":"out of memory"}\n{"done":true}\n', True, "/api/chat", {}, "failed_mid_stream", 2),
    "a pull that succeeds": (b'{"status":"pulling"}\n{"status":"success"}\n', True, "/api/pull", {}, "completed", 2),
    "a pull that breaks": (b'{"status":"pulling"}\n{"error":"pull model manifest: file does not exist"}\n', True, "/api/pull", {}, "failed_mid_stream", 2),
    "nothing at all": (b"", True, "/api/chat", {}, "truncated", None),
    "not done": (b'{"response":"aaaa","done":false}', False, "/api/generate", {}, "failed", None),
    "embeddings larger than what is kept": (b'{"embeddings":[[' + b"0.25," * (BODY_BYTES // 4) + b"0]]}", False, "/api/embed", {}, "completed", None),
    "an answer larger than what is kept": (b'{"response":"' + b"a" * BODY_BYTES + b'","done":true}', False, "/api/generate", {}, "not_observable", None),
    "an empty answer to a deletion": (b"", False, "/api/delete", {}, "completed", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_answers_of_other_shapes(name: str, path: Path) -> None:
    """For every form of answer, however it is cut into pieces, the outcome and the count are right."""
    body, streams, route, headers, outcome, count = CASES[name]
    one = answered(path, body, asked={"model": "m", "stream": streams}, route=route, headers=headers)
    assert (one["outcome"], one["chunk_count"]) == (outcome, count)


def test_an_answer_that_is_shorter_than_it_says(path: Path) -> None:
    """Some clients accept a body that is shorter than its length; the record calls it failed."""
    observer = CallObserver({"endpoint": "/v1/chat/completions"}, stream=False, request=b"", write=(found := []).append)
    observer.answer_started(200, {"content-length": "100"})
    observer.feed(b'{"choices":[]}', 0.0, 0.0)
    observer.end()
    assert found[0]["outcome"] == "failed"


def test_an_answer_without_its_body(path: Path, calls) -> None:
    """HEAD names a length and sends no body: the answer is not too short."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, headers={"content-length": "17"}))
    with wrap(httpx.Client(transport=transport), Recorder(path)) as client:
        client.head("http://ollama:11434/")
    assert calls()[0]["outcome"] == "completed"


def test_memory_is_bounded() -> None:
    """However long a stream, a line or a body is, the recorder keeps little of it."""
    for streams, piece in (
        (True, b'{"response":"a","done":false}\n' * 4_000),
        (True, b"a" * 200_000),
        (False, b"a" * 200_000),
    ):
        observer = CallObserver({"endpoint": "/api/generate"}, stream=streams, request=b"", write=lambda one: None)
        observer.answer_started(200, {"content-type": "application/x-ndjson"})
        for _ in range(50):
            observer.feed(piece, 0.0, 0.0)
        kept = len(observer._partial_line) + len(observer._body) + sum(map(len, [*observer._tail, *observer.pieces]))
        assert kept <= 10 * PIECE_BYTES + BODY_BYTES
        observer.end()


# --- what is not written ----------------------------------------------------------------------------------------------

SECRETS = (
    "Authorization: Bearer abcdefghijkl",
    "https://user:hunter22@gateway/api/chat",
    "https://a/connect?name=x&key=c3NoLWVk",
    "sk-0123456789abcdef0123",
    "x-api-key: 1234567890",
)


@pytest.mark.parametrize("text", SECRETS)
def test_keys_are_masked_as_logs_are(text: str) -> None:
    """The recorder, which may not import polars, masks the same secrets as ``redaction``."""
    import polars as pl

    from erranalytics import redaction

    assert masked(text) == redaction.mask_secrets(pl.Series([text]))[0] != text


def test_what_an_error_quotes_of_a_request_is_hidden() -> None:
    """Validators repeat what they were sent, whole, escaped or with its middle left out."""
    prompt = 'My neighbour\'s secret is that he\nburied "the treasure" under the apple tree in 1994'
    words = RequestWords(json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]}).encode())
    body = {
        "detail": [{"loc": ["body", "messages"], "msg": f"bad: {prompt}", "input": prompt}],
        "error": f"input_value='{prompt[:28]}...{prompt[-30:]}' and {json.dumps(prompt)}",
    }
    text = error_body(json.dumps(body).encode(), words) or ""
    assert '"loc":["body","messages"]' in text
    assert [piece for piece in ("secret is", "buried", "treasure", "apple tree") if piece in text] == []


def test_errors_of_unknown_requests_are_not_written() -> None:
    """An error may quote anything of a request that is too long to search, or that was never seen."""
    assert RequestWords(None).hide("cannot parse tell me a secret") is None
    assert error_body(b'{"error":"x"}', RequestWords(b"x" * (2 << 20))) is None


def test_long_errors_are_cut() -> None:
    """A page of a gateway does not fill the file."""
    assert len(masked("x" * 100_000)) < 2_100
    assert len(error_body(b"<html>" + b"x" * 100_000, RequestWords(b"")) or "") < 2_100
