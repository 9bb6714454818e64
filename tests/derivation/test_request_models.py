"""Which model a request asked for, where only the lines around it can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

import erranalytics as ea

ONE, TWO = "sha256-" + "ab12" * 16, "sha256-" + "cd34" * 16


def slog(second: float, message: str, attrs: str = "", *, minute: int = 0) -> str:
    """A line of the server."""
    return f'time=2026-01-05T10:{minute:02d}:{second:06.3f}Z level=INFO source=x.go:1 msg="{message}" {attrs}'.rstrip()


def listen(version: str = "0.9.6") -> str:
    """The line with which a run begins."""
    return slog(0, f"Listening on 127.0.0.1:11434 (version {version})")


def load(begin: float, end: float, blob: str = ONE, *, minute: int = 0) -> list[str]:
    """The lines of a load that goes well."""
    return [
        slog(begin, "starting llama server", f'cmd="ollama runner --model /m/blobs/{blob} --port 1"', minute=minute),
        slog(end, f"llama runner started in {end - begin:.2f} seconds", minute=minute),
    ]


def answer(end: int, seconds: float, path: str = "/api/chat", *, status: int = 200, minute: int = 0) -> str:
    """An access line."""
    return f'[GIN] 2026/01/05 - 10:{minute:02d}:{end:02d} | {status} | {seconds:.6f}s | 127.0.0.1 | POST "{path}"'


def named(model: str) -> str:
    """What the scheduler says behind an answer, with OLLAMA_DEBUG."""
    return slog(
        30,
        "after processing request finished event",
        f"runner.name=registry.ollama.ai/library/{model} runner.pid=5 runner.model=/m/blobs/{ONE} refCount=0",
    )


FILE, SECOND = (ONE[:19], "slog"), (TWO[:19], "slog")
ONLY, NONE = (ONE[:19], "single_loaded"), (None, None)
TABLE = {
    "a load inside the only request": (
        [listen("0.24.0"), *load(5, 8), answer(9, 6)], [FILE],
    ),
    "another was on its way": (
        [listen("0.24.0"), *load(5, 8), answer(9, 6), answer(12, 8)], [NONE, NONE],
    ),
    "another came after the load": (
        [listen("0.24.0"), *load(5, 8), answer(9, 6), answer(15, 3)], [FILE, NONE],
    ),
    "two models, one after the other": (
        [listen("0.24.0"), *load(5, 8), answer(9, 6), *load(20, 22, TWO), answer(25, 7)], [FILE, SECOND],
    ),
    "a load that began before the request": (
        [listen("0.24.0"), *load(5, 8), answer(9, 2)], [NONE],
    ),
    "a load that failed": (
        [listen("0.24.0"), slog(6, "Load failed", f'model=/m/blobs/{ONE} error="unable to load model"'), answer(7, 3, status=500)],
        [(ONE[:19], "message")],
    ),
    "not found is not loaded": (
        [listen("0.24.0"), *load(5, 8), answer(9, 6, status=404)], [NONE],
    ),
    "the only file that was loaded": (
        [listen(), *load(5, 8), answer(9, 6), answer(20, 3), answer(21, 0.01, "/v1/chat/completions")], [FILE, ONLY, ONLY],
    ),
    "an answer at once may be the end of another model": (
        [listen(), *load(5, 8), answer(9, 6), answer(20, 0.01)], [FILE, NONE],
    ),
    "until a second one is loaded": (
        [listen(), *load(5, 8), answer(9, 6), answer(20, 3), *load(30, 33, TWO), answer(34, 6), answer(50, 3)],
        [FILE, ONLY, SECOND, NONE],
    ),
    "a model of the cloud may have answered": (
        [listen("0.12.6"), *load(5, 8), answer(9, 6), answer(20, 3)], [FILE, NONE],
    ),
    "the begin of the run is not in the log": (
        [*load(5, 8), answer(9, 6), answer(20, 3)], [FILE, NONE],
    ),
    "the scheduler names it": (
        [listen("0.24.0"), answer(9, 6), named("llama3:8b"), answer(20, 3), named("qwen3:4b")],
        [("llama3:8b", "slog"), ("qwen3:4b", "slog")],
    ),
    "two that end together with one model": (
        [listen("0.24.0"), answer(9, 6), answer(9, 3), named("llama3:8b"), named("llama3:8b")], [("llama3:8b", "slog")] * 2,
    ),
    "two that end together with two models": (
        [listen("0.24.0"), answer(9, 6), answer(9, 3), named("llama3:8b"), named("qwen3:4b")], [NONE, NONE],
    ),
    "a name that is late is not that of the next": (
        [listen("0.24.0"), answer(9, 6), answer(9, 3), named("a"), answer(10, 1), named("b"), answer(20, 1), named("c")],
        [NONE] * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_the_model_of_a_request(name: str, tmp_path: Path) -> None:
    """Only what is proved; a file where no line gives the name."""
    lines, expected = TABLE[name]
    # Names come from lines about runners, which are known by their loads.
    extra = load(40, 41, minute=5) if name.startswith(("the scheduler", "two that", "a name")) else []
    path, db = tmp_path / "server.log", tmp_path / "store.duckdb"
    path.write_text("\n".join([*lines, *extra]) + "\n", encoding="utf-8")
    ea.ingest([path], db=db, tz="UTC")
    connection = ea.connect(db)
    found = connection.execute("select model, model_source from requests order by event_id").fetchall()
    connection.close()
    assert found == expected


def test_the_failed_request_carries_it_to_its_incident(tmp_path: Path) -> None:
    """What is known of a request is known of its error and its incident."""
    lines, _ = TABLE["a load that failed"]
    path, db = tmp_path / "server.log", tmp_path / "store.duckdb"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ea.ingest([path], db=db, tz="UTC")
    connection = ea.connect(db)
    sql = "select model, model_source from errors where surface = 'access'"
    assert connection.execute(sql).fetchall() == [(ONE[:19], "message")]
    assert connection.execute("select models from incidents").fetchall() == [([ONE[:19]],)]
    connection.close()
