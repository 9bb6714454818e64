"""Questions to the store: one query at a time, within a limit of time, and what is wrong said in plain words.

A query runs in a thread of its own while its caller waits: so a limit and Ctrl-C end it in every version of DuckDB.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from difflib import get_close_matches
from threading import Event, Thread
from typing import TYPE_CHECKING

import polars as pl

from erranalytics.errors import UsageError

if TYPE_CHECKING:
    import duckdb

# Types polars cannot take from an Arrow stream, or takes without their meaning: these travel as text.
_AS_TEXT = re.compile(r"INTERVAL|BIT|MAP\(|UNION|UHUGEINT|TIME WITH TIME ZONE|TIMETZ|VARIANT|BIGNUM|VARINT")
# How often the wait looks up, and how long a query that was told to stop may take to do so.
_LOOK_S, _STOP_S = 0.2, 10.0

_FILES = "A query reads the store only. To write what it answers: erranalytics sql 'select …' -f csv -o FILE"
_CHANGES = "The store is only read here; a name for an intermediate result: with name as (select …) select …"
_REFUSED = {
    **dict.fromkeys(("COPY", "EXPORT", "COPY_DATABASE"), _FILES),
    **dict.fromkeys(
        ("ATTACH", "DETACH"), "A query reads this one store; two of them meet in Python, as polars frames."
    ),
    "LOAD": "Nothing is installed or loaded here.",
    **dict.fromkeys(
        ("SET", "VARIABLE_SET"), "Settings are fixed: times are UTC; in a zone: ts at time zone 'Europe/Berlin'"
    ),
    **dict.fromkeys(("PRAGMA", "CALL"), "What the store holds: show tables, describe incidents"),
}


class Limit:
    """How long an answer may take, all of its queries together; ``None`` or 0 is without end.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds or None
        self._ends = time.monotonic() + seconds if seconds else None

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._ends is not None and time.monotonic() >= self._ends

    def fault(self) -> UsageError:
        """What is said when it is."""
        hint = "A shorter period (--since) is quicker; --timeout SECONDS gives it longer, 0 as long as it takes."
        return UsageError(f"stopped after {self.seconds:g} s without an answer", hint=hint)


def query(
    sql: str,
    *,
    connection: duckdb.DuckDBPyConnection,
    params: Mapping[str, object] | None = None,
    limit: Limit | None = None,
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Run one query and return its rows with the DuckDB type of each column, in lower case.

    Times come as UTC. Types polars does not know (interval, map, …) come as text; a repeated column name
    gets a number. Works on a cursor of its own, so that a result half read elsewhere stays whole.

    Raises:
        UsageError: when DuckDB refuses the query, or the limit is over.
    """
    import duckdb

    cursor = connection.cursor()
    try:
        return _wait(lambda: _fetch(sql, dict(params or {}), cursor), cursor, limit or Limit())
    except (duckdb.Error, pl.exceptions.ComputeError) as error:
        raise explained(error, sql, connection=connection) from error


def _wait(
    work: Callable[[], tuple[pl.DataFrame, dict[str, str]]], cursor: duckdb.DuckDBPyConnection, limit: Limit
) -> tuple[pl.DataFrame, dict[str, str]]:
    answer: Future[tuple[pl.DataFrame, dict[str, str]]] = Future()
    ended = Event()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - told to the one who waits
            answer.set_exception(error)
        finally:
            cursor.close()
            ended.set()

    Thread(target=run, name="query", daemon=True).start()
    is_late = False
    try:
        # Not one long wait: only in between does Python see Ctrl-C on every system. An event and not join(), which
        # takes a thread for dead when Ctrl-C interrupts it.
        while not is_late and not ended.wait(min(_LOOK_S, limit.seconds or _LOOK_S)):
            is_late = limit.is_over
    finally:
        _stop(ended, cursor)
    if is_late:
        raise limit.fault()
    return answer.result()


def _stop(ended: Event, cursor: duckdb.DuckDBPyConnection) -> None:
    """Interrupt until it ends: an interrupt between two steps of a query is forgotten."""
    import duckdb

    patience = time.monotonic() + _STOP_S
    while not ended.is_set() and time.monotonic() < patience:
        try:
            cursor.interrupt()
        except duckdb.Error:  # closed in this moment
            return
        ended.wait(0.05)


def _fetch(
    sql: str, params: dict[str, object], cursor: duckdb.DuckDBPyConnection
) -> tuple[pl.DataFrame, dict[str, str]]:
    ((zone,),) = cursor.execute("select current_setting('TimeZone')").fetchall()
    if zone != "UTC":  # in a store that is open for reading it is, and cannot be set
        cursor.execute("set TimeZone = 'UTC'")
    relation = cursor.sql(sql, params=params)
    if relation is None:
        raise UsageError("the statement returns no rows", hint="only queries are answered here")
    names, types = _distinct(relation.columns), [str(kind) for kind in relation.types]
    if names != relation.columns or any(_AS_TEXT.search(kind) for kind in types):
        quoted = ['"' + name.replace('"', '""') + '"' for name in names]
        relation = relation.project(
            ", ".join(
                f"cast(#{at} as varchar) as {name}" if _AS_TEXT.search(kind) else f"#{at} as {name}"
                for at, (name, kind) in enumerate(zip(quoted, types, strict=True), 1)
            )
        )
    # DuckDB hands over an Arrow stream without pyarrow; fetchall() would want pytz for every time.
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


# --- what is refused -----------------------------------------------------------------------------------------------


def check(sql: str, *, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse what is not one query that reads.

    Raises:
        UsageError: no statement, several, or one of another kind, with what to do instead.
    """
    import duckdb

    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise explained(error, sql, connection=connection) from error
    kinds = [statement.type.name for statement in statements]
    words = re.findall(r"[A-Za-z_]+", re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL)) or [""]
    if not kinds:
        hint = "For example: erranalytics sql 'select code, count(*) as n from incidents group by code'"
        raise UsageError("there is no query", hint=f"{hint}\n{_all_tables(connection)}")
    if words[0].lower() == "pivot" and kinds[-1] in ("MULTI", "SELECT") and kinds != ["SELECT"]:
        raise UsageError("a pivot must name its values here", hint="pivot … on column in ('a', 'b') using count(*)")
    if len(kinds) > 1:
        raise UsageError(f"one query at a time, this holds {len(kinds)}", hint="Give each to a call of its own.")
    # DuckDB takes some pragmas for the query they stand for.
    kind = "PRAGMA" if words[0].lower() in ("pragma", "import") else kinds[0]
    if kind not in ("SELECT", "EXPLAIN"):
        raise UsageError(f"{words[0].upper()} is not answered here", hint=_REFUSED.get(kind, _CHANGES))
    if free := sorted(statements[0].named_parameters):
        told = ", ".join(f"${name}" for name in free)
        raise UsageError(
            f"the query has no value for {told}", hint="Write the value itself; a text in 'single quotes'."
        )


def explained(error: Exception, sql: str, *, connection: duckdb.DuckDBPyConnection) -> UsageError:
    """What DuckDB says, in one line, with the names that were probably meant."""
    text = str(error).strip().removeprefix("got external error: ")
    if found := re.search(r'Cannot access (?:file|directory) "(.*?)"', text):
        return UsageError(f"{found[1]} is out of reach: a query reads the store only")
    return UsageError(f"the query failed: {text.splitlines()[0]}", hint=_hint(text, sql, connection) or None)


def _hint(text: str, sql: str, connection: duckdb.DuckDBPyConnection) -> str:
    if found := re.search(r"Table with name (.+?) does not exist", text):
        told = _meant(found[1], _tables(connection)) or _all_tables(connection)
        return f"a query reads the store only, no file\n{told}" if re.search(r"[/.]", found[1]) else told
    if found := re.search(r'column "(.+?)" not found|have a column named "(.+?)"', text):
        name, named = found[1] or found[2], set(re.findall(r"\w+", sql.lower()))
        tables = {table: columns for table, columns in _tables(connection).items() if table.lower() in named}
        lists = [f"columns of {table}: {', '.join(columns)}" for table, columns in tables.items()]
        close = _meant(name, [column for columns in tables.values() for column in columns])
        quotes = f"a text stands in single quotes: '{name}'" if f'"{name}"' in sql else ""
        return "\n".join([one for one in (close, quotes) if one] or lists)
    if found := re.search(r'Did you mean "(.+?)"', text):
        return f"did you mean: {found[1]}"
    # The line and the mark under it.
    return "\n".join(line for line in text.splitlines()[1:4] if line.strip())


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The columns of each table and view."""
    sql = "select table_name, column_name from duckdb_columns() where not internal order by table_name, column_index"
    found: dict[str, list[str]] = {}
    for table, column in connection.cursor().execute(sql).fetchall():
        found.setdefault(table, []).append(column)
    return found


def _all_tables(connection: duckdb.DuckDBPyConnection) -> str:
    return "tables: " + ", ".join(_tables(connection))


def _meant(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return f"did you mean: {close[0]}" if close else ""
