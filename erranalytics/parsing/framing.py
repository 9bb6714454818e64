"""BODIES to RECORDS: recognise the format of each line, and fold the lines that belong together.

A record is one statement: a slog line, an access line with its trailers, a CUDA error block, a panic with its
goroutines, a run of loader metadata. Whether a line continues the record before it depends only on the lines since
that record began. So the last record of a batch, returned as ``rest``, is all the state that the next batch needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics import schema
from erranalytics.parsing.joining import mark_single, mark_starts
from erranalytics.parsing.lineformats import FormatBook, FormatCache
from erranalytics.parsing.recognition import recognise, split_glued

KEPT_LINES = 200


@dataclass(frozen=True, slots=True)
class FrameResult:
    """RECORDS of a batch, the BODIES of its unfinished last record, and the rejected lines.

    ``rejects`` has ``line_no, line_count, reason, sample``.
    """

    records: pl.DataFrame
    rest: pl.DataFrame
    rejects: pl.DataFrame


def frame(
    bodies: pl.DataFrame, *, book: FormatBook, end: int, is_last: bool, cache: FormatCache | None = None
) -> FrameResult:
    """BODIES to RECORDS.

    Args:
        bodies: BODIES, beginning with the ``rest`` of the batch before.
        book: the line formats.
        end: the number of the physical line after them.
        is_last: no further lines will come, so nothing is held back.
        cache: the bodies recognised before, and their formats.
    """
    # > [GIN] 2026/03/01 - 11:04:05 | 500 |  1.2ms | 127.0.0.1 | POST "/api/chat"
    # > Error #01: boom
    # > CUDA error: out of memory
    # >   current device: 0, in function alloc at ggml-cuda.cu:10
    # > time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg=ready
    #   gives three records: gin with the rest "Error #01: boom", gpu-error with its detail as rest, slog-text
    if bodies.is_empty():
        return FrameResult(schema.empty(schema.RECORDS), bodies, _no_rejects())
    while (known := recognise(bodies, book=book, cache=cache)) is None:
        bodies = split_glued(bodies, book=book)
    blank_head = _blank_head(known, end=end)
    left = known.slice(blank_head.height) if blank_head.height else known
    marked = mark_starts(left, book=book) if left.height > 1 else mark_single(left, book=book)
    cut = marked.height
    if not is_last and not marked.is_empty():
        # Everything before the start of the last record is complete.
        cut = int(marked.select(pl.col("is_start").arg_true().last()).item())
        end = int(marked["line_no"][cut])
    return FrameResult(_fold(marked.head(cut), end=end, book=book), bodies.slice(blank_head.height + cut), blank_head)


def _no_rejects() -> pl.DataFrame:
    return pl.DataFrame(schema={"line_no": pl.Int64, "line_count": pl.Int32, "reason": pl.String, "sample": pl.String})


def _blank_head(bodies: pl.DataFrame, *, end: int) -> pl.DataFrame:
    """Blank lines before the first record belong to no record: framing rejects these lines and no others."""
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


def _without_dropped(table: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Drop the text that a format does not keep (``behind``, ``hides``); other records stay as they are."""
    # > asking failed: ResponseError: model 'demo' not found
    # >     at checkOk (file:///app/node_modules/ollama/dist/index.mjs:60:11) {
    # >   error: "model 'demo' not found",
    # >   prompt: 'my secret',
    # >   status_code: 404
    #   client-console keeps the first line, the stack, the error and the status; the prompt is dropped
    form = pl.col("format")
    owner = pl.when("is_start").then(form).forward_fill()
    dropping = [item.name for item in book.formats if item.behind or item.hides]
    if table.height == 1 and table["format"][0] not in dropping:
        return table
    is_theirs = table.select(owner.is_in(dropping)).to_series()
    if not is_theirs.any():
        return table
    lines = table.with_row_index("place").with_columns(owner=owner).filter(is_theirs)
    body, start = pl.col("body"), pl.col("is_start")
    kept = (
        pl.when(start)
        .then(book.without_hidden(body, pl.col("owner")))
        .otherwise(book.kept_after_first(body, pl.col("owner")))
    )
    lines = lines.with_columns(kept.alias("body")).filter(body.is_not_null())
    # A thousand pieces of an answer all become the same text, which is kept once.
    is_chosen = pl.col("owner").is_in(book.names("behind"))
    lines = lines.filter(start | ~is_chosen | (body != body.shift()))
    others = table.with_row_index("place").filter(~is_theirs)
    return pl.concat([others, lines.drop("owner")]).sort("place").drop("place")


def _fold(marked: pl.DataFrame, *, end: int, book: FormatBook) -> pl.DataFrame:
    """One row per start; the lines after it become ``rest``.

    A physical line counts for the record that begins on it; a second record on the same line has a count of 0.
    """
    if marked.is_empty():
        return schema.empty(schema.RECORDS)
    counts = pl.col("line_no").shift(-1).fill_null(end) - pl.col("line_no")
    if marked["is_start"].all():
        table = _without_dropped(marked, book=book)
        table = table.with_columns(line_count=counts.cast(pl.Int32), rest=pl.lit(None, pl.String))
        return table.select(pl.col(name).cast(kind) for name, kind in schema.RECORDS.items())
    table = marked.with_columns(record=pl.col("is_start").cum_sum())
    starts = table.filter("is_start")
    starts = starts.with_columns(line_count=counts.cast(pl.Int32))
    table = _without_dropped(table, book=book)
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
