"""How clients of httpx and httpx2, and the SDKs that use them, show their calls.

Every call goes through ``Client.send``, a public function. The instrument asks for the answer before its body is read,
passes the body on piece by piece, and then reads it to its end if the program wanted that: the same steps in the same
order as without a recorder.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

from erranalytics.client.instruments.base import PATCHED, Sending, begin
from erranalytics.client.observer import CallObserver, clock, observed


def patch(module: ModuleType) -> None:
    """Route all calls of the module's clients through this instrument; a second time changes nothing."""
    streams = _streams(module)
    library = f"{module.__name__}/{getattr(module, '__version__', '')}"
    for kind, instrumented in ((module.Client, _instrumented), (module.AsyncClient, _instrumented_async)):
        if not hasattr(kind.send, PATCHED):
            kind.send = instrumented(kind.send, library, streams)


def _begin(client: Any, request: Any, library: str) -> CallObserver | None:
    def request_fields() -> dict[str, Any]:
        return {
            "method": request.method,
            "url_host": request.url.netloc.decode("ascii", "replace"),
            "path": request.url.path,
            "headers": request.headers,
            # Absent where the program sends a stream.
            "body": getattr(request, "_content", None),
        }

    return begin(client, library, request_fields)


def _attach(response: Any, observer: CallObserver, stream: type) -> None:
    """Put the observer between an answer and its body."""
    try:
        observer.answer_started(response.status_code, response.headers)
        if response.is_stream_consumed or response.is_closed:
            # A hook of the program, or a transport for tests, has read the body already.
            observer.body_is_decoded()
            observer.feed(response.content, 0.0, clock())
            observer.end()
        else:
            response.stream = stream(response.stream, observer)
    except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
        observer.give_up()


def _instrumented(original: Callable[..., Any], library: str, streams: tuple[type, type]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        observer = _begin(self, request, library)
        if observer is None:
            return original(self, request, stream=stream, **options)
        with Sending(observer):
            response = original(self, request, stream=True, **options)
        _attach(response, observer, streams[0])
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response

    setattr(send, PATCHED, True)
    return send


def _instrumented_async(original: Callable[..., Any], library: str, streams: tuple[type, type]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        observer = _begin(self, request, library)
        if observer is None:
            return await original(self, request, stream=stream, **options)
        with Sending(observer):
            response = await original(self, request, stream=True, **options)
        _attach(response, observer, streams[1])
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    setattr(send, PATCHED, True)
    return send


def _streams(module: ModuleType) -> tuple[type, type]:
    """The classes of an observed body, sync and async, derived from those of the module."""

    class ObservedStream(module.SyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any, observer: CallObserver) -> None:
            self._inner, self._observer = inner, observer

        def __iter__(self) -> Iterator[bytes]:
            return observed(iter(self._inner), self._observer)

        def close(self) -> None:
            self._observer.close()
            self._inner.close()

    class ObservedAsyncStream(module.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any, observer: CallObserver) -> None:
            self._inner, self._observer = inner, observer

        def __aiter__(self) -> AsyncIterator[bytes]:
            return _AsyncPieces(self._inner.__aiter__(), self._observer)

        async def aclose(self) -> None:
            self._observer.close()
            await self._inner.aclose()

    return ObservedStream, ObservedAsyncStream


# An object and not a generator: a generator that is dropped halfway needs an event loop to finish it.
class _AsyncPieces:
    __slots__ = ("_feed", "_next", "_observer")

    def __init__(self, inner: AsyncIterator[bytes], observer: CallObserver) -> None:
        self._next, self._observer, self._feed = inner.__anext__, observer, observer.feed

    def __aiter__(self) -> _AsyncPieces:
        return self

    async def __anext__(self) -> bytes:
        asked = clock()
        try:
            piece = await self._next()
        except StopAsyncIteration:
            self._observer.end()
            raise
        except BaseException as exception:
            self._observer.fail(exception)
            raise
        now = clock()
        self._feed(piece, now - asked, now)
        return piece
