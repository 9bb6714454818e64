"""Results as tables for people, fitted to the width of a terminal.

rich, which knows the width of each character, is imported only when text is laid out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from erranalytics.reports.values import NULL, SENTENCES, is_number, label, shown
from erranalytics.text.display import printable

if TYPE_CHECKING:
    from erranalytics.reports.runner import Result

NATURAL_WIDTH = 100_000  # wide enough for any row, because piped output is never wrapped
NOTHING = "nothing found\n"

_ANSI = {"bold": "1", "dim": "2", "red": "31", "bold red": "1;31", "yellow": "33", "green": "32"}
_STYLES = {"critical": "bold red", "error": "red", "warning": "yellow", "worse": "red", "better": "green"}


def pages(results: Sequence[Result], tables: Sequence[str], *, color: bool, width: int | None) -> str:
    """The table of each result, with a title if there are several, followed by what could not be seen."""
    blocks = []
    for result, rows in zip(results, tables, strict=True):
        has_times = any("timestamptz" in (column.type or "") for column in result.columns)
        foot = [f"not seen: {printable(note)}" for note in result.notes] + [f"times in {result.tz}"] * has_times
        wrapped = [line for note in foot for line in wrap(note, width or NATURAL_WIDTH, later="  ")]
        title = _styled(result.title, "bold", color=color) + "\n" if len(results) > 1 else ""
        ending = ["", *wrapped] if wrapped else []
        blocks.append(title + rows + "".join(_styled(line, "dim", color=color) + "\n" for line in ending))
    return "\n".join(blocks)


def _texts(result: Result, *, short: bool) -> tuple[list[str], list[list[str]]]:
    """The headings and cells as a person reads them."""
    columns = result.columns
    records = [
        [shown(value, column, tz=result.tz, short=short) for value, column in zip(row, columns, strict=True)]
        for row in result.frame.iter_rows()
    ]
    return [label(column.name) for column in columns], records


def draw(result: Result, *, color: bool, width: int | None) -> str:
    """The rows of a result in ``width`` cells.

    All columns are side by side if they fit. Otherwise the columns marked ``below`` go under their row, or, if the rest
    does not fit either, each column has a line of its own.
    """
    columns = result.columns
    heads, records = _texts(result, short=True)
    if not records:
        return NOTHING
    everything = range(len(columns))
    # Texts are wrapped only after the long columns went below their row.
    texts = {at for at in everything if (columns[at].type or "") == "varchar"}
    for beside, elastic in ((everything, set()), ([at for at in everything if not columns[at].below], texts)):
        widths = _widths(heads, records, beside, elastic, width or NATURAL_WIDTH)
        if widths:
            break
    else:
        return _by_column(heads, records, width=width or NATURAL_WIDTH)
    head = [textwrap.wrap(heads[at], room, break_on_hyphens=False) for at, room in widths.items()]
    right = [is_number(columns[at]) for at in widths]
    lines = [_styled(line, "bold", color=color) for line in _side_by_side(head, list(widths.values()), right)]
    below = [at for at in everything if at not in widths]
    for record in records:
        cells = [wrap(record[at], room) for at, room in widths.items()]
        style = next((_STYLES[text] for text in record if text in _STYLES), "")
        row = _side_by_side(cells, list(widths.values()), right)
        lines += [_styled(line, style, color=color) for line in row]
        lines += _below([(columns[at].name, heads[at], record[at]) for at in below], width or NATURAL_WIDTH)
    return "".join(line + "\n" for line in lines)


def vertical(result: Result, *, width: int | None) -> str:
    """The rows of a result with one column per line."""
    heads, records = _texts(result, short=False)
    return _by_column(heads, records, width=width or NATURAL_WIDTH) if records else NOTHING


def _widths(
    heads: Sequence[str], records: Sequence[Sequence[str]], beside: Iterable[int], elastic: set[int], width: int
) -> dict[int, int] | None:
    """The width of each column in cells; elastic ones shrink to 16, the widest first. None if they cannot fit."""
    from rich.cells import cell_len

    # A heading may be broken between words, but never inside one.
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


def _below(columns: Iterable[tuple[str, str, str]], width: int) -> list[str]:
    """The lines under a row: each sentence on its own lines, and the other values together as "heading value"."""
    sentences, facts = [], []
    for name, head, text in columns:
        if text in (NULL, ""):
            continue
        if name in SENTENCES:
            sentences += wrap(text, width, first="    " + "→ " * (name == "remedy"), later="      ")
        else:
            facts.append(f"{head} {text}")
    return (wrap(" · ".join(facts), width, first="    ", later="    ") if facts else []) + sentences


def _styled(line: str, style: str, *, color: bool) -> str:
    return f"\x1b[{_ANSI[style]}m{line}\x1b[0m" if color and style and line else line


def _by_column(heads: Sequence[str], records: Sequence[Sequence[str]], *, width: int) -> str:
    """One column per line, with an empty line between rows."""
    indent = max(map(len, heads)) + 2
    lines: list[str] = []
    for number, cells in enumerate(records):
        lines += [""] * bool(number)
        for head, text in zip(heads, cells, strict=True):
            lines += wrap(text, width, first=head.ljust(indent), later=" " * indent)
    return "".join(line + "\n" for line in lines)


def pad(text: str, cells: int, right: bool = False) -> str:  # noqa: FBT001, FBT002 - mapped over a row
    """Text padded with blanks to a width in terminal cells."""
    from rich.cells import cell_len

    blank = " " * max(0, cells - cell_len(text))
    return blank + text if right else text + blank


def wrap(text: str, width: int, *, first: str = "", later: str = "") -> list[str]:
    """Lines of at most ``width`` cells; a word is broken only if it does not fit on a line."""
    from rich.cells import cell_len, chop_cells

    room = width * len(text) // max(cell_len(text), 1) if cell_len(text) > width else width
    lines = textwrap.wrap(text, max(room, len(later) + 8), initial_indent=first, subsequent_indent=later)
    # textwrap counts characters, so lines of wide ones get fewer, and a line that is still too wide is cut again.
    return [
        piece.rstrip() for line in lines for piece in ([line] if cell_len(line) <= width else chop_cells(line, width))
    ] or [first.rstrip()]
