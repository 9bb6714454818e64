"""Results as bytes: the only module that writes to standard output.

Every format is one function from results to text; the bytes are UTF-8 with ``\\n``. Text that came from a
log is never trusted: control characters, escape sequences and direction marks are shown as ``\\x1b``, and
nothing in it is read as markup. rich, which knows how wide a character is, is imported only where text is laid out.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from erranalytics.errors import UsageError, did_you_mean
from erranalytics.text.display import NULL, UNSAFE, cell, is_number, label, pad, plain, printable, shown, wrap

if TYPE_CHECKING:
    import polars as pl

    from erranalytics.reports.runner import Result

NATURAL_WIDTH = 100_000  # wide enough for any row: what is piped is never cut

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&#$])")
_ANSI = {"bold": "1", "dim": "2", "red": "31", "bold red": "1;31", "yellow": "33", "green": "32"}
_STYLES = {"critical": "bold red", "error": "red", "warning": "yellow", "worse": "red", "better": "green"}
NOTHING = "nothing found\n"
_SENTENCES = {"title", "message", "note", "remedy"}


def _json(results: Sequence[Result], **_: Any) -> str:
    """One report: its rows. Several: an object by name, with title, rows and notes."""
    if len(results) == 1:
        rows = [_dumps(row) for row in _records(results[0])]
        return "[\n  " + ",\n  ".join(rows) + "\n]\n" if rows else "[]\n"
    whole = {one.name: {"title": one.title, "rows": _records(one), "notes": list(one.notes)} for one in results}
    return _dumps(whole, indent=2) + "\n"


def _jsonl(results: Sequence[Result], **_: Any) -> str:
    """One object a row; of several reports, each row begins with the name of its report."""
    several = len(results) > 1
    return "".join(
        _dumps(({"report": one.name} if several else {}) | row) + "\n" for one in results for row in _records(one)
    )


def _records(result: Result) -> list[dict[str, Any]]:
    names = [column.name for column in result.columns]
    return [
        dict(zip(names, (plain(value, tz=result.tz) for value in row), strict=True))
        for row in result.frame.select(names).iter_rows()
    ]


def _dumps(value: object, *, indent: int | None = None) -> str:
    """JSON that also escapes what JSON allows but a terminal obeys."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def _csv(results: Sequence[Result], **_: Any) -> str:
    """Blocks with a header line each, an empty line between them."""
    import csv

    blocks = []
    for one in results:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.name for column in one.columns])
        writer.writerows([cell(value, tz=one.tz) for value in row] for row in one.frame.iter_rows())
        blocks.append(out.getvalue())
    return "\n".join(blocks)


def _markdown(results: Sequence[Result], **_: Any) -> str:
    """GitHub tables; of several reports, each under its title."""
    blocks = []
    for one in results:
        rows = [
            [shown(value, column, tz=one.tz) for value, column in zip(row, one.columns, strict=True)]
            for row in one.frame.iter_rows()
        ]
        marks = ["---:" if is_number(column) else "---" for column in one.columns]
        lines = [_markdown_row(map(label, (c.name for c in one.columns))), "| " + " | ".join(marks) + " |"]
        lines += [_markdown_row(row) for row in rows]
        lines += [""] * bool(one.notes) + [f"- not seen: {_quoted(printable(note))}" for note in one.notes]
        heading = [f"## {one.title}", ""] if len(results) > 1 else []
        blocks.append("\n".join(heading + lines) + "\n")
    return "\n".join(blocks)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_quoted, cells)) + " |"


def _quoted(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _table(results: Sequence[Result], *, color: bool, width: int | None, now: datetime | None) -> str:
    """What a person reads; the overview is told in sentences."""
    if results and results[0].name == "overview":
        from erranalytics.output.overview import overview_lines

        lines = overview_lines(results, now=now or datetime.now(UTC), width=min(width or 80, 100))
        return "\n".join(lines) + "\n"
    return _pages(results, [_draw(one, color=color, width=width) for one in results], color=color, width=width)


def _one_a_line(results: Sequence[Result], *, color: bool, width: int | None, **_: Any) -> str:
    """One column a line, an empty line between rows."""
    drawn = []
    for one in results:
        heads, records = _texts(one, short=False)
        drawn.append(_vertical(heads, records, width=width or NATURAL_WIDTH) if records else NOTHING)
    return _pages(results, drawn, color=color, width=width)


def _pages(results: Sequence[Result], drawn: Sequence[str], *, color: bool, width: int | None) -> str:
    """What was drawn of each result, with a title when there are several, and what could not be seen."""
    blocks = []
    for one, rows in zip(results, drawn, strict=True):
        zoned = any("timestamptz" in (column.type or "") for column in one.columns)
        foot = [f"not seen: {printable(note)}" for note in one.notes] + [f"times in {one.tz}"] * zoned
        wrapped = [line for note in foot for line in wrap(note, width or NATURAL_WIDTH, later="  ")]
        title = _styled(one.title, "bold", color=color) + "\n" if len(results) > 1 else ""
        ending = ["", *wrapped] if wrapped else []
        blocks.append(title + rows + "".join(_styled(line, "dim", color=color) + "\n" for line in ending))
    return "\n".join(blocks)


def _texts(result: Result, *, short: bool) -> tuple[list[str], list[list[str]]]:
    """Heads and cells as a person reads them."""
    columns = result.columns
    records = [
        [shown(value, column, tz=result.tz, short=short) for value, column in zip(row, columns, strict=True)]
        for row in result.frame.iter_rows()
    ]
    return [label(column.name) for column in columns], records


def _draw(result: Result, *, color: bool, width: int | None) -> str:
    """The rows as a person can read them in ``width`` cells.

    Side by side when that fits; else the columns marked ``below`` hang under their row; else one column a line.
    """
    columns = result.columns
    heads, records = _texts(result, short=True)
    if not records:
        return NOTHING
    everything = range(len(columns))
    # Texts may be folded, but only once the long columns hang below.
    texts = {at for at in everything if (columns[at].type or "") == "varchar"}
    for beside, elastic in ((everything, set()), ([at for at in everything if not columns[at].below], texts)):
        widths = _widths(heads, records, beside, elastic, width or NATURAL_WIDTH)
        if widths:
            break
    else:
        return _vertical(heads, records, width=width or NATURAL_WIDTH)
    head = [textwrap.wrap(heads[at], room, break_on_hyphens=False) for at, room in widths.items()]
    right = [is_number(columns[at]) for at in widths]
    lines = [_styled(line, "bold", color=color) for line in _side_by_side(head, list(widths.values()), right)]
    hanging = [at for at in everything if at not in widths]
    for record in records:
        cells = [wrap(record[at], room) for at, room in widths.items()]
        style = next((_STYLES[text] for text in record if text in _STYLES), "")
        drawn = _side_by_side(cells, list(widths.values()), right)
        lines += [_styled(line, style, color=color) for line in drawn]
        lines += _below([(columns[at].name, heads[at], record[at]) for at in hanging], width or NATURAL_WIDTH)
    return "".join(line + "\n" for line in lines)


def _widths(
    heads: Sequence[str], records: Sequence[Sequence[str]], beside: Iterable[int], elastic: set[int], width: int
) -> dict[int, int] | None:
    """Cells of each column shown; elastic ones give way, the widest first, down to 16. None when it cannot fit."""
    from rich.cells import cell_len

    # A head may be broken between words, never inside one.
    widths = {at: max(*(cell_len(record[at]) for record in records), *map(len, heads[at].split())) for at in beside}
    excess = sum(widths.values()) + 2 * (len(widths) - 1) - width
    while excess > 0:
        at = max(elastic & widths.keys(), key=widths.__getitem__, default=None)
        if at is None or widths[at] <= 16:
            return None
        widths[at], excess = widths[at] - 1, excess - 1
    return widths


def _side_by_side(cells: Sequence[Sequence[str]], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    rows = zip_longest(*cells, fillvalue="")
    return ["  ".join(map(pad, row, widths, right)).rstrip() for row in rows]


def _below(hanging: Iterable[tuple[str, str, str]], width: int) -> list[str]:
    """What hangs under a row: sentences on lines of their own, the rest as "head value" in one."""
    sentences, facts = [], []
    for name, head, text in hanging:
        if text in (NULL, ""):
            continue
        if name in _SENTENCES:
            sentences += wrap(text, width, first="    " + "→ " * (name == "remedy"), later="      ")
        else:
            facts.append(f"{head} {text}")
    return (wrap(" · ".join(facts), width, first="    ", later="    ") if facts else []) + sentences


def _styled(line: str, style: str, *, color: bool) -> str:
    return f"\x1b[{_ANSI[style]}m{line}\x1b[0m" if color and style and line else line


def _vertical(heads: Sequence[str], records: Sequence[Sequence[str]], *, width: int) -> str:
    indent = max(map(len, heads)) + 2
    lines: list[str] = []
    for number, cells in enumerate(records):
        lines += [""] * bool(number)
        for head, text in zip(heads, cells, strict=True):
            lines += wrap(text, width, first=head.ljust(indent), later=" " * indent)
    return "".join(line + "\n" for line in lines)


def _parquet(results: Sequence[Result], **_: Any) -> bytes:
    """One table as a file of columns: exact values, times as instants in UTC."""
    out = io.BytesIO()
    results[0].frame.write_parquet(out)
    return out.getvalue()


def _html(results: Sequence[Result], **_: Any) -> str:
    """One page that holds everything it needs."""
    from erranalytics.output.html import page

    return page.write(results)


# Text, or bytes of a form that no terminal can show and that holds one table.
FORMATS: dict[str, Callable[..., str | bytes]] = {
    "table": _table,
    "vertical": _one_a_line,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "md": _markdown,
    "html": _html,
    "parquet": _parquet,
}


def check_format(format: str, *, tables: int = 1, output: str | None = None) -> None:
    """Refuse, before anything is asked, what could not be written in the end.

    Args:
        format: a key of ``FORMATS``.
        tables: how many results there will be.
        output: the file that was named.

    Raises:
        UsageError: unknown format, or one that holds one table only, or is not for a terminal.
    """
    if format not in FORMATS:
        hint = "formats: " + ", ".join(FORMATS)
        raise UsageError(f"no output format {format!r}{did_you_mean(format, FORMATS)}", hint=hint)
    if format == "parquet" and tables > 1:
        hint = "Name one report: erranalytics report error-frequency -f parquet -o errors.parquet"
        raise UsageError(f"parquet holds one table, this makes {tables}", hint=hint)
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
        color: only ``True`` for a terminal without ``NO_COLOR``.
        width: cells of the terminal; ``None`` never wraps.
        now: what "2 h ago" in the overview counts from.

    Raises:
        UsageError: unknown format.
    """
    check_format(format, tables=len(results), output="")
    made = FORMATS[format](results, color=color, width=width, now=now)
    out.write(made if isinstance(made, bytes) else made.encode())


def write_json(value: object, *, out: BinaryIO) -> None:
    """Write one JSON value, indented: ``report --list -f json``, ``doctor --json``."""
    out.write((_dumps(plain(value), indent=2) + "\n").encode())


def write_lines(lines: Iterable[str], *, out: BinaryIO) -> None:
    """Write lines of text that may hold parts of a log."""
    out.write("".join(printable(line) + "\n" for line in lines).encode())


def write_text(text: str, *, out: BinaryIO) -> None:
    """Write a text of our own as it is, such as a script."""
    out.write(text.encode())


def write_frame(frame: pl.DataFrame, *, out: BinaryIO) -> None:
    """Write a frame of plain values as JSON Lines."""
    out.write("".join(_dumps(row) + "\n" for row in frame.to_dicts()).encode())


def write_catalogue(reports: Sequence[Mapping[str, Any]], *, format: str, out: BinaryIO) -> None:
    """Write what ``report --list`` says: names and questions as text, everything as JSON.

    Raises:
        UsageError: another format.
    """
    if format == "json":
        write_json(list(reports), out=out)
        return
    if format != "table":
        raise UsageError(f"the list of reports is not written as {format!r}", hint="formats: table, json")
    width = max(len(report["name"]) for report in reports)
    lines = []
    for report in reports:
        lines.append(f"{report['name']:<{width}}  {report['question']}")
        lines.append(f"{'':<{width}}  parameters: {', '.join(one['name'] for one in report['parameters'])}")
        lines += wrap(
            "columns: " + ", ".join(one["name"] for one in report["columns"]),
            100,
            first=" " * (width + 2),
            later=" " * (width + 4),
        )
    write_lines(lines, out=out)


def terminal_width(output: str | None) -> int | None:
    """Columns of the terminal, or what ``COLUMNS`` says; None when output goes elsewhere: then nothing is wrapped."""
    if output is not None:
        return None
    if sys.stdout.isatty():
        import shutil

        return shutil.get_terminal_size().columns
    wanted = os.environ.get("COLUMNS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) >= 40 else None


@contextmanager
def opened(output: str | None) -> Iterator[BinaryIO]:
    """Standard output, or the file that was named.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        handle = Path(output).open("wb")  # noqa: SIM115 - closed below, opening alone may fail
    except OSError as error:
        raise UsageError(f"cannot be written: {(error.strerror or str(error)).lower()}", location=output) from None
    with handle:
        yield handle
