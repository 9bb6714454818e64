"""Properties that hold for any log, cut anywhere."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import content
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from erranalytics import lineformats, loads, rulebook, sources, store
from erranalytics.classifying import Memo

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
    connection = store.open_in_memory()
    source = sources.from_bytes(text.encode())
    try:
        loads.load(connection, source, loads.Options(FORMATS, RULES, memo=MEMO, **options))
        assert content.ledger(connection) == []
        return content.digests(connection, with_resume=False)
    finally:
        sources.discard(source)
        connection.close()


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
            source = sources.open_source(str(path))
        except InputError:
            return
        connection = store.open_in_memory()
        loads.load(connection, source, loads.Options(FORMATS, RULES, memo=MEMO))
        assert content.ledger(connection) == []
        connection.close()
