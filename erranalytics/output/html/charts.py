"""Charts as marks: the numbers of a result as rectangles, lines and texts, which a template writes as SVG.

Horizontal positions are percentages, so a chart is as wide as the page. Vertical positions are pixels, so its text has
the size of the text around it, on a telephone too. A chart is a function from a result to ``Chart``; ``CHARTS`` names
the results that have one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from erranalytics.reports.values import duration
from erranalytics.text.display import human_bytes, plural, shortened

if TYPE_CHECKING:
    from erranalytics.reports.runner import Result

PLOT_HEIGHT = 190
TICK_ROOM = 22  # below the plot, for the times
MEMORY_SHOWN, MEMORY_HEIGHT = 8, 50
LANES_SHOWN = 12

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STREAMS = (
    ("completed", "completed", "proven"),
    ("not_observable", "not observable", "logged as 200, which proves nothing"),
    ("cancelled", "cancelled", "by the client"),
    ("failed", "failed", "ended with an error"),
    ("truncated", "truncated", "ended without a last chunk"),
    ("suspected", "suspected", "logged as 200, but the runner died"),
)
_ENDS = {
    "running": "running",
    "stopped": "stopped",
    "restarted": "restarted",
    "crashed": "crashed",
    "oom_killed": "killed for memory",
    "unknown": "end not in the log",
}
_CRASHES = ("crashed", "oom_killed")
_LATENCY_TICKS = (1, 10, 100, 1000, 10**4, 10**5, 10**6, 10**7, 60 * 10**6, 600 * 10**6, 3600 * 10**6)


@dataclass(frozen=True)
class Mark:
    """One thing to draw: ``x`` and ``width`` are in percent of the width, ``y`` and ``height`` in pixels.

    ``style`` names a class of the style sheet. ``text`` is the content of a text, and the tooltip of anything else.
    ``anchor`` is the point of a text that is placed at ``x``, moved by ``shift`` pixels.
    """

    kind: Literal["rect", "line", "text", "cross"]
    x: float
    y: float
    width: float = 0
    height: float = 0
    style: str = ""
    text: str = ""
    anchor: Literal["start", "middle", "end"] = "start"
    shift: int = 0


@dataclass(frozen=True)
class Chart:
    """All that a template needs to draw a chart; ``summary`` describes it to readers who cannot see it."""

    name: str
    title: str
    summary: str
    height: int = 0
    marks: tuple[Mark, ...] = ()
    legend: tuple[tuple[str, str, str], ...] = ()
    y_label: str = ""
    x_label: str = ""
    note: str = ""
    has_scale: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw, as ``summary`` then says."""
        return not self.marks


# --- scales --------------------------------------------------------------------------------------------------------


def steps(highest: float, *, count: int = 4) -> list[int]:
    """Round numbers from 0 to at least ``highest``: about ``count`` steps of 1, 2 or 5 times a power of ten."""
    raw = max(highest, 1) / count
    power = 10 ** math.floor(math.log10(raw)) if raw >= 1 else 1
    step = next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= raw)
    return list(range(0, math.ceil(max(highest, 1) / step) * step + 1, step))


def _moment(moment: datetime, width: str, zone: ZoneInfo) -> str:
    """The label of a step on the axis."""
    at = moment.astimezone(zone)
    return {
        "minute": f"{at:%H:%M}",
        "hour": f"{at.day} {_MONTHS[at.month - 1]} {at:%H:%M}",
        "day": f"{at.day} {_MONTHS[at.month - 1]}",
        "week": f"{at.day} {_MONTHS[at.month - 1]} {at.year}",
        "month": f"{_MONTHS[at.month - 1]} {at.year}",
        "year": f"{at.year}",
    }[width]


def _ticks(labels: Sequence[str], top: float) -> list[Mark]:
    """At most four labels of equal steps, each under its step."""
    count = min(4, len(labels))
    chosen = sorted({round(at * (len(labels) - 1) / max(count - 1, 1)) for at in range(count)})
    marks = []
    for at in chosen:
        middle, half = 100 * (at + 0.5) / len(labels), 50 / len(labels)
        anchor = _anchor(middle)
        x = middle + {"start": -half, "middle": 0, "end": half}[anchor]
        marks.append(Mark("text", x, top + 16, style="tick", text=labels[at], anchor=anchor))
    return marks


def _anchor(x: float) -> Literal["start", "middle", "end"]:
    """The anchor of a text; texts near an edge are aligned to it, so that none is cut off."""
    return "start" if x < 12 else "end" if x > 88 else "middle"


def _slot(at: int, count: int) -> tuple[float, float]:
    """The position and width of bar ``at`` of ``count``; a single bar is not as wide as the chart."""
    slot = 100 / count
    width = min(slot * (0.86 if count < 60 else 0.94), 12)
    return slot * at + (slot - width) / 2, width


def _grid(values: Iterable[tuple[float, str]], *, top: float = 0) -> list[Mark]:
    """Horizontal lines with their labels on the left; a value is (pixels from the top, label)."""
    marks = []
    for y, text in values:
        marks.append(Mark("line", 0, top + y, width=100, style="grid"))
        marks.append(Mark("text", 0, top + y + 4, style="tick", text=text, anchor="end", shift=-8))
    return marks


class _Steps:
    """The steps in time of a chart, in order, with the rows of each."""

    def __init__(self, result: Result) -> None:
        rows = result.frame.to_dicts()
        self.rows = {bucket: list(group) for bucket, group in groupby(rows, key=lambda row: row["bucket"])}
        self.width = rows[0]["width"] if rows else ""
        # The queries cut steps below a day in UTC.
        self.zone_name = "UTC" if self.width in ("minute", "hour") else result.tz
        zone = ZoneInfo(self.zone_name)
        self.labels = [_moment(bucket, self.width, zone) for bucket in self.rows]
        self.days = [f"{bucket.astimezone(zone):%Y-%m-%d %H:%M}"[: self._digits] for bucket in self.rows]

    @property
    def _digits(self) -> int:
        return {"minute": 16, "hour": 16, "month": 7, "year": 4}.get(self.width, 10)

    @property
    def axis(self) -> str:
        """The description of the time axis."""
        span = self.days[0] if len(self.days) == 1 else f"{self.days[0]} to {self.days[-1]}"
        return f"time ({self.zone_name}), by the {self.width}: {span}"


# --- the charts ----------------------------------------------------------------------------------------------------


def _errors(result: Result) -> Chart:
    """Bars of failures per step, stacked by category."""
    when = _Steps(result)
    totals: dict[tuple[int, str], int] = {}
    for rows in when.rows.values():
        for row in rows:
            if row["category"]:
                key = (row["place"], row["category"])
                totals[key] = totals.get(key, 0) + row["incident_count"]
    if not totals:
        return Chart(result.name, result.title, "No failure in this period.")
    highs = [sum(row["incident_count"] for row in rows) for rows in when.rows.values()]
    scale = steps(max(highs))
    marks = _grid([(PLOT_HEIGHT * (1 - value / scale[-1]), f"{value:,}") for value in scale])
    for at, rows in enumerate(when.rows.values()):
        x, width = _slot(at, len(highs))
        floor = float(PLOT_HEIGHT)
        for row in rows:
            if row["incident_count"]:
                height = max(PLOT_HEIGHT * row["incident_count"] / scale[-1], 1.5)
                floor -= height
                text = f"{when.days[at]}: {row['incident_count']:,} {_words(row['category'])}"
                marks.append(Mark("rect", x, floor, width, height, f"series-{row['place']}", text))
    named = sorted(totals)
    total, most = sum(totals.values()), max(range(len(highs)), key=highs.__getitem__)
    parts = ", ".join(f"{_words(category)} {totals[place, category]:,}" for place, category in named)
    return Chart(
        result.name,
        result.title,
        f"{total:,} {plural(total, 'failure')}: {parts}. Most in {when.days[most]}: {highs[most]:,}.",
        PLOT_HEIGHT + TICK_ROOM,
        (*marks, *_ticks(when.labels, PLOT_HEIGHT)),
        tuple((f"series-{place}", _words(name), f"{totals[place, name]:,}") for place, name in named),
        f"failures per {when.width}",
        when.axis,
        has_scale=True,
    )


def _words(category: str) -> str:
    return category.replace("_", " ")


def _streams(result: Result) -> Chart:
    """A row of bars for each way to end, each with its own scale, so that three failures show beside ten thousand."""
    when = _Steps(result)
    counts = {key: [rows[0][f"{key}_count"] for rows in when.rows.values()] for key, _, _ in _STREAMS}
    total = sum(map(sum, counts.values()))
    if not total:
        return Chart(result.name, result.title, "No stream in this period.")
    marks, y, room = [], 0, 24
    for key, name, _ in _STREAMS:
        count, highest = sum(counts[key]), max(counts[key])
        marks.append(Mark("text", 0, y + 13, style="name", text=f"{name} {count:,}"))
        if not highest:
            y += 20
            continue
        marks.append(Mark("text", 100, y + 13, style="tick", text=f"highest bar {highest:,}", anchor="end"))
        floor = y + 18 + room
        for at, bar in enumerate(counts[key]):
            if bar:
                x, width = _slot(at, len(counts[key]))
                height = max(room * bar / highest, 1.5)
                text = f"{when.days[at]}: {bar:,} {name}"
                marks.append(Mark("rect", x, floor - height, width, height, f"stream-{key}", text))
        marks.append(Mark("line", 0, floor, width=100, style="grid"))
        y = floor + 4
    parts = ", ".join(f"{name} {sum(counts[key]):,}" for key, name, _ in _STREAMS)
    return Chart(
        result.name,
        result.title,
        f"{total:,} {plural(total, 'stream')}: {parts}.",
        y + TICK_ROOM,
        (*marks, *_ticks(when.labels, y)),
        tuple((f"stream-{key}", name, meaning) for key, name, meaning in _STREAMS if sum(counts[key])),
        f"streams per {when.width}, each row with its own scale",
        when.axis,
    )


def _memory(result: Result) -> Chart:
    """Two bars for each memory failure: the memory needed and the memory free."""
    import polars as pl

    title, name = "Memory needed and free", "memory"
    known = result.frame.filter(pl.any_horizontal(pl.col("needed_bytes", "free_bytes").is_not_null()))
    rows, unknown = known.head(MEMORY_SHOWN).to_dicts(), result.frame.height - known.height
    if not rows:
        none = f"The log gives no sizes for {unknown:,} memory {plural(unknown, 'failure')}."
        return Chart(name, title, none if unknown else "No memory failure in this period.")
    highest = max(row[key] or 0 for row in rows for key in ("needed_bytes", "free_bytes"))
    scale = [value * 2**30 for value in steps(highest / 2**30, count=5)]
    reach = 76 / scale[-1]  # percent per byte; leaves room for a number right of the longest bar
    bottom = MEMORY_HEIGHT * len(rows)
    marks = [Mark("line", value * reach, 0, height=bottom, style="grid") for value in scale[1:]]
    for at, row in enumerate(rows):
        marks += _pair(row, _failure(row, ZoneInfo(result.tz)), at * MEMORY_HEIGHT, reach)
    for value in scale:
        x, text = value * reach, f"{value // 2**30:,}"
        marks.append(Mark("text", x, bottom + 16, style="tick", text=text, anchor=_anchor(x)))
    more = known.height - len(rows)
    notes = [f"{more:,} older ones are not shown."] * (more > 0)
    notes += [f"The log gives no sizes for {unknown:,} more."] * (unknown > 0)
    sizes = [
        f"{_failure(row, ZoneInfo(result.tz))}: {_size(row, 'needed')} needed, {_size(row, 'free')} free"
        for row in rows
    ]
    return Chart(
        name,
        title,
        "; ".join(sizes) + ".",
        bottom + TICK_ROOM,
        tuple(marks),
        (("memory-needed", "needed", ""), ("memory-free", "free", "")),
        "memory failures, the newest first",
        "memory, GiB",
        " ".join(notes),
    )


def _pair(row: Mapping[str, Any], name: str, top: int, reach: float) -> list[Mark]:
    marks = [Mark("text", 0, top + 13, style="name", text=name)]
    for word, y in (("needed", top + 18), ("free", top + 31)):
        size, text = row[f"{word}_bytes"], f"{_size(row, word)} {word}"
        if size is not None:
            marks.append(Mark("rect", 0, y, max(size * reach, 0.3), 10, f"memory-{word}", f"{name}: {text}"))
        marks.append(Mark("text", (size or 0) * reach, y + 9, style="tick", text=text, shift=5))
    return marks


def _failure(row: Mapping[str, Any], zone: ZoneInfo) -> str:
    day = f"{row['first_ts'].astimezone(zone):%Y-%m-%d %H:%M}" if row["first_ts"] else "no time"
    return " · ".join(
        filter(None, (day, shortened(row["model"] or "model unknown", 28), shortened(row["device"] or "", 12)))
    )


def _size(row: Mapping[str, Any], word: str) -> str:
    size = row[f"{word}_bytes"]
    return "unknown" if size is None else human_bytes(size)


def _latency(result: Result) -> Chart:
    """Bands between the 50th, 90th and 99th percentile, on a logarithmic scale."""
    when = _Steps(result)
    rows = [rows[0] for rows in when.rows.values()]
    answered = [row for row in rows if row["request_count"]]
    if not answered:
        return Chart(result.name, result.title, "No answered request in this period.")
    lowest, highest = min(row["p50_us"] for row in answered), max(row["p99_us"] for row in answered)
    low = max((tick for tick in _LATENCY_TICKS if tick <= lowest), default=_LATENCY_TICKS[0])
    high = min((tick for tick in _LATENCY_TICKS if tick > max(highest, low)), default=max(highest, 2 * low))

    def place(us: float) -> float:
        return PLOT_HEIGHT * (1 - math.log(max(us, low) / low) / math.log(high / low))

    marks = _grid([(place(tick), _latency_label(tick)) for tick in _LATENCY_TICKS if low <= tick <= high])
    for at, row in enumerate(rows):
        if not row["request_count"]:
            continue
        # Many steps touch and make a band; few steps are bars.
        x, width = (100 * at / len(rows), 100 / len(rows)) if len(rows) > 8 else _slot(at, len(rows))
        half, nine, all_but = (place(row[key]) for key in ("p50_us", "p90_us", "p99_us"))
        sizes = ", ".join(f"{key} {duration(row[f'{key}_us'])}" for key in ("p50", "p90", "p99"))
        text = f"{when.days[at]}: {sizes} of {row['request_count']:,} {plural(row['request_count'], 'request')}"
        marks.append(Mark("rect", x, all_but, width, nine - all_but, "band-99", text))
        marks.append(Mark("rect", x, nine, width, half - nine, "band-90", text))
        marks.append(Mark("rect", x, half - 1, width, 2.5, "band-50", text))
    middle = sorted(row["p50_us"] for row in answered)[len(answered) // 2]
    slowest = max(range(len(rows)), key=lambda at: rows[at]["p99_us"] or 0)
    return Chart(
        result.name,
        result.title,
        f"Half of the requests took up to {duration(lowest)} to {duration(max(row['p50_us'] for row in answered))} per "
        f"{when.width}, typically {duration(middle)}; the highest 99th percentile was {duration(highest)}, "
        f"in {when.days[slowest]}.",
        PLOT_HEIGHT + TICK_ROOM,
        (*marks, *_ticks(when.labels, PLOT_HEIGHT)),
        (("band-50", "p50", "half are faster"), ("band-90", "up to p90", ""), ("band-99", "up to p99", "")),
        "duration of a request, logarithmic",
        when.axis,
        "Inference requests answered with a status below 400.",
        has_scale=True,
    )


def _latency_label(us: int) -> str:
    if us >= 3600 * 10**6:
        return "1 h"
    if us >= 60 * 10**6:
        return f"{us // (60 * 10**6)} min"
    return f"{us // 10**6} s" if us >= 10**6 else f"{us // 1000} ms" if us >= 1000 else f"{us} µs"


def _sessions(result: Result) -> Chart:
    """The runs of each host on a time line, with a cross at each crash."""
    rows, zone = result.frame.to_dicts()[::-1], ZoneInfo(result.tz)
    if not rows:
        return Chart(result.name, result.title, "No run of the server in this period.")
    start, end = min(row["first_ts"] for row in rows), max(row["last_ts"] for row in rows)
    hosts = sorted({row["host"] or "" for row in rows})
    marks: list[Mark] = []
    y = 0
    for host in hosts[:LANES_SHOWN]:
        marks.append(Mark("text", 0, y + 13, style="name", text=shortened(host or "host not in the log", 40)))
        lanes = _lanes([row for row in rows if (row["host"] or "") == host])
        for lane, row in lanes:
            marks += _run(row, start, end, y + 20 + 15 * lane, zone)
        y += 26 + 15 * (1 + max(lane for lane, _ in lanes))
    marks.sort(key=lambda mark: mark.kind == "cross")  # above the bars
    counts = {reason: sum(row["end_reason"] == reason for row in rows) for reason in _ENDS}
    more = rows[0]["session_count"] - len(rows)
    notes = [f"{more:,} older runs are not shown."] * (more > 0)
    notes += [f"{len(hosts) - LANES_SHOWN} more hosts are not shown."] * (len(hosts) > LANES_SHOWN)
    parts = ", ".join(f"{_ENDS[reason]} {count:,}" for reason, count in counts.items() if count)
    return Chart(
        result.name,
        result.title,
        f"{len(rows):,} {plural(len(rows), 'run')} on {len(hosts)} {plural(len(hosts), 'host')}: {parts}.",
        y + TICK_ROOM,
        (*marks, *_time_ticks(start, end, zone, y)),
        tuple((f"run-{reason}", _ENDS[reason], f"{count:,}") for reason, count in counts.items() if count),
        "runs of the server by host; × marks a crash",
        f"time ({result.tz}): {start.astimezone(zone):%Y-%m-%d %H:%M} to {end.astimezone(zone):%Y-%m-%d %H:%M}",
        " ".join(notes),
    )


def _run(row: Mapping[str, Any], start: datetime, end: datetime, top: int, zone: ZoneInfo) -> list[Mark]:
    span = max((end - start).total_seconds(), 1e-6)
    x = min(100 * (row["first_ts"] - start).total_seconds() / span, 99.6)
    width = min(max(100 * (row["last_ts"] - row["first_ts"]).total_seconds() / span, 0.4), 100 - x)
    version = f"Ollama {row['version']}" if row["version"] else "version unknown"
    first, last = (f"{row[key].astimezone(zone):%Y-%m-%d %H:%M}" for key in ("first_ts", "last_ts"))
    ended = _ENDS.get(row["end_reason"], row["end_reason"])
    text = f"{version}, {'' if row['is_start_seen'] else 'before '}{first} to {last}: {ended}"
    marks = [Mark("rect", x, top, width, 11, f"run-{row['end_reason']}", text)]
    if row["end_reason"] in _CRASHES:
        marks.append(Mark("cross", x + width, top + 5.5, style="crash", text=text))
    return marks


def _lanes(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Each run with its lane; runs that overlap, as those of several files without a host may, get different lanes."""
    ends: list[datetime] = []
    placed = []
    for row in rows:
        free = [at for at, end in enumerate(ends) if end <= row["first_ts"]]
        if free or len(ends) >= 6:
            lane = free[0] if free else len(ends) - 1
            ends[lane] = max(ends[lane], row["last_ts"])
        else:
            lane = len(ends)
            ends.append(row["last_ts"])
        placed.append((lane, row))
    return placed


def _time_ticks(start: datetime, end: datetime, zone: ZoneInfo, top: float) -> list[Mark]:
    length = end - start
    widths = ((timedelta(days=1), "minute"), (timedelta(days=4), "hour"), (timedelta(days=300), "day"))
    width = next((name for most, name in widths if length < most), "month")
    marks = []
    for share in (0, 1 / 3, 2 / 3, 1) if length else (0,):
        text = _moment(start + length * share, width, zone)
        marks.append(Mark("text", 100 * share, top + 16, style="tick", text=text, anchor=_anchor(100 * share)))
    return marks


CHARTS: dict[str, Callable[[Result], Chart]] = {
    "page-errors": _errors,
    "page-streams": _streams,
    "oom-incidents": _memory,
    "page-latency": _latency,
    "page-sessions": _sessions,
}


def charts_of(results: Iterable[Result]) -> list[Chart]:
    """The charts of the results that have one, in the order of ``CHARTS``."""
    by_name = {result.name: result for result in results}
    return [draw(by_name[name]) for name, draw in CHARTS.items() if name in by_name]
