"""The recorder of ``erranalytics.client``: which calls it records, with which names, and how they end."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest
from support.folders import ROOT
from support.recorded_calls import ask, stream
from support.wire.server import FLAKY

from erranalytics.client import Recorder, record, wrap

httpx = pytest.importorskip("httpx", reason="httpx is not installed")


# --- blocks and wrapped clients ---------------------------------------------------------------------------------------


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
    assert "object is not a client that can be watched" in caplog.text


def test_other_calls_of_a_program_are_left_alone(server, path, calls) -> None:
    """A block records only routes of models, a wrapped client all its calls; a path before the route is kept apart."""
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


# --- retries ----------------------------------------------------------------------------------------------------------


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


# --- how calls end ----------------------------------------------------------------------------------------------------


def test_a_cancelled_task_is_cancelled_by_the_client(server, path, calls) -> None:
    """A task that is cancelled, or that exceeds its timeout, raises what it raises without a recorder."""

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


def test_an_interrupt_is_cancelled_by_the_client(path, calls) -> None:
    """Ctrl-C in the middle of a call that does not stream."""

    def interrupted(request: Any) -> Any:
        raise KeyboardInterrupt

    with httpx.Client(transport=httpx.MockTransport(interrupted)) as client, pytest.raises(KeyboardInterrupt):
        wrap(client, Recorder(path)).post("http://o:11434/api/chat", json={"model": "m", "stream": False})
    assert calls()[0]["outcome"] == "cancelled_by_client"


def test_a_stream_that_is_dropped_is_recorded(server, path, calls) -> None:
    """A program that drops a stream without closing it has left it; the garbage collector makes its record."""
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


def test_a_program_that_has_seen_the_end_mark_may_leave(server, path, calls) -> None:
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
