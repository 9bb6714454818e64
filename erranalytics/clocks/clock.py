"""The clocks of a log: Ollama's own stamps, the wrapper's stamps, and stamps without zone or year.

``ts`` is always UTC; ``ts_source`` says which clock gave it. What one batch learns of zones and years goes to
the next in a ``Clock``.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from erranalytics import schema
from erranalytics.clocks import timestamps, wrapper_stamps, years, zones
from erranalytics.clocks.zones import Zone
from erranalytics.parsing import gateways, lineformats

GO_TIME = "%Y/%m/%d %H:%M:%S"

_SLOG = r"time=(?P<own>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) level="
_LOCAL = r"(?:\[GIN\] |[:|\"=] ?|^)(?P<date>\d{4}/\d\d/\d\d) (?:- )?(?P<time>\d\d:\d\d:\d\d) (?=\||\[Rec|\w+\.go:\d)"
_OUTER = r"^(?:[^\W\d_]+ )?(?P<outer>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d|\S+ +\d{1,2} \d\d:\d\d:\d\d)\b"
# A program that calls Ollama begins its lines with a date; lines before the first of them are about as old as it.
_DATED = (
    r"^(?:\[|\{\"(?:ts|time|timestamp|ts_start)\": ?\")?"
    r"(?P<own>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,]\d+)?(?P<zone>Z|[+-]\d\d:\d\d)?\b"
)
_CPP = r"\btimestamp\\?\"?[=:](?P<unix>\d{10})\b"
_UPTIME = r"^\[ *(?P<uptime>\d+\.\d+)[^\]]*\] "
_LEAP_DAY = r"^ *(?P<month>\d?[^\W\d_]+)\.? 29 \d\d:\d\d:\d\d"
# How far the line and the wrapper's stamp of it lie apart where they are to prove a zone.
_SAME_MOMENT_S = 5
_TOLD_AT_ONCE_S = 60
_TOLD_SOON_S = 300
_LEAP, _UNKNOWN = datetime.fromisoformat("2000-02-29"), datetime.fromisoformat("1970-01-01")
_EXACT = ("journal rfc3339", "journal unix", "journal unix-us", "docker rfc3339")
_ONE_STAMP = {"local": schema.NAIVE_US, "seconds": pl.Int32(), "since": schema.UTC_US}
_REBOOT_US = 60 * timestamps.US_PER_SECOND


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of the clocks of a source at some line.

    ``assumed``: the zone where no evidence stands. ``near``: a time that has a year, naive; ``is_dated`` when a line
    gave it, not the file; ``has_begun`` when it is a time before this line. ``year``: the year given for the first
    stamp that lacks one. ``file_ts``, ``last_ts``: the times of lines without any stamp. ``own``, ``outer``: the
    zones of Ollama's stamps and of the wrapper's. ``boot``, ``uptime_us``: when the machine that counts seconds
    since then was started (null: not known), and the last count.
    """

    assumed: str
    near: datetime
    file_ts: datetime | None = None
    last_ts: datetime | None = None
    is_dated: bool = False
    has_begun: bool = False
    year: int | None = None
    own: Zone = field(default_factory=Zone)
    outer: Zone = field(default_factory=Zone)
    boot: datetime | None = None
    uptime_us: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The clock as JSON values."""
        return _as_text(asdict(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Clock:
        """The clock from ``as_json``."""
        kept = {name: _as_time(values[name]) for name in ("near", "file_ts", "last_ts", "boot")}
        told = {name: Zone(**{key: _as_time(one) for key, one in values[name].items()}) for name in ("own", "outer")}
        return cls(**{**values, **kept, **told})


def _as_text(values: dict[str, Any]) -> dict[str, Any]:
    nested = {name: _as_text(value) for name, value in values.items() if isinstance(value, dict)}
    times = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime)}
    return {**values, **nested, **times}


def _as_time(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def first_clock(sample: str, *, mtime: datetime | None, default_tz: str, year: int | None = None) -> Clock:
    """The clock at the first line, from evidence in a sample of the source.

    The sample is the same however the source is cut, so batches do not change the result.

    Args:
        sample: the first lines as they are, wrappers included.
        mtime: the time of the file, if it is one.
        default_tz: the zone of stamps that name none, where the log holds no evidence.
        year: the year of the first stamp that has none.
    """
    near = (mtime or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    clock = Clock(default_tz, near, file_ts=mtime, year=year, outer=_first_outer(sample), boot=_first_boot(sample))
    slog, local = re.search(_SLOG, sample), re.search(_LOCAL, sample, re.MULTILINE)
    if slog:
        moment = datetime.fromisoformat(slog["own"])
        seconds = int((moment.utcoffset() or timedelta()).total_seconds())
        utc = moment.astimezone(UTC)
        clock = replace(
            clock, near=utc.replace(tzinfo=None), last_ts=utc, is_dated=True, own=Zone(seconds=seconds, since=utc)
        )
    elif local:
        moment, zone = _go_time(local), _zone_beside(sample)
        one = pl.DataFrame({"local": [moment], "seconds": [None], "since": [None]}, schema=_ONE_STAMP)
        first, _ = zones.to_utc(one, zone=zone, assumed=default_tz)
        clock = replace(clock, near=moment, last_ts=first[0], is_dated=True, own=zone)
    elif any(timestamps.MONTHS.get(one.lower()) == "02" for one in re.findall(_LEAP_DAY, sample, re.MULTILINE)):
        leap = years.begin(_LEAP, near=near, ahead=timedelta(days=1))
        clock = replace(clock, near=leap, is_dated=True)
    else:
        clock = replace(clock, last_ts=_first_dated(sample, default_tz))
    return clock


def _first_dated(sample: str, zone: str) -> datetime | None:
    """The first date that begins a line, in UTC; one that names no zone is of this one."""
    for found in re.finditer(_DATED, sample, re.MULTILINE):
        try:
            moment = datetime.fromisoformat(found["own"] + (found["zone"] or ""))
            return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
        except (ValueError, OverflowError):
            # A 31st of February, or a year out of reach.
            continue
    return None


def _first_outer(sample: str) -> Zone:
    """The zone of the wrapper's local stamps, by the first line that has one and tells its UTC too."""
    found = re.search(f"{_OUTER}.*?(?:{_SLOG}|{_CPP})", sample, re.MULTILINE)
    if not found:
        return Zone()
    utc = _utc(found)
    text = pl.DataFrame({"text": [found["outer"]]})
    dated, day = text.select(timestamps.dated(pl.col("text")), day=timestamps.yearless(pl.col("text"))).row(0)
    local = dated or (day and years.begin(day, near=utc.replace(tzinfo=None), ahead=years.SET_BACK))
    return _zone_between(local, utc, within_s=_TOLD_SOON_S)


def _utc(found: re.Match[str]) -> datetime:
    if found["own"]:
        return datetime.fromisoformat(found["own"]).astimezone(UTC)
    return datetime.fromtimestamp(int(found["unix"]), UTC)


def _zone_beside(sample: str) -> Zone:
    """The zone of Go's local stamps where no slog line tells it: the C++ server gives seconds since 1970."""
    for before, after in itertools.pairwise(re.finditer(f"{_LOCAL}|{_CPP}", sample, re.MULTILINE)):
        if before["date"] and after["unix"]:
            utc = datetime.fromtimestamp(int(after["unix"]), UTC)
            zone = _zone_between(_go_time(before), utc, within_s=_SAME_MOMENT_S)
            if zone.seconds is not None:
                return zone
    return Zone()


def _zone_between(local: datetime | None, utc: datetime, *, within_s: int) -> Zone:
    """What ``zones.proven`` says of one line."""
    one = pl.DataFrame({"local": [local], "utc": [utc]}, schema={"local": schema.NAIVE_US, "utc": schema.UTC_US})
    seconds = one.select(zones.proven(pl.col("local"), pl.col("utc"), within_s=within_s)).item()
    return Zone() if seconds is None else Zone(seconds=seconds, since=utc)


def _go_time(found: re.Match[str]) -> datetime:
    return datetime.strptime(f"{found['date']} {found['time']}", GO_TIME)  # noqa: DTZ007 - the zone is what is sought


def _first_boot(sample: str) -> datetime | None:
    """When the machine was started, by the first line that has both a count of seconds and a slog stamp."""
    found = re.search(_UPTIME + ".*?" + _SLOG, sample, re.MULTILINE)
    if not found:
        return None
    return datetime.fromisoformat(found["own"]).astimezone(UTC) - timedelta(seconds=float(found["uptime"]))


# Lines that are JSON as a whole have a stamp like those of any other program.
_JSON = ("client-json", "client-pino", "client-logger")


def set_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """One UTC time per record, from its own stamp, the wrapper's, or the record before.

    Args:
        frame: records in order with ``own_utc``, ``own_naive``, ``zone_s``, ``stamp``, ``clock`` and ``format``.
        clock: what is known at the first of them.

    Returns:
        The frame with ``ts`` and ``ts_source``, and the clock behind the last record.
    """
    start = clock.last_ts or clock.file_ts
    missing = "inherited" if clock.last_ts else "file" if clock.file_ts else "none"
    if all(frame[name].null_count() == frame.height for name in ("own_utc", "own_naive", "stamp")):
        return frame.with_columns(ts=pl.lit(start, dtype=schema.UTC_US), ts_source=pl.lit(missing)), clock
    table, clock = _outer_time(frame, clock)
    own, clock = _own_time(table, clock)
    table = table.with_columns(own.alias("own"), format=frame["format"])
    ts, form = pl.coalesce("own", "outer_utc"), pl.col("format")
    is_client, is_json, is_dump = form.is_in(lineformats.load().of_clients), form.is_in(_JSON), form == "request-dump"
    source = (
        pl.when(form.is_in(gateways.OWN) & pl.col("own").is_not_null())
        .then(pl.lit("gateway"))
        .when(pl.col("zone_s").is_not_null())
        .then(pl.lit("slog"))
        .when(pl.col("own_utc").is_not_null())
        .then(
            pl.when(is_dump)
            .then(pl.lit("dump"))
            .when(is_client & ~is_json)
            .then(pl.lit("client"))
            .otherwise(pl.lit("json"))
        )
        .when(pl.col("own").is_not_null())
        .then(
            pl.when(form == "gin")
            .then(pl.lit("gin+offset"))
            .when(is_client)
            .then(pl.lit("client"))
            .otherwise(pl.lit("go-log"))
        )
        .when(pl.col("outer_utc").is_not_null())
        .then("program")
    )
    seen = ts.forward_fill()
    fallback = pl.when(seen.is_null()).then(pl.lit(missing)).otherwise(pl.lit("inherited"))
    last = table.select(ts.drop_nulls().last()).item()
    timed = table.select(ts=seen.fill_null(pl.lit(start, dtype=schema.UTC_US)), ts_source=pl.coalesce(source, fallback))
    return frame.hstack(timed), replace(clock, last_ts=last or clock.last_ts)


def _outer_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """The wrapper's stamp where it is needed.

    Returns:
        The own stamps and ``outer_utc``, ``program`` that stamped it, ``beside`` (the zone of the own stamp, if both
        are one moment) and ``is_exact`` (whether that proves it).
    """
    place, moment = pl.int_range(pl.len(), dtype=pl.Int64), pl.coalesce(_naive("own_utc"), "own_naive")
    table = frame.select("own_utc", "own_naive", "zone_s", "stamp", "clock", moment=moment, place=place)
    table = table.with_columns(
        near=pl.col("moment").forward_fill(),
        near_place=pl.when(pl.col("moment").is_not_null()).then("place").forward_fill(),
    )
    if frame["stamp"].null_count() == frame.height:
        return table.select("place", "own_utc", "own_naive", "zone_s", **_NO_OUTER), _with_last(clock, table)
    kinds = table.select(pl.col("clock").drop_nulls().unique()).to_series().to_list()
    steps = table.filter(_is_needed(clock, kinds) & pl.col("stamp").is_not_null())
    # Records without a stamp of their own that stand together and have one stamp of the wrapper have one time.
    steps = steps.with_columns(run=_is_first_of_its_stamp().cum_sum() - 1)
    run = pl.repeat(None, table.height, dtype=pl.UInt32, eager=True).scatter(steps["place"], steps["run"])
    steps = steps.unique("run", keep="first", maintain_order=True)
    steps = steps.hstack(wrapper_stamps.read(steps))
    local, clock = _with_years(steps, clock, table.select("near_place", "near").row(-1))
    told, clock = _in_zone(steps.with_columns(local), clock)
    counted, clock = _counted(steps, clock)
    steps = steps.with_columns(outer_utc=pl.coalesce("utc", told, counted))
    beside = zones.proven(pl.col("own_naive"), pl.col("outer_utc"), within_s=_TOLD_AT_ONCE_S)
    program = pl.col("clock").str.extract(r"^(\w+)")
    steps = steps.select("outer_utc", beside=beside, is_exact=pl.col("clock").is_in(_EXACT), program=program)
    return table.select("place", "own_utc", "own_naive", "zone_s").hstack(steps.select(pl.all().gather(run))), clock


_NO_OUTER = {
    "outer_utc": pl.lit(None, dtype=schema.UTC_US),
    "beside": pl.lit(None, dtype=pl.Int32),
    "is_exact": pl.lit(None, dtype=pl.Boolean),
    "program": pl.lit(None, dtype=pl.String),
}


def _with_last(clock: Clock, table: pl.DataFrame) -> Clock:
    """The clock behind records without a stamp of a wrapper: the last of their own is near."""
    near = table["near"][-1]
    return clock if near is None or clock.year is not None else replace(clock, near=near, has_begun=True)


def _is_first_of_its_stamp() -> pl.Expr:
    names = ("stamp", "clock", "near_place")
    is_other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in names)
    is_stamped = pl.col("moment").is_not_null()
    return is_other | is_stamped | is_stamped.shift(fill_value=True)


def _is_needed(clock: Clock, kinds: list[str]) -> pl.Expr:
    """Whether the wrapper's stamp of a record tells something: its time, its zone, or the zone of the wrapper."""
    is_utc, is_local = pl.col("own_utc").is_not_null(), pl.col("own_naive").is_not_null()
    is_needed = ~is_utc & ~is_local
    is_needed |= is_utc if clock.outer.seconds is None else _is_full_minute().fill_null(value=False)
    if clock.own.seconds is None:
        is_needed |= is_local & pl.col("zone_s").forward_fill().is_null()
    if exact := [kind for kind in kinds if kind in _EXACT]:
        is_needed |= is_local & pl.col("clock").is_in(exact)
    if "journal monotonic" in kinds:
        is_needed |= pl.col("clock") == "journal monotonic"
    return is_needed


def _is_full_minute() -> pl.Expr:
    """The zone of a wrapper changes on a full minute: looking once a minute is soon enough and a fiftieth the work."""
    return pl.col("own_utc").dt.second() == 0


def _with_years(steps: pl.DataFrame, clock: Clock, last: tuple[int | None, datetime | None]) -> tuple[pl.Series, Clock]:
    """``outer_local``: the wrapper's local stamps, with the year they lack.

    Args:
        steps: records in order with what their stamps tell, and the last dated record before in ``near``.
        clock: what is known before them.
        last: place and time of the last dated record of the batch.
    """
    told = pl.when(pl.col("own_utc").is_null() & pl.col("own_naive").is_null()).then(
        pl.coalesce(_naive("utc"), "dated")
    )
    dates = steps.select("place", "day", "near", "near_place", told=told)
    if clock.year is not None:
        # What is given goes for the first stamp, and the others follow in order whatever the lines say.
        dates = dates.with_columns(pl.lit(None).cast(dates.schema[name]).alias(name) for name in dates.columns[2:])
        last = (None, None)
    told_place = pl.when(pl.col("told").is_not_null()).then("place").forward_fill()
    dates = dates.with_columns(told_place=told_place, dated=pl.max_horizontal(told_place, "near_place"))
    is_told = (pl.col("dated") == pl.col("told_place")).fill_null(value=False)
    dates = dates.with_columns(near=pl.when(is_told).then(pl.col("told").forward_fill()).otherwise("near"))
    days = dates.filter(pl.col("day").is_not_null())
    if not days.is_empty():
        begun = clock.has_begun or days["near"][0] is not None
        first = pl.lit(clock.near if begun else _first_day(days["day"][0], clock), dtype=schema.NAIVE_US)
        days = days.with_columns(pl.col("near").fill_null(first))
    days = days.with_columns(years.fill(days))
    ends = [last, dates.select("told_place", pl.col("told").forward_fill()).row(-1)] if dates.height else [last]
    ends += [days.select("place", "local").row(-1)] if days.height else []
    place, near = max(ends, key=lambda end: -1 if end[0] is None else end[0])
    clock = clock if place is None else replace(clock, near=near, has_begun=True)
    local = steps.select("place", "dated").join(
        days.select("place", "local"), on="place", how="left", maintain_order="left"
    )
    return local.select(outer_local=pl.coalesce("dated", "local")).to_series(), clock


def _first_day(day: datetime, clock: Clock) -> datetime:
    """The first stamp that lacks a year, with the year that was given or that fits best."""
    if clock.year is not None:
        return years.begin(day, near=datetime.fromisoformat(f"{clock.year:04}-12-31"), ahead=timedelta(days=1))
    return years.begin(day, near=clock.near, ahead=years.SET_BACK if clock.is_dated else timedelta(days=1))


def _in_zone(steps: pl.DataFrame, clock: Clock) -> tuple[pl.Series, Clock]:
    """The wrapper's local stamps as UTC, in the zone that lines prove which tell their UTC too."""
    steps = steps.select(
        "own_utc", "outer_local", seconds=zones.proven(pl.col("outer_local"), pl.col("own_utc"), within_s=_TOLD_SOON_S)
    )
    is_first = (pl.col("seconds").is_not_null().cum_sum() == 1) & pl.lit(clock.outer.seconds is None)
    seconds = pl.when(_is_full_minute() | is_first).then("seconds")
    told = steps.select(seconds, since="own_utc", local=pl.when(pl.col("own_utc").is_null()).then("outer_local"))
    utc, outer = zones.to_utc(told, zone=clock.outer, assumed=clock.assumed)
    return utc, replace(clock, outer=outer)


def _counted(steps: pl.DataFrame, clock: Clock) -> tuple[pl.Series, Clock]:
    """Seconds since the machine was started as UTC, by the lines that tell their UTC too."""
    uptime = pl.col("uptime_us")
    known = steps.select("place", uptime, own=_naive("own_utc")).filter(uptime.is_not_null())
    if known.is_empty():
        return pl.Series("counted", [None] * steps.height, dtype=schema.UTC_US), clock
    unknown = pl.lit(_UNKNOWN, dtype=schema.NAIVE_US)
    boot = pl.lit(clock.boot.replace(tzinfo=None) if clock.boot else _UNKNOWN, dtype=schema.NAIVE_US)
    # A count that falls back is another start of the machine.
    is_reboot = uptime < uptime.shift().fill_null(pl.lit(clock.uptime_us, dtype=pl.Int64)) - _REBOOT_US
    count = pl.duration(microseconds=uptime, time_unit="us")
    found = pl.coalesce(pl.col("own") - count, pl.when(is_reboot).then(unknown)).forward_fill().fill_null(boot)
    known = known.with_columns(boot=found)
    told = known.select("place", counted=pl.when(pl.col("boot") != unknown).then(pl.col("boot") + count))
    counted = steps.select("place").join(told, on="place", how="left", maintain_order="left")["counted"]
    last = known["boot"][-1]
    boot_ts = None if last == _UNKNOWN else last.replace(tzinfo=UTC)
    return counted.dt.replace_time_zone("UTC"), replace(clock, boot=boot_ts, uptime_us=known["uptime_us"][-1])


def _own_time(table: pl.DataFrame, clock: Clock) -> tuple[pl.Series, Clock]:
    """The line's own stamp as UTC, in the zone that slog lines or the wrapper of the line prove."""
    told = table.select(
        "own_utc",
        "beside",
        seconds=pl.coalesce("zone_s", pl.when("is_exact").then("beside")),
        since=pl.coalesce("own_utc", "outer_utc"),
        local="own_naive",
    )
    local_utc, own = zones.to_utc(told, zone=clock.own, assumed=clock.assumed)
    if clock.own.seconds is None:
        # Nothing is proven, but the two stamps of a line are one moment.
        is_open = pl.col("seconds").forward_fill().is_null() & pl.col("beside").is_not_null()
        same = pl.when(is_open).then(timestamps.at_offset(pl.col("local"), pl.col("beside")))
        local_utc = told.select(pl.coalesce(same, local_utc)).to_series()
    return told.select(pl.coalesce("own_utc", local_utc).alias("own")).to_series(), replace(clock, own=own)


def _naive(name: str) -> pl.Expr:
    return pl.col(name).dt.replace_time_zone(None)
