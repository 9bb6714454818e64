"""One record once: a new source against the stored ones that tell of the same host and time.

Runs in the transaction of a load, behind its rows. Where nothing overlaps it costs one look at ``sources``.
The SQL stands in ``reconcile/``; what is known of a record is explained there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from erranalytics.store import frames

_OVERLAPS = """
select o.source_id
from sources as o, (
    select min(ts) as first_ts, max(ts) as last_ts, list(distinct host) filter (where host is not null) as hosts
    from events where load_id = $load
) as n
where o.source_id <> $source and not list_contains($chain::integer[], o.source_id)
    and o.first_ts <= n.last_ts and o.last_ts >= n.first_ts
    and (list_has_any(o.hosts, n.hosts) or (o.hosts is null and n.hosts is null))
"""
# Stored records that come behind a new one of the same run.
_LATER = """
select count(*) > 0
from events as old
inner join ranks as r using (session_id)
left join session_map as m on m.old_id = old.session_id
inner join (
    select coalesce(m.new_id, e.session_id) as session_id, min({'rank': a.rank, 'id': a.place}) as place
    from arrivals as a inner join events as e using (event_id) left join session_map as m on m.old_id = e.session_id
    group by 1
) as new on new.session_id = coalesce(m.new_id, old.session_id)
where old.load_id <> $load and {'rank': r.rank, 'id': old.event_id} > new.place
"""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of a load: lines and events that were there already, runs to derive anew.

    ``since_id``: no event before it was touched.
    """

    line_count: int = 0
    event_count: int = 0
    sessions: frozenset[int] = frozenset()
    since_id: int | None = None


def spans(sources: Sequence[Sequence[pl.DataFrame]], *, host: str | None) -> pl.DataFrame:
    """First and last time of the events of each new source, and the hosts they name.

    Args:
        sources: the EVENTS of each source, in batches.
        host: a label instead of the names in the log.
    """
    events = pl.concat(
        batch.select(pl.lit(place, dtype=pl.Int32).alias("place"), "ts", "host")
        for place, batches in enumerate(sources)
        for batch in batches
    )
    names = pl.lit([host]) if host else pl.col("host").drop_nulls().unique().sort().implode()
    return events.group_by("place", maintain_order=True).agg(
        first_ts=pl.col("ts").min(), last_ts=pl.col("ts").max(), hosts=names
    )


def near(connection: duckdb.DuckDBPyConnection, new: pl.DataFrame) -> set[int]:
    """The places of those of the ``spans`` that share time and host with a stored source, or with one before them."""
    found = frames.select(
        connection,
        """with new as materialized (select place, first_ts, last_ts, nullif(hosts, []) as hosts from incoming),
           others as (select -1 as place, first_ts, last_ts, hosts from sources union all select * from new)
           select distinct n.place from new as n inner join others as o
               on o.place < n.place and o.first_ts <= n.last_ts and o.last_ts >= n.first_ts
               and (list_has_any(o.hosts, n.hosts) or (o.hosts is null and n.hosts is null))""",
        new,
    )
    return {int(place) for (place,) in found}


def meets(connection: duckdb.DuckDBPyConnection, *, source_id: int, load_id: int, chain: tuple[int, ...] = ()) -> bool:
    """Whether a new source has records of stored ones; they stand in the table ``matches`` then."""
    found = connection.execute(_OVERLAPS, {"load": load_id, "source": source_id, "chain": list(chain)}).fetchall()
    if not found:
        return False
    connection.execute(
        "create or replace temp table newcomer as select ?::integer as source_id, ?::integer as load_id",
        [source_id, load_id],
    )
    connection.execute("create or replace temp table others (source_id integer)")
    connection.executemany("insert into others values (?)", [list(row) for row in found])
    _run(connection, "010_pieces.sql")
    return bool(connection.execute("select count(*) from matches").fetchall()[0][0])


def reconcile(
    connection: duckdb.DuckDBPyConnection, *, source_id: int, load_id: int, chain: tuple[int, ...] = ()
) -> Reconciled:
    """Drop what the store has already, join the runs that are the same, put them in order.

    ``chain`` are the sources that this one continues: what looks the same there was printed twice.
    """
    if not meets(connection, source_id=source_id, load_id=load_id, chain=chain):
        return Reconciled()
    _run(connection, "020_surplus.sql")
    counts = "coalesce(sum(line_count) filter (where is_new), 0), count(*) filter (where is_new)"
    ((lines, count, oldest, has_old),) = connection.execute(
        f"select {counts}, min(event_id) filter (where not is_new), bool_or(not is_new) from surplus"
    ).fetchall()
    joined, is_bridge = _same_sessions(connection)
    ((is_mixed,),) = connection.execute(_LATER, {"load": load_id}).fetchall()
    if is_mixed or is_bridge:
        _run(connection, "030_order.sql")
    _join_sessions(connection)
    _join_streams(connection, source_id)
    touched = joined | {
        int(row[0]) for row in connection.execute("select distinct session_id from surplus where not is_new").fetchall()
    }
    since = 0 if is_mixed or is_bridge else int(oldest) if has_old else None
    return Reconciled(int(lines), int(count), frozenset(touched), since)


def _run(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute((Path(__file__).parent / "sql" / name).read_text(encoding="utf-8"))


def _same_sessions(connection: duckdb.DuckDBPyConnection) -> tuple[set[int], bool]:
    """Runs that share a record are one run: fill ``session_map``.

    Returns all runs that are concerned, those that will be gone too, and whether stored runs are joined.
    """
    pairs = connection.execute(
        "select distinct new_session, old_session from matches where chain <> 'system' and new_session <> old_session"
    ).fetchall()
    final = _components([(int(a), int(b)) for a, b in pairs])
    connection.execute("create or replace temp table session_map (old_id integer, new_id integer)")
    if final:
        connection.executemany("insert into session_map values (?, ?)", [list(item) for item in final.items()])
    stored = {int(pair[1]) for pair in pairs}
    return set(final), len({final[one] for one in stored}) < len(stored)


def _join_sessions(connection: duckdb.DuckDBPyConnection) -> None:
    joined = "session_map as m where m.old_id <> m.new_id and"
    for table in ("events", "errors", "requests"):
        connection.execute(f"update {table} set session_id = m.new_id from {joined} {table}.session_id = m.old_id")
    for column in ("resume_session_id", "resume_fallback_id"):
        connection.execute(f"update sources set {column} = m.new_id from {joined} sources.{column} = m.old_id")


def _join_streams(connection: duckdb.DuckDBPyConnection, source_id: int) -> None:
    """Sources that share records tell of one server."""
    linked = "select distinct old_source from matches"
    streams = f"select stream_id from sources where source_id in ({linked})"
    ((stream,),) = connection.execute(f"select min(stream_id) from ({streams})").fetchall()
    connection.execute(f"update sources set stream_id = ? where stream_id in ({streams})", [stream])
    connection.execute("update sources set stream_id = ? where source_id = ?", [stream, source_id])


def _components(pairs: list[tuple[int, int]]) -> dict[int, int]:
    """The smallest number each number is connected with.

    >>> _components([(5, 3), (5, 1), (8, 9)])
    {5: 1, 3: 1, 1: 1, 8: 8, 9: 8}
    """
    final: dict[int, int] = {}
    for a, b in pairs:
        first, second = final.get(a, a), final.get(b, b)
        low = min(first, second)
        final[a] = final[b] = low
        for key, value in final.items():
            if value in (first, second):
                final[key] = low
    return final
