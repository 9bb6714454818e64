"""Every client against every way an answer goes wrong on the wire, with and without the recorder.

``python tests/client/test_matrix.py --update`` runs the clients that are installed and writes what it saw into
``support/wire/matrix.json`` and ``docs/client-matrix.md``; clients that are not installed keep what they had.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[1:3]]

from support.folders import ROOT, TESTS
from support.wire import programs
from support.wire.programs import MESSAGES, PROGRAMS, Program, Seen, Task
from support.wire.server import BEHAVIOURS, GAP_S, SLOW_S, WireServer

from erranalytics.calls.record import CallRecord
from erranalytics.client import Recorder, record, wrap

pytestmark = pytest.mark.slow

DATA = TESTS / "support" / "wire" / "matrix.json"
PAGE = ROOT / "docs" / "client-matrix.md"
# Nothing listens on this port.
NOWHERE = "http://127.0.0.1:9"

ROWS = {
    **BEHAVIOURS,
    "leaves": "the program leaves after two values",
    "refused": "nothing listens there",
}
# What happened on the wire: while streaming, and in one piece.
TRUTH = {
    "fine": ("completed", "completed"),
    "slow-first": ("completed", "completed"),
    "gap": ("completed", "completed"),
    "not-found": ("failed_before_first_byte", "failed"),
    "crash": ("failed_before_first_byte", "failed"),
    "limited": ("failed_before_first_byte", "failed"),
    "page-502": ("failed_before_first_byte", "failed"),
    "error-first": ("failed_mid_stream", "failed"),
    "error-inside": ("failed_mid_stream", "failed"),
    "cut": ("truncated", "failed"),
    # In one piece only the native routes have a mark that can be missing.
    "ends-early": ("truncated", "failed"),
    "garbage": ("not_observable", "not_observable"),
    "page-200": ("failed_before_first_byte", "failed"),
    "drops": ("failed_before_first_byte", "failed"),
    "hangs": ("failed_before_first_byte", "failed"),
    "hangs-between": ("cancelled_by_client", "failed"),
    "busy": ("failed_before_first_byte", "failed"),
    "leaves": ("cancelled_by_client", None),
    "refused": ("failed_before_first_byte", "failed"),
}
STATUS = {"not-found": 404, "crash": 500, "limited": 429, "page-502": 502, "busy": 503}
NO_ANSWER = {"drops", "hangs", "refused"}

# Programs that raise for a status without reading the body; then the recorder may not read it either.
NEVER_READ = {"requests", "aiohttp"}


class Cell:
    """One client, one route, one behaviour, one mode: what was seen without and with the recorder, and its records."""

    def __init__(self, program: Program, route: str, row: str, *, stream: bool) -> None:
        self.program, self.route, self.row, self.stream = program, route, row, stream
        self.bare, self.watched = Seen(), Seen()
        self.records: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        """As it is shown when it fails."""
        return f"{self.program.name} {self.route} {self.row} {'stream' if self.stream else 'whole'}"

    @property
    def truth(self) -> str:
        """The outcome by what the server did."""
        on_the_wire = self.stream or self.program.always_streams
        if self.row == "ends-early" and not on_the_wire and self.route.startswith("/v1/"):
            return "completed"
        return str(TRUTH[self.row][0 if on_the_wire else 1])

    def run(self, server: WireServer, folder: Path) -> Cell:
        """Run the program twice, and read what the recorder wrote."""
        path = folder / f"{abs(hash(self.name))}.jsonl"
        asked = {
            "url": NOWHERE if self.row == "refused" else server.url,
            "route": self.route,
            "model": "fine" if self.row in {"leaves", "refused"} else self.row,
            "stream": self.stream,
            "leaves_after": 2 if self.row == "leaves" else None,
        }
        self.bare = self.program.see(Task(**asked))
        if self.program.is_wrapped:
            recorder = Recorder(path)
            self.watched = self.program.see(Task(**asked, wrap=lambda client: wrap(client, recorder)))
            recorder.close()
        else:
            with record(path) as recorder:
                self.watched = self.program.see(Task(**asked))
                # litellm keeps an answer that is no longer read, so its call ends with the program.
                recorder.abandon()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        # litellm also asks the server on this machine for facts about the model.
        self.records = [one for one in found if one["endpoint"] == self.route]
        return self


def cells_of(program: Program) -> list[tuple[str, str, bool]]:
    """Route, row and mode of all cells of a client."""
    return [
        (route, row, stream)
        for route in program.routes
        for row in ROWS
        for stream in (True, False)
        if TRUTH[row][0 if stream else 1] is not None
    ]


@contextlib.contextmanager
def quick_and_quiet() -> Iterator[None]:
    """Certificates are not loaded, which is most of what a client costs; litellm asks no server and logs nothing."""
    before, variables = ssl.SSLContext.load_verify_locations, dict(os.environ)
    ssl.SSLContext.load_verify_locations = lambda *_, **__: None
    os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", OLLAMA_API_BASE=NOWHERE, NO_PROXY="127.0.0.1")
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        ssl.SSLContext.load_verify_locations = before
        logging.disable(logging.NOTSET)
        os.environ.clear()
        os.environ.update(variables)


def run(program: Program, folder: Path) -> list[Cell]:
    """All cells of a client, several at a time: most of them wait."""
    with quick_and_quiet(), WireServer() as server, ThreadPoolExecutor(6 if program.is_wrapped else 1) as pool:
        made = [Cell(program, route, row, stream=stream) for route, row, stream in cells_of(program)]
        return list(pool.map(lambda cell: cell.run(server, folder), made))


INSTALLED = [program for program in PROGRAMS if program.is_installed]
_RAN: dict[str, list[Cell]] = {}


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def cells(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    """All cells of a client; a client that is not installed is skipped by its name."""
    program: Program = request.param
    if not program.is_installed:
        pytest.skip(f"{program.package} is not installed: {len(cells_of(program))} cells of {program.name}")
    if program.name not in _RAN:
        _RAN[program.name] = run(program, tmp_path_factory.mktemp("calls"))
    return _RAN[program.name]


# --- the program ---------------------------------------------------------------------------------------------------


def test_a_program_sees_what_it_saw_without_the_recorder(cells: list[Cell]) -> None:
    """The same values in the same order, and the same chain of exceptions with the same texts and statuses."""
    assert {cell.name: cell.watched for cell in cells} == {cell.name: cell.bare for cell in cells}


# --- the record ----------------------------------------------------------------------------------------------------


def test_the_outcome_is_right_in_every_cell(cells: list[Cell]) -> None:
    """One record for each call, and it says what happened on the wire."""
    assert {cell.name: [one["outcome"] for one in cell.records] for cell in cells} == {
        cell.name: [cell.truth] for cell in cells
    }


def test_every_record_is_a_call_record(cells: list[Cell]) -> None:
    """The plain dicts of the recorder fit the model that describes them, and no field of them ends in ``attrs``."""
    for cell in cells:
        for one in cell.records:
            made = CallRecord.model_validate(one)
            assert set(made.attrs) <= {"library", "longest_gap_ms", "finish_reason", "ended_by"}, cell.name
            assert list(one) == ["schema", *list(CallRecord.model_fields)[1:]]


def test_what_a_record_says_of_the_call(cells: list[Cell]) -> None:
    """Route, host, method, model, mode, status and their sources are those of the call."""
    for cell in cells:
        for one in cell.records:
            asked = "fine" if cell.row in {"leaves", "refused"} else cell.row
            assert (one["endpoint"], one["method"], one["model"]) == (cell.route, "POST", asked), cell.name
            assert one["stream"] is (cell.stream or cell.program.always_streams), cell.name
            assert one["url_host"].startswith("127.0.0.1:")
            status = None if cell.row in NO_ANSWER else STATUS.get(cell.row, 200)
            assert (one["http_status"], one["status_source"]) == (status, "wire" if status else "none"), cell.name
            assert one["attempt"] == 1
            assert one["record_id"]


def test_chunks_marks_and_pauses(cells: list[Cell]) -> None:
    """Chunks are counted by lines and events, the mark of the end is seen, pauses are at least as long as they were."""
    for cell in cells:
        if not (cell.stream or cell.program.always_streams) or not cell.records:
            continue
        one = cell.records[0]
        whole = 9 if cell.route == MESSAGES else 5
        counts = {"fine": whole, "gap": whole, "slow-first": whole, "error-inside": 4, "cut": 3, "ends-early": 3}
        counts |= {"hangs-between": 3, "error-first": 1}
        if cell.row in counts:
            assert one["chunk_count"] == counts[cell.row], cell.name
            assert one["done_seen"] is (counts[cell.row] == whole), cell.name
            assert 0 < one["first_chunk_ms"] <= one["duration_ms"], cell.name
        if cell.row == "gap":
            # Only the wait counts: the time that a busy program takes before it asks is not a gap of the server.
            assert one["attrs"]["longest_gap_ms"] >= GAP_S * 300, cell.name
        if cell.row == "slow-first":
            assert one["first_chunk_ms"] >= SLOW_S * 900, cell.name
        if cell.row == "hangs-between":
            assert one["last_chunk_gap_ms"] >= programs.SHORT_S * 900, cell.name


def test_errors_are_recorded(cells: list[Cell]) -> None:
    """The text of the server where there is one, the exception of the client where there is none."""
    for cell in cells:
        one = cell.records[0]
        if cell.row in {"crash", "page-502"} and cell.program.name in NEVER_READ and one["error_body"] is None:
            assert one["error_message"] is None, cell.name
        elif cell.row in {"crash", "error-inside", "error-first"}:
            assert "signal: killed" in one["error_message"], cell.name
        elif cell.row in {"drops", "hangs", "hangs-between", "refused", "cut"}:
            assert one["error_type"].split(".")[0] in {"httpx", "httpx2", "requests", "urllib3", "aiohttp"}, cell.name
        elif cell.row in {"page-502", "page-200"}:
            assert "nginx" in one["error_body"], cell.name
        elif cell.row in {"fine", "gap", "slow-first", "leaves", "garbage"}:
            assert (one["error_type"], one["error_message"], one["error_body"]) == (None, None, None), cell.name


def test_limits_are_recorded(cells: list[Cell]) -> None:
    """The record of a 429 has the wait, the limits and the maintenance that its headers announce."""
    for cell in cells:
        if cell.row == "limited":
            one = cell.records[0]
            assert one["retry_after_s"] == 7.0
            assert (one["ratelimit_limit"], one["ratelimit_remaining"], one["ratelimit_reset"]) == (
                100,
                0,
                "1795662000",
            )
            assert one["upstream_request_id"] == "req-4711"
            assert one["maintenance_until"] == "2026-11-26T06:00:00.000000Z"


def test_neither_prompts_nor_answers_nor_keys_are_written(cells: list[Cell]) -> None:
    """No record contains a prompt, an answer or a key."""
    text = json.dumps([cell.records for cell in cells])
    for secret in (programs.PROMPT, programs.KEY, "Once ", "a time", "Service ready"):
        assert secret not in text


# --- the page ------------------------------------------------------------------------------------------------------


def exceptions(cells: list[Cell]) -> dict[str, dict[str, str]]:
    """By mode and row, the name of the exception that reached the program; several names where routes differ."""
    found: dict[str, dict[str, str]] = {"stream": {}, "whole": {}}
    for mode, by_row in found.items():
        for row in ROWS:
            names = [
                cell.watched.exception_name for cell in cells if cell.row == row and cell.stream is (mode == "stream")
            ]
            if names:
                by_row[row] = " / ".join(dict.fromkeys(name.rpartition(".")[2] for name in names))
    return found


def _columns(exceptions_by_name: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """One column for both forms of a client where they show the same."""
    columns: dict[str, dict[str, str]] = {}
    for name, rows in exceptions_by_name.items():
        sync = name.removesuffix(", async")
        if name != sync and columns.get(sync) == rows:
            columns = {(f"{sync} and async" if key == sync else key): value for key, value in columns.items()}
        else:
            columns[name] = rows
    return columns


def page(data: dict[str, Any]) -> str:
    """The matrix as a page."""
    lines = [
        "# What clients see, and what the recorder says",
        "<!-- Generated by `python tests/client/test_matrix.py --update`. -->",
        "A server on loopback gives every wrong answer there is. Each client is run against it with and without the recorder.",
        "A cell names the exception that reached the program, or `—` where there was none. With the recorder the program gets",
        "the same exception with the same text. The outcome is what the recorder wrote, and it is the same for every client.",
        "",
        "Run with " + ", ".join(f"{name} {version}" for name, version in sorted(data["versions"].items())) + ".",
    ]
    for mode, title in (("stream", "Answers in pieces"), ("whole", "Answers in one piece")):
        columns = _columns({name: seen[mode] for name, seen in data["exceptions"].items()})
        lines += ["", f"## {title}", ""]
        lines += [
            "| what the server does | outcome | " + " | ".join(columns) + " |",
            "| --- " * (len(columns) + 2) + "|",
        ]
        for row, meaning in ROWS.items():
            truth = TRUTH[row][0 if mode == "stream" else 1]
            if truth is not None:
                seen = [column.get(row, "") for column in columns.values()]
                lines.append(f"| {meaning} | `{truth}` | " + " | ".join(seen) + " |")
    lines += [
        "",
        "In one piece, an answer of the OpenAI and Anthropic routes has no mark that could be missing: one that is cut",
        "short by the model but well formed is `completed`. langchain-ollama streams on the wire in both modes: its",
        "outcomes are those of the first table.",
    ]
    return "\n".join(lines) + "\n"


def test_the_page_is_what_was_seen() -> None:
    """docs/client-matrix.md is made of support/wire/matrix.json."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(data)


def test_the_page_shows_what_is_seen_now(cells: list[Cell]) -> None:
    """With the versions of the page, every client behaves as the page says."""
    data, program = json.loads(DATA.read_text(encoding="utf-8")), cells[0].program
    if data["versions"].get(program.package) != program.version:
        pytest.skip(f"the page was made with {program.package} {data['versions'].get(program.package)}")
    assert exceptions(cells) == data["exceptions"][program.name]


def update() -> None:
    """Run the installed clients, and write the page."""
    data = json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else {"versions": {}, "exceptions": {}}
    for program in INSTALLED:
        with tempfile.TemporaryDirectory() as folder:
            made = run(program, Path(folder))
        wrong = [cell.name for cell in made if [one["outcome"] for one in cell.records] != [cell.truth]]
        wrong += [f"{cell.name}: differs" for cell in made if cell.watched != cell.bare]
        print(f"{program.name} {program.version}: {len(made)} cells, {len(wrong)} wrong", *wrong, sep="\n  ")  # noqa: T201
        data["versions"][program.package] = program.version
        data["exceptions"][program.name] = exceptions(made)
    data["exceptions"] = {one.name: data["exceptions"][one.name] for one in PROGRAMS if one.name in data["exceptions"]}
    DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit("python tests/client/test_matrix.py --update")
    update()
