"""Reports: a catalogue of SQL files with a typed header, bound parameters, and the frames they return.

A report is ``queries/<name>.sql``: a TOML header behind ``--`` between two ``-- ---`` marks, then one
``select``. Values reach it as bound parameters only; no SQL is put together here. What a report could not
see comes from ``coverage.sql`` and travels with the result as notes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from erranalytics.catalogue import COMMENT, LIST_HINT, PARAMETER, Column, Param, Report, find, near
from erranalytics.errors import UsageError

if TYPE_CHECKING:
    from erranalytics.rulebook import Rulebook

OVERVIEW = "overview"
COVERAGE = "coverage"

_RELATIVE = re.compile(r"-(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)", re.IGNORECASE)
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# Types polars cannot take from an Arrow stream, or takes without their meaning: these travel as text.
_AS_TEXT = re.compile(r"INTERVAL|BIT|MAP\(|UNION|UHUGEINT|TIME WITH TIME ZONE|TIMETZ|VARIANT|BIGNUM|VARINT")


@dataclass(frozen=True)
class Result:
    """What a report returned.

    ``columns`` carry the DuckDB type and the unit, ``frame`` the rows, ``notes`` what could not be seen,
    ``tz`` the zone its times are printed in.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    tz: str = "UTC"
    params: Mapping[str, object] = field(default_factory=dict)


def run(
    name: str,
    *,
    connection: duckdb.DuckDBPyConnection,
    params: Mapping[str, object] | None = None,
    now: datetime | None = None,
) -> Result:
    """Run one report on what the store has committed.

    Args:
        name: name of the report.
        connection: an open store; read-only is enough.
        params: values by parameter name, typed or as text; ``None`` means the default.
        now: what ``-24h`` counts back from; the clock when not given.

    Raises:
        UsageError: unknown report or parameter, or a value that does not fit.
    """
    report = find(name)
    bound = bind(report, params or {}, now=now or datetime.now(UTC))
    frame, types = query(report.sql, connection=connection, params={k: bound[k] for k in _used(report)})
    columns = tuple(column.model_copy(update={"type": types[column.name]}) for column in report.header.columns)
    notes: tuple[str, ...] = ()
    if report.header.coverage:
        coverage = find(COVERAGE)
        blind, _ = query(coverage.sql, connection=connection, params={k: bound.get(k) for k in _used(coverage)})
        notes = tuple(blind.filter(pl.col("topic").is_in(list(report.header.coverage)))["note"])
    return Result(name, report.header.title, columns, frame, notes, str(bound["tz"]), bound)


def answer(
    names: Sequence[str] = (),
    *,
    connection: duckdb.DuckDBPyConnection,
    params: Mapping[str, object] | None = None,
    now: datetime | None = None,
) -> list[Result]:
    """Run several reports; one with parts is followed by them. Without names: the overview."""
    results = []
    for name in names or (OVERVIEW,):
        whole = run(name, connection=connection, params=params, now=now)
        results.append(whole)
        for part in find(name).header.parts:
            accepted = {key: value for key, value in whole.params.items() if key in find(part).params}
            results.append(run(part, connection=connection, params=accepted, now=now))
    return results


def parameters(chosen: Mapping[str, object]) -> dict[str, object]:
    """Parameters from the options of the command line: those given, and ``NAME=VALUE`` pairs under ``extra``.

    Raises:
        UsageError: a pair without ``=``.
    """
    given = {name: value for name, value in chosen.items() if name != "extra" and value is not None}
    extra = chosen.get("extra") or ()
    for pair in extra if isinstance(extra, tuple) else ():
        name, sign, value = str(pair).partition("=")
        if not sign:
            raise UsageError(f"{pair!r} is not NAME=VALUE", hint=LIST_HINT)
        given[name.replace("-", "_")] = value
    return given


def ask(sql: str, *, connection: duckdb.DuckDBPyConnection) -> Result:
    """Any query as a result, read-only when the connection is.

    Raises:
        UsageError: DuckDB refuses it.
    """
    frame, types = query(sql, connection=connection)
    return Result("sql", "", tuple(Column.model_construct(name=name, type=kind) for name, kind in types.items()), frame)


def rules_result(book: Rulebook) -> Result:
    """The rulebook as a table, in the order in which rules are tried."""
    rows = [
        (rule.id, rule.code, rule.confidence, book.severity(rule), book.causes[rule.code].title) for rule in book.rules
    ]
    names = ("rule", "code", "confidence", "severity", "title")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return Result("rules", "", tuple(Column(name=name, type="varchar") for name in names), frame)


def frame_result(name: str, frame: pl.DataFrame) -> Result:
    """A frame of texts and integers, so that it is shown as a report is."""
    types = {column: "varchar" if kind == pl.String else "bigint" for column, kind in frame.schema.items()}
    return Result(name, "", tuple(Column(name=column, type=kind) for column, kind in types.items()), frame)


def query(
    sql: str, *, connection: duckdb.DuckDBPyConnection, params: Mapping[str, object] | None = None
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Run one query and return its rows with the DuckDB type of each column, in lower case.

    Times come as UTC. Types polars does not know (interval, map, …) come as text; a repeated column name
    gets a number. Works on a cursor of its own, so that a result half read elsewhere stays whole.

    Raises:
        UsageError: when DuckDB refuses the query, with its first line.
    """
    cursor = connection.cursor()
    try:
        cursor.execute("set TimeZone = 'UTC'")
        relation = cursor.sql(sql, params=dict(params or {}))
        if relation is None:
            raise UsageError("the statement returns no rows", hint="only queries are answered here")
        names, types = _distinct(relation.columns), [str(kind) for kind in relation.types]
        if names != relation.columns or any(_AS_TEXT.search(kind) for kind in types):
            quoted = ['"' + name.replace('"', '""') + '"' for name in names]
            relation = relation.project(
                ", ".join(
                    f"cast(#{at} as varchar) as {name}" if _AS_TEXT.search(kind) else f"#{at} as {name}"
                    for at, (name, kind) in enumerate(zip(quoted, types, strict=True), 1)
                )
            )
        # DuckDB hands over an Arrow stream without pyarrow; fetchall() would want pytz for every time.
        return pl.DataFrame(relation), dict(zip(names, map(_type_name, types), strict=True))
    except duckdb.Error as error:
        raise UsageError(f"the query failed: {str(error).strip().splitlines()[0]}") from error
    finally:
        cursor.close()


def _used(report: Report) -> set[str]:
    return set(PARAMETER.findall(COMMENT.sub("", report.sql)))


def _distinct(names: Sequence[str]) -> list[str]:
    distinct: list[str] = []
    for name in names:
        same, number = name, 1
        while same in distinct:
            same, number = f"{name}_{number}", number + 1
        distinct.append(same)
    return distinct


def _type_name(kind: str) -> str:
    return kind.strip('"').lower().replace("timestamp with time zone", "timestamptz")


def bind(report: Report, given: Mapping[str, object], *, now: datetime) -> dict[str, object]:
    """Values for all parameters of a report, converted to their types.

    Raises:
        UsageError: for an unknown parameter, a value that does not fit, or a period that ends before it begins.
    """
    known = report.params
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in known:
            valid = "it takes: " + ", ".join(known)
            raise UsageError(f"report {report.name!r} has no parameter {name!r}{near(name, known)}", hint=valid)
    tz = _zone(str(given.get("tz") or "UTC"))
    values = {
        name: _value(name, param, given.get(name, param.default), now=now, tz=tz) for name, param in known.items()
    }
    since, until = values.get("since"), values.get("until")
    if isinstance(since, datetime) and isinstance(until, datetime) and since >= until:
        raise UsageError(f"the period is empty: since {since.isoformat()} is not before until {until.isoformat()}")
    return values


def _value(name: str, param: Param, value: object, *, now: datetime, tz: tzinfo) -> object:
    if value is None:
        return None
    if param.choices and value not in param.choices:
        raise UsageError(
            f"{name} is {value!r}{near(str(value), param.choices)}", hint="one of: " + ", ".join(param.choices)
        )
    if param.type == "timestamptz":
        if not isinstance(value, datetime):
            return parse_when(str(value), now=now, tz=tz)
        return (value if value.tzinfo else value.replace(tzinfo=tz)).astimezone(UTC)
    try:
        return {"integer": int, "double": float, "varchar": str}[param.type](str(value))
    except ValueError:
        raise UsageError(f"{name} is {value!r}, not of type {param.type}", hint=param.help) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"no time zone named {name!r}", hint="a name such as Europe/Berlin or UTC") from None


def parse_when(text: str, *, now: datetime, tz: tzinfo) -> datetime:
    """A moment as a user writes it, in UTC.

    ``-24h`` (s, m, h, d, w) counts back from ``now``; ``now``, ``today`` and ``yesterday`` are words; a date or
    ISO 8601 time without a zone is one of ``tz``.

    Raises:
        UsageError: for anything else, with the forms.
    """
    word = text.strip()
    if word.lower() == "now":
        return now.astimezone(UTC)
    midnight = now.astimezone(tz).replace(hour=0, minute=0, second=0, microsecond=0)
    if word.lower() in ("today", "yesterday"):
        # The day before is counted on the calendar, so that it may have 23 or 25 hours.
        return (midnight - timedelta(days=word.lower() == "yesterday")).astimezone(UTC)
    try:
        if back := _RELATIVE.fullmatch(word):
            return now.astimezone(UTC) - timedelta(**{_UNITS[back[2].lower()]: float(back[1])})
        moment = datetime.fromisoformat(word)
        return (moment if moment.tzinfo else moment.replace(tzinfo=tz)).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "forms: -24h, -7d, -2w, now, today, yesterday, 2026-11-20, '2026-11-20 18:00', 2026-11-20T18:00:00+01:00"
        raise UsageError(f"{text!r} is not a time", hint=hint) from None


# --- gates ---------------------------------------------------------------------------------------------------------

SEVERITIES = ("info", "warning", "error", "critical")
GATE_GRAMMAR = """FIELD OPERATOR VALUE, in quotes for the shell:
  severity >= error      info, warning, error, critical; also = != > < <=
  code = MEM001          also !=
  category = memory      also !=
  incidents >= 5         also requests (hit by incidents); = != > < <=
  failure_rate > 0.05    failed of all inference requests, also as 5%; stream_failure_rate likewise"""
_GATE = re.compile(r"\s*([a-z_]+)\s*(>=|<=|!=|==|=|>|<)\s*([\w.%-]+)\s*")
_NUMBERS = ("incidents", "requests", "failure_rate", "stream_failure_rate")
_COMPARE: dict[str, Any] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


def gate(expression: str, *, connection: duckdb.DuckDBPyConnection, params: Mapping[str, object] | None = None) -> bool:
    """Whether the store holds what ``--fail-on`` names: ``severity>=error``, ``incidents>=5``, ``failure_rate>0.05``.

    Only roots of incidents count, not their echoes. A rate below ``min_count`` is not judged and is no finding.

    Raises:
        UsageError: for a bad expression, with the grammar.
    """
    name, compare, value = _parse_gate(expression)
    source = find("overview-rates" if name.endswith("rate") else "error-frequency")
    chosen = {key: given for key, given in (params or {}).items() if key in source.params}
    rows = run(source.name, connection=connection, params=chosen).frame
    if name.endswith("rate"):
        metric = "requests_failed" if name == "failure_rate" else "streams_failed"
        rate = rows.filter(pl.col("metric") == metric)["rate"].item()
        return rate is not None and bool(compare(rate, value))
    roots = rows.filter(pl.col("incident_count") > 0)
    if name in ("incidents", "requests"):
        return bool(compare(roots[name.removesuffix("s") + "_count"].sum(), value))
    found = [SEVERITIES.index(one) if name == "severity" else one for one in roots[name].drop_nulls()]
    return any(compare(one, value) for one in found)


def _parse_gate(expression: str) -> tuple[str, Any, str | int | float]:
    parsed = _GATE.fullmatch(expression)
    if not parsed:
        raise UsageError(f"{expression!r} is not a condition", hint=GATE_GRAMMAR)
    name, sign, text = parsed.groups()
    value: str | int | float = text
    if name == "severity" and text in SEVERITIES:
        value = SEVERITIES.index(text)
    elif name in _NUMBERS and (number := re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(%?)", text)):
        value = float(number[1]) / (100 if number[2] else 1)
    elif name in _NUMBERS:
        raise UsageError(f"{text!r} is not a number", hint=GATE_GRAMMAR)
    elif name == "severity":
        raise UsageError(f"no severity {text!r}{near(text, SEVERITIES)}", hint=GATE_GRAMMAR)
    elif name not in ("code", "category"):
        known = ("severity", "code", "category", *_NUMBERS)
        raise UsageError(f"{name!r} cannot be compared{near(name, known)}", hint=GATE_GRAMMAR)
    elif sign not in ("=", "==", "!="):
        raise UsageError(f"{name} knows only = and !=", hint=GATE_GRAMMAR)
    return name, _COMPARE[sign], value
