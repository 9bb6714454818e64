"""Write all generated pages into ``docs/``, or compare them with the files there."""

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
    texts: dict[str, str] = {}
    for subject in (rules, reports, formats, commands, store, calls):
        texts |= subject.pages()
    return texts


def left_over(texts: dict[str, str]) -> list[str]:
    """The pages of categories that no longer exist."""
    existing = {str(path.relative_to(FOLDER).as_posix()) for path in (FOLDER / "rules").glob("*.md")}
    return sorted(existing - texts.keys())


def main(arguments: Sequence[str]) -> ExitCode:
    """Write the pages, or compare them with ``--check``."""
    texts = pages()
    if "--check" in arguments:
        stale = [name for name, text in texts.items() if not _is_current(FOLDER / name, text)] + left_over(texts)
        if stale:
            raise UsageError("these pages are out of date: " + ", ".join(stale), hint="make docs")
        diagnostics.note(f"{len(texts)} generated pages in docs are up to date")
        return ExitCode.DONE
    for name in left_over(texts):
        (FOLDER / name).unlink()
    for name, text in texts.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")
    diagnostics.note(f"{len(texts)} pages written")
    return ExitCode.DONE


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
