"""A load: one source into the store, exactly once, in one transaction.

A source is known by its bytes: ``sources`` keeps how many were ingested and their SHA-256. A file that
begins with the bytes of a known source is that source; what follows them is new. The row in ``loads`` is
written last, and nothing is visible before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import duckdb
import polars as pl

from erranalytics import __version__, lineformats, pipeline, rows, sources, store
from erranalytics.classifying import Memo
from erranalytics.lineformats import FormatBook
from erranalytics.pipeline import Batch, State
from erranalytics.rulebook import Rulebook
from erranalytics.sources import Source


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load did. ``status`` is ``new``, ``grown``, ``known`` or ``empty``; counts are of this load."""

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
    reject_count: int = 0
    unknown_count: int = 0
    note: str | None = None


@dataclass(slots=True)
class _Totals:
    lines: int = 0
    bytes: int = 0
    events: int = 0
    errors: int = 0
    rejects: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class _Ids:
    """First free numbers at the start of a load."""

    source: int
    load: int
    event: int
    session: int
    first_session: int


@dataclass(frozen=True, slots=True)
class Options:
    """How a load is done.

    ``default_tz`` is the zone of stamps without one where the log holds no evidence, ``host`` the label for a
    wrapper that names none, ``wrapper`` overrides detection. ``on_bytes`` is told how many bytes were read since
    the last call, ``on_events`` shown each batch of numbered EVENTS with VERDICTS. ``block_bytes`` changes
    nothing but memory.
    """

    formats: FormatBook
    rules: Rulebook
    default_tz: str = "UTC"
    host: str | None = None
    wrapper: str | None = None
    on_bytes: Callable[[int], None] = lambda count: None
    on_events: Callable[[pl.DataFrame], None] = lambda events: None
    block_bytes: int = sources.BLOCK_BYTES
    memo: Memo = field(default_factory=Memo)


def load(connection: duckdb.DuckDBPyConnection, source: Source, options: Options) -> LoadResult:
    """Ingest one source into a store opened for writing: all of it, its new tail, or nothing when it is known."""
    known = find_known(connection, source, host=options.host)
    start = int(known["byte_count"]) if known else 0
    if known and source.compression == "none" and source.byte_size == start:
        options.on_bytes(start)
        return LoadResult(source.uri, "known", known["wrapper"], known["encoding"], known["host"])
    if known:
        state = State.from_json(json.loads(known["resume_state"]))
    else:
        state = pipeline.first_state(source, default_tz=options.default_tz, wrapper=options.wrapper)
    started = datetime.now(UTC)
    with store.transaction(connection):
        ids = _next_ids(connection, known)
        totals, last = _append_all(connection, source, options, state=state, start=start, ids=ids)
        if last is None or totals.lines == 0:
            status = "known" if known else "empty"
            return LoadResult(
                source.uri, status, state.wrapper, source.encoding, note=last.block.note if last else None
            )
        _write_catalogue(connection, options.rules)
        _derive(connection, ids)
        _write_source(connection, source, last, ids=ids, host=options.host)
        _write_load(connection, options, ids=ids, started=started, start=start, totals=totals)
        return _result(connection, source, ids, totals, last, status="grown" if known else "new")


def find_known(
    connection: duckdb.DuckDBPyConnection, source: Source, *, host: str | None = None
) -> dict[str, Any] | None:
    """The stored source whose bytes are a prefix of this one, the longest of them.

    A few lines without a date are no identity: there only the same content or the same name counts.
    Under another ``host`` label the same bytes are another source.
    """
    head = source.sample[: sources.HEAD_BYTES]
    candidates = store.rows(
        connection,
        """select source_id, uri, wrapper, encoding, host, byte_count, content_digest, resume_state from sources
           where (head_digest = $head or byte_count < $least) and coalesce(host = $host, $host is null)
               and (byte_count >= $least or uri = $uri or byte_count = $size
                    or resume_state ->> '$.clock.is_dated' = 'true')
           order by byte_count desc""",
        {
            "head": sources.head_digest(head),
            "least": sources.HEAD_BYTES,
            "host": host,
            "uri": source.uri,
            "size": len(source.sample),
        },
    )
    if not candidates:
        return None
    digests = sources.prefix_digests(source, [int(row["byte_count"]) for row in candidates])
    return next((row for row in candidates if digests.get(int(row["byte_count"])) == row["content_digest"]), None)


def _next_ids(connection: duckdb.DuckDBPyConnection, known: dict[str, Any] | None) -> _Ids:
    row = connection.execute(
        """select coalesce((select max(source_id) from sources), 0) + 1,
               coalesce((select max(load_id) from loads), 0) + 1,
               coalesce((select max(event_id) from events), 0) + 1,
               coalesce((select max(session_id) from server_sessions), 0) + 1"""
    ).fetchone()
    assert row is not None
    source_id, load_id, event_id, session_id = (int(value) for value in row)
    if known is None:
        return _Ids(source_id, load_id, event_id, session_id, session_id)
    latest = connection.execute(
        "select max(session_id) from server_sessions where source_id = ?", [known["source_id"]]
    ).fetchone()
    return _Ids(int(known["source_id"]), load_id, event_id, session_id, int(latest[0]) if latest else session_id)


def _append_all(
    connection: duckdb.DuckDBPyConnection, source: Source, options: Options, *, state: State, start: int, ids: _Ids
) -> tuple[_Totals, Batch | None]:
    totals, last, position = _Totals(), None, start
    templates = pl.DataFrame(
        store.rows(connection, "select fingerprint, template_id from templates"),
        schema={"fingerprint": pl.String, "template_id": pl.Int32},
    )
    causes = rows.causes_frame(options.rules)
    # Parsing keeps the other core busy: a single writer costs a quarter less than two that share the work.
    connection.execute("set threads = 1")
    batches = pipeline.run(
        source,
        state=state,
        start=start,
        formats=options.formats,
        rules=options.rules,
        memo=options.memo,
        block_bytes=options.block_bytes,
    )
    for batch in batches:
        events, templates, fresh = _number(batch.events, ids, totals, templates, options.host)
        options.on_events(events)
        store.append(connection, "templates", fresh)
        store.append(connection, "events", rows.event_rows(events))
        store.append(connection, "requests", rows.request_rows(events))
        totals.errors += store.append(connection, "errors", rows.error_rows(events, causes))
        rejects = batch.rejects.with_columns(load_id=pl.lit(ids.load), source_id=pl.lit(ids.source))
        totals.rejects += store.append(connection, "rejects", rejects)
        totals.events += events.height
        totals.lines += batch.block.lines.height
        totals.unknown += int(events.filter(pl.col("format") == lineformats.UNKNOWN)["line_count"].sum())
        options.on_bytes(batch.block.byte_end - position)
        position = batch.block.byte_end
        last = batch
    connection.execute("reset threads")
    totals.bytes = position - start
    return totals, last


def _number(
    events: pl.DataFrame, ids: _Ids, totals: _Totals, templates: pl.DataFrame, host: str | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give events, sessions and templates their numbers; returns the events, all templates, the new ones."""
    fresh = (
        events.filter(pl.col("fingerprint").is_not_null())
        .select("fingerprint", "template", "format")
        .unique("fingerprint", keep="first", maintain_order=True)
        .join(templates, on="fingerprint", how="anti", maintain_order="left")
        .with_row_index("template_id", offset=templates.height + 1)
        .with_columns(pl.col("template_id").cast(pl.Int32), event_count=pl.lit(0, dtype=pl.Int64))
    )
    templates = pl.concat([templates, fresh.select("fingerprint", "template_id")])
    session = (
        pl.when(pl.col("session") == 0)
        .then(ids.first_session)
        .otherwise(pl.col("session") + ids.session - (1 if ids.first_session != ids.session else 0))
    )
    numbered = events.with_row_index("event_id", offset=ids.event + totals.events).with_columns(
        pl.col("event_id").cast(pl.Int64),
        session_id=session.cast(pl.Int32),
        source_id=pl.lit(ids.source, dtype=pl.Int32),
        load_id=pl.lit(ids.load, dtype=pl.Int32),
        host=pl.col("host").fill_null(pl.lit(host, dtype=pl.String)),
    )
    return numbered.join(templates, on="fingerprint", how="left", maintain_order="left"), templates, fresh


def _derive(connection: duckdb.DuckDBPyConnection, ids: _Ids) -> None:
    """Everything that needs neighbours in time, for the sessions this load touched."""
    connection.execute(
        "create or replace temp table scope as select distinct session_id from events where load_id = ?", [ids.load]
    )
    folder = resources.files("erranalytics") / "derive"
    for name in sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql")):
        connection.execute((folder / name).read_text(encoding="utf-8"))


def _write_catalogue(connection: duckdb.DuckDBPyConnection, rules: Rulebook) -> None:
    """The taxonomy and the rules, so that a store explains itself years later."""
    stored = connection.execute("select value from meta where key = 'rulebook_hash'").fetchone()
    if stored and stored[0] == rules.hash:
        return
    store.replace_all(connection, "causes", rows.causes_frame(rules))
    table = pl.DataFrame(
        {
            "rule": [rule.id for rule in rules.rules],
            "code": [rule.code for rule in rules.rules],
            "confidence": [rule.confidence for rule in rules.rules],
            "severity": [rules.severity(rule) for rule in rules.rules],
            "literals": [list(rule.literals) for rule in rules.rules],
            "pattern": [rule.pattern for rule in rules.rules],
            "refs": [list(rule.references) for rule in rules.rules],
        }
    )
    store.replace_all(connection, "rules", table)
    connection.execute("insert or replace into meta values ('rulebook_hash', ?)", [rules.hash])


def _write_source(
    connection: duckdb.DuckDBPyConnection, source: Source, last: Batch, *, ids: _Ids, host: str | None
) -> None:
    assert last.block.digest is not None
    connection.execute(
        """insert or replace into sources by name
           select $id::integer as source_id, $uri as uri, $wrapper as wrapper, coalesce(mode(host), $host) as host,
               mode(unit) as unit, $encoding as encoding, $compression as compression,
               min(ts) as first_ts, max(ts) as last_ts, $bytes::bigint as byte_count, $lines::bigint as line_count,
               $head as head_digest, $digest as content_digest, $state as resume_state
           from events where source_id = $id""",
        {
            "id": ids.source,
            "uri": source.uri,
            "wrapper": last.state.wrapper,
            "host": host,
            "encoding": source.encoding,
            "compression": source.compression,
            "bytes": last.block.byte_end,
            "lines": last.state.line_no - 1,
            "head": sources.head_digest(source.sample),
            "digest": last.block.digest,
            "state": json.dumps(last.state.as_json()),
        },
    )


def _write_load(
    connection: duckdb.DuckDBPyConnection,
    options: Options,
    *,
    ids: _Ids,
    started: datetime,
    start: int,
    totals: _Totals,
) -> None:
    counts = [start, totals.bytes, totals.lines, totals.events, 0, totals.rejects]
    values = [
        ids.load,
        ids.source,
        started,
        datetime.now(UTC),
        *counts,
        __version__,
        options.rules.hash,
        options.formats.hash,
    ]
    connection.execute(f"insert into loads values ({', '.join('?' * len(values))})", values)


def _result(
    connection: duckdb.DuckDBPyConnection, source: Source, ids: _Ids, totals: _Totals, last: Batch, *, status: str
) -> LoadResult:
    about = connection.execute(
        """select (select count(*) from incidents where session_id in (select session_id from scope)),
               (select list(version order by session_id) from server_sessions
                where session_id in (select session_id from scope) and version is not null),
               (select host from sources where source_id = ?)""",
        [ids.source],
    ).fetchone()
    assert about is not None
    return LoadResult(
        uri=source.uri,
        status=status,
        wrapper=last.state.wrapper,
        encoding=source.encoding,
        host=about[2],
        versions=tuple(dict.fromkeys(about[1] or ())),
        byte_count=totals.bytes,
        line_count=totals.lines,
        event_count=totals.events,
        error_count=totals.errors,
        incident_count=int(about[0]),
        reject_count=totals.rejects,
        unknown_count=totals.unknown,
        note=last.block.note,
    )
