"""The year of stamps that have none: taken from the records around them, in order, across New Year in both directions.

A stamp without a year is held as a moment of the leap year 2000 until its year is known.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta

import polars as pl

# A stamp that falls back by less means that the clock was set back; by more, that a new year began.
SET_BACK = timedelta(days=62)


def begin(day: datetime, *, near: datetime, ahead: timedelta) -> datetime:
    """Give the first stamp of a source, a moment of the year 2000, the last year that is not too late.

    Args:
        day: the stamp; the 29th of February gets a leap year.
        near: a known time of the source, naive.
        ahead: how much later than that the stamp may be.

    >>> begin(datetime(2000, 11, 30), near=datetime(2026, 6, 1), ahead=timedelta(days=1)).isoformat()
    '2025-11-30T00:00:00'
    """
    year = near.year + 1
    while not _fits(day, year) or day.replace(year=year) > near + ahead:
        year -= 1
    return day.replace(year=year)


def _fits(day: datetime, year: int) -> bool:
    return (day.month, day.day) != (2, 29) or calendar.isleap(year)


def fill(table: pl.DataFrame) -> pl.Series:
    """Give every stamp its year.

    Args:
        table: in order, ``day`` (the stamp as a moment of the year 2000), ``near`` (the last dated moment, naive) and
            ``dated`` (the place of that moment).

    Returns:
        The stamps as naive moments. The 29th of February of a year that has none is the 1st of March.
    """
    # The last dated moment was 2025-12-31 10:00:00; the stamps after it are those of journalctl -o short:
    # > Dec 31 23:59:58    2025-12-31 23:59:58    step 0
    # > Jan 01 00:00:03    2026-01-01 00:00:03    step 1: back by 365 days, so a new year began
    # > Dec 31 23:59:59    2025-12-31 23:59:59    step -1: ahead by 365 days, so the clock was set back
    # > Jan 01 00:00:04    2026-01-01 00:00:04    step 1
    day, near = pl.col("day"), pl.col("near")
    is_start = pl.col("dated").ne_missing(pl.col("dated").shift()) | (pl.int_range(pl.len()) == 0)
    table = table.select("day", "near", is_start=is_start)
    before = pl.when("is_start").then(_in_2000(near)).otherwise(day.shift())
    table = table.with_columns(step=_new_years(day, before))
    if not table.select((pl.col("step") != 0).any()).item():
        year = pl.when("is_start").then(near.dt.year()).forward_fill()
    else:
        steps = pl.when("is_start").then(0).otherwise("step").cum_sum()
        first = pl.when("is_start").then(near.dt.year() + pl.col("step") - steps).forward_fill()
        year = first + steps
    month = pl.datetime(year, day.dt.month(), 1, time_unit="us")
    return table.select((month + (day - day.dt.truncate("1mo"))).alias("local")).to_series()


def _in_2000(moment: pl.Expr) -> pl.Expr:
    start = pl.datetime(2000, moment.dt.month(), moment.dt.day(), time_unit="us")
    return start + (moment - moment.dt.truncate("1d"))


def _new_years(day: pl.Expr, before: pl.Expr) -> pl.Expr:
    """The New Years between two moments of the year 2000: 1 forward, -1 back, or 0."""
    distance = day - before
    back = pl.when(distance > timedelta(days=366) - SET_BACK).then(-1)
    return back.when(distance < -SET_BACK).then(1).otherwise(0).fill_null(0).cast(pl.Int32)
