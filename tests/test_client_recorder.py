"""The recorder of ``erranalytics.client``: blocks, wrapped clients, retries, endings, files, and that it never disturbs."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wire.server import FAILURE, FLAKY, WireServer

from erranalytics import callrecords
from erranalytics.client import Recorder, hooks, record, wrap
from erranalytics.client import recorder as recorders
from erranalytics.client.masking import Words, error_body, masked
from erranalytics.client.watching import BODY, PIECE, Watch
from erranalytics.client.writing import Lines

httpx = pytest.importorskip("httpx", reason="httpx is not installed")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def server() -> Iterator[WireServer]:
    """The server that misbehaves."""
    with WireServer() as running:
        yield running


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Reads the records written so far; every one of them fits the model."""

    def read() -> list[dict[str, Any]]:
        path = tmp_path / "calls.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        assert [callrecords.read(line).to_json() for line in lines]
        return [json.loads(line) for line in lines]

    return read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of records."""
    return tmp_path / "calls.jsonl"


def ask(client: Any, server: WireServer, model: str = "fine", **more: Any) -> Any:
    """One call that does not stream."""
    return client.post(server.url + "/api/generate", json={"model": model, "prompt": "x", "stream": False, **more})


# --- blocks and wrapped clients ------------------------------------------------------------------------------------


def test_a_block_records_the_calls_inside_it(server, path, calls) -> None:
    """Clients made before or inside, in any thread; nothing before or after the block."""
    with httpx.Client() as client:
        ask(client, server)
        with record(path, app="shop"):
            ask(client, server)
            thread = threading.Thread(target=ask, args=(client, server, "crash"))
            thread.start()
            thread.join()
        ask(client, server)
    assert [(one["outcome"], one["app"]) for one in calls()] == [("completed", "shop"), ("failed", "shop")]


def test_blocks_inside_a_block_add_their_names(server, path, calls) -> None:
    """An inner block without a file writes where the outer one does; names and other attributes are inherited."""
    with httpx.Client() as client, record(path, app="shop", attrs={"region": "eu"}):
        with record(trace_id="t-1", attrs={"user_kind": "staff"}):
            ask(client, server)
        ask(client, server)
    first, second = calls()
    assert (first["app"], first["trace_id"], first["attrs"]["region"], first["attrs"]["user_kind"]) == (
        "shop",
        "t-1",
        "eu",
        "staff",
    )
    assert (second["trace_id"], second["attrs"].get("user_kind")) == (None, None)


def test_the_trace_of_a_request_is_kept(server, path, calls) -> None:
    """The header of W3C names the trace where the program does not."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with httpx.Client(headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}) as client, record(path):
        ask(client, server)
    assert calls()[0]["trace_id"] == trace


def test_a_wrapped_client_stays_itself(server, path, calls) -> None:
    """The same object of the same class; others of its class are not recorded."""
    client = httpx.Client()
    assert wrap(client, Recorder(path)) is client
    assert type(client) is httpx.Client
    with client, httpx.Client() as other:
        ask(client, server)
        ask(other, server)
    assert len(calls()) == 1


def test_a_client_that_is_wrapped_in_a_block_is_recorded_once(server, path, calls) -> None:
    """Wrapping twice, or inside a block, makes no second record."""
    with record(path), httpx.Client() as client:
        ask(wrap(wrap(client)), server)
    assert len(calls()) == 1


def test_what_cannot_be_watched_is_given_back_with_a_warning(caplog) -> None:
    """A client of another kind goes on unrecorded, and the log says so."""
    thing = object()
    with caplog.at_level(logging.WARNING):
        assert wrap(thing) is thing
    assert "object is no client that can be watched" in caplog.text


def test_other_calls_of_a_program_are_left_alone(server, path, calls) -> None:
    """A block records routes of models only; a wrapped client all it does; paths before a route are told apart."""
    with httpx.Client() as client:
        with record(path):
            client.get(server.url + "/health?key=abc")
            client.get(server.url + "/api/tags")
            client.post(server.url + "/team-a/api/generate", json={"model": "fine", "stream": False})
        with httpx.Client() as other:
            wrap(other, Recorder(path)).get(server.url + "/health?key=abc")
    tags, prefixed, health = calls()
    assert (tags["endpoint"], tags["stream"], tags["model"], tags["outcome"]) == ("/api/tags", False, None, "completed")
    assert (prefixed["endpoint"], prefixed["attrs"]["path_prefix"]) == ("/api/generate", "/team-a")
    assert health["endpoint"] == "/health"


def test_async_blocks_and_tasks(server, path, calls) -> None:
    """A block may be async, and each task has its own names."""

    async def one(client: Any, name: str) -> None:
        async with record(trace_id=name):
            await ask(client, server)

    async def main() -> None:
        async with record(path), httpx.AsyncClient() as client:
            await asyncio.gather(one(client, "a"), one(client, "b"))

    asyncio.run(main())
    assert sorted(one["trace_id"] for one in calls()) == ["a", "b"]


def test_a_client_that_is_loaded_later_is_watched(server, path, calls) -> None:
    """In a block, a module that is imported only then shows its calls, and keeps its loader."""
    code = (
        "import sys\nfrom erranalytics.client import record\n"
        f"with record({str(path)!r}):\n"
        "    assert 'httpx' not in sys.modules\n    import httpx\n"
        f"    with httpx.Client() as client: client.get({server.url!r} + '/api/tags')\n"
        "    print(type(httpx.__loader__).__name__, type(httpx.__spec__.loader).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["SourceFileLoader", "SourceFileLoader"]
    assert len(calls()) == 1


# --- retries -------------------------------------------------------------------------------------------------------


def test_retries_of_an_sdk_are_attempts(server, path, calls) -> None:
    """Each attempt has its record, with its number."""
    openai = pytest.importorskip("openai")
    server.seen.clear()
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=2) as client:
        wrap(client, Recorder(path)).chat.completions.create(model=FLAKY, messages=[{"role": "user", "content": "x"}])
    assert [(one["attempt"], one["http_status"], one["outcome"]) for one in calls()] == [
        (1, 503, "failed"),
        (2, 200, "completed"),
    ]


def test_attempts_of_a_named_call_are_counted(server, path, calls) -> None:
    """What a program does under one name is one call with its attempts, whatever repeats it."""
    with httpx.Client() as client, record(path):
        with record(record_id="order-17"):
            ask(client, server, "crash")
            ask(client, server)
        ask(client, server)
    assert [(one["record_id"] == "order-17", one["attempt"]) for one in calls()] == [(True, 1), (True, 2), (False, 1)]


def test_a_redirect_is_one_call(path, calls) -> None:
    """A client that follows redirects makes one call, with the status of the last answer."""

    def answer(request: Any) -> Any:
        if request.url.path == "/api/tags":
            return httpx.Response(307, headers={"location": "/moved/api/tags"})
        return httpx.Response(200, json={"models": []})

    with httpx.Client(
        transport=httpx.MockTransport(answer), base_url="http://ollama:11434", follow_redirects=True
    ) as client:
        wrap(client, Recorder(path)).get("/api/tags")
    assert [(one["http_status"], one["outcome"]) for one in calls()] == [(200, "completed")]


# --- how calls end -------------------------------------------------------------------------------------------------


def stream(client: Any, server: WireServer, model: str = "fine", route: str = "/api/generate") -> Any:
    """A stream that is not read yet."""
    return client.stream("POST", server.url + route, json={"model": model, "prompt": "x", "stream": True})


def test_a_cancelled_task_is_the_clients_wish(server, path, calls) -> None:
    """A task that is cancelled, or waited for too short, raises what it raises without a recorder."""

    async def main() -> None:
        async with wrap(httpx.AsyncClient(timeout=5), Recorder(path)) as client:
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.2), stream(client, server, "hangs-between") as response:
                    async for _ in response.aiter_lines():
                        pass

    asyncio.run(main())
    (one,) = calls()
    assert (one["outcome"], one["error_type"], one["chunk_count"]) == (
        "cancelled_by_client",
        "asyncio.exceptions.CancelledError",
        3,
    )


def test_an_interrupt_is_the_clients_wish(path, calls) -> None:
    """Ctrl-C in the middle of a call that does not stream."""

    def interrupted(request: Any) -> Any:
        raise KeyboardInterrupt

    with httpx.Client(transport=httpx.MockTransport(interrupted)) as client, pytest.raises(KeyboardInterrupt):
        wrap(client, Recorder(path)).post("http://o:11434/api/chat", json={"model": "m", "stream": False})
    assert calls()[0]["outcome"] == "cancelled_by_client"


def test_a_stream_that_is_dropped_is_told(server, path, calls) -> None:
    """A program that forgets a stream without closing it has left it; the record says so when memory is cleared up."""
    client = wrap(httpx.Client(), Recorder(path))
    response = client.send(
        client.build_request("POST", server.url + "/api/generate", json={"model": "fine", "stream": True}), stream=True
    )
    next(response.iter_lines())
    del response
    gc.collect()
    client.close()
    (one,) = calls()
    assert (one["outcome"], one["attrs"]["ended_by"]) == ("cancelled_by_client", "dropped by the program")


def test_a_program_that_ends_leaves_its_streams(server, path, calls) -> None:
    """A stream that is open when the program ends has its record."""
    code = (
        "import httpx\nfrom erranalytics.client import Recorder, wrap\n"
        f"client = wrap(httpx.Client(), Recorder({str(path)!r}))\n"
        f"request = client.build_request('POST', {server.url!r} + '/api/generate', json={{'model': 'fine'}})\n"
        "response = client.send(request, stream=True)\nlines = response.iter_lines()\nnext(lines)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    (one,) = calls()
    assert (one["outcome"], one["stream"], one["attrs"]["ended_by"]) == (
        "cancelled_by_client",
        True,
        "end of the program",
    )


def test_whoever_has_seen_the_mark_may_leave(server, path, calls) -> None:
    """A stream closed after its last object is completed; so is one whose reason to stop was seen."""
    with wrap(httpx.Client(), Recorder(path)) as client:
        for route, last in (("/api/generate", '"done":true,'), ("/v1/chat/completions", '"finish_reason":"stop"')):
            with stream(client, server, route=route) as response:
                for line in response.iter_lines():
                    if last in line:
                        break
    assert [one["outcome"] for one in calls()] == ["completed", "completed"]
    assert calls()[1]["attrs"]["finish_reason"] == "stop"


def test_a_stream_read_after_its_block_is_recorded(server, path, calls) -> None:
    """The block decides when a call begins, not when it ends."""
    with httpx.Client() as client:
        with record(path):
            response = client.send(
                client.build_request("POST", server.url + "/api/generate", json={"model": "fine"}), stream=True
            )
        assert len(list(response.iter_lines())) == 5
    assert calls()[0]["outcome"] == "completed"


# --- answers of other shapes ---------------------------------------------------------------------------------------


def answered(path: Path, body: bytes, *, asked: dict[str, Any], route: str, headers: dict[str, str]) -> dict[str, Any]:
    """The record of a call whose answer is given byte by byte."""

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return (body[at : at + 7] for at in range(0, len(body), 7))

    transport = httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, stream=Body()))
    url = "http://ollama:11434" + route
    with (
        wrap(httpx.Client(transport=transport), Recorder(path)) as client,
        client.stream("POST", url, json=asked) as response,
    ):
        for _ in response.iter_raw():
            pass
    return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])


EVENTS = {"content-type": "text/event-stream"}
DONE = b'{"response":"a","done":false}\n{"response":"","done":true}\n'
CASES: dict[str, tuple[bytes, bool, str, dict[str, str], str, int | None]] = {
    "lines that say so": (DONE, True, "/api/generate", {"content-type": "application/x-ndjson"}, "completed", 2),
    "lines that do not say so": (DONE, True, "/api/generate", {"content-type": "application/json"}, "completed", 2),
    "the last line lacks its line feed": (DONE[:-1], True, "/api/generate", {}, "completed", 2),
    "lines with carriage returns": (DONE.replace(b"\n", b"\r\n"), True, "/api/generate", {}, "completed", 2),
    "packed": (gzip.compress(DONE), True, "/api/generate", {"content-encoding": "gzip"}, "completed", 2),
    "packed in a way that is not known": (b"\x1b\x03", True, "/api/generate", {"content-encoding": "br"}, "not_observable", None),
    "events without blanks": (b'data:{"choices":[{"finish_reason":null}]}\n\ndata:[DONE]\n\n', True, "/v1/chat/completions", EVENTS, "completed", 1),
    "events with remarks": (b': ping\n\ndata: {"type":"message_stop"}\n\n', True, "/v1/messages", EVENTS, "completed", 1),
    "a reason to stop is no end": (b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', True, "/v1/chat/completions", EVENTS, "truncated", 1),
    "responses that complete": (b'event: response.completed\ndata: {"type":"response.completed","response":{"error":null}}\n\n', True, "/v1/responses", EVENTS, "completed", 1),
    "responses that fail": (b'data: {"type":"response.failed","response":{"error":{"message":"no"}}}\n\n', True, "/v1/responses", EVENTS, "failed_mid_stream", 1),
    "a whole answer where a stream was asked": (b'{"object":"chat.completion","choices":[{"finish_reason":"stop"}]}', True, "/v1/chat/completions", {"content-type": "application/json"}, "completed", None),
    "an error in the middle, and more after it": (b'{"error":"out of memory"}\n{"done":true}\n', True, "/api/chat", {}, "failed_mid_stream", 2),
    "a pull that succeeds": (b'{"status":"pulling"}\n{"status":"success"}\n', True, "/api/pull", {}, "completed", 2),
    "a pull that breaks": (b'{"status":"pulling"}\n{"error":"pull model manifest: file does not exist"}\n', True, "/api/pull", {}, "failed_mid_stream", 2),
    "nothing at all": (b"", True, "/api/chat", {}, "truncated", None),
    "not done": (b'{"response":"aaaa","done":false}', False, "/api/generate", {}, "failed", None),
    "embeddings larger than what is kept": (b'{"embeddings":[[' + b"0.25," * (BODY // 4) + b"0]]}", False, "/api/embed", {}, "completed", None),
    "an answer larger than what is kept": (b'{"response":"' + b"a" * BODY + b'","done":true}', False, "/api/generate", {}, "not_observable", None),
    "an empty answer to a deletion": (b"", False, "/api/delete", {}, "completed", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_answers_of_other_shapes(name: str, path: Path) -> None:
    """Whatever shape an answer has, and wherever it is cut into pieces, the outcome and the count are right."""
    body, streams, route, headers, outcome, count = CASES[name]
    one = answered(path, body, asked={"model": "m", "stream": streams}, route=route, headers=headers)
    assert (one["outcome"], one["chunk_count"]) == (outcome, count)


def test_an_answer_that_is_shorter_than_it_says(path: Path) -> None:
    """Some clients do not mind a body that is shorter than its length: the record does."""
    watch = Watch({"endpoint": "/v1/chat/completions"}, stream=False, request=b"", write=(found := []).append)
    watch.answered(200, {"content-length": "100"})
    watch.feed(b'{"choices":[]}', 0.0, 0.0)
    watch.end()
    assert found[0]["outcome"] == "failed"


def test_an_answer_without_its_body(path: Path, calls) -> None:
    """HEAD tells a length and sends nothing: that is no short answer."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, headers={"content-length": "17"}))
    with wrap(httpx.Client(transport=transport), Recorder(path)) as client:
        client.head("http://ollama:11434/")
    assert calls()[0]["outcome"] == "completed"


def test_memory_is_bounded() -> None:
    """However long a stream, a line or a body is, what is kept stays small."""
    for streams, piece in (
        (True, b'{"response":"a","done":false}\n' * 4_000),
        (True, b"a" * 200_000),
        (False, b"a" * 200_000),
    ):
        watch = Watch({"endpoint": "/api/generate"}, stream=streams, request=b"", write=lambda one: None)
        watch.answered(200, {"content-type": "application/x-ndjson"})
        for _ in range(50):
            watch.feed(piece, 0.0, 0.0)
        kept = len(watch._rest) + len(watch._body) + sum(map(len, [*watch._tail, *watch.pieces]))
        assert kept <= 10 * PIECE + BODY
        watch.end()


# --- what is not written -------------------------------------------------------------------------------------------

SECRETS = (
    "Authorization: Bearer abcdefghijkl",
    "https://user:hunter22@gateway/api/chat",
    "https://a/connect?name=x&key=c3NoLWVk",
    "sk-0123456789abcdef0123",
    "x-api-key: 1234567890",
)


@pytest.mark.parametrize("text", SECRETS)
def test_keys_are_masked_as_logs_are(text: str) -> None:
    """The recorder, which may not import polars, hides what ``redact`` hides."""
    import polars as pl

    from erranalytics import redact

    assert masked(text) == redact.mask_secrets(pl.Series([text]))[0] != text


def test_what_an_error_quotes_of_a_request_is_hidden() -> None:
    """Validators repeat what they were sent, whole, escaped or with its middle left out."""
    prompt = 'My neighbour\'s secret is that he\nburied "the treasure" under the apple tree in 1994'
    words = Words(json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]}).encode())
    body = {
        "detail": [{"loc": ["body", "messages"], "msg": f"bad: {prompt}", "input": prompt}],
        "error": f"input_value='{prompt[:28]}...{prompt[-30:]}' and {json.dumps(prompt)}",
    }
    text = error_body(json.dumps(body).encode(), words) or ""
    assert '"loc":["body","messages"]' in text
    assert [piece for piece in ("secret is", "buried", "treasure", "apple tree") if piece in text] == []


def test_errors_of_requests_nobody_knows_are_not_written() -> None:
    """Where the request is too long to look through, or was never seen, its error might quote anything."""
    assert Words(None).hide("cannot parse tell me a secret") is None
    assert error_body(b'{"error":"x"}', Words(b"x" * (2 << 20))) is None


def test_long_errors_are_cut() -> None:
    """A page of a gateway does not fill the file."""
    assert len(masked("x" * 100_000)) < 2_100
    assert len(error_body(b"<html>" + b"x" * 100_000, Words(b"")) or "") < 2_100


# --- files ---------------------------------------------------------------------------------------------------------


def test_files_are_begun_anew_when_full(tmp_path: Path) -> None:
    """Whole lines only, the newest file has the plain name, and only so many stay."""
    lines = Lines(tmp_path / "calls.jsonl", max_bytes=100, kept=2)
    for number in range(20):
        assert lines.append(f"{number:02} {'x' * 26}")
    lines.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["calls.jsonl", "calls.jsonl.1", "calls.jsonl.2"]
    assert [line[:2] for name in reversed(names) for line in (tmp_path / name).read_text().splitlines()] == [
        f"{number:02}" for number in range(12, 20)
    ]


WRITER = """
import json, sys
from erranalytics.client.writing import Lines
lines = Lines(sys.argv[1], max_bytes=40_000, kept=50)
for number in range(300):
    assert lines.append(json.dumps({"name": sys.argv[2], "number": number, "text": "x" * 200}))
"""


def test_processes_share_a_file(path: Path) -> None:
    """Four processes write at once, the file is begun anew many times: each line is whole and none is missing."""
    commands = [[sys.executable, "-c", WRITER, str(path), name] for name in "abcd"]
    workers = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [worker.wait() for worker in workers] == [0] * 4
    found = [json.loads(line) for file in path.parent.iterdir() for line in file.read_text().splitlines()]
    assert len(list(path.parent.iterdir())) > 3
    assert len({(one["name"], one["number"]) for one in found}) == len(found) == 1_200


def test_a_file_that_was_removed_is_made_again(path: Path) -> None:
    """Whoever rotates files with tools of the system loses nothing."""
    lines = Lines(path)
    lines.append("a")
    path.rename(path.with_name("moved"))
    lines.append("b")
    lines.close()
    assert path.read_text() == "b\n"


# --- never raises --------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_written_loses_records_only(server, tmp_path: Path) -> None:
    """The program goes on, and the recorder knows how many records are lost."""
    (tmp_path / "file").write_text("")
    with httpx.Client() as client, record(tmp_path / "file" / "calls.jsonl") as recorder:
        assert ask(client, server).json()["done"] is True
    assert (recorder.written_count, recorder.lost_count) == (0, 1)


def test_a_full_disk_loses_records_only(server) -> None:
    """Half a line at most, and the program goes on."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with httpx.Client() as client, record("/dev/full") as recorder:
        assert ask(client, server).json()["done"] is True
    assert recorder.lost_count == 1


@pytest.mark.parametrize("where", ["begin", "answered", "feed", "record"])
def test_faults_of_the_recorder_stay_inside(server, path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Whatever breaks in the recorder, the program sees its answer."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault of the recorder")

    target: tuple[Any, str] = {
        "begin": (recorders, "body_facts"),
        "answered": (Watch, "_unpack_by"),
        "feed": (Watch, "_look"),
        "record": (Watch, "_record"),
    }[where]
    monkeypatch.setattr(*target, broken)
    with record(path), httpx.Client() as client, stream(client, server) as response:
        assert len(list(response.iter_lines())) == 5


def test_a_client_that_is_built_otherwise_goes_unwatched(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """A later version that lacks what the recorder needs is left as it is, and the log says so."""
    module = type(httpx)("httpx")
    with caplog.at_level(logging.WARNING):
        hooks.patch(module)
    assert "the clients of httpx cannot be watched" in caplog.text


# --- what only exceptions tell -------------------------------------------------------------------------------------


def test_an_exception_is_all_there_is(path, calls) -> None:
    """Where nothing was seen on the wire, the exception of the SDK makes the record, with the source of its status."""
    ollama = pytest.importorskip("ollama")
    with pytest.raises(ollama.ResponseError), record(path):
        raise ollama.ResponseError(FAILURE, -1)
    with pytest.raises(ollama.ResponseError), record(path):
        raise ollama.ResponseError("model 'x' not found", 404)
    assert [(one["http_status"], one["status_source"]) for one in calls()] == [(None, "sentinel"), (404, "wire")]
    assert calls()[0]["error_type"] == "ollama._types.ResponseError"


def test_a_status_that_litellm_made_up_is_called_so() -> None:
    """litellm gives its timeouts 408 and its connection errors 500, whatever came over the wire."""
    from erranalytics.client import faults

    kinds = {
        name: type(name, (Exception,), {"__module__": "litellm.exceptions"}) for name in ("Timeout", "NotFoundError")
    }
    made_up, passed_on = kinds["Timeout"](), kinds["NotFoundError"]()
    made_up.status_code, passed_on.status_code = 408, 404
    assert faults.status_of(made_up) == (408, "sdk_synthetic")
    assert faults.status_of(passed_on) == (404, "inferred")


def test_other_exceptions_make_no_record(path, calls) -> None:
    """A mistake of the program is no call."""
    with pytest.raises(ZeroDivisionError), record(path):
        _ = 1 / 0
    assert not path.exists()


def test_the_environment_names_file_and_program(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path the variables decide, else calls.jsonl in the folder of now."""
    monkeypatch.setenv("ERRANALYTICS_CALLS", str(tmp_path / "named.jsonl"))
    monkeypatch.setenv("ERRANALYTICS_APP", "shop")
    assert Recorder().path == str(tmp_path / "named.jsonl")
    assert Recorder().app == "shop"
    monkeypatch.delenv("ERRANALYTICS_CALLS")
    monkeypatch.chdir(tmp_path)
    assert Recorder().path == str(tmp_path / "calls.jsonl")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_tell_of_its_parents_calls(server, path, calls) -> None:
    """A stream open at a fork is the parent's alone."""
    code = (
        "import os, httpx\nfrom erranalytics.client import Recorder, wrap\n"
        f"client = wrap(httpx.Client(), Recorder({str(path)!r}))\n"
        f"with client.stream('POST', {server.url!r} + '/api/generate', json={{'model': 'fine'}}) as response:\n"
        "    lines = response.iter_lines()\n    next(lines)\n"
        "    if not (child := os.fork()): raise SystemExit\n"
        "    os.waitpid(child, 0)\n    assert len(list(lines)) == 4\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert [one["outcome"] for one in calls()] == ["completed"]
