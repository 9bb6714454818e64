"""Run reports: bind their parameters, run their SQL, and return frames.

Values are only ever bound as parameters; no SQL is assembled here. ``coverage.sql`` says what a report could not see,
and the result carries that as notes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from erranalytics.errors import UsageError, did_you_mean
from erranalytics.reports.catalogue import COMMENT, LIST_HINT, PARAMETER, Column, Param, Report, catalogue, find

if TYPE_CHECKING:
    import duckdb

    from erranalytics.classification.rulebook import Rulebook
    from erranalytics.store.queries import Limit

OVERVIEW = "overview"
COVERAGE = "coverage"
PAGE = "page"

_RELATIVE = re.compile(r"-(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)", re.IGNORECASE)
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Result:
    """The answer of a report.

    ``columns`` have the DuckDB type and the unit, ``frame`` has the rows, ``notes`` say what could not be seen, and
    ``tz`` is the zone in which its times are printed.
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
    limit: Limit | None = None,
) -> Result:
    """Run one report on the committed data of a store.

    Args:
        name: the name of the report.
        connection: an open store; read-only is enough.
        params: values by parameter name, typed or as text; None means the default.
        now: the time from which ``-24h`` counts back; by default the current time.
        limit: how long it may take.

    Raises:
        UsageError: the report or a parameter is unknown, a value does not fit, or the time limit is exceeded.
    """
    report = find(name)
    bound = bind(report, params or {}, now=now or datetime.now(UTC))
    from erranalytics.store.queries import query

    frame, types = query(report.sql, connection=connection, params={k: bound[k] for k in _used(report)}, limit=limit)
    columns = tuple(replace(column, type=types[column.name]) for column in report.header.columns)
    notes: tuple[str, ...] = ()
    if report.header.coverage:
        coverage = find(COVERAGE)
        hidden = {name: bound.get(name) for name in _used(coverage)}
        blind, _ = query(coverage.sql, connection=connection, params=hidden, limit=limit)
        notes = tuple(blind.filter(pl.col("topic").is_in(list(report.header.coverage)))["note"])
    return Result(name, report.header.title, columns, frame, notes, str(bound["tz"]), bound)


def answer(
    names: Sequence[str] = (),
    *,
    connection: duckdb.DuckDBPyConnection,
    params: Mapping[str, object] | None = None,
    now: datetime | None = None,
    limit: Limit | None = None,
    explain: bool = False,
) -> list[Result]:
    """Run several reports, or the overview without names; the parts of a report and its explanation follow it.

    Raises:
        UsageError: as for ``run``, or a report has no explanation.
    """
    results = []
    for name in names or (OVERVIEW,):
        result = run(name, connection=connection, params=params, now=now, limit=limit)
        results.append(result)
        for part in _parts(name, explain=explain):
            accepted = {key: value for key, value in result.params.items() if key in find(part).params}
            results.append(run(part, connection=connection, params=accepted, now=now, limit=limit))
    return results


def for_page(
    names: Sequence[str] = (),
    *,
    connection: duckdb.DuckDBPyConnection,
    params: Mapping[str, object] | None = None,
    now: datetime | None = None,
    limit: Limit | None = None,
    explain: bool = False,
) -> list[Result]:
    """The results for an HTML page: what it is about, then those of ``answer``, or the parts of the page without names.

    Raises:
        UsageError: as for ``answer``.
    """
    given = dict(params or {})
    if not names:
        # The steps of a chart are as wide as the period needs, unless --bucket sets their width.
        renamed = {"width" if name == "bucket" else name: value for name, value in given.items()}
        return answer((PAGE,), connection=connection, params=renamed, now=now, limit=limit, explain=explain)
    about = {name: value for name, value in given.items() if name in find(PAGE).params}
    results = answer(names, connection=connection, params=given, now=now, limit=limit, explain=explain)
    return [run(PAGE, connection=connection, params=about, now=now, limit=limit), *results]


def with_parts(names: Sequence[str] = (), *, explain: bool = False) -> list[str]:
    """The names of all results that ``answer`` would give.

    Raises:
        UsageError: a report is unknown or has no explanation.
    """
    return [result for name in names or (OVERVIEW,) for result in (name, *_parts(name, explain=explain))]


def _parts(name: str, *, explain: bool) -> list[str]:
    header = find(name).header
    if explain and header.explained is None:
        known = ", ".join(sorted(report.name for report in catalogue().values() if report.header.explained))
        raise UsageError(f"report {name!r} has no explanation", hint=f"reports that have one: {known}")
    return [*header.parts, *([header.explained] if explain and header.explained else [])]


def parameters(chosen: Mapping[str, object]) -> dict[str, object]:
    """The parameters from the options of the command line and from the ``NAME=VALUE`` pairs under ``extra``.

    Raises:
        UsageError: a pair has no ``=``.
    """
    given = {name: value for name, value in chosen.items() if name != "extra" and value is not None}
    extra = chosen.get("extra") or ()
    for pair in extra if isinstance(extra, tuple) else ():
        name, sign, value = str(pair).partition("=")
        if not sign:
            raise UsageError(f"{pair!r} is not NAME=VALUE", hint=LIST_HINT)
        given[name.replace("-", "_")] = value
    return given


def ask(sql: str, *, connection: duckdb.DuckDBPyConnection, limit: Limit | None = None) -> Result:
    """Run any one query that reads.

    Raises:
        UsageError: it is not one query that reads, DuckDB refuses it, or the time limit is exceeded.
    """
    from erranalytics.store.queries import check, query

    check(sql, connection=connection)
    frame, types = query(sql, connection=connection, limit=limit)
    return Result("sql", "", tuple(Column(name=name, type=kind) for name, kind in types.items()), frame)


def rules_result(book: Rulebook) -> Result:
    """The rulebook as a table, in the order in which its rules are tried."""
    rows = [
        (rule.id, rule.code, rule.confidence, book.severity(rule), book.causes[rule.code].title) for rule in book.rules
    ]
    names = ("rule", "code", "confidence", "severity", "title")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return Result("rules", "", tuple(Column(name=name, type="varchar") for name in names), frame)


def frame_result(name: str, frame: pl.DataFrame) -> Result:
    """A frame of texts and integers as a result, to show it like a report."""
    types = {column: "varchar" if kind == pl.String else "bigint" for column, kind in frame.schema.items()}
    return Result(name, "", tuple(Column(name=column, type=kind) for column, kind in types.items()), frame)


def _used(report: Report) -> set[str]:
    return set(PARAMETER.findall(COMMENT.sub("", report.sql)))


def bind(report: Report, given: Mapping[str, object], *, now: datetime) -> dict[str, object]:
    """The values of all parameters of a report, converted to their types.

    Raises:
        UsageError: a parameter is unknown, a value does not fit, or the period ends before it begins.
    """
    known = report.params
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in known:
            valid = "its parameters: " + ", ".join(known)
            raise UsageError(f"report {report.name!r} has no parameter {name!r}{did_you_mean(name, known)}", hint=valid)
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
            f"{name} is {value!r}{did_you_mean(str(value), param.choices)}", hint="one of: " + ", ".join(param.choices)
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
    """A time that a user wrote, in UTC.

    ``-24h`` (s, m, h, d, w) counts back from ``now``; ``now``, ``today`` and ``yesterday`` are words; a date or an
    ISO 8601 time without a zone is in ``tz``.

    Raises:
        UsageError: it is none of these; names the valid forms.
    """
    word = text.strip()
    if word.lower() == "now":
        return now.astimezone(UTC)
    midnight = now.astimezone(tz).replace(hour=0, minute=0, second=0, microsecond=0)
    if word.lower() in ("today", "yesterday"):
        # A day back on the calendar may have 23 or 25 hours.
        return (midnight - timedelta(days=word.lower() == "yesterday")).astimezone(UTC)
    try:
        if back := _RELATIVE.fullmatch(word):
            return now.astimezone(UTC) - timedelta(**{_UNITS[back[2].lower()]: float(back[1])})
        moment = datetime.fromisoformat(word)
        return (moment if moment.tzinfo else moment.replace(tzinfo=tz)).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = (
            "formats: -24h, -7d, -2w, now, today, yesterday, 2026-11-20, '2026-11-20 18:00', 2026-11-20T18:00:00+01:00"
        )
        raise UsageError(f"{text!r} is not a time", hint=hint) from None
