"""Questions to the store: read-only by nature, ended in time, and wrong names explained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

import erranalytics as ea
from erranalytics.errors import StoreError, UsageError
from erranalytics.reports import runner
from erranalytics.store.connection import open_store
from erranalytics.store.queries import Limit

# Without end for any patience, in few bytes.
ENDLESS = "select count(*) from range(1000000) as a, range(10000000) as b where hash(a.range + b.range) = 1"
RECIPES = {
    "one value": ENDLESS,
    "rows that come slowly": "select range from range(1000000000000) where hash(range) % 1000000 = 1",
}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without rows."""
    path = tmp_path_factory.mktemp("querying") / "s.duckdb"
    open_store(path).close()
    return path


@pytest.fixture(scope="module")
def connection(db: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Its reader."""
    reader = ea.connect(db)
    yield reader
    reader.close()


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("select * from read_csv('/etc/passwd')", "/etc/passwd is out of reach: a query only reads the store", None),
        ("select * from read_text('/etc/passwd')", "/etc/passwd is out of reach", None),
        ("select * from glob('/etc/*')", "/etc/* is out of reach", None),
        (
            "select * from '/etc/passwd'",
            "the query failed: Catalog Error: Table",
            "a query reads the store only, no files",
        ),
        ("copy (select 1) to 'x.csv'", "COPY is not allowed in a query", "A query only reads the store. To write"),
        (
            "-- a note\ncopy incidents to 'x.csv'",
            "COPY is not allowed in a query",
            "A query only reads the store. To write",
        ),
        ("export database 'x'", "EXPORT is not allowed in a query", "A query only reads the store. To write"),
        ("attach 'x.db'", "ATTACH is not allowed in a query", "A query reads this store only"),
        ("detach s", "DETACH is not allowed in a query", "A query reads this store only"),
        ("install httpfs", "INSTALL is not allowed in a query", "Extensions cannot be installed"),
        ("load httpfs", "LOAD is not allowed in a query", "Extensions cannot be installed"),
        ("set timezone = 'Europe/Berlin'", "SET is not allowed in a query", "Settings are fixed"),
        ("reset timezone", "RESET is not allowed in a query", "Settings are fixed"),
        ("pragma version", "PRAGMA is not allowed in a query", "To see what the store holds"),
        ("/* a note */ pragma database_list", "PRAGMA is not allowed in a query", "To see what the store holds"),
        ("call pragma_version()", "CALL is not allowed in a query", "To see what the store holds"),
        ("delete from events", "DELETE is not allowed in a query", "Queries cannot change the store"),
        ("insert into meta values ('a', 'b')", "INSERT is not allowed in a query", "Queries cannot change the store"),
        ("create temp table x as select 1", "CREATE is not allowed in a query", "Queries cannot change the store"),
        ("drop table events", "DROP is not allowed in a query", "Queries cannot change the store"),
        ("begin", "BEGIN is not allowed in a query", "Queries cannot change the store"),
        ("prepare x as select 1", "PREPARE is not allowed in a query", "Queries cannot change the store"),
        ("select 1; delete from events", "one query at a time, but there are 2", "Run each one"),
        ("pivot causes on category using count(*)", "a pivot must name its values here", "pivot … on"),
        ("", "there is no query", "For example: erranalytics sql"),
        (" -- nothing\n;", "there is no query", "For example: erranalytics sql"),
        ("select $code", "the query has no value for $code", "Write the value itself"),
        ("select ?", "the query has no value for $1", "Write the value itself"),
    ],
)
def test_what_is_not_one_query_that_reads_is_refused(
    sql: str, message: str, hint: str | None, connection: duckdb.DuckDBPyConnection
) -> None:
    """Files, extensions, settings and changes: each with a sentence and what to do instead."""
    with pytest.raises(UsageError) as caught:
        runner.ask(sql, connection=connection)
    assert str(caught.value).startswith(message)
    assert (caught.value.hint or "").startswith(hint or "")


@pytest.mark.parametrize(
    "sql",
    [
        "from range(3)",
        "values (1)",
        "with a as (select 1 as x) select x from a;",
        "(select 1)",
        "show tables",
        "describe incidents",
        "summarize select 1 as a",
        "explain select 1",
        "pivot causes on category in ('memory', 'gpu') using count(*)",
        "select 'a; delete from events' as text -- ; two\n",
        "select 'copy x to y' as text",
        "select timestamptz '2026-11-20 18:00:00+00' at time zone 'Europe/Berlin' as moment",
        "select * from duckdb_columns() where table_name = $$incidents$$",
    ],
)
def test_every_form_of_a_query_is_answered(sql: str, connection: duckdb.DuckDBPyConnection) -> None:
    """What reads is not refused, also where it looks like more than one statement."""
    assert runner.ask(sql, connection=connection).columns


def test_zones_of_time_work_without_any_extension_being_loaded(connection: duckdb.DuckDBPyConnection) -> None:
    """Berlin is two hours ahead in summer, one in winter; the store itself speaks UTC."""
    sql = """select extract(hour from timestamptz '2026-07-01 12:00:00+00' at time zone 'Europe/Berlin') as summer,
        extract(hour from timestamptz '2026-12-01 12:00:00+00' at time zone 'Europe/Berlin') as winter,
        current_setting('TimeZone') as own, timestamptz '2026-07-01 12:00:00' as moment"""
    (row,) = runner.ask(sql, connection=connection).frame.to_dicts()
    assert (row["summer"], row["winter"], row["own"]) == (14, 13, "UTC")
    assert row["moment"] == datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "sql",
    [
        *("select * from read_csv('/etc/passwd')", "copy (select 1) to '/tmp/x.csv'", "attach '/tmp/x.db'"),
        *("install httpfs", "load httpfs", "set enable_external_access = true", "set lock_configuration = false"),
        *("delete from events", "create table x (a integer)", "set timezone = 'Asia/Tokyo'"),
    ],
)
def test_a_reader_is_closed_by_itself(sql: str, db: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Not only ``sql`` refuses: the connection of a notebook cannot do it either, nor any cursor of it."""
    for reader in (connection, connection.cursor(), ea.connect(db)):
        with pytest.raises(duckdb.Error):
            reader.execute(sql)


def test_readers_of_one_store_get_along(db: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """A second one in the same program, while the first is open, is as closed as the first."""
    second = ea.connect(db)
    sql = "select current_setting('lock_configuration'), current_setting('enable_external_access'), current_setting('TimeZone')"
    assert second.execute(sql).fetchall() == connection.cursor().execute(sql).fetchall() == [(True, False, "UTC")]
    second.close()
    assert ea.report("incidents", db=db).is_empty()


def test_a_connection_of_another_kind_is_explained(tmp_path: Path) -> None:
    """A program that has the store open itself gets a message about that, not about a damaged file."""
    open_store(tmp_path / "s.duckdb").close()
    other = duckdb.connect(str(tmp_path / "s.duckdb"))
    with pytest.raises(StoreError, match="is already open in this program") as caught:
        ea.connect(tmp_path / "s.duckdb")
    other.close()
    assert "Close the other connection" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("select * from evnts", "did you mean: events"),
        ("select * from EVNTS", "did you mean: events"),
        ("select * from qqqq", "tables: "),
        ("select cod from errors", "did you mean: code"),
        ("select e.incidnt_id from errors as e", "did you mean: incident_id"),
        ("select zzzz from rejects", "columns of rejects: load_id, source_id, "),
        ('select * from errors where code = "MEM001"', "a text needs single quotes: 'MEM001'"),
        ("select floo(1)", "did you mean: floor"),
        ("selec 1", "LINE 1: selec 1\n        ^"),
    ],
)
def test_a_wrong_name_gets_a_suggestion(sql: str, hint: str, connection: duckdb.DuckDBPyConnection) -> None:
    """The nearest table or column; where none is near, all there are."""
    with pytest.raises(UsageError, match="the query failed: ") as caught:
        runner.ask(sql, connection=connection)
    assert (caught.value.hint or "").startswith(hint)


def test_an_error_in_a_row_is_one_line(connection: duckdb.DuckDBPyConnection) -> None:
    """What fails only while rows are fetched is a mistake of the query too."""
    with pytest.raises(UsageError, match="the query failed: Conversion Error: Could not convert string 'a'"):
        runner.ask("select cast(chr(97) as integer) as n from range(300000)", connection=connection)


@pytest.mark.parametrize("name", RECIPES)
def test_a_query_ends_in_time(name: str, connection: duckdb.DuckDBPyConnection) -> None:
    """What would run for ever is stopped, and the connection works on."""
    began = time.monotonic()
    with pytest.raises(UsageError) as caught:
        runner.ask(RECIPES[name], connection=connection, limit=Limit(0.3))
    assert time.monotonic() - began < 8
    assert str(caught.value) == "stopped after 0.3 s without an answer"
    assert "--timeout" in (caught.value.hint or "")
    assert runner.ask("select 1 as n", connection=connection, limit=Limit(60)).frame["n"].to_list() == [1]


def test_one_limit_is_for_all_parts_of_an_answer(connection: duckdb.DuckDBPyConnection) -> None:
    """The overview and its parts share it."""
    with pytest.raises(UsageError, match="stopped after 1e-09 s"):
        runner.answer(connection=connection, limit=Limit(1e-9))
    assert len(runner.answer(connection=connection, limit=Limit(0))) > 1


def test_no_thread_remains(connection: duckdb.DuckDBPyConnection) -> None:
    """Neither by an answer nor by one that was stopped."""
    for sql in ("select 1", ENDLESS):
        try:
            runner.ask(sql, connection=connection, limit=Limit(0.2))
        except UsageError:
            pass
    time.sleep(0.1)
    assert [one for one in threading.enumerate() if one.name == "query"] == []


@pytest.mark.skipif(os.name == "nt", reason="a signal of POSIX")
@pytest.mark.parametrize("name", RECIPES)
def test_ctrl_c_ends_a_query_at_once(name: str, db: Path) -> None:
    """The whole program: exit code 130 and one word, no traceback."""
    code = (
        "import sys, threading; from erranalytics.store import queries; from erranalytics.cli.main import main\n"
        "started = queries._fetch\n"
        "def told(*given):\n"
        "    print('begun', flush=True)\n"
        "    return started(*given)\n"
        "queries._fetch = told\n"
        f"main(['sql', '--db', {str(db)!r}, '--timeout', '0', {RECIPES[name]!r}])"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    time.sleep(0.3)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert (run.returncode, told) == (130, "interrupted\n")
