"""The shapes in which programs record a call: ``mappings/*.toml``.

A mapping says how a JSON object is told and where the fields of a call stand in it. It carries its proof: every file
has samples and what they must give (see ``calls.check``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from erranalytics import datafiles


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of the shape and the fields it must give."""

    line: str
    expect: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """Where the object tells the version of its shape, and the versions that are known."""

    path: str
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One shape: ``needs`` are texts that all stand in its line; ``fields`` are JSON paths, the first that gives one.

    A shape with a ``version`` is a form of our own: what does not fit it is a reject and no call.
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
    return _made(datafiles.prepared("mappings", datafiles.mapping_files(), _tested))


def read() -> tuple[Mapping, ...]:
    """``load``, from the files themselves: what they hold is tested again."""
    return _made(_tested())


def _tested() -> list[dict[str, Any]]:
    from erranalytics.parsing import format_files

    return datafiles.mappings(format_files.Mapping.model_validate)


def _made(values: Sequence[dict[str, Any]]) -> tuple[Mapping, ...]:
    return tuple(
        Mapping(
            name=data["name"],
            title=data["title"],
            needs=tuple(data["needs"]),
            version=Version(data["version"]["path"], tuple(data["version"]["known"])) if "version" in data else None,
            references=tuple(data["references"]),
            fields={name: (at,) if isinstance(at, str) else tuple(at) for name, at in data["fields"].items()},
            sample=tuple(Sample(**one) for one in data["sample"]),
        )
        for data in values
    )
