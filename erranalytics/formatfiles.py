"""What may stand in a file of ``formats/`` or ``mappings/``: unknown keys and wrong types are faults.

Only imported when these files are read.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from erranalytics import schema


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Sample(_Table):
    line: str
    expect: dict[str, str] = Field(default_factory=dict)
    noise: bool = False


class _Behind(_Table):
    pattern: str
    says: str


class LineFormat(_Table):
    """A file of ``formats/``; what its keys mean is told by ``lineformats.LineFormat``."""

    name: str
    title: str
    owner: Literal["ollama", "runner", "system", "client", "gateway", "foreign"]
    pattern: str
    starts: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    anywhere: str | None = None
    noise: str | None = None
    guard: str | None = None
    keeps: tuple[str, ...] = ()
    opens: bool = False
    absorbs: bool = False
    gathers: bool = False
    reaches: str | None = None
    continues: tuple[str, ...] = ()
    turns: bool = False
    alone: str | None = None
    hides: str | None = None
    behind: tuple[_Behind, ...] = ()
    bare: bool = False
    second: str | None = None
    calls: bool = False
    reads: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    references: tuple[str, ...] = Field(min_length=1)
    sample: tuple[_Sample, ...] = Field(min_length=1)


class _Expected(_Table):
    line: str
    expect: dict[str, Any]


class _Version(_Table):
    path: str
    known: tuple[str, ...]


class Mapping(_Table):
    """A file of ``mappings/``; what its keys mean is told by ``mappings.Mapping``."""

    name: str
    title: str
    needs: tuple[str, ...] = Field(min_length=1)
    version: _Version | None = None
    references: tuple[str, ...] = Field(min_length=1)
    fields: dict[str, tuple[str, ...]]
    sample: tuple[_Expected, ...] = Field(min_length=1)

    @field_validator("fields", mode="before")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(value) - set(schema.CALLS))
        if unknown:
            raise ValueError(f"a call has no field {', '.join(unknown)}")
        return {name: (paths,) if isinstance(paths, str) else tuple(paths) for name, paths in value.items()}
