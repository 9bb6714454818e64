"""Results as one HTML page: everything is inside it, nothing is loaded, and no text of a log is more than text.

The templates stand in ``pages/``. Whatever they print goes through ``printable``, so that a direction mark is shown and
not obeyed, and then through the escaping of jinja2. The policy of the page allows the one style and the one script by
their hashes, and nothing else from anywhere; so there are no ``style`` attributes either.
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

from erranalytics.output.html import charts
from erranalytics.output.overview import METRICS, glance, heading, health, judged, rate_notes, whom
from erranalytics.reports import catalogue
from erranalytics.text.display import NULL, is_number, label, plain, plural, printable, shown
from erranalytics.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

    from erranalytics.reports.catalogue import Column
    from erranalytics.reports.runner import Result

ROWS_ON_A_PAGE = 15  # of each table where there are many
ROWS_ASKED_FOR = 2000  # of a report that was named
SENTENCES = ("title", "message", "note", "remedy")
SEVERITIES = ("critical", "error", "warning", "info")
ABOUT = "page"
# A page is read later than it is written: seen from so far ahead, ages are told as dates.
MUCH_LATER = datetime.max.replace(tzinfo=UTC)

_FOLDER = Path(__file__).resolve().parent / "templates"


def write(results: Sequence[Result]) -> str:
    """The page: who it is about where ``results`` say so, the overview, charts, and a table for each other report."""
    found = {one.name: one for one in results}
    about = next(iter(found[ABOUT].frame.to_dicts()), {}) if ABOUT in found else {}
    tables, whole = [one for one in results if _has_table(one, results)], "page-errors" in found
    empty = [one.title for one in tables if whole and one.frame.is_empty()]
    cap = ROWS_ON_A_PAGE if whole else ROWS_ASKED_FOR
    drawn = charts.of(results)
    values = {
        "version": __version__,
        "charts": drawn,
        "tables": [_table(one, cap) for one in tables if one.title not in empty],
        "empty": empty,
        "unseen": _unseen(results),
        "facts": _facts(about, results),
        **_head(found, about, tables),
    }
    if values["has_sources"] is False:
        values |= {"charts": [], "tables": [], "empty": []}
    links = [("rates", "Rates"), ("failing", values["failing_heading"].rstrip("."))] if values["rates"] else []
    links += [("charts", "Charts")] if values["charts"] else []
    values["links"] = links + [(one["name"], one["link"]) for one in values["tables"]]
    style, script = _asset("style.css"), _asset("script.js")
    return (
        _environment()
        .get_template("page.html")
        .render(**values, policy=policy(style, script), style=_trusted(style), script=_trusted(script))
    )


def _has_table(one: Result, results: Sequence[Result]) -> bool:
    """What the overview says in words and the charts draw has no table besides."""
    drawn = one.name == ABOUT or one.name.startswith("page-")
    told = any(other.name == "overview" for other in results) and one.name in ("overview", "coverage")
    return not (drawn or told or one.name.startswith("overview-"))


# --- what is trusted -----------------------------------------------------------------------------------------------


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
    """What a template prints: text with its control and direction characters shown; macros have done so already."""
    return value if hasattr(value, "__html__") else printable(str(value))


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").strip()


def _trusted(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # a file of this package, no text of a log


def policy(style: str, script: str) -> str:
    """The content policy that lets in exactly this style and this script."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


# --- the head ------------------------------------------------------------------------------------------------------


def _head(found: Mapping[str, Result], about: Mapping[str, Any], tables: Sequence[Result]) -> dict[str, Any]:
    """Headline, what stands below it, rates and failures; without an overview, the titles and the period."""
    if "overview" not in found:
        titles = [one.title or one.name for one in tables]
        headline = titles[0] if len(titles) == 1 else "What Ollama's logs say"
        title, lines = headline, [_period(about, found[ABOUT].tz)] if about else []
        bare: dict[str, Any] = {"rates": [], "glance": [], "failing": [], "failing_heading": "", "failing_more": ""}
        bare |= {"is_overview": False, "hint": ""}
        return bare | {"headline": headline, "title": title, "lines": lines, "state": "plain", "has_sources": None}
    result = found["overview"]
    head, zone = result.frame.to_dicts()[0], ZoneInfo(result.tz)
    where, asked = health(head, zone=zone)[0], _asked(head)
    failing = found["overview-failing"].frame.to_dicts() if "overview-failing" in found else []
    headline, state = _headline(head)
    more = failing[0]["code_count"] - len(failing) if failing else 0
    return {
        "headline": headline,
        "state": state,
        "title": " · ".join(filter(None, (headline, where.split(" · ")[0]))),
        "lines": [where, asked] if head["source_count"] else [],
        "hint": "" if head["source_count"] else "journalctl -u ollama -o json | erranalytics ingest -",
        "is_overview": True,
        "has_sources": bool(head["source_count"]),
        "rates": _rates(found) if head["source_count"] else [],
        "glance": glance(
            {name: one.frame.to_dicts() for name, one in found.items() if name.startswith("overview-")},
            now=MUCH_LATER,
            zone=zone,
        ),
        "failing": [_card(one, zone) for one in failing],
        "failing_heading": heading(failing),
        "failing_more": f"and {more:,} more {plural(more, 'kind')}" if more else "",
        "failing_command": "" if "error-frequency" in found else _command("error-frequency", result),
    }


def _asked(head: Mapping[str, Any]) -> str:
    """How much was asked; what the headline says already is not said again."""
    requests, warnings = head["request_count"], head["warning_count"] if head["incident_count"] else 0
    told = f"{requests:,} inference {plural(requests, 'request')}"
    return told + f" · {warnings:,} {plural(warnings, 'warning')}" * bool(warnings)


def _headline(head: Mapping[str, Any]) -> tuple[str, str]:
    """The state in one line, and the severity it is coloured by."""
    if not head["source_count"]:
        return "Nothing here yet", "plain"
    failures, critical, warnings = head["incident_count"], head["critical_count"], head["warning_count"]
    if failures:
        told = f"{failures:,} {plural(failures, 'failure')}" + f", {critical:,} of them critical" * bool(critical)
        return told, "critical" if critical else "error"
    if warnings:
        return f"No failures, {warnings:,} {plural(warnings, 'warning')}", "warning"
    return "No failures", "good"


def _rates(found: Mapping[str, Result]) -> list[dict[str, Any]]:
    unseen = found["coverage"].frame.to_dicts() if "coverage" in found else []
    hidden = next((one["amount"] for one in unseen if one["topic"] == "not_observable"), 0)
    tiles = []
    for one in found["overview-rates"].frame.to_dicts() if "overview-rates" in found else []:
        count, whole, before = one["bad_count"], one["all_count"], one["before_bad_count"]
        lines = [f"{count:,} of {whole:,}"] if whole is not None else []
        lines += rate_notes(one, hidden=hidden)
        if before is not None:
            lines.append(f"period before: {f'{before:,}' if whole is None else judged(one['before_rate'])}")
        figure = f"{count:,}" if whole is None else judged(one["rate"])
        tiles.append({"name": METRICS[one["metric"]], "figure": figure, "lines": lines, "trend": one["trend"] or ""})
    return tiles


def _card(one: Mapping[str, Any], zone: ZoneInfo) -> dict[str, str]:
    """A failure as a card."""
    seen = [f"{one['incident_count']:,} {plural(one['incident_count'], 'incident')}"]
    seen += [f"since {_day(one['first_ts'], zone.key)}"] * bool(one["first_ts"] and one["incident_count"] > 1)
    seen += [f"last {_day(one['last_ts'], zone.key)}"] * bool(one["last_ts"])
    return {
        "code": one["code"],
        "title": one["title"] or "",
        "severity": one["severity"] if one["severity"] in SEVERITIES else "error",
        "counts": " · ".join(seen),
        "hit": whom(one),
        "remedy": one["remedy"] or "",
    }


# --- the foot ------------------------------------------------------------------------------------------------------


def _unseen(results: Sequence[Result]) -> list[str]:
    """What could not be seen, each thing once: all of it where the whole was asked for, else what the reports say."""
    whole = [note for one in results if one.name == "coverage" for note in one.frame["note"]]
    return list(dict.fromkeys(whole or [note for one in results for note in one.notes]))


def _facts(about: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    """Store, amount, period, zone and version. The name of the file only: its folder is nobody's business."""
    facts = [f"erranalytics {__version__}"]
    zones = sorted({one.tz for one in results})
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
    """A result as the template wants it: at most ``cap`` rows, and the command that gives all of them."""
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
    hanging = [(column, _cell(row[column.name], column, tz)) for column in below]
    told = [pair for pair in hanging if pair[1]["text"] not in (NULL, "")]
    return {
        "severity": row["severity"] if row.get("severity") in SEVERITIES else "",
        "cells": [_cell(row[column.name], column, tz) for column in beside],
        "sentences": [cell for column, cell in told if column.name in SENTENCES],
        "facts": [cell for column, cell in told if column.name not in SENTENCES],
    }


def _cell(value: object, column: Column, tz: str) -> dict[str, Any]:
    """A cell: the text a person reads, and the value as JSON has it unless that is the text itself."""
    raw = None
    if not isinstance(value, str):
        # Only ASCII, so that nothing in it needs to be made visible.
        raw = json.dumps(plain(value, tz=tz), allow_nan=False).replace("\x7f", "\\u007f")
    text = shown(value, column, tz=tz, short=True)
    severity = value if column.name == "severity" and value in SEVERITIES else ""
    return _column(column) | {"text": text, "value": raw, "severity": severity}


def _command(name: str, result: Result) -> str:
    """What to type for all rows of a report, with what this page was asked for; nothing for what is no report."""
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
