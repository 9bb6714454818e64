"""Local stamps to UTC: the zone that other stamps prove, and the hours that repeat or are missing.

A proven offset says nothing of the next change to daylight saving time, so a zone of the world that has this
offset lends its calendar until the next proof.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from erranalytics import schema
from erranalytics.clocks import timestamps
from erranalytics.errors import UsageError

# Whose calendar counts where only an offset is known: the zone with most people for each offset and season. Zones
# without daylight saving time need no calendar, and UTC never gets one.
CALENDARS = (
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "America/Chicago",
    "America/Denver",
    "Europe/London",
    "Europe/Helsinki",
    "Australia/Sydney",
    "Pacific/Auckland",
    "America/Halifax",
    "America/Anchorage",
)
# Lines of one second come in any order.
JITTER = timedelta(seconds=60)
FURTHEST_S = 14 * 3600


@dataclass(frozen=True, slots=True)
class Zone:
    """What is known of the zone of some stamps at some line.

    ``seconds`` east, proven at ``since``; ``last_local`` the local stamp before; ``is_late`` when the second of
    two equal hours has begun.
    """

    seconds: int | None = None
    since: datetime | None = None
    last_local: datetime | None = None
    is_late: bool = False


def proven(local: pl.Expr, utc: pl.Expr, *, within_s: int) -> pl.Expr:
    """The zone in which ``local`` is ``utc``, in seconds east; null when it is none, up to ``within_s`` seconds.

    >>> frame = pl.DataFrame({"l": [datetime(2026, 1, 1, 8, 0, 1)], "u": [datetime(2026, 1, 1, 0, 0)]})
    >>> frame.select(proven(pl.col("l"), pl.col("u"), within_s=60)).item()
    28800
    """
    seconds = (local - utc.dt.replace_time_zone(None)).dt.total_seconds()
    zone = timestamps.quarter_hours(seconds)
    return pl.when(((seconds - zone).abs() <= within_s) & (zone.abs() <= FURTHEST_S)).then(zone)


def to_utc(table: pl.DataFrame, *, zone: Zone, assumed: str) -> tuple[pl.Series, Zone]:
    """Local stamps as UTC.

    Args:
        table: in order, ``local`` (naive, may be null), and where a zone is proven ``seconds`` and ``since``.
        zone: what is known before the first of them.
        assumed: name of the zone where nothing is proven.

    Returns:
        UTC for every row with ``local``, and what is known behind the last of them.
    """
    if all(table[name].null_count() == table.height for name in ("seconds", "local")):
        return pl.Series("utc", [None], dtype=schema.UTC_US).new_from_index(0, table.height), zone
    if (calm := _calm(table, zone=zone, assumed=assumed)) is not None:
        return calm
    is_proof = pl.col("seconds").is_not_null()
    steps = table.with_row_index("row").filter(is_proof | pl.col("local").is_not_null())
    if steps.is_empty():
        return pl.Series("utc", [None] * table.height, dtype=schema.UTC_US), zone
    known = pl.col("seconds").forward_fill().fill_null(pl.lit(zone.seconds, dtype=pl.Int32))
    since = pl.when(is_proof).then("since").forward_fill().fill_null(pl.lit(zone.since, dtype=schema.UTC_US))
    steps = steps.with_columns(is_proof=is_proof, seconds=known, since=since)
    steps = _offsets(steps, assumed=assumed)
    own = pl.col("since").dt.replace_time_zone(None) + pl.duration(seconds="seconds", time_unit="us")
    seen = pl.coalesce("local", pl.when("is_proof").then(own))
    before = seen.shift().fill_null(pl.lit(zone.last_local, dtype=schema.NAIVE_US))
    # Of two equal hours the second has begun when the local time falls back.
    is_late = (
        pl.when(pl.col("is_proof") | pl.col("late").is_null())
        .then(statement=False)
        .when(pl.col("local") < before - JITTER)
        .then(statement=True)
        .forward_fill()
        .fill_null(zone.is_late)
    )
    steps = steps.with_columns(seen=seen, is_late=is_late)
    offset = pl.when("is_late").then(pl.coalesce("late", "early")).otherwise("early")
    utc = steps.select("row", utc=timestamps.at_offset(pl.col("local"), offset))
    column = table.select(row=pl.int_range(pl.len(), dtype=pl.UInt32)).join(
        utc, on="row", how="left", maintain_order="left"
    )["utc"]
    last = steps.select("seconds", "since", "seen", "is_late").row(-1)
    return column, Zone(seconds=last[0], since=last[1], last_local=last[2], is_late=last[3])


def _calm(table: pl.DataFrame, *, zone: Zone, assumed: str) -> tuple[pl.Series, Zone] | None:
    """The same in short for nearly every batch: one offset, and no calendar that changes within its span."""
    is_proof, local = pl.col("seconds").is_not_null(), pl.col("local")
    since = pl.when(is_proof).then(_naive("since"))
    ends = table.select(
        low=pl.col("seconds").min(),
        high=pl.col("seconds").max(),
        since=since.drop_nulls().last(),
        seen=pl.coalesce("local", since + pl.duration(seconds="seconds", time_unit="us")).drop_nulls().last(),
        locals=pl.concat_list(local.min(), local.max()),
        proofs=pl.concat_list(since.min(), since.max()),
    ).row(0, named=True)
    if zone.seconds is None or {ends["low"], ends["high"]} - {zone.seconds, None}:
        return None
    shift = timedelta(seconds=zone.seconds)
    moments = [one - shift for one in ends["locals"] if one] + [one for one in ends["proofs"] if one]
    if not moments:
        return pl.Series("utc", [None] * table.height, dtype=schema.UTC_US), zone
    moments += [zone.since.replace(tzinfo=None)] if zone.since else []
    if _changes(min(moments).date(), max(moments).date(), assumed):
        return None
    last = ends["since"].replace(tzinfo=UTC) if ends["since"] else zone.since
    behind = Zone(seconds=zone.seconds, since=last, last_local=ends["seen"])
    return table.select(utc=timestamps.at_offset(local, pl.lit(zone.seconds))).to_series(), behind


@functools.lru_cache(maxsize=256)
def _changes(first: date, last: date, assumed: str) -> bool:
    """Whether any calendar changes its offset in these days or beside them."""
    margin = timedelta(days=2)
    days = pl.datetime_range(first - margin, last + margin, "1d", time_zone="UTC", eager=True).to_frame("day")
    offsets = days.select(_offset(pl.col("day"), name).n_unique().alias(name) for name in {assumed, *CALENDARS})
    return bool(offsets.select(pl.max_horizontal(pl.all()) > 1).item())


def _naive(name: str) -> pl.Expr:
    return pl.col(name).dt.replace_time_zone(None)


def _offsets(steps: pl.DataFrame, *, assumed: str) -> pl.DataFrame:
    """Add ``early``, the offset at each local stamp, and ``late``, the other one where an hour repeats."""
    # Offsets hold for an hour at least, and lines of an hour stand together.
    keys = ["seconds", "proof_hour", "local_hour"]
    steps = steps.with_columns(
        proof_hour=pl.col("since").dt.truncate("15m"), local_hour=pl.col("local").dt.truncate("1h")
    )
    # Ids of runs only grow, so their sum changes where one of them does.
    steps = steps.with_columns(run=pl.sum_horizontal(pl.col(name).rle_id() for name in keys).rle_id())
    heads = steps.select("run", *keys).unique("run", keep="first", maintain_order=True)
    return steps.hstack(_offsets_of_hours(heads, assumed=assumed)[steps["run"]])


def _offsets_of_hours(heads: pl.DataFrame, *, assumed: str) -> pl.DataFrame:
    """``early`` and ``late`` for each ``local_hour``, by the calendar of the first zone that has the proven offset."""
    is_assumed = pl.col("seconds").is_null()
    hour = pl.col("local_hour").dt.replace_time_zone("UTC")
    # Nothing proven: the offset of the day before and the calendar of the assumed zone.
    proof = pl.coalesce("proof_hour", hour - timedelta(days=1))
    heads = heads.with_columns(is_assumed=is_assumed, hour=hour, proof=proof)
    seconds = pl.coalesce("seconds", _offset(pl.col("proof"), assumed))
    heads = heads.with_columns(seconds=seconds)
    guess = pl.col("hour") - pl.duration(seconds="seconds", time_unit="us")
    heads = heads.with_columns(guess=guess)
    early, late = [], []
    for name in dict.fromkeys((assumed, *CALENDARS)):
        has_calendar = (_offset(pl.col("proof"), name) == pl.col("seconds")) & (pl.col("seconds") != 0)
        has_calendar = pl.when("is_assumed").then(pl.lit(name == assumed)).otherwise(has_calendar)
        there, later = _offset(pl.col("guess"), name), _offset(pl.col("guess") + timedelta(hours=1), name)
        moved = pl.col("guess") + pl.duration(seconds=pl.col("seconds") - there, time_unit="us")
        # A missing hour keeps the offset from before it.
        first = pl.when(_offset(moved, name) == there).then(there).otherwise("seconds")
        repeats = (there == pl.col("seconds")) & (later < there)
        early.append(pl.when(has_calendar).then(first))
        late.append(pl.when(has_calendar).then(pl.when(repeats).then(later).otherwise("seconds")))
    found = heads.select(early=pl.coalesce(*early, "seconds"), late=pl.coalesce(*late, "seconds"), seconds="seconds")
    return found.select("early", late=pl.when(pl.col("late") != pl.col("seconds")).then("late"))


def _offset(moment: pl.Expr, zone: str) -> pl.Expr:
    """The offset of a zone at a moment, in seconds east."""
    local = moment.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return (local - moment.dt.replace_time_zone(None)).dt.total_seconds().cast(pl.Int32)


def local(tz: str | None) -> str:
    """An IANA zone name: the given one, checked, or the machine's.

    Raises:
        UsageError: no such zone.
    """
    if tz is not None:
        try:
            return ZoneInfo(tz).key
        except (ZoneInfoNotFoundError, ValueError):
            raise UsageError(
                f"there is no time zone {tz!r}", hint="Use an IANA name such as Europe/Rome or UTC."
            ) from None
    named = os.environ.get("TZ", "").lstrip(":")
    if not named:
        link = Path("/etc/localtime")
        named = str(link.resolve()).partition("zoneinfo/")[2] if link.exists() else ""
    try:
        return ZoneInfo(named).key if named else "UTC"
    except (ZoneInfoNotFoundError, ValueError):
        return "UTC"
