"""One behaviour of the command line, one file in ``cases/``; each runs through the real entry point.

Keys of a case: ``args`` (one call, or several of which the last is looked at), ``stdin``, ``files``, ``stdout`` and
``stderr`` (an exact text, or texts that must stand in it in this order), ``exit``, ``notes``. A file is its text, or
a table: ``sample`` (of sample_logs), ``hex``, ``socket``, ``folder``, ``duckdb`` (SQL that makes it), ``mode``.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.folders import SAMPLES, TESTS

from erranalytics.cli.main import main

CASES = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted((TESTS / "cases").glob("*.toml"))
}
KEYS = {"args", "stdin", "files", "stdout", "stderr", "exit", "notes"}


def make(path: Path, content: str | dict[str, Any]) -> None:
    """Put one file of a case in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match content:
        case str():
            path.write_text(content, encoding="utf-8", newline="")
        case {"sample": name}:
            shutil.copy(SAMPLES / name, path)
        case {"hex": digits}:
            path.write_bytes(bytes.fromhex(digits))
        case {"folder": _}:
            path.mkdir()
        case {"duckdb": sql}:
            with duckdb.connect(str(path)) as connection:
                connection.execute(sql)
        case {"socket": _}:
            # Nobody can open it, not even root.
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path.name)
        case {"text": text, "mode": mode}:
            path.write_text(text, encoding="utf-8")
            path.chmod(mode)


def call(arguments: list[str], *, stdin: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of one call."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
    with pytest.raises(SystemExit) as left:
        main(arguments, prog_name="erranalytics")
    return int(left.value.code or 0)


def agrees(found: str, wanted: str | list[str]) -> str:
    """What is missing: nothing when the text is as wanted."""
    if isinstance(wanted, str):
        return "" if found == wanted else f"not exactly: {wanted!r}"
    position = 0
    for part in wanted:
        at = found.find(part, position)
        if at < 0:
            return f"missing, or not in this order: {part!r}"
        position = at + len(part)
    return ""


@pytest.mark.parametrize("name", CASES)
def test_case(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Exit code, standard output and standard error are as the case says; there is never a traceback."""
    case = CASES[name]
    assert set(case) <= KEYS
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERRANALYTICS_DB", "store.duckdb")
    monkeypatch.setenv("TZ", "UTC")
    for file, content in case.get("files", {}).items():
        make(tmp_path / file, content)
    if any("mode" in content for content in case.get("files", {}).values()) and os.geteuid() == 0:
        pytest.skip("root may read everything")
    calls = case["args"] if isinstance(case["args"][0], list) else [case["args"]]
    for arguments in calls:
        capsysbinary.readouterr()
        code = call(arguments, stdin=case.get("stdin", ""), monkeypatch=monkeypatch)
    out, err = (text.decode() for text in capsysbinary.readouterr())
    shown = f"\nexit {code}\n--- stdout\n{out}\n--- stderr\n{err}"
    assert "Traceback" not in out + err, shown
    assert code == case.get("exit", 0), shown
    assert agrees(out, case.get("stdout", [])) == "", shown
    assert agrees(err, case.get("stderr", [])) == "", shown


def test_the_program_is_called_as_a_module_too(tmp_path: Path) -> None:
    """``python -m erranalytics`` is the same program."""
    command = [sys.executable, "-m", "erranalytics", "report", "--db", str(tmp_path / "none.duckdb")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 4
    assert run.stdout == ""
    assert run.stderr.startswith("erranalytics: ")


def test_a_closed_pipe_ends_quietly() -> None:
    """``erranalytics rules list | head -1`` shows one line and nothing else."""
    command = f"'{sys.executable}' -m erranalytics rules list | head -1"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == 1
