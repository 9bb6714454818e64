"""Read the bodies of answers: whether an answer is complete, its error, and why the model stopped.

HTTP 200 alone proves nothing: Ollama keeps it when a stream breaks after its first chunk. A success needs the mark that
ends an answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from erranalytics.client.routes import INFERENCE

# Types of the events that end a stream of /v1/messages and /v1/responses.
LAST_EVENTS = frozenset(("message_stop", "response.completed", "response.incomplete"))
# An answer of a route without an end mark has one of these keys.
ANSWER_KEYS = frozenset(("choices", "embeddings", "embedding", "data", "output"))


class BodyContent:
    """What was read in a body; ``is_complete`` and ``done_seen`` are null when nothing says so.

    ``done_seen`` is about the end mark alone; an answer of a route that has no such mark can still be complete.
    """

    # A dataclass would cost a program more to import than the whole recorder.
    __slots__ = ("done_seen", "error", "finish_reason", "is_complete", "is_garbled", "is_gateway_page", "is_readable")

    def __init__(
        self,
        *,
        is_readable: bool = False,
        is_gateway_page: bool = False,
        is_complete: bool | None = None,
        error: Any = None,
    ) -> None:
        self.is_readable, self.is_gateway_page = is_readable, is_gateway_page
        self.is_complete, self.error = is_complete, error
        # The last line is not JSON, so a client that parses it stops there, whether it wants to or not.
        self.is_garbled = False
        self.finish_reason: str | None = None
        self.done_seen: bool | None = None


def parse_json(data: bytes | str, default: Any = None) -> Any:
    """The value of a JSON text; ``default`` when it is not JSON.

    >>> parse_json(b'{"done": true}'), parse_json(b'{"do')
    ({'done': True}, None)
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return default


def stream_objects(data: bytes) -> list[bytes]:
    """The JSON texts in the lines of a stream, or in the data of its events.

    >>> stream_objects(b'event: ping\\ndata: {"a": 1}\\n\\ndata: [DONE]\\n')
    [b'{"a": 1}', b'[DONE]']
    """
    return [line.removeprefix(b"data:").strip() for line in data.split(b"\n") if line.startswith((b"data:", b"{"))]


def error_in(value: Any) -> Any:
    """The error in an object: a text from Ollama, an object from the other routes, null when there is none.

    >>> error_in({"error": "llama runner process has terminated"})
    'llama runner process has terminated'
    >>> error_in({"type": "response.failed", "response": {"error": {"message": "no"}}})
    {'message': 'no'}
    """
    if not isinstance(value, dict):
        return None
    if value.get("error"):
        return value["error"]
    if value.get("type") == "error":
        return {key: value[key] for key in ("message", "code", "param") if key in value} or "error"
    response = value.get("response")
    if value.get("type") == "response.failed" and isinstance(response, dict):
        return response.get("error") or "response.failed"
    return None


def error_fields(value: Any) -> tuple[str | None, str | None]:
    """Type and text of an error, in the forms of Ollama's routes and of gateways.

    >>> error_fields({"error": {"type": "not_found_error", "message": "model 'x' not found"}})
    ('not_found_error', "model 'x' not found")
    >>> error_fields({"detail": "Not Found"})
    (None, 'Not Found')
    """
    if not isinstance(value, dict):
        return None, _text(value)
    inner = value.get("error") or next((value[key] for key in ("message", "detail") if value.get(key)), None)
    own_type = _text(value.get("type")) or _text(value.get("code"))
    if isinstance(inner, dict):
        inner_type, text = error_fields(inner)
        return inner_type or _text(inner.get("type")) or _text(inner.get("code")), text
    return None if value.get("type") == "error" else own_type, _text(inner)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def read_stream_end(objects: Iterable[bytes]) -> BodyContent:
    """Read the last objects of a stream, oldest first.

    >>> end = read_stream_end([b'{"message": {}, "done": false}', b'{"done": true, "done_reason": "stop"}'])
    >>> end.is_complete, end.finish_reason
    (True, 'stop')
    """
    content = BodyContent()
    for text in objects:
        if text == b"[DONE]":
            content.is_readable = content.is_complete = True
            continue
        value = parse_json(text)
        if isinstance(value, dict):
            content.is_readable = True
            content.error = content.error or error_in(value)
            content.finish_reason = _finish_reason(value) or content.finish_reason
            if value.get("done") is True or value.get("type") in LAST_EVENTS or value.get("status") == "success":
                content.is_complete = True
    if content.is_readable and content.is_complete is None:
        content.is_complete = False
    content.done_seen = content.is_complete
    return content


def read_body(body: bytes, route: str | None) -> BodyContent:
    """Read an answer that came in one piece.

    >>> read_body(b'{"response": "aaaa", "done": false}', "/api/generate").is_complete
    False
    >>> read_body(b'{"models": []}', "/api/tags").is_complete
    True
    """
    value = parse_json(body, default=...)
    if value is ...:
        return _read_text(body, route)
    content = BodyContent(is_readable=True, error=error_in(value))
    fields = value if isinstance(value, dict) else {}
    content.finish_reason = _finish_reason(fields)
    if isinstance(fields.get("done"), bool):
        content.is_complete = content.done_seen = fields["done"]
    elif content.error:
        content.is_complete = False
    elif route not in INFERENCE or ANSWER_KEYS & fields.keys() or fields.get("type") == "message":
        content.is_complete = True
    return content


def _read_text(body: bytes, route: str | None) -> BodyContent:
    """Read a body that is not JSON: where a model should have answered, a web page comes from a gateway that failed."""
    if route in INFERENCE:
        return BodyContent(is_gateway_page=body.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")))
    return BodyContent(is_readable=True, is_complete=True)


def _finish_reason(value: dict[str, Any]) -> str | None:
    """Why the model stopped, by the key that each route has for it."""
    choices = value.get("choices")
    reason = value.get("done_reason") or value.get("stop_reason")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        reason = choices[0].get("finish_reason")
    elif isinstance(value.get("delta"), dict):
        reason = value["delta"].get("stop_reason") or reason
    return reason[:40] if isinstance(reason, str) else None
