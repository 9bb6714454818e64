"""The catalogue of reports: ``queries/<name>.sql``, each with a typed header that is checked as a whole.

A header is TOML behind ``--`` between two ``-- ---`` marks; behind it stands one ``select``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from erranalytics.errors import ReportError, UsageError

MARK = "-- ---"
LIST_HINT = "all reports: erranalytics report --list"

PARAMETER = re.compile(r"\$([a-z_]+)")
COMMENT = re.compile(r"--[^\n]*|'(?:[^']|'')*'")


class Param(BaseModel):
    """A parameter of a report: bound as ``$name``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["timestamptz", "varchar", "integer", "double"]
    default: str | int | float | None = None
    help: str = Field(min_length=1)
    choices: tuple[str, ...] | None = None


class Column(BaseModel):
    """A column of a report; ``unit`` is ``bytes``, ``us`` (microseconds) or ``share`` (0 to 1).

    ``below`` lets a narrow terminal show it under its row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: str | None = None
    unit: Literal["bytes", "us", "share"] | None = None
    meaning: str = ""
    below: bool = False


COMMON: dict[str, Param] = {
    "since": Param(type="timestamptz", help="Only from this time on: 2026-11-20, ISO 8601, -24h, -7d"),
    "until": Param(type="timestamptz", help="Only before this time, in the same forms"),
    "host": Param(type="varchar", help="Only this host, as the journal names it"),
    "model": Param(type="varchar", help="Only this model"),
    "endpoint": Param(type="varchar", help="Only this route, such as /api/chat"),
    "code": Param(type="varchar", help="Only this code, such as MEM001"),
    "bucket": Param(type="varchar", default="day", help="Width of a step in time", choices=("hour", "day", "week")),
    "tz": Param(type="varchar", default="UTC", help="Zone of days, weeks and printed times, such as Europe/Berlin"),
    "min_count": Param(type="integer", default=20, help="Below this many there is no judgement: the rate stays empty"),
}


class Header(BaseModel):
    """The typed header of a report file.

    ``common`` names parameters of ``COMMON``, ``explained`` the part that ``--explain`` adds: how it is computed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    columns: tuple[Column, ...] = Field(min_length=1)
    common: tuple[Literal[tuple(COMMON)], ...] = ()  # type: ignore[valid-type]  # the keys of COMMON, said once
    param: dict[str, Param] = {}
    part: bool = False
    parts: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()
    explained: str | None = None


@dataclass(frozen=True)
class Report:
    """A report file, read and checked."""

    header: Header
    sql: str
    path: Path

    @property
    def name(self) -> str:
        """Name of the report, equal to the stem of its file."""
        return self.header.name

    @property
    def params(self) -> dict[str, Param]:
        """All parameters, the common ones first; every report takes ``tz``, if only to print its times."""
        return {name: COMMON[name] for name in (*self.header.common, "tz")} | self.header.param


def folder() -> Path:
    """The folder of the report files: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "queries"
    return inside if inside.is_dir() else package.parent / "queries"


@cache
def catalogue(directory: Path | None = None) -> dict[str, Report]:
    """All reports by name, parts included.

    Raises:
        ReportError: with the faults of all files, one a line.
    """
    found, faults = {}, []
    for path in sorted((directory or folder()).glob("*.sql")):
        try:
            report = read(path)
        except ReportError as error:
            faults.append(str(error))
        else:
            found[report.name] = report
    for report in found.values():
        missing = [part for part in (*report.header.parts, report.header.explained) if part and part not in found]
        faults += [f"{report.path}:1: no report {part!r} to be a part" for part in missing]
    if faults:
        raise ReportError.from_faults(faults)
    return found


def read(path: Path) -> Report:
    """One report file.

    Raises:
        ReportError: with all its faults, ``path:line: sentence``.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    marks = [number for number, line in enumerate(lines) if line.strip() == MARK]
    if not lines or len(marks) < 2 or marks[0] != 0:
        raise ReportError.from_faults([f"{path}:1: the file must begin with a header between two lines {MARK!r}"])
    head, sql = lines[1 : marks[1]], "\n".join(lines[marks[1] + 1 :]).strip()
    try:
        header = Header.model_validate(tomllib.loads("\n".join(re.sub("^-- ?", "", line) for line in head)))
    except tomllib.TOMLDecodeError as error:
        text, _, at = str(error).partition(" (at ")
        line, column = map(int, found) if len(found := re.findall(r"\d+", at)) == 2 else (marks[1], 0)
        raise ReportError.from_faults([f"{path}:{line + 1}:{column + 3}: header is not TOML: {text}"]) from None
    except ValidationError as error:
        raise ReportError.from_faults(_header_faults(path, head, error)) from None
    report = Report(header=header, sql=sql, path=path)
    faults = [f"{path}:{_line_of(head, (key,))}: {text}" for key, text in _faults(report)]
    if faults:
        raise ReportError.from_faults(faults)
    return report


def _header_faults(path: Path, head: Sequence[str], error: ValidationError) -> list[str]:
    faults = []
    for detail in error.errors():
        where = ".".join(str(part) for part in detail["loc"])
        text = detail["msg"]
        if detail["type"] == "extra_forbidden":
            known = Header if len(detail["loc"]) == 1 else Param if detail["loc"][0] == "param" else Column
            text = "unknown key" + near(str(detail["loc"][-1]), known.model_fields)
        faults.append(f"{path}:{_line_of(head, detail['loc'])}: {where}: {text}")
    return faults


def _faults(report: Report) -> Iterable[tuple[str, str]]:
    """Faults of a file whose header is well formed, as (header key, sentence)."""
    header, bare = report.header, COMMENT.sub("''", report.sql)
    declared, used = set(report.params), set(PARAMETER.findall(bare))
    columns = [column.name for column in header.columns]
    if header.name != report.path.stem:
        yield "name", f"name is {header.name!r} but the file is {report.path.name}"
    for name in sorted(used - declared):
        yield "common", f"${name} is used but not declared{near(name, declared)}"
    # What a report with parts takes may be meant for a part of it.
    for name in sorted(set() if header.parts else declared - used - {"tz"}):
        yield "common", f"parameter {name!r} is declared but not used"
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        yield "columns", f"column {name!r} is declared twice"
    if ";" in bare.rstrip("; \n"):
        yield "name", "one statement only"
    if not re.search(r"\border\s+by\b", bare, re.IGNORECASE):
        yield "name", "a report ends with an order by"


def _line_of(head: Sequence[str], loc: tuple[int | str, ...]) -> int:
    """Line of the file (from 1) that holds a place of the header, as near as can be told."""
    patterns = [rf"--\s*(\[param\.)?{re.escape(str(loc[0]))}\b"]
    if loc[0] == "param" and len(loc) > 1:
        patterns.insert(0, rf".*\bparam\.{re.escape(str(loc[1]))}\b")
    found = (n for pattern in patterns for n, line in enumerate(head) if re.match(pattern, line))
    start = next(found, 0)
    if loc[0] == "columns" and len(loc) > 1 and isinstance(loc[1], int):
        entries = [n for n, line in enumerate(head) if n > start for _ in re.finditer(r"\{", line)]
        start = entries[loc[1]] if loc[1] < len(entries) else start
    return start + 2


def near(name: str, names: Iterable[str]) -> str:
    """``, did you mean X?`` for the nearest name, or nothing."""
    close = get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def find(name: str) -> Report:
    """The report of that name.

    Raises:
        UsageError: with the nearest name and where all are listed.
    """
    reports = catalogue()
    if name in reports:
        return reports[name]
    close = get_close_matches(name, list(reports), n=1, cutoff=0.5)
    hint = [f"did you mean: {close[0]}"] if close else []
    raise UsageError(f"no report named {name!r}", hint="\n".join([*hint, LIST_HINT]))


def describe(names: Sequence[str] = (), *, parts: bool = False) -> list[dict[str, Any]]:
    """The catalogue as plain objects: name, title, question, parameters, columns; ``parts`` adds parts of others.

    Raises:
        UsageError: one of the ``names`` is unknown.
    """
    return [
        {
            "name": report.name,
            "title": report.header.title,
            "question": report.header.question,
            "parameters": [{"name": name} | param.model_dump(mode="json") for name, param in report.params.items()],
            "columns": [column.model_dump(exclude={"below"}) for column in report.header.columns],
        }
        for report in (map(find, names) if names else catalogue().values())
        if names or parts or not report.header.part
    ]
