"""The page about the reports: question, parameters and columns of each, and what it cannot see."""

from __future__ import annotations

from erranalytics.output import render
from erranalytics.reports import catalogue
from erranalytics.reports.catalogue import Column, Param, Report
from scripts.reference.markdown import GENERATED, code, page, table

HEAD = """`erranalytics report NAME` answers one question from the store; without a name it prints the overview. The SQL
of a report is in `queries/NAME.sql`. Every report can be written as {forms}. The numbers are the same in all of them:
programs get exact values, and people also get units and notes on what could not be seen.

Any column can be a [gate](gates.md): `--fail-on 'NAME.COLUMN > VALUE'`. [Definitions](definitions.md) explain
the words used here and the blind spots that a report names."""
UNITS = {"bytes": "bytes", "us": "microseconds", "share": "0 to 1"}


def pages() -> dict[str, str]:
    """The text of the page by its path below ``docs``."""
    reports = list(catalogue.catalogue().values())
    public = [report for report in reports if not report.header.part]
    questions = [(f"[{report.name}](#{report.name})", report.header.question) for report in public]
    return {
        "reports.md": page(
            [
                "# Reports",
                GENERATED,
                HEAD.format(forms=", ".join(render.FORMATS)),
                table(("report", "question"), questions),
                *(part for report in reports for part in _section(report)),
            ]
        )
    }


def _section(report: Report) -> list[str]:
    header = report.header
    blocks = [f"## {report.name}", header.question]
    if header.part:
        blocks.append("This is part of another report, and can also be asked for by its own name.")
    params = [
        (code(name), param.type, "" if param.default is None else str(param.default), _help(param))
        for name, param in report.params.items()
    ]
    columns = [(code(column.name), column.type or "", _meaning(column)) for column in header.columns]
    blocks += ["Parameters:", table(("name", "type", "default", "meaning"), params)]
    blocks += ["Columns:", table(("name", "type", "meaning"), columns)]
    if header.coverage:
        topics = ", ".join(f"[{code(topic)}](definitions.md#{topic})" for topic in header.coverage)
        blocks.append(f"What it cannot see: {topics}.")
    return blocks


def _help(param: Param) -> str:
    return param.help + (f" ({', '.join(param.choices)})" if param.choices else "")


def _meaning(column: Column) -> str:
    return column.meaning + (f" ({UNITS[column.unit]})" if column.unit else "")
