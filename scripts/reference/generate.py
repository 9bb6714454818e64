"""All generated pages: write them into ``docs/``, or compare them with what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from erranalytics.cli import diagnostics
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.errors import UsageError
from scripts.reference import calls, commands, formats, reports, rules, store

FOLDER = Path(__file__).resolve().parents[2] / "docs"


def pages() -> dict[str, str]:
    """The text of every generated page by its path below ``docs``."""
    made: dict[str, str] = {}
    for subject in (rules, reports, formats, commands, store, calls):
        made |= subject.pages()
    return made


def left_over(made: dict[str, str]) -> list[str]:
    """Pages of categories that no longer exist."""
    there = {str(path.relative_to(FOLDER).as_posix()) for path in (FOLDER / "rules").glob("*.md")}
    return sorted(there - made.keys())


def main(arguments: Sequence[str]) -> ExitCode:
    """Write the pages, or compare them with ``--check``."""
    made = pages()
    if "--check" in arguments:
        stale = [name for name, text in made.items() if not _is_current(FOLDER / name, text)] + left_over(made)
        if stale:
            raise UsageError("these pages are out of date: " + ", ".join(stale), hint="make docs")
        diagnostics.note(f"{len(made)} generated pages in docs are up to date")
        return ExitCode.DONE
    for name in left_over(made):
        (FOLDER / name).unlink()
    for name, text in made.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")
    diagnostics.note(f"{len(made)} pages written")
    return ExitCode.DONE


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
