"""What README.md shows is what erranalytics makes of the sample logs today: its picture, and its lines of output.

``python tests/test_readme.py --update`` takes the picture again (it needs Chromium) and puts in the current lines.
"""

from __future__ import annotations

import io
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from support import picture
from support.folders import ROOT
from support.needs import needs

from erranalytics.output import render
from erranalytics.reports import runner

README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "report.png"
LARGEST_BYTES, MOST_LINES, SHOWN_LINES = 150_000, 130, 12
# The width that `make demo` gives its reports.
COLUMNS = 100
NOW = datetime(2026, 11, 30, tzinfo=UTC)
BLOCK = re.compile(r"^\$ erranalytics report\n(.*?)^…$", re.MULTILINE | re.DOTALL)


def page(connection: duckdb.DuckDBPyConnection) -> str:
    """The HTML page of a store."""
    out = io.BytesIO()
    render.write(runner.for_page(connection=connection, now=NOW), format="html", out=out, now=NOW)
    return out.getvalue().decode()


def overview(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The first lines of the overview of a store."""
    out = io.BytesIO()
    render.write(runner.answer(connection=connection, now=NOW), format="table", out=out, width=COLUMNS, now=NOW)
    return [line.rstrip() for line in out.getvalue().decode().splitlines()[:SHOWN_LINES]]


def test_the_readme_is_short() -> None:
    """What a newcomer does not need on the first day has a page of its own."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_lines_of_output_are_real(real: duckdb.DuckDBPyConnection) -> None:
    """The README begins with the first lines of the overview of the sample logs, and leaves none out."""
    (shown,) = BLOCK.findall(README.read_text(encoding="utf-8"))
    assert shown.splitlines() == overview(real), "run: python tests/test_readme.py --update"


def test_the_picture_is_small_and_shown() -> None:
    """A clone stays light, and the README shows the file that the next tests check."""
    data = PICTURE.read_bytes()
    assert len(data) <= LARGEST_BYTES
    assert picture.size(data) == (picture.WIDTH, picture.HEIGHT)
    assert f"({PICTURE.relative_to(ROOT).as_posix()})" in README.read_text(encoding="utf-8").split("\n## ")[0]


def test_the_picture_shows_the_page_of_the_sample_logs(real: duckdb.DuckDBPyConnection) -> None:
    """Every word and number in it begins the page that is made now, in this order."""
    shown, made = picture.words(PICTURE.read_bytes()), picture.texts(page(real))
    assert len(shown) > 40
    assert shown == made[: len(shown)], "run: python tests/test_readme.py --update"


def test_a_new_picture_would_show_the_same(real: duckdb.DuckDBPyConnection) -> None:
    """In a browser the page has the words of the picture where the picture has them."""
    needs("chromium")
    now, then = picture.words(picture.take(page(real))), picture.words(PICTURE.read_bytes())
    # The fonts of another machine may move the last texts out of the picture or into it.
    count = min(len(now), len(then))
    assert count > 40
    assert now[:count] == then[:count]


def update() -> None:
    """Take the picture and the lines again."""
    import tempfile

    from support.stores import DEMO

    import erranalytics as ea

    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "store.duckdb"
        ea.ingest(DEMO, db=db)
        with ea.connect(db) as connection:
            PICTURE.parent.mkdir(exist_ok=True)
            PICTURE.write_bytes(picture.take(page(connection)))
            lines = "".join(f"{line}\n" for line in overview(connection))
    text = README.read_text(encoding="utf-8")
    block = BLOCK.sub(lambda _: f"$ erranalytics report\n{lines}…", text)
    README.write_text(block, encoding="utf-8", newline="\n")


if __name__ == "__main__" and "--update" in sys.argv:
    update()
