"""Recognise the format of each line, once per distinct body, and split records that share a physical line."""

from __future__ import annotations

import polars as pl

from erranalytics.parsing import otlp
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook, FormatCache
from erranalytics.text.literals import may_hold

_OLLAMA_UNIT = r"(?i)ollama|llama"
# A record after text without a line end: loader dots, progress bars, driver messages.
_GLUED = r'^([^"]*[^"\s])((?:time=\d{4}-\d\d-\d\dT\S+ level=|\[GIN\] \d{4}/).*)$'
# What curl prints after a body without a line end, or after its progress.
_GLUED_CURL = (
    r"^(.*(?:\}|[0-9kMG])|\{\"?\w{0,20})"
    r"(\*   Trying \S+:\d+\.\.\.|curl: \(\d+\) .*|  % Total +% Received .*|HTTP/\d(?:\.\d)? \d{3}(?: [A-Z].*)?)$"
)
_CURL_STARTS = ("*   Trying ", "curl: (", "  % Total ", "}HTTP/")


def split_glued(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Split records that share a physical line into several BODIES; loader dots before a record are dropped.

    Three kinds of lines are split: a log line after other text, a message of curl after a body, and a batch of OTLP.
    """
    # > .....time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg=ready
    #   gives one body, from "time=" on
    # > {"error":"model not found"}curl: (22) The requested URL returned error: 404
    #   gives two bodies: {"error":"model not found"} and "curl: (22) The requested URL returned error: 404"
    body = pl.col("body")
    parts = bodies.with_row_index("place")
    batches = parts.filter(otlp.is_envelope(body))
    if not batches.is_empty():
        parts = pl.concat([parts.filter(~otlp.is_envelope(body)), otlp.unfold(batches)])
        parts = parts.sort("place", maintain_order=True).with_columns(
            place=pl.int_range(pl.len(), dtype=pl.get_index_type())
        )
    # A line that is recognised by its first bytes is one record. Of the other lines, equal ones are checked once.
    is_hot = _is_hot(body, book)
    cold = parts.filter(~is_hot).select(_trimmed(body)).unique()
    glued = cold.filter(_is_glued(body, book))["body"].implode()
    parts = parts.with_columns(is_glued=~is_hot & _trimmed(body).is_in(glued))
    glues = (_GLUED, _GLUED_CURL)
    halves = [pl.coalesce(_trimmed(body).str.extract(pattern, half) for pattern in glues) for half in (1, 2)]
    inner = parts.filter("is_glued").with_columns(halves[1])
    outer = parts.with_columns(pl.when("is_glued").then(halves[0]).otherwise(body).alias("body"))
    outer = outer.filter(~(pl.col("is_glued") & pl.col("body").str.contains(r"^\.+$")))
    return pl.concat([outer, inner]).sort("place", maintain_order=True).select(bodies.columns)


def _trimmed(body: pl.Expr) -> pl.Expr:
    """The text by which the format of a body is recognised: without blanks at its end."""
    return body.fill_null("").str.strip_chars_end()


def _is_hot(body: pl.Expr, book: FormatBook) -> pl.Expr:
    """Whether the first bytes alone decide the format."""
    return pl.any_horizontal(body.str.starts_with(start) for start in book.prefixes.values()).fill_null(value=False)


def _is_glued(body: pl.Expr, book: FormatBook) -> pl.Expr:
    """Whether a body that is not hot holds a record after other text."""
    has_line = body.str.contains_any(list(book.prefixes.values())) & body.str.contains(_GLUED)
    return has_line | (body.str.contains_any(_CURL_STARTS) & body.str.contains(_GLUED_CURL))


def _is_batch(body: pl.Expr) -> pl.Expr:
    """Whether a body is a valid batch of OTLP; a damaged one is not split."""
    return otlp.is_envelope(body) & body.str.json_path_match("$").is_not_null()


def recognise(bodies: pl.DataFrame, *, book: FormatBook, cache: FormatCache | None = None) -> pl.DataFrame | None:
    """Add ``format``, ``noise`` (the key of a run of noise, else null) and ``shape`` to BODIES.

    ``shape`` is ``blank``, ``indented``, ``meta`` (after an access line), ``closing`` (of a GPU error block) or null.

    Returns:
        The rows, or None if some lines hold several records: call ``split_glued`` first.
    """
    # Nearly every line is hot: its first bytes decide. The patterns of all other formats run on distinct bodies.
    # > time=2026-03-01T11:04:05.416Z level=INFO ...    slog-text, hot
    # > [GIN] 2026/03/01 - 11:04:05 | 200 | ...         gin, hot
    # > llama_model_loader: - kv   0: ...               llama-cpp, noise
    # >     Meta: x                                     unknown, shape meta
    body, hot = pl.col("body"), pl.lit(None, dtype=pl.String)
    for name, start in book.prefixes.items():
        hot = pl.when(body.str.starts_with(start)).then(pl.lit(name)).otherwise(hot)
    table = bodies.with_columns(format=hot)
    is_cold = pl.col("format").is_null()
    if not table["format"].null_count():
        return table.with_columns(noise=pl.lit(None, dtype=pl.String), shape=pl.lit(None, dtype=pl.String))
    cold = table.filter(is_cold).select(_trimmed(body), "unit")
    distinct = cold.unique() if cold.height > 1 else cold
    # Every line with several records contains one of these texts.
    of_many = (*book.prefixes.values(), *_CURL_STARTS, *otlp.STARTS)
    if may_hold(distinct["body"], of_many) and distinct.select((_is_glued(body, book) | _is_batch(body)).any()).item():
        return None
    found = _recognise_cold(distinct, book=book, cache=cache)
    if cold.height > 1:
        found = cold.join(found, on=["body", "unit"], how="left", nulls_equal=True, maintain_order="left")
    if cold.height == table.height:
        return table.with_columns(found.select("body", "format", "noise", "shape"))
    cold = found
    # The results go back to their rows by position, which costs a fraction of a join.
    place = table.select((is_cold.cum_sum().cast(pl.Int64) - 1).clip(0)).to_series()
    picked = {
        name: pl.when(is_cold).then(pl.lit(cold[source].gather(place)))
        for name, source in {"body": "body", "format": "format", "noise": "noise", "shape": "shape"}.items()
    }
    return table.with_columns(
        body=pl.coalesce(picked["body"], "body"),
        format=pl.coalesce("format", picked["format"]),
        noise=picked["noise"],
        shape=picked["shape"],
    )


def _recognise_cold(distinct: pl.DataFrame, *, book: FormatBook, cache: FormatCache | None) -> pl.DataFrame:
    """Format, noise key and shape of each distinct body."""
    found = book.recognise(distinct, cache)
    body, form = pl.col("body"), pl.col("format")
    if found["unit"].null_count() < found.height:
        is_strange = ~pl.col("unit").str.contains(_OLLAMA_UNIT) & ~form.is_in(book.names("every_unit"))
        found = found.with_columns(format=pl.when(is_strange).then(pl.lit(book.stranger_format)).otherwise("format"))
    shape = (
        pl.when(body == "")
        .then(pl.lit("blank"))
        .when(body.str.starts_with(" ") & body.str.strip_chars_start(" ").str.starts_with("Meta:"))
        .then(pl.lit("meta"))
        .when((body.str.starts_with(" ") | body.str.starts_with("\t")) & form.is_in([UNKNOWN, book.stranger_format]))
        .then(pl.lit("indented"))
    )
    if found["format"].is_in(book.names("closes")).any():
        shape = shape.when(book.is_closing(body, form)).then(pl.lit("closing"))
    return found.select("unit", "format", "body", noise=pl.when("is_noise").then("format"), shape=shape)
