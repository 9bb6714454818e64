"""The HTTP status of a call, and where it comes from: the wire, an SDK, or a text."""

from __future__ import annotations

import polars as pl

from erranalytics.client.sdk_errors import LITELLM_SYNTHETIC, STATUS_SOURCES

# litellm gives a status of its own to errors that have none (litellm/exceptions.py@v1.60.0).
_SYNTHETIC = r"^litellm\."
# The status in the text of its exceptions for connections and deadlines did not come over the wire.
_MADE_UP = rf"litellm\.(?:{'|'.join(LITELLM_SYNTHETIC)}|InternalServerError: [^\n]*OllamaException)"
_STATUS_IN_TEXT = r"(?:\(status code: |Error code: |^|[Ss]tatus[ =:]{1,2})([45]\d\d)\b"
# The same in the wording of other clients: a status with its reason, Spring, ollama4j.
_STATUS_IN_WORDS = (
    r"(?:\b([45]\d\d) (?:Client Error|Server Error|Bad Request|Unauthorized|Payment Required|Forbidden|Not Found"
    r"|Method Not Allowed|Request Entity Too Large|Too Many Requests|Internal Server Error|Not Implemented|Bad Gateway"
    r"|Service Unavailable|Gateway Time-?[Oo]ut)\b)"
)
# Java exceptions print the status before their text. Only OpenAI's SDK names that of a stream that had started.
_STATUSES_OF_JAVA = (
    r"(?:\b[Ss]tatus code:? |Exception: (?:HTTP )?|\bcode=|: HTTP )([45]\d\d)\b",
    r"(?m)(?:^|: )([45]\d\d): ",
    r"SseException: (200): ",
)
_STATUS_BEFORE_TEXT = r"(?:\bError: |\b[Ff]ailed: |\banswered )([45]\d\d)(?::| [a-z{<])"
_STATUSES_IN_TEXT = (_STATUS_IN_TEXT, _STATUS_IN_WORDS, _STATUS_BEFORE_TEXT)
# A status that came over the wire, as httpx and curl print it, and as a field of the error of ollama-js.
_STATUS_ON_WIRE = (
    r'HTTP Request: .*"HTTP/\d(?:\.\d)? ([45]\d\d)\b',
    r"\[http ([1-5]\d\d)\]",
    r"^curl: \(22\) The requested URL returned error: ([45]\d\d)\b",
    r"(?m)^HTTP/\d(?:\.\d)? ([2-5]\d\d)\b",
    r'(?m)^ +"?status(?:_code|Code)?"?: ([1-5]\d\d),?$',
)


def with_status(table: pl.DataFrame) -> pl.DataFrame:
    """Complete ``http_status`` and ``status_source`` of calls from the error type and the error text.

    Args:
        table: ``schema.CALLS``, with the status as its record gives it.
    """
    status, message = pl.col("http_status"), pl.col("error_message")
    is_status = status.is_between(100, 599)
    in_text = message.str.extract(_STATUS_IN_TEXT).cast(pl.Int16, strict=False)
    is_made_up = is_status & pl.col("error_type").str.contains(_SYNTHETIC).fill_null(value=False)
    source = (
        pl.when(status < 0)
        .then(pl.lit("sentinel"))
        .when(is_made_up & in_text.ne_missing(status))
        .then(pl.lit("sdk_synthetic"))
        .when(is_status)
        .then(pl.lit("wire"))
        .when(in_text.is_not_null())
        .then(pl.lit("inferred"))
        .otherwise(pl.lit("none"))
    )
    given = pl.col("status_source")
    return table.with_columns(
        http_status=pl.when(is_status).then(status).when(status.is_null() | (status == 0)).then(in_text),
        status_source=pl.when(given.is_in(list(STATUS_SOURCES))).then(given).otherwise(source),
    )


def status_in_text(text: pl.Expr) -> pl.Expr:
    """The status that a client's text names and its source, as a struct of ``status`` and ``source``; null without one.

    >>> frame = pl.DataFrame({"t": ["ResponseError: gone (status code: -1)", "Error code: 503 - busy", "boom"]})
    >>> [tuple(row.values()) if row else None for row in frame.select(status_in_text(pl.col("t"))).to_series()]
    [(None, 'sentinel'), (503, 'inferred'), (None, None)]
    """
    wire = pl.coalesce(text.str.extract(pattern) for pattern in _STATUS_ON_WIRE).cast(pl.Int16, strict=False)
    printed = pl.coalesce(text.str.extract(pattern) for pattern in (*_STATUSES_IN_TEXT, *_STATUSES_OF_JAVA))
    status = pl.coalesce(wire, printed.cast(pl.Int16, strict=False))
    is_sentinel = text.str.contains("(status code: -1)", literal=True)
    source = (
        pl.when(is_sentinel)
        .then(pl.lit("sentinel"))
        .when(wire.is_not_null())
        .then(pl.lit("wire"))
        .when(status.is_not_null())
        .then(pl.when(text.str.contains(_MADE_UP)).then(pl.lit("sdk_synthetic")).otherwise(pl.lit("inferred")))
    )
    return pl.struct(status=pl.when(~is_sentinel).then(status), source=source)
