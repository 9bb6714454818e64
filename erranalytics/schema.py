"""The frames that pass between the stages: one declared polars schema each.

``sources.lines`` makes ``LINES``, ``wrappers`` makes ``BODIES``, ``parsing.framing`` makes ``RECORDS``,
``parsing.events`` makes ``EVENTS``, and ``classification`` adds the columns of ``VERDICTS``. Times are UTC
microseconds; durations are integers with the unit in the name. A test holds the DDL of the store equal to ``EVENTS``.
"""

from __future__ import annotations

import polars as pl

UTC_US: pl.DataType = pl.Datetime("us", "UTC")
NAIVE_US: pl.DataType = pl.Datetime("us")

LINES = pl.Schema(
    {
        "line_no": pl.Int64(),  # physical line of the source, from 1
        "raw": pl.String(),  # without line end, NUL and ANSI colours
    }
)

BODIES = pl.Schema(
    {
        "line_no": pl.Int64(),  # first physical line of this line of Ollama
        "stamp": pl.String(),  # the stamp of the wrapper as written, if there is one
        "clock": pl.String(),  # the kind of that stamp, see unwrapping.CLOCKS
        "host": pl.String(),
        "unit": pl.String(),
        "pid": pl.Int32(),
        "body": pl.String(),  # the line as Ollama wrote it; null if the wrapper lost its text
    }
)

RECORDS = pl.Schema(
    {
        "line_no": pl.Int64(),  # first physical line of the record
        "line_count": pl.Int32(),  # the number of its physical lines
        "stamp": pl.String(),
        "clock": pl.String(),
        "host": pl.String(),
        "unit": pl.String(),
        "pid": pl.Int32(),
        "format": pl.String(),  # name of a line format
        "body": pl.String(),  # first line, as Ollama wrote it
        "rest": pl.String(),  # further lines of the record, joined by line feeds
    }
)

EVENTS = pl.Schema(
    {
        "line_no": pl.Int64(),
        "line_count": pl.Int32(),
        "ts": UTC_US,
        "ts_source": pl.String(),
        "host": pl.String(),
        "unit": pl.String(),
        "pid": pl.Int32(),
        "format": pl.String(),
        "level": pl.String(),
        "component": pl.String(),
        "message": pl.String(),
        "attrs": pl.String(),
        "text": pl.String(),  # the text for the rules: all lines, without the stamp
        "status": pl.Int16(),  # access lines from here on
        "duration_us": pl.Int64(),
        "client_address": pl.String(),
        "method": pl.String(),
        "path": pl.String(),
    }
)

VERDICTS = pl.Schema(
    {
        "rule": pl.String(),
        "code": pl.String(),
        "cause": pl.String(),
        "confidence": pl.String(),
        "severity": pl.String(),
        "captures": pl.String(),
        "inner": pl.String(),
        "wrapping": pl.List(pl.String()),
        "fingerprint": pl.String(),
        "template": pl.String(),
    }
)

# One call of a client, with the names of the recorder.
CALLS = pl.Schema(
    {
        "ts_start": UTC_US,
        "ts_end": UTC_US,
        "duration_ms": pl.Float64(),
        "client": pl.String(),
        "endpoint": pl.String(),
        "url_host": pl.String(),
        "method": pl.String(),
        "model": pl.String(),
        "stream": pl.Boolean(),
        "http_status": pl.Int16(),
        "status_source": pl.String(),
        "outcome": pl.String(),
        "first_chunk_ms": pl.Float64(),
        "chunk_count": pl.Int64(),
        "last_chunk_gap_ms": pl.Float64(),
        "done_seen": pl.Boolean(),
        "error_type": pl.String(),
        "error_message": pl.String(),
        "error_body": pl.String(),
        "retry_after_s": pl.Float64(),
        "ratelimit_limit": pl.Int64(),
        "ratelimit_remaining": pl.Int64(),
        "ratelimit_reset": pl.String(),
        "maintenance_until": UTC_US,
        "upstream_request_id": pl.String(),
        "attempt": pl.Int32(),
        "app": pl.String(),
        "trace_id": pl.String(),
        "record_id": pl.String(),
        "attrs": pl.String(),
    }
)

TS_SOURCES = (
    *("slog", "gin+offset", "go-log", "json", "client", "gateway", "journal", "docker", "stamp", "dump"),
    *("inherited", "file", "none"),
)

# The pieces from which the text of a stored event is rebuilt, see ``ingestion.stored_text``.
PIECES = (
    *("level", "component", "message", "quoted", "pairs", "attrs", "status", "method", "path"),
    *("access", "fault", "our_fault", "record"),
)


def empty(schema: pl.Schema) -> pl.DataFrame:
    """A frame of a schema without rows."""
    if id(schema) not in _EMPTY:
        _EMPTY[id(schema)] = schema, pl.DataFrame(schema=schema)
    return _EMPTY[id(schema)][1]


# Each entry holds its schema too, so that no other schema can get the same id.
_EMPTY: dict[int, tuple[pl.Schema, pl.DataFrame]] = {}
