"""What the log tells of attempts to load a model, and of the memory of devices, from all eras of Ollama."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

import erranalytics as ea
from erranalytics.store import frames

MIB, GIB = 1 << 20, 1 << 30
BLOB = "sha256-" + "ab12" * 16
OTHER = "sha256-" + "cd34" * 16
FILE = f"/usr/share/ollama/.ollama/models/blobs/{BLOB}"
SHORT = BLOB[:19]


def slog(second: float, source: str, message: str, attrs: str = "", *, day: str = "2026-01-05") -> str:
    """A line of the server."""
    quoted = f'"{message}"' if " " in message or not message else message
    return f"time={day}T10:00:{second:06.3f}Z level=INFO source={source} msg={quoted} {attrs}".rstrip()


META = """llm_load_print_meta: format           = GGUF V3 (latest)
llm_load_print_meta: arch             = llama
llm_load_print_meta: n_layer          = 32
llm_load_print_meta: model type       = 8B
llm_load_print_meta: model ftype      = Q4_0
llm_load_print_meta: model params     = 8.03 B
llm_load_print_meta: general.name     = Meta Llama 3 8B"""
INFO = META.replace("llm_load_print_meta:", "print_info:").replace("model ftype", "file type  ")
FACTS = {"architecture": "llama", "parameters": "8.03 B", "quantization": "Q4_0", "title": "Meta Llama 3 8B"}

OLD = f"""2023/11/03 10:00:00 routes.go:687: Listening on 127.0.0.1:11434 (version 0.1.7)
2023/11/03 10:00:01 llama.go:384: starting llama runner
2023/11/03 10:00:01 llama.go:442: waiting for llama runner to start responding
{{"timestamp":1699005601,"level":"INFO","function":"main","line":1323,"message":"build info","build":1,"commit":"9e232f0"}}
llama_model_loader: loaded meta data with 19 key-value pairs and 291 tensors from {FILE.replace("sha256-", "sha256:")} (version GGUF V2 (latest))
{META.replace("V3", "V2")}
llm_load_tensors: ggml ctx size =    0.10 MB
llm_load_tensors: mem required  =   70.42 MB
llm_load_tensors: offloading 32 repeating layers to GPU
llm_load_tensors: offloaded 35/35 layers to GPU
llm_load_tensors: VRAM used: 4155.98 MB
llama_new_context_with_model: n_ctx      = 2048
llama_new_context_with_model: kv self size  =  256.00 MB
llama_new_context_with_model: compute buffer total size =  162.13 MB
2023/11/03 10:00:04 llama.go:456: llama runner started in 3.201542 seconds
"""
INPROCESS = f"""{slog(0, "routes.go:1019", "Listening on 127.0.0.1:11434 (version 0.1.28)")}
{slog(1, "dyn_ext_server.go:90", "Loading Dynamic llm server: /tmp/ollama1/cuda_v11/libext_server.so")}
{slog(1, "dyn_ext_server.go:150", "Initializing llama server")}
llama_model_loader: loaded meta data with 23 key-value pairs and 291 tensors from {FILE} (version GGUF V3 (latest))
{META}
llm_load_tensors: ggml ctx size =    0.22 MiB
llm_load_tensors: offloaded 33/33 layers to GPU
llm_load_tensors:        CPU buffer size =    70.31 MiB
llm_load_tensors:      CUDA0 buffer size =  3847.55 MiB
llama_new_context_with_model: n_ctx      = 4096
llama_kv_cache_init:      CUDA0 KV buffer size =   512.00 MiB
llama_new_context_with_model: KV self size  =  512.00 MiB, K (f16):  256.00 MiB, V (f16):  256.00 MiB
llama_new_context_with_model:      CUDA0 compute buffer size =   296.00 MiB
llama_new_context_with_model:  CUDA_Host compute buffer size =    16.00 MiB
{slog(3.5, "dyn_ext_server.go:161", "Starting llama main loop")}
"""
FLAT = f"""{slog(0, "routes.go:1143", "Listening on 127.0.0.1:11434 (version 0.1.32)")}
{slog(1, "memory.go:127", "offload to gpu", 'reallayers=33 layers=33 required="4765.5 MiB" used="4765.5 MiB" available="10240.0 MiB" kv="1024.0 MiB" fulloffload="164.0 MiB" partialoffload="193.0 MiB"')}
{slog(1, "server.go:264", "starting llama server", f'cmd="/tmp/ollama1/runners/cuda_v11/ollama_llama_server --model {FILE} --ctx-size 2048 --batch-size 512 --n-gpu-layers 33 --port 40001"')}
llm_load_tensors: offloaded 33/33 layers to GPU
llm_load_tensors:        CPU buffer size =    70.00 MiB
llm_load_tensors:      CUDA0 buffer size =  3577.00 MiB
llama_kv_cache_init:      CUDA0 KV buffer size =  1024.00 MiB
llama_new_context_with_model:      CUDA0 compute buffer size =   164.00 MiB
{{"function":"main","level":"INFO","line":3064,"msg":"model loaded","tid":"140182396393344","timestamp":1767607203}}
"""
GROUPED = f"""{slog(0, "routes.go:1248", "Listening on 127.0.0.1:11434 (version 0.5.7)")}
{slog(1, "server.go:104", "system memory", 'total="62.7 GiB" free="58.1 GiB" free_swap="8.0 GiB"')}
{slog(1, "memory.go:356", "offload to cuda", 'layers.requested=-1 layers.model=33 layers.offload=27 layers.split=14,13 memory.available="[3.5 GiB 3.0 GiB]" memory.gpu_overhead="0 B" memory.required.full="6.2 GiB" memory.required.partial="5.9 GiB" memory.required.kv="1.0 GiB" memory.required.allocations="[3.0 GiB 2.9 GiB]" memory.weights.total="3.9 GiB" memory.weights.repeating="3.5 GiB" memory.weights.nonrepeating="411.0 MiB" memory.graph.full="560.0 MiB" memory.graph.partial="585.0 MiB"')}
{slog(1, "server.go:376", "starting llama server", f'cmd="/usr/local/lib/ollama/runners/cuda_v12_avx/ollama_llama_server runner --model {FILE} --ctx-size 8192 --batch-size 512 --n-gpu-layers 27 --threads 8 --flash-attn --kv-cache-type q8_0 --parallel 4 --port 40002"')}
{META}
llm_load_tensors: offloaded 27/33 layers to GPU
llm_load_tensors:   CPU_Mapped model buffer size =  1000.00 MiB
llm_load_tensors:        CUDA0 model buffer size =  1500.00 MiB
llm_load_tensors:        CUDA1 model buffer size =  1450.00 MiB
llama_kv_cache_init:      CUDA0 KV buffer size =   300.00 MiB
llama_kv_cache_init:      CUDA1 KV buffer size =   212.00 MiB
llama_new_context_with_model:      CUDA0 compute buffer size =   560.00 MiB
{slog(4.25, "server.go:594", "llama runner started in 3.25 seconds")}
"""
ESTIMATED = f"""{slog(0, "routes.go:1299", "Listening on 127.0.0.1:11434 (version 0.9.6)")}
{slog(1, "server.go:175", "offload", 'library=metal layers.requested=-1 layers.model=27 layers.offload=27 layers.split="" memory.available="[10.7 GiB]" memory.gpu_overhead="0 B" memory.required.full="2.6 GiB" memory.required.partial="2.6 GiB" memory.required.kv="78.0 MiB" memory.required.allocations="[2.6 GiB]" memory.weights.total="762.0 MiB" memory.weights.repeating="456.0 MiB" memory.weights.nonrepeating="306.0 MiB" memory.graph.full="517.0 MiB" memory.graph.partial="517.0 MiB"')}
{slog(1, "server.go:438", "starting llama server", f'cmd="/Applications/Ollama.app/Contents/Resources/ollama runner --ollama-engine --model {FILE} --ctx-size 4096 --batch-size 512 --n-gpu-layers 27 --threads 4 --parallel 2 --port 40003"')}
{slog(1.5, "ggml.go:92", "", 'architecture=gemma3 file_type=Q4_K_M name="" description="" num_tensors=340 num_key_values=32')}
{slog(1.6, "ggml.go:377", "offloaded 27/27 layers to GPU")}
{slog(1.6, "ggml.go:382", "model weights", 'buffer=Metal size="762.5 MiB"')}
{slog(1.6, "ggml.go:382", "model weights", 'buffer=CPU size="306.0 MiB"')}
{slog(1.7, "ggml.go:668", "compute graph", 'backend=Metal buffer_type=Metal size="133.0 MiB"')}
{slog(1.7, "ggml.go:668", "compute graph", 'backend=CPU buffer_type=CPU size="2.0 MiB"')}
{slog(2.5, "server.go:637", "llama runner started in 1.50 seconds")}
"""
LAYOUT = "LoraPath:[] Parallel:2 BatchSize:512 FlashAttention:Enabled KvSize:8192 KvCacheType:q8_0 NumThreads:8"
ENGINE = f"""{slog(0, "routes.go:1682", "Listening on 127.0.0.1:11434 (version 0.13.5)")}
{slog(1, "server.go:429", "starting runner", f'cmd="/usr/local/bin/ollama runner --ollama-engine --model {FILE} --port 40004"')}
{slog(1, "sched.go:443", "system memory", 'total="62.7 GiB" free="58.1 GiB" free_swap="8.0 GiB"')}
{slog(1, "sched.go:450", "gpu memory", 'id=GPU-1111 library=CUDA available="7.0 GiB" free="7.4 GiB" minimum="457.0 MiB" overhead="0 B"')}
{slog(1, "sched.go:450", "gpu memory", 'id=GPU-2222 library=CUDA available="3.0 GiB" free="3.4 GiB" minimum="457.0 MiB" overhead="0 B"')}
{slog(1, "server.go:746", "loading model", '"model layers"=27 requested=-1')}
{slog(1.5, "runner.go:1278", "load", f'request="{{Operation:fit {LAYOUT} GPULayers:27[ID:GPU-1111 Layers:20(0..19) ID:GPU-2222 Layers:7(20..26)] MultiUserCache:false ProjectorPath: MainGPU:0 UseMmap:false}}"')}
{slog(1.5, "device.go:240", "model weights", 'device=CUDA0 size="1.0 GiB"')}
{slog(1.5, "device.go:240", "model weights", 'device=CUDA1 size="1.0 GiB"')}
{slog(1.5, "device.go:251", "kv cache", 'device=CUDA0 size="100.0 MiB"')}
{slog(1.5, "device.go:272", "total memory", 'size="2.5 GiB"')}
{slog(1.6, "runner.go:1278", "load", f'request="{{Operation:commit {LAYOUT} GPULayers:27[ID:GPU-1111 Layers:27(0..26)] MultiUserCache:false ProjectorPath: MainGPU:0 UseMmap:false}}"')}
{slog(1.7, "ggml.go:136", "", 'architecture=gemma3 file_type=Q4_K_M name="Gemma 3" description="" num_tensors=340 num_key_values=32')}
{slog(1.7, "ggml.go:494", "offloaded 27/27 layers to GPU")}
{slog(1.7, "device.go:240", "model weights", 'device=CUDA0 size="1.5 GiB"')}
{slog(1.7, "device.go:245", "model weights", 'device=CPU size="300.0 MiB"')}
{slog(1.7, "device.go:251", "kv cache", 'device=CUDA0 size="120.0 MiB"')}
{slog(1.7, "device.go:262", "compute graph", 'device=CUDA0 size="80.0 MiB"')}
{slog(1.7, "device.go:272", "total memory", 'size="2.0 GiB"')}
{slog(3, "server.go:1376", "llama runner started in 2.00 seconds")}
{slog(3, "server.go:1376", "llama runner started in 2.00 seconds")}
"""
CHILD = f"""{slog(0, "routes.go:2042", "Listening on 127.0.0.1:11434 (version 0.30.7)")}
{slog(1, "llama_server.go:403", "starting llama-server", f'cmd="/usr/local/lib/ollama/llama-server --model {FILE} --port 40005 --host 127.0.0.1 --no-webui --offline -c 16384 -np 2 --log-verbosity 4 --no-log-prefix --flash-attn auto"')}
{slog(1, "sched.go:613", "system memory", 'total="62.7 GiB" free="58.1 GiB" free_swap="0 B"')}
common_params_fit_impl: projected to use 12000 MiB of device memory vs. 8000 MiB of free device memory
common_params_fit_impl: cannot meet free memory target of 1024 MiB, need to reduce device memory by 5024 MiB
common_params_fit_impl: projected to use 6900 MiB of device memory vs. 8000 MiB of free device memory
load_tensors: loading model tensors, this can take a while... (mmap = true, direct_io = false)
load_tensors:        CUDA0 model buffer size =     0.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =     0.00 MiB
llama_model_loader: loaded meta data with 30 key-value pairs and 459 tensors from {FILE} (version GGUF V3 (latest))
{INFO}
load_tensors: loading model tensors, this can take a while... (mmap = true, direct_io = false)
load_tensors: offloaded 20/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =  1104.00 MiB
load_tensors:        CUDA0 model buffer size =  6122.00 MiB
llama_kv_cache_iswa: creating non-SWA KV cache, size = 16384 cells
llama_kv_cache:      CUDA0 KV buffer size =   576.00 MiB
llama_kv_cache: size =  576.00 MiB ( 16384 cells,  18 layers,  2/1 seqs), K (f16):  288.00 MiB, V (f16):  288.00 MiB
llama_kv_cache_iswa: creating     SWA KV cache, size = 1280 cells
llama_kv_cache:      CUDA0 KV buffer size =    45.00 MiB
sched_reserve: Flash Attention was auto, set to enabled
sched_reserve:      CUDA0 compute buffer size =   900.00 MiB
sched_reserve:      CUDA0 compute buffer size =   208.00 MiB
sched_reserve:  CUDA_Host compute buffer size =    57.00 MiB
{slog(5.5, "llama_server.go:1198", "llama-server started in 4.50 seconds")}
"""
MLX = f"""{slog(0, "routes.go:2042", "Listening on 127.0.0.1:11434 (version 0.32.0)")}
{slog(1, "client.go:431", "starting mlx runner subprocess", "model=qwen3.5:27b-mlx port=40006")}
{slog(2, "client.go:106", "mlx runner is ready", "port=40006")}
"""
REFUSED = f"""{slog(0, "routes.go:1197", "Listening on 127.0.0.1:11434 (version 0.3.14)")}
{slog(1, "server.go:105", "system memory", 'total="8.0 GiB" free="3.9 GiB" free_swap="0 B"')}
{slog(1, "memory.go:326", "offload to cpu", 'layers.requested=-1 layers.model=33 layers.offload=0 layers.split="" memory.available="[3.9 GiB]" memory.gpu_overhead="0 B" memory.required.full="5.8 GiB" memory.required.partial="0 B" memory.required.kv="1.0 GiB" memory.required.allocations="[5.8 GiB]" memory.weights.total="3.9 GiB" memory.weights.repeating="3.5 GiB" memory.weights.nonrepeating="411.0 MiB" memory.graph.full="560.0 MiB" memory.graph.partial="585.0 MiB"')}
{slog(1, "sched.go:428", "NewLlamaServer failed", f'model={FILE} error="model requires more system memory (5.8 GiB) than is available (3.9 GiB)"')}
[GIN] 2026/01/05 - 10:00:01 | 500 |   51.201304ms |       127.0.0.1 | POST     "/api/chat"
"""
STOPPED = f"""{slog(0, "routes.go:2042", "Listening on 127.0.0.1:11434 (version 0.32.5)")}
{slog(1, "llama_server.go:442", "starting llama-server", f'cmd="/usr/local/lib/ollama/llama-server --model {FILE} --port 40007 --host 127.0.0.1 -c 131072 -np 1 --flash-attn on --cache-type-k q4_0"')}
load_tensors: loading model tensors, this can take a while... (mmap = true, direct_io = false)
load_tensors:   CPU_Mapped model buffer size =  4096.00 MiB
ggml_backend_cuda_buffer_type_alloc_buffer: allocating 14336.00 MiB on device 0: cudaMalloc failed: out of memory
llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache
{slog(2, "sched.go:529", "Load failed", f'model={FILE} error="llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory"')}
[GIN] 2026/01/05 - 10:00:02 | 500 |  1.201304000s |       127.0.0.1 | POST     "/api/chat"
"""
LOADED, PORT = {"outcome": "loaded"}, "runner_port"
ERAS: dict[str, tuple[str, dict[str, Any]]] = {
    "v0.1.7": (
        OLD,
        LOADED | FACTS | {"blob": SHORT, "num_ctx": 2048, "layers_total": 35, "layers_offloaded": 35, "duration_us": 3_000_000,
        "weights_bytes": round(70.42 * MIB) + round(4155.98 * MIB), "kv_bytes": 256 * MIB, "graph_bytes": round(162.13 * MIB)},
    ),
    "v0.1.28": (
        INPROCESS,
        LOADED | FACTS | {"blob": SHORT, "num_ctx": 4096, "layers_total": 33, "layers_offloaded": 33, "duration_us": 2_500_000,
        "kv_cache_type": "f16", "weights_bytes": round(70.31 * MIB) + round(3847.55 * MIB), "kv_bytes": 512 * MIB,
        "graph_bytes": 312 * MIB},
    ),
    "v0.1.32": (
        FLAT,
        LOADED | {"blob": SHORT, "num_ctx": 2048, "layers_total": 33, "layers_offloaded": 33, "duration_us": 2_000_000,
        "weights_bytes": 3647 * MIB, "kv_bytes": 1024 * MIB, "graph_bytes": 164 * MIB, "required_bytes": round(4765.5 * MIB),
        "available_bytes": 10240 * MIB, PORT: 40001},
    ),
    "v0.5.7": (
        GROUPED,
        LOADED | FACTS | {"blob": SHORT, "num_ctx": 2048, "num_parallel": 4, "kv_cache_type": "q8_0", "flash_attention": "on",
        "layers_total": 33, "layers_offloaded": 27, "duration_us": 3_250_000, "weights_bytes": 3950 * MIB, "kv_bytes": 512 * MIB,
        "graph_bytes": 560 * MIB, "required_bytes": round(6.2 * GIB), "available_bytes": round(3.5 * GIB) + 3 * GIB, PORT: 40002},
    ),
    "v0.9.6": (
        ESTIMATED,
        LOADED | {"blob": SHORT, "architecture": "gemma3", "quantization": "Q4_K_M", "num_ctx": 2048, "num_parallel": 2,
        "layers_total": 27, "layers_offloaded": 27, "duration_us": 1_500_000, "weights_bytes": round(1068.5 * MIB),
        "kv_bytes": 78 * MIB, "graph_bytes": 135 * MIB, "required_bytes": round(2.6 * GIB), "available_bytes": round(10.7 * GIB),
        PORT: 40003},
    ),
    "v0.13.5": (
        ENGINE,
        LOADED | {"blob": SHORT, "architecture": "gemma3", "quantization": "Q4_K_M", "title": "Gemma 3", "num_ctx": 4096,
        "num_parallel": 2, "kv_cache_type": "q8_0", "flash_attention": "on", "layers_total": 27, "layers_offloaded": 27,
        "duration_us": 2_000_000, "weights_bytes": 1536 * MIB + 300 * MIB, "kv_bytes": 120 * MIB, "graph_bytes": 80 * MIB,
        "required_bytes": 2 * GIB, "available_bytes": 10 * GIB, PORT: 40004},
    ),
    "v0.30.7": (
        CHILD,
        LOADED | FACTS | {"blob": SHORT, "num_ctx": 8192, "num_parallel": 2, "kv_cache_type": "f16", "flash_attention": "on",
        "layers_total": 33, "layers_offloaded": 20, "duration_us": 4_500_000, "weights_bytes": 7226 * MIB, "kv_bytes": 621 * MIB,
        "graph_bytes": 265 * MIB, "required_bytes": 12000 * MIB, "available_bytes": 8000 * MIB, PORT: 40005},
    ),
    "MLX": (MLX, LOADED | {"model": "qwen3.5:27b-mlx", "duration_us": 1_000_000, PORT: 40006}),
    "refused before a runner": (
        REFUSED,
        {"outcome": "oom", "code": "MEM014", "blob": SHORT, "layers_total": 33, "layers_offloaded": 0,
        "weights_bytes": round(3.9 * GIB), "kv_bytes": GIB, "graph_bytes": 560 * MIB, "required_bytes": round(5.8 * GIB),
        "available_bytes": round(3.9 * GIB)},
    ),
    "the runner has no memory": (
        STOPPED,
        {"outcome": "oom", "code": "MEM001", "blob": SHORT, "num_ctx": 131072, "num_parallel": 1, "kv_cache_type": "q4_0",
        "flash_attention": "on", "duration_us": 1_000_000, "weights_bytes": 4096 * MIB, PORT: 40007},
    ),
}  # fmt: skip
NUMBERS = ("load_seq", "session_id", "source_id", "first_event_id", "last_event_id", "ts_start", "ts_end")


def ingested(log: str | Path, folder: Path) -> duckdb.DuckDBPyConnection:
    """The store of a log, open for reading."""
    path = folder / "server.log"
    if isinstance(log, str):
        path.write_text(log, encoding="utf-8")
    ea.ingest([path if isinstance(log, str) else log], db=folder / "store.duckdb", tz="UTC")
    return ea.connect(folder / "store.duckdb")


def loads_of(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The attempts with what is known of each."""
    rows = frames.rows(connection, "select * from model_loads order by load_seq")
    return [{name: value for name, value in row.items() if value is not None and name not in NUMBERS} for row in rows]


@pytest.mark.parametrize("era", ERAS)
def test_a_load_of_each_era(era: str, tmp_path: Path) -> None:
    """Everything the lines tell of it, and nothing else."""
    log, expected = ERAS[era]
    connection = ingested(log, tmp_path)
    assert loads_of(connection) == [expected]
    connection.close()


DEBUG = """runner.name=registry.ollama.ai/library/llama3:8b runner.inference="[{{ID:GPU-1111 Library:CUDA}}]" runner.size="6.0 GiB" runner.vram="6.0 GiB" runner.parallel=1 runner.pid=4711 runner.model={} runner.num_ctx=4096"""


def test_debug_lines_name_model_and_process(tmp_path: Path) -> None:
    """The scheduler names the runner of a file; a later load of another file is not named by it."""
    log = (
        ENGINE
        + slog(4, "sched.go:573", "finished setting up", DEBUG.format(FILE))
        + "\n"
        + ENGINE.split("\n", 1)[1].replace(BLOB, OTHER).replace("10:00:", "10:01:")
    )
    connection = ingested(log, tmp_path)
    sql = "select blob, model, runner_pid from model_loads order by load_seq"
    assert connection.execute(sql).fetchall() == [(SHORT, "llama3:8b", 4711), (OTHER[:19], None, None)]
    connection.close()


def failed(second: float, blob: str, error: str) -> str:
    """The line of the scheduler that gives up."""
    return slog(second, "sched.go:529", "Load failed", f'model=/m/blobs/{blob} error="{error}"')


def test_a_refusal_is_an_attempt_of_its_own_and_an_echo_is_none(tmp_path: Path) -> None:
    """What fails without a runner counts once each; what repeats the failure of a runner does not count again."""
    damaged = 'tensor \\"blk.1.ffn_up.weight\\" offset+size (923392) exceeds file size (905484)'
    killed = "llama runner process has terminated: signal: killed"
    start = slog(
        2, "server.go:433", "starting runner", f'cmd="/usr/local/bin/ollama runner --model {FILE} --port 40001"'
    )
    log = [slog(0, "routes.go:1864", "Listening on 127.0.0.1:11434 (version 0.24.0)"), failed(1, OTHER, damaged)]
    log += [start, failed(3, OTHER, damaged), failed(4, BLOB, killed), failed(5, BLOB, damaged)]
    connection = ingested("\n".join(log) + "\n", tmp_path)
    sql = "select blob, outcome, code, epoch(ts_end)::bigint % 60, runner_port from model_loads order by load_seq"
    assert connection.execute(sql).fetchall() == [
        (OTHER[:19], "failed", "MDL004", 1, None),
        (SHORT, "oom", "MEM021", 4, 40001),
        (OTHER[:19], "failed", "MDL004", 3, None),
        (SHORT, "failed", "MDL004", 5, None),
    ]
    connection.close()


def told(connection: duckdb.DuckDBPyConnection) -> list[list[Any]]:
    """What this page derives, without numbers of rows."""
    numbers = ", ".join(NUMBERS[:5])
    return [
        frames.rows(connection, f"select * exclude ({numbers}) from model_loads order by load_seq"),
        frames.rows(connection, "select * exclude (event_id, source_id, session_id) from gpu_memory order by all"),
        frames.rows(connection, "select ts_end, model, model_source from requests order by event_id"),
        frames.rows(connection, "select * exclude (session_id, first_event_id, last_event_id) from server_sessions order by ts_end"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_log_that_grows_tells_the_same(tmp_path: Path) -> None:
    """In one piece, or a few lines at a time: the same loads, readings and models."""
    again = ENGINE.split("\n", 1)[1].replace("10:00:", "10:01:")
    request = (
        '[GIN] 2026/01/05 - 10:0{}:0{} | 200 |  3.000000000s |       127.0.0.1 | POST     "/v1/chat/completions"\n'
    )
    log = ENGINE + slog(4, "sched.go:573", "finished setting up", DEBUG.format(FILE)) + "\n" + request.format(0, 4)
    log += (
        failed(30, OTHER, "unable to load model")
        + "\n"
        + again
        + request.format(1, 4)
        + STOPPED.replace("10:00:", "10:02:")
    )
    whole = tmp_path / "whole"
    whole.mkdir()
    connection = ingested(log, whole)
    expected = told(connection)
    connection.close()
    lines = log.splitlines(keepends=True)
    grown = tmp_path / "server.log"
    for count in [*range(7, len(lines), 7), len(lines)]:
        grown.write_text("".join(lines[:count]), encoding="utf-8")
        ea.ingest([grown], db=tmp_path / "grown.duckdb", tz="UTC")
    connection = ea.connect(tmp_path / "grown.duckdb")
    assert told(connection) == expected
    assert [len(rows) for rows in expected] == [4, 6, 3, 2]
    connection.close()


# --- the memory of devices --------------------------------------------------------------------------------------------

LISTEN = slog(0, "routes.go:1864", "Listening on 127.0.0.1:11434 (version {})")
READINGS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "at the start, v0.1.38": (
        slog(1, "types.go:71", "inference compute", 'id=GPU-1111 library=cuda compute=8.9 driver=12.4 name="NVIDIA GeForce RTX 4090" total="24.0 GiB" available="22.0 GiB"'),
        [("GPU-1111", "cuda", "NVIDIA GeForce RTX 4090", 24 * GIB, 22 * GIB, 2 * GIB, "inference_compute")],
    ),
    "no GPU, v0.5.7": (
        slog(1, "types.go:131", "inference compute", 'id=0 library=cpu variant=avx2 compute="" driver=0.0 name="" total="16.0 GiB" available="12.0 GiB"'),
        [("cpu", "cpu", None, 16 * GIB, 12 * GIB, 4 * GIB, "inference_compute")],
    ),
    "before a load, v0.13.5": (
        slog(1, "types.go:42", "inference compute", 'id=GPU-1111 filter_id="" library=CUDA compute=8.9 name=CUDA0 description="NVIDIA L4" libdirs=ollama driver=12.8 pci_id=0000:01:00.0 type=discrete total="22.0 GiB" available="21.0 GiB"')
        + "\n" + slog(2, "sched.go:443", "system memory", 'total="60.0 GiB" free="50.0 GiB" free_swap="0 B"')
        + "\n" + slog(2, "sched.go:450", "gpu memory", 'id=GPU-1111 library=CUDA available="18.0 GiB" free="19.0 GiB" minimum="457.0 MiB" overhead="0 B"')
        + "\nllama_model_load_from_file_impl: using device CUDA0 (NVIDIA L4) (0000:01:00.0) - 10240 MiB free"
        + "\nggml_backend_cuda_device_get_memory device GPU-1111 utilizing NVML memory reporting free: 8589934592 total: 23622320128",
        [
            ("GPU-1111", "cuda", "NVIDIA L4", 22 * GIB, 21 * GIB, GIB, "inference_compute"),
            ("cpu", "cpu", None, 60 * GIB, 50 * GIB, 10 * GIB, "system_memory"),
            ("GPU-1111", "cuda", "NVIDIA L4", 22 * GIB, 19 * GIB, 3 * GIB, "gpu_memory"),
            ("CUDA0", "cuda", "NVIDIA L4", 22 * GIB, 10 * GIB, 12 * GIB, "runner_device"),
            ("GPU-1111", "cuda", "NVIDIA L4", 22 * GIB, 8 * GIB, 14 * GIB, "device_report"),
        ],
    ),
    "the size of the device is not told": (
        "llama_load_model_from_file: using device Metal (Apple M2 (8-core)) - 10922 MiB free",
        [("Metal", "metal", "Apple M2 (8-core)", None, 10922 * MIB, None, "runner_device")],
    ),
    "by the scheduler, v0.1.38": (
        slog(1, "sched.go:572", "updated VRAM", 'gpu=GPU-1111 library=cuda total="24.0 GiB" available="20.0 GiB"'),
        [("GPU-1111", "cuda", None, 24 * GIB, 20 * GIB, 4 * GIB, "vram_update")],
    ),
    "with OLLAMA_DEBUG, v0.9.6": (
        slog(1, "gpu.go:441", "updating system memory data", 'before.total="62.0 GiB" before.free="50.0 GiB" before.free_swap="0 B" now.total="62.0 GiB" now.free="40.0 GiB" now.free_swap="0 B"')
        + "\n" + slog(1, "gpu.go:491", "updating cuda memory data", 'gpu=GPU-1111 name="NVIDIA L4" overhead="0 B" before.total="22.0 GiB" before.free="21.0 GiB" now.total="22.0 GiB" now.free="20.0 GiB" now.used="2.0 GiB"'),
        [
            ("cpu", "cpu", None, 62 * GIB, 40 * GIB, 22 * GIB, "memory_refresh"),
            ("GPU-1111", "cuda", "NVIDIA L4", 22 * GIB, 20 * GIB, 2 * GIB, "memory_refresh"),
        ],
    ),
    "the list of a runner, v0.32": (
        """cmn  common_param: device_info:
cmn  common_param:   - CUDA0   : NVIDIA L4 (22000 MiB, 21000 MiB free)
cmn  common_param:   - CPU     : AMD EPYC (24105 MiB, 20000 MiB free)""",
        [
            ("CUDA0", "cuda", "NVIDIA L4", 22000 * MIB, 21000 * MIB, 1000 * MIB, "runner_device"),
            ("cpu", "cpu", "AMD EPYC", 24105 * MIB, 20000 * MIB, 4105 * MIB, "runner_device"),
        ],
    ),
    "the list of a runner in one record, v0.30": (
        "device_info:\n  - CPU     : AMD EPYC (24105 MiB, 20000 MiB free)\n  - CUDA0   : NVIDIA L4 (22000 MiB, 21000 MiB free)",
        [
            ("CUDA0", "cuda", "NVIDIA L4", 22000 * MIB, 21000 * MIB, 1000 * MIB, "runner_device"),
            ("cpu", "cpu", "AMD EPYC", 24105 * MIB, 20000 * MIB, 4105 * MIB, "runner_device"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READINGS)
def test_memory_of_devices(name: str, tmp_path: Path) -> None:
    """One row a reading; what only the start of the server tells of a device is found by its name."""
    lines, expected = READINGS[name]
    connection = ingested(f"{LISTEN.format('0.0.0')}\n{lines}\n", tmp_path)
    sql = """select device_id, library, name, total_bytes, free_bytes, used_bytes, source from gpu_memory
             order by event_id, device_id"""
    assert connection.execute(sql).fetchall() == expected
    connection.close()
