"""Stores of logs that tests only read: each is made once in a run, by whichever worker needs it first."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import erranalytics as ea

try:
    import fcntl
except ImportError:  # as on Windows
    fcntl = None  # type: ignore[assignment]

# Whether a worker can wait for another one; where it cannot, each has to have a folder of its own.
CAN_WAIT = fcntl is not None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other worker holds that file, and hold it; a worker that dies lets go."""
    with path.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Once:
    """Gives the store of some logs, and reads the logs only if no worker has."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._given: dict[Path, int] = {}

    def __call__(self, *logs: Path, tz: str = "UTC") -> Path:
        """The store of files and folders, in the order given; who wants to write takes a copy."""
        key = hashlib.sha256(json.dumps([tz, *map(str, logs)]).encode()).hexdigest()[:16]
        db = self._folder / f"{key}.duckdb"
        with locked(self._folder / f"{key}.lock"):
            if not db.exists():
                part = self._folder / f"{key}.part"
                part.unlink(missing_ok=True)
                assert ea.ingest(logs, db=part, tz=tz).faults == ()
                part.rename(db)
        self._given.setdefault(db, db.stat().st_mtime_ns)
        return db

    def written(self) -> list[Path]:
        """Stores that somebody wrote to since they were given; a reader leaves a file as it is."""
        return [db for db, was in self._given.items() if db.stat().st_mtime_ns != was]
