"""Which recorder a client's call goes to, if any."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from erranalytics.client.recorder import Recorder, current

MARK = "_erranalytics_recorder"
PATCHED = "_erranalytics_patched"
# A client that calls another one, as litellm lets httpx call aiohttp, makes one call and not two.
INSIDE: ContextVar[bool] = ContextVar("erranalytics_inside", default=False)


def recorder_for(client: Any) -> tuple[Recorder | None, bool]:
    """The recorder of a client, and whether the client itself was wrapped."""
    own = getattr(client, "__dict__", {}).get(MARK)
    if INSIDE.get():
        return None, False
    if own is not None:
        return own, True
    return current(), False
