"""RECORDS to EVENTS: typed columns for each line format, and one UTC time for every record.

Text repeats: slog lines differ mostly in their stamp, runner lines hardly at all. So stamps are cut off
first and patterns run on the distinct rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from erranalytics import redact, schema, timestamps
from erranalytics.lineformats import UNKNOWN, FormatBook, LineFormat

MESSAGE_LIMIT = 16_384
GIN_TIME = "%Y/%m/%d - %H:%M:%S"
GO_TIME = "%Y/%m/%d %H:%M:%S"

_SLOG_STAMP = re.compile(r"time=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d) level=")
_NAIVE_STAMP = re.compile(r"(?:\[GIN\] |^)(\d{4}/\d\d/\d\d)(?: -)? (\d\d:\d\d:\d\d)", re.MULTILINE)
_SHORT_STAMP = r"^([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?:\.\d+)? .*?"
_WORKING = dict(schema.EVENTS) | {"row": pl.UInt32, "stamp": pl.String, "own_utc": schema.UTC_US, "own_naive": schema.NAIVE_US, "zone_s": pl.Int32}
_WORKING = {name: kind for name, kind in _WORKING.items() if name not in ("ts", "ts_source")}
_FIELDS = ("level", "component", "quoted", "message", "attrs", "gotime", "rfctime")


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of the clocks of a source at some line.

    ``zone_s``: zone of the server process, seconds east, from its last slog stamp. ``wrapper_zone_s``: zone
    in which the wrapper printed its stamps. ``last_ts``: the last time seen, for lines without one.
    ``year_ts``: a time near this line that has a year; ``is_dated`` when a line gave it, not the file. ``default_tz`` is used where no evidence stands.
    """

    default_tz: str
    year_ts: datetime
    last_ts: datetime | None = None
    has_file_time: bool = True
    is_dated: bool = False
    zone_s: int | None = None
    wrapper_zone_s: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The clock as JSON values."""
        return {
            "default_tz": self.default_tz,
            "has_file_time": self.has_file_time,
            "is_dated": self.is_dated,
            "year_ts": self.year_ts.isoformat(),
            "last_ts": self.last_ts.isoformat() if self.last_ts else None,
            "zone_s": self.zone_s,
            "wrapper_zone_s": self.wrapper_zone_s,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Clock:
        """The clock from ``as_json``."""
        last = values["last_ts"]
        return cls(
            default_tz=values["default_tz"],
            has_file_time=values["has_file_time"],
            is_dated=values["is_dated"],
            year_ts=datetime.fromisoformat(values["year_ts"]),
            last_ts=datetime.fromisoformat(last) if last else None,
            zone_s=values["zone_s"],
            wrapper_zone_s=values["wrapper_zone_s"],
        )


def first_clock(sample: str, *, mtime: datetime | None, default_tz: str) -> Clock:
    """The clock at the first line, from evidence in a sample of the source.

    The sample is the same however the source is cut, so batches do not change the result.
    """
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    clock = Clock(default_tz, mtime or today, has_file_time=mtime is not None)
    if found := _SLOG_STAMP.search(sample):
        moment = datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00"))
        offset = moment.utcoffset() or timedelta()
        clock = replace(clock, zone_s=int(offset.total_seconds()), year_ts=moment.astimezone(UTC), last_ts=moment.astimezone(UTC), is_dated=True)
        if both := re.search(_SHORT_STAMP + _SLOG_STAMP.pattern, sample, re.MULTILINE):
            inner = datetime.fromisoformat(both[2] + both[3].replace("Z", "+00:00")).astimezone(UTC)
            outer = datetime.strptime(f"{inner.year} {both[1]}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
            shift = (outer - inner).total_seconds()
            if abs(shift) < 86_400:
                clock = replace(clock, wrapper_zone_s=round(shift / 900) * 900)
    elif found := _NAIVE_STAMP.search(sample):
        moment = datetime.strptime(f"{found[1]} {found[2]}", GO_TIME).replace(tzinfo=UTC)
        clock = replace(clock, year_ts=moment, is_dated=True)
    return clock


def parse(records: pl.DataFrame, *, book: FormatBook, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """RECORDS to EVENTS.

    Returns:
        The events in the order of the records, and the clock behind the last of them.
    """
    if records.is_empty():
        return schema.empty(schema.EVENTS), clock
    frame = records.with_row_index("row")
    is_slog, is_gin = pl.col("format") == "slog-text", pl.col("format") == "gin"
    parts = [
        pl.DataFrame(schema=_WORKING),
        _parse_slog(frame.filter(is_slog), book.by_name["slog-text"]),
        _parse_gin(frame.filter(is_gin), book.by_name["gin"]),
        _parse_others(frame.filter(~is_slog & ~is_gin), book),
    ]
    parsed = pl.concat(parts, how="diagonal_relaxed").sort("row")
    timed, clock = _set_time(parsed, clock)
    return timed.select(schema.EVENTS.names()).cast(dict(schema.EVENTS)), clock


def _parse_slog(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """slog text: the stamp has 24 or 29 characters, the rest is parsed once per distinct text."""
    body = pl.col("body")
    is_utc = body.str.slice(28, 1) == "Z"
    cut = frame.with_columns(
        own_text=pl.when(is_utc).then(body.str.slice(5, 24)).otherwise(body.str.slice(5, 29)),
        tail=pl.when(is_utc).then(body.str.slice(30)).otherwise(body.str.slice(35)),
    )
    own = timestamps.rfc3339(pl.col("own_text"))
    cut = cut.with_columns(own_utc=own, zone_s=pl.when(own.is_not_null()).then(timestamps.offset_seconds(pl.col("own_text"))))
    distinct = cut.select(pl.col("tail").unique())
    fields = _extract(distinct.select("tail", line=pl.lit("time=0 ") + pl.col("tail")), "line", form)
    fields = _finish_slog(fields)
    joined = cut.join(fields, on="tail", how="left", maintain_order="left")
    is_bad = pl.col("own_utc").is_null() | pl.col("level").is_null()
    return joined.with_columns(
        format=pl.when(is_bad).then(pl.lit(UNKNOWN)).otherwise("format"),
        message=pl.when(is_bad).then("body").otherwise("message"),
        text=_with_rest(pl.when(is_bad).then("body").otherwise("tail_masked")),
    ).drop("tail", "tail_masked", "own_text", "line")


def _finish_slog(fields: pl.DataFrame) -> pl.DataFrame:
    """Unquote the message, mask prompts, turn the attributes into JSON."""
    fields = fields.with_columns(redact.mask_prompts(fields["attrs"]))
    fields = fields.with_columns(redact.mask_secrets(fields["attrs"]), redact.mask_secrets(fields["quoted"]))
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
    found = frame.with_columns(groups.struct.field(name).replace("", None).alias(name) for name in form.groups if name in _FIELDS)
    missing = [pl.lit(None, dtype=pl.String).alias(name) for name in _FIELDS if name not in form.groups]
    return found.with_columns(missing).with_columns(raw_attrs_length=pl.col("attrs").str.len_chars().fill_null(0))


def unquote(text: pl.Expr) -> pl.Expr:
    r"""The inside of a Go-quoted string as plain text.

    >>> pl.DataFrame({"q": [r"a \"b\" c:\\d\ne"]}).select(unquote(pl.col("q"))).item()
    'a "b" c:\\d\ne'
    """
    guarded = text.str.replace_all(r"\\", "\x00", literal=True)
    plain = guarded.str.replace_many({r"\"": '"', r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\a": "\a", r"\b": "\b", r"\f": "\f", r"\v": "\v"})
    return pl.when(text.str.contains("\\", literal=True)).then(plain.str.replace_all("\x00", "\\", literal=True)).otherwise(text)


def _attrs_json(attrs: pl.Series) -> pl.Series:
    """slog attributes as a JSON object of strings; a key that comes twice stands twice."""
    frame = pl.DataFrame({"attrs": attrs}).with_row_index("row")
    escaped = frame.filter(pl.col("attrs").str.contains("\\", literal=True))
    if not escaped.is_empty():
        tokens = escaped.select("row", token=pl.col("attrs").str.extract_all(redact.TOKEN)).explode("token")
        joined = tokens.with_columns(_json_escapes(pl.col("token"))).group_by("row", maintain_order=True).agg(fixed=pl.col("token").str.join(""))
        frame = frame.join(joined, on="row", how="left", maintain_order="left").with_columns(pl.coalesce("fixed", "attrs").alias("attrs"))
    pair = r' (?:"([^"]*)"|([^\s="]+))=(?:"((?:[^"\\]|\\.)*)(?:"|$)|(\S*))'
    inner = pl.col("attrs").str.replace_all(pair, ',"${1}${2}":"${3}${4}"').str.strip_chars().str.strip_prefix(",")
    return frame.select(pl.when(pl.col("attrs").str.strip_chars() != "").then("{" + inner + "}").alias("attrs")).to_series()


def _json_escapes(token: pl.Expr) -> pl.Expr:
    """Go escapes that JSON lacks; a bare value (a Windows path) has backslashes that mean themselves."""
    guarded = token.str.replace_all(r"\\", "\x00", literal=True)
    quoted = guarded.str.replace_all(r"\\x([0-9a-f]{2})", r"\u00$1").str.replace_all(r"\\[avU]", " ").str.replace_all("\x00", r"\\", literal=True)
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
        own_naive=timestamps.naive(field("field_0").str.slice(6, 21), GIN_TIME),
        status=field("field_1").str.strip_chars().cast(pl.Int16, strict=False),
        duration_us=(number.cast(pl.Float64, strict=False) * unit.when(latency.str.ends_with("ns")).then(1e-3).when(latency.str.ends_with("s")).then(1e6)).round().cast(pl.Int64),
        client_address=field("field_3").str.strip_chars(),
        route=route,
    )
    # There are few routes: method and path are taken apart once each.
    routes = table.select(pl.col("route").drop_nulls().unique())
    parts = pl.col("route").str.extract_groups(r'^(?P<method>[A-Z]+)\s+"(?P<path>[^"?]*)(?:\?[^"]*)?"')
    table = table.join(routes.with_columns(parts.alias("parts")).unnest("parts"), on="route", how="left", maintain_order="left").drop("part", "route")
    is_whole = pl.all_horizontal(pl.col("own_naive", "status", "duration_us", "method").is_not_null())
    if not table.select(is_whole.all()).item():
        slow = _parse_gin_slowly(table.filter(~is_whole).select(frame.columns), form)
        table = pl.concat([table.filter(is_whole), slow.select(table.columns)])
    is_good = pl.col("own_naive").is_not_null()
    line = pl.concat_str(pl.col("status").cast(pl.String), "method", "path", separator=" ")
    access = pl.format('[GIN] | {} | {} "{}"', "status", "method", "path")
    return table.with_columns(
        format=pl.when(is_good).then("format").otherwise(pl.lit(UNKNOWN)),
        message=pl.when(is_good).then(line).otherwise("body"),
        text=_with_rest(pl.when(is_good).then(access).otherwise("body")),
        attrs=_rest_json(pl.col("rest")),
    )


def _parse_gin_slowly(frame: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Latencies of a minute and more, mangled micro signs, lines that are cut."""
    field = pl.col("part").struct.field
    return frame.with_columns(pl.col("body").str.extract_groups(form.pattern).alias("part")).with_columns(
        own_naive=timestamps.naive(field("time"), GIN_TIME),
        status=field("status").cast(pl.Int16, strict=False),
        duration_us=timestamps.go_duration_us(field("hours"), field("minutes"), field("number"), field("unit")),
        client_address=field("client"),
        method=field("method"),
        path=field("path"),
    )


def _parse_others(frame: pl.DataFrame, book: FormatBook) -> pl.DataFrame:
    """Every other format, once per distinct body."""
    parts = []
    for (name,), part in frame.select("body", "format").unique().partition_by("format", as_dict=True).items():
        form = book.by_name.get(str(name))
        if form is None:
            empty = [pl.lit(None, dtype=pl.String).alias(field) for field in _FIELDS]
            parts.append(part.with_columns(empty, raw_attrs_length=pl.lit(0, dtype=pl.UInt32)))
        else:
            parts.append(_extract(part, "body", form))
    if not parts:
        return frame.head(0)
    fields = pl.concat(parts, how="diagonal_relaxed")
    fields = fields.with_columns(masked=redact.mask_secrets(fields["body"]))
    fields = fields.with_columns(
        attrs=_attrs_json(redact.mask_prompts(fields["attrs"])),
        message=pl.coalesce(_json_message(pl.col("body"), pl.col("format")), redact.mask_secrets(fields["message"]), "masked"),
        own_utc=timestamps.rfc3339(pl.col("rfctime")),
        own_naive=timestamps.naive(pl.col("gotime"), GO_TIME),
    )
    joined = frame.join(fields, on=["body", "format"], how="left", maintain_order="left")
    return joined.with_columns(text=_with_rest(pl.col("masked")), attrs=pl.coalesce(_rest_json(pl.col("rest")), "attrs")).drop("masked")


def _json_message(body: pl.Expr, form: pl.Expr) -> pl.Expr:
    is_json = form == "client-json"
    names = ("error_message", "error", "message", "msg", "event")
    candidates = [pl.when(is_json).then(body).str.json_path_match(f"$.{name}") for name in names]
    return pl.coalesce(candidates)


def _with_rest(text: pl.Expr) -> pl.Expr:
    return pl.when(pl.col("rest").is_null()).then(text).otherwise(pl.concat_str(text, "rest", separator="\n"))


def _rest_json(rest: pl.Expr) -> pl.Expr:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    cleaned = rest.str.replace_many(escapes).str.replace_all(r"[\x00-\x1f]", " ")
    return pl.when(rest.is_not_null()).then(pl.lit('{"lines":"') + cleaned + pl.lit('"}'))


def _set_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, Clock]:
    """One UTC time per record, from its own stamp, the wrapper's, or the record before."""
    frame = frame.with_columns(zone=pl.col("zone_s").forward_fill().fill_null(pl.lit(clock.zone_s, dtype=pl.Int32)))
    local = timestamps.at_offset(pl.col("own_naive"), pl.col("zone"))
    if frame["zone"].null_count():
        local = pl.coalesce(local, _assumed(pl.col("own_naive"), clock))
    own = pl.coalesce("own_utc", local)
    frame = frame.with_columns(own=own)
    frame, wrapper_zone = _wrapper_time(frame, clock)
    name = pl.when(pl.col("own_utc").is_not_null() & (pl.col("format") == "client-json")).then(pl.lit("json"))
    name = name.when(pl.col("own_utc").is_not_null()).then(pl.lit("slog")).when(pl.col("format") == "gin").then(pl.lit("gin+offset")).otherwise(pl.lit("go-log"))
    frame = frame.with_columns(
        ts=pl.coalesce("own", "wrapper_utc"),
        ts_source=pl.when(pl.col("own").is_not_null()).then(name).when(pl.col("wrapper_utc").is_not_null()).then(pl.lit("journal")),
    )
    start = clock.last_ts or (clock.year_ts if clock.has_file_time else None)
    missing = "inherited" if clock.last_ts else "file" if clock.has_file_time else "none"
    seen = pl.col("ts").forward_fill()
    fallback = pl.when(seen.is_null()).then(pl.lit(missing)).otherwise(pl.lit("inherited"))
    frame = frame.with_columns(ts=seen.fill_null(pl.lit(start, dtype=schema.UTC_US)), ts_source=pl.coalesce("ts_source", fallback))
    message = pl.col("message")
    cut = pl.when(message.str.len_bytes() > MESSAGE_LIMIT).then(message.str.slice(0, MESSAGE_LIMIT // 4) + " […cut]").otherwise(message)
    return frame.with_columns(cut), _next_clock(frame, clock, wrapper_zone)


def _wrapper_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, int | None]:
    """The wrapper's stamp as UTC, and the zone it was found to be in."""
    stamp = pl.col("stamp")
    if frame["stamp"].null_count() == frame.height:
        return frame.with_columns(wrapper_utc=pl.lit(None, dtype=schema.UTC_US)), clock.wrapper_zone_s
    first = str(frame["stamp"].drop_nulls()[0])
    if first.isdigit():
        micros = stamp.cast(pl.Int64, strict=False)
        return frame.with_columns(wrapper_utc=pl.from_epoch(micros, time_unit="us").cast(schema.NAIVE_US).dt.replace_time_zone("UTC")), clock.wrapper_zone_s
    if first[:4].isdigit():
        # %+ wants a colon in the zone, journalctl 252 prints none.
        colon = stamp.str.replace(r"([+-]\d\d)(\d\d)$", "${1}:${2}")
        return frame.with_columns(wrapper_utc=timestamps.rfc3339(colon)), clock.wrapper_zone_s
    return _short_time(frame, clock)


def _short_time(frame: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, int | None]:
    """``Jun 29 00:03:19``: the year from the nearest dated record before, the zone from slog stamps."""
    near = pl.col("own").forward_fill().fill_null(pl.lit(clock.year_ts, dtype=schema.UTC_US)).dt.replace_time_zone(None)
    # Needed where a record has no stamp of its own; the zone is learnt once a minute from slog records.
    is_teacher = pl.col("own_utc").is_not_null() & (pl.col("own_utc").dt.second() == 0)
    table = frame.select("row", "stamp", "own", "own_utc", near=near).filter(pl.col("own").is_null() | is_teacher)
    dated = pl.concat_str(pl.col("near").dt.year().cast(pl.String), pl.col("stamp").str.slice(0, 15), separator=" ")
    local = dated.str.to_datetime("%Y %b %e %H:%M:%S", time_unit="us", strict=False)
    # Without a dated line the time of the file is the end of the log.
    ahead_us = timestamps.HALF_YEAR_US if clock.is_dated else timestamps.DAY_US
    table = table.with_columns(local=timestamps.with_year(local, pl.col("near"), ahead_us=ahead_us))
    shift = (pl.col("local") - pl.col("own_utc").dt.replace_time_zone(None)).dt.total_seconds()
    learnt = pl.when(shift.abs() < 86_400).then(timestamps.quarter_hours(shift)).forward_fill()
    table = table.with_columns(wrapper_zone=learnt.fill_null(pl.lit(clock.wrapper_zone_s, dtype=pl.Int32)))
    known = timestamps.at_offset(pl.col("local"), pl.col("wrapper_zone"))
    table = table.with_columns(wrapper_utc=pl.coalesce(known, _assumed(pl.col("local"), clock)))
    zone = table["wrapper_zone"][-1] if table.height else clock.wrapper_zone_s
    return frame.join(table.select("row", "wrapper_utc"), on="row", how="left", maintain_order="left"), zone


def _assumed(stamp: pl.Expr, clock: Clock) -> pl.Expr:
    """A local stamp of which no evidence names the zone."""
    return stamp.dt.replace_time_zone(clock.default_tz, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def _next_clock(frame: pl.DataFrame, clock: Clock, wrapper_zone: int | None) -> Clock:
    own = frame["own"].drop_nulls()
    has_time = frame.select((~pl.col("ts_source").is_in(["file", "none"])).any()).item()
    return replace(
        clock,
        zone_s=frame["zone"][-1],
        wrapper_zone_s=wrapper_zone,
        year_ts=own[-1] if len(own) else clock.year_ts,
        is_dated=clock.is_dated or len(own) > 0,
        last_ts=frame["ts"][-1] if has_time else clock.last_ts,
    )
