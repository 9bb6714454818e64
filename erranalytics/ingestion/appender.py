"""Parsed batches into the tables: judged, numbered, as rows; of one source or of many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import polars as pl

from erranalytics.calls import extraction
from erranalytics.classification import verdicts
from erranalytics.ingestion import resume
from erranalytics.ingestion.pipeline import Batch
from erranalytics.ingestion.resume import Begin, Options
from erranalytics.ingestion.rows import call_rows, error_rows, event_rows, request_rows
from erranalytics.ingestion.rulebook_rows import causes_frame
from erranalytics.parsing import lineformats
from erranalytics.store import frames


@dataclass(slots=True)
class Totals:
    """What a load has read and stored so far."""

    line_count: int = 0
    byte_count: int = 0
    event_count: int = 0
    reject_count: int = 0
    unknown_count: int = 0


class Appender:
    """Appends batches to a store, inside a transaction; it knows the next free numbers of events and templates."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, options: Options, *, event_id: int) -> None:
        self._connection, self._options = connection, options
        self._causes = causes_frame(options.rules)
        self._templates = pl.DataFrame(
            frames.rows(connection, "select fingerprint, template_id from templates"),
            schema={"fingerprint": pl.String, "template_id": pl.Int32},
        )
        self.event_id = event_id

    def append(self, parts: Sequence[tuple[Begin, Totals, Batch]]) -> None:
        """Judge the batches together and append them in their order; the totals of their loads grow."""
        told = extraction.extract(
            verdicts.judge(
                pl.concat([_owned(batch.events, begin, self._options) for begin, _, batch in parts]),
                rules=self._options.rules,
                memo=self._options.memo,
            ),
            rules=self._options.rules,
            formats=self._options.formats,
        )
        events, formats, rules = self._numbered(told.events), self._options.formats, self._options.rules
        calls = told.calls.with_columns(event_id=pl.col("row").cast(pl.Int64) + self.event_id)
        rejects = pl.concat([*(_of_load(batch.rejects, begin) for begin, _, batch in parts), told.rejects])
        self._options.on_events(events)
        frames.append(self._connection, "events", event_rows(events))
        frames.append(self._connection, "requests", request_rows(events, formats))
        problems = error_rows(events, self._causes, rules, calls, formats=formats)
        frames.append(self._connection, "errors", problems)
        frames.append(self._connection, "calls", call_rows(calls, events))
        frames.append(self._connection, "rejects", rejects)
        self.event_id += events.height
        _add_up(parts, events, rejects)

    def _numbered(self, events: pl.DataFrame) -> pl.DataFrame:
        """Give events and their templates numbers; the new templates are appended."""
        last = int(self._templates.select(pl.col("template_id").max().fill_null(0)).item())
        fresh = (
            events.filter(pl.col("fingerprint").is_not_null())
            .select("fingerprint", "template", "format")
            .unique("fingerprint", keep="first", maintain_order=True)
            .join(self._templates, on="fingerprint", how="anti", maintain_order="left")
            .with_row_index("template_id", offset=last + 1)
            .with_columns(pl.col("template_id").cast(pl.Int32), event_count=pl.lit(0, dtype=pl.Int64))
        )
        frames.append(self._connection, "templates", fresh)
        self._templates = pl.concat([self._templates, fresh.select("fingerprint", "template_id")])
        return (
            events.with_row_index("event_id", offset=self.event_id)
            .with_columns(pl.col("event_id").cast(pl.Int64))
            .join(self._templates, on="fingerprint", how="left", maintain_order="left")
        )


def _of_load(frame: pl.DataFrame, begin: Begin) -> pl.DataFrame:
    return frame.select(
        pl.lit(begin.source_id, dtype=pl.Int32).alias("source_id"),
        pl.lit(begin.load_id, dtype=pl.Int32).alias("load_id"),
        pl.all(),
    )


def _owned(events: pl.DataFrame, begin: Begin, options: Options) -> pl.DataFrame:
    """Events with the numbers of their source, load and run, and the label of their host."""
    return _of_load(events, begin).with_columns(
        session_id=resume.session_id(pl.col("session"), begin).cast(pl.Int32),
        host=pl.lit(options.host) if options.host else pl.col("host"),
    )


def _add_up(parts: Sequence[tuple[Begin, Totals, Batch]], events: pl.DataFrame, rejects: pl.DataFrame) -> None:
    unknown = pl.col("line_count").filter(pl.col("format") == lineformats.UNKNOWN).sum()
    stored = events.group_by("load_id").agg(pl.len(), unknown).rows_by_key("load_id", unique=True)
    refused = dict(rejects.group_by("load_id").agg(pl.col("line_count").sum()).rows())
    for begin, totals, batch in parts:
        event_count, unknown_count = stored.get(begin.load_id, (0, 0))
        totals.event_count += event_count
        totals.unknown_count += unknown_count
        totals.reject_count += refused.get(begin.load_id, 0)
        totals.line_count += batch.block.line_count
