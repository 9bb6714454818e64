"""Bytes to LINES: files, folders, globs and standard input, gzip, UTF-16; identified by content.

A ``Source`` is opened as many times as needed; ``read`` yields blocks of whole lines, so memory stays
flat. Nothing here looks at a file name: compression and encoding are found in the first bytes.
"""

from __future__ import annotations

import codecs
import glob
import gzip
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from erranalytics import schema
from erranalytics.errors import InputError

BLOCK_BYTES = 12 << 20
HEAD_BYTES = 4096
SAMPLE_BYTES = 1 << 18
SPOOL_BYTES = 64 << 20

_ANSI = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROL = bytes(set(range(1, 32)) - {7, 8, 9, 10, 12, 13, 27})


@dataclass(frozen=True, slots=True)
class Source:
    """One input: where it is, how its bytes become text.

    ``mtime`` is None for what has no file: standard input, pipes and pasted text; ``path`` is then a temporary
    file, see ``discard``. ``byte_size`` is the size on disk.
    """

    uri: str
    path: Path
    encoding: str
    compression: str
    mtime: datetime | None
    byte_size: int
    sample: bytes = field(repr=False)

    def open(self) -> BinaryIO:
        """The bytes after decompression; the caller closes it."""
        return _open(self.path, self.compression)

    def text_sample(self) -> str:
        """The first bytes as text, for detection."""
        return self.sample.decode(self.encoding, errors="replace")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a source and where they end.

    ``byte_end`` counts decompressed bytes from the start of the source; ``digest``, given with the last
    block only, is the SHA-256 of all bytes up to there; ``note`` says what was wrong with the input when it could
    not be read to its end.
    """

    lines: pl.DataFrame
    byte_end: int
    digest: str | None
    note: str | None = None


def _open(path: Path, compression: str) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if compression == "gzip" else path.open("rb")


def total_bytes(paths: Sequence[str]) -> int | None:
    """Bytes on disk of all inputs, for progress; None when one of them is standard input."""
    names = [name for name in expand(paths) if isinstance(name, str)]
    return None if any(not os.path.isfile(name) for name in names) else sum(map(os.path.getsize, names))


def expand(paths: Sequence[str]) -> Iterator[str | InputError]:
    """Paths, folders and globs as single names, sorted inside a folder; ``-`` stays.

    What cannot be expanded comes as an ``InputError`` value, so that the other inputs go on.
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
        elif glob.has_magic(path) and (found := sorted(glob.glob(path, recursive=True))):
            yield from (name for name in found if os.path.isfile(name))
        else:
            yield InputError("no such file or folder", location=path, hint="Check the path; - reads standard input.")


def _is_candidate(path: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.parts[-1:])


def open_source(name: str) -> Source:
    """Look at the first bytes of an input.

    Raises:
        InputError: it cannot be opened, is damaged, or is no text.
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
            magic = handle.read(2)
        compression = "gzip" if magic == b"\x1f\x8b" else "none"
        with _open(path, compression) as stream:
            sample, damage = _take(stream, SAMPLE_BYTES)
    except OSError as error:
        raise _unreadable(name, error) from None
    if damage is not None and not sample:
        raise InputError(
            "is a damaged gzip archive, nothing of it can be read", location=name, hint="Fetch or copy it again."
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


def _take(stream: BinaryIO, size: int) -> tuple[bytes, Exception | None]:
    """Up to ``size`` bytes, and what stopped the reading when an archive is damaged.

    A plain ``read`` of a cut archive raises and loses what it had.
    """
    parts: list[bytes] = []
    left = size
    while left > 0:
        try:
            part = cast(io.BufferedIOBase, stream).read1(left)
        except (EOFError, OSError, zlib.error) as error:
            return b"".join(parts), error
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts), None


def _spool(name: str) -> Path:
    """Standard input or a pipe as a temporary file: its identity is known only at its end."""
    with tempfile.NamedTemporaryFile(prefix="erranalytics-input-", delete=False) as spool:
        if name == "-":
            shutil.copyfileobj(sys.stdin.buffer, spool, 1 << 20)
        else:
            with Path(name).open("rb") as stream:
                shutil.copyfileobj(stream, spool, 1 << 20)
    return Path(spool.name)


def from_bytes(data: bytes) -> Source:
    """A source of bytes at hand, for text that was pasted or comes from a program."""
    with tempfile.NamedTemporaryFile(prefix="erranalytics-text-", delete=False) as spool:
        spool.write(data)
    encoding = detect_encoding(data[:SAMPLE_BYTES])
    return Source("-", Path(spool.name), encoding, "none", None, len(data), data[:SAMPLE_BYTES])


def discard(source: Source) -> None:
    """Remove the temporary file of an input that has no file of its own."""
    if source.mtime is None:
        source.path.unlink(missing_ok=True)


def detect_encoding(sample: bytes) -> str:
    """The text encoding, from a byte-order mark or from where the NUL bytes stand."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if sample.startswith(mark):
            return name
    head = sample[:2000]
    # Text in UTF-16 has a NUL in nearly every second byte; a truncated log has one long run of them.
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


def prefix_digests(source: Source, sizes: Sequence[int]) -> dict[int, str]:
    """SHA-256 of the first ``n`` bytes for each ``n``; sizes beyond the end are left out."""
    digest, position = hashlib.sha256(), 0
    found: dict[int, str] = {}
    with source.open() as stream:
        for size in sorted(set(sizes)):
            while position < size:
                chunk, _ = _take(stream, min(size - position, 1 << 20))
                if not chunk:
                    return found
                digest.update(chunk)
                position += len(chunk)
            found[size] = digest.hexdigest()
    return found


def read(source: Source, *, start: int = 0, first_line: int = 1, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """LINES of a source from byte ``start`` (a line start) in blocks of about ``block_bytes``.

    The digest covers the bytes from 0, so bytes before ``start`` are read again but not parsed.
    A line is never cut by a block. A damaged archive ends the input with a note.
    """
    digest = hashlib.sha256()
    decoder = (
        None if source.encoding in ("utf-8", "utf-8-sig") else codecs.getincrementaldecoder(source.encoding)("replace")
    )
    carry, position, line_no, note = b"", 0, first_line, None
    with source.open() as stream:
        while position < start and (chunk := _take(stream, min(block_bytes, start - position))[0]):
            digest.update(chunk)
            position += len(chunk)
        while True:
            chunk, damage = _take(stream, block_bytes)
            if damage is not None:
                note = f"the input ends early: {damage}"
            at_end = len(chunk) < block_bytes
            digest.update(chunk)
            position += len(chunk)
            text = decoder.decode(chunk, at_end).encode() if decoder else chunk
            whole, carry = _split(carry + text if carry else text, at_end=at_end)
            if whole or at_end:
                lines = to_lines(whole, first_line=line_no)
                line_no += lines.height
                end = position - (len(carry) if decoder is None else 0)
                yield Block(lines, end, digest.hexdigest() if at_end else None, note)
            if at_end:
                return


def _split(data: bytes, *, at_end: bool) -> tuple[bytes, bytes]:
    if at_end:
        return data, b""
    cut = data.rfind(b"\n") + 1
    return data[:cut], data[cut:]


def to_lines(data: bytes, *, first_line: int = 1) -> pl.DataFrame:
    """Bytes of whole lines as LINES: UTF-8 with replacement, without NUL, ANSI and carriage return."""
    if not data:
        return schema.empty(schema.LINES)
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    if b"\x1b" in data:
        data = _ANSI.sub(b"", data)
    if b"\xef\xbb\xbf" in data:
        data = data.replace(b"\xef\xbb\xbf", b"")
    if not data.endswith(b"\n"):
        data += b"\n"
    try:
        raw = pl.read_lines(data, name="raw")
    except pl.exceptions.PolarsError:
        raw = pl.read_lines(data.decode("utf-8", errors="replace").encode(), name="raw")
    numbers = pl.int_range(first_line, first_line + raw.height, dtype=pl.Int64, eager=True).alias("line_no")
    return raw.select(numbers, "raw")
