"""Wrappers that are JSON objects, one a line: entries of the journal, and the file of docker's json-file driver.

Rules of the journal: docs/JOURNAL_EXPORT_FORMATS.md@systemd-v252. A field longer than 4096 bytes is null without
``--all``, one that is not printable UTF-8 an array of bytes, one that stands more than once an array; the order of keys
is random.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from erranalytics.wrappers.forms import Layer
from erranalytics.wrappers.rows import join_pieces, overlay, split_lines

LOST_MESSAGE = "[message lost: longer than journalctl prints without --all]"

JOURNAL_FIELDS = ("MESSAGE", "__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_PID")
_DOCKER_FIELDS = ("log", "stream", "time")
_BYTES_AS_HEX = pl.DataFrame(
    {"byte": list(range(256)), "hex": [f"{n:02x}" for n in range(256)]}, schema={"byte": pl.Int16, "hex": pl.String}
)


def read_journal(rows: pl.DataFrame, layer: Layer, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Entries of ``journalctl -o json``: one row per line of MESSAGE, lines that were split are whole again."""
    raw = rows["body"]
    if layer.name != "journald-json":
        raw = raw.str.replace(r"^(?:data: |\x1e)", "")
    fields = _fields(raw, JOURNAL_FIELDS)
    is_bytes = raw.str.contains(r'"MESSAGE" ?: ?\[[\s\d]')
    if is_bytes.any():
        fields = fields.with_columns(
            fields["MESSAGE"].scatter(is_bytes.arg_true(), _decode_bytes(raw.filter(is_bytes)))
        )
    return from_fields(rows, fields.with_columns(raw=raw), layer, is_last=is_last)


def from_fields(
    rows: pl.DataFrame, fields: pl.DataFrame, layer: Layer, *, is_last: bool
) -> tuple[pl.DataFrame, int | None]:
    """Rows of the journal from the fields of their entries; ``raw`` is the text of the entry."""
    raw, pid = pl.col("raw"), pl.col("_PID").cast(pl.Int32, strict=False)
    unit = pl.coalesce("SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT")
    is_lost = pl.col("MESSAGE").is_null() & raw.str.contains(r'"MESSAGE" ?: ?null')
    # A line longer than LineMax= comes in pieces: LINE_MAX_DEFAULT in src/journal/journald-server.c@systemd-v252.
    is_open = raw.str.contains("line-max", literal=True) & raw.str.contains(r'\b_LINE_BREAK(?:" ?: ?"|=)line-max')
    stream = raw.str.extract(r'\b_STREAM_ID(?:" ?: ?"|=)([0-9a-f]+)')
    parts = fields.select(
        stamp="__REALTIME_TIMESTAMP",
        clock=pl.when(pl.col("__REALTIME_TIMESTAMP").is_not_null()).then(pl.lit(layer.clock)),
        host="_HOSTNAME",
        unit=unit,
        pid=pid,
        body=pl.when(is_lost).then(pl.lit(LOST_MESSAGE)).otherwise(pl.col("MESSAGE").fill_null("")),
        is_open=is_open,
    )
    if parts["is_open"].any():
        named = pl.coalesce(stream, pl.concat_str([pid.cast(pl.String), unit], separator=" ", ignore_nulls=True))
        parts = parts.hstack(fields.select(stream=named))
    taken, waits = join_pieces(overlay(rows, parts, layer), is_last=is_last)
    return split_lines(taken), waits


def read_docker(rows: pl.DataFrame, layer: Layer, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Lines of docker's json-file driver; one over 16 KiB comes in pieces (daemon/logger/copier.go@moby-v24.0.0)."""
    fields = _fields(rows["body"], _DOCKER_FIELDS)
    none, log = pl.lit(None, dtype=pl.String), pl.col("log").fill_null("")
    parts = fields.select(
        stamp="time",
        clock=pl.when(pl.col("time").is_not_null()).then(pl.lit(layer.clock)),
        host=none,
        unit=none,
        pid=pl.lit(None, dtype=pl.Int32),
        body=log,
        is_open=~log.str.ends_with("\n"),
        stream=pl.col("stream").fill_null(""),
    )
    taken, waits = join_pieces(overlay(rows, parts, layer), is_last=is_last)
    return split_lines(taken), waits


def _fields(raw: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """The fields of objects as text; of a field that stands more than once the first value."""
    text, wanted = pl.col("raw"), "|".join(names)
    table = raw.alias("raw").to_frame()
    is_odd = table.select(text.str.contains(rf'"(?:{wanted})" ?: ?[\[{{]') | ~text.str.ends_with("}")).to_series()
    try:
        simple = (
            table.filter(~is_odd).select(text.str.json_decode(pl.Struct(dict.fromkeys(names, pl.String)))).unnest("raw")
        )
    except pl.exceptions.PolarsError:
        # One damaged object makes the quick decoder refuse them all.
        return _by_path(table, names)
    if not is_odd.any():
        return simple
    odd = _by_path(table.filter(is_odd), names)
    place = pl.concat([(~is_odd).arg_true(), is_odd.arg_true()]).arg_sort()
    return pl.concat([simple.select(names), odd])[place]


def _by_path(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    text = pl.col("raw")
    first = [text.str.json_path_match(f"$.{name}[0]").alias(f"{name} 0") for name in names]
    table = table.select(*(text.str.json_path_match(f"$.{name}").alias(name) for name in names), *first)
    return table.select(
        pl.when(pl.col(name).str.starts_with("[")).then(pl.coalesce(f"{name} 0", name)).otherwise(name).alias(name)
        for name in names
    )


def _decode_bytes(raw: pl.Series) -> pl.Series:
    """``"MESSAGE":[72,105]`` as text, by way of hex digits."""
    numbers = raw.str.extract(r'"MESSAGE" ?: ?\[([\d,\s]*)\]').str.replace_all(r"\s", "").str.split(",")
    table = pl.DataFrame({"row": range(len(raw)), "byte": numbers}).explode("byte")
    table = table.with_columns(pl.col("byte").cast(pl.Int16, strict=False))
    digits = table.join(_BYTES_AS_HEX, on="byte", how="left", maintain_order="left")
    joined = digits.group_by("row", maintain_order=True).agg(pl.col("hex").filter(pl.col("byte") != 0).str.join(""))
    # All at once: polars refuses bytes that are no UTF-8, Python can replace them.
    text = bytes.fromhex(joined["hex"].str.join("00").item()).decode(errors="replace")
    return pl.Series(text.split("\0"), dtype=pl.String)
