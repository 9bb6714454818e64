"""Single values as text for people, and text that is safe to show.

Text from a log is never trusted: control characters, escape sequences and direction marks are shown as ``\\x1b``. rich,
which knows how wide a character is, is imported only where text is laid out.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erranalytics.reports.catalogue import Column

NULL = "–"

# Characters that move the cursor, change colours or reorder text: C0, DEL, C1, line and direction marks, surrogates.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLURALS = {"incident", "code", "error", "request", "stream", "line", "event", "source", "duplicate", "reject"}


def printable(text: str) -> str:
    """``text`` with every character that could steer a terminal shown as an escape: ``\\x1b[31m``, ``\\u202e``."""
    return UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _NAMED.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def plain(value: object, *, tz: str = "UTC") -> Any:
    """A value for JSON: times as ISO 8601 text in ``tz``, bytes as hex text, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, tz=tz) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, tz=tz) for item in value]
    if isinstance(value, datetime):
        moment = _in_zone(value, tz)
        return moment.isoformat().replace("+00:00", "Z")
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
    """A moment in a zone; a time without a zone stays as it is."""
    from zoneinfo import ZoneInfo

    return value.astimezone(ZoneInfo(tz)) if value.tzinfo else value


def cell(value: object, *, tz: str = "UTC") -> str:
    """A value as exact text, the same in every text format; NULL is empty."""
    if isinstance(value, float) and value - value != 0:
        return str(value)
    value = plain(value, tz=tz)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return printable(", ".join(value))
    if isinstance(value, list | dict | bool):
        return printable(json.dumps(value, ensure_ascii=False))
    return "" if value is None else printable(str(value))


def shown(value: object, column: Column, *, tz: str = "UTC", short: bool = False) -> str:
    """A value for people: ``23.0 GiB``, ``1.40 %``, ``3m 05s``; ``short`` times have no seconds."""
    if value is None:
        return NULL
    if column.unit and isinstance(value, int | float | Decimal):
        return {"bytes": human_bytes, "share": percent, "us": duration}[column.unit](float(value))
    if short and isinstance(value, datetime):
        return f"{_in_zone(value, tz):%Y-%m-%d %H:%M}"
    return cell(value, tz=tz)


def human_bytes(size: float) -> str:
    """``24696061952`` → ``23.0 GiB``."""
    for unit, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(size) >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size:.0f} B"


def percent(share: float) -> str:
    """``0.0047`` → ``0.47 %``; two digits after the point below ten percent."""
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
    """The heading of a column: ``incident_count`` → ``incidents``, ``first_ts`` → ``first``."""
    short = re.sub(r"_(count|bytes|us|ts)$", "", name)
    last = short.rsplit("_", 1)[-1]
    return (short + "s" if name.endswith("_count") and last in _PLURALS else short).replace("_", " ")


def is_number(column: Column) -> bool:
    """Whether the values of a column are aligned to the right: numbers, with or without a unit."""
    return bool(re.match(r"u?(tiny|small|big|huge)?int|integer|double|float|decimal", column.type or ""))


def plural(count: int, word: str, words: str | None = None) -> str:
    """The singular or plural of a word for a count."""
    return word if count == 1 else words or word + "s"


def pad(text: str, cells: int, right: bool = False) -> str:  # noqa: FBT001, FBT002 - mapped over a row
    """Text padded with blanks to a width in terminal cells."""
    from rich.cells import cell_len

    blank = " " * max(0, cells - cell_len(text))
    return blank + text if right else text + blank


def wrap(text: str, width: int, *, first: str = "", later: str = "") -> list[str]:
    """Lines of at most ``width`` cells; a word is broken only if it is wider than that."""
    from rich.cells import cell_len, chop_cells

    room = width * len(text) // max(cell_len(text), 1) if cell_len(text) > width else width
    lines = textwrap.wrap(text, max(room, len(later) + 8), initial_indent=first, subsequent_indent=later)
    # textwrap counts characters, so wide ones get fewer per line, and a line that is still too wide is cut again.
    return [
        piece.rstrip() for line in lines for piece in ([line] if cell_len(line) <= width else chop_cells(line, width))
    ] or [first.rstrip()]
