"""The remedies of rules, filled with the facts that the text of each problem states."""

from __future__ import annotations

import polars as pl

from erranalytics.classification import facts
from erranalytics.classification.rulebook import Rulebook


def remedies(table: pl.DataFrame, rules: Rulebook) -> pl.Series:
    """The filled remedy of the rule of each row; null where the rule has none or a fact is unknown."""
    rows = table.with_row_index("row")
    parts = [pl.DataFrame(schema={"row": pl.UInt32, "remedy": pl.String})]
    for name in table.get_column("rule").unique().drop_nulls().sort():
        template = rules.by_id[name].remedy if name in rules.by_id else None
        if template:
            parts.append(rows.filter(pl.col("rule") == name).select("row", remedy=facts.fill(template)))
    return rows.join(pl.concat(parts), on="row", how="left", maintain_order="left").get_column("remedy")
