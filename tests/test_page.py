"""The HTML page: one file, the numbers of the other forms, no text of a log that is more than text, nothing loaded."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import browser
import duckdb
import polars as pl
import pytest
from test_render import awkward
from test_reports import NOW, add_causes, add_incident, add_requests, empty_store, insert, small_store

from erranalytics import api, catalogue, cells, charts, page, render, reports
from erranalytics.catalogue import Column
from erranalytics.charts import Chart
from erranalytics.reports import Result

ROOT = Path(__file__).resolve().parent.parent
REPORTS = [name for name, report in catalogue.catalogue().items() if not report.header.part]
# What it would do in a page that took it for markup: change the title, ask for a picture, turn text around.
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</style></title></table>{{ 7 * 7 }} &lt;b&gt; \u202e\x1b[31m\x07\x9b \u200f"
)


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, the texts of style and script, and the tables."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.tables: dict[str, list[dict[str, tuple[str, str | None]]]] = {}
        self._open: list[str] = []
        self._heads: list[str] = []
        self._cell: tuple[str, str | None] | None = None
        self._said = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.elements.append((tag, values))
        if tag not in ("meta", "link", "br"):
            self._open.append(tag)
        if "data-report" in values:
            self.tables[values["data-report"]] = []
        elif tag == "table":
            self._heads = []
        elif tag == "th":
            self._heads.append(values["data-column"])
        elif tag == "tbody":
            self._rows.append({})
        elif (tag == "td" and "colspan" not in values) or (tag in ("p", "span") and "data-column" in values):
            name = values.get("data-column") or self._heads[len(self._rows[-1])]
            self._cell, self._said = (name, values.get("data-value")), ""
            self._closing = len(self._open)

    @property
    def _rows(self) -> list[dict[str, tuple[str, str | None]]]:
        return list(self.tables.values())[-1]

    def handle_endtag(self, tag: str) -> None:
        if self._cell and len(self._open) == self._closing:
            name, value = self._cell
            self._rows[-1][name] = (self._said, value)
            self._cell = None
        assert self._open[-1] == tag, (self._open, tag)
        self._open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)
        self._said += data

    @property
    def said(self) -> str:
        """All text of the page."""
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("style", "script") for text in texts)


def drawn(names: list[str], connection: duckdb.DuckDBPyConnection, **params: object) -> str:
    """The page of some reports, as the command line makes it."""
    results = reports.for_page(names, connection=connection, params=params, now=NOW)
    out = io.BytesIO()
    render.write(results, format="html", out=out)
    return out.getvalue().decode()


@pytest.fixture(scope="module")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """The small store of the reports, with some requests that took their time."""
    connection = small_store()
    for day, seconds in ((1, 2), (1, 40), (3, 3), (12, 900)):
        add_requests(connection, 1, NOW - timedelta(days=day), endpoint="/api/embed", duration_us=seconds * 10**6)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def whole(store: duckdb.DuckDBPyConnection) -> str:
    """The page of the small store, with all its charts and tables."""
    return drawn([], store)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store whose log, host and models are written by an enemy, and real logs beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    stamp = "2026-11-20T17:0{}:00.000Z"
    words = json.dumps(HOSTILE, ensure_ascii=False)
    log = [
        f'time={stamp.format(0)} level=INFO source=routes.go:1 msg="Listening on 127.0.0.1:11434 (version 0.24.0)"',
        f"time={stamp.format(1)} level=ERROR source=sched.go:1 msg={words} error={words}",
        f'time={stamp.format(2)} level=INFO source=sched.go:470 msg="Load failed" model={words} error="model requires more system memory (23.0 GiB) than is available (1.0 GiB) {HOSTILE}"',
        f"cudaMalloc failed: out of memory {HOSTILE}",
        f"panic: {HOSTILE}",
        '[GIN] 2026/11/20 - 17:03:00 | 500 |     123.4µs |  127.0.0.1 | POST     "/api/chat"',
    ]
    (folder / "hostile.log").write_text("\n".join(log) + "\n", encoding="utf-8")
    done = api.ingest(
        [folder / "hostile.log", ROOT / "sample_logs" / "server" / "oom-0.24.0.log"],
        db=folder / "enemy <b>.duckdb",
        host="<i>gpu01</i>",
    )
    assert not done.faults
    connection = api.connect(folder / "enemy <b>.duckdb")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def pages(hostile: duckdb.DuckDBPyConnection) -> list[str]:
    """What that store makes: the whole page, and one of reports that quote the log."""
    return [drawn([], hostile), drawn(["incidents", "unknown-errors", "error-frequency", "oom-incidents"], hostile)]


# --- nothing but the page ------------------------------------------------------------------------------------------


def test_log_text_is_text(pages: list[str]) -> None:
    """What an enemy wrote is read as he wrote it, and is no element."""
    for text in pages:
        reader = Reader(text)
        tags = [tag for tag, _ in reader.elements]
        assert tags.count("script") == tags.count("style") == 1
        assert not {"img", "i", "iframe", "object", "embed"} & set(tags)
        assert "<script>document.title='owned'</script><img src=x onerror=" in reader.said
        assert "{{ 7 * 7 }}" in reader.said


def test_control_and_direction_characters_are_shown(pages: list[str]) -> None:
    """None of them is in the page, not even in an attribute; each can be read as its escape."""
    text = "".join(pages)
    assert not cells.UNSAFE.search(text.replace("\n", ""))
    assert "\\u202e" in text
    assert all(shown in page.write([awkward()]) for shown in ("\\x1b[31m", "\\u202e", "\\x9b"))


def test_policy_lets_in_one_style_and_one_script(whole: str) -> None:
    """The hashes are those of the very texts between the tags; nothing else may come from anywhere."""
    reader = Reader(whole)
    metas = [attrs for tag, attrs in reader.elements if tag == "meta"]
    (policy,) = [one["content"] for one in metas if one.get("http-equiv") == "Content-Security-Policy"]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for tag, key in (("style", "style-src"), ("script", "script-src")):
        (text,) = reader.texts[tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert parts.pop(key) == f"'sha256-{digest}'"
    assert parts == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_page_loads_nothing(pages: list[str]) -> None:
    """No address but places on the page itself, no handler and no style in an attribute."""
    for tag, attrs in Reader("".join(pages)).elements:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, attrs)
            assert name not in ("style", "src", "srcset", "action", "srcdoc", "data", "xlink:href"), (tag, attrs)
            if name == "href":
                assert value == "data:," or re.fullmatch(r"#[a-z-]+", value), (tag, attrs)


def test_every_reference_on_the_page_leads_somewhere(whole: str) -> None:
    """Links and descriptions name an element that is there, once."""
    elements = Reader(whole).elements
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = {attrs["href"][1:] for tag, attrs in elements if tag == "a"}
    wanted |= {attrs["aria-describedby"] for _, attrs in elements if "aria-describedby" in attrs}
    assert wanted <= set(ids)
    assert len(wanted) > 10


# --- the numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS)
def test_cells_are_those_of_json_and_of_the_table(name: str, store: duckdb.DuckDBPyConnection) -> None:
    """Each cell holds the value of the JSON form and shows the text of the table form."""
    (result,) = [one for one in reports.answer([name], connection=store, now=NOW) if one.name == name]
    out = io.BytesIO()
    render.write([result], format="json", out=out)
    rows = json.loads(out.getvalue())
    if name == "overview":  # it is told in words
        text = Reader(drawn([name], store)).said
        assert f"{rows[0]['incident_count']} failures, {rows[0]['critical_count']} of them critical" in text
        return
    found = Reader(drawn([name], store)).tables[name]
    assert len(found) == len(rows) == result.frame.height
    for row, json_row, values in zip(found, rows, result.frame.iter_rows(), strict=True):
        for column, value in zip(result.columns, values, strict=True):
            wanted = json_row[column.name]
            if column.name not in row:  # what is empty does not hang below a row
                assert column.below
                assert wanted in (None, "", [])
                continue
            text, raw = row[column.name]
            assert text.strip() == cells.shown(value, column, short=True).strip()
            assert (text if raw is None else json.loads(raw)) == (cells.printable(wanted) if isinstance(wanted, str) and raw is None else wanted)  # fmt: skip


def test_awkward_values_survive() -> None:
    """Large integers, infinities, lists and texts of every kind are the same in the page and in JSON."""
    result = awkward(tz="Europe/Berlin")
    out = io.BytesIO()
    render.write([result], format="json", out=out)
    for row, wanted in zip(Reader(page.write([result])).tables["awkward"], json.loads(out.getvalue()), strict=True):
        for name, value in wanted.items():
            text, raw = row[name]
            assert (cells.printable(value) == text) if raw is None else (json.loads(raw) == value), name


def test_numbers_stand_at_the_right(store: duckdb.DuckDBPyConnection) -> None:
    """Every head and cell of a number has the class that aligns it; texts have not."""
    elements = Reader(drawn(["error-frequency"], store)).elements
    heads = {attrs["data-column"]: attrs.get("class") for tag, attrs in elements if tag == "th"}
    assert heads["incident_count"] == heads["share"] == "number"
    assert heads["code"] is None
    numbers = [attrs for tag, attrs in elements if tag == "td" and re.fullmatch(r"[\d.]+", attrs.get("data-value", ""))]
    assert numbers
    assert {attrs["class"] for attrs in numbers} == {"number"}


def test_page_agrees_with_the_reports(store: duckdb.DuckDBPyConnection) -> None:
    """What the charts count is what overview and reports count."""

    def rows(name: str, **params: object) -> list[dict[str, Any]]:
        return reports.run(name, connection=store, params=params, now=NOW).frame.to_dicts()

    for period in ({}, {"since": "-7d"}, {"host": "gpu01"}, {"host": "elsewhere"}):
        (overview,) = rows("overview", **period)
        assert sum(row["incident_count"] for row in rows("page-errors", **period)) == overview["incident_count"]
        streams, whole = rows("page-streams", **period), rows("streaming-failures", **period)
        keys = ("failed_count", "truncated_count", "cancelled_count", "suspected_count")
        total = whole[-1] if whole else dict.fromkeys((*keys, "stream_count"), 0)
        for key in keys:
            assert sum(row[key] for row in streams) == total[key]
        assert (
            sum(value for row in streams for key, value in row.items() if key.endswith("_count"))
            == total["stream_count"]
        )
    assert [row["session_id"] for row in rows("page-sessions")] == [1]


@pytest.mark.parametrize(
    ("span", "width", "count"),
    [
        (timedelta(0), "minute", 1),
        (timedelta(minutes=119), "minute", 120),
        (timedelta(hours=2), "hour", 3),
        (timedelta(days=5), "day", 6),
        (timedelta(days=140), "week", 21),
        (timedelta(days=1000), "month", 34),
        (timedelta(days=5000), "year", 14),
    ],
)
def test_steps_are_as_wide_as_the_period_needs(span: timedelta, width: str, count: int) -> None:
    """A chart has between one and some 120 steps, and steps without any failure are among them."""
    connection = empty_store()
    add_source(connection, NOW - span, NOW)
    for name in ("page-errors", "page-streams", "page-latency"):
        frame = reports.run(name, connection=connection).frame
        assert set(frame["width"]) == {width}
        assert frame.height == count
    wide = reports.for_page([], connection=connection, params={"bucket": "week"})
    assert {one.frame["width"][0] for one in wide if one.name in ("page-errors", "page-latency")} == {"week"}


def test_percentiles_are_those_of_the_durations() -> None:
    """Half, nine tenths and 99 hundredths of 200 requests; refused ones and polls are not among them."""
    connection = empty_store()
    add_source(connection, NOW - timedelta(minutes=1), NOW)
    for at in range(200):
        add_requests(connection, 1, NOW, duration_us=1000 * (at + 1))
    add_requests(connection, 50, NOW, status=503, duration_us=1)
    add_requests(connection, 50, NOW, is_inference=False, is_poll=True, outcome=None, duration_us=1)
    row = reports.run("page-latency", connection=connection).frame.to_dicts()[-1]
    del row["bucket"]
    assert row == {"width": "minute", "request_count": 200, "p50_us": 100_000, "p90_us": 180_000, "p99_us": 198_000}


def add_source(connection: duckdb.DuckDBPyConnection, first: datetime, last: datetime) -> None:
    """An input of that period."""
    row = {"source_id": 1, "uri": "a", "wrapper": "plain", "encoding": "utf-8", "compression": "none"}
    insert(connection, "sources", **row, first_ts=first, last_ts=last, byte_count=1, line_count=1, head_digest="a",
           content_digest="a")  # fmt: skip


# --- none, one, many -----------------------------------------------------------------------------------------------


def test_page_of_an_empty_store_says_what_to_do() -> None:
    """One sentence and one command; no chart, no table."""
    reader = Reader(drawn([], empty_store()))
    assert "Nothing here yet" in reader.said
    assert "journalctl -u ollama -o json | erranalytics ingest -" in reader.said
    assert reader.tables == {}
    assert not [tag for tag, _ in reader.elements if tag in ("figure", "svg", "nav")]


def test_page_of_one_event() -> None:
    """One refused request is one failure, one bar and one row, and no rate is judged."""
    connection = empty_store()
    add_causes(connection)
    add_source(connection, NOW, NOW)
    add_incident(connection, 1, NOW, code="OVL001", requests=1)
    add_requests(connection, 1, NOW, status=503, code="OVL001", incident_id=1)
    reader = Reader(drawn([], connection))
    assert reader.texts["h1"] == ["1 failure"]
    assert [row["code"][0] for row in reader.tables["incidents"]] == ["OVL001"]
    assert (
        len(
            [attrs for tag, attrs in reader.elements if tag == "rect" and attrs["class"] == "series-1" and "x" in attrs]
        )
        == 1
    )
    assert "too few" in reader.said


def test_tables_are_cut_and_say_where_the_rest_is(store: duckdb.DuckDBPyConnection) -> None:
    """A hundred thousand rows make a page of a few megabytes; the command for the rest repeats what was asked."""
    given = {"since": "-7d", "tz": "Europe/Berlin"}
    names = ("page", "page-errors", "incidents")
    whole = [reports.run(name, connection=store, params=given, now=NOW) for name in names]
    big = [many(one) if one.name == "incidents" else one for one in whole]
    text = page.write(big)
    reader = Reader(text)
    assert len(text) < 400_000
    assert len(reader.tables["incidents"]) == page.ROWS_ON_A_PAGE
    assert f"{100_000 - page.ROWS_ON_A_PAGE:,} more:" in reader.said
    assert "erranalytics report incidents --since 2026-11-13T18:00:00Z --tz Europe/Berlin" in reader.said
    named = page.write([many(one) for one in whole if one.name == "incidents"])
    assert len(Reader(named).tables["incidents"]) == page.ROWS_ASKED_FOR
    assert len(named) < 4_000_000


def many(result: Result) -> Result:
    """The result with a hundred thousand rows."""
    frame = pl.concat([result.frame] * (100_000 // result.frame.height + 1)).head(100_000)
    return Result(result.name, result.title, result.columns, frame, result.notes, result.tz, result.params)


def test_a_command_that_is_shown_is_quoted() -> None:
    """A host or model named by a log cannot become a command of the reader's shell."""
    one = Result("incidents", "", (), pl.DataFrame(), params={"host": "gpu; rm -rf ~", "by": "x", "tz": "UTC"})
    assert page._command("incidents", one) == "erranalytics report incidents --host 'gpu; rm -rf ~'"
    by = Result("streaming-failures", "", (), pl.DataFrame(), params={"by": "model", "min_count": 50})
    assert (
        page._command("streaming-failures", by)
        == "erranalytics report streaming-failures --min-count 50 --param by=model"
    )
    assert page._command("sql", one) == ""


def test_footer_says_what_was_not_visible(hostile: duckdb.DuckDBPyConnection) -> None:
    """The blind spots, the period, the zone, the version, and the file of the store without its folder."""
    notes = reports.run("coverage", connection=hostile).frame["note"].to_list()
    text = drawn([], hostile, tz="Europe/Berlin")
    footer = Reader(text[text.index("<footer>") :].partition("<script>")[0]).said
    assert notes
    assert all(note in footer for note in notes)
    assert "store enemy <b>.duckdb: 2 sources, " in footer
    assert re.search(r"from 20\d\d-\d\d-\d\d \d\d:\d\d to 20\d\d", footer)
    assert "times in Europe/Berlin" in footer
    assert re.search(r"erranalytics \d+\.\d+", footer)
    (folder,) = hostile.sql("select parse_dirpath(path) from duckdb_databases() where path is not null").fetchall()
    assert len(folder[0]) > 5
    assert folder[0] not in text


def test_the_same_store_gives_the_same_bytes(store: duckdb.DuckDBPyConnection, whole: str) -> None:
    """No time of writing, no random name: two pages can be compared."""
    assert drawn([], store) == whole


# --- charts --------------------------------------------------------------------------------------------------------


def chart(name: str, connection: duckdb.DuckDBPyConnection, **params: object) -> Chart:
    """The chart of one result."""
    (one,) = charts.of([reports.run(name, connection=connection, params=params, now=NOW)])
    return one


@pytest.mark.parametrize("name", charts.CHARTS)
def test_charts_are_complete(name: str, store: duckdb.DuckDBPyConnection) -> None:
    """Each has a title, labels of both axes, a text that says the same, and marks inside its box."""
    one = chart(name, store)
    assert not one.is_empty
    assert one.title
    assert one.told.endswith(".")
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
    assert one.told.startswith("No ")


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
    assert one.told.startswith("5 failures: memory 3, ")
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
    assert "2026-11-14 18:00 · qwen3:32b · CUDA0: 23.0 GiB needed, 19.6 GiB free" in one.told


def test_a_crash_is_marked_in_the_timeline(store: duckdb.DuckDBPyConnection) -> None:
    """A cross stands at the end of a run that crashed, and the text says so."""
    one = chart("page-sessions", store)
    (cross,) = [mark for mark in one.marks if mark.kind == "cross"]
    assert cross.x == 100
    assert "crashed" in cross.text
    assert one.told == "1 run on 1 host: crashed 1."


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


# --- looks ---------------------------------------------------------------------------------------------------------


def colours() -> dict[str, dict[str, str]]:
    """The colours of the style sheet in both schemes."""
    css = (ROOT / "erranalytics" / "pages" / "style.css").read_text(encoding="utf-8")
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
    css = (ROOT / "erranalytics" / "pages" / "style.css").read_text(encoding="utf-8")
    used = {mark.style for name in charts.CHARTS for mark in chart(name, store).marks if mark.kind == "rect"}
    used |= {f"series-{place}" for place in range(1, 8)} | {f"run-{reason}" for reason in charts._ENDS}
    used |= {f"stream-{key}" for key, _, _ in charts._STREAMS}
    assert not [name for name in used if f".{name} {{" not in css]


# --- the command ---------------------------------------------------------------------------------------------------


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """One call of the program."""
    line = [sys.executable, "-m", "erranalytics", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, check=False, **options)


def test_html_is_a_form_like_the_others(hostile: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """``--html FILE``, ``-f html -o FILE`` and standard output give the same bytes; contradictions are refused."""
    ((path,),) = hostile.sql("select path from duckdb_databases() where path is not null").fetchall()
    db = ("--db", path)
    assert command("report", "error-frequency", "--html", str(tmp_path / "a.html"), *db).returncode == 0
    assert command("report", "error-frequency", "-f", "html", "-o", str(tmp_path / "b.html"), *db).returncode == 0
    told = command("report", "error-frequency", "-f", "html", *db)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes() == told.stdout
    assert told.stdout.startswith(b"<!doctype html>")
    refused = command("report", "--html", str(tmp_path / "c.html"), "-f", "csv", *db)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"--html says the form and the file already" in refused.stderr
    asked = command("sql", "select 1 as one", "-f", "html", *db)
    assert Reader(asked.stdout.decode()).tables == {"sql": [{"one": ("1", "1")}]}


def test_templates_are_read_only_when_a_page_is_made() -> None:
    """Neither the help nor another form loads jinja2."""
    code = "import sys, erranalytics.cli, erranalytics.render; print('jinja2' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


# --- in a browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    """A headless Chromium."""
    if browser.CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    with browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_browser_would_tell(tab: browser.Page, tmp_path: Path) -> None:
    """The means of the next tests: a page that loads, fails and runs a script of its own is found out."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'; img-src file:\"><title>good</title>"
        f"<img src=nothing.png>{HOSTILE}<script src=other.js></script><script>nobody()</script>",
        encoding="utf-8",
    )
    tab.open(bad)
    assert tab.value("document.title") == "owned"
    assert any("nothing.png" in url for url in tab.requests())
    assert any("nobody" in fault for fault in tab.faults())
    assert any("Content Security Policy" in fault for fault in tab.faults())


def test_nothing_happens_in_a_browser(tab: browser.Page, pages: list[str], tmp_path: Path) -> None:
    """No word on the console, no request, and what a log says is not carried out."""
    path = tmp_path / "page.html"
    for text in pages:
        path.write_text(text, encoding="utf-8")
        tab.open(path)
        assert tab.value("document.title") != "owned"
        assert tab.value("document.querySelectorAll('img, script[src], link:not([rel=icon]), iframe').length") == 0
        assert tab.value("document.body.textContent.includes('<script>document.title')")
        assert (tab.faults(), tab.requests()) == ([], [])


def test_page_fits_every_width(tab: browser.Page, whole: str, tmp_path: Path) -> None:
    """On a telephone, a desk and a wall, light and dark and on paper: the page itself never scrolls sideways."""
    path = tmp_path / "page.html"
    path.write_text(whole, encoding="utf-8")
    grounds = set()
    for width in (320, 400, 1000, 1600):
        for scheme in ("light", "dark"):
            tab.show(width=width, scheme=scheme)
            tab.open(path)
            assert tab.value("document.documentElement.scrollWidth") <= width, (width, scheme)
            # Text inside charts is as large as text around them, however narrow the page.
            assert tab.value("Math.min(...Array.from(document.querySelectorAll('svg text'), t => t.getBoundingClientRect().height))") >= 12  # fmt: skip
            grounds.add((scheme, tab.value("getComputedStyle(document.body).backgroundColor")))
    assert len(grounds) == 2
    tab.show(width=1000, scheme="dark", medium="print")
    tab.open(path)
    assert tab.value("getComputedStyle(document.body).color") == "rgb(27, 32, 38)"
    assert tab.faults() == []


def test_tables_sort_by_click_and_by_key(tab: browser.Page, store: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Numbers as numbers, the largest first; again, the other way; what has no value stays last; texts by alphabet."""
    path = tmp_path / "page.html"
    path.write_text(drawn(["error-frequency", "oom-incidents"], store), encoding="utf-8")
    tab.show(width=1000)
    tab.open(path)
    place = "document.querySelector('#{} th[data-column={}]')"

    def column(report: str, at: int) -> list[str]:
        rows = f"document.querySelectorAll('#{report} tbody')"
        return tab.value(f"Array.from({rows}, body => body.rows[0].cells[{at}].textContent)")

    def click(report: str, name: str) -> str:
        head = place.format(report, name)
        tab.value(f"{head}.querySelector('button').click()")
        return tab.value(f"{head}.getAttribute('aria-sort')")

    errors = sorted((row["error_count"][0] for row in Reader(path.read_text()).tables["error-frequency"]), key=int)
    assert click("error-frequency", "error_count") == "descending"
    assert column("error-frequency", 2) == errors[::-1]
    assert click("error-frequency", "error_count") == "ascending"
    assert column("error-frequency", 2) == errors
    assert click("error-frequency", "code") == "ascending"
    assert column("error-frequency", 0) == sorted(column("error-frequency", 0))
    assert tab.value("document.querySelectorAll('#error-frequency [aria-sort]').length") == 1
    # Rows that hang below go with their row.
    assert (
        tab.value("document.querySelector('#error-frequency tbody .title').textContent")
        == "CUDA could not reserve a buffer while loading."
    )
    for direction in ("descending", "ascending"):
        assert click("oom-incidents", "missing_bytes") == direction
        shown = column("oom-incidents", 5)
        assert shown[-1] == "–"
        assert "–" not in shown[: len(shown) - shown.count("–")]
    tab.value(f"{place.format('oom-incidents', 'first_ts')}.querySelector('button').focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        tab.ask(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            windowsVirtualKeyCode=13,
            text="\r" * (kind == "char"),
        )
    assert tab.value(f"{place.format('oom-incidents', 'first_ts')}.getAttribute('aria-sort')") == "descending"
    assert column("oom-incidents", 0) == sorted(column("oom-incidents", 0), reverse=True)
    assert tab.faults() == []


def test_every_column_can_be_sorted(tab: browser.Page, tmp_path: Path) -> None:
    """Times of several zones, lists, NaN and NULL: no value stops the script."""
    rows = {
        "moment": [NOW, None, datetime(2025, 1, 1, tzinfo=UTC)],
        "words": [["b"], None, ["a", "c"]],
        "share": [0.5, float("nan"), None],
        "text": ["10", "9", None],
    }
    kinds = {"moment": "timestamptz", "words": "varchar[]", "share": "double", "text": "varchar"}
    columns = tuple(Column(name=name, type=kind) for name, kind in kinds.items())
    path = tmp_path / "page.html"
    path.write_text(page.write([Result("odd", "Odd", columns, pl.DataFrame(rows))]), encoding="utf-8")
    tab.open(path)
    for at, name in enumerate(kinds):
        for _ in range(2):
            tab.value(f"document.querySelector('th[data-column={name}] button').click()")
        column = tab.value(
            f"Array.from(document.querySelectorAll('tbody'), body => body.rows[0].cells[{at}].textContent)"
        )
        assert column[-1] in ("–", "nan"), name
    assert column[:2] == ["10", "9"]
    assert tab.faults() == []
