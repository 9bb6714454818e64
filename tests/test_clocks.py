"""Lines to times: which clock tells the time of a record, in which zone, in which year."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erranalytics import clocks, framing, lineformats, parsing, schema, stamps, timestamps, years, zones
from erranalytics.clocks import Clock

BOOK = lineformats.load()
MTIME = datetime(2026, 6, 1, tzinfo=UTC)


class Line(NamedTuple):
    """A line as it leaves the wrapper, and how the wrapper prints it."""

    body: str
    kind: str | None = None
    stamp: str | None = None

    @property
    def raw(self) -> str:
        """The line in the log."""
        if self.stamp is None:
            return self.body
        stamp = f"[{self.stamp}]" if self.kind == "journal monotonic" else self.stamp
        return f"{stamp} {self.body}" if str(self.kind).startswith("stamp") else f"{stamp} h ollama[1]: {self.body}"


def records(lines: list[Line]) -> pl.DataFrame:
    """RECORDS, one per line."""
    columns = {
        "line_no": range(1, len(lines) + 1),
        "stamp": [line.stamp for line in lines],
        "clock": [line.kind for line in lines],
        "host": ["h"] * len(lines),
        "unit": ["ollama"] * len(lines),
        "pid": [1] * len(lines),
        "body": [line.body for line in lines],
    }
    bodies = pl.DataFrame(columns, schema=schema.BODIES)
    return framing.frame(bodies, book=BOOK, end=len(lines) + 1, is_last=True).records


def times(
    lines: list[Line],
    *,
    tz: str = "UTC",
    mtime: datetime | None = MTIME,
    year: int | None = None,
    cuts: tuple[int, ...] = (),
) -> list[str]:
    """``ts ts_source`` of every line; the clock goes as JSON from batch to batch."""
    table = records(lines)
    assert table.height == len(lines), "a case has one record per line"
    clock = clocks.first_clock("\n".join(line.raw for line in lines), mtime=mtime, default_tz=tz, year=year)
    found: list[str] = []
    for start, end in zip((0, *cuts), (*cuts, len(lines)), strict=True):
        events, clock = parsing.parse(table[start:end], book=BOOK, clock=clock)
        assert events.schema == schema.EVENTS
        clock = Clock.from_json(json.loads(json.dumps(clock.as_json())))
        text = events.select(
            pl.concat_str(pl.col("ts").dt.to_string("%F %T").fill_null("-"), "ts_source", separator=" ")
        )
        found += text.to_series().to_list()
    return found


def slog(stamp: str, message: str = "a") -> str:
    """A slog line."""
    return f"time={stamp} level=INFO source=a.go:1 msg={message}"


def gin(stamp: str) -> str:
    """An access line."""
    return f'[GIN] {stamp.replace("-", "/").replace(" ", " - ")} | 200 | 1ms | 127.0.0.1 | POST     "/api/chat"'


def go(stamp: str) -> str:
    """A line of Go's log package."""
    return f"{stamp.replace('-', '/')} routes.go:1125: Listening on 127.0.0.1:11434"


def cpp(unix: int) -> str:
    """A line of the C++ server."""
    return f'INFO [main] build info | build=1 commit="952d03d" tid="1" timestamp={unix}'


def short(stamp: str, body: str = "") -> Line:
    """A line of ``journalctl``."""
    return Line(body or f"error {stamp}", "journal short", stamp)


def outer(kind: str, stamp: str, body: str = "") -> Line:
    """A line with another stamp around it."""
    return Line(body or f"error {stamp}", kind, stamp)


def bare(*bodies: str) -> list[Line]:
    """Lines without a wrapper."""
    return [Line(body) for body in bodies]


# name: (lines, options, what comes out)
Case = tuple[list[Line], dict[str, Any], list[str]]
CASES: dict[str, Case] = {}

# --- which clock ----------------------------------------------------------------------------------------------------

CASES["a slog line has its zone, an access line takes it, a bare line inherits"] = (
    bare(slog("2026-01-01T08:00:00.500+08:00"), gin("2026-01-01 08:00:02"), "Error: a"),
    {},
    ["2026-01-01 00:00:00 slog", "2026-01-01 00:00:02 gin+offset", "2026-01-01 00:00:02 inherited"],
)
CASES["lines of a program before its first date are as old as that, not as the file"] = (
    bare("Loading python/3.11", "2026-01-01 08:00:02,500 - app - ERROR - a", "Error: b"),
    {"tz": "Europe/Berlin"},
    ["2026-01-01 07:00:02 inherited", "2026-01-01 07:00:02 client", "2026-01-01 07:00:02 inherited"],
)
CASES["what only looks like a date is none"] = (
    bare("Loading python/3.11", "2026-02-31 08:00:02 is no day"), {}, ["2026-06-01 00:00:00 file"] * 2,
)  # fmt: skip
CASES["an access line before the first slog line takes its zone"] = (
    bare(gin("2026-01-01 08:00:02"), slog("2026-01-01T08:00:05.000+08:00")),
    {},
    ["2026-01-01 00:00:02 gin+offset", "2026-01-01 00:00:05 slog"],
)
CASES["a restart may bring another zone"] = (
    bare(
        slog("2026-01-01T08:00:00.000+08:00"),
        gin("2026-01-01 08:00:02"),
        slog("2026-01-01T01:00:00.000Z", '"server config"'),
        gin("2026-01-01 01:00:02"),
    ),
    {},
    [
        "2026-01-01 00:00:00 slog",
        "2026-01-01 00:00:02 gin+offset",
        "2026-01-01 01:00:00 slog",
        "2026-01-01 01:00:02 gin+offset",
    ],
)
CASES["every kind of stamp of a wrapper"] = (
    [
        outer("journal rfc3339", "2026-03-01T19:04:05.416409+0800"),
        outer("journal rfc3339", "2026-03-01T19:04:05+08:00"),
        outer("journal unix", "1772363045.416409"),
        outer("journal unix-us", "1772363045416409"),
        outer("docker rfc3339", "2026-03-01T11:04:05.416409123Z"),
        outer("journal naive", "2026-03-01 19:04:05"),
        short("Mar 01 19:04:05.416409"),
        outer("stamp naive", "2026-03-01 19:04:05,416"),
        outer("stamp naive", "2026/03/01 19:04:05"),
        outer("stamp rfc3339", "2026-03-01T11:04:05Z"),
        outer("stamp naive", "soon"),
    ],
    {"tz": "Asia/Shanghai"},
    [f"2026-03-01 11:04:05 {one}" for one in ["journal"] * 4 + ["docker"] + ["journal"] * 2 + ["stamp"] * 3]
    + ["2026-03-01 11:04:05 inherited"],
)
CASES["the own stamp wins where the wrapper's differs by a zone"] = (
    [
        outer("stamp naive", "2025-03-05 08:58:54", slog("2025-03-05T06:58:54.116Z")),
        outer("stamp naive", "2025-03-05 08:58:55", gin("2025-03-05 06:58:55")),
        outer("stamp naive", "2025-03-05 08:58:56"),
    ],
    {"tz": "Asia/Shanghai"},
    ["2025-03-05 06:58:54 slog", "2025-03-05 06:58:55 gin+offset", "2025-03-05 06:58:56 stamp"],
)
CASES["a file gives its time to lines without any"] = (bare("Error: a"), {}, ["2026-06-01 00:00:00 file"])
CASES["pasted text has no time"] = (bare("Error: a"), {"mtime": None}, ["- none"])
CASES["a line of the C++ server has its own clock"] = (
    bare(cpp(1727366911)), {}, ["2024-09-26 16:08:31 json"],
)  # fmt: skip

# --- zones ----------------------------------------------------------------------------------------------------------

CASES["without evidence the given zone counts"] = (
    bare(gin("2026-01-01 08:00:02"), go("2026-01-01 08:00:03")),
    {"tz": "Asia/Shanghai"},
    ["2026-01-01 00:00:02 gin+offset", "2026-01-01 00:00:03 go-log"],
)
CASES["what is proven wins over the given zone"] = (
    bare(slog("2026-01-01T08:00:00.000+08:00"), gin("2026-01-01 08:00:02")),
    {"tz": "America/New_York"},
    ["2026-01-01 00:00:00 slog", "2026-01-01 00:00:02 gin+offset"],
)
CASES["the wrapper of an access line proves its zone"] = (
    [
        outer("docker rfc3339", "2024-05-01T10:00:00.900Z", gin("2024-05-01 15:30:00")),
        Line(go("2024-05-01 15:30:05")),
        outer("journal rfc3339", "2024-05-01T12:00:00+0200", gin("2024-05-01 15:44:59")),
        outer("docker rfc3339", "2024-05-01T10:07:30Z", gin("2024-05-01 15:30:09")),
    ],
    {"tz": "America/New_York"},
    # Kathmandu is a zone of a quarter of an hour; what was printed long before proves nothing.
    [
        "2024-05-01 10:00:00 gin+offset",
        "2024-05-01 10:00:05 go-log",
        "2024-05-01 09:59:59 gin+offset",
        "2024-05-01 09:45:09 gin+offset",
    ],
)
CASES["two stamps of no known zone are one moment"] = (
    [short("May 01 17:00:01", go("2024-05-01 15:00:00")), short("May 01 17:00:02", gin("2024-05-01 15:00:01"))],
    {"tz": "Europe/Berlin"},
    ["2024-05-01 15:00:00 go-log", "2024-05-01 15:00:01 gin+offset"],
)
CASES["the C++ server proves the zones of an old log"] = (
    [
        short("May 18 17:07:48", go("2024-05-18 17:07:48")),
        short("May 18 17:07:49", cpp(1716023269)),
        short("May 18 17:07:50"),
        short("May 18 17:07:51", gin("2024-05-18 17:07:51")),
    ],
    {"tz": "America/New_York"},
    # The first line stands before the proof.
    [
        "2024-05-18 09:07:48 go-log",
        "2024-05-18 09:07:49 json",
        "2024-05-18 09:07:50 journal",
        "2024-05-18 09:07:51 gin+offset",
    ],
)
CASES["the C++ server proves the zone of an old log without wrapper"] = (
    bare(gin("2024-05-18 17:07:40"), go("2024-05-18 17:07:48"), cpp(1716023269)),
    {"tz": "America/New_York"},
    ["2024-05-18 09:07:40 gin+offset", "2024-05-18 09:07:48 go-log", "2024-05-18 09:07:49 json"],
)
CASES["the reader's zone is not the server's"] = (
    [
        short("Mar 01 12:04:05"),
        short("Mar 01 12:04:05", slog("2026-03-01T11:04:05.200Z")),
        short("Mar 01 12:04:06"),
        short("Mar 01 12:04:07", gin("2026-03-01 11:04:07")),
    ],
    {"tz": "Asia/Shanghai"},
    [
        "2026-03-01 11:04:05 journal",
        "2026-03-01 11:04:05 slog",
        "2026-03-01 11:04:06 journal",
        "2026-03-01 11:04:07 gin+offset",
    ],
)


BERLIN_SPRING, BERLIN_AUTUMN = "2026-03-29", "2025-10-26"
YORK_SPRING, YORK_AUTUMN = "2026-03-08", "2025-11-02"

for name, day, offset, hours in (
    ("Berlin", BERLIN_SPRING, "+01:00", ("00:30", "01:50", "03:05", "04:00")),
    ("New York", YORK_SPRING, "-05:00", ("00:30", "01:50", "03:05", "04:00")),
):
    first = 0 if name == "Berlin" else 6
    CASES[f"a missing hour, {name}"] = (
        bare(slog(f"{day}T{hours[0]}:00.000{offset}"), *(gin(f"{day} {hour}:00") for hour in hours[1:])),
        {},
        [
            f"{'2026-03-28 23' if name == 'Berlin' else day + ' 05'}:30:00 slog",
            f"{day} {first:02}:50:00 gin+offset",
            f"{day} {first + 1:02}:05:00 gin+offset",
            f"{day} {first + 2:02}:00:00 gin+offset",
        ],
    )
for name, day, offset, late, hour, first in (
    ("Berlin", BERLIN_AUTUMN, "+02:00", "+01:00", 2, 0),
    ("New York", YORK_AUTUMN, "-04:00", "-05:00", 1, 5),
):
    CASES[f"an hour twice, {name}"] = (
        bare(
            slog(f"{day}T{hour:02}:40:00.000{offset}"),
            gin(f"{day} {hour:02}:55:00"),
            gin(f"{day} {hour:02}:05:00"),
            gin(f"{day} {hour:02}:57:00"),
            gin(f"{day} {hour + 1:02}:30:00"),
            slog(f"{day}T{hour + 1:02}:31:00.000{late}"),
            gin(f"{day} {hour + 1:02}:32:00"),
        ),
        {},
        [
            f"{day} {first:02}:40:00 slog",
            f"{day} {first:02}:55:00 gin+offset",
            f"{day} {first + 1:02}:05:00 gin+offset",
            f"{day} {first + 1:02}:57:00 gin+offset",
            f"{day} {first + 2:02}:30:00 gin+offset",
            f"{day} {first + 2:02}:31:00 slog",
            f"{day} {first + 2:02}:32:00 gin+offset",
        ],
    )
    CASES[f"an hour twice with nothing but the given zone, {name}"] = (
        bare(gin(f"{day} {hour:02}:55:00"), gin(f"{day} {hour:02}:05:00"), gin(f"{day} {hour + 1:02}:05:00")),
        {"tz": f"{'Europe' if name == 'Berlin' else 'America'}/{name.replace(' ', '_')}"},
        [
            f"{day} {first:02}:55:00 gin+offset",
            f"{day} {first + 1:02}:05:00 gin+offset",
            f"{day} {first + 2:02}:05:00 gin+offset",
        ],
    )
CASES["a missing hour in the reader's zone, the server's is UTC"] = (
    [
        short("Mar 29 01:50:00", slog("2026-03-29T00:50:00.000Z")),
        short("Mar 29 01:59:59"),
        short("Mar 29 03:00:01"),
        short("Mar 29 03:00:02", gin("2026-03-29 01:00:02")),
        short("Mar 29 03:00:03", slog("2026-03-29T01:00:03.000Z")),
        short("Mar 29 03:00:04"),
    ],
    {},
    [
        "2026-03-29 00:50:00 slog",
        "2026-03-29 00:59:59 journal",
        "2026-03-29 01:00:01 journal",
        "2026-03-29 01:00:02 gin+offset",
        "2026-03-29 01:00:03 slog",
        "2026-03-29 01:00:04 journal",
    ],
)
CASES["the given zone lends its calendar where it has the proven offset"] = (
    bare(slog("2026-03-29T00:30:00.000+01:00"), gin("2026-03-29 03:05:00")),
    {"tz": "Africa/Lagos"},
    ["2026-03-28 23:30:00 slog", "2026-03-29 02:05:00 gin+offset"],
)
CASES["UTC has no calendar"] = (
    bare(slog("2026-03-29T00:30:00.000Z"), gin("2026-03-29 03:05:00")),
    {},
    ["2026-03-29 00:30:00 slog", "2026-03-29 03:05:00 gin+offset"],
)
CASES["the wrapper knows better than a calendar"] = (
    [
        Line(slog("2026-03-29T00:30:00.000+01:00")),
        outer("journal unix-us", str(1774749900_000000), gin("2026-03-29 03:05:00")),
        Line(gin("2026-03-29 03:06:00")),
    ],
    {},
    ["2026-03-28 23:30:00 slog", "2026-03-29 02:05:00 gin+offset", "2026-03-29 02:06:00 gin+offset"],
)
CASES["a clock set back by an hour in summer went back"] = (
    bare(slog("2026-07-01T02:40:00.000+02:00"), gin("2026-07-01 02:55:00"), gin("2026-07-01 02:05:00")),
    {},
    ["2026-07-01 00:40:00 slog", "2026-07-01 00:55:00 gin+offset", "2026-07-01 00:05:00 gin+offset"],
)

# --- years ----------------------------------------------------------------------------------------------------------

CASES["New Year forward and a line that goes back"] = (
    [
        short("Dec 31 23:59:59", slog("2025-12-31T15:59:59.100Z")),
        short("Dec 31 23:59:59"),
        short("Jan 01 00:00:01"),
        short("Dec 31 23:59:58"),
        short("Jan 01 00:00:02"),
    ],
    {},
    [
        "2025-12-31 15:59:59 slog",
        "2025-12-31 15:59:59 journal",
        "2025-12-31 16:00:01 journal",
        "2025-12-31 15:59:58 journal",
        "2025-12-31 16:00:02 journal",
    ],
)
CASES["the dated line after it gives the year of the first"] = (
    [short("Dec 31 23:00:00"), short("Jan 01 00:00:01", slog("2024-01-01T00:00:01.000Z"))],
    {},
    ["2023-12-31 23:00:00 journal", "2024-01-01 00:00:01 slog"],
)
CASES["a clock set back adds no year"] = (
    [
        short("Mar 20 12:00:00", slog("2025-03-20T12:00:00.000Z")),
        short("Mar 20 10:00:00"),
        short("Feb 08 10:00:00"),
        short("Mar 21 10:00:00"),
    ],
    {},
    [
        "2025-03-20 12:00:00 slog",
        "2025-03-20 10:00:00 journal",
        "2025-02-08 10:00:00 journal",
        "2025-03-21 10:00:00 journal",
    ],
)
CASES["a clock set back over New Year"] = (
    [short("Jan 15 12:00:00", gin("2025-01-15 12:00:00")), short("Dec 06 10:00:00"), short("Jan 16 10:00:00")],
    {},
    ["2025-01-15 12:00:00 gin+offset", "2024-12-06 10:00:00 journal", "2025-01-16 10:00:00 journal"],
)
CASES["years of a journal with one dated line"] = (
    [
        short("Jan 02 00:00:00", slog("2023-01-02T00:00:00.000Z")),
        *(short(f"{month} 10 00:00:00") for month in ("May", "Nov", "Mar", "Dec", "Jan", "Oct")),
    ],
    {},
    ["2023-01-02 00:00:00 slog"]
    + [
        f"{day} 00:00:00 journal"
        for day in ("2023-05-10", "2023-11-10", "2024-03-10", "2024-12-10", "2025-01-10", "2025-10-10")
    ],
)
CASES["no year at all: the time of the file is the end"] = (
    [short("Nov 30 10:00:00"), short("Mar 01 10:00:00")],
    {},
    ["2025-11-30 10:00:00 journal", "2026-03-01 10:00:00 journal"],
)
CASES["the given year is that of the first stamp"] = (
    [short("Nov 30 10:00:00"), short("Mar 01 10:00:00"), short("Dec 24 10:00:00"), short("Jan 02 10:00:00")],
    {"year": 2021},
    [f"{day} 10:00:00 journal" for day in ("2021-11-30", "2022-03-01", "2022-12-24", "2023-01-02")],
)
CASES["the 29th of February tells a leap year"] = (
    [short("Feb 28 10:00:00"), short("Feb 29 10:00:00"), short("Mar 01 10:00:00")],
    {},
    ["2024-02-28 10:00:00 journal", "2024-02-29 10:00:00 journal", "2024-03-01 10:00:00 journal"],
)
CASES["the 29th of February of a wrong year is not lost"] = (
    [short("Feb 28 10:00:00"), short("Feb 29 10:00:00"), short("Mar 01 10:00:00")],
    {"year": 2023},
    ["2023-02-28 10:00:00 journal", "2023-03-01 10:00:00 journal", "2023-03-01 10:00:00 journal"],
)
CASES["a wrapper with a year dates the next without"] = (
    [outer("docker rfc3339", "2022-12-31T23:00:00Z"), short("Jan 01 00:30:00")],
    {},
    ["2022-12-31 23:00:00 docker", "2023-01-01 00:30:00 journal"],
)
CASES["an unknown month gives no time"] = (
    [short("Mar 01 10:00:00"), short("Foo 01 10:00:05")],
    {},
    ["2026-03-01 10:00:00 journal", "2026-03-01 10:00:00 inherited"],
)

# --- since boot -----------------------------------------------------------------------------------------------------

CASES["seconds since boot count from a line that tells the time too"] = (
    [
        outer("journal monotonic", "100.000000"),
        outer("journal monotonic", "101.000000", slog("2026-03-01T08:00:01.000+08:00")),
        outer("journal monotonic", "105.500000"),
    ],
    {},
    ["2026-03-01 00:00:00 journal", "2026-03-01 00:00:01 slog", "2026-03-01 00:00:05 journal"],
)
CASES["after another boot the count says nothing until a line tells the time"] = (
    [
        outer("journal monotonic", "9000.000000", slog("2026-03-01T00:00:00.000Z")),
        outer("journal monotonic", "5.000000"),
        outer("journal monotonic", "6.000000", slog("2026-03-02T00:00:06.000Z")),
        outer("journal monotonic", "7.000000"),
    ],
    {},
    [
        "2026-03-01 00:00:00 slog",
        "2026-03-01 00:00:00 inherited",
        "2026-03-02 00:00:06 slog",
        "2026-03-02 00:00:07 journal",
    ],
)
CASES["seconds since boot without any time"] = (
    [outer("journal monotonic", "100.000000")], {}, ["2026-06-01 00:00:00 file"],
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_times(name: str) -> None:
    """The name of the case says it."""
    lines, options, expected = CASES[name]
    assert times(lines, **options) == expected


@pytest.mark.parametrize("name", CASES)
def test_times_of_a_log_that_is_cut_anywhere(name: str) -> None:
    """One record per batch gives the same as all in one."""
    lines, options, expected = CASES[name]
    assert times(lines, **options, cuts=tuple(range(1, len(lines)))) == expected


SAMPLES = {
    "docker": '{"log":"[GIN] 2026/01/01 - 08:00:02 | 200 |\\n","stream":"stderr"}\n{"log":"time=2026-01-01T08:00:05.000+08:00 level=INFO msg=\\"a\\"\\n"}',
    "export": "__CURSOR=s=1\nMESSAGE=time=2026-01-01T08:00:05.000+08:00 level=INFO msg=a\n_PID=1",
    "verbose": "Thu 2026-01-01 09:00:05.1 CET [s=1;i=7]\n    MESSAGE=time=2026-01-01T08:00:05.000+08:00 level=WARN msg=a",
    "old docker": '{"log":"2026/01/01 08:00:02 routes.go:1: a\\n"}\n{"log":"{\\"level\\":\\"INFO\\",\\"timestamp\\":1767225602}"}',
}


@pytest.mark.parametrize("form", SAMPLES)
def test_the_sample_tells_the_zone_in_every_form(form: str) -> None:
    """The zone of the first lines stands further down, in whatever is around it."""
    clock = clocks.first_clock(SAMPLES[form], mtime=MTIME, default_tz="UTC")
    assert (clock.own.seconds, clock.near.date().isoformat()) == (28800, "2026-01-01")


MOMENTS = st.integers(0, 3 * 366 * 24 * 60).map(lambda minute: 1_700_000_000 + 60 * minute)


def printed(unix: int, kind: str, zone_s: int) -> Line:
    """A line of some kind at a moment, in a zone."""
    local = datetime.fromtimestamp(unix + zone_s, UTC)
    plain, sign = local.strftime("%Y-%m-%d %H:%M:%S"), "-" if zone_s < 0 else "+"
    zone = f"{sign}{abs(zone_s) // 3600:02}:{abs(zone_s) % 3600 // 60:02}"
    bodies = {
        "slog": slog(plain.replace(" ", "T") + ".000" + zone),
        "gin": gin(plain),
        "go": go(plain),
        "cpp": cpp(unix),
    }
    if kind in bodies:
        return Line(bodies[kind])
    if kind.startswith("short"):
        body = (
            slog(datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")) if kind == "short slog" else ""
        )
        return short(local.strftime("%b %d %H:%M:%S"), body)
    if kind == "monotonic slog":
        return outer("journal monotonic", f"{unix % 100_000}.5", bodies["slog"])
    texts = {
        "journal naive": plain,
        "stamp naive": plain,
        "docker rfc3339": plain.replace(" ", "T") + zone,
        "journal unix": f"{unix}.25",
        "journal monotonic": f"{unix % 100_000}.75",
    }
    return outer(kind, texts[kind], gin(plain) if unix % 3 == 0 else "")


KINDS = (
    "slog", "gin", "go", "cpp", "short", "short slog", "monotonic slog", "journal naive", "stamp naive", "docker rfc3339",
    "journal unix", "journal monotonic",
)  # fmt: skip
ANY_LINE = st.builds(printed, MOMENTS, st.sampled_from(KINDS), st.sampled_from([0, 3600, 7200, 28800, -18000, 20700]))


@settings(max_examples=25, deadline=None)
@given(st.lists(ANY_LINE, min_size=2, max_size=12), st.data())
def test_any_cut_gives_the_same_times(lines: list[Line], data: st.DataObject) -> None:
    """Whatever stands in a log, in whatever order."""
    places = st.sets(st.integers(1, len(lines) - 1))
    cuts = tuple(sorted(data.draw(places)))
    options = {
        "tz": data.draw(st.sampled_from(["UTC", "Europe/Berlin"])),
        "year": data.draw(st.sampled_from([None, 2023])),
    }
    assert times(lines, **options, cuts=cuts) == times(lines, **options)


MONTHS = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "de": "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    "fr": "janv. févr. mars avril mai juin juil. août sept. oct. nov. déc.",
    "es": "ene feb mar abr may jun jul ago sep oct nov dic",
    "it": "gen feb mar apr mag giu lug ago set ott nov dic",
    "pt": "jan fev mar abr mai jun jul ago set out nov dez",
    "nl": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "pl": "sty lut mar kwi maj cze lip sie wrz paź lis gru",
    "ru": "янв фев мар апр мая июн июл авг сен окт ноя дек",
    "uk": "січ лют бер кві тра чер лип сер вер жов лис гру",
    "sv": "jan feb mar apr maj jun jul aug sep okt nov dec",
    "nb": "jan. feb. mars april mai juni juli aug. sep. okt. nov. des.",
    "fi": "tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu",
    "cs": "led úno bře dub kvě čen čec srp zář říj lis pro",
    "tr": "Oca Şub Mar Nis May Haz Tem Ağu Eyl Eki Kas Ara",
    "ja": " ".join(f"{number}月" for number in range(1, 13)),
    "ko": " ".join(f"{number}월" for number in range(1, 13)),
}


@pytest.mark.parametrize("language", MONTHS)
def test_months_of_every_language(language: str) -> None:
    """journalctl prints the reader's months."""
    text = pl.DataFrame({"text": [f"{name} 03 10:00:00" for name in MONTHS[language].split()]})
    found = text.select(timestamps.yearless(pl.col("text"))).to_series()
    assert found.dt.month().to_list() == list(range(1, 13))
    assert set(found.dt.day()) == {3}


def test_no_name_of_a_month_means_two() -> None:
    """Where languages disagree, a name would have to be left out."""
    names = " ".join(timestamps._MONTHS).split()
    twice = {name for name in names if names.count(name) > 1}
    assert not twice


def test_stamps_tell_one_thing_each() -> None:
    """What a stamp leaves open is told by the column it stands in."""
    table = pl.DataFrame(
        {
            "stamp": ["Mar 01 10:00:00", "2026-03-01 10:00:00", "12.5", "12.5", None],
            "clock": ["journal short", "journal naive", "journal monotonic", "journal unix", None],
        }
    )
    told = stamps.read(table)
    assert told.schema == stamps.COLUMNS
    assert told.select(pl.sum_horizontal(pl.all().is_not_null())).to_series().to_list() == [1, 1, 1, 1, 0]


def test_calendars_are_zones_of_the_world() -> None:
    """Each is known to polars and has two offsets a year."""
    half_years = pl.DataFrame({"t": [datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)]})
    for name in zones.CALENDARS:
        assert half_years.select(zones._offset(pl.col("t"), name)).n_unique() == 2


def test_the_first_stamp_is_not_after_the_file() -> None:
    """A stamp of tomorrow may be another zone; one of next week is last year's."""
    days = {"2000-01-02": 2026, "2000-01-08": 2025, "2000-12-31": 2025, "2000-02-29": 2024}
    near, ahead = datetime.fromisoformat("2026-01-01"), timedelta(days=1)
    assert {day: years.begin(datetime.fromisoformat(day), near=near, ahead=ahead).year for day in days} == days
