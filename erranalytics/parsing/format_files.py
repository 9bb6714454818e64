"""What may stand in a file of ``formats/`` or ``mappings/``: unknown keys and wrong types are faults.

Only imported when these files are read.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from erranalytics import schema


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Format(_Table):
    """What is asked of a file of ``formats/`` besides the types of its keys."""

    @field_validator("clock", "local", check_fields=False)
    @classmethod
    def _is_clock(cls, value: str | None) -> str | None:
        if value is not None and value not in schema.TS_SOURCES:
            raise ValueError(f"there is no clock '{value}', but {', '.join(schema.TS_SOURCES)}")
        return value

    @field_validator("rebuilt", check_fields=False)
    @classmethod
    def _has_pieces(cls, value: tuple[str | tuple[str, ...], ...]) -> tuple[str | tuple[str, ...], ...]:
        parts = [one for part in value for one in ((part,) if isinstance(part, str) else part)]
        named = {name for part in parts for name in re.findall(r"\{(\w*)\}", part)}
        if unknown := sorted(named.difference(schema.PIECES)):
            raise ValueError(f"a text has no piece {', '.join(unknown)}, but {', '.join(schema.PIECES)}")
        return value


def keys_of(kind: type[Any], *, filled: tuple[str, ...], base: type[BaseModel] = _Table) -> type[BaseModel]:
    """What tests a file whose keys are the fields of a dataclass; the lists ``filled`` must hold something."""
    types = get_type_hints(kind)
    keys: dict[str, Any] = {}
    for one in fields(kind):
        rule = Field(min_length=1) if one.name in filled else Field()
        if one.default is not MISSING:
            rule = Field(default=one.default)
        elif one.default_factory is not MISSING:
            rule = Field(default_factory=one.default_factory)
        keys[one.name] = (types[one.name], rule)
    return create_model(kind.__name__, __base__=base, **keys)


class _Expected(_Table):
    line: str
    expect: dict[str, Any]


class _Version(_Table):
    path: str
    known: tuple[str, ...]


class Mapping(_Table):
    """A file of ``mappings/``; ``calls.mapping.Mapping`` explains its keys."""

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
