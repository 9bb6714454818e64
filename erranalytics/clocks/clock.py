"""The clocks of a log: Ollama's own stamps, the wrapper's stamps, and stamps without a zone or a year.

``ts`` is always UTC; ``ts_source`` says which clock gave it. A ``Clock`` carries what one batch learns about zones and
years to the next.
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

GO_TIME = "%Y/%m/%d %H:%M:%S"

_SLOG = r"time=(?P<own>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) level="
_LOCAL = r"(?:\[GIN\] |[:|\"=] ?|^)(?P<date>\d{4}/\d\d/\d\d) (?:- )?(?P<time>\d\d:\d\d:\d\d) (?=\||\[Rec|\w+\.go:\d)"
_OUTER = r"^(?:[^\W\d_]+ )?(?P<outer>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d|\S+ +\d{1,2} \d\d:\d\d:\d\d)\b"
# A program that calls Ollama begins its lines with a date; lines before the first such line are about as old.
_DATED = (
    r"^(?:\[|\{\"(?:ts|time|timestamp|ts_start)\": ?\")?"
    r"(?P<own>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,]\d+)?(?P<zone>Z|[+-]\d\d:\d\d)?\b"
)
_CPP = r"\btimestamp\\?\"?[=:](?P<unix>\d{10})\b"
_UPTIME = r"^\[ *(?P<uptime>\d+\.\d+)[^\]]*\] "
_LEAP_DAY = r"^ *(?P<month>\d?[^\W\d_]+)\.? 29 \d\d:\d\d:\d\d"
# Two stamps prove a zone only if they are this close: a stamp of Go and the seconds in a line of the C++ server,
# a line's own stamp and its wrapper's, a wrapper's local stamp and the UTC in its line.
_CPP_ZONE_WITHIN_S = 5
_OWN_ZONE_WITHIN_S = 60
_OUTER_ZONE_WITHIN_S = 300
_LEAP, _UNKNOWN = datetime.fromisoformat("2000-02-29"), datetime.fromisoformat("1970-01-01")
_EXACT = ("journal rfc3339", "journal unix", "journal unix-us", "docker rfc3339")
_ONE_STAMP = {"local": schema.NAIVE_US, "seconds": pl.Int32(), "since": schema.UTC_US}
_REBOOT_US = 60 * timestamps.US_PER_SECOND


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known about the clocks of a source at a line.

    ``assumed``: the zone to use without evidence. ``near``: a time with a year, naive; ``is_dated`` if a line gave it
    and not the file; ``has_begun`` if it is a time before this line. ``year``: the year the user gave for the first
    stamp that lacks one. ``file_ts``, ``last_ts``: the times of lines without any stamp. ``own``, ``outer``: the zones
    of Ollama's stamps and of the wrapper's stamps. ``boot``, ``uptime_us``: for stamps that count seconds, when the
    machine was started (None if unknown), and the last count.
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
        times = {name: _as_time(values[name]) for name in ("near", "file_ts", "last_ts", "boot")}
        zones_of = {name: {key: _as_time(item) for key, item in values[name].items()} for name in ("own", "outer")}
        return cls(**{**values, **times, **{name: Zone(**zone) for name, zone in zones_of.items()}})


def _as_text(values: dict[str, Any]) -> dict[str, Any]:
    nested = {name: _as_text(value) for name, value in values.items() if isinstance(value, dict)}
    times = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime)}
    return {**values, **nested, **times}


def _as_time(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def first_clock(sample: str, *, mtime: datetime | None, default_tz: str, year: int | None = None) -> Clock:
    """The clock at the first line, from evidence in a sample of the source.

    The sample does not depend on how the source is cut into batches, so the result does not either.

    Args:
        sample: the first lines with their wrappers.
        mtime: the time of the file, if there is a file.
        default_tz: the zone of stamps that name none, if the log holds no evidence.
        year: the year of the first stamp that has none.
    """
    # > [GIN] 2026/03/01 - 19:04:04 | 200 | ...
    # > time=2026-03-01T19:04:05.416+08:00 level=INFO ...
    #   own zone 28800 s east, so the first line is 11:04:04 UTC although nothing before it names a zone
    # > Mar 01 19:04:05 gpu01 ollama[1]: time=2026-03-01T11:04:05.416Z level=INFO ...
    #   outer zone 28800 s east, own zone 0 s, year 2026
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
        stamp = pl.DataFrame({"local": [moment], "seconds": [None], "since": [None]}, schema=_ONE_STAMP)
        first, _ = zones.to_utc(stamp, zone=zone, assumed=default_tz)
        clock = replace(clock, near=moment, last_ts=first[0], is_dated=True, own=zone)
    elif any(timestamps.MONTHS.get(month.lower()) == "02" for month in re.findall(_LEAP_DAY, sample, re.MULTILINE)):
        leap = years.begin(_LEAP, near=near, ahead=timedelta(days=1))
        clock = replace(clock, near=leap, is_dated=True)
    else:
        clock = replace(clock, last_ts=_first_dated(sample, default_tz))
    return clock


def _first_dated(sample: str, zone: str) -> datetime | None:
    """The first date at the start of a line, in UTC; ``zone`` is the zone of a date that names none."""
    for match in re.finditer(_DATED, sample, re.MULTILINE):
        try:
            moment = datetime.fromisoformat(match["own"] + (match["zone"] or ""))
            return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
        except (ValueError, OverflowError):
            # A 31st of February, or a year out of range.
            continue
    return None


def _first_outer(sample: str) -> Zone:
    """The zone of the wrapper's local stamps, by the first line that also contains its UTC."""
    match = re.search(f"{_OUTER}.*?(?:{_SLOG}|{_CPP})", sample, re.MULTILINE)
    if not match:
        return Zone()
    utc = _utc(match)
    text = pl.DataFrame({"text": [match["outer"]]})
    dated, day = text.select(timestamps.dated(pl.col("text")), day=timestamps.yearless(pl.col("text"))).row(0)
    local = dated or (day and years.begin(day, near=utc.replace(tzinfo=None), ahead=years.SET_BACK))
    return _zone_between(local, utc, within_s=_OUTER_ZONE_WITHIN_S)


def _utc(match: re.Match[str]) -> datetime:
    if match["own"]:
        return datetime.fromisoformat(match["own"]).astimezone(UTC)
    return datetime.fromtimestamp(int(match["unix"]), UTC)


def _zone_beside(sample: str) -> Zone:
    """The zone of Go's local stamps if there is no slog line: the C++ server prints seconds since 1970."""
    # > [GIN] 2026/03/01 - 19:04:05 | 200 | ...
    # > {"function":"f","level":"INFO","line":1,"msg":"x","tid":"1","timestamp":1772363045}
    #   1772363045 is 11:04:05 UTC, so the zone is 28800 s east
    for before, after in itertools.pairwise(re.finditer(f"{_LOCAL}|{_CPP}", sample, re.MULTILINE)):
        if before["date"] and after["unix"]:
            utc = datetime.fromtimestamp(int(after["unix"]), UTC)
            zone = _zone_between(_go_time(before), utc, within_s=_CPP_ZONE_WITHIN_S)
            if zone.seconds is not None:
                return zone
    return Zone()


def _zone_between(local: datetime | None, utc: datetime, *, within_s: int) -> Zone:
    """The result of ``zones.proven`` for one line."""
    line = pl.DataFrame({"local": [local], "utc": [utc]}, schema={"local": schema.NAIVE_US, "utc": schema.UTC_US})
    seconds = line.select(zones.proven(pl.col("local"), pl.col("utc"), within_s=within_s)).item()
    return Zone() if seconds is None else Zone(seconds=seconds, since=utc)


def _go_time(match: re.Match[str]) -> datetime:
    return datetime.strptime(f"{match['date']} {match['time']}", GO_TIME)  # noqa: DTZ007 - its zone is not known yet


def _first_boot(sample: str) -> datetime | None:
    """When the machine was started, by the first line that has both a count of seconds and a slog stamp."""
    match = re.search(_UPTIME + ".*?" + _SLOG, sample, re.MULTILINE)
    if not match:
        return None
    return datetime.fromisoformat(match["own"]).astimezone(UTC) - timedelta(seconds=float(match["uptime"]))


def set_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """Set one UTC time per record: from its own stamp, from the wrapper's stamp, or from the record before.

    Args:
        frame: records in order with ``own_utc``, ``own_naive``, ``zone_s``, ``own_clock`` (the ``ts_source`` of their
            own stamp), ``stamp`` and ``clock``.
        clock: what is known at the first record.

    Returns:
        The frame with ``ts`` and ``ts_source``, and the clock after the last record.
    """
    # > 2026-03-01T11:04:07.000000000Z [GIN] 2026/03/01 - 19:04:07 | 200 | ...    11:04:07 UTC, gin+offset
    # > 2026-03-01T11:04:08.000000000Z panic: boom                                11:04:08 UTC, docker
    #   The two stamps of the first line prove the zone of GIN; the second line has only the stamp of docker.
    start = clock.last_ts or clock.file_ts
    missing = "inherited" if clock.last_ts else "file" if clock.file_ts else "none"
    if all(frame[name].null_count() == frame.height for name in ("own_utc", "own_naive", "stamp")):
        return frame.with_columns(ts=pl.lit(start, dtype=schema.UTC_US), ts_source=pl.lit(missing)), clock
    table, clock = _outer_time(frame, clock)
    own, clock = _own_time(table, clock)
    table = table.with_columns(own.alias("own"), frame["own_clock"])
    ts = pl.coalesce("own", "outer_utc")
    source = (
        pl.when(pl.col("own").is_not_null()).then("own_clock").when(pl.col("outer_utc").is_not_null()).then("program")
    )
    seen = ts.forward_fill()
    fallback = pl.when(seen.is_null()).then(pl.lit(missing)).otherwise(pl.lit("inherited"))
    last = table.select(ts.drop_nulls().last()).item()
    timed = table.select(ts=seen.fill_null(pl.lit(start, dtype=schema.UTC_US)), ts_source=pl.coalesce(source, fallback))
    return frame.hstack(timed), replace(clock, last_ts=last or clock.last_ts)


def _outer_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """Read the wrapper's stamp where it is needed.

    Returns:
        The own stamps; ``outer_utc``; ``program``, which wrote the wrapper's stamp; ``beside``, the zone of the own
        stamp if both stamps are one moment; and ``is_exact``, whether that is a proof.
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
    # Neighbouring records without their own stamp and with the same wrapper stamp share one time, read once.
    steps = steps.with_columns(run=_is_first_of_its_stamp().cum_sum() - 1)
    run = pl.repeat(None, table.height, dtype=pl.UInt32, eager=True).scatter(steps["place"], steps["run"])
    steps = steps.unique("run", keep="first", maintain_order=True)
    steps = steps.hstack(wrapper_stamps.read(steps))
    local, clock = _with_years(steps, clock, table.select("near_place", "near").row(-1))
    zoned, clock = _in_zone(steps.with_columns(local), clock)
    counted, clock = _from_uptime(steps, clock)
    steps = steps.with_columns(outer_utc=pl.coalesce("utc", zoned, counted))
    beside = zones.proven(pl.col("own_naive"), pl.col("outer_utc"), within_s=_OWN_ZONE_WITHIN_S)
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
    """The clock after records without wrapper stamps: ``near`` is the last of their own stamps."""
    near = table["near"][-1]
    return clock if near is None or clock.year is not None else replace(clock, near=near, has_begun=True)


def _is_first_of_its_stamp() -> pl.Expr:
    names = ("stamp", "clock", "near_place")
    is_other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in names)
    is_stamped = pl.col("moment").is_not_null()
    return is_other | is_stamped | is_stamped.shift(fill_value=True)


def _is_needed(clock: Clock, kinds: list[str]) -> pl.Expr:
    """Whether the wrapper's stamp of a record adds something: its time, its zone, or the zone of the wrapper."""
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
    """Whether the own stamp is a full minute: checking the wrapper's zone once a minute is enough, and cheap."""
    return pl.col("own_utc").dt.second() == 0


def _with_years(steps: pl.DataFrame, clock: Clock, last: tuple[int | None, datetime | None]) -> tuple[pl.Series, Clock]:
    """``outer_local``: the wrapper's local stamps, with the year they lack.

    Args:
        steps: records in order with the columns of their stamps; ``near`` is the last dated record before each.
        clock: what is known before them.
        last: place and time of the last dated record of the batch.
    """
    # The wrapper's own date, where the record has no stamp of its own.
    sure = pl.when(pl.col("own_utc").is_null() & pl.col("own_naive").is_null()).then(
        pl.coalesce(_naive("utc"), "dated")
    )
    dates = steps.select("place", "day", "near", "near_place", sure=sure)
    if clock.year is not None:
        # The given year is that of the first stamp. The others follow in order, whatever dates the lines contain.
        dates = dates.with_columns(pl.lit(None).cast(dates.schema[name]).alias(name) for name in dates.columns[2:])
        last = (None, None)
    sure_place = pl.when(pl.col("sure").is_not_null()).then("place").forward_fill()
    dates = dates.with_columns(sure_place=sure_place, dated=pl.max_horizontal(sure_place, "near_place"))
    is_sure = (pl.col("dated") == pl.col("sure_place")).fill_null(value=False)
    dates = dates.with_columns(near=pl.when(is_sure).then(pl.col("sure").forward_fill()).otherwise("near"))
    days = dates.filter(pl.col("day").is_not_null())
    if not days.is_empty():
        begun = clock.has_begun or days["near"][0] is not None
        first = pl.lit(clock.near if begun else _first_day(days["day"][0], clock), dtype=schema.NAIVE_US)
        days = days.with_columns(pl.col("near").fill_null(first))
    days = days.with_columns(years.fill(days))
    ends = [last, dates.select("sure_place", pl.col("sure").forward_fill()).row(-1)] if dates.height else [last]
    ends += [days.select("place", "local").row(-1)] if days.height else []
    place, near = max(ends, key=lambda end: -1 if end[0] is None else end[0])
    clock = clock if place is None else replace(clock, near=near, has_begun=True)
    local = steps.select("place", "dated").join(
        days.select("place", "local"), on="place", how="left", maintain_order="left"
    )
    return local.select(outer_local=pl.coalesce("dated", "local")).to_series(), clock


def _first_day(day: datetime, clock: Clock) -> datetime:
    """The first stamp that lacks a year, with the given year or the one that fits best."""
    if clock.year is not None:
        return years.begin(day, near=datetime.fromisoformat(f"{clock.year:04}-12-31"), ahead=timedelta(days=1))
    return years.begin(day, near=clock.near, ahead=years.SET_BACK if clock.is_dated else timedelta(days=1))


def _in_zone(steps: pl.DataFrame, clock: Clock) -> tuple[pl.Series, Clock]:
    """The wrapper's local stamps as UTC, in the zone that is proven by lines with their UTC in them."""
    # > Mar 01 19:04:05 gpu01 ollama[1]: time=2026-03-01T11:04:05.416Z ...    proves 28800 s east
    # > Mar 01 19:04:06 gpu01 ollama[1]: panic: boom                          11:04:06 UTC, journal
    steps = steps.select(
        "own_utc",
        "outer_local",
        seconds=zones.proven(pl.col("outer_local"), pl.col("own_utc"), within_s=_OUTER_ZONE_WITHIN_S),
    )
    is_first = (pl.col("seconds").is_not_null().cum_sum() == 1) & pl.lit(clock.outer.seconds is None)
    seconds = pl.when(_is_full_minute() | is_first).then("seconds")
    stamps = steps.select(seconds, since="own_utc", local=pl.when(pl.col("own_utc").is_null()).then("outer_local"))
    utc, outer = zones.to_utc(stamps, zone=clock.outer, assumed=clock.assumed)
    return utc, replace(clock, outer=outer)


def _from_uptime(steps: pl.DataFrame, clock: Clock) -> tuple[pl.Series, Clock]:
    """Seconds since the machine was started as UTC, by the lines that also contain their UTC."""
    # > [21415.215982] gpu01 ollama[1]: time=2026-03-01T11:04:05.416Z ...    the machine was started at 05:07:10.2 UTC
    # > [21416.215982] gpu01 ollama[1]: panic: boom                          11:04:06.416 UTC, journal
    # > [    3.000000] gpu01 ollama[1]: panic: boom                          started again: no time until the next UTC
    uptime = pl.col("uptime_us")
    known = steps.select("place", uptime, own=_naive("own_utc")).filter(uptime.is_not_null())
    if known.is_empty():
        return pl.Series("counted", [None] * steps.height, dtype=schema.UTC_US), clock
    unknown = pl.lit(_UNKNOWN, dtype=schema.NAIVE_US)
    boot = pl.lit(clock.boot.replace(tzinfo=None) if clock.boot else _UNKNOWN, dtype=schema.NAIVE_US)
    # The machine was started again where the count falls back.
    is_reboot = uptime < uptime.shift().fill_null(pl.lit(clock.uptime_us, dtype=pl.Int64)) - _REBOOT_US
    count = pl.duration(microseconds=uptime, time_unit="us")
    start = pl.coalesce(pl.col("own") - count, pl.when(is_reboot).then(unknown)).forward_fill().fill_null(boot)
    known = known.with_columns(boot=start)
    times = known.select("place", counted=pl.when(pl.col("boot") != unknown).then(pl.col("boot") + count))
    counted = steps.select("place").join(times, on="place", how="left", maintain_order="left")["counted"]
    last = known["boot"][-1]
    boot_ts = None if last == _UNKNOWN else last.replace(tzinfo=UTC)
    return counted.dt.replace_time_zone("UTC"), replace(clock, boot=boot_ts, uptime_us=known["uptime_us"][-1])


def _own_time(table: pl.DataFrame, clock: Clock) -> tuple[pl.Series, Clock]:
    """The line's own stamp as UTC, in the zone that slog lines or the wrapper of the line prove."""
    stamps = table.select(
        "own_utc",
        "beside",
        seconds=pl.coalesce("zone_s", pl.when("is_exact").then("beside")),
        since=pl.coalesce("own_utc", "outer_utc"),
        local="own_naive",
    )
    local_utc, own = zones.to_utc(stamps, zone=clock.own, assumed=clock.assumed)
    if clock.own.seconds is None:
        # Nothing is proven, but the two stamps of a line are the same moment.
        is_open = pl.col("seconds").forward_fill().is_null() & pl.col("beside").is_not_null()
        same = pl.when(is_open).then(timestamps.at_offset(pl.col("local"), pl.col("beside")))
        local_utc = stamps.select(pl.coalesce(same, local_utc)).to_series()
    return stamps.select(pl.coalesce("own_utc", local_utc).alias("own")).to_series(), replace(clock, own=own)


def _naive(name: str) -> pl.Expr:
    return pl.col(name).dt.replace_time_zone(None)
