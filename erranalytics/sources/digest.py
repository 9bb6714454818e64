"""The digest that identifies a prefix of a source: SHA-256, over leaves that can be read in parallel if it is long."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LEAF_BYTES = 32 << 20
READ_BYTES = 1 << 18
# Marks a digest of several leaves.
TREE = "tree:"


class Digest:
    """SHA-256 of the bytes up to one leaf, and of the digests of the leaves beyond that.

    >>> digest = Digest()
    >>> digest.update(b"abc")
    >>> digest.hexdigest() == hashlib.sha256(b"abc").hexdigest()
    True
    """

    def __init__(self, leaves: tuple[bytes, ...] = (), *, other: Digest | None = None) -> None:
        self._leaves, self._open, self._size = leaves, hashlib.sha256(), 0
        if other is not None:
            self._leaves, self._open, self._size = other._leaves, other._open.copy(), other._size  # noqa: SLF001 - its own kind

    def update(self, data: bytes | memoryview) -> None:
        """Add more bytes."""
        left = memoryview(data)
        while len(left) > LEAF_BYTES - self._size:
            room = LEAF_BYTES - self._size
            self._open.update(left[:room])
            self._leaves = (*self._leaves, self._open.digest())
            self._open, self._size, left = hashlib.sha256(), 0, left[room:]
        self._open.update(left)
        self._size += len(left)

    def copy(self) -> Digest:
        """An independent copy, to continue from here."""
        return Digest(other=self)

    def hexdigest(self) -> str:
        """Hex digits, with the mark ``tree:`` before them if there are several leaves."""
        if not self._leaves:
            return self._open.hexdigest()
        return TREE + hashlib.sha256(b"".join((*self._leaves, self._open.digest()))).hexdigest()


def of_file(path: Path, sizes: list[int]) -> dict[int, Digest]:
    """Digests of the first ``n`` bytes of a file for each ``n`` of ``sizes``; sizes beyond its end are left out."""
    end = path.stat().st_size
    sizes = sorted({size for size in sizes if size <= end})
    # The first byte after a leaf closes it.
    closed = max((max(size - 1, 0) // LEAF_BYTES for size in sizes), default=0)
    with ThreadPoolExecutor(2) as pool:
        leaves = tuple(pool.map(lambda number: _leaf(path, number), range(closed)))
    digests: dict[int, Digest] = {}
    for size in sizes:
        known = max(size - 1, 0) // LEAF_BYTES
        before = max((done for done in digests if max(done - 1, 0) // LEAF_BYTES == known), default=None)
        digest = Digest(leaves[:known]) if before is None else digests[before].copy()
        for part in _read(path, known * LEAF_BYTES if before is None else before, size):
            digest.update(part)
        digests[size] = digest
    return digests


def _leaf(path: Path, number: int) -> bytes:
    digest = hashlib.sha256()
    for part in _read(path, number * LEAF_BYTES, (number + 1) * LEAF_BYTES):
        digest.update(part)
    return digest.digest()


def _read(path: Path, start: int, end: int) -> Iterator[memoryview]:
    """Bytes of a file, in one buffer that every step overwrites."""
    buffer = memoryview(bytearray(READ_BYTES))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < end and (count := file.readinto(buffer[: min(end - start, READ_BYTES)])):
            start += count
            yield buffer[:count]
