"""Write a journald ``short`` export of a busy Ollama server, of any size, the same for the same seed.

    python benchmarks/generate.py OUT MEGABYTES [--seed N]

The lines have the shapes of Ollama 0.24 (Go runner era). Shares, counted on the output:
about 45 % GIN access lines, 20 % slog, 30 % llama.cpp loader lines, the rest crash blocks.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

HOST = "gpu01 ollama[3307952]: "
PATHS = ["/api/chat"] * 6 + ["/api/generate"] * 5 + ["/v1/chat/completions"] * 4 + ["/api/embed"] * 2
POLLS = ['HEAD     "/"', 'GET      "/api/tags"', 'GET      "/api/ps"', 'GET      "/api/version"']
STATUSES = [200] * 970 + [404] * 10 + [400] * 6 + [500] * 8 + [499] * 4 + [503] * 2
METADATA = [
    "llama_model_loader: - kv {n:3d}:  general.key_{n} str = value {n}",
    "llama_model_loader: - type q4_K:  {n} tensors",
    "print_info: n_layer_{n}          = {n}",
    "load_tensors: layer {n:3d} assigned to device CUDA0, is_swa = 0",
    "llama_kv_cache: layer {n:3d}: dev = CUDA0",
]


def stamp(now: datetime) -> str:
    """The three stamps of one moment: syslog, slog, GIN."""
    return now.strftime("%b %d %H:%M:%S ")


def slog(now: datetime, level: str, source: str, rest: str) -> str:
    """One slog TextHandler line."""
    return f"time={now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}+08:00 level={level} source={source} {rest}"


def load(now: datetime, rng: random.Random) -> Iterator[str]:
    """A model is loaded: scheduler lines, loader dump, memory lines."""
    blob = f"/usr/share/ollama/.ollama/models/blobs/sha256-{rng.choice('abcdef') * 64}"
    port = rng.randint(30000, 60000)
    yield slog(
        now,
        "INFO",
        "server.go:433",
        f'msg="starting runner" cmd="/usr/local/bin/ollama runner --model {blob} --port {port}"',
    )
    yield slog(now, "INFO", "sched.go:491", 'msg="system memory" total="62.7 GiB" free="50.1 GiB" free_swap="8.0 GiB"')
    yield slog(
        now,
        "INFO",
        "sched.go:498",
        'msg="gpu memory" id=GPU-1a2b library=CUDA available="22.8 GiB" free="23.2 GiB" minimum="457.0 MiB" overhead="0 B"',
    )
    yield f"llama_model_loader: loaded meta data with 39 key-value pairs and 272 tensors from {blob} (version GGUF V3 (latest))"
    for n in range(150):
        yield METADATA[n % len(METADATA)].format(n=n)
    yield "load_tensors: offloaded 33/33 layers to GPU"
    yield "load_tensors:        CUDA0 model buffer size =  4403.49 MiB"
    if rng.random() < 0.06:
        yield f"ggml_backend_cuda_buffer_type_alloc_buffer: allocating {rng.randint(500, 23000)}.00 MiB on device 0: cudaMalloc failed: out of memory"
        yield "llama_model_load: error loading model: unable to allocate CUDA0 buffer"
        yield slog(
            now,
            "ERROR",
            "sched.go:457",
            'msg="error loading llama server" error="llama runner process has terminated: cudaMalloc failed: out of memory"',
        )
        yield gin(now, rng, 500, '"/api/chat"')
        return
    yield "llama_kv_cache:      CUDA0 KV buffer size =   512.00 MiB"
    yield slog(now, "INFO", "server.go:1376", f'msg="llama runner started in {rng.random() * 9:.2f} seconds"')


def gin(now: datetime, rng: random.Random, status: int, path: str) -> str:
    """One access line; latencies are log-uniform from microseconds to minutes."""
    nanos = int(10 ** rng.uniform(5, 11))
    if nanos >= 60_000_000_000:
        latency = f"{nanos // 60_000_000_000}m{nanos // 1_000_000_000 % 60}s"
    elif nanos >= 1_000_000_000:
        latency = f"{nanos / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    elif nanos >= 1_000_000:
        latency = f"{nanos / 1e6:.6f}".rstrip("0").rstrip(".") + "ms"
    else:
        latency = f"{nanos / 1e3:.3f}".rstrip("0").rstrip(".") + "µs"
    address = f"10.0.{rng.randint(0, 3)}.{rng.randint(1, 254)}"
    return f"[GIN] {now:%Y/%m/%d - %H:%M:%S} | {status} | {latency:>13} | {address:>15} | POST     {path}"


def poll(now: datetime, rng: random.Random) -> str:
    """A heartbeat of a client."""
    return f"[GIN] {now:%Y/%m/%d - %H:%M:%S} | 200 | {rng.randint(10, 999)}.{rng.randint(10, 99)}µs |       127.0.0.1 | {rng.choice(POLLS)}"


def scene(now: datetime, rng: random.Random) -> Iterator[str]:
    """A load and the requests that follow it."""
    yield from load(now, rng)
    for _ in range(rng.randint(150, 300)):
        roll = rng.random()
        if roll < 0.12:
            yield poll(now, rng)
        elif roll < 0.70:
            yield gin(now, rng, rng.choice(STATUSES), f'"{rng.choice(PATHS)}"')
        elif roll < 0.95:
            yield slog(
                now,
                "DEBUG",
                "sched.go:377",
                f'msg="context for request finished" runner.size="{rng.randint(3, 40)}.{rng.randint(0, 9)} GiB" runner.num_ctx=8192',
            )
        elif roll < 0.98:
            yield slog(
                now,
                "WARN",
                "runner.go:187",
                f'msg="truncating input prompt" limit=8192 prompt={rng.randint(8193, 99999)} keep=4 new=8192',
            )
        else:
            yield slog(
                now, "INFO", "server.go:1500", 'msg="aborting completion request due to client closing the connection"'
            )
    if rng.random() < 0.03:
        yield "CUDA error: an illegal memory access was encountered"
        yield "  current device: 0, in function launch_fattn at ggml/src/ggml-cuda/fattn-common.cuh:963"
        yield "  cudaGetLastError()"
        yield "ggml/src/ggml-cuda/ggml-cuda.cu:94: CUDA error"
        yield "SIGABRT: abort"
        yield "PC=0x7f3c m=5 sigcode=18446744073709551610"
        yield "goroutine 7 gp=0xc0001068c0 m=5 mp=0xc000100008 [syscall]:"
        for n in range(60):
            yield f"\truntime/cgocall.go:{n} +0x4b fp=0xc000 sp=0xc000 pc=0x7f3c"
        yield slog(now, "ERROR", "server.go:302", 'msg="llama runner terminated" error="exit status 2"')


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("megabytes", type=int)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    now = datetime(2026, 3, 1, 8, tzinfo=UTC)
    size, limit = 0, args.megabytes * 1_000_000
    with args.out.open("w", encoding="utf-8", newline="\n") as out:
        head = slog(now, "INFO", "routes.go:1864", 'msg="Listening on 127.0.0.1:11434 (version 0.24.0)"')
        size += out.write(f"{stamp(now)}{HOST}{head}\n")
        while size < limit:
            for line in scene(now, rng):
                now += timedelta(milliseconds=rng.randint(0, 120))
                size += out.write(f"{stamp(now)}{HOST}{line}\n")


if __name__ == "__main__":
    main()
