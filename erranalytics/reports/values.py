"""The values and columns of a report as text: exact for programs, in units for people."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from erranalytics.text.display import human_bytes, printable

if TYPE_CHECKING:
    from erranalytics.reports.catalogue import Column

NULL = "–"
# Columns whose values are sentences, which get lines of their own.
SENTENCES = ("title", "message", "note", "remedy")
_PLURALS = {"incident", "code", "error", "request", "stream", "line", "event", "source", "duplicate", "reject"}


def plain(value: object, *, tz: str = "UTC") -> Any:
    """A value for JSON: times as ISO 8601 text in ``tz``, bytes as hex text, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, tz=tz) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, tz=tz) for item in value]
    if isinstance(value, datetime):
        return _in_zone(value, tz).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and value - value != 0:
        return None
    if isinstance(value, bytes):
        return "".join(f"\\x{byte:02X}" for byte in value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _in_zone(value: datetime, tz: str) -> datetime:
    """A time in a zone; one without a zone stays as it is."""
    from zoneinfo import ZoneInfo

    return value.astimezone(ZoneInfo(tz)) if value.tzinfo else value


def cell(value: object, *, tz: str = "UTC") -> str:
    """A value as exact text, the same in every format; NULL is empty."""
    if isinstance(value, float) and value - value != 0:
        return str(value)
    value = plain(value, tz=tz)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return printable(", ".join(value))
    if isinstance(value, list | dict | bool):
        return printable(json.dumps(value, ensure_ascii=False))
    return "" if value is None else printable(str(value))


def shown(value: object, column: Column, *, tz: str = "UTC", short: bool = False) -> str:
    """A value as a person reads it: ``23.0 GiB``, ``1.40 %``, ``3m 05s``; ``short`` drops the seconds of a time."""
    if value is None:
        return NULL
    if column.unit and isinstance(value, int | float | Decimal):
        return {"bytes": human_bytes, "share": percent, "us": duration}[column.unit](float(value))
    if short and isinstance(value, datetime):
        return f"{_in_zone(value, tz):%Y-%m-%d %H:%M}"
    return cell(value, tz=tz)


def percent(share: float) -> str:
    """``0.0047`` → ``0.47 %``; two decimals below ten percent."""
    value = 100 * share
    return f"{value:.0f} %" if value in (0, 100) else f"{value:.{2 if value < 10 else 1}f} %"


def duration(us: float) -> str:
    """Microseconds as ``250 ms``, ``5.0 s``, ``3m 05s`` or ``2h 03m``."""
    seconds = us / 1_000_000
    if seconds < 1:
        return f"{us:.0f} µs" if 0 < us < 1000 else f"{us / 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"


def label(name: str) -> str:
    """The heading of a column for people: ``incident_count`` → ``incidents``, ``first_ts`` → ``first``."""
    short = re.sub(r"_(count|bytes|us|ts)$", "", name)
    last = short.rsplit("_", 1)[-1]
    return (short + "s" if name.endswith("_count") and last in _PLURALS else short).replace("_", " ")


def is_number(column: Column) -> bool:
    """Whether a column holds numbers, which are aligned to the right."""
    return bool(re.match(r"u?(tiny|small|big|huge)?int|integer|double|float|decimal", column.type or ""))
