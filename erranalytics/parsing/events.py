"""RECORDS to EVENTS: typed columns for each line format, and one UTC time for every record.

Text repeats: slog lines differ mostly in their stamp, runner lines hardly at all. So stamps are cut off
first and patterns run on the distinct rest.
"""

from __future__ import annotations

import polars as pl

from erranalytics import redaction, schema
from erranalytics.clocks import timestamps
from erranalytics.clocks.clock import GO_TIME, Clock, set_time
from erranalytics.parsing import gateways, loggers
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook, LineFormat

MESSAGE_LIMIT = 16_384
GIN_TIME = "%Y/%m/%d - %H:%M:%S"

# What a record has already; the rest is parsed for each family of formats and put back in order.
_KEPT = ("line_no", "line_count", "host", "unit", "pid", "stamp", "clock")
_PARSED: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    **{name: kind for name, kind in schema.EVENTS.items() if name not in (*_KEPT, "ts", "ts_source")},
    "own_utc": schema.UTC_US,
    "own_naive": schema.NAIVE_US,
    "zone_s": pl.Int32(),
}
_CPP_TIME = r'\btimestamp"?[=:](\d{10})\b'
_JSON_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# The levels of java.util.logging (sun.util.logging.resources of JDK 17), where other loggers have other words.
_LEVELS = {
    **dict.fromkeys(("SEVERE", "SCHWERWIEGEND", "GRAVE", "ALLVARLIG", "严重", "嚴重", "重大", "심각"), "ERROR"),
    **dict.fromkeys(("WARNUNG", "AVERTISSEMENT", "ADVERTENCIA", "AVVERTENZA"), "WARNING"),
    **dict.fromkeys(("ADVERTÊNCIA", "VARNING", "警告", "경고"), "WARNING"),
    **dict.fromkeys(("INFORMATION", "INFOS", "INFORMACIÓN", "INFORMAZIONI"), "INFO"),
    **dict.fromkeys(("INFORMAÇÕES", "信息", "資訊", "情報", "정보"), "INFO"),
    **dict.fromkeys(("CONFIG", "FINE"), "DEBUG"),
    **dict.fromkeys(("FINER", "FINEST"), "TRACE"),
}
_FIELDS = ("level", "component", "quoted", "message", "attrs", "gotime", "rfctime", "localtime", "halftime", "zone")


def parse(records: pl.DataFrame, *, book: FormatBook, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """RECORDS to EVENTS.

    Returns:
        The events in the order of the records, and the clock behind the last of them.
    """
    if records.is_empty():
        return schema.empty(schema.EVENTS), clock
    frame = records.select("format", "body", redaction.mask_secrets(records["rest"])).with_row_index("row")
    frame = _with_second(frame, book)
    # The command line prints its error and ends; where a stack follows, Node printed it.
    is_node = (pl.col("format") == "ollama-text") & pl.col("rest").str.contains(r"(?m)^ +at \S").fill_null(value=False)
    if frame["rest"].null_count() < frame.height:
        frame = frame.with_columns(format=pl.when(is_node).then(pl.lit("client-console")).otherwise("format"))
    # Most batches hold few of the formats: what is not there is not parsed.
    left = {str(name): part for (name,), part in frame.partition_by("format", as_dict=True).items()}
    parts: list[pl.DataFrame] = []
    if (slog := left.pop("slog-text", None)) is not None:
        parts.append(_parse_slog(slog, book.by_name["slog-text"], book.by_name["client-slog"]))
    if (gin := left.pop("gin", None)) is not None:
        gin = _parse_gin(gin, book.by_name["gin"])
        # Lines of GIN that are not Ollama's begin with the same bytes.
        if not (strange := gin.filter(pl.col("format") == UNKNOWN)).is_empty():
            strange = strange.select(frame.columns).with_columns(format=pl.lit("gateway-gin"))
            left["gateway-gin"] = pl.concat([strange, *([left["gateway-gin"]] if "gateway-gin" in left else [])])
            gin = gin.filter(pl.col("format") != UNKNOWN)
        parts.append(gin)
    parts += [_parse_gateway(left.pop(name), book.by_name[name]) for name in gateways.OWN if name in left]
    if left:
        parts.append(_parse_others(pl.concat(left.values()), book))
    parsed = pl.concat(part.select(_column(part, name) for name in _PARSED) for part in parts)
    parsed = parsed.sort("row") if parsed.height > 1 else parsed
    parsed = records.select(_KEPT).hstack(parsed.drop("row"))
    timed, clock = set_time(parsed, clock)
    columns = {**{name: pl.col(name) for name in schema.EVENTS}, "message": _cut(pl.col("message"))}
    kinds = timed.schema
    typed = (
        column if kinds[name] == schema.EVENTS[name] else column.cast(schema.EVENTS[name])
        for name, column in columns.items()
    )
    return timed.select(typed), clock


def _column(part: pl.DataFrame, name: str) -> pl.Expr:
    """A column of ``_PARSED``; null where a family of formats does not have it."""
    kind = part.schema.get(name)
    if kind is None:
        return pl.lit(None, dtype=_PARSED[name]).alias(name)
    return pl.col(name) if kind == _PARSED[name] else pl.col(name).cast(_PARSED[name])


def _with_second(frame: pl.DataFrame, book: FormatBook) -> pl.DataFrame:
    """Where the first two lines of a record are one statement, the second stands with the first."""
    form, rest = pl.col("format"), pl.col("rest")
    if frame["rest"].null_count() == frame.height or not frame.select(form.is_in(book.names("second")).any()).item():
        return frame
    line = rest.str.extract(r"^([^\n]*)")
    return frame.with_columns(is_whole=book.is_second(line, form)).select(
        "row",
        "format",
        body=pl.when("is_whole").then(pl.col("body") + "\n" + line).otherwise("body"),
        rest=pl.when("is_whole").then(rest.str.extract(r"(?s)^[^\n]*\n(.*)$")).otherwise(rest),
    )


def _parse_slog(frame: pl.DataFrame, form: LineFormat, client: LineFormat) -> pl.DataFrame:
    """slog text: the stamp has 24 or 29 characters, the rest is parsed once per distinct text."""
    body = pl.col("body")
    is_utc = body.str.slice(28, 1) == "Z"
    cut = frame.with_columns(
        own_text=pl.when(is_utc).then(body.str.slice(5, 24)).otherwise(body.str.slice(5, 29)),
        tail=pl.when(is_utc).then(body.str.slice(30)).otherwise(body.str.slice(35)),
    )
    cut = cut.hstack(timestamps.slog(cut["own_text"]))
    distinct = cut.select(pl.col("tail").unique())
    fields = _extract(distinct.select("tail", line=pl.lit("time=0 ") + pl.col("tail")), "line", form)
    fields = _finish_slog(fields)
    fields = _of_clients(fields, client)
    joined = cut.join(fields, on="tail", how="left", maintain_order="left")
    joined = joined.with_columns(format=pl.coalesce("owner", "format"))
    is_bad = pl.col("own_utc").is_null() | pl.col("level").is_null()
    return joined.with_columns(
        format=pl.when(is_bad).then(pl.lit(UNKNOWN)).otherwise("format"),
        message=pl.when(is_bad).then("body").otherwise("message"),
        text=_with_rest(pl.when(is_bad).then("body").otherwise(pl.coalesce("told", "tail_masked"))),
    ).drop("tail", "tail_masked", "own_text", "line", "told", "owner")


def _of_clients(fields: pl.DataFrame, client: LineFormat) -> pl.DataFrame:
    """Add ``owner``, the format of lines that are those of a program, and ``told``, what the rules read of them."""
    # v0.1.21 and v0.1.22 printed the whole path, which is another where a distribution built them.
    path = pl.col("component")
    may_be = path.is_null() | (path.str.contains("/", literal=True) & ~path.str.contains("ollama/", literal=True))
    is_theirs = (may_be & pl.col("line").str.contains(client.pattern)).fill_null(value=False)
    if not fields.select(is_theirs.any()).item():
        return fields.with_columns(owner=pl.lit(None, pl.String), told=pl.lit(None, pl.String))
    return fields.with_columns(
        owner=pl.when(is_theirs).then(pl.lit(client.name)), told=pl.when(is_theirs).then(loggers.told_in_pairs())
    )


def _finish_slog(fields: pl.DataFrame) -> pl.DataFrame:
    """Unquote the message, mask prompts, turn the attributes into JSON."""
    fields = fields.with_columns(redaction.mask_prompts(fields["attrs"]))
    fields = fields.with_columns(redaction.mask_secrets(fields["attrs"]), redaction.mask_secrets(fields["quoted"]))
    head = pl.col("tail").str.slice(0, pl.col("tail").str.len_chars() - pl.col("raw_attrs_length"))
    masked = pl.when(pl.col("raw_attrs_length") > 0).then(head + pl.col("attrs")).otherwise("tail")
    has_quote = pl.col("quoted").is_not_null()
    return fields.with_columns(
        tail_masked=masked,
        message=pl.when(has_quote).then(unquote(pl.col("quoted"))).otherwise("message"),
        attrs=_attrs_json(fields["attrs"]),
    )


def _extract(frame: pl.DataFrame, column: str, form: LineFormat) -> pl.DataFrame:
    """Add the named groups of a format as columns; those it lacks are null."""
    groups = pl.col(column).str.extract_groups(form.pattern)
    known = [groups.struct.field(name).replace("", None).alias(name) for name in form.groups if name in _FIELDS]
    missing = [pl.lit(None, dtype=pl.String).alias(name) for name in _FIELDS if name not in form.groups]
    found = frame.with_columns(*known, *missing)
    return found.with_columns(raw_attrs_length=pl.col("attrs").str.len_chars().fill_null(0))


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


def _attrs_json(attrs: pl.Series) -> pl.Series:
    """slog attributes as a JSON object of strings; a key that comes twice stands twice."""
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
    # What a cut line leaves between the attributes stays as text.
    broken = pl.lit('"text":"') + pl.col("attrs").str.replace_many(_JSON_ESCAPES) + pl.lit('"')
    is_broken = ~pl.col("inner").str.starts_with('"') | pl.col("inner").str.contains_any(["\x01", "\x02"])
    inner = pl.when(is_broken).then(broken).otherwise("inner")
    return frame.select(
        pl.when(pl.col("attrs").str.strip_chars() != "").then("{" + inner + "}").alias("attrs")
    ).to_series()


def _json_escapes(token: pl.Expr) -> pl.Expr:
    """Go escapes that JSON lacks; a bare value (a Windows path) has backslashes that mean themselves."""
    guarded = token.str.replace_all(r"\\", "\x00", literal=True)
    quoted = (
        guarded.str.replace_all(r"\\x([0-9a-f]{2})", r"\u00$1")
        .str.replace_all(r"\\[avU]", " ")
        .str.replace_all("\x00", r"\\", literal=True)
    )
    bare = token.str.replace_all("\\", r"\\", literal=True)
    return pl.when(token.str.contains('="', literal=True)).then(quoted).otherwise(bare)


def _parse_gin(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Access lines: every field is typed, so the text is not kept.

    The columns are cut at their bars, which costs a tenth of the pattern; a line that does not come out
    whole that way meets the pattern.
    """
    part = pl.col("body").str.splitn("|", 5).alias("part")
    field = pl.col("part").struct.field
    latency = field("field_2").str.strip_chars()
    number = latency.str.strip_chars_end("nmsuµμ")
    unit = pl.when(latency.str.ends_with("ms")).then(1e3).when(latency.str.ends_with("µs")).then(1.0)
    route = field("field_4").str.strip_chars()
    table = frame.with_columns(part).with_columns(
        # One second holds many requests.
        own_naive=timestamps.by_runs(frame["body"].str.slice(6, 21), timestamps.naive(pl.col("text"), GIN_TIME)),
        status=field("field_1").str.strip_chars().cast(pl.Int16, strict=False),
        duration_us=(
            number.cast(pl.Float64, strict=False)
            * unit.when(latency.str.ends_with("ns")).then(1e-3).when(latency.str.ends_with("s")).then(1e6)
        )
        .round()
        .cast(pl.Int64),
        client_address=field("field_3").str.strip_chars(),
        route=route,
    )
    # There are few routes: method and path, and the texts made of them, are taken apart and put together once each.
    routes = table.select("status", "route").unique()
    parts = pl.col("route").str.extract_groups(r'^(?P<method>[A-Z]+)\s+"(?P<path>[^"?]*)(?:\?[^"]*)?"')
    routes = routes.with_columns(parts.alias("parts")).unnest("parts").with_columns(_gin_texts())
    table = table.join(routes, on=["status", "route"], how="left", nulls_equal=True, maintain_order="left")
    table = table.drop("part", "route")
    is_whole = pl.all_horizontal(pl.col("own_naive", "status", "duration_us", "method").is_not_null())
    if not table.select(is_whole.all()).item():
        slow = _parse_gin_slowly(table.filter(~is_whole).select(frame.columns), form)
        table = pl.concat([table.filter(is_whole), slow.select(table.columns)])
    is_bad = pl.col("own_naive").is_null()
    return table.with_columns(
        format=pl.when(is_bad).then(pl.lit(UNKNOWN)).otherwise("format"),
        message=pl.when(is_bad).then("body").otherwise("message"),
        text=_with_rest(pl.when(is_bad).then("body").otherwise("text")),
        attrs=_rest_json(pl.col("rest")),
    )


def _gin_texts() -> list[pl.Expr]:
    """``message``, and ``text`` for the rules, of an access line by its status, method and path."""
    line = pl.concat_str(pl.col("status").cast(pl.String), "method", "path", separator=" ")
    return [line.alias("message"), gin_text().alias("text")]


def gin_text() -> pl.Expr:
    """What the rules read of an access line, from its columns ``status``, ``method`` and ``path``."""
    return pl.format('[GIN] | {} | {} "{}"', "status", "method", "path")


def _parse_gin_slowly(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Latencies of a minute and more, mangled micro signs, lines that are cut."""
    field = pl.col("part").struct.field
    return (
        frame.with_columns(pl.col("body").str.extract_groups(form.pattern).alias("part"))
        .with_columns(
            own_naive=timestamps.naive(field("time"), GIN_TIME),
            status=field("status").cast(pl.Int16, strict=False),
            duration_us=timestamps.go_duration_us(field("hours"), field("minutes"), field("number"), field("unit")),
            client_address=field("client"),
            method=field("method"),
            path=field("path"),
        )
        .with_columns(_gin_texts())
    )


def _parse_gateway(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    if frame.is_empty():
        return frame
    table = gateways.parse(frame, form)
    attrs = pl.coalesce(_rest_json(pl.col("rest")), "attrs")
    return table.with_columns(text=_with_rest(pl.col("text")), attrs=attrs)


def _fields_of_others(frame: pl.DataFrame, book: FormatBook) -> list[pl.DataFrame]:
    """What the pattern of each format finds in its distinct bodies, and in the objects of loggers."""
    parts = []
    distinct = frame.select("body", "format")
    distinct = distinct.unique() if frame.height > 1 else distinct
    for (name,), part in distinct.partition_by("format", as_dict=True).items():
        form = book.by_name.get(str(name))
        if form is None:
            empty = [pl.lit(None, dtype=pl.String).alias(field) for field in _FIELDS]
            parts.append(part.with_columns(empty, raw_attrs_length=pl.lit(0, dtype=pl.UInt32)))
        else:
            found = _extract(part, "body", form)
            parts.append(loggers.read(found, form) if form.reads else found)
    return parts


# What is read of the objects of loggers.
_NO_OBJECTS = pl.DataFrame(schema={"told": pl.String, "kept": pl.String})


def _parse_others(frame: pl.DataFrame, book: FormatBook) -> pl.DataFrame:
    """Every other format, once per distinct body."""
    parts = _fields_of_others(frame, book)
    if not parts:
        return frame.head(0)
    fields = pl.concat([_NO_OBJECTS, *parts], how="diagonal_relaxed")
    masked = redaction.mask_secrets(fields["body"]).alias("masked")
    fields = fields.with_columns(*(redaction.mask_secrets(fields[name]) for name in ("told", "kept", "quoted")), masked)
    is_client = pl.col("format").is_in(book.of_clients)
    fields = fields.with_columns(
        # A dumped request is a JSON object already.
        attrs=pl.when(pl.col("format") == "request-dump")
        .then("masked")
        .otherwise(pl.coalesce("kept", _attrs_json(redaction.mask_prompts(fields["attrs"])))),
        message=pl.coalesce(
            *([_json_message()] if "client-json" in fields["format"] else ()),
            *([unquote(pl.col("quoted"))] if _is_told(fields, "quoted") else ()),
            redaction.mask_secrets(fields["message"]),
            "masked",
        ),
        **_own_times(fields),
        level=pl.when(is_client).then(loggers.level(pl.col("level"))).otherwise("level").replace(_LEVELS),
    )
    if fields["attrs"].null_count() < fields.height:
        is_paired = is_client & pl.col("attrs").is_not_null() & pl.col("kept").is_null()
        fields = fields.with_columns(told=pl.when(is_paired).then(loggers.told_in_pairs()).otherwise("told"))
    if frame.height == 1:
        joined = frame.hstack(fields.drop("body", "format"))
    else:
        joined = frame.join(fields, on=["body", "format"], how="left", maintain_order="left")
    # A separator between level and message is no part of it.
    is_text = pl.col("format") == "client-text"
    said = pl.when(is_text).then(pl.col("message").str.strip_chars_start(" :|-")).otherwise("message")
    is_bare = pl.col("format").is_in(book.names("bare"))
    read = pl.when(is_bare).then(pl.coalesce("told", "message", "masked")).otherwise(pl.coalesce("told", "masked"))
    attrs = pl.coalesce(_rest_json(pl.col("rest")), "attrs") if _is_told(frame, "rest") else pl.col("attrs")
    return joined.with_columns(message=said, text=_with_rest(read), attrs=attrs).drop("masked", "told", "kept")


def _is_told(fields: pl.DataFrame, *names: str) -> bool:
    """Whether some line tells one of these."""
    return any(fields[name].null_count() < fields.height for name in names)


def _own_times(fields: pl.DataFrame) -> dict[str, pl.Expr]:
    """The stamp of a line by the groups that hold it: a moment, or one without a zone; only what some line has."""
    utc, naive = [pl.lit(None, dtype=schema.UTC_US)], [pl.lit(None, dtype=schema.NAIVE_US)]
    if _is_told(fields, "rfctime"):
        utc.append(timestamps.moment(pl.col("rfctime")))
    if _is_told(fields, "localtime"):
        utc.append(timestamps.any_rfc3339(pl.col("localtime").str.replace(",", ".") + pl.col("zone")))
    if fields["format"].is_in(["cpp-json", "cpp-log", "cpp-text"]).any():
        utc.append(_cpp_time(pl.col("body"), pl.col("format")))
    if _is_told(fields, "gotime"):
        naive.append(timestamps.naive(pl.col("gotime"), GO_TIME))
    if _is_told(fields, "localtime"):
        naive.append(pl.when(pl.col("zone").is_null()).then(timestamps.dated(pl.col("localtime"))))
    if _is_told(fields, "rfctime"):
        naive.append(timestamps.dated(pl.col("rfctime")))
    if _is_told(fields, "halftime"):
        naive.append(timestamps.half_days(pl.col("halftime")))
    return {"own_utc": pl.coalesce(utc), "own_naive": pl.coalesce(naive)}


def _cpp_time(body: pl.Expr, form: pl.Expr) -> pl.Expr:
    """The C++ server gave each line the seconds since 1970 (llm/ext_server/utils.hpp@v0.1.34, server_log)."""
    return timestamps.unix(pl.when(form.str.starts_with("cpp-")).then(body).str.extract(_CPP_TIME))


def _json_message() -> pl.Expr:
    body, is_json = pl.col("body"), pl.col("format") == "client-json"
    names = ("error_message", "error", "message", "msg", "event", "record.message")
    found = [body.str.json_path_match(f"$.{name}") for name in names]
    # The object itself is never the message: there may be a prompt in it.
    route = pl.lit("call of ") + body.str.json_path_match("$.endpoint")
    return pl.when(is_json).then(pl.coalesce(*found, route, body.str.json_path_match("$.name"), pl.lit("call")))


def _with_rest(text: pl.Expr) -> pl.Expr:
    return pl.when(pl.col("rest").is_null()).then(text).otherwise(pl.concat_str(text, "rest", separator="\n"))


def _rest_json(rest: pl.Expr) -> pl.Expr:
    cleaned = rest.str.replace_many(_JSON_ESCAPES).str.replace_all(r"[\x00-\x1f]", " ")
    return pl.when(rest.is_not_null()).then(pl.lit('{"lines":"') + cleaned + pl.lit('"}'))


def _cut(message: pl.Expr) -> pl.Expr:
    """A message of megabytes is cut with a mark."""
    short = message.str.slice(0, MESSAGE_LIMIT // 4) + " […cut]"
    return pl.when(message.str.len_bytes() > MESSAGE_LIMIT).then(short).otherwise(message).alias("message")
