"""What a prefix is known by: the same however the bytes come, and as plain SHA-256 where they are few."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erranalytics.classification import rulebook
from erranalytics.ingestion import identity, loads
from erranalytics.parsing import lineformats
from erranalytics.sources import digest as digests
from erranalytics.sources.digest import Digest
from erranalytics.sources.files import open_source, prefix_digests
from erranalytics.store.connection import open_in_memory

LEAF = 1000


@pytest.fixture(autouse=True)
def _short_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (digests, identity):
        monkeypatch.setattr(module, "LEAF_BYTES", LEAF)


def made(data: bytes) -> str:
    """By the definition: leaves of a fixed size, the last one with at least a byte."""
    leaves = [data[start : start + LEAF] for start in range(0, len(data), LEAF)] or [b""]
    if len(leaves) == 1:
        return hashlib.sha256(data).hexdigest()
    return digests.TREE + hashlib.sha256(b"".join(hashlib.sha256(leaf).digest() for leaf in leaves)).hexdigest()


@given(
    data=st.integers(0, 4 * LEAF).map(lambda size: bytes(n * 7 % 251 for n in range(size))),
    steps=st.lists(st.integers(0, 2500), max_size=6),
)
def test_any_steps_give_the_same(data: bytes, steps: list[int]) -> None:
    """In any steps, and going on from a copy."""
    digest, place = Digest(), 0
    for step in steps:
        digest.update(data[place : place + step])
        place = min(place + step, len(data))
        assert digest.hexdigest() == made(data[:place])
    other = digest.copy()
    other.update(data[place:])
    assert (other.hexdigest(), digest.hexdigest()) == (made(data), made(data[:place]))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_side_by_side_or_streamed(tmp_path: Path, pack: type[bytes]) -> None:
    """Each prefix, also at the borders of a leaf; sizes beyond the end are left out."""
    data = b"".join(b"line %d\n" % n for n in range(500))
    path = tmp_path / "a.log"
    path.write_bytes(pack(data))
    sizes = [0, 1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF, len(data) - 1, len(data), len(data) + 1]
    found = prefix_digests(open_source(str(path)), sizes)
    assert {size: one.hexdigest() for size, one in found.items()} == {size: made(data[:size]) for size in sizes[:-1]}
    found[LEAF].update(data[LEAF:])
    assert found[LEAF].hexdigest() == made(data)


def test_a_long_source_of_an_earlier_version_is_known(tmp_path: Path) -> None:
    """Its digest is that of all bytes at once; unchanged it is known, and it may grow."""
    line = "time=2026-11-21T10:00:{:02}.000Z level=INFO source=a.go:1 msg=hello n={}\n"
    data = "".join(line.format(n % 60, n) for n in range(60)).encode()
    path = tmp_path / "server.log"
    path.write_bytes(data)
    connection, options = open_in_memory(), loads.Options(lineformats.load(), rulebook.load())
    loads.load(connection, open_source(str(path)), options)
    connection.execute("update sources set content_digest = ?", [hashlib.sha256(data).hexdigest()])
    assert loads.load(connection, open_source(str(path)), options).status == "known"
    path.write_bytes(data + line.format(59, "end").encode())
    assert loads.load(connection, open_source(str(path)), options).status == "grown"
    assert loads.load(connection, open_source(str(path)), options).status == "known"
    assert connection.execute("select count(*), sum(line_count) from events").fetchall() == [(61, 61)]
