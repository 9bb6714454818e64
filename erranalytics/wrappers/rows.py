"""ROWS: lines while their wrappers come off one by one, and the steps that all wrappers share.

ROWS are BODIES with the column ``wrapper``: the names of the wrappers taken off so far, joined by ``+``.
"""

from __future__ import annotations

import polars as pl

from erranalytics import schema
from erranalytics.wrappers.forms import Wrapper

ROWS = pl.Schema({**schema.BODIES, "wrapper": pl.String()})

# A piece waits for the next one for this many lines, so that a lost end does not hold back the rest of the source.
REACH = 2000
# Kinds of stamps without a zone, or without a date.
_VAGUE = ("journal short", "journal naive", "journal monotonic", "stamp naive")


def as_rows(lines: pl.DataFrame) -> pl.DataFrame:
    """LINES as ROWS before any wrapper is taken off."""
    return lines.select(_ROWS_OF_LINES)


_ROWS_OF_LINES = [
    {"line_no": pl.col("line_no"), "body": pl.col("raw")}.get(name, pl.lit(None, dtype=kind)).alias(name)
    for name, kind in ROWS.items()
]


def merge_fields(rows: pl.DataFrame, parts: pl.DataFrame, wrapper: Wrapper) -> pl.DataFrame:
    """Merge an inner wrapper's fields over those of the wrappers around it.

    The innermost stamp wins, unless it has no zone and an outer one does.

    Args:
        rows: ROWS that carry the wrapper.
        parts: ``stamp, clock, host, unit, pid, body`` of each row; further columns are kept.
        wrapper: the wrapper that is taken off.
    """
    # > Mar 01 19:04:05 gpu01 docker[812]: ollama-1  | panic: boom
    #   journald-short   stamp "Mar 01 19:04:05", host gpu01, unit docker, pid 812
    #   compose          unit ollama-1
    #   merged           stamp "Mar 01 19:04:05", host gpu01, unit ollama-1, pid 812, body "panic: boom"
    # With a stamp of `docker logs` inside, that stamp replaces the one of the journal: it has year and zone.
    more = [name for name in parts.columns if name not in ROWS]
    inner = parts.rename({name: f"inner_{name}" for name in parts.columns if name in ROWS})
    stamp, clock, before = pl.col("inner_stamp"), pl.col("inner_clock"), pl.col("clock")
    is_better = stamp.is_not_null() & (~clock.is_in(_VAGUE) | before.is_null() | before.is_in(_VAGUE))
    return rows.hstack(inner).select(
        *(name for name in rows.columns if name not in ROWS),
        "line_no",
        stamp=pl.when(is_better).then(stamp).otherwise("stamp"),
        clock=pl.when(is_better).then(clock).otherwise("clock"),
        host=pl.coalesce("inner_host", "host"),
        unit=pl.coalesce("inner_unit", "unit"),
        pid=pl.coalesce("inner_pid", "pid"),
        body="inner_body",
        wrapper=pl.concat_str(["wrapper", pl.lit(wrapper.name)], separator="+", ignore_nulls=True),
        **{name: pl.col(name) for name in more},
    )


def join_pieces(rows: pl.DataFrame, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Join the bodies of rows that continue in the next row of their stream.

    Args:
        rows: in order, with ``line_no``, ``body``, ``stream`` and ``is_open`` (the line continues).
        is_last: no input follows, so unfinished lines are returned as they are.

    Returns:
        One row per line, at the place of its first piece, and the number of the first line that waits for its end.
    """
    # > 2026-03-01T11:04:05.416409123Z stderr P llama_model_loader: - kv
    # > 2026-03-01T11:04:05.416409130Z stdout F [GIN] 2026/03/01 - 11:04:05 | 200 | ...
    # > 2026-03-01T11:04:05.416409141Z stderr F    0: str = llama
    #   gives two lines, in the order of their first pieces:
    #   llama_model_loader: - kv   0: str = llama
    #   [GIN] 2026/03/01 - 11:04:05 | 200 | ...
    is_open = pl.col("is_open").fill_null(value=False)
    if not rows.select(is_open.any()).item():
        return rows.drop("is_open", "stream", strict=False), None
    is_near = pl.col("line_no") - pl.col("line_no").shift() <= REACH
    goes_on = (is_open.shift(fill_value=False) & is_near).over("stream").fill_null(value=False)
    table = rows.with_columns(is_open, goes_on=goes_on, place=pl.int_range(pl.len(), dtype=pl.UInt32))
    table = table.with_columns(first=pl.when(~pl.col("goes_on")).then("place").forward_fill().over("stream"))
    joined = table.group_by("first", maintain_order=True).agg(
        pl.col("body").str.join(""), pl.col("is_open").last(), last=pl.col("line_no").last()
    )
    heads = table.filter(~pl.col("goes_on")).drop("body", "is_open").join(joined, on="first", maintain_order="left")
    open_line = heads.filter(pl.col("is_open") & (rows["line_no"][-1] - pl.col("last") < REACH))["line_no"]
    waits = None if is_last or open_line.is_empty() else int(open_line[0])
    return heads.select(name for name in rows.columns if name not in {"is_open", "stream"}), waits


def split_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per line of a body, as a plain file would hold them; colours and line ends are removed."""
    body = pl.col("body")
    rows = rows.with_columns(body.str.strip_suffix("\n"))
    odd = rows.select(body.str.contains_any(["\x1b", "\0", "\r", "\n"])).to_series()
    if not odd.any():
        return rows
    clean = body.str.replace_all(ANSI, "").str.replace_all(r"\r+(\n|$)", "${1}")
    return rows.with_columns(clean.str.split("\n")).explode("body")


ANSI = r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])|\x00"
