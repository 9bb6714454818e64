"""Fields of a record: named groups, quoted text, attributes as JSON, the lines after the first."""

from __future__ import annotations

import polars as pl

from erranalytics import redaction
from erranalytics.parsing.lineformats import LineFormat

MESSAGE_LIMIT = 16_384
_JSON_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def extract(frame: pl.DataFrame, column: str, form: LineFormat) -> pl.DataFrame:
    """Add the named groups of a format as columns; those it lacks are null."""
    groups = pl.col(column).str.extract_groups(form.pattern)
    known = [groups.struct.field(name).replace("", None).alias(name) for name in form.groups if name in FIELD_NAMES]
    missing = [pl.lit(None, dtype=pl.String).alias(name) for name in FIELD_NAMES if name not in form.groups]
    fields = frame.with_columns(*known, *missing)
    return fields.with_columns(raw_attrs_length=pl.col("attrs").str.len_chars().fill_null(0))


def unquote(text: pl.Expr) -> pl.Expr:
    r"""The inside of a Go-quoted string as plain text.

    >>> pl.DataFrame({"q": [r"a \"b\" c:\\d\ne"]}).select(unquote(pl.col("q"))).item()
    'a "b" c:\\d\ne'
    """
    guarded = text.str.replace_all(r"\\", "\x00", literal=True)
    plain = guarded.str.replace_many(
        {r"\"": '"', r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\a": "\a", r"\b": "\b", r"\f": "\f", r"\v": "\v"}
    )
    return (
        pl.when(text.str.contains("\\", literal=True))
        .then(plain.str.replace_all("\x00", "\\", literal=True))
        .otherwise(text)
    )


def attrs_json(attrs: pl.Series) -> pl.Series:
    r"""slog attributes as a JSON object of strings; a repeated key appears twice.

    >>> attrs_json(pl.Series([' port=11434 error="open C:\\\\x: \\"gone\\""', None])).to_list()
    ['{"port":"11434","error":"open C:\\\\x: \\"gone\\""}', None]
    """
    if attrs.null_count() == len(attrs):
        return attrs
    frame = pl.DataFrame({"attrs": attrs}).with_row_index("row")
    escaped = frame.filter(pl.col("attrs").str.contains("\\", literal=True))
    if not escaped.is_empty():
        tokens = escaped.select("row", token=pl.col("attrs").str.extract_all(redaction.TOKEN)).explode("token")
        joined = (
            tokens.with_columns(_json_escapes(pl.col("token")))
            .group_by("row", maintain_order=True)
            .agg(fixed=pl.col("token").str.join(""))
        )
        frame = frame.join(joined, on="row", how="left", maintain_order="left").with_columns(
            pl.coalesce("fixed", "attrs").alias("attrs")
        )
    pair = r' (?:"([^"]*)"|([^\s="]+))=(?:"((?:[^"\\]|\\.)*)(?:"|$)|(\S*))'
    marked = pl.col("attrs").str.replace_all(pair, '\x01"${1}${2}":"${3}${4}"\x02').str.strip_chars(" ")
    listed = marked.str.replace_all("\x02\x01", ",", literal=True)
    frame = frame.select(listed.str.strip_prefix("\x01").str.strip_suffix("\x02").alias("inner"), "attrs")
    # Attributes of a cut line that cannot be read as pairs stay as text.
    broken = pl.lit('"text":"') + pl.col("attrs").str.replace_many(_JSON_ESCAPES) + pl.lit('"')
    is_broken = ~pl.col("inner").str.starts_with('"') | pl.col("inner").str.contains_any(["\x01", "\x02"])
    inner = pl.when(is_broken).then(broken).otherwise("inner")
    return frame.select(
        pl.when(pl.col("attrs").str.strip_chars() != "").then("{" + inner + "}").alias("attrs")
    ).to_series()


def _json_escapes(token: pl.Expr) -> pl.Expr:
    """Replace Go escapes that JSON lacks; in a bare value (a Windows path) a backslash stands for itself."""
    guarded = token.str.replace_all(r"\\", "\x00", literal=True)
    quoted = (
        guarded.str.replace_all(r"\\x([0-9a-f]{2})", r"\u00$1")
        .str.replace_all(r"\\[avU]", " ")
        .str.replace_all("\x00", r"\\", literal=True)
    )
    bare = token.str.replace_all("\\", r"\\", literal=True)
    return pl.when(token.str.contains('="', literal=True)).then(quoted).otherwise(bare)


def with_rest(text: pl.Expr) -> pl.Expr:
    """A text and the lines after the first line of its record."""
    return pl.when(pl.col("rest").is_null()).then(text).otherwise(pl.concat_str(text, "rest", separator="\n"))


def rest_json(rest: pl.Expr) -> pl.Expr:
    """The lines after the first line of a record as attributes, in JSON."""
    cleaned = rest.str.replace_many(_JSON_ESCAPES).str.replace_all(r"[\x00-\x1f]", " ")
    return pl.when(rest.is_not_null()).then(pl.lit('{"lines":"') + cleaned + pl.lit('"}'))


def cut(message: pl.Expr) -> pl.Expr:
    """Cut a message that is longer than ``MESSAGE_LIMIT`` bytes, and mark it."""
    short = message.str.slice(0, MESSAGE_LIMIT // 4) + " […cut]"
    return pl.when(message.str.len_bytes() > MESSAGE_LIMIT).then(short).otherwise(message).alias("message")


FIELD_NAMES = ("level", "component", "quoted", "message", "attrs", "gotime", "rfctime", "localtime", "halftime", "zone")
