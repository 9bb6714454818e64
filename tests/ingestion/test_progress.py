"""Progress: the bytes that are done add up to those that were promised, however the input comes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

import erranalytics as ea
from erranalytics.ingestion.inputs import ProgressCallbacks

LINE = 'time=2026-11-20T08:{:02d}:{:02d}.000Z level=INFO source=a.go:1 msg="line {}"\n'
TEXT = "".join(LINE.format(n // 60, n % 60, n) for n in range(900)).encode()
BODY = b'{"model": "m:1b", "prompt": "hello there"}'


class Bar:
    """A progress bar that adds up what it gets."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.total = self.done = 0

    def expect(self, count: int) -> None:
        """More to come."""
        self.total += count

    def advance(self, count: int) -> None:
        """More done."""
        assert count >= 0
        self.done += count

    def callbacks(self) -> ProgressCallbacks:
        """As ``ingest`` takes it."""
        return ProgressCallbacks(self.names.append, self.expect, self.advance)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_file_fills_the_bar(pack: Callable[[bytes], bytes], is_known: bool, tmp_path: Path) -> None:
    """By its bytes on disk, packed or not, read or known."""
    path, bar = tmp_path / "x.log", Bar()
    path.write_bytes(pack(TEXT))
    if is_known:
        ea.ingest([path], db=tmp_path / "t.duckdb")
    ea.ingest([path], db=tmp_path / "t.duckdb", watch=bar.callbacks())
    assert (bar.names, bar.total, bar.done) == ([str(path)], path.stat().st_size, path.stat().st_size)


def test_many_inputs_fill_one_bar(tmp_path: Path) -> None:
    """Folders, dumped requests, a file that cannot be read and one that is not there."""
    (tmp_path / "logs").mkdir()
    for name, data in {
        "a.log": TEXT,
        "b.log.gz": gzip.compress(TEXT[:9000]),
        "c.bin": bytes(range(1, 32)) * 99,
    }.items():
        (tmp_path / "logs" / name).write_bytes(data)
    for number in (1, 2):
        (tmp_path / "logs" / f"20261120T080005.00000000{number}Z-00000{number}_api_chat_body.json").write_bytes(BODY)
    bar = Bar()
    done = ea.ingest([tmp_path / "logs", tmp_path / "gone"], db=tmp_path / "t.duckdb", watch=bar.callbacks())
    assert (len(done.results), len(done.faults)) == (3, 2)
    assert bar.done == bar.total == sum(path.stat().st_size for path in (tmp_path / "logs").iterdir())


def test_standard_input_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are read into a file first, because their number is unknown, and then from that file."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    bar = Bar()
    ea.ingest(["-"], db=tmp_path / "t.duckdb", watch=bar.callbacks())
    assert (bar.names, bar.total, bar.done) == (["stdin"], 2 * len(TEXT), 2 * len(TEXT))
