"""Append parsed batches to the tables: classify them, number them, and turn them into rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import polars as pl

from erranalytics.calls import extraction
from erranalytics.classification import verdicts
from erranalytics.ingestion import resume
from erranalytics.ingestion.options import Options
from erranalytics.ingestion.pipeline import Batch
from erranalytics.ingestion.resume import LoadStart
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
    """Appends batches to a store inside a transaction, and keeps the next free numbers of events and templates."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, options: Options, *, event_id: int) -> None:
        self._connection, self._options = connection, options
        self._causes = causes_frame(options.rules)
        self._templates = pl.DataFrame(
            frames.rows(connection, "select fingerprint, template_id from templates"),
            schema={"fingerprint": pl.String, "template_id": pl.Int32},
        )
        self.event_id = event_id

    def append(self, parts: Sequence[tuple[LoadStart, Totals, Batch]]) -> None:
        """Classify the batches together, append them in their order, and add to the totals of their loads."""
        extracted = extraction.extract(
            verdicts.classify_events(
                pl.concat([_numbered(batch.events, start, host=self._options.host) for start, _, batch in parts]),
                rules=self._options.rules,
                memo=self._options.memo,
            ),
            rules=self._options.rules,
            formats=self._options.formats,
        )
        events, formats, rules = self._with_numbers(extracted.events), self._options.formats, self._options.rules
        calls = extracted.calls.with_columns(event_id=pl.col("row").cast(pl.Int64) + self.event_id)
        rejects = pl.concat([*(_of_load(batch.rejects, start) for start, _, batch in parts), extracted.rejects])
        self._options.on_events(events)
        frames.append(self._connection, "events", event_rows(events))
        frames.append(self._connection, "requests", request_rows(events, formats))
        problems = error_rows(events, self._causes, rules, calls, formats=formats)
        frames.append(self._connection, "errors", problems)
        frames.append(self._connection, "calls", call_rows(calls, events))
        frames.append(self._connection, "rejects", rejects)
        self.event_id += events.height
        _add_to_totals(parts, events, rejects)

    def _with_numbers(self, events: pl.DataFrame) -> pl.DataFrame:
        """Give events and their templates numbers, and append the new templates."""
        last = int(self._templates.select(pl.col("template_id").max().fill_null(0)).item())
        new = (
            events.filter(pl.col("fingerprint").is_not_null())
            .select("fingerprint", "template", "format")
            .unique("fingerprint", keep="first", maintain_order=True)
            .join(self._templates, on="fingerprint", how="anti", maintain_order="left")
            .with_row_index("template_id", offset=last + 1)
            .with_columns(pl.col("template_id").cast(pl.Int32), event_count=pl.lit(0, dtype=pl.Int64))
        )
        frames.append(self._connection, "templates", new)
        self._templates = pl.concat([self._templates, new.select("fingerprint", "template_id")])
        return (
            events.with_row_index("event_id", offset=self.event_id)
            .with_columns(pl.col("event_id").cast(pl.Int64))
            .join(self._templates, on="fingerprint", how="left", maintain_order="left")
        )


def _of_load(frame: pl.DataFrame, start: LoadStart) -> pl.DataFrame:
    return frame.select(
        pl.lit(start.source_id, dtype=pl.Int32).alias("source_id"),
        pl.lit(start.load_id, dtype=pl.Int32).alias("load_id"),
        pl.all(),
    )


def _numbered(events: pl.DataFrame, start: LoadStart, *, host: str | None) -> pl.DataFrame:
    """Events with the numbers of their source, load and run of the server, and with the label of their host."""
    return _of_load(events, start).with_columns(
        session_id=resume.session_id(pl.col("session"), start).cast(pl.Int32),
        host=pl.lit(host) if host else pl.col("host"),
    )


def _add_to_totals(
    parts: Sequence[tuple[LoadStart, Totals, Batch]], events: pl.DataFrame, rejects: pl.DataFrame
) -> None:
    unknown = pl.col("line_count").filter(pl.col("format") == lineformats.UNKNOWN).sum()
    stored = events.group_by("load_id").agg(pl.len(), unknown).rows_by_key("load_id", unique=True)
    rejected = dict(rejects.group_by("load_id").agg(pl.col("line_count").sum()).rows())
    for start, totals, batch in parts:
        event_count, unknown_count = stored.get(start.load_id, (0, 0))
        totals.event_count += event_count
        totals.unknown_count += unknown_count
        totals.reject_count += rejected.get(start.load_id, 0)
        totals.line_count += batch.block.line_count
