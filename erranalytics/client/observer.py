"""One call while it passes: counts its chunks, times them, keeps the last of them, and tells at the end how it ended.

The hot part is ``Watch.feed``, which sees every piece of an answer, takes its time and puts it aside; every few pieces
are searched together. Nothing is kept but the last pieces of a stream, or a body up to a limit, and that only until the
call ends.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from erranalytics.client import outcome as judging
from erranalytics.client.http_facts import answer_facts, stamp
from erranalytics.client.masking import NAME_LIMIT, Words, error_body, masked

PIECE = 64 << 10
BODY = 256 << 10
# How many small pieces are looked at together, and above which size one is looked at at once.
TOGETHER, LARGE = 32, 8 << 10
# The last of a stream that are kept, and how many objects in them are read at the end.
TAIL, LOOKED_AT = 2, 4
EVENTS, LINES = "text/event-stream", "application/x-ndjson"

clock = time.perf_counter


class Watch:
    """What is known of one call; ``write`` gets its record once, however it ends, and nothing here ever raises.

    Args:
        facts: fields of the record that are known before.
        stream: whether an answer in pieces was asked for; nothing when only the answer will tell.
        request: the body that was sent, to hide what an error quotes of it; nothing when it is not known.
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
        self._count, self.longest = 0, 0.0
        self._first: float | None = None
        self._rest = b""
        self._tail: deque[bytes] = deque(maxlen=TAIL)
        self._body, self._size, self._expected = bytearray(), 0, -1
        self._error: Any = None
        # How the pieces of the answer are told apart: by events, by lines, or not at all.
        self._is_events, self._is_lines, self._is_untold = False, False, False
        self.pieces: list[bytes] = []
        self.together = 1
        self._unpack: Callable[[bytes], bytes] | None = None
        self._is_opaque = False
        self._started_at = time.time()
        self._started = self.last = clock()

    # --- while it runs ---------------------------------------------------------------------------------------------

    def answered(self, status: int, headers: Mapping[str, str], *, is_unpacked: bool = False) -> None:
        """The headers of the answer are here, whatever the case of their names."""
        try:
            self.status = status
            # Looking one name up among the headers of a client costs as much as taking all of them once.
            headers = {name.lower(): value for name, value in headers.items()}
            for name, value in answer_facts(headers, status).items():
                # A time that cannot be read is no field.
                (self._attrs if name == "maintenance_until_text" else self.facts)[name] = value
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if status < 300:
                if self.stream is None:
                    self.stream = kind in {EVENTS, LINES}
                self._is_events, self._is_lines = self.stream and kind == EVENTS, self.stream and kind == LINES
                self._is_untold = self.stream and not (self._is_events or self._is_lines)
            packing = headers.get("content-encoding", "identity").strip().lower()
            if not is_unpacked and packing not in {"identity", ""}:
                self._unpack_by(packing)
            elif not is_unpacked and headers.get("content-length", "").isdecimal():
                self._expected = int(headers["content-length"])
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            self._is_opaque = True

    def _unpack_by(self, packing: str) -> None:
        if packing in {"gzip", "x-gzip", "deflate"}:
            self._unpack = zlib.decompressobj(47).decompress
        else:
            self._is_opaque = True

    def unpacked(self) -> None:
        """The body comes unpacked, whatever its headers say."""
        self._unpack, self._is_opaque, self._expected = None, False, -1

    def feed(self, piece: bytes, waited: float, now: float) -> None:
        """A piece of the answer came at ``now`` after a wait of so many seconds."""
        self.last = now
        self.longest = max(self.longest, waited)
        self.pieces.append(piece)
        # Pieces are looked at together: that costs a fraction of looking at each.
        if len(self.pieces) >= self.together or len(piece) > LARGE:
            self.look()

    def look(self) -> None:
        """Look at the pieces that came since the last time."""
        try:
            self._look()
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            self._is_opaque, self._unpack = True, None
            self.pieces.clear()

    def _look(self) -> None:
        data = b"".join(self.pieces)
        self.pieces.clear()
        if self._first is None and data:
            # Until here was the wait for the first byte, which is no gap.
            self._first, self.longest = self.last, 0.0
            self.together = TOGETHER
        if self._unpack is not None:
            data = self._unpack(data)
        if self._is_lines or self._is_events:
            self._look_at_stream(data)
        else:
            self._look_at_body(data)

    def _look_at_stream(self, piece: bytes) -> None:
        cut = piece.rfind(b"\n") + 1
        if self._rest or cut != len(piece):
            if not cut:
                self._rest = (self._rest + piece)[-PIECE:]
                return
            piece, self._rest = self._rest + piece[:cut], piece[cut:][-PIECE:]
        if self._is_lines:
            self._count += piece.count(b"\n")
        else:
            # A piece begins where a line begins, so its first line has no line feed before it.
            self._count += piece.count(b"\ndata:") + piece.startswith(b"data:")
        # In a text of a model the quotes are escaped: this is a key or a type.
        if b'"error"' in piece and self._error is None:
            self._error = self._failure_in(piece)
        self._tail.append(piece if len(piece) <= PIECE else piece[-PIECE:])

    def _failure_in(self, piece: bytes) -> Any:
        for payload in _payloads(piece):
            if b'"error"' in payload and (found := judging.failure_in(_json(payload))):
                return found
        return None

    def _look_at_body(self, piece: bytes) -> None:
        self._size += len(piece)
        room = BODY - len(self._body)
        if room > 0:
            self._body += piece[:room]
        if self._is_untold and (start := bytes(self._body[:16]).lstrip()):
            # A stream without a telling type shows in its first bytes what it is. JSON where events should come is an
            # answer in one piece.
            self._is_untold = False
            self._is_events = start.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))
            self._is_lines = start.startswith(b"{") and not (self.facts.get("endpoint") or "").startswith("/v1/")
            if self._is_events or self._is_lines:
                first, self._body = bytes(self._body), bytearray()
                self._look_at_stream(first)

    # --- at the end ------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The body ended as HTTP says it should."""
        self._finish("end")

    def fail(self, fault: BaseException) -> None:
        """The client raised; what is no ``Exception`` is the wish to stop: a cancelled task, an interrupt."""
        # The clients have a class of their own for a deadline of their own, and all call it a timeout.
        is_late = "timeout" in type(fault).__name__.lower() or "timed out" in str(fault)[:200]
        self._finish(("timeout" if is_late else "fault") if isinstance(fault, Exception) else "cancelled", fault)

    def close(self, why: str = "closed") -> None:
        """The program closed the answer, dropped it, or ended; without effect when the call has ended before."""
        if not self.is_finished:
            if why != "closed":
                self._attrs["ended_by"] = why
            self._finish("closed")

    def give_up(self) -> None:
        """The body of the answer will not be seen."""
        self._finish("unseen")

    def __del__(self) -> None:
        self.close("dropped by the program")

    def _finish(self, how: str, fault: BaseException | None = None) -> None:
        # A forked child has a copy of every open call; it is the parent's to tell.
        if self.is_finished or self._process != os.getpid():
            return
        self.is_finished = True
        ended = clock()
        try:
            if self.pieces:
                self._look()
        except Exception:  # noqa: BLE001 - what cannot be read cannot be judged
            self._is_opaque = True
        try:
            self._write(self._record(how, fault, ended))
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            pass
        finally:
            self._request, self._body, self._rest = b"", bytearray(), b""
            self._tail.clear()
            self.pieces.clear()

    def _found(self) -> judging.Findings:
        if self._is_events or self._is_lines:
            line, self._rest = self._rest, b""
            if any(payload == b"[DONE]" or _json(payload) is not None for payload in _payloads(line)):
                # The last line of a stream may lack its line feed; one that was cut is no line.
                self._look_at_stream(line + b"\n")
            tail = b"".join(self._tail)
            payloads = _payloads(tail)
            self._count -= payloads[-1:] == [b"[DONE]"]
            found = judging.read_tail(payloads[-LOOKED_AT:])
            found.is_garbled = self._is_lines and bool(tail) and _json(tail.strip().rpartition(b"\n")[2]) is None
        else:
            found = self._found_whole()
        found.error = found.error or self._error
        return found

    def _found_whole(self) -> judging.Findings:
        route = self.facts.get("endpoint")
        if not self._body and self.stream:
            return judging.Findings()
        if self._size <= BODY:
            found = judging.read_whole(bytes(self._body), route)
        else:
            # Embeddings are this long; the answer of a model would need its mark, which may stand anywhere.
            found = judging.Findings(done=None if route in {"/api/generate", "/api/chat"} else True)
        if self._size < self._expected and self.facts.get("method") != "HEAD":
            found.done = False
        return found

    def _record(self, how: str, fault: BaseException | None, ended: float) -> dict[str, Any]:
        is_answer = self.status is not None and self.status < 300
        found = self._found() if is_answer else judging.Findings()
        is_pieces = self._is_events or self._is_lines
        if how != "end" and not is_pieces:
            # Part of a body proves nothing but that it is a page of a gateway.
            found = judging.Findings(is_foreign=found.is_foreign)
        # Whoever leaves a stream of no known form may have met something he cannot read.
        is_unknown = bool(self.stream and self._first is not None and not is_pieces and how != "end")
        word = judging.outcome(
            stream=self.stream,
            status=self.status,
            how=how,
            has_begun=self._first is not None,
            is_opaque=self._is_opaque or is_unknown,
            found=found,
        )
        if found.finish_reason:
            self._attrs["finish_reason"] = found.finish_reason
        if is_pieces and self.longest:
            self._attrs["longest_gap_ms"] = _ms(self.longest)
        record = {
            **self.facts,
            "ts_start": stamp(self._started_at),
            "ts_end": stamp(self._started_at + ended - self._started),
            "duration_ms": _ms(ended - self._started),
            "stream": self.stream,
            "http_status": self.status,
            "status_source": "none" if self.status is None else "wire",
            "outcome": word,
            "first_chunk_ms": None if self._first is None else _ms(self._first - self._started),
            "chunk_count": self._count if is_pieces else None,
            "last_chunk_gap_ms": None if self._first is None else _ms(ended - self.last),
            "done_seen": found.mark,
        }
        record.update(self._fault_fields(found, fault))
        record["attrs"] = {**self.facts.get("attrs", {}), **self._attrs}
        return record

    def _fault_fields(self, found: judging.Findings, fault: BaseException | None) -> dict[str, Any]:
        """What went wrong in the words of the client and of the server."""
        kind, message, body = None, None, None
        if found.error:
            kind, message = judging.told({"error": found.error})
            body = json.dumps({"error": found.error}).encode()
        elif self._body and ((self.status or 0) >= 300 or found.is_foreign):
            body = bytes(self._body)
            kind, message = judging.told(_json(body))
        if fault is not None:
            kind, message = f"{type(fault).__module__}.{type(fault).__qualname__}", message or str(fault)
        if message is None and body is None:
            return {"error_type": kind}
        words = Words(self._request)
        return {
            "error_type": kind and masked(kind, limit=NAME_LIMIT),
            "error_message": words.hide(message) or None,
            "error_body": error_body(body, words) if body else None,
        }


def passing(inner: Iterator[bytes], watch: Watch) -> Iterator[bytes]:
    """The pieces of an answer as they come, each shown to the watch on its way to the program."""
    # Does what ``Watch.feed`` does, without a call for each piece: that would cost as much as all the rest.
    step, pieces, together, longest = inner.__next__, watch.pieces, 1, 0.0
    while True:
        asked = clock()
        try:
            piece = step()
        except StopIteration:
            watch.end()
            return
        except BaseException as fault:
            watch.fail(fault)
            raise
        watch.last = now = clock()
        if now - asked > longest:
            watch.longest = longest = now - asked
        pieces.append(piece)
        if len(pieces) >= together or len(piece) > LARGE:
            watch.look()
            together, longest = watch.together, watch.longest
        yield piece


def _payloads(data: bytes) -> list[bytes]:
    """The objects of lines, or of the data of events."""
    return [line.removeprefix(b"data:").strip() for line in data.split(b"\n") if line.startswith((b"data:", b"{"))]


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 3)
