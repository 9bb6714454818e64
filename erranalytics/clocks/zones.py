"""Local stamps to UTC: the offset that other stamps prove, and the hours that repeat or are missing.

A proven offset does not say when daylight saving time begins or ends, so the calendar of a well-known zone with this
offset is used until the next proof.
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

# The calendars to use where only an offset is known: for each offset and season the zone with the most people. Zones
# without daylight saving time need no calendar, and UTC never gets one. With an offset of two hours proven in August:
# > [GIN] 2026/10/25 - 01:59:00    2026-10-24 23:59 UTC, two hours
# > [GIN] 2026/10/25 - 02:50:00    2026-10-25 00:50 UTC, two hours: the hour repeats, this is its first half
# > [GIN] 2026/10/25 - 02:10:00    2026-10-25 01:10 UTC, one hour: the clock of Berlin was set back
# > [GIN] 2026/10/25 - 03:10:00    2026-10-25 02:10 UTC, one hour
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
# Lines of about the same time come in any order, so a stamp that falls back by less is not a clock that was set back.
JITTER = timedelta(seconds=60)
FURTHEST_S = 14 * 3600


@dataclass(frozen=True, slots=True)
class Zone:
    """What is known about the zone of some stamps at a line.

    ``seconds`` east of UTC, proven at ``since``; ``last_local`` is the local stamp before; ``is_late`` is set once the
    second of two equal hours has begun.
    """

    seconds: int | None = None
    since: datetime | None = None
    last_local: datetime | None = None
    is_late: bool = False


def proven(local: pl.Expr, utc: pl.Expr, *, within_s: int) -> pl.Expr:
    """The zone in which ``local`` is ``utc``, in seconds east; null where no zone fits within ``within_s`` seconds.

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
        table: in order, ``local`` (naive, may be null); rows that prove a zone also have ``seconds`` and ``since``.
        zone: what is known before the first row.
        assumed: name of the zone to use where nothing is proven.

    Returns:
        UTC for every row with ``local``, and what is known after the last row.
    """
    # > time=2026-03-01T19:04:05.416+08:00 ...    seconds 28800, since 11:04:05.416 UTC: eight hours are proven
    # > [GIN] 2026/03/01 - 19:04:07 | 200 | ...   local 19:04:07, so 11:04:07 UTC
    # Without the first line the same stamp is 18:04:07 UTC, if ``assumed`` is Europe/Rome.
    if all(table[name].null_count() == table.height for name in ("seconds", "local")):
        return pl.Series("utc", [None], dtype=schema.UTC_US).new_from_index(0, table.height), zone
    if (result := _at_one_offset(table, zone=zone, assumed=assumed)) is not None:
        return result
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
    # The second of two equal hours begins where the local time falls back.
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


def _at_one_offset(table: pl.DataFrame, *, zone: Zone, assumed: str) -> tuple[pl.Series, Zone] | None:
    """``to_utc`` for nearly every batch: one offset, and no calendar that changes within its span; None for others."""
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
    moments = [local - shift for local in ends["locals"] if local] + [proof for proof in ends["proofs"] if proof]
    if not moments:
        return pl.Series("utc", [None] * table.height, dtype=schema.UTC_US), zone
    moments += [zone.since.replace(tzinfo=None)] if zone.since else []
    if _changes(min(moments).date(), max(moments).date(), assumed):
        return None
    last = ends["since"].replace(tzinfo=UTC) if ends["since"] else zone.since
    after = Zone(seconds=zone.seconds, since=last, last_local=ends["seen"])
    return table.select(utc=timestamps.at_offset(local, pl.lit(zone.seconds))).to_series(), after


@functools.lru_cache(maxsize=256)
def _changes(first: date, last: date, assumed: str) -> bool:
    """Whether any calendar changes its offset on these days or on the two days before and after."""
    margin = timedelta(days=2)
    days = pl.datetime_range(first - margin, last + margin, "1d", time_zone="UTC", eager=True).to_frame("day")
    offsets = days.select(_offset(pl.col("day"), name).n_unique().alias(name) for name in {assumed, *CALENDARS})
    return bool(offsets.select(pl.max_horizontal(pl.all()) > 1).item())


def _naive(name: str) -> pl.Expr:
    return pl.col(name).dt.replace_time_zone(None)


def _offsets(steps: pl.DataFrame, *, assumed: str) -> pl.DataFrame:
    """Add ``early``, the offset at each local stamp, and ``late``, the second offset where an hour repeats."""
    # An offset holds for an hour at least, so it is looked up once for each run of lines of one hour.
    keys = ["seconds", "proof_hour", "local_hour"]
    steps = steps.with_columns(
        proof_hour=pl.col("since").dt.truncate("15m"), local_hour=pl.col("local").dt.truncate("1h")
    )
    # Run ids only grow, so their sum changes where any of them does.
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
        # A missing hour keeps the offset before it: 02:30 of 2026-03-29 in Berlin is 01:30 UTC, at one hour.
        first = pl.when(_offset(moved, name) == there).then(there).otherwise("seconds")
        repeats = (there == pl.col("seconds")) & (later < there)
        early.append(pl.when(has_calendar).then(first))
        late.append(pl.when(has_calendar).then(pl.when(repeats).then(later).otherwise("seconds")))
    offsets = heads.select(early=pl.coalesce(*early, "seconds"), late=pl.coalesce(*late, "seconds"), seconds="seconds")
    return offsets.select("early", late=pl.when(pl.col("late") != pl.col("seconds")).then("late"))


def _offset(moment: pl.Expr, zone: str) -> pl.Expr:
    """The offset of a zone at a moment, in seconds east."""
    local = moment.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return (local - moment.dt.replace_time_zone(None)).dt.total_seconds().cast(pl.Int32)


def local(tz: str | None) -> str:
    """An IANA zone name: the given one if it exists, or the zone of the machine.

    Raises:
        UsageError: there is no such zone.
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
