"""Run queries on the store: one at a time, within a time limit, with errors in plain words.

A query runs in its own thread while its caller waits, so a time limit and Ctrl-C end it in every version of DuckDB.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from threading import Event, Thread
from typing import TYPE_CHECKING

import polars as pl

from erranalytics.errors import UsageError, nearest
from erranalytics.store.migrate import hide_older_views

if TYPE_CHECKING:
    import duckdb

# Types that polars cannot read from an Arrow stream, or reads without their meaning; these are cast to text.
_AS_TEXT = re.compile(r"INTERVAL|BIT|MAP\(|UNION|UHUGEINT|TIME WITH TIME ZONE|TIMETZ|VARIANT|BIGNUM|VARINT")
# How often the waiting thread checks the limit, and how long an interrupted query may take to stop.
_CHECK_S, _STOP_S = 0.2, 10.0

_FILES = "A query only reads the store. To write its result: erranalytics sql 'select …' -f csv -o FILE"
_CHANGES = "Queries cannot change the store. To name an intermediate result: with name as (select …) select …"
_REFUSED = {
    **dict.fromkeys(("COPY", "EXPORT", "COPY_DATABASE"), _FILES),
    **dict.fromkeys(
        ("ATTACH", "DETACH"),
        "A query reads this store only. To combine two stores, join their polars frames in Python.",
    ),
    "LOAD": "Extensions cannot be installed or loaded.",
    **dict.fromkeys(
        ("SET", "VARIABLE_SET"),
        "Settings are fixed and times are UTC. For another zone: ts at time zone 'Europe/Berlin'",
    ),
    **dict.fromkeys(("PRAGMA", "CALL"), "To see what the store holds: show tables, describe incidents"),
}


class Limit:
    """How long an answer may take, with all of its queries together; ``None`` or 0 means no limit.

    Args:
        seconds: the time from now.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds or None
        self._ends = time.monotonic() + seconds if seconds else None

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._ends is not None and time.monotonic() >= self._ends

    def fault(self) -> UsageError:
        """The error to raise when the time is up."""
        hint = "A shorter period (--since) is quicker; --timeout SECONDS allows more time, and 0 any time."
        return UsageError(f"stopped after {self.seconds:g} s without an answer", hint=hint)


def query(
    sql: str,
    *,
    connection: duckdb.DuckDBPyConnection,
    params: Mapping[str, object] | None = None,
    limit: Limit | None = None,
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Run one query and return its rows with the DuckDB type of each column, in lower case.

    Times are UTC. Types that polars does not have (interval, map, …) become text, and a repeated column name gets a
    number. The query has its own cursor, so it does not disturb a result that the caller is still reading.

    Raises:
        UsageError: DuckDB refuses the query, or the time is up.
    """
    import duckdb

    cursor = connection.cursor()
    hide_older_views(cursor)
    try:
        return _wait(lambda: _fetch(sql, dict(params or {}), cursor), cursor, limit or Limit())
    except (duckdb.Error, pl.exceptions.ComputeError) as error:
        raise usage_error(error, sql, connection=connection) from error


def _wait(
    work: Callable[[], tuple[pl.DataFrame, dict[str, str]]], cursor: duckdb.DuckDBPyConnection, limit: Limit
) -> tuple[pl.DataFrame, dict[str, str]]:
    answer: Future[tuple[pl.DataFrame, dict[str, str]]] = Future()
    ended = Event()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            answer.set_exception(error)
        finally:
            cursor.close()
            ended.set()

    Thread(target=run, name="query", daemon=True).start()
    is_late = False
    try:
        # Short waits, because on some systems Python sees Ctrl-C only between two of them. An event instead of join(),
        # which believes that a thread has ended when Ctrl-C interrupts it.
        while not is_late and not ended.wait(min(_CHECK_S, limit.seconds or _CHECK_S)):
            is_late = limit.is_over
    finally:
        _stop(ended, cursor)
    if is_late:
        raise limit.fault()
    return answer.result()


def _stop(ended: Event, cursor: duckdb.DuckDBPyConnection) -> None:
    """Interrupt the query until it ends: DuckDB forgets an interrupt that comes between two steps of a query."""
    import duckdb

    deadline = time.monotonic() + _STOP_S
    while not ended.is_set() and time.monotonic() < deadline:
        try:
            cursor.interrupt()
        except duckdb.Error:  # the cursor was closed in the meantime
            return
        ended.wait(0.05)


def _fetch(
    sql: str, params: dict[str, object], cursor: duckdb.DuckDBPyConnection
) -> tuple[pl.DataFrame, dict[str, str]]:
    ((zone,),) = cursor.execute("select current_setting('TimeZone')").fetchall()
    if zone != "UTC":  # a store opened for reading has UTC already, and its settings are locked
        cursor.execute("set TimeZone = 'UTC'")
    relation = cursor.sql(sql, params=params)
    if relation is None:
        raise UsageError("the statement returns no rows", hint="Only queries can be run.")
    names, types = _distinct(relation.columns), [str(kind) for kind in relation.types]
    if names != relation.columns or any(_AS_TEXT.search(kind) for kind in types):
        quoted = ['"' + name.replace('"', '""') + '"' for name in names]
        relation = relation.project(
            ", ".join(
                f"cast(#{at} as varchar) as {name}" if _AS_TEXT.search(kind) else f"#{at} as {name}"
                for at, (name, kind) in enumerate(zip(quoted, types, strict=True), 1)
            )
        )
    # The Arrow stream needs no pyarrow, while fetchall() needs pytz for every time.
    return pl.DataFrame(relation), dict(zip(names, map(_type_name, types), strict=True))


def _distinct(names: Sequence[str]) -> list[str]:
    distinct: list[str] = []
    for name in names:
        same, number = name, 1
        while same in distinct:
            same, number = f"{name}_{number}", number + 1
        distinct.append(same)
    return distinct


def _type_name(kind: str) -> str:
    return kind.strip('"').lower().replace("timestamp with time zone", "timestamptz")


# --- refused statements -----------------------------------------------------------------------------------------------


def check(sql: str, *, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse anything but a single query that only reads.

    Raises:
        UsageError: there is no statement, there are several, or it is of another kind; with what to do instead.
    """
    import duckdb

    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise usage_error(error, sql, connection=connection) from error
    kinds = [statement.type.name for statement in statements]
    words = re.findall(r"[A-Za-z_]+", re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL)) or [""]
    if not kinds:
        hint = "For example: erranalytics sql 'select code, count(*) as n from incidents group by code'"
        raise UsageError("there is no query", hint=f"{hint}\n{_all_tables(connection)}")
    if words[0].lower() == "pivot" and kinds[-1] in ("MULTI", "SELECT") and kinds != ["SELECT"]:
        raise UsageError("a pivot must name its values here", hint="pivot … on column in ('a', 'b') using count(*)")
    if len(kinds) > 1:
        raise UsageError(f"one query at a time, but there are {len(kinds)}", hint="Run each one separately.")
    # DuckDB reports some pragmas as the query they stand for.
    kind = "PRAGMA" if words[0].lower() in ("pragma", "import") else kinds[0]
    if kind not in ("SELECT", "EXPLAIN"):
        raise UsageError(f"{words[0].upper()} is not allowed in a query", hint=_REFUSED.get(kind, _CHANGES))
    if free := sorted(statements[0].named_parameters):
        names = ", ".join(f"${name}" for name in free)
        raise UsageError(
            f"the query has no value for {names}", hint="Write the value itself; a text in 'single quotes'."
        )


def usage_error(error: Exception, sql: str, *, connection: duckdb.DuckDBPyConnection) -> UsageError:
    """DuckDB's error as one line, with the names that were probably meant."""
    text = str(error).strip().removeprefix("got external error: ")
    if match := re.search(r'Cannot access (?:file|directory) "(.*?)"', text):
        return UsageError(f"{match[1]} is out of reach: a query only reads the store")
    return UsageError(f"the query failed: {text.splitlines()[0]}", hint=_hint(text, sql, connection) or None)


def _hint(text: str, sql: str, connection: duckdb.DuckDBPyConnection) -> str:
    if match := re.search(r"Table with name (.+?) does not exist", text):
        tables = _close_name(match[1], _tables(connection)) or _all_tables(connection)
        return f"a query reads the store only, no files\n{tables}" if re.search(r"[/.]", match[1]) else tables
    if match := re.search(r'column "(.+?)" not found|have a column named "(.+?)"', text):
        name, words = match[1] or match[2], set(re.findall(r"\w+", sql.lower()))
        columns_of = {table: columns for table, columns in _tables(connection).items() if table.lower() in words}
        lists = [f"columns of {table}: {', '.join(columns)}" for table, columns in columns_of.items()]
        close = _close_name(name, [column for columns in columns_of.values() for column in columns])
        quotes = f"a text needs single quotes: '{name}'" if f'"{name}"' in sql else ""
        return "\n".join([hint for hint in (close, quotes) if hint] or lists)
    if match := re.search(r'Did you mean "(.+?)"', text):
        return f"did you mean: {match[1]}"
    # The line of the query, and the mark under it.
    return "\n".join(line for line in text.splitlines()[1:4] if line.strip())


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The columns of each table and view."""
    sql = "select table_name, column_name from duckdb_columns() where not internal order by table_name, column_index"
    tables: dict[str, list[str]] = {}
    for table, column in connection.cursor().execute(sql).fetchall():
        tables.setdefault(table, []).append(column)
    return tables


def _all_tables(connection: duckdb.DuckDBPyConnection) -> str:
    return "tables: " + ", ".join(_tables(connection))


def _close_name(name: str, names: Iterable[str]) -> str:
    near = nearest(name.lower(), names)
    return f"did you mean: {near}" if near else ""
