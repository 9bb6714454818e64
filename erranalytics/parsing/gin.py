"""Access lines of GIN: each becomes typed columns."""

from __future__ import annotations

import polars as pl

from erranalytics.clocks import timestamps
from erranalytics.parsing.fields import rest_json, with_rest
from erranalytics.parsing.lineformats import UNKNOWN, LineFormat

GIN_TIME = "%Y/%m/%d - %H:%M:%S"


def parse_gin(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Parse access lines: every field gets a typed column, so the text is not kept.

    Lines are split at their bars, which costs a tenth of the pattern. Only a line that lacks a field after that is
    matched with the pattern.
    """
    # > [GIN] 2026/03/01 - 11:04:05 | 500 |  1.2ms | 127.0.0.1 | POST "/api/chat"
    #   own_naive 2026-03-01 11:04:05, status 500, duration_us 1200, client_address 127.0.0.1, method POST,
    #   path /api/chat, message "500 POST /api/chat"
    part = pl.col("body").str.splitn("|", 5).alias("part")
    field = pl.col("part").struct.field
    latency = field("field_2").str.strip_chars()
    number = latency.str.strip_chars_end("nmsuµμ")
    unit = pl.when(latency.str.ends_with("ms")).then(1e3).when(latency.str.ends_with("µs")).then(1.0)
    route = field("field_4").str.strip_chars()
    table = frame.with_columns(part).with_columns(
        # Many requests share a second, so each stamp is read once.
        own_naive=timestamps.by_runs(frame["body"].str.slice(6, 21), timestamps.naive(pl.col("text"), GIN_TIME)),
        status=field("field_1").str.strip_chars().cast(pl.Int16, strict=False),
        duration_us=(
            number.cast(pl.Float64, strict=False)
            * unit.when(latency.str.ends_with("ns")).then(1e-3).when(latency.str.ends_with("s")).then(1e6)
        )
        .round()
        .cast(pl.Int64),
        client_address=field("field_3").str.strip_chars(),
        route=route,
    )
    # There are few distinct routes, so method, path and the texts made from them are computed once for each.
    routes = table.select("status", "route").unique()
    parts = pl.col("route").str.extract_groups(r'^(?P<method>[A-Z]+)\s+"(?P<path>[^"?]*)(?:\?[^"]*)?"')
    routes = routes.with_columns(parts.alias("parts")).unnest("parts").with_columns(_gin_texts())
    table = table.join(routes, on=["status", "route"], how="left", nulls_equal=True, maintain_order="left")
    table = table.drop("part", "route")
    is_whole = pl.all_horizontal(pl.col("own_naive", "status", "duration_us", "method").is_not_null())
    if not table.select(is_whole.all()).item():
        slow = _parse_gin_slowly(table.filter(~is_whole).select(frame.columns), form)
        table = pl.concat([table.filter(is_whole), slow.select(table.columns)])
    is_bad = pl.col("own_naive").is_null()
    return table.with_columns(
        format=pl.when(is_bad).then(pl.lit(UNKNOWN)).otherwise("format"),
        message=pl.when(is_bad).then("body").otherwise("message"),
        text=with_rest(pl.when(is_bad).then("body").otherwise("text")),
        attrs=rest_json(pl.col("rest")),
        own_clock=pl.lit(form.clock),
    )


def _gin_texts() -> list[pl.Expr]:
    """``message`` of an access line, and ``text`` for the rules, from its status, method and path."""
    line = pl.concat_str(pl.col("status").cast(pl.String), "method", "path", separator=" ")
    return [line.alias("message"), gin_text().alias("text")]


def gin_text() -> pl.Expr:
    """The text of an access line for the rules, from its columns ``status``, ``method`` and ``path``."""
    return pl.format('[GIN] | {} | {} "{}"', "status", "method", "path")


def _parse_gin_slowly(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Parse access lines with the pattern: latencies of a minute and more, mangled micro signs, cut lines."""
    field = pl.col("part").struct.field
    return (
        frame.with_columns(pl.col("body").str.extract_groups(form.pattern).alias("part"))
        .with_columns(
            own_naive=timestamps.naive(field("time"), GIN_TIME),
            status=field("status").cast(pl.Int16, strict=False),
            duration_us=timestamps.go_duration_us(field("hours"), field("minutes"), field("number"), field("unit")),
            client_address=field("client"),
            method=field("method"),
            path=field("path"),
        )
        .with_columns(_gin_texts())
    )
