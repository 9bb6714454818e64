"""OTLP in JSON: a line holds the spans or log records of a whole batch; each becomes its own object here."""

from __future__ import annotations

import polars as pl

from erranalytics.text.json_objects import without_nulls

# As exporters write it (opentelemetry-proto, trace.proto and logs.proto at v1.7.0, in their JSON form).
STARTS = ('{"resourceSpans":', '{"resourceLogs":')
_VALUE = pl.Struct(dict.fromkeys(("stringValue", "intValue", "doubleValue", "boolValue"), pl.String()))
_ATTRIBUTES = pl.List(pl.Struct({"key": pl.String(), "value": _VALUE}))
_STATUS = pl.Struct({"code": pl.String(), "message": pl.String()})
_EVENTS = pl.List(pl.Struct({"name": pl.String(), "attributes": _ATTRIBUTES}))
_SPAN = pl.Struct(
    {
        **dict.fromkeys(("traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano"), pl.String()),
        "attributes": _ATTRIBUTES,
        "status": _STATUS,
        "events": _EVENTS,
    }
)
_LOG = pl.Struct(
    {
        **dict.fromkeys(("traceId", "spanId", "timeUnixNano", "severityText"), pl.String()),
        "body": _VALUE,
        "attributes": _ATTRIBUTES,
    }
)
_LEVELS = (("resourceSpans", "scopeSpans", "spans", _SPAN), ("resourceLogs", "scopeLogs", "logRecords", _LOG))


def is_envelope(body: pl.Expr) -> pl.Expr:
    """Whether a body is such a batch."""
    return pl.any_horizontal(body.str.starts_with(start) for start in STARTS).fill_null(value=False)


def unfold(bodies: pl.DataFrame) -> pl.DataFrame:
    """One row per span and log record; a batch that is not valid stays as it is.

    Attributes whose values are lists or maps lose them, since these hold prompts and answers.

    Args:
        bodies: rows whose ``body`` is a batch.
    """
    parts = []
    for outer, middle, inner, record in _LEVELS:
        part = bodies.filter(pl.col("body").str.starts_with(f'{{"{outer}":'))
        kind = pl.Struct({outer: pl.List(pl.Struct({middle: pl.List(pl.Struct({inner: pl.List(record)}))}))})
        is_valid = part["body"].str.json_path_match("$").is_not_null()
        parts.append(part.filter(~is_valid))
        part = part.filter(is_valid)
        if part.is_empty():
            continue
        records = part.with_columns(record=pl.col("body").str.json_decode(kind).struct.field(outer))
        for level in (middle, inner, None):
            records = records.explode("record").filter(pl.col("record").is_not_null())
            if level is not None:
                records = records.with_columns(record=pl.col("record").struct.field(level))
        # Objects inside of a record lose their last field too.
        body = without_nulls(pl.col("record").struct.json_encode()).str.replace_all(",}", "}", literal=True)
        parts.append(records.with_columns(body=body).drop("record"))
    return pl.concat(parts)
