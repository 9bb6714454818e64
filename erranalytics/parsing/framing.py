"""BODIES to RECORDS: recognise the line format, fold what belongs together.

A record is one thing that was said: a slog line, an access line with its trailers, a CUDA error block, a
panic with its goroutines, a run of loader metadata. Whether a line continues the record before depends
on the lines since that record began and on nothing else, so the last record of a batch, handed back as
``rest``, is all the state there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics import schema
from erranalytics.parsing.joining import mark_alone, mark_starts
from erranalytics.parsing.lineformats import FormatBook, Met
from erranalytics.parsing.recognition import recognise, split_glued

KEPT_LINES = 200


@dataclass(frozen=True, slots=True)
class Framed:
    """RECORDS of a batch, the BODIES of its unfinished last record, and counted rejects.

    ``rejects`` has ``line_no, line_count, reason, sample``.
    """

    records: pl.DataFrame
    rest: pl.DataFrame
    rejects: pl.DataFrame


def frame(bodies: pl.DataFrame, *, book: FormatBook, end: int, is_last: bool, met: Met | None = None) -> Framed:
    """BODIES to RECORDS.

    Args:
        bodies: BODIES, beginning with the ``rest`` of the batch before.
        book: the line formats.
        end: number of the physical line behind them.
        is_last: no further lines will come, so nothing is held back.
        met: the bodies that were met before.
    """
    if bodies.is_empty():
        return Framed(schema.empty(schema.RECORDS), bodies, _no_rejects())
    while (known := recognise(bodies, book=book, met=met)) is None:
        bodies = split_glued(bodies, book=book)
    blank_head = _blank_head(known, end=end)
    left = known.slice(blank_head.height) if blank_head.height else known
    marked = mark_starts(left, book=book) if left.height > 1 else mark_alone(left, book=book)
    cut = marked.height
    if not is_last and not marked.is_empty():
        # Everything before the last start is complete.
        cut = int(marked.select(pl.col("is_start").arg_true().last()).item())
        end = int(marked["line_no"][cut])
    return Framed(_fold(marked.head(cut), end=end, book=book), bodies.slice(blank_head.height + cut), blank_head)


def _no_rejects() -> pl.DataFrame:
    return pl.DataFrame(schema={"line_no": pl.Int64, "line_count": pl.Int32, "reason": pl.String, "sample": pl.String})


def _blank_head(bodies: pl.DataFrame, *, end: int) -> pl.DataFrame:
    """Blank lines before the first record belong to nothing: the only lines that framing rejects."""
    if bodies["body"][0]:
        return _no_rejects()
    filled = (
        bodies.select((pl.col("body") != "").arg_max()).item()
        if bodies.select((pl.col("body") != "").any()).item()
        else bodies.height
    )
    if not filled:
        return _no_rejects()
    sample = pl.lit(None, dtype=pl.String)
    count = (pl.col("line_no").shift(-1).fill_null(end) - pl.col("line_no")).cast(pl.Int32)
    counted = bodies.select("line_no", line_count=count, reason=pl.lit("blank"), sample=sample)
    return counted.head(filled)


def _told(table: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Records whose format says what is kept of them, without the rest; others as they are."""
    form = pl.col("format")
    owner = pl.when("is_start").then(form).forward_fill()
    choosy = [item.name for item in book.formats if item.behind or item.hides]
    if table.height == 1 and table["format"][0] not in choosy:
        return table
    is_theirs = table.select(owner.is_in(choosy)).to_series()
    if not is_theirs.any():
        return table
    some = table.with_row_index("place").with_columns(owner=owner).filter(is_theirs)
    body, start = pl.col("body"), pl.col("is_start")
    said = (
        pl.when(start)
        .then(book.without_hidden(body, pl.col("owner")))
        .otherwise(book.kept_behind(body, pl.col("owner")))
    )
    some = some.with_columns(said.alias("body")).filter(body.is_not_null())
    # What is said of a thousand pieces of an answer is said once.
    is_chosen = pl.col("owner").is_in(book.names("behind"))
    some = some.filter(start | ~is_chosen | (body != body.shift()))
    rest = table.with_row_index("place").filter(~is_theirs)
    return pl.concat([rest, some.drop("owner")]).sort("place").drop("place")


def _fold(marked: pl.DataFrame, *, end: int, book: FormatBook) -> pl.DataFrame:
    """One row per start; the lines behind it become ``rest``.

    A line counts for the record in which it begins: a second record on one physical line has none of its own.
    """
    if marked.is_empty():
        return schema.empty(schema.RECORDS)
    counts = pl.col("line_no").shift(-1).fill_null(end) - pl.col("line_no")
    if marked["is_start"].all():
        table = _told(marked, book=book).with_columns(line_count=counts.cast(pl.Int32), rest=pl.lit(None, pl.String))
        return table.select(pl.col(name).cast(kind) for name, kind in schema.RECORDS.items())
    table = marked.with_columns(record=pl.col("is_start").cum_sum())
    starts = table.filter("is_start")
    starts = starts.with_columns(line_count=counts.cast(pl.Int32))
    table = _told(table, book=book)
    starts = starts.with_columns(table.filter("is_start")["body"])
    followers = table.filter(~pl.col("is_start") & (pl.col("shape") != "blank").fill_null(value=True))
    if followers["noise"].null_count() < followers.height:
        followers = followers.filter(pl.col("noise").is_null() | book.is_kept(pl.col("body"), pl.col("noise")))
    if followers.is_empty():
        rest = pl.lit(None, dtype=pl.String)
        return starts.select(*(name for name in schema.RECORDS if name != "rest"), rest=rest).cast(schema.RECORDS)
    rests = followers.group_by("record", maintain_order=True).agg(rest=pl.col("body").head(KEPT_LINES).str.join("\n"))
    return (
        starts.join(rests, on="record", how="left", maintain_order="left")
        .select(schema.RECORDS.names())
        .cast(schema.RECORDS)
    )
