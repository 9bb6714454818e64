"""Which format a line has: each distinct body is looked at once; lines that were glued together are split first."""

from __future__ import annotations

import polars as pl

from erranalytics.parsing import otlp
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook, Met
from erranalytics.text.literals import may_hold

_OLLAMA_UNIT = r"(?i)ollama|llama"
# A line that was printed behind text without a line end: loader dots, progress bars, driver messages.
_GLUED = r'^([^"]*[^"\s])((?:time=\d{4}-\d\d-\d\dT\S+ level=|\[GIN\] \d{4}/).*)$'
# What curl prints behind a body without a line end, or behind its progress.
_GLUED_CURL = (
    r"^(.*(?:\}|[0-9kMG])|\{\"?\w{0,20})"
    r"(\*   Trying \S+:\d+\.\.\.|curl: \(\d+\) .*|  % Total +% Received .*|HTTP/\d(?:\.\d)? \d{3}(?: [A-Z].*)?)$"
)
_OF_CURL = ("*   Trying ", "curl: (", "  % Total ", "}HTTP/")


def split_glued(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Several BODIES where records share a physical line; loader dots alone are dropped.

    A log line stands behind other text, curl behind a body, or the line is a batch of OTLP.
    """
    body = pl.col("body")
    parts = bodies.with_row_index("place")
    batches = parts.filter(otlp.is_envelope(body))
    if not batches.is_empty():
        parts = pl.concat([parts.filter(~otlp.is_envelope(body)), otlp.unfold(batches)])
        parts = parts.sort("place", maintain_order=True).with_columns(
            place=pl.int_range(pl.len(), dtype=pl.get_index_type())
        )
    # The lines that are told by their first bytes are whole; of the others equal ones are looked at once.
    is_hot = _is_hot(body, book)
    cold = parts.filter(~is_hot).select(_whole(body)).unique()
    glued = cold.filter(_is_glued(body, book))["body"].implode()
    parts = parts.with_columns(is_glued=~is_hot & _whole(body).is_in(glued))
    halves = [pl.coalesce(_whole(body).str.extract(one, half) for one in (_GLUED, _GLUED_CURL)) for half in (1, 2)]
    inner = parts.filter("is_glued").with_columns(halves[1])
    outer = parts.with_columns(pl.when("is_glued").then(halves[0]).otherwise(body).alias("body"))
    outer = outer.filter(~(pl.col("is_glued") & pl.col("body").str.contains(r"^\.+$")))
    return pl.concat([outer, inner]).sort("place", maintain_order=True).select(bodies.columns)


def _whole(body: pl.Expr) -> pl.Expr:
    """A body as its format is recognised."""
    return body.fill_null("").str.strip_chars_end()


def _is_hot(body: pl.Expr, book: FormatBook) -> pl.Expr:
    """Whether the first bytes tell the format."""
    return pl.any_horizontal(body.str.starts_with(start) for start in book.prefixes.values()).fill_null(value=False)


def _is_glued(body: pl.Expr, book: FormatBook) -> pl.Expr:
    """Whether a record stands behind other text; of bodies whose first bytes do not tell their format."""
    has_line = body.str.contains_any(list(book.prefixes.values())) & body.str.contains(_GLUED)
    return has_line | (body.str.contains_any(_OF_CURL) & body.str.contains(_GLUED_CURL))


def _is_batch(body: pl.Expr) -> pl.Expr:
    """Whether a body is a batch of OTLP that can be taken apart; a damaged one stays as it is."""
    return otlp.is_envelope(body) & body.str.json_path_match("$").is_not_null()


def recognise(bodies: pl.DataFrame, *, book: FormatBook, met: Met | None = None) -> pl.DataFrame | None:
    """Add ``format``, ``noise`` (the key of a run of noise, else null) and ``shape`` to BODIES.

    None when lines stand behind other text: they are to be split first.

    ``shape`` is ``blank``, ``indented``, ``meta`` (behind an access line) or ``closing`` (of a GPU error block).

    The two formats of nearly every line are told by their first bytes, the others on distinct bodies.
    """
    body, hot = pl.col("body"), pl.lit(None, dtype=pl.String)
    for name, start in book.prefixes.items():
        hot = pl.when(body.str.starts_with(start)).then(pl.lit(name)).otherwise(hot)
    table = bodies.with_columns(format=hot)
    is_cold = pl.col("format").is_null()
    if not table["format"].null_count():
        return table.with_columns(noise=pl.lit(None, dtype=pl.String), shape=pl.lit(None, dtype=pl.String))
    cold = table.filter(is_cold).select(_whole(body), "unit")
    distinct = cold.unique() if cold.height > 1 else cold
    # One of them stands in each line that is more than one.
    of_many = (*book.prefixes.values(), *_OF_CURL, *otlp.STARTS)
    if may_hold(distinct["body"], of_many) and distinct.select((_is_glued(body, book) | _is_batch(body)).any()).item():
        return None
    found = _recognise_cold(distinct, book=book, met=met)
    if cold.height > 1:
        found = cold.join(found, on=["body", "unit"], how="left", nulls_equal=True, maintain_order="left")
    if cold.height == table.height:
        return table.with_columns(found.select("body", "format", "noise", "shape"))
    cold = found
    # Scattered back by position, which is a fraction of the price of a join.
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


def _recognise_cold(distinct: pl.DataFrame, *, book: FormatBook, met: Met | None) -> pl.DataFrame:
    """Format and noise key of each distinct body."""
    found = book.recognise(distinct, met)
    body, form = pl.col("body"), pl.col("format")
    if found["unit"].null_count() < found.height:
        is_strange = ~pl.col("unit").str.contains(_OLLAMA_UNIT) & ~form.is_in(book.names("every_unit"))
        found = found.with_columns(format=pl.when(is_strange).then(pl.lit(book.strange)).otherwise("format"))
    shape = (
        pl.when(body == "")
        .then(pl.lit("blank"))
        .when(body.str.starts_with(" ") & body.str.strip_chars_start(" ").str.starts_with("Meta:"))
        .then(pl.lit("meta"))
        .when((body.str.starts_with(" ") | body.str.starts_with("\t")) & form.is_in([UNKNOWN, book.strange]))
        .then(pl.lit("indented"))
    )
    if found["format"].is_in(book.names("closes")).any():
        shape = shape.when(book.is_closing(body, form)).then(pl.lit("closing"))
    return found.select("unit", "format", "body", noise=pl.when("is_noise").then("format"), shape=shape)
