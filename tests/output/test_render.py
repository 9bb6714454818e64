"""Output: the bytes of every format, and that nothing from a log can steer a terminal or a page."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from support.folders import TESTS
from support.results import awkward

import erranalytics as ea
from erranalytics import errors
from erranalytics.cli import diagnostics
from erranalytics.errors import ErranalyticsError, ReportError, StoreError, UsageError
from erranalytics.output import render
from erranalytics.output.overview import overview_lines
from erranalytics.reports import runner
from erranalytics.reports.runner import Column, Result
from erranalytics.reports.values import duration, label, percent
from erranalytics.text.display import human_bytes, printable

GOLDEN = TESTS / "golden"
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


def written(results: list[Result], format: str, **options: Any) -> str:
    """What a command would write, as text."""
    out = io.BytesIO()
    render.write(results, format=format, out=out, **options)
    return out.getvalue().decode()


def check_golden(name: str, text: str) -> None:
    """Compare with a file of ``golden``; ``UPDATE_GOLDEN=1`` writes it."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(text.encode())
    assert path.read_bytes().decode() == text


# Parquet is bytes, and a page has its own tests; both are held against the others in test_forms_agree.py.
TEXTS = sorted(render.FORMATS.keys() - {"parquet", "html"})


@pytest.mark.parametrize("format", TEXTS)
def test_golden(format: str) -> None:
    """The bytes of a format are its contract."""
    check_golden(f"awkward.{format}", written([awkward()], format))


@pytest.mark.parametrize("width", [80, 200])
def test_golden_table_on_a_terminal(width: int) -> None:
    """In few cells the columns go below each other, never past the edge."""
    check_golden(f"awkward-{width}.table", written([awkward()], "table", width=width))


def test_golden_of_several_reports_in_color() -> None:
    """Several results stand under their titles; colour is for heads, severities and notes."""
    columns = (Column(name="severity", type="varchar"), Column(name="incident_count", type="bigint"))
    one = Result("one", "One", columns, pl.DataFrame({"severity": ["critical"], "incident_count": [3]}), ("nothing",))
    none = Result("none", "None", columns, one.frame.clear())
    check_golden("several.table", written([one, none], "table", color=True, width=80))
    check_golden("several.md", written([one, none], "md"))
    check_golden("several.json", written([one, none], "json"))
    check_golden("several.jsonl", written([one, none], "jsonl"))
    check_golden("several.csv", written([one, none], "csv"))


def test_text_formats_agree() -> None:
    """What has no unit and is no time reads the same in table, csv and markdown."""
    result = awkward()
    plain = [column.name for column in result.columns if column.unit is None and column.name not in ("moment", "local")]
    rows = list(csv.DictReader(io.StringIO(written([result], "csv"))))
    table = written([result], "table").splitlines()[1:]
    pages = re.sub(r"\\([\\`*_\[\]<>|~&#$])", r"\1", written([result], "md")).splitlines()[2:]
    for row, line, page in zip(rows, table, pages, strict=False):
        for name in plain:
            assert row[name] in line
            assert f"| {row[name]} |" in page or row[name] == ""


def test_json_is_exact() -> None:
    """Numbers keep their digits, times are ISO 8601, what JSON lacks is null."""
    first, second, *_ = json.loads(written([awkward()], "json"))
    assert (first["big"], first["real"], first["price"]) == (9007199254740993, 0.1, 1.5)
    assert (first["moment"], first["local"]) == ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000001")
    assert (first["size_bytes"], first["list"], first["nested"]) == (24696061952, ["a", "b"], {"k": [1, 2]})
    assert (second["real"], second["moment"]) == (None, "2026-07-01T00:00:00.500000Z")


def test_json_lines_are_the_rows_of_json() -> None:
    """One object a line, the same objects."""
    lines = written([awkward()], "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(written([awkward()], "json"))


def test_times_follow_the_zone() -> None:
    """A zone that was asked for is in the bytes."""
    assert json.loads(written([awkward(tz="Europe/Berlin")], "json"))[0]["moment"] == "2026-11-20T11:00:00+01:00"
    assert "2026-11-20 11:00" in written([awkward(tz="Europe/Berlin")], "table")


@pytest.mark.parametrize("format", sorted(render.FORMATS.keys() - {"parquet"}))
def test_log_text_cannot_steer_a_terminal(format: str) -> None:
    """No escape sequence, no direction mark and no markup of a log has any effect."""
    text = written([awkward()], format, width=60)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert "[red]" in text.replace("\\", "")


def test_markdown_has_no_live_markup() -> None:
    """A page made of a report holds no tag, link or table border of a log."""
    row = written([awkward()], "md").splitlines()[3]
    assert not re.search(r"(?<!\\)[<\[`]", row)
    assert len(re.findall(r"(?<!\\)\|", row)) == len(awkward().columns) + 1


@pytest.mark.parametrize("width", range(30, 260, 23))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Wide characters count twice."""
    assert max(cell_len(line) for line in written([awkward()], "table", width=width).splitlines()) <= width


@given(st.text(), st.integers(20, 120))
def test_nothing_is_cut(text: str, width: int) -> None:
    """Every character of a cell is somewhere in the table, whatever the width."""
    result = Result("one", "One", (Column(name="text", type="varchar"),), pl.DataFrame({"text": [text]}))
    body = "".join(written([result], "table", width=width).splitlines()[1:])
    assert re.sub(r"\s", "", printable(text)) == re.sub(r"\s", "", body)


def test_piped_table_is_never_wrapped() -> None:
    """Without a terminal a row is a line, however long."""
    assert len(written([awkward()], "table").splitlines()) == 1 + awkward().frame.height + 3


def test_empty_result_says_so() -> None:
    """A table without rows is a sentence; the other formats stay machine readable."""
    result = Result("one", "One", (Column(name="text", type="varchar"),), pl.DataFrame({"text": []}))
    expected = {"table": "nothing found\n", "json": "[]\n", "jsonl": "", "csv": "text\n"}
    assert {name: written([result], name) for name in expected} == expected


def test_unknown_format() -> None:
    """The nearest name is offered."""
    with pytest.raises(UsageError) as caught:
        written([], "jsn")
    assert str(caught.value) == "no output format 'jsn', did you mean 'json'?"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (human_bytes(0), "0 B"),
        (human_bytes(1536), "1.5 KiB"),
        (human_bytes(4403.49 * 2**20), "4.3 GiB"),
        (percent(0.0047), "0.47 %"),
        (percent(0.129), "12.9 %"),
        (percent(1), "100 %"),
        (duration(0), "0 ms"),
        (duration(250), "250 µs"),
        (duration(5_000_000), "5.0 s"),
        (duration(185_000_000), "3m 05s"),
        (duration(7_380_000_000), "2h 03m"),
        (label("endpoint_request_count"), "endpoint requests"),
        (label("missing_bytes"), "missing"),
    ],
)
def test_units(shown: str, expected: str) -> None:
    """Sizes, shares and durations as a person reads them."""
    assert shown == expected


# --- the overview -----------------------------------------------------------------------------------------------


def _part(name: str, rows: list[dict[str, Any]]) -> Result:
    columns = tuple(Column(name=key) for key in rows[0]) if rows else ()
    return Result(name, name, columns, pl.DataFrame(rows, infer_schema_length=None))


def overview(**head: Any) -> list[Result]:
    """An overview as ``reports.answer`` returns it."""
    whole = {
        "hosts": ["gpu01"],
        "versions": ["0.24.0", "0.30.1", "0.32.5"],
        "first_ts": NOW - timedelta(days=7),
        "last_ts": NOW,
        "source_count": 1,
        "request_count": 18220,
        "incident_count": 23,
        "warning_count": 2,
        "critical_count": 9,
    }
    failing = {
        "code": "MEM001",
        "incident_count": 14,
        "request_count": 20,
        "suspected_count": 37,
        "last_ts": NOW - timedelta(hours=2),
        "models": ["qwen3:32b", "模型:7b"],
        "severity": "error",
        "title": "The GPU had no memory left to load the model, or its context \x1b[31m",
        "remedy": "Lower num_ctx, or set OLLAMA_KV_CACHE_TYPE=q8_0 with OLLAMA_FLASH_ATTENTION=1.",
        "code_count": 8,
    }
    rate = {
        "metric": "requests_failed",
        "bad_count": 251,
        "all_count": 18220,
        "rate": 0.01378,
        "rate_low": 0.0122,
        "rate_high": 0.0156,
        "before_bad_count": 110,
        "before_all_count": 18000,
        "before_rate": 0.0061,
        "trend": "worse",
    }
    few = {"all_count": 9, "rate": None, "rate_low": None, "rate_high": None, "before_rate": None, "trend": None}
    oom = {
        "metric": "oom_incidents",
        "bad_count": 14,
        "all_count": None,
        "before_bad_count": 2,
        "before_all_count": None,
    }
    unseen = [
        {"topic": "not_observable", "amount": 8349, "note": "streams logged as 200: 8349"},
        {"topic": "crashes", "amount": 2, "note": "crashes of the server, which may hide requests in flight: 2"},
    ]
    return [
        _part("overview", [whole | head]),
        _part("overview-failing", [failing, failing | {"code": "OVL001", "incident_count": 1, "title": "Queue full."}]),
        _part("overview-rates", [rate, rate | {"metric": "streams_failed"} | few, rate | few | oom]),
        _part("coverage", unseen),
    ]


def test_golden_overview() -> None:
    """What failed, how often, since when, and what to do, in eighty columns."""
    text = written(overview(), "table", width=80, now=NOW)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    check_golden("overview.table", text)


def test_overview_of_an_empty_store_says_how_to_begin() -> None:
    """A newcomer is told the next command."""
    lines = overview_lines(overview(source_count=0), now=NOW)
    assert lines == ["Nothing here yet.", "  → journalctl -u ollama -o json | erranalytics ingest -"]


def test_overview_without_failures() -> None:
    """Good news is a sentence."""
    parts = [
        one for one in overview(incident_count=0, warning_count=0, critical_count=0) if one.name != "overview-failing"
    ]
    lines = overview_lines(parts, now=NOW)
    assert "18,220 inference requests · no failures" in lines
    assert "Nothing fails." in lines


def test_overview_of_warnings_alone_shows_them(tmp_path: Path) -> None:
    """A model half on the GPU is no failure, but it is why somebody looks; a failure comes before any warning."""
    partly = 'time=2026-01-05T10:00:01.000Z level=INFO source=memory.go:356 msg="offload to cuda" layers.requested=-1 layers.model=33 layers.offload=20 memory.available="[4.0 GiB]" memory.required.full="6.0 GiB"\n'
    failed = 'time=2026-01-05T10:00:02.000Z level=ERROR source=server.go:1 msg="listen tcp 127.0.0.1:11434: bind: address already in use"\n'
    for log, first, code in (
        (partly, "Nothing fails; warnings", "MEM027"),
        (partly + failed, "Failing now", "SVC001"),
    ):
        db, source = tmp_path / f"{code}.duckdb", tmp_path / f"{code}.log"
        source.write_text(log, encoding="utf-8")
        ea.ingest([source], db=db)
        connection = ea.connect(db)
        lines = overview_lines(runner.answer(connection=connection), now=NOW)
        connection.close()
        at = lines.index(first)
        assert lines[at + 1].split()[0] == code
        assert sum("MEM027" in line for line in lines) == (code == "MEM027")


# --- standard error ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            UsageError("no report named 'x'", hint="did you mean: y\nall"),
            "no report named 'x'\n  did you mean: y\n  all\n",
        ),
        (StoreError("is not a store", location="a.duckdb"), "a.duckdb: is not a store\n"),
        (ReportError.from_faults(["a.sql:1: one", "a.sql:2: two"]), "a.sql:1: one\na.sql:2: two\n"),
        (UsageError("bad \x1b[31m name"), "bad \\x1b[31m name\n"),
    ],
)
def test_error_on_stderr(fault: ErranalyticsError, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Message with its place, then the hint, indented; standard output stays empty."""
    diagnostics.error(fault)
    assert capsys.readouterr() == ("", "erranalytics: " + expected)


def test_notes_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A note is bare, a warning says that it is one."""
    diagnostics.note("store: a.duckdb")
    diagnostics.warn("2 lines rejected")
    assert capsys.readouterr().err == "store: a.duckdb\nwarning: 2 lines rejected\n"


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """No bar in a log of cron."""
    with diagnostics.progress() as bar:
        bar.expect(100)
        bar.file("server.log")
        bar.advance(50)
        bar.read()
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar names the file, with its markup and escapes dead, and what is done when all of it is read."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with diagnostics.progress() as bar:
        bar.expect(100)
        bar.file("[bold]server\x1b]0;x.log")
        bar.advance(50)
        bar.read()
    assert "[bold]server\\x1b]0;x.log" in terminal.getvalue()
    assert "finding incidents" in terminal.getvalue()


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_color_can_be_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NO_COLOR`` and a dumb terminal are respected."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert diagnostics.wants_color(Terminal())
    monkeypatch.setenv(variable, value)
    assert not diagnostics.wants_color(Terminal())


def test_exit_codes_are_those_of_the_errors() -> None:
    """Each error class ends in a code of the table, and each code has its sentence."""
    codes = {int(code) for code in diagnostics.ExitCode}
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ErranalyticsError)]
    assert {kind.exit_code for kind in classes} <= codes
    assert diagnostics.describe_exit_codes().splitlines()[1] == "  1  findings at or above --fail-on"
    assert len(diagnostics.describe_exit_codes().splitlines()) == len(codes) == 6


def test_import_is_cheap() -> None:
    """Neither module loads a library for drawing or for data."""
    code = "import sys, erranalytics.output.render, erranalytics.cli.diagnostics; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"rich", "polars", "duckdb", "pydantic"} & set(loaded)
