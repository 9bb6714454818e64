"""Records to events: typed columns and one UTC time."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from erranalytics import schema
from erranalytics.clocks.clock import first_clock
from erranalytics.parsing import events as parsing
from erranalytics.parsing import framing, lineformats
from erranalytics.wrappers import unwrapping

BOOK = lineformats.load()
MTIME = datetime(2026, 6, 1, tzinfo=UTC)


def parse(*lines: str, tz: str = "UTC", mtime: datetime | None = MTIME) -> pl.DataFrame:
    """The events of some lines."""
    sample = "\n".join(lines)
    state = unwrapping.WrapState(unwrapping.detect(sample))
    table = pl.DataFrame({"line_no": range(1, len(lines) + 1), "raw": lines}, schema=schema.LINES)
    bodies, _ = unwrapping.unwrap(table, state, is_last=True)
    records = framing.frame(bodies, book=BOOK, end=len(lines) + 1, is_last=True).records
    clock = first_clock(sample, mtime=mtime, default_tz=tz)
    events, _ = parsing.parse(records, book=BOOK, clock=clock)
    assert events.schema == schema.EVENTS
    return events


def slog(rest: str, stamp: str = "2026-01-01T08:00:00.500+08:00") -> str:
    """A slog line."""
    return f"time={stamp} level=INFO source=a.go:1 {rest}"


def gin(
    latency: str, *, client: str = "127.0.0.1", path: str = "/api/chat", stamp: str = "2026/01/01 - 08:00:02"
) -> str:
    """An access line."""
    return f'[GIN] {stamp} | 200 | {latency:>13} | {client:>15} | POST     "{path}"'


MESSAGES = {
    'msg="a \\"b\\" \\\\ c\\nd"': ('a "b" \\ c\nd', None),
    'msg=""': (None, None),
    "msg=offload library=cuda": ("offload", {"library": "cuda"}),
    'msg="x" "total vram"="8.0 GiB" empty="" n=1': ("x", {"total vram": "8.0 GiB", "empty": "", "n": "1"}),
    r'msg="x" model=C:\Users\AI\blobs\sha256-61 err="C:\\a \"b\""': (
        "x",
        {"model": "C:\\Users\\AI\\blobs\\sha256-61", "err": 'C:\\a "b"'},
    ),
    'msg=mlx-runner msg="inner text"': ("mlx-runner", {"msg": "inner text"}),
    "": (None, None),
}


def test_the_path_of_a_source_tells_a_program_from_ollama() -> None:
    """v0.1.21 printed the whole path; other programs in Go print theirs."""
    folders = ("/go/src/github.com/jmorganca/ollama/gpu", "/build/ollama/src/ollama/gpu", "/opt/app")
    events = parse(*(f"time=2024-01-18T21:51:30.142Z level=INFO source={one}/gpu.go:39 msg=demo" for one in folders))
    assert events["format"].to_list() == ["slog-text", "slog-text", "client-slog"]


@pytest.mark.parametrize("rest", MESSAGES)
def test_slog_quoting(rest: str) -> None:
    """Quoted, empty, repeated and blank-holding keys; Go escapes; bare Windows paths."""
    message, attrs = MESSAGES[rest]
    event = parse(slog(rest)).row(0, named=True)
    assert event["message"] == message
    assert (json.loads(event["attrs"]) if event["attrs"] else None) == attrs


LATENCIES = {
    "0s": 0,
    "509ns": 1,
    "41.983µs": 42,
    "19.7884ms": 19_788,
    "1.332430527s": 1_332_431,
    "1m30s": 90_000_000,
    "8m44s": 524_000_000,
    "1h2m3s": 3_723_000_000,
    "581.8┬╡s": 582,
}


@pytest.mark.parametrize("latency", LATENCIES)
def test_every_form_of_duration(latency: str) -> None:
    """Go durations, also with a micro sign that a console mangled."""
    assert parse(gin(latency))["duration_us"].to_list() == [LATENCIES[latency]]


def test_ipv6_and_query() -> None:
    """A long address breaks the column; the query is not part of the path."""
    event = parse(gin("1ms", client="2001:db8::1:2:3:4:5", path="/v1/messages?beta=true")).row(0, named=True)
    assert (event["client_address"], event["path"], event["message"]) == (
        "2001:db8::1:2:3:4:5",
        "/v1/messages",
        "200 POST /v1/messages",
    )


def test_lines_of_a_folded_record_are_kept_as_attributes() -> None:
    """A dump is searchable under ``lines``, and the rules read it."""
    event = parse("CUDA error: out of memory", "  current device: 0, in function alloc").row(0, named=True)
    assert json.loads(event["attrs"]) == {"lines": "  current device: 0, in function alloc"}
    assert event["text"] == "CUDA error: out of memory\n  current device: 0, in function alloc"


SECRETS = [
    'msg="completion request" prompt="[user] tell me my secret [assistant]"',
    'msg="anthropic: converting request" req="map[messages:[secret words] model:x]"',
    'msg=cloud signin_url="https://ollama.com/connect?name=x&key=c2VjcmV0"',
    'msg=proxy header="Authorization: Bearer secret0123456789"',
    'msg=config env="map[HTTPS_PROXY:http://me:secret@proxy:3128]"',
    "msg=embed input=secret",
]


@pytest.mark.parametrize("rest", SECRETS)
def test_prompts_and_secrets_are_not_kept(rest: str) -> None:
    """Prompts, keys and passwords are gone from every column."""
    event = parse(slog(rest)).row(0, named=True)
    assert not [name for name, value in event.items() if "secret" in str(value) or "c2VjcmV0" in str(value)]


def test_lengths_under_prompt_keys_stay() -> None:
    """``prompt=12891`` is a number of tokens, not a prompt."""
    event = parse(slog('msg="truncating input prompt" limit=2048 prompt=12891')).row(0, named=True)
    assert json.loads(event["attrs"]) == {"limit": "2048", "prompt": "12891"}


def test_very_long_message_is_cut_with_a_mark() -> None:
    """Nothing is dropped silently."""
    message = parse("Error: " + "x" * 100_000)["message"][0]
    assert message.endswith("[…cut]") and len(message) < 20_000
