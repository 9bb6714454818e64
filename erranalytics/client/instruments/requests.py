"""How sessions of requests show their calls.

A session hands each request to the network through ``HTTPAdapter.send``. The body of an answer is read by
``raw.stream`` alone, whether all at once or piece by piece.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from erranalytics.client.context import MARK
from erranalytics.client.instruments.base import PATCHED, Sending, begin, lookalike
from erranalytics.client.observer import CallObserver, observed

# The wrapped session that is sending; an adapter does not know its session.
_SESSION: ContextVar[Any] = ContextVar("erranalytics_session", default=None)


def patch(module: ModuleType) -> None:
    """Route all calls of the module's sessions through this instrument; a second time changes nothing."""
    library = f"requests/{getattr(module, '__version__', '')}"
    adapter, session = module.adapters.HTTPAdapter, module.Session
    if not hasattr(adapter.send, PATCHED):
        adapter.send = _instrumented(adapter.send, library)
        session.send = _announced(session.send)


def _announced(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, **options: Any) -> Any:
        if vars(self).get(MARK) is None:
            return original(self, request, **options)
        token = _SESSION.set(self)
        try:
            return original(self, request, **options)
        finally:
            _SESSION.reset(token)

    return send


def _instrumented(original: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, *arguments: Any, **options: Any) -> Any:
        session = _SESSION.get()
        observer = begin(self if session is None else session, library, lambda: _request_fields(request))
        if observer is None:
            return original(self, request, *arguments, **options)
        with Sending(observer):
            response = original(self, request, *arguments, **options)
        _attach(response, observer)
        return response

    setattr(send, PATCHED, True)
    return send


def _request_fields(request: Any) -> dict[str, Any]:
    from urllib.parse import urlsplit

    url = urlsplit(request.url)
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    return {
        "method": request.method,
        "url_host": url.netloc.rpartition("@")[2],
        "path": url.path,
        "headers": {name: value for name, value in request.headers.items() if isinstance(value, str)},
        "body": body if isinstance(body, bytes) else None,
    }


def _attach(response: Any, observer: CallObserver) -> None:
    """Put the observer between an answer and its body; the body stays the same object."""
    try:
        observer.answer_started(response.status_code, response.headers, is_decoded=True)
        retries = getattr(getattr(response.raw, "retries", None), "history", ())
        observer.facts["attempt"] += len(retries)
        response.raw._erranalytics_observer = observer
        response.raw.__class__ = lookalike(type(response.raw), _observed_body)
    except Exception:  # noqa: BLE001 - an adapter for tests has no body of urllib3
        observer.give_up()


def _observed_body(kind: type) -> type:
    class HTTPResponse(kind):  # type: ignore[misc]
        def stream(self, *arguments: Any, **options: Any) -> Iterator[bytes]:
            return observed(super().stream(*arguments, **options), self._erranalytics_observer)

        def close(self) -> None:
            self._erranalytics_observer.close()
            super().close()

    return HTTPResponse
