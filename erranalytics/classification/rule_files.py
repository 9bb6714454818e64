"""Read and check the files of rules and the taxonomy, and report all faults of all files with their places.

Imported only when the files themselves are read, and not a prepared file (see ``datafiles``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from erranalytics.classification import taxonomy
from erranalytics.classification.taxonomy import Cause
from erranalytics.datafiles import Confidence, Severity
from erranalytics.errors import did_you_mean
from erranalytics.ollama.versions import VERSION, release

_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_PINNED = re.compile(r"[\w./+-]+(?::\d+)?@[\w.+-]+")
_BRANCH = re.compile(r"/(?:blob|tree|raw)/(?:main|master|HEAD|develop)/")
# Rust's regex crate has neither, and polars would complain only at the first text.
_UNSUPPORTED = re.compile(r"\(\?(?:[=!>]|<[=!])|(?<!\\)(?:\\\\)*\\[1-9]")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Example(_Table):
    line: str


class _Counterexample(_Table):
    line: str
    why: str


class _Rule(_Table):
    """A file of ``rules/``; ``rule.Rule`` says what its keys mean."""

    code: str
    name: str
    literals: tuple[str, ...] = Field(min_length=1)
    pattern: str = Field(min_length=1)
    confidence: Confidence = "certain"
    severity: Severity | None = None
    references: tuple[str, ...] = Field(min_length=1)
    since: str | None = None
    until: str | None = None
    implies: tuple[str, ...] = ()
    differ: tuple[str, str] | None = None
    remedy: str | None = None
    example: tuple[_Example, ...] = Field(min_length=1)
    counterexample: tuple[_Counterexample, ...] = Field(min_length=1)
    family: str
    path: str

    @field_validator("name")
    @classmethod
    def _kebab(cls, value: str) -> str:
        if not _KEBAB.fullmatch(value):
            raise ValueError(f"name '{value}' is not kebab-case")
        return value

    @field_validator("literals")
    @classmethod
    def _literal(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(text) < 3 for text in value):
            raise ValueError("a literal needs three characters or more")
        return value

    @field_validator("pattern")
    @classmethod
    def _portable(cls, value: str) -> str:
        if _UNSUPPORTED.search(value):
            raise ValueError("the pattern uses look-around or a back-reference, which the engine does not have")
        return value

    @field_validator("since", "until")
    @classmethod
    def _version(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith("v") and VERSION.fullmatch(value)):
            raise ValueError(f"'{value}' is not a version of Ollama such as v0.13.5")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until and release(self.since) > release(self.until):
            raise ValueError(f"since {self.since} is later than until {self.until}")
        return self

    @field_validator("references")
    @classmethod
    def _pinned(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if _BRANCH.search(text):
                raise ValueError(f"reference '{text}' follows a branch; pin it to a tag or commit")
            if not text.startswith("https://") and not _PINNED.fullmatch(text):
                raise ValueError(f"reference '{text}' is neither https nor a pinned path@tag")
        return value


def checked_causes() -> Iterator[dict[str, Any]]:
    """The rows of the taxonomy; each has the fields of a ``Cause`` and their types."""
    checker = TypeAdapter(Cause)
    for row in taxonomy.rows():
        checker.validate_python(row)
        yield row


def read(
    folder: Path, *, codes: Collection[str], known: tuple[str, ...] | None, faults: list[str]
) -> Iterator[dict[str, Any]]:
    """The values of the rules of a folder (``<family>/<name>.toml``, and ``<name>.toml`` where ``known`` is None).

    Args:
        folder: the folder of the files.
        codes: the codes of the taxonomy.
        known: the families a rule may have; None for any.
        faults: each fault is appended as ``path:line: sentence``, and a rule with a fault is left out.
    """
    if not folder.is_dir():
        faults.append(f"{folder}: there is no such folder of rules")
    # The folder of a user may be one family without subfolders.
    loose = [] if known is not None else sorted(folder.glob("*.toml"))
    for path in [*loose, *sorted(folder.glob("*/*.toml"))]:
        family = path.parent.name
        if known is not None and family not in known:
            faults.append(f"{path}:1: family '{family}' is not declared in families.toml{did_you_mean(family, known)}")
        rule = _read_rule(path, codes=codes, faults=faults)
        if rule is not None:
            yield rule


def _read_rule(path: Path, *, codes: Collection[str], faults: list[str]) -> dict[str, Any] | None:
    """The values of one rule; None if it has faults, which are appended."""
    text = path.read_text("utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        faults.append(f"{path}:{line[1] if line else 1}: not valid TOML: {error}")
        return None
    before = len(faults)
    rule = data | {"family": path.parent.name, "path": str(path)}
    try:
        _Rule.model_validate(rule)
    except ValidationError as error:
        # pydantic counts an invalid example as a missing one too; one fault is enough.
        inside = {fault["loc"][0] for fault in error.errors() if len(fault["loc"]) > 1}
        reported = [fault for fault in error.errors() if fault["type"] != "too_short" or fault["loc"][0] not in inside]
        faults.extend(_sentence(fault, path=path, text=text) for fault in reported)
    owned = [key for key in ("family", "path") if key in data]
    faults.extend(f"{path}:{_line_of(text, key)}: unknown key '{key}': the path of the file gives it" for key in owned)
    faults.extend(_agreement(data, path=path, text=text, codes=codes))
    return rule if len(faults) == before else None


def _agreement(data: Mapping[str, Any], *, path: Path, text: str, codes: Collection[str]) -> Iterator[str]:
    """Disagreements of the file with its own name and with the taxonomy."""
    name = data.get("name")
    if isinstance(name, str) and name != path.stem:
        yield f"{path}:{_line_of(text, 'name')}: name '{name}' differs from the file name '{path.stem}'"
    for key in ("code", "implies"):
        value = data.get(key, [])
        for code in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
            if isinstance(code, str) and code not in codes:
                yield f"{path}:{_line_of(text, key)}: unknown code '{code}'{did_you_mean(code, codes)}"


def _sentence(fault: ErrorDetails, *, path: Path, text: str) -> str:
    """A fault found by pydantic as one sentence with its place."""
    key = str(fault["loc"][0]) if fault["loc"] else ""
    inner = next((str(part) for part in reversed(fault["loc"]) if isinstance(part, str)), key)
    place = f"{path}:{_line_of(text, inner if inner != key else key)}"
    kind = fault["type"]
    if kind == "missing":
        return f"{path}:{_line_of(text, key)}: key '{inner}' is missing"
    if kind == "extra_forbidden":
        valid = set((_Rule if inner == key else _Counterexample).model_fields) - {"family", "path"}
        return f"{place}: unknown key '{inner}'{did_you_mean(inner, sorted(valid))}"
    if kind == "literal_error":
        words = re.findall(r"'(\w+)'", fault["ctx"]["expected"])
        return (
            f"{place}: {key} '{fault['input']}' is none of {', '.join(words)}{did_you_mean(str(fault['input']), words)}"
        )
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message if kind == 'value_error' else f'{inner}: {message[0].lower()}{message[1:]}'}"


def _line_of(text: str, key: str) -> int:
    match = re.search(rf"(?m)^\s*\[*{re.escape(key)}\b", text)
    return text.count("\n", 0, match.start()) + 1 if match else 1
