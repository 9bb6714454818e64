"""Results as bytes: the only module that writes to standard output.

Every format is a function from results to text; the bytes are UTF-8 with ``\\n``. Text from a log is never trusted:
control characters, escape sequences and direction marks are shown as ``\\x1b``, and nothing in it is read as markup.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from erranalytics.errors import UsageError, did_you_mean
from erranalytics.output import table
from erranalytics.reports.values import cell, is_number, label, plain, shown
from erranalytics.text.display import UNSAFE, printable

if TYPE_CHECKING:
    import polars as pl

    from erranalytics.reports.runner import Result

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&#$])")


def _json(results: Sequence[Result], **_: Any) -> str:
    """The rows of one report; for several, an object with title, rows and notes by report name."""
    if len(results) == 1:
        rows = [_dumps(row) for row in _records(results[0])]
        return "[\n  " + ",\n  ".join(rows) + "\n]\n" if rows else "[]\n"
    reports = {
        result.name: {"title": result.title, "rows": _records(result), "notes": list(result.notes)}
        for result in results
    }
    return _dumps(reports, indent=2) + "\n"


def _jsonl(results: Sequence[Result], **_: Any) -> str:
    """One object per row; with several reports, each row begins with the name of its report."""
    several = len(results) > 1
    return "".join(
        _dumps(({"report": result.name} if several else {}) | row) + "\n"
        for result in results
        for row in _records(result)
    )


def _records(result: Result) -> list[dict[str, Any]]:
    names = [column.name for column in result.columns]
    return [
        dict(zip(names, (plain(value, tz=result.tz) for value in row), strict=True))
        for row in result.frame.select(names).iter_rows()
    ]


def _dumps(value: object, *, indent: int | None = None) -> str:
    """JSON in which characters that control a terminal are escaped, although JSON allows them."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def _csv(results: Sequence[Result], **_: Any) -> str:
    """A block with a header line for each result, with an empty line between blocks."""
    import csv

    blocks = []
    for result in results:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.name for column in result.columns])
        writer.writerows([cell(value, tz=result.tz) for value in row] for row in result.frame.iter_rows())
        blocks.append(out.getvalue())
    return "\n".join(blocks)


def _markdown(results: Sequence[Result], **_: Any) -> str:
    """GitHub tables, each under its title if there are several reports."""
    blocks = []
    for result in results:
        rows = [
            [shown(value, column, tz=result.tz) for value, column in zip(row, result.columns, strict=True)]
            for row in result.frame.iter_rows()
        ]
        marks = ["---:" if is_number(column) else "---" for column in result.columns]
        lines = [_markdown_row(label(column.name) for column in result.columns), "| " + " | ".join(marks) + " |"]
        lines += [_markdown_row(row) for row in rows]
        lines += [""] * bool(result.notes) + [f"- not seen: {_quoted(printable(note))}" for note in result.notes]
        heading = [f"## {result.title}", ""] if len(results) > 1 else []
        blocks.append("\n".join(heading + lines) + "\n")
    return "\n".join(blocks)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_quoted, cells)) + " |"


def _quoted(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _table(results: Sequence[Result], *, color: bool, width: int | None, now: datetime | None) -> str:
    """Tables for people; the overview is written in sentences."""
    if results and results[0].name == "overview":
        from erranalytics.output.overview import overview_lines

        lines = overview_lines(results, now=now or datetime.now(UTC), width=min(width or 80, 100))
        return "\n".join(lines) + "\n"
    tables = [table.draw(result, color=color, width=width) for result in results]
    return table.pages(results, tables, color=color, width=width)


def _vertical(results: Sequence[Result], *, color: bool, width: int | None, **_: Any) -> str:
    """One column per line, with an empty line between rows."""
    return table.pages(results, [table.vertical(result, width=width) for result in results], color=color, width=width)


def _parquet(results: Sequence[Result], **_: Any) -> bytes:
    """One table as a Parquet file: exact values, times as instants in UTC."""
    out = io.BytesIO()
    results[0].frame.write_parquet(out)
    return out.getvalue()


def _html(results: Sequence[Result], **_: Any) -> str:
    """One HTML page that contains everything it needs."""
    from erranalytics.output.html import page

    return page.write(results)


# Each gives text, or bytes for a format that holds one table and cannot be shown on a terminal.
FORMATS: dict[str, Callable[..., str | bytes]] = {
    "table": _table,
    "vertical": _vertical,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "md": _markdown,
    "html": _html,
    "parquet": _parquet,
}


def check_format(format: str, *, tables: int = 1, output: str | None = None) -> None:
    """Refuse a format that cannot be written, before any query runs.

    Args:
        format: a key of ``FORMATS``.
        tables: how many results there will be.
        output: the output file; None for standard output.

    Raises:
        UsageError: the format is unknown, holds only one table, or is not for a terminal.
    """
    if format not in FORMATS:
        hint = "formats: " + ", ".join(FORMATS)
        raise UsageError(f"no output format {format!r}{did_you_mean(format, FORMATS)}", hint=hint)
    if format == "parquet" and tables > 1:
        hint = "Name one report: erranalytics report error-frequency -f parquet -o errors.parquet"
        raise UsageError(f"parquet holds one table, and this makes {tables}", hint=hint)
    if format == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("parquet is not for a terminal", hint="Name a file: -o FILE.parquet")


def write(
    results: Sequence[Result],
    *,
    format: str,
    out: BinaryIO,
    color: bool = False,
    width: int | None = None,
    now: datetime | None = None,
) -> None:
    """Write results to a binary stream.

    Args:
        results: one report, several, or the overview followed by its parts.
        format: a key of ``FORMATS``.
        color: True only for a terminal without ``NO_COLOR``.
        width: the cells of the terminal; None never wraps.
        now: the time from which "2 h ago" in the overview counts.

    Raises:
        UsageError: the format is unknown.
    """
    check_format(format, tables=len(results), output="")
    content = FORMATS[format](results, color=color, width=width, now=now)
    out.write(content if isinstance(content, bytes) else content.encode())


def write_json(value: object, *, out: BinaryIO) -> None:
    """Write one JSON value, indented: ``report --list -f json``, ``doctor --json``."""
    out.write((_dumps(plain(value), indent=2) + "\n").encode())


def write_lines(lines: Iterable[str], *, out: BinaryIO) -> None:
    """Write lines of text that may contain parts of a log."""
    out.write("".join(printable(line) + "\n" for line in lines).encode())


def write_text(text: str, *, out: BinaryIO) -> None:
    """Write trusted text as it is, such as a script."""
    out.write(text.encode())


def write_frame(frame: pl.DataFrame, *, out: BinaryIO) -> None:
    """Write a frame of plain values as JSON Lines."""
    out.write("".join(_dumps(row) + "\n" for row in frame.to_dicts()).encode())


def write_catalogue(reports: Sequence[Mapping[str, Any]], *, format: str, out: BinaryIO) -> None:
    """Write the list of ``report --list``: names, questions, parameters and columns as text, everything as JSON.

    Raises:
        UsageError: the format is another one.
    """
    if format == "json":
        write_json(list(reports), out=out)
        return
    if format != "table":
        raise UsageError(f"the list of reports cannot be written as {format!r}", hint="formats: table, json")
    width = max(len(report["name"]) for report in reports)
    lines = []
    for report in reports:
        lines.append(f"{report['name']:<{width}}  {report['question']}")
        lines.append(f"{'':<{width}}  parameters: {', '.join(param['name'] for param in report['parameters'])}")
        lines += table.wrap(
            "columns: " + ", ".join(column["name"] for column in report["columns"]),
            100,
            first=" " * (width + 2),
            later=" " * (width + 4),
        )
    write_lines(lines, out=out)


def terminal_width(output: str | None) -> int | None:
    """The width of the terminal, or that of ``COLUMNS``; None when output goes elsewhere and is not wrapped."""
    if output is not None:
        return None
    if sys.stdout.isatty():
        import shutil

        return shutil.get_terminal_size().columns
    wanted = os.environ.get("COLUMNS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) >= 40 else None


@contextmanager
def opened(output: str | None) -> Iterator[BinaryIO]:
    """Open the output file, or standard output without one.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        handle = Path(output).open("wb")  # noqa: SIM115 - closed below; only a failure to open is caught
    except OSError as error:
        raise UsageError(f"cannot be written: {(error.strerror or str(error)).lower()}", location=output) from None
    with handle:
        yield handle
