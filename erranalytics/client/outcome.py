"""From what was seen of an answer to how the call ended. Pure functions: bytes and facts in, words out.

HTTP 200 alone proves nothing: Ollama keeps it when a stream breaks after its first chunk, so a success needs the mark
that ends an answer, and what carries no mark that is known is ``not_observable``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from erranalytics.client.http_facts import INFERENCE

# Types of the events that end a stream of /v1/messages and /v1/responses.
LAST_EVENTS = frozenset(("message_stop", "response.completed", "response.incomplete"))
# One of these stands in an answer of each route that has no mark of its own.
ANSWERS = frozenset(("choices", "embeddings", "embedding", "data", "output"))


class Findings:
    """What the content of an answer says: whether it is whole (``done``), and the mark that says so if it has one."""

    # No dataclass: importing those costs a program more than all of the recorder.
    __slots__ = ("done", "error", "finish_reason", "is_foreign", "is_garbled", "is_readable", "mark")

    def __init__(
        self, *, is_readable: bool = False, is_foreign: bool = False, done: bool | None = None, error: Any = None
    ) -> None:
        self.is_readable, self.is_foreign = is_readable, is_foreign
        self.done, self.error = done, error
        # The last line is no object: who parses it stops there, and not of his own will.
        self.is_garbled = False
        self.finish_reason: str | None = None
        self.mark: bool | None = None


def failure_in(value: Any) -> Any:
    """The error an object carries: of Ollama a text, of the other routes an object; nothing when there is none.

    >>> failure_in({"error": "llama runner process has terminated"})
    'llama runner process has terminated'
    >>> failure_in({"type": "response.failed", "response": {"error": {"message": "no"}}})
    {'message': 'no'}
    """
    if not isinstance(value, dict):
        return None
    if value.get("error"):
        return value["error"]
    if value.get("type") == "error":
        return {key: value[key] for key in ("message", "code", "param") if key in value} or "error"
    inner = value.get("response")
    if value.get("type") == "response.failed" and isinstance(inner, dict):
        return inner.get("error") or "response.failed"
    return None


def read_tail(payloads: Iterable[bytes]) -> Findings:
    """Judge the last objects of a stream, oldest first.

    >>> found = read_tail([b'{"message": {"content": "a"}, "done": false}', b'{"done": true, "done_reason": "stop"}'])
    >>> found.done, found.finish_reason
    (True, 'stop')
    """
    found = Findings()
    for payload in payloads:
        if payload == b"[DONE]":
            found.is_readable = found.done = True
            continue
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.is_readable = True
            found.error = found.error or failure_in(value)
            found.finish_reason = _finish_reason(value) or found.finish_reason
            if value.get("done") is True or value.get("type") in LAST_EVENTS or value.get("status") == "success":
                found.done = True
    if found.is_readable and found.done is None:
        found.done = False
    found.mark = found.done
    return found


def read_whole(body: bytes, route: str | None) -> Findings:
    """Judge an answer that came in one piece.

    >>> read_whole(b'{"response": "aaaa", "done": false}', "/api/generate").done
    False
    >>> read_whole(b'{"models": []}', "/api/tags").done
    True
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return _read_text(body, route)
    found = Findings(is_readable=True, error=failure_in(value))
    fields = value if isinstance(value, dict) else {}
    found.finish_reason = _finish_reason(fields)
    if isinstance(fields.get("done"), bool):
        found.done = found.mark = fields["done"]
    elif found.error:
        found.done = False
    elif route not in INFERENCE or ANSWERS & fields.keys() or fields.get("type") == "message":
        found.done = True
    return found


def _read_text(body: bytes, route: str | None) -> Findings:
    """An answer that is no JSON: a page of a gateway where a model was asked is a failure."""
    if route in INFERENCE:
        return Findings(is_foreign=body.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")))
    return Findings(is_readable=True, done=True)


def _finish_reason(value: dict[str, Any]) -> str | None:
    """Why a model stopped, in the words of each route."""
    choices = value.get("choices")
    found = value.get("done_reason") or value.get("stop_reason")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        found = choices[0].get("finish_reason")
    elif isinstance(value.get("delta"), dict):
        found = value["delta"].get("stop_reason") or found
    return found[:40] if isinstance(found, str) else None


def outcome(
    *, stream: bool | None, status: int | None, how: str, has_begun: bool, is_opaque: bool, found: Findings
) -> str:
    """How a call ended, in the words of a record.

    Args:
        stream: whether an answer in pieces was asked for.
        status: of HTTP; nothing when no answer came.
        how: ``end`` of the body, ``fault`` (an exception of the client), ``timeout`` (its own deadline),
            ``cancelled`` (an exception of the program, such as a cancelled task), ``closed`` by the program,
            ``unseen`` where the body cannot be watched.
        has_begun: whether a piece of the answer came.
        is_opaque: whether the body could not be read, for example because it was packed.
        found: what stood in it.
    """
    early, late = ("failed_before_first_byte", "failed_mid_stream") if stream else ("failed", "failed")
    if (status is not None and status >= 300) or found.is_foreign:
        return early
    if how == "timeout":
        # Who stops waiting in the middle of a stream has left it; what had not begun has failed.
        return (
            "cancelled_by_client" if stream and has_begun and not found.done else "completed" if found.done else early
        )
    if how == "unseen" or (how != "fault" and is_opaque):
        return "not_observable"
    if found.error:
        return late
    is_left = how in {"closed", "cancelled"}
    # Whoever has seen the mark, or why the model stopped, has the whole answer and may leave.
    if found.done or (is_left and found.finish_reason):
        return "completed"
    if is_left and not found.is_garbled:
        return "cancelled_by_client"
    if how == "fault" or is_left:
        return "truncated" if stream and has_begun else early
    return _ended(is_broken=found.is_readable or not has_begun if stream else found.done is False, stream=stream)


def _ended(*, is_broken: bool, stream: bool | None) -> str:
    """A body that ended as HTTP says it should, without the mark of an answer's end."""
    return ("truncated" if stream else "failed") if is_broken else "not_observable"


def told(value: Any) -> tuple[str | None, str | None]:
    """Type and text of an error as the routes of Ollama and gateways write it.

    >>> told({"error": {"type": "not_found_error", "message": "model 'x' not found"}})
    ('not_found_error', "model 'x' not found")
    >>> told({"detail": "Not Found"})
    (None, 'Not Found')
    """
    if isinstance(value, dict):
        inner = value.get("error") or next((value[key] for key in ("message", "detail") if value.get(key)), None)
        if isinstance(inner, dict):
            return told(inner)[0] or _text(inner.get("type")) or _text(inner.get("code")), told(inner)[1]
        kind = None if value.get("type") == "error" else _text(value.get("type")) or _text(value.get("code"))
        return kind, _text(inner)
    return None, _text(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
