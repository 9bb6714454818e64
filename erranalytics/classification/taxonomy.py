"""The causes of ``taxonomy.csv``; needs the standard library only, so that a shell can complete codes at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from erranalytics.datafiles import Severity

TAXONOMY = Path(__file__).parent / "taxonomy.csv"
# From mild to severe.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class Cause:
    """One row of the taxonomy: what went wrong, who can act, and how."""

    code: str
    slug: str
    category: str
    title: str
    severity: Severity
    layer: str
    phase: str
    side: str
    retry: str
    error_class: str
    typical_status: str
    remedy: str
    see: str
    aliases: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, ready for JSON."""
        return plain_fields(self)


def rows() -> Iterator[dict[str, Any]]:
    """The rows of the taxonomy as they are, with the aliases as a tuple."""
    # Few commands read the file itself.
    import csv

    with TAXONOMY.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            row.pop("match", None)
            yield {**row, "aliases": tuple(re.findall(r"[^|;, ]+", row["aliases"]))}


def plain_fields(item: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, with its tuples as lists and its dataclasses as dictionaries."""
    return {field.name: _plain(getattr(item, field.name)) for field in fields(item)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str) else plain_fields(value)
