"""The stamps of wrappers as columns: what each kind in ``unwrapping.CLOCKS`` says, and what it leaves open."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from erranalytics import schema
from erranalytics.clocks import timestamps

# Readers by the second word of a stamp's kind; all other kinds are local times, with or without a year.
_READERS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "rfc3339": timestamps.any_rfc3339,
    "unix": timestamps.unix,
    "unix-us": timestamps.unix_us,
}
COLUMNS = pl.Schema(
    {
        "utc": schema.UTC_US,  # nothing is left open
        "dated": schema.NAIVE_US,  # the zone is open
        "day": schema.NAIVE_US,  # a moment of the year 2000: zone and year are open
        "uptime_us": pl.Int64(),  # since the machine was started, whenever that was
    }
)


def read(records: pl.DataFrame) -> pl.DataFrame:
    """``stamp`` and ``clock`` of RECORDS as ``COLUMNS``, at most one of which is filled.

    >>> stamps = {"stamp": ["Mar 01 19:04:05", "2026-03-01 19:04:05"], "clock": ["journal short", "stamp naive"]}
    >>> [[name for name, value in row.items() if value is not None] for row in read(pl.DataFrame(stamps)).to_dicts()]
    [['day'], ['dated']]
    """
    if records["stamp"].null_count() == records.height:
        return schema.empty(COLUMNS).clear(records.height)
    # Equal stamps follow each other, so each is read once. The sum of two run ids changes where either of them does.
    table = records.select("stamp", kind=pl.col("clock").str.extract(r" (\S+)$"))
    table = table.with_columns(run=(pl.col("stamp").rle_id() + pl.col("kind").rle_id()).rle_id())
    heads = table.unique("run", keep="first", maintain_order=True)
    parts = [_read_kind(part, kind=str(kind)) for (kind,), part in heads.partition_by("kind", as_dict=True).items()]
    read_once = parts[0] if len(parts) == 1 else pl.concat(parts).sort("run")
    read_once = read_once.select(COLUMNS.names())
    return read_once if read_once.height == table.height else read_once[table["run"]]


def _read_kind(heads: pl.DataFrame, *, kind: str) -> pl.DataFrame:
    stamp = pl.col("stamp")
    if kind in _READERS:
        values = {"utc": _READERS[kind](stamp)}
    elif kind == "monotonic":
        values = {"uptime_us": timestamps.seconds_us(stamp)}
    elif kind == "short":
        values = {"day": timestamps.yearless(stamp)}
    else:
        values = {"dated": timestamps.dated(stamp), "day": timestamps.yearless(stamp)}
    empty = {name: pl.lit(None, dtype=dtype) for name, dtype in COLUMNS.items() if name not in values}
    return heads.select("run", **values, **empty).select("run", *COLUMNS.names())
