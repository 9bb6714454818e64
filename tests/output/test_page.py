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
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from support.folders import ROOT
from support.page_reader import Reader, drawn, page_store
from support.results import awkward
from support.stores import NOW, add_causes, add_incident, add_requests, add_source, empty_store

from erranalytics.output import render
from erranalytics.output.html import page
from erranalytics.reports import catalogue, runner
from erranalytics.reports import values as report_values
from erranalytics.reports.runner import Result
from erranalytics.text import display

REPORTS = [name for name, report in catalogue.catalogue().items() if not report.header.part]


@pytest.fixture(scope="module")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """The small store of the reports, with some requests that took their time."""
    connection = page_store()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def whole(store: duckdb.DuckDBPyConnection) -> str:
    """The page of the small store, with all its charts and tables."""
    return drawn([], store)


# --- nothing but the page ---------------------------------------------------------------------------------------------


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
    assert not display.UNSAFE.search(text.replace("\n", ""))
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


# --- the numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS)
def test_cells_are_those_of_json_and_of_the_table(name: str, store: duckdb.DuckDBPyConnection) -> None:
    """Each cell holds the value of the JSON form and shows the text of the table form."""
    (result,) = [one for one in runner.answer([name], connection=store, now=NOW) if one.name == name]
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
            assert text.strip() == report_values.shown(value, column, short=True).strip()
            assert (text if raw is None else json.loads(raw)) == (display.printable(wanted) if isinstance(wanted, str) and raw is None else wanted)  # fmt: skip


def test_awkward_values_survive() -> None:
    """Large integers, infinities, lists and texts of every kind are the same in the page and in JSON."""
    result = awkward(tz="Europe/Berlin")
    out = io.BytesIO()
    render.write([result], format="json", out=out)
    for row, wanted in zip(Reader(page.write([result])).tables["awkward"], json.loads(out.getvalue()), strict=True):
        for name, value in wanted.items():
            text, raw = row[name]
            assert (display.printable(value) == text) if raw is None else (json.loads(raw) == value), name


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
        return runner.run(name, connection=store, params=params, now=NOW).frame.to_dicts()

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
        frame = runner.run(name, connection=connection).frame
        assert set(frame["width"]) == {width}
        assert frame.height == count
    wide = runner.for_page([], connection=connection, params={"bucket": "week"})
    assert {one.frame["width"][0] for one in wide if one.name in ("page-errors", "page-latency")} == {"week"}


def test_percentiles_are_those_of_the_durations() -> None:
    """Half, nine tenths and 99 hundredths of 200 requests; refused ones and polls are not among them."""
    connection = empty_store()
    add_source(connection, NOW - timedelta(minutes=1), NOW)
    for at in range(200):
        add_requests(connection, 1, NOW, duration_us=1000 * (at + 1))
    add_requests(connection, 50, NOW, status=503, duration_us=1)
    add_requests(connection, 50, NOW, is_inference=False, is_poll=True, outcome=None, duration_us=1)
    row = runner.run("page-latency", connection=connection).frame.to_dicts()[-1]
    del row["bucket"]
    assert row == {"width": "minute", "request_count": 200, "p50_us": 100_000, "p90_us": 180_000, "p99_us": 198_000}


# --- none, one, many --------------------------------------------------------------------------------------------------


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
    whole = [runner.run(name, connection=store, params=given, now=NOW) for name in names]
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
    notes = runner.run("coverage", connection=hostile).frame["note"].to_list()
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


# --- the command ------------------------------------------------------------------------------------------------------


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
    assert b"--html sets the format and the file already" in refused.stderr
    asked = command("sql", "select 1 as one", "-f", "html", *db)
    assert Reader(asked.stdout.decode()).tables == {"sql": [{"one": ("1", "1")}]}


def test_templates_are_read_only_when_a_page_is_made() -> None:
    """Neither the help nor another form loads jinja2."""
    code = "import sys, erranalytics.cli.main, erranalytics.output.render; print('jinja2' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
