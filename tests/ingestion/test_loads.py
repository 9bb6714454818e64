"""A load: once, whole or not at all; grown files; derived tables."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.content import content, difference, digests, ledger

from erranalytics.classification import rulebook
from erranalytics.ingestion import loads, prefetch
from erranalytics.parsing import lineformats
from erranalytics.sources.files import open_source
from erranalytics.store import frames
from erranalytics.store.connection import open_store

FORMATS, RULES = lineformats.load(), rulebook.load()


def slog(second: int, rest: str, level: str = "INFO") -> str:
    """A slog line of second ``second`` of the log."""
    return f"time=2026-01-01T08:{second // 60:02d}:{second % 60:02d}.000Z level={level} source=a.go:1 {rest}\n"


def gin(second: int, status: int = 200, *, latency: str = "500ms", path: str = "/api/chat") -> str:
    """An access line of second ``second`` of the log."""
    return f'[GIN] 2026/01/01 - 08:{second // 60:02d}:{second % 60:02d} | {status} | {latency:>13} |       127.0.0.1 | POST     "{path}"\n'


START = slog(
    0,
    'msg="server config" env="map[OLLAMA_DEBUG:INFO OLLAMA_ORIGINS:[http://localhost https://localhost] HTTP_PROXY:]"',
) + slog(0, 'msg="Listening on 127.0.0.1:11434 (version 0.24.0)"')
LOAD = slog(
    5,
    'msg="starting runner" cmd="/usr/bin/ollama runner --model /m/blobs/sha256-0123456789abcdef --ctx-size 8192 --parallel 2 --port 4711"',
)
OOM = (
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc failed: out of memory\n"
    + slog(
        6,
        'msg="error loading llama server" error="llama runner process has terminated: cudaMalloc failed: out of memory"',
        "ERROR",
    )
    + gin(6, 500, latency="2s")
)
KILLED = slog(60, 'msg="llama runner process no longer running" sys=9 string="signal: killed"', "WARN") * 2


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty store."""
    opened = open_store(tmp_path / "t.duckdb")
    yield opened
    opened.close()


def load(connection: duckdb.DuckDBPyConnection, path: Path, **options: Any) -> loads.LoadResult:
    """Ingest one file."""
    return loads.load(connection, open_source(str(path)), loads.Options(FORMATS, RULES, **options))


def write(path: Path, text: str) -> Path:
    """A file with that text."""
    path.write_text(text, encoding="utf-8")
    return path


def test_same_file_again_adds_nothing(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Not a row changes in any table; another name and gzip make no difference."""
    path = write(tmp_path / "a.log", START + LOAD + OOM)
    assert load(connection, path).status == "new"
    before = frames.digests(connection)
    copy = tmp_path / "copy.gz"
    copy.write_bytes(gzip.compress(path.read_bytes()))
    assert [load(connection, one).status for one in (path, write(tmp_path / "b.log", path.read_text()), copy)] == [
        "known"
    ] * 3
    assert frames.digests(connection) == before


def test_grown_file_adds_its_tail(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Events, times, runs and incidents are those of one ingest of the whole file."""
    path = write(tmp_path / "a.log", START + LOAD)
    load(connection, path)
    write(path, START + LOAD + OOM + START)
    result = load(connection, path)
    assert (result.status, result.line_count) == ("grown", 5)
    other = open_store(tmp_path / "o.duckdb")
    load(other, path)
    assert difference(content(connection), content(other)) == {}
    assert sum(content(other)["incidents"].values()) == 1
    other.close()


def test_other_content_of_the_same_name_is_another_source(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A rotated file is recognised although it keeps its name."""
    load(connection, write(tmp_path / "a.log", START))
    assert load(connection, write(tmp_path / "a.log", LOAD + OOM)).status == "new"
    assert connection.execute("select count(*) from sources").fetchall() == [(2,)]


def test_a_few_common_lines_are_no_identity(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A file of one line is not taken for the beginning of every log that starts with that line."""
    load(connection, write(tmp_path / "a.log", "nohup: ignoring input\n"))
    assert load(connection, write(tmp_path / "b.log", "nohup: ignoring input\n" + START)).status == "new"
    assert load(connection, write(tmp_path / "c.log", "nohup: ignoring input\n")).status == "known"
    assert load(connection, write(tmp_path / "a.log", "nohup: ignoring input\n" + LOAD)).status == "grown"


def test_two_hosts_that_print_the_same_stay_two(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """The host label is part of the identity of a source."""
    path = write(tmp_path / "a.log", START)
    assert [load(connection, path, host=host).status for host in ("a", "b", "a")] == ["new", "new", "known"]
    hosts = connection.execute("select distinct host from events order by host").fetchall()
    assert hosts == [("a",), ("b",)]


def test_failed_load_leaves_nothing(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row in ``loads`` is written last; what happens before it goes is rolled back."""
    before = frames.digests(connection)

    def fail(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loads, "_write_loads", fail)
    with pytest.raises(KeyboardInterrupt):
        load(connection, write(tmp_path / "a.log", START + OOM))
    assert frames.digests(connection) == before
    monkeypatch.undo()
    assert load(connection, tmp_path / "a.log").status == "new"


@pytest.mark.parametrize("block_bytes", [64, 300, 1 << 20])
def test_batches_change_nothing(tmp_path: Path, block_bytes: int) -> None:
    """Every table is the same for any block size."""
    path = write(
        tmp_path / "a.log",
        START
        + LOAD
        + OOM
        + KILLED
        + gin(61)
        + "panic: x\n\ngoroutine 1 [running]:\nmain.main()\n"
        + slog(70, "msg=end"),
    )
    seen = []
    for size in (block_bytes, 1 << 22):
        opened = open_store(tmp_path / f"{size}.duckdb")
        load(opened, path, block_bytes=size)
        seen.append(digests(opened, with_resume=False))
        opened.close()
    assert seen[0] == seen[1]


def test_lines_are_conserved(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Lines in equal lines of events plus rejects."""
    path = write(tmp_path / "a.log", "\n\n" + START + "\x00garbage ü\n" + OOM + "\n\nlast line without end")
    assert load(connection, path).line_count == len(path.read_text().split("\n"))
    assert ledger(connection) == []


def test_session_knows_version_and_config(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Values with blanks and colons come out whole."""
    load(connection, write(tmp_path / "a.log", START))
    row = connection.execute(
        "select version, config['OLLAMA_ORIGINS'], config['HTTP_PROXY'] from server_sessions"
    ).fetchone()
    assert row == ("0.24.0", "[http://localhost https://localhost]", "")


def test_second_server_on_a_busy_port_is_no_session_for_what_follows(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """The first server goes on in the same file."""
    text = (
        START
        + gin(1)
        + START.splitlines(keepends=True)[0]
        + "Error: listen tcp 127.0.0.1:11434: bind: address already in use\n"
        + gin(2)
    )
    load(connection, write(tmp_path / "a.log", text))
    rows = connection.execute("select session_id from events where format = 'gin' order by event_id").fetchall()
    assert rows[0] == rows[1]


def test_echoes_of_one_failure_are_one_incident(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Device error, load error and access line: one incident, the device error is its root."""
    load(connection, write(tmp_path / "a.log", START + LOAD + OOM))
    rows = connection.execute("select code, error_count, request_count, sides from incidents").fetchall()
    assert rows == [("MEM001", 3, 1, "server")]
    root = connection.execute(
        "select e.message from incidents i join events e on e.event_id = i.root_event_id"
    ).fetchone()
    assert root is not None and "cudaMalloc" in root[0]
    assert connection.execute("select outcome, code from requests").fetchall() == [
        ("failed_before_first_byte", "MEM001")
    ]


def test_model_load_knows_its_numbers(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Context per request, parallel, port, buffers, outcome."""
    good = (
        LOAD
        + "load_tensors: offloaded 33/33 layers to GPU\nload_tensors:        CUDA0 model buffer size =  1024.00 MiB\n"
        + slog(7, 'msg="llama runner started in 2.00 seconds"')
    )
    load(connection, write(tmp_path / "a.log", START + LOAD + OOM + good))
    sql = "select outcome, code, num_ctx, num_parallel, runner_port, layers_offloaded, weights_bytes from model_loads order by load_seq"
    assert connection.execute(sql).fetchall() == [
        ("oom", "MEM001", 4096, 2, 4711, None, None),
        ("loaded", None, 4096, 2, 4711, 33, 1024 << 20),
    ]


def test_request_that_ran_after_the_fault_is_not_its_victim(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A 400 and a quick 500 beside a crash keep their own cause."""
    load(
        connection,
        write(tmp_path / "a.log", START + LOAD + OOM + gin(6, 400, latency="2s") + gin(9, 500, latency="5ms")),
    )
    rows = connection.execute("select status, code from requests order by request_id").fetchall()
    assert rows == [(500, "MEM001"), (400, "REQ034"), (500, "UNK001")]


def test_a_200_is_not_observable_and_suspect_over_a_death(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """The death is noticed at the next request, so it is led back to the last stream before it."""
    load(connection, write(tmp_path / "a.log", START + gin(10) + gin(30) + KILLED + gin(62)))
    rows = connection.execute("select outcome, suspected_by is not null from requests order by request_id").fetchall()
    assert rows == [("not_observable", False), ("not_observable", True), ("not_observable", False)]


def test_polls_are_no_inference(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Heartbeats are counted apart; digests and unknown paths do not multiply endpoints."""
    lines = (
        gin(1, path="/api/blobs/sha256:ab")
        + gin(2, path="/nope")
        + gin(3).replace("POST", "HEAD").replace("/api/chat", "/")
    )
    load(connection, write(tmp_path / "a.log", START + lines))
    rows = connection.execute("select endpoint, is_poll, is_inference from requests order by request_id").fetchall()
    assert rows == [("/api/blobs/:digest", False, False), ("/other", False, False), ("/", True, False)]


def test_errors_of_the_producer_come_through() -> None:
    """What breaks in a thread breaks the load, it is not swallowed."""

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("boom")

    items = prefetch.ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="boom"):
        next(items)


def test_consumer_may_stop_early() -> None:
    """Closing the iterator ends the thread."""
    items = prefetch.ahead(iter(range(1000)))
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
