"""The shapes in which programs record a call: load and check ``mappings/*.toml``.

A mapping says how a JSON object is told and where the fields of a call stand in it. It carries its proof: every file
has samples and what they must give (see ``calls.check``).
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from erranalytics import schema
from erranalytics.errors import FormatError


class Sample(BaseModel):
    """A line of the shape and the fields it must give."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    line: str
    expect: dict[str, Any]


class Version(BaseModel):
    """Where the object tells the version of its shape, and the versions that are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    known: tuple[str, ...]


class Mapping(BaseModel):
    """One shape: ``needs`` are texts that all stand in its line; ``fields`` are JSON paths, the first that gives one.

    A shape with a ``version`` is a form of our own: what does not fit it is a reject and no call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    title: str
    needs: tuple[str, ...] = Field(min_length=1)
    version: Version | None = None
    references: tuple[str, ...] = Field(min_length=1)
    fields: dict[str, tuple[str, ...]]
    sample: tuple[Sample, ...] = Field(min_length=1)

    @field_validator("fields", mode="before")
    @classmethod
    def _paths(cls, value: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(value) - set(schema.CALLS))
        if unknown:
            raise ValueError(f"a call has no field {', '.join(unknown)}")
        return {name: (paths,) if isinstance(paths, str) else tuple(paths) for name, paths in value.items()}


@cache
def load() -> tuple[Mapping, ...]:
    """The mappings of the package, in the order in which they are tried.

    Raises:
        FormatError: with every fault of every file.
    """
    folder = resources.files("erranalytics") / "mappings"
    found, faults = [], []
    for name in (folder / "order.txt").read_text(encoding="utf-8").split():
        try:
            found.append(Mapping.model_validate(tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))))
        except (ValidationError, tomllib.TOMLDecodeError) as error:
            faults.append(f"mappings/{name}.toml: {error}")
    if faults:
        raise FormatError.from_faults(faults)
    return tuple(found)
