"""Move polars frames into DuckDB and rows out of it through the Arrow stream interface, without pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    import polars as pl


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run a block as one transaction: an exception undoes all of it."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


class _Stream:
    """A polars frame reduced to its Arrow stream interface.

    DuckDB would recognise the polars class first, and then ask for pyarrow.
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
    """Append a frame to a table by column name, and return its row count; columns it lacks become NULL.

    ``sql`` replaces the insert with a statement that reads the frame once, as ``incoming``, and writes its rows.
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
    """Row count and digest of every table, in any row order: stores with equal digests hold the same rows."""
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
