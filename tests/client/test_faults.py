"""The recorder never disturbs a program: its files, its own faults, and exceptions that do not come from a call."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.folders import ROOT
from support.recorded_calls import ask, stream
from support.wire.server import FAILURE

from erranalytics.client import Recorder, instrumentation, record
from erranalytics.client import recorder as recorders
from erranalytics.client.file import LineFile
from erranalytics.client.observer import CallObserver

httpx = pytest.importorskip("httpx", reason="httpx is not installed")


# --- files ------------------------------------------------------------------------------------------------------------


def test_full_files_are_rotated(tmp_path: Path) -> None:
    """Files hold whole lines, the newest one has the plain name, and a limited number of them stays."""
    lines = LineFile(tmp_path / "calls.jsonl", max_bytes=100, kept=2)
    for number in range(20):
        assert lines.append(f"{number:02} {'x' * 26}")
    lines.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["calls.jsonl", "calls.jsonl.1", "calls.jsonl.2"]
    assert [line[:2] for name in reversed(names) for line in (tmp_path / name).read_text().splitlines()] == [
        f"{number:02}" for number in range(12, 20)
    ]


WRITER = """
import json, sys
from erranalytics.client.file import LineFile
lines = LineFile(sys.argv[1], max_bytes=40_000, kept=50)
for number in range(300):
    assert lines.append(json.dumps({"name": sys.argv[2], "number": number, "text": "x" * 200}))
"""


def test_processes_share_a_file(path: Path) -> None:
    """Four processes write at once and rotate the file many times: each line is whole and none is missing."""
    commands = [[sys.executable, "-c", WRITER, str(path), name] for name in "abcd"]
    workers = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [worker.wait() for worker in workers] == [0] * 4
    found = [json.loads(line) for file in path.parent.iterdir() for line in file.read_text().splitlines()]
    assert len(list(path.parent.iterdir())) > 3
    assert len({(one["name"], one["number"]) for one in found}) == len(found) == 1_200


def test_a_file_that_was_removed_is_made_again(path: Path) -> None:
    """Rotating the file with the tools of the system loses no record."""
    lines = LineFile(path)
    lines.append("a")
    path.rename(path.with_name("moved"))
    lines.append("b")
    lines.close()
    assert path.read_text() == "b\n"


# --- never raises -----------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_written_loses_records_only(server, tmp_path: Path) -> None:
    """The program goes on, and the recorder counts the lost records."""
    (tmp_path / "file").write_text("")
    with httpx.Client() as client, record(tmp_path / "file" / "calls.jsonl") as recorder:
        assert ask(client, server).json()["done"] is True
    assert (recorder.written_count, recorder.lost_count) == (0, 1)


def test_a_full_disk_loses_records_only(server) -> None:
    """The program goes on, and the file gets half a line at most."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with httpx.Client() as client, record("/dev/full") as recorder:
        assert ask(client, server).json()["done"] is True
    assert recorder.lost_count == 1


@pytest.mark.parametrize("where", ["begin", "answer_started", "feed", "record"])
def test_faults_of_the_recorder_stay_inside(server, path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Whatever fails in the recorder, the program gets its answer."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault of the recorder")

    target: tuple[Any, str] = {
        "begin": (recorders, "body_facts"),
        "answer_started": (CallObserver, "_set_decoder"),
        "feed": (CallObserver, "_examine"),
        "record": (CallObserver, "_record"),
    }[where]
    monkeypatch.setattr(*target, broken)
    with record(path), httpx.Client() as client, stream(client, server) as response:
        assert len(list(response.iter_lines())) == 5


def test_a_client_that_is_built_otherwise_goes_unwatched(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """A later version that lacks what the recorder needs is left as it is, and the log says so."""
    module = type(httpx)("httpx")
    with caplog.at_level(logging.WARNING):
        instrumentation.patch(module)
    assert "the clients of httpx cannot be watched" in caplog.text


# --- calls of which only an exception is seen -------------------------------------------------------------------------


def test_an_exception_is_all_there_is(path, calls) -> None:
    """If nothing was seen on the wire, the SDK's exception makes the record, with the source of its status."""
    ollama = pytest.importorskip("ollama")
    with pytest.raises(ollama.ResponseError), record(path):
        raise ollama.ResponseError(FAILURE, -1)
    with pytest.raises(ollama.ResponseError), record(path):
        raise ollama.ResponseError("model 'x' not found", 404)
    assert [(one["http_status"], one["status_source"]) for one in calls()] == [(None, "sentinel"), (404, "wire")]
    assert calls()[0]["error_type"] == "ollama._types.ResponseError"


def test_a_status_that_litellm_made_up_is_called_so() -> None:
    """litellm gives its timeouts 408 and its connection errors 500, whatever came over the wire."""
    from erranalytics.client import sdk_errors

    kinds = {
        name: type(name, (Exception,), {"__module__": "litellm.exceptions"}) for name in ("Timeout", "NotFoundError")
    }
    made_up, passed_on = kinds["Timeout"](), kinds["NotFoundError"]()
    made_up.status_code, passed_on.status_code = 408, 404
    assert sdk_errors.status_of(made_up) == (408, "sdk_synthetic")
    assert sdk_errors.status_of(passed_on) == (404, "inferred")


def test_other_exceptions_make_no_record(path, calls) -> None:
    """An exception of the program itself is not a call."""
    with pytest.raises(ZeroDivisionError), record(path):
        _ = 1 / 0
    assert not path.exists()


def test_the_environment_names_file_and_program(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path the variables decide, else the file is calls.jsonl in the working folder."""
    monkeypatch.setenv("ERRANALYTICS_CALLS", str(tmp_path / "named.jsonl"))
    monkeypatch.setenv("ERRANALYTICS_APP", "shop")
    assert Recorder().path == str(tmp_path / "named.jsonl")
    assert Recorder().app == "shop"
    monkeypatch.delenv("ERRANALYTICS_CALLS")
    monkeypatch.chdir(tmp_path)
    assert Recorder().path == str(tmp_path / "calls.jsonl")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_record_its_parents_calls(server, path, calls) -> None:
    """Only the parent records a stream that is open at a fork."""
    code = (
        "import os, httpx\nfrom erranalytics.client import Recorder, wrap\n"
        f"client = wrap(httpx.Client(), Recorder({str(path)!r}))\n"
        f"with client.stream('POST', {server.url!r} + '/api/generate', json={{'model': 'fine'}}) as response:\n"
        "    lines = response.iter_lines()\n    next(lines)\n"
        "    if not (child := os.fork()): raise SystemExit\n"
        "    os.waitpid(child, 0)\n    assert len(list(lines)) == 4\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert [one["outcome"] for one in calls()] == ["completed"]
