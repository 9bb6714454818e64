"""Logs of Node and Go programs through the loggers they use, and curl as it was run in a shell.

The logs in ``tests/data/clients`` are captures; ``loggers-truth.json`` says what was done to each call, and
``README.md`` how they were made.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.client_logs import BOOK, CLIENTS, EVENTS, formats_of, unwrapped

import erranalytics as ea
from erranalytics.parsing import framing
from erranalytics.store import frames

pytestmark = pytest.mark.slow

TRUTH: dict[str, list[dict[str, Any]]] = json.loads((CLIENTS / "loggers-truth.json").read_text(encoding="utf-8"))
LOGS = sorted(TRUTH)
PROGRAMS = [name for name in LOGS if not name.startswith("curl-")]
# What the server said, as the wire had it.
STATUSES = {"not-found": 404, "crash": 500, "limited": 429, "busy": 503, "page-502": 502}
GONE = {"load_killed"}
CAUSES = {
    "not-found": {"model_not_found"},
    "crash": GONE,
    # A client that prints all headers shows the one about maintenance too.
    "limited": {"cloud_rate_limited", "maintenance"},
    "busy": {"queue_full"},
    # A Go client parses the page and names only its first character.
    "page-502": {"proxy_bad_gateway", "stream_invalid_chunk", "cloud_upstream_not_json"},
    "garbage": {"stream_invalid_chunk"},
    "error-inside": GONE,
    "cut": {"stream_truncated", "stream_invalid_chunk", "connection_reset"},
    "ends-early": {"stream_missing_done", "stream_truncated"},
    "drops": {"connection_reset", "connection_failed"},
    "reset": {"connection_reset"},
    "hangs": {"client_timeout", "timeout"},
    # Node says in the message of its error that fetch failed, and why in the cause.
    "refused": {"server_unreachable", "connection_failed"},
}
# The text names only the status.
BARE = {"not-found": "http_404", "crash": "http_500", "limited": "http_429", "busy": "http_503"}
# What curl -i of a stream that ended early shows is a whole body; nothing says that more was to come.
UNSEEN = {"curl-shell-head-silent": ["ends-early"]}
# What console.error prints of a message alone is one line without a mark; "Error: …" is also what Ollama's command line
# says, and is taken for that.
UNMARKED = "node-console-text"
MARKED = [name for name in LOGS if name != UNMARKED]
# Where the statuses of the failed calls come from: the field of an error, a text, nowhere.
SOURCES = {
    "node-console": {"wire": 4, "inferred": 2, "none": 3},
}
LEVELS = {"ERROR", "WARN", "WARNING"}
# Loggers that print a level, with the name they were given; those of Go that print where they were called.
NAMED = {
    "node-bunyan": "asker",
    "node-log4js": "asker",
    "node-pino": "asker",
    "node-pino-pretty": "asker",
    "node-pino-pretty-iso": "asker",
    "node-winston-json": "asker",
    "node-winston-label": "asker",
    "node-winston-printf": None,
    "node-winston-simple": None,
    "go-logrus": None,
    "go-logrus-full": None,
    "go-logrus-json": None,
    "go-slog-json": None,
    "go-slog-text": None,
    "go-zap": "asker",
    "go-zap-dev": "asker",
    "go-zerolog": None,
    "go-zerolog-console": None,
}
TIMELESS = {"node-console", "node-console-text", "node-pino-pretty", "node-winston-simple"}
SECRETS = ("secret of", "seven seas", "upon ", "Service ready")


def read(path: Path, folder: Path) -> list[dict[str, Any]]:
    """The events of a log with their times, and what was found in them."""
    db = folder / f"{path.stem}.duckdb"
    assert ea.ingest([path], db=db).faults == ()
    connection = ea.connect(db)
    rows = frames.rows(connection, EVENTS.replace("e.component", "e.component, e.level, e.ts_source"))
    connection.close()
    return rows


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The events of each log."""
    folder = tmp_path_factory.mktemp("loggers")
    return {name: read(CLIENTS / f"{name}.log", folder) for name in LOGS}


def failed(name: str) -> list[dict[str, Any]]:
    """The calls that failed, as far as the log shows it."""
    calls = [call for call in TRUTH[name] if call.get("raised", call["wire"] != "fine")]
    return [call for call in calls if call["wire"] not in UNSEEN.get(name, [])]


def failure_records(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of failed calls."""
    return [row for row in rows if row["cause"]]


@pytest.mark.parametrize("name", LOGS)
def test_each_failed_call_is_one_record_and_one_incident(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """As many records and incidents as calls failed."""
    records = failure_records(logs[name])
    assert len(records) == len(failed(name))
    if name in MARKED:
        assert len({row["incident_id"] for row in records}) == len(records)


@pytest.mark.parametrize("name", LOGS)
def test_the_cause_is_that_of_the_call(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Or its bare status, if the text names nothing else."""
    wrong = []
    for row, call in zip(failure_records(logs[name]), failed(name), strict=True):
        is_bare = row["cause"] == BARE.get(call["wire"]) and not re.search(r"model '|killed|maximum", row["said"])
        if row["cause"] not in CAUSES[call["wire"]] and not is_bare:
            wrong.append((row["line_no"], call["wire"], row["cause"], row["said"]))
    assert wrong == []


@pytest.mark.parametrize("name", LOGS)
def test_a_status_is_that_of_the_answer(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Whatever its source, and a source of ``wire`` is a field of the error or a line of curl."""
    for row, call in zip(failure_records(logs[name]), failed(name), strict=True):
        if row["http_status"] is None:
            assert row["status_source"] == "none"
        else:
            assert row["http_status"] == STATUSES.get(call["wire"], 200)
            assert row["status_source"] == "wire" or call.get("status") in (None, row["http_status"])


@pytest.mark.parametrize("name", SOURCES)
def test_statuses_have_the_source_they_came_from(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Fields of errors are of the wire, texts are inferred from, and a text without one has none."""
    assert Counter(row["status_source"] for row in failure_records(logs[name])) == SOURCES[name]


@pytest.mark.parametrize("name", MARKED)
def test_no_line_is_left_over(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Stacks, objects, pages and bodies hang on their record, and all of it is the client's."""
    assert not {row["format"] for row in logs[name]} & {"foreign", "unknown", "go-log", "slog-text", "ollama-text"}
    assert {row["surface"] for row in failure_records(logs[name])} == {"client"}


def test_a_message_alone_is_taken_for_that_of_the_command_line(logs: dict[str, list[dict[str, Any]]]) -> None:
    """If it begins with ``Error: `` and nothing follows; all other lines are the program's."""
    for row in logs[UNMARKED]:
        assert (row["format"] == "ollama-text") == row["message"].startswith("Error: ")
        assert row["format"] not in ("foreign", "unknown")


@pytest.mark.parametrize("name", NAMED)
def test_levels_and_names_are_read(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """In one form, whatever the logger calls them."""
    assert {row["level"] for row in failure_records(logs[name])} <= LEVELS
    assert {row["component"] for row in failure_records(logs[name])} == {NAMED[name]}
    assert "INFO" in {row["level"] for row in logs[name]}


@pytest.mark.parametrize("name", PROGRAMS)
def test_times_are_read(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Each record has a time of its own if its line has one with a date."""
    sources = {row["ts_source"] for row in failure_records(logs[name])}
    assert sources <= ({"file"} if name in TIMELESS else {"client", "json", "slog"})


@pytest.mark.parametrize("name", LOGS)
def test_nothing_that_was_asked_or_answered_is_kept(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Axios and the AI SDK print the request with the error, and curl the answer."""
    kept = json.dumps([[row["message"], row["attrs"], row["said"]] for row in logs[name]])
    log = (CLIENTS / f"{name}.log").read_text(encoding="utf-8")
    assert [word for word in SECRETS if word in kept and word in log and not word.startswith("Service")] == []


@pytest.mark.parametrize("name", ["node-pino", "node-winston-json", "node-winston-simple"])
def test_the_secret_was_there_to_be_kept(name: str) -> None:
    """So the test above can fail."""
    assert "secret of the seven seas" in (CLIENTS / f"{name}.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["node-console", "node-pino-pretty", "go-zap-dev", "curl-shell-head"])
def test_where_a_log_is_cut_does_not_matter(name: str) -> None:
    """In two at every seventh line, the records are those of the whole."""
    bodies = unwrapped((CLIENTS / f"{name}.log").read_text(encoding="utf-8"))
    end = bodies.height + 1
    whole = framing.frame(bodies, book=BOOK, end=end, is_last=True).records.to_dicts()
    for place in range(3, bodies.height, 7):
        first = framing.frame(bodies.head(place), book=BOOK, end=place + 1, is_last=False)
        rest = first.rest.vstack(bodies.slice(place))
        last = framing.frame(rest, book=BOOK, end=end, is_last=True)
        assert [*first.records.to_dicts(), *last.records.to_dicts()] == whole


# --- a server's own lines ---------------------------------------------------------------------------------------------

LINES = [
    ("slog-text", 'time=2026-02-02T09:23:09.833Z level=ERROR source=server.go:512 msg="load failed" err="no room"'),
    (
        "slog-text",
        "time=2024-02-01T10:00:00.123Z level=INFO source=/go/src/github.com/ollama/ollama/gpu/gpu.go:9 msg=x",
    ),
    ("client-slog", 'time=2026-02-02T09:23:09.833Z level=ERROR msg="no answer" err="unexpected EOF"'),
    ("client-slog", 'time=2026-02-02T09:23:09.833Z level=ERROR source=/opt/app/main.go:9 msg="no answer"'),
    ("go-log", "2024/03/10 10:00:00 routes.go:614: Listening on 127.0.0.1:11434 (version 0.1.17)"),
    ("go-log", "2026/01/01 10:00:00 WARN invalid environment variable, using default key=OLLAMA_DEBUG value=abc"),
    ("go-log", "2023/12/24 23:48:35 asking failed: EOF"),
    ("go-program", "2026/12/24 23:48:35 asking failed: EOF"),
    ("unknown", "404"),
    ("unknown", "main.main"),
    ("curl-fault", "curl: (18) transfer closed with outstanding read data remaining"),
]


@pytest.mark.parametrize(("form", "line"), LINES)
def test_a_program_is_distinguished_from_the_server(form: str, line: str, tmp_path: Path) -> None:
    """The file that the server names since v0.1.21, its own files, and the day on which it left Go's package."""
    log = tmp_path / "one.log"
    log.write_text(line + "\n", encoding="utf-8")
    assert [row["format"] for row in read(log, tmp_path)] == [form]


def test_curl_lines_without_a_line_break_before_them_are_read() -> None:
    """A body of Ollama has no line end, so what curl prints next is on the same line, even twice."""
    text = '{"error":"gone"}curl: (22) The requested URL returned error: 404\n'
    assert formats_of(text) == ["curl-body"]
    text = '{"error":"gone"}  % Total    % Received % Xferd\n{"mod*   Trying 127.0.0.1:11434...\n'
    assert formats_of(text) == ["curl-body", "curl-progress", "curl-piece", "curl-trying"]


def test_two_layers_that_log_one_failure_are_one_incident(tmp_path: Path) -> None:
    """In the same words and at once; the next failure is another."""
    log = tmp_path / "app.log"
    said = """err="model 'demo' not found"\n"""
    log.write_text(
        f'time=2026-11-26T11:15:11.200Z level=ERROR msg="asking failed" {said}'
        f'time=2026-11-26T11:15:11.204Z level=ERROR msg="no page" {said}'
        f'time=2026-11-26T11:15:11.900Z level=ERROR msg="asking failed" {said}',
        encoding="utf-8",
    )
    rows = read(log, tmp_path)
    assert [row["cause"] for row in rows] == ["model_not_found"] * 3
    first, second, third = (row["incident_id"] for row in rows)
    assert first == second != third


def test_what_follows_the_line_of_the_request_is_of_the_same_call(tmp_path: Path) -> None:
    """httpx logs the status, the program what it makes of it: one incident for each call, also as JSON."""
    at = "2026-01-03T13:56:{:02}.29{}245"
    wire = 'HTTP Request: POST http://ollama:11434/api/chat \\"HTTP/1.1 500 Internal Server Error\\"'
    words = "Ollama generation failed with 500 (attempt {}/2). Retrying in 2s..."
    lines = []
    for call, second in enumerate((52, 54), 1):
        for part, (level, logger, text) in enumerate((("INFO", "httpx", wire), ("WARNING", "app", words.format(call)))):
            stamp = at.format(second, part)
            lines.append(f'{{"timestamp": "{stamp}", "level": "{level}", "logger": "{logger}", "message": "{text}"}}')
    path = tmp_path / "app.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = read(path, tmp_path)
    assert [row["cause"] for row in rows] == ["http_500"] * 4
    assert [row["incident_id"] for row in rows] == [rows[0]["incident_id"]] * 2 + [rows[2]["incident_id"]] * 2
    assert rows[0]["incident_id"] != rows[2]["incident_id"]
