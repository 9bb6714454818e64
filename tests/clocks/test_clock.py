"""Lines to times: which clock gives the time of a record, in which zone, in which year."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock_cases import CASES
from support.clock_lines import Line, cpp, gin, go, outer, short, slog

from erranalytics import schema
from erranalytics.clocks import timestamps, wrapper_stamps, years, zones
from erranalytics.clocks.clock import Clock, first_clock
from erranalytics.parsing import framing, lineformats
from erranalytics.parsing.events import parse

BOOK = lineformats.load()
MTIME = datetime(2026, 6, 1, tzinfo=UTC)


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
    clock = first_clock("\n".join(line.raw for line in lines), mtime=mtime, default_tz=tz, year=year)
    found: list[str] = []
    for start, end in zip((0, *cuts), (*cuts, len(lines)), strict=True):
        events, clock = parse(table[start:end], book=BOOK, clock=clock)
        assert events.schema == schema.EVENTS
        clock = Clock.from_json(json.loads(json.dumps(clock.as_json())))
        text = events.select(
            pl.concat_str(pl.col("ts").dt.to_string("%F %T").fill_null("-"), "ts_source", separator=" ")
        )
        found += text.to_series().to_list()
    return found


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
    clock = first_clock(SAMPLES[form], mtime=MTIME, default_tz="UTC")
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


@pytest.mark.slow
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
    """The column of a stamp says what the stamp leaves open."""
    table = pl.DataFrame(
        {
            "stamp": ["Mar 01 10:00:00", "2026-03-01 10:00:00", "12.5", "12.5", None],
            "clock": ["journal short", "journal naive", "journal monotonic", "journal unix", None],
        }
    )
    columns = wrapper_stamps.read(table)
    assert columns.schema == wrapper_stamps.COLUMNS
    assert columns.select(pl.sum_horizontal(pl.all().is_not_null())).to_series().to_list() == [1, 1, 1, 1, 0]


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
