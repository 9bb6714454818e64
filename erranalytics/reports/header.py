"""The schema of the header of a report: unknown keys and wrong types are faults, each with its place.

Imported only when the files themselves are read, and not a prepared file (see ``datafiles``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from erranalytics.errors import ReportError, did_you_mean


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Param(_Table):
    type: Literal["timestamptz", "varchar", "integer", "double"]
    default: str | int | float | None = None
    help: str = Field(min_length=1)
    choices: tuple[str, ...] | None = None


class _Column(_Table):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: str | None = None
    unit: Literal["bytes", "us", "share"] | None = None
    meaning: str = ""
    below: bool = False


class _Header(_Table):
    """``catalogue.Header`` says what its keys mean."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    columns: tuple[_Column, ...] = Field(min_length=1)
    common: tuple[str, ...] = ()
    param: dict[str, _Param] = {}
    part: bool = False
    parts: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()
    explained: str | None = None


def read(text: str, *, head: Sequence[str], path: Path, common: tuple[str, ...]) -> dict[str, Any]:
    """Read and check the values of a header.

    Args:
        text: the TOML of the header.
        head: the lines of the header in the file.
        path: the path of the report.
        common: the names of the parameters that any report may have.

    Raises:
        ReportError: with all its faults, ``path:line: sentence``.
    """
    try:
        data = tomllib.loads(text)
        _with_common(common).model_validate(data)
    except tomllib.TOMLDecodeError as error:
        reason, _, at = str(error).partition(" (at ")
        end = len(head) + 1
        line, column = map(int, place) if len(place := re.findall(r"\d+", at)) == 2 else (end, 0)
        raise ReportError.from_faults([f"{path}:{line + 1}:{column + 3}: header is not TOML: {reason}"]) from None
    except ValidationError as error:
        raise ReportError.from_faults(_faults(path, head, error)) from None
    return data


def line_of(head: Sequence[str], loc: tuple[int | str, ...]) -> int:
    """The line of the file, from 1, of a place in the header, as exactly as the header allows."""
    patterns = [rf"--\s*(\[param\.)?{re.escape(str(loc[0]))}\b"]
    if loc[0] == "param" and len(loc) > 1:
        patterns.insert(0, rf".*\bparam\.{re.escape(str(loc[1]))}\b")
    matches = (n for pattern in patterns for n, line in enumerate(head) if re.match(pattern, line))
    start = next(matches, 0)
    if loc[0] == "columns" and len(loc) > 1 and isinstance(loc[1], int):
        entries = [n for n, line in enumerate(head) if n > start for _ in re.finditer(r"\{", line)]
        start = entries[loc[1]] if loc[1] < len(entries) else start
    return start + 2


@cache
def _with_common(names: tuple[str, ...]) -> type[_Header]:
    kind = tuple[Literal[names], ...]  # type: ignore[valid-type]  # only the catalogue lists the names
    return create_model("Header", __base__=_Header, common=(kind, ()))


def _faults(path: Path, head: Sequence[str], error: ValidationError) -> list[str]:
    faults = []
    for detail in error.errors():
        where = ".".join(str(part) for part in detail["loc"])
        text = detail["msg"]
        if detail["type"] == "extra_forbidden":
            known = _Header if len(detail["loc"]) == 1 else _Param if detail["loc"][0] == "param" else _Column
            text = "unknown key" + did_you_mean(str(detail["loc"][-1]), known.model_fields)
        faults.append(f"{path}:{line_of(head, detail['loc'])}: {where}: {text}")
    return faults
