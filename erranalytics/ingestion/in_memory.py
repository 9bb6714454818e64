"""Classify text without a store on disk.

In a text with at most one problem no failure has consequences, so its verdicts are the answer. Any other text is
derived in a store in memory. A small one uses a store that its thread keeps, in a transaction that is rolled back; a
large one gets its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from erranalytics.calls import extraction
from erranalytics.classification.rulebook import Rulebook
from erranalytics.classification.verdicts import classify_events
from erranalytics.clocks import zones
from erranalytics.ingestion import pipeline
from erranalytics.ingestion.pipeline import Batch, State
from erranalytics.parsing.lineformats import FormatBook
from erranalytics.sources.files import Source

if TYPE_CHECKING:
    import duckdb

    from erranalytics.ingestion.options import Options

_VERDICTS = """
select e.line_no, e.line_count, strftime(e.ts, '%Y-%m-%dT%H:%M:%S.%fZ') as ts, e.ts_source, e.format, e.level,
       e.message,
       coalesce(v.severity in ('warning', 'error', 'critical'), false) as is_error,
       e.code, e.cause, c.category, v.severity, v.http_status, v.confidence, v.rule, v.fingerprint,
       dense_rank() over (order by e.incident_id nulls last) as incident_rank, e.incident_id is null as is_alone
from events as e
inner join verdicts as v using (event_id)
left join causes as c on c.code = e.code
order by e.event_id
"""


_LOCAL = threading.local()


def verdicts(
    source: Source, *, rules: Rulebook, formats: FormatBook, wrapper: str | None = None
) -> Iterator[pl.DataFrame]:
    """Yield frames with the fields that ``classify`` writes, in input order."""
    text = ParsedText.of(source, rules=rules, formats=formats, wrapper=wrapper) if pipeline.is_small(source) else None
    if text is None:
        with separate_store(source, rules=rules, formats=formats, wrapper=wrapper) as connection:
            yield from _verdict_frames(connection)
    elif text.problem_count > 1:
        with derived_store(text) as connection:
            chunks = list(_verdict_frames(connection))
        yield from chunks
    elif not text.events.is_empty():
        yield text.verdicts()


@dataclass(frozen=True)
class ParsedText:
    """A small source, parsed into ``batches``, and its ``events`` with their verdicts."""

    source: Source
    first: State
    batches: tuple[Batch, ...]
    events: pl.DataFrame
    rules: Rulebook
    formats: FormatBook

    @classmethod
    def of(cls, source: Source, *, rules: Rulebook, formats: FormatBook, wrapper: str | None = None) -> ParsedText:
        """Parse and classify a source."""
        first = pipeline.first_state(source, default_tz=zones.local(None), wrapper=wrapper)
        batches = tuple(pipeline.parsed(source, state=first, start=0, formats=formats, is_small=True))
        events = pl.concat([batch.events for batch in batches])
        classified = extraction.extract(classify_events(events, rules=rules), rules=rules, formats=formats).events
        return cls(source, first, batches, classified, rules, formats)

    @property
    def problem_count(self) -> int:
        """How many of the events are problems."""
        return sum(severity in extraction.PROBLEMS for severity in self.events["severity"])

    def verdicts(self) -> pl.DataFrame:
        """The fields that ``classify`` writes; valid only where at most one event is a problem."""
        categories = {cause.code: cause.category for cause in self.rules.causes.values()}
        is_error = pl.col("severity").is_in(extraction.PROBLEMS).fill_null(value=False)
        return self.events.select(
            *("line_no", "line_count", pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S.%6fZ")),
            *("ts_source", "format", "level", "message"),
            is_error.alias("is_error"),
            *("code", "cause"),
            pl.col("code").replace_strict(categories, default=None, return_dtype=pl.String).alias("category"),
            *("severity", pl.col("status").alias("http_status"), "confidence", "rule", "fingerprint"),
            pl.when(is_error).then(1).alias("incident"),
        )


def _verdict_frames(connection: duckdb.DuckDBPyConnection) -> Iterator[pl.DataFrame]:
    from erranalytics.store import frames

    for frame in frames.stream(connection, _VERDICTS):
        incident = pl.when(~pl.col("is_alone")).then("incident_rank").alias("incident")
        yield frame.with_columns(incident).drop("incident_rank", "is_alone")


@contextmanager
def derived_store(text: ParsedText, *, with_runs: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load a text into the store of this thread and derive its incidents; the end of the block rolls this back."""
    from erranalytics.derivation.steps import OF_INCIDENTS, OF_RUNS, derive
    from erranalytics.ingestion.appender import Appender, Totals
    from erranalytics.ingestion.resume import next_start, write_sources
    from erranalytics.ingestion.rulebook_rows import write_catalogue

    connection = getattr(_LOCAL, "connection", None)
    if connection is None:
        connection = _LOCAL.connection = _open()
        write_catalogue(connection, text.rules)
    connection.begin()
    try:
        start = next_start(connection, text.first)
        options = _options(connection, rules=text.rules, formats=text.formats)
        appender = Appender(connection, options, event_id=start.event_id)
        appender.append([(start, Totals(), batch) for batch in text.batches])
        write_sources(connection, [(text.source, text.batches[-1], start)], host=None)
        steps = OF_RUNS | OF_INCIDENTS if with_runs else OF_INCIDENTS
        loads = range(start.load_id, start.load_id + 1)
        derive(connection, formats=text.formats, loads=loads, steps=steps)
        yield connection
    finally:
        connection.rollback()


@contextmanager
def separate_store(
    source: Source, *, rules: Rulebook, formats: FormatBook, wrapper: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load a source into a new store in memory, which is gone after the block."""
    from erranalytics.ingestion import loads

    connection = _open()
    try:
        loads.load(connection, source, _options(connection, rules=rules, formats=formats, wrapper=wrapper))
        yield connection
    finally:
        connection.close()


def _open() -> duckdb.DuckDBPyConnection:
    """Open a store in memory, with a table ``verdicts`` for the columns of events that the store does not keep."""
    from erranalytics.store.connection import open_in_memory

    connection = open_in_memory()
    connection.execute(
        """create table verdicts (event_id bigint, severity varchar, http_status smallint,
               confidence varchar, rule varchar, fingerprint varchar)"""
    )
    return connection


def _options(
    connection: duckdb.DuckDBPyConnection, *, rules: Rulebook, formats: FormatBook, wrapper: str | None = None
) -> Options:
    from erranalytics.ingestion.options import Options
    from erranalytics.store import frames

    def write(events: pl.DataFrame) -> None:
        names = ("event_id", "severity", "confidence", "rule", "fingerprint")
        frames.append(connection, "verdicts", events.select(*names, http_status="status"))

    zone = zones.local(None)
    return Options(formats, rules, default_tz=zone, wrapper=wrapper, on_events=write)
