"""Write the taxonomy and the rules to the store, so that it explains itself years later."""

from __future__ import annotations

import duckdb
import polars as pl

from erranalytics.classification.rulebook import Rulebook
from erranalytics.store import frames


def write_catalogue(connection: duckdb.DuckDBPyConnection, rules: Rulebook) -> None:
    """Write the tables ``causes`` and ``rules``, unless the store has this rulebook already."""
    stored = connection.execute("select value from meta where key = 'rulebook_hash'").fetchone()
    if stored and stored[0] == rules.hash:
        return
    frames.replace_all(connection, "causes", causes_frame(rules))
    table = pl.DataFrame(
        {
            "rule": [rule.id for rule in rules.rules],
            "code": [rule.code for rule in rules.rules],
            "confidence": [rule.confidence for rule in rules.rules],
            "severity": [rules.severity(rule) for rule in rules.rules],
            "literals": [list(rule.literals) for rule in rules.rules],
            "pattern": [rule.pattern for rule in rules.rules],
            "refs": [list(rule.references) for rule in rules.rules],
            "since": [rule.since for rule in rules.rules],
            "until": [rule.until for rule in rules.rules],
            "remedy": [rule.remedy for rule in rules.rules],
        },
        schema_overrides=dict.fromkeys(("since", "until", "remedy"), pl.String),
    )
    frames.replace_all(connection, "rules", table)
    connection.execute("insert or replace into meta values ('rulebook_hash', ?)", [rules.hash])


def causes_frame(rules: Rulebook) -> pl.DataFrame:
    """The taxonomy as rows of ``causes``."""
    fields = (
        "code",
        "slug",
        "category",
        "title",
        "severity",
        "layer",
        "phase",
        "side",
        "retry",
        "error_class",
        "typical_status",
        "remedy",
        "see",
    )
    table = pl.DataFrame(
        {name: [str(getattr(cause, name) or "") for cause in rules.causes.values()] for name in fields}
    )
    return table.rename({"slug": "cause"}).with_columns(pl.col("typical_status", "see").replace("", None))
