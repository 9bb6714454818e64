"""EVENTS → EVENTS with VERDICTS: each distinct text is classified once."""

from __future__ import annotations

import polars as pl

from erranalytics import schema
from erranalytics.classification import fingerprint
from erranalytics.classification.classifier import Memo, recognised
from erranalytics.classification.rulebook import Rulebook


def classify_events(events: pl.DataFrame, *, rules: Rulebook, memo: Memo | None = None) -> pl.DataFrame:
    """Add VERDICTS to EVENTS and keep further columns; each distinct text and message is handled once."""
    messages = events.select(pl.col("message").unique(maintain_order=True))
    templates = fingerprint.template(messages["message"])
    messages = messages.with_columns(templates, fingerprint.fingerprint(templates))
    # Rules match few texts, so only those are joined.
    slugs = {cause.code: cause.slug for cause in rules.causes.values()}
    known = recognised(events.select(pl.col("text").unique()).to_series(), book=rules, memo=memo)
    known = known.with_columns(
        pl.col("confidence").cast(pl.String),
        cause=pl.col("code").replace_strict(slugs, default=None, return_dtype=pl.String),
    )
    classified = events.join(known, on="text", how="left", maintain_order="left")
    if messages.height == events.height:
        classified = classified.hstack(messages.drop("message"))
    else:
        classified = classified.join(messages, on="message", how="left", nulls_equal=True, maintain_order="left")
    return classified.select([*events.columns, *schema.VERDICTS.names()])
