"""A file that several threads and processes append whole lines to, with a limit on its size.

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


class LineFile:
    """A file to append lines to; the first line opens it.

    Args:
        path: where to write; missing folders are made.
        max_bytes: a file that would grow beyond this is renamed, and a new one begins.
        kept: how many full files stay.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        # The program may change its working folder between two calls.
        self.path = Path(path).absolute()
        self.max_bytes, self.kept = max_bytes, kept
        self._descriptor = -1
        self._has_partial_line = False
        self._lock, self._process = threading.RLock(), os.getpid()

    def append(self, text: str) -> bool:
        """Write a text as a line; return whether that was possible."""
        # Half of a surrogate pair cannot be encoded; it becomes the JSON escape it came from.
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        if self._process != os.getpid():
            # A lock that another thread held at the fork would never be released here.
            self._lock, self._process = threading.RLock(), os.getpid()
        with self._lock:
            try:
                self._open(len(line))
                if self._has_partial_line:
                    line = b"\n" + line
                self._has_partial_line = os.write(self._descriptor, line) != len(line)
            except OSError:
                return False
            return not self._has_partial_line

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            self._shut()

    def _shut(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self, line_bytes: int) -> None:
        """Open the file that has the name now, and rotate it if the line does not fit."""
        # Another process may rotate it between any two of these steps, several times in a row.
        for _ in range(50):
            if self._descriptor < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
                self._descriptor = os.open(self.path, flags, 0o600)
            if not self._has_name():
                # Another process rotated this file, or somebody removed it.
                self._shut()
                continue
            size = os.fstat(self._descriptor).st_size
            if not size or size + line_bytes <= self.max_bytes or not self._rotate():
                return
            self._shut()

    def _has_name(self) -> bool:
        """Whether the open file is the one that the path leads to."""
        try:
            named = self.path.stat()
        except OSError:
            return False
        opened = os.fstat(self._descriptor)
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def _rotate(self) -> bool:
        """Rename the full file and the older ones; of several processes only one does it."""
        if sys.platform == "win32":
            return False  # an open file cannot be renamed there, so it grows
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if self._has_name():
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
