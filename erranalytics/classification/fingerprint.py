"""A template and a stable fingerprint for texts that no rule knows.

What varies between two occurrences of the same message (ids, paths, numbers) becomes a mask. The masks are applied to
each text alone and in a fixed order, from the most to the least specific, so the result does not depend on other texts.
"""

from __future__ import annotations

import hashlib
import re

import polars as pl

from erranalytics.text.literals import joined_if_short

LONGEST_CHARS = 400
FEW = 200

# Name, pattern, and a sign that is in every text the pattern matches. The order matters: a digest contains numbers, and
# an address contains a port.
MASKS: tuple[tuple[str, str, str], ...] = (
    ("uuid", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "-"),
    ("sha256", r"\bsha256[:-][0-9a-fA-F]{6,64}", "sha256"),
    ("time", r"\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]|\s-\s)\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?", r"\d[-/]\d"),
    ("url", r"\b(?:https?|wss?|tcp|unix)://[^\s\"'`<>)\]}]+", "://"),
    ("path", r"\b[A-Za-z]:\\[^\s\"'`<>|]+|(?:~|\.{1,2})?(?:/[\w@%+=.~-]+){2,}/?", r"[/\\]"),
    ("address", r"\[[0-9a-fA-F:]{3,}\](?::\d+)?|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", r"\[|\d\.\d"),
    ("hex", r"\b0[xX][0-9a-fA-F]+\b|\b(?:[0-9]+[a-f]|[a-f]+[0-9])[0-9a-f]{6,}\b", r"\d"),
    ("duration", r"\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:ns|us|µs|ms|s)\b|\b\d+h\d+m\b|\b\d+m\b", r"\d[nuµmsh]"),
    ("size", r"(?i)\b\d+(?:\.\d+)? ?(?:[KMGT]i?B|bytes?)\b", r"\d ?[KMGTkmgtBb]"),
    ("number", r"[-+]?\b\d+(?:[.,]\d+)*\b%?", r"\d"),
    ("quoted", r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]{1,200}'|`[^`\n]{1,200}`", "[\"'`]"),
)


def template(texts: pl.Series) -> pl.Series:
    r"""Each text with everything that varies masked.

    >>> template(pl.Series(["part 4 of sha256:4f5e6d7c stalled for 1.5s at 10.0.0.7:11434"])).to_list()
    ['part <number> of <sha256> stalled for <duration> at <address>']

    Only the first line counts, and a template has at most ``LONGEST_CHARS`` characters.
    """
    first = pl.col("text").str.strip_chars_start().str.extract(r"\A([^\n]*)").str.replace_all(r"\x1b\[[0-9;]*m", "")
    # Making a pattern costs more than running it on a few texts.
    masked, whole = first, joined_if_short(texts)
    for name, pattern, sign in MASKS:
        if whole is None or "\x1b" in whole or re.search(sign, whole):
            masked = masked.str.replace_all(pattern, f"<{name}>")
    short = masked.str.replace_all(r"\s+", " ").str.strip_chars().str.head(LONGEST_CHARS)
    return texts.cast(pl.String).rename("text").to_frame().select(short.alias("template")).to_series()


def fingerprint(templates: pl.Series) -> pl.Series:
    """Sixteen hexadecimal digits per template, the same on every machine and in every version.

    >>> fingerprint(pl.Series(["part <number> stalled"])).to_list()
    ['44a34a35a6824b12']
    """
    # There are few templates, so each distinct one is hashed once.
    distinct = set(templates) - {None} if len(templates) <= FEW else templates.unique().drop_nulls()
    digests = {text: hashlib.sha256(text.encode()).hexdigest()[:16] for text in distinct}
    if len(templates) <= FEW:
        return pl.Series("fingerprint", [digests.get(text) for text in templates], dtype=pl.String)
    return templates.replace_strict(digests, default=None, return_dtype=pl.String).rename("fingerprint")
