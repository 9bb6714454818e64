"""Inputs: files, folders, globs and standard input, compressed or not, in UTF-8 or UTF-16.

A ``Source`` is opened as many times as needed; ``lines`` reads it. File names do not matter: compression and encoding
are recognised by the first bytes.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

from erranalytics.errors import InputError
from erranalytics.sources.compression import MAGIC_BYTES, NONE, detect, open_file, read_up_to
from erranalytics.sources.digest import Digest, of_file

AnyDigest = TypeVar("AnyDigest", Digest, "hashlib._Hash")  # noqa: SLF001 - the type has no other name

HEAD_BYTES = 4096
SAMPLE_BYTES = 1 << 18

_CONTROL = bytes(set(range(1, 32)) - {7, 8, 9, 10, 12, 13, 27})


@dataclass(frozen=True, slots=True)
class Source:
    """One input: where it is, and how its bytes become text.

    ``mtime`` is None for an input without a file: standard input, pipes and pasted text. Its ``path`` is then a
    temporary file, see ``discard``. ``byte_size`` is the size on disk.
    """

    uri: str
    path: Path
    encoding: str
    compression: str
    mtime: datetime | None
    byte_size: int
    sample: bytes = field(repr=False)

    @property
    def can_grow(self) -> bool:
        """Whether a program may still be writing the file."""
        return self.mtime is not None and self.compression == NONE

    def open(self) -> BinaryIO:
        """Open a stream of the decompressed bytes; the caller closes it."""
        return open_file(self.path, self.compression)

    def text_sample(self) -> str:
        """The first bytes as text, for detection."""
        return self.sample.decode(self.encoding, errors="replace")


def total_bytes(paths: Sequence[str]) -> int | None:
    """Bytes on disk of all inputs, for progress; None when one of them is standard input."""
    names = [name for name in expand(paths) if isinstance(name, str)]
    return None if any(not os.path.isfile(name) for name in names) else sum(map(os.path.getsize, names))


def expand(paths: Sequence[str]) -> Iterator[str | InputError]:
    """Paths, folders and globs as single names, sorted inside a folder; ``-`` stays.

    A path that cannot be expanded becomes an ``InputError`` value, so that the other inputs are still read.
    """
    for path in paths:
        if path == "-":
            yield path
        elif os.path.isdir(path):
            files = [str(p) for p in sorted(Path(path).rglob("*")) if _is_candidate(p)]
            yield from files
            if not files:
                yield InputError("the folder holds no files", location=path, hint="Name a folder with Ollama logs.")
        elif os.path.exists(path):
            yield path
        elif glob.has_magic(path) and (names := sorted(glob.glob(path, recursive=True))):
            yield from (name for name in names if os.path.isfile(name))
        else:
            yield InputError("no such file or folder", location=path, hint="Check the path; - reads standard input.")


def _is_candidate(path: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.parts[-1:])


def open_source(name: str) -> Source:
    """Recognise an input by its first bytes.

    Raises:
        InputError: it cannot be opened, is damaged, or is not text.
    """
    try:
        given = Path(name)
        is_file = name != "-" and (given.is_file() or not given.exists())
        path = given if is_file else _spool(name)
    except OSError as error:
        raise _unreadable(name, error) from None
    try:
        return _look(name, path, is_file=is_file)
    except InputError:
        if not is_file:
            path.unlink(missing_ok=True)
        raise


def _look(name: str, path: Path, *, is_file: bool) -> Source:
    try:
        info = path.stat()
        with path.open("rb") as handle:
            compression = detect(handle.read(MAGIC_BYTES))
        with open_file(path, compression) as stream:
            sample, damage = read_up_to(stream, SAMPLE_BYTES)
    except OSError as error:
        raise _unreadable(name, error) from None
    if damage is not None and not sample:
        raise InputError(
            f"is a damaged {compression} archive, nothing of it can be read",
            location=name,
            hint="Fetch or copy it again.",
        )
    encoding = detect_encoding(sample)
    if _is_binary(sample, encoding):
        raise InputError(
            "is not a text log, it looks like a binary file", location=name, hint="Name a log file of Ollama."
        )
    mtime = datetime.fromtimestamp(info.st_mtime, tz=UTC) if is_file else None
    return Source(name, path, encoding, compression, mtime, info.st_size, sample)


def _unreadable(name: str, error: OSError) -> InputError:
    reason = (error.strerror or str(error)).lower()
    return InputError(f"cannot be read: {reason}", location=name, hint="Check the path and its permissions.")


def _spool(name: str) -> Path:
    if name == "-":
        return _copied(sys.stdin.buffer)
    with Path(name).open("rb") as stream:
        return _copied(stream)


def _copied(stream: BinaryIO) -> Path:
    """A stream as a temporary file, since its digest is known only at its end."""
    with tempfile.NamedTemporaryFile(prefix="erranalytics-input-", delete=False) as spool:
        shutil.copyfileobj(stream, spool, 1 << 20)
    return Path(spool.name)


def open_spooled(stream: BinaryIO, *, uri: str) -> Source:
    """A source of the output of a program, under the given name.

    Raises:
        InputError: it is damaged or not text.
    """
    path = _copied(stream)
    try:
        return _look(uri, path, is_file=False)
    except InputError:
        path.unlink(missing_ok=True)
        raise


def from_bytes(data: bytes, *, uri: str = "-") -> Source:
    """A source of bytes in memory, for text that was pasted or made by erranalytics itself."""
    with tempfile.NamedTemporaryFile(prefix="erranalytics-text-", delete=False) as spool:
        spool.write(data)
    encoding = detect_encoding(data[:SAMPLE_BYTES])
    return Source(uri, Path(spool.name), encoding, NONE, None, len(data), data[:SAMPLE_BYTES])


def discard(source: Source) -> None:
    """Remove the temporary file of an input that has no file of its own."""
    if source.mtime is None:
        source.path.unlink(missing_ok=True)


def detect_encoding(sample: bytes) -> str:
    """The text encoding, by a byte-order mark or by the positions of NUL bytes."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if sample.startswith(mark):
            return name
    head = sample[:2000]
    # In UTF-16 nearly every second byte of a log is NUL; a truncated file has one long run of them instead.
    if len(head) >= 4 and head[1::2].count(0) > 0.7 * len(head[1::2]) and head[0::2].count(0) < 0.1 * len(head):
        return "utf-16-le"
    if len(head) >= 4 and head[0::2].count(0) > 0.7 * len(head[0::2]) and head[1::2].count(0) < 0.1 * len(head):
        return "utf-16-be"
    return "utf-8"


def _is_binary(sample: bytes, encoding: str) -> bool:
    if encoding != "utf-8" or not sample:
        return False
    text = sample.replace(b"\0", b"")
    if not text:
        return True
    control = len(text) - len(text.translate(None, _CONTROL))
    replaced = text.decode("utf-8", errors="replace").count("\ufffd")
    return control > 0.05 * len(text) or replaced > 0.10 * len(text)


def head_digest(sample: bytes) -> str:
    """SHA-256 of the first 4096 bytes."""
    return hashlib.sha256(sample[:HEAD_BYTES]).hexdigest()


def prefix_digests(source: Source, sizes: Sequence[int]) -> dict[int, Digest]:
    """Digests of the first ``n`` bytes for each ``n``, ready for more bytes; sizes beyond the end are left out."""
    if source.compression == NONE:
        return of_file(source.path, list(sizes))
    return dict(_streamed(source, sizes, Digest()))


def flat_digests(source: Source, sizes: Sequence[int]) -> dict[int, hashlib._Hash]:
    """The same as plain SHA-256 over all bytes, which stores of schema 2 hold."""
    return dict(_streamed(source, sizes, hashlib.sha256()))


def _streamed(source: Source, sizes: Sequence[int], digest: AnyDigest) -> Iterator[tuple[int, AnyDigest]]:
    position = 0
    with source.open() as stream:
        for size in sorted(set(sizes)):
            while position < size:
                chunk, _ = read_up_to(stream, min(size - position, 1 << 20))
                if not chunk:
                    return
                digest.update(chunk)
                position += len(chunk)
            yield size, digest.copy()
