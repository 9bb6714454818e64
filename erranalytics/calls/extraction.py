"""Judged EVENTS that are records of calls: the calls, the damaged records, and the causes that no text names."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics import redaction, schema
from erranalytics.calls import decoding as calls
from erranalytics.classification.rulebook import Rulebook
from erranalytics.parsing import lineformats
from erranalytics.text.literals import may_hold

# ``row`` is the place of the event in its batch.
SCHEMA = pl.Schema({"row": pl.UInt32(), "mapping": pl.String(), **schema.CALLS})
FORMAT = "client-json"
REJECTS = {"line_no": pl.Int64, "line_count": pl.Int32, "reason": pl.String, "sample": pl.String}
PROBLEMS = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Told:
    """EVENTS without the damaged records, those as rejects, and ``SCHEMA``."""

    events: pl.DataFrame
    calls: pl.DataFrame
    rejects: pl.DataFrame


def tell(events: pl.DataFrame, *, rules: Rulebook) -> Told:
    """Find the calls that events record; what only the outcome of a call tells becomes the verdict of its event."""
    if not may_hold(events["format"], (FORMAT, "unknown", *lineformats.load().names("reads"))):
        return Told(events, schema.empty(SCHEMA), _no_rejects(events))
    text, form = pl.col("text"), pl.col("format")
    may_be = (form == FORMAT) | ((form == "unknown") & text.str.starts_with('{"'))
    # Of the line of a logger only what it tells of the error is kept, as attributes.
    is_logger = form.is_in(lineformats.load().names("reads"))
    rows = events.with_row_index("row").filter(may_be | is_logger)
    if rows.is_empty():
        return Told(events, schema.empty(SCHEMA), _no_rejects(events))
    rows = rows.with_columns(text=pl.when(is_logger).then("attrs").otherwise("text"))
    found = calls.read(rows["text"])
    faults = pl.DataFrame({"place": found["row"], "fault": found["fault"]}).filter(pl.col("fault").is_not_null())
    cut = pl.DataFrame({"place": calls.broken(rows["text"]).arg_true(), "fault": "bad-json"})
    faults = pl.concat([faults, cut.cast(faults.schema)]).unique("place", keep="last")
    if not faults.is_empty():
        bad = rows.with_row_index("place").join(faults, on="place", maintain_order="left")
        events = events.with_row_index("row").join(bad, on="row", how="anti", maintain_order="left").drop("row")
        # Without them the others have other places.
        rest = tell(events, rules=rules)
        return Told(rest.events, rest.calls, pl.concat([_rejects(bad), rest.rejects]))
    if found.is_empty():
        return Told(events, schema.empty(SCHEMA), _no_rejects(events))
    found = found.with_columns(row=rows["row"].gather(found["row"]))
    return _judged(events, found, rules=rules)


def _judged(events: pl.DataFrame, found: pl.DataFrame, *, rules: Rulebook) -> Told:
    categories = {cause.code: cause.category for cause in rules.causes.values()}
    said = events.with_row_index("row").select("row", "code", "cause", "severity", "ts")
    found = found.join(said, on="row", how="left", maintain_order="left").with_columns(
        category=pl.col("code").replace_strict(categories, default=None, return_dtype=pl.String),
        is_problem=pl.col("severity").is_in(PROBLEMS).fill_null(value=False),
        ts_start=pl.coalesce("ts_start", "ts_end", "ts"),
        ts_end=pl.coalesce("ts_end", "ts_start", "ts"),
    )
    decided = calls.decide(found)
    statuses = events["status"].scatter(decided["row"], decided["http_status"])
    events = with_causes(events.with_columns(statuses.alias("status")), decided, rules=rules)
    return Told(events, decided.select(SCHEMA.names()), _no_rejects(events))


def with_causes(events: pl.DataFrame, decided: pl.DataFrame, *, rules: Rulebook) -> pl.DataFrame:
    """Add the verdicts of calls whose outcome alone tells that they failed.

    Args:
        events: judged events.
        decided: calls among them with ``row``, their ``outcome`` and ``is_problem``, whether a rule found one.
        rules: the rulebook.
    """
    known = rules.by_slug
    fallback = known["http_error"]
    slugs = calls.conclude(decided).filter(pl.col("slug").is_not_null())
    if slugs.is_empty():
        return events
    names = slugs["slug"].unique().to_list()
    causes = {name: known.get(name, fallback) for name in names}
    new = slugs.select(
        "row",
        new_code=pl.col("slug").replace_strict({name: cause.code for name, cause in causes.items()}),
        new_cause=pl.col("slug").replace_strict({name: cause.slug for name, cause in causes.items()}),
        new_severity=pl.col("slug").replace_strict({name: cause.severity for name, cause in causes.items()}),
        new_confidence=pl.when(pl.col("slug").str.contains("http_|unknown|empty_error"))
        .then(pl.lit("guess"))
        .otherwise(pl.lit("likely")),
        new_inner="said",
    )
    table = events.with_row_index("row").join(new, on="row", how="left", maintain_order="left")
    is_new = pl.col("new_code").is_not_null()
    columns = [
        pl.when(is_new).then(f"new_{name}").otherwise(name).alias(name)
        for name in ("code", "cause", "severity", "confidence", "inner")
    ]
    gone = [pl.when(~is_new).then(name).alias(name) for name in ("rule", "captures", "wrapping")]
    return table.with_columns(*columns, *gone).select(events.columns)


def _rejects(bad: pl.DataFrame) -> pl.DataFrame:
    return bad.select(
        *(name for name in ("source_id", "load_id") if name in bad.columns),
        "line_no",
        "line_count",
        reason=pl.col("fault"),
        sample=redaction.mask_secrets(bad["text"]).str.slice(0, 80),
    )


def _no_rejects(events: pl.DataFrame) -> pl.DataFrame:
    kept = [(name, pl.Int32) for name in ("source_id", "load_id") if name in events.columns]
    return pl.DataFrame(schema=[*kept, *REJECTS.items()])
