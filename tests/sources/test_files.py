"""Inputs: which there are, what their first bytes say, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from erranalytics.errors import InputError
from erranalytics.sources import compression
from erranalytics.sources.compression import zstd
from erranalytics.sources.files import (
    detect_encoding,
    discard,
    expand,
    open_source,
    open_spooled,
    prefix_digests,
)
from erranalytics.sources.lines import read_blocks

LOG = "time=2026-01-01T00:00:00Z level=INFO msg=a\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def write(path: Path, data: bytes) -> Path:
    """A file with these bytes."""
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encoding_is_told_by_the_first_bytes(encoding: str) -> None:
    """By the byte-order mark, without one by the NUL in every second byte."""
    expected = encoding if encoding != "utf-16" else "utf-16-le"
    assert detect_encoding((LOG * 5).encode(encoding)) == expected


@pytest.mark.parametrize("name", PACKERS)
def test_compression_is_told_by_the_first_bytes(name: str, tmp_path: Path) -> None:
    """The name does not matter, and what is inside is what counts for everything else."""
    source = open_source(str(write(tmp_path / "a.txt", PACKERS[name](LOG.encode()))))
    assert (source.compression, source.encoding) == (name, "utf-8")
    assert source.text_sample() == LOG
    assert source.can_grow == (name == "none")


@pytest.mark.parametrize("data", [bytes(range(256)) * 40, b"\x7fELF" + bytes(range(1, 32)) * 99, b"\0" * 5000])
def test_binary_is_refused(data: bytes, tmp_path: Path) -> None:
    """A program is not a log, and neither are NUL bytes alone."""
    with pytest.raises(InputError, match="binary"):
        open_source(str(write(tmp_path / "a.bin", data)))


def test_archive_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    """With its kind and what to do."""
    with pytest.raises(InputError, match="damaged gzip archive") as fault:
        open_source(str(write(tmp_path / "a.log", gzip.compress(LOG.encode())[:9])))
    assert fault.value.hint


def test_prefixes_are_proved_without_parsing(tmp_path: Path) -> None:
    """The digest of each prefix, ready to go on; prefixes longer than the input are left out."""
    data = (LOG * 9).encode()
    for name, pack in PACKERS.items():
        source = open_source(str(write(tmp_path / name, pack(data))))
        found = prefix_digests(source, [len(data), 4, 999, 4])
        assert {size: one.hexdigest() for size, one in found.items()} == {
            size: hashlib.sha256(data[:size]).hexdigest() for size in (4, len(data))
        }
        found[4].update(data[4:])
        assert found[4].hexdigest() == found[len(data)].hexdigest()


def test_expand_names_every_kind(tmp_path: Path) -> None:
    """Folders are walked in order, globs expand, ``-`` stays, what is missing becomes a fault and stops nothing."""
    (tmp_path / "b.log").write_text("b")
    (tmp_path / "a.log").write_text("a")
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / "empty").mkdir()
    found = list(expand([str(tmp_path), str(tmp_path / "*.log"), "-", str(tmp_path / "no"), str(tmp_path / "empty")]))
    a, b = str(tmp_path / "a.log"), str(tmp_path / "b.log")
    assert found[:5] == [a, b, a, b, "-"]
    assert all(isinstance(fault, InputError) for fault in found[5:])
    assert len(found) == 7


def test_what_has_no_file_is_spooled_and_discarded() -> None:
    """A stream is read through a temporary file that is removed afterwards, also if it is not text."""
    source = open_spooled(io.BytesIO(gzip.compress(LOG.encode())), uri="stdin")
    assert (source.uri, source.mtime, source.can_grow) == ("stdin", None, False)
    assert [line for block in read_blocks(source) for line in block.lines["raw"]] == [LOG.rstrip()]
    discard(source)
    assert not source.path.exists()


def test_a_file_is_not_discarded(tmp_path: Path) -> None:
    """Only temporary files go."""
    source = open_source(str(write(tmp_path / "a.log", LOG.encode())))
    discard(source)
    assert source.path.exists()


def test_a_damaged_stream_gives_what_it_had() -> None:
    """``read_up_to`` returns the bytes before the damage and the damage."""
    data = b"".join(hashlib.sha256(str(n).encode()).hexdigest().encode() for n in range(5000))
    packed = gzip.compress(data)
    with gzip.open(io.BytesIO(packed[: len(packed) // 2])) as stream:
        part, damage = compression.read_up_to(stream, len(data))  # type: ignore[arg-type]
    assert data.startswith(part)
    assert len(part) > len(data) // 4
    assert isinstance(damage, compression.DAMAGE)
