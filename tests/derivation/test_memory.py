"""What a memory failure needed, what was free, and what would have fitted: against sets computed by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

import erranalytics as ea

MIB, GIB = 1 << 20, 1 << 30
BLOB, OTHER = "sha256-" + "ab12" * 16, "sha256-" + "cd34" * 16


def slog(second: float, source: str, message: str, attrs: str = "") -> str:
    """A line of the server."""
    quoted = f'"{message}"' if " " in message else message
    return f"time=2026-01-05T10:{int(second // 60):02}:{second % 60:06.3f}Z level=INFO source={source} msg={quoted} {attrs}".rstrip()


def started(second: float, blob: str, ctx: int, parallel: int) -> str:
    """The start of a runner."""
    return slog(second, "server.go:438", "starting llama server", f'cmd="/usr/bin/ollama runner --model /m/blobs/{blob} --ctx-size {ctx} --parallel {parallel} --n-gpu-layers 33 --port 40001"')  # fmt: skip


LISTENING = slog(0, "routes.go:1298", "Listening on 127.0.0.1:11434 (version 0.6.2)")
FILE_FACTS = """llama_model_load_from_file_impl: using device CUDA0 (NVIDIA GeForce RTX 3060) - 9000 MiB free
print_info: arch             = llama
print_info: file type        = Q4_K - Medium
print_info: n_layer          = 32
load_tensors: offloaded 33/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   281.00 MiB
load_tensors:        CUDA0 model buffer size =  6600.00 MiB"""
NO_CACHE = """ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc failed: out of memory
alloc_tensor_range: failed to allocate CUDA0 buffer of size 4294967296
llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache"""
NO_GRAPH = """llama_kv_cache_init:      CUDA0 KV buffer size =  2048.00 MiB
ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1064.00 MiB on device 0: cudaMalloc failed: out of memory
ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 1115684864"""
GIVEN_UP = slog(3, "sched.go:456", "error loading llama server", 'error="llama runner process has terminated: cudaMalloc failed: out of memory"')  # fmt: skip

# 9,000 MiB were free, the weights took 6,600: 2,400 are left for 4,096 of cache, 1,696 are missing, 41.4 % of it.
CACHE = "\n".join([LISTENING, started(1, BLOB, 32768, 4), FILE_FACTS, NO_CACHE, GIVEN_UP])
# 6,600 of weights and 2,048 of cache leave 352 for 1,064 of graphs: 712 are missing, 34.8 % of the cache.
GRAPH = "\n".join([LISTENING, started(1, BLOB, 16384, 1), FILE_FACTS, NO_GRAPH, GIVEN_UP])
REFUSAL = "\n".join([
    LISTENING,
    slog(1, "server.go:105", "system memory", 'total="8.0 GiB" free="3.9 GiB" free_swap="0 B"'),
    slog(1, "memory.go:356", "offload to cpu", 'layers.requested=-1 layers.model=33 layers.offload=0 layers.split="" memory.available="[4.0 GiB]" memory.required.full="5.0 GiB" memory.required.partial="0 B" memory.required.kv="1.0 GiB" memory.required.allocations="[5.0 GiB]" memory.weights.total="3.5 GiB" memory.weights.repeating="3.2 GiB" memory.weights.nonrepeating="0.3 GiB" memory.graph.full="512.0 MiB" memory.graph.partial="512.0 MiB"'),
    slog(1, "sched.go:428", "NewLlamaServer failed", f'model=/m/blobs/{BLOB} error="model requires more system memory (5.0 GiB) than is available (4.0 GiB)"'),
])  # fmt: skip


def read(log: str, tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """A store of one log."""
    source = tmp_path / "server.log"
    source.write_text(log + "\n", encoding="utf-8")
    ea.ingest([source], db=tmp_path / "store.duckdb")
    return ea.connect(tmp_path / "store.duckdb")


def numbers(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """What the failures needed, in the order of the log."""
    sql = "select device, needed_bytes, free_bytes, missing_bytes, num_ctx, num_parallel, kv_bytes, weights_bytes from memory_failures order by incident_id"
    cursor = connection.execute(sql)
    names = [one[0] for one in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def changes(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, int]]:
    """What would have fitted: value and bytes saved by setting."""
    found = connection.execute("select setting, value, saved_bytes from memory_changes order by rank").fetchall()
    return {setting: (value, saved) for setting, value, saved in found}


def test_cache_that_did_not_fit(tmp_path: Path) -> None:
    """Cache of four slots on a device with weights: each change is the largest value that fits, by hand."""
    connection = read(CACHE, tmp_path)
    assert numbers(connection) == [
        {
            "device": "CUDA0",
            "needed_bytes": 4096 * MIB,
            "free_bytes": 2400 * MIB,
            "missing_bytes": 1696 * MIB,
            "num_ctx": 8192,
            "num_parallel": 4,
            "kv_bytes": 4096 * MIB,
            "weights_bytes": 6600 * MIB,
        }
    ]
    assert changes(connection) == {
        "num_parallel": ("2", 2048 * MIB),  # 3 would save 1,024 only
        "kv_cache_type": ("q8_0", 1920 * MIB),  # 4096 * 30 / 64
        "num_ctx": ("4608", 1792 * MIB),  # 8192 * (1 - 1696 / 4096) = 4800, in steps of 256
        "num_gpu": ("27", round(6 * (10696 / 33) * MIB)),  # 1696 / (10696 / 33) = 5.2 layers
        "quantization": ("Q2_K", round(6600 * MIB * (1 - 2.96 / 4.85))),  # Q3_K_M would save 1,279 only
    }  # fmt: skip
    connection.close()


def test_graph_that_did_not_fit(tmp_path: Path) -> None:
    """The cache was allocated already: less of it makes room for the graph."""
    connection = read(GRAPH, tmp_path)
    (failure,) = numbers(connection)
    assert (failure["needed_bytes"], failure["free_bytes"], failure["missing_bytes"]) == (1064 * MIB, 352 * MIB, 712 * MIB)  # fmt: skip
    assert failure["kv_bytes"] == 2048 * MIB
    found = changes(connection)
    assert "num_parallel" not in found
    assert found["num_ctx"] == ("10496", 736 * MIB)  # 16384 * (1 - 712 / 2048) = 10688
    assert found["kv_cache_type"] == ("q8_0", 960 * MIB)
    connection.close()


def test_refusal_of_the_scheduler(tmp_path: Path) -> None:
    """An estimate tells all: one GiB is missing, as much as the whole cache has, so only smaller weights fit."""
    connection = read(REFUSAL, tmp_path)
    (failure,) = numbers(connection)
    assert (failure["needed_bytes"], failure["free_bytes"], failure["missing_bytes"]) == (5 * GIB, 4 * GIB, GIB)
    assert (failure["kv_bytes"], failure["weights_bytes"]) == (GIB, round(3.5 * GIB))
    (row,) = ea.report("oom-incidents", db=tmp_path / "store.duckdb").to_dicts()
    assert row["would_fit_with"] is None
    assert row["note"] == "no single change of what the log has would have fitted"
    connection.close()


def test_refusal_after_a_load_of_the_same_file(tmp_path: Path) -> None:
    """A load that fitted tells what a token costs: 1 GiB for 8,192 of them, beside 6,881 MiB of weights and 300 of graphs."""
    fitted = (
        FILE_FACTS
        + "\nllama_kv_cache_init:      CUDA0 KV buffer size =  1024.00 MiB\nllama_init_from_model:      CUDA0 compute buffer size =   300.00 MiB"
    )
    ready = slog(4, "server.go:619", "llama runner started in 3.00 seconds")
    refused = slog(1200, "sched.go:428", "Load failed", f'model=/m/blobs/{BLOB} error="model requires more system memory (20.0 GiB) than is available (12.0 GiB)"')  # fmt: skip
    connection = read("\n".join([LISTENING, started(1, BLOB, 8192, 1), fitted, ready, refused]), tmp_path)
    (failure,) = numbers(connection)
    cache = 20 * GIB - (281 + 6600 + 300) * MIB
    assert failure["kv_bytes"] == cache
    assert failure["num_ctx"] == cache // (128 * 1024)  # a token takes 128 KiB
    value, saved = changes(connection)["num_ctx"]
    assert saved >= 8 * GIB > saved - 256 * 128 * 1024 - failure["num_ctx"]
    assert int(value) == (12 * GIB - (281 + 6600 + 300) * MIB) // (128 * 1024) // 256 * 256
    connection.close()


@pytest.mark.parametrize(("minutes", "beside"), [(4, True), (6, False)])
def test_model_that_was_loaded_beside_it(minutes: int, beside: bool, tmp_path: Path) -> None:
    """A model is beside a failure while its keep-alive of five minutes has not passed."""
    other = [
        started(1, OTHER, 2048, 1),
        "print_info: general.name     = Small One",
        "load_tensors: offloaded 33/33 layers to GPU",
        "load_tensors:        CUDA0 model buffer size =  5000.00 MiB",
        "llama_kv_cache_init:      CUDA0 KV buffer size =   256.00 MiB",
        slog(3, "server.go:619", "llama runner started in 2.00 seconds"),
    ]
    late = [
        started(60 * minutes, BLOB, 32768, 4),
        FILE_FACTS,
        NO_CACHE,
        GIVEN_UP.replace("T10:00", f"T10:{minutes:02}"),
    ]
    connection = read("\n".join([LISTENING, *other, *late]), tmp_path)
    (row,) = ea.report("oom-incidents", db=tmp_path / "store.duckdb").to_dicts()
    assert row["models_beside"] == ("Small One (5.1 GiB)" if beside else None)
    assert (changes(connection).get("unload") == ("Small One", 5256 * MIB)) is beside
    connection.close()


def test_buffers_stand_once_when_a_log_grows(tmp_path: Path) -> None:
    """A log read in two parts has the buffers of the log read at once."""
    sql = "select device, purpose, byte_count, source from load_buffers order by event_id, device"
    source, log = tmp_path / "server.log", CACHE + "\n"
    cut = log.index("load_tensors:        CUDA0")
    source.write_text(log[:cut], encoding="utf-8")
    ea.ingest([source], db=tmp_path / "grown.duckdb")
    source.write_text(log, encoding="utf-8")
    ea.ingest([source], db=tmp_path / "grown.duckdb")
    connection = ea.connect(tmp_path / "grown.duckdb")
    grown = connection.execute(sql).fetchall()
    connection.close()
    connection = read(CACHE, tmp_path)
    whole = connection.execute(sql).fetchall()
    connection.close()
    assert (
        grown == whole == [("CPU_Mapped", "weights", 281 * MIB, "runner"), ("CUDA0", "weights", 6600 * MIB, "runner")]
    )


def test_context_that_was_asked_for(real: duckdb.DuckDBPyConnection) -> None:
    """The sample was asked for a context of 2,097,152 tokens; the numbers of the log lead back to it within a hundredth."""
    sql = """select num_ctx from memory_failures inner join sources using (source_id)
             where cause = 'load_oom_system' and uri like '%/mixed-0.11.11.log'"""
    found = real.execute(sql).fetchall()
    assert found and all(abs(ctx / 2097152 - 1) < 0.01 for (ctx,) in found)


def asked(*args: str) -> subprocess.CompletedProcess[str]:
    """What the command answers, output and messages apart."""
    return subprocess.run([sys.executable, "-m", "erranalytics", *args], capture_output=True, text=True, check=False)


def test_explanation_shows_every_change_with_its_formula(tmp_path: Path) -> None:
    """``--explain`` adds how it is computed, with the numbers; a report without an explanation says so."""
    read(CACHE, tmp_path).close()
    told = asked("report", "oom-incidents", "--explain", "-f", "json", "--db", str(tmp_path / "store.duckdb"))
    rows = json.loads(told.stdout)["oom-changes"]["rows"]
    assert [row["change"] for row in rows][:1] == ["OLLAMA_NUM_PARALLEL=2"]
    assert "4.0 GiB of KV cache for 8192 tokens times 4, as much for each token: saves 1.8 GiB >= 1.7 GiB missing" in [row["formula"] for row in rows]  # fmt: skip
    refused = asked("report", "incidents", "--explain", "--db", str(tmp_path / "store.duckdb"))
    assert refused.returncode == 2
    assert "report 'incidents' has no explanation" in refused.stderr
