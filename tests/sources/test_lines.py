"""Bytes to lines: any text, any encoding, any block size, any archive, whole or cut."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erranalytics import schema
from erranalytics.sources.compression import zstd
from erranalytics.sources.files import Source, discard, open_spooled
from erranalytics.sources.lines import BLOCK_BYTES, CUT_MARK, LINE_BYTES, Block, read_blocks, to_lines

# What a line is made of; byte-order marks and control characters have tests of their own.
LINE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"), max_size=30)
HEAD = "time=2026-01-01T00:00:00Z level=INFO msg=head"
TEXT = st.tuples(st.lists(LINE, max_size=12), st.sampled_from(["", "\n"])).map(
    lambda made: "\n".join([HEAD, *made[0]]) + made[1]
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
# UTF-16 has two bytes a sign, so a block does too.
SIZES = st.sampled_from([2, 6, 64, 500, 1 << 20])
QUICK = settings(deadline=None, max_examples=60)


def encoded(text: str, encoding: str) -> bytes:
    """A text as a file; UTF-16 has a mark, without one it is only recognised where most of the text is Latin."""
    return (("\ufeff" if encoding.startswith("utf-16") else "") + text).encode(encoding)


@contextmanager
def opened(data: bytes) -> Iterator[Source]:
    """Bytes as a source, known by its first bytes as a file is."""
    source = open_spooled(io.BytesIO(data), uri="-")
    yield source
    discard(source)


def raw(read: list[Block]) -> list[str]:
    """All lines, the unfinished one too."""
    last = read[-1].tail
    return [
        *(line for block in read for line in block.lines["raw"]),
        *([] if last is None else last["raw"].to_list()),
    ]


def whole(text: str) -> list[str]:
    """The lines of a text."""
    return text.removesuffix("\n").split("\n")


@given(text=TEXT, encoding=ENCODINGS, size=SIZES)
@QUICK
def test_any_text_in_any_encoding_and_blocks(text: str, encoding: str, size: int) -> None:
    """The same lines under the same numbers, what has no end apart, and the digest of all bytes."""
    data = encoded(text, encoding)
    with opened(data) as source:
        read = list(read_blocks(source, block_bytes=size))
    numbers = [number for block in read for number in block.lines["line_no"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert raw(read) == whole(text)
    assert (read[-1].tail is None) == text.endswith("\n")
    assert (read[-1].digest, read[-1].size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert all(block.digest is None for block in read[:-1])
    assert sum(block.line_count for block in read) == len(whole(text))
    assert all(block.lines.schema == schema.LINES for block in read)


@given(text=TEXT, encoding=ENCODINGS, size=SIZES)
@QUICK
def test_offset_is_where_lines_begin(text: str, encoding: str, size: int) -> None:
    """``offset(k)`` has k whole lines of the source between it and the end of its block."""
    data = encoded(text, encoding)
    with opened(data) as source:
        for block in read_blocks(source, block_bytes=size):
            for back in range(block.lines.height + 1):
                start = block.offset(back)
                assert start is not None
                part = data[start : block.end].decode(source.encoding)
                assert part.count("\n") == back
                assert back == 0 or part.endswith("\n")


@given(text=TEXT, encoding=ENCODINGS, size=SIZES, share=st.floats(0, 1))
@QUICK
def test_reading_may_begin_at_any_line(text: str, encoding: str, size: int, share: float) -> None:
    """From a line on, with and without the digest of what was seen: the rest of the lines and the digest of all."""
    data = encoded(text, encoding)
    with opened(data) as source:
        read = list(read_blocks(source))
        back = int(share * read[-1].lines.height)
        start, lines = read[-1].offset(back), raw(read)
        assert start is not None
        for seen in (None, start, (start + len(data)) // 2, len(data)):
            known = None if seen is None else (seen, hashlib.sha256(data[:seen]))
            number = read[-1].lines.height - back + 1
            again = list(read_blocks(source, start=start, first_line=number, block_bytes=size, seen=known))
            assert raw(again) == lines[number - 1 :]
            assert again[-1].digest == read[-1].digest
            assert [n for block in again for n in block.lines["line_no"]] == list(range(number, number + back))


def test_an_empty_input_is_one_empty_block() -> None:
    """With the digest of nothing."""
    with opened(b"") as source:
        (block,) = read_blocks(source)
    assert (block.line_count, block.size, block.digest) == (0, 0, hashlib.sha256(b"").hexdigest())


@pytest.mark.parametrize("size", [1 << 16, 1 << 20, BLOCK_BYTES])
def test_a_line_of_any_length_is_one_line(size: int) -> None:
    """Ten megabytes without an end are kept as a beginning with a mark, and the lines around keep their numbers."""
    data = b"a\n" + b"x" * (10 << 20) + b"\nb\n" + b"y" * (3 << 20)
    with opened(data) as source:
        read = list(read_blocks(source, block_bytes=size))
    lines = raw(read)
    assert [line[:1] for line in lines] == ["a", "x", "b", "y"]
    assert all(line.endswith(CUT_MARK) and len(line) < LINE_BYTES for line in lines[1::2])
    assert read[-1].tail is not None
    assert (read[-1].size, read[-1].digest) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_run_of_nul_is_no_line() -> None:
    """Two writers of one file, or one that was truncated under its writer, leave megabytes of NUL; a line follows."""
    for run in (b"\0" * 20_000, b"\0" * (3 << 20)):
        with opened(b"Error: listen\n" + run + HEAD.encode() + b"\n") as source:
            read = list(read_blocks(source, block_bytes=1 << 16))
            assert raw(read) == ["Error: listen", HEAD]


# Bytes of a file and the lines that come out.
CLEANED = {
    "nul": (b"\0\0a\0b\n", ["ab"]),
    "carriage return at the end": (b"a\r\nb\rc\r\n", ["a", "b\rc"]),
    "bytes that are no UTF-8": (b"\xff b\n\xc3\n", ["\ufffd b", "\ufffd"]),
    "byte-order mark in the middle, of files put together": (b"a\n\xef\xbb\xbfb\n", ["a", "b"]),
    "colours": (b"\x1b[97;42m 200 \x1b[0m|\x1b[1;31mx\x1b[m\n", [" 200 |x"]),
    "cursor and erase": (b"\x1b[?25l\x1b[1G\x1b[2Kpulling manifest\x1b[K\x1b[?25h\n", ["pulling manifest"]),
    "title ended by a bell": (b"\x1b]0;ollama serve\x07ready\n", ["ready"]),
    "link ended by an escape": (b"\x1b]8;;https://ollama.com\x1b\\docs\x1b]8;;\x1b\\\n", ["docs"]),
    "a title that never ends stays on its line": (b"\x1b]0;broken\nb\n", ["\x1b]0;broken", "b"]),
    "blank lines": (b"\n\na\n", ["", "", "a"]),
}


@pytest.mark.parametrize("name", CLEANED)
def test_what_is_no_text_goes(name: str) -> None:
    """NUL, marks, colours and line ends of any kind go, the text stays."""
    data, expected = CLEANED[name]
    assert to_lines(data)["raw"].to_list() == expected


# --- archives ---------------------------------------------------------------------------------------------------------

LINES = [f"line {n} {hashlib.sha256(str(n).encode()).hexdigest()}" for n in range(20_000)]
DATA = "".join(f"{line}\n" for line in LINES).encode()


def twice(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Two archives put together, as ``cat`` does."""
    return lambda data: pack(data[:500_000]) + pack(data[500_000:])


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": zstd.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bzip2": bz2.compress,
}
ALL = PACKERS | {f"{name} of two members": twice(pack) for name, pack in PACKERS.items()}


@pytest.mark.parametrize("name", ALL)
def test_an_archive_is_read_whole(name: str) -> None:
    """The lines and the digest of what is inside."""
    with opened(ALL[name](DATA)) as source:
        read = list(read_blocks(source, block_bytes=1 << 18))
    assert raw(read) == LINES
    assert (read[-1].note, read[-1].digest) == (None, hashlib.sha256(DATA).hexdigest())


@pytest.mark.parametrize("name", ALL)
def test_a_cut_archive_gives_what_was_readable(name: str) -> None:
    """The last block says that there is no more; nothing that could be read is lost, and nothing else is there."""
    packed = ALL[name](DATA)
    with opened(packed[: len(packed) * 3 // 4]) as source:
        read = list(read_blocks(source, block_bytes=1 << 18))
    lines = raw(read)
    assert read[-1].note is not None
    assert "ends early" in read[-1].note
    assert len(LINES) > len(lines) > len(LINES) // 5
    assert lines[:-1] == LINES[: len(lines) - 1]
    assert LINES[len(lines) - 1].startswith(lines[-1])


def test_an_archive_may_be_entered_in_its_middle() -> None:
    """What stands before is read again, since it cannot be skipped; lines and digest are those of the rest."""
    with opened(gzip.compress(DATA, 1)) as source:
        first = next(iter(read_blocks(source, block_bytes=1 << 18)))
        digest = hashlib.sha256(DATA[: first.end])
        rest = list(read_blocks(source, start=first.end, first_line=first.lines.height + 1, seen=(first.end, digest)))
    assert raw(rest) == LINES[first.lines.height :]
    assert rest[-1].digest == hashlib.sha256(DATA).hexdigest()
