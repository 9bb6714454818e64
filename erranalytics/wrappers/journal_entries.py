"""Wrappers that take many lines for one entry of the journal: export, verbose and json-pretty.

The shapes are those of src/shared/logs-show.c@systemd-v252 and docs/JOURNAL_EXPORT_FORMATS.md@systemd-v252.
"""

from __future__ import annotations

import polars as pl

from erranalytics.wrappers import json_lines
from erranalytics.wrappers.forms import BY_NAME, Layer
from erranalytics.wrappers.rows import ROWS

# An entry of more lines is none: it would hold everything back while its end is awaited.
MAX_LINES = 20_000

_EXPORT, _PRETTY, _VERBOSE = (BY_NAME[f"journald-{mode}"] for mode in ("export", "json-pretty", "verbose"))
_FIELDS = (*json_lines.JOURNAL_FIELDS, "_STREAM_ID", "_LINE_BREAK")
_KEY = r"^([A-Z_][A-Z0-9_]{0,63})(?:=|$)"
_BODY = pl.col("body")
# How an entry begins: a cheap sign, and the proof.
_STARTS = {
    _EXPORT: (sign := _BODY.str.starts_with("__CURSOR="), sign),
    _PRETTY: (sign := _BODY == "{", sign),
    _VERBOSE: (sign := _BODY.str.contains(" [s=", literal=True), sign & _BODY.str.contains(_VERBOSE.pattern)),
}
# The same as patterns.
BEGINNINGS = ("^__CURSOR=", r"^\{$", r" \[s=")
# Whether an entry of each layer may begin in some ROWS.
SIGNS = [sign.any().alias(layer.name) for layer, (sign, _) in _STARTS.items()]


def take(rows: pl.DataFrame, *, is_last: bool) -> tuple[list[pl.DataFrame], pl.DataFrame, list[int]]:
    """Entries that stand on many lines.

    Args:
        rows: ROWS of which nothing was taken yet.
        is_last: nothing follows, so an entry without its end is given as it is.

    Returns:
        ROWS of the entries; the rows that belong to none; the first lines of what waits for its end.
    """
    done: list[pl.DataFrame] = []
    waits: list[int] = []
    for layer in may_begin(rows):
        start = rows.select(start=_STARTS[layer][1] & _BODY.is_not_null()).to_series()
        if not start.any():
            continue
        marked = _mark(rows.with_columns(start=start), layer)
        length = pl.len().over("entry")
        is_open = (pl.col("entry") == pl.col("entry").max()) & ~pl.col("is_ended") & (length < MAX_LINES)
        marked = marked.with_columns(
            is_open=is_open & (not is_last), is_member=pl.col("is_member") & (length <= MAX_LINES)
        )
        members = marked.filter(pl.col("is_member") | pl.col("is_open"))
        waits += members.filter("is_open")["line_no"].head(1).to_list()
        members = members.filter(~pl.col("is_open"))
        if not members.is_empty():
            taken, waiting = _read(members, layer, is_last=is_last)
            done.append(taken.select(ROWS.names()))
            waits += [] if waiting is None else [waiting]
        rows = marked.filter(~pl.col("is_member") & ~pl.col("is_open")).select(ROWS.names())
    return done, rows, waits


def may_begin(rows: pl.DataFrame) -> list[Layer]:
    """The layers of which an entry may begin in some ROWS: hardly any log has one, and a cheap look tells."""
    found = rows.select(SIGNS).row(0, named=True)
    return [layer for layer in _STARTS if found[layer.name]]


def _mark(rows: pl.DataFrame, layer: Layer) -> pl.DataFrame:
    """Add ``entry``, ``is_member`` and ``is_ended`` (the end of the entry is at hand)."""
    rows = rows.with_columns(entry=pl.col("start").cum_sum())
    inside = pl.col("entry") > 0
    if layer is _EXPORT:
        has_value, key = _BODY.str.contains(r"^[A-Z_][A-Z0-9_]{0,63}="), _BODY.str.contains(_KEY)
        # Behind a field without value stand a length and bytes, which may be anything until the next field.
        is_closed = pl.when(key).then(has_value).forward_fill().shift().over("entry").fill_null(value=False)
        is_end = is_closed & ~key
        is_inner = ~is_end | (_BODY == "")
    elif layer is _VERBOSE:
        is_end = ~pl.col("start") & ~_BODY.str.starts_with("    ")
        is_inner = ~is_end
    else:
        is_end = ~pl.col("start") & ~_BODY.str.starts_with("\t")
        is_inner = ~is_end | (_BODY == "}")
    rows = rows.with_columns(is_end=is_end, is_inner=is_inner)
    is_behind = pl.col("is_end").cum_max().shift(fill_value=False).over("entry")
    rows = rows.with_columns(
        is_member=inside & ~is_behind & pl.col("is_inner"), is_ended=pl.col("is_end").any().over("entry")
    )
    if layer is not _PRETTY:
        return rows
    # Other programs print objects in this way too: all of it counts, or nothing.
    member = pl.col("is_member")
    is_entry = (member & _BODY.str.contains('"__REALTIME_TIMESTAMP" ?:')).any() & (member & (_BODY == "}")).any()
    return rows.with_columns(is_member=member & is_entry.over("entry"))


def _read(members: pl.DataFrame, layer: Layer, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """One row per entry and line of its message."""
    heads = members.unique("entry", keep="first", maintain_order=True)
    if layer is _PRETTY:
        texts = members.group_by("entry", maintain_order=True).agg(_BODY.str.strip_chars("\t").str.join(""))
        return json_lines.read_journal(
            heads.select(ROWS.names()).with_columns(body=texts["body"]), layer, is_last=is_last
        )
    if layer is _EXPORT:
        table = members.with_columns(key=_BODY.str.extract(_KEY), value=_BODY.str.extract("=(.*)$"))
        is_more = pl.col("key").is_null() & ~pl.col("start")
        table = table.with_columns(value=pl.when(is_more).then("body").otherwise("value"))
    else:
        pattern = r"^    ([A-Z_][A-Z0-9_]{0,63})=(.*)$"
        table = members.with_columns(key=_BODY.str.extract(pattern, 1), value=_BODY.str.extract(pattern, 2))
        is_more = pl.col("key").is_null() & ~pl.col("start")
        # What follows the first line of a field stands behind as many blanks as the name of the field takes.
        table = table.with_columns(value=pl.when(is_more).then(_BODY.str.slice(4 + len("MESSAGE="))).otherwise("value"))
    table = table.with_columns(key=pl.col("key").forward_fill().over("entry"), is_first=~is_more)
    fields = _fields(table)
    if layer is _VERBOSE:
        cursor_time = heads["body"].str.extract(r"\bt=([0-9a-f]+)").str.to_integer(base=16).cast(pl.String)
        fields = fields.with_columns(__REALTIME_TIMESTAMP=cursor_time)
    return json_lines.from_fields(heads.select(ROWS.names()), fields, layer, is_last=is_last)


def _fields(table: pl.DataFrame) -> pl.DataFrame:
    """The wanted fields of each entry, from lines with ``entry, key, value, is_first``."""
    table = table.filter(pl.col("key").is_in(_FIELDS) | pl.col("start"))
    # A field may stand more than once; the first one counts, with its further lines.
    number = pl.col("is_first").cum_sum().over("entry", "key")
    one = table.filter(number == 1).group_by("entry", "key", maintain_order=True)
    joined = one.agg(pl.col("value").drop_nulls().str.join("\n"), is_bytes=pl.col("value").first().is_null())
    value = pl.col("value").str.strip_chars_end("\n")
    value = pl.when("is_bytes").then(_without_length(value)).otherwise(value)
    joined = joined.with_columns(value=value)
    fields = joined.group_by("entry", maintain_order=True).agg(
        pl.col("value").filter(pl.col("key") == name).first().alias(name) for name in _FIELDS
    )
    marks = [pl.concat_str(pl.lit(f"{name}="), pl.col(name)).fill_null("") for name in ("_STREAM_ID", "_LINE_BREAK")]
    return fields.with_columns(raw=pl.concat_str(marks, separator=" "))


def _without_length(value: pl.Expr) -> pl.Expr:
    """Bytes without the length before them, of which the reader of lines took the NULs.

    A byte of it that is no text is U+FFFD now, and the text may have lost its colours since it was counted.
    """
    heads = [value.str.slice(0, count) for count in range(4)]
    rests = [value.str.slice(count) for count in range(4)]
    codes = [_code(value.str.slice(place, 1)) * 256**place for place in range(3)]
    lengths = [pl.sum_horizontal(codes[:count]) if count else pl.lit(0) for count in range(4)]
    sizes = [rest.str.len_bytes().cast(pl.Int64) for rest in rests]
    found = pl.when(lengths[1] >= sizes[1]).then(rests[1]).otherwise(rests[2])
    for count in (3, 2, 1):
        is_exact = lengths[count] == sizes[count]
        is_rough = heads[count].str.contains("\ufffd") & (
            (sizes[count] - lengths[count]).abs() < 256 ** max(count - 1, 1)
        )
        found = pl.when(is_exact | is_rough).then(rests[count]).otherwise(found)
    return found


def _code(sign: pl.Expr) -> pl.Expr:
    return sign.str.encode("hex").str.to_integer(base=16, strict=False).replace(0xEFBFBD, 0).fill_null(0)
