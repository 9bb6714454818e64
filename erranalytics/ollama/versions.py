"""Versions of Ollama as texts and as numbers that can be compared."""

from __future__ import annotations

import re

from erranalytics.errors import UsageError

VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-rc\d+)?")
# Where a log or the command line tells its version.
_TOLD = re.compile(r"(?:\(version |ollama version is |client version is )v?(\d+\.\d+\.\d+)")


def release(version: str) -> tuple[int, ...]:
    """A version as numbers; a release candidate counts as its release.

    >>> release("v0.13.5") < release("0.30.0-rc1")
    True
    """
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0]))


def checked(text: str | None) -> str | None:
    """A version a user gave, with its ``v``; None when none was given.

    Raises:
        UsageError: it is none.
    """
    if text is not None and not VERSION.fullmatch(text):
        raise UsageError(f"{text!r} is no version of Ollama", hint="Give it as ollama --version prints it: 0.13.5")
    return text and f"v{text.removeprefix('v')}"


def told(text: str) -> str | None:
    """The version a text tells of itself, the last one; None when it tells none.

    >>> told('msg="Listening on 127.0.0.1:11434 (version 0.13.5)"')
    'v0.13.5'
    """
    found = _TOLD.findall(text)
    return f"v{found[-1]}" if found else None
