"""Lines and their times: a table of what each clock, zone and year comes to."""

from __future__ import annotations

from typing import Any

from support.clock_lines import Line, bare, cpp, gin, go, outer, short, slog

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
