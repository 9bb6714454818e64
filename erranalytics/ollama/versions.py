"""Versions of Ollama, as text and as numbers that can be compared."""

from __future__ import annotations

import re

from erranalytics.errors import UsageError

VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-rc\d+)?")
# The places where a log or the command line states its version.
_STATED = re.compile(r"(?:\(version |ollama version is |client version is )v?(\d+\.\d+\.\d+)")


def release(version: str) -> tuple[int, ...]:
    """A version as numbers; a release candidate counts as its release.

    >>> release("v0.13.5") < release("0.30.0-rc1")
    True
    """
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0]))


def checked(text: str | None) -> str | None:
    """The version that a user gave, with its ``v``; None if none was given.

    Raises:
        UsageError: the text is not a version.
    """
    if text is not None and not VERSION.fullmatch(text):
        raise UsageError(f"{text!r} is not a version of Ollama", hint="Give it as ollama --version prints it: 0.13.5")
    return text and f"v{text.removeprefix('v')}"


def stated(text: str) -> str | None:
    """The version that a text states, the last one if there are several; None if it states none.

    >>> stated('msg="Listening on 127.0.0.1:11434 (version 0.13.5)"')
    'v0.13.5'
    """
    versions = _STATED.findall(text)
    return f"v{versions[-1]}" if versions else None
