"""``erranalytics record -- COMMAND``: it records programs as they are, and says what it could not watch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.folders import ROOT

from erranalytics.calls import command as recording
from erranalytics.calls import record

CALL = "import {module}\n{module}.post({url!r} + '/api/generate', json={{'model': 'fine', 'stream': False}})\n"


def run(
    folder: Path, *command: str, more: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """What ``erranalytics record`` prints and how it ends."""
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    whole = [sys.executable, "-m", "erranalytics", "record", *more, "--", *command]
    return subprocess.run(whole, cwd=folder, env=own, capture_output=True, text=True, check=False)


def written(folder: Path) -> list[dict[str, Any]]:
    """The records, each of which fits the model."""
    lines = (folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    assert [record.read(line) for line in lines]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("module", ["httpx", "httpx2", "requests"])
def test_a_program_is_recorded_as_it_is(server, tmp_path: Path, module: str) -> None:
    """The program is not changed; its arguments, output and exit code are its own."""
    pytest.importorskip(module)
    program = tmp_path / "shop.py"
    program.write_text(
        "import sys\n" + CALL.format(module=module, url=server.url) + "print(sys.argv[1:])\nsys.exit(7)\n"
    )
    done = run(tmp_path, sys.executable, str(program), "--app", "x")
    assert (done.returncode, done.stdout) == (7, "['--app', 'x']\n")
    assert done.stderr == f"1 call recorded, 0 not completed: {tmp_path / 'calls.jsonl'}\n"
    (one,) = written(tmp_path)
    assert (one["outcome"], one["app"], one["attrs"]["library"].split("/")[0]) == ("completed", "shop.py", module)


def test_programs_started_by_a_program_are_recorded_too(server, tmp_path: Path) -> None:
    """A shell, a server's workers and forked children inherit the environment."""
    pytest.importorskip("httpx")
    call = CALL.format(module="httpx", url=server.url)
    (tmp_path / "app.py").write_text(
        f"import os\n{call}if not os.fork():\n    httpx.get({server.url!r} + '/api/tags')\n    os._exit(0)\nos.wait()\n"
    )
    done = run(tmp_path, "sh", "-c", f"{sys.executable} app.py; {sys.executable} app.py", more=("--app", "fleet"))
    assert done.stderr.startswith("4 calls recorded, 0 not completed: ")
    assert {one["app"] for one in written(tmp_path)} == {"fleet"}


def test_the_recorder_needs_no_erranalytics_there(server, tmp_path: Path) -> None:
    """It is loaded from this installation, and the program cannot import anything else from it."""
    pytest.importorskip("httpx")
    code = (
        CALL.format(module="httpx", url=server.url)
        + "import sys\nprint([path for path in sys.path if path.endswith('main')])"
    )
    code += "\ntry:\n    import erranalytics.cli.main\nexcept ImportError: pass\n"
    done = run(tmp_path, sys.executable, "-c", code)
    assert done.returncode == 0
    assert len(written(tmp_path)) == 1


def test_a_startup_file_of_others_still_runs(server, tmp_path: Path) -> None:
    """The file of the same name that it hides, as coverage tools have one, runs after it."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('mine')\n")
    done = run(tmp_path, sys.executable, "-c", "pass", PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path / "site")]))
    assert "mine" in done.stdout


SILENT = {
    "no Python": (("true",), "nothing could be watched: no Python was started"),
    "an isolated Python": ((sys.executable, "-I", "-c", "pass"), "one that ignores its environment (-I, -E, -S)"),
    "no client": ((sys.executable, "-c", "pass"), "Python ran, but loaded no client the recorder knows (httpx, httpx2, requests, aiohttp)"),
    "another client": ((sys.executable, "-c", "import urllib.request"), "of its clients only http.client was loaded"),
    "no call": ((sys.executable, "-c", "import httpx"), "httpx was watched and made no call to a route of Ollama"),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_what_cannot_be_watched_is_said(tmp_path: Path, name: str) -> None:
    """The command says why there is no record, and leaves no empty file."""
    pytest.importorskip("httpx")
    command, sentence = SILENT[name]
    done = recording.run(command, path=str(tmp_path / "calls.jsonl"))
    assert sentence in "\n".join(done.lines())
    assert done.exit_code == 0
    assert not (tmp_path / "calls.jsonl").exists()


def test_a_program_that_is_killed_is_reported(tmp_path: Path) -> None:
    """The exit code is that of a shell, and a sentence says that records of open calls are missing."""
    code = f"import os; os.kill(os.getpid(), {signal.SIGKILL.value})"
    done = recording.run((sys.executable, "-c", code), path=str(tmp_path / "calls.jsonl"))
    assert done.exit_code == 137
    assert any(line.startswith("Python processes that ended abruptly: 1") for line in done.lines())


def test_a_termination_reaches_the_program(tmp_path: Path) -> None:
    """A supervisor ends the command, and the program ends in its own way, with its records."""
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\nprint('ready', flush=True)\ntime.sleep(30)"
    command = [sys.executable, "-m", "erranalytics", "record", "--", sys.executable, "-c", code]
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait() == 5


def test_a_recorder_that_fails_leaves_the_program_alone(tmp_path: Path) -> None:
    """The program runs, and the command names the fault at the end."""
    result = recording.CommandResult(0, tmp_path)
    recording._add_notes(result, [json.dumps({"pid": 1, "fault": "the recorder needs Python 3.11", "python": "3.9.2"})])
    assert list(result.lines()) == ["not watched: the recorder needs Python 3.11, not 3.9.2"]
