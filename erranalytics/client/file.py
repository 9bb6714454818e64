"""Whole lines into one file, from several threads and processes, with a limit to its size.

A line is one ``write`` on a descriptor opened for appending, so lines of several processes never mix. A full file is
renamed to ``NAME.1``, which becomes ``NAME.2`` and so on; the oldest is dropped.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

if sys.platform != "win32":
    import fcntl

MAX_BYTES = 64 << 20
KEPT = 3


class Lines:
    """A file to which lines are appended; it is opened with the first line.

    Args:
        path: where to write; missing folders are made.
        max_bytes: when a file would grow beyond this, another is begun.
        kept: how many full files stay.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        # A program may change its folder between two calls.
        self.path = Path(path).absolute()
        self.max_bytes, self.kept = max_bytes, kept
        self._descriptor = -1
        self._is_torn = False
        self._lock, self._process = threading.RLock(), os.getpid()

    def append(self, text: str) -> bool:
        """Write a text as a line; false when that was not possible."""
        # Half of a surrogate pair is written as the JSON escape it came from.
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        if self._process != os.getpid():
            # After a fork another thread's lock would never be released.
            self._lock, self._process = threading.RLock(), os.getpid()
        with self._lock:
            try:
                self._open(len(line))
                if self._is_torn:
                    line = b"\n" + line
                self._is_torn = os.write(self._descriptor, line) != len(line)
            except OSError:
                return False
            return not self._is_torn

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            self._shut()

    def _shut(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self, coming: int) -> None:
        """Have the file open that bears the name now, with room for what is coming."""
        # Others may begin the next file between any two of these steps, several times in a row.
        for _ in range(50):
            if self._descriptor < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
                self._descriptor = os.open(self.path, flags, 0o600)
            if not self._is_named():
                # Another process has begun the next file, or somebody removed this one.
                self._shut()
                continue
            size = os.fstat(self._descriptor).st_size
            if not size or size + coming <= self.max_bytes or not self._rotate():
                return
            self._shut()

    def _is_named(self) -> bool:
        try:
            named = self.path.stat()
        except OSError:
            return False
        mine = os.fstat(self._descriptor)
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def _rotate(self) -> bool:
        """Rename the full file and those before it; of several processes only one does so."""
        if sys.platform == "win32":
            return False  # a file that is open cannot be renamed there, so it grows
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if self._is_named():
                for number in range(self.kept - 1, 0, -1):
                    older = self.path.with_name(f"{self.path.name}.{number}")
                    if older.exists():
                        older.replace(self.path.with_name(f"{self.path.name}.{number + 1}"))
                if self.kept:
                    self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                else:
                    self.path.unlink()
            return True
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
