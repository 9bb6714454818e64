"""Documentation is output: generated pages are current, and every command shown is run.

In a ``console`` block a line after ``$`` is a command; the lines below it must stand in its output, in this order.
``…`` stands for any text within a line, and on a line of its own for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from erranalytics import docs

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md")
# These install or run the tests themselves: make only says what it would do.
DRY_RUN = {"make test": "make -n test", "make check": "make -n check"}
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(#[^)]*)?\)")


def blocks(page: str) -> list[str]:
    """The console blocks of a page."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def calls(block: str) -> list[tuple[str, list[str]]]:
    """Commands of a block, each with the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def difference(shown: list[str], output: str) -> str:
    """What is shown but was not printed; nothing when all agrees."""
    printed = [line.rstrip() for line in output.splitlines()]
    at, may_skip = 0, True
    for line in shown:
        if line.strip() == "…":
            may_skip = True
            continue
        pattern = re.compile(".*".join(map(re.escape, line.rstrip().split("…"))))
        ahead = printed[at:] if may_skip else printed[at : at + 1]
        place = next((n for n, candidate in enumerate(ahead) if pattern.fullmatch(candidate)), None)
        if place is None:
            return f"shown but not printed: {line!r}"
        at, may_skip = at + place + 1, False
    return ""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A copy of the checkout with a ready ``.venv``, a ``journalctl`` and a store of its own; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("Makefile", "pyproject.toml", "README.md", "erranalytics", "queries", "sample_logs", "docs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    commands = folder / ".venv" / "bin"
    commands.mkdir(parents=True)
    scripts = {
        "python": f'exec "{sys.executable}" "$@"',
        "erranalytics": f'exec "{sys.executable}" -m erranalytics "$@"',
        "journalctl": f"gzip -dc '{folder}/sample_logs/forms/journal.json.gz'",
    }
    for name, text in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (commands / name).chmod(0o755)
    for stamp in (".installed", ".installed-dev"):
        (folder / ".venv" / stamp).touch()
    own = {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(folder), "TZ": "UTC", "PWD": str(folder)}
    return {**os.environ, **own, "ERRANALYTICS_DB": str(folder / "own.duckdb"), "NO_COLOR": "1", "COLUMNS": "80"}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(page: str, desk: dict[str, str]) -> None:
    """A reader who types them sees what the page shows."""
    assert blocks(page)
    for block in blocks(page):
        for command, shown in calls(block):
            # In braces, so that what any part of it says is seen.
            line = ["bash", "-o", "pipefail", "-c", f"{{ {DRY_RUN.get(command, command)}\n}} 2>&1"]
            run = subprocess.run(line, cwd=desk["PWD"], env=desk, capture_output=True, text=True, check=False)
            assert run.returncode == 0, f"$ {command}\n{run.stdout}{run.stderr}"
            assert difference(shown, run.stdout) == "", f"$ {command}\n{run.stdout}"


def test_the_python_of_the_readme_works(desk: dict[str, str]) -> None:
    """What a notebook would hold runs as it stands."""
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=desk["PWD"],
        env=desk,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", docs.pages())
def test_a_generated_page_is_current(name: str) -> None:
    """``make docs`` would change nothing."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == docs.pages()[name], "run: make docs"


def test_pages_name_every_rule_report_format_and_command() -> None:
    """A generated page leaves nothing out."""
    made = docs.pages()
    assert made["reports.md"].count("\n## ") == len(list((ROOT / "queries").glob("*.sql")))
    order = (ROOT / "erranalytics" / "parsing" / "formats" / "order.txt").read_text("utf-8").split()
    assert made["formats.md"].count("\n### ") == len(order)
    rules = list((ROOT / "erranalytics" / "classification" / "rules").glob("*/*.toml"))
    assert made["rules.md"].count("\n- Rule ") == len(rules)
    assert "erranalytics rules check" in made["cli.md"]


@pytest.mark.parametrize(
    "page", [*PAGES, "CHANGELOG.md", "docs/ARCHITECTURE.md", *(f"docs/{name}" for name in docs.pages())]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    """No link to a file that is not there, no anchor without its heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    prose = re.sub(r"(?ms)^(~~~|```).*?^\1", "", text)
    for target, anchor in LINK.findall(re.sub(r"(`+)[^\n]*?\1", "", prose)):
        if "://" not in target:
            file = (ROOT / page).parent / target
            assert file.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor[1:] in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}
