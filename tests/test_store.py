"""The file: opening, refusing, migrating, comments."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from erranalytics import store
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
