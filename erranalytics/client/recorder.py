"""Where records go, and which of them a program wants.

``record`` turns the recorder on for a block; ``Recorder`` is what it hands out. Both are plain settings: what is seen
of a call is the work of ``observer``, how clients are made to show it that of ``instrumentation``.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
import time
import weakref
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from erranalytics.client import sdk_errors
from erranalytics.client.file import KEPT, MAX_BYTES, Lines
from erranalytics.client.http_facts import (
    attempt,
    body_facts,
    client_name,
    endpoint,
    is_ollama,
    stamp,
    trace,
)
from erranalytics.client.masking import NAME_LIMIT, masked
from erranalytics.client.observer import Watch

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


class Recorder:
    """Writes the records of calls as JSON Lines; it never raises, ``lost_count`` says what could not be written.

    Args:
        path: the file; without it the variable ``ERRANALYTICS_CALLS``, else ``calls.jsonl`` in the folder of now.
        app: the name of the program, for all its records; without it the variable ``ERRANALYTICS_APP``.
        max_bytes: when the file would grow beyond this, it is renamed to ``NAME.1`` and another one is begun.
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
        self._lines = Lines(path or os.environ.get(FILE_VARIABLE) or FILE, max_bytes=max_bytes, kept=kept)
        self.app = app or os.environ.get(APP_VARIABLE) or None
        self.written_count = self.lost_count = 0
        self._open: weakref.WeakSet[Watch] = weakref.WeakSet()
        # Of the kind that one thread may take twice: a forgotten stream ends wherever memory is cleared up.
        self._lock = threading.RLock()
        atexit.register(_at_exit, weakref.ref(self))

    @property
    def path(self) -> str:
        """The file that is written."""
        return str(self._lines.path)

    def begin(
        self,
        *,
        method: str,
        url_host: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        library: str,
        is_asked_for: bool,
    ) -> Watch | None:
        """Watch a call that is about to be sent; nothing when it is none that is recorded.

        Args:
            method: GET, POST.
            url_host: host and port.
            path: of the URL, without what follows a question mark.
            headers: of the request, whatever the case of their names.
            body: of the request, to find the model in, nothing when it is not known; it is not kept beyond the call.
            library: name and version of the library that sends it.
            is_asked_for: whether this client was wrapped: then all its calls are recorded, else those to Ollama's
                routes and servers.
        """
        route = endpoint(path)
        if route is None and not is_asked_for and not is_ollama(url_host):
            return None
        scope = SCOPE.get()
        headers = {name.lower(): value for name, value in headers.items()}
        model, stream = body_facts(body or b"", route)
        attrs: dict[str, Any] = {**(scope.attrs if scope else {}), "library": library}
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
            # A block that names one call holds the attempts at it.
            "attempt": max(attempt(headers), scope.seen_count + 1 if scope and scope.record_id else 1),
            "app": (scope and scope.app) or self.app,
            "trace_id": (scope and scope.trace_id) or trace(headers),
            "record_id": (scope and scope.record_id) or os.urandom(8).hex(),
            "attrs": attrs,
        }
        watch = Watch(facts, stream=stream, request=body, write=self.write)
        if scope:
            scope.seen_count += 1
        with self._lock:
            self._open.add(watch)
        return watch

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record; what is no field of it goes to ``attrs``."""
        line = {"schema": SCHEMA, **{name: record.get(name) for name in FIELDS}}
        line["attrs"] = {
            **{name: value for name, value in record.items() if name not in line and name != "attrs"},
            **(record.get("attrs") or {}),
        }
        try:
            text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)
            is_written = self._lines.append(text)
        except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
            is_written = False
        with self._lock:
            self.written_count += is_written
            self.lost_count += not is_written

    def close(self) -> None:
        """Close the file; a stream that is read on afterwards opens it once more."""
        self._lines.close()

    def abandon(self) -> None:
        """Write the records of calls that are open when the program ends."""
        with self._lock:
            left = list(self._open)
        for watch in left:
            watch.close("end of the program")


def _at_exit(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None:
        recorder.abandon()


class Scope:
    """What a block says about the calls inside it, and how many there were."""

    def __init__(self, recorder: Recorder, outer: Scope | None, tags: Mapping[str, Any]) -> None:
        self.recorder, self.outer = recorder, outer
        self.app: str | None = tags["app"] or (outer.app if outer else None)
        self.trace_id: str | None = tags["trace_id"] or (outer.trace_id if outer else None)
        self.record_id: str | None = tags["record_id"]
        self.attrs: dict[str, Any] = {**(outer.attrs if outer else {}), **tags["attrs"]}
        self.seen_count = 0


SCOPE: ContextVar[Scope | None] = ContextVar("erranalytics_scope", default=None)
# Recorders that are on for the whole process, threads included, the newest last.
ACTIVE: list[Recorder] = []


def current() -> Recorder | None:
    """The recorder that is on here."""
    scope = SCOPE.get()
    return scope.recorder if scope else (ACTIVE[-1] if ACTIVE else None)


class Recording:
    """A block in which calls are recorded, see ``record``."""

    def __init__(self, path: str | os.PathLike[str] | None, settings: dict[str, Any], tags: dict[str, Any]) -> None:
        self._path, self._settings, self._tags = path, settings, tags
        self._scope: Scope | None = None
        self._token: Token[Scope | None] | None = None
        self._is_mine = False
        self._started_at, self._started = 0.0, 0.0

    def __enter__(self) -> Recorder:
        from erranalytics.client import instrumentation

        outer = current()
        self._is_mine = outer is None or self._path is not None
        recorder = outer if outer is not None and not self._is_mine else Recorder(self._path, **self._settings)
        self._scope = Scope(recorder, SCOPE.get(), self._tags)
        if self._is_mine:
            ACTIVE.append(recorder)
            instrumentation.turn_on()
        self._token = SCOPE.set(self._scope)
        self._started_at, self._started = time.time(), time.perf_counter()
        return recorder

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        scope = self._scope
        if scope is None:
            return
        try:
            SCOPE.reset(self._token)  # type: ignore[arg-type]
        except ValueError:
            # The block was left in another context, as generators do; the setting ends with that context.
            SCOPE.set(scope.outer)
        if fault is not None and not scope.seen_count and sdk_errors.sdk(fault):
            self._write_fault(fault, scope)
        if scope.outer is not None:
            scope.outer.seen_count += scope.seen_count
        if self._is_mine:
            ACTIVE.remove(scope.recorder)
            scope.recorder.close()

    async def __aenter__(self) -> Recorder:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, fault, traceback)

    def _write_fault(self, fault: BaseException, scope: Scope) -> None:
        """An SDK raised, and nothing of its call was seen: the exception is all there is to tell."""
        status, source = sdk_errors.status_of(fault)
        ended = time.perf_counter()
        scope.recorder.write(
            {
                "ts_start": stamp(self._started_at),
                "ts_end": stamp(self._started_at + ended - self._started),
                "duration_ms": round((ended - self._started) * 1_000, 3),
                "client": sdk_errors.sdk(fault),
                "http_status": status,
                "status_source": source,
                "outcome": "failed",
                "attempt": 1,
                "error_type": f"{type(fault).__module__}.{type(fault).__qualname__}",
                # Nothing is known of the request, so of the text only what cannot be a prompt is taken.
                "error_message": masked(str(fault), limit=NAME_LIMIT),
                "app": scope.app or scope.recorder.app,
                "trace_id": scope.trace_id,
                "record_id": scope.record_id or os.urandom(8).hex(),
                "attrs": dict(scope.attrs),
            }
        )


def record(
    path: str | os.PathLike[str] | None = None,
    *,
    app: str | None = None,
    trace_id: str | None = None,
    record_id: str | None = None,
    attrs: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
    kept: int = KEPT,
) -> Recording:
    """Record all calls to models that the block makes, with ``with`` or ``async with``.

    Inside another block and without a path, the records go where those of the outer block go, and only the tags are
    added.

    Args:
        path: the file of JSON Lines, see ``Recorder``.
        app: the name of the program.
        trace_id: what ties calls to a trace; without it that of the ``traceparent`` header.
        record_id: the name the program gives the call; without it a random one.
        attrs: anything else to keep with the records, as JSON.
        max_bytes: the size at which another file is begun.
        kept: how many full files stay.
    """
    tags = {"app": app, "trace_id": trace_id, "record_id": record_id, "attrs": dict(attrs or {})}
    return Recording(path, {"app": app, "max_bytes": max_bytes, "kept": kept}, tags)
