"""Request dumps: one line per request with sizes and options; the model of an access line; never a word of a prompt."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.folders import TESTS

import erranalytics as ea
from erranalytics.errors import InputError
from erranalytics.sources import request_dumps

DATA = TESTS / "data" / "dumps"
FOLDERS = sorted(DATA.glob("*/ollama-request-logs-*"))
# Two runs, each with the lines of its log that matter; the model each access line asked for is from their protocol.
TRUTH = json.loads((DATA / "truth.json").read_text(encoding="utf-8"))
START = datetime(2026, 3, 1, 11, 4, 5, 400_000, tzinfo=UTC)


def name(at: datetime, number: int, route: str = "api_chat") -> str:
    """The name Ollama gives a dump."""
    return f"{at:%Y%m%dT%H%M%S}.{at.microsecond:06d}123Z-{number:06d}_{route}_body.json"


def write(folder: Path, body: Any, *, at: datetime = START, number: int = 1, route: str = "api_chat") -> str:
    """A dump in a folder; a body that is not text is written as JSON."""
    folder.mkdir(exist_ok=True)
    path = folder / name(at, number, route)
    path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    return str(path)


def facts(path: str) -> dict[str, Any]:
    """The line of one dump."""
    return json.loads(request_dumps.collect([path]))


CHAT = {"model": "m:1b", "stream": False, "messages": [{"role": "user", "content": "hush hush"}]}


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (CHAT, {"model": "m:1b", "stream": False, "message_count": 1, "prompt_chars": 9, "options": {}}),
        ({"model": "m", "prompt": "abc", "suffix": "de"}, {"prompt_chars": 5, "stream": None, "message_count": 0}),
        ({"model": "m", "options": {"num_ctx": 4096, "stop": ["secret"], "mine": 3}}, {"options": {"num_ctx": 4096}}),
        ({"model": "m", "max_tokens": 7, "temperature": 0.5}, {"options": {"max_tokens": 7, "temperature": 0.5}}),
        ({"model": "m", "options": {"seed": 10**40, "top_p": float("nan")}}, {"options": {}}),
        ({"model": "m", "keep_alive": "5m0s"}, {"keep_alive": "5m0s"}),
        ({"model": "m", "keep_alive": -1}, {"keep_alive": -1}),
        ({"model": "m", "keep_alive": "until my secret"}, {"keep_alive": None}),
        ({"model": "m", "format": "json"}, {"format": "json"}),
        ({"model": "m", "format": {"type": "object", "title": "secret"}}, {"format": "schema"}),
        ({"model": "m", "response_format": {"type": "json_object"}}, {"format": "json"}),
        ({"model": "m", "format": "secret"}, {"format": None}),
        ({"model": "m", "think": "high"}, {"think": "high"}),
        ({"model": "m", "think": ["secret"]}, {"think": None}),
        ({"model": "m", "tools": [{}, {}]}, {"tool_count": 2}),
        ({"model": "m", "messages": [{"content": "x", "images": ["aGk="]}]}, {"image_count": 1, "prompt_chars": 1}),
        (
            {"model": "m", "messages": [{"content": [{"type": "text", "text": "ab"}, {"type": "image_url", "image_url": {"url": "x"}}]}]},
            {"image_count": 1, "prompt_chars": 2},
        ),
        ({"model": "a secret\nwith lines"}, {"model": None}),
        ({"model": ["secret"], "messages": "secret", "options": "secret", "tools": "secret"}, {"model": None, "tool_count": 0}),
        (b"\xef\xbb\xbf" + json.dumps(CHAT, indent=2).encode(), {"model": "m:1b"}),
        (b'{"model": "m", "prompt": "secr', {"damaged": True, "model": None, "body_bytes": 30}),
        (b"secret", {"damaged": True, "body_bytes": 6}),
        (b'"secret"', {"damaged": True}),
        (b"[" * 100_000, {"damaged": True, "body_bytes": 100_000}),
        (b"", {"damaged": True, "body_bytes": 0}),
    ],
)  # fmt: skip
def test_the_facts_of_a_request(body: Any, facts: dict[str, Any], tmp_path: Path) -> None:
    """Numbers, switches and words of a known set; a body of any shape gives a line."""
    line = request_dumps.collect([write(tmp_path, body)]).decode()
    assert {key: json.loads(line)[key] for key in facts} == facts
    assert "secret" not in line
    assert "hush" not in line


@pytest.mark.parametrize(
    ("route", "endpoint"),
    [
        ("api_chat", "/api/chat"),
        ("api_generate", "/api/generate"),
        ("v1_chat_completions", "/v1/chat/completions"),
        ("v1_completions", "/v1/completions"),
        ("v1_responses", "/v1/responses"),
        ("v1_messages", "/v1/messages"),
    ],
)
def test_the_name_tells_route_time_and_number(route: str, endpoint: str, tmp_path: Path) -> None:
    """The six routes that are dumped, the time to a microsecond."""
    line = facts(write(tmp_path, CHAT, number=12, route=route))
    stem = name(START, 12, route).removesuffix("_body.json")
    assert (line["endpoint"], line["ts"], line["seq"]) == (endpoint, "2026-03-01T11:04:05.400000Z", 12)
    assert line["request_dump"] == stem


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        (name(START, 1), "anything", True),
        ("copy of " + name(START, 1), "anything", True),
        ("body.json", '{"model": "m", "messages": []}', True),
        ("body.json", '\n {"prompt": "x",\n "model": "m"}', True),
        ("calls.jsonl", '{"ts": "2026-03-01T11:04:05Z", "model": "m", "prompt": "x"}', False),
        ("answer.json", '{"model": "m", "created_at": "2026", "messages": []}', False),
        ("server.log", "time=2026-03-01T11:04:05Z level=INFO msg=x", False),
        ("journal.json", '{"MESSAGE": "\\"model\\"", "__REALTIME_TIMESTAMP": "1"}', False),
        ("two.jsonl", '{"model": "m", "prompt": "x"}\n{"model": "m", "prompt": "x"}', False),
    ],
)
def test_what_is_a_dump(file: str, content: str, expected: bool, tmp_path: Path) -> None:
    """By its name, or by its content under another one: its prompt must not become the line of a log."""
    path = tmp_path / file
    path.write_text(content, encoding="utf-8")
    assert request_dumps.is_dump(str(path)) is expected


def test_a_folder_is_one_source_at_the_place_of_its_first_file() -> None:
    """Scripts beside the dumps are left out, other files stay as they are."""
    one, two, other = f"/x/{name(START, 1)}", f"/x/{name(START, 2)}", f"/y/{name(START, 3)}"
    names = ["a.log", one, one.replace("body.json", "request.sh"), "b.log", two, other]
    found = list(request_dumps.grouped(names))
    assert found == [
        "a.log",
        request_dumps.DumpFolder("/x", (one, two)),
        "b.log",
        request_dumps.DumpFolder(other, (other,)),
    ]


def test_faults_pass_through() -> None:
    """What could not be found stays a fault at its place."""
    fault = InputError("gone")
    assert list(request_dumps.grouped([fault])) == [fault]


def models(db: Path) -> dict[str, str]:
    """The model of each access line that has one, by its line."""
    connection = ea.connect(db)
    sql = """select e.line_no, r.model from requests as r inner join events as e using (event_id)
             where r.model is not null and r.model_source = 'body_file' order by e.line_no"""
    rows = connection.execute(sql).fetchall()
    connection.close()
    return {str(line): model for line, model in rows}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
@pytest.mark.parametrize("order", ["dumps first", "log first", "together"])
def test_every_dumped_request_gets_its_model(folder: Path, order: str, tmp_path: Path) -> None:
    """As the protocol of the run says, in whatever order the two arrive; nothing for requests that are not dumped."""
    db, log = tmp_path / "t.duckdb", folder.parent / "server.log"
    steps = {"dumps first": [[folder], [log]], "log first": [[log], [folder]], "together": [[folder.parent]]}
    for paths in steps[order]:
        assert ea.ingest(paths, db=db, tz="UTC").faults == ()
    assert models(db) == TRUTH[folder.parent.name]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_failed_requests_name_their_model(folder: Path, tmp_path: Path) -> None:
    """The model is known in the error and in its incident too."""
    ea.ingest([folder.parent], db=tmp_path / "t.duckdb", tz="UTC")
    connection = ea.connect(tmp_path / "t.duckdb")
    sql = """select count(*) from requests as r inner join errors as e on e.request_id = r.request_id
             inner join incidents as i on i.incident_id = e.incident_id
             where r.model_source = 'body_file' and (e.model is null or not list_contains(i.models, e.model))"""
    row = connection.execute(sql).fetchone()
    connection.close()
    assert row == (0,)


def test_no_prompt_is_in_the_store(tmp_path: Path) -> None:
    """Not a byte of what people wrote, in no column and in no page of the file."""
    bodies = [
        {**CHAT, "system": "xyzzy-system", "template": "xyzzy-template"},
        {"model": "m", "prompt": "xyzzy-prompt", "suffix": "xyzzy-suffix", "images": ["eHl6enk="]},
        {"model": "m", "messages": [{"role": "user", "content": "xyzzy-message", "tool_calls": [{"xyzzy": 1}]}]},
        {"model": "m", "tools": [{"function": {"name": "xyzzy-tool", "description": "xyzzy"}}], "input": "xyzzy-input"},
        b'{"model": "m", "prompt": "xyzzy-damaged',
    ]
    for number, body in enumerate(bodies):
        write(tmp_path / "dumps", body, number=number, at=START + timedelta(seconds=number))
    (tmp_path / "renamed.json").write_text(json.dumps({"model": "m", "prompt": "xyzzy-renamed"}), encoding="utf-8")
    done = ea.ingest([tmp_path / "dumps", tmp_path / "renamed.json"], db=tmp_path / "t.duckdb")
    connection = ea.connect(tmp_path / "t.duckdb")
    tables = [str(row[0]) for row in connection.execute("select table_name from duckdb_tables()").fetchall()]
    rows = [str(connection.execute(f"select cast(t as varchar) from {table} as t").fetchall()) for table in tables]
    connection.close()
    assert done.total("event_count") == 6
    assert [row for row in rows if "xyzzy" in row or "hush" in row or "eHl6enk" in row] == []
    assert b"xyzzy" not in (tmp_path / "t.duckdb").read_bytes()


def test_a_folder_that_grows_adds_its_tail(tmp_path: Path) -> None:
    """Later requests come behind the earlier ones."""
    for number in range(60):
        write(tmp_path / "dumps", CHAT, number=number, at=START + timedelta(seconds=number))
    first = ea.ingest([tmp_path / "dumps"], db=tmp_path / "t.duckdb").results
    write(tmp_path / "dumps", CHAT, number=60, at=START + timedelta(seconds=60))
    again = ea.ingest([tmp_path / "dumps"], db=tmp_path / "t.duckdb").results
    assert [(one.status, one.event_count) for one in (*first, *again)] == [("new", 60), ("grown", 1)]


# When dumps are written: at the end of the request, or at its arrival (ollama#17437).
@pytest.mark.parametrize("side", ["end", "arrival"])
@pytest.mark.parametrize("has_notes", [True, False])
def test_requests_that_overlap_are_told_apart(side: str, has_notes: bool, tmp_path: Path) -> None:
    """Forty requests of one route over each other, some of which were refused before they were dumped."""
    chance = random.Random(7)
    began = [START + timedelta(milliseconds=1300 * number) for number in range(40)]
    requests = [(at, timedelta(milliseconds=chance.randrange(50, 5000)), f"m{n}") for n, at in enumerate(began)]
    lines: list[tuple[datetime, str]] = []
    for number, (at, took, model) in enumerate(requests):
        end = at + took
        gin = f'[GIN] {end:%Y/%m/%d - %H:%M:%S} | 200 | {took.total_seconds():.3f}s | 127.0.0.1 | POST     "/api/chat"'
        lines.append((end, gin))
        dumped = end - timedelta(microseconds=300) if side == "end" else at
        path = write(tmp_path / "dumps", {**CHAT, "model": model}, at=dumped, number=number)
        stamp = f"{dumped:%Y-%m-%dT%H:%M:%S}.{dumped.microsecond // 1000:03d}Z"
        note = f'time={stamp} level=INFO source=a.go:1 msg="logged to {path}, replay using curl with `sh x_request.sh`"'
        lines += [(dumped, note)] if has_notes else []
    start = (
        f'time={START:%Y-%m-%dT%H:%M:%S}.000Z level=INFO source=a.go:1 msg="Listening on [::]:11434 (version 0.24.0)"'
    )
    ordered = [start, *(text for _, text in sorted(lines, key=lambda line: line[0]))]
    (tmp_path / "server.log").write_text("\n".join(ordered) + "\n", encoding="utf-8")
    ea.ingest([tmp_path / "server.log", tmp_path / "dumps"], db=tmp_path / "t.duckdb", tz="UTC")
    wanted = {
        gin: model
        for (_, gin), (_, _, model) in zip([one for one in lines if "[GIN]" in one[1]], requests, strict=True)
    }
    found = models(tmp_path / "t.duckdb")
    right = [line for line, model in found.items() if wanted[ordered[int(line) - 1]] == model]
    assert len(found) == 40
    # Two requests that end in the same second may be exchanged, since nothing shows their order.
    assert len(right) >= (40 if side == "end" else 36)


def test_a_journal_with_a_host_meets_dumps_without_one(tmp_path: Path) -> None:
    """The log names the files, so the folder is of its host; a folder nothing names stays alone."""
    for folder in ("named", "alone"):
        write(tmp_path / folder, CHAT)
    note = 'level=INFO source=a.go:1 msg="logged to /tmp/x/{}, replay using curl with `sh y`"'
    head = "Mar 01 11:04:05 gpu01 ollama[1]: "
    log = [
        head + 'time=2026-03-01T11:04:00.000Z level=INFO source=a.go:1 msg="Listening on [::]:11434 (version 0.24.0)"',
        head + "time=2026-03-01T11:04:05.400Z " + note.format(name(START, 1)),
        head + '[GIN] 2026/03/01 - 11:04:05 | 200 |  5.1ms |       127.0.0.1 | POST     "/api/chat"',
    ]
    for folder in ("named", "alone"):
        text = "\n".join(line for line in log if folder == "named" or "logged to" not in line) + "\n"
        (tmp_path / f"{folder}.log").write_text(text, encoding="utf-8")
        ea.ingest([tmp_path / folder, tmp_path / f"{folder}.log"], db=tmp_path / f"{folder}.duckdb", tz="UTC")
    assert [models(tmp_path / f"{folder}.duckdb") for folder in ("named", "alone")] == [{"3": "m:1b"}, {}]


def test_a_folder_that_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    """Dumps belong to the user that runs Ollama: the sentence says so."""
    path = tmp_path / name(START, 1)
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="cannot be read") as caught:
        request_dumps.collect([str(path)])
    assert "sudo" in str(caught.value.hint)
