"""Free the innermost error text from SDK prefixes, JSON bodies, slog attributes and HTML pages.

The steps are data (``innermost.toml``). Each runs over all texts that hold one of its literals at once, so a text
without wrapping costs one substring search per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import polars as pl

from erranalytics import datafiles
from erranalytics.text.literals import literals_in
from erranalytics.text.patterns import may_fit

ROUNDS = 3
# A dump of goroutines gives its reason at the top, and the wrapping of an error is never this long.
LONGEST_CHARS = 20_000

_ESCAPED = ["\\\\", '\\"', "\\'", "\\n", "\\r", "\\t", "\\/", "\\u003c", "\\u003e", "\\u0026"]
_PLAIN = ["\\", '"', "'", "\n", "\r", "\t", "/", "<", ">", "&"]
# A terminal or a mail breaks long JSON at its width, so such a text is also read with its lines joined.
_BROKEN_JSON = r'(?s)\{\s*"error".*\n'


@dataclass(frozen=True)
class Step:
    """One kind of wrapping: the literals that show it, the pattern that removes it, and what replaces it."""

    name: str
    needs: tuple[str, ...]
    pattern: str
    replace: str
    decode: bool
    is_trim: bool


@cache
def steps() -> tuple[Step, ...]:
    """The steps of ``innermost.toml``, in their order."""
    rows = datafiles.table("innermost")["step"]
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


def innermost(texts: pl.Series) -> pl.DataFrame:
    r"""All readings of each text, from the original to the innermost.

    >>> innermost(pl.Series(['{"error":"model is required"} (status code: 400)']))["inner"].to_list()
    ['model is required']
    >>> innermost(pl.Series(['{"error":"model is required"} (status code: 400)']))["wrapping"].to_list()
    [['json-error-text']]

    Args:
        texts: strings without nulls.

    Returns:
        A frame of the same height: ``haystack`` (all readings, each starting on its own line, so that one run of a
        pattern sees all of them), ``inner`` (the last reading) and ``wrapping`` (the names of the steps that changed
        the text, outermost first; null when none did).
    """
    original = texts.rename("text").to_frame().with_row_index("row")
    start = original.select(
        current=pl.col("text").str.strip_chars_end().str.head(LONGEST_CHARS),
        is_broken=pl.col("text").str.strip_chars_end().str.contains(_BROKEN_JSON),
    )
    # The readings made from others, each with its step unless that is not reported.
    readings: list[pl.DataFrame] = []
    current = start.get_column("current")
    # Joined lines are read first, because they yield more than a torn line does.
    if start.get_column("is_broken").any():
        broken = original.filter(start.get_column("is_broken")).with_columns(pl.col("text").str.strip_chars_end())
        joined = pl.col("text").str.head(LONGEST_CHARS).str.replace_all(r"[ \t]*\r?\n[ \t]*", " ")
        readings += [broken.with_columns(joined, step=_NO_STEP), broken.with_columns(step=_NO_STEP)]
        current = current.scatter(readings[0].get_column("row"), readings[0].get_column("text"))
    current = _stepped(current, readings)
    inner = current.rename("inner").to_frame().select(pl.col("inner").str.strip_chars())
    if not readings:
        nothing = pl.Series("wrapping", [None], dtype=pl.List(pl.String)).new_from_index(0, len(texts))
        return inner.select(original.get_column("text").alias("haystack"), "inner", nothing)
    steps_taken = pl.col("step").drop_nulls().unique(maintain_order=True)
    table = (
        pl.concat([original.with_columns(step=_NO_STEP), *readings])
        .group_by("row")
        .agg(pl.col("text").unique(maintain_order=True).str.join("\n"), steps_taken.alias("wrapping"))
        .sort("row")
    )
    wrapping = pl.when(pl.col("wrapping").list.len() > 0).then("wrapping")
    return table.select(pl.col("text").alias("haystack"), inner.get_column("inner"), wrapping)


def _stepped(current: pl.Series, readings: list[pl.DataFrame]) -> pl.Series:
    """The texts after all steps; the new readings that each step makes are appended to ``readings``."""
    held, version = set(literals_in(current, _needs())), 0
    # A step that changed nothing need not see the same texts again.
    tried: dict[int, int] = {}
    for _ in range(ROUNDS):
        # `scatter` writes in place.
        before = current.clone()
        for number, step in enumerate(steps()):
            if held.isdisjoint(step.needs) or tried.get(number) == version:
                continue
            tried[number] = version
            if not may_fit(step.pattern, current):
                continue
            changed = _changed(current, step)
            if changed.is_empty():
                continue
            current = current.scatter(changed.get_column("row"), changed.get_column("text"))
            held.update(literals_in(changed.get_column("text"), _needs()))
            readings.append(changed.with_columns(step=_NO_STEP if step.is_trim else pl.lit(step.name)))
            version += 1
        if current.equals(before):
            break
    return current


_NO_STEP = pl.lit(None, dtype=pl.String)


@cache
def _needs() -> list[str]:
    return sorted({need for step in steps() for need in step.needs})


def _changed(texts: pl.Series, step: Step) -> pl.DataFrame:
    """``row`` and ``text`` of the texts that one step changes; an empty result is not a change."""
    rows = texts.to_frame("text").with_row_index("row").filter(pl.col("text").str.contains_any(list(step.needs)))
    if rows.is_empty():
        return rows
    new = rows.with_columns(new=pl.col("text").str.replace_all(step.pattern, step.replace))
    new = new.filter(pl.col("new") != pl.col("text"))
    if new.is_empty():
        return rows.clear()
    plain = pl.col("new").str.replace_many(_ESCAPED, _PLAIN) if step.decode else pl.col("new")
    return new.select("row", text=plain).filter(pl.col("text").str.strip_chars().str.len_bytes() > 0)
