"""A source as blocks of LINES: memory stays flat however large the input is, and no block ends inside a line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from erranalytics import schema
from erranalytics.sources import compression
from erranalytics.sources.digest import Digest
from erranalytics.sources.files import Source

if TYPE_CHECKING:
    import hashlib

BLOCK_BYTES = 12 << 20
# Longer lines are cut and marked: no line of Ollama is that long, but a file may hold a line of any size.
LINE_BYTES = 1 << 20
CUT_MARK = " […cut]"

_ANSI = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_LINE_ENDS = {"utf-16-le": b"\n\0", "utf-16-be": b"\0\n"}


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a source, and where they end.

    ``end`` counts decompressed bytes from the start of the source; ``data`` holds the bytes of the lines. The last
    block also has ``tail``, a line that has no end yet, ``digest``, the digest of all ``size`` bytes, and ``note``,
    the reason why an input could not be read to its end.
    """

    lines: pl.DataFrame
    end: int
    data: bytes = field(repr=False)
    line_end: bytes = b"\n"
    tail: pl.DataFrame | None = None
    size: int = 0
    digest: str | None = None
    note: str | None = None
    line_total: int | None = None

    @property
    def line_count(self) -> int:
        """The number of lines in the block, with the unfinished one."""
        if self.line_total is not None:
            return self.line_total
        return self.lines.height + (0 if self.tail is None else self.tail.height)

    def without_lines(self) -> Block:
        """The block without lines, once they are unwrapped; not for the last block, which has a tail."""
        return replace(self, lines=self.lines.clear(), line_total=self.line_count)

    def stripped(self) -> Block:
        """The block without any text, once its lines are parsed."""
        return replace(self.without_lines(), data=b"")

    def offset(self, back: int) -> int | None:
        """The offset of the line that is followed by ``back - 1`` whole lines; None if it begins before this block."""
        if back > (self.lines.height if self.line_total is None else self.line_total):
            return None
        place = len(self.data)
        for _ in range(back):
            place = _last_end(self.data, self.line_end, place - len(self.line_end))
        return self.end - len(self.data) + place


def read_blocks(
    source: Source,
    *,
    start: int = 0,
    first_line: int = 1,
    block_bytes: int = BLOCK_BYTES,
    seen: tuple[int, Digest | hashlib._Hash] | None = None,
) -> Iterator[Block]:
    """LINES of a source from byte ``start`` (a line start) in blocks of about ``block_bytes``.

    The digest covers the bytes from 0. ``seen`` is the digest of the first bytes and their number, so that they need
    not be read again if the source can be read from its middle. A damaged archive ends the input with a note.
    """
    line_end = _LINE_ENDS.get(source.encoding, b"\n")
    carry, line_no, bytes_read = b"", first_line, _Bytes(source, start, seen)
    for data, damage, at_end in bytes_read.chunks(block_bytes):
        text = carry + data if carry else data
        cut = _last_end(text, line_end)
        complete, carry = text[:cut], text[cut:]
        end = bytes_read.place - len(carry)
        if len(carry) > LINE_BYTES and not at_end:
            carry = _shortened(carry, source.encoding)
        lines = to_lines(_decoded(complete, source.encoding), first_line=line_no)
        line_no += lines.height
        if at_end:
            tail = to_lines(_decoded(carry, source.encoding), first_line=line_no) if carry else None
            note = f"the input ends early: {damage}" if damage else None
            digest = bytes_read.digest()
            yield Block(lines, end, complete, line_end, tail, size=bytes_read.place, digest=digest, note=note)
        elif lines.height:
            yield Block(lines, end, complete, line_end)


class _Bytes:
    """The bytes of a source from ``start`` on, and the digest of all bytes up to ``place``."""

    def __init__(self, source: Source, start: int, seen: tuple[int, Digest | hashlib._Hash] | None) -> None:
        self._source, self._start = source, start
        can_seek = seen is not None and source.compression == compression.NONE
        self._hashed, self._digest = seen if seen is not None and can_seek else (0, Digest())
        self.place = start if can_seek else 0

    def digest(self) -> str:
        """The digest of the bytes read so far."""
        return self._digest.hexdigest()

    def chunks(self, size: int) -> Iterator[tuple[bytes, Exception | None, bool]]:
        """Data, the damage that ended it, and whether this was the last of it."""
        with self._source.open() as stream:
            if self.place:
                stream.seek(self.place)
            while self.place < self._start:
                data, _ = self._take(stream, min(size, self._start - self.place))
                if not data:
                    break
            while True:
                data, damage = self._take(stream, size)
                yield data, damage, len(data) < size
                if len(data) < size:
                    return

    def _take(self, stream: BinaryIO, size: int) -> tuple[bytes, Exception | None]:
        data, damage = compression.read_up_to(stream, size)
        known = max(self._hashed - self.place, 0)
        self._digest.update(data[known:] if known else data)
        self.place += len(data)
        self._hashed = max(self._hashed, self.place)
        return data, damage


def _last_end(data: bytes, line_end: bytes, stop: int | None = None) -> int:
    """The place after the last line end before ``stop``; 0 when there is none."""
    place = data.rfind(line_end, 0, stop)
    while place >= 0 and place % len(line_end):
        place = data.rfind(line_end, 0, place + len(line_end) - 1)
    return place + len(line_end) if place >= 0 else 0


def _decoded(data: bytes, encoding: str) -> bytes:
    return data.decode(encoding, errors="replace").encode() if encoding in _LINE_ENDS else data


def _shortened(carry: bytes, encoding: str) -> bytes:
    """The part of an endless line that is kept: longer than a line may be, so that ``to_lines`` marks it as cut."""
    text = carry if encoding in _LINE_ENDS else carry.replace(b"\0", b"")
    return text[: 2 * LINE_BYTES]


def to_lines(data: bytes, *, first_line: int = 1) -> pl.DataFrame:
    r"""Bytes of whole lines as LINES: UTF-8 with replacement, without NUL, ANSI colours and carriage return.

    >>> to_lines(b"\x1b[31mError:\x1b[0m no space\r\nnext\n", first_line=7).rows()
    [(7, 'Error: no space'), (8, 'next')]
    """
    if not data:
        return schema.empty(schema.LINES)
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    if b"\x1b" in data:
        data = _ANSI.sub(b"", data)
    if codecs.BOM_UTF8 in data:
        data = data.replace(codecs.BOM_UTF8, b"")
    if not data.endswith(b"\n"):
        data += b"\n"
    try:
        raw = pl.read_lines(data, name="raw")
    except pl.exceptions.PolarsError:
        raw = pl.read_lines(data.decode("utf-8", errors="replace").encode(), name="raw")
    if len(data) > LINE_BYTES:
        is_long = pl.col("raw").str.len_bytes() > LINE_BYTES
        if raw.select(is_long.any()).item():
            short = pl.col("raw").str.slice(0, LINE_BYTES // 4) + CUT_MARK
            raw = raw.with_columns(pl.when(is_long).then(short).otherwise("raw").alias("raw"))
    numbers = pl.int_range(first_line, first_line + raw.height, dtype=pl.Int64, eager=True).alias("line_no")
    return raw.select(numbers, "raw")
