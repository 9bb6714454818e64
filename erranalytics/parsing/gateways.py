"""Lines of gateways in front of Ollama: access and error lines of web servers, logs of one-api, new-api and LiteLLM.

Only lines about a route of Ollama get a text for the rules; other traffic of a web server is ignored.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from erranalytics import redaction
from erranalytics.clocks import timestamps
from erranalytics.ollama import routes
from erranalytics.parsing.lineformats import UNKNOWN, LineFormat
from erranalytics.text.json_objects import with_fields

OLLAMA_PORT = ":11434"

_LOG_TIME, _GIN_TIME, _GO_TIME = "%d/%b/%Y:%H:%M:%S %z", "%Y/%m/%d - %H:%M:%S", "%Y/%m/%d %H:%M:%S"
# Fields that custom forms add to the combined form, by the usual names of nginx's variables and their short forms. The
# ingress controller of Kubernetes has a fixed order without names.
_SECONDS = r'(?i)[\s",](?:rt|request_time|req_time|reqtime|duration)[=:]\s?"?([0-9]+\.[0-9]+)'
_BARE_SECONDS = r'^.*" (?:[0-9]+ )?([0-9]+\.[0-9]{3})(?: |$)'
_UPSTREAM = r'(?i)[\s",](?:upstream|upstream_addr|ua|us|backend|to)[=:]\s?"?((?:[\w.-]+|\[[0-9a-f:]+\]):[0-9]{2,5})\b'
_INGRESS = r"\] \[[^\]]*\] (?P<upstream>\S+) (?:\S+ ){2}\S+ (?P<request_id>[0-9a-f]{32})$"
_REQUEST_ID = r'(?i)[\s",](?:request_id|req_id|reqid|rid|x-request-id)[=:]\s?"?([\w-]{6,})'
_HEADER = r'(?i)[\w-]*(?:retry[-_]after|ratelimit[-_]\w+|maintenance[-_]until)[=:]\s?"?[^\s",]+'
_LEVELS = {"ERR": "ERROR", "SYS": "INFO", "WARNING": "WARN", "CRIT": "CRITICAL", "EMERG": "FATAL", "ALERT": "CRITICAL"}
_JSON_STAMPS = ("time", "time_iso8601", "timestamp", "ts", "msec")
_REQUEST = r"^(?P<method>[A-Z]+) (?P<path>[^ ?]*)"


def parse(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Add typed columns to rows ``row, format, body, rest`` of a format that one of the ``READERS`` reads.

    Besides the columns of EVENTS these are ``own_utc``, ``own_naive`` and ``zone_s``. A line that has the shape of the
    format but cannot be read is ``unknown``.
    """
    table = READERS[form.reader or ""](frame, form)
    attrs = pl.struct(_column(table, name) for name in _ATTRS).struct.json_encode()
    table = table.with_columns(attrs=with_fields(attrs))
    table = table.with_columns(redaction.mask_secrets(table["attrs"]))
    table = table.with_columns(message=access_message()) if form.access else table
    text = access_text() if form.access else fault_text(is_routed=form.routed)
    is_bad = pl.all_horizontal(pl.col(name).is_null() for name in ("own_utc", "own_naive") if name in table.columns)
    return table.with_columns(
        format=pl.when(is_bad).then(pl.lit(UNKNOWN)).otherwise("format"),
        message=pl.when(is_bad).then("body").otherwise("message"),
        text=pl.when(is_bad).then("body").otherwise(text),
    )


_ATTRS = ("request", "client", "connection", "upstream", "request_id", "headers", "user_agent")


def _column(table: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in table.columns else pl.lit(None, dtype=pl.String).alias(name)


def access_message() -> pl.Expr:
    """``METHOD PATH STATUS``: a different order than in Ollama's own lines, so that their templates differ."""
    return pl.concat_str("method", "path", pl.col("status").cast(pl.String), separator=" ", ignore_nulls=True)


def access_text() -> pl.Expr:
    """The text of a gateway's access line for the rules, from ``status``, ``method``, ``path`` and ``attrs``.

    >>> line = {"status": 504, "method": "POST", "path": "/llm/api/chat", "attrs": '{"headers":"retry_after=9"}'}
    >>> pl.DataFrame([line]).select(access_text()).item()
    '[gateway] | 504 | POST "/api/chat"; retry_after=9'
    """
    line = pl.format('[gateway] | {} | {} "{}"', "status", "method", routes.behind_gateway(pl.col("path")))
    return pl.concat_str(line, pl.lit("; ") + _attr("headers").fill_null(""), separator="").str.strip_suffix("; ")


def fault_text(*, is_routed: bool) -> pl.Expr:
    """The text of a gateway's other lines for the rules, from ``message`` and ``attrs``.

    A web server has other faults too, so a line that ``is_routed`` counts only if it names a route or the port of
    Ollama.
    """
    upstream = _attr("upstream")
    text = pl.concat_str(pl.col("message"), pl.lit(", upstream: ") + upstream, ignore_nulls=True)
    if not is_routed:
        return text
    return pl.when(fault_path().is_not_null() | upstream.str.contains(OLLAMA_PORT, literal=True)).then(text)


def fault_path() -> pl.Expr:
    """The path, as Ollama gets it, of the request in a line of nginx, from ``attrs``."""
    return routes.behind_gateway(_attr("request").str.extract(_REQUEST, 2))


def _attr(name: str) -> pl.Expr:
    return pl.col("attrs").str.json_path_match(f"$.{name}")


def _read_access(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Read the common form, with any fields after it."""
    table = frame.with_columns(pl.col("body").str.extract_groups(form.pattern).alias("part")).unnest("part")
    tail = pl.col("tail")
    ingress = tail.str.extract_groups(_INGRESS).struct
    seconds = pl.coalesce(tail.str.extract(_SECONDS, 1), tail.str.extract(_BARE_SECONDS, 1))
    return table.with_columns(
        _own(pl.col("logtime").str.to_datetime(_LOG_TIME, time_unit="us", strict=False)),
        zone_s=_zone(pl.col("logtime").str.slice(-5)),
        status=pl.col("status").cast(pl.Int16, strict=False),
        duration_us=_microseconds(seconds),
        client_address="client",
        upstream=pl.coalesce(tail.str.extract(_UPSTREAM, 1), ingress.field("upstream")).replace("-", None),
        request_id=pl.coalesce(tail.str.extract(_REQUEST_ID, 1), ingress.field("request_id")),
        headers=_headers(tail),
        user_agent=tail.str.extract(r'^ "[^"]*" "([^"]{2,})"', 1),
    ).drop("client")


def _read_json(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Read an object of nginx or Caddy; its fields have the names of their variables."""
    del form
    body = pl.col("body")

    def first(*names: str) -> pl.Expr:
        return pl.coalesce(body.str.json_path_match(f"$.{name}") for name in names)

    uri = first("request.uri", "request_uri", "uri", "path").str.extract(r"^([^ ?]*)", 1)
    line = first("request").str.extract_groups(_REQUEST).struct
    stamp = first(*_JSON_STAMPS, "['@timestamp']")
    is_number = stamp.str.contains(r"^\d{10}(?:\.\d+)?$")
    local = first("time_local", "time").str.to_datetime(_LOG_TIME, time_unit="us", strict=False)
    seconds = first("request_time", "duration")
    return frame.with_columns(
        own_utc=pl.coalesce(
            timestamps.unix(pl.when(is_number).then(stamp)),
            timestamps.any_rfc3339(pl.when(~is_number).then(stamp)),
            local.dt.convert_time_zone("UTC"),
        ),
        zone_s=pl.lit(None, dtype=pl.Int32),
        own_naive=pl.lit(None, dtype=pl.Datetime("us")),
        level=first("level").str.to_uppercase(),
        status=first("status").cast(pl.Int16, strict=False),
        duration_us=_microseconds(seconds),
        client_address=first("request.client_ip", "request.remote_ip", "remote_addr", "client_ip", "remote_ip"),
        method=pl.coalesce(first("request.method", "request_method", "method"), line.field("method")),
        path=pl.coalesce(uri, line.field("path")),
        upstream=first("upstream_addr", "upstream"),
        request_id=first("request_id", "req_id", "trace_id"),
        headers=_headers(body.str.replace_all('": ?"?', "=")),
        user_agent=first("http_user_agent", "user_agent"),
    )


def _read_gin(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Read GIN lines of one-api and new-api."""
    table = frame.with_columns(pl.col("body").str.extract_groups(form.pattern).alias("part")).unnest("part")
    return table.with_columns(
        own_naive=timestamps.naive(pl.col("time"), _GIN_TIME),
        status=pl.col("status").cast(pl.Int16, strict=False),
        duration_us=timestamps.go_duration_us(*(pl.col(name) for name in ("hours", "minutes", "number", "unit"))),
        client_address="client",
    ).drop("client", "unit")


def _read_fault(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Read nginx's error log: a message, then ``, client: …, server: …, request: "…", upstream: "…", host: "…"``."""
    table = frame.with_columns(pl.col("body").str.extract_groups(form.pattern).alias("part")).unnest("part")
    tail = pl.col("tail")
    request = tail.str.extract(r', request: "([^"]*)"', 1)
    upstream = tail.str.extract(r', upstream: "([^"]*)"', 1)
    table = table.with_columns(
        own_naive=timestamps.naive(pl.col("gotime"), _GO_TIME),
        level=_level(),
        client=tail.str.extract(r", client: ([^,\s]+)", 1),
        # The query of a URL may contain a key.
        request=request.str.replace(r"\?\S*", ""),
        upstream=upstream.str.replace(r"\?.*$", ""),
    )
    return table.with_columns(component=routes.behind_gateway(pl.col("request").str.extract(_REQUEST, 2)))


def _read_log(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Read lines of one-api and new-api about a request."""
    table = frame.with_columns(pl.col("body").str.extract_groups(form.pattern).alias("part")).unnest("part")
    table = table.with_columns(redaction.mask_secrets(table["message"]))
    return table.with_columns(own_naive=timestamps.naive(pl.col("time"), _GIN_TIME), level=_level())


def _level() -> pl.Expr:
    upper = pl.col("level").str.to_uppercase()
    return upper.replace(_LEVELS)


def _own(moment: pl.Expr) -> pl.Expr:
    return moment.dt.convert_time_zone("UTC").alias("own_utc")


def _zone(text: pl.Expr) -> pl.Expr:
    """``+0530`` in seconds east."""
    sign = pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    hours, minutes = (text.str.slice(at, 2).cast(pl.Int32, strict=False) for at in (1, 3))
    return (sign * (hours * 3600 + minutes * 60)).cast(pl.Int32)


def _microseconds(seconds: pl.Expr) -> pl.Expr:
    return timestamps.seconds_us(seconds)


def _headers(text: pl.Expr) -> pl.Expr:
    """The limits that a response sets for the client, if the log holds them: ``retry_after=30; …``."""
    headers = text.str.extract_all(_HEADER).list.eval(pl.element().filter(~pl.element().str.ends_with("-")))
    return pl.when(headers.list.len() > 0).then(headers.list.join("; ").str.replace_all('"', ""))


READERS: dict[str, Callable[[pl.DataFrame, LineFormat], pl.DataFrame]] = {
    "combined": _read_access,
    "access-object": _read_json,
    "gin-relay": _read_gin,
    "web-fault": _read_fault,
    "relay": _read_log,
}
