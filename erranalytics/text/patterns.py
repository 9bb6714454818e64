"""Patterns of the Rust engine as patterns of Python, which are compiled once, while polars compiles per frame.

A pattern with many words takes the Rust engine a millisecond to compile, and polars keeps few of them. On lines of
printable ASCII Python's engine gives the same result (``tests/text/test_patterns.py``) and keeps its compiled
patterns, which is faster for a few lines.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import cache

import polars as pl

# Up to this many lines are matched one by one.
FEW = 200

# Syntax that only the Rust engine has, with its equivalent for printable ASCII.
_SAME = {r"(?-u:\b)": r"\b", r"\p{L}": "[A-Za-z]", r"\p{Extended_Pictographic}": "\U0001f600"}
# Nested classes and differences of classes, which Python reads in another way.
_ESCAPED = re.compile(r"\\.")
_NESTED = re.compile(r"\[[^\]]*(?:\[|&&|--|~~)")


@cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    r"""The pattern for Python, which matches the same lines of printable ASCII; None if there is no equivalent.

    >>> compiled(r"^\p{L}+(?-u:\b)").pattern
    '^[A-Za-z]+\\b'
    """
    if _NESTED.search(_ESCAPED.sub("_", pattern)):
        return None
    for rust, python in _SAME.items():
        pattern = pattern.replace(rust, python)
    # Python requires all flags in one group.
    pattern = re.sub(r"^\(\?m\)\(\?([isx]+)\)", r"(?m\1)", pattern)
    pattern = re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda match: f"\\U{int(match[1], 16):08x}", pattern)
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
    """Whether a pattern may match one of the texts; True without a check for many texts and for texts beyond ASCII.

    A text may have several lines if ``^`` and ``$`` match at the borders of lines (``(?m)``).
    """
    python = compiled(pattern) if len(texts) <= FEW else None
    if python is None:
        return True
    lines = pattern.startswith("(?m)")
    return any(
        text is None or not is_plain(text.replace("\n", " ") if lines else text) or python.search(text)
        for text in texts
    )
