"""RECORDS to EVENTS: typed columns for each line format, and one UTC time for every record.

Text repeats: most slog lines differ only in their stamp, and runner lines hardly differ at all. So stamps are cut off
first, and patterns run on the distinct remainder.
"""

from __future__ import annotations

import polars as pl

from erranalytics import redaction, schema
from erranalytics.clocks import timestamps
from erranalytics.clocks.clock import GO_TIME, Clock, set_time
from erranalytics.parsing import gateways, loggers
from erranalytics.parsing.fields import FIELD_NAMES, attrs_json, cut, extract, rest_json, unquote, with_rest
from erranalytics.parsing.gin import parse_gin
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook, LineFormat
from erranalytics.parsing.slog import parse_slog

# Columns that a record already has. The others are parsed for each family of formats and put back in order.
_OF_RECORDS = ("line_no", "line_count", "host", "unit", "pid", "stamp", "clock")
_PARSED: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    **{name: kind for name, kind in schema.EVENTS.items() if name not in (*_OF_RECORDS, "ts", "ts_source")},
    "own_utc": schema.UTC_US,
    "own_naive": schema.NAIVE_US,
    "zone_s": pl.Int32(),
    "own_clock": pl.String(),
}
# The levels of java.util.logging in its languages (sun.util.logging.resources of JDK 17), by the names used here.
_LEVELS = {
    **dict.fromkeys(("SEVERE", "SCHWERWIEGEND", "GRAVE", "ALLVARLIG", "严重", "嚴重", "重大", "심각"), "ERROR"),
    **dict.fromkeys(("WARNUNG", "AVERTISSEMENT", "ADVERTENCIA", "AVVERTENZA"), "WARNING"),
    **dict.fromkeys(("ADVERTÊNCIA", "VARNING", "警告", "경고"), "WARNING"),
    **dict.fromkeys(("INFORMATION", "INFOS", "INFORMACIÓN", "INFORMAZIONI"), "INFO"),
    **dict.fromkeys(("INFORMAÇÕES", "信息", "資訊", "情報", "정보"), "INFO"),
    **dict.fromkeys(("CONFIG", "FINE"), "DEBUG"),
    **dict.fromkeys(("FINER", "FINEST"), "TRACE"),
}


def parse(records: pl.DataFrame, *, book: FormatBook, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """RECORDS to EVENTS.

    Returns:
        The events in the order of the records, and the clock after the last of them.
    """
    if records.is_empty():
        return schema.empty(schema.EVENTS), clock
    frame = records.select("format", "body", redaction.mask_secrets(records["rest"])).with_row_index("row")
    frame = _with_second(frame, book)
    frame = _with_stacks(frame, book)
    parts = _parse_parts(frame, book)
    parsed = pl.concat(part.select(_column(part, name) for name in _PARSED) for part in parts)
    parsed = parsed.sort("row") if parsed.height > 1 else parsed
    parsed = records.select(_OF_RECORDS).hstack(parsed.drop("row"))
    timed, clock = set_time(parsed, clock)
    columns = {**{name: pl.col(name) for name in schema.EVENTS}, "message": cut(pl.col("message"))}
    kinds = timed.schema
    typed = (
        column if kinds[name] == schema.EVENTS[name] else column.cast(schema.EVENTS[name])
        for name, column in columns.items()
    )
    return timed.select(typed), clock


def _with_stacks(frame: pl.DataFrame, book: FormatBook) -> pl.DataFrame:
    """Change the format of errors with a stack: Ollama's command line prints none, so Node printed the error."""
    form, rest = pl.col("format"), pl.col("rest")
    if frame["rest"].null_count() == frame.height:
        return frame
    is_node = form.is_in(list(book.stack_formats)) & rest.str.contains(r"(?m)^ +at \S").fill_null(value=False)
    return frame.with_columns(format=pl.when(is_node).then(form.replace(book.stack_formats)).otherwise(form))


def _parse_parts(frame: pl.DataFrame, book: FormatBook) -> list[pl.DataFrame]:
    """Parse the records with the reader of their format; readers without records are skipped."""
    left = {str(name): part for (name,), part in frame.partition_by("format", as_dict=True).items()}
    parts: list[pl.DataFrame] = []
    # A reader may pass lines on to the format that looks like its own.
    for form in sorted((book.by_name[name] for name in book.names("reader")), key=lambda form: form.lookalike is None):
        if (part := left.pop(form.name, None)) is None:
            continue
        if form.reader == "slog":
            parts.append(parse_slog(part, form, book.by_name.get(form.lookalike or "")))
        elif form.reader == "gin-line":
            part = parse_gin(part, form)
            # GIN lines of other programs begin with the same bytes as Ollama's.
            if form.lookalike and not (unread := part.filter(pl.col("format") == UNKNOWN)).is_empty():
                others = [left[form.lookalike]] if form.lookalike in left else []
                unread = unread.select(frame.columns).with_columns(format=pl.lit(form.lookalike))
                left[form.lookalike] = pl.concat([unread, *others])
                part = part.filter(pl.col("format") != UNKNOWN)
            parts.append(part)
        elif form.reader in gateways.READERS:
            parts.append(_parse_gateway(part, form))
        else:
            left[form.name] = part
    if left:
        parts.append(_parse_others(pl.concat(left.values()), book))
    return parts


def _column(part: pl.DataFrame, name: str) -> pl.Expr:
    """A column of ``_PARSED``; null if a family of formats does not have it."""
    kind = part.schema.get(name)
    if kind is None:
        return pl.lit(None, dtype=_PARSED[name]).alias(name)
    return pl.col(name) if kind == _PARSED[name] else pl.col(name).cast(_PARSED[name])


def _with_second(frame: pl.DataFrame, book: FormatBook) -> pl.DataFrame:
    """Move the second line of a record to the first where a format reads the two together (``second``)."""
    form, rest = pl.col("format"), pl.col("rest")
    if frame["rest"].null_count() == frame.height or not frame.select(form.is_in(book.names("second")).any()).item():
        return frame
    line = rest.str.extract(r"^([^\n]*)")
    return frame.with_columns(is_pair=book.is_second(line, form)).select(
        "row",
        "format",
        body=pl.when("is_pair").then(pl.col("body") + "\n" + line).otherwise("body"),
        rest=pl.when("is_pair").then(rest.str.extract(r"(?s)^[^\n]*\n(.*)$")).otherwise(rest),
    )


def _parse_gateway(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    if frame.is_empty():
        return frame
    table = gateways.parse(frame, form)
    attrs = pl.coalesce(rest_json(pl.col("rest")), "attrs")
    return table.with_columns(text=with_rest(pl.col("text")), attrs=attrs, own_clock=pl.lit(form.clock))


def _fields_of_others(frame: pl.DataFrame, book: FormatBook) -> list[pl.DataFrame]:
    """The fields that the pattern of each format finds in its distinct bodies, and in the objects of loggers."""
    parts = []
    distinct = frame.select("body", "format")
    distinct = distinct.unique() if frame.height > 1 else distinct
    for (name,), part in distinct.partition_by("format", as_dict=True).items():
        form = book.by_name.get(str(name))
        if form is None:
            empty = [pl.lit(None, dtype=pl.String).alias(field) for field in FIELD_NAMES]
            parts.append(part.with_columns(empty, raw_attrs_length=pl.lit(0, dtype=pl.UInt32)))
        else:
            fields = extract(part, "body", form)
            parts.append(loggers.read(fields, form) if form.reads else fields)
    return parts


# The columns that only objects of loggers have.
_NO_OBJECTS = pl.DataFrame(schema={"rule_text": pl.String, "kept_attrs": pl.String})


def _parse_others(frame: pl.DataFrame, book: FormatBook) -> pl.DataFrame:
    """Parse every other format, once per distinct body."""
    parts = _fields_of_others(frame, book)
    if not parts:
        return frame.head(0)
    fields = _finish_fields(pl.concat([_NO_OBJECTS, *parts], how="diagonal_relaxed"), book)
    if frame.height == 1:
        joined = frame.hstack(fields.drop("body", "format"))
    else:
        joined = frame.join(fields, on=["body", "format"], how="left", maintain_order="left")
    form, message = pl.col("format"), pl.col("message")
    for characters, names in book.by_value("trims").items():
        message = pl.when(form.is_in(names)).then(message.str.strip_chars_start(characters)).otherwise(message)
    is_bare, line = form.is_in(book.names("bare")), pl.coalesce("rule_text", "masked")
    text = pl.when(is_bare).then(pl.coalesce("rule_text", "message", "masked")).otherwise(line)
    attrs = pl.coalesce(rest_json(pl.col("rest")), "attrs") if _has_any(frame, "rest") else pl.col("attrs")
    kinds = (form.replace_strict(names, default=None) for names in (book.clocks, book.local_clocks))
    moment, local = (kind.cast(pl.String) for kind in kinds)
    own_clock = pl.when(pl.col("own_utc").is_not_null()).then(moment).otherwise(local)
    joined = joined.with_columns(message=message, text=with_rest(text), attrs=attrs, own_clock=own_clock)
    return joined.drop("masked", "rule_text", "kept_attrs")


def _finish_fields(fields: pl.DataFrame, book: FormatBook) -> pl.DataFrame:
    """Mask secrets and prompts; set message, attributes, level, stamps and the text for the rules."""
    masked = redaction.mask_secrets(fields["body"]).alias("masked")
    texts = [redaction.mask_secrets(fields[name]) for name in ("rule_text", "kept_attrs", "quoted")]
    fields = fields.with_columns(*texts, masked)
    form, records = pl.col("format"), book.read_by("record")
    is_client = form.is_in(book.client_formats)
    fields = fields.with_columns(
        # A dumped request is a JSON object already.
        attrs=pl.when(form.is_in(book.read_by("dump")))
        .then("masked")
        .otherwise(pl.coalesce("kept_attrs", attrs_json(redaction.mask_prompts(fields["attrs"])))),
        message=pl.coalesce(
            *([_json_message(records)] if fields["format"].is_in(records).any() else ()),
            *([unquote(pl.col("quoted"))] if _has_any(fields, "quoted") else ()),
            redaction.mask_secrets(fields["message"]),
            "masked",
        ),
        **_own_times(fields, book),
        level=pl.when(is_client).then(loggers.level(pl.col("level"))).otherwise("level").replace(_LEVELS),
    )
    if fields["attrs"].null_count() < fields.height:
        is_paired = is_client & pl.col("attrs").is_not_null() & pl.col("kept_attrs").is_null()
        text = pl.when(is_paired).then(loggers.rule_text_of_pairs()).otherwise("rule_text")
        fields = fields.with_columns(rule_text=text)
    return fields


def _has_any(fields: pl.DataFrame, *names: str) -> bool:
    """Whether some line has a value in one of these columns."""
    return any(fields[name].null_count() < fields.height for name in names)


def _own_times(fields: pl.DataFrame, book: FormatBook) -> dict[str, pl.Expr]:
    """``own_utc`` and ``own_naive`` from the groups that hold stamps; groups without any value are skipped."""
    utc, naive = [pl.lit(None, dtype=schema.UTC_US)], [pl.lit(None, dtype=schema.NAIVE_US)]
    if _has_any(fields, "rfctime"):
        utc.append(timestamps.moment(pl.col("rfctime")))
    if _has_any(fields, "localtime"):
        utc.append(timestamps.any_rfc3339(pl.col("localtime").str.replace(",", ".") + pl.col("zone")))
    for pattern, names in book.by_value("unix").items():
        if fields["format"].is_in(names).any():
            body = pl.when(pl.col("format").is_in(names)).then("body")
            utc.append(timestamps.unix(body.str.extract(pattern)))
    if _has_any(fields, "gotime"):
        naive.append(timestamps.naive(pl.col("gotime"), GO_TIME))
    if _has_any(fields, "localtime"):
        naive.append(pl.when(pl.col("zone").is_null()).then(timestamps.dated(pl.col("localtime"))))
    if _has_any(fields, "rfctime"):
        naive.append(timestamps.dated(pl.col("rfctime")))
    if _has_any(fields, "halftime"):
        naive.append(timestamps.half_days(pl.col("halftime")))
    return {"own_utc": pl.coalesce(utc), "own_naive": pl.coalesce(naive)}


def _json_message(records: list[str]) -> pl.Expr:
    body, is_json = pl.col("body"), pl.col("format").is_in(records)
    names = ("error_message", "error", "message", "msg", "event", "record.message")
    values = [body.str.json_path_match(f"$.{name}") for name in names]
    # The object itself is never the message: it may contain a prompt.
    route = pl.lit("call of ") + body.str.json_path_match("$.endpoint")
    return pl.when(is_json).then(pl.coalesce(*values, route, body.str.json_path_match("$.name"), pl.lit("call")))
