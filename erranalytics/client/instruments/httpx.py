"""How clients of httpx and httpx2, and the SDKs above them, show their calls.

``Client.send`` is the one public function through which every call goes. It is asked for the answer before its body is
read, the body is handed on piece by piece as it comes, and is then read to its end if that was the wish: the same
steps in the same order as without a recorder.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

from erranalytics.client import context
from erranalytics.client.observer import Watch, clock, passing


def patch(module: ModuleType) -> None:
    """Have the clients of a module pass through here; once."""
    streams = _streams(module)
    library = f"{module.__name__}/{getattr(module, '__version__', '')}"
    for kind, wrapped in ((module.Client, _sending), (module.AsyncClient, _sending_async)):
        if not hasattr(kind.send, context.PATCHED):
            kind.send = wrapped(kind.send, library, streams)


def _begin(client: Any, request: Any, library: str) -> Watch | None:
    recorder, is_asked_for = context.recorder_for(client)
    if recorder is None:
        return None
    try:
        url = request.url
        return recorder.begin(
            method=request.method,
            url_host=url.netloc.decode("ascii", "replace"),
            path=url.path,
            headers=request.headers,
            # Absent where the program sends a stream.
            body=getattr(request, "_content", None),
            library=library,
            is_asked_for=is_asked_for,
        )
    except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
        return None


def _attach(response: Any, watch: Watch, stream: type) -> None:
    """Put the watch between an answer and its body."""
    try:
        watch.answered(response.status_code, response.headers)
        if response.is_stream_consumed or response.is_closed:
            # A hook of the program, or a transport for tests, has read it before.
            watch.unpacked()
            now = clock()
            watch.feed(response.content, 0.0, now)
            watch.end()
        else:
            response.stream = stream(response.stream, watch)
    except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
        watch.give_up()


def _sending(original: Callable[..., Any], library: str, streams: tuple[type, type]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        watch = _begin(self, request, library)
        if watch is None:
            return original(self, request, stream=stream, **options)
        inside = context.INSIDE.set(True)
        try:
            response = original(self, request, stream=True, **options)
        except BaseException as fault:
            watch.fail(fault)
            raise
        finally:
            context.INSIDE.reset(inside)
        _attach(response, watch, streams[0])
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response

    setattr(send, context.PATCHED, True)
    return send


def _sending_async(original: Callable[..., Any], library: str, streams: tuple[type, type]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        watch = _begin(self, request, library)
        if watch is None:
            return await original(self, request, stream=stream, **options)
        inside = context.INSIDE.set(True)
        try:
            response = await original(self, request, stream=True, **options)
        except BaseException as fault:
            watch.fail(fault)
            raise
        finally:
            context.INSIDE.reset(inside)
        _attach(response, watch, streams[1])
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    setattr(send, context.PATCHED, True)
    return send


def _streams(module: ModuleType) -> tuple[type, type]:
    """The watched body of an answer, as the module wants its bodies to be."""

    class WatchedStream(module.SyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any, watch: Watch) -> None:
            self._inner, self._watch = inner, watch

        def __iter__(self) -> Iterator[bytes]:
            return passing(iter(self._inner), self._watch)

        def close(self) -> None:
            self._watch.close()
            self._inner.close()

    class WatchedAsyncStream(module.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any, watch: Watch) -> None:
            self._inner, self._watch = inner, watch

        def __aiter__(self) -> AsyncIterator[bytes]:
            return _AsyncPieces(self._inner.__aiter__(), self._watch)

        async def aclose(self) -> None:
            self._watch.close()
            await self._inner.aclose()

    return WatchedStream, WatchedAsyncStream


# An object and not a generator: one that is dropped halfway needs no event loop to finish it.
class _AsyncPieces:
    __slots__ = ("_feed", "_next", "_watch")

    def __init__(self, inner: AsyncIterator[bytes], watch: Watch) -> None:
        self._next, self._watch, self._feed = inner.__anext__, watch, watch.feed

    def __aiter__(self) -> _AsyncPieces:
        return self

    async def __anext__(self) -> bytes:
        asked = clock()
        try:
            piece = await self._next()
        except StopAsyncIteration:
            self._watch.end()
            raise
        except BaseException as fault:
            self._watch.fail(fault)
            raise
        now = clock()
        self._feed(piece, now - asked, now)
        return piece
