"""Text that is safe to show to people.

Text from a log is never trusted: control characters, escape sequences and direction marks are shown as ``\\x1b``.
"""

from __future__ import annotations

import re

# What moves the cursor, changes colours or reorders text: C0, DEL, C1, line and direction marks, surrogates.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """``text`` with each character that could control a terminal shown as an escape: ``\\x1b[31m``, ``\\u202e``."""
    return UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _NAMED.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def human_bytes(size: float) -> str:
    """``24696061952`` → ``23.0 GiB``."""
    for unit, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(size) >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size:.0f} B"


def shortened(text: str, chars: int) -> str:
    """A text of at most so many characters; the last one is ``…`` when some were cut off."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def plural(count: int, word: str, words: str | None = None) -> str:
    """The singular or plural of a word for a count."""
    return word if count == 1 else words or word + "s"
