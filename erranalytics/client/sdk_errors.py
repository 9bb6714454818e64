"""What an exception of an SDK says, where nothing of the call was seen on the wire.

A status on an exception is not always one that came over the wire: litellm makes up 408 and 500, ollama-python sets
-1 when an error comes in the middle of a stream.
"""

from __future__ import annotations

import re
from typing import Any

SDKS = frozenset(("anthropic", "langchain_ollama", "litellm", "ollama", "openai")) | frozenset(
    ("aiohttp", "httpcore", "httpcore2", "httpx", "httpx2", "requests")
)
# litellm/exceptions.py at v1.106.2: these get their status from the class, whatever came over the wire.
SYNTHETIC = frozenset(("APIConnectionError", "MidStreamFallbackError", "Timeout"))
_CODE = re.compile(
    r"(?:Error code: |status code:? |Client error '|Server error ')(\d{3})\b|^(\d{3}) (?:Client|Server) Error:"
)


def sdk(fault: BaseException) -> str | None:
    """The package an exception comes from, when it is one that talks to models."""
    package = type(fault).__module__.partition(".")[0]
    return package if package in SDKS else None


def status_of(fault: BaseException) -> tuple[int | None, str]:
    """HTTP status and its source: wire, sdk_synthetic, sentinel, inferred or none.

    >>> status_of(ValueError("Error code: 502")), status_of(OSError("gone"))
    ((502, 'inferred'), (None, 'none'))
    """
    value = _number(getattr(fault, "status_code", None))
    if value == -1:
        return None, "sentinel"
    if sdk(fault) == "litellm":
        made_up = type(fault).__name__ in SYNTHETIC or not 100 <= (value or 0) <= 599
        return (value, "sdk_synthetic") if value and made_up else (value, "inferred" if value else "none")
    answer = _number(getattr(getattr(fault, "response", None), "status_code", None))
    # aiohttp calls it status, and puts 400 on a body that was cut.
    if value is None and type(fault).__name__ == "ClientResponseError":
        value = _number(getattr(fault, "status", None))
    value = answer or value
    if value and 100 <= value <= 599:
        return value, "wire"
    found = _CODE.search(str(fault))
    return (int(found[1] or found[2]), "inferred") if found else (None, "none")


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
