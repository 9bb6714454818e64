"""The recorder: which calls it observes, and how it writes their records."""

from __future__ import annotations

import atexit
import json
import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from erranalytics.client.file import KEPT, MAX_BYTES, LineFile
from erranalytics.client.http_facts import attempt, body_facts, client_name, endpoint, is_ollama, trace_id
from erranalytics.client.masking import NAME_LIMIT, masked
from erranalytics.client.observer import CallObserver

SCHEMA = "erranalytics.call/1"
FILE = "calls.jsonl"
FILE_VARIABLE, APP_VARIABLE = "ERRANALYTICS_CALLS", "ERRANALYTICS_APP"

# The order in which the fields of a record are written; a test holds it equal to CallRecord.
FIELDS = (
    "ts_start", "ts_end", "duration_ms", "client", "endpoint", "url_host", "method", "model", "stream", "http_status",
    "status_source", "outcome", "first_chunk_ms", "chunk_count", "last_chunk_gap_ms", "done_seen", "error_type",
    "error_message", "error_body", "retry_after_s", "ratelimit_limit", "ratelimit_remaining", "ratelimit_reset",
    "maintenance_until", "upstream_request_id", "attempt", "app", "trace_id", "record_id",
)  # fmt: skip


class Tags:
    """The tags that a block gives the calls inside it, and how many calls there were."""

    def __init__(
        self, *, app: str | None, trace_id: str | None, record_id: str | None, attrs: Mapping[str, Any]
    ) -> None:
        self.app, self.trace_id, self.record_id, self.attrs = app, trace_id, record_id, attrs
        self.call_count = 0


NO_TAGS = Tags(app=None, trace_id=None, record_id=None, attrs={})


class Recorder:
    """Writes the records of calls as JSON Lines; it never raises, and counts in ``lost_count`` what it could not write.

    Args:
        path: the file; without it the variable ``ERRANALYTICS_CALLS``, else ``calls.jsonl`` in the working folder.
        app: the name of the program, for all its records; without it the variable ``ERRANALYTICS_APP``.
        max_bytes: a file that would grow beyond this is renamed to ``NAME.1``, and a new one begins.
        kept: how many full files stay.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        app: str | None = None,
        max_bytes: int = MAX_BYTES,
        kept: int = KEPT,
    ) -> None:
        self._file = LineFile(path or os.environ.get(FILE_VARIABLE) or FILE, max_bytes=max_bytes, kept=kept)
        self.app = app or os.environ.get(APP_VARIABLE) or None
        self.written_count = self.lost_count = 0
        self._open: weakref.WeakSet[CallObserver] = weakref.WeakSet()
        # One thread may need it twice: the garbage collector ends a forgotten stream at any moment.
        self._lock = threading.RLock()
        atexit.register(_at_exit, weakref.ref(self))

    @property
    def path(self) -> str:
        """The file of the records."""
        return str(self._file.path)

    def begin(
        self,
        *,
        method: str,
        url_host: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        library: str,
        is_wrapped: bool,
        tags: Tags | None = None,
    ) -> CallObserver | None:
        """Observe a call that is about to be sent; null for a call that is not recorded.

        Args:
            method: GET, POST.
            url_host: host and port.
            path: of the URL, without the query.
            headers: of the request; their names may have any case.
            body: of the request, null when it is unknown; it is dropped when the call ends.
            library: name and version of the library that sends the request.
            is_wrapped: whether the client was wrapped: then all its calls are recorded, else those to Ollama's routes
                and servers.
            tags: of the block that the call is in.
        """
        route = endpoint(path)
        if route is None and not is_wrapped and not is_ollama(url_host):
            return None
        tags = tags or NO_TAGS
        headers = {name.lower(): value for name, value in headers.items()}
        model, stream = body_facts(body or b"", route)
        attrs: dict[str, Any] = {**tags.attrs, "library": library}
        if route is not None and not path.endswith(route):
            attrs["path"] = masked(path, limit=NAME_LIMIT)
        elif route is not None and path != route:
            attrs["path_prefix"] = masked(path.removesuffix(route), limit=NAME_LIMIT)
        facts = {
            "client": client_name(headers.get("user-agent", ""), library),
            "endpoint": route or masked(path, limit=NAME_LIMIT),
            "url_host": masked(url_host, limit=NAME_LIMIT),
            "method": method,
            "model": model,
            # All calls in a block with a record_id are attempts at one.
            "attempt": max(attempt(headers), tags.call_count + 1 if tags.record_id else 1),
            "app": tags.app or self.app,
            "trace_id": tags.trace_id or trace_id(headers),
            "record_id": tags.record_id or random_id(),
            "attrs": attrs,
        }
        observer = CallObserver(facts, stream=stream, request=body, write=self.write)
        if tags is not NO_TAGS:
            tags.call_count += 1
        with self._lock:
            self._open.add(observer)
        return observer

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record; values that are not fields of it go to ``attrs``."""
        line = {"schema": SCHEMA, **{name: record.get(name) for name in FIELDS}}
        line["attrs"] = {
            **{name: value for name, value in record.items() if name not in line and name != "attrs"},
            **(record.get("attrs") or {}),
        }
        try:
            text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)
            is_written = self._file.append(text)
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            is_written = False
        with self._lock:
            self.written_count += is_written
            self.lost_count += not is_written

    def close(self) -> None:
        """Close the file; a stream that is read afterwards opens it again."""
        self._file.close()

    def abandon(self) -> None:
        """Write the records of the calls that are still open when the program ends."""
        with self._lock:
            observers = list(self._open)
        for observer in observers:
            observer.close("end of the program")


def _at_exit(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None:
        recorder.abandon()


def random_id() -> str:
    """A ``record_id`` for a call that the program did not name."""
    return os.urandom(8).hex()
