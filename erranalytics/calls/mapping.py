"""The shapes in which programs record a call: ``mappings/*.toml``.

A mapping says how to recognise a JSON object of its shape and where to find the fields of a call in it. It carries its
proof: every file has samples and the fields they must give (see ``decoding.check``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from erranalytics import datafiles


@dataclass(frozen=True, slots=True)
class Sample:
    """A line in the shape, and the fields it must give."""

    line: str
    expect: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """Where an object names the version of its shape, and the versions we know."""

    path: str
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One shape: its lines contain all texts of ``needs``; of the JSON paths of a field, the first with a value counts.

    A shape with a ``version`` is our own: an object that does not fit it becomes a reject.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    version: Version | None = None
    references: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]
    sample: tuple[Sample, ...]


@cache
def load() -> tuple[Mapping, ...]:
    """The mappings of the package, in the order in which they are tried.

    Raises:
        FormatError: with every fault of every file.
    """
    return _mappings(datafiles.prepared("mappings", datafiles.mapping_files(), _checked_values))


def read() -> tuple[Mapping, ...]:
    """The mappings read from their files, each of which is checked again."""
    return _mappings(_checked_values())


def _checked_values() -> list[dict[str, Any]]:
    from erranalytics.parsing import format_files

    return datafiles.mappings(format_files.Mapping.model_validate)


def _mappings(values: Sequence[dict[str, Any]]) -> tuple[Mapping, ...]:
    return tuple(
        Mapping(
            name=data["name"],
            title=data["title"],
            needs=tuple(data["needs"]),
            version=Version(data["version"]["path"], tuple(data["version"]["known"])) if "version" in data else None,
            references=tuple(data["references"]),
            fields={name: (at,) if isinstance(at, str) else tuple(at) for name, at in data["fields"].items()},
            sample=tuple(Sample(**sample) for sample in data["sample"]),
        )
        for data in values
    )
