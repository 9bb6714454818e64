"""The line formats prove themselves; each sample and each shape Ollama writes is a test of its own."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest

from erranalytics import schema
from erranalytics.ingestion import format_proof, stored_text
from erranalytics.parsing import format_files, framing, gateways, lineformats

BOOK = lineformats.load()
SAMPLES = [(item.name, sample.line) for item in BOOK.formats for sample in item.sample]
SLOG = "time=2026-01-01T00:00:00.000Z level=INFO source=a.go:1 msg=hello"

# What Ollama and what runs below it write, by era; the shapes are from the sources that the formats cite.
SHAPES = [
    # up to v0.1.20: the log package; C++ server in JSON
    ("go-log", "2023/10/12 13:45:01 routes.go:614: Listening on 127.0.0.1:11434 (version 0.1.4)"),
    (
        "cpp-json",
        '{"timestamp":1697118311,"level":"INFO","function":"main","line":1323,"message":"build info","build":7}',
    ),
    ("llama-cpp", "llama_print_timings:        load time =     812.34 ms"),
    ("llama-cpp", "llama_new_context_with_model: kv self size  =  256.00 MB"),
    ("llama-server", "slot 0 is processing [task id: 3]"),
    ("llama-server", "llama server listening at http://127.0.0.1:54321"),
    ("cpp-log", "[1706285391] Available slots:"),
    ("cpp-log", "[1706285391]"),
    ("llama-cpp", "llama.cpp: loading model from /root/.ollama/models/blobs/sha256:61"),
    # v0.1.21 to v0.3.14: slog; C++ server as a child, JSON then text
    ("slog-default", '2024/08/16 07:56:25 routes.go:1125: INFO server config env="map[OLLAMA_DEBUG:false]"'),
    ("slog-default", "2024/09/01 10:00:01 config.go:292: WARN invalid environment variable key=OLLAMA_DEBUG value=abc"),
    (
        "slog-text",
        "time=2024-02-01T10:00:00.123Z level=INFO source=/go/src/github.com/jmorganca/ollama/server/routes.go:930 msg=x",
    ),
    (
        "slog-text",
        r"time=2024-07-18T10:00:00.123+02:00 level=INFO source=sched.go:1 msg=loading model=C:\Users\AI\blobs\sha256-61",
    ),
    (
        "cpp-json",
        '{"function":"log_server_request","level":"INFO","line":2741,"method":"GET","msg":"request","status":200}',
    ),
    (
        "cpp-text",
        'INFO [update_slots] slot released | n_ctx=2048 n_past=31 slot_id=0 tid="140182396393344" timestamp=1716023271',
    ),
    ("cpp-text", 'ERROR [load_model] unable to load model | model="/blobs/sha256-61" tid="1" timestamp=1727366911'),
    ("cpp-text", 'VERB [operator()] slot data | n_idle_slots=1 tid="1" timestamp=1727366911'),
    # v0.4.0 to v0.24.0: Go runners
    (
        "slog-text",
        "time=2025-08-22T22:28:50.123+02:00 level=INFO source=ggml.go:104 msg=system CPU.0.AVX=1 compiler=cgo(gcc)",
    ),
    (
        "slog-text",
        'time=2025-03-22T22:28:50.123Z level=INFO source=ggml.go:67 msg="" architecture=gemma3 name="" num_tensors=808',
    ),
    (
        "slog-text",
        'time=2025-08-22T22:28:50.123Z level=WARN source=sched.go:1 msg="entering low vram mode" "total vram"="8.0 GiB"',
    ),
    ("slog-text", "time=2025-08-22T22:28:50.123Z level=DEBUG-4 source=a.go:1 msg=x"),
    (
        "slog-text",
        'time=2026-02-05T09:00:00.000Z level=INFO source=server.go:128 msg=mlx-runner msg="peak memory 3.1 GiB"',
    ),
    ("llama-cpp", "llm_load_tensors: offloaded 33/33 layers to GPU"),
    ("llama-cpp", "llama_kv_cache_unified:      CUDA0 KV buffer size =   512.00 MiB"),
    (
        "llama-cpp",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9.50 MiB on device 0: cudaMalloc failed: out of memory",
    ),
    ("llama-cpp", "ggml_vulkan: Device memory allocation of size 1048576 failed."),
    ("llama-cpp", "clip_model_loader: model name:   clip"),
    ("llama-cpp", "alloc_compute_meta:      CUDA0 compute buffer size =    47.51 MiB"),
    ("llama-server", "~llama_context:      CUDA0 compute buffer size is 304.00 MiB, matches expectation"),
    ("llama-cpp", "update: applying K-shift"),
    ("llama-cpp", "whisper_model_load: loading model"),
    ("gpu-error", "ROCm error: out of memory"),
    ("gpu-error", "CUDA error 2 at /go/src/llm/llama.cpp/ggml-cuda.cu:7233: out of memory"),
    ("gpu-error", "rocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: Illegal seek"),
    ("gpu-error", "ggml.c:1234: GGML_ASSERT(ctx->mem_buffer != NULL) failed"),
    ("gpu-error", "ollama: ../src/intel/anv_device.c:1: anv_CreateDevice: Assertion `device' failed."),
    ("gpu-detail", "error: Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)"),
    ("mlx", "MLX: Failed to load symbol: mlx_metal_device_info"),
    ("go-panic", "panic: runtime error: index out of range [3] with length 3"),
    ("go-panic", "SIGABRT: abort"),
    ("go-panic", "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x7f]"),
    ("go-panic", "terminate called after throwing an instance of 'std::runtime_error'"),
    ("go-dump", "goroutine 7 gp=0xc0001068c0 m=5 mp=0xc000100008 [syscall]:"),
    ("go-dump", "PC=0x7f3c5a m=5 sigcode=1 addr=0x0"),
    ("go-dump", "runtime.cgocall(0x55d0c0, 0xc00008fba0)"),
    ("go-dump", "created by github.com/ollama/ollama/runner/llamarunner.Execute in goroutine 1"),
    ("go-dump", "eflags 0x10246"),
    ("go-dump", "lr      0x180b12c28"),
    ("go-dump", "#0  0x00007f3c5a in wait4 () from /lib/x86_64-linux-gnu/libc.so.6"),
    ("crash-noise", "[Thread debugging using libthread_db enabled]"),
    ("crash-noise", "0x00007f3c5a2eaf4f in wait4 () from /lib/x86_64-linux-gnu/libc.so.6"),
    ("crash-noise", "Process 24380 stopped"),
    # v0.30.0 and later: llama-server
    ("llama-server", "srv    load_model: loading model '/usr/share/ollama/.ollama/models/blobs/sha256-61'"),
    ("llama-server", "slot      release: id  0 | task 12 | stop processing: n_tokens = 55, truncated = 0"),
    (
        "llama-server",
        "common_params_fit_impl:   - CUDA0 (NVIDIA RTX): 33 layers ( 0 overflowing),  12345 MiB used,  2345 MiB free",
    ),
    ("llama-server", "common_memory_breakdown_print: | memory breakdown [MiB] | total   free    self |"),
    ("llama-server", "que    start_loop: waiting for new tasks"),
    ("llama-cpp", "sched_reserve: reserving full memory module"),
    ("llama-cpp", "load_backend: loaded CUDA backend from /usr/lib/ollama/cuda_v12/libggml-cuda.so"),
    # the web framework, the command, the app
    ("gin", '[GIN] 2025/03/12 - 12:14:22 | 500 |         2m48s |       10.0.0.7 | POST     "/api/generate"'),
    ("gin-debug", '[GIN-debug] [WARNING] Running in "debug" mode. Switch to "release" mode in production.'),
    ("gin-trailer", "Error #02: write tcp 127.0.0.1:11434->127.0.0.1:50001: write: broken pipe"),
    ("gin-recovery", "2024/08/16 07:56:25 [Recovery] 2024/08/16 - 07:56:25 panic recovered:"),
    ("ollama-text", "Couldn't find '/root/.ollama/id_ed25519'. Generating new private key."),
    ("ollama-text", "Warning: could not connect to a running Ollama instance"),
    ("ollama-text", "pulling manifest"),
    ("app-text", "update check failed - Error: net::ERR_INTERNET_DISCONNECTED"),
    # systemd and the kernel are recognised by their text where a journal lost the names
    ("systemd", "ollama.service: A process of this unit has been killed by the OOM killer."),
    ("systemd", "Started Ollama Service."),
    ("kernel", "Memory cgroup out of memory: Killed process 77 (llama-server) total-vm:9kB, anon-rss:8kB"),
    ("kernel", "[ 9876.543210] ollama invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0"),
    ("kernel", "[   4066]   998  4066  9123456  7654321 61440000        0             0 ollama"),
    ("kernel", "amdgpu 0000:03:00.0: amdgpu: GPU reset begin!"),
    ("journald-note", "-- No entries --"),
    ("process-note", "free(): invalid pointer"),
    ("process-note", "Aborted (core dumped)"),
    ("container-note", "ollama exited with code 139"),
    # other programs, and text nobody can be sure of
    ("foreign", "INFO 07-11 10:00:00 [api_server.py:1] vLLM API server"),
    ("client-text", "2026-01-01 10:00:00 | INFO     | app:main:12 - started"),
    ("client-note", "WARNING:root:no answer yet"),
    ("foreign", "srun: error: node7: task 0: Killed"),
    ("foreign", "| NVIDIA-SMI 550.120                Driver Version: 550.120        CUDA Version: 12.4     |"),
    ("unknown", "2026-11-21T02:01:16.392336875Z stderr F time of a wrapper that nobody took off"),
    ("unknown", "the quick brown fox"),
    ("unknown", "success is not final"),
    ("unknown", "[1/4] building"),
    ("unknown", r'OLLAMA_LIBRARY_PATH="[C:\\Ollama\\lib'),
    ("unknown", "Downloads"),
    ("unknown", "https://example.org"),
]

BLOCKS = {
    "metal": [
        "ggml_metal_synchronize: error: command buffer 0 failed with status 5",
        "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    ],
    "recovery of a debug build": [
        "2024/08/16 07:56:25 [Recovery] 2024/08/16 - 07:56:25 panic recovered:",
        "GET /api/tags HTTP/1.1",
        "Host: 127.0.0.1:11434",
        "",
        "runtime error: invalid memory address or nil pointer dereference",
        "/usr/local/go/src/runtime/panic.go:262 (0x43e5f8)",
        "\tpanicmem: panic(memoryError)",
    ],
    "config broken over lines": [
        "OLLAMA_DEBUG:INFO OLLAMA_HOST:http://127.0.0.1:11434 OLLAMA_ORIGINS:[http://localhost",
        'https://localhost:* app://*] ROCR_VISIBLE_DEVICES:]"',
    ],
    "abort": [
        "terminate called after throwing an instance of 'vk::DeviceLostError'",
        "  what():  vk::Queue::submit: ErrorDeviceLost",
        "something unheard of",
    ],
    "debugger": ["ggml.c:1234: GGML_ASSERT(x) failed", "[New LWP 12]", "ptrace: Operation not permitted.", "No stack."],
}


def bodies(*lines: str) -> pl.DataFrame:
    """BODIES of a plain file."""
    table = pl.DataFrame({"line_no": range(1, len(lines) + 1), "body": lines})
    null = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.BODIES.items() if name not in table.columns]
    return table.with_columns(null).select(schema.BODIES.names()).cast(schema.BODIES)


def formats(*lines: str) -> list[str]:
    """The formats of bodies that no unit is known of."""
    frame = pl.DataFrame({"body": lines, "unit": [None] * len(lines)}, schema_overrides={"unit": pl.String})
    found = BOOK.recognise(frame)
    return frame.join(found, on="body", how="left", maintain_order="left")["format"].to_list()


def test_every_format_agrees_with_its_samples() -> None:
    """``check`` finds no fault: format, noise flag and expected groups of every sample."""
    assert format_proof.check(BOOK) == []


@pytest.mark.parametrize(("name", "line"), SAMPLES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(SAMPLES)])
def test_sample_is_recognised(name: str, line: str) -> None:
    """A sample is recognised as its own format, not as one that is tried before."""
    unit = (BOOK.by_name[name].units or (None,))[0]
    frame = pl.DataFrame({"body": [line], "unit": [unit]}, schema_overrides={"unit": pl.String})
    assert BOOK.recognise(frame)["format"].to_list() == [name]


@pytest.mark.parametrize(("name", "line"), SHAPES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(SHAPES)])
def test_shape_has_its_format(name: str, line: str) -> None:
    """Every shape that the eras of Ollama wrote is known; what may be anybody's stays unknown."""
    assert formats(line) == [name]


@pytest.mark.parametrize("name", BLOCKS)
def test_block_is_one_record(name: str) -> None:
    """The lines of a block are one record between two log lines; a broken config belongs to the line before it."""
    table = bodies(SLOG, *BLOCKS[name], SLOG)
    records = framing.frame(table, book=BOOK, end=table.height + 1, is_last=True).records
    starts = [1, table.height] if name == "config broken over lines" else [1, 2, table.height]
    assert records["line_no"].to_list() == starts


def test_units_and_texts_of_the_system() -> None:
    """The lines of systemd and of the kernel are recognised by the unit, whatever they say."""
    frame = pl.DataFrame({"body": ["Reached target X.", "hello"], "unit": ["systemd", "kernel"]})
    assert dict(BOOK.recognise(frame).select("unit", "format").rows()) == {"systemd": "systemd", "kernel": "kernel"}


def test_a_broken_sample_is_found() -> None:
    """A sample that another format takes is a fault with the name of the file."""
    gin = replace(BOOK.by_name["gin"], sample=BOOK.by_name["slog-text"].sample)
    broken = lineformats.FormatBook([gin if item.name == "gin" else item for item in BOOK.formats], "x")
    assert any(fault.startswith("formats/gin.toml: ") for fault in format_proof.check(broken))


# What a file may say of a format, and the fault where no sample shows it.
FALSE = [
    ("slog-text", {"clock": "json"}, "no sample expects the clock 'json'"),
    ("gin", {"prefix": "[gin]"}, "no sample begins with the prefix"),
    ("gin", {"lookalike": "gone"}, "lookalike names 'gone', which is not a format"),
    ("gin", {"lookalike": None}, "the sample begins with the prefix of gin"),
    ("gpu-error", {"closes": "^never$"}, "no sample matches 'closes'"),
    ("gpu-error", {"closes": "."}, "no sample continues: all match 'closes'"),
    ("cpp-text", {"unix": None}, "the clock is 'inherited', not 'json'"),
    ("cpp-text", {"rebuilt": ("{level}: ", "{message}")}, "the rebuilt text is 'INFO: build info', not "),
    ("client-text", {"trims": None}, "the rebuilt text is"),
    ("nginx-error", {"routed": False}, "'our_fault' is the text of a format that is routed"),
    ("gateway-log", {"routed": True}, "no sample names a route"),
    ("systemd", {"rebuilt": ("{component}: ", "{message}")}, "no sample expects a rebuilt text"),
    ("foreign", {"strangers": False}, "one format takes strangers, not 0"),
]


@pytest.mark.parametrize(("name", "says", "fault"), FALSE, ids=[f"{name}-{'-'.join(says)}" for name, says, _ in FALSE])
def test_what_no_sample_shows_is_a_fault(name: str, says: dict[str, Any], fault: str) -> None:
    """A property that the samples of a format contradict, or do not show, is found."""
    false = replace(BOOK.by_name[name], **says)
    broken = lineformats.FormatBook([false if item.name == name else item for item in BOOK.formats], "x")
    assert any(fault in found for found in format_proof.check(broken)), format_proof.check(broken)


@pytest.mark.parametrize(("key", "value"), [("clock", "sundial"), ("rebuilt", ["{colour}"]), ("reader", "nobody")])
def test_an_unknown_word_is_a_fault(key: str, value: object) -> None:
    """Clocks, pieces of texts and readers are those that exist."""
    keys = format_files.keys_of(lineformats.LineFormat, filled=(), base=format_files.Format)
    data = {"name": "x", "title": "x", "owner": "other", "pattern": "x", "references": ("x",), "sample": ()}
    keys.model_validate(data)
    with pytest.raises(ValueError, match=key):
        keys.model_validate(data | {key: value})


def test_the_readers_are_those_that_formats_may_name() -> None:
    """Each reader has a format, and each reader of gateways a function."""
    readers = set(get_args(lineformats.Reader))
    assert {item.reader for item in BOOK.formats if item.reader} == readers
    assert set(gateways.READERS) < readers
    assert set(stored_text._pieces()) == set(schema.PIECES)


# Words that are not the name of a format where they stand.
OTHER_WORDS = {("schema.py", "go-log"): "a clock, as ``events.ts_source`` names it"}


def test_the_code_knows_no_format_by_its_name() -> None:
    """What is decided by the format of a line stands in the file of the format."""
    package, found = Path(lineformats.__file__).parent, set()
    while not (package / "__main__.py").is_file():
        package = package.parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in BOOK.by_name:
                found.add((path.relative_to(package).as_posix(), node.value))
    assert len(list(package.rglob("*.py"))) > 90
    assert found == set(OTHER_WORDS)


def test_a_book_stays_as_it_was_made() -> None:
    """Threads share a book: reading with it changes nothing in it."""
    book = lineformats.FormatBook(BOOK.formats, BOOK.hash)
    before = {name: repr(value) for name, value in vars(book).items()}
    assert format_proof.check(book) == []
    assert {name: repr(value) for name, value in vars(book).items()} == before


def test_bodies_met_before_are_recognised_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of bodies met before changes no answer, also where it is full and where only a part was met."""
    units = [(BOOK.by_name[name].units or (None,))[0] for name, _ in SAMPLES]
    frame = pl.DataFrame({"body": [line for _, line in SAMPLES], "unit": units}, schema_overrides={"unit": pl.String})
    first, order, cache = BOOK.recognise(frame), ("body", "unit"), lineformats.FormatCache()
    assert first.height == len(SAMPLES)
    for _ in range(2):
        assert BOOK.recognise(frame, cache).sort(order).equals(first.sort(order))
    monkeypatch.setattr(lineformats, "MAX_CACHED", len(SAMPLES) // 3)
    cache = lineformats.FormatCache()
    for start in range(0, len(SAMPLES), 40):
        BOOK.recognise(frame.slice(start, 60), cache)
    assert BOOK.recognise(frame, cache).sort(order).equals(first.sort(order))
