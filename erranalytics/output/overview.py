"""The overview in sentences: health, failures, rates, and what could not be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from erranalytics.output.table import pad, wrap
from erranalytics.reports.values import percent
from erranalytics.text.display import plural, printable

if TYPE_CHECKING:
    from erranalytics.reports.runner import Result

METRICS = {
    "requests_failed": "requests failed (4xx 5xx)",
    "streams_failed": "streams failed, at least",
    "oom_incidents": "OOM incidents",
}

# As many failures fit on a screen, each with its remedy.
SHOWN = 4


def overview_lines(results: Sequence[Result], *, now: datetime, width: int = 80) -> list[str]:
    """The lines of the overview and its parts: health, failures, rates, and what could not be seen."""
    rows = {result.name: result.frame.to_dicts() for result in results}
    head = rows["overview"][0]
    zone = ZoneInfo(next(result.tz for result in results if result.name == "overview"))
    if not head["source_count"]:
        return ["Nothing here yet.", "  → journalctl -u ollama -o json | erranalytics ingest -"]
    lines = _health(head, zone=zone, width=width)
    failing = rows.get("overview-failing", [])[:SHOWN]
    lines += ["", heading(failing)]
    for row in failing:
        lines += _failure(row, now=now, zone=zone, width=width)
    if failing and failing[0]["code_count"] > len(failing):
        more = failing[0]["code_count"] - len(failing)
        lines.append(f"  and {more} more {plural(more, 'kind')}: erranalytics report error-frequency")
    unseen = {row["topic"]: row for row in rows.get("coverage", [])}
    hidden = unseen.pop("not_observable", {"amount": 0})["amount"]
    lines += ["", *_rates(rows.get("overview-rates", []), hidden=hidden, width=width)]
    sentences = glance(rows, now=now, zone=zone)
    lines += [""] * bool(sentences) + [line for text in sentences for line in wrap(text, width, later="  ")]
    if unseen:
        text = "; ".join(row["note"] for row in unseen.values())
        lines += ["", *wrap(printable(text), width, first="Not seen: ", later="  ")]
    return lines


def heading(failing: Sequence[Mapping[str, Any]]) -> str:
    """The heading of the rows of ``overview-failing``, which are warnings when nothing fails."""
    if not failing:
        return "Nothing fails."
    return "Nothing fails; warnings" if failing[0]["severity"] == "warning" else "Failing now"


def _health(head: Mapping[str, Any], *, zone: ZoneInfo, width: int) -> list[str]:
    return [line for facts in health(head, zone=zone) for line in wrap(facts, width, later="  ")]


def health(head: Mapping[str, Any], *, zone: ZoneInfo) -> tuple[str, str]:
    """Two lines: the versions, hosts and period; the counts of requests, failures and warnings."""
    versions, hosts = head["versions"] or [], head["hosts"] or []
    name = (
        "Ollama " + " → ".join(versions if len(versions) < 3 else [versions[0], versions[-1]]) if versions else "Ollama"
    )
    where = f" on {', '.join(hosts[:2])}" + (f" and {len(hosts) - 2} more" if len(hosts) > 2 else "") if hosts else ""
    facts = [name + where]
    if head["first_ts"] and head["last_ts"]:
        facts.append(
            f"{_span(head['last_ts'] - head['first_ts'])} to {head['last_ts'].astimezone(zone):%Y-%m-%d %H:%M %Z}"
        )
    failures, warnings, critical = head["incident_count"], head["warning_count"], head["critical_count"]
    state = [f"{head['request_count']:,} inference {plural(head['request_count'], 'request')}"]
    state.append(f"{failures:,} {plural(failures, 'failure')}" if failures else "no failures")
    state[-1] += f", {critical:,} of them critical" * bool(critical)
    state += [f"{warnings:,} {plural(warnings, 'warning')}"] * bool(warnings)
    return printable(" · ".join(facts)), printable(" · ".join(state))


def _failure(row: Mapping[str, Any], *, now: datetime, zone: ZoneInfo, width: int) -> list[str]:
    """The lines of a failure: title, count and age; whom it hit; what to do."""
    count, ago = row["incident_count"], _ago(row["last_ts"], now=now, zone=zone)
    tail = f"{count:>5,} {plural(count, 'incident'):<9}  {ago}".ljust(29)
    title = wrap(printable(row["title"] or ""), width - 29, first=f"  {row['code']:<6}  ", later=" " * 10)
    lines = [pad(title[0], width - 29) + tail.rstrip(), *title[1:]]
    # A single incident has its age at the end of its line.
    since = f"since {row['first_ts'].astimezone(zone):%Y-%m-%d}" if row.get("first_ts") and count > 1 else ""
    if hit := " · ".join(filter(None, (since, whom(row)))):
        lines += wrap(hit, width, first=" " * 10, later=" " * 10)
    remedy = wrap(printable(row["remedy"] or ""), width - 2, first=" " * 10 + "→ ", later=" " * 12)
    return [*lines, *remedy[:2]] if len(remedy) < 3 else [*lines, remedy[0], f"{remedy[1]} …"]


def whom(row: Mapping[str, Any]) -> str:
    """Whom a failure hit: models, requests, and streams that look complete."""
    hit = [", ".join((row["models"] or [])[:3])] if row["models"] else []
    if row["request_count"]:
        hit.append(f"{row['request_count']:,} {plural(row['request_count'], 'request')} hit")
    if row["suspected_count"]:
        streams = plural(row["suspected_count"], "stream was", "streams were")
        hit.append(f"{row['suspected_count']:,} {streams} probably cut although the server logged 200")
    return printable(" · ".join(hit))


def _rates(rates: Sequence[Mapping[str, Any]], *, hidden: int, width: int) -> list[str]:
    compared = any(row["before_bad_count"] is not None for row in rates)
    lines = [pad("Rates", 30) + "this period".ljust(26) + "period before" if compared else "Rates"]
    for row in rates:
        count = f"{row['bad_count']:,}"
        now = (
            count if row["all_count"] is None else f"{count} / {row['all_count']:,}".ljust(16) + rate_text(row["rate"])
        )
        before = row["before_bad_count"]
        then = "" if before is None else f"{before:,}" if row["all_count"] is None else rate_text(row["before_rate"])
        lines.append(
            ("  " + pad(METRICS[row["metric"]], 28) + now.ljust(26) + then.ljust(10) + (row["trend"] or "")).rstrip()
        )
        notes = rate_notes(row, hidden=hidden)
        lines += wrap("; ".join(notes), width, first="    ", later="    ") if notes else []
    return lines


def glance(rows: Mapping[str, Sequence[Mapping[str, Any]]], *, now: datetime, zone: ZoneInfo) -> list[str]:
    """A sentence each on how streams ended, on memory failures and on the trend, if there is something to say."""
    streams = next((row for row in rows.get("overview-rates", []) if row["metric"] == "streams_failed"), {})
    trend = next(iter(rows.get("overview-trend", [])), {})
    known = {row["code"] for row in rows.get("overview-failing", [])[:SHOWN]}
    sentences = (_streams(streams), _memory(trend, known=known, now=now, zone=zone), _trend(trend))
    return [printable(text) for text in sentences if text]


def _streams(row: Mapping[str, Any]) -> str:
    known, bad, cut = row.get("known_count") or 0, row.get("bad_count") or 0, row.get("truncated_count") or 0
    parts = [f"{bad:,} of {known:,} with a known end failed" + f", {cut:,} of them cut off" * bool(cut)]
    if not known:
        parts = []
    elif known == bad:
        parts = [f"{bad:,} failed, and no other end is known"]
    if suspected := row.get("suspected_count"):
        parts.append(f"{suspected:,} more logged as 200 {plural(suspected, 'is', 'are')} suspect")
    if cancelled := row.get("cancelled_count"):
        parts.append(f"{cancelled:,} cancelled")
    return f"Streams: {'; '.join(parts)}." if parts else ""


def _memory(row: Mapping[str, Any], *, known: set[str], now: datetime, zone: ZoneInfo) -> str:
    """The sentence on memory failures; the titles of ``known`` codes are not repeated."""
    count = row.get("oom_count")
    if not count:
        return ""
    most = f"{row['oom_code_count']:,} × {row['oom_code']}" if count > 1 else row["oom_code"]
    model = f", {'mostly ' * (count > 1)}{row['oom_model']}" if row["oom_model"] else ""
    title = "" if row["oom_code"] in known else f" {(row['oom_title'] or '').rstrip('.')}"
    last = _ago(row["oom_last_ts"], now=now, zone=zone)
    return f"Memory: {count:,} {plural(count, 'failure')}, last {last}; {most}{title}{model}."


def _trend(row: Mapping[str, Any]) -> str:
    if not row.get("hours") or row["before_count"] is None:
        return ""
    length = {1: "last hour", 24: "last day", 168: "last 7 days"}.get(row["hours"], "period")
    count, before = row["last_count"], row["before_count"]
    trend = {"same": "no clear change"}.get(row["trend"], row["trend"])
    then = length.removeprefix("last ")
    text = f"Trend: {count:,} {plural(count, 'failure')} in the {length}, {before:,} in the {then} before: {trend}."
    new = row["new_codes"] or []
    return text + (f" New: {', '.join(new[:6])}" + ", …" * (len(new) > 6) + " (report new-errors)." if new else "")


def rate_notes(row: Mapping[str, Any], *, hidden: int) -> list[str]:
    """How certain a rate is; ``hidden`` is the count of streams whose end is unknown."""
    notes = []
    # A lower bound has no interval, because the streams that are not observable may have failed too.
    if row["rate"] is not None and not (row["metric"] == "streams_failed" and hidden):
        notes.append(f"95 % interval {percent(row['rate_low'])[:-2]}–{percent(row['rate_high'])}")
    if row["metric"] == "streams_failed" and hidden:
        notes.append(f"{hidden:,} {plural(hidden, 'stream')} logged as 200: their end is not observable")
    return notes


def rate_text(rate: float | None) -> str:
    """A rate as a person reads it, or ``too few`` if it cannot be judged."""
    return "too few" if rate is None else percent(rate)


def _ago(moment: datetime | None, *, now: datetime, zone: ZoneInfo) -> str:
    """``12 min ago``, ``2 h ago``, ``3 days ago``, or the date if that is over a week ago."""
    if moment is None:
        return "no time"
    passed = now - moment
    if passed > timedelta(days=7) or passed < timedelta(minutes=-5):
        return f"{moment.astimezone(zone):%Y-%m-%d}"
    minutes = max(0, int(passed.total_seconds() // 60))
    if minutes < 90:
        return f"{minutes} min ago"
    return f"{round(minutes / 60)} h ago" if minutes < 47 * 60 else f"{round(minutes / 1440)} days ago"


def _span(length: timedelta) -> str:
    hours = length.total_seconds() / 3600
    if hours < 2:
        return f"{max(1, round(hours * 60))} min"
    return f"{round(hours)} hours" if hours < 48 else f"{round(hours / 24)} days"
