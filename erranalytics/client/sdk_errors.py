"""The status that an exception of an SDK carries, and where it comes from, for calls that were not seen on the wire.

Not every status on an exception came over the wire: litellm makes up 408 and 500, and ollama-python sets -1 for an
error in the middle of a stream.
"""

from __future__ import annotations

import re
from typing import Any, Literal

StatusSource = Literal["wire", "sdk_synthetic", "sentinel", "inferred", "none"]
STATUS_SOURCES: dict[StatusSource, str] = {
    "wire": "It came over the network.",
    "sdk_synthetic": "The SDK made it up, as litellm does with 408 and 500.",
    "sentinel": "The SDK put a number that is not a status, as ollama-python does with -1; `http_status` is empty.",
    "inferred": "It was read out of a text.",
    "none": "There is none.",
}

SDKS = frozenset(("anthropic", "langchain_ollama", "litellm", "ollama", "openai")) | frozenset(
    ("aiohttp", "httpcore", "httpcore2", "httpx", "httpx2", "requests")
)
# litellm/exceptions.py@v1.106.2: the status of these belongs to the class, whatever came over the wire.
LITELLM_SYNTHETIC = ("APIConnectionError", "Timeout", "MidStreamFallbackError")
_STATUS_IN_TEXT = re.compile(
    r"(?:Error code: |status code:? |Client error '|Server error ')(\d{3})\b|^(\d{3}) (?:Client|Server) Error:"
)


def sdk_of(exception: BaseException) -> str | None:
    """The package that an exception comes from, if it is one that talks to models."""
    package = type(exception).__module__.partition(".")[0]
    return package if package in SDKS else None


def status_of(exception: BaseException) -> tuple[int | None, StatusSource]:
    """HTTP status of an exception, and its source.

    >>> status_of(ValueError("Error code: 502")), status_of(OSError("gone"))
    ((502, 'inferred'), (None, 'none'))
    """
    status = _integer(getattr(exception, "status_code", None))
    if status == -1:
        return None, "sentinel"
    if sdk_of(exception) == "litellm":
        is_synthetic = type(exception).__name__ in LITELLM_SYNTHETIC or not 100 <= (status or 0) <= 599
        return (status, "sdk_synthetic" if is_synthetic else "inferred") if status else (status, "none")
    response_status = _integer(getattr(getattr(exception, "response", None), "status_code", None))
    # aiohttp calls it status, and puts 400 on a body that was cut.
    if status is None and type(exception).__name__ == "ClientResponseError":
        status = _integer(getattr(exception, "status", None))
    status = response_status or status
    if status and 100 <= status <= 599:
        return status, "wire"
    match = _STATUS_IN_TEXT.search(str(exception))
    return (int(match[1] or match[2]), "inferred") if match else (None, "none")


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
