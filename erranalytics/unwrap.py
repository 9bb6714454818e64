"""Free the innermost error text from SDK prefixes, JSON bodies, slog attributes and HTML pages.

The steps are data (``data/unwrap.toml``). Each runs over all texts at once, and only over those that hold
one of its literals, so a text without wrapping costs a substring search per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import polars as pl

from erranalytics import datafiles

ROUNDS = 3
# A dump of goroutines has its reason at the top; the wrapping of an error is never this long.
LONGEST_CHARS = 20_000

_ESCAPED = ["\\\\", '\\"', "\\'", "\\n", "\\r", "\\t", "\\/", "\\u003c", "\\u003e", "\\u0026"]
_PLAIN = ["\\", '"', "'", "\n", "\r", "\t", "/", "<", ">", "&"]
# A terminal or a mail breaks long JSON at its width; such a text is also read with its lines joined.
_BROKEN_JSON = r'(?s)\{\s*"error".*\n'


@dataclass(frozen=True)
class Step:
    """One kind of wrapping: what must stand in the text, what is replaced by what."""

    name: str
    needs: tuple[str, ...]
    pattern: str
    replace: str
    decode: bool
    is_trim: bool


@cache
def steps() -> tuple[Step, ...]:
    """The steps of ``unwrap.toml``, in their order."""
    rows = datafiles.table("unwrap")["step"]
    return tuple(
        Step(
            name=row["name"],
            needs=tuple(row["needs"]),
            pattern=f"(?m){row['pattern']}",
            replace=row["replace"],
            decode=row.get("decode") == "escapes",
            is_trim=row.get("trim", False),
        )
        for row in rows
    )


def unwrap(texts: pl.Series) -> pl.DataFrame:
    r"""All readings of each text, from the whole to the innermost.

    >>> unwrap(pl.Series(['{"error":"model is required"} (status code: 400)']))["inner"].to_list()
    ['model is required']
    >>> unwrap(pl.Series(['{"error":"model is required"} (status code: 400)']))["wrapping"].to_list()
    [['json-error-text']]

    Args:
        texts: strings without nulls.

    Returns:
        A frame of the same height: ``haystack`` (every reading, each from a line of its own, so that one pattern
        run sees all of them), ``inner`` (the last reading) and ``wrapping`` (the names of the steps that changed the
        text, outermost first; null when none did).
    """
    start = texts.rename("text").str.strip_chars_end()
    forms = pl.DataFrame({"row": pl.int_range(len(texts), eager=True), "text": start})
    broken = forms.filter(pl.col("text").str.contains(_BROKEN_JSON)).with_columns(
        pl.col("text").str.head(LONGEST_CHARS).str.replace_all(r"[ \t]*\r?\n[ \t]*", " ")
    )
    current = forms.get_column("text").str.head(LONGEST_CHARS)
    readings = [texts.rename("text").to_frame().with_row_index("row"), broken]
    # Joined lines are read first: what they yield is better than what a torn line yields.
    if broken.height:
        current = current.scatter(broken.get_column("row"), broken.get_column("text"))
        readings.append(forms.join(broken.select("row"), on="row"))
    taken = [pl.DataFrame(schema={"row": pl.Int64, "step": pl.String})]
    for _ in range(ROUNDS):
        # `scatter` writes in place.
        before = current.clone()
        for step in steps():
            current, changed = _apply(current, step)
            if changed is not None:
                readings.append(changed)
                if not step.is_trim:
                    taken.append(changed.select(pl.col("row").cast(pl.Int64), step=pl.lit(step.name)))
        if current.equals(before):
            break
    stack = pl.concat([reading.select(pl.col("row").cast(pl.Int64), "text") for reading in readings])
    haystack = stack.group_by("row").agg(pl.col("text").unique(maintain_order=True).str.join("\n")).sort("row")
    wrapping = pl.concat(taken).group_by("row").agg(pl.col("step").unique(maintain_order=True).alias("wrapping"))
    return haystack.join(wrapping, on="row", how="left", maintain_order="left").select(
        pl.col("text").alias("haystack"), current.str.strip_chars().alias("inner"), "wrapping"
    )


def _apply(texts: pl.Series, step: Step) -> tuple[pl.Series, pl.DataFrame | None]:
    """The texts after one step, and the readings that it made new (None when it changed nothing)."""
    rows = texts.str.contains_any(list(step.needs)).arg_true()
    if rows.is_empty():
        return texts, None
    old = texts.gather(rows)
    new = old.str.replace_all(step.pattern, step.replace)
    differs = new != old
    if not differs.any():
        return texts, None
    rows, new = rows.filter(differs), new.filter(differs)
    if step.decode:
        new = new.str.replace_many(_ESCAPED, _PLAIN)
    # An empty reading says nothing; the text before it stays.
    filled = new.str.strip_chars().str.len_bytes() > 0
    rows, new = rows.filter(filled), new.filter(filled)
    return texts.scatter(rows, new), pl.DataFrame({"row": rows, "text": new})
