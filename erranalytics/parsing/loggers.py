"""JSON lines of loggers: where each puts its level, its time, its text and the error it was given.

What is read stands in the format (``reads``: JSON paths, the first that gives something). Nothing else of the object is
kept: a logger prints an error with all its fields, and with them the request and what was asked.
"""

from __future__ import annotations

import polars as pl

from erranalytics.parsing.lineformats import LineFormat

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
_ONE = ("level", "time", "component", "message", "exception_type", "error_message", "error_status", "model")
_LONGEST_CHARS = 4_000
# Objects are errors of a body, or they are not kept; so is what a parser quotes of an answer.
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
        The same rows with ``level``, ``component``, ``message``, ``rfctime``; ``told``, what the rules read; and
        ``kept``, a JSON object of what is known of the error.
    """
    # Behind the text of a line the object stands as its attributes; then the line tells the rest.
    is_behind = "attrs" in form.groups
    if is_behind:
        bodies = bodies.with_columns(_apart())
    source = pl.col("attrs" if is_behind else "body")
    told = ("exception_type", "error_message", "error_status", "model") if is_behind else _ONE
    table = bodies.with_columns(_first(form.reads.get(name, ()), source).alias(name) for name in told)
    table = table.with_columns(
        pl.col("exception_type").str.extract(_CLASS),
        lines=_all(form.reads.get("details", ()), source, beside="error_message"),
    )
    said, error = pl.col("message"), pl.col("error_message")
    is_told = (error.is_null() | said.str.contains(error, literal=True)).fill_null(value=False)
    table = table.with_columns(
        message=pl.when(is_told).then(said).otherwise(pl.concat_str(said, error, separator=": ", ignore_nulls=True))
    )
    has_error = pl.coalesce("exception_type", "error_status").is_not_null()
    known = pl.struct(
        "lines",
        "exception_type",
        "error_message",
        "error_status",
        "model",
        logged=pl.when(has_error).then(pl.lit("error")),
    ).struct.json_encode()
    slim = known.str.replace_all(r'"\w+":null,?', "").str.replace(r",\}$", "}")
    if not is_behind:
        table = table.with_columns(rfctime="time").drop("time")
    return table.with_columns(
        attrs=pl.lit(None, dtype=pl.String),
        told=pl.concat_str("message", "error_message", "lines", separator="\n", ignore_nulls=True),
        kept=pl.when(slim != "{}").then(slim),
    ).drop("exception_type", "error_message", "error_status", "model", "lines")


def _apart() -> list[pl.Expr]:
    """Where a text ends in an object itself, only the last object is that of the line."""
    attrs, both = pl.col("attrs"), r'^(.*\}) (\{".*\})$'
    is_two = (attrs.str.json_path_match("$").is_null() & attrs.str.contains(both)).fill_null(value=False)
    said = pl.concat_str("message", attrs.str.extract(both, 1), separator=" ")
    return [
        pl.when(is_two).then(said).otherwise("message").alias("message"),
        pl.when(is_two).then(attrs.str.extract(both, 2)).otherwise(attrs).alias("attrs"),
    ]


def level(word: pl.Expr) -> pl.Expr:
    """The level of a client's line in one form.

    >>> pl.DataFrame({"l": ["error", "50", "ERRO"]}).select(level(pl.col("l"))).to_series().to_list()
    ['ERROR', 'ERROR', 'ERROR']
    """
    return word.str.to_uppercase().replace(LEVELS)


def told_in_pairs() -> pl.Expr:
    """What the rules read of a line with fields: its message and, on a line of its own, the error.

    >>> row = {"message": "no answer", "attrs": '{"model":"demo","err":"unexpected EOF"}'}
    >>> pl.DataFrame([row]).select(told_in_pairs()).item()
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
    """The values under all paths, each once, each from a line of its own; null when there are none."""
    if not paths:
        return pl.lit(None, dtype=pl.String)
    values = pl.concat_list(_value(path, source) for path in paths).list.drop_nulls().list.unique(maintain_order=True)
    joined = values.list.set_difference(pl.concat_list(beside)).list.join("\n")
    return pl.when(joined != "").then(joined)
