"""LINES to RECORDS: take the wrapper off, recognise the line format, fold what belongs together.

A record is one thing that was said: a slog line, an access line with its trailers, a CUDA error block, a
panic with its goroutines, a run of loader metadata. Whether a line continues the record before depends
on the lines since that record began and on nothing else, so the last record of a batch, handed back as
``rest``, is all the state there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics import lineformats, schema, wrappers
from erranalytics.lineformats import UNKNOWN, FormatBook

MAX_RECORD_LINES = 4096
KEPT_LINES = 200

_OLLAMA_UNIT = r"(?i)ollama|llama"
_EMBEDDED = r"^(?:\.+|.*\r)((?:time=\d{4}-\d\d-\d\dT\S+ level=|\[GIN\] \d{4}/).*)$"


@dataclass(frozen=True, slots=True)
class Framed:
    """RECORDS of a batch, the lines of its unfinished last record, and counted rejects.

    ``rejects`` has ``line_no, line_count, reason, sample``.
    """

    records: pl.DataFrame
    rest: pl.DataFrame
    rejects: pl.DataFrame


def frame(lines: pl.DataFrame, *, wrapper: str, book: FormatBook, is_last: bool) -> Framed:
    """LINES to RECORDS.

    Args:
        lines: LINES, beginning with the ``rest`` of the batch before.
        wrapper: what ``wrappers.detect`` found in the source.
        book: the line formats.
        is_last: no further lines will come, so nothing is held back.
    """
    if lines.is_empty():
        return Framed(schema.empty(schema.RECORDS), lines, _no_rejects())
    bodies = recognise(wrappers.unwrap(lines, wrapper=wrapper), book=book)
    blank_head = _blank_head(bodies)
    marked = _mark_starts(bodies.slice(blank_head.height), book=book)
    cut = marked.height
    if not is_last and not marked.is_empty():
        # Everything before the last start is complete.
        cut = int(marked.select(pl.col("is_start").arg_true().last()).item())
    records = _fold(marked.head(cut))
    return Framed(records, lines.slice(blank_head.height + cut), blank_head)


def recognise(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Add ``format``, ``noise`` (the key of a run of noise, else null) and ``shape`` to unwrapped lines.

    ``shape`` is ``blank``, ``indented``, ``meta`` (behind an access line) or ``closing`` (of a GPU error block).

    The two formats of nearly every line are told by their first bytes, the others on distinct bodies.
    """
    body, hot = pl.col("body"), pl.lit(None, dtype=pl.String)
    for name, start in lineformats.HOT.items():
        hot = pl.when(body.str.starts_with(start)).then(pl.lit(name)).otherwise(hot)
    table = bodies.with_columns(format=hot)
    is_cold = pl.col("format").is_null()
    if not table.select(is_cold.any()).item():
        return table.with_columns(noise=pl.lit(None, dtype=pl.String), shape=pl.lit(None, dtype=pl.String))
    cold = table.filter(is_cold).select("line_no", "unit", body=body.fill_null("").str.strip_chars_end())
    cold = cold.join(
        _recognise_cold(cold, book=book), on=["body", "unit"], how="left", nulls_equal=True, maintain_order="left"
    )
    # Scattered back by position, which is a fraction of the price of a join.
    place = table.select((is_cold.cum_sum().cast(pl.Int64) - 1).clip(0)).to_series()
    picked = {
        name: pl.when(is_cold).then(pl.lit(cold[source].gather(place)))
        for name, source in {"body": "body_found", "format": "format", "noise": "noise", "shape": "shape"}.items()
    }
    return table.with_columns(
        body=pl.coalesce(picked["body"], "body"),
        format=pl.coalesce("format", picked["format"]),
        noise=picked["noise"],
        shape=picked["shape"],
    )


def _recognise_cold(cold: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Format, noise key and embedded log line of each distinct body."""
    distinct = (
        cold.select("body", "unit")
        .unique()
        .with_columns(embedded=pl.col("body").str.extract(_EMBEDDED), key=pl.col("body"))
    )
    found = book.recognise(distinct.with_columns(pl.coalesce("embedded", "body").alias("body")))
    is_other_program = ~pl.col("unit").str.contains(_OLLAMA_UNIT) & ~pl.col("format").is_in(["systemd", "kernel"])
    found = found.with_columns(format=pl.when(is_other_program).then(pl.lit("foreign")).otherwise("format"))
    body, form = pl.col("body"), pl.col("format")
    shape = (
        pl.when(body == "")
        .then(pl.lit("blank"))
        .when(body.str.contains("^ +Meta:"))
        .then(pl.lit("meta"))
        .when(body.str.contains(r"^[ \t]") & form.is_in([UNKNOWN, "foreign"]))
        .then(pl.lit("indented"))
        .when((form == "gpu-error") & body.str.contains(r"^\S+:\d+: (?:CUDA|ROCm|HIP) error$"))
        .then(pl.lit("closing"))
    )
    return found.select(
        "unit", "format", body="key", body_found="body", noise=pl.when("is_noise").then("format"), shape=shape
    )


def _no_rejects() -> pl.DataFrame:
    return pl.DataFrame(schema={"line_no": pl.Int64, "line_count": pl.Int32, "reason": pl.String, "sample": pl.String})


def _blank_head(bodies: pl.DataFrame) -> pl.DataFrame:
    """Blank lines before the first record belong to nothing: the only lines that framing rejects."""
    filled = (
        bodies.select((pl.col("body") != "").arg_max()).item()
        if bodies.select((pl.col("body") != "").any()).item()
        else bodies.height
    )
    if not filled:
        return _no_rejects()
    sample = pl.lit(None, dtype=pl.String)
    return bodies.head(filled).select(
        "line_no", line_count=pl.lit(1, dtype=pl.Int32), reason=pl.lit("blank"), sample=sample
    )


def _mark_starts(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Add ``is_start``: whether the line begins a record."""
    form, shape = pl.col("format"), pl.col("shape")
    is_hanging = shape.is_in(["blank", "indented", "meta"]).fill_null(value=False)
    is_unknown = form == UNKNOWN
    # What a guest or an unknown line may continue is the last line that is neither.
    anchor = (
        pl.when(is_hanging | is_unknown | form.is_in(book.names("continues")))
        .then(None)
        .otherwise(form)
        .forward_fill()
        .fill_null("")
    )
    noise = pl.when(is_hanging).then(None).otherwise(pl.col("noise").fill_null("")).forward_fill().fill_null("")
    # An indented line hangs on the line before it, unless that one is of a kind that nothing hangs on.
    before = pl.when(shape == "blank").then(None).otherwise(form).forward_fill().shift()
    table = bodies.with_columns(is_hanging=is_hanging, anchor=anchor, run=noise, before=before.fill_null(""))
    anchor, before = pl.col("anchor"), pl.col("before")
    is_stuck = ~before.is_in(list(lineformats.HOT)) | ((shape == "meta") & (before == "gin"))
    joins = pl.col("is_hanging") & ((shape == "blank") | is_stuck)
    joins = joins | (is_unknown & anchor.is_in(book.names("absorbs")))
    for item in book.formats:
        if item.continues:
            joins = joins | ((form == item.name) & anchor.is_in(item.continues))
    # An error block of a GPU backend ends with the line that names the source file.
    joins = joins | ((shape == "closing").fill_null(value=False) & (anchor.shift() == "gpu-error"))
    joins = joins | ((pl.col("run") != "") & ~pl.col("is_hanging") & (pl.col("run") == pl.col("run").shift()))
    is_same_process = (pl.col("pid") == pl.col("pid").shift()).fill_null(value=True)
    is_first = pl.int_range(pl.len()) == 0
    table = table.with_columns(is_start=is_first | ~(joins & is_same_process))
    return _split_long(table)


def _split_long(table: pl.DataFrame) -> pl.DataFrame:
    """A record has at most ``MAX_RECORD_LINES`` lines, counted from its own start."""
    start = pl.when("is_start").then("line_no").forward_fill()
    return table.with_columns(is_start=pl.col("is_start") | ((pl.col("line_no") - start) % MAX_RECORD_LINES == 0))


def _fold(marked: pl.DataFrame) -> pl.DataFrame:
    """One row per start; the lines behind it become ``rest``."""
    if marked.is_empty():
        return schema.empty(schema.RECORDS)
    table = marked.with_columns(record=pl.col("is_start").cum_sum())
    starts = table.filter("is_start")
    last = int(marked["line_no"][-1]) + 1
    counts = pl.col("line_no").shift(-1).fill_null(last) - pl.col("line_no")
    starts = starts.with_columns(line_count=counts.cast(pl.Int32))
    followers = table.filter(
        ~pl.col("is_start") & pl.col("noise").is_null() & (pl.col("shape") != "blank").fill_null(value=True)
    )
    rests = followers.group_by("record", maintain_order=True).agg(rest=pl.col("body").head(KEPT_LINES).str.join("\n"))
    return (
        starts.join(rests, on="record", how="left", maintain_order="left")
        .select(schema.RECORDS.names())
        .cast(schema.RECORDS)
    )
