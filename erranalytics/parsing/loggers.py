"""JSON lines of loggers: where each puts its level, its time, its text and the error it was given.

The format says what is read (``reads``: JSON paths, of which the first with a value counts). Nothing else of the object
is kept, because a logger prints an error with all its fields, the request and its prompt among them.
"""

from __future__ import annotations

import polars as pl

from erranalytics.parsing.lineformats import LineFormat
from erranalytics.text.json_objects import with_fields

# Levels by number (pino@v9.0.0 lib/constants.js, bunyan@1.8.15), and the short words of zerolog and logrus.
LEVELS = {
    "10": "TRACE",
    "20": "DEBUG",
    "30": "INFO",
    "40": "WARN",
    "50": "ERROR",
    "60": "FATAL",
    "TRC": "TRACE",
    "DBG": "DEBUG",
    "INF": "INFO",
    "WRN": "WARN",
    "ERR": "ERROR",
    "FTL": "FATAL",
    "PNC": "PANIC",
    "DEBU": "DEBUG",
    "ERRO": "ERROR",
    "FATA": "FATAL",
    "PANI": "PANIC",
}
_NAMES = ("level", "time", "component", "message", "exception_type", "error_message", "error_status", "model")
_LONGEST_CHARS = 4_000
# An object is kept only if it is the error of a response body; so is the text of a response that a parser quotes.
_IS_KEPT = r'^\s*(?:[^{\[\s]|\{\s*"(?:type": ?"error", ?")?error")'
_QUOTED = r'(failed: (?:Text|Value): )(?:[^{]|\{"[^e])[^\n]*'
# A stack begins with the class of its error.
_CLASS = r"^([A-Za-z_$*][\w.$]*)(?: \[[^\]\n]*\])?(?:: |\n|$)"


def read(bodies: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """The lines of a format that ``reads``.

    >>> from erranalytics.parsing import lineformats
    >>> line = '{"level":50,"time":1,"pid":1,"hostname":"h","err":{"type":"ResponseError","message":"gone"},"msg":"no"}'
    >>> read(pl.DataFrame({"body": [line]}), lineformats.load().by_name["client-pino"]).row(0, named=True)["message"]
    'no: gone'

    Args:
        bodies: the column ``body``; with the groups of the pattern where the object is one of them.
        form: their format.

    Returns:
        The same rows with ``level``, ``component``, ``message``, ``rfctime``; ``rule_text``, the text for the rules;
        and ``kept_attrs``, a JSON object of what is known about the error.
    """
    # Where the object follows the text of a line, it is its attributes, and the line has the other fields:
    # > error: asking failed {"error":"too many requests","status":429}
    is_after_text = "attrs" in form.groups
    if is_after_text:
        bodies = bodies.with_columns(_apart())
    source = pl.col("attrs" if is_after_text else "body")
    names = ("exception_type", "error_message", "error_status", "model") if is_after_text else _NAMES
    table = bodies.with_columns(_first(form.reads.get(name, ()), source).alias(name) for name in names)
    table = table.with_columns(
        pl.col("exception_type").str.extract(_CLASS),
        lines=_all(form.reads.get("details", ()), source, beside="error_message"),
    )
    message, error = pl.col("message"), pl.col("error_message")
    has_error_text = (error.is_null() | message.str.contains(error, literal=True)).fill_null(value=False)
    both = pl.concat_str(message, error, separator=": ", ignore_nulls=True)
    table = table.with_columns(message=pl.when(has_error_text).then(message).otherwise(both))
    has_error = pl.coalesce("exception_type", "error_status").is_not_null()
    known = pl.struct(
        "lines",
        "exception_type",
        "error_message",
        "error_status",
        "model",
        logged=pl.when(has_error).then(pl.lit("error")),
    ).struct.json_encode()
    if not is_after_text:
        table = table.with_columns(rfctime="time").drop("time")
    return table.with_columns(
        attrs=pl.lit(None, dtype=pl.String),
        rule_text=pl.concat_str("message", "error_message", "lines", separator="\n", ignore_nulls=True),
        kept_attrs=with_fields(known),
    ).drop("exception_type", "error_message", "error_status", "model", "lines")


def _apart() -> list[pl.Expr]:
    """Split attributes into two objects where the text itself ends with one: only the last belongs to the line."""
    attrs, both = pl.col("attrs"), r'^(.*\}) (\{".*\})$'
    is_two = (attrs.str.json_path_match("$").is_null() & attrs.str.contains(both)).fill_null(value=False)
    message = pl.concat_str("message", attrs.str.extract(both, 1), separator=" ")
    return [
        pl.when(is_two).then(message).otherwise("message").alias("message"),
        pl.when(is_two).then(attrs.str.extract(both, 2)).otherwise(attrs).alias("attrs"),
    ]


def level(word: pl.Expr) -> pl.Expr:
    """The level of a client's line, by one name for each level.

    >>> pl.DataFrame({"l": ["error", "50", "ERRO"]}).select(level(pl.col("l"))).to_series().to_list()
    ['ERROR', 'ERROR', 'ERROR']
    """
    return word.str.to_uppercase().replace(LEVELS)


def rule_text_of_pairs() -> pl.Expr:
    """The text of a line with fields for the rules: its message and, on the next line, its error.

    >>> row = {"message": "no answer", "attrs": '{"model":"demo","err":"unexpected EOF"}'}
    >>> pl.DataFrame([row]).select(rule_text_of_pairs()).item()
    'no answer\\nunexpected EOF'
    """
    errors = [pl.col("attrs").str.json_path_match(f"$.{name}") for name in ("err", "error", "cause")]
    return pl.concat_str(pl.col("message"), pl.coalesce(errors), separator="\n", ignore_nulls=True)


def _value(path: str, source: pl.Expr) -> pl.Expr:
    value = source.str.json_path_match(path).str.head(_LONGEST_CHARS).str.strip_chars()
    plain = value.str.replace_all("\r", "", literal=True).str.replace_all(_QUOTED, "${1}…")
    return pl.when(plain.str.contains(_IS_KEPT)).then(plain)


def _first(paths: tuple[str, ...], source: pl.Expr) -> pl.Expr:
    return pl.coalesce(*(_value(path, source) for path in paths), pl.lit(None, dtype=pl.String))


def _all(paths: tuple[str, ...], source: pl.Expr, *, beside: str) -> pl.Expr:
    """The distinct values under all paths, one per line; null when there are none."""
    if not paths:
        return pl.lit(None, dtype=pl.String)
    values = pl.concat_list(_value(path, source) for path in paths).list.drop_nulls().list.unique(maintain_order=True)
    joined = values.list.set_difference(pl.concat_list(beside)).list.join("\n")
    return pl.when(joined != "").then(joined)
