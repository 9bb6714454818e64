"""Which recorder, if any, gets the calls of a client, and which tags they carry."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from erranalytics.client.recorder import Recorder, Tags

# The attribute of a client that holds its recorder.
MARK = "_erranalytics_recorder"
# True inside a call that is observed: where litellm has httpx call aiohttp, that is one call and not two.
INSIDE: ContextVar[bool] = ContextVar("erranalytics_inside", default=False)


class Scope(Tags):
    """A block in which calls are recorded: its recorder, and the tags of its calls."""

    def __init__(self, recorder: Recorder, outer: Scope | None, tags: Mapping[str, Any]) -> None:
        super().__init__(
            app=tags["app"] or (outer.app if outer else None),
            trace_id=tags["trace_id"] or (outer.trace_id if outer else None),
            record_id=tags["record_id"],
            attrs={**(outer.attrs if outer else {}), **tags["attrs"]},
        )
        self.recorder, self.outer = recorder, outer


SCOPE: ContextVar[Scope | None] = ContextVar("erranalytics_scope", default=None)
# Recorders that are on for the whole process, in every thread; the newest is last.
ACTIVE: list[Recorder] = []


def current() -> Recorder | None:
    """The recorder that is on here."""
    scope = SCOPE.get()
    return scope.recorder if scope else (ACTIVE[-1] if ACTIVE else None)


def recorder_for(client: Any) -> tuple[Recorder | None, bool]:
    """The recorder of a client, and whether the client itself was wrapped."""
    if INSIDE.get():
        return None, False
    own = getattr(client, "__dict__", {}).get(MARK)
    return (own, True) if own is not None else (current(), False)
