"""Calls of clients and access lines of the server: which is which, one to one, by SQL inside the store.

The statements stand in the files of this folder. Certain links are found first and bound the others, for access lines
stand in the order in which requests ended; what stays free is linked in its order, as likely.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

# A link depends on calls and lines within seconds; what is older than this before a load stays as it is.
MARGIN = "interval 5 minute"
MOST_ROUNDS = 500
# Whether there is anything to link.
HAS_CALLS = """(exists (select 1 from calls) and exists (select 1 from requests where surface = 'ollama')
    or exists (select 1 from calls where request_id is not null))"""


def widen(connection: duckdb.DuckDBPyConnection, *, touched: int) -> None:
    """Add to ``scope`` the runs of the other side at the time of what was touched: a link may come or go there."""
    connection.execute(
        f"""insert into scope
            with span as (
                select coalesce(min(ts) - {MARGIN}, timestamptz '1970-01-01') as from_ts,
                    coalesce(max(ts) + {MARGIN}, timestamptz '9999-12-31') as to_ts
                from events where event_id >= ? and session_id in (select session_id from scope)
                group by source_id
            ),
            near as (
                select e.session_id from calls as c inner join events as e using (event_id), span as s
                where c.ts_end >= s.from_ts and c.ts_start <= s.to_ts
                union
                select r.session_id from requests as r, span as s
                where r.surface = 'ollama' and r.ts_end >= s.from_ts and r.ts_start <= s.to_ts
            )
            select session_id from near
            where session_id is not null and session_id not in (select session_id from scope)""",
        [touched],
    )


def link(connection: duckdb.DuckDBPyConnection, *, touched: int) -> None:
    """Link anew what a load may have changed.

    Args:
        connection: the store, inside the transaction of the load, with ``scope`` made.
        touched: the first event of the load; 0 when all is to be linked anew.
    """
    # A time never leaves DuckDB here: its lowest supported version wants pytz for that.
    connection.execute(f"set variable link_touched = {int(touched)}")
    connection.execute(
        f"""set variable link_from = (
            select coalesce(min(ts) - {MARGIN}, timestamptz '1970-01-01') from events
            where event_id >= getvariable('link_touched') and session_id in (select session_id from scope))"""
    )
    _run(connection, "010_candidates.sql")
    for name in ("020_unique.sql", "030_ordered.sql"):
        for number in range(MOST_ROUNDS):
            connection.execute(f"set variable link_round = {number}")
            before = _count(connection)
            _run(connection, name)
            if _count(connection) == before:
                break
    _run(connection, "040_write.sql")


def _run(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute((Path(__file__).parent / "sql" / "links" / name).read_text(encoding="utf-8"))


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = connection.execute("select count(*) from links").fetchall()
    return int(count)
