"""What needs neighbours in time, by SQL inside the store, in the transaction of the load that brought the records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from erranalytics.derivation import load_facts, pairing
from erranalytics.derivation.pairing import Pairing
from erranalytics.derivation.scope import fold_from, open_scope

if TYPE_CHECKING:
    from erranalytics.parsing.lineformats import FormatBook

_SQL = Path(__file__).parent / "sql"
_IN_SCOPE = "session_id in (select session_id from scope)"
# The kinds of work there may be, found by one query; most logs have few of them.
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
    union all (select 'problems' from requests where incident_id is not null and {_IN_SCOPE} limit 1)
    union all (
        select unnest(['problems', 'suspects']) from requests where suspected_by is not null and {_IN_SCOPE} limit 2
    )
    union all (select 'names' from templates where template = 'finished setting up' limit 1)
    union all (select 'dumps' from templates where format in getvariable('dump_formats') limit 1)
"""
# Made of ``load_facts.toml``.
_LOAD_FACTS = "022_load_view"
# The parts that problems play are work too; they are known once the problems are.
_PROBLEMS, _PARTS = "030_problems.sql", "select distinct role from problems"
# Steps that are skipped unless there is one of these kinds of work; one that is not named here always runs.
_NEEDS = {
    "005_shared.sql": {"any"},
    "020_load_attempts.sql": {"loads"},
    "022_load_sizes.sql": {"loads"},
    _LOAD_FACTS: {"loads"},
    "023_model_loads.sql": {"loads"},
    "024_load_names.sql": {"names"},
    "025_gpu_memory.sql": {"memory"},
    "030_problems.sql": {"problems"},
    "032_faults.sql": {"chain", "left", "access", "suspects"},
    "033_explained_requests.sql": {"reason"},
    "034_repeats.sql": {"reason", "alone"},
    "035_restart_loops.sql": {"restart"},
    "036_client_failures.sql": {"client"},
    "038_server_incidents.sql": {"chain", "suspects", "links"},
    "040_suspects.sql": {"chain", "suspects"},
    "045_request_models.sql": {"dumps"},
    "046_proven_models.sql": {"loads"},
    "056_members.sql": {"problems", "dumps", "links", "gateways"},
    "058_gateway_ranks.sql": {"gateways"},
    "060_incidents.sql": {"problems", "dumps", "links", "gateways"},
    "061_gateway_outcomes.sql": {"gateways"},
    "062_request_outcomes.sql": {"problems", "dumps", "links", "gateways"},
}
# The first step that needs what pairing finds of incidents.
_AFTER_PAIRING = "056_members.sql"

# What makes sessions and incidents, for callers that need nothing else.
OF_RUNS = frozenset({"010_sessions.sql"})
OF_INCIDENTS = frozenset(
    {
        "005_shared.sql",
        "030_problems.sql",
        "032_faults.sql",
        "033_explained_requests.sql",
        "034_repeats.sql",
        "035_restart_loops.sql",
        "036_client_failures.sql",
        "056_members.sql",
        "060_incidents.sql",
    }
)


@cache
def _steps() -> tuple[tuple[str, str], ...]:
    """Name and SQL of every step, in order."""
    files = [(path.name, path.read_text(encoding="utf-8")) for path in _SQL.glob("[0-9]*.sql")]
    return tuple(sorted([*files, (_LOAD_FACTS, load_facts.view())]))


def derive(
    connection: duckdb.DuckDBPyConnection,
    *,
    formats: FormatBook,
    loads: range,
    sessions: Iterable[int] = (),
    since_id: int | None = None,
    steps: Collection[str] | None = None,
) -> None:
    """Derive sessions, model loads, incidents, outcomes of requests and templates again for what some loads touched.

    Args:
        connection: the store, inside a transaction.
        formats: the line formats.
        loads: the numbers of the loads; empty when only ``sessions`` are derived again.
        sessions: sessions that were touched besides those of their records.
        since_id: the first event that was touched besides their records; None when there is none, 0 when sessions were
            joined or put in another order.
        steps: the only ones that are run, such as ``OF_INCIDENTS``; without it all that have work.
    """
    open_scope(connection, loads=loads, sessions=sessions, since_id=since_id)
    connection.execute(f"set variable call_formats = {formats.names('calls')}")
    connection.execute(f"set variable dump_formats = {formats.read_by('dump')}")
    pairings = pairing.with_work(connection)
    fold_from(connection)
    connection.execute(
        """create or replace temp table earlier_sessions as
           select session_id, version from server_sessions where session_id in (select session_id from scope)"""
    )
    _run_steps(connection, steps, pairings)
    ((has_learnt,),) = connection.execute(
        """select count(*) > 0 from server_sessions as s inner join earlier_sessions as e using (session_id)
           where s.version is distinct from e.version"""
    ).fetchall()
    if since_id == 0 or has_learnt:
        connection.execute((_SQL / "templates_again.sql").read_text(encoding="utf-8"))


def _run_steps(
    connection: duckdb.DuckDBPyConnection, wanted: Collection[str] | None, pairings: Sequence[Pairing]
) -> None:
    """Run the steps that have work and, when some are named, are among these; and the pairings between them."""
    (_, template_kinds), *steps = _steps()
    connection.execute(template_kinds)
    work = {str(kind) for (kind,) in connection.execute(_WORK).fetchall()} | {item.folder for item in pairings}
    if "loads" not in work:
        work.discard("names")
    if work:
        work.add("any")
    for name, sql in steps:
        if name == _AFTER_PAIRING:
            for item in pairings:
                item.pair(connection)
        if name in _NEEDS and work.isdisjoint(_NEEDS[name]):
            continue
        if wanted is None or name in wanted:
            connection.execute(sql)
            if name == _PROBLEMS:
                work.update(str(part) for (part,) in connection.execute(_PARTS).fetchall())
