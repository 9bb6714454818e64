"""What belongs to one incident: a crash and all that it takes with it, a server that is started again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.content import content, difference

from erranalytics.classification import rulebook
from erranalytics.classification.classifier import Memo
from erranalytics.ingestion import loads
from erranalytics.parsing import lineformats
from erranalytics.sources.files import open_source
from erranalytics.store.connection import open_in_memory

FORMATS, RULES, MEMO = lineformats.load(), rulebook.load(), Memo()
COUNTS = "select code, error_count, request_count, restart_count from incidents order by incident_id"


def stamp(second: float) -> str:
    """Time of day of a second of the log."""
    return f"08:{int(second) // 60:02d}:{int(second) % 60:02d}"


def slog(second: float, rest: str, level: str = "INFO") -> str:
    """A line of the server."""
    millis = round(second * 1000) % 1000
    return f"time=2026-01-01T{stamp(second)}.{millis:03d}Z level={level} source=a.go:1 {rest}\n"


def gin(second: float, status: int, latency: str, path: str = "/api/chat") -> str:
    """An access line, which has whole seconds."""
    return f'[GIN] 2026/01/01 - {stamp(second)} | {status} | {latency:>13} |       127.0.0.1 | POST     "{path}"\n'


def begin(second: float) -> str:
    """A server that starts."""
    return slog(second, 'msg="server config" env="map[OLLAMA_DEBUG:INFO]"')


def runner(second: float, port: int, model: str = "a" * 64) -> str:
    """A runner that is started."""
    return slog(
        second, f'msg="starting runner" cmd="/usr/bin/ollama runner --model /m/blobs/sha256-{model} --port {port}"'
    )


def ready(second: float) -> str:
    """A runner that has loaded its model."""
    return slog(second, 'msg="llama runner started in 1.00 seconds"')


def dead(second: float) -> str:
    """A runner that is found dead, which is said twice."""
    return slog(second, 'msg="llama runner process no longer running" sys=9 string="signal: killed"', "WARN") * 2


def broken(second: float, port: int = 4711) -> str:
    """A request whose runner is gone."""
    error = f'error="Post \\"http://127.0.0.1:{port}/completion\\": EOF"'
    return slog(second, f'msg="post predict" {error}', "ERROR")


UP = begin(0) + slog(0, 'msg="Listening on 127.0.0.1:11434 (version 0.24.0)"') + runner(1, 4711) + ready(2)
AGAIN = runner(21, 4712) + ready(22) + gin(23, 200, "3s")
# A crash while ten requests are answered, as a server tells it.
CRASHES = {
    "each with its line": UP + "".join(broken(20 + n / 100) for n in range(10)) + "".join(gin(20, 500, f"{n + 3}s") for n in range(10)) + dead(20.5) + AGAIN,
    "each with its line, in turn": UP + "".join(broken(20 + n / 100) + gin(20, 500, f"{n + 3}s") for n in range(10)) + dead(20.5) + AGAIN,
    "told after a dump": UP + "SIGSEGV: segmentation violation\nPC=0x4c3f21 m=0 sigcode=0 addr=0x55cc\n\ngoroutine 1 [running]:\nmain.main()\n"
        + "".join(broken(20 + n / 100) + gin(20, 500, f"{n * 90 + 700}ms") for n in range(10)) + AGAIN,
    "without a word until the runner is found dead": UP + "".join(gin(20, 500, f"{n + 3}s") for n in range(10)) + dead(27) + AGAIN,
}  # fmt: skip


def ingested(folder: Path, steps: Sequence[str]) -> Any:
    """A store after a file that grew in steps."""
    connection = open_in_memory()
    for text in steps:
        path = folder / "server.log"
        path.write_text(text, encoding="utf-8")
        loads.load(connection, open_source(str(path)), loads.Options(FORMATS, RULES, memo=MEMO, year=2026))
    return connection


def grown(text: str, count: int) -> list[str]:
    """A log at several stages of its growth, cut at lines."""
    lines = text.splitlines(keepends=True)
    return ["".join(lines[: len(lines) * step // count]) for step in range(1, count + 1)]


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_takes_ten_requests_with_it(name: str, tmp_path: Path) -> None:
    """One incident with ten requests, which the death of the runner that is noticed later is a part of."""
    connection = ingested(tmp_path, [CRASHES[name]])
    ((_, _, requests, restarts),) = connection.execute(COUNTS).fetchall()
    assert (requests, restarts) == (10, 0)
    ((told,),) = connection.execute("select count(*) from requests where status = 500 and code is not null").fetchall()
    assert told == 10


@pytest.mark.slow
@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_that_is_read_piece_by_piece(name: str, tmp_path: Path) -> None:
    """Wherever the file ended when it was read, the incident is that of the whole."""
    one = content(ingested(tmp_path, [CRASHES[name]]))
    assert difference(one, content(ingested(tmp_path, grown(CRASHES[name], 4)))) == {}


def test_two_crashes_are_two_incidents(tmp_path: Path) -> None:
    """A runner that took the place of a dead one is not the dead one."""
    text = (
        UP + broken(20) + gin(20, 500, "3s") + dead(20.5) + AGAIN + broken(24, 4712) + gin(24, 500, "2s") + dead(24.5)
    )
    assert [row[2] for row in ingested(tmp_path, [text]).execute(COUNTS).fetchall()] == [1, 1]


def test_who_finds_a_runner_dead_is_no_victim(tmp_path: Path) -> None:
    """The request gets another runner; what it fails of later is its own."""
    text = UP + gin(10, 200, "3s") + dead(20) + runner(20, 4712) + ready(20.3) + gin(20, 500, "600ms")
    assert ingested(tmp_path, [text]).execute(COUNTS).fetchall() == [("MEM022", 2, 0, 0), ("UNK001", 1, 1, 0)]


def test_a_dead_runner_that_is_polled(tmp_path: Path) -> None:
    """Killed before it opened its port, a runner is found dead a hundred times a second until the client leaves."""
    poll = "".join(dead(20 + n / 100) for n in range(300))
    left = slog(23, 'msg="Load failed" model=/m/blobs/sha256-aa error="context canceled"') + gin(23, 499, "4s")
    text = UP + gin(10, 200, "3s") + runner(19.9, 4713) + poll + left
    assert ingested(tmp_path, [text]).execute(COUNTS).fetchall() == [("MEM021", 602, 1, 0)]


def test_a_load_that_is_tried_again(tmp_path: Path) -> None:
    """One request that makes several attempts is one incident; each request that fails is one of its own."""
    failed = "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc failed: out of memory\n"
    again = slog(6, 'msg="llama-server load failed; evicting all other models and retrying once" model=/m/a', "WARN")
    once = runner(5, 4714) + failed + again + runner(6, 4715) + failed
    rows = ingested(tmp_path, [UP + once + gin(7, 500, "3s") + once.replace("08:00:0", "08:00:1") + gin(17, 500, "3s")])
    assert [(code, requests) for code, _, requests, _ in rows.execute(COUNTS).fetchall()] == [("MEM001", 1)] * 2


RETRY = slog(10.2, 'msg="llama-server load failed; evicting all other models and retrying once" error="x"', "WARN")
ALLOC = (
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9216.00 MiB on device 0: cudaMalloc failed: out of memory\n"
)
READY = slog(14, 'msg="llama-server started in 3.50 seconds"')
# What follows on a load that ran out of memory and is tried once more; severity, whether the recovery is told.
RETRIES = {
    "it succeeds": (READY + gin(20, 200, "10s"), "info", True),
    "nobody knows": ("", "error", False),
    "it fails as well": (ALLOC + gin(16, 500, "6s"), "error", False),
}


@pytest.mark.parametrize("name", RETRIES)
def test_a_retry_of_the_server_that_succeeds_is_a_notice(name: str, tmp_path: Path) -> None:
    """Where the second attempt is seen to succeed no request was lost; the incident names the line that shows it."""
    behind, severity, is_told = RETRIES[name]
    text = UP + ALLOC + RETRY + behind
    for steps in ([text], grown(text, 3)):
        connection = ingested(tmp_path, steps)
        rows = connection.execute("select severity, recovered_event_id is not null from incidents").fetchall()
        assert rows == [(severity, is_told)]


def test_the_reason_of_a_request_is_with_it(tmp_path: Path) -> None:
    """What is told of one request and its access line are one, what is told of another one is not."""
    told = 'msg="llm predict error: the input length exceeds the context length"'
    text = UP + "".join(slog(10 + n, told) + gin(10 + n, 400, "200ms") for n in range(3))
    assert ingested(tmp_path, [text]).execute(COUNTS).fetchall() == [("CTX001", 2, 1, 0)] * 3


# --- a server that is started again and again -------------------------------------------------------------------------


def with_systemd(count: int, error: str) -> str:
    """A journal of a unit that ends at each start."""
    made = []
    for n in range(count):
        head = f"Jan 01 {stamp(4 * n)} gpu01"
        made += [
            f"{head} systemd[1]: Started ollama.service - Ollama Service.\n",
            f"{head} ollama[{100 + n}]: {begin(4 * n)}",
            f"{head} ollama[{100 + n}]: {error}\n",
            f"{head} systemd[1]: ollama.service: Main process exited, code=exited, status=1/FAILURE\n",
            f"{head} systemd[1]: ollama.service: Failed with result 'exit-code'.\n",
            f"Jan 01 {stamp(4 * n + 3)} gpu01 systemd[1]: ollama.service: Scheduled restart job, restart counter is at {n + 1}.\n",
        ]
    return "".join(made)


def without(count: int, error: str) -> str:
    """The output of a container that ends at each start, with growing pauses."""
    return "".join(begin(n * n * 3) + error + "\n" for n in range(count))


BUSY = "Error: listen tcp 127.0.0.1:11434: bind: address already in use"
ABSENT = "Error: mkdir /mnt/models: no such file or directory: ensure path elements are traversable"
LOOPS: dict[str, tuple[Callable[[int, str], str], str, tuple[str, int, int, int]]] = {
    "a busy port, systemd": (with_systemd, BUSY, ("SVC001", 28, 0, 7)),
    "a missing folder, systemd": (with_systemd, ABSENT, ("STO004", 28, 0, 7)),
    "a reason that nobody knows, systemd": (with_systemd, "Error: no rule knows this", ("SVC003", 21, 0, 7)),
    "a busy port": (without, BUSY, ("SVC001", 7, 0, 6)),
    "a missing folder": (without, ABSENT, ("STO004", 7, 0, 6)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_restart_loop_is_one_incident(name: str, tmp_path: Path) -> None:
    """Each start is a run of its own, all of them are one incident, which counts the starts."""
    make, error, expected = LOOPS[name]
    assert ingested(tmp_path, [make(7, error)]).execute(COUNTS).fetchall() == [expected]


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_a_restart_loop_that_is_read_while_it_lasts(name: str, tmp_path: Path) -> None:
    """The next start joins the incident that an earlier load stored."""
    make, error, _ = LOOPS[name]
    text = make(7, error)
    one = content(ingested(tmp_path, [text]))
    assert difference(one, content(ingested(tmp_path, grown(text, 4)))) == {}


def test_a_loop_that_lasts_longer_than_what_is_read_again(tmp_path: Path) -> None:
    """A start in the tenth hour joins the first one, and another reason is another incident."""
    starts = [begin(n * 120 % 3600).replace("T08", f"T{8 + n // 30:02d}") + BUSY + "\n" for n in range(90)]
    connection = ingested(tmp_path, ["".join(starts[:end]) for end in (1, 30, 60, 90)])
    assert connection.execute(COUNTS).fetchall() == [("SVC001", 90, 0, 89)]
    other = ingested(tmp_path, [without(4, BUSY) + without(4, ABSENT).replace("T08", "T09")])
    assert other.execute(COUNTS).fetchall() == [("SVC001", 4, 0, 3), ("STO004", 4, 0, 3)]


def test_a_second_server_on_another_day_is_no_loop(tmp_path: Path) -> None:
    """Two starts an hour apart are two incidents."""
    connection = ingested(tmp_path, [UP + BUSY + "\n" + slog(60, "msg=a") + begin(3000) + BUSY + "\n"])
    assert [row[3] for row in connection.execute(COUNTS).fetchall()] == [0, 0]
