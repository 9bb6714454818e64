"""Patterns of the Rust engine as patterns of Python: made once, where polars makes them anew for each frame.

A pattern with many words takes the Rust engine a millisecond to make, and polars keeps few of them. On lines of
printable ASCII Python's engine says the same (``tests/text/test_patterns.py``), and keeps what it made: for a few lines
that counts.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import cache

import polars as pl

# Up to so many lines are looked at one by one.
FEW = 200

# What the Rust engine writes otherwise, and what it is worth where all text is printable ASCII.
_SAME = {r"(?-u:\b)": r"\b", r"\p{L}": "[A-Za-z]", r"\p{Extended_Pictographic}": "\U0001f600"}
# Classes inside of classes, and what is taken from them, which Python reads otherwise.
_ESCAPED = re.compile(r"\\.")
_NESTED = re.compile(r"\[[^\]]*(?:\[|&&|--|~~)")


@cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    r"""The pattern for Python, which fits the same lines of printable ASCII; None where there is none.

    >>> compiled(r"^\p{L}+(?-u:\b)").pattern
    '^[A-Za-z]+\\b'
    """
    if _NESTED.search(_ESCAPED.sub("_", pattern)):
        return None
    for one, other in _SAME.items():
        pattern = pattern.replace(one, other)
    # Python wants all flags in one place.
    pattern = re.sub(r"^\(\?m\)\(\?([isx]+)\)", r"(?m\1)", pattern)
    pattern = re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda found: f"\\U{int(found[1], 16):08x}", pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(pattern)
    except (re.error, Warning):
        return None


def is_plain(text: str) -> bool:
    """Whether a text is one line of printable ASCII and tabs."""
    return text.isascii() and text.replace("\t", " ").isprintable()


def may_fit(pattern: str, texts: Sequence[str | None] | pl.Series) -> bool:
    """Whether a pattern may fit one of some texts: a cheap look, which many texts or others than plain ones pass.

    Of a pattern whose ``^`` and ``$`` stand at the borders of lines a text may have several.
    """
    kept = compiled(pattern) if len(texts) <= FEW else None
    if kept is None:
        return True
    lines = pattern.startswith("(?m)")
    return any(
        text is None or not is_plain(text.replace("\n", " ") if lines else text) or kept.search(text) for text in texts
    )
