"""Wrappers that are JSON objects, one per line: journal entries, and the file of docker's json-file driver.

Rules of the journal: docs/JOURNAL_EXPORT_FORMATS.md@systemd-v252. Without ``--all`` a field longer than 4096 bytes is
null. A field that is not printable UTF-8 is an array of bytes, and a repeated field is an array of its values. The
order of keys is random.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from erranalytics.wrappers.forms import Wrapper
from erranalytics.wrappers.rows import join_pieces, merge_fields, split_lines

LOST_MESSAGE = "[message lost: longer than journalctl prints without --all]"

JOURNAL_FIELDS = ("MESSAGE", "__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_PID")
_DOCKER_FIELDS = ("log", "stream", "time")
_BYTES_AS_HEX = pl.DataFrame(
    {"byte": list(range(256)), "hex": [f"{n:02x}" for n in range(256)]}, schema={"byte": pl.Int16, "hex": pl.String}
)


def read_journal(rows: pl.DataFrame, wrapper: Wrapper, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Read entries of ``journalctl -o json``: one row per line of MESSAGE, with split lines joined."""
    # > {"__REALTIME_TIMESTAMP":"1772363045416409","_PID":"7","MESSAGE":[72,105,10,116,111]}
    # > {"__REALTIME_TIMESTAMP":"1772363045416410","_PID":"7","MESSAGE":null}
    #   gives: line 1 "Hi", line 1 "to", line 2 "[message lost: longer than journalctl prints without --all]"
    raw = rows["body"]
    if wrapper.name != "journald-json":
        raw = raw.str.replace(r"^(?:data: |\x1e)", "")
    fields = _fields(raw, JOURNAL_FIELDS)
    is_bytes = raw.str.contains(r'"MESSAGE" ?: ?\[[\s\d]')
    if is_bytes.any():
        fields = fields.with_columns(
            fields["MESSAGE"].scatter(is_bytes.arg_true(), _decode_bytes(raw.filter(is_bytes)))
        )
    return from_fields(rows, fields.with_columns(raw=raw), wrapper, is_last=is_last)


def from_fields(
    rows: pl.DataFrame, fields: pl.DataFrame, wrapper: Wrapper, *, is_last: bool
) -> tuple[pl.DataFrame, int | None]:
    """Rows of journal entries from their fields; ``raw`` is the text of the entry."""
    raw, pid = pl.col("raw"), pl.col("_PID").cast(pl.Int32, strict=False)
    unit = pl.coalesce("SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT")
    is_lost = pl.col("MESSAGE").is_null() & raw.str.contains(r'"MESSAGE" ?: ?null')
    # A line longer than LineMax= comes in pieces: LINE_MAX_DEFAULT in src/journal/journald-server.c@systemd-v252.
    # > {"_STREAM_ID":"ab1","_LINE_BREAK":"line-max","MESSAGE":"llama_model_loader: - kv 0: ", ...}
    # > {"_STREAM_ID":"ab1","MESSAGE":"str = llama", ...}
    #   gives one line: llama_model_loader: - kv 0: str = llama
    is_open = raw.str.contains("line-max", literal=True) & raw.str.contains(r'\b_LINE_BREAK(?:" ?: ?"|=)line-max')
    stream = raw.str.extract(r'\b_STREAM_ID(?:" ?: ?"|=)([0-9a-f]+)')
    parts = fields.select(
        stamp="__REALTIME_TIMESTAMP",
        clock=pl.when(pl.col("__REALTIME_TIMESTAMP").is_not_null()).then(pl.lit(wrapper.clock)),
        host="_HOSTNAME",
        unit=unit,
        pid=pid,
        body=pl.when(is_lost).then(pl.lit(LOST_MESSAGE)).otherwise(pl.col("MESSAGE").fill_null("")),
        is_open=is_open,
    )
    if parts["is_open"].any():
        named = pl.coalesce(stream, pl.concat_str([pid.cast(pl.String), unit], separator=" ", ignore_nulls=True))
        parts = parts.hstack(fields.select(stream=named))
    joined, waits = join_pieces(merge_fields(rows, parts, wrapper), is_last=is_last)
    return split_lines(joined), waits


def read_docker(rows: pl.DataFrame, wrapper: Wrapper, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Read docker's json-file; a line over 16 KiB comes in pieces (daemon/logger/copier.go@moby-v24.0.0)."""
    # > {"log":"llama_model_loader: - kv 0: ","stream":"stderr","time":"2026-03-01T11:04:05.000000001Z"}
    # > {"log":"str = llama\n","stream":"stderr","time":"2026-03-01T11:04:05.000000003Z"}
    #   gives one line, with the first time: llama_model_loader: - kv 0: str = llama
    fields = _fields(rows["body"], _DOCKER_FIELDS)
    missing, log = pl.lit(None, dtype=pl.String), pl.col("log").fill_null("")
    parts = fields.select(
        stamp="time",
        clock=pl.when(pl.col("time").is_not_null()).then(pl.lit(wrapper.clock)),
        host=missing,
        unit=missing,
        pid=pl.lit(None, dtype=pl.Int32),
        body=log,
        is_open=~log.str.ends_with("\n"),
        stream=pl.col("stream").fill_null(""),
    )
    joined, waits = join_pieces(merge_fields(rows, parts, wrapper), is_last=is_last)
    return split_lines(joined), waits


def _fields(raw: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """The fields of objects as text; a repeated field gives its first value."""
    text, wanted = pl.col("raw"), "|".join(names)
    table = raw.alias("raw").to_frame()
    is_odd = table.select(text.str.contains(rf'"(?:{wanted})" ?: ?[\[{{]') | ~text.str.ends_with("}")).to_series()
    try:
        simple = (
            table.filter(~is_odd).select(text.str.json_decode(pl.Struct(dict.fromkeys(names, pl.String)))).unnest("raw")
        )
    except pl.exceptions.PolarsError:
        # One damaged object makes the fast decoder reject the whole batch.
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
    """``"MESSAGE":[72,105]`` as text, through hex digits."""
    numbers = raw.str.extract(r'"MESSAGE" ?: ?\[([\d,\s]*)\]').str.replace_all(r"\s", "").str.split(",")
    table = pl.DataFrame({"row": range(len(raw)), "byte": numbers}).explode("byte")
    table = table.with_columns(pl.col("byte").cast(pl.Int16, strict=False))
    digits = table.join(_BYTES_AS_HEX, on="byte", how="left", maintain_order="left")
    joined = digits.group_by("row", maintain_order=True).agg(pl.col("hex").filter(pl.col("byte") != 0).str.join(""))
    # Python decodes all of them in one call: polars rejects bytes that are not UTF-8, Python can replace them.
    text = bytes.fromhex(joined["hex"].str.join("00").item()).decode(errors="replace")
    return pl.Series(text.split("\0"), dtype=pl.String)
