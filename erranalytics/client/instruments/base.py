"""Shared by the instruments: the start of a call, its sending, and classes that pass for those of a library.

Nothing here raises, except for exceptions of the library itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any

from erranalytics.client.context import INSIDE, SCOPE, recorder_for
from erranalytics.client.observer import CallObserver

# The attribute of a function that was changed.
PATCHED = "_erranalytics_patched"

_classes: dict[type, type] = {}


def begin(client: Any, library: str, request_fields: Callable[[], dict[str, Any]]) -> CallObserver | None:
    """The observer of a call that is about to be sent; null when the call is not recorded.

    Args:
        client: the client that sends it.
        library: name and version of the library.
        request_fields: returns what ``Recorder.begin`` needs to know of the request.
    """
    recorder, is_wrapped = recorder_for(client)
    if recorder is None:
        return None
    try:
        return recorder.begin(library=library, is_wrapped=is_wrapped, tags=SCOPE.get(), **request_fields())
    except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
        return None


class Sending:
    """The block in which a library sends a request: an exception in it ends the call."""

    __slots__ = ("_observer", "_token")

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer

    def __enter__(self) -> None:
        self._token: Token[bool] = INSIDE.set(True)

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exception is not None:
            self._observer.fail(exception)
        INSIDE.reset(self._token)


def lookalike(kind: type, make: Callable[[type], type]) -> type:
    """The subclass of a library's class that ``make`` returns, under the name of that class; made once."""
    if kind not in _classes:
        _classes[kind] = make(kind)
        _classes[kind].__qualname__, _classes[kind].__module__ = kind.__qualname__, kind.__module__
    return _classes[kind]
