"""Where a load begins, and where the next one goes on.

The last record of a source is open: more bytes may still change it. A grown file is read again from there, and a file
that continues another begins with the record with which that one ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import duckdb
import polars as pl

from erranalytics.classification.classifier import Memo
from erranalytics.classification.rulebook import Rulebook
from erranalytics.ingestion import pipeline
from erranalytics.ingestion.identity import Ending, Known
from erranalytics.ingestion.pipeline import Batch, State
from erranalytics.parsing.lineformats import FormatBook, FormatCache
from erranalytics.parsing.sessions import SessionState
from erranalytics.sources.files import Source, head_digest
from erranalytics.sources.lines import BLOCK_BYTES
from erranalytics.store import frames


@dataclass(frozen=True, slots=True)
class Options:
    """How a load is done.

    ``default_tz`` is the zone of stamps without one where the log holds no evidence, ``year`` that of the first stamp
    without one, ``host`` a label that wins over the name in the log, ``wrapper`` overrides detection. ``on_bytes`` is
    told how many bytes were read since the last call, ``on_read`` that all are, ``on_events`` shown each batch of
    numbered EVENTS with VERDICTS. ``block_bytes`` changes nothing but memory.
    """

    formats: FormatBook
    rules: Rulebook
    default_tz: str = "UTC"
    year: int | None = None
    host: str | None = None
    wrapper: str | None = None
    on_bytes: Callable[[int], None] = lambda count: None
    on_read: Callable[[], None] = lambda: None
    on_events: Callable[[pl.DataFrame], None] = lambda events: None
    block_bytes: int = BLOCK_BYTES
    memo: Memo = field(default_factory=Memo)
    cache: FormatCache = field(default_factory=FormatCache)


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a load begins, and the numbers its rows get.

    ``session`` is the first free number of a run; runs 0 and ``fallback`` of the load have the numbers of runs that
    are stored. ``before`` is the source whose last record, from ``open_line`` on, goes on in this one.
    """

    source_id: int
    load_id: int
    event: int
    session: int
    first_session: int
    fallback_session: int
    start: int
    state: State
    seen: Known | None = None
    before: Ending | None = None
    open_line: int = 1


def begin(
    connection: duckdb.DuckDBPyConnection,
    first: State,
    options: Options,
    *,
    known: Known | None,
    after: Ending | None,
) -> Begin:
    """Where to start.

    Args:
        connection: the store.
        first: the state before the first line of a source that nothing is known of.
        options: how it is loaded.
        known: the source in the store that has grown, if it is one.
        after: where the file ended that the source continues, if it does.
    """
    new = next_begin(connection, first)
    if known:
        return _begin_again(new, known)
    return _begin_behind(connection, new, after, options) if after else new


def first_state(source: Source, options: Options) -> State:
    """The state before the first line of a source that nothing is known of."""
    return pipeline.first_state(
        source, default_tz=options.default_tz, wrapper=options.wrapper or None, year=options.year
    )


def next_begin(connection: duckdb.DuckDBPyConnection, state: State) -> Begin:
    """A new source with the next free numbers."""
    ((source, load, event, session),) = connection.execute(
        """select coalesce((select max(source_id) from sources), 0) + 1,
               coalesce((select max(load_id) from loads), 0) + 1,
               coalesce((select max(event_id) from events), 0) + 1,
               coalesce((select max(session_id) from events), 0) + 1"""
    ).fetchall()
    return Begin(int(source), int(load), int(event), int(session), int(session), int(session), 0, state)


def _begin_again(first: Begin, known: Known) -> Begin:
    """A source that has grown goes on at its open record, or anew."""
    row, start = known.row, int(known.row["resume_byte"])
    first = replace(first, source_id=int(row["source_id"]), seen=known, start=start)
    if not start:
        return first
    if row["resume_session_id"] is not None:
        run = int(row["resume_session_id"])
        first = replace(first, first_session=run, fallback_session=int(row["resume_fallback_id"] or run))
    if row["resume_state"] is None:
        return replace(first, state=replace(first.state, line_no=int(row["line_count"]) + 1))
    return replace(first, state=State.from_json(json.loads(row["resume_state"])))


def _begin_behind(connection: duckdb.DuckDBPyConnection, first: Begin, after: Ending, options: Options) -> Begin:
    """A file that continues another begins with the record with which that one ended."""
    opened = after.opened(options.formats)
    numbers = _last_sessions(connection, after.source_id, opened.open_line) or after.sessions
    rest = None if opened.rest is None else opened.rest.with_columns(pl.col("line_no") - after.line_count)
    return replace(
        first,
        first_session=numbers[0],
        fallback_session=numbers[1],
        state=replace(first.state, clock=opened.clock, rest=rest, session=_resumed(opened.session)),
        before=after,
        open_line=opened.open_line,
    )


def _last_sessions(connection: duckdb.DuckDBPyConnection, source_id: int, line_no: int) -> tuple[int, int] | None:
    """The run of the last record before a line of a source, and the run before that one."""
    found = connection.execute(
        """select session_id from events where source_id = ? and line_no < ? and session_id is not null
           group by session_id order by max(line_no) desc limit 2""",
        [source_id, line_no],
    ).fetchall()
    return (int(found[0][0]), int(found[-1][0])) if found else None


def _resumed(session: SessionState) -> SessionState:
    """Run 0 of a load that goes on is the run it goes on in, -1 the one before that."""
    return SessionState(fallback=-1, has_config=session.has_config)


@dataclass(frozen=True, slots=True)
class Taken:
    """Records that were taken out of the store to be read again."""

    line_count: int = 0
    event_count: int = 0
    sessions: frozenset[int] = frozenset()
    since_id: int | None = None


def take_back(connection: duckdb.DuckDBPyConnection, begin: Begin, *, known: Known | None) -> Taken:
    """Take what is to be read again out of the store: the end of a source that has grown, or of the file before."""
    if known:
        source_id, line_no = begin.source_id, begin.state.line_no
    elif begin.before and begin.state.rest is not None:
        source_id, line_no = begin.before.source_id, begin.open_line
    else:
        return Taken()
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
    doomed = f"select event_id from events where {where}"
    connection.execute(f"delete from errors where event_id in ({doomed})")
    connection.execute(f"delete from requests where event_id in ({doomed})")
    connection.execute(f"delete from calls where event_id in ({doomed})")
    connection.execute(f"delete from events where {where}")
    connection.execute(f"delete from rejects where {where}")
    ((lines_before, events_before),) = connection.execute(
        "select sum(line_count), sum(event_count) from loads where source_id = ?", [source_id]
    ).fetchall()
    _settle(connection, source_id, line_no)
    ((lines, count),) = connection.execute(
        "select sum(line_count), sum(event_count) from loads where source_id = ?", [source_id]
    ).fetchall()
    known_sessions = frozenset(int(one) for one in sessions or () if one is not None)
    return Taken(
        int(lines_before - lines), int(events_before - count), known_sessions, None if first is None else int(first)
    )


def _settle(connection: duckdb.DuckDBPyConnection, source_id: int, line_no: int) -> None:
    """Loads of a source answer only for what they still hold, which is nothing from ``line_no`` on."""
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


def session_id(session: pl.Expr, begin: Begin) -> pl.Expr:
    """Numbers of runs inside a load as numbers of the store, see ``_session_number``."""
    shift = _session_number(1, begin) - 1
    stored = pl.when(session == 0).then(begin.first_session).when(session < 0).then(begin.fallback_session)
    return stored.otherwise(session + shift)


def _session_number(session: int, begin: Begin) -> int:
    """The number in the store of a run of a load: run 0 may be stored, -1 is the one before it."""
    if session <= 0:
        return begin.first_session if session == 0 else begin.fallback_session
    return session + begin.session - (1 if begin.first_session != begin.session else 0)


def write_sources(
    connection: duckdb.DuckDBPyConnection, entries: Sequence[tuple[Source, Batch, Begin]], options: Options
) -> None:
    """The rows of ``sources``: what was read and where to go on when it has grown."""
    ids = ", ".join(str(begin.source_id) for *_, begin in entries)
    frames.append(
        connection,
        "sources",
        pl.DataFrame([_source_row(*entry, options) for entry in entries], schema=_SOURCE_ROW, orient="row"),
        sql=f"""
            insert or replace into sources by name
            select i.* exclude (host, before_id), coalesce(i.host, e.host) as host,
                e.hosts, e.unit, e.first_ts, e.last_ts,
                coalesce(known.stream_id, before.stream_id, i.source_id) as stream_id
            from incoming as i
            left join (
                select source_id, mode(host) as host, mode(unit) as unit, min(ts) as first_ts, max(ts) as last_ts,
                    list_sort(list(distinct host) filter (where host is not null)) as hosts
                from events where source_id in ({ids}) group by source_id
            ) as e on e.source_id = i.source_id
            left join sources as known on known.source_id = i.source_id
            left join sources as before on before.source_id = i.before_id
        """,
    )


_SOURCE_ROW = {
    "source_id": pl.Int32,
    "before_id": pl.Int32,
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


def _source_row(source: Source, last: Batch, begin: Begin, options: Options) -> tuple[object, ...]:
    resume, offset = _resume(last, begin)
    return (
        begin.source_id,
        begin.before.source_id if begin.before else None,
        source.uri,
        resume.wrapping.wrapper,
        options.host,
        source.encoding,
        source.compression,
        last.block.size,
        last.state.line_no - 1,
        head_digest(source.sample),
        last.block.digest,
        resume.clock.is_dated or last.state.clock.is_dated,
        json.dumps(resume.as_json()) if offset else None,
        offset,
        _session_number(resume.session.current, begin),
        _session_number(resume.session.fallback, begin),
    )


def _resume(last: Batch, begin: Begin) -> tuple[State, int]:
    """Where to go on when the source has grown."""
    if last.resume is None:
        # All of it fits one block: it is read again, unless its first record began in another file.
        return (last.state, last.block.end) if begin.before or begin.start else (last.state, 0)
    return last.resume, last.resume.open_byte


def ending(source: Source, begin: Begin, last: Batch, options: Options) -> Ending | None:
    """Where the source ended, for a file that continues it."""
    if source.mtime is None:
        return None
    is_whole = last.block.tail is None
    return Ending(
        source.uri,
        begin.source_id,
        options.host,
        (*(begin.before.chain if begin.before else ()), begin.source_id),
        (begin.first_session, begin.fallback_session),
        last.state,
        last.before,
        last.block.lines,
        is_whole=is_whole,
    )
