"""Turn classified events into rows of the tables ``events``, ``requests``, ``errors`` and ``calls``."""

from __future__ import annotations

import polars as pl

from erranalytics.calls.status import status_in_text
from erranalytics.classification import facts
from erranalytics.classification.remedies import remedies
from erranalytics.classification.rulebook import Rulebook
from erranalytics.ollama import routes
from erranalytics.ollama.routes import EMBED_PATHS, POLL_PATHS, PROGRESS_PATHS, STREAM_PATHS
from erranalytics.parsing.lineformats import FormatBook

PROBLEMS = ("warning", "error", "critical")


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


def request_rows(events: pl.DataFrame, formats: FormatBook) -> pl.DataFrame:
    """Access lines as rows of ``requests``; of a gateway, those for a route of Ollama.

    A 200 proves nothing for a route that streams (see ``docs/definitions.md``); other requests are then complete.
    """
    form = pl.col("format")
    access = events.filter(form.is_in(formats.names("access")))
    access = access.with_columns(surface=form.replace_strict(formats.owners, default=None, return_dtype=pl.String))
    path, status = pl.col("route"), pl.col("status")
    is_stream = path.is_in(STREAM_PATHS)
    failed = pl.when(is_stream).then(pl.lit("failed_before_first_byte")).otherwise(pl.lit("failed"))
    succeeded = (
        pl.when(is_stream | path.is_in(PROGRESS_PATHS)).then(pl.lit("not_observable")).otherwise(pl.lit("completed"))
    )
    outcome = pl.when(status == 499).then(pl.lit("cancelled_by_client")).when(status >= 400).then(failed)
    # There are few routes, so the columns that depend on them are computed once for each.
    kinds = access.select("surface", "method", "path", "status").unique()
    kinds = kinds.with_columns(route=_route()).with_columns(
        endpoint=routes.endpoint(path),
        outcome=outcome.otherwise(succeeded),
        is_poll=path.is_in(POLL_PATHS) & pl.col("method").is_in(["GET", "HEAD"]),
        is_inference=path.is_in([*STREAM_PATHS, *EMBED_PATHS]) & (pl.col("method") == "POST"),
    )
    keys = ["surface", "method", "path", "status"]
    # Requests for other paths of a web server are dropped.
    kinds = kinds.filter((pl.col("surface") == "ollama") | path.is_not_null())
    access = access.join(kinds, on=keys, how="inner", nulls_equal=True, maintain_order="left")
    return access.select(
        *("duration_us", "status", "method", "path", "endpoint", "client_address", "session_id", "event_id"),
        *("outcome", "is_poll", "is_inference", "surface"),
        _of_gateway("upstream"),
        _of_gateway("request_id").alias("upstream_request_id"),
        request_id="event_id",
        ts_start=pl.col("ts") - pl.duration(microseconds="duration_us"),
        ts_end="ts",
        code=pl.when(pl.col("severity") != "info").then("code"),
    )


def _route() -> pl.Expr:
    """The path that Ollama gets."""
    path = pl.col("path")
    return pl.when(pl.col("surface") == "gateway").then(routes.behind_gateway(path)).otherwise(path)


def _of_gateway(name: str) -> pl.Expr:
    """An attribute of a gateway's line; null for other lines."""
    attrs = pl.when(pl.col("surface") == "gateway").then("attrs")
    return attrs.str.json_path_match(f"$.{name}").alias(name)


_ERROR_COLUMNS = (
    *("ts", "code", "cause", "category", "severity", "layer", "phase", "side", "retry", "error_class", "fingerprint"),
    *("confidence", "rule", "event_id", "session_id", "source_id", "host", "captures", "wrapping"),
)
_FACTS = tuple(name for name in facts.schema() if name != "model")
# Facts that a client reads from the headers of an answer.
_HEADERS = (
    *("retry_after_s", "ratelimit_limit", "ratelimit_remaining", "ratelimit_reset"),
    *("maintenance_until", "upstream_request_id"),
)


def call_rows(calls: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Calls with ``event_id`` as rows of ``calls``, with the verdict of their event."""
    known = events.select("event_id", "source_id", "load_id", "host", "severity", "code", "cause")
    table = calls.join(known, on="event_id", how="left", maintain_order="left")
    is_problem = pl.col("severity").is_in(PROBLEMS).fill_null(value=False)
    is_inference = pl.col("endpoint").is_in([*STREAM_PATHS, *EMBED_PATHS]).fill_null(value=False)
    rows = table.with_columns(
        call_id=pl.col("event_id"),
        code=pl.when(is_problem).then("code"),
        cause=pl.when(is_problem).then("cause"),
        is_inference=is_inference,
    )
    return rows.drop("row", "severity")


def error_rows(
    events: pl.DataFrame, causes: pl.DataFrame, rules: Rulebook, calls: pl.DataFrame, *, formats: FormatBook
) -> pl.DataFrame:
    """Events that are problems as rows of ``errors``, with the facts in their text and those of the taxonomy.

    Args:
        events: numbered EVENTS with VERDICTS.
        causes: ``causes_frame``.
        rules: the rulebook that classified them.
        calls: the calls that they record, with ``event_id``, ``http_status``, ``status_source``, ``model``,
            ``endpoint`` and ``error_type``.
        formats: the line formats.
    """
    bad = events.filter(pl.col("severity").is_in(PROBLEMS))
    stated = bad.select("captures").unique()
    stated = stated.hstack(facts.columns(stated["captures"]).rename({"model": "named"}))
    taxonomy = causes.select("code", "category", "layer", "phase", "side", "retry", "error_class")
    table = bad.join(taxonomy, on="code", how="left", maintain_order="left")
    table = table.join(stated, on="captures", how="left", nulls_equal=True, maintain_order="left")
    table = table.join(_of_calls(calls), on="event_id", how="left", maintain_order="left")
    table = table.with_columns(remedy=remedies(table.select("rule", *_FACTS, model="named"), rules))
    form, named = pl.col("format"), pl.col("named")
    is_client, is_access = form.is_in(formats.client_formats), form.is_in(formats.names("access"))
    # Where an application wrote an error in words, only those may state its status.
    text_status = status_in_text(pl.when(is_client & pl.col("is_call").is_null()).then("text"))
    model_source = pl.when(is_client).then(pl.lit("client")).when(named.is_not_null()).then(pl.lit("message"))
    return table.select(
        *_ERROR_COLUMNS,
        *(pl.coalesce(name, f"call_{name}").alias(name) if name in _HEADERS else pl.col(name) for name in _FACTS),
        "remedy",
        error_id="event_id",
        surface=form.replace_strict(formats.surfaces, default="server", return_dtype=pl.String),
        http_status=pl.when(is_access)
        .then("status")
        .otherwise(pl.coalesce("call_status", text_status.struct.field("status"))),
        status_source=pl.when(is_access)
        .then(pl.lit("access_line"))
        .otherwise(pl.coalesce("status_source", text_status.struct.field("source"), pl.lit("none"))),
        model=pl.coalesce("call_model", named),
        model_source=model_source,
        endpoint=_endpoint(formats),
        message=pl.coalesce("inner", "message"),
        exception_type="exception_type",
        request_id=pl.when(is_access).then("event_id"),
        call_id=pl.when("is_call").then("event_id"),
    )


def _of_calls(calls: pl.DataFrame) -> pl.DataFrame:
    """The columns that ``error_rows`` needs of calls, with headers of the answer in the types of facts."""
    headers = calls.select(pl.col(name).cast(pl.String) for name in _HEADERS)
    numbers = pl.col("retry_after_s").cast(pl.Float64, strict=False).round().cast(pl.Int64).cast(pl.String)
    until = calls.select(pl.col("maintenance_until").cast(pl.Datetime("us", "UTC")).dt.to_string("%Y-%m-%dT%H:%M:%SZ"))
    headers = headers.with_columns(numbers, until.to_series())
    kinds = pl.Schema({name: facts.schema()[name] for name in _HEADERS})
    return calls.select(
        *("event_id", "status_source"),
        is_call=pl.lit(value=True),
        call_status="http_status",
        call_model="model",
        call_endpoint="endpoint",
        exception_type="error_type",
    ).hstack(headers.cast(kinds).rename({name: f"call_{name}" for name in _HEADERS}))


def _endpoint(formats: FormatBook) -> pl.Expr:
    """The route of a problem: from its access line, from the request that a line of nginx names, or from its call."""
    form, path = pl.col("format"), pl.col("path")
    is_gateway = form.is_in(formats.owned_by("gateway"))
    return (
        pl.when(form.is_in(formats.names("access")))
        .then(routes.endpoint(pl.when(is_gateway).then(routes.behind_gateway(path)).otherwise(path)))
        .when(form.is_in(formats.names("routed")) & pl.col("component").is_not_null())
        .then(routes.endpoint(pl.col("component")))
        .otherwise("call_endpoint")
    )
