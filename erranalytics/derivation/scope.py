"""Which sessions are derived again after a load, and from where on: ``scope`` and variables of the connection."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

_LOADED = "load_id between getvariable('first_load_id') and getvariable('last_load_id')"
_IN_SCOPE = "session_id in (select session_id from scope)"


def open_scope(
    connection: duckdb.DuckDBPyConnection, *, loads: range, sessions: Iterable[int], since_id: int | None
) -> None:
    """Make ``scope``: the sessions of the loads and those that were touched besides.

    Sets ``touched``, the first event that was touched, and ``since_id``, from where on model loads are read again.
    """
    connection.execute(f"set variable first_load_id = {loads.start}")
    connection.execute(f"set variable last_load_id = {loads.stop - 1}")
    connection.execute(
        f"""create or replace temp table scope as
            select distinct session_id from events where {_LOADED} and session_id is not null"""
    )
    # Not even one NULL: nothing is `not in` a set that holds one.
    if rows := [[session] for session in sessions]:
        connection.executemany("insert into scope values (?)", rows)
    ((first,),) = connection.execute(f"select min(event_id) from events where {_LOADED}").fetchall()
    touched = min(int(event) for event in (first, since_id, 0 if first is None else None) if event is not None)
    connection.execute(f"set variable touched = {touched}")
    _read_loads_from(connection)
    # The sessions of a restart loop have no new model loads, so they are added afterwards.
    _add_restart_loops(connection)


def _read_loads_from(connection: duckdb.DuckDBPyConnection) -> None:
    """Set ``since_id``: a model load that was under way in one of the sessions is read again from its start."""
    connection.execute(
        f"""set variable since_id = (
            select coalesce(min(load_seq), 0) from (
                select max(load_seq) as load_seq from model_loads
                where {_IN_SCOPE} and load_seq < getvariable('touched')
                    -- One that was refused is one line; the load around it may be under way.
                    and (outcome = 'unknown' or first_event_id < last_event_id)
                group by session_id
            ))"""
    )


def _add_restart_loops(connection: duckdb.DuckDBPyConnection) -> None:
    """Sessions that ended at once, before those that did: a server that is started again and again is one incident."""
    connection.execute(
        f"""insert into scope
            with ends as (
                select e.event_id, e.session_id, e.ts, s.stream_id
                from errors as e inner join sources as s using (source_id)
                where is_restart(e.cause, e.category, e.phase, e.severity, e.message)
            ),
            news as (
                select stream_id, min(ts) as ts from ends
                where event_id >= getvariable('touched') and {_IN_SCOPE} group by stream_id
            )
            select distinct e.session_id from ends as e inner join news as n using (stream_id)
            where (getvariable('touched') = 0 or e.ts >= n.ts - interval 30 minute)
                and e.session_id not in (select session_id from scope)"""
    )


def fold_from(connection: duckdb.DuckDBPyConnection) -> None:
    """Set from where on problems are folded again, and what of the time before is read for it.

    Problems from ``fold_from`` on get their incident again. Those from ``memory_from`` on are read for what they
    follow, and answers from ``recovery_from`` on: the last one before may turn out to have been broken off.
    """
    ((folded, memory),) = connection.execute(
        f"""with first as (
                select min(ts) as ts from events where event_id >= getvariable('touched') and {_IN_SCOPE}
            ),
            near as (
                select min(e.event_id) filter (where e.ts >= f.ts - interval 15 minute) as fold_from,
                    min(e.event_id) filter (where e.ts >= f.ts - interval 30 minute) as memory_from
                from errors as e cross join first as f
                where e.{_IN_SCOPE}
            )
            select least(getvariable('touched'), fold_from), least(getvariable('touched'), memory_from) from near"""
    ).fetchall()
    ((recovery,),) = connection.execute(
        f"""select coalesce(max(event_id), 0) from requests
            where event_id < ? and {_IN_SCOPE} and surface = 'ollama'
                and status = 200 and is_inference and endpoint not like '%embed%'""",
        [memory],
    ).fetchall()
    for name, value in {"fold_from": folded, "memory_from": memory, "recovery_from": recovery}.items():
        connection.execute(f"set variable {name} = {int(value)}")
