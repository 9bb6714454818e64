"""The file: opening, refusing, migrating, comments."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pytest
from support.content import ledger
from support.folders import ROOT, TESTS

import erranalytics as ea
from erranalytics import datafiles
from erranalytics.errors import StoreError
from erranalytics.reports import runner
from erranalytics.reports.catalogue import catalogue as catalogue_of_reports
from erranalytics.store import frames, migrate
from erranalytics.store.connection import open_in_memory, open_read_only, open_store


def test_new_store_has_every_migration(tmp_path: Path) -> None:
    """The schema version is that of the newest migration; opening again changes nothing."""
    path = tmp_path / "deep" / "a.duckdb"
    open_store(path).close()
    connection = open_store(path)
    assert migrate.schema_version(connection, path) == migrate.migrations()[-1][0]
    connection.close()


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A sentence with the path and what to do."""
    path = tmp_path / "a.duckdb"
    path.write_text("no database")
    with pytest.raises(StoreError, match="not a DuckDB file") as fault:
        open_store(path)
    assert fault.value.hint and fault.value.location == str(path)


def test_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Foreign tables are not touched."""
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as other:
        other.execute("create table t (a integer)")
    with pytest.raises(StoreError, match="not a store"):
        open_store(path)
    with duckdb.connect(str(path), read_only=True) as other:
        assert other.execute("select table_name from duckdb_tables()").fetchall() == [("t",)]


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    """An old program does not write into a new store."""
    path = tmp_path / "a.duckdb"
    connection = open_store(path)
    connection.execute("update meta set value = '9999' where key = 'schema_version'")
    connection.close()
    with pytest.raises(StoreError, match="newer erranalytics"):
        open_store(path)


def test_missing_store_and_folder(tmp_path: Path) -> None:
    """Reading needs a store; a folder is none."""
    with pytest.raises(StoreError, match="no store yet"):
        open_read_only(tmp_path / "a.duckdb")
    with pytest.raises(StoreError, match="folder"):
        open_store(tmp_path)


def test_reader_cannot_write(tmp_path: Path) -> None:
    """``connect`` and ``sql`` are read-only."""
    open_store(tmp_path / "a.duckdb").close()
    connection = open_read_only(tmp_path / "a.duckdb")
    with pytest.raises(duckdb.Error):
        connection.execute("delete from events")
    connection.close()


def test_append_by_name_without_pyarrow(tmp_path: Path) -> None:
    """Frames go in by the Arrow stream; columns they lack become NULL."""
    connection = open_store(tmp_path / "a.duckdb")
    frame = pl.DataFrame({"value": ["b"], "key": ["a"]})
    assert frames.append(connection, "meta", frame) == 1
    assert connection.execute("select value from meta where key = 'a'").fetchall() == [("b",)]
    connection.close()


def test_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """An error inside takes everything back."""
    connection = open_store(tmp_path / "a.duckdb")
    with pytest.raises(ZeroDivisionError), frames.transaction(connection):
        connection.execute("insert into meta values ('x', 'y')")
        raise ZeroDivisionError
    assert connection.execute("select count(*) from meta where key = 'x'").fetchall() == [(0,)]
    connection.close()


# --- the baseline of a new store ---------------------------------------------------------------------------------------

# All that a schema says: tables with types and keys, views and macros as they were written, and every comment.
CATALOGUE = """
    select 'table', table_name, null, regexp_replace(sql, '^CREATE TABLE \\w+\\.\\w+\\.', ''), comment from duckdb_tables() where not internal and database_name = current_database()
    union all
    select 'column', table_name, column_name, concat_ws(' ', column_index, data_type, is_nullable, column_default), comment
    from duckdb_columns() where not internal and database_name = current_database()
    union all
    select 'constraint', table_name, constraint_type, constraint_text, null from duckdb_constraints() where database_name = current_database()
    union all
    select 'index', table_name, index_name, sql, null from duckdb_indexes() where database_name = current_database()
    union all
    select 'view', view_name, null, sql, comment from duckdb_views() where not internal and database_name = current_database()
    union all
    select 'macro', function_name, array_to_string(parameters, ', '), macro_definition, comment
    from duckdb_functions() where not internal and database_name = current_database()
    order by all
"""


def catalogue(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    """The schema of a store, and the rows that a new store has."""
    meta = connection.execute("select 'meta', key, null, value, null from meta order by key").fetchall()
    defaults = connection.execute(
        "select 'default', d::varchar, null, null, null from setting_defaults as d order by all"
    )
    return [*meta, *defaults.fetchall(), *connection.execute(CATALOGUE).fetchall()]


@pytest.fixture
def replayed(tmp_path: Path) -> list[tuple[object, ...]]:
    """The schema that the migrations make, one after the other, as it is read from a file."""
    with duckdb.connect(str(tmp_path / "replayed.duckdb")) as connection:
        migrate._replay(connection, after=0)
        migrate._replace_views(connection)
    with duckdb.connect(str(tmp_path / "replayed.duckdb")) as connection:
        return catalogue(connection)


def test_a_new_store_is_what_the_migrations_make(replayed: list[tuple[object, ...]], tmp_path: Path) -> None:
    """``schema.sql`` has their tables, columns, comments and keys, and no migration leaves a view that ``views/`` lacks."""
    for connection in (open_store(tmp_path / "a.duckdb"), open_in_memory()):
        assert catalogue(connection) == replayed
        connection.close()
    kinds = Counter(str(row[0]) for row in replayed)
    assert kinds["column"] > 300
    assert min(kinds[kind] for kind in ("table", "view", "macro", "constraint", "meta")) > 0
    assert sum(row[4] is not None for row in replayed) > 350


def test_a_new_store_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the baseline exists a new store runs neither schema nor migrations, whatever its path."""
    assert migrate.baseline() is not None
    for name in ("_create", "_replay", "_replace_views"):
        monkeypatch.setattr(migrate, name, lambda *args, **kwargs: pytest.fail("not a copy"))
    for name in ("a.duckdb", 'it\'s "a".duckdb', "a"):
        open_store(tmp_path / "über ' folder" / name).close()
    open_in_memory().close()


def test_without_a_baseline_the_schema_is_made(
    replayed: list[tuple[object, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A baseline that is damaged, or that cannot be kept, does not prevent a new store."""
    damaged = tmp_path / "schema.duckdb"
    damaged.write_bytes(b"no database")
    for name, found in {"a.duckdb": damaged, "b.duckdb": None}.items():
        monkeypatch.setattr(migrate, "baseline", lambda found=found: found)
        open_store(tmp_path / name).close()
        with duckdb.connect(str(tmp_path / name)) as connection:
            assert catalogue(connection) == replayed


def test_a_baseline_is_kept_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the package, else in the user's cache, else nowhere; one of an older schema goes."""
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("x")

    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(datafiles, "_folders", lambda: iter((first, second)))
    assert (
        datafiles.cached_file("s", "1", "db", make) == datafiles.cached_file("s", "1", "db", make) == first / "s-1.db"
    )
    assert len(made) == 1
    assert datafiles.cached_file("s", "2", "db", make) == first / "s-2.db"
    assert [path.name for path in first.iterdir()] == ["s-2.db"]
    monkeypatch.setattr(datafiles, "_folders", lambda: iter((tmp_path / "file" / "x", second)))
    (tmp_path / "file").write_text("not a folder")
    assert datafiles.cached_file("s", "2", "db", make) == second / "s-2.db"
    monkeypatch.setattr(datafiles, "_folders", lambda: iter((tmp_path / "file" / "x",)))
    assert datafiles.cached_file("s", "2", "db", make) is None


# --- views ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_other_views(tmp_path: Path) -> Path:
    """A store of the current tables with the views of another version: one is missing, one has another text."""
    path = tmp_path / "a.duckdb"
    connection = open_store(path)
    connection.execute("drop view findings; create or replace view runs as select 1 as session_id")
    connection.execute("update meta set value = 'other' where key = 'views'")
    connection.close()
    return path


def test_views_of_another_version_are_replaced(
    with_other_views: Path, replayed: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer makes its own views, once: opening again replaces nothing."""
    open_store(with_other_views).close()
    with duckdb.connect(str(with_other_views)) as connection:
        assert catalogue(connection) == replayed
    monkeypatch.setattr(migrate, "_replace_views", lambda connection: pytest.fail("replaced again"))
    open_store(with_other_views).close()
    open_read_only(with_other_views).close()


def test_a_reader_uses_its_own_views(with_other_views: Path) -> None:
    """The store keeps those of the other version; the reader's hide them, so every report still runs."""
    before = with_other_views.read_bytes()
    with open_read_only(with_other_views) as connection:
        assert len(connection.execute("from runs").description) > 1
        for report in catalogue_of_reports().values():
            runner.run(report.name, connection=connection)
    assert with_other_views.read_bytes() == before


def test_a_store_without_a_digest_gets_its_views(with_other_views: Path, replayed: list[tuple[object, ...]]) -> None:
    """So it is with stores of the versions that kept their views in migrations."""
    with duckdb.connect(str(with_other_views)) as connection:
        connection.execute("delete from meta where key = 'views'")
    open_store(with_other_views).close()
    with duckdb.connect(str(with_other_views)) as connection:
        assert catalogue(connection) == replayed


def test_migrations_are_for_tables() -> None:
    """Those after the thirteenth make no view and no macro: ``views/`` does."""
    later = [sql.lower() for number, sql in migrate.migrations() if number > 13]
    assert not [sql for sql in later if " view " in sql or " macro " in sql]


def test_a_reader_of_the_schema_finds_every_comment() -> None:
    """Every table, view and column of a table has a comment."""
    connection = open_in_memory()
    rows = connection.execute(CATALOGUE).fetchall()
    connection.close()
    tables = {row[1] for row in rows if row[0] == "table"}
    assert not [row[1] for row in rows if row[0] in {"table", "view"} and not row[4]]
    assert not [row[1:3] for row in rows if row[0] == "column" and row[1] in tables and not row[4]]


# --- SQL files --------------------------------------------------------------------------------------------------------


def test_no_sql_line_is_wide() -> None:
    """At most 120 characters, comments and headers included."""
    files = [*(ROOT / "queries").glob("*.sql"), *(ROOT / "erranalytics").rglob("*.sql")]
    assert len(files) > 60
    lines = ((path, n, line) for path in files for n, line in enumerate(path.read_text("utf-8").splitlines(), 1))
    assert not [f"{path.relative_to(ROOT)}:{n}" for path, n, line in lines if len(line) > 120]


# --- migrations -------------------------------------------------------------------------------------------------------

CAPTURE = (TESTS / "data" / "once" / "restarts.log").read_bytes()
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


OLDER = [number for number, _ in migrate.migrations()[:-1]]
# The oldest and the newest of them are read in every run.
SLOW = {number: [pytest.mark.slow] for number in OLDER[1:-1]}


@pytest.fixture(params=[pytest.param(number, marks=SLOW.get(number, ())) for number in OLDER])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A store of an earlier schema with the rows that it could hold of half a log, and the log."""
    log, new, path = tmp_path / "server.log", tmp_path / "new.duckdb", tmp_path / "old.duckdb"
    log.write_bytes(HALF)
    ea.ingest([log], db=new)
    with duckdb.connect(str(path)) as connection:
        for number, sql in migrate.migrations():
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
    connection = open_store(path)
    assert migrate.schema_version(connection, path) == migrate.migrations()[-1][0]
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
        runner.run(name, connection=connection)
    connection.close()


def test_an_earlier_schema_cannot_be_read_only(old: tuple[Path, Path]) -> None:
    """Reading does not change a file, so it says what does."""
    path, _ = old
    before = path.read_bytes()
    with pytest.raises(StoreError, match="older erranalytics") as fault:
        open_read_only(path)
    assert fault.value.hint is not None
    assert "ingest" in fault.value.hint
    assert path.read_bytes() == before
