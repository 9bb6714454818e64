"""The DuckDB file: move frames across the one Arrow border, bring the schema up to date, open the file.

Three parts, each using only those above it. Frames go in by the Arrow stream interface and come out as rows; pyarrow
is not needed. The schema has two halves: tables, which numbered migrations change and ``schema.sql`` has whole for a
new store, and the views and macros of ``views/``, which are replaced as a whole when they changed.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import platformdirs

from erranalytics import prepared
from erranalytics.errors import StoreError, StoreLockedError

if TYPE_CHECKING:
    import polars as pl

# --- frames: the Arrow border ----------------------------------------------------------------------------------------


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
    """A polars frame that shows only the Arrow stream interface.

    DuckDB looks for the class of polars first and would then ask for pyarrow.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame: pl.DataFrame | None = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        assert self._frame is not None
        return self._frame.__arrow_c_stream__(requested_schema)

    def release(self) -> None:
        """Drop the frame: DuckDB 2.0 keeps a registered object until the transaction ends."""
        self._frame = None


def append(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame, *, sql: str | None = None) -> int:
    """Append a frame to a table by column name; columns the frame lacks become NULL. Return the row count.

    ``sql`` replaces the insert: a statement that writes the rows of the frame and reads it once, as ``incoming``.
    """
    if frame.height:
        stream = _Stream(frame)
        connection.register("incoming", stream)
        connection.execute(sql or f"insert into {table} by name select * from incoming")
        connection.unregister("incoming")
        stream.release()
    return frame.height


def select(connection: duckdb.DuckDBPyConnection, sql: str, frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The rows of a query that reads a frame once, as ``incoming``."""
    stream = _Stream(frame)
    connection.register("incoming", stream)
    result = connection.execute(sql).fetchall()
    connection.unregister("incoming")
    stream.release()
    return result


def stream(connection: duckdb.DuckDBPyConnection, sql: str, *, rows_each: int = 50_000) -> Iterator[pl.DataFrame]:
    """The rows of a query as frames of at most ``rows_each`` rows, without pyarrow."""
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
    """Row count and digest of every table, whatever the order: stores with the same digests hold the same rows."""
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


# --- migrate: the schema of the file ---------------------------------------------------------------------------------


def _sql_files(folder: str) -> list[tuple[str, str]]:
    """Name and text of every SQL file of a folder beside this module, in order."""
    files = resources.files("erranalytics") / folder
    names = sorted(item.name for item in files.iterdir() if item.name.endswith(".sql"))
    return [(name, (files / name).read_text(encoding="utf-8")) for name in names]


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Number and SQL of every migration, in order. Released ones never change, and new ones are for tables only."""
    return tuple((int(name[:4]), sql) for name, sql in _sql_files("migrations"))


@cache
def tables() -> str:
    """The SQL that makes the tables of a new store: what all migrations together make of them."""
    return (resources.files("erranalytics") / "schema.sql").read_text(encoding="utf-8")


@cache
def views() -> str:
    """The SQL that makes all views and macros or replaces them; the files are numbered, as some use others."""
    return "\n".join(sql for _, sql in _sql_files("views"))


@cache
def views_digest() -> str:
    """Digest of the views and macros; a store holds that of its own as ``views`` in ``meta``."""
    return _digest(views())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def schema_digest() -> str:
    """Digest of all that a new store is made of."""
    return _digest(f"{migrations()[-1][0]}\n{tables()}\n{views()}")


def schema_version(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The version of the tables; 0 for a new, empty file.

    Raises:
        StoreError: the file is not a store, or a newer version wrote it.
    """
    names = {str(row[0]) for row in connection.execute("select table_name from duckdb_tables()").fetchall()}
    if not names:
        return 0
    value = _meta(connection, "schema_version") if "meta" in names else None
    if value is None:
        raise StoreError(
            "is a DuckDB file, but not a store of erranalytics", location=str(path), hint="Name another file with --db."
        )
    version, newest = int(value), migrations()[-1][0]
    if version > newest:
        raise StoreError(
            f"was written by a newer erranalytics (schema {version}, this one knows {newest})",
            location=str(path),
            hint="Upgrade erranalytics.",
        )
    return version


def _meta(connection: duckdb.DuckDBPyConnection, key: str) -> str | None:
    # Everything is fetched: a result left half read would block the next query of the caller.
    result = connection.execute("select value from meta where key = ?", [key]).fetchall()
    return str(result[0][0]) if result else None


def check_current(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse a store whose tables or views are not those that this version reads.

    Views are compared by digest only: one that an older version lacks and one that a newer version changed would both
    make a report fail in the middle. The next writer replaces them.

    Raises:
        StoreError: with how to bring the store up to date.
    """
    version, newest = schema_version(connection, path), migrations()[-1][0]
    if version < newest:
        text = f"was written by an older erranalytics (schema {version}, this one reads {newest})"
    elif _meta(connection, "views") != views_digest():
        text = "was written by another erranalytics, often an older one: its views are not those that this one reads"
    else:
        return
    hint = "Any ingest brings it up to date and keeps what it holds: erranalytics ingest PATH"
    raise StoreError(text, location=str(path), hint=hint)


def baseline() -> Path | None:
    """An empty store, made once for the installed DuckDB and copied for each new store; None if it cannot be kept."""
    return prepared.file(f"schema-{duckdb.__version__}", schema_digest(), "duckdb", _make_baseline)


def _make_baseline(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        _create(connection)


def _migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the schema of a new store, or bring that of an older one up to date."""
    version = schema_version(connection, path)
    if version == 0:
        template = baseline()
        if template is None or not _copy(connection, template):
            _create(connection)
        return
    _replay(connection, after=version)
    if _meta(connection, "views") != views_digest():
        with transaction(connection):
            _replace_views(connection)


def _copy(connection: duckdb.DuckDBPyConnection, template: Path) -> bool:
    """Copy the schema of the template into a new store, which is faster than making it; False when that failed."""
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


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the whole schema in an empty database."""
    with transaction(connection):
        connection.execute(tables())
        connection.execute("insert into meta values ('schema_version', ?)", [str(migrations()[-1][0])])
        _replace_views(connection)


def _replay(connection: duckdb.DuckDBPyConnection, *, after: int) -> None:
    """Run the migrations after a version, each in a transaction of its own."""
    for number, sql in migrations():
        if number > after:
            with transaction(connection):
                connection.execute(sql)
                connection.execute("insert or replace into meta values ('schema_version', ?)", [str(number)])


def _replace_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all views and macros, over those of another version."""
    connection.execute(views())
    connection.execute("insert or replace into meta values ('views', ?)", [views_digest()])


# --- connection: open the file ---------------------------------------------------------------------------------------

MEMORY_LIMIT = "384MB"
_SETTINGS = ("set timezone = 'UTC'", "set enable_progress_bar = false", "set preserve_insertion_order = true")
# DuckDB compares every row with every other if it guesses that one side of an ASOF join is small. It guesses wrong for
# the temporary tables of derivation, for which it has no statistics.
_WRITER_SETTINGS = (*_SETTINGS, "set asof_loop_join_threshold = 0")
# A reader sees this one file: no other file, no network, no installing, and no statement can change that.
_READER: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# Global, because a cursor begins with the zone of the instance, and the last statement forbids any further setting.
_READER_SETTINGS = ("set global timezone = 'UTC'", *_SETTINGS[1:], "set lock_configuration = true")


def default_path() -> Path:
    """The path of the store without ``--db``: ``ERRANALYTICS_DB``, else a file in the user's data folder."""
    named = os.environ.get("ERRANALYTICS_DB")
    return Path(named) if named else Path(platformdirs.user_data_dir("erranalytics")) / "erranalytics.duckdb"


def open_store(path: Path, *, wait_s: float = 0.0) -> duckdb.DuckDBPyConnection:
    """Open for writing; make a new store, bring the schema of an older one up to date.

    Raises:
        StoreError: the file is not a DuckDB file, not a store of ours, or written by a newer version.
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
        StoreError: the store does not exist, the file is not a store, or its schema is not the current one.
        StoreLockedError: another process is writing it after ``wait_s`` seconds.
    """
    check_exists(path)
    connection = _connect(path, read_only=True, wait_s=wait_s)
    try:
        check_current(connection, path)
    except StoreError:
        connection.close()
        raise
    return connection


def open_in_memory() -> duckdb.DuckDBPyConnection:
    """An empty store in memory, gone when it is closed."""
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
    # In Jupyter without ipywidgets DuckDB shows no progress bar, and setting the option is an error.
    ((shows_progress,),) = connection.execute("select current_setting('enable_progress_bar')").fetchall()
    for statement in statements:
        if shows_progress or "progress_bar" not in statement:
            connection.execute(statement)


def _is_set(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether another reader of this process has configured and locked the instance that both share."""
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
