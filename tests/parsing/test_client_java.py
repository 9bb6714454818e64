"""Logs of Java programs that called a model: one incident for each request that failed, with every logger.

The logs are captures of programs that ran against ``tests/support/wire``; ``java-truth.json`` says for each of their
calls what the server did, what the call raised, and how many requests it took.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.client_logs import BOOK, CLIENTS, formats_of, unwrapped

import erranalytics as ea
from erranalytics.clocks import timestamps
from erranalytics.parsing import framing
from erranalytics.store import frames

TRUTH: dict[str, list[dict[str, Any]]] = json.loads((CLIENTS / "java-truth.json").read_text(encoding="utf-8"))
EVENTS = """select e.line_no, e.line_count, e.format, e.level, e.component, e.message, e.attrs, cast(e.ts as varchar) as at,
    e.ts_source, r.cause, r.http_status, r.status_source, r.surface, r.message as said, i.incident_id, i.cause as root
    from events as e left join errors as r using (event_id) left join incidents as i on i.incident_id = r.incident_id order by e.event_id"""
PROMPT = "where is the gold"


def read(log: Path, folder: Path) -> list[dict[str, Any]]:
    """The events of a log, with what was found in them; its clock is UTC."""
    db = folder / f"{log.stem}.duckdb"
    done = ea.ingest([log], db=db, tz="UTC")
    assert done.faults == ()
    connection = ea.connect(db)
    rows = frames.rows(connection, EVENTS)
    connection.close()
    return rows


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The events of each capture."""
    folder = tmp_path_factory.mktemp("java")
    return {name: read(CLIENTS / f"{name}.log", folder) for name in TRUTH}


def per_failed_request(name: str, field: str) -> list[Any]:
    """A field of the call of each failed request, in the order of the capture."""
    return [call[field] for call in TRUTH[name] for _ in range(call["told"])]


def incidents(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The records of each incident."""
    problems = sorted((row for row in rows if row["cause"]), key=lambda row: (row["incident_id"], row["line_no"]))
    for _, group in groupby(problems, key=lambda row: row["incident_id"]):
        yield list(group)


@pytest.mark.parametrize("name", TRUTH)
def test_each_failed_request_is_one_incident(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """However many loggers and layers log it, its best text names the cause."""
    assert [records[0]["root"] for records in incidents(logs[name])] == per_failed_request(name, "cause")


@pytest.mark.parametrize("name", TRUTH)
def test_a_status_is_taken_from_the_text(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Where an exception prints the status of the answer it is inferred; no text but that makes one up."""
    found = [{row["http_status"] for row in records} - {None} for records in incidents(logs[name])]
    assert found == [{status} - {None} for status in per_failed_request(name, "status")]
    for row in (row for row in logs[name] if row["cause"]):
        assert row["status_source"] == ("none" if row["http_status"] is None else "inferred")


@pytest.mark.parametrize("name", TRUTH)
def test_every_line_belongs_to_a_record_of_the_program(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Stacks, causes, pages, banners and the logger's own lines; all of them belong to the client's side."""
    rows = logs[name]
    assert {row["format"].split("-")[0] for row in rows} == {"client"}
    assert {row["surface"] for row in rows if row["cause"]} == {"client"}
    # A failure that ends in a cause is one record with it.
    assert not [row for row in rows if row["format"] == "client-java-cause"]


@pytest.mark.parametrize("name", TRUTH)
def test_no_prompt_is_kept(name: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    """Ollama4j logs requests and answers as objects on many lines."""
    text = (CLIENTS / f"{name}.log").read_text(encoding="utf-8")
    kept = json.dumps([[row["message"], row["attrs"], row["said"]] for row in logs[name]])
    assert (PROMPT in text) == (name == "java-ollama4j")
    assert PROMPT not in kept
    assert "a time" not in kept


def test_logs_of_java_util_logging_have_level_place_and_time(logs: dict[str, list[dict[str, Any]]]) -> None:
    """A record has its head and its text on two lines, in the language of the machine: here in English and in German."""
    for name in ("java-langchain4j", "java-lines", "java-anthropic"):
        rows = [row for row in logs[name] if row["format"] == "client-java"]
        assert {row["component"] for row in rows} == {"com.example.JulVoice"}
        assert {row["message"].partition(" to ")[0].partition(":")[0] for row in rows} == {
            "question",
            "no answer" if name == "java-lines" else "the model did not answer",
        }
    assert "WARNUNG: no answer" in (CLIENTS / "java-lines.log").read_text(encoding="utf-8")


def test_levels_are_those_of_other_loggers(tmp_path: Path) -> None:
    """SEVERE is an error, also in German and Chinese; an unknown level stays as it is."""
    log = tmp_path / "app.log"
    lines = [
        "Mar 06, 2026 9:05:07 AM com.example.Asker ask\nSEVERE: a\n\tat com.example.Asker.ask(Asker.java:1)",
        "März 06, 2026 9:05:08 PM com.example.Asker <init>\nSCHWERWIEGEND: b",
        "3月 06, 2026 12:05:09 上午 com.example.Asker lambda$ask$0\n严重: c",
        "Mar 06, 2026 12:05:10 PM com.example.Asker\nFINER: d",
        "mar 06, 2026 9:05:11 P.\u00a0M. com.example.Asker ask\nNOTABLE: e",
    ]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = read(log, tmp_path)
    assert [row["level"] for row in rows] == ["ERROR", "ERROR", "ERROR", "TRACE", "NOTABLE"]
    assert [row["message"] for row in rows] == list("abcde")
    assert [row["at"][11:19] for row in rows] == ["09:05:07", "21:05:08", "00:05:09", "12:05:10", "21:05:11"]


def test_lines_that_are_not_the_second_line_of_a_record_stay_apart() -> None:
    """A line of a server after the head of a record, and a level without a head."""
    head = "Mar 06, 2026 9:05:07 AM com.example.Asker ask\n"
    server = "time=2026-01-01T00:00:00.000Z level=INFO source=a.go:1 msg=hello\n"
    assert formats_of(head + server) == ["client-java", "slog-text"]
    assert formats_of(head + head + "INFO: a\nINFO: b\n") == ["client-java", "client-java", "client-note"]
    assert formats_of("SEVERE: a\n") == ["unknown"]


def test_one_stack_after_another_is_another_failure(tmp_path: Path) -> None:
    """What printStackTrace writes has no head; a cause does not draw the next exception, however alike they are."""
    stack = "com.example.DemoException: Request failed\n\tat com.example.Asker.ask(Asker.java:1)\n"
    cause = "Caused by: java.net.SocketTimeoutException: timeout\n\tat okio.A.b(A.kt:{0})\n"
    log = tmp_path / "app.log"
    log.write_text("".join(stack + cause.format(number) for number in range(3)), encoding="utf-8")
    rows = read(log, tmp_path)
    assert [(row["line_count"], row["cause"]) for row in rows] == [(4, "client_timeout")] * 3
    assert len(list(incidents(rows))) == 3


@pytest.mark.parametrize("text", ["Nov 26, 2026 13:00:00 AM", "Foo 26, 2026 1:00:00 AM", "Nov 26, 2026 1:00:00 XM", ""])
def test_a_text_that_is_not_a_time_gives_none(text: str) -> None:
    """An hour, a month or a half of the day that does not exist gives no time."""
    frame = pl.DataFrame({"t": [text]})
    assert frame.select(timestamps.half_days(pl.col("t"))).item() is None


@pytest.mark.parametrize("name", ["java-lines", "java-langchain4j", "java-spring-ai-stream"])
def test_where_a_capture_is_cut_does_not_matter(name: str) -> None:
    """Cut at every fifth or seventh line, open records are handed back, and the records are the same as without cuts."""
    bodies = unwrapped((CLIENTS / f"{name}.log").read_text(encoding="utf-8"))[:72]
    whole = framing.frame(bodies, book=BOOK, end=bodies.height + 1, is_last=True).records
    for step in (5, 7):
        parts, rest = [], bodies.clear()
        for place in range(0, bodies.height, step):
            rest = rest.vstack(bodies[place : place + step])
            is_last = place + step >= bodies.height
            done = framing.frame(rest, book=BOOK, end=min(place + step, bodies.height) + 1, is_last=is_last)
            parts += done.records.to_dicts()
            rest = done.rest
        assert parts == whole.to_dicts()
