"""One call while it runs: its pieces are counted and timed, and its record is made when it ends.

``CallObserver.feed`` is the hot path: it sees every piece of an answer, takes the time and puts the piece aside.
Several pieces are examined together. Only the last pieces of a stream, or a body up to a limit, are kept until the call
ends.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from erranalytics.client.bodies import (
    BodyContent,
    error_fields,
    error_in,
    parse_json,
    read_body,
    read_stream_end,
    stream_objects,
)
from erranalytics.client.http_facts import UNREADABLE_MAINTENANCE, answer_facts, format_time
from erranalytics.client.masking import NAME_LIMIT, RequestWords, error_body, masked
from erranalytics.client.outcome import Ending, outcome_of
from erranalytics.client.routes import NATIVE_PATHS

PIECE_BYTES = 64 << 10
BODY_BYTES = 256 << 10
# Small pieces are examined in batches of so many; a larger one is examined at once.
BATCH, LARGE_BYTES = 32, 8 << 10
# How many batches of a stream are kept, and how many objects at its end are read.
TAIL_BATCHES, LAST_OBJECTS = 2, 4
EVENTS, LINES = "text/event-stream", "application/x-ndjson"

clock = time.perf_counter


class CallObserver:
    """The observer of one call; ``write`` gets its record once, however it ends, and no method raises.

    Args:
        facts: fields of the record that are known before the call.
        stream: whether the program asked for an answer in pieces; null when only the answer shows it.
        request: the body that was sent, to hide what an error quotes from it; null when it is unknown.
        write: takes the finished record.
    """

    def __init__(
        self,
        facts: dict[str, Any],
        *,
        stream: bool | None,
        request: bytes | None,
        write: Callable[[dict[str, Any]], None],
    ) -> None:
        self.facts, self.stream = facts, stream
        self.status: int | None = None
        self.is_finished = False
        self._request, self._write = request, write
        self._process = os.getpid()
        self._attrs: dict[str, Any] = {}
        self._chunk_count, self.longest_wait = 0, 0.0
        self._first_at: float | None = None
        self._partial_line = b""
        self._tail: deque[bytes] = deque(maxlen=TAIL_BATCHES)
        self._body, self._size, self._expected_size = bytearray(), 0, -1
        self._error: Any = None
        # The form of the answer: events, lines, or one body; undetected until its first bytes show it.
        self._is_events, self._is_lines, self._is_undetected = False, False, False
        self.pieces: list[bytes] = []
        self.batch_size = 1
        self._decode: Callable[[bytes], bytes] | None = None
        self._is_opaque = False
        self._started_at = time.time()
        self._started = self.last_at = clock()

    # --- while it runs ---------------------------------------------------------------------------------------------

    def answer_started(self, status: int, headers: Mapping[str, str], *, is_decoded: bool = False) -> None:
        """The headers of the answer came; their names may have any case."""
        try:
            self.status = status
            # One lookup in a client's headers costs as much as copying them all.
            headers = {name.lower(): value for name, value in headers.items()}
            for name, value in answer_facts(headers, status).items():
                (self._attrs if name == UNREADABLE_MAINTENANCE else self.facts)[name] = value
            content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            if status < 300:
                if self.stream is None:
                    self.stream = content_type in {EVENTS, LINES}
                self._is_events = self.stream and content_type == EVENTS
                self._is_lines = self.stream and content_type == LINES
                self._is_undetected = self.stream and not (self._is_events or self._is_lines)
            encoding = headers.get("content-encoding", "identity").strip().lower()
            if not is_decoded and encoding not in {"identity", ""}:
                self._set_decoder(encoding)
            elif not is_decoded and headers.get("content-length", "").isdecimal():
                self._expected_size = int(headers["content-length"])
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            self._is_opaque = True

    def _set_decoder(self, encoding: str) -> None:
        if encoding in {"gzip", "x-gzip", "deflate"}:
            self._decode = zlib.decompressobj(47).decompress
        else:
            self._is_opaque = True

    def body_is_decoded(self) -> None:
        """The body comes decoded, whatever its headers say."""
        self._decode, self._is_opaque, self._expected_size = None, False, -1

    def feed(self, piece: bytes, waited_s: float, now: float) -> None:
        """A piece of the answer came at ``now``, after the client had waited for it."""
        self.last_at = now
        self.longest_wait = max(self.longest_wait, waited_s)
        self.pieces.append(piece)
        # A batch costs a fraction of examining each of its pieces.
        if len(self.pieces) >= self.batch_size or len(piece) > LARGE_BYTES:
            self.examine()

    def examine(self) -> None:
        """Examine the pieces that came since the last time."""
        try:
            self._examine()
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            self._is_opaque, self._decode = True, None
            self.pieces.clear()

    def _examine(self) -> None:
        data = b"".join(self.pieces)
        self.pieces.clear()
        if self._first_at is None and data:
            # The wait for the first byte is not a gap.
            self._first_at, self.longest_wait = self.last_at, 0.0
            self.batch_size = BATCH
        if self._decode is not None:
            data = self._decode(data)
        if self._is_lines or self._is_events:
            self._examine_stream(data)
        else:
            self._examine_body(data)

    def _examine_stream(self, data: bytes) -> None:
        cut = data.rfind(b"\n") + 1
        if self._partial_line or cut != len(data):
            if not cut:
                self._partial_line = (self._partial_line + data)[-PIECE_BYTES:]
                return
            data, self._partial_line = self._partial_line + data[:cut], data[cut:][-PIECE_BYTES:]
        if self._is_lines:
            self._chunk_count += data.count(b"\n")
        else:
            # The data begins at the start of a line, so no line feed precedes its first line.
            self._chunk_count += data.count(b"\ndata:") + data.startswith(b"data:")
        # A model's text has its quotes escaped, so this is a key or a type.
        if b'"error"' in data and self._error is None:
            self._error = self._error_in(data)
        self._tail.append(data if len(data) <= PIECE_BYTES else data[-PIECE_BYTES:])

    def _error_in(self, data: bytes) -> Any:
        for text in stream_objects(data):
            if b'"error"' in text and (error := error_in(parse_json(text))):
                return error
        return None

    def _examine_body(self, data: bytes) -> None:
        self._size += len(data)
        room = BODY_BYTES - len(self._body)
        if room > 0:
            self._body += data[:room]
        if self._is_undetected and (start := bytes(self._body[:16]).lstrip()):
            # The content type did not name the form, but the first bytes do. JSON where events are expected is an
            # answer in one piece.
            self._is_undetected = False
            self._is_events = start.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))
            self._is_lines = start.startswith(b"{") and not (self.facts.get("endpoint") or "").startswith("/v1/")
            if self._is_events or self._is_lines:
                body, self._body = bytes(self._body), bytearray()
                self._examine_stream(body)

    # --- at the end ------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The body ended as HTTP says it should."""
        self._finish("end")

    def fail(self, exception: BaseException) -> None:
        """The client raised; an exception that is not an ``Exception`` is a wish to stop: a cancelled task, Ctrl-C."""
        if not isinstance(exception, Exception):
            self._finish("cancelled", exception)
            return
        # Each client has its own class for a deadline that passed, and all call it a timeout.
        is_timeout = "timeout" in type(exception).__name__.lower() or "timed out" in str(exception)[:200]
        self._finish("timeout" if is_timeout else "exception", exception)

    def close(self, reason: str | None = None) -> None:
        """The program closed the answer, or ``reason`` did; this has no effect on a call that has ended."""
        if not self.is_finished:
            if reason:
                self._attrs["ended_by"] = reason
            self._finish("closed")

    def give_up(self) -> None:
        """The body of the answer cannot be watched."""
        self._finish("unwatched")

    def __del__(self) -> None:
        self.close("dropped by the program")

    def _finish(self, ending: Ending, exception: BaseException | None = None) -> None:
        # A forked child has a copy of every open call, but the parent writes the records.
        if self.is_finished or self._process != os.getpid():
            return
        self.is_finished = True
        ended = clock()
        try:
            if self.pieces:
                self._examine()
        except Exception:  # noqa: BLE001 - a body that cannot be read shows nothing
            self._is_opaque = True
        try:
            self._write(self._record(ending, exception, ended))
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            pass
        finally:
            self._request, self._body, self._partial_line = b"", bytearray(), b""
            self._tail.clear()
            self.pieces.clear()

    def _content(self) -> BodyContent:
        content = self._stream_content() if self._is_events or self._is_lines else self._body_content()
        content.error = content.error or self._error
        return content

    def _stream_content(self) -> BodyContent:
        line, self._partial_line = self._partial_line, b""
        if any(text == b"[DONE]" or parse_json(text) is not None for text in stream_objects(line)):
            # The last line of a stream may lack its line feed; a line that was cut is not JSON.
            self._examine_stream(line + b"\n")
        tail = b"".join(self._tail)
        objects = stream_objects(tail)
        self._chunk_count -= objects[-1:] == [b"[DONE]"]
        content = read_stream_end(objects[-LAST_OBJECTS:])
        last_line = tail.strip().rpartition(b"\n")[2]
        content.is_garbled = self._is_lines and bool(tail) and parse_json(last_line) is None
        return content

    def _body_content(self) -> BodyContent:
        route = self.facts.get("endpoint")
        if not self._body and self.stream:
            return BodyContent()
        if self._size <= BODY_BYTES:
            content = read_body(bytes(self._body), route)
        else:
            # Embeddings are this long. A model's answer needs its end mark, which may be beyond the limit.
            content = BodyContent(is_complete=None if route in NATIVE_PATHS else True)
        if self._size < self._expected_size and self.facts.get("method") != "HEAD":
            content.is_complete = False
        return content

    def _record(self, ending: Ending, exception: BaseException | None, ended: float) -> dict[str, Any]:
        is_success = self.status is not None and self.status < 300
        content = self._content() if is_success else BodyContent()
        is_stream = self._is_events or self._is_lines
        if ending != "end" and not is_stream:
            # Part of a body proves nothing, but it can show a gateway's page.
            content = BodyContent(is_gateway_page=content.is_gateway_page)
        # A program that leaves a stream of an unknown form may have met something that it cannot read.
        is_unknown_form = bool(self.stream and self._first_at is not None and not is_stream and ending != "end")
        outcome = outcome_of(
            stream=self.stream,
            status=self.status,
            ending=ending,
            has_begun=self._first_at is not None,
            is_opaque=self._is_opaque or is_unknown_form,
            content=content,
        )
        if content.finish_reason:
            self._attrs["finish_reason"] = content.finish_reason
        if is_stream and self.longest_wait:
            self._attrs["longest_gap_ms"] = milliseconds(self.longest_wait)
        record = {
            **self.facts,
            **span(self._started_at, ended - self._started),
            "stream": self.stream,
            "http_status": self.status,
            "status_source": "none" if self.status is None else "wire",
            "outcome": outcome,
            "first_chunk_ms": None if self._first_at is None else milliseconds(self._first_at - self._started),
            "chunk_count": self._chunk_count if is_stream else None,
            "last_chunk_gap_ms": None if self._first_at is None else milliseconds(ended - self.last_at),
            "done_seen": content.done_seen,
            **self._error_record(content, exception),
        }
        record["attrs"] = {**self.facts.get("attrs", {}), **self._attrs}
        return record

    def _error_record(self, content: BodyContent, exception: BaseException | None) -> dict[str, Any]:
        """The fields of an error: the server's text where it sent one, else the exception's."""
        error_type, message, body = None, None, None
        if content.error:
            error_type, message = error_fields({"error": content.error})
            body = json.dumps({"error": content.error}).encode()
        elif self._body and ((self.status or 0) >= 300 or content.is_gateway_page):
            body = bytes(self._body)
            error_type, message = error_fields(parse_json(body))
        if exception is not None:
            error_type, message = class_name(exception), message or str(exception)
        if message is None and body is None:
            return {"error_type": error_type}
        words = RequestWords(self._request)
        return {
            "error_type": error_type and masked(error_type, limit=NAME_LIMIT),
            "error_message": words.hide(message) or None,
            "error_body": error_body(body, words) if body else None,
        }


def observed(pieces: Iterator[bytes], observer: CallObserver) -> Iterator[bytes]:
    """The pieces of an answer as they come; the observer sees each of them before the program does."""
    # This repeats ``CallObserver.feed``: one call for each piece would cost as much as everything else.
    step, waiting, batch_size, longest_wait = pieces.__next__, observer.pieces, 1, 0.0
    while True:
        asked = clock()
        try:
            piece = step()
        except StopIteration:
            observer.end()
            return
        except BaseException as exception:
            observer.fail(exception)
            raise
        observer.last_at = now = clock()
        if now - asked > longest_wait:
            observer.longest_wait = longest_wait = now - asked
        waiting.append(piece)
        if len(waiting) >= batch_size or len(piece) > LARGE_BYTES:
            observer.examine()
            batch_size, longest_wait = observer.batch_size, observer.longest_wait
        yield piece


def span(started_at: float, duration_s: float) -> dict[str, Any]:
    """The fields of a record that say when a call began, when it ended, and how long it took."""
    return {
        "ts_start": format_time(started_at),
        "ts_end": format_time(started_at + duration_s),
        "duration_ms": milliseconds(duration_s),
    }


def milliseconds(seconds: float) -> float:
    """Seconds as records write durations."""
    return round(seconds * 1_000, 3)


def class_name(exception: BaseException) -> str:
    """The full name of an exception's class."""
    return f"{type(exception).__module__}.{type(exception).__qualname__}"
