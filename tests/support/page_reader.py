"""Pages and what a browser would see of them, of a small store and of one whose log is written by an enemy."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import duckdb

from erranalytics import api
from erranalytics.output import render
from erranalytics.reports import runner
from support.folders import ROOT
from support.stores import NOW, add_requests, small_store

# What it would do in a page that took it for markup: change the title, ask for a picture, turn text around.
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</style></title></table>{{ 7 * 7 }} &lt;b&gt; \u202e\x1b[31m\x07\x9b \u200f"
)


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, the texts of style and script, and the tables."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.tables: dict[str, list[dict[str, tuple[str, str | None]]]] = {}
        self._open: list[str] = []
        self._heads: list[str] = []
        self._cell: tuple[str, str | None] | None = None
        self._said = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.elements.append((tag, values))
        if tag not in ("meta", "link", "br"):
            self._open.append(tag)
        if "data-report" in values:
            self.tables[values["data-report"]] = []
        elif tag == "table":
            self._heads = []
        elif tag == "th":
            self._heads.append(values["data-column"])
        elif tag == "tbody":
            self._rows.append({})
        elif (tag == "td" and "colspan" not in values) or (tag in ("p", "span") and "data-column" in values):
            name = values.get("data-column") or self._heads[len(self._rows[-1])]
            self._cell, self._said = (name, values.get("data-value")), ""
            self._closing = len(self._open)

    @property
    def _rows(self) -> list[dict[str, tuple[str, str | None]]]:
        return list(self.tables.values())[-1]

    def handle_endtag(self, tag: str) -> None:
        if self._cell and len(self._open) == self._closing:
            name, value = self._cell
            self._rows[-1][name] = (self._said, value)
            self._cell = None
        assert self._open[-1] == tag, (self._open, tag)
        self._open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)
        self._said += data

    @property
    def said(self) -> str:
        """All text of the page."""
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("style", "script") for text in texts)


def drawn(names: list[str], connection: duckdb.DuckDBPyConnection, **params: object) -> str:
    """The page of some reports, as the command line makes it."""
    results = runner.for_page(names, connection=connection, params=params, now=NOW)
    out = io.BytesIO()
    render.write(results, format="html", out=out)
    return out.getvalue().decode()


def page_store() -> duckdb.DuckDBPyConnection:
    """The small store of the reports, with some requests that took their time."""
    connection = small_store()
    for day, seconds in ((1, 2), (1, 40), (3, 3), (12, 900)):
        add_requests(connection, 1, NOW - timedelta(days=day), endpoint="/api/embed", duration_us=seconds * 10**6)
    return connection


def hostile_store(folder: Path) -> duckdb.DuckDBPyConnection:
    """A store whose log, host and models are written by an enemy, and real logs beside it."""
    stamp = "2026-11-20T17:0{}:00.000Z"
    words = json.dumps(HOSTILE, ensure_ascii=False)
    log = [
        f'time={stamp.format(0)} level=INFO source=routes.go:1 msg="Listening on 127.0.0.1:11434 (version 0.24.0)"',
        f"time={stamp.format(1)} level=ERROR source=sched.go:1 msg={words} error={words}",
        f'time={stamp.format(2)} level=INFO source=sched.go:470 msg="Load failed" model={words} error="model requires more system memory (23.0 GiB) than is available (1.0 GiB) {HOSTILE}"',
        f"cudaMalloc failed: out of memory {HOSTILE}",
        f"panic: {HOSTILE}",
        '[GIN] 2026/11/20 - 17:03:00 | 500 |     123.4µs |  127.0.0.1 | POST     "/api/chat"',
    ]
    (folder / "hostile.log").write_text("\n".join(log) + "\n", encoding="utf-8")
    done = api.ingest(
        [folder / "hostile.log", ROOT / "sample_logs" / "server" / "oom-0.24.0.log"],
        db=folder / "enemy <b>.duckdb",
        host="<i>gpu01</i>",
    )
    assert not done.faults
    return api.connect(folder / "enemy <b>.duckdb")
