"""Facts: what a problem says in numbers and names, as typed columns and in remedies."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from erranalytics.classification import facts, rulebook
from erranalytics.classification.classifier import classify
from erranalytics.classification.remedies import remedies
from erranalytics.store.connection import open_in_memory

BOOK = rulebook.load()

# Text, the columns it fills. Sizes are bytes.
TOLD: list[tuple[str, dict[str, Any]]] = [
    (
        'msg="Load failed" error="model requires more system memory (24.0 GiB) than is available (15.5 GiB)"',
        {"needed_bytes": 25769803776, "free_bytes": 16642998272, "missing_bytes": 9126805504},
    ),
    (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9216.00 MiB on device 1: cudaMalloc failed: out of memory",
        {"device": "1", "buffer_bytes": 9663676416},
    ),
    (
        "ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 4096",
        {"device": "CUDA0", "buffer_bytes": 4096},
    ),
    ("load_tensors: offloaded 2/29 layers to GPU", {"layers_offloaded": 2, "layers_total": 29}),
    (
        'msg="truncating input prompt" limit=2048 prompt=9000 keep=5 new=2048',
        {"num_ctx": 2048, "prompt_tokens": 9000},
    ),
    ("llama runner process has terminated: exit status 0xc0000409", {"exit_code": 3221226505}),
    ('msg="llama runner terminated" error="signal: killed"', {"signal": "killed"}),
    (
        "Error: listen tcp 127.0.0.1:11434: bind: address already in use",
        {"server_address": "127.0.0.1", "server_port": 11434},
    ),
    ("model 'registry.ollama.ai/library/qwen3:32b' not found", {"model": "qwen3:32b"}),
    ("429 Too Many Requests: rate limit exceeded, Retry-After: 30", {"retry_after_s": 30}),
    ("ollama.service: Scheduled restart job, restart counter is at 7.", {"restart_count": 7}),
    ('option "num_ctx" must be of type integer', {"option": "num_ctx"}),
    ("Out of memory: Killed process 4066 (ollama) total-vm:1kB, anon-rss:1kB", {"process_pid": 4066}),
    ("ollama.service: Main process exited, code=killed, status=9/KILL", {"signal": "KILL"}),
]


@pytest.mark.parametrize(("text", "expected"), TOLD, ids=[text[:40] for text, _ in TOLD])
def test_text_fills_the_columns(text: str, expected: dict[str, Any]) -> None:
    """Each text fills exactly the columns it tells of."""
    columns = facts.columns(classify(pl.Series([text]), book=BOOK)["captures"])
    assert columns.schema == facts.schema()
    assert {name: value for name, value in columns.row(0, named=True).items() if value is not None} == expected


def test_every_pattern_has_its_proof() -> None:
    """Examples give their value, counterexamples none, and each cheap test stands in an example."""
    assert list(facts.faults()) == []


def test_notices_tell_no_facts() -> None:
    """A line that reports no problem is not searched for facts: there are millions of them."""
    line = 'level=INFO source=server.go:1028 msg="model requires more gpu memory than is currently available, evicting a model to make space" model=demo:1b'
    assert classify(pl.Series([line]), book=BOOK)["captures"].to_list() == [None]


def test_store_has_a_column_for_each_fact_with_its_meaning() -> None:
    """The columns of ``errors`` are those of the facts, comments included."""
    connection = open_in_memory()
    found = dict(
        connection.execute("select column_name, comment from duckdb_columns() where table_name = 'errors'").fetchall()
    )
    types = dict(
        connection.execute("select column_name, data_type from duckdb_columns() where table_name = 'errors'").fetchall()
    )
    for fact in facts.book():
        assert found[fact.name] == fact.meaning
        assert types[fact.name] == ("BIGINT" if fact.dtype == pl.Int64() else "VARCHAR")


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (429496729, "410 MiB"),
        (1048576, "1.0 MiB"),
        (3328599654, "3.1 GiB"),
        (None, None),
    ],
)
def test_sizes_are_readable(count: int | None, expected: str | None) -> None:
    """Bytes are told in the unit people use, and not more exactly than the log knows them."""
    frame = pl.DataFrame({"count": [count]}, schema={"count": pl.Int64})
    assert frame.select(facts.size(pl.col("count"))).item() == expected


def test_remedy_is_filled_or_left_out() -> None:
    """A remedy with numbers is given when the text tells all of them; else that of the cause stands."""
    texts = [
        "model requires more system memory (24.0 GiB) than is available (15.5 GiB)",
        'msg="model request too large for system" requested="24.0 GiB"',
        "model 'demo' not found",
        "something else",
    ]
    found = classify(pl.Series(texts), book=BOOK)
    table = found.select("rule").hstack(facts.columns(found["captures"]))
    filled = remedies(table, BOOK).to_list()
    assert filled[0].startswith("Free 8.5 GiB of memory (24.0 GiB are needed, 15.5 GiB were free)")
    assert filled[1] is None
    assert filled[2].startswith("ollama pull demo ")
    assert filled[3] is None


def test_facts_do_not_depend_on_their_neighbours() -> None:
    """The same text tells the same, alone, among others and in any order."""
    texts = pl.Series([text for text, _ in TOLD])
    together = classify(texts, book=BOOK)["captures"].to_list()
    backwards = classify(texts.reverse(), book=BOOK)["captures"].to_list()[::-1]
    alone = [classify(pl.Series([text]), book=BOOK)["captures"].item() for text in texts]
    assert together == backwards == alone
