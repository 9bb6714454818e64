"""The schema of a store: create that of a new one, bring that of an older one up to date.

It has two halves. Numbered migrations change the tables; ``schema.sql`` creates those of a new store at once. The
comments, views and macros of ``views/`` are replaced together whenever one of them has changed.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import duckdb

from erranalytics import datafiles
from erranalytics.errors import StoreError
from erranalytics.store.frames import transaction

_FOLDER = Path(__file__).parent


def _sql_files(folder: str) -> list[tuple[str, str]]:
    """Name and text of every SQL file of a folder beside this module, in order."""
    return [(path.name, path.read_text(encoding="utf-8")) for path in sorted((_FOLDER / folder).glob("*.sql"))]


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Number and SQL of every migration, in order. Released ones never change, and new ones are for tables only."""
    return tuple((int(name[:4]), sql) for name, sql in _sql_files("migrations"))


@cache
def tables() -> str:
    """The SQL that creates the tables of a new store, with the same result as all migrations."""
    return (_FOLDER / "schema.sql").read_text(encoding="utf-8")


@cache
def views() -> str:
    """The SQL that sets all comments and replaces all views and macros; numbered because some views use others."""
    return "\n".join(sql for _, sql in _sql_files("views"))


@cache
def views_digest() -> str:
    """Digest of the views and macros; a store keeps the digest of its own as ``views`` in ``meta``."""
    return _digest(views())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def schema_digest() -> str:
    """Digest of everything that a new store is created from."""
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
    # A result that is only partly fetched would block the next query of the caller.
    result = connection.execute("select value from meta where key = ?", [key]).fetchall()
    return str(result[0][0]) if result else None


def prepare_to_read(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse a store with older tables, and give the connection the views of this version.

    A store that another version wrote keeps its own views until the next ingest. Until then temporary views hide them
    from a reader, which takes 0.15 s.

    Raises:
        StoreError: with how to bring the store up to date.
    """
    version, newest = schema_version(connection, path), migrations()[-1][0]
    if version < newest:
        raise StoreError(
            f"was written by an older erranalytics (schema {version}, this one reads {newest})",
            location=str(path),
            hint="Any ingest brings it up to date and keeps what it holds: erranalytics ingest PATH",
        )
    hide_older_views(connection)


def hide_older_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the views of this version as temporary ones if the store has others; each cursor needs its own."""
    try:
        digest = _meta(connection, "views")
    except duckdb.CatalogException:
        return  # not a store, so it has no views to hide
    if digest != views_digest():
        for statement in duckdb.extract_statements(views()):
            sql, count = _CREATE.subn(r"create or replace temp \1", statement.query, count=1)
            if count:
                connection.execute(sql)


_CREATE = re.compile(r"(?im)^create or replace (view|macro)\b")


def baseline() -> Path | None:
    """An empty store, created once for each version of DuckDB and copied for new stores; None if it cannot be kept."""
    return datafiles.cached_file(f"schema-{duckdb.__version__}", schema_digest(), "duckdb", _make_baseline)


def _make_baseline(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        _create(connection)


def migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create the schema of a new store, or bring that of an older one up to date."""
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
    """Copy the schema of the template into a new store, which is faster than creating it; return whether it worked."""
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
    """Create the whole schema in an empty database."""
    with transaction(connection):
        connection.execute(tables())
        connection.execute("insert into meta values ('schema_version', ?)", [str(migrations()[-1][0])])
        _replace_views(connection)


def _replay(connection: duckdb.DuckDBPyConnection, *, after: int) -> None:
    """Run the migrations after a version, each in its own transaction."""
    for number, sql in migrations():
        if number > after:
            with transaction(connection):
                connection.execute(sql)
                connection.execute("insert or replace into meta values ('schema_version', ?)", [str(number)])


def _replace_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create all views and macros, and replace those of another version."""
    connection.execute(views())
    connection.execute("insert or replace into meta values ('views', ?)", [views_digest()])
