"""Remove duplicates: records of a new source that a stored source has too, at the same times and from the same hosts.

This runs in the transaction of a load, after its rows are written. If no source overlaps, it costs one query of
``sources``. The SQL in ``sql/`` explains how records are compared.

    stored: exported at 12:00      new: exported at 12:10      in the store afterwards
    11:50 listening                                            11:50 listening
    11:58 model loaded             11:58 model loaded          11:58 model loaded
    11:59 request                  11:59 request               11:59 request
                                   12:05 out of memory         12:05 out of memory, from the new source
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
# Whether a stored record comes after a new one of the same run of the server.
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
class DeduplicationResult:
    """The lines and events of a load that were duplicates, and the runs of the server to derive again.

    No event before ``since_id`` has changed.
    """

    line_count: int = 0
    event_count: int = 0
    sessions: frozenset[int] = frozenset()
    since_id: int | None = None


def overlapping(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Sequence[pl.DataFrame]], *, host: str | None
) -> set[int]:
    """The places of the new sources that share time and host with a stored source, or with a new one before them.

    Args:
        connection: the store.
        sources: the EVENTS of each new source, in batches.
        host: a label instead of the names in the log.
    """
    places = frames.select(
        connection,
        """with new as materialized (select place, first_ts, last_ts, nullif(hosts, []) as hosts from incoming),
           others as (select -1 as place, first_ts, last_ts, hosts from sources union all select * from new)
           select distinct n.place from new as n inner join others as o
               on o.place < n.place and o.first_ts <= n.last_ts and o.last_ts >= n.first_ts
               and (list_has_any(o.hosts, n.hosts) or (o.hosts is null and n.hosts is null))""",
        _spans(sources, host=host),
    )
    return {int(place) for (place,) in places}


def _spans(sources: Sequence[Sequence[pl.DataFrame]], *, host: str | None) -> pl.DataFrame:
    """The first and the last time of each source, and its hosts."""
    events = pl.concat(
        batch.select(pl.lit(place, dtype=pl.Int32).alias("place"), "ts", "host")
        for place, batches in enumerate(sources)
        for batch in batches
    )
    names = pl.lit([host]) if host else pl.col("host").drop_nulls().unique().sort().implode()
    return events.group_by("place", maintain_order=True).agg(
        first_ts=pl.col("ts").min(), last_ts=pl.col("ts").max(), hosts=names
    )


def find_matches(
    connection: duckdb.DuckDBPyConnection, *, source_id: int, load_id: int, chain: tuple[int, ...] = ()
) -> bool:
    """Whether a new source has records of stored ones; if so, they are in the table ``matches``."""
    others = connection.execute(_OVERLAPS, {"load": load_id, "source": source_id, "chain": list(chain)}).fetchall()
    if not others:
        return False
    connection.execute(
        "create or replace temp table new_load as select ?::integer as source_id, ?::integer as load_id",
        [source_id, load_id],
    )
    connection.execute("create or replace temp table others (source_id integer)")
    connection.executemany("insert into others values (?)", [list(row) for row in others])
    _run(connection, "010_matches.sql")
    return bool(connection.execute("select count(*) from matches").fetchall()[0][0])


def deduplicate(
    connection: duckdb.DuckDBPyConnection, *, source_id: int, load_id: int, chain: tuple[int, ...] = ()
) -> DeduplicationResult:
    """Remove the duplicates of a load, join runs that are the same, and put their events in order.

    ``chain`` are the sources that this one continues; equal records in them are not duplicates, but were logged twice.
    """
    if not find_matches(connection, source_id=source_id, load_id=load_id, chain=chain):
        return DeduplicationResult()
    _run(connection, "020_duplicates.sql")
    counts = "coalesce(sum(line_count) filter (where is_new), 0), count(*) filter (where is_new)"
    ((lines, count, oldest, has_old),) = connection.execute(
        f"select {counts}, min(event_id) filter (where not is_new), bool_or(not is_new) from duplicates"
    ).fetchall()
    joined, is_bridge = _same_sessions(connection)
    ((is_mixed,),) = connection.execute(_LATER, {"load": load_id}).fetchall()
    if is_mixed or is_bridge:
        _run(connection, "030_order.sql")
    _join_sessions(connection)
    _join_streams(connection, source_id)
    touched = joined | {
        int(row[0])
        for row in connection.execute("select distinct session_id from duplicates where not is_new").fetchall()
    }
    since = 0 if is_mixed or is_bridge else int(oldest) if has_old else None
    return DeduplicationResult(int(lines), int(count), frozenset(touched), since)


def _run(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute((Path(__file__).parent / "sql" / name).read_text(encoding="utf-8"))


def _same_sessions(connection: duckdb.DuckDBPyConnection) -> tuple[set[int], bool]:
    """Fill ``session_map`` with the runs that share a record, which are one run.

    Returns:
        All runs in the map, and whether several stored runs become one.
    """
    pairs = connection.execute(
        "select distinct new_session, old_session from matches where chain <> 'system' and new_session <> old_session"
    ).fetchall()
    final = _components([(int(a), int(b)) for a, b in pairs])
    connection.execute("create or replace temp table session_map (old_id integer, new_id integer)")
    if final:
        connection.executemany("insert into session_map values (?, ?)", [list(item) for item in final.items()])
    stored = {int(pair[1]) for pair in pairs}
    return set(final), len({final[session] for session in stored}) < len(stored)


def _join_sessions(connection: duckdb.DuckDBPyConnection) -> None:
    joined = "session_map as m where m.old_id <> m.new_id and"
    for table in ("events", "errors", "requests"):
        connection.execute(f"update {table} set session_id = m.new_id from {joined} {table}.session_id = m.old_id")
    for column in ("resume_session_id", "resume_fallback_id"):
        connection.execute(f"update sources set {column} = m.new_id from {joined} sources.{column} = m.old_id")


def _join_streams(connection: duckdb.DuckDBPyConnection, source_id: int) -> None:
    """Give sources that share records one stream: they are logs of the same server."""
    matched = "select distinct old_source from matches"
    streams = f"select stream_id from sources where source_id in ({matched})"
    ((stream,),) = connection.execute(f"select min(stream_id) from ({streams})").fetchall()
    connection.execute(f"update sources set stream_id = ? where stream_id in ({streams})", [stream])
    connection.execute("update sources set stream_id = ? where source_id = ?", [stream, source_id])


def _components(pairs: list[tuple[int, int]]) -> dict[int, int]:
    """Map each number to the smallest number that it is connected with.

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
