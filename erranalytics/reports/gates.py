"""Gates: the conditions of ``--fail-on``, and whether they hold for a store.

A gate is one comparison, and it fails when the comparison holds. A value that cannot be judged, such as a rate of too
few requests, is reported and does not fail. A gate on a column of a report looks at the row ``all`` if there is one,
and otherwise at every row.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from erranalytics.classification import taxonomy
from erranalytics.classification.taxonomy import SEVERITIES
from erranalytics.errors import UsageError, did_you_mean
from erranalytics.reports import runner
from erranalytics.reports.catalogue import Column, Report, catalogue, find
from erranalytics.reports.runner import Result
from erranalytics.reports.values import shown
from erranalytics.store.queries import Limit
from erranalytics.text.display import plural

if TYPE_CHECKING:
    import duckdb

GRAMMAR = """FIELD OPERATOR VALUE, in quotes for the shell:
  severity >= error      info, warning, error, critical; also = != > < <=
  code = MEM001          also !=
  category = memory      also !=
  incidents >= 5         also requests (hit by incidents); = != > < <=
  failure_rate > 0.05    failed of all inference requests, also as 5%; stream_failure_rate likewise
  streaming-failures.rate_upper > 2%     any REPORT.COLUMN, see erranalytics report --list"""
# Short names of rates in a part of the overview.
RATES = {"failure_rate": "requests_failed", "stream_failure_rate": "streams_failed"}
COUNTS = ("incidents", "requests")
# Other names for the ends of an interval.
ALIASES = {"rate_upper": "rate_high", "rate_lower": "rate_low"}
# The value of the first column in the row for all.
TOTAL = "all"
FILTERS = ("since", "until", "host", "model", "endpoint", "code")
MOST_ROWS = 2**31 - 1

_GATE = re.compile(r"\s*([a-z][a-z0-9-]*\.[a-z]\w*|[a-z_]+)\s*(>=|<=|!=|==|=|>|<)\s*([^<>=!\s].*?)\s*", re.IGNORECASE)
_AMOUNT = re.compile(r"([+-]?(?:\d+(?:\.\d+)?|\.\d+))\s*([a-zµ%]*)", re.IGNORECASE)
_OF = re.compile(r"(\w+) of (\w+)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_SCALES: dict[str | None, dict[str, float]] = {
    None: {"": 1},
    "share": {"": 1, "%": 0.01},
    "bytes": {"": 1, "b": 1}
    | {f"{letter}ib": 1024.0**at for at, letter in enumerate("kmgt", 1)}
    | {f"{letter}b": 1000.0**at for at, letter in enumerate("kmgt", 1)},
    "us": {"": 1, "us": 1, "µs": 1, "ms": 1e3, "s": 1e6, "m": 6e7, "min": 6e7, "h": 3.6e9, "d": 8.64e10},
}
_FORMS = {
    None: "a number",
    "share": "a share: 0.02 or 2%",
    "bytes": "a size: 8GiB, 512MB or bytes",
    "us": "a duration: 250ms, 30s, 5m, 2h or microseconds",
}


@dataclass(frozen=True)
class Gate:
    """One comparison after reading and checking; ``field`` is its short name if it was given by one."""

    text: str
    field: str | None
    report: Report
    column: Column
    sign: str
    value: str | float

    def holds(self, value: object) -> bool:
        """Whether a value is one to fail on."""
        return value is not None and _COMPARE[self.sign](value, self.value)


@dataclass(frozen=True)
class Verdict:
    """Whether a gate failed, and a sentence about it, which may be empty."""

    failed: bool
    sentence: str = ""


# --- reading -------------------------------------------------------------------------------------------------------


def parse(text: str) -> Gate:
    """Read a gate from its text.

    Raises:
        UsageError: it is wrong; names the grammar, or the valid reports, columns or values.
    """
    parsed = _GATE.fullmatch(text)
    if not parsed:
        raise UsageError(f"{text!r} is not a condition", hint=GRAMMAR)
    wanted: str | float
    name, sign, value = parsed[1].lower(), parsed[2].replace("==", "="), parsed[3]
    if "." in name:
        return _of_report(text, *name.split("."), sign=sign, value=value)
    if name in RATES:
        report, column, wanted = "overview-rates", "rate", _amount(value, "share", hint=GRAMMAR)
    elif name in COUNTS:
        report, column, wanted = "incidents", "request_count", _amount(value, None, hint=GRAMMAR)
    elif name in ("severity", "code", "category"):
        report, column = "error-frequency" if name == "category" else "incidents", name
        wanted = _word(name, sign, value)
    else:
        known = ("severity", "code", "category", *COUNTS, *RATES)
        raise UsageError(f"{name!r} cannot be compared{did_you_mean(name, known)}", hint=GRAMMAR)
    source = find(report)
    return Gate(text.strip(), name, source, _columns(source)[column], sign, wanted)


def _word(name: str, sign: str, value: str) -> str | float:
    if name == "severity":
        if value.lower() not in SEVERITIES:
            raise UsageError(f"no severity {value!r}{did_you_mean(value, SEVERITIES)}", hint=GRAMMAR)
        return SEVERITIES.index(value.lower())
    if sign not in ("=", "!="):
        raise UsageError(f"{name} can only be compared by = and !=", hint=GRAMMAR)
    known: list[str] = sorted({row[name] for row in taxonomy.rows()})
    word = {word.lower(): word for word in known}.get(value.lower())
    # A gate on an unknown name would never fail.
    if word is None:
        hint = "all codes: docs/rules.md" if name == "code" else f"one of: {', '.join(known)}"
        raise UsageError(f"no {name} {value!r}{did_you_mean(value, known)}", hint=hint)
    return word


def _of_report(text: str, name: str, column: str, *, sign: str, value: str) -> Gate:
    names = [report.name for report in catalogue().values()]
    if name not in names:
        listed = ", ".join(report for report in names if not find(report).header.part)
        raise UsageError(f"no report named {name!r}{did_you_mean(name, names)}", hint=f"reports: {listed}")
    report = find(name)
    columns = _columns(report)
    compared = columns.get(column) or columns.get(ALIASES.get(column, ""))
    if compared is None:
        listed = ", ".join(name for name, kind in columns.items() if not _is_time(kind))
        message = f"report {name!r} has no column {column!r}{did_you_mean(column, [*columns, *ALIASES])}"
        raise UsageError(message, hint=f"its columns: {listed}")
    if _is_time(compared):
        raise UsageError(
            f"{name}.{column} is a time, which a gate cannot compare", hint="Use --since or --until instead."
        )
    return Gate(text.strip(), None, report, compared, sign, _value(compared, sign, value))


def _value(column: Column, sign: str, text: str) -> str | float:
    if re.search("int|double|float|decimal", column.type or ""):
        return _amount(text, column.unit)
    if sign not in ("=", "!="):
        raise UsageError(f"{column.name} holds texts, which can only be compared by = and !=")
    return text.strip("'\"")


def _amount(text: str, unit: str | None, *, hint: str | None = None) -> float:
    """A number in the unit of its column: ``2%`` for a share, ``8GiB`` for bytes, ``30s`` for microseconds."""
    parsed = _AMOUNT.fullmatch(text)
    scale = _SCALES[unit].get(parsed[2].lower()) if parsed else None
    if parsed is None or scale is None:
        raise UsageError(f"{text!r} is not a number" if unit is None else f"{text!r} is not {_FORMS[unit]}", hint=hint)
    # 2% is exactly 0.02.
    number = float(parsed[1]) / 100 if parsed[2] == "%" else float(parsed[1]) * scale
    if unit == "share" and number > 1:
        raise UsageError(
            f"{text!r} is more than the whole",
            hint=hint or f"A share is from 0 to 1. For {text} percent write {text}%.",
        )
    return number


def _columns(report: Report) -> dict[str, Column]:
    return {column.name: column for column in report.header.columns}


def _is_time(column: Column) -> bool:
    return (column.type or "").startswith("timestamp")


# --- checking ------------------------------------------------------------------------------------------------------


def check(
    gate: Gate,
    *,
    connection: duckdb.DuckDBPyConnection,
    params: Mapping[str, object] | None = None,
    now: datetime | None = None,
    limit: Limit | None = None,
) -> Verdict:
    """Run the report of a gate, and say whether the gate fails and why.

    Only the roots of incidents count, not their other errors. The sentence names filters that the report does not have.
    """
    known = gate.report.params
    given = {name: value for name, value in (params or {}).items() if name in known}
    if "limit" in known:  # a gate looks at every row, not only at those shown to a person
        given["limit"] = MOST_ROWS
    result = runner.run(gate.report.name, connection=connection, params=given, now=now, limit=limit)
    ignored = [f"--{name}" for name in FILTERS if (params or {}).get(name) is not None and name not in known]
    verdict = (_check_incidents if gate.field and gate.field not in RATES else _check_rows)(gate, result)
    if not ignored:
        return verdict
    sentence = verdict.sentence or f"passed: {gate.text}"
    sentence += f" (without {', '.join(ignored)}, which {gate.report.name} does not have)"
    return Verdict(failed=verdict.failed, sentence=sentence)


def _check_incidents(gate: Gate, result: Result) -> Verdict:
    rows = result.frame.to_dicts()
    if gate.field == "incidents":
        return _check_count(gate, len(rows), "incident")
    if gate.field == "requests":
        return _check_count(gate, sum(row["request_count"] for row in rows), "request")
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[gate.field or ""] or ""] += row.get("incident_count", 1)
    words = [word for word in counts if word and counts[word]]
    hits = [word for word in words if gate.holds(SEVERITIES.index(word) if gate.field == "severity" else word)]
    if not hits:
        return Verdict(failed=False)
    hits.sort(key=lambda word: (-counts[word], word))
    count, total = sum(counts[word] for word in hits), sum(counts.values())
    kinds = ", ".join(f"{counts[word]:,} {word}" for word in hits[:4]) + " …" * (len(hits) > 4)
    return Verdict(failed=True, sentence=f"{gate.text}: {count:,} of {total:,} {plural(total, 'incident')}: {kinds}")


def _check_count(gate: Gate, count: int, word: str) -> Verdict:
    failed = gate.holds(count)
    return Verdict(failed=failed, sentence=f"{gate.text}: {count:,} {plural(count, word)}" if failed else "")


def _check_rows(gate: Gate, result: Result) -> Verdict:
    rows, key, column = result.frame.to_dicts(), result.columns[0].name, gate.column
    if gate.field:
        rows = [row for row in rows if row["metric"] == RATES[gate.field]]
    elif total := [row for row in rows if row[key] == TOTAL]:
        rows = total
    hits = [row for row in rows if gate.holds(row[column.name])]
    if hits:
        # The row that is furthest beyond the limit represents the others.
        worst = hits[0] if isinstance(gate.value, str) else _furthest(hits, gate)
        others = f"; and {len(hits) - 1:,} more {plural(len(hits) - 1, 'row')}" * (len(hits) > 1)
        value = shown(worst[column.name], column, tz=result.tz)
        return Verdict(failed=True, sentence=f"{gate.text}: {value}{_where(gate, worst, result)}{others}")
    if rows and all(row[column.name] is None for row in rows):
        where = _where(gate, rows[0], result) if len(rows) == 1 else f" in any of {len(rows)} rows"
        return Verdict(
            failed=False, sentence=f"not judged: {gate.text}: there is no {column.name}{where}{_bound(gate, result)}"
        )
    return Verdict(failed=False)


def _furthest(hits: Sequence[Mapping[str, Any]], gate: Gate) -> Mapping[str, Any]:
    pick = min if gate.sign in ("<", "<=") else max
    return pick(hits, key=lambda row: row[gate.column.name])


def _where(gate: Gate, row: Mapping[str, Any], result: Result) -> str:
    """The row, and the counts of a rate: `` (12 of 352, bad_count of known_count) for /api/chat``."""
    counts = [column.name for column in result.columns if column.name.endswith("_count")]
    parts = _parts(gate.column, result.columns)
    text = ""
    if parts and row[parts[0]] is not None and row[parts[1]] is not None:
        text = f" ({row[parts[0]]:,} of {row[parts[1]]:,}, {parts[0]} of {parts[1]})"
    elif gate.column.unit == "share" and counts:
        text = f" ({counts[0]} {row[counts[0]]:,})"
    if gate.field or result.frame.height == 1:
        return text
    # The first columns identify a row: its name or its time.
    keys = list(takewhile(lambda column: column.type == "varchar" or _is_time(column), result.columns))[:3]
    names = [shown(row[key.name], key, tz=result.tz, short=True) for key in keys if key.name != gate.column.name]
    return text + (f" for {' '.join(names)}" if names else "")


def _bound(gate: Gate, result: Result) -> str:
    least = result.params.get("min_count")
    return f"; a rate below --min-count {least} is not judged" if least and gate.column.unit == "share" else ""


def _parts(column: Column, columns: Sequence[Column]) -> tuple[str, str] | None:
    """Numerator and denominator of a rate, from its meaning; the ends of an interval have those of its rate."""
    names = [other.name for other in columns]
    match = _OF.match(column.meaning)
    if match is None and column.name in ALIASES.values():
        before = reversed(columns[: names.index(column.name)])
        match = next(filter(None, (_OF.match(other.meaning) for other in before)), None)
    return (match[1], match[2]) if match and {match[1], match[2]} <= set(names) else None
