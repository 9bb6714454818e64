"""Find which of many literals occur in some texts, in one pass, so that patterns that cannot match are skipped."""

from __future__ import annotations

import string
from collections.abc import Sequence

import polars as pl

# The automaton for a thousand literals takes milliseconds to build. In less text than this, each literal is searched.
SHORT_BYTES = 20_000


def joined_if_short(texts: pl.Series) -> str | None:
    """All texts joined into one if they are short, else None."""
    # The estimate counts a shared buffer for each text that uses it, so a large one is checked by the true lengths.
    if texts.estimated_size() > SHORT_BYTES and int(texts.str.len_bytes().sum() or 0) > SHORT_BYTES:
        return None
    return "\n".join(text for text in texts if text is not None)


def literals_in(texts: pl.Series, literals: Sequence[str], *, is_case_folded: bool = False) -> list[str]:
    """The literals that occur in any of the texts, in their order.

    >>> literals_in(pl.Series(["out of memory", "EOF"]), ["memory", "timeout", "eof"], is_case_folded=True)
    ['memory', 'eof']

    Args:
        texts: strings, nulls allowed.
        literals: the words to search for; in lower case if case is folded.
        is_case_folded: whether the case of ASCII letters is ignored.
    """
    if (joined := joined_if_short(texts)) is not None:
        joined = _folded(joined) if is_case_folded else joined
        return [literal for literal in literals if literal in joined]
    search = pl.col("text").str.extract_many(list(literals), ascii_case_insensitive=is_case_folded, overlapping=True)
    words = texts.to_frame("text").lazy().select(search.explode().drop_nulls()).unique().collect().to_series()
    occurring = {_folded(word) for word in words} if is_case_folded else set(words)
    return [literal for literal in literals if literal in occurring]


def places_by_literal(texts: pl.Series, literals: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Each literal, in lower case, with the places of the short texts that contain it in any case.

    >>> places_by_literal(pl.Series(["Out of memory", "EOF"]), ["memory", "eof"])
    [('memory', [0]), ('eof', [1])]
    """
    folded = [_folded(text) for text in texts]
    return [(literal, [place for place, text in enumerate(folded) if literal in text]) for literal in literals]


_ASCII = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _folded(text: str) -> str:
    """A text with its ASCII letters in lower case; other letters stay as they are."""
    return text.lower() if text.isascii() else text.translate(_ASCII)


def may_hold(texts: pl.Series, literals: Sequence[str]) -> bool:
    """Whether any of the texts may contain any of the literals; long texts are not searched, the answer is True.

    >>> may_hold(pl.Series(["out of memory"]), ["://"])
    False
    """
    joined = joined_if_short(texts)
    return joined is None or any(literal in joined for literal in literals)
