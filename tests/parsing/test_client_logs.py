"""Logs of programs in Python, Node, Go and Java, and transcripts of curl: one record and one incident a failed call.

The logs of the lab are held against what was done to the server; they are skipped by name where the lab is absent. The
small logs in ``tests/data/clients`` have the shapes of further clients.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.client_logs import BOOK, CLIENTS, EVENTS, formats_of, unwrapped

import erranalytics as ea
from erranalytics.parsing import framing
from erranalytics.store import frames

PYTHON = ("ollama-python", "openai-python", "anthropic-python", "httpx", "requests")
# The logs of the lab and the clients that wrote them.
LAB = {
    "js-console.log": ("ollama-js",),
    "go-app.log": ("go-api",),
    "curl-session.log": ("curl",),
    "python-app.log": PYTHON,
}
NO_FAULT = ("none", "prompt_truncated")
# Exceptions that hold nothing but a status: those of requests and httpx, and of openai for streams.
BARE_STATUS = re.compile(r"(?:Error code: )?\d{3}(?: (?:Client|Server) Error: .*)?$|(?:Client|Server) error '\d{3} ")


def read(path: Path, folder: Path) -> list[dict[str, Any]]:
    """The events of a log, with what was found in them."""
    db = folder / f"{path.stem}.duckdb"
    done = ea.ingest([path], db=db)
    assert done.faults == ()
    connection = ea.connect(db)
    rows = frames.rows(connection, EVENTS)
    connection.close()
    return rows


def failures(rows: Iterable[dict[str, Any]]) -> list[tuple[str, int | None, str]]:
    """Cause, status and its source of each event that is a problem."""
    return [(row["cause"], row["http_status"], row["status_source"]) for row in rows if row["cause"]]


@pytest.fixture(scope="module")
def lab(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The events of each log of the lab."""
    folder = tmp_path_factory.mktemp("texts")
    return {name: read(shared / "lab" / "client" / name, folder) for name in LAB}


@pytest.fixture(scope="module")
def truth(shared: Path) -> dict[str, list[dict[str, Any]]]:
    """The calls in each log, in its order: all calls of curl, and those of others whose client raised."""
    lines = (shared / "lab" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    calls = [json.loads(line) for line in lines]
    found = {}
    for name, clients in LAB.items():
        mine = [call for call in calls if call["client"] in clients]
        if name == "curl-session.log":
            found[name] = sorted(mine, key=lambda call: call["t_start"])
        else:
            raised = [call for call in mine if call["client_exception_type"]]
            found[name] = sorted(raised, key=lambda call: call["t_end"])
    return found


def failure_records(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of failed calls, without the status lines that httpx logs of each answer."""
    return [row for row in rows if row["cause"] and "HTTP Request: " not in row["message"]]


@pytest.mark.parametrize("name", LAB)
def test_each_failed_call_is_one_fault(
    name: str, lab: dict[str, list[dict[str, Any]]], truth: dict[str, list[dict[str, Any]]]
) -> None:
    """As many records and as many incidents as calls failed, all of them on the client's side."""
    failed = [call for call in truth[name] if call["expected_cause"] not in NO_FAULT]
    records = failure_records(lab[name])
    assert len(records) == len(failed)
    assert len({row["incident_id"] for row in lab[name] if row["cause"]}) == len(failed)
    assert {row["surface"] for row in records} == {"client"}


@pytest.mark.parametrize("name", LAB)
def test_no_line_is_left_over(name: str, lab: dict[str, list[dict[str, Any]]]) -> None:
    """Stacks, objects, pages and bodies hang on the record they belong to."""
    assert not {row["format"] for row in lab[name]} & {"foreign", "unknown", "go-log", "llama-cpp", "go-panic"}


@pytest.mark.parametrize(
    ("name", "vague"),
    [
        ("js-console.log", 0),
        ("go-app.log", 0),
        # The file of a model that was sent wrongly; memory of the cache; streams that say nothing of the dead runner.
        ("curl-session.log", 1 + 2 + 4),
        # The same file and memory; a cloud that says no more than its status, and two words for a runner that is gone.
        ("python-app.log", 1 + 2 + 1 + 1),
    ],
)
def test_the_innermost_text_names_the_cause(
    name: str, vague: int, lab: dict[str, list[dict[str, Any]]], truth: dict[str, list[dict[str, Any]]]
) -> None:
    """Each record has the cause of its call if its text names it."""
    wrong = []
    for row, call in matched(lab[name], truth[name]):
        accepted = {call["expected_cause"], *call["accept_causes"]}
        is_honest = (
            BARE_STATUS.match(str(call["client_exception_str"])) and str(call["http_status_on_wire"]) in row["said"]
        )
        if row["cause"] not in accepted and not is_honest:
            wrong.append((row["line_no"], row["cause"], call["expected_cause"]))
    assert len(wrong) <= vague, wrong


def matched(rows: list[dict[str, Any]], calls: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Records and their calls; both have the same order, but for calls that ran at the same time."""
    records = failure_records(rows)
    failed = [call for call in calls if call["expected_cause"] not in NO_FAULT]
    pairs = []
    for place, row in enumerate(records):
        near = failed[place]
        words = next((word for word in row["message"].split() if word.startswith("app.")), "")
        if words and near["client"] != words.removeprefix("app.").rstrip(":").replace("_", "-"):
            name = words.removeprefix("app.").rstrip(":").replace("_", "-")
            other = next(k for k in range(place + 1, len(failed)) if failed[k]["client"] == name)
            failed[place], failed[other] = failed[other], failed[place]
        pairs.append((row, failed[place]))
    return pairs


def test_statuses_of_node_and_curl_come_from_the_wire(
    lab: dict[str, list[dict[str, Any]]], truth: dict[str, list[dict[str, Any]]]
) -> None:
    """The field of the error of ollama-js and the status that curl prints are those of the answer."""
    for name, field in (("js-console.log", "client_status_code"), ("curl-session.log", "http_status_on_wire")):
        for row, call in matched(lab[name], truth[name]):
            status = call[field]
            assert (row["http_status"], row["status_source"]) == (status, "wire" if status else "none")


def test_a_status_in_the_text_of_go_is_inferred(
    lab: dict[str, list[dict[str, Any]]], truth: dict[str, list[dict[str, Any]]]
) -> None:
    """Its client prints the status of streams only; what it does not print is not known."""
    for row, call in matched(lab["go-app.log"], truth["go-app.log"]):
        if row["http_status"] is None:
            assert row["status_source"] == "none"
        else:
            assert (row["http_status"], row["status_source"]) == (call["client_status_code"], "inferred")
    assert Counter(row["status_source"] for row in failure_records(lab["go-app.log"])) == {"inferred": 20, "none": 13}


def test_a_sentinel_of_python_is_not_a_status(lab: dict[str, list[dict[str, Any]]]) -> None:
    """ollama-python prints -1 for an error in a stream."""
    sentinels = [row for row in failure_records(lab["python-app.log"]) if row["status_source"] == "sentinel"]
    assert len(sentinels) == 20
    assert {row["http_status"] for row in sentinels} == {None}


def test_answers_of_curl_are_not_kept(shared: Path, lab: dict[str, list[dict[str, Any]]]) -> None:
    """Of 222 commands nothing that a model wrote is stored, nor any list of models, vector or context."""
    kept = json.dumps([[row["message"], row["attrs"], row["said"]] for row in lab["curl-session.log"]])
    session = (shared / "lab" / "client" / "curl-session.log").read_text(encoding="utf-8")
    for word in ("created_at", '"content":', "families", "text_delta", "total_duration", "parameter_size"):
        assert word in session
        assert word not in kept.replace("\\", "")


# --- further clients -------------------------------------------------------------------------------------------------

CASES: dict[str, list[tuple[str, int | None, str]]] = {
    "spring-ollama4j": [("model_not_found", 404, "inferred")],
    "spring-ai": [
        ("model_not_found", 404, "inferred"),
        ("server_unreachable", None, "none"),
        ("load_oom_system", 500, "inferred"),
    ],
    "langchain4j": [
        ("model_not_found", None, "none"),
        ("server_unreachable", None, "none"),
        ("client_timeout", None, "none"),
        ("connection_reset", None, "none"),
        ("client_timeout", None, "none"),
    ],
    "curl-verbose": [
        ("model_not_found", 404, "wire"),
        ("stream_truncated", 200, "wire"),
        ("server_unreachable", None, "none"),
    ],
    "curl-bare": [("capability_tools", 400, "wire"), ("server_unreachable", None, "none")],
    "node-uncaught": [("model_not_found", 404, "wire"), ("server_unreachable", None, "none")],
    "node-objects": [("model_not_found", 404, "wire"), ("model_not_found", 404, "wire")],
    "go-program": [
        ("server_unreachable", None, "none"),
        ("model_not_found", 404, "inferred"),
        ("model_not_found", None, "none"),
        ("model_unsupported_architecture", 500, "inferred"),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_further_clients(name: str, tmp_path: Path) -> None:
    """Cause, status and source of each failure, one incident each, and no line beside them."""
    rows = read(CLIENTS / f"{name}.log", tmp_path)
    assert failures(rows) == CASES[name]
    assert len({row["incident_id"] for row in rows if row["cause"]}) == len(CASES[name])
    assert {row["surface"] for row in rows if row["cause"]} == {"client"}
    assert not {row["format"] for row in rows} & {"foreign", "unknown"}


@pytest.mark.parametrize("name", ["curl-verbose", "curl-bare", "node-objects"])
def test_prompts_are_not_kept(name: str, tmp_path: Path) -> None:
    """Neither what was asked, on one line or on several, nor what was answered."""
    rows = read(CLIENTS / f"{name}.log", tmp_path)
    kept = json.dumps([[row["message"], row["attrs"], row["said"]] for row in rows])
    assert "secret" not in kept
    assert "gold" not in kept


@pytest.mark.parametrize("name", sorted(CASES))
def test_where_a_log_is_cut_does_not_matter(name: str) -> None:
    """Line by line, open records are handed back, and the records are the same as without cuts."""
    text = (CLIENTS / f"{name}.log").read_text(encoding="utf-8")
    bodies = unwrapped(text)
    whole = framing.frame(bodies, book=BOOK, end=bodies.height + 1, is_last=True).records
    parts, rest = [], bodies.clear()
    for place in range(bodies.height):
        rest = rest.vstack(bodies[place])
        done = framing.frame(rest, book=BOOK, end=place + 2, is_last=place == bodies.height - 1)
        parts += done.records.to_dicts()
        rest = done.rest
    assert parts == whole.to_dicts()


# --- servers keep their formats ---------------------------------------------------------------------------------------

SERVERS = [
    ("go-log", "2023/10/12 13:45:01 routes.go:614: Listening on 127.0.0.1:11434 (version 0.1.4)"),
    ("go-log", "2023/12/24 23:48:35 llama.go:459: error starting llama runner: llama runner process has terminated"),
    ("go-log", '2023/12/24 23:48:35 llama.go:506: llama predict: Post "http://127.0.0.1:53421/completion": EOF'),
    ("go-log", '2023/12/24 23:48:35 download.go:166: Get "https://registry.ollama.ai/v2/library/demo/blobs/x": EOF'),
    ("go-log", "2023/07/18 12:00:00 Listening on 127.0.0.1:11434"),
    ("go-log", "2024/08/16 07:56:25 http: superfluous response.WriteHeader call"),
    ("go-log", "2024/08/16 07:56:25 http: proxy error: context canceled"),
    ("foreign", "}"),
    ("foreign", "< HTTP/1.1 200 OK"),
    ("foreign", "*   Trying 127.0.0.1..."),
    ("unknown", "[exit 0] [http 404]"),
    ("unknown", "</html>"),
]


@pytest.mark.parametrize(("form", "line"), SERVERS)
def test_lines_alone_are_not_taken_for_those_of_a_client(form: str, line: str) -> None:
    """Lines of early servers, and lines of other programs that do not follow a client's record."""
    assert formats_of(line + "\n") == [form]


def test_only_an_error_of_a_runner_draws_lines_of_runners() -> None:
    """Lines of a runner after an application's line stay records of their own, unless that line ends in their middle."""
    runner = "llama_model_load: error loading model: unknown model architecture: 'demo'\n"
    assert formats_of("2026-11-21 01:57:30,143 ERROR app: no answer\n" + runner) == ["client-text", "llama-cpp"]
    torn = "2026-11-21 01:57:30,143 ERROR app: llama runner process has terminated: exit status 2\n"
    assert formats_of(torn + runner) == ["client-text"]


def test_a_command_does_not_swallow_the_lines_of_a_server() -> None:
    """In a terminal where a server runs too, what it and its runner print stays theirs."""
    text = 'user@gpu01:~$ curl http://localhost:11434/api/tags\n{"models":[]}\n'
    text += "llama_model_load: error loading model: unknown model architecture: 'demo'\n"
    text += "time=2026-01-01T00:00:00.000Z level=INFO source=a.go:1 msg=hello\n"
    assert formats_of(text) == ["curl-call", "llama-cpp", "slog-text"]


def test_two_statements_about_one_failure_are_one_incident(tmp_path: Path) -> None:
    """The same exception that two layers of a program log at once; the next call of the same statement is another."""
    stack = 'Traceback (most recent call last):\n  File "a.py", line 1, in ask\n'
    stack += "ollama._types.ResponseError: model 'demo:1b' not found (status code: 404)\n"
    log = tmp_path / "app.log"
    log.write_text(
        f"2026-11-21 01:57:30,100 ERROR app.ask: asking failed\n{stack}"
        f"2026-11-21 01:57:30,104 ERROR web: request went wrong\n{stack}"
        f"2026-11-21 01:57:30,900 ERROR app.ask: asking failed\n{stack}",
        encoding="utf-8",
    )
    numbers = [row["incident_id"] for row in read(log, tmp_path)]
    assert numbers[0] == numbers[1] != numbers[2]
