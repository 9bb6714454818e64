"""``record``: a block in which the calls of all known clients are recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Any

from erranalytics.client.context import ACTIVE, SCOPE, Scope, current
from erranalytics.client.file import KEPT, MAX_BYTES
from erranalytics.client.instrumentation import turn_on
from erranalytics.client.masking import NAME_LIMIT, masked
from erranalytics.client.observer import class_name, span
from erranalytics.client.recorder import Recorder, random_id
from erranalytics.client.sdk_errors import sdk_of, status_of


class Recording:
    """The context manager that ``record`` returns."""

    def __init__(self, path: str | os.PathLike[str] | None, settings: dict[str, Any], tags: dict[str, Any]) -> None:
        self._path, self._settings, self._tags = path, settings, tags
        self._scope: Scope | None = None
        self._token: Token[Scope | None] | None = None
        self._owns_recorder = False
        self._started_at, self._started = 0.0, 0.0

    def __enter__(self) -> Recorder:
        outer = current()
        self._owns_recorder = outer is None or self._path is not None
        recorder = outer if outer is not None and not self._owns_recorder else Recorder(self._path, **self._settings)
        self._scope = Scope(recorder, SCOPE.get(), self._tags)
        if self._owns_recorder:
            ACTIVE.append(recorder)
            turn_on()
        self._token = SCOPE.set(self._scope)
        self._started_at, self._started = time.time(), time.perf_counter()
        return recorder

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        scope = self._scope
        if scope is None:
            return
        try:
            SCOPE.reset(self._token)  # type: ignore[arg-type]
        except ValueError:
            # A generator may leave the block in another context than it entered; the scope ends with that context.
            SCOPE.set(scope.outer)
        if exception is not None and not scope.call_count and sdk_of(exception):
            self._write_exception(exception, scope)
        if scope.outer is not None:
            scope.outer.call_count += scope.call_count
        if self._owns_recorder:
            ACTIVE.remove(scope.recorder)
            scope.recorder.close()

    async def __aenter__(self) -> Recorder:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, exception, traceback)

    def _write_exception(self, exception: BaseException, scope: Scope) -> None:
        """Write the record of a call of which only the SDK's exception was seen."""
        status, source = status_of(exception)
        scope.recorder.write(
            {
                **span(self._started_at, time.perf_counter() - self._started),
                "client": sdk_of(exception),
                "http_status": status,
                "status_source": source,
                "outcome": "failed",
                "attempt": 1,
                "error_type": class_name(exception),
                # The request is unknown, so what the text quotes of it cannot be hidden; only its beginning is written.
                "error_message": masked(str(exception), limit=NAME_LIMIT),
                "app": scope.app or scope.recorder.app,
                "trace_id": scope.trace_id,
                "record_id": scope.record_id or random_id(),
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
    """Record all calls to models that a block makes, with ``with`` or ``async with``.

    A block inside another one, without a path of its own, writes to the file of the outer block and adds its tags.

    Args:
        path: the file of JSON Lines, see ``Recorder``.
        app: the name of the program.
        trace_id: the trace that the calls belong to; without it that of the ``traceparent`` header.
        record_id: the program's identifier for the call; without it a random one.
        attrs: anything else to keep in the records, as JSON.
        max_bytes: the size at which a new file begins.
        kept: how many full files stay.
    """
    tags = {"app": app, "trace_id": trace_id, "record_id": record_id, "attrs": dict(attrs or {})}
    return Recording(path, {"app": app, "max_bytes": max_bytes, "kept": kept}, tags)
