"""Stored columns back to the text that the rules read, for events whose log is not at hand.

The store keeps no line twice: what ``parsing`` took apart is put together here. Stamps are left out, an attribute that
was cut off stays off, the lines behind a record of slog are not kept; who judges these texts knows that they may tell
less than the line did (see ``reclassifying``).
"""

from __future__ import annotations

import polars as pl

from erranalytics.parsing import gateways
from erranalytics.parsing.events import gin_text

# What goes before the message in each format whose pattern takes it apart; the parts that are null fall away.
_COLON = ("llama-cpp", "llama-server", "go-log", "slog-default")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_PAIR = r'"((?:[^"\\]|\\.)*)":"((?:[^"\\]|\\.)*)",?'
_LINES = '{"lines":"'
# Where a cut line left its attributes as they stand; what people wrote under this key is masked.
_BROKEN = r'^\{"text":"[^\[]'


def rebuild(events: pl.DataFrame) -> pl.DataFrame:
    """Add ``text`` to events with the columns of the store.

    Besides them it reads ``status``, ``method``, ``path`` of their access line and, for records of a client,
    ``status_code``, ``model``, ``endpoint``, ``error_type`` of their error.

    >>> columns = {"format": "slog-text", "level": "WARN", "component": "a.go:1", "message": "no room"}
    >>> others = ("status", "method", "path", "status_code", "model", "endpoint", "error_type")
    >>> row = {**columns, "attrs": '{"n":"2"}', **dict.fromkeys(others)}
    >>> rebuild(pl.DataFrame([row], schema_overrides=dict.fromkeys(others, pl.String)))["text"].item()
    'level=WARN source=a.go:1 msg="no room" n=2'
    """
    form = pl.col("format")
    head = (
        pl.when(form == "slog-text")
        .then(_slog())
        .when((form == "gin") & pl.col("status").is_not_null())
        .then(gin_text())
        .when(form.is_in(gateways.ACCESS))
        .then(gateways.access_text())
        .when(form.is_in(gateways.OWN))
        .then(gateways.fault_text(form))
        .when(form == "client-json")
        .then(_record())
        .when(form == "request-dump")
        .then("attrs")
        .otherwise(_other())
    )
    with_lines = pl.when(pl.col("attrs").str.starts_with(_LINES)).then("attrs").str.json_path_match("$.lines")
    return events.with_columns(text=pl.concat_str(head, with_lines, separator="\n", ignore_nulls=True))


def _slog() -> pl.Expr:
    """As the text handler of slog writes it, which quotes what is empty or holds a blank, a quote or an equals sign."""
    message = pl.col("message").fill_null("")
    quoted = '"' + message.str.replace_many(_ESCAPES) + '"'
    is_bare = message.str.contains(r'^[^\s"=]+$')
    said = pl.lit(" msg=") + pl.when(is_bare).then(message).otherwise(quoted)
    return pl.concat_str(
        "level=" + pl.col("level"), " source=" + pl.col("component"), said, _attributes(), ignore_nulls=True
    )


def _record() -> pl.Expr:
    """A record of a client with what the store kept of it."""
    known = pl.struct("status_code", "model", "endpoint", "error_type", error_message="message").struct.json_encode()
    return known.str.replace_all(r'"\w+":null,?', "").str.replace(r",\}$", "}")


def _attributes() -> pl.Expr:
    """The JSON object of attributes as `` key=value …``."""
    attrs = pl.col("attrs")
    inner = attrs.str.strip_prefix("{").str.strip_suffix("}")
    pairs = inner.str.replace_all(_PAIR, ' "${1}"="${2}"')
    bare = pairs.str.replace_all(r'"="([^"\\\s=]+)"', '"=${1}').str.replace_all(r' "([^"\\\s=]+)"=', " ${1}=")
    plain = bare.str.replace_all(r"\\u00([0-9a-f]{2})", r"\x${1}")
    broken = pl.when(attrs.str.contains(_BROKEN)).then(attrs).str.json_path_match("$.text")
    return pl.coalesce(broken, pl.when(~attrs.str.starts_with(_LINES)).then(plain))


def _other() -> pl.Expr:
    """The message with what stands before it in the line: function, file, level."""
    form, message = pl.col("format"), pl.col("message").fill_null("")
    component, level = pl.col("component"), pl.col("level")
    colon = component + ": "
    part = pl.when(form.is_in(_COLON)).then(colon)
    spaced = pl.when(form == "slog-default").then(level + " ").when(form == "llama-cpp").then(level + ": ")
    marked = (
        pl.when(form == "gin-debug")
        .then(pl.concat_str(pl.lit("[GIN-debug] "), "[" + level + "] ", ignore_nulls=True))
        .when(form == "gin-recovery")
        .then(pl.lit("[Recovery] "))
        .when(form == "cpp-text")
        .then(pl.concat_str(level + " ", "[" + component + "] ", ignore_nulls=True))
        .when(form == "client-note")
        .then(pl.coalesce(level + ":" + component + ":", level + ": "))
        .when(form == "client-text")
        .then(pl.concat_str(level + " ", component + " ", ignore_nulls=True))
    )
    attributes = pl.when(form == "slog-default").then(_attributes())
    return pl.concat_str(marked, part, spaced, message, attributes, ignore_nulls=True)
