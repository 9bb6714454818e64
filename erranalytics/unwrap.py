"""Free the innermost error text from SDK prefixes, JSON bodies, slog attributes and HTML pages.

The steps are data (``data/unwrap.toml``). Each runs over all texts at once, and only over those that hold
one of its literals, so a text without wrapping costs a substring search per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import polars as pl

from erranalytics import datafiles
from erranalytics.literals import standing

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
    start = texts.rename("text").to_frame().with_row_index("row").cast({"row": pl.Int64})
    start = start.with_columns(
        current=pl.col("text").str.strip_chars_end().str.head(LONGEST_CHARS),
        is_broken=pl.col("text").str.strip_chars_end().str.contains(_BROKEN_JSON),
    )
    readings = [start.select("row", "text")]
    current = start.get_column("current")
    # Joined lines are read first: what they yield is better than what a torn line yields.
    if start.get_column("is_broken").any():
        broken = start.filter("is_broken").select("row", pl.col("text").str.strip_chars_end())
        joined = broken.select("row", pl.col("text").str.head(LONGEST_CHARS).str.replace_all(r"[ \t]*\r?\n[ \t]*", " "))
        current = current.scatter(joined.get_column("row"), joined.get_column("text"))
        readings += [joined, broken]
    taken: list[pl.DataFrame] = []
    held = set(standing(current, _needs()))
    for _ in range(ROUNDS):
        # `scatter` writes in place.
        before = current.clone()
        for step in steps():
            if held.isdisjoint(step.needs):
                continue
            changed = _changed(current, step)
            if changed.is_empty():
                continue
            current = current.scatter(changed.get_column("row"), changed.get_column("text"))
            held.update(standing(changed.get_column("text"), _needs()))
            readings.append(changed)
            if not step.is_trim:
                taken.append(changed.select("row", step=pl.lit(step.name)))
        if current.equals(before):
            break
    inner = current.rename("inner").to_frame().select(pl.col("inner").str.strip_chars())
    if len(readings) == 1:
        nothing = pl.Series("wrapping", [None], dtype=pl.List(pl.String)).new_from_index(0, len(texts))
        return inner.select(start.get_column("text").alias("haystack"), "inner", nothing)
    haystacks = (
        pl.concat(readings).lazy().group_by("row").agg(pl.col("text").unique(maintain_order=True).str.join("\n"))
    )
    steps_taken = pl.concat([*taken, _NOTHING_TAKEN]).lazy().group_by("row")
    wrapping = steps_taken.agg(pl.col("step").unique(maintain_order=True).alias("wrapping"))
    found = haystacks.sort("row").join(wrapping, on="row", how="left", maintain_order="left").collect()
    return inner.select(found.get_column("text").alias("haystack"), "inner", found.get_column("wrapping"))


_NOTHING_TAKEN = pl.DataFrame(schema={"row": pl.Int64, "step": pl.String})


@cache
def _needs() -> list[str]:
    return sorted({need for step in steps() for need in step.needs})


def _changed(texts: pl.Series, step: Step) -> pl.DataFrame:
    """``row`` and ``text`` of the texts that one step changes; an empty reading says nothing and is no change."""
    new = pl.col("new").str.replace_many(_ESCAPED, _PLAIN) if step.decode else pl.col("new")
    return (
        texts.to_frame("text")
        .lazy()
        .with_row_index("row")
        .filter(pl.col("text").str.contains_any(list(step.needs)))
        .with_columns(new=pl.col("text").str.replace_all(step.pattern, step.replace))
        .filter(pl.col("new") != pl.col("text"))
        .select(pl.col("row").cast(pl.Int64), text=new)
        .filter(pl.col("text").str.strip_chars().str.len_bytes() > 0)
        .collect()
    )
