"""The catalogue of reports: one file ``queries/<name>.sql`` for each.

A file begins with a typed header, TOML after ``--`` between two ``-- ---`` marks, and one ``select`` follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from erranalytics import datafiles
from erranalytics.errors import ReportError, UsageError, did_you_mean

MARK = "-- ---"
LIST_HINT = "all reports: erranalytics report --list"

PARAMETER = re.compile(r"\$([a-z_]+)")
COMMENT = re.compile(r"--[^\n]*|'(?:[^']|'')*'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A parameter of a report, bound as ``$name``."""

    type: Literal["timestamptz", "varchar", "integer", "double"]
    default: str | int | float | None = None
    help: str
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a report; ``unit`` is ``bytes``, ``us`` (microseconds) or ``share`` (0 to 1).

    ``below`` allows a narrow terminal to show it under its row.
    """

    name: str
    type: str | None = None
    unit: Literal["bytes", "us", "share"] | None = None
    meaning: str = ""
    below: bool = False


COMMON: dict[str, Param] = {
    "since": Param(type="timestamptz", help="Only from this time on: 2026-11-20, ISO 8601, -24h, -7d"),
    "until": Param(type="timestamptz", help="Only before this time, in the same formats"),
    "host": Param(type="varchar", help="Only this host, as the journal names it"),
    "model": Param(type="varchar", help="Only this model"),
    "endpoint": Param(type="varchar", help="Only this route, such as /api/chat"),
    "code": Param(type="varchar", help="Only this code, such as MEM001"),
    "bucket": Param(type="varchar", default="day", help="Width of a step in time", choices=("hour", "day", "week")),
    "tz": Param(type="varchar", default="UTC", help="Zone of days, weeks and printed times, such as Europe/Berlin"),
    "min_count": Param(type="integer", default=20, help="A rate of fewer than this many stays empty"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The typed header of a report file.

    ``common`` names parameters of ``COMMON``; ``explained`` names the part that ``--explain`` adds, which shows how the
    report is computed.
    """

    name: str
    title: str
    question: str
    columns: tuple[Column, ...]
    common: tuple[str, ...] = ()
    param: dict[str, Param] = field(default_factory=dict)
    part: bool = False
    parts: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()
    explained: str | None = None


@dataclass(frozen=True)
class Report:
    """A report file after reading and checking."""

    header: Header
    sql: str
    path: Path

    @property
    def name(self) -> str:
        """The name of the report, which is the stem of its file."""
        return self.header.name

    @property
    def params(self) -> dict[str, Param]:
        """All parameters, the common ones first; every report takes ``tz``, at least to print its times."""
        return {name: COMMON[name] for name in (*self.header.common, "tz")} | self.header.param


def folder() -> Path:
    """The folder of the report files: in the package, or beside it in a checkout."""
    return Path(datafiles.PACKAGE, _place()).resolve()


def report_files() -> list[str]:
    """The files from which the reports are prepared."""
    return ["datafiles.py", "reports/catalogue.py", "reports/header.py", *datafiles.listed(_place(), ".sql")]


@cache
def catalogue(directory: Path | None = None) -> dict[str, Report]:
    """All reports by name, parts included.

    Raises:
        ReportError: with the faults of all files, one per line.
    """
    if directory is not None:
        return _read_all(directory)
    directory = folder()
    rows = datafiles.prepared("reports", report_files(), lambda: _values(_read_all(directory).values()))
    return {data["name"]: _report(data, sql, path=directory / name) for name, data, sql in rows}


def unchecked() -> list[Any]:
    """The values to prepare of the reports, from files that are not checked."""
    import tomllib

    halves = [(path, *_halves(path)) for path in sorted(folder().glob("*.sql"))]
    return _values(_report(tomllib.loads(_toml(head)), sql, path=path) for path, head, sql in halves)


def read(path: Path) -> Report:
    """Read and check one report file.

    Raises:
        ReportError: with all its faults, ``path:line: sentence``.
    """
    from erranalytics.reports import header

    head, sql = _halves(path)
    report = _report(header.read(_toml(head), head=head, path=path, common=tuple(COMMON)), sql, path=path)
    faults = [f"{path}:{header.line_of(head, (key,))}: {text}" for key, text in _faults(report)]
    if faults:
        raise ReportError.from_faults(faults)
    return report


def _place() -> str:
    """The folder of the report files, relative to the package."""
    return "queries" if Path(datafiles.PACKAGE, "queries").is_dir() else "../queries"


def _read_all(directory: Path) -> dict[str, Report]:
    reports, faults = {}, []
    for path in sorted(directory.glob("*.sql")):
        try:
            report = read(path)
        except ReportError as error:
            faults.append(str(error))
        else:
            reports[report.name] = report
    for report in reports.values():
        missing = [part for part in (*report.header.parts, report.header.explained) if part and part not in reports]
        faults += [f"{report.path}:1: there is no report {part!r} to be a part" for part in missing]
    if faults:
        raise ReportError.from_faults(faults)
    return reports


def _halves(path: Path) -> tuple[list[str], str]:
    """The lines of the header of a file and its query."""
    lines = path.read_text(encoding="utf-8").splitlines()
    marks = [number for number, line in enumerate(lines) if line.strip() == MARK]
    if not lines or len(marks) < 2 or marks[0] != 0:
        raise ReportError.from_faults([f"{path}:1: the file must begin with a header between two lines {MARK!r}"])
    return lines[1 : marks[1]], "\n".join(lines[marks[1] + 1 :]).strip()


def _toml(head: Sequence[str]) -> str:
    return "\n".join(re.sub("^-- ?", "", line) for line in head)


def _report(data: Mapping[str, Any], sql: str, *, path: Path) -> Report:
    """The report with the values of its header."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    values["columns"] = tuple(Column(**column) for column in data["columns"])
    values["param"] = {
        name: Param(**{**param, "choices": tuple(param["choices"])} if param.get("choices") else param)
        for name, param in data.get("param", {}).items()
    }
    return Report(header=Header(**values), sql=sql, path=path)


def _values(reports: Iterable[Report]) -> list[Any]:
    """The values to prepare of the reports: the name of the file, the header and the query of each."""
    return [[report.path.name, asdict(report.header), report.sql] for report in reports]


def _faults(report: Report) -> Iterable[tuple[str, str]]:
    """The faults of a file with a well-formed header, as (header key, sentence)."""
    header, bare = report.header, COMMENT.sub("''", report.sql)
    declared, used = set(report.params), set(PARAMETER.findall(bare))
    columns = [column.name for column in header.columns]
    if header.name != report.path.stem:
        yield "name", f"name is {header.name!r} but the file is {report.path.name}"
    for name in sorted(used - declared):
        yield "common", f"${name} is used but not declared{did_you_mean(name, declared)}"
    # A parameter of a report with parts may be meant for one of the parts.
    for name in sorted(set() if header.parts else declared - used - {"tz"}):
        yield "common", f"parameter {name!r} is declared but not used"
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        yield "columns", f"column {name!r} is declared twice"
    if ";" in bare.rstrip("; \n"):
        yield "name", "there must be one statement only"
    if not re.search(r"\border\s+by\b", bare, re.IGNORECASE):
        yield "name", "a report must end with an order by"


def find(name: str) -> Report:
    """The report with a name.

    Raises:
        UsageError: there is none; names the nearest one and the command that lists all.
    """
    reports = catalogue()
    if name not in reports:
        raise UsageError(f"no report named {name!r}{did_you_mean(name, reports)}", hint=LIST_HINT)
    return reports[name]


def describe(names: Sequence[str] = (), *, parts: bool = False) -> list[dict[str, Any]]:
    """The catalogue as plain objects: name, title, question, parameters, columns; ``parts`` includes parts of others.

    Raises:
        UsageError: one of the ``names`` is unknown.
    """
    return [
        {
            "name": report.name,
            "title": report.header.title,
            "question": report.header.question,
            "parameters": [{"name": name} | _described(param) for name, param in report.params.items()],
            "columns": [
                {key: value for key, value in asdict(column).items() if key != "below"}
                for column in report.header.columns
            ],
        }
        for report in (map(find, names) if names else catalogue().values())
        if names or parts or not report.header.part
    ]


def _described(param: Param) -> dict[str, Any]:
    return asdict(param) | {"choices": param.choices and list(param.choices)}
