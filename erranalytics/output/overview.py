"""The overview as a newcomer reads it: health, what fails, rates, what could not be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from erranalytics.text.display import pad, percent, plural, printable, wrap

if TYPE_CHECKING:
    from erranalytics.reports.runner import Result

METRICS = {
    "requests_failed": "requests failed (4xx 5xx)",
    "streams_failed": "streams failed, at least",
    "oom_incidents": "OOM incidents",
}

# So many failures fit a screen, with what to do about each.
SHOWN = 4


def overview_lines(results: Sequence[Result], *, now: datetime, width: int = 80) -> list[str]:
    """The overview and its parts as a newcomer reads them: health, what fails, rates, what could not be seen."""
    parts = {one.name: one for one in results}
    rows = {name: one.frame.to_dicts() for name, one in parts.items()}
    head, zone = rows["overview"][0], ZoneInfo(parts["overview"].tz)
    if not head["source_count"]:
        return ["Nothing here yet.", "  → journalctl -u ollama -o json | erranalytics ingest -"]
    lines = _health(head, zone=zone, width=width)
    failing = rows.get("overview-failing", [])[:SHOWN]
    lines += ["", heading(failing)]
    for one in failing:
        lines += _failure(one, now=now, zone=zone, width=width)
    if failing and failing[0]["code_count"] > len(failing):
        more = failing[0]["code_count"] - len(failing)
        lines.append(f"  and {more} more {plural(more, 'kind')}: erranalytics report error-frequency")
    unseen = {one["topic"]: one for one in rows.get("coverage", [])}
    hidden = unseen.pop("not_observable", {"amount": 0})["amount"]
    lines += ["", *_rates(rows.get("overview-rates", []), hidden=hidden, width=width)]
    told = glance(rows, now=now, zone=zone)
    lines += [""] * bool(told) + [line for text in told for line in wrap(text, width, later="  ")]
    if unseen:
        text = "; ".join(one["note"] for one in unseen.values())
        lines += ["", *wrap(printable(text), width, first="Not seen: ", later="  ")]
    return lines


def heading(failing: Sequence[Mapping[str, Any]]) -> str:
    """What stands above the rows of ``overview-failing``, which are warnings where nothing fails."""
    if not failing:
        return "Nothing fails."
    return "Nothing fails; warned of" if failing[0]["severity"] == "warning" else "Failing now"


def _health(head: Mapping[str, Any], *, zone: ZoneInfo, width: int) -> list[str]:
    return [line for facts in health(head, zone=zone) for line in wrap(facts, width, later="  ")]


def health(head: Mapping[str, Any], *, zone: ZoneInfo) -> tuple[str, str]:
    """Two lines: what ran where and until when; how much was asked and how much of it failed."""
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


def _failure(one: Mapping[str, Any], *, now: datetime, zone: ZoneInfo, width: int) -> list[str]:
    """Title with count and age; whom it hit; what to do."""
    count, ago = one["incident_count"], _ago(one["last_ts"], now=now, zone=zone)
    tail = f"{count:>5,} {plural(count, 'incident'):<9}  {ago}".ljust(29)
    title = wrap(printable(one["title"] or ""), width - 29, first=f"  {one['code']:<6}  ", later=" " * 10)
    lines = [pad(title[0], width - 29) + tail.rstrip(), *title[1:]]
    # One incident has the age that stands at its end.
    since = f"since {one['first_ts'].astimezone(zone):%Y-%m-%d}" if one.get("first_ts") and count > 1 else ""
    if hit := " · ".join(filter(None, (since, whom(one)))):
        lines += wrap(hit, width, first=" " * 10, later=" " * 10)
    remedy = wrap(printable(one["remedy"] or ""), width - 2, first=" " * 10 + "→ ", later=" " * 12)
    return [*lines, *remedy[:2]] if len(remedy) < 3 else [*lines, remedy[0], f"{remedy[1]} …"]


def whom(one: Mapping[str, Any]) -> str:
    """Whom a failure hit: models, requests, and streams that look whole."""
    hit = [", ".join((one["models"] or [])[:3])] if one["models"] else []
    if one["request_count"]:
        hit.append(f"{one['request_count']:,} {plural(one['request_count'], 'request')} hit")
    if one["suspected_count"]:
        streams = plural(one["suspected_count"], "stream was", "streams were")
        hit.append(f"{one['suspected_count']:,} {streams} probably cut although the server logged 200")
    return printable(" · ".join(hit))


def _rates(rates: Sequence[Mapping[str, Any]], *, hidden: int, width: int) -> list[str]:
    compared = any(one["before_bad_count"] is not None for one in rates)
    lines = [pad("Rates", 30) + "this period".ljust(26) + "period before" if compared else "Rates"]
    for one in rates:
        count = f"{one['bad_count']:,}"
        now = count if one["all_count"] is None else f"{count} / {one['all_count']:,}".ljust(16) + judged(one["rate"])
        before = one["before_bad_count"]
        then = "" if before is None else f"{before:,}" if one["all_count"] is None else judged(one["before_rate"])
        lines.append(
            ("  " + pad(METRICS[one["metric"]], 28) + now.ljust(26) + then.ljust(10) + (one["trend"] or "")).rstrip()
        )
        notes = rate_notes(one, hidden=hidden)
        lines += wrap("; ".join(notes), width, first="    ", later="    ") if notes else []
    return lines


def glance(rows: Mapping[str, Sequence[Mapping[str, Any]]], *, now: datetime, zone: ZoneInfo) -> list[str]:
    """How streams ended, where memory ran out, and whether it gets worse: a sentence each, where there is something."""
    streams = next((one for one in rows.get("overview-rates", []) if one["metric"] == "streams_failed"), {})
    trend = next(iter(rows.get("overview-trend", [])), {})
    known = {one["code"] for one in rows.get("overview-failing", [])[:SHOWN]}
    told = (_streams(streams), _memory(trend, known=known, now=now, zone=zone), _trend(trend))
    return [printable(text) for text in told if text]


def _streams(one: Mapping[str, Any]) -> str:
    known, bad, cut = one.get("known_count") or 0, one.get("bad_count") or 0, one.get("truncated_count") or 0
    told = [f"{bad:,} of {known:,} with a known end failed" + f", {cut:,} of them cut off" * bool(cut)]
    if not known:
        told = []
    elif known == bad:
        told = [f"{bad:,} failed, no other end is known"]
    if suspected := one.get("suspected_count"):
        told.append(f"{suspected:,} more logged as 200 {plural(suspected, 'is', 'are')} suspect")
    if cancelled := one.get("cancelled_count"):
        told.append(f"{cancelled:,} cancelled")
    return f"Streams: {'; '.join(told)}." if told else ""


def _memory(one: Mapping[str, Any], *, known: set[str], now: datetime, zone: ZoneInfo) -> str:
    """``known`` codes have their title already."""
    count = one.get("oom_count")
    if not count:
        return ""
    most = f"{one['oom_code_count']:,} × {one['oom_code']}" if count > 1 else one["oom_code"]
    model = f", {'mostly ' * (count > 1)}{one['oom_model']}" if one["oom_model"] else ""
    title = "" if one["oom_code"] in known else f" {(one['oom_title'] or '').rstrip('.')}"
    last = _ago(one["oom_last_ts"], now=now, zone=zone)
    return f"Memory: {count:,} {plural(count, 'failure')}, last {last}; {most}{title}{model}."


def _trend(one: Mapping[str, Any]) -> str:
    if not one.get("hours") or one["before_count"] is None:
        return ""
    length = {1: "last hour", 24: "last day", 168: "last 7 days"}.get(one["hours"], "period")
    count, before = one["last_count"], one["before_count"]
    judged = {"same": "no clear change"}.get(one["trend"], one["trend"])
    then = length.removeprefix("last ")
    told = f"Trend: {count:,} {plural(count, 'failure')} in the {length}, {before:,} in the {then} before: {judged}."
    new = one["new_codes"] or []
    return told + (f" New: {', '.join(new[:6])}" + ", …" * (len(new) > 6) + " (report new-errors)." if new else "")


def rate_notes(one: Mapping[str, Any], *, hidden: int) -> list[str]:
    """How sure a rate is; ``hidden`` streams ended unseen."""
    notes = []
    # A lower bound has no interval: what is not observable may have failed too.
    if one["rate"] is not None and not (one["metric"] == "streams_failed" and hidden):
        notes.append(f"95 % interval {percent(one['rate_low'])[:-2]}–{percent(one['rate_high'])}")
    if one["metric"] == "streams_failed" and hidden:
        notes.append(f"{hidden:,} {plural(hidden, 'stream')} logged as 200: their end is not observable")
    return notes


def judged(rate: float | None) -> str:
    """A rate as a person reads it, or that there is too little to judge by."""
    return "too few" if rate is None else percent(rate)


def _ago(moment: datetime | None, *, now: datetime, zone: ZoneInfo) -> str:
    """``12 min ago``, ``2 h ago``, ``3 days ago``, and the date when it is over a week."""
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
