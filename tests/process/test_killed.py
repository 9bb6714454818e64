"""A program that is killed leaves a store as it was or as it would be, at any moment, and the next run does the rest."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.content import digests
from support.folders import ROOT, SAMPLES

from erranalytics.errors import StoreError
from erranalytics.store.connection import open_read_only

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")]

Digests = dict[str, tuple[int, str]]


def command(path: Path, db: Path) -> list[str]:
    """One ingest as its own process."""
    return [sys.executable, "-m", "erranalytics", "ingest", str(path), "--db", str(db)]


def held(db: Path) -> Digests | None:
    """What a store holds; None when there is none yet."""
    try:
        connection = open_read_only(db)
    except StoreError:
        return None
    found = digests(connection)
    connection.close()
    return found


def run(path: Path, db: Path) -> float:
    """One undisturbed ingest, and how long it took."""
    began = time.monotonic()
    subprocess.run(command(path, db), check=True, capture_output=True, cwd=ROOT)
    return time.monotonic() - began


def kill_after(path: Path, db: Path, seconds: float) -> None:
    """One ingest that is killed at a moment, unless it is done."""
    process = subprocess.Popen(command(path, db), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def moments(count: int, whole: float) -> list[float]:
    """Moments spread over a run from its first to its last, in random order, the same in every test run."""
    rng = random.Random(count)
    found = [(number + rng.random()) / count * whole for number in range(count)]
    rng.shuffle(found)
    return found


@dataclass(frozen=True)
class Scene:
    """A load to be disturbed: the store before it, the file, the store after it, and how long it takes."""

    before: Path
    log: Path
    after: Digests
    whole: float

    def calm(self) -> Digests | None:
        """What the store holds before."""
        return held(self.before)

    def start(self, db: Path) -> Path:
        """A store as it was before, under another name."""
        if self.before.exists():
            shutil.copy(self.before, db)
        return db


def scene(folder: Path, first: bytes, log: Path, data: bytes) -> Scene:
    """A store that holds ``first`` (nothing when it is empty), read from ``log`` or a file beside it, and then ``data``."""
    before, after = folder / "before.duckdb", folder / "after.duckdb"
    if first:
        earlier = log if data.startswith(first) else folder / "earlier.log"
        earlier.write_bytes(first)
        run(earlier, before)
        shutil.copy(before, after)
    log.write_bytes(data)
    whole = run(log, after)
    found = held(after)
    assert found is not None
    assert found["events"][0] > 1000
    assert found["loads"][0] == (2 if first else 1)
    return Scene(before, log, found, whole)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A log that is read in about a second."""
    path = tmp_path_factory.mktemp("killed") / "journal.log"
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "generate.py"), str(path), "1"], check=True)
    data = path.read_bytes()[:500_000]
    return data[: data.rindex(b"\n") + 1]


@pytest.fixture(scope="module", params=["new", "grown", "overlapping"])
def disturbed(request: pytest.FixtureRequest, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The first load of a store, one of a file that has grown, one of a file that overlaps another."""
    at = {share: data.index(b"\n", int(share * len(data))) + 1 for share in (0.3, 0.6)}
    first, new = {
        "new": (b"", data),
        "grown": (data[: at[0.6]], data),
        "overlapping": (data[: at[0.6]], data[at[0.3] :]),
    }[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    return scene(folder, first, folder / "server.log", new)


def test_all_or_nothing(disturbed: Scene, tmp_path: Path) -> None:
    """A store that is killed again and again is at every moment what it was or what it shall be, and gets there."""
    db, before = disturbed.start(tmp_path / "again.duckdb"), disturbed.calm()
    for moment in moments(14, disturbed.whole):
        kill_after(disturbed.log, db, moment)
        found = held(db)
        # A new store may have its tables and nothing in them.
        assert found in (before, disturbed.after) or (before is None and found is not None and found["loads"][0] == 0)
    run(disturbed.log, db)
    assert held(db) == disturbed.after


def test_a_fresh_store_each_time(disturbed: Scene, tmp_path: Path) -> None:
    """Killed once, at a moment of its own, and run to the end: the store of an undisturbed run."""
    for number, moment in enumerate(moments(3, disturbed.whole)):
        db = disturbed.start(tmp_path / f"{number}.duckdb")
        kill_after(disturbed.log, db, moment)
        run(disturbed.log, db)
        assert held(db) == disturbed.after, f"killed after {moment:.3f} s of {disturbed.whole:.3f} s"


def test_a_folder_of_small_logs(tmp_path: Path) -> None:
    """Logs that are stored together are there together or not at all, whenever the program is killed."""
    folder, after, db = tmp_path / "logs", tmp_path / "after.duckdb", tmp_path / "again.duckdb"
    folder.mkdir()
    for name in ("oom-0.24.0.log", "queue-0.24.0.log", "cloud-0.24.0.log", "trace-0.24.0.log"):
        shutil.copy(SAMPLES / "server" / name, folder)
    whole = run(folder, after)
    wanted = held(after)
    assert wanted is not None
    assert wanted["loads"][0] == 4
    for moment in moments(8, whole):
        kill_after(folder, db, moment)
        found = held(db)
        assert found in (None, wanted) or (found is not None and found["loads"][0] == found["events"][0] == 0)
    run(folder, db)
    assert held(db) == wanted
