"""One answer, many forms: every report says the same numbers cell for cell in each of them.

JSON is exact and the measure. What a form writes for people (``23.0 GiB``, ``1.40 %``, ``3m 05s``) is read back here and
must be the number of JSON, as far as its digits go.
"""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import duckdb
import polars as pl
import pytest

from erranalytics.output import render
from erranalytics.reports import catalogue, runner
from erranalytics.reports import values as report_values
from erranalytics.reports.runner import Column, Result
from erranalytics.text import display

NAMES = sorted(catalogue.catalogue())
SCALES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "%": 0.01, "µs": 1, "ms": 1e3, "s": 1e6}
Row = dict[str, Any]
# What one test compares: the exact rows, and the text of each form.
Answer = tuple[Result, list[Row]]


@pytest.fixture(scope="module")
def answers(real: duckdb.DuckDBPyConnection) -> dict[str, Answer]:
    """Every report on the sample logs, with its rows as JSON has them."""
    params = {"min_count": 3, "tz": "Europe/Berlin"}
    found = {}
    for name in NAMES:
        known = catalogue.find(name).params
        given = {key: value for key, value in params.items() if key in known}
        result = runner.run(name, connection=real, params=given)
        found[name] = (result, json.loads(written(result, "json")))
    return found


def written(result: Result, form: str, *, width: int | None = None) -> str:
    """What a command would write, as text."""
    out = io.BytesIO()
    render.write([result], format=form, out=out, width=width)
    return out.getvalue().decode()


def told(value: object) -> str:
    """A value of JSON as a text form writes it when it has no unit."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return display.printable(", ".join(value))
    if isinstance(value, list | dict | bool):
        return display.printable(json.dumps(value, ensure_ascii=False))
    return display.printable(str(value))


def microseconds(text: str) -> tuple[float, float]:
    """``2h 03m`` and ``3m 05s`` with half of their last step."""
    hours, minutes, seconds = (int(found[1]) if (found := re.search(rf"(\d+){unit}", text)) else 0 for unit in "hms")
    return ((hours * 60 + minutes) * 60 + seconds) * 1e6, 3.1e7 if hours else 5e5


def agrees(text: str, value: object, column: Column) -> bool:
    """Whether a cell for people is the value of JSON."""
    if value is None:
        return text in (report_values.NULL, "nan", "inf", "-inf")
    if not column.unit:
        # A narrow time has no seconds.
        is_time = (column.type or "").startswith("timestamp")
        return text in (told(value), str(value)[:16].replace("T", " ")) if is_time else text == told(value).strip()
    assert isinstance(value, int | float)
    if column.unit == "us" and re.fullmatch(r"\d+[hm] \d\d[ms]", text):
        number, slack = microseconds(text)
    else:
        digits, unit = text.split(" ")
        number = float(digits) * SCALES[unit]
        slack = 0.5 * 10 ** -len(digits.partition(".")[2]) * SCALES[unit]
    return abs(number - value) <= slack * (1 + 1e-9)


def check(found: list[list[str]], answer: Answer, form: str) -> None:
    """Every cell of a form for people against JSON."""
    result, rows = answer
    assert len(found) == len(rows), form
    for at, (line, row) in enumerate(zip(found, rows, strict=True)):
        assert len(line) == len(result.columns), (form, at)
        for text, column in zip(line, result.columns, strict=True):
            assert agrees(text, row[column.name], column), (form, at, column.name, text, row[column.name])


@pytest.mark.parametrize("name", NAMES)
def test_json_lines_are_the_rows_of_json(name: str, answers: dict[str, Answer]) -> None:
    """One object a line, the same objects."""
    result, rows = answers[name]
    assert [json.loads(line) for line in written(result, "jsonl").splitlines()] == rows


@pytest.mark.parametrize("name", NAMES)
def test_csv_is_as_exact_as_json(name: str, answers: dict[str, Answer]) -> None:
    """No rounding, no units; an empty cell is null or an empty text."""
    result, rows = answers[name]
    found = list(csv.DictReader(io.StringIO(written(result, "csv"))))
    assert len(found) == len(rows)
    for line, row in zip(found, rows, strict=True):
        assert list(line) == list(row)
        for key, value in row.items():
            if isinstance(value, float):
                assert float(line[key]) == value, (key, line[key])
            else:
                assert line[key] == ("" if value is None else told(value)), key


@pytest.mark.parametrize("name", NAMES)
def test_parquet_is_as_exact_as_json(name: str, answers: dict[str, Answer]) -> None:
    """The same numbers and instants, read by another reader."""
    result, rows = answers[name]
    out = io.BytesIO()
    render.write([result], format="parquet", out=out)
    frame = pl.read_parquet(io.BytesIO(out.getvalue()))
    assert frame.columns == [column.name for column in result.columns]
    found = frame.to_dicts()
    assert len(found) == len(rows)
    for line, row in zip(found, rows, strict=True):
        for key, value in row.items():
            stored = line[key]
            if isinstance(stored, datetime):
                assert stored - datetime.fromisoformat(value) == timedelta(0), key
            else:
                assert (float(stored) if isinstance(stored, Decimal) else stored) == value, key


@pytest.mark.parametrize("name", NAMES)
def test_markdown_agrees_with_json(name: str, answers: dict[str, Answer]) -> None:
    """Cells between bars."""
    _, rows = answers[name]
    lines = written(answers[name][0], "md").splitlines()[2 : 2 + len(rows)]
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    check(
        [[re.sub(r"\\([\\`*_\[\]<>|~&#$])", r"\1", one.strip()) for one in line] for line in split], answers[name], "md"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_wide_table_agrees_with_json(name: str, answers: dict[str, Answer]) -> None:
    """A row is a line; its cells stand in order, two blanks apart, and nothing else does."""
    result, rows = answers[name]
    if not rows:
        assert written(result, "table").startswith("nothing found\n")
        return
    # Markdown was held against JSON, so its texts say where a cell of the table ends.
    marked = written(result, "md").splitlines()[2 : 2 + len(rows)]
    for line, mark in zip(table_lines(result, len(rows)), marked, strict=True):
        rest = line
        for text in re.split(r"(?<!\\)\|", mark)[1:-1]:
            whole = re.sub(r"\\([\\`*_\[\]<>|~&#$])", r"\1", text.strip())
            short = re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*", r"\1 \2", whole)
            begun = [one for one in (whole, short) if re.match(rf" *{re.escape(one)}(?:  |$)", rest) or not one]
            assert begun, (rest, whole)
            rest = rest.lstrip()[len(begun[0]) :]
        assert rest.strip() == ""


def table_lines(result: Result, count: int) -> list[str]:
    """The rows of a table as wide as it wants to be, behind its heads; the overview too is drawn as one."""
    renamed = Result("rows", result.title, result.columns, result.frame, (), result.tz)
    return written(renamed, "table").split("\n\n")[0].splitlines()[-count:]


@pytest.mark.parametrize("name", NAMES)
def test_vertical_agrees_with_json(name: str, answers: dict[str, Answer]) -> None:
    """One column a line under the same heads, an empty line between rows."""
    result, rows = answers[name]
    heads = [report_values.label(column.name) for column in result.columns]
    indent, lines = max(map(len, heads)) + 2, written(result, "vertical").splitlines()
    found = []
    for at in range(len(rows)):
        block = lines[at * (len(heads) + 1) :][: len(heads)]
        assert [line[:indent].strip() for line in block] == heads
        found.append([line[indent:].strip() for line in block])
    check(found, answers[name], "vertical")


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", NAMES)
def test_a_folded_table_loses_no_number(name: str, width: int, answers: dict[str, Answer]) -> None:
    """On a terminal of any width each row still holds all of its texts, in some place."""
    result, _ = answers[name]
    text = re.sub(
        r"\s", "", written(Result("rows", "", result.columns, result.frame, (), result.tz), "table", width=width)
    )
    for row in result.frame.iter_rows():
        for value, column in zip(row, result.columns, strict=True):
            shown = report_values.shown(value, column, tz=result.tz, short=True)
            assert value is None or re.sub(r"\s", "", shown) in text or not column.unit, (column.name, shown)


class Page(HTMLParser):
    """The cells of the table of one report: by column, the exact value where there is one, else the text."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.inside, self.heads, self.rows = name, False, [], []
        self.is_below, self.cell = False, None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Follow sections, rows and cells."""
        given = dict(attrs)
        if tag == "section":
            self.inside = given.get("data-report") == self.name
        if not self.inside:
            return
        if tag == "th":
            self.heads.append(given["data-column"])
        elif tag == "tbody":
            self.rows.append({})
        elif tag == "tr":
            self.is_below = given.get("class") == "below"
        elif tag == "td" and not self.is_below:
            self.begin(self.heads[len(self.rows[-1])], given)
        elif self.rows and "data-column" in given:
            self.begin(str(given["data-column"]), given)

    def begin(self, column: str, given: dict[str, str | None]) -> None:
        """A cell begins."""
        self.cell = column
        self.rows[-1][column] = json.loads(given["data-value"]) if given.get("data-value") is not None else ""
        if given.get("data-value") is not None:
            self.cell = None

    def handle_data(self, data: str) -> None:
        """The text of a cell without a value of its own."""
        if self.inside and self.cell:
            self.rows[-1][self.cell] += data

    def handle_endtag(self, tag: str) -> None:
        """A cell ends."""
        if tag in ("td", "p", "li"):
            self.cell = None


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not catalogue.find(name).header.part and name != "overview"]
)
def test_the_page_agrees_with_json(name: str, answers: dict[str, Answer]) -> None:
    """Each cell of the HTML carries the value of JSON; what hangs below a row is left out only where it is empty."""
    if "html" not in render.FORMATS:
        pytest.skip("there is no form html")
    result, rows = answers[name]
    page = Page(name)
    page.feed(written(result, "html"))
    assert bool(page.rows) == bool(rows)
    for found, row in zip(page.rows, rows, strict=False):
        for key, value in row.items():
            expected = display.printable(value) if isinstance(value, str) else value
            same = found.get(key, None) == expected or (value in (None, "", []) and found.get(key) in (None, "–", ""))
            time = (next(one for one in result.columns if one.name == key).type or "").startswith("timestamp")
            assert same or (time and found[key] == value), (key, found.get(key), value)


def test_all_forms_are_compared() -> None:
    """A form that is added is held against the others too."""
    assert set(render.FORMATS) == {"table", "vertical", "json", "jsonl", "csv", "md", "parquet", "html"}
