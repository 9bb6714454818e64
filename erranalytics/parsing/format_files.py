"""The keys and types allowed in the files of ``formats/`` and ``mappings/``; anything else is a fault.

This module is imported only when these files are read.
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
    """Checks of a file of ``formats/`` beyond the types of its keys."""

    @field_validator("clock", "local", check_fields=False)
    @classmethod
    def _is_clock(cls, value: str | None) -> str | None:
        if value is not None and value not in schema.TS_SOURCES:
            raise ValueError(f"there is no clock '{value}', but {', '.join(schema.TS_SOURCES)}")
        return value

    @field_validator("rebuilt", check_fields=False)
    @classmethod
    def _has_pieces(cls, value: tuple[str | tuple[str, ...], ...]) -> tuple[str | tuple[str, ...], ...]:
        parts = [text for part in value for text in ((part,) if isinstance(part, str) else part)]
        named = {name for part in parts for name in re.findall(r"\{(\w*)\}", part)}
        if unknown := sorted(named.difference(schema.PIECES)):
            raise ValueError(f"a text has no piece {', '.join(unknown)}, but {', '.join(schema.PIECES)}")
        return value


def keys_of(kind: type[Any], *, filled: tuple[str, ...], base: type[BaseModel] = _Table) -> type[BaseModel]:
    """The model of a file whose keys are the fields of a dataclass; the lists named in ``filled`` must not be empty."""
    types = get_type_hints(kind)
    keys: dict[str, Any] = {}
    for key in fields(kind):
        rule = Field(min_length=1) if key.name in filled else Field()
        if key.default is not MISSING:
            rule = Field(default=key.default)
        elif key.default_factory is not MISSING:
            rule = Field(default_factory=key.default_factory)
        keys[key.name] = (types[key.name], rule)
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
