"""Lines of Go's slog: key=value pairs with quoted text."""

from __future__ import annotations

import polars as pl

from erranalytics import redaction
from erranalytics.clocks import timestamps
from erranalytics.parsing import loggers
from erranalytics.parsing.fields import attrs_json, extract, unquote, with_rest
from erranalytics.parsing.lineformats import UNKNOWN, LineFormat


def parse_slog(frame: pl.DataFrame, form: LineFormat, client: LineFormat | None) -> pl.DataFrame:
    """Parse slog lines: the stamp has 24 or 29 characters, and the rest is parsed once per distinct text."""
    # > time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg="Listening" port=11434
    #   own_utc 11:04:05.416, zone_s 0, level INFO, component routes.go:1238, message Listening,
    #   attrs {"port":"11434"}
    body = pl.col("body")
    is_utc = body.str.slice(28, 1) == "Z"
    cut = frame.with_columns(
        own_text=pl.when(is_utc).then(body.str.slice(5, 24)).otherwise(body.str.slice(5, 29)),
        tail=pl.when(is_utc).then(body.str.slice(30)).otherwise(body.str.slice(35)),
    )
    cut = cut.hstack(timestamps.slog(cut["own_text"]))
    distinct = cut.select(pl.col("tail").unique())
    fields = extract(distinct.select("tail", line=pl.lit("time=0 ") + pl.col("tail")), "line", form)
    fields = _finish_slog(fields)
    fields = _of_clients(fields, client) if client else fields.with_columns(_NO_CLIENTS)
    joined = cut.join(fields, on="tail", how="left", maintain_order="left")
    joined = joined.with_columns(format=pl.coalesce("owner", "format"))
    is_bad = pl.col("own_utc").is_null() | pl.col("level").is_null()
    return joined.with_columns(
        format=pl.when(is_bad).then(pl.lit(UNKNOWN)).otherwise("format"),
        message=pl.when(is_bad).then("body").otherwise("message"),
        text=with_rest(pl.when(is_bad).then("body").otherwise(pl.coalesce("rule_text", "tail_masked"))),
        own_clock=pl.lit(form.clock),
    ).drop("tail", "tail_masked", "own_text", "line", "rule_text", "owner")


_NO_CLIENTS = (pl.lit(None, pl.String).alias("owner"), pl.lit(None, pl.String).alias("rule_text"))


def _of_clients(fields: pl.DataFrame, client: LineFormat) -> pl.DataFrame:
    """Add ``owner``, the format of lines that another program wrote, and ``rule_text``, their text for the rules."""
    # v0.1.21 and v0.1.22 printed the whole path, which differs where a distribution built them.
    path = pl.col("component")
    may_be = path.is_null() | (path.str.contains("/", literal=True) & ~path.str.contains("ollama/", literal=True))
    is_theirs = (may_be & pl.col("line").str.contains(client.pattern)).fill_null(value=False)
    if not fields.select(is_theirs.any()).item():
        return fields.with_columns(_NO_CLIENTS)
    return fields.with_columns(
        owner=pl.when(is_theirs).then(pl.lit(client.name)),
        rule_text=pl.when(is_theirs).then(loggers.rule_text_of_pairs()),
    )


def _finish_slog(fields: pl.DataFrame) -> pl.DataFrame:
    """Unquote the message, mask prompts, turn the attributes into JSON."""
    fields = fields.with_columns(redaction.mask_prompts(fields["attrs"]))
    fields = fields.with_columns(redaction.mask_secrets(fields["attrs"]), redaction.mask_secrets(fields["quoted"]))
    head = pl.col("tail").str.slice(0, pl.col("tail").str.len_chars() - pl.col("raw_attrs_length"))
    masked = pl.when(pl.col("raw_attrs_length") > 0).then(head + pl.col("attrs")).otherwise("tail")
    has_quote = pl.col("quoted").is_not_null()
    return fields.with_columns(
        tail_masked=masked,
        message=pl.when(has_quote).then(unquote(pl.col("quoted"))).otherwise("message"),
        attrs=attrs_json(fields["attrs"]),
    )
