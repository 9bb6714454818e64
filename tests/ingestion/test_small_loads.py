"""Small sources of one call are stored and derived together, with the same result as one by one."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from support.content import ledger
from support.folders import SAMPLES

import erranalytics as ea
from erranalytics.derivation import steps
from erranalytics.errors import InputError
from erranalytics.ingestion import inputs, loads
from erranalytics.store.connection import open_store

SERVER = [SAMPLES / "server" / name for name in ("oom-0.24.0.log", "queue-0.24.0.log", "cloud-0.24.0.log")]
CLIENT = [SAMPLES / "client" / name for name in ("httpx.jsonl", "ollama-python.jsonl")]
LINE = 'time=2026-11-20T08:00:{:02d}.000Z level=WARN source=a.go:1 msg="line {} of {}"\n'


def stored(paths: list[Path], db: Path, *, is_together: bool) -> dict[str, tuple[int, str]]:
    """What a store holds after the paths were read in one call or in a call each."""
    for some in [paths] if is_together else [[path] for path in paths]:
        done = ea.ingest(some, db=db, tz="UTC")
        assert done.faults == ()
    with duckdb.connect(str(db)) as connection:
        return ledger(connection)


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """The loads of each derivation."""
    found: list[range] = []
    derive = steps.derive

    def watched(connection: duckdb.DuckDBPyConnection, *, loads: range, **others: object) -> None:
        found.append(loads)
        derive(connection, loads=loads, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(loads, "derive", watched)
    return found


def test_one_call_gives_what_many_give(tmp_path: Path, derived: list[range]) -> None:
    """Logs of servers and of clients, one of them packed, derived once."""
    packed = tmp_path / "trace.log.gz"
    packed.write_bytes(gzip.compress((SAMPLES / "server" / "trace-0.24.0.log").read_bytes()))
    paths = [*SERVER, packed, *CLIENT]
    together = stored(paths, tmp_path / "together.duckdb", is_together=True)
    assert derived == [range(1, 7)]
    assert together == stored(paths, tmp_path / "apart.duckdb", is_together=False)
    assert len(derived) == 1 + len(paths)


@pytest.mark.slow
def test_what_repeats_or_continues_is_stored_by_itself(tmp_path: Path, derived: list[range]) -> None:
    """Copies, pieces of one log, a piece that grows a known one, and a log that has records of two others."""
    lines = SERVER[0].read_text(encoding="utf-8").splitlines(keepends=True)
    pieces = {
        "copy.log": lines,
        "a.log.2": lines[:300],
        "a.log.1": lines[300:],
        "overlap.log": lines[200:500],
        "other.log": SERVER[1].read_text(encoding="utf-8").splitlines(keepends=True),
        "whole.log": lines[:600],
    }
    for name, some in pieces.items():
        (tmp_path / name).write_text("".join(some), encoding="utf-8")
    paths = [SERVER[0], *(tmp_path / name for name in pieces)]
    # In one call a piece goes on where the one before it ended, also in its run; so the pieces come last there.
    paths = [path for path in paths if ".log." not in path.name]
    together = stored(paths, tmp_path / "together.duckdb", is_together=True)
    assert together == stored(paths, tmp_path / "apart.duckdb", is_together=False)
    pieces_only = [tmp_path / "a.log.2", tmp_path / "a.log.1"]
    done = ea.ingest(pieces_only, db=tmp_path / "pieces.duckdb", tz="UTC")
    assert sum(one.line_count for one in done.results) == len(lines)
    with ea.connect(tmp_path / "pieces.duckdb") as connection:
        one = connection.execute("select count(*), count(distinct session_id) from events").fetchone()
    with ea.connect(tmp_path / "together.duckdb") as connection:
        whole = connection.execute(
            "select count(*), count(distinct session_id) from events where source_id = 1"
        ).fetchone()
    assert one == whole


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)])
def test_order_and_groups_change_no_incident(order: tuple[int, ...], tmp_path: Path) -> None:
    """Whatever is stored with what, incidents of independent logs are the same."""
    paths = [SERVER[place] for place in order]
    ea.ingest(paths, db=tmp_path / "t.duckdb", tz="UTC")
    with ea.connect(tmp_path / "t.duckdb") as connection:
        found = connection.execute("select code, first_ts::varchar from incidents order by all").fetchall()
    ea.ingest(SERVER, db=tmp_path / "sorted.duckdb", tz="UTC")
    with ea.connect(tmp_path / "sorted.duckdb") as connection:
        assert found == connection.execute("select code, first_ts::varchar from incidents order by all").fetchall()


def small_files(folder: Path, count: int) -> list[str]:
    """Files of two lines that have nothing in common."""
    for number in range(count):
        lines = [LINE.format(second, second, number).replace("11-20", f"11-{number % 28 + 1:02d}") for second in (1, 2)]
        (folder / f"{'abcdefghij'[number % 10]}{number}x.log").write_text("".join(lines))
    return sorted(str(path) for path in folder.glob("*x.log"))


def test_a_group_ends_by_count_and_by_bytes(
    tmp_path: Path, derived: list[range], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So little is lost when the program is killed; each source is named with its result, in order."""
    names = small_files(tmp_path, 7)
    monkeypatch.setattr(inputs, "TOGETHER_COUNT", 3)
    done = ea.ingest(names, db=tmp_path / "t.duckdb")
    assert [len(one) for one in derived] == [3, 3, 1]
    assert [one.uri for one in done.results] == names
    assert {(one.status, one.line_count) for one in done.results} == {("new", 2)}
    derived.clear()
    monkeypatch.setattr(inputs, "TOGETHER_BYTES", 200)
    ea.ingest(names, db=tmp_path / "bytes.duckdb")
    assert [len(one) for one in derived] == [2, 2, 2, 1]


def test_a_known_source_among_new_ones(tmp_path: Path, derived: list[range]) -> None:
    """It adds nothing, keeps its place in the summary, and ends no group."""
    names = small_files(tmp_path, 5)
    ea.ingest([names[2]], db=tmp_path / "t.duckdb")
    derived.clear()
    done = ea.ingest(names, db=tmp_path / "t.duckdb")
    assert [one.status for one in done.results] == ["new", "new", "known", "new", "new"]
    assert [len(one) for one in derived] == [4]
    again = ea.ingest(names, db=tmp_path / "t.duckdb")
    assert {one.status for one in again.results} == {"known"}
    assert len(derived) == 1


def test_the_same_text_under_two_names_in_one_call(tmp_path: Path) -> None:
    """The second one is known, as it would be in a call of its own."""
    first, *_ = small_files(tmp_path, 1)
    (tmp_path / "copyx.log").write_bytes(Path(first).read_bytes())
    done = ea.ingest([first, tmp_path / "copyx.log"], db=tmp_path / "t.duckdb")
    assert [one.status for one in done.results] == ["new", "known"]


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A source whose rows the store refuses, by the name of its file."""
    append = loads.Appender.append

    def refuse(self: loads.Appender, parts: list[tuple[object, object, object]]) -> None:
        if any("line 1 of 2" in (text or "") for *_, batch in parts for text in batch.events["message"]):  # type: ignore[attr-defined]
            raise duckdb.ConstraintException("refused")
        append(self, parts)  # type: ignore[arg-type]

    monkeypatch.setattr(loads.Appender, "append", refuse)
    return "c2x.log"


def test_a_bad_source_does_not_take_the_others_with_it(tmp_path: Path, refusing: str) -> None:
    """What the store refuses is said, and everything else of its group is there."""
    names = small_files(tmp_path, 5)
    with pytest.raises(duckdb.ConstraintException):
        ea.ingest(names, db=tmp_path / "t.duckdb")
    with ea.connect(tmp_path / "t.duckdb") as connection:
        found = [Path(uri).name for (uri,) in connection.execute("select uri from sources order by uri").fetchall()]
    assert found == [Path(name).name for name in names if not name.endswith(refusing)]


def test_what_cannot_be_read_is_a_fault_among_the_others(tmp_path: Path) -> None:
    """A missing file, a binary one and an empty one beside two logs."""
    names = small_files(tmp_path, 2)
    (tmp_path / "b.bin").write_bytes(bytes(range(1, 32)) * 99)
    (tmp_path / "empty.log").write_bytes(b"")
    paths = [names[0], str(tmp_path / "gone"), str(tmp_path / "b.bin"), str(tmp_path / "empty.log"), names[1]]
    done = ea.ingest(paths, db=tmp_path / "t.duckdb")
    assert [one.status for one in done.results] == ["new", "empty", "new"]
    assert all(isinstance(fault, InputError) for fault in done.faults)
    assert len(done.faults) == 2


def test_nothing_is_seen_of_a_group_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of a group come with its commit; ended before it, the next call gives what an undisturbed one gives."""
    db, names = tmp_path / "t.duckdb", small_files(tmp_path, 4)
    open_store(db).close()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loads, "_write_loads", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        ea.ingest(names, db=db)
    with ea.connect(db) as connection:
        assert connection.execute("select count(*) from events").fetchall() == [(0,)]
    again = stored([Path(name) for name in names], db, is_together=True)
    assert again == stored([Path(name) for name in names], tmp_path / "other.duckdb", is_together=True)
