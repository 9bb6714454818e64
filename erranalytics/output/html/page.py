"""Results as one HTML page that contains everything, loads nothing, and shows the text of a log as text only.

All that the templates print goes through ``printable``, so that a direction mark is shown and not obeyed, and then
through the escaping of jinja2. The policy of the page allows its one style and its one script by their hashes, and
nothing else, so there are no ``style`` attributes either.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from erranalytics.classification.taxonomy import SEVERITIES
from erranalytics.output.html import charts
from erranalytics.output.overview import METRICS, glance, heading, health, rate_notes, rate_text, whom
from erranalytics.reports import catalogue
from erranalytics.reports.values import NULL, SENTENCES, is_number, label, plain, shown
from erranalytics.text.display import plural, printable
from erranalytics.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

    from erranalytics.reports.catalogue import Column
    from erranalytics.reports.runner import Result

ROWS_ON_A_PAGE = 15  # of each of many tables
ROWS_ASKED_FOR = 2000  # of a report asked for by name
ABOUT = "page"
# A page is read later than it is written, so ages count from the far future and become dates.
MUCH_LATER = datetime.max.replace(tzinfo=UTC)

_FOLDER = Path(__file__).resolve().parent / "templates"


def write(results: Sequence[Result]) -> str:
    """The page: what it is about, the overview, charts, and a table for each other report."""
    by_name = {result.name: result for result in results}
    about = next(iter(by_name[ABOUT].frame.to_dicts()), {}) if ABOUT in by_name else {}
    tables, is_complete = [result for result in results if _has_table(result, results)], "page-errors" in by_name
    empty = [result.title for result in tables if is_complete and result.frame.is_empty()]
    cap = ROWS_ON_A_PAGE if is_complete else ROWS_ASKED_FOR
    values = {
        "version": __version__,
        "charts": charts.charts_of(results),
        "tables": [_table(result, cap) for result in tables if result.title not in empty],
        "empty": empty,
        "unseen": _unseen(results),
        "facts": _facts(about, results),
        **_head(by_name, about, tables),
    }
    if values["has_sources"] is False:
        values |= {"charts": [], "tables": [], "empty": []}
    links = [("rates", "Rates"), ("failing", values["failing_heading"].rstrip("."))] if values["rates"] else []
    links += [("charts", "Charts")] if values["charts"] else []
    values["links"] = links + [(table["name"], table["link"]) for table in values["tables"]]
    style, script = _asset("style.css"), _asset("script.js")
    return (
        _environment()
        .get_template("page.html")
        .render(**values, policy=policy(style, script), style=_trusted(style), script=_trusted(script))
    )


def _has_table(result: Result, results: Sequence[Result]) -> bool:
    """Whether a result has a table: it has none if the overview states it in words or a chart draws it."""
    is_drawn = result.name == ABOUT or result.name.startswith("page-")
    is_in_words = any(other.name == "overview" for other in results) and result.name in ("overview", "coverage")
    return not (is_drawn or is_in_words or result.name.startswith("overview-"))


# --- safety --------------------------------------------------------------------------------------------------------


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["pct"] = lambda number: f"{number:.3f}".rstrip("0").rstrip(".") + "%"
    environment.filters["px"] = lambda number: f"{number:.1f}".removesuffix(".0")
    return environment


def _visible(value: object) -> object:
    """A value as a template prints it, with control and direction characters shown; macros have done that already."""
    return value if hasattr(value, "__html__") else printable(str(value))


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").strip()


def _trusted(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # a file of this package, not text of a log


def policy(style: str, script: str) -> str:
    """The content security policy that allows exactly this style and this script."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


# --- the head ------------------------------------------------------------------------------------------------------


def _head(by_name: Mapping[str, Result], about: Mapping[str, Any], tables: Sequence[Result]) -> dict[str, Any]:
    """The headline, the lines below it, rates and failures; without an overview, the titles and the period."""
    if "overview" not in by_name:
        titles = [result.title or result.name for result in tables]
        headline = titles[0] if len(titles) == 1 else "What Ollama's logs say"
        title, lines = headline, [_period(about, by_name[ABOUT].tz)] if about else []
        empty: dict[str, Any] = {"rates": [], "glance": [], "failing": [], "failing_heading": "", "failing_more": ""}
        empty |= {"is_overview": False, "hint": ""}
        return empty | {"headline": headline, "title": title, "lines": lines, "state": "plain", "has_sources": None}
    result = by_name["overview"]
    head, zone = result.frame.to_dicts()[0], ZoneInfo(result.tz)
    where, requests = health(head, zone=zone)[0], _requests(head)
    failing = by_name["overview-failing"].frame.to_dicts() if "overview-failing" in by_name else []
    headline, state = _headline(head)
    more = failing[0]["code_count"] - len(failing) if failing else 0
    return {
        "headline": headline,
        "state": state,
        "title": " · ".join(filter(None, (headline, where.split(" · ")[0]))),
        "lines": [where, requests] if head["source_count"] else [],
        "hint": "" if head["source_count"] else "journalctl -u ollama -o json | erranalytics ingest -",
        "is_overview": True,
        "has_sources": bool(head["source_count"]),
        "rates": _rates(by_name) if head["source_count"] else [],
        "glance": glance(
            {name: part.frame.to_dicts() for name, part in by_name.items() if name.startswith("overview-")},
            now=MUCH_LATER,
            zone=zone,
        ),
        "failing": [_card(row, zone) for row in failing],
        "failing_heading": heading(failing),
        "failing_more": f"and {more:,} more {plural(more, 'kind')}" if more else "",
        "failing_command": "" if "error-frequency" in by_name else _command("error-frequency", result),
    }


def _requests(head: Mapping[str, Any]) -> str:
    """The count of requests, and of warnings unless the headline has it."""
    requests, warnings = head["request_count"], head["warning_count"] if head["incident_count"] else 0
    return (
        f"{requests:,} inference {plural(requests, 'request')}"
        + f" · {warnings:,} {plural(warnings, 'warning')}" * bool(warnings)
    )


def _headline(head: Mapping[str, Any]) -> tuple[str, str]:
    """The state in one line, and the severity that gives its colour."""
    if not head["source_count"]:
        return "Nothing here yet", "plain"
    failures, critical, warnings = head["incident_count"], head["critical_count"], head["warning_count"]
    if failures:
        text = f"{failures:,} {plural(failures, 'failure')}" + f", {critical:,} of them critical" * bool(critical)
        return text, "critical" if critical else "error"
    if warnings:
        return f"No failures, {warnings:,} {plural(warnings, 'warning')}", "warning"
    return "No failures", "good"


def _rates(by_name: Mapping[str, Result]) -> list[dict[str, Any]]:
    unseen = by_name["coverage"].frame.to_dicts() if "coverage" in by_name else []
    hidden = next((row["amount"] for row in unseen if row["topic"] == "not_observable"), 0)
    tiles = []
    for row in by_name["overview-rates"].frame.to_dicts() if "overview-rates" in by_name else []:
        count, total, before = row["bad_count"], row["all_count"], row["before_bad_count"]
        lines = [f"{count:,} of {total:,}"] if total is not None else []
        lines += rate_notes(row, hidden=hidden)
        if before is not None:
            lines.append(f"period before: {f'{before:,}' if total is None else rate_text(row['before_rate'])}")
        figure = f"{count:,}" if total is None else rate_text(row["rate"])
        tiles.append({"name": METRICS[row["metric"]], "figure": figure, "lines": lines, "trend": row["trend"] or ""})
    return tiles


def _card(row: Mapping[str, Any], zone: ZoneInfo) -> dict[str, str]:
    """A failure as a card."""
    seen = [f"{row['incident_count']:,} {plural(row['incident_count'], 'incident')}"]
    seen += [f"since {_day(row['first_ts'], zone.key)}"] * bool(row["first_ts"] and row["incident_count"] > 1)
    seen += [f"last {_day(row['last_ts'], zone.key)}"] * bool(row["last_ts"])
    return {
        "code": row["code"],
        "title": row["title"] or "",
        "severity": row["severity"] if row["severity"] in SEVERITIES else "error",
        "counts": " · ".join(seen),
        "hit": whom(row),
        "remedy": row["remedy"] or "",
    }


# --- the foot ------------------------------------------------------------------------------------------------------


def _unseen(results: Sequence[Result]) -> list[str]:
    """What could not be seen, without repetition: the notes of ``coverage`` if it is there, or else of the reports."""
    notes = [note for result in results if result.name == "coverage" for note in result.frame["note"]]
    return list(dict.fromkeys(notes or [note for result in results for note in result.notes]))


def _facts(about: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    """The version, store, amounts, period and zone. The folder of the store is private, so it is left out."""
    facts = [f"erranalytics {__version__}"]
    zones = sorted({result.tz for result in results})
    if about:
        name = about["store"] or "a store in memory"
        counts = [(about["source_count"], "source"), (about["event_count"], "record")]
        amount = ", ".join(f"{count:,} {plural(count, word)}" for count, word in counts)
        facts += [f"store {name}: {amount}", _period(about, zones[0])]
    return [*facts, f"times in {', '.join(zones)}"] if zones else facts


def _period(about: Mapping[str, Any], tz: str) -> str:
    ends = (_day(about["first_ts"], tz), _day(about["last_ts"], tz))
    return f"from {ends[0]} to {ends[1]}" if all(ends) else "no record with a time in this period"


def _day(moment: datetime | None, tz: str) -> str:
    return f"{moment.astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M}" if moment else ""


# --- tables --------------------------------------------------------------------------------------------------------


def _table(result: Result, cap: int) -> dict[str, Any]:
    """The values of a table in the template: at most ``cap`` rows, and the command that prints all."""
    beside = [column for column in result.columns if not column.below] or list(result.columns)
    below = [column for column in result.columns if column not in beside]
    more = result.frame.height - cap
    return {
        "name": result.name,
        "title": result.title or result.name,
        "link": (result.title or result.name).split(",")[0],
        "heads": [_column(column) for column in beside],
        "rows": [_row(row, beside, below, result.tz) for row in result.frame.head(cap).to_dicts()],
        "more": f"{more:,}" if more > 0 else "",
        "command": _command(result.name, result),
        "notes": result.notes,
    }


def _column(column: Column) -> dict[str, Any]:
    return {"name": column.name, "label": label(column.name), "kind": _kind(column), "meaning": column.meaning}


def _kind(column: Column) -> str:
    if is_number(column):
        return "number"
    return "time" if (column.type or "").startswith("timestamp") else ""


def _row(row: Mapping[str, Any], beside: Iterable[Column], below: Iterable[Column], tz: str) -> dict[str, Any]:
    under = [(column, _cell(row[column.name], column, tz)) for column in below]
    under = [(column, cell) for column, cell in under if cell["text"] not in (NULL, "")]
    return {
        "severity": row["severity"] if row.get("severity") in SEVERITIES else "",
        "cells": [_cell(row[column.name], column, tz) for column in beside],
        "sentences": [cell for column, cell in under if column.name in SENTENCES],
        "facts": [cell for column, cell in under if column.name not in SENTENCES],
    }


def _cell(value: object, column: Column, tz: str) -> dict[str, Any]:
    """A cell: its text for people, and its value as JSON unless that is the text itself."""
    raw = None
    if not isinstance(value, str):
        # Plain ASCII, so nothing in it needs to be made visible.
        raw = json.dumps(plain(value, tz=tz), allow_nan=False).replace("\x7f", "\\u007f")
    text = shown(value, column, tz=tz, short=True)
    severity = value if column.name == "severity" and value in SEVERITIES else ""
    return _column(column) | {"text": text, "value": raw, "severity": severity}


def _command(name: str, result: Result) -> str:
    """The command that prints all rows of a report, with the parameters of this page; empty for any other result."""
    report = catalogue.catalogue().get(name)
    if report is None:
        return ""
    words = ["erranalytics report", name]
    for key, param in report.params.items():
        value = result.params.get(key)
        if value is not None and value != param.default:
            text = str(plain(value.astimezone(UTC)) if isinstance(value, datetime) else value)
            option = f"--{key.replace('_', '-')}" if key in catalogue.COMMON else "--param"
            words += [option, shlex.quote(text if key in catalogue.COMMON else f"{key}={text}")]
    return " ".join(words)
