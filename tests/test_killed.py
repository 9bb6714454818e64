"""A program that is killed leaves a store as if it had never begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from erranalytics import store

# Tables whose rows carry the time of the load itself.
TIMED = ("loads",)


def command(path: Path, db: Path) -> list[str]:
    """One ingest as its own process."""
    return [sys.executable, "-m", "erranalytics", "ingest", str(path), "--db", str(db)]


def digests(db: Path) -> dict[str, tuple[int, str]]:
    """What the store holds, without times of loads."""
    connection = store.open_read_only(db)
    found = {name: digest for name, digest in store.digests(connection).items() if name not in TIMED}
    connection.close()
    return found


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of some megabytes, so that there is a middle to kill in."""
    root = Path(__file__).resolve().parent.parent
    path = tmp_path_factory.mktemp("killed") / "journal.log"
    subprocess.run([sys.executable, str(root / "benchmarks" / "generate.py"), str(path), "12"], check=True)
    return path


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kill_and_run_again(log: Path, tmp_path: Path) -> None:
    """SIGKILL at several moments, then one run to the end: the tables of an undisturbed run."""
    began = time.monotonic()
    subprocess.run(command(log, tmp_path / "calm.duckdb"), check=True, capture_output=True)
    whole = time.monotonic() - began
    expected = digests(tmp_path / "calm.duckdb")
    assert expected["events"][0] > 10_000
    db = tmp_path / "killed.duckdb"
    for share in (0.35, 0.6, 0.75, 0.9):
        process = subprocess.Popen(command(log, db), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=whole * share)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    subprocess.run(command(log, db), check=True, capture_output=True)
    assert digests(db) == expected
