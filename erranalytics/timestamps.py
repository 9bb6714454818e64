"""Expressions for the stamps and durations in Ollama's logs. All results are UTC or naive microseconds."""

from __future__ import annotations

import polars as pl

US_PER_SECOND = 1_000_000
DAY_US = 86_400 * US_PER_SECOND
HALF_YEAR_US = 183 * DAY_US

# The micro sign comes as U+00B5, U+03BC, plain u, and mangled by Windows consoles.
_UNIT_US = {"h": 3.6e9, "m": 6e7, "s": 1e6, "ms": 1e3, "ns": 1e-3}


def rfc3339(text: pl.Expr) -> pl.Expr:
    """``2025-02-02T09:23:09.833+08:00`` or ``…Z`` as UTC; null when it is none.

    >>> frame = pl.DataFrame({"t": ["2025-02-02T09:23:09.833+08:00", "2026-06-29T00:03:19Z", "soon"]})
    >>> frame.select(rfc3339(pl.col("t"))).to_series().dt.to_string("%F %T%.3f").to_list()
    ['2025-02-02 01:23:09.833', '2026-06-29 00:03:19.000', None]
    """
    return text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)


def offset_seconds(text: pl.Expr) -> pl.Expr:
    """The zone at the end of an RFC 3339 stamp, in seconds east of UTC.

    >>> frame = pl.DataFrame({"t": ["2025-02-02T09:23:09.833+08:00", "2025-02-02T09:23:09.833Z", "x-03:30"]})
    >>> frame.select(offset_seconds(pl.col("t"))).to_series().to_list()
    [28800, 0, -12600]
    """
    zone = text.str.slice(-6)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    hours = zone.str.slice(1, 2).cast(pl.Int32, strict=False)
    minutes = zone.str.slice(4, 2).cast(pl.Int32, strict=False)
    seconds = sign * (hours * 3600 + minutes * 60)
    return pl.when(text.str.ends_with("Z")).then(0).otherwise(seconds).cast(pl.Int32)


def naive(text: pl.Expr, form: str) -> pl.Expr:
    """A stamp without zone as naive microseconds; null when it does not fit ``form`` (chrono)."""
    return text.str.to_datetime(form, time_unit="us", strict=False)


def at_offset(stamp: pl.Expr, seconds: pl.Expr) -> pl.Expr:
    """A naive local stamp as UTC, given the zone in seconds east.

    >>> from datetime import datetime
    >>> frame = pl.DataFrame({"t": [datetime(2026, 1, 1, 8)], "z": [28800]})
    >>> frame.select(at_offset(pl.col("t"), pl.col("z"))).item().isoformat()
    '2026-01-01T00:00:00+00:00'
    """
    return (stamp - pl.duration(seconds=seconds, time_unit="us")).dt.replace_time_zone("UTC")


def go_duration_us(hours: pl.Expr, minutes: pl.Expr, number: pl.Expr, unit: pl.Expr) -> pl.Expr:
    """The parts of a Go duration (``1h2m3s``, ``41.983µs``) as whole microseconds.

    >>> parts = {"h": [None, "1"], "m": [None, "2"], "n": ["41.983", "3"], "u": ["µs", "s"]}
    >>> frame = pl.DataFrame(parts, schema=dict.fromkeys(parts, pl.String))
    >>> frame.select(go_duration_us(*(pl.col(c) for c in "hmnu"))).to_series().to_list()
    [42, 3723000000]
    """
    scale = unit.replace_strict(_UNIT_US, default=1.0, return_dtype=pl.Float64)
    whole = hours.cast(pl.Float64).fill_null(0) * 3.6e9 + minutes.cast(pl.Float64).fill_null(0) * 6e7
    return (whole + (number.cast(pl.Float64, strict=False) * scale).fill_null(0)).round().cast(pl.Int64)


def with_year(stamp: pl.Expr, reference: pl.Expr, *, ahead_us: int = HALF_YEAR_US) -> pl.Expr:
    """A naive stamp whose year is a guess, moved by a year when it is nearer to ``reference`` that way.

    ``ahead_us`` is how far it may lie behind the reference in time: a day when that is the time of the file.

    >>> from datetime import datetime
    >>> frame = pl.DataFrame({"t": [datetime(2026, 12, 31)], "r": [datetime(2026, 1, 1)]})
    >>> frame.select(with_year(pl.col("t"), pl.col("r"))).item().isoformat()
    '2025-12-31T00:00:00'
    """
    distance = (stamp - reference).dt.total_microseconds()
    moved = pl.when(distance > ahead_us).then(stamp.dt.offset_by("-1y"))
    return moved.when(distance < -HALF_YEAR_US).then(stamp.dt.offset_by("1y")).otherwise(stamp)


def quarter_hours(seconds: pl.Expr) -> pl.Expr:
    """Seconds rounded to the quarter of an hour in which all zones of the world lie."""
    return ((seconds / 900).round() * 900).cast(pl.Int32)
