"""Wrappers that use many lines for one journal entry: export, verbose and json-pretty.

The shapes are those of src/shared/logs-show.c@systemd-v252 and docs/JOURNAL_EXPORT_FORMATS.md@systemd-v252.
"""

from __future__ import annotations

import polars as pl

from erranalytics.wrappers import json_lines
from erranalytics.wrappers.forms import BY_NAME, Wrapper
from erranalytics.wrappers.rows import ROWS

# Anything longer is not taken for an entry: waiting for its end would hold back the rest of the source.
MAX_LINES = 20_000

_EXPORT, _PRETTY, _VERBOSE = (BY_NAME[f"journald-{mode}"] for mode in ("export", "json-pretty", "verbose"))
_FIELDS = (*json_lines.JOURNAL_FIELDS, "_STREAM_ID", "_LINE_BREAK")
_KEY = r"^([A-Z_][A-Z0-9_]{0,63})(?:=|$)"
_BODY = pl.col("body")
# How an entry begins: a cheap test, and the proof.
_STARTS = {
    _EXPORT: (sign := _BODY.str.starts_with("__CURSOR="), sign),
    _PRETTY: (sign := _BODY == "{", sign),
    _VERBOSE: (sign := _BODY.str.contains(" [s=", literal=True), sign & _BODY.str.contains(_VERBOSE.pattern)),
}
# The cheap tests as patterns.
BEGINNINGS = ("^__CURSOR=", r"^\{$", r" \[s=")
# Whether some ROWS may begin an entry, for each wrapper.
SIGNS = [sign.any().alias(wrapper.name) for wrapper, (sign, _) in _STARTS.items()]


def extract(rows: pl.DataFrame, *, is_last: bool) -> tuple[list[pl.DataFrame], pl.DataFrame, list[int]]:
    """Separate the entries that take many lines from the other rows, and read them.

    Args:
        rows: ROWS before any wrapper is taken off.
        is_last: no input follows, so an unfinished entry is returned as it is.

    Returns:
        ROWS of the entries; the rows outside of entries; the first lines of entries that wait for their end.
    """
    # > __CURSOR=s=23;i=1
    # > __REALTIME_TIMESTAMP=1772363045416409
    # > _HOSTNAME=gpu01
    # > MESSAGE=Error: no space left
    #   gives one row: stamp 1772363045416409, host gpu01, body "Error: no space left"; it waits for the blank line
    done: list[pl.DataFrame] = []
    waits: list[int] = []
    for wrapper in may_begin(rows):
        start = rows.select(start=_STARTS[wrapper][1] & _BODY.is_not_null()).to_series()
        if not start.any():
            continue
        marked = _mark(rows.with_columns(start=start), wrapper)
        length = pl.len().over("entry")
        is_open = (pl.col("entry") == pl.col("entry").max()) & ~pl.col("is_ended") & (length < MAX_LINES)
        marked = marked.with_columns(
            is_open=is_open & (not is_last), is_member=pl.col("is_member") & (length <= MAX_LINES)
        )
        members = marked.filter(pl.col("is_member") | pl.col("is_open"))
        waits += members.filter("is_open")["line_no"].head(1).to_list()
        members = members.filter(~pl.col("is_open"))
        if not members.is_empty():
            entries, waiting = _read(members, wrapper, is_last=is_last)
            done.append(entries.select(ROWS.names()))
            waits += [] if waiting is None else [waiting]
        rows = marked.filter(~pl.col("is_member") & ~pl.col("is_open")).select(ROWS.names())
    return done, rows, waits


def may_begin(rows: pl.DataFrame) -> list[Wrapper]:
    """The wrappers whose entries may begin in some ROWS: a cheap test, since hardly any log has them."""
    begins = rows.select(SIGNS).row(0, named=True)
    return [wrapper for wrapper in _STARTS if begins[wrapper.name]]


def _mark(rows: pl.DataFrame, wrapper: Wrapper) -> pl.DataFrame:
    """Add ``entry`` (its number), ``is_member`` and ``is_ended`` (the end of the entry was read)."""
    rows = rows.with_columns(entry=pl.col("start").cum_sum())
    inside = pl.col("entry") > 0
    if wrapper is _EXPORT:
        has_value, key = _BODY.str.contains(r"^[A-Z_][A-Z0-9_]{0,63}="), _BODY.str.contains(_KEY)
        # A field without value is followed by a length and bytes, which may look like anything until the next field.
        is_closed = pl.when(key).then(has_value).forward_fill().shift().over("entry").fill_null(value=False)
        is_end = is_closed & ~key
        is_inner = ~is_end | (_BODY == "")
    elif wrapper is _VERBOSE:
        is_end = ~pl.col("start") & ~_BODY.str.starts_with("    ")
        is_inner = ~is_end
    else:
        is_end = ~pl.col("start") & ~_BODY.str.starts_with("\t")
        is_inner = ~is_end | (_BODY == "}")
    rows = rows.with_columns(is_end=is_end, is_inner=is_inner)
    is_after = pl.col("is_end").cum_max().shift(fill_value=False).over("entry")
    rows = rows.with_columns(
        is_member=inside & ~is_after & pl.col("is_inner"), is_ended=pl.col("is_end").any().over("entry")
    )
    if wrapper is not _PRETTY:
        return rows
    # Other programs print objects in this way too, so an object without the journal's stamp is left alone.
    member = pl.col("is_member")
    is_entry = (member & _BODY.str.contains('"__REALTIME_TIMESTAMP" ?:')).any() & (member & (_BODY == "}")).any()
    return rows.with_columns(is_member=member & is_entry.over("entry"))


def _read(members: pl.DataFrame, wrapper: Wrapper, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """One row per entry and line of its message."""
    heads = members.unique("entry", keep="first", maintain_order=True)
    if wrapper is _PRETTY:
        texts = members.group_by("entry", maintain_order=True).agg(_BODY.str.strip_chars("\t").str.join(""))
        return json_lines.read_journal(
            heads.select(ROWS.names()).with_columns(body=texts["body"]), wrapper, is_last=is_last
        )
    if wrapper is _EXPORT:
        table = members.with_columns(key=_BODY.str.extract(_KEY), value=_BODY.str.extract("=(.*)$"))
        is_more = pl.col("key").is_null() & ~pl.col("start")
        table = table.with_columns(value=pl.when(is_more).then("body").otherwise("value"))
    else:
        pattern = r"^    ([A-Z_][A-Z0-9_]{0,63})=(.*)$"
        table = members.with_columns(key=_BODY.str.extract(pattern, 1), value=_BODY.str.extract(pattern, 2))
        is_more = pl.col("key").is_null() & ~pl.col("start")
        # Further lines of a field are indented by the width of its name:
        # >     MESSAGE=panic: boom
        # >             goroutine 1 [running]:
        table = table.with_columns(value=pl.when(is_more).then(_BODY.str.slice(4 + len("MESSAGE="))).otherwise("value"))
    table = table.with_columns(key=pl.col("key").forward_fill().over("entry"), is_first=~is_more)
    fields = _fields(table)
    if wrapper is _VERBOSE:
        cursor_time = heads["body"].str.extract(r"\bt=([0-9a-f]+)").str.to_integer(base=16).cast(pl.String)
        fields = fields.with_columns(__REALTIME_TIMESTAMP=cursor_time)
    return json_lines.from_fields(heads.select(ROWS.names()), fields, wrapper, is_last=is_last)


def _fields(table: pl.DataFrame) -> pl.DataFrame:
    """The wanted fields of each entry, from lines with ``entry, key, value, is_first``."""
    table = table.filter(pl.col("key").is_in(_FIELDS) | pl.col("start"))
    # Of a repeated field the first value counts, with its further lines.
    number = pl.col("is_first").cum_sum().over("entry", "key")
    first = table.filter(number == 1).group_by("entry", "key", maintain_order=True)
    joined = first.agg(pl.col("value").drop_nulls().str.join("\n"), is_bytes=pl.col("value").first().is_null())
    value = pl.col("value").str.strip_chars_end("\n")
    value = pl.when("is_bytes").then(_without_length(value)).otherwise(value)
    joined = joined.with_columns(value=value)
    fields = joined.group_by("entry", maintain_order=True).agg(
        pl.col("value").filter(pl.col("key") == name).first().alias(name) for name in _FIELDS
    )
    marks = [pl.concat_str(pl.lit(f"{name}="), pl.col(name)).fill_null("") for name in ("_STREAM_ID", "_LINE_BREAK")]
    return fields.with_columns(raw=pl.concat_str(marks, separator=" "))


def _without_length(value: pl.Expr) -> pl.Expr:
    """A binary value without the length before it.

    The length is eight bytes, little endian; its NULs are gone already, and a byte that is not text is U+FFFD. The text
    may be shorter than its length, since colours were removed after it was counted.
    """
    # > MESSAGE
    # > \x17\0\0\0\0\0\0\0panic: boom
    # > goroutine 1
    #   arrives as "\x17panic: boom\ngoroutine 1": one byte of length, and 0x17 = 23 bytes follow it
    heads = [value.str.slice(0, count) for count in range(4)]
    rests = [value.str.slice(count) for count in range(4)]
    codes = [_code(value.str.slice(place, 1)) * 256**place for place in range(3)]
    lengths = [pl.sum_horizontal(codes[:count]) if count else pl.lit(0) for count in range(4)]
    sizes = [rest.str.len_bytes().cast(pl.Int64) for rest in rests]
    text = pl.when(lengths[1] >= sizes[1]).then(rests[1]).otherwise(rests[2])
    for count in (3, 2, 1):
        is_exact = lengths[count] == sizes[count]
        is_rough = heads[count].str.contains("\ufffd") & (
            (sizes[count] - lengths[count]).abs() < 256 ** max(count - 1, 1)
        )
        text = pl.when(is_exact | is_rough).then(rests[count]).otherwise(text)
    return text


def _code(character: pl.Expr) -> pl.Expr:
    return character.str.encode("hex").str.to_integer(base=16, strict=False).replace(0xEFBFBD, 0).fill_null(0)
