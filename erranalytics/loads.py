"""A load: one source into the store, exactly once, in one transaction.

A source is known by its bytes: ``sources`` keeps how many were ingested and their SHA-256. A file that begins with
the bytes of a known source is that source; what follows them is new. Its last record is open: more bytes may still
change it, so a grown file is read again from there. The row in ``loads`` is written last, and nothing is visible
before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import duckdb
import polars as pl

from erranalytics import __version__, deriving, identity, lineformats, pipeline, reconciling, resuming, rows, store
from erranalytics.identity import Ending, Known
from erranalytics.pipeline import Batch
from erranalytics.reconciling import Reconciled
from erranalytics.resuming import Begin, Options, Taken
from erranalytics.sources import Source

# With fewer events in the store, deriving is over before a second thread has begun.
FEW_EVENTS = 200_000

__all__ = ["LoadResult", "Options", "load"]


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
class _Totals:
    lines: int = 0
    bytes: int = 0
    events: int = 0
    rejects: int = 0
    unknown: int = 0


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
        return _nothing_new(source, known)
    is_replaced = known is None and identity.was_replaced(connection, source)
    started = datetime.now(UTC)
    with store.transaction(connection):
        begin = resuming.begin(connection, source, options, known=known, after=after)
        taken = resuming.take_back(connection, begin, known=known)
        totals, last = _append_all(connection, source, options, begin)
        options.on_read()
        if totals.lines == 0:
            connection.rollback()
            connection.begin()
            return _nothing_new(source, known, note=last.block.note)
        resuming.write_source(connection, source, last, begin, options)
        once = reconciling.reconcile(
            connection,
            source_id=begin.source_id,
            load_id=begin.load_id,
            chain=begin.before.chain if begin.before else (),
        )
        deriving.write_catalogue(connection, options.rules)
        deriving.derive(
            connection,
            load_id=begin.load_id,
            sessions=once.sessions | taken.sessions,
            since_id=min((one for one in (once.since_id, taken.since_id) if one is not None), default=None),
        )
        _write_load(connection, options, begin, started=started, totals=totals, once=once, taken=taken)
        result = _result(connection, source, begin, totals, last, once=once, status="grown" if known else "new")
    note = "it replaces another file of this name, which was rotated or truncated" if is_replaced else None
    return replace(
        result,
        note="; ".join(one for one in (note, result.note) if one) or None,
        line_count=result.line_count - (0 if begin.before else taken.line_count),
        event_count=result.event_count - taken.event_count,
        ending=resuming.ending(source, begin, last, options),
    )


def _nothing_new(source: Source, known: Known | None, *, note: str | None = None) -> LoadResult:
    if known is None:
        return LoadResult(source.uri, "empty", "", source.encoding, note=note)
    row = known.row
    return LoadResult(source.uri, "known", row["wrapper"], row["encoding"], row["host"], note=note)


def _append_all(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, begin: Begin
) -> tuple[_Totals, Batch]:
    totals, position = _Totals(), begin.start
    templates = pl.DataFrame(
        store.rows(connection, "select fingerprint, template_id from templates"),
        schema={"fingerprint": pl.String, "template_id": pl.Int32},
    )
    causes = rows.causes_frame(options.rules)
    # Parsing keeps the other core busy: a single writer costs a quarter less than two that share the work.
    connection.execute("set threads = 1")
    batches = pipeline.run(
        source,
        state=begin.state,
        start=begin.start,
        formats=options.formats,
        rules=options.rules,
        memo=options.memo,
        block_bytes=options.block_bytes,
        seen=(begin.seen.byte_count, begin.seen.digest) if begin.seen else None,
    )
    for batch in batches:
        events, templates, fresh = _number(batch.events, begin, totals, templates, options.host)
        options.on_events(events)
        store.append(connection, "templates", fresh)
        store.append(connection, "events", rows.event_rows(events))
        store.append(connection, "requests", rows.request_rows(events))
        calls = batch.calls.with_columns(event_id=pl.col("row").cast(pl.Int64) + (begin.event + totals.events))
        store.append(connection, "errors", rows.error_rows(events, causes, options.rules, calls))
        store.append(connection, "calls", rows.call_rows(calls, events))
        rejects = batch.rejects.with_columns(load_id=pl.lit(begin.load_id), source_id=pl.lit(begin.source_id))
        store.append(connection, "rejects", rejects)
        totals.rejects += int(rejects["line_count"].sum())
        totals.events += events.height
        totals.lines += batch.block.line_count
        totals.unknown += int(events.filter(pl.col("format") == lineformats.UNKNOWN)["line_count"].sum())
        options.on_bytes(batch.block.end - position)
        position, last = batch.block.end, batch
    if begin.event + totals.events > FEW_EVENTS:
        connection.execute("reset threads")
    totals.bytes = last.block.size - begin.start
    options.on_bytes(last.block.size - position)
    return totals, last


def _number(
    events: pl.DataFrame, begin: Begin, totals: _Totals, templates: pl.DataFrame, host: str | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give events, sessions and templates their numbers; returns the events, all templates, the new ones."""
    fresh = (
        events.filter(pl.col("fingerprint").is_not_null())
        .select("fingerprint", "template", "format")
        .unique("fingerprint", keep="first", maintain_order=True)
        .join(templates, on="fingerprint", how="anti", maintain_order="left")
        .with_row_index("template_id", offset=templates.select(pl.col("template_id").max().fill_null(0) + 1).item())
        .with_columns(pl.col("template_id").cast(pl.Int32), event_count=pl.lit(0, dtype=pl.Int64))
    )
    templates = pl.concat([templates, fresh.select("fingerprint", "template_id")])
    numbered = events.with_row_index("event_id", offset=begin.event + totals.events).with_columns(
        pl.col("event_id").cast(pl.Int64),
        session_id=resuming.session_id(pl.col("session"), begin).cast(pl.Int32),
        source_id=pl.lit(begin.source_id, dtype=pl.Int32),
        load_id=pl.lit(begin.load_id, dtype=pl.Int32),
        host=pl.lit(host) if host else pl.col("host"),
    )
    return numbered.join(templates, on="fingerprint", how="left", maintain_order="left"), templates, fresh


def _write_load(
    connection: duckdb.DuckDBPyConnection,
    options: Options,
    begin: Begin,
    *,
    started: datetime,
    totals: _Totals,
    once: Reconciled,
    taken: Taken,
) -> None:
    # The record with which the file before ended is read, and counted, with this one.
    taken_from_before = taken.line_count if begin.before else 0
    values = {
        "load_id": begin.load_id,
        "source_id": begin.source_id,
        "started_at": started,
        "finished_at": datetime.now(UTC),
        "byte_start": begin.start,
        "byte_count": totals.bytes,
        "line_count": totals.lines + taken_from_before,
        "event_count": totals.events - once.event_count,
        "duplicate_count": once.line_count,
        "reject_count": totals.rejects,
        "version": __version__,
        "rulebook_hash": options.rules.hash,
        "formats_hash": options.formats.hash,
    }
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"insert into loads ({names}) values ({marks})", list(values.values()))


def _result(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    begin: Begin,
    totals: _Totals,
    last: Batch,
    *,
    once: Reconciled,
    status: str,
) -> LoadResult:
    about = connection.execute(
        """select (select count(*) from errors where event_id in (select event_id from events where load_id = $load)),
               (select count(distinct incident_id) from events where load_id = $load),
               (select list(version order by session_id) from server_sessions
                where session_id in (select session_id from events where load_id = $load) and version is not null),
               (select host from sources where source_id = $source)""",
        {"load": begin.load_id, "source": begin.source_id},
    ).fetchone()
    assert about is not None
    return LoadResult(
        uri=source.uri,
        status=status,
        wrapper=last.state.wrapping.wrapper,
        encoding=source.encoding,
        host=about[3],
        versions=tuple(dict.fromkeys(about[2] or ())),
        byte_count=totals.bytes,
        line_count=totals.lines,
        event_count=totals.events - once.event_count,
        error_count=int(about[0]),
        incident_count=int(about[1]),
        duplicate_count=once.line_count,
        reject_count=totals.rejects,
        unknown_count=totals.unknown,
        note=last.block.note,
    )
