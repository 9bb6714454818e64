"""Records of calls in JSON: from the text of an event to one row per call, whatever shape it came in."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from erranalytics import schema
from erranalytics.calls import mapping as mappings
from erranalytics.calls.mapping import Mapping
from erranalytics.clocks import timestamps

STREAM_OUTCOMES = ("completed", "failed_before_first_byte", "failed_mid_stream", "truncated", "cancelled_by_client")
OUTCOMES = (*STREAM_OUTCOMES, "failed", "not_observable")
STATUS_SOURCES = ("wire", "sdk_synthetic", "sentinel", "inferred", "none")
# Routes whose answer says in its body whether it is complete (docs/api.md@v0.24.0).
NATIVE = ("/api/generate", "/api/chat")
CUT = (
    "connection_reset",
    "connection_failed",
    "network_error",
    "stream_truncated",
    "stream_missing_done",
    "stream_empty",
)
_TEXT_CHARS = 4_000
_URL_HOST = r"^(?:[a-z]+://)?(?:[^@/]*@)?([^/?#\s]+)"
_URL_PATH = r"^[a-z]+://[^/]+(/[^?#\s]*)"
# The program ended it itself: asyncio, the DOM, Go.
_ABORTED = r"(?i)AbortError|CancelledError|operation was aborted|context canceled|KeyboardInterrupt|GeneratorExit"
# litellm gives what has no status one of its own (litellm/exceptions.py@v1.60.0).
_SYNTHETIC = r"^litellm\."
# What its exceptions for connections and deadlines print as a status came over no wire.
_MADE_UP = r"litellm\.(?:APIConnectionError|Timeout|MidStreamFallbackError|InternalServerError: [^\n]*OllamaException)"
_STATUS_IN_TEXT = r"(?:\(status code: |Error code: |^|[Ss]tatus[ =:]{1,2})([45]\d\d)\b"
# The same in the words of further clients: a status with its reason, Spring, ollama4j.
_STATUS_IN_WORDS = (
    r"(?:\b([45]\d\d) (?:Client Error|Server Error|Bad Request|Unauthorized|Payment Required|Forbidden|Not Found"
    r"|Method Not Allowed|Request Entity Too Large|Too Many Requests|Internal Server Error|Not Implemented|Bad Gateway"
    r"|Service Unavailable|Gateway Time-?[Oo]ut)\b)"
)
# Exceptions of Java print it before their text; that of a stream that had started is told by the SDK of OpenAI alone.
_STATUSES_OF_JAVA = (
    r"(?:\b[Ss]tatus code:? |Exception: (?:HTTP )?|\bcode=|: HTTP )([45]\d\d)\b",
    r"(?m)(?:^|: )([45]\d\d): ",
    r"SseException: (200): ",
)
_STATUS_BEFORE_TEXT = r"(?:\bError: |\b[Ff]ailed: |\banswered )([45]\d\d)(?::| [a-z{<])"
_STATUSES_IN_TEXT = (_STATUS_IN_TEXT, _STATUS_IN_WORDS, _STATUS_BEFORE_TEXT)
# What came over the wire, as those print it who saw it: httpx, curl, and the field of the error of ollama-js.
_STATUS_ON_WIRE = (
    r'HTTP Request: .*"HTTP/\d(?:\.\d)? ([45]\d\d)\b',
    r"\[http ([1-5]\d\d)\]",
    r"^curl: \(22\) The requested URL returned error: ([45]\d\d)\b",
    r"(?m)^HTTP/\d(?:\.\d)? ([2-5]\d\d)\b",
    r'(?m)^ +"?status(?:_code|Code)?"?: ([1-5]\d\d),?$',
)


def read(texts: pl.Series) -> pl.DataFrame:
    """The calls that stand in JSON texts.

    Args:
        texts: one JSON object each; nulls and texts of no known shape give nothing.

    Returns:
        ``row`` (number of the text), ``mapping`` (name of its shape), ``fault`` (why it is no call of that shape, in
        our own form only) and the columns of ``schema.CALLS``, of the texts that have a shape.
    """
    left = texts.rename("text").to_frame().with_row_index("row")
    parts = [pl.DataFrame(schema={"row": pl.UInt32, "mapping": pl.String, "fault": pl.String, **schema.CALLS})]
    for mapping in mappings.load():
        held = left.select(
            pl.all_horizontal(pl.col("text").str.contains(word, literal=True) for word in mapping.needs)
        ).to_series()
        found = left.filter(held.fill_null(value=False))
        if not found.is_empty():
            parts.append(_mapped(found, mapping))
            left = left.filter(~held.fill_null(value=False))
    return pl.concat(parts).sort("row")


def _mapped(found: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    raw = found.select(
        "row",
        "text",
        *(
            pl.coalesce(pl.col("text").str.json_path_match(path) for path in paths).alias(name)
            for name, paths in mapping.fields.items()
        ),
    )
    missing = [pl.lit(None, dtype=pl.String).alias(name) for name in schema.CALLS if name not in mapping.fields]
    raw = raw.with_columns(missing)
    typed = raw.select("row", *(_typed(name).alias(name) for name in schema.CALLS))
    fault = _fault(raw, typed, mapping) if mapping.version else pl.lit(None, dtype=pl.String)
    table = typed.with_columns(mapping=pl.lit(mapping.name), fault=fault)
    table = _with_status(_with_times(_with_url(table)))
    return table.select("row", "mapping", "fault", *schema.CALLS)


def _typed(name: str) -> pl.Expr:
    kind, text = schema.CALLS[name], pl.col(name)
    if kind == schema.UTC_US:
        return timestamps.moment(text)
    if kind == pl.Boolean():
        return text.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    if kind == pl.String():
        return text.str.head(_TEXT_CHARS)
    number = text.cast(pl.Float64, strict=False)
    number = pl.when(number.is_finite()).then(number)
    return number.cast(kind, strict=False)


def _with_url(table: pl.DataFrame) -> pl.DataFrame:
    host = pl.col("url_host")
    return table.with_columns(
        endpoint=pl.coalesce("endpoint", host.str.extract(_URL_PATH)).str.replace(r"(.)/$", "${1}"),
        url_host=host.str.extract(_URL_HOST),
        method=pl.col("method").str.to_uppercase(),
    )


def _with_times(table: pl.DataFrame) -> pl.DataFrame:
    """What two of start, end and duration tell of the third."""
    start, end, took = pl.col("ts_start"), pl.col("ts_end"), pl.col("duration_ms")
    length = pl.duration(microseconds=(took * 1_000).round().cast(pl.Int64, strict=False), time_unit="us")
    return table.with_columns(
        ts_start=pl.coalesce(start, end - length),
        ts_end=pl.coalesce(end, start + length),
        duration_ms=pl.coalesce(took, (end - start).dt.total_microseconds() / 1_000),
    )


def _with_status(table: pl.DataFrame) -> pl.DataFrame:
    """Statuses that came over the wire, were made up by an SDK, or stand in a text."""
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
        status_source=pl.when(given.is_in(STATUS_SOURCES)).then(given).otherwise(source),
    )


def status_told(text: pl.Expr) -> pl.Expr:
    """The status a text of a client tells and its source, as a struct of ``status`` and ``source``; null when none.

    >>> frame = pl.DataFrame({"t": ["ResponseError: gone (status code: -1)", "Error code: 503 - busy", "boom"]})
    >>> [tuple(one.values()) if one else None for one in frame.select(status_told(pl.col("t"))).to_series()]
    [(None, 'sentinel'), (503, 'inferred'), (None, None)]
    """
    wire = pl.coalesce(text.str.extract(pattern) for pattern in _STATUS_ON_WIRE).cast(pl.Int16, strict=False)
    said = pl.coalesce(text.str.extract(one) for one in (*_STATUSES_IN_TEXT, *_STATUSES_OF_JAVA))
    status = pl.coalesce(wire, said.cast(pl.Int16, strict=False))
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


def _fault(raw: pl.DataFrame, typed: pl.DataFrame, mapping: Mapping) -> pl.Series:
    """Why a record of our own form is none: the first reason, null when it is one."""
    assert mapping.version is not None
    texts = raw.get_column("text")
    version = texts.str.json_path_match(mapping.version.path)
    reasons = [
        pl.when(texts.str.json_path_match("$").is_null()).then(pl.lit("bad-json")),
        pl.when(~version.is_in(mapping.version.known) | version.is_null()).then(pl.lit("unknown-version")),
    ]
    for name in mapping.fields:
        wrong = raw[name].is_not_null() & typed[name].is_null()
        # A text where a number belongs, and the reverse, are read by the lenient engine; this form is strict.
        is_text = schema.CALLS[name] in {pl.String(), schema.UTC_US}
        other = r'[^"n\s{]' if is_text else r'["\[{]'
        wrong = wrong | texts.str.contains(rf'[{{,]\s*"{name}"\s*:\s*{other}')
        reasons.append(pl.when(wrong).then(pl.lit(f"bad-field: {name}")))
        twice = texts.str.count_matches(rf'[{{,]\s*"{name}"\s*:') > 1
        reasons.append(pl.when(twice).then(pl.lit(f"duplicate-key: {name}")))
    for name, known in (("outcome", OUTCOMES), ("status_source", STATUS_SOURCES)):
        wrong = typed[name].is_not_null() & ~typed[name].is_in(known)
        reasons.append(pl.when(wrong).then(pl.lit(f"bad-field: {name}")))
    reasons.extend(
        pl.when(raw[name].is_null()).then(pl.lit(f"missing-field: {name}")) for name in ("ts_start", "outcome")
    )
    return pl.select(pl.coalesce(reasons)).to_series()


def decide(calls: pl.DataFrame) -> pl.DataFrame:
    """Fill in the outcome of calls whose record does not tell it.

    Args:
        calls: ``schema.CALLS`` with ``cause`` and ``category``, what their error was found to be.

    Returns:
        The same rows with ``outcome`` and ``stream``.
    """
    status, done = pl.col("http_status"), pl.col("done_seen")
    is_stream = pl.col("stream").fill_null(value=False)
    is_ok = status.is_between(200, 299).fill_null(value=False)
    some = (pl.col("chunk_count") > 0).fill_null(value=False) | (is_ok & pl.col("chunk_count").is_null())
    has_error = pl.coalesce("error_type", "error_message").is_not_null()
    is_sentinel = pl.col("status_source") == "sentinel"
    said = pl.concat_str("error_type", pl.lit(" "), "error_message", ignore_nulls=True)
    is_aborted = said.str.contains(_ABORTED).fill_null(value=False)
    has_left = is_aborted | (pl.col("category") == "cancelled").fill_null(value=False)
    # Behind the first piece a connection can only be cut; that something was unreachable is what the server says then.
    is_cut = pl.col("cause").is_in(CUT).fill_null(value=False)
    stream = (
        pl.when(done.fill_null(value=False) & ~has_error)
        .then(pl.lit("completed"))
        .when(~some & ~is_sentinel)
        .then(pl.when(is_ok & ~has_error).then(pl.lit("truncated")).otherwise(pl.lit("failed_before_first_byte")))
        .when(has_error & has_left)
        .then(pl.lit("cancelled_by_client"))
        .when(has_error & is_cut & ~is_sentinel)
        .then(pl.lit("truncated"))
        .when(has_error)
        .then(pl.lit("failed_mid_stream"))
        .when(done.is_null())
        .then(pl.lit("not_observable"))
        .otherwise(pl.lit("truncated"))
    )
    half = pl.col("endpoint").is_in(NATIVE).fill_null(value=False) & done.eq(other=False).fill_null(value=False)
    whole = (
        pl.when(is_aborted)
        .then(pl.lit("cancelled_by_client"))
        .when(has_error | (status >= 400).fill_null(value=False) | (is_ok & half))
        .then(pl.lit("failed"))
        .when(is_ok)
        .then(pl.lit("completed"))
        .otherwise(pl.lit("not_observable"))
    )
    decided = pl.when(is_stream).then(stream).otherwise(whole)
    return calls.with_columns(outcome=pl.coalesce("outcome", decided))


def conclude(calls: pl.DataFrame) -> pl.DataFrame:
    """The cause of calls that failed although no rule knows a text of theirs: ``slug`` and ``said``, null for others.

    Args:
        calls: ``decide``'s result, with ``is_problem``: whether a rule found one.
    """
    outcome, status = pl.col("outcome"), pl.col("http_status")
    has_error = pl.coalesce("error_type", "error_message").is_not_null()
    half = (pl.col("done_seen").eq(other=False) & status.is_between(200, 299) & ~has_error).fill_null(value=False)
    slug = (
        pl.when(pl.col("is_problem") | outcome.is_in(["completed", "not_observable"]))
        .then(None)
        .when(outcome == "cancelled_by_client")
        .then(pl.lit("client_cancelled"))
        .when((outcome == "truncated") | half)
        .then(pl.lit("stream_missing_done"))
        .when(outcome == "failed_mid_stream")
        .then(pl.lit("stream_error_object"))
        .when(status >= 400)
        .then(pl.concat_str(pl.lit("http_"), status.cast(pl.String)))
        .when(pl.col("error_message").is_null())
        .then(pl.lit("empty_error"))
        .otherwise(pl.lit("unknown"))
    )
    pieces = pl.format("after {} pieces", pl.col("chunk_count").fill_null(0))
    said = pl.coalesce("error_message", pl.concat_str(outcome, pl.lit(" "), pieces))
    return calls.with_columns(slug=slug, said=pl.when(slug.is_not_null()).then(said))


def broken(texts: pl.Series) -> pl.Series:
    """Which texts are objects of a call that were cut or damaged: no JSON, and words of a known shape in them."""
    needs = sorted({word for mapping in mappings.load() for word in mapping.needs})
    is_object = texts.str.starts_with('{"') & texts.str.contains_any(needs)
    return (is_object & texts.str.json_path_match("$").is_null()).fill_null(value=False)


def check() -> Iterator[str]:
    """Samples that give something else than they claim, as ``mappings/NAME.toml: sentence``."""
    for mapping in mappings.read():
        for sample in mapping.sample:
            calls = read(pl.Series([sample.line]))
            place = f"mappings/{mapping.name}.toml"
            if calls.is_empty() or calls["mapping"].item() != mapping.name:
                yield f"{place}: the sample is read as {calls['mapping'].to_list()}: {sample.line}"
                continue
            if fault := calls["fault"].item():
                yield f"{place}: the sample is a reject, {fault}: {sample.line}"
            row = decide(calls.with_columns(cause=pl.lit(None, pl.String), category=pl.lit(None, pl.String))).row(
                0, named=True
            )
            for name, value in sample.expect.items():
                found = row[name].isoformat().replace("+00:00", "Z") if name.startswith("ts_") else row[name]
                if found != value:
                    yield f"{place}: the sample gives {name} {found!r} and not {value!r}"
