"""Several programs on one store at once: each waits for its turn and says so, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.content import content, difference, ledger
from support.folders import ROOT, TESTS

import erranalytics as ea
from erranalytics.store.connection import open_read_only, open_store

pytestmark = pytest.mark.slow

LOGS = [TESTS / "data" / "once" / name for name in ("restarts.log", "era3.log")]
HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
COUNT = "select count(*) from events"

Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the program beside this one; what still runs at the end of the test is ended."""
    started: list[Process] = []

    def begin(*arguments: str | Path) -> Process:
        command = [sys.executable, "-m", "erranalytics", *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def holder(db: Path) -> Iterator[Process]:
    """A process that holds the store until it is asked to close it."""
    command = [sys.executable, "-c", HOLDER, str(db)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        if process.returncode is None:
            process.communicate()


def finish(process: Process) -> str:
    """Its output; it must have been content."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def both(folder: Path) -> Path:
    """A store that one process after the other wrote."""
    db = folder / "calm.duckdb"
    for log in LOGS:
        ea.ingest([log], db=db)
    return db


def agree(one: Path, other: Path) -> None:
    """Both stores say the same, and their accounts add up."""
    first, second = open_read_only(one), open_read_only(other)
    assert ledger(first) == []
    assert difference(content(first), content(second)) == {}
    first.close()
    second.close()


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """An empty store."""
    path = tmp_path / "together.duckdb"
    open_store(path).close()
    return path


def test_all_wait_for_the_one_that_holds_it(db: Path, tmp_path: Path, start: Start, holder: Process) -> None:
    """Two that write and one that reads name the process they wait for; when it is gone each does its work."""
    waiting = [start("ingest", log, "--db", db, "--wait", "60") for log in LOGS]
    waiting.append(start("report", "--db", db, "--wait", "60"))
    for process in waiting:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert f"PID {holder.pid}" in said
        assert "waiting up to 60 s" in said
    holder.communicate()
    for process in waiting:
        finish(process)
    agree(db, both(tmp_path))


def test_two_that_write_and_one_that_reads(db: Path, tmp_path: Path, start: Start) -> None:
    """All end well, and the reader sees whole loads only."""
    calm = both(tmp_path)
    connection = open_read_only(calm)
    sizes = [count for (count,) in connection.execute("select event_count from loads order by load_id").fetchall()]
    connection.close()
    writing = [start("ingest", log, "--db", db, "--wait", "60") for log in LOGS]
    seen = []
    while any(process.poll() is None for process in writing):
        finish(start("report", "--db", db, "--wait", "60"))
        seen.append(int(finish(start("sql", COUNT, "--db", db, "--wait", "60", "-f", "csv")).split()[-1]))
    for process in writing:
        finish(process)
    assert set(seen) <= {0, *sizes, sum(sizes)}
    assert seen == sorted(seen)
    agree(db, calm)


def test_one_that_does_not_wait_gives_up(db: Path, start: Start, holder: Process) -> None:
    """``--wait 0`` says who holds it, what to do, and ends with the code of an unusable store."""
    process = start("ingest", LOGS[0], "--db", db, "--wait", "0")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert f"PID {holder.pid}" in err
    assert "--wait" in err
