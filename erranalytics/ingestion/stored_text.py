"""Rebuild the text that the rules read from the columns of the store, for events whose log is not available.

The store does not keep lines, so the fields that ``parsing`` split are joined again. The text has no stamp, lacks
attributes that were cut off, and may lack lines after a slog record. So it may have less than the line had, which
``reclassification`` takes into account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from erranalytics.parsing import gateways
from erranalytics.parsing.lineformats import FormatBook
from erranalytics.text.json_objects import without_nulls

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_PAIR = r'"((?:[^"\\]|\\.)*)":"((?:[^"\\]|\\.)*)",?'
_LINES = '{"lines":"'
# The attributes of a cut line, kept as they are; a masked text under this key does not count.
_BROKEN = r'^\{"text":"[^\[]'


_PIECE = re.compile(r"\{(\w+)\}")


def rebuild(events: pl.DataFrame, formats: FormatBook) -> pl.DataFrame:
    """Add ``text`` to events with the columns of the store, joined as ``rebuilt`` of their format says.

    It also reads ``status``, ``method`` and ``path`` of access lines and, for records of a client, ``status_code``,
    ``model``, ``endpoint`` and ``error_type`` of their errors.

    >>> from erranalytics.parsing import lineformats
    >>> columns = {"format": "slog-text", "level": "WARN", "component": "a.go:1", "message": "no room"}
    >>> others = ("status", "method", "path", "status_code", "model", "endpoint", "error_type")
    >>> row = {**columns, "attrs": '{"n":"2"}', **dict.fromkeys(others)}
    >>> events = pl.DataFrame([row], schema_overrides=dict.fromkeys(others, pl.String))
    >>> rebuild(events, lineformats.load())["text"].item()
    'level=WARN source=a.go:1 msg="no room" n=2'
    """
    pieces, head = _pieces(), pl.col("message").fill_null("")
    for parts, names in formats.by_value("rebuilt").items():
        text = [_part(part, pieces) for part in parts]
        line = text[0] if len(text) == 1 else pl.concat_str(text, ignore_nulls=True)
        head = pl.when(pl.col("format").is_in(names)).then(line).otherwise(head)
    with_lines = pl.when(pl.col("attrs").str.starts_with(_LINES)).then("attrs").str.json_path_match("$.lines")
    return events.with_columns(text=pl.concat_str(head, with_lines, separator="\n", ignore_nulls=True))


def _pieces() -> dict[str, pl.Expr]:
    """The expressions that the parts of a text name in braces."""
    return {
        **{name: pl.col(name) for name in ("level", "component", "attrs", "status", "method", "path")},
        "message": pl.col("message").fill_null(""),
        "quoted": _quoted(),
        "pairs": _attributes(),
        "access": gateways.access_text(),
        "fault": gateways.fault_text(is_routed=False),
        "our_fault": gateways.fault_text(is_routed=True),
        "record": _record(),
    }


def _part(part: str | tuple[str, ...], pieces: Mapping[str, pl.Expr]) -> pl.Expr:
    """A part of a text, null where one of its pieces is null; of several alternatives the first that is not null.

    >>> events = pl.DataFrame({"level": ["INFO", "WARN"], "component": ["root", None]})
    >>> pieces = {name: pl.col(name) for name in events.columns}
    >>> events.select(_part(("{level}:{component}:", "{level}: "), pieces)).to_series().to_list()
    ['INFO:root:', 'WARN: ']
    """
    if not isinstance(part, str):
        return pl.coalesce(_part(alternative, pieces) for alternative in part)
    # The split puts the words in braces at odd places.
    words = [
        pieces[word] if place % 2 else pl.lit(word)
        for place, word in enumerate(_PIECE.split(part))
        if word or place % 2
    ]
    return words[0] if len(words) == 1 else pl.concat_str(words)


def _quoted() -> pl.Expr:
    """The message as slog's text handler writes it: quoted if it is empty or has a space, a quote or an equals sign."""
    message = pl.col("message").fill_null("")
    is_bare = message.str.contains(r'^[^\s"=]+$')
    return pl.when(is_bare).then(message).otherwise('"' + message.str.replace_many(_ESCAPES) + '"')


def _record() -> pl.Expr:
    """The record of a client, with the fields that the store keeps."""
    fields = pl.struct("status_code", "model", "endpoint", "error_type", error_message="message").struct.json_encode()
    return without_nulls(fields)


def _attributes() -> pl.Expr:
    """The JSON object of attributes as `` key=value …``."""
    attrs = pl.col("attrs")
    inner = attrs.str.strip_prefix("{").str.strip_suffix("}")
    pairs = inner.str.replace_all(_PAIR, ' "${1}"="${2}"')
    bare = pairs.str.replace_all(r'"="([^"\\\s=]+)"', '"=${1}').str.replace_all(r' "([^"\\\s=]+)"=', " ${1}=")
    plain = bare.str.replace_all(r"\\u00([0-9a-f]{2})", r"\x${1}")
    broken = pl.when(attrs.str.contains(_BROKEN)).then(attrs).str.json_path_match("$.text")
    return pl.coalesce(broken, pl.when(~attrs.str.starts_with(_LINES)).then(plain))
