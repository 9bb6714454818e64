"""Decode records of calls: the JSON text of an event, in any known shape, becomes one row per call."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from erranalytics import schema
from erranalytics.calls import mapping as mappings
from erranalytics.calls import outcomes
from erranalytics.calls.mapping import Mapping
from erranalytics.calls.status import with_status
from erranalytics.client.outcome import OUTCOMES
from erranalytics.client.sdk_errors import STATUS_SOURCES
from erranalytics.clocks import timestamps

_TEXT_CHARS = 4_000
_URL_HOST = r"^(?:[a-z]+://)?(?:[^@/]*@)?([^/?#\s]+)"
_URL_PATH = r"^[a-z]+://[^/]+(/[^?#\s]*)"


def read(texts: pl.Series) -> pl.DataFrame:
    """Decode the calls that JSON texts record.

    Args:
        texts: one JSON object each; nulls and texts of an unknown shape give no row.

    Returns:
        One row for each text of a known shape: ``row`` (the number of the text), ``mapping`` (the name of its shape),
        ``fault`` (why it is not a valid record; only in our own shape) and the columns of ``schema.CALLS``.
    """
    remaining = texts.rename("text").to_frame().with_row_index("row")
    parts = [pl.DataFrame(schema={"row": pl.UInt32, "mapping": pl.String, "fault": pl.String, **schema.CALLS})]
    for mapping in mappings.load():
        has_shape = remaining.select(
            pl.all_horizontal(pl.col("text").str.contains(word, literal=True) for word in mapping.needs)
        ).to_series()
        objects = remaining.filter(has_shape.fill_null(value=False))
        if not objects.is_empty():
            parts.append(_mapped(objects, mapping))
            remaining = remaining.filter(~has_shape.fill_null(value=False))
    return pl.concat(parts).sort("row")


def _mapped(objects: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    raw = objects.select(
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
    table = with_status(_with_times(_with_url(table)))
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
    """Derive the start, the end or the duration from the other two."""
    start, end, took = pl.col("ts_start"), pl.col("ts_end"), pl.col("duration_ms")
    length = pl.duration(microseconds=(took * 1_000).round().cast(pl.Int64, strict=False), time_unit="us")
    return table.with_columns(
        ts_start=pl.coalesce(start, end - length),
        ts_end=pl.coalesce(end, start + length),
        duration_ms=pl.coalesce(took, (end - start).dt.total_microseconds() / 1_000),
    )


def _fault(raw: pl.DataFrame, typed: pl.DataFrame, mapping: Mapping) -> pl.Series:
    """The first reason why an object in our own shape is not a valid record; null when it is valid."""
    assert mapping.version is not None
    texts = raw.get_column("text")
    version = texts.str.json_path_match(mapping.version.path)
    reasons = [
        pl.when(texts.str.json_path_match("$").is_null()).then(pl.lit("bad-json")),
        pl.when(~version.is_in(mapping.version.known) | version.is_null()).then(pl.lit("unknown-version")),
    ]
    for name in mapping.fields:
        wrong = raw[name].is_not_null() & typed[name].is_null()
        # The JSON engine accepts a text where a number belongs, and the reverse; our own shape does not.
        is_text = schema.CALLS[name] in {pl.String(), schema.UTC_US}
        other = r'[^"n\s{]' if is_text else r'["\[{]'
        wrong = wrong | texts.str.contains(rf'[{{,]\s*"{name}"\s*:\s*{other}')
        reasons.append(pl.when(wrong).then(pl.lit(f"bad-field: {name}")))
        twice = texts.str.count_matches(rf'[{{,]\s*"{name}"\s*:') > 1
        reasons.append(pl.when(twice).then(pl.lit(f"duplicate-key: {name}")))
    for name, known in (("outcome", list(OUTCOMES)), ("status_source", list(STATUS_SOURCES))):
        wrong = typed[name].is_not_null() & ~typed[name].is_in(known)
        reasons.append(pl.when(wrong).then(pl.lit(f"bad-field: {name}")))
    reasons.extend(
        pl.when(raw[name].is_null()).then(pl.lit(f"missing-field: {name}")) for name in ("ts_start", "outcome")
    )
    return pl.select(pl.coalesce(reasons)).to_series()


def are_damaged(texts: pl.Series) -> pl.Series:
    """Whether each text is a cut or damaged record of a call: it has words of a known shape and is not JSON."""
    needs = sorted({word for mapping in mappings.load() for word in mapping.needs})
    is_object = texts.str.starts_with('{"') & texts.str.contains_any(needs)
    return (is_object & texts.str.json_path_match("$").is_null()).fill_null(value=False)


def check() -> Iterator[str]:
    """The samples of the mappings that do not give what they expect, as ``mappings/NAME.toml: sentence``."""
    for mapping in mappings.read():
        for sample in mapping.sample:
            calls = read(pl.Series([sample.line]))
            place = f"mappings/{mapping.name}.toml"
            if calls.is_empty() or calls["mapping"].item() != mapping.name:
                yield f"{place}: the sample is read as {calls['mapping'].to_list()}: {sample.line}"
                continue
            if fault := calls["fault"].item():
                yield f"{place}: the sample is a reject, {fault}: {sample.line}"
            row = outcomes.decide(
                calls.with_columns(cause=pl.lit(None, pl.String), category=pl.lit(None, pl.String))
            ).row(0, named=True)
            for name, value in sample.expect.items():
                decoded = row[name].isoformat().replace("+00:00", "Z") if name.startswith("ts_") else row[name]
                if decoded != value:
                    yield f"{place}: the sample gives {name} {decoded!r} and not {value!r}"
