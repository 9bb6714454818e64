"""The year of stamps that have none: the records around them tell it, in order, over New Year both ways."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta

import polars as pl

# A stamp that falls back by less is a clock that was set back, by more it is the next year.
SET_BACK = timedelta(days=62)


def begin(day: datetime, *, near: datetime, ahead: timedelta) -> datetime:
    """The first stamp of a source, a moment of the year 2000, in the last year that is not too late.

    Args:
        day: the stamp; the 29th of February finds a leap year.
        near: a time that the source is known by, naive.
        ahead: how far the stamp may lie behind it.

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
    day, near = pl.col("day"), pl.col("near")
    is_start = pl.col("dated").ne_missing(pl.col("dated").shift()) | (pl.int_range(pl.len()) == 0)
    table = table.select("day", "near", is_start=is_start)
    before = pl.when("is_start").then(_in_2000(near)).otherwise(day.shift())
    table = table.with_columns(step=_new_years(day, before))
    if not table.select((pl.col("step") != 0).any()).item():
        year = pl.when("is_start").then(near.dt.year()).forward_fill()
    else:
        walked = pl.when("is_start").then(0).otherwise("step").cum_sum()
        first = pl.when("is_start").then(near.dt.year() + pl.col("step") - walked).forward_fill()
        year = first + walked
    month = pl.datetime(year, day.dt.month(), 1, time_unit="us")
    return table.select((month + (day - day.dt.truncate("1mo"))).alias("local")).to_series()


def _in_2000(moment: pl.Expr) -> pl.Expr:
    start = pl.datetime(2000, moment.dt.month(), moment.dt.day(), time_unit="us")
    return start + (moment - moment.dt.truncate("1d"))


def _new_years(day: pl.Expr, before: pl.Expr) -> pl.Expr:
    """How many New Years lie between two moments of the year 2000: one forward, one back, or none."""
    distance = day - before
    back = pl.when(distance > timedelta(days=366) - SET_BACK).then(-1)
    return back.when(distance < -SET_BACK).then(1).otherwise(0).fill_null(0).cast(pl.Int32)
