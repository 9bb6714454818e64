"""How sessions of aiohttp show their calls.

``ClientSession._request`` is the function behind get, post and request. A body is read from a ``StreamReader``, whose
class has no room for anything more: the watch sits in its timer, which every wait for data passes, and reader and
answer become of a class of the same name that tells it what is read.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

from erranalytics.client import context
from erranalytics.client.observer import Watch, clock

_classes: dict[type, type] = {}


def patch(module: ModuleType) -> None:
    """Have the sessions of aiohttp pass through here; once."""
    library = f"aiohttp/{getattr(module, '__version__', '')}"
    session = module.ClientSession
    if not hasattr(session._request, context.PATCHED):
        session._request = _sending(session._request, library)


def _sending(original: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _request(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
        watch = _begin(self, method, str_or_url, options, library)
        if watch is None:
            return await original(self, method, str_or_url, **options)
        inside = context.INSIDE.set(True)
        try:
            response = await original(self, method, str_or_url, **options)
        except BaseException as fault:
            _refused(fault, watch)
            raise
        finally:
            context.INSIDE.reset(inside)
        _attach(response, watch)
        return response

    setattr(_request, context.PATCHED, True)
    return _request


def _begin(session: Any, method: str, url: Any, options: dict[str, Any], library: str) -> Watch | None:
    recorder, is_asked_for = context.recorder_for(session)
    if recorder is None:
        return None
    try:
        whole = session._build_url(url)
        headers = {str(name).lower(): str(value) for name, value in dict(options.get("headers") or {}).items()}
        return recorder.begin(
            method=method.upper(),
            url_host=f"{whole.host}:{whole.port}",
            path=whole.path,
            headers=headers,
            body=_body(options),
            library=library,
            is_asked_for=is_asked_for,
        )
    except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
        return None


def _body(options: dict[str, Any]) -> bytes | None:
    if options.get("json") is not None:
        return json.dumps(options["json"]).encode()
    data = options.get("data") or b""
    return data.encode() if isinstance(data, str) else data if isinstance(data, bytes) else None


def _refused(fault: BaseException, watch: Watch) -> None:
    """A session may raise for a status by itself: then that is known, and no body."""
    status = getattr(fault, "status", None)
    if isinstance(status, int) and status >= 300:
        watch.answered(status, dict(getattr(fault, "headers", None) or {}), is_unpacked=True)
    watch.fail(fault)


def _attach(response: Any, watch: Watch) -> None:
    """Put the watch between an answer and its body."""
    try:
        content = response.content
        watch.answered(response.status, response.headers, is_unpacked=True)
        if content.at_eof():
            watch.end()
            return
        content._timer = _Timer(content._timer, watch)
        content.__class__ = _watched(type(content), _reader)
        response._erranalytics_watch = watch
        response.__class__ = _watched(type(response), _answer)
    except Exception:  # noqa: BLE001 - a version that is built otherwise shows its status only
        watch.give_up()


def _watched(kind: type, made: Callable[[type], type]) -> type:
    if kind not in _classes:
        _classes[kind] = made(kind)
        _classes[kind].__qualname__ = kind.__qualname__
        _classes[kind].__module__ = kind.__module__
    return _classes[kind]


def _reader(kind: type) -> type:
    class StreamReader(kind):  # type: ignore[misc]
        __slots__ = ()

        def _read_nowait_chunk(self, n: int) -> bytes:
            piece: bytes = super()._read_nowait_chunk(n)
            watch = self._timer.watch
            watch.feed(piece, self._timer.take(), clock())
            if self._eof and not self._buffer:
                watch.end()
            return piece

        def feed_eof(self) -> None:
            super().feed_eof()
            if not self._buffer:
                self._timer.watch.end()

        def set_exception(self, exc: BaseException, *more: Any) -> None:
            self._timer.watch.fail(exc)
            super().set_exception(exc, *more)

    return StreamReader


def _answer(kind: type) -> type:
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
    """The program wants no more; what came of a refusal is looked at, as ``raise_for_status`` never reads it."""
    watch = response._erranalytics_watch
    if response.status >= 300 and not watch.is_finished:
        watch.feed(b"".join(getattr(response.content, "_buffer", ())), 0.0, clock())
    watch.close()


class _Timer:
    """The timer of a reader, which also sees how long was waited and what ended a wait."""

    def __init__(self, inner: Any, watch: Watch) -> None:
        self._inner, self.watch = inner, watch
        self._asked, self._waited = 0.0, 0.0

    def take(self) -> float:
        """The wait before the piece that was just read."""
        waited, self._waited = self._waited, 0.0
        return waited

    def assert_timeout(self) -> None:
        self._inner.assert_timeout()

    def __enter__(self) -> Any:
        self._asked = clock()
        return self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        self._waited += clock() - self._asked
        try:
            is_taken = self._inner.__exit__(kind, fault, traceback)
        except BaseException as other:
            self.watch.fail(other)
            raise
        if fault is not None and not is_taken:
            self.watch.fail(fault)
        return is_taken
