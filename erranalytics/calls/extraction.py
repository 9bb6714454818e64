"""Extract calls from classified EVENTS: the calls, the damaged records, and the causes that no text names."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics import redaction, schema
from erranalytics.calls import decoding, outcomes
from erranalytics.classification.rulebook import Rulebook
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook
from erranalytics.text.literals import may_hold

# ``row`` is the position of the event in its batch.
SCHEMA = pl.Schema({"row": pl.UInt32(), "mapping": pl.String(), **schema.CALLS})
REJECTS = {"line_no": pl.Int64, "line_count": pl.Int32, "reason": pl.String, "sample": pl.String}
PROBLEMS = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Extraction:
    """``events`` without damaged records, which are among the ``rejects``, and ``calls`` with ``SCHEMA``."""

    events: pl.DataFrame
    calls: pl.DataFrame
    rejects: pl.DataFrame


def extract(events: pl.DataFrame, *, rules: Rulebook, formats: FormatBook) -> Extraction:
    """Extract the calls that events record; where no rule matches, the outcome of a call gives its event a verdict."""
    records, loggers = formats.read_by("record"), formats.names("reads")
    if not may_hold(events["format"], (*records, UNKNOWN, *loggers)):
        return Extraction(events, schema.empty(SCHEMA), _no_rejects(events))
    text, form = pl.col("text"), pl.col("format")
    may_be = form.is_in(records) | ((form == UNKNOWN) & text.str.starts_with('{"'))
    # Of a logger's line, the attributes keep only what describes the error.
    is_logger = form.is_in(loggers)
    rows = events.with_row_index("row").filter(may_be | is_logger)
    if rows.is_empty():
        return Extraction(events, schema.empty(SCHEMA), _no_rejects(events))
    rows = rows.with_columns(text=pl.when(is_logger).then("attrs").otherwise("text"))
    calls = decoding.read(rows["text"])
    faults = pl.DataFrame({"place": calls["row"], "fault": calls["fault"]}).filter(pl.col("fault").is_not_null())
    damaged = pl.DataFrame({"place": decoding.are_damaged(rows["text"]).arg_true(), "fault": "bad-json"})
    faults = pl.concat([faults, damaged.cast(faults.schema)]).unique("place", keep="last")
    if not faults.is_empty():
        bad = rows.with_row_index("place").join(faults, on="place", maintain_order="left")
        events = events.with_row_index("row").join(bad, on="row", how="anti", maintain_order="left").drop("row")
        # Removing them changes the positions of the others.
        rest = extract(events, rules=rules, formats=formats)
        return Extraction(rest.events, rest.calls, pl.concat([_rejects(bad), rest.rejects]))
    if calls.is_empty():
        return Extraction(events, schema.empty(SCHEMA), _no_rejects(events))
    calls = calls.with_columns(row=rows["row"].gather(calls["row"]))
    return _with_outcomes(events, calls, rules=rules)


def _with_outcomes(events: pl.DataFrame, calls: pl.DataFrame, *, rules: Rulebook) -> Extraction:
    categories = {cause.code: cause.category for cause in rules.causes.values()}
    verdicts = events.with_row_index("row").select("row", "code", "cause", "severity", "ts")
    calls = calls.join(verdicts, on="row", how="left", maintain_order="left").with_columns(
        category=pl.col("code").replace_strict(categories, default=None, return_dtype=pl.String),
        is_problem=pl.col("severity").is_in(PROBLEMS).fill_null(value=False),
        ts_start=pl.coalesce("ts_start", "ts_end", "ts"),
        ts_end=pl.coalesce("ts_end", "ts_start", "ts"),
    )
    decided = outcomes.decide(calls)
    statuses = events["status"].scatter(decided["row"], decided["http_status"])
    events = with_causes(events.with_columns(statuses.alias("status")), decided, rules=rules)
    return Extraction(events, decided.select(SCHEMA.names()), _no_rejects(events))


def with_causes(events: pl.DataFrame, decided: pl.DataFrame, *, rules: Rulebook) -> pl.DataFrame:
    """Add verdicts to the events of calls that failed by their outcome alone.

    Args:
        events: classified events.
        decided: the calls among them, with ``row``, ``outcome`` and ``is_problem`` (whether a rule found one).
        rules: the rulebook.
    """
    known = rules.by_slug
    fallback = known["http_error"]
    slugs = outcomes.infer_causes(decided).filter(pl.col("slug").is_not_null())
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
        new_inner="reason",
    )
    table = events.with_row_index("row").join(new, on="row", how="left", maintain_order="left")
    is_new = pl.col("new_code").is_not_null()
    columns = [
        pl.when(is_new).then(f"new_{name}").otherwise(name).alias(name)
        for name in ("code", "cause", "severity", "confidence", "inner")
    ]
    cleared = [pl.when(~is_new).then(name).alias(name) for name in ("rule", "captures", "wrapping")]
    return table.with_columns(*columns, *cleared).select(events.columns)


def _rejects(bad: pl.DataFrame) -> pl.DataFrame:
    return bad.select(
        *(name for name in ("source_id", "load_id") if name in bad.columns),
        "line_no",
        "line_count",
        reason=pl.col("fault"),
        sample=redaction.mask_secrets(bad["text"]).str.slice(0, 80),
    )


def _no_rejects(events: pl.DataFrame) -> pl.DataFrame:
    numbers = [(name, pl.Int32) for name in ("source_id", "load_id") if name in events.columns]
    return pl.DataFrame(schema=[*numbers, *REJECTS.items()])
