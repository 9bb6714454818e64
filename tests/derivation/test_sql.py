"""The SQL of the derivation says what it reads, makes and writes, and incidents are written in one place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

import erranalytics
from erranalytics.derivation import pairing, steps

SQL = Path(erranalytics.__file__).parent / "derivation" / "sql"
FILES = [str(path.relative_to(SQL)) for path in sorted(SQL.rglob("*.sql"))]


def head(name: str) -> tuple[set[str], set[str], set[str]]:
    """What the first lines of a file name under reads, makes and writes."""
    lines = re.match(r"(?:--.*\n)+", (SQL / name).read_text(encoding="utf-8"))
    assert lines, name
    # A list may go on in lines that are indented.
    text = lines[0].replace("\n--     ", " ")
    listed = {word: re.findall(rf"^-- {word}: (.*)$", text, re.MULTILINE) for word in ("reads", "makes", "writes")}
    makes = [re.fullmatch(r"(\w+)(?:\(\)|, one row per .+)", line) for line in listed["makes"]]
    assert all(makes), (name, listed["makes"])
    reads, writes = ({word for line in listed[key] for word in line.split(", ")} for key in ("reads", "writes"))
    return reads, {match[1] for match in makes if match}, writes


def statements(name: str) -> Iterator[tuple[exp.Expression, exp.Table]]:
    """The statements of a file, each with the table or macro it makes or writes."""
    for statement in sqlglot.parse((SQL / name).read_text(encoding="utf-8"), dialect="duckdb"):
        assert isinstance(statement, exp.Create | exp.Insert | exp.Update | exp.Delete), name
        target = statement.this
        yield statement, target.this if isinstance(target, exp.Schema | exp.UserDefinedFunction) else target


def parsed(name: str) -> tuple[set[str], set[str], set[str]]:
    """What the statements of a file read, make and write; what it makes it neither reads nor writes."""
    reads, makes, writes = set[str](), set[str](), set[str]()
    for statement, target in statements(name):
        (makes if isinstance(statement, exp.Create) else writes).add(target.name)
        ctes = {cte.alias for cte in statement.find_all(exp.CTE)}
        tables = [table for table in statement.find_all(exp.Table) if table is not target]
        reads |= {table.name or table.this.name for table in tables} - ctes
    return reads - makes, makes, writes - makes


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_it_reads_makes_and_writes(name: str) -> None:
    assert head(name) == parsed(name)


def test_every_file_is_a_step_or_of_a_pairing() -> None:
    """None is left behind, and every step that has a condition is a file."""
    folders = {item.folder for item in pairing.ALL}
    assert {Path(name).parent.name for name in FILES} == {"", *folders}
    numbered = {name for name in FILES if re.match(r"\d{3}_\w+\.sql$", name)}
    assert numbered | {"templates_again.sql"} == {name for name in FILES if "/" not in name}
    assert (steps._NEEDS.keys() - {steps._LOAD_FACTS}) | steps.OF_RUNS | steps.OF_INCIDENTS <= numbered
    assert {steps._AFTER_PAIRING, steps._PROBLEMS} <= numbered
    for item in pairing.ALL:
        assert item.rounds <= {Path(name).name for name in FILES if Path(name).parent.name == item.folder}


def test_a_round_is_one_insert() -> None:
    """How many rows it has added is what it returns."""
    for item in pairing.ALL:
        for name in item.rounds:
            ((statement, _),) = statements(f"{item.folder}/{name}")
            assert isinstance(statement, exp.Insert)


def test_incidents_are_written_once() -> None:
    """One file writes their rows, one says which problem belongs to which, and one which request."""
    assert [name for name in FILES if "incidents" in parsed(name)[2]] == ["060_incidents.sql"]
    setting = [
        (name, target.name)
        for name in FILES
        for statement, target in statements(name)
        if isinstance(statement, exp.Update) and "incident_id" in {item.this.name for item in statement.expressions}
    ]
    assert setting == [
        ("056_members.sql", "errors"),
        ("056_members.sql", "events"),
        ("056_members.sql", "calls"),
        ("062_request_outcomes.sql", "requests"),
    ]
