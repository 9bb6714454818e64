"""Access lines of gateways and of Ollama: which two are one request, why it ended so, and one incident of both.

The statements stand in the files of this folder. Lines of one request end at one moment, and access lines have whole
seconds: the best pairs are taken first, then the best of what is left.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

# Pairs depend on lines within seconds; what is older than this before a load stays as it is.
MARGIN = "interval 5 minute"
MOST_ROUNDS = 500

# Whether a gateway told of anything.
HAS_GATEWAY = """(exists (select 1 from requests where surface = 'gateway')
    or exists (select 1 from errors where surface = 'gateway'))"""


def widen(connection: duckdb.DuckDBPyConnection, *, touched: int) -> None:
    """Add to ``scope`` the runs of the other side at the time of what was touched: a pair may come or go there."""
    connection.execute(
        f"""insert into scope
            with span as (
                select coalesce(min(ts) - {MARGIN}, timestamptz '1970-01-01') as from_ts,
                    coalesce(max(ts) + {MARGIN}, timestamptz '9999-12-31') as to_ts
                from events where event_id >= ? and session_id in (select session_id from scope)
                group by source_id
            ),
            gateways as (
                select r.session_id from requests as r, span as s
                where r.surface = 'gateway' and r.ts_end between s.from_ts and s.to_ts
                union
                select e.session_id from errors as e, span as s
                where e.surface = 'gateway' and e.ts between s.from_ts and s.to_ts
            ),
            near as (
                select session_id from gateways
                union
                select r.session_id from requests as r, span as s
                where exists (select 1 from gateways) and r.ts_end between s.from_ts and s.to_ts
                union
                select e.session_id from calls as c inner join events as e using (event_id), span as s
                where exists (select 1 from gateways) and c.ts_end between s.from_ts and s.to_ts
            )
            select session_id from near
            where session_id is not null and session_id not in (select session_id from scope)""",
        [touched],
    )


def relay(connection: duckdb.DuckDBPyConnection, *, touched: int) -> None:
    """Pair anew what a load may have changed, and fold each pair into one incident.

    Args:
        connection: the store, inside the transaction of the load, with ``scope`` made and incidents folded.
        touched: the first event of the load; 0 when all is to be paired anew.
    """
    # A time never leaves DuckDB here: its lowest supported version wants pytz for that.
    connection.execute(f"set variable relay_touched = {int(touched)}")
    connection.execute(
        f"""set variable relay_from = (
            select coalesce(min(ts) - {MARGIN}, timestamptz '1970-01-01') from events
            where event_id >= getvariable('relay_touched') and session_id in (select session_id from scope))"""
    )
    _run(connection, "010_candidates.sql")
    for _ in range(MOST_ROUNDS):
        before = _count(connection)
        _run(connection, "020_best.sql")
        if _count(connection) == before:
            break
    _run(connection, "030_write.sql")
    _run(connection, "040_merge.sql")


def _run(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute((Path(__file__).parent / "sql" / "gateways" / name).read_text(encoding="utf-8"))


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = connection.execute("select count(*) from relay_pairs").fetchall()
    return int(count)
