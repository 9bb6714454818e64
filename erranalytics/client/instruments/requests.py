"""How sessions of requests show their calls.

``HTTPAdapter.send`` is where a session hands a request to the network; the body of an answer is read by
``raw.stream`` alone, whether all at once or piece by piece.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from erranalytics.client import context
from erranalytics.client.observer import Watch, passing
from erranalytics.client.recorder import Recorder

_classes: dict[type, type] = {}
# The recorder of the session that is sending.
_SESSION: ContextVar[Recorder | None] = ContextVar("erranalytics_session", default=None)


def patch(module: ModuleType) -> None:
    """Have the sessions of requests pass through here; once."""
    library = f"requests/{getattr(module, '__version__', '')}"
    adapter, session = module.adapters.HTTPAdapter, module.Session
    if not hasattr(adapter.send, context.PATCHED):
        adapter.send = _sending(adapter.send, library)
        session.send = _marked(session.send)


def _marked(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, **options: Any) -> Any:
        own = vars(self).get(context.MARK)
        if own is None:
            return original(self, request, **options)
        token = _SESSION.set(own)
        try:
            return original(self, request, **options)
        finally:
            _SESSION.reset(token)

    return send


def _sending(original: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, *arguments: Any, **options: Any) -> Any:
        watch = _begin(self, request, library)
        if watch is None:
            return original(self, request, *arguments, **options)
        inside = context.INSIDE.set(True)
        try:
            response = original(self, request, *arguments, **options)
        except BaseException as fault:
            watch.fail(fault)
            raise
        finally:
            context.INSIDE.reset(inside)
        _attach(response, watch)
        return response

    setattr(send, context.PATCHED, True)
    return send


def _begin(adapter: Any, request: Any, library: str) -> Watch | None:
    own = _SESSION.get()
    recorder = own or context.recorder_for(adapter)[0]
    if recorder is None:
        return None
    try:
        from urllib.parse import urlsplit

        url = urlsplit(request.url)
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        return recorder.begin(
            method=request.method,
            url_host=url.netloc.rpartition("@")[2],
            path=url.path,
            headers={name: value for name, value in request.headers.items() if isinstance(value, str)},
            body=body if isinstance(body, bytes) else None,
            library=library,
            is_asked_for=own is not None,
        )
    except Exception:  # noqa: BLE001 - the program goes on whatever happens to its record
        return None


def _attach(response: Any, watch: Watch) -> None:
    """Put the watch between an answer and its body."""
    try:
        watch.answered(response.status_code, response.headers, is_unpacked=True)
        retries = getattr(getattr(response.raw, "retries", None), "history", ())
        watch.facts["attempt"] += len(retries)
        _watch_body(response.raw, watch)
    except Exception:  # noqa: BLE001 - an adapter for tests has no body of urllib3
        watch.give_up()


def _watch_body(raw: Any, watch: Watch) -> None:
    """Make a body of a class of the same name that tells its watch what is read; it stays the same object."""
    kind = type(raw)
    if kind not in _classes:
        _classes[kind] = _body(kind)
    raw._erranalytics_watch = watch
    raw.__class__ = _classes[kind]


def _body(kind: type) -> type:
    class HTTPResponse(kind):  # type: ignore[misc]
        def stream(self, *arguments: Any, **options: Any) -> Iterator[bytes]:
            return passing(super().stream(*arguments, **options), self._erranalytics_watch)

        def close(self) -> None:
            self._erranalytics_watch.close()
            super().close()

    HTTPResponse.__qualname__, HTTPResponse.__module__ = kind.__qualname__, kind.__module__
    return HTTPResponse
