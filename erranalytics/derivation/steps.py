"""What needs neighbours in time, by SQL inside the store, in the transaction of the load that brought the records."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

import duckdb

from erranalytics.derivation import call_links, gateway_requests
from erranalytics.parsing import lineformats

_SQL = Path(__file__).parent / "sql"
DUMPS = "request-dump"
_LOADED = "load_id between getvariable('first_load_id') and getvariable('last_load_id')"
_IN_SCOPE = "session_id in (select session_id from scope)"
# What there may be to do, asked at once; most logs have little of it.
_WORK = f"""
    (
        select distinct unnest([
            case when k.of_load in ('start', 'failed') then 'loads' end,
            case when k.of_memory is not null then 'memory' end
        ])
        from events as e inner join template_kinds as k using (template_id) where e.{_IN_SCOPE}
    )
    union all (select 'loads' from model_loads where {_IN_SCOPE} limit 1)
    union all (select 'memory' from gpu_memory where {_IN_SCOPE} limit 1)
    union all (select 'problems' from errors where {_IN_SCOPE} limit 1)
    union all (select 'problems' from incidents where {_IN_SCOPE} limit 1)
    union all (
        select 'problems' from requests where coalesce(incident_id, suspected_by) is not null and {_IN_SCOPE} limit 1
    )
    union all (select 'names' from templates where template = 'finished setting up' limit 1)
    union all (select 'dumps' from templates where format = '{DUMPS}' limit 1)
"""
# Which of that a step is for; one that is not named here is always run. In the order in which they are run.
_ONLY_WITH = {
    "020_model_loads.sql": "loads",
    "022_load_facts.sql": "loads",
    "024_load_names.sql": "loads names",
    "025_gpu_memory.sql": "memory",
    "030_problems.sql": "problems",
    "032_faults.sql": "problems",
    "034_folds.sql": "problems",
    "036_incidents.sql": "problems",
    "040_requests.sql": "problems",
    "045_request_models.sql": "dumps",
    "046_models_told.sql": "loads",
}


# What runs and incidents are made of, for who asks for nothing else.
OF_RUNS = ("010_sessions.sql",)
OF_INCIDENTS = ("030_problems.sql", "032_faults.sql", "034_folds.sql", "036_incidents.sql")


@cache
def _steps() -> tuple[tuple[str, str], ...]:
    """Name and SQL of every step, in order."""
    return tuple((path.name, path.read_text(encoding="utf-8")) for path in sorted(_SQL.glob("[0-9]*.sql")))


def derive(
    connection: duckdb.DuckDBPyConnection,
    *,
    loads: range,
    sessions: Iterable[int] = (),
    since_id: int | None = None,
    steps: Collection[str] | None = None,
) -> None:
    """Runs, model loads, incidents, outcomes of requests and templates anew for what some loads touched.

    Args:
        connection: the store, inside a transaction.
        loads: the numbers of the loads; empty when only ``sessions`` are derived anew.
        sessions: runs that were touched besides those of their records.
        since_id: the first event that was touched besides their records; None when there is none, 0 when runs were
            joined or put in another order.
        steps: the only ones that are run, such as ``OF_INCIDENTS``; when it is not given all that have work.
    """
    connection.execute(f"set variable first_load_id = {loads.start}")
    connection.execute(f"set variable last_load_id = {loads.stop - 1}")
    connection.execute(
        f"""create or replace temp table scope as
            select distinct session_id from events where {_LOADED} and session_id is not null"""
    )
    # Not even one NULL: nothing is `not in` a set that holds one.
    if others := [[one] for one in sessions]:
        connection.executemany("insert into scope values (?)", others)
    ((first,),) = connection.execute(f"select min(event_id) from events where {_LOADED}").fetchall()
    touched = min(int(one) for one in (first, since_id, 0 if first is None else None) if one is not None)
    _since(connection, touched)
    # Runs that are looked at besides have no new loads.
    _widen(connection, touched)
    ((has_calls, has_gateway),) = connection.execute(
        f"select {call_links.HAS_CALLS}, {gateway_requests.HAS_GATEWAY}"
    ).fetchall()
    if has_calls:
        call_links.widen(connection, touched=touched)
    if has_gateway:
        gateway_requests.widen(connection, touched=touched)
    _fold_from(connection, touched)
    connection.execute(f"set variable call_formats = {lineformats.load().names('calls')}")
    connection.execute(
        """create or replace temp table earlier_runs as
           select session_id, version from server_sessions where session_id in (select session_id from scope)"""
    )
    _run_steps(connection, steps)
    if has_calls:
        call_links.link(connection, touched=touched)
    if has_gateway:
        gateway_requests.relay(connection, touched=touched)
    ((has_learnt,),) = connection.execute(
        """select count(*) > 0 from server_sessions as s inner join earlier_runs as e using (session_id)
           where s.version is distinct from e.version"""
    ).fetchall()
    if since_id == 0 or has_learnt:
        connection.execute((_SQL / "templates_anew.sql").read_text(encoding="utf-8"))


def _run_steps(connection: duckdb.DuckDBPyConnection, wanted: Collection[str] | None) -> None:
    """Run the steps that are wanted or, when none is named, those that have something to do."""
    (_, vagueness), (_, kinds), *others = _steps()
    connection.execute(vagueness)
    if wanted is None:
        connection.execute(kinds)
        work = {str(one) for (one,) in connection.execute(_WORK).fetchall()}
        wanted = [name for name, _ in others if work.issuperset(_ONLY_WITH.get(name, "").split())]
    elif not set(wanted).isdisjoint(OF_RUNS):
        connection.execute(kinds)
    for name, sql in others:
        if name in wanted:
            connection.execute(sql)


def _since(connection: duckdb.DuckDBPyConnection, touched: int) -> None:
    """From where on model loads are read: one that was under way in one of the runs is read again from its start."""
    ((since,),) = connection.execute(
        """select coalesce(min(load_seq), 0) from (
               select max(load_seq) as load_seq from model_loads
               where session_id in (select session_id from scope) and load_seq < ?
                   -- One that was refused is one line; the load around it may be under way.
                   and (outcome = 'unknown' or first_event_id < last_event_id)
               group by session_id
           )""",
        [touched],
    ).fetchall()
    connection.execute(f"set variable since_id = {int(since)}")


def _widen(connection: duckdb.DuckDBPyConnection, touched: int) -> None:
    """Runs that ended at once, before those that did: a server that is started again and again is one incident."""
    connection.execute(
        """insert into scope
           with ends as (
               select e.event_id, e.session_id, e.ts, s.stream_id
               from errors as e inner join sources as s using (source_id)
               where is_restart(e.cause, e.category, e.phase, e.severity, e.message)
           ),
           new as (
               select stream_id, min(ts) as ts from ends
               where event_id >= $touched and session_id in (select session_id from scope) group by stream_id
           )
           select distinct o.session_id from ends as o inner join new as n using (stream_id)
           where ($touched = 0 or o.ts >= n.ts - interval 30 minute)
               and o.session_id not in (select session_id from scope)""",
        {"touched": touched},
    )


def _fold_from(connection: duckdb.DuckDBPyConnection, touched: int) -> None:
    """From where on problems are folded anew, and what of the time before is read again for it."""
    ((fold_from, memory_from),) = connection.execute(
        """with first as (
               select min(ts) as ts from events
               where event_id >= $touched and session_id in (select session_id from scope)
           ),
           near as (
               select min(e.event_id) filter (where e.ts >= f.ts - interval 15 minute) as fold_from,
                   min(e.event_id) filter (where e.ts >= f.ts - interval 30 minute) as memory_from
               from errors as e cross join first as f
               where e.session_id in (select session_id from scope)
           )
           select least($touched, coalesce(fold_from, $touched)), least($touched, coalesce(memory_from, $touched))
           from near""",
        {"touched": touched},
    ).fetchall()
    # The last answer before that may turn out to have been broken off.
    ((recovery_from,),) = connection.execute(
        """select coalesce(max(event_id), 0) from requests
           where event_id < ? and session_id in (select session_id from scope) and surface = 'ollama'
               and status = 200 and is_inference
               and endpoint not like '%embed%'""",
        [memory_from],
    ).fetchall()
    for name, value in {"fold_from": fold_from, "memory_from": memory_from, "recovery_from": recovery_from}.items():
        connection.execute(f"set variable {name} = {int(value)}")
