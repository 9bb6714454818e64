"""Open the DuckDB file of a store, for writing or for reading, and wait while another process holds it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import platformdirs

from erranalytics.errors import StoreError, StoreLockedError
from erranalytics.store.migrate import migrate, prepare_to_read

MEMORY_LIMIT = "384MB"
_SETTINGS = ("set timezone = 'UTC'", "set enable_progress_bar = false", "set preserve_insertion_order = true")
# DuckDB compares every row with every other if it guesses that one side of an ASOF join is small. It guesses wrong for
# the temporary tables of derivation, for which it has no statistics.
_WRITER_SETTINGS = (*_SETTINGS, "set asof_loop_join_threshold = 0")
# A reader sees only this file: no other file, no network and no extensions, and no statement can change that.
_READER: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# Global, because a cursor starts with the zone of the instance. The last statement forbids any further setting.
_READER_SETTINGS = ("set global timezone = 'UTC'", *_SETTINGS[1:], "set lock_configuration = true")


def default_path() -> Path:
    """The path of the store without ``--db``: ``ERRANALYTICS_DB``, else a file in the user's data folder."""
    named = os.environ.get("ERRANALYTICS_DB")
    return Path(named) if named else Path(platformdirs.user_data_dir("erranalytics")) / "erranalytics.duckdb"


def open_store(path: Path, *, wait_s: float = 0.0) -> duckdb.DuckDBPyConnection:
    """Open a store for writing; create a new one, or bring the schema of an older one up to date.

    Raises:
        StoreError: the file is not a DuckDB file or not a store of erranalytics, or a newer version wrote it.
        StoreLockedError: another process still holds it after ``wait_s`` seconds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder of the store cannot be made: {error.strerror}", location=str(path)) from None
    connection = _connect(path, read_only=False, wait_s=wait_s)
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    migrate(connection, path)
    return connection


def check_exists(path: Path) -> None:
    """Refuse a store that does not exist.

    Raises:
        StoreError: with how to create one.
    """
    if not path.exists():
        raise StoreError(
            "there is no store yet",
            location=str(path),
            hint="Make one: erranalytics ingest PATH\nOr name another one with --db.",
        )


def open_read_only(path: Path, *, wait_s: float = 0.0) -> duckdb.DuckDBPyConnection:
    """Open a store for reading: nothing else can be read, written, attached or installed through the connection.

    Raises:
        StoreError: the store does not exist, the file is not a store, or its tables are older than this version.
        StoreLockedError: another process is writing it after ``wait_s`` seconds.
    """
    check_exists(path)
    connection = _connect(path, read_only=True, wait_s=wait_s)
    try:
        prepare_to_read(connection, path)
    except StoreError:
        connection.close()
        raise
    return connection


def open_in_memory() -> duckdb.DuckDBPyConnection:
    """Create an empty store in memory, which is gone when its connection is closed."""
    connection = duckdb.connect(":memory:")
    _configure(connection, _WRITER_SETTINGS)
    migrate(connection, Path(":memory:"))
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
    """Whether another reader in this process has already configured and locked the instance that both share."""
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
        hint = "Close the other connection first; any number of erranalytics.connect can be open together."
        return StoreError("is already open in this program with other settings", location=str(path), hint=hint)
    if path.is_dir():
        return StoreError("is a folder, not a store", location=str(path), hint="Name a file with --db.")
    first = text.splitlines()[0]
    hint = "Name a new file with --db, or remove this one if it is not needed."
    return StoreError(f"is not a DuckDB file that can be opened: {first}", location=str(path), hint=hint)
