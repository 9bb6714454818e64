"""The charts of the HTML page: complete, in proportion, and in colours that can be told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import duckdb
import pytest
from support.folders import ROOT
from support.page_reader import page_store
from support.stores import NOW, empty_store

from erranalytics.output.html import charts
from erranalytics.output.html.charts import Chart
from erranalytics.reports import runner


@pytest.fixture(scope="module")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """The small store of the reports, with some requests that took their time."""
    connection = page_store()
    yield connection
    connection.close()


# --- charts -----------------------------------------------------------------------------------------------------------


def chart(name: str, connection: duckdb.DuckDBPyConnection, **params: object) -> Chart:
    """The chart of one result."""
    (one,) = charts.charts_of([runner.run(name, connection=connection, params=params, now=NOW)])
    return one


@pytest.mark.parametrize("name", charts.CHARTS)
def test_charts_are_complete(name: str, store: duckdb.DuckDBPyConnection) -> None:
    """Each has a title, labels of both axes, a text that says the same, and marks inside its box."""
    one = chart(name, store)
    assert not one.is_empty
    assert one.title
    assert one.summary.endswith(".")
    assert one.y_label
    assert re.search(r"time \(UTC\)|GiB", one.x_label)
    for mark in one.marks:
        assert mark.x >= 0
        assert mark.x + mark.width <= 100.001
        assert mark.y >= 0
        assert mark.y + mark.height <= one.height
    assert all(mark.text for mark in one.marks if mark.kind in ("rect", "text", "cross"))


@pytest.mark.parametrize("name", charts.CHARTS)
def test_charts_of_nothing_say_so(name: str) -> None:
    """Without rows there is a sentence and no empty frame of axes."""
    one = chart(name, empty_store())
    assert one.is_empty
    assert one.summary.startswith("No ")


def test_stacked_bars_are_as_high_as_what_they_count(store: duckdb.DuckDBPyConnection) -> None:
    """The bars of a day stand on each other, in the proportion of their numbers, up to the day's total."""
    one = chart("page-errors", store, since="-7d")
    bars = [mark for mark in one.marks if mark.kind == "rect"]
    lines = {mark.text: mark.y - 4 for mark in one.marks if mark.kind == "text" and mark.anchor == "end" and mark.shift}
    unit = lines["0"] - lines["1"]
    for bar in bars:
        count = int(re.search(r": (\d+) ", bar.text)[1])
        assert bar.height == pytest.approx(count * unit)
    total = sum(bar.height for bar in bars) / unit
    assert total == 5
    assert one.summary.startswith("5 failures: memory 3, ")
    by_day: dict[float, list[Any]] = {}
    for bar in bars:
        by_day.setdefault(bar.x, []).append(bar)
    for day in by_day.values():
        assert day[0].y + day[0].height == pytest.approx(charts.PLOT_HEIGHT)
        for lower, upper in pairwise(day):
            assert upper.y + upper.height == pytest.approx(lower.y)


def test_memory_bars_share_one_scale(store: duckdb.DuckDBPyConnection) -> None:
    """23.0 GiB needed is 23.0 / 19.6 as long as 19.6 GiB free; failures without numbers are counted in words."""
    one = chart("oom-incidents", store)
    needed, free = (next(m for m in one.marks if m.style == f"memory-{word}" and "qwen3:32b" in m.text) for word in ("needed", "free"))  # fmt: skip
    assert needed.width / free.width == pytest.approx(23 / 19.6, rel=1e-6)
    assert "23.0 GiB needed" in [mark.text for mark in one.marks]
    assert "2026-11-14 18:00 · qwen3:32b · CUDA0: 23.0 GiB needed, 19.6 GiB free" in one.summary


def test_a_crash_is_marked_in_the_timeline(store: duckdb.DuckDBPyConnection) -> None:
    """A cross stands at the end of a run that crashed, and the text says so."""
    one = chart("page-sessions", store)
    (cross,) = [mark for mark in one.marks if mark.kind == "cross"]
    assert cross.x == 100
    assert "crashed" in cross.text
    assert one.summary == "1 run on 1 host: crashed 1."


def test_runs_that_overlap_stand_below_each_other() -> None:
    """Of files without a host nobody knows the machine: their runs never hide each other."""
    at = [NOW + timedelta(hours=hour) for hour in range(4)]
    rows = [{"first_ts": first, "last_ts": last} for first, last in ((at[0], at[2]), (at[1], at[3]), (at[2], at[3]))]
    assert [lane for lane, _ in charts._lanes(rows)] == [0, 1, 0]


@pytest.mark.parametrize(("highest", "expected"), [(0, [0, 1]), (1, [0, 1]), (3, [0, 1, 2, 3]), (7, [0, 2, 4, 6, 8]),
                                                   (23, [0, 10, 20, 30]), (1_000_000, [0, 500_000, 1_000_000])])  # fmt: skip
def test_scales_are_round(highest: int, expected: list[int]) -> None:
    """Steps of 1, 2 or 5 times a power of ten that reach the highest value."""
    assert charts.steps(highest) == expected


# --- looks ------------------------------------------------------------------------------------------------------------


def colours() -> dict[str, dict[str, str]]:
    """The colours of the style sheet in both schemes."""
    css = (ROOT / "erranalytics" / "output" / "html" / "templates" / "style.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    )
    return {"light": light, "dark": light | dark}


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(scheme: str) -> None:
    """Text has a contrast of 4.5 on page and cards, bars one of 3."""
    found = colours()[scheme]
    for name in ("ink", "quiet", "accent", "critical", "error", "warning", "info", "good"):
        assert min(contrast(found[name], found[ground]) for ground in ("paper", "card")) >= 4.5, name
    for name in [name for name in found if name.startswith("series")]:
        assert contrast(found[name], found["card"]) >= 3, name


def test_every_class_of_a_chart_has_a_style(store: duckdb.DuckDBPyConnection) -> None:
    """A mark without a rule would be black in both schemes."""
    css = (ROOT / "erranalytics" / "output" / "html" / "templates" / "style.css").read_text(encoding="utf-8")
    used = {mark.style for name in charts.CHARTS for mark in chart(name, store).marks if mark.kind == "rect"}
    used |= {f"series-{place}" for place in range(1, 8)} | {f"run-{reason}" for reason in charts._ENDS}
    used |= {f"stream-{key}" for key, _, _ in charts._STREAMS}
    assert not [name for name in used if f".{name} {{" not in css]
