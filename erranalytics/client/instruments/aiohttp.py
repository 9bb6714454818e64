"""How sessions of aiohttp show their calls.

``ClientSession._request`` is the function that get, post and request call. A body is read from a ``StreamReader``,
whose class has no room for another attribute: the observer is kept in its timer, which every wait for data passes.
Reader and answer get a class of the same name that passes all that is read to the observer.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

from erranalytics.client.instruments.base import PATCHED, Sending, begin, lookalike
from erranalytics.client.observer import CallObserver, clock


def patch(module: ModuleType) -> None:
    """Route all calls of aiohttp's sessions through this instrument; a second time changes nothing."""
    library = f"aiohttp/{getattr(module, '__version__', '')}"
    session = module.ClientSession
    if not hasattr(session._request, PATCHED):
        session._request = _instrumented(session._request, library)


def _instrumented(original: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _request(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
        observer = begin(self, library, lambda: _request_fields(self, method, str_or_url, options))
        if observer is None:
            return await original(self, method, str_or_url, **options)
        with Sending(observer):
            try:
                response = await original(self, method, str_or_url, **options)
            except BaseException as exception:
                _note_status(exception, observer)
                raise
        _attach(response, observer)
        return response

    setattr(_request, PATCHED, True)
    return _request


def _request_fields(session: Any, method: str, str_or_url: Any, options: dict[str, Any]) -> dict[str, Any]:
    url = session._build_url(str_or_url)
    return {
        "method": method.upper(),
        "url_host": f"{url.host}:{url.port}",
        "path": url.path,
        "headers": {str(name).lower(): str(value) for name, value in dict(options.get("headers") or {}).items()},
        "body": _body(options),
    }


def _body(options: dict[str, Any]) -> bytes | None:
    if options.get("json") is not None:
        return json.dumps(options["json"]).encode()
    data = options.get("data") or b""
    return data.encode() if isinstance(data, str) else data if isinstance(data, bytes) else None


def _note_status(exception: BaseException, observer: CallObserver) -> None:
    """A session may raise for a status by itself: then the status is known, and the body is not."""
    status = getattr(exception, "status", None)
    if isinstance(status, int) and status >= 300:
        observer.answer_started(status, dict(getattr(exception, "headers", None) or {}), is_decoded=True)


def _attach(response: Any, observer: CallObserver) -> None:
    """Put the observer between an answer and its body."""
    try:
        content = response.content
        observer.answer_started(response.status, response.headers, is_decoded=True)
        if content.at_eof():
            observer.end()
            return
        content._timer = _Timer(content._timer, observer)
        content.__class__ = lookalike(type(content), _observed_reader)
        response._erranalytics_observer = observer
        response.__class__ = lookalike(type(response), _observed_answer)
    except Exception:  # noqa: BLE001 - an unfamiliar version shows only its status
        observer.give_up()


def _observed_reader(kind: type) -> type:
    class StreamReader(kind):  # type: ignore[misc]
        __slots__ = ()

        def _read_nowait_chunk(self, n: int) -> bytes:
            piece: bytes = super()._read_nowait_chunk(n)
            observer = self._timer.observer
            observer.feed(piece, self._timer.take_wait(), clock())
            if self._eof and not self._buffer:
                observer.end()
            return piece

        def feed_eof(self) -> None:
            super().feed_eof()
            if not self._buffer:
                self._timer.observer.end()

        def set_exception(self, exc: BaseException, *more: Any) -> None:
            self._timer.observer.fail(exc)
            super().set_exception(exc, *more)

    return StreamReader


def _observed_answer(kind: type) -> type:
    class ClientResponse(kind):  # type: ignore[misc]
        __slots__ = ()

        def close(self) -> None:
            _leave(self)
            super().close()

        def release(self) -> Any:
            _leave(self)
            return super().release()

    return ClientResponse


def _leave(response: Any) -> None:
    """The program is done; of an error answer, which ``raise_for_status`` never reads, it examines what has come."""
    observer = response._erranalytics_observer
    if response.status >= 300 and not observer.is_finished:
        observer.feed(b"".join(getattr(response.content, "_buffer", ())), 0.0, clock())
    observer.close()


class _Timer:
    """The timer of a reader, which also measures each wait and sees the exception that ended it."""

    def __init__(self, inner: Any, observer: CallObserver) -> None:
        self._inner, self.observer = inner, observer
        self._asked, self._waited_s = 0.0, 0.0

    def take_wait(self) -> float:
        """The seconds of waiting for the piece that was just read; the next wait counts from zero."""
        waited_s, self._waited_s = self._waited_s, 0.0
        return waited_s

    def assert_timeout(self) -> None:
        self._inner.assert_timeout()

    def __enter__(self) -> Any:
        self._asked = clock()
        return self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        self._waited_s += clock() - self._asked
        try:
            is_suppressed = self._inner.__exit__(kind, exception, traceback)
        except BaseException as replacement:
            self.observer.fail(replacement)
            raise
        if exception is not None and not is_suppressed:
            self.observer.fail(exception)
        return is_suppressed
