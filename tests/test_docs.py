"""Documentation is output: generated pages are current, links lead somewhere, and every command shown is run.

In a ``console`` block a line after ``$`` is a command, and the lines below it must be in its output, in this order.
``…`` stands for any text within a line, and on a line of its own for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from support.folders import ROOT
from support.wire.server import WireServer

from erranalytics import redaction
from erranalytics.reports import catalogue
from scripts.reference import generate

# Pages whose commands are run, each with a store of its own.
PAGES = ("README.md", "CONTRIBUTING.md", "docs/gates.md", "docs/notebooks.md", "docs/recorder.md", "docs/sql.md")
WRITTEN = (*PAGES, "CHANGELOG.md", "SECURITY.md", "docs/ARCHITECTURE.md", "docs/definitions.md")
# These install or run the tests themselves: it is checked instead that what they name is there.
DRY_RUN = {
    "make test": "make -n test",
    "make check": "make -n check",
    "pip install -e '.[notebook]'": "grep -q '^notebook = ' pyproject.toml",
}
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#]*)(#[^)]*)?\)")


def read(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


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
    """A copy of the checkout with a ready ``.venv`` and a ``journalctl``; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("Makefile", "pyproject.toml", "README.md", "erranalytics", "queries", "sample_logs", "docs", "tests"):
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
    return {**os.environ, **own, "NO_COLOR": "1", "COLUMNS": "100"}


def with_store(desk: dict[str, str], page: str) -> dict[str, str]:
    """The environment in which the commands of a page run: it has a store that no other page uses."""
    return desk | {"ERRANALYTICS_DB": str(Path(desk["PWD"], page.replace("/", "-") + ".duckdb"))}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(read(page))])
def test_the_commands_of_a_page_work(page: str, desk: dict[str, str]) -> None:
    """A reader who types them sees what the page shows."""
    environment = with_store(desk, page)
    for block in BLOCK.findall(read(page)):
        for typed, shown in calls(block):
            command = DRY_RUN.get(typed, typed) + " --collect-only -q" * ("-m pytest" in typed)
            # In braces, so that the output of every part of it is seen.
            line = ["bash", "-o", "pipefail", "-c", f"{{ {command}\n}} 2>&1"]
            run = subprocess.run(line, cwd=desk["PWD"], env=environment, capture_output=True, text=True, check=False)
            assert run.returncode == 0, f"$ {command}\n{run.stdout}{run.stderr}"
            assert difference(shown, run.stdout) == "", f"$ {command}\n{run.stdout}"


@pytest.mark.parametrize("page", WRITTEN)
def test_the_targets_of_make_exist(page: str) -> None:
    """A page names no target that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", read(page))) <= targets


@pytest.mark.parametrize("page", [page for page in PAGES if PYTHON.search(read(page))])
def test_the_python_of_a_page_works(page: str, desk: dict[str, str]) -> None:
    """Every block of Python runs as it stands, with a small server in the place of Ollama."""
    for code in PYTHON.findall(read(page)):
        if "import ollama" in code:
            pytest.importorskip("ollama", reason="ollama is not installed")
        with WireServer() as server:
            # The model of that server that answers as it should.
            run = subprocess.run(
                [sys.executable, "-W", "error", "-c", code.replace("llama3.2:3b", "fine")],
                cwd=desk["PWD"],
                env=with_store(desk, page) | {"OLLAMA_HOST": server.url},
                capture_output=True,
                text=True,
                check=False,
            )
        assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", generate.pages())
def test_a_generated_page_is_current(name: str) -> None:
    """``make docs`` would change nothing."""
    assert read(f"docs/{name}") == generate.pages()[name], "run: make docs"


def test_no_page_is_left_over() -> None:
    """A category that no longer exists has no page."""
    assert generate.left_over(generate.pages()) == []


def test_pages_name_every_rule_report_format_and_command() -> None:
    """A generated page leaves nothing out."""
    made = generate.pages()
    assert made["reports.md"].count("\n## ") == len(list((ROOT / "queries").glob("*.sql")))
    order = next((ROOT / "erranalytics").rglob("formats/order.txt")).read_text("utf-8").split()
    assert made["formats.md"].count("\n### ") == len(order)
    rules = list((ROOT / "erranalytics").rglob("rules/*/*.toml"))
    assert sum(text.count("\n- Rule ") for name, text in made.items() if name.startswith("rules/")) == len(rules)
    assert "erranalytics rules check" in made["cli.md"]


def test_the_page_of_the_store_explains_every_column() -> None:
    """A column of a table has a comment, and a column of a view has one or names where it comes from."""
    page = generate.pages()["store.md"]
    tables, views = page.split("\n## Views\n")
    assert "|  |" not in tables
    assert views.count("|  |") <= 5, "columns of views that are computed and say nothing"


def test_definitions_name_what_each_report_cannot_see() -> None:
    """The table at the end of the page is that of the reports' headers, and each kind has its section."""
    text = read("docs/definitions.md")
    rows = re.findall(r"^\| \[([a-z-]+)\]\(reports\.md#[a-z-]+\) \| (.*) \|$", text, re.MULTILINE)
    shown = {name: tuple(re.findall("`([a-z_]+)`", topics)) for name, topics in rows}
    headers = {name: one.header.coverage for name, one in catalogue.catalogue().items()}
    assert shown == {name: topics for name, topics in headers.items() if topics}
    topics = re.findall(r"\bselect\s+'([a-z_]+)'", read("erranalytics/store/views/404_report_coverage.sql"))
    assert set(re.findall(r"^### ([a-z_]+)$", text, re.MULTILINE)) == {*topics}


@pytest.mark.parametrize("page", [*WRITTEN, *(f"docs/{name}" for name in generate.pages())])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    """No link to a file that is not there, no anchor without its heading."""
    prose = re.sub(r"(?ms)^(~~~|```).*?^\1", "", read(page))
    for target, anchor in LINK.findall(re.sub(r"(`+)[^\n]*?\1", "", prose)):
        if "://" not in target:
            file = (ROOT / page).parent / target if target else ROOT / page
            assert file.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor[1:] in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}


def test_security_names_every_attribute_that_is_masked() -> None:
    """What SECURITY.md says is never stored is what the code takes out, one by one."""
    (sentence,) = re.findall(
        r"In debug and trace lines the attributes (.*?) are replaced", read("SECURITY.md"), re.DOTALL
    )
    assert re.findall("`([a-z_]+)`", sentence) == list(redaction.PROMPT_KEYS)
    attrs = pl.Series([f' {key}="my secret plan"' for key in redaction.PROMPT_KEYS])
    assert not redaction.mask_prompts(attrs).str.contains("secret").any()
