"""What may stand in a file of ``formats/`` or ``mappings/``: unknown keys and wrong types are faults.

Only imported when these files are read.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from erranalytics import schema


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


def keys_of(kind: type[Any], *, filled: tuple[str, ...]) -> type[BaseModel]:
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
    return create_model(kind.__name__, __base__=_Table, **keys)


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
