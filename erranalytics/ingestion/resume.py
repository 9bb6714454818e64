"""Where a load starts, and where the next load of the same source resumes.

The last record of a source is open: more bytes may still change it. So a grown file is read again from the start of
that record, and a file that continues another begins with the last record of that file. A source that fits one block
is read again from its start.

    first load                              second load
    1  time=… level=INFO … msg=starting     1  as before, not read
    2  panic: runtime error                 2  panic: runtime error       the open record: its event is removed,
                                            3  goroutine 1 [running]:     and lines 2 and 3 become one event
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb
import polars as pl

from erranalytics.ingestion import pipeline
from erranalytics.ingestion.identity import SourceEnd, StoredSource
from erranalytics.ingestion.options import Options
from erranalytics.ingestion.pipeline import Batch, State
from erranalytics.parsing.lineformats import FormatBook
from erranalytics.parsing.sessions import SessionState
from erranalytics.sources.files import Source, head_digest
from erranalytics.store import frames


@dataclass(frozen=True, slots=True)
class LoadStart:
    """Where a load starts, and the numbers that its rows get.

    ``new_session`` is the first free number of a run of the server. Run 0 of the load gets ``first_session`` and run -1
    ``fallback_session``, which are stored runs if the load continues them. ``previous`` is the source whose last
    record, from ``open_line`` on, continues in this one.
    """

    source_id: int
    load_id: int
    event_id: int
    new_session: int
    first_session: int
    fallback_session: int
    byte_start: int
    state: State
    stored: StoredSource | None = None
    previous: SourceEnd | None = None
    open_line: int = 1


def load_start(
    connection: duckdb.DuckDBPyConnection,
    first: State,
    *,
    formats: FormatBook,
    stored: StoredSource | None,
    previous: SourceEnd | None,
) -> LoadStart:
    """Find out where a load starts.

    Args:
        connection: the store.
        first: the state before the first line of a new source.
        formats: the line formats.
        stored: the stored source that has grown, if it is one.
        previous: the end of the file that the source continues, if it does.
    """
    new = next_start(connection, first)
    if stored:
        return _start_of_grown(new, stored)
    return _start_after(connection, new, previous, formats=formats) if previous else new


def first_state(source: Source, options: Options) -> State:
    """The state before the first line of a new source."""
    return pipeline.first_state(
        source, default_tz=options.default_tz, wrapper=options.wrapper or None, year=options.year
    )


def next_start(connection: duckdb.DuckDBPyConnection, state: State) -> LoadStart:
    """The start of a new source, with the next free numbers."""
    ((source, load, event, session),) = connection.execute(
        """select coalesce((select max(source_id) from sources), 0) + 1,
               coalesce((select max(load_id) from loads), 0) + 1,
               coalesce((select max(event_id) from events), 0) + 1,
               coalesce((select max(session_id) from events), 0) + 1"""
    ).fetchall()
    return LoadStart(int(source), int(load), int(event), int(session), int(session), int(session), 0, state)


def _start_of_grown(new: LoadStart, stored: StoredSource) -> LoadStart:
    """The start of a source that has grown: its open record, or its first byte if ``resume_byte`` is 0."""
    row, byte_start = stored.row, int(stored.row["resume_byte"])
    start = replace(new, source_id=int(row["source_id"]), stored=stored, byte_start=byte_start)
    if not byte_start:
        return start
    if row["resume_session_id"] is not None:
        run = int(row["resume_session_id"])
        start = replace(start, first_session=run, fallback_session=int(row["resume_fallback_id"] or run))
    if row["resume_state"] is None:
        return replace(start, state=replace(start.state, line_no=int(row["line_count"]) + 1))
    return replace(start, state=State.from_json(json.loads(row["resume_state"])))


def _start_after(
    connection: duckdb.DuckDBPyConnection, new: LoadStart, previous: SourceEnd, *, formats: FormatBook
) -> LoadStart:
    """The start of a file that continues another: its first record may be the last record of that file."""
    reopened = previous.reopened(formats)
    sessions = _last_sessions(connection, previous.source_id, reopened.open_line) or previous.sessions
    rest = None if reopened.rest is None else reopened.rest.with_columns(pl.col("line_no") - previous.line_count)
    return replace(
        new,
        first_session=sessions[0],
        fallback_session=sessions[1],
        state=replace(new.state, clock=reopened.clock, rest=rest, session=_resumed(reopened.session)),
        previous=previous,
        open_line=reopened.open_line,
    )


def _last_sessions(connection: duckdb.DuckDBPyConnection, source_id: int, line_no: int) -> tuple[int, int] | None:
    """The run of the last record before a line of a source, and the run before it."""
    sessions = connection.execute(
        """select session_id from events where source_id = ? and line_no < ? and session_id is not null
           group by session_id order by max(line_no) desc limit 2""",
        [source_id, line_no],
    ).fetchall()
    return (int(sessions[0][0]), int(sessions[-1][0])) if sessions else None


def _resumed(session: SessionState) -> SessionState:
    """The state of a load that continues a run: run 0 is that run, and -1 the one before it."""
    return SessionState(fallback=-1, has_config=session.has_config)


@dataclass(frozen=True, slots=True)
class RemovedRecords:
    """The records that were removed from the store in order to be read again."""

    line_count: int = 0
    event_count: int = 0
    sessions: frozenset[int] = frozenset()
    since_id: int | None = None


def remove_open_record(connection: duckdb.DuckDBPyConnection, start: LoadStart) -> RemovedRecords:
    """Remove the records to be read again: those at the end of a grown source, or of the previous file."""
    if start.stored:
        source_id, line_no = start.source_id, start.state.line_no
    elif start.previous and start.state.rest is not None:
        source_id, line_no = start.previous.source_id, start.open_line
    else:
        return RemovedRecords()
    where = f"source_id = {source_id} and line_no >= {line_no}"
    ((first, sessions),) = connection.execute(
        f"select min(event_id), list(distinct session_id) from events where {where}"
    ).fetchall()
    connection.execute(
        f"""update templates set event_count = templates.event_count - g.n
            from (select template_id, count(*) as n from events where {where} group by 1) as g
            where templates.template_id = g.template_id"""
    )
    connection.execute("delete from templates where event_count = 0")
    removed = f"select event_id from events where {where}"
    connection.execute(f"delete from errors where event_id in ({removed})")
    connection.execute(f"delete from requests where event_id in ({removed})")
    connection.execute(f"delete from calls where event_id in ({removed})")
    connection.execute(f"delete from events where {where}")
    connection.execute(f"delete from rejects where {where}")
    ((lines_before, events_before),) = connection.execute(
        "select sum(line_count), sum(event_count) from loads where source_id = ?", [source_id]
    ).fetchall()
    _reduce_loads(connection, source_id, line_no)
    ((lines, count),) = connection.execute(
        "select sum(line_count), sum(event_count) from loads where source_id = ?", [source_id]
    ).fetchall()
    return RemovedRecords(
        line_count=int(lines_before - lines),
        event_count=int(events_before - count),
        sessions=frozenset(int(session) for session in sessions or () if session is not None),
        since_id=None if first is None else int(first),
    )


def _reduce_loads(connection: duckdb.DuckDBPyConnection, source_id: int, line_no: int) -> None:
    """Reduce the counts of the loads of a source to the lines before ``line_no``."""
    # With line_no = 9, and a source of 15 lines that came in two loads:
    #   load 1: line_count 10, lines 1 to 10     becomes 8, its share of lines 1 to 8
    #   load 2: line_count 5, lines 11 to 15     becomes 0
    # The lines to be read again count for the load that is about to read them.
    connection.execute(
        """update loads set line_count = s.kept, event_count = s.events, reject_count = s.rejects,
               duplicate_count = s.kept - s.lines - s.rejects
           from (
               select l.load_id, e.events, e.lines, r.rejects,
                   (l.line_count - greatest(0, least(l.line_count, l.taken - l.later)))::bigint as kept
               from (
                   select load_id, line_count,
                       (select line_count + 1 - $line from sources where source_id = $source) as taken,
                       coalesce(sum(line_count) over (
                           order by load_id rows between 1 following and unbounded following
                       ), 0) as later
                   from loads where source_id = $source
               ) as l,
               lateral (
                   select count(*) as events, coalesce(sum(line_count), 0) as lines
                   from events where load_id = l.load_id
               ) as e,
               lateral (
                   select coalesce(sum(line_count), 0) as rejects from rejects where load_id = l.load_id
               ) as r
           ) as s
           where loads.load_id = s.load_id and loads.line_count <> s.kept""",
        {"source": source_id, "line": line_no},
    )


def session_id(session: pl.Expr, start: LoadStart) -> pl.Expr:
    """The numbers in the store of the runs of a load, see ``_session_number``."""
    shift = _session_number(1, start) - 1
    stored = pl.when(session == 0).then(start.first_session).when(session < 0).then(start.fallback_session)
    return stored.otherwise(session + shift)


def _session_number(session: int, start: LoadStart) -> int:
    """The number in the store of a run of a load; run 0 may be stored already, and -1 is the run before it."""
    # If run 30 is the first free number:
    #   run of the load                     -1    0    1    2
    #   a new source                        30   30   31   32
    #   a source that resumes in run 7       6    7   30   31
    if session <= 0:
        return start.first_session if session == 0 else start.fallback_session
    return session + start.new_session - (1 if start.first_session != start.new_session else 0)


def write_sources(
    connection: duckdb.DuckDBPyConnection, entries: Sequence[tuple[Source, Batch, LoadStart]], *, host: str | None
) -> None:
    """Write the rows of ``sources``: what was read, and where to resume when it has grown."""
    ids = ", ".join(str(start.source_id) for *_, start in entries)
    frames.append(
        connection,
        "sources",
        pl.DataFrame([_source_row(*entry, host=host) for entry in entries], schema=_SOURCE_ROW, orient="row"),
        sql=f"""
            insert or replace into sources by name
            select i.* exclude (host, previous_id), coalesce(i.host, e.host) as host,
                e.hosts, e.unit, e.first_ts, e.last_ts,
                coalesce(stored.stream_id, previous.stream_id, i.source_id) as stream_id
            from incoming as i
            left join (
                select source_id, mode(host) as host, mode(unit) as unit, min(ts) as first_ts, max(ts) as last_ts,
                    list_sort(list(distinct host) filter (where host is not null)) as hosts
                from events where source_id in ({ids}) group by source_id
            ) as e on e.source_id = i.source_id
            left join sources as stored on stored.source_id = i.source_id
            left join sources as previous on previous.source_id = i.previous_id
        """,
    )


_SOURCE_ROW = {
    "source_id": pl.Int32,
    "previous_id": pl.Int32,
    "uri": pl.String,
    "wrapper": pl.String,
    "host": pl.String,
    "encoding": pl.String,
    "compression": pl.String,
    "byte_count": pl.Int64,
    "line_count": pl.Int64,
    "head_digest": pl.String,
    "content_digest": pl.String,
    "is_dated": pl.Boolean,
    "resume_state": pl.String,
    "resume_byte": pl.Int64,
    "resume_session_id": pl.Int32,
    "resume_fallback_id": pl.Int32,
}


def _source_row(source: Source, last: Batch, start: LoadStart, *, host: str | None) -> tuple[object, ...]:
    resume, offset = _resume_point(last, start)
    return (
        start.source_id,
        start.previous.source_id if start.previous else None,
        source.uri,
        resume.wrapping.wrapper,
        host,
        source.encoding,
        source.compression,
        last.block.size,
        last.state.line_no - 1,
        head_digest(source.sample),
        last.block.digest,
        resume.clock.is_dated or last.state.clock.is_dated,
        json.dumps(resume.as_json()) if offset else None,
        offset,
        _session_number(resume.session.current, start),
        _session_number(resume.session.fallback, start),
    )


def _resume_point(last: Batch, start: LoadStart) -> tuple[State, int]:
    """The state and the byte from which to resume when the source has grown."""
    if last.resume is None:
        # A source of one block is read again from its start, unless its first record began in another file.
        return (last.state, last.block.end) if start.previous or start.byte_start else (last.state, 0)
    return last.resume, last.resume.open_byte


def source_end(source: Source, start: LoadStart, last: Batch, *, host: str | None) -> SourceEnd | None:
    """The end of a source, for a file that may continue it; None if it is not a file."""
    if source.mtime is None:
        return None
    return SourceEnd(
        source.uri,
        start.source_id,
        host,
        (*(start.previous.chain if start.previous else ()), start.source_id),
        (start.first_session, start.fallback_session),
        last.state,
        last.before,
        last.block.lines,
        is_whole=last.block.tail is None,
    )
