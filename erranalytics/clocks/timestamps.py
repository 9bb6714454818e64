"""Expressions for the stamps and durations in Ollama's logs. All results are UTC or naive microseconds."""

from __future__ import annotations

import polars as pl

US_PER_SECOND = 1_000_000

# What journalctl prints for a month (%b: abmon in glibc's localedata/locales, as cs_CZ@10733d6), lower case and
# without dots: English, German (Austria), French, Spanish, Italian, Portuguese, Dutch, Polish, Russian,
# Ukrainian, Swedish, Danish, Norwegian, Finnish, Czech, Turkish, Chinese and Japanese, Korean.
_MONTHS = (
    "jan jän janv ene gen sty янв січ tammi led oca 1月 1월",
    "feb fév févr fev lut фев лют helmi úno şub 2月 2월",
    "mar mär märz mars mrt мар бер maalis bře 3月 3월",
    "apr april avr avril abr kwi апр кві huhti dub nis 4月 4월",
    "may mai mag mei maj май мая тра touko kvě 5月 5월",
    "jun juni juin giu cze июн чер kesä čen haz 6月 6월",
    "jul juli juil lug lip июл лип heinä čec tem 7月 7월",
    "aug août aoû ago sie авг сер elo srp ağu 8月 8월",
    "sep sept set wrz сен вер syys zář eyl 9月 9월",
    "oct okt ott out paź окт жов loka říj eki 10月 10월",
    "nov lis ноя лис marras kas 11月 11월",
    "dec dez déc dic des gru дек гру joulu pro ara 12月 12월",
)
MONTHS = {name: f"{number:02}" for number, names in enumerate(_MONTHS, 1) for name in names.split()}

# What Java prints for %Tp (AmPmMarkers of its locale data, 17 and 25): the halves of the day.
_HALVES = {
    **dict.fromkeys(("AM", "A. M.", "A.\u00a0M.", "FM", "上午", "午前", "오전"), "AM"),
    **dict.fromkeys(("PM", "P. M.", "P.\u00a0M.", "EM", "下午", "午後", "오후"), "PM"),
}

# The micro sign appears as U+00B5, U+03BC, plain u, and mangled by Windows consoles.
_UNIT_US = {"h": 3.6e9, "m": 6e7, "s": 1e6, "ms": 1e3, "ns": 1e-3}

# Numbers of a clock by their size: seconds, milliseconds, microseconds, nanoseconds since 1970.
_CLOCKS = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))


def rfc3339(text: pl.Expr) -> pl.Expr:
    """``2025-02-02T09:23:09.833+08:00`` or ``…Z`` as UTC; null for other text.

    >>> frame = pl.DataFrame({"t": ["2025-02-02T09:23:09.833+08:00", "2026-06-29T00:03:19Z", "soon"]})
    >>> frame.select(rfc3339(pl.col("t"))).to_series().dt.to_string("%F %T%.3f").to_list()
    ['2025-02-02 01:23:09.833', '2026-06-29 00:03:19.000', None]
    """
    return text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)


def any_rfc3339(text: pl.Expr) -> pl.Expr:
    """Like ``rfc3339``, but a blank may replace the T, and the zone may lack its colon, as journalctl 252 prints it.

    >>> frame = pl.DataFrame({"t": ["2026-03-01T19:04:05+0800", "2026-03-01 11:04:05.416409123Z"]})
    >>> frame.select(any_rfc3339(pl.col("t"))).to_series().dt.to_string("%F %T%.6f").to_list()
    ['2026-03-01 11:04:05.000000', '2026-03-01 11:04:05.416409']
    """
    return rfc3339(text.str.replace(" ", "T", literal=True).str.replace(r"([+-]\d\d)(\d\d)$", "${1}:${2}"))


def seconds_us(text: pl.Expr) -> pl.Expr:
    """Seconds with a point (``1772363045.416409``) as whole microseconds."""
    return (text.str.strip_chars().cast(pl.Float64, strict=False) * US_PER_SECOND).round().cast(pl.Int64, strict=False)


def unix(text: pl.Expr) -> pl.Expr:
    """Seconds since 1970, with or without a point, as UTC.

    >>> pl.DataFrame({"t": ["1772363045.416409"]}).select(unix(pl.col("t"))).item().isoformat()
    '2026-03-01T11:04:05.416409+00:00'
    """
    return seconds_us(text).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def moment(text: pl.Expr) -> pl.Expr:
    """A stamp of RFC 3339, or a number of seconds or smaller units since 1970, as UTC.

    >>> frame = pl.DataFrame({"t": ["2026-03-01T11:04:05Z", "1772363045", "1772363045416", "soon"]})
    >>> frame.select(moment(pl.col("t"))).to_series().dt.to_string("%F %T%.3f").to_list()
    ['2026-03-01 11:04:05.000', '2026-03-01 11:04:05.000', '2026-03-01 11:04:05.416', None]
    """
    number = text.cast(pl.Float64, strict=False)
    scaled = number / 1_000
    for limit, factor in reversed(_CLOCKS):
        scaled = pl.when(number < limit).then(number * factor).otherwise(scaled)
    since = scaled.round().cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.coalesce(any_rfc3339(text), since)


def unix_us(text: pl.Expr) -> pl.Expr:
    """Microseconds since 1970 as UTC."""
    return text.cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def slog(text: pl.Series) -> pl.DataFrame:
    """The stamps of slog lines as ``own_utc`` and ``zone_s``; both are null where the text is not a stamp.

    >>> slog(pl.Series(["2025-02-02T09:23:09.833+08:00", "2026-06-29T00:03:19.000Z", "2025-02-02T09:23"])).rows()[1:]
    [(datetime.datetime(2026, 6, 29, 0, 3, 19, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 0), (None, None)]
    """
    # slog prints three decimals, so every part has a fixed place: cutting there is several times cheaper than %+.
    stamp = text.alias("text").to_frame().with_columns(zone_s=offset_seconds(text))
    millis = pl.col("text").str.slice(20, 3).cast(pl.Int64, strict=False)
    second = naive(pl.col("text").str.slice(0, 19), "%Y-%m-%dT%H:%M:%S")
    utc = at_offset(second + pl.duration(milliseconds=millis, time_unit="us"), pl.col("zone_s"))
    times = stamp.select("text", "zone_s", own_utc=pl.when(pl.col("text").str.slice(19, 1) == ".").then(utc))
    if times["own_utc"].null_count():
        times = times.with_columns(own_utc=pl.coalesce("own_utc", rfc3339(pl.col("text"))))
    return times.select("own_utc", zone_s=pl.when(pl.col("own_utc").is_not_null()).then("zone_s"))


def offset_seconds(text: pl.Series) -> pl.Series:
    """The zone at the end of RFC 3339 stamps, in seconds east of UTC.

    >>> offset_seconds(pl.Series(["2025-02-02T09:23:09.833+08:00", "2025-02-02T09:23:09.833Z", "x-03:30"])).to_list()
    [28800, 0, -12600]
    """
    zone = pl.col("text")
    sign = pl.when(zone.str.starts_with("-")).then(-1).when(zone.str.starts_with("+")).then(1)
    hours = zone.str.slice(1, 2).cast(pl.Int32, strict=False)
    minutes = zone.str.slice(4, 2).cast(pl.Int32, strict=False)
    seconds = pl.when(zone.str.ends_with("Z")).then(0).otherwise(sign * (hours * 3600 + minutes * 60))
    return by_runs(text.str.slice(-6), seconds.cast(pl.Int32)).alias("zone_s")


def by_runs(text: pl.Series, value: pl.Expr) -> pl.Series:
    """``value``, an expression of the column ``text``, evaluated once for each run of equal texts.

    >>> by_runs(pl.Series(["1", "1", "2"]), pl.col("text").cast(pl.Int64)).to_list()
    [1, 1, 2]
    """
    table = text.alias("text").to_frame().with_columns(run=pl.col("text").rle_id())
    runs = table.unique("run", keep="first", maintain_order=True)
    return runs.select(value).to_series().gather(table["run"])


def naive(text: pl.Expr, form: str) -> pl.Expr:
    """A stamp without zone as naive microseconds; null when it does not fit ``form`` (chrono)."""
    return text.str.to_datetime(form, time_unit="us", strict=False)


def dated(text: pl.Expr) -> pl.Expr:
    """A stamp with a year and without a zone, in the shapes that programs use, as naive microseconds.

    >>> frame = pl.DataFrame({"t": ["2026-03-01 19:04:05,5", "2026/03/01T19:04:05", "Mar 01 19:04:05"]})
    >>> frame.select(dated(pl.col("t"))).to_series().dt.to_string("%F %T %6f").to_list()
    ['2026-03-01 19:04:05 500000', '2026-03-01 19:04:05 000000', None]
    """
    plain = text.str.replace_many({"T": " ", "/": "-", ",": "."})
    return naive(plain, "%Y-%m-%d %H:%M:%S%.f")


def half_days(text: pl.Expr) -> pl.Expr:
    """``Nov 26, 2026 11:08:19 PM``, as java.util.logging prints it in any language, as naive microseconds.

    >>> stamps = ["Nov 26, 2026 9:08:19 PM", "Nov. 26, 2026 12:00:00 AM", "11月 26, 2026 9:08:19 下午"]
    >>> frame = pl.DataFrame({"t": stamps})
    >>> frame.select(half_days(pl.col("t"))).to_series().dt.to_string("%F %T").to_list()
    ['2026-11-26 21:08:19', '2026-11-26 00:00:00', '2026-11-26 21:08:19']
    """
    part = text.str.extract_groups(r"^([0-9]{0,2}[^ .0-9]+)\.? ([0-9]{2}), ([0-9]{4}) ([0-9:]{7,8}) (.+)$").struct.field
    month = part("1").str.to_lowercase().replace_strict(MONTHS, default=None, return_dtype=pl.String)
    half = part("5").replace_strict(_HALVES, default=None, return_dtype=pl.String)
    stamp = pl.concat_str(part("3"), month, part("2"), part("4").str.zfill(8), half, separator=" ")
    return naive(stamp, "%Y %m %d %I:%M:%S %p")


def yearless(text: pl.Expr) -> pl.Expr:
    """``Mar 01 19:04:05[.416409]``, in any language, as a moment of the leap year 2000.

    An unknown month gives null rather than a wrong time.

    >>> frame = pl.DataFrame({"t": ["Feb 29 19:04:05", "févr.  3 19:04:05.2", " 7月 01 00:00:00", "Foo 01 00:00:00"]})
    >>> frame.select(yearless(pl.col("t"))).to_series().dt.to_string("%m-%d %T").to_list()
    ['02-29 19:04:05', '02-03 19:04:05', '07-01 00:00:00', None]
    """
    part = text.str.extract_groups(r"^ *(\d{0,2}\p{L}+)\.? +(\d{1,2}) (\d\d:\d\d:\d\d(?:\.\d+)?)$").struct.field
    month = part("1").str.to_lowercase().replace_strict(MONTHS, default=None, return_dtype=pl.String)
    stamp = pl.concat_str(pl.lit("2000-"), month, pl.lit("-"), part("2").str.zfill(2), pl.lit(" "), part("3"))
    return naive(stamp, "%Y-%m-%d %H:%M:%S%.f")


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
    minutes_us = hours.cast(pl.Float64).fill_null(0) * 3.6e9 + minutes.cast(pl.Float64).fill_null(0) * 6e7
    return (minutes_us + (number.cast(pl.Float64, strict=False) * scale).fill_null(0)).round().cast(pl.Int64)


def quarter_hours(seconds: pl.Expr) -> pl.Expr:
    """Seconds rounded to quarters of an hour: every zone of the world is a multiple of one."""
    return ((seconds / 900).round() * 900).cast(pl.Int32)
