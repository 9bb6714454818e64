"""The notebooks of ``docs/notebooks`` run as they stand, and show what they would show today.

``make notebook`` runs them anew and stores what they show; the diff is then to be read.
"""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[1:3]]

from support.folders import ROOT

import erranalytics as ea
from erranalytics.errors import StoreError

pytestmark = pytest.mark.slow

FOLDER = ROOT / "docs" / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
NEEDED = "needs the extra notebook: pip install -e '.[notebook]'"
LARGEST_BYTES = 120_000
# The meaning of each mark of a chart in words, for people who cannot see it.
MARK = re.compile(r'aria-label="([^"]*: [^"]*)"')
# Parts of the output that no reader needs, or that differ between machines.
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(name: str) -> Any:
    """A notebook; the test is skipped by name without the library."""
    nbformat = pytest.importorskip("nbformat", reason=NEEDED)
    return nbformat.read(FOLDER / name, as_version=4)


def run(name: str) -> Any:
    """A notebook as a fresh kernel of this Python leaves it, started where Jupyter would start it."""
    nbclient, *_ = [
        pytest.importorskip(library, reason=NEEDED) for library in ("nbclient", "ipykernel", "altair", "vl_convert")
    ]
    notebook = read(name)
    resources = {"metadata": {"path": str(FOLDER)}}
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources=resources, record_timing=False
    ).execute()
    return notebook


def code(notebook: Any) -> list[Any]:
    """Its cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> list[Any]:
    """What a reader of plain text sees below a cell, and of a chart its data."""
    found: list[Any] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            found.append((output.name, output.text))
            continue
        chart = output.data.get("image/svg+xml")
        found.append(sorted(MARK.findall(chart)) if chart else output.data["text/plain"])
    return found


def tidy(notebook: Any) -> Any:
    """The notebook without the traces of the machine it ran on."""
    notebook.metadata = KERNEL
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


@pytest.fixture(scope="module")
def fresh() -> dict[str, Any]:
    """Every notebook, run once; a cell that fails is an error with its traceback."""
    return {name: run(name) for name in NAMES}


def test_there_is_a_notebook() -> None:
    """The folder is not empty, so that the tests below test something."""
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_a_notebook_shows_is_what_it_would_show_today(name: str, fresh: dict[str, Any]) -> None:
    """Every cell runs in a new kernel, and gives the same text as in the file, and the same data in a chart."""
    stored = read(name)
    assert [shown(cell) for cell in code(fresh[name])] == [shown(cell) for cell in code(stored)], "run: make notebook"
    assert [cell.execution_count for cell in code(stored)] == list(range(1, len(code(stored)) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_and_of_no_machine(name: str) -> None:
    """It opens without a network, and shows no path of a machine, no time of its run and nothing from standard error."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert len(text) < LARGEST_BYTES
    assert re.findall(r"<script|cdn\.|/(?:home|root|Users|tmp|work|var/folders)/[^\s\"]*|C:\\\\Users", text) == []
    stored = read(name)
    assert stored.metadata == KERNEL
    assert [output for cell in code(stored) for output in cell.outputs if output.get("name") == "stderr"] == []
    assert all(cell.metadata == {} for cell in stored.cells)


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_of_a_notebook_has_its_question(name: str) -> None:
    """A cell of code comes after text, and a heading of the second level is a question."""
    cells = read(name).cells
    assert [later.source for cell, later in pairwise(cells) if {cell.cell_type, later.cell_type} == {"code"}] == []
    headings = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    questions = [line for line in headings if line.startswith("## ")]
    assert len(questions) > 4
    assert [line for line in questions if not line.endswith("?")] == []


def test_a_store_that_is_open_for_reading_is_not_called_broken(tmp_path: Path) -> None:
    """An ingest with an open connection in the same notebook asks to close that, not to remove the file."""
    db = tmp_path / "store.duckdb"
    log = tmp_path / "server.log"
    log.write_text(
        'time=2026-11-21T07:00:00.000Z level=INFO source=routes.go:1 msg="Listening on 127.0.0.1:11434 (version 0.24.0)"\n'
    )
    ea.ingest([log], db=db)
    connection = ea.connect(db)
    with pytest.raises(StoreError) as caught:
        ea.ingest([log], db=db, wait_s=0)
    assert caught.value.message == "is already open in this program with other settings"
    assert (caught.value.hint or "").startswith("Close the other connection first")
    connection.close()
    assert ea.ingest([log], db=db).faults == ()


def update() -> None:
    """Run every notebook again and store its output."""
    import nbformat

    for name in NAMES:
        nbformat.write(tidy(run(name)), FOLDER / name)


if __name__ == "__main__" and "--update" in sys.argv:
    update()
