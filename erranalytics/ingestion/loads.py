"""A load: one source into the store, exactly once; several small ones in one transaction.

A source is known by its bytes: ``sources`` keeps how many were ingested and their SHA-256. A file that begins with
the bytes of a known source is that source; what follows them is new. Its last record is open: more bytes may still
change it, so a grown file is read again from there. The rows of ``loads`` are written last, and nothing is visible
before them.

Deriving costs the same for one record as for thousands. So small sources wait for each other and are stored together
(``Small``), unless one has records of another: then all before it are derived first, as if each had come alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import polars as pl

from erranalytics.derivation.steps import derive
from erranalytics.ingestion import deduplication, identity, pipeline, resume
from erranalytics.ingestion.appender import Appender, Totals
from erranalytics.ingestion.deduplication import Reconciled
from erranalytics.ingestion.identity import Ending, Known
from erranalytics.ingestion.pipeline import Batch, State
from erranalytics.ingestion.resume import Begin, Options, Taken
from erranalytics.ingestion.rulebook_rows import write_catalogue
from erranalytics.sources.files import Source
from erranalytics.store import frames
from erranalytics.version import __version__

# With fewer events in the store, deriving is over before a second thread has begun.
FEW_EVENTS = 200_000

__all__ = ["LoadResult", "Options", "Small", "load", "load_together"]


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load did. ``status`` is ``new``, ``grown``, ``known`` or ``empty``; counts are of what it added.

    ``ending`` is where the source ended, for a file that continues it.
    """

    uri: str
    status: str
    wrapper: str = ""
    encoding: str = ""
    host: str | None = None
    versions: tuple[str, ...] = ()
    byte_count: int = 0
    line_count: int = 0
    event_count: int = 0
    error_count: int = 0
    incident_count: int = 0
    duplicate_count: int = 0
    reject_count: int = 0
    unknown_count: int = 0
    note: str | None = None
    ending: Ending | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class _Load:
    """A load whose records are in the store, inside the transaction that brings its row."""

    source: Source
    begin: Begin
    started: datetime
    totals: Totals
    last: Batch
    status: str = "new"
    taken: Taken = field(default_factory=Taken)
    once: Reconciled = field(default_factory=Reconciled)
    is_replaced: bool = False


def load(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, *, after: Ending | None = None
) -> LoadResult:
    """Ingest one source into a store opened for writing: all of it, its new tail, or nothing when it is known.

    Args:
        connection: the store.
        source: what to read.
        options: how.
        after: where the file before it ended, when both are read in one run.
    """
    known = identity.find_known(connection, source, host=options.host)
    if known and known.is_all:
        options.on_bytes(source.byte_size)
        return nothing_new(source, known)
    first = resume.first_state(source, options)
    if known or not (after and identity.continues(source, first, after, host=options.host, formats=options.formats)):
        after = None
    if pipeline.is_small(source, options.block_bytes) and not (known or after):
        return load_together(connection, [parse_small(connection, source, options, first=first)], options)[0]
    is_replaced = known is None and identity.was_replaced(connection, source)
    started = datetime.now(UTC)
    with frames.transaction(connection):
        begin = resume.begin(connection, first, options, known=known, after=after)
        taken = resume.take_back(connection, begin, known=known)
        totals, last = _append_all(connection, source, options, begin)
        options.on_read()
        if totals.line_count == 0:
            connection.rollback()
            connection.begin()
            return nothing_new(source, known, note=last.block.note)
        resume.write_sources(connection, [(source, last, begin)], options)
        status = "grown" if known else "new"
        done = _Load(source, begin, started, totals, last, status, taken, is_replaced=is_replaced)
        done.once = _reconciled(connection, begin)
        return _finish(connection, [done], options)[0]


def nothing_new(source: Source, known: Known | None, *, note: str | None = None) -> LoadResult:
    """The result of a source that is empty, or adds nothing to what the store has of it."""
    if known is None:
        return LoadResult(source.uri, "empty", "", source.encoding, note=note)
    row = known.row
    return LoadResult(source.uri, "known", row["wrapper"], row["encoding"], row["host"], note=note)


def _append_all(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, begin: Begin
) -> tuple[Totals, Batch]:
    totals, position = Totals(), begin.start
    appender = Appender(connection, options, event_id=begin.event)
    # Parsing keeps the other core busy: a single writer costs a quarter less than two that share the work.
    connection.execute("set threads = 1")
    for batch in pipeline.parsed(
        source,
        state=begin.state,
        start=begin.start,
        formats=options.formats,
        block_bytes=options.block_bytes,
        seen=(begin.seen.byte_count, begin.seen.digest) if begin.seen else None,
    ):
        appender.append([(begin, totals, batch)])
        options.on_bytes(batch.block.end - position)
        position, last = batch.block.end, batch
    _appended(connection, appender)
    totals.byte_count = last.block.size - begin.start
    options.on_bytes(last.block.size - position)
    return totals, last


def _appended(connection: duckdb.DuckDBPyConnection, appender: Appender) -> None:
    """What is derived next has both cores, where there is enough of it."""
    if appender.event_id > FEW_EVENTS:
        connection.execute("reset threads")


def _reconciled(connection: duckdb.DuckDBPyConnection, begin: Begin) -> Reconciled:
    chain = begin.before.chain if begin.before else ()
    return deduplication.reconcile(connection, source_id=begin.source_id, load_id=begin.load_id, chain=chain)


@dataclass(frozen=True, slots=True)
class Small:
    """A small new source that was read and parsed; nothing of it is in the store yet."""

    source: Source
    first: State
    batches: tuple[Batch, ...]
    started: datetime
    is_replaced: bool

    @property
    def size(self) -> int:
        """Bytes of its text."""
        return self.batches[-1].block.size

    @property
    def uri(self) -> str:
        """The name of its source."""
        return self.source.uri

    def ending_for(self, options: Options) -> Ending | None:
        """Where it ended; what the numbers of its runs will be is not known."""
        return resume.ending(self.source, Begin(0, 0, 0, 0, 0, 0, 0, self.first), self.batches[-1], options)


def parse_small(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, *, first: State | None = None
) -> Small:
    """Read and parse a small source that the store does not know."""
    is_replaced, started = identity.was_replaced(connection, source), datetime.now(UTC)
    first = first or resume.first_state(source, options)
    batches = pipeline.parsed(
        source,
        state=first,
        start=0,
        formats=options.formats,
        block_bytes=options.block_bytes,
        is_small=True,
        cache=options.cache,
    )
    small = Small(source, first, tuple(batches), started, is_replaced)
    options.on_bytes(small.size)
    options.on_read()
    return small


def load_together(connection: duckdb.DuckDBPyConnection, smalls: Sequence[Small], options: Options) -> list[LoadResult]:
    """Store small sources in their order, in as few transactions as their records allow."""
    if not smalls:
        return []
    try:
        with frames.transaction(connection):
            return _store_together(connection, smalls, options)
    except _MeetsAnotherError as fault:
        place = fault.place
    parts = (smalls[:place], smalls[place : place + 1], smalls[place + 1 :])
    return [result for part in parts for result in load_together(connection, part, options)]


class _MeetsAnotherError(Exception):
    """The source at this place has records of one before it: all before it must be derived first."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def _store_together(
    connection: duckdb.DuckDBPyConnection, smalls: Sequence[Small], options: Options
) -> list[LoadResult]:
    """Append and derive the sources, inside a transaction.

    Raises:
        _MeetsAnotherError: one of several has records of another one.
    """
    connection.execute("set threads = 1")
    begin = resume.next_begin(connection, smalls[0].first)
    appender = Appender(connection, options, event_id=begin.event)
    done: dict[int, _Load] = {}
    for place, small in enumerate(smalls):
        if any(batch.block.line_count for batch in small.batches):
            begin = replace(begin, state=small.first)
            totals, last = Totals(byte_count=small.size), small.batches[-1]
            done[place] = _Load(small.source, begin, small.started, totals, last, is_replaced=small.is_replaced)
            begin = _next(begin, small)
    waiting: list[int] = []

    def append() -> None:
        parts = [(done[place].begin, done[place].totals, batch) for place in waiting for batch in smalls[place].batches]
        if parts:
            appender.append(parts)
            stored = [done[place] for place in waiting]
            resume.write_sources(connection, [(one.source, one.last, one.begin) for one in stored], options)
            waiting.clear()

    stored = [[batch.events for batch in smalls[place].batches] for place in done]
    near = deduplication.near(connection, deduplication.spans(stored, host=options.host)) if done else set()
    for number, (place, one) in enumerate(done.items()):
        if number in near:
            append()
        waiting.append(place)
        if number in near:
            append()
            if len(smalls) == 1:
                one.once = _reconciled(connection, one.begin)
            elif deduplication.meets(connection, source_id=one.begin.source_id, load_id=one.begin.load_id):
                raise _MeetsAnotherError(place)
    append()
    _appended(connection, appender)
    results = dict(zip(done, _finish(connection, list(done.values()), options), strict=True)) if done else {}
    return [
        results.get(place) or nothing_new(small.source, None, note=small.batches[-1].block.note)
        for place, small in enumerate(smalls)
    ]


def _next(begin: Begin, small: Small) -> Begin:
    """The numbers behind those that a source takes; events get theirs when they are appended."""
    numbers = pl.concat([batch.events["session"] for batch in small.batches])
    runs = int(numbers.to_frame().select(pl.col("session").max().fill_null(-1)).item()) + 1
    session = begin.session + runs
    return replace(
        begin,
        source_id=begin.source_id + 1,
        load_id=begin.load_id + 1,
        session=session,
        first_session=session,
        fallback_session=session,
    )


def _finish(connection: duckdb.DuckDBPyConnection, done: Sequence[_Load], options: Options) -> list[LoadResult]:
    """Derive what the loads brought, and write their rows."""
    write_catalogue(connection, options.rules)
    sessions = frozenset[int]().union(*(one.once.sessions | one.taken.sessions for one in done))
    touched = [since for one in done for since in (one.once.since_id, one.taken.since_id) if since is not None]
    numbers = [one.begin.load_id for one in done]
    derive(
        connection,
        formats=options.formats,
        loads=range(min(numbers), max(numbers) + 1),
        sessions=sessions,
        since_id=min(touched, default=None),
    )
    _write_loads(connection, done, options)
    return _results(connection, done, options)


def _write_loads(connection: duckdb.DuckDBPyConnection, done: Sequence[_Load], options: Options) -> None:
    finished = datetime.now(UTC)
    rows = [
        {
            "load_id": one.begin.load_id,
            "source_id": one.begin.source_id,
            "started_at": one.started,
            "finished_at": finished,
            "byte_start": one.begin.start,
            "byte_count": one.totals.byte_count,
            # The record with which the file before ended is read, and counted, with this one.
            "line_count": one.totals.line_count + (one.taken.line_count if one.begin.before else 0),
            "event_count": one.totals.event_count - one.once.event_count,
            "duplicate_count": one.once.line_count,
            "reject_count": one.totals.reject_count,
            "version": __version__,
            "rulebook_hash": options.rules.hash,
            "formats_hash": options.formats.hash,
        }
        for one in done
    ]
    frames.append(connection, "loads", pl.DataFrame(rows))


_ABOUT = """
with mine as (
    select load_id, source_id, event_id, session_id, incident_id from events where load_id between $first and $last
),
counts as (
    select m.load_id, count(x.event_id) as error_count, count(distinct m.incident_id) as incident_count
    from mine as m left join errors as x using (event_id) group by m.load_id
),
versions as (
    select m.load_id, list(s.version order by s.session_id) as versions
    from (select distinct load_id, session_id from mine) as m inner join server_sessions as s using (session_id)
    where s.version is not null group by m.load_id
)
select c.load_id, c.error_count, c.incident_count, v.versions from counts as c left join versions as v using (load_id)
"""


def _results(connection: duckdb.DuckDBPyConnection, done: Sequence[_Load], options: Options) -> list[LoadResult]:
    numbers = [one.begin.load_id for one in done]
    about = {
        row["load_id"]: row for row in frames.rows(connection, _ABOUT, {"first": min(numbers), "last": max(numbers)})
    }
    ids = ", ".join(str(one.begin.source_id) for one in done)
    hosts = dict(connection.execute(f"select source_id, host from sources where source_id in ({ids})").fetchall())
    return [_result(one, about.get(one.begin.load_id, {}), hosts[one.begin.source_id], options) for one in done]


def _result(done: _Load, about: dict[str, Any], host: str | None, options: Options) -> LoadResult:
    replaced = "it replaces another file of this name, which was rotated or truncated" if done.is_replaced else None
    totals, taken = done.totals, done.taken
    return LoadResult(
        uri=done.source.uri,
        status=done.status,
        wrapper=done.last.state.wrapping.wrapper,
        encoding=done.source.encoding,
        host=host,
        versions=tuple(dict.fromkeys(about.get("versions") or ())),
        byte_count=totals.byte_count,
        line_count=totals.line_count - (0 if done.begin.before else taken.line_count),
        event_count=totals.event_count - done.once.event_count - taken.event_count,
        error_count=int(about.get("error_count", 0)),
        incident_count=int(about.get("incident_count", 0)),
        duplicate_count=done.once.line_count,
        reject_count=totals.reject_count,
        unknown_count=totals.unknown_count,
        note="; ".join(note for note in (replaced, done.last.block.note) if note) or None,
        ending=resume.ending(done.source, done.begin, done.last, options),
    )
