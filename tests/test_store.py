"""The file: opening, refusing, migrating, comments."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest
from support.content import ledger

import erranalytics as ea
from erranalytics import reports, store
from erranalytics.errors import StoreError


def test_new_store_has_every_migration(tmp_path: Path) -> None:
    """The schema version is that of the newest migration; opening again changes nothing."""
    path = tmp_path / "deep" / "a.duckdb"
    store.open_store(path).close()
    connection = store.open_store(path)
    assert store.schema_version(connection, path) == store.migrations()[-1][0]
    connection.close()


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A sentence with the path and what to do."""
    path = tmp_path / "a.duckdb"
    path.write_text("no database")
    with pytest.raises(StoreError, match="not a DuckDB file") as fault:
        store.open_store(path)
    assert fault.value.hint and fault.value.location == str(path)


def test_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Foreign tables are not touched."""
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as other:
        other.execute("create table t (a integer)")
    with pytest.raises(StoreError, match="not a store"):
        store.open_store(path)
    with duckdb.connect(str(path), read_only=True) as other:
        assert other.execute("select table_name from duckdb_tables()").fetchall() == [("t",)]


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    """An old program does not write into a new store."""
    path = tmp_path / "a.duckdb"
    connection = store.open_store(path)
    connection.execute("update meta set value = '9999' where key = 'schema_version'")
    connection.close()
    with pytest.raises(StoreError, match="newer erranalytics"):
        store.open_store(path)


def test_missing_store_and_folder(tmp_path: Path) -> None:
    """Reading needs a store; a folder is none."""
    with pytest.raises(StoreError, match="no store yet"):
        store.open_read_only(tmp_path / "a.duckdb")
    with pytest.raises(StoreError, match="folder"):
        store.open_store(tmp_path)


def test_reader_cannot_write(tmp_path: Path) -> None:
    """``connect`` and ``sql`` are read-only."""
    store.open_store(tmp_path / "a.duckdb").close()
    connection = store.open_read_only(tmp_path / "a.duckdb")
    with pytest.raises(duckdb.Error):
        connection.execute("delete from events")
    connection.close()


def test_append_by_name_without_pyarrow(tmp_path: Path) -> None:
    """Frames go in by the Arrow stream; columns they lack become NULL."""
    connection = store.open_store(tmp_path / "a.duckdb")
    frame = pl.DataFrame({"value": ["b"], "key": ["a"]})
    assert store.append(connection, "meta", frame) == 1
    assert connection.execute("select value from meta where key = 'a'").fetchall() == [("b",)]
    connection.close()


def test_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """An error inside takes everything back."""
    connection = store.open_store(tmp_path / "a.duckdb")
    with pytest.raises(ZeroDivisionError), store.transaction(connection):
        connection.execute("insert into meta values ('x', 'y')")
        raise ZeroDivisionError
    assert connection.execute("select count(*) from meta where key = 'x'").fetchall() == [(0,)]
    connection.close()


# --- migrations -------------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parent.parent
CAPTURE = (ROOT / "tests" / "data" / "once" / "restarts.log").read_bytes()
# Half of the capture, at a line end, is what the older program read.
HALF = CAPTURE[: CAPTURE.index(b"\n", len(CAPTURE) // 2) + 1]


def columns(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, list[str]]:
    """The columns of each table of a database."""
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        """select c.table_name, c.column_name from duckdb_columns() as c
           inner join duckdb_tables() as t using (database_name, table_name)
           where c.database_name = ? order by c.table_name, c.column_index""",
        [database],
    ).fetchall():
        found.setdefault(str(table), []).append(str(column))
    return found


@pytest.fixture(params=[number for number, _ in store.migrations()[:-1]])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A store of an earlier schema with the rows that it could hold of half a log, and the log."""
    log, new, path = tmp_path / "server.log", tmp_path / "new.duckdb", tmp_path / "old.duckdb"
    log.write_bytes(HALF)
    ea.ingest([log], db=new)
    with duckdb.connect(str(path)) as connection:
        for number, sql in store.migrations():
            if number <= request.param:
                connection.execute(sql)
        connection.execute("insert or replace into meta values ('schema_version', ?)", [str(request.param)])
        connection.execute(f"attach '{new}' as later (read_only)")
        has = columns(connection, "later")
        for table, names in columns(connection, "old").items():
            both = ", ".join(name for name in names if name in has.get(table, []))
            if both and table != "meta":
                connection.execute(f"insert into {table} by name select {both} from later.{table}")
    return path, log


def test_an_earlier_schema_is_brought_up_to_date(old: tuple[Path, Path]) -> None:
    """Its rows stay as they were, and the version is the newest."""
    path, _ = old
    with duckdb.connect(str(path)) as connection:
        before = {
            name: connection.execute(f"select columns(*)::varchar from {name} order by all").fetchall()
            for name in ("events", "errors", "requests", "incidents", "server_sessions", "model_loads", "templates")
        }
    connection = store.open_store(path)
    assert store.schema_version(connection, path) == store.migrations()[-1][0]
    assert len(before["events"]) > 50
    for name, rows in before.items():
        width = len(rows[0]) if rows else 0
        after = connection.execute(f"select columns(*)::varchar from {name} order by all").fetchall()
        assert [row[:width] for row in after] == rows, name
    assert connection.execute(
        "select stream_id, host is null or list_contains(hosts, host) from sources"
    ).fetchall() == [(1, True)]
    connection.close()


def test_an_earlier_store_goes_on(old: tuple[Path, Path]) -> None:
    """The file that it read is known, its growth is added, every line is counted once, and all reports run."""
    path, log = old
    assert ea.ingest([log], db=path).results[0].status == "known"
    log.write_bytes(CAPTURE)
    assert ea.ingest([log], db=path).results[0].status == "grown"
    connection = ea.connect(path)
    assert ledger(connection) == []
    assert connection.execute("select sum(line_count) from events").fetchall() == [(CAPTURE.count(b"\n"),)]
    for name in sorted(path.stem for path in (ROOT / "queries").glob("*.sql")):
        reports.run(name, connection=connection)
    connection.close()


def test_an_earlier_schema_cannot_be_read_only(old: tuple[Path, Path]) -> None:
    """Reading does not change a file, so it says what does."""
    path, _ = old
    before = path.read_bytes()
    with pytest.raises(StoreError, match="older erranalytics") as fault:
        store.open_read_only(path)
    assert fault.value.hint is not None
    assert "ingest" in fault.value.hint
    assert path.read_bytes() == before
