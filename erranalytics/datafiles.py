"""The data files of the package as plain values, as they stand in TOML and CSV.

Nothing is checked here unless a test is given, and the standard library is all that is needed: where a wheel is built,
there is nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from erranalytics import prepared
from erranalytics.errors import FormatError

PACKAGE = Path(__file__).parent
RULES = PACKAGE / "rules"
TAXONOMY = PACKAGE / "data" / "taxonomy.csv"
# What else decides on a verdict.
WITH_RULES = ("data/unwrap.toml", "data/facts.toml")
_TABLES = {name: f"data/{name}.toml" for name in ("unwrap", "facts", "settings")}
_READERS = ("prepared.py", "datafiles.py")

Severity = Literal["info", "warning", "error", "critical"]
Confidence = Literal["certain", "likely", "guess"]
# Raises a ValueError where the values of a file are wrong.
Test = Callable[[dict[str, Any]], object]


@cache
def table(name: str) -> dict[str, Any]:
    """The values of ``data/<name>.toml``: ``unwrap``, ``facts`` or ``settings``."""
    return dict(prepared.values("tables", table_files(), tables)[name])


def table_files() -> list[str]:
    """What the form of the tables is made of."""
    return [*_READERS, *_TABLES.values()]


def tables() -> dict[str, Any]:
    """The values of the tables by name."""
    return {name: _toml(_text(path)) for name, path in _TABLES.items()}


def rule_files() -> list[str]:
    """What the form of the rulebook is made of."""
    with os.scandir(RULES) as found:
        folders = sorted(entry.name for entry in found if entry.is_dir())
    rules = [path for folder in folders for path in prepared.listed(f"rules/{folder}")]
    return [*_READERS, "rulebook.py", "rulefiles.py", "data/taxonomy.csv", *WITH_RULES, "rules/families.toml", *rules]


def taxonomy() -> Iterator[dict[str, Any]]:
    """The rows of the taxonomy, aliases as a tuple."""
    import csv
    import re

    with TAXONOMY.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            row.pop("match", None)
            yield {**row, "aliases": tuple(re.findall(r"[^|;, ]+", row["aliases"]))}


def families() -> tuple[str, ...]:
    """The declared families, in the order in which they are tried."""
    return tuple(_toml(_text("rules/families.toml"))["order"])


def rules() -> Iterator[dict[str, Any]]:
    """The values of the files of the shipped rules, with the folder and the path of each."""
    for path in sorted(RULES.glob("*/*.toml")):
        yield _toml(path.read_text("utf-8")) | {"family": path.parent.name, "path": str(path)}


def format_files() -> list[str]:
    """What the form of the line formats is made of."""
    return [*_READERS, "lineformats.py", "formatfiles.py", "formats/order.txt", *prepared.listed("formats")]


def formats(test: Test | None = None) -> dict[str, Any]:
    """The line formats in their declared order, under ``formats``, and the ``hash`` of their files.

    Raises:
        FormatError: with every fault of every file.
    """
    import hashlib

    order, common = _text("formats/order.txt").split(), _text("formats/shared.toml")
    shared = _toml(common)
    digest = hashlib.sha256("\n".join([*order, common]).encode())
    for name in order:
        digest.update(_text(f"formats/{name}.toml").encode())
    found = _each("formats", order, test, lambda data: _with_shared(data, shared))
    return {"formats": found, "hash": digest.hexdigest()}


def mapping_files() -> list[str]:
    """What the form of the mappings is made of."""
    return [*_READERS, "formatfiles.py", "schema.py", "mappings/order.txt", *prepared.listed("mappings")]


def mappings(test: Test | None = None) -> list[dict[str, Any]]:
    """The mappings in the order in which they are tried.

    Raises:
        FormatError: with every fault of every file.
    """
    return _each("mappings", _text("mappings/order.txt").split(), test, lambda data: data)


def _each(
    folder: str, order: Sequence[str], test: Test | None, whole: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The values of the files of a folder that are named in order."""
    found, faults = [], []
    for name in order:
        try:
            data = whole(_toml(_text(f"{folder}/{name}.toml")))
            if test:
                test(data)
            found.append(data)
        except (ValueError, KeyError) as error:
            faults.append(f"{folder}/{name}.toml: {error}")
    if faults:
        raise FormatError.from_faults(faults)
    return found


def _with_shared(data: dict[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a format with what it names of ``shared.toml`` by ``@name``; in a list, a list in its place."""
    for key, value in data.items():
        if isinstance(value, str) and value.startswith("@"):
            data[key] = shared[value[1:]]
        elif key == "continues":
            lists = (shared[name[1:]] if name.startswith("@") else [name] for name in value)
            data[key] = [name for names in lists for name in names]
    return data


def _text(path: str) -> str:
    return (PACKAGE / path).read_text(encoding="utf-8")


def _toml(text: str) -> dict[str, Any]:
    # Only where there is no form.
    import tomllib

    return tomllib.loads(text)
