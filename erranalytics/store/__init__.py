"""The DuckDB file: open it, migrate it, move frames across the one Arrow border.

Frames go in by the Arrow stream interface and come out as rows; pyarrow is not needed.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import platformdirs

from erranalytics import datafiles
from erranalytics.errors import StoreError, StoreLockedError

if TYPE_CHECKING:
    import polars as pl

MEMORY_LIMIT = "384MB"
_SETTINGS = ("set timezone = 'UTC'", "set enable_progress_bar = false", "set preserve_insertion_order = true")
# DuckDB compares every row with every other where it guesses that one side of an ASOF join is small; derivation has
# tables that it knows nothing of.
_WRITER_SETTINGS = (*_SETTINGS, "set asof_loop_join_threshold = 0")
# A reader sees this one file: no other file, no network, nothing installed, and no statement changes that again.
_READER: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# Global: a cursor begins with the zone of the instance, and after the last one nothing can be set any more.
_READER_SETTINGS = ("set global timezone = 'UTC'", *_SETTINGS[1:], "set lock_configuration = true")


def default_path() -> Path:
    """Where the store lies when neither ``--db`` nor ``ERRANALYTICS_DB`` says."""
    named = os.environ.get("ERRANALYTICS_DB")
    return Path(named) if named else Path(platformdirs.user_data_dir("erranalytics")) / "erranalytics.duckdb"


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Number and SQL of every migration, in order."""
    folder = Path(__file__).parent / "migrations"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return tuple((int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in names)


def open_store(path: Path, *, wait_s: float = 0.0) -> duckdb.DuckDBPyConnection:
    """Open for writing, make it when it is new, bring its schema up to date.

    Raises:
        StoreError: the file is no DuckDB file, no store of ours, or written by a newer version.
        StoreLockedError: another process still holds it after ``wait_s`` seconds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder of the store cannot be made: {error.strerror}", location=str(path)) from None
    connection = _connect(path, read_only=False, wait_s=wait_s)
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    _migrate(connection, path)
    return connection


def check_exists(path: Path) -> None:
    """Refuse a store that was never made.

    Raises:
        StoreError: with how to make one.
    """
    if not path.exists():
        raise StoreError(
            "there is no store yet",
            location=str(path),
            hint="Make one: erranalytics ingest PATH\nOr name another one with --db.",
        )


def open_read_only(path: Path, *, wait_s: float = 0.0) -> duckdb.DuckDBPyConnection:
    """Open for reading this one file: nothing else can be read, written, attached or installed through it.

    Raises:
        StoreError: there is no such store, or the file is none.
        StoreLockedError: another process is writing it after ``wait_s`` seconds.
    """
    check_exists(path)
    connection = _connect(path, read_only=True, wait_s=wait_s)
    version, newest = schema_version(connection, path), migrations()[-1][0]
    if version < newest:
        connection.close()
        raise StoreError(
            f"was written by an older erranalytics (schema {version}, this one reads {newest})",
            location=str(path),
            hint="Any ingest brings it up to date and keeps what it holds: erranalytics ingest PATH",
        )
    return connection


def open_in_memory() -> duckdb.DuckDBPyConnection:
    """A store that is gone when it is closed."""
    connection = duckdb.connect(":memory:")
    _configure(connection, _WRITER_SETTINGS)
    _migrate(connection, Path(":memory:"))
    return connection


def _connect(path: Path, *, read_only: bool, wait_s: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            connection = duckdb.connect(str(path), read_only=read_only, config=_READER if read_only else {})
            break
        except duckdb.Error as error:
            text = str(error)
            is_locked = "lock" in text.lower() and "conflict" in text.lower()
            if is_locked and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise _opening_error(path, text, is_locked=is_locked) from None
    _configure(connection, (() if _is_set(connection) else _READER_SETTINGS) if read_only else _WRITER_SETTINGS)
    return connection


def _configure(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    # In Jupyter without ipywidgets DuckDB shows no progress bar, and refuses to be told so.
    ((shows_progress,),) = connection.execute("select current_setting('enable_progress_bar')").fetchall()
    for statement in statements:
        if shows_progress or "progress_bar" not in statement:
            connection.execute(statement)


def _is_set(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether another reader of this process has set, and locked, the instance that both share."""
    ((is_locked,),) = connection.execute("select current_setting('lock_configuration')").fetchall()
    return bool(is_locked)


def _opening_error(path: Path, text: str, *, is_locked: bool) -> StoreError:
    if is_locked:
        holder = text.split("held in ", 1)[-1].split(". ", 1)[0] if "held in " in text else "another process"
        return StoreLockedError(
            f"the store is in use by {holder}",
            location=str(path),
            hint="Try again when it is done, or give --wait SECONDS.",
        )
    if "different configuration" in text:
        hint = "Close the other connection first; readers made with erranalytics.connect get along."
        return StoreError("is open in this program already, in another way", location=str(path), hint=hint)
    if path.is_dir():
        return StoreError("is a folder, not a store", location=str(path), hint="Name a file with --db.")
    first = text.splitlines()[0]
    hint = "Name a new file with --db, or remove this one if it is not needed."
    return StoreError(f"is not a DuckDB file that can be opened: {first}", location=str(path), hint=hint)


def schema_version(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The version of the schema; 0 for a new, empty file."""
    tables = {str(row[0]) for row in connection.execute("select table_name from duckdb_tables()").fetchall()}
    if not tables:
        return 0
    # Everything is fetched: a result left half read would block the next query of the caller.
    sql = "select value from meta where key = 'schema_version'"
    found = connection.execute(sql).fetchall() if "meta" in tables else []
    if not found:
        raise StoreError(
            "is a DuckDB file, but not a store of erranalytics", location=str(path), hint="Name another file with --db."
        )
    version, newest = int(found[0][0]), migrations()[-1][0]
    if version > newest:
        raise StoreError(
            f"was written by a newer erranalytics (schema {version}, this one knows {newest})",
            location=str(path),
            hint="Upgrade erranalytics.",
        )
    return version


def baseline() -> Path | None:
    """A store that holds nothing, made once from the migrations by the DuckDB at hand; None where none can be kept."""
    sql = "\n".join(sql for _, sql in migrations())
    key = hashlib.sha256(sql.encode()).hexdigest()[:16]
    return datafiles.cached_file(f"schema-{duckdb.__version__}", key, "duckdb", _make_baseline)


def _make_baseline(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        _configure(connection, _SETTINGS)
        _replay(connection, after=0)


def _migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    version = schema_version(connection, path)
    if version == 0 and (template := baseline()) and _copy(connection, template):
        return
    _replay(connection, after=version)


def _copy(connection: duckdb.DuckDBPyConnection, template: Path) -> bool:
    """Give a new store the schema of the template, a tenth of the work of its migrations; False when that failed."""
    name = connection.execute("select current_database()").fetchall()[0][0].replace('"', '""')
    source = str(template).replace("'", "''")
    try:
        connection.execute(f"attach '{source}' as template_of_the_schema (read_only)")
    except duckdb.Error:
        return False
    try:
        with transaction(connection):
            connection.execute(f'copy from database template_of_the_schema to "{name}"')
    except duckdb.Error:
        return False
    finally:
        connection.execute("detach template_of_the_schema")
    return True


def _replay(connection: duckdb.DuckDBPyConnection, *, after: int) -> None:
    """Run the migrations behind a version, each in a transaction of its own."""
    version = after
    for number, sql in migrations():
        if number > version:
            with transaction(connection):
                connection.execute(sql)
                connection.execute("insert or replace into meta values ('schema_version', ?)", [str(number)])


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


class _Stream:
    """A polars frame seen through the Arrow stream interface only.

    DuckDB looks for the class of polars first and would then ask for pyarrow.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame: pl.DataFrame | None = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        assert self._frame is not None
        return self._frame.__arrow_c_stream__(requested_schema)

    def release(self) -> None:
        """Let go of the frame: DuckDB 2.0 keeps a registered object until the transaction ends."""
        self._frame = None


def append(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame, *, sql: str | None = None) -> int:
    """Append a frame to a table by column name; columns the frame lacks become NULL. Returns the row count.

    ``sql`` is another statement that writes the rows of the frame, which it finds as ``incoming``, once.
    """
    if frame.height:
        stream = _Stream(frame)
        connection.register("incoming", stream)
        connection.execute(sql or f"insert into {table} by name select * from incoming")
        connection.unregister("incoming")
        stream.release()
    return frame.height


def select(connection: duckdb.DuckDBPyConnection, sql: str, frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The rows of a query that finds a frame as ``incoming``, once."""
    stream = _Stream(frame)
    connection.register("incoming", stream)
    found = connection.execute(sql).fetchall()
    connection.unregister("incoming")
    stream.release()
    return found


def stream(connection: duckdb.DuckDBPyConnection, sql: str, *, rows_each: int = 50_000) -> Iterator[pl.DataFrame]:
    """The rows of a query as frames, a part at a time, without pyarrow."""
    import polars as pl

    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or []]
    while part := cursor.fetchmany(rows_each):
        yield pl.DataFrame(part, schema=names, orient="row", infer_schema_length=None)


def replace_all(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    """Replace the whole content of a small table."""
    connection.execute(f"delete from {table}")
    append(connection, table, frame)


def rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries."""
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def digests(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, str]]:
    """Row count and order-free digest of every table: two stores with the same digests hold the same rows."""
    result = {}
    for (table,) in connection.execute(
        "select table_name from duckdb_tables() where not internal and not temporary order by 1"
    ).fetchall():
        row = connection.execute(
            f"select count(*), coalesce(sum(hash(t)::hugeint), 0)::varchar from {table} as t"
        ).fetchone()
        assert row is not None
        result[str(table)] = (int(row[0]), str(row[1]))
    return result
