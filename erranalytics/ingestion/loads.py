"""Load sources into the store, each record exactly once; several small sources share a transaction.

A source is recognised by its bytes: ``sources`` keeps their number and digest. A file that begins with the bytes of a
stored source is that source, and only the rest is new. Its last record is open: more bytes may still change it, so a
grown file is read again from there. The rows of ``loads`` are written last, and nothing is visible before them.

Deriving costs the same for one record as for thousands. So small sources wait for each other and are stored together
(``ParsedSource``). If one has records of another, all sources before it are derived first, as if each had come alone.
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
from erranalytics.ingestion.deduplication import DeduplicationResult
from erranalytics.ingestion.identity import SourceEnd, StoredSource
from erranalytics.ingestion.options import Options
from erranalytics.ingestion.pipeline import Batch, State
from erranalytics.ingestion.resume import LoadStart, RemovedRecords
from erranalytics.ingestion.rulebook_rows import write_catalogue
from erranalytics.sources.files import Source
from erranalytics.store import frames
from erranalytics.version import __version__

# With fewer events in the store, deriving ends before a second thread has started.
FEW_EVENTS = 200_000

__all__ = ["LoadResult", "Options", "ParsedSource", "load", "load_together"]


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load did. ``status`` is ``new``, ``grown``, ``known`` or ``empty``; the counts are of added rows only.

    ``source_end`` is the end of the source, for a file that continues it.
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
    source_end: SourceEnd | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class _Load:
    """A load whose records are in the store, inside the transaction that will add its row to ``loads``."""

    source: Source
    start: LoadStart
    started: datetime
    totals: Totals
    last: Batch
    status: str = "new"
    removed: RemovedRecords = field(default_factory=RemovedRecords)
    deduplicated: DeduplicationResult = field(default_factory=DeduplicationResult)
    is_replaced: bool = False


def load(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, *, previous: SourceEnd | None = None
) -> LoadResult:
    """Load one source into a store opened for writing: all of it, only its new tail, or nothing if it is stored.

    Args:
        connection: the store.
        source: what to read.
        options: how to read it.
        previous: the end of the file before it, when both are read in one call.
    """
    stored = identity.find_stored(connection, source, host=options.host)
    if stored and stored.is_all:
        options.on_bytes(source.byte_size)
        return nothing_new(source, stored)
    first, host, formats = resume.first_state(source, options), options.host, options.formats
    if stored or not (previous and identity.continues(source, first, previous, host=host, formats=formats)):
        previous = None
    if pipeline.is_small(source, options.block_bytes) and not (stored or previous):
        return load_together(connection, [parse_small(connection, source, options, first=first)], options)[0]
    is_replaced = stored is None and identity.was_replaced(connection, source)
    started = datetime.now(UTC)
    with frames.transaction(connection):
        start = resume.load_start(connection, first, formats=formats, stored=stored, previous=previous)
        removed = resume.remove_open_record(connection, start)
        totals, last = _append_all(connection, source, options, start)
        options.on_read()
        if totals.line_count == 0:
            connection.rollback()
            connection.begin()
            return nothing_new(source, stored, note=last.block.note)
        resume.write_sources(connection, [(source, last, start)], host=host)
        status = "grown" if stored else "new"
        new_load = _Load(source, start, started, totals, last, status, removed, is_replaced=is_replaced)
        new_load.deduplicated = _deduplicate(connection, start)
        return _finish(connection, [new_load], options)[0]


def nothing_new(source: Source, stored: StoredSource | None, *, note: str | None = None) -> LoadResult:
    """The result of a source that is empty, or has nothing that the store lacks."""
    if stored is None:
        return LoadResult(source.uri, "empty", "", source.encoding, note=note)
    row = stored.row
    return LoadResult(source.uri, "known", row["wrapper"], row["encoding"], row["host"], note=note)


def _append_all(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, start: LoadStart
) -> tuple[Totals, Batch]:
    totals, position = Totals(), start.byte_start
    appender = Appender(connection, options, event_id=start.event_id)
    # Parsing uses the other core, and a single writer costs a quarter less than two that share the work.
    connection.execute("set threads = 1")
    for batch in pipeline.parsed(
        source,
        state=start.state,
        start=start.byte_start,
        formats=options.formats,
        block_bytes=options.block_bytes,
        seen=(start.stored.byte_count, start.stored.digest) if start.stored else None,
    ):
        appender.append([(start, totals, batch)])
        options.on_bytes(batch.block.end - position)
        position, last = batch.block.end, batch
    _use_all_threads(connection, appender)
    totals.byte_count = last.block.size - start.byte_start
    options.on_bytes(last.block.size - position)
    return totals, last


def _use_all_threads(connection: duckdb.DuckDBPyConnection, appender: Appender) -> None:
    """Derive on all cores if there are enough events."""
    if appender.event_id > FEW_EVENTS:
        connection.execute("reset threads")


def _deduplicate(connection: duckdb.DuckDBPyConnection, start: LoadStart) -> DeduplicationResult:
    chain = start.previous.chain if start.previous else ()
    return deduplication.deduplicate(connection, source_id=start.source_id, load_id=start.load_id, chain=chain)


@dataclass(frozen=True, slots=True)
class ParsedSource:
    """A small new source that was read and parsed, but is not in the store yet."""

    source: Source
    first: State
    batches: tuple[Batch, ...]
    started: datetime
    is_replaced: bool

    @property
    def size(self) -> int:
        """The bytes of its text."""
        return self.batches[-1].block.size

    @property
    def uri(self) -> str:
        """The name of its source."""
        return self.source.uri

    def source_end(self, *, host: str | None) -> SourceEnd | None:
        """Its end, with zeros for the numbers that it will get in the store."""
        return resume.source_end(self.source, LoadStart(0, 0, 0, 0, 0, 0, 0, self.first), self.batches[-1], host=host)


def parse_small(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, *, first: State | None = None
) -> ParsedSource:
    """Read and parse a small source that is not in the store."""
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
    parsed = ParsedSource(source, first, tuple(batches), started, is_replaced)
    options.on_bytes(parsed.size)
    options.on_read()
    return parsed


def load_together(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[ParsedSource], options: Options
) -> list[LoadResult]:
    """Store small sources in their order, in as few transactions as their records allow."""
    if not sources:
        return []
    try:
        with frames.transaction(connection):
            return _store_together(connection, sources, options)
    except _DuplicatesError as fault:
        place = fault.place
    parts = (sources[:place], sources[place : place + 1], sources[place + 1 :])
    return [result for part in parts for result in load_together(connection, part, options)]


class _DuplicatesError(Exception):
    """The source at this place has records of an earlier one, so all sources before it must be derived first."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def _store_together(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[ParsedSource], options: Options
) -> list[LoadResult]:
    """Append and derive the sources, inside a transaction.

    Raises:
        _DuplicatesError: one of several sources has records of another.
    """
    connection.execute("set threads = 1")
    start = resume.next_start(connection, sources[0].first)
    appender = Appender(connection, options, event_id=start.event_id)
    new_loads: dict[int, _Load] = {}
    for place, parsed in enumerate(sources):
        if any(batch.block.line_count for batch in parsed.batches):
            start = replace(start, state=parsed.first)
            totals, last = Totals(byte_count=parsed.size), parsed.batches[-1]
            new_loads[place] = _Load(parsed.source, start, parsed.started, totals, last, is_replaced=parsed.is_replaced)
            start = _start_of_next(start, parsed)
    waiting: list[int] = []

    def append() -> None:
        appended = [(new_loads[place], sources[place].batches) for place in waiting]
        if appended:
            appender.append([(new.start, new.totals, batch) for new, batches in appended for batch in batches])
            rows = [(new.source, new.last, new.start) for new, _ in appended]
            resume.write_sources(connection, rows, host=options.host)
            waiting.clear()

    events = [[batch.events for batch in sources[place].batches] for place in new_loads]
    overlapping = deduplication.overlapping(connection, events, host=options.host) if events else set()
    for number, (place, new) in enumerate(new_loads.items()):
        if number in overlapping:
            append()
        waiting.append(place)
        if number in overlapping:
            append()
            if len(sources) == 1:
                new.deduplicated = _deduplicate(connection, new.start)
            elif deduplication.find_matches(connection, source_id=new.start.source_id, load_id=new.start.load_id):
                raise _DuplicatesError(place)
    append()
    _use_all_threads(connection, appender)
    finished = _finish(connection, list(new_loads.values()), options) if new_loads else []
    results = dict(zip(new_loads, finished, strict=True))
    return [
        results.get(place) or nothing_new(parsed.source, None, note=parsed.batches[-1].block.note)
        for place, parsed in enumerate(sources)
    ]


def _start_of_next(start: LoadStart, parsed: ParsedSource) -> LoadStart:
    """The numbers after those that a source takes; events get theirs when they are appended."""
    numbers = pl.concat([batch.events["session"] for batch in parsed.batches])
    run_count = int(numbers.to_frame().select(pl.col("session").max().fill_null(-1)).item()) + 1
    session = start.new_session + run_count
    return replace(
        start,
        source_id=start.source_id + 1,
        load_id=start.load_id + 1,
        new_session=session,
        first_session=session,
        fallback_session=session,
    )


def _finish(connection: duckdb.DuckDBPyConnection, new_loads: Sequence[_Load], options: Options) -> list[LoadResult]:
    """Derive what follows from the new records, and write the rows of the loads."""
    write_catalogue(connection, options.rules)
    changes = [change for new in new_loads for change in (new.deduplicated, new.removed)]
    sessions = frozenset[int]().union(*(change.sessions for change in changes))
    touched = [change.since_id for change in changes if change.since_id is not None]
    numbers = [new.start.load_id for new in new_loads]
    derive(
        connection,
        formats=options.formats,
        loads=range(min(numbers), max(numbers) + 1),
        sessions=sessions,
        since_id=min(touched, default=None),
    )
    _write_loads(connection, new_loads, options)
    return _results(connection, new_loads, options)


def _write_loads(connection: duckdb.DuckDBPyConnection, new_loads: Sequence[_Load], options: Options) -> None:
    finished = datetime.now(UTC)
    rows = [
        {
            "load_id": new.start.load_id,
            "source_id": new.start.source_id,
            "started_at": new.started,
            "finished_at": finished,
            "byte_start": new.start.byte_start,
            "byte_count": new.totals.byte_count,
            # The last record of the previous file is read with this one, and counts for it.
            "line_count": new.totals.line_count + (new.removed.line_count if new.start.previous else 0),
            "event_count": new.totals.event_count - new.deduplicated.event_count,
            "duplicate_count": new.deduplicated.line_count,
            "reject_count": new.totals.reject_count,
            "version": __version__,
            "rulebook_hash": options.rules.hash,
            "formats_hash": options.formats.hash,
        }
        for new in new_loads
    ]
    frames.append(connection, "loads", pl.DataFrame(rows))


_RESULTS = """
with new_events as (
    select load_id, source_id, event_id, session_id, incident_id from events where load_id between $first and $last
),
counts as (
    select m.load_id, count(x.event_id) as error_count, count(distinct m.incident_id) as incident_count
    from new_events as m left join errors as x using (event_id) group by m.load_id
),
versions as (
    select m.load_id, list(s.version order by s.session_id) as versions
    from (select distinct load_id, session_id from new_events) as m inner join server_sessions as s using (session_id)
    where s.version is not null group by m.load_id
)
select c.load_id, c.error_count, c.incident_count, v.versions from counts as c left join versions as v using (load_id)
"""


def _results(connection: duckdb.DuckDBPyConnection, new_loads: Sequence[_Load], options: Options) -> list[LoadResult]:
    numbers = [new.start.load_id for new in new_loads]
    counts = {
        row["load_id"]: row for row in frames.rows(connection, _RESULTS, {"first": min(numbers), "last": max(numbers)})
    }
    ids = ", ".join(str(new.start.source_id) for new in new_loads)
    hosts = dict(connection.execute(f"select source_id, host from sources where source_id in ({ids})").fetchall())
    return [
        _result(new, counts.get(new.start.load_id, {}), host=hosts[new.start.source_id], label=options.host)
        for new in new_loads
    ]


def _result(new: _Load, counts: dict[str, Any], *, host: str | None, label: str | None) -> LoadResult:
    replaced = "it replaces another file of this name, which was rotated or truncated" if new.is_replaced else None
    totals, removed = new.totals, new.removed
    return LoadResult(
        uri=new.source.uri,
        status=new.status,
        wrapper=new.last.state.wrapping.wrapper,
        encoding=new.source.encoding,
        host=host,
        versions=tuple(dict.fromkeys(counts.get("versions") or ())),
        byte_count=totals.byte_count,
        line_count=totals.line_count - (0 if new.start.previous else removed.line_count),
        event_count=totals.event_count - new.deduplicated.event_count - removed.event_count,
        error_count=int(counts.get("error_count", 0)),
        incident_count=int(counts.get("incident_count", 0)),
        duplicate_count=new.deduplicated.line_count,
        reject_count=totals.reject_count,
        unknown_count=totals.unknown_count,
        note="; ".join(note for note in (replaced, new.last.block.note) if note) or None,
        source_end=resume.source_end(new.source, new.start, new.last, host=label),
    )
