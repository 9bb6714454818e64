"""The HTML page in a browser: nothing happens by itself, it fits every width, and its tables can be sorted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from support import browser
from support.needs import needs
from support.page_reader import HOSTILE, Reader, drawn, page_store
from support.stores import NOW

from erranalytics.output.html import page
from erranalytics.reports.catalogue import Column
from erranalytics.reports.runner import Result


@pytest.fixture(scope="module")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """The small store of the reports, with some requests that took their time."""
    connection = page_store()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def whole(store: duckdb.DuckDBPyConnection) -> str:
    """The page of the small store, with all its charts and tables."""
    return drawn([], store)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    """A headless Chromium."""
    needs("chromium")
    with browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_browser_would_tell(tab: browser.Page, tmp_path: Path) -> None:
    """The means of the next tests: a page that loads, fails and runs a script of its own is found out."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'; img-src file:\"><title>good</title>"
        f"<img src=nothing.png>{HOSTILE}<script src=other.js></script><script>nobody()</script>",
        encoding="utf-8",
    )
    tab.open(bad)
    assert tab.value("document.title") == "owned"
    assert any("nothing.png" in url for url in tab.requests())
    assert any("nobody" in fault for fault in tab.faults())
    assert any("Content Security Policy" in fault for fault in tab.faults())


def test_nothing_happens_in_a_browser(tab: browser.Page, pages: list[str], tmp_path: Path) -> None:
    """No word on the console, no request, and what a log says is not carried out."""
    path = tmp_path / "page.html"
    for text in pages:
        path.write_text(text, encoding="utf-8")
        tab.open(path)
        assert tab.value("document.title") != "owned"
        assert tab.value("document.querySelectorAll('img, script[src], link:not([rel=icon]), iframe').length") == 0
        assert tab.value("document.body.textContent.includes('<script>document.title')")
        assert (tab.faults(), tab.requests()) == ([], [])


def test_page_fits_every_width(tab: browser.Page, whole: str, tmp_path: Path) -> None:
    """On a telephone, a desk and a wall, light and dark and on paper: the page itself never scrolls sideways."""
    path = tmp_path / "page.html"
    path.write_text(whole, encoding="utf-8")
    grounds = set()
    for width in (320, 400, 1000, 1600):
        for scheme in ("light", "dark"):
            tab.show(width=width, scheme=scheme)
            tab.open(path)
            assert tab.value("document.documentElement.scrollWidth") <= width, (width, scheme)
            # Text inside charts is as large as text around them, however narrow the page.
            assert tab.value("Math.min(...Array.from(document.querySelectorAll('svg text'), t => t.getBoundingClientRect().height))") >= 12  # fmt: skip
            grounds.add((scheme, tab.value("getComputedStyle(document.body).backgroundColor")))
    assert len(grounds) == 2
    tab.show(width=1000, scheme="dark", medium="print")
    tab.open(path)
    assert tab.value("getComputedStyle(document.body).color") == "rgb(27, 32, 38)"
    assert tab.faults() == []


def test_tables_sort_by_click_and_by_key(tab: browser.Page, store: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Numbers as numbers, the largest first; again, the other way; what has no value stays last; texts by alphabet."""
    path = tmp_path / "page.html"
    path.write_text(drawn(["error-frequency", "oom-incidents"], store), encoding="utf-8")
    tab.show(width=1000)
    tab.open(path)
    place = "document.querySelector('#{} th[data-column={}]')"

    def column(report: str, at: int) -> list[str]:
        rows = f"document.querySelectorAll('#{report} tbody')"
        return tab.value(f"Array.from({rows}, body => body.rows[0].cells[{at}].textContent)")

    def click(report: str, name: str) -> str:
        head = place.format(report, name)
        tab.value(f"{head}.querySelector('button').click()")
        return tab.value(f"{head}.getAttribute('aria-sort')")

    errors = sorted((row["error_count"][0] for row in Reader(path.read_text()).tables["error-frequency"]), key=int)
    assert click("error-frequency", "error_count") == "descending"
    assert column("error-frequency", 2) == errors[::-1]
    assert click("error-frequency", "error_count") == "ascending"
    assert column("error-frequency", 2) == errors
    assert click("error-frequency", "code") == "ascending"
    assert column("error-frequency", 0) == sorted(column("error-frequency", 0))
    assert tab.value("document.querySelectorAll('#error-frequency [aria-sort]').length") == 1
    # Rows that hang below go with their row.
    assert (
        tab.value("document.querySelector('#error-frequency tbody .title').textContent")
        == "CUDA could not reserve a buffer while loading."
    )
    for direction in ("descending", "ascending"):
        assert click("oom-incidents", "missing_bytes") == direction
        shown = column("oom-incidents", 5)
        assert shown[-1] == "–"
        assert "–" not in shown[: len(shown) - shown.count("–")]
    tab.value(f"{place.format('oom-incidents', 'first_ts')}.querySelector('button').focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        tab.ask(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            windowsVirtualKeyCode=13,
            text="\r" * (kind == "char"),
        )
    assert tab.value(f"{place.format('oom-incidents', 'first_ts')}.getAttribute('aria-sort')") == "descending"
    assert column("oom-incidents", 0) == sorted(column("oom-incidents", 0), reverse=True)
    assert tab.faults() == []


def test_every_column_can_be_sorted(tab: browser.Page, tmp_path: Path) -> None:
    """Times of several zones, lists, NaN and NULL: no value stops the script."""
    rows = {
        "moment": [NOW, None, datetime(2025, 1, 1, tzinfo=UTC)],
        "words": [["b"], None, ["a", "c"]],
        "share": [0.5, float("nan"), None],
        "text": ["10", "9", None],
    }
    kinds = {"moment": "timestamptz", "words": "varchar[]", "share": "double", "text": "varchar"}
    columns = tuple(Column(name=name, type=kind) for name, kind in kinds.items())
    path = tmp_path / "page.html"
    path.write_text(page.write([Result("odd", "Odd", columns, pl.DataFrame(rows))]), encoding="utf-8")
    tab.open(path)
    for at, name in enumerate(kinds):
        for _ in range(2):
            tab.value(f"document.querySelector('th[data-column={name}] button').click()")
        column = tab.value(
            f"Array.from(document.querySelectorAll('tbody'), body => body.rows[0].cells[{at}].textContent)"
        )
        assert column[-1] in ("–", "nan"), name
    assert column[:2] == ["10", "9"]
    assert tab.faults() == []
