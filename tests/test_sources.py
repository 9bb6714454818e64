"""Bytes to lines: encodings, compression, damaged input, prefixes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from erranalytics import schema, sources
from erranalytics.errors import InputError

TEXT = "erste Zeile µs\n\nzweite\n"


def read(path: Path, **options: int) -> list[str]:
    """All lines of a file."""
    source = sources.open_source(str(path))
    return [line for block in sources.read(source, **options) for line in block.lines["raw"].to_list()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_encodings_give_the_same_lines(tmp_path: Path, encoding: str) -> None:
    """UTF-8 and UTF-16 come out alike, with and without byte-order mark."""
    text = "time=2026-01-01T00:00:00Z level=INFO msg=a\n" * 5 + TEXT
    path = tmp_path / "a.log"
    path.write_bytes(text.encode(encoding))
    assert read(path) == text.splitlines()


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
def test_block_size_changes_nothing(tmp_path: Path, block_bytes: int) -> None:
    """A line is never cut by a block, nor lost, nor doubled."""
    path = tmp_path / "a.log"
    path.write_text("".join(f"line {n} µ\n" for n in range(50)) + "no end", encoding="utf-8")
    assert read(path, block_bytes=block_bytes) == [*(f"line {n} µ" for n in range(50)), "no end"]


def test_gzip_is_found_in_the_content(tmp_path: Path) -> None:
    """The name does not matter."""
    path = tmp_path / "a.txt"
    path.write_bytes(gzip.compress(TEXT.encode()))
    assert read(path) == TEXT.splitlines()


def test_cut_archive_gives_what_was_readable_and_says_so(tmp_path: Path) -> None:
    """A truncated gzip is not lost; the last block carries a note."""
    whole = "".join(f"line {n} {n * 7919}\n" for n in range(20_000))
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(whole.encode())[:-2000])
    blocks = list(sources.read(sources.open_source(str(path)), block_bytes=4096))
    lines = [line for block in blocks for line in block.lines["raw"].to_list()]
    assert lines[:100] == whole.splitlines()[:100]
    assert blocks[-1].note is not None and "ends early" in blocks[-1].note


def test_nul_ansi_cr_and_bad_bytes() -> None:
    """NUL and colours go, carriage returns at the end go, invalid UTF-8 is replaced."""
    lines = sources.to_lines(b"\0\0a\r\n\x1b[97;42m 200 \x1b[0m\n\xff b\n")
    assert lines["raw"].to_list() == ["a", " 200 ", "\ufffd b"]
    assert lines.schema == schema.LINES


def test_binary_is_refused(tmp_path: Path) -> None:
    """A program is not a log."""
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(InputError, match="binary"):
        sources.open_source(str(path))


def test_log_that_begins_with_nul_is_no_binary(tmp_path: Path) -> None:
    """Two servers that write one file leave a long run of NUL bytes."""
    path = tmp_path / "a.log"
    path.write_bytes(b"Error: listen\n" + b"\0" * 20_000 + b"time=2026-01-01T00:00:00Z level=INFO msg=a\n")
    assert read(path) == ["Error: listen", "time=2026-01-01T00:00:00Z level=INFO msg=a"]


def test_digest_and_prefix(tmp_path: Path) -> None:
    """The digest of the last block is that of all bytes; prefixes are proved without parsing."""
    path = tmp_path / "a.log"
    path.write_text("abc\ndef\n")
    source = sources.open_source(str(path))
    blocks = list(sources.read(source, block_bytes=4))
    assert blocks[-1].byte_end == 8
    assert sources.prefix_digests(source, [8, 4, 99]) == {
        4: sources.prefix_digests(source, [4])[4],
        8: blocks[-1].digest,
    }


def test_expand_names_every_kind(tmp_path: Path) -> None:
    """Folders are walked in order, globs expand, ``-`` stays, what is missing becomes a fault and stops nothing."""
    (tmp_path / "b.log").write_text("b")
    (tmp_path / "a.log").write_text("a")
    (tmp_path / "empty").mkdir()
    found = list(
        sources.expand([str(tmp_path), str(tmp_path / "*.log"), "-", str(tmp_path / "no"), str(tmp_path / "empty")])
    )
    a, b = str(tmp_path / "a.log"), str(tmp_path / "b.log")
    assert found[:5] == [a, b, a, b, "-"]
    assert all(isinstance(fault, InputError) for fault in found[5:]) and len(found) == 7
