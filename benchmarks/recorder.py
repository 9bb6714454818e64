"""What the recorder costs: streams of 1,000 chunks read with and without it, in turns.

A server in a process of its own sends the chunks as fast as it can, or with a pause before each. The client is
ollama-python, and httpx alone for the smallest work a program can do for a chunk. Needs the extra ``dev``.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

CHUNKS = 1_000
LINE = {"model": "bench", "created_at": "2026-11-21T01:57:30.736052Z", "response": " token", "done": False}
LAST = {**LINE, "response": "", "done": True, "done_reason": "stop", "eval_count": CHUNKS}


def serve(pause_s: float) -> None:
    """Answer every request with a stream; the port is the first line of output."""
    chunk = json.dumps(LINE, separators=(",", ":")).encode() + b"\n"
    last = json.dumps(LAST, separators=(",", ":")).encode() + b"\n"
    framed, end = b"%x\r\n%b\r\n" % (len(chunk), chunk), b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            # Clients keep their connections, so each has a thread; only one of them is busy at a time.
            threading.Thread(target=_answer, args=(connection, (head, framed, end), pause_s), daemon=True).start()


def _answer(connection: socket.socket, parts: tuple[bytes, bytes, bytes], pause_s: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head, framed, end = parts
    with connection:
        while _request(connection):
            connection.sendall(head)
            begun = time.perf_counter()
            for number in range(1, CHUNKS):
                # Against the clock, so that pauses that last too long do not add up.
                while pause_s and (left := begun + number * pause_s - time.perf_counter()) > 0:
                    time.sleep(left)
                connection.sendall(framed)
            connection.sendall(end)


def _request(connection: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (got := connection.recv(65_536)):
            return False
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return True


def clients(url: str, path: Path) -> dict[str, tuple[Callable[[], int], Callable[[], int]]]:
    """By name, a program that reads one stream without and with the recorder."""
    import httpx
    import ollama

    from erranalytics.client import Recorder, wrap

    recorder = Recorder(path)

    def by_ollama(client: ollama.Client) -> Callable[[], int]:
        return lambda: sum(1 for _ in client.generate(model="bench", prompt="x", stream=True))

    def by_httpx(client: httpx.Client) -> Callable[[], int]:
        def run() -> int:
            with client.stream("POST", url + "/api/generate", json={"model": "bench", "prompt": "x"}) as response:
                return sum(1 for _ in response.iter_lines())

        return run

    return {
        "ollama-python": (by_ollama(ollama.Client(host=url)), by_ollama(wrap(ollama.Client(host=url), recorder))),
        "httpx": (by_httpx(httpx.Client()), by_httpx(wrap(httpx.Client(), recorder))),
        "httpx, clock only": (by_httpx(httpx.Client()), by_httpx(least())),
    }


def least() -> httpx.Client:
    """A client with the least that can tell how long each chunk took: the time is taken before and behind it."""
    import httpx

    class Timed(httpx.SyncByteStream):
        def __init__(self, inner: httpx.SyncByteStream) -> None:
            self.inner = inner

        def __iter__(self) -> Iterator[bytes]:
            step, longest = iter(self.inner).__next__, 0.0
            while True:
                asked = time.perf_counter()
                try:
                    piece = step()
                except StopIteration:
                    return
                longest = max(longest, time.perf_counter() - asked)
                yield piece

        def close(self) -> None:
            self.inner.close()

    def watch(response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = Timed(response.stream)

    return httpx.Client(event_hooks={"response": [watch]})


def _timed(run: Callable[[], int]) -> tuple[float, float]:
    """Wall and processor seconds of one stream."""
    wall, processor = time.perf_counter(), time.process_time()
    if run() != CHUNKS:
        raise SystemExit("a stream was not whole")
    return time.perf_counter() - wall, time.process_time() - processor


def measure(pause_s: float, runs: int) -> None:
    """Print a row for each client."""
    command = [sys.executable, __file__, "--serve", str(pause_s)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"  # type: ignore[union-attr]
            for name, (bare, watched) in clients(url, Path(folder, "calls.jsonl")).items():
                _timed(bare), _timed(watched)
                pairs = [(_timed(bare), _timed(watched)) for _ in range(runs)]
                plain, with_it = (statistics.median(pair[n][0] for pair in pairs) for n in (0, 1))
                extra = statistics.median(pair[1][0] - pair[0][0] for pair in pairs)
                work = statistics.median(pair[1][1] - pair[0][1] for pair in pairs)
                pace = f"{pause_s * 1e3:g} ms apart" if pause_s else "at once"
                print(
                    f"| {pace} | {name} | {plain * 1e3:.1f} ms | {with_it * 1e3:.1f} ms | {extra / plain:+.1%} "
                    f"| {extra / CHUNKS * 1e6:+.1f} µs | {work / CHUNKS * 1e6:+.1f} µs |"
                )
        finally:
            server.kill()


def measure_alone() -> None:
    """Print what a chunk and a call cost when nothing else is done."""
    import httpx

    from erranalytics.client import Recorder, wrap
    from erranalytics.client.observer import CallObserver

    chunk = json.dumps(LINE, separators=(",", ":")).encode() + b"\n"
    took = []
    for _ in range(200):
        observer = CallObserver({"endpoint": "/api/generate"}, stream=True, request=b"", write=lambda record: None)
        observer.answer_started(200, {"content-type": "application/x-ndjson"})
        begun = time.perf_counter()
        for _ in range(CHUNKS):
            observer.feed(chunk, 0.0, time.perf_counter())
        took.append((time.perf_counter() - begun) / CHUNKS)
        observer.end()
    with tempfile.TemporaryDirectory() as folder:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json={**LAST, "response": "an answer"}))
        with httpx.Client(transport=transport) as bare, httpx.Client(transport=transport) as watched:
            wrap(watched, Recorder(Path(folder, "calls.jsonl")))
            calls = [(_called(bare), _called(watched)) for _ in range(500)]
    more = statistics.median(pair[1] - pair[0] for pair in calls)
    print(
        f"\nAlone: {statistics.median(took) * 1e6:.2f} µs to watch a chunk, {more * 1e6:.0f} µs for a call and its record"
    )


def _called(client: httpx.Client) -> float:
    begun = time.perf_counter()
    client.post("http://ollama:11434/api/generate", json={"model": "bench", "prompt": "x", "stream": False})
    return time.perf_counter() - begun


def main() -> None:
    """Measure, or serve for a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", type=float, metavar="SECONDS", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=30, help="pairs of streams for each row (default: 30)")
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return
    print("| chunks | client | without | with | more | a chunk | processor a chunk |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for pause_s, runs in ((0.0, options.runs * 3), (0.001, options.runs // 2), (0.005, max(3, options.runs // 6))):
        measure(pause_s, runs)
    measure_alone()


if __name__ == "__main__":
    main()
