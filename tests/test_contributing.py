"""CONTRIBUTING.md answers truly: each function it names does what is asked, and its shell session runs as shown."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import polars as pl
import pytest
from support.content import digests
from support.folders import ROOT
from support.wire.server import WireServer

import erranalytics as ea

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ANSWERS = dict(re.findall(r"^\| (Where [^|]*\?) \| `(\S+\.py:\S+)` \|$", TEXT, re.MULTILINE))
PACKAGES = [
    name
    for names in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| [a-z]", TEXT.split("## Run one test")[0], re.MULTILINE)
    for name in re.findall(r"\w+", names)
]
LOG = ROOT / "sample_logs" / "server" / "oom-0.24.0.log"
# Ends like a process that is killed, where sessions and incidents are derived: rows are written, nothing is committed.
KILLED = """
import os, sys
import erranalytics as ea
sys.setprofile(lambda frame, event, _: os._exit(9) if event == "call" and frame.f_code.co_name == "derive" else None)
ea.ingest([sys.argv[1]], db=sys.argv[2])
"""
Call = tuple[dict[str, Any], Any]


def code_of(answer: str) -> CodeType:
    """The code of the function that an answer names as ``path:function``."""
    path, _, name = answer.partition(":")
    assert (ROOT / path).is_file(), path
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    function = reduce(getattr, name.split("."), module)
    assert module.__file__ == str(ROOT / path)
    return function.__code__  # type: ignore[attr-defined,no-any-return]


@contextmanager
def seen(code: CodeType) -> Iterator[list[Call]]:
    """The calls of one function, in any thread: its variables and what it gave back."""
    found: list[Call] = []

    def profile(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and frame.f_code is code:
            found.append((dict(frame.f_locals), value))

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


# --- the six questions ----------------------------------------------------------------------------------------------


def docker_prefix(code: CodeType, folder: Path) -> bool:
    """The function is given a line with the prefix of compose, and its result holds the line without it."""
    with seen(code) as calls:
        ea.classify('ollama-1  | [GIN] 2026/11/21 - 01:57:05 | 503 | 1.5s | 10.0.0.7 | POST "/api/chat"')
    return any(frames(given, "ollama-1  | [GIN]") and frames(vars_of(result), '"[GIN] 2026') for given, result in calls)


def gin_columns(code: CodeType, folder: Path) -> bool:
    """The result has the fields of the line as typed columns."""
    with seen(code) as calls:
        ea.classify('[GIN] 2026/11/21 - 01:57:05 | 503 | 1.5s | 10.0.0.7 | POST "/api/chat"')
    wanted = ("status", "duration_us", "method", "path")
    return any(result.select(wanted).rows() == [(503, 1_500_000, "POST", "/api/chat")] for _, result in calls)


def remedy_numbers(code: CodeType, folder: Path) -> bool:
    """A rule's sentence with names of facts comes out with the numbers of the text."""
    text = "cudaMalloc failed: out of memory: allocating 8500.00 MiB on device 0: cudaMalloc failed: out of memory"
    with seen(code) as calls:
        ea.ingest([LOG], db=folder / "store.duckdb")
        ea.explain(text)
    found = [sentence for _, result in calls for sentence in result.to_list() if sentence]
    return any(re.search(r"\d", sentence) for sentence in found) and not any("{" in sentence for sentence in found)


def killed_ingest(code: CodeType, folder: Path) -> bool:
    """After a kill the next ingest begins with the numbers that the killed one would have had, and all is as without."""
    log, db, clean = folder / "server.log", folder / "store.duckdb", folder / "clean.duckdb"
    whole = LOG.read_bytes()
    for store, stop in ((db, True), (clean, False)):
        log.write_bytes(whole[: whole.index(b"\n", len(whole) // 2) + 1])
        ea.ingest([log], db=store)
        log.write_bytes(whole)
        if stop:
            killed = subprocess.run([sys.executable, "-c", KILLED, str(log), str(store)], cwd=ROOT, check=False)
            assert killed.returncode == 9
        with seen(code) as calls:
            ea.ingest([log], db=store)
    ((given, result),) = calls
    contents = []
    for store in (db, clean):
        with ea.connect(store) as connection:
            contents.append(digests(connection))
    return given["stored"] is not None and (result.source_id, result.load_id) == (1, 2) and contents[0] == contents[1]


def bound_parameter(code: CodeType, folder: Path) -> bool:
    """A text of the user becomes the typed value that DuckDB binds."""
    ea.ingest([LOG], db=folder / "store.duckdb")
    with seen(code) as calls:
        ea.report("error-trend", db=folder / "store.duckdb", since="2026-11-21", bucket="hour")
    return any(
        result["bucket"] == "hour" and result["since"].isoformat() == "2026-11-21T00:00:00+00:00" for _, result in calls
    )


def watched_stream(code: CodeType, folder: Path) -> bool:
    """The pieces of a stream pass the function on their way from the SDK to the program."""
    ollama = pytest.importorskip("ollama", reason="ollama is not installed")
    from erranalytics.client import record

    with WireServer() as server, record(folder / "calls.jsonl"), seen(code) as calls:
        client = ollama.Client(server.url)
        parts = list(client.generate("fine", "x", stream=True))
        client._client.close()
    passed = b"".join(result for _, result in calls if isinstance(result, bytes))
    return len(parts) > 1 and passed.count(b"\n") == len(parts)


CHECKS: dict[str, Callable[[CodeType, Path], bool]] = {
    "Where is a docker prefix taken off?": docker_prefix,
    "Where does a GIN line become columns?": gin_columns,
    "Where does a rule's remedy get its numbers?": remedy_numbers,
    "Where is a killed ingest made good?": killed_ingest,
    "Where is a report's parameter bound?": bound_parameter,
    "Where is an SDK's stream watched?": watched_stream,
}


def frames(values: dict[str, Any], text: str) -> bool:
    """Whether one of the frames among some values holds a text."""
    return any(text in value.write_json() for value in values.values() if isinstance(value, pl.DataFrame))


def vars_of(result: Any) -> dict[str, Any]:
    """The fields of a result; a frame or a tuple of values as fields too."""
    if isinstance(result, pl.DataFrame):
        return {"": result}
    if isinstance(result, tuple):
        return dict(enumerate(result))  # type: ignore[arg-type]
    return {name: getattr(result, name) for name in getattr(result, "__slots__", ()) or vars(result)}


def test_every_question_is_checked() -> None:
    """The table of CONTRIBUTING.md and the checks here name the same questions."""
    assert ANSWERS.keys() == CHECKS.keys()


@pytest.mark.parametrize("question", CHECKS)
def test_an_answer_is_true(question: str, tmp_path: Path) -> None:
    """The named function exists in the named file, is called for it, and does it."""
    assert CHECKS[question](code_of(ANSWERS[question]), tmp_path)


# --- the map and the shell session ----------------------------------------------------------------------------------


def test_the_map_names_every_package() -> None:
    """No package is missing and none is made up."""
    there = {path.parent.name for path in (ROOT / "erranalytics").glob("*/__init__.py")}
    assert set(PACKAGES) == there


def test_the_paths_of_the_recipes_exist() -> None:
    """Every file and folder of the package that the page names is there."""
    for path in re.findall(r"`((?:erranalytics|tests|scripts|sample_logs|queries)/[\w./-]*)", TEXT):
        assert (ROOT / path).exists(), path


def test_a_line_can_be_followed_through_the_stages() -> None:
    """The session in a Python shell prints what the page shows."""
    (session,) = re.findall(r"^```pycon\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    test = doctest.DocTestParser().get_doctest(session, {}, "CONTRIBUTING.md", "CONTRIBUTING.md", 0)
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed
    assert failed == 0, "".join(said)
