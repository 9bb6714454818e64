"""Properties that hold for any log, cut anywhere."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support import content
from support.folders import SAMPLES

from erranalytics.classification import rulebook
from erranalytics.classification.classifier import Memo
from erranalytics.ingestion import loads
from erranalytics.parsing import lineformats
from erranalytics.sources.files import discard, from_bytes, open_source
from erranalytics.store.connection import open_in_memory

pytestmark = pytest.mark.slow

FORMATS, RULES = lineformats.load(), rulebook.load()
PIECES = [
    'time=2026-01-01T08:00:00.000Z level=INFO source=routes.go:1 msg="server config" env="map[A:b]"',
    'time=2026-01-01T08:00:00.100Z level=INFO source=routes.go:1 msg="Listening on 127.0.0.1:11434 (version 0.24.0)"',
    'time=2026-01-01T08:00:02.100+02:00 level=WARN source=x.go:1 msg="truncating input prompt" limit=1 prompt=2',
    'time=2026-01-01T08:00:03.100Z level=ERROR source=sched.go:457 msg="error loading llama server" error="exit status 2"',
    '[GIN] 2026/01/01 - 08:00:05 | 500 |    1.5s |       127.0.0.1 | POST     "/api/chat"',
    '[GIN] 2026/01/01 - 08:00:06 | 200 |    1m2s |       127.0.0.1 | POST     "/api/generate"',
    "llama_model_loader: - kv   0: general.architecture str = llama",
    "CUDA error: out of memory",
    "  current device: 0, in function alloc",
    "panic: boom",
    "goroutine 1 [running]:",
    "main.main()",
    "",
    "....",
    "\tindented",
    "was anderes µ",
    "Mar 01 08:00:00 gpu01 ollama[1]: load_tensors: x",
    '{"a": 1}',
]
LOGS = st.lists(
    st.one_of(
        st.sampled_from(PIECES), st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x00"), max_size=30)
    ),
    min_size=1,
    max_size=40,
)
# What a server writes of faults of every kind; S is the second of the log.
BLOCKS = {
    "oom": 'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc failed: out of memory\n'
    'time=2026-01-01T08:S.400Z level=ERROR source=a.go:1 msg="error loading llama server" error="llama runner process has terminated: cudaMalloc failed: out of memory"\n'
    '[GIN] 2026/01/01 - 08:S | 500 |            2s |       127.0.0.1 | POST     "/api/chat"\n',
    "killed": '[GIN] 2026/01/01 - 08:S | 500 |            2s |       127.0.0.1 | POST     "/api/chat"\n',
    "found": 'time=2026-01-01T08:S.100Z level=WARN source=a.go:1 msg="llama runner process no longer running" sys=9 string="signal: killed"\n',
    "start": 'time=2026-01-01T08:S.200Z level=INFO source=a.go:1 msg="starting runner" cmd="/usr/bin/ollama runner --model /m/blobs/sha256-aa --port 4711"\n',
    "ready": 'time=2026-01-01T08:S.300Z level=INFO source=a.go:1 msg="llama runner started in 1.00 seconds"\n',
    "left": 'time=2026-01-01T08:S.100Z level=INFO source=a.go:1 msg="aborting completion request due to client closing the connection"\n'
    '[GIN] 2026/01/01 - 08:S | 499 |            3s |       127.0.0.1 | POST     "/api/chat"\n',
    "told": 'time=2026-01-01T08:S.100Z level=INFO source=a.go:1 msg="llm predict error: the input length exceeds the context length"\n'
    '[GIN] 2026/01/01 - 08:S | 400 |         200ms |       127.0.0.1 | POST     "/api/generate"\n',
    "well": '[GIN] 2026/01/01 - 08:S | 200 |            1s |       127.0.0.1 | POST     "/api/chat"\n',
    "absent": '[GIN] 2026/01/01 - 08:S | 404 |           1ms |       127.0.0.1 | POST     "/api/chat"\n',
    "busy": 'time=2026-01-01T08:S.100Z level=INFO source=a.go:1 msg="server config" env="map[A:b]"\n'
    "Error: listen tcp 127.0.0.1:11434: bind: address already in use\n",
    "unknown": 'time=2026-01-01T08:S.100Z level=ERROR source=a.go:1 msg="the flux is out of phase" error="no rule knows this S"\n',
}  # fmt: skip
FAULTS = st.lists(st.tuples(st.sampled_from(sorted(BLOCKS)), st.sampled_from([0, 1, 5, 40])), min_size=3, max_size=20)
# Servers and programs that have nothing in common.
STRANGERS = [
    *(SAMPLES / "server" / f"{name}.log" for name in ("queue-0.24.0", "cloud-0.24.0", "oom-0.24.0")),
    SAMPLES / "client" / "httpx.jsonl",
]
# A failing example is not made smaller: each costs a load.
RELAXED = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
MEMO = Memo()


def digests(text: str, **options: Any) -> dict[str, Any]:
    """What a store holds after a log, with all numbers but without the times of the load; its account adds up."""
    connection = open_in_memory()
    source = from_bytes(text.encode())
    try:
        loads.load(connection, source, loads.Options(FORMATS, RULES, memo=MEMO, **options))
        assert content.ledger(connection) == []
        return content.digests(connection, with_resume=False)
    finally:
        discard(source)
        connection.close()


def incidents(paths: Iterable[Path]) -> dict[str, Counter[tuple[str, ...]]]:
    """The incidents and fingerprints of files, by their content, read one after the other."""
    connection = open_in_memory()
    for path in paths:
        loads.load(connection, open_source(str(path)), loads.Options(FORMATS, RULES, memo=MEMO))
    assert content.ledger(connection) == []
    rows = connection.execute("select fingerprint, template, format, event_count::varchar from templates").fetchall()
    said = content.content(connection)
    connection.close()
    return {"templates": Counter(rows), **{name: said[name] for name in ("incidents", "errors", "requests")}}


def faults(blocks: Sequence[tuple[str, int]]) -> list[str]:
    """The lines of a log in which one thing comes so many seconds after the other."""
    made, second = [], 0
    for name, pause in blocks:
        second += pause
        made += BLOCKS[name].replace("08:S", f"08:{second // 60:02d}:{second % 60:02d}").splitlines(keepends=True)
    return made


@given(FAULTS, st.floats(0, 1))
@settings(RELAXED, max_examples=10)
def test_where_a_log_is_cut_changes_no_incident(blocks: list[tuple[str, int]], share: float) -> None:
    """Read to any line and then to its end, again, and as a copy, a log has the incidents of one reading."""
    lines = faults(blocks)
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole.log", Path(folder) / "server.log"
        whole.write_text("".join(lines), encoding="utf-8")
        part.write_text("".join(lines), encoding="utf-8")

        def growing() -> Iterable[Path]:
            part.write_text("".join(lines[: max(1, int(share * len(lines)))]), encoding="utf-8")
            yield part
            part.write_text("".join(lines), encoding="utf-8")
            yield from (part, part, whole)

        assert incidents(growing()) == incidents([whole])


@given(st.permutations(STRANGERS))
@settings(RELAXED, max_examples=3)
def test_the_order_of_files_changes_no_incident(paths: list[Path]) -> None:
    """Logs of different servers and programs have the same incidents and fingerprints in whatever order they are read."""
    assert incidents(paths) == incidents(STRANGERS)


@given(LOGS, st.sampled_from([60, 200, 700]))
@settings(RELAXED, max_examples=10)
def test_batches_change_nothing_and_lines_are_conserved(lines: list[str], block_bytes: int) -> None:
    """Any batch size gives the same rows, and every line is in an event or a reject."""
    text = "\n".join(lines) + "\n"
    assert digests(text, block_bytes=block_bytes) == digests(text)


@given(st.binary(max_size=400))
@RELAXED
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing a file can hold makes the reader fail in another way than with a sentence."""
    from erranalytics.errors import InputError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.log"
        path.write_bytes(data)
        try:
            source = open_source(str(path))
        except InputError:
            return
        connection = open_in_memory()
        loads.load(connection, source, loads.Options(FORMATS, RULES, memo=MEMO))
        assert content.ledger(connection) == []
        connection.close()
