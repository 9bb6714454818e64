"""The three clocks of a log: Ollama's own stamps, the wrapper's stamps, and stamps without zone or year.

``ts`` is always UTC; ``ts_source`` says which clock gave it. What one batch learns of zones and years goes to
the next in a ``Clock``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from erranalytics import schema, timestamps

GO_TIME = "%Y/%m/%d %H:%M:%S"

_SLOG_STAMP = re.compile(r"time=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d) level=")
_NAIVE_STAMP = re.compile(r"(?:\[GIN\] |^)(\d{4}/\d\d/\d\d)(?: -)? (\d\d:\d\d:\d\d)", re.MULTILINE)
_SHORT_STAMP = r"^([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?:\.\d+)? .*?"


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of the clocks of a source at some line.

    ``zone_s``: zone of the server process, seconds east, from its last slog stamp. ``wrapper_zone_s``: zone
    in which the wrapper printed its stamps. ``last_ts``: the last time seen, for lines without one.
    ``year_ts``: a time near this line that has a year; ``is_dated`` when a line gave it, not the file.
    ``default_tz`` is used where no evidence stands.
    """

    default_tz: str
    year_ts: datetime
    last_ts: datetime | None = None
    has_file_time: bool = True
    is_dated: bool = False
    zone_s: int | None = None
    wrapper_zone_s: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The clock as JSON values."""
        return {
            "default_tz": self.default_tz,
            "has_file_time": self.has_file_time,
            "is_dated": self.is_dated,
            "year_ts": self.year_ts.isoformat(),
            "last_ts": self.last_ts.isoformat() if self.last_ts else None,
            "zone_s": self.zone_s,
            "wrapper_zone_s": self.wrapper_zone_s,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Clock:
        """The clock from ``as_json``."""
        last = values["last_ts"]
        return cls(
            default_tz=values["default_tz"],
            has_file_time=values["has_file_time"],
            is_dated=values["is_dated"],
            year_ts=datetime.fromisoformat(values["year_ts"]),
            last_ts=datetime.fromisoformat(last) if last else None,
            zone_s=values["zone_s"],
            wrapper_zone_s=values["wrapper_zone_s"],
        )


def first_clock(sample: str, *, mtime: datetime | None, default_tz: str) -> Clock:
    """The clock at the first line, from evidence in a sample of the source.

    The sample is the same however the source is cut, so batches do not change the result.
    """
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    clock = Clock(default_tz, mtime or today, has_file_time=mtime is not None)
    if found := _SLOG_STAMP.search(sample):
        moment = datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00"))
        offset = moment.utcoffset() or timedelta()
        clock = replace(
            clock,
            zone_s=int(offset.total_seconds()),
            year_ts=moment.astimezone(UTC),
            last_ts=moment.astimezone(UTC),
            is_dated=True,
        )
        if both := re.search(_SHORT_STAMP + _SLOG_STAMP.pattern, sample, re.MULTILINE):
            inner = datetime.fromisoformat(both[2] + both[3].replace("Z", "+00:00")).astimezone(UTC)
            outer = datetime.strptime(f"{inner.year} {both[1]}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
            shift = (outer - inner).total_seconds()
            if abs(shift) < 86_400:
                clock = replace(clock, wrapper_zone_s=round(shift / 900) * 900)
    elif found := _NAIVE_STAMP.search(sample):
        moment = datetime.strptime(f"{found[1]} {found[2]}", GO_TIME).replace(tzinfo=UTC)
        clock = replace(clock, year_ts=moment, is_dated=True)
    return clock


def set_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """One UTC time per record, from its own stamp, the wrapper's, or the record before.

    Args:
        frame: records in order with ``own_utc``, ``own_naive``, ``zone_s``, ``stamp`` and ``format``.
        clock: what is known at the first of them.

    Returns:
        The frame with ``ts`` and ``ts_source``, and the clock behind the last record.
    """
    frame = frame.with_columns(zone=pl.col("zone_s").forward_fill().fill_null(pl.lit(clock.zone_s, dtype=pl.Int32)))
    local = timestamps.at_offset(pl.col("own_naive"), pl.col("zone"))
    if frame["zone"].null_count():
        local = pl.coalesce(local, _assumed(pl.col("own_naive"), clock))
    own = pl.coalesce("own_utc", local)
    frame = frame.with_columns(own=own)
    frame, wrapper_zone = _wrapper_time(frame, clock)
    name = (
        pl.when(pl.col("own_utc").is_not_null() & (pl.col("format") == "client-json"))
        .then(pl.lit("json"))
        .when(pl.col("own_utc").is_not_null())
        .then(pl.lit("slog"))
        .when(pl.col("format") == "gin")
        .then(pl.lit("gin+offset"))
        .otherwise(pl.lit("go-log"))
    )
    frame = frame.with_columns(
        ts=pl.coalesce("own", "wrapper_utc"),
        ts_source=pl.when(pl.col("own").is_not_null())
        .then(name)
        .when(pl.col("wrapper_utc").is_not_null())
        .then(pl.lit("journal")),
    )
    start = clock.last_ts or (clock.year_ts if clock.has_file_time else None)
    missing = "inherited" if clock.last_ts else "file" if clock.has_file_time else "none"
    seen = pl.col("ts").forward_fill()
    fallback = pl.when(seen.is_null()).then(pl.lit(missing)).otherwise(pl.lit("inherited"))
    frame = frame.with_columns(
        ts=seen.fill_null(pl.lit(start, dtype=schema.UTC_US)), ts_source=pl.coalesce("ts_source", fallback)
    )
    return frame, _next_clock(frame, clock, wrapper_zone)


def _wrapper_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, int | None]:
    """The wrapper's stamp as UTC, and the zone it was found to be in."""
    stamp = pl.col("stamp")
    if frame["stamp"].null_count() == frame.height:
        return frame.with_columns(wrapper_utc=pl.lit(None, dtype=schema.UTC_US)), clock.wrapper_zone_s
    first = str(frame["stamp"].drop_nulls()[0])
    if first.isdigit():
        micros = stamp.cast(pl.Int64, strict=False)
        return frame.with_columns(
            wrapper_utc=pl.from_epoch(micros, time_unit="us").cast(schema.NAIVE_US).dt.replace_time_zone("UTC")
        ), clock.wrapper_zone_s
    if first[:4].isdigit():
        # %+ wants a colon in the zone, journalctl 252 prints none.
        colon = stamp.str.replace(r"([+-]\d\d)(\d\d)$", "${1}:${2}")
        return frame.with_columns(wrapper_utc=timestamps.rfc3339(colon)), clock.wrapper_zone_s
    return _short_time(frame, clock)


def _short_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, int | None]:
    """``Jun 29 00:03:19``: the year from the nearest dated record before, the zone from slog stamps."""
    near = pl.col("own").forward_fill().fill_null(pl.lit(clock.year_ts, dtype=schema.UTC_US)).dt.replace_time_zone(None)
    # Needed where a record has no stamp of its own; the zone is learnt once a minute from slog records.
    is_teacher = pl.col("own_utc").is_not_null() & (pl.col("own_utc").dt.second() == 0)
    table = frame.select("row", "stamp", "own", "own_utc", near=near).filter(pl.col("own").is_null() | is_teacher)
    dated = pl.concat_str(pl.col("near").dt.year().cast(pl.String), pl.col("stamp").str.slice(0, 15), separator=" ")
    local = dated.str.to_datetime("%Y %b %e %H:%M:%S", time_unit="us", strict=False)
    # Without a dated line the time of the file is the end of the log.
    ahead_us = timestamps.HALF_YEAR_US if clock.is_dated else timestamps.DAY_US
    table = table.with_columns(local=timestamps.with_year(local, pl.col("near"), ahead_us=ahead_us))
    shift = (pl.col("local") - pl.col("own_utc").dt.replace_time_zone(None)).dt.total_seconds()
    learnt = pl.when(shift.abs() < 86_400).then(timestamps.quarter_hours(shift)).forward_fill()
    table = table.with_columns(wrapper_zone=learnt.fill_null(pl.lit(clock.wrapper_zone_s, dtype=pl.Int32)))
    known = timestamps.at_offset(pl.col("local"), pl.col("wrapper_zone"))
    table = table.with_columns(wrapper_utc=pl.coalesce(known, _assumed(pl.col("local"), clock)))
    zone = table["wrapper_zone"][-1] if table.height else clock.wrapper_zone_s
    return frame.join(table.select("row", "wrapper_utc"), on="row", how="left", maintain_order="left"), zone


def _assumed(stamp: pl.Expr, clock: Clock) -> pl.Expr:
    """A local stamp of which no evidence names the zone."""
    return stamp.dt.replace_time_zone(clock.default_tz, ambiguous="earliest", non_existent="null").dt.convert_time_zone(
        "UTC"
    )


def _next_clock(frame: pl.DataFrame, clock: Clock, wrapper_zone: int | None) -> Clock:
    own = frame["own"].drop_nulls()
    has_time = frame.select((~pl.col("ts_source").is_in(["file", "none"])).any()).item()
    return replace(
        clock,
        zone_s=frame["zone"][-1],
        wrapper_zone_s=wrapper_zone,
        year_ts=own[-1] if len(own) else clock.year_ts,
        is_dated=clock.is_dated or len(own) > 0,
        last_ts=frame["ts"][-1] if has_time else clock.last_ts,
    )
