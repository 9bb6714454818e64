"""Judged events as rows of the tables ``events``, ``requests``, ``errors`` and ``causes``."""

from __future__ import annotations

import polars as pl

from erranalytics import facts
from erranalytics.rulebook import Rulebook

POLL_PATHS = ("/", "/api/version", "/api/tags", "/api/ps")
STREAM_PATHS = (
    "/api/generate",
    "/api/chat",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
)
EMBED_PATHS = ("/api/embed", "/api/embeddings", "/v1/embeddings")
# These answer 200 at once and may still fail: their first progress line is sent before the work.
PROGRESS_PATHS = ("/api/pull", "/api/push", "/api/create")
# What a program wrote that calls Ollama.
CLIENT_FORMATS = ("client-json", "client-text", "client-note")


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


def event_rows(events: pl.DataFrame) -> pl.DataFrame:
    """Numbered EVENTS with VERDICTS as rows of ``events``."""
    names = (
        "event_id",
        "source_id",
        "load_id",
        "line_no",
        "line_count",
        "ts",
        "ts_source",
        "host",
        "unit",
        "pid",
        "format",
        "level",
    )
    return events.select(*names, "component", "message", "attrs", "code", "cause", "template_id", "session_id")


def request_rows(events: pl.DataFrame) -> pl.DataFrame:
    """Access lines; a 200 proves nothing for a route that streams (see the definitions in docs)."""
    access = events.filter(pl.col("format") == "gin")
    path, status = pl.col("path"), pl.col("status")
    is_stream = path.is_in(STREAM_PATHS)
    failed = pl.when(is_stream).then(pl.lit("failed_before_first_byte")).otherwise(pl.lit("failed"))
    quiet = (
        pl.when(is_stream | path.is_in(PROGRESS_PATHS)).then(pl.lit("not_observable")).otherwise(pl.lit("completed"))
    )
    outcome = pl.when(status == 499).then(pl.lit("cancelled_by_client")).when(status >= 400).then(failed)
    # There are few routes: what they tell is found once each.
    routes = access.select("method", "path", "status").unique()
    routes = routes.with_columns(
        endpoint=_endpoint(path),
        outcome=outcome.otherwise(quiet),
        is_poll=path.is_in(POLL_PATHS) & pl.col("method").is_in(["GET", "HEAD"]),
        is_inference=path.is_in([*STREAM_PATHS, *EMBED_PATHS]) & (pl.col("method") == "POST"),
    )
    access = access.join(routes, on=["method", "path", "status"], how="left", nulls_equal=True, maintain_order="left")
    return access.select(
        *("duration_us", "status", "method", "path", "endpoint", "client_address", "session_id", "event_id"),
        *("outcome", "is_poll", "is_inference"),
        request_id="event_id",
        ts_start=pl.col("ts") - pl.duration(microseconds="duration_us"),
        ts_end="ts",
        code=pl.when(pl.col("severity") != "info").then("code"),
    )


def _endpoint(path: pl.Expr) -> pl.Expr:
    """The route of a path: digests and model names are cut off, unknown routes become ``/other``."""
    known = path.is_in(
        [
            *POLL_PATHS,
            *STREAM_PATHS,
            *EMBED_PATHS,
            *PROGRESS_PATHS,
            "/api/show",
            "/api/copy",
            "/api/delete",
            "/api/me",
            "/api/signout",
            "/v1/models",
        ]
    )
    blobs = pl.when(path.str.starts_with("/api/blobs/")).then(pl.lit("/api/blobs/:digest"))
    return (
        pl.when(known)
        .then(path)
        .otherwise(
            blobs.when(path.str.starts_with("/v1/models/"))
            .then(pl.lit("/v1/models/:model"))
            .otherwise(pl.lit("/other"))
        )
    )


_ERROR_COLUMNS = (
    *("ts", "code", "cause", "category", "severity", "layer", "phase", "side", "retry", "error_class", "fingerprint"),
    *("confidence", "rule", "event_id", "session_id", "source_id", "host", "captures", "wrapping"),
)
_FACTS = tuple(name for name in facts.schema() if name != "model")


def error_rows(events: pl.DataFrame, causes: pl.DataFrame, rules: Rulebook) -> pl.DataFrame:
    """Events that are problems, with everything their text and the taxonomy say, as rows of ``errors``."""
    bad = events.filter(pl.col("severity").is_in(["warning", "error", "critical"]))
    said = bad.select("captures").unique()
    said = said.hstack(facts.columns(said["captures"]).rename({"model": "named"}))
    known = causes.select("code", "category", "layer", "phase", "side", "retry", "error_class")
    table = bad.join(known, on="code", how="left", maintain_order="left")
    table = table.join(said, on="captures", how="left", nulls_equal=True, maintain_order="left")
    table = table.with_columns(remedy=remedies(table.select("rule", *_FACTS, model="named"), rules))
    is_access, is_client = pl.col("format") == "gin", pl.col("format").is_in(CLIENT_FORMATS)
    record = pl.when(pl.col("format") == "client-json").then("text").str
    status = (
        pl.when(is_access)
        .then("status")
        .otherwise(record.json_path_match("$.status_code").cast(pl.Int16, strict=False))
    )
    named = pl.col("named")
    surface = pl.when(is_access).then(pl.lit("access")).when(is_client).then(pl.lit("client"))
    model_source = pl.when(is_client).then(pl.lit("client")).when(named.is_not_null()).then(pl.lit("message"))
    endpoint = pl.when(is_access).then(_endpoint(pl.col("path")))
    return table.select(
        *_ERROR_COLUMNS,
        *_FACTS,
        "remedy",
        error_id="event_id",
        surface=surface.otherwise(pl.lit("server")),
        http_status=status,
        status_source=_status_source(is_access, status),
        model=pl.coalesce(record.json_path_match("$.model"), named),
        model_source=model_source,
        endpoint=endpoint.otherwise(record.json_path_match("$.endpoint")),
        message=pl.coalesce("inner", "message"),
        exception_type=record.json_path_match("$.error_type"),
        request_id=pl.when(is_access).then("event_id"),
    )


def remedies(table: pl.DataFrame, rules: Rulebook) -> pl.Series:
    """The remedy of the rule of each row, its facts put in; null where it has none or a fact is not known."""
    rows = table.with_row_index("row")
    parts = [pl.DataFrame(schema={"row": pl.UInt32, "remedy": pl.String})]
    for name in table.get_column("rule").unique().drop_nulls().sort():
        template = rules.by_id[name].remedy if name in rules.by_id else None
        if template:
            parts.append(rows.filter(pl.col("rule") == name).select("row", remedy=facts.fill(template)))
    return rows.join(pl.concat(parts), on="row", how="left", maintain_order="left").get_column("remedy")


def _status_source(is_access: pl.Expr, status: pl.Expr) -> pl.Expr:
    """Where a status was seen; -1 is what ollama-python shows for an error inside a stream."""
    name = pl.when(is_access).then(pl.lit("access_line")).when(status > 0).then(pl.lit("wire"))
    return name.when(status < 0).then(pl.lit("sentinel")).otherwise(pl.lit("none"))
