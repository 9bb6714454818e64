"""Records of calls: shapes, outcomes, damaged records, and what the lab knows of each call."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import erranalytics as ea
from erranalytics import schema
from erranalytics.calls import decoding, outcomes
from erranalytics.classification import rulebook
from erranalytics.classification.classifier import classify
from erranalytics.ingestion.rulebook_rows import causes_frame

BOOK = rulebook.load()
RECORD = {
    "schema": "erranalytics.call/1",
    "ts_start": "2026-11-21T01:57:30.000000Z",
    "ts_end": "2026-11-21T01:57:32.500000Z",
    "duration_ms": 2500.0,
    "endpoint": "/api/chat",
    "method": "POST",
    "stream": True,
    "http_status": 200,
    "status_source": "wire",
    "outcome": "completed",
    "chunk_count": 7,
    "done_seen": True,
}


def record(**changes: Any) -> str:
    """A record of our own form with other fields."""
    return json.dumps(RECORD | changes)


def decided(**fields: Any) -> str:
    """The outcome of one call in the shape of an application's log."""
    flat = {"ts": "2026-11-21T01:57:30Z", "endpoint": "/api/chat", "status_code": 200} | fields
    texts = pl.Series([json.dumps(flat)])
    found = classify(texts, book=BOOK)
    causes = causes_frame(BOOK).select("code", "cause", "category")
    known = decoding.read(texts).hstack(found.select("code")).join(causes, on="code", how="left", maintain_order="left")
    return str(outcomes.decide(known)["outcome"].item())


def test_mappings_prove_themselves() -> None:
    """Every sample is read as its shape and gives what it claims."""
    assert list(decoding.check()) == []


def test_frame_has_its_schema() -> None:
    """What is read has the declared columns, also of texts that are no calls."""
    frame = decoding.read(pl.Series(["no call", None, record()]))
    assert dict(frame.schema) == {"row": pl.UInt32(), "mapping": pl.String(), "fault": pl.String(), **schema.CALLS}
    assert frame["row"].to_list() == [2]


# Fields of a flat record, the outcome they mean.
OUTCOMES: list[tuple[dict[str, Any], str]] = [
    ({"stream": True, "done": True, "chunks": 9}, "completed"),
    ({"stream": True, "done": False, "chunks": 9}, "truncated"),
    (
        {"stream": True, "status_code": 404, "chunks": 0, "error_message": "model 'x' not found"},
        "failed_before_first_byte",
    ),
    (
        {
            "stream": True,
            "status_code": None,
            "chunks": 0,
            "error_type": "httpx.ConnectError",
            "error_message": "[Errno 111] Connection refused",
        },
        "failed_before_first_byte",
    ),
    (
        {
            "stream": True,
            "status_code": -1,
            "chunks": 3,
            "error_type": "ollama._types.ResponseError",
            "error_message": "an error was encountered while running the model: EOF (status code: -1)",
        },
        "failed_mid_stream",
    ),
    (
        {
            "stream": True,
            "status_code": None,
            "chunks": 3,
            "error_type": "httpx.RemoteProtocolError",
            "error_message": "peer closed connection without sending complete message body (incomplete chunked read)",
        },
        "truncated",
    ),
    (
        {
            "stream": True,
            "status_code": None,
            "chunks": 3,
            "error_type": "httpx.ReadTimeout",
            "error_message": "timed out",
        },
        "cancelled_by_client",
    ),
    (
        {
            "stream": True,
            "status_code": None,
            "chunks": 3,
            "error_type": "js.AbortError",
            "error_message": "This operation was aborted",
        },
        "cancelled_by_client",
    ),
    # What a server says of a registry it cannot reach is an error object, not a cut connection.
    (
        {
            "stream": True,
            "status_code": None,
            "chunks": 2,
            "endpoint": "/api/pull",
            "error_type": "js.Error",
            "error_message": 'pull model manifest: Get "https://registry.ollama.ai/v2/": dial tcp: lookup registry.ollama.ai: no such host',
        },
        "failed_mid_stream",
    ),
    ({"stream": False, "done": True, "chunks": 1}, "completed"),
    ({"stream": False, "done": False, "chunks": 1}, "failed"),
    ({"stream": False, "endpoint": "/api/tags", "done": False, "chunks": 1}, "completed"),
    ({"stream": False, "status_code": 500, "error_message": "boom"}, "failed"),
    ({"stream": False, "status_code": None}, "not_observable"),
]


@pytest.mark.parametrize(("fields", "expected"), OUTCOMES, ids=[f"{n}-{one[1]}" for n, one in enumerate(OUTCOMES)])
def test_outcome_is_read_from_the_fields(fields: dict[str, Any], expected: str) -> None:
    """A record without an outcome has one by its status, its end mark, its pieces and its error."""
    assert decided(**fields) == expected


# Status, exception and text of a record; the status and its source.
STATUSES: list[tuple[Any, str | None, str | None, int | None, str]] = [
    (404, "openai.NotFoundError", "Error code: 404 - model 'x' not found", 404, "wire"),
    (-1, "ollama._types.ResponseError", "boom (status code: -1)", None, "sentinel"),
    (None, "ollama._types.ResponseError", "boom (status code: 503)", 503, "inferred"),
    (
        500,
        "litellm.APIConnectionError",
        "litellm.APIConnectionError: OllamaException - [Errno 111] Connection refused",
        500,
        "sdk_synthetic",
    ),
    (408, "litellm.Timeout", "litellm.Timeout: Connection timed out after 1.0 seconds.", 408, "sdk_synthetic"),
    (None, "httpx.ConnectError", "[Errno 111] Connection refused", None, "none"),
]


@pytest.mark.parametrize(
    ("status", "kind", "text", "expected", "source"), STATUSES, ids=[f"{n}-{one[4]}" for n, one in enumerate(STATUSES)]
)
def test_status_says_where_it_comes_from(
    status: Any, kind: str | None, text: str | None, expected: int | None, source: str
) -> None:
    """The source of a status is the wire, an SDK that made it up, a sentinel, or a text."""
    flat = {
        "ts": "2026-11-21T01:57:30Z",
        "endpoint": "/api/chat",
        "status_code": status,
        "error_type": kind,
        "error_message": text,
    }
    row = decoding.read(pl.Series([json.dumps(flat)])).row(0, named=True)
    assert (row["http_status"], row["status_source"]) == (expected, source)


# A damaged line of our own form, the reason of its reject.
DAMAGED: list[tuple[str, str]] = [
    (record()[:90], "bad-json"),
    ('{"ts": "2026-11-21T01:57:30Z", "endpoint": "/api/chat", "status_code": 2', "bad-json"),
    (record(schema="erranalytics.call/9"), "unknown-version"),
    (record(duration_ms="soon"), "bad-field: duration_ms"),
    (record(chunk_count="7"), "bad-field: chunk_count"),
    (record(endpoint=5), "bad-field: endpoint"),
    (record(http_status=10**12), "bad-field: http_status"),
    (record(ts_start="yesterday"), "bad-field: ts_start"),
    (record(outcome="fine"), "bad-field: outcome"),
    (record().replace('"method"', '"endpoint": "/api/tags", "method"'), "duplicate-key: endpoint"),
    (record().replace('"outcome": "completed", ', ""), "missing-field: outcome"),
]


@pytest.mark.parametrize(("line", "reason"), DAMAGED, ids=[f"{n}-{one[1]}" for n, one in enumerate(DAMAGED)])
def test_damaged_record_is_a_counted_reject(line: str, reason: str, tmp_path: Path) -> None:
    """A record that cannot be trusted is a reject with its reason; those around it are ingested."""
    log = tmp_path / "calls.jsonl"
    log.write_text("\n".join([record(record_id="a"), line, record(record_id="b")]) + "\n", encoding="utf-8")
    result = ea.ingest([str(log)], db=tmp_path / "s.duckdb")
    connection = ea.connect(tmp_path / "s.duckdb")
    try:
        rejects = connection.execute("select line_no, line_count, reason from rejects").fetchall()
        kept = connection.execute("select record_id from calls order by 1").fetchall()
    finally:
        connection.close()
    assert rejects == [(2, 1, reason)]
    assert kept == [("a",), ("b",)]
    assert (result.total("line_count"), result.total("event_count"), result.total("reject_count")) == (3, 2, 1)


def test_record_of_a_later_form_keeps_what_it_adds() -> None:
    """An unknown field is not a fault, and a prompt is never the message of a record."""
    (row,) = ea.classify(record(shelf=7, prompt="what is my secret?"))
    assert (row["format"], row["message"]) == ("client-json", "call of /api/chat")


def test_batch_of_spans_is_a_call_each(tmp_path: Path) -> None:
    """A line of OTLP-JSON holds many spans; each is a record with its model, status and duration."""

    def span(number: int, status: int) -> dict[str, Any]:
        return {
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": f"{number:016x}", "name": "chat demo:1b",
            "startTimeUnixNano": str(1763690250_000000000 + number), "endTimeUnixNano": str(1763690252_500000000 + number),
            "attributes": [
                {"key": "gen_ai.request.model", "value": {"stringValue": "demo:1b"}},
                {"key": "gen_ai.input.messages", "value": {"stringValue": "the secret"}},
                {"key": "url.path", "value": {"stringValue": "/api/chat"}},
                {"key": "http.response.status_code", "value": {"intValue": status}},
            ],
        }  # fmt: skip

    batch = {"resourceSpans": [{"scopeSpans": [{"spans": [span(1, 200), span(2, 404)]}]}]}
    log = tmp_path / "spans.json"
    log.write_text(json.dumps(batch, separators=(",", ":")) + "\n", encoding="utf-8")
    result = ea.ingest([str(log)], db=tmp_path / "s.duckdb")
    connection = ea.connect(tmp_path / "s.duckdb")
    try:
        found = connection.execute(
            "select model, http_status, outcome, duration_ms from calls order by call_id"
        ).fetchall()
        dump = str(connection.execute("select * from events").fetchall()) + str(
            connection.execute("select * from calls").fetchall()
        )
    finally:
        connection.close()
    assert found == [("demo:1b", 200, "completed", 2500.0), ("demo:1b", 404, "failed", 2500.0)]
    assert "the secret" not in dump
    assert (result.total("line_count"), result.total("event_count")) == (1, 2)


def test_failed_call_without_a_text_is_a_problem_all_the_same() -> None:
    """A stream that just ended is an error although no line says so."""
    (row,) = ea.classify(record(outcome="truncated", done_seen=False))
    assert (row["code"], row["cause"], row["confidence"], row["rule"]) == (
        "STR002",
        "stream_missing_done",
        "likely",
        None,
    )
    (row,) = ea.classify(record())
    assert (row["is_error"], row["code"]) == (False, None)


# What the lab calls the ends of streams, and the outcomes of calls.
ENDS = {
    "complete": "completed",
    "error_chunk": "failed_mid_stream",
    "truncated": "truncated",
    "cancelled_by_client": "cancelled_by_client",
    "never_started": "failed_before_first_byte",
}


def test_outcomes_of_the_lab_are_those_of_its_truth(shared: Path) -> None:
    """Every stream ends as the lab knows it, except for those whose record does not show who ended it.

    Twelve programs closed their stream; their records read like those of a stream that was cut: 200, no error, no end
    mark. Such a record counts as truncated. Our recorder tells the two apart.
    """
    truth = {
        one["request_id"]: one
        for one in map(json.loads, (shared / "lab" / "truth.jsonl").read_text("utf-8").splitlines())
    }
    lines = [
        line
        for file in sorted((shared / "lab" / "client").glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    texts = pl.Series(lines)
    causes = causes_frame(BOOK).select("code", "cause", "category")
    known = decoding.read(texts).hstack(classify(texts, book=BOOK).select("code"))
    found = outcomes.decide(known.join(causes, on="code", how="left", maintain_order="left"))
    pairs = Counter(
        (ENDS.get(truth[one["record_id"]]["stream_outcome"]), one["outcome"])
        for one in found.iter_rows(named=True)
        if truth[one["record_id"]]["stream_outcome"] in ENDS
    )
    wrong = {pair: count for pair, count in pairs.items() if pair[0] != pair[1]}
    assert wrong == {("cancelled_by_client", "truncated"): 12}
    silent = [
        one
        for one in found.iter_rows(named=True)
        if ENDS.get(truth[one["record_id"]]["stream_outcome"]) == "cancelled_by_client"
        and one["outcome"] == "truncated"
    ]
    assert {(one["http_status"], one["error_type"], one["error_message"], one["done_seen"]) for one in silent} == {
        (200, None, None, False)
    }
