"""Compressed inputs: recognised by their first bytes, read as a stream of the decompressed bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from pathlib import Path
from typing import BinaryIO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NONE = "none"
MAGIC_BYTES = 6
# The exceptions of a stream whose archive is truncated or damaged.
DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError)

_MAGICS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}


def detect(magic: bytes) -> str:
    """The compression of an input that begins with these bytes: ``none``, ``gzip``, ``zstd``, ``xz`` or ``bzip2``.

    >>> detect(b"\\x1f\\x8b\\x08"), detect(b"time=2026")
    ('gzip', 'none')
    """
    return next((name for start, name in _MAGICS.items() if magic.startswith(start)), NONE)


def open_file(path: Path, compression: str) -> BinaryIO:
    """Open a stream of the decompressed bytes of a file; the caller closes it."""
    if compression == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if compression == "zstd":
        return cast(BinaryIO, zstd.open(path, "rb"))
    if compression == "xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    if compression == "bzip2":
        return cast(BinaryIO, bz2.open(path, "rb"))
    return path.open("rb")


def read_up_to(stream: BinaryIO, size: int) -> tuple[bytes, Exception | None]:
    """Up to ``size`` bytes, and the error that ended the reading of a damaged archive.

    A plain ``read`` of a truncated archive raises and loses the bytes it had read.
    """
    parts: list[bytes] = []
    left = size
    while left > 0:
        try:
            part = cast(io.BufferedIOBase, stream).read1(left)
        except DAMAGE as error:
            return b"".join(parts), error
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts), None
