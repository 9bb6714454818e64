"""Which of many literals stand in some texts: one look for all of them, so that nothing is tried that cannot match."""

from __future__ import annotations

import string
from collections.abc import Sequence

import polars as pl

# Making the automaton for a thousand literals takes milliseconds; in less text than this each is looked for.
SHORT_BYTES = 20_000


def whole_of(texts: pl.Series) -> str | None:
    """All texts as one, where they are short; None where they are not."""
    # What texts share of a buffer is counted for each of them: then they are looked at.
    if texts.estimated_size() > SHORT_BYTES and int(texts.str.len_bytes().sum() or 0) > SHORT_BYTES:
        return None
    return "\n".join(text for text in texts if text is not None)


def standing(texts: pl.Series, literals: Sequence[str], *, is_case_folded: bool = False) -> list[str]:
    """Those of the literals that stand in any of the texts, in their order.

    >>> standing(pl.Series(["out of memory", "EOF"]), ["memory", "timeout", "eof"], is_case_folded=True)
    ['memory', 'eof']

    Args:
        texts: strings, nulls allowed.
        literals: what to look for; in lower case when case is folded.
        is_case_folded: whether upper and lower case of ASCII letters are one.
    """
    if (whole := whole_of(texts)) is not None:
        whole = _folded(whole) if is_case_folded else whole
        return [literal for literal in literals if literal in whole]
    search = pl.col("text").str.extract_many(list(literals), ascii_case_insensitive=is_case_folded, overlapping=True)
    found = texts.to_frame("text").lazy().select(search.explode().drop_nulls()).unique().collect().to_series()
    held = {_folded(word) for word in found} if is_case_folded else set(found)
    return [literal for literal in literals if literal in held]


def holders(texts: pl.Series, literals: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Each of the literals, in lower case, with the places of the short texts that hold it in any case.

    >>> holders(pl.Series(["Out of memory", "EOF"]), ["memory", "eof"])
    [('memory', [0]), ('eof', [1])]
    """
    folded = [_folded(text) for text in texts]
    return [(literal, [place for place, text in enumerate(folded) if literal in text]) for literal in literals]


_ASCII = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _folded(text: str) -> str:
    """A text with its ASCII letters in lower case, and no others."""
    return text.lower() if text.isascii() else text.translate(_ASCII)


def may_hold(texts: pl.Series, literals: Sequence[str]) -> bool:
    """Whether any of the literals may stand in any of the texts: a cheap look that long texts pass unseen.

    >>> may_hold(pl.Series(["out of memory"]), ["://"])
    False
    """
    whole = whole_of(texts)
    return whole is None or any(literal in whole for literal in literals)
