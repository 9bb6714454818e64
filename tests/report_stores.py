"""Stores to ask reports about: rows put in by hand, rows of chance, and logs of a real server and its client."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from test_reports import NOW, add_causes, add_requests, empty_store, insert

import erranalytics as ea
from erranalytics import reports

START = NOW - timedelta(days=20)
SAMPLES = Path(__file__).resolve().parent.parent / "sample_logs"
LOGS = [
    "server/mixed-0.11.11.log",
    "server/requests-0.24.0.log",
    "server/cloud-0.24.0.log",
    "client/ollama-python.jsonl",
]
# What a log, a client or a model file may be called.
HOSTILE = [
    "x'; drop table events; --",
    "<script>alert(1)</script>",
    "\x1b[31mred",
    "模型:7b\u202e",
    '"quoted"\n',
    "unknown",
]
VERSIONS = ["0.10.0", "0.9.6", "0.10.0-rc2", "0.10.0-rc10", "v0.2.1", None, "dev<b>", "0.32.15"]
Rows = list[dict[str, Any]]


def run(connection: duckdb.DuckDBPyConnection, name: str, **params: object) -> Rows:
    """Rows of a report."""
    return reports.run(name, connection=connection, params=params, now=NOW).frame.to_dicts()


def table(connection: duckdb.DuckDBPyConnection, name: str) -> Rows:
    """All rows of a table or view."""
    return reports.query(f"select * from {name}", connection=connection)[0].to_dicts()


def lines_of(*names: str) -> list[str]:
    """Lines of sample logs."""
    return [line for name in names for line in (SAMPLES / name).read_text(encoding="utf-8").splitlines()]


def add_source(connection: duckdb.DuckDBPyConnection, first: datetime, last: datetime) -> None:
    """The one source of a store."""
    insert(connection, "sources", source_id=1, uri="a", wrapper="plain", encoding="utf-8", compression="none", first_ts=first,
           last_ts=last, byte_count=1, line_count=1, head_digest="a", content_digest="a")  # fmt: skip


def add_session(connection: duckdb.DuckDBPyConnection, number: int, version: str | None) -> None:
    """A run of the server, number by number a day long."""
    begin = START + timedelta(days=number)
    insert(connection, "server_sessions", session_id=number, source_id=1, host="gpu01", version=version, ts_start=begin,
           ts_end=begin + timedelta(days=1), end_reason="unknown", first_event_id=number * 1000, last_event_id=number * 1000 + 999)  # fmt: skip


def add_failure(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    ts: datetime | None,
    code: str = "MEM014",
    **values: Any,
) -> None:
    """An incident of one line; ``facts`` are columns of that line."""
    facts: dict[str, Any] = {"model": None, "cause": "x", "category": "memory"} | values.pop("facts", {})
    severity, session = values.pop("severity", "error"), values.pop("session", 1)
    insert(connection, "errors", error_id=number, ts=ts, surface="server", code=code, severity=severity, status_source="none",
           confidence="certain", event_id=number, incident_id=number, session_id=session, source_id=1, host="gpu01", **facts)  # fmt: skip
    row = {"models": [facts["model"]] if facts["model"] else [], "request_count": 0} | values
    insert(connection, "incidents", incident_id=number, first_ts=ts, last_ts=ts, code=code, cause=facts["cause"], severity=severity,
           root_event_id=number, error_count=1, call_count=0, sides="server", session_id=session, source_id=1,
           confidence="certain", **row)  # fmt: skip


def add_call(connection: duckdb.DuckDBPyConnection, number: int, ts: datetime, outcome: str, **values: Any) -> None:
    """What a client recorded of one call."""
    row: dict[str, Any] = {
        "endpoint": "/api/chat",
        "stream": True,
        "is_inference": True,
        "status_source": "wire",
    } | values
    insert(connection, "calls", call_id=number, event_id=number, source_id=1, load_id=1, mapping="m", ts_start=ts, ts_end=ts,
           outcome=outcome, **row)  # fmt: skip


def busy_store(seed: int) -> duckdb.DuckDBPyConnection:
    """A store of chance: runs of many versions, requests, calls with and without access line, incidents; names of any kind."""
    chance, connection = random.Random(seed), empty_store()
    connection.begin()
    add_causes(connection)
    add_source(connection, START, NOW)
    names = [None, "qwen3:32b", "llava:13b", *HOSTILE]
    for number, version in enumerate(VERSIONS):
        add_session(connection, number, version)
    codes = ["MEM002", "MEM014", "RUN036", "OVL001"]
    for number in range(1, 61):
        models = chance.sample([name for name in names if name], chance.randint(0, 2))
        add_failure(connection, number, START + timedelta(hours=chance.randint(0, 400)), chance.choice(codes), models=models,
                    session=chance.randrange(len(VERSIONS)), severity=chance.choice(["info", "warning", "error", "critical"]),
                    facts={"model": chance.choice([None, *models])})  # fmt: skip
    outcomes = ["not_observable", "failed_before_first_byte", "cancelled_by_client", "failed", "completed"]
    for _ in range(300):
        outcome, incident = chance.choice(outcomes), chance.randint(1, 60)
        endpoint = chance.choice(["/api/chat", "/api/generate", "/v1/messages"])
        add_requests(connection, 1, START + timedelta(hours=chance.randint(0, 400)), outcome=outcome, model=chance.choice(names),
                     session_id=chance.randrange(len(VERSIONS)), endpoint=endpoint, client_address=chance.choice([None, "10.0.0.1", "10.0.0.2"]),
                     code=chance.choice(codes) if outcome.startswith("failed") else None,
                     incident_id=incident if outcome.startswith("failed") else None)  # fmt: skip
    add_requests(connection, 9, START, endpoint="/api/tags", is_poll=True, is_inference=False)
    add_requests(connection, 5, START, surface="gateway", outcome="failed", incident_id=3)
    for number in range(1, 101):
        outcome = chance.choice(
            ["completed", "failed_mid_stream", "truncated", "cancelled_by_client", "not_observable"]
        )
        linked = number * 3 if number % 2 else None
        add_call(connection, number, START + timedelta(hours=chance.randint(0, 400)), outcome, request_id=linked,
                 model=chance.choice(names), client=chance.choice([None, "ollama-python/0.6.3", *HOSTILE[:2]]),
                 incident_id=chance.randint(1, 60) if outcome in ("failed_mid_stream", "truncated") else None)  # fmt: skip
    connection.commit()
    return connection


def real_store(folder: Path) -> duckdb.DuckDBPyConnection:
    """Real logs of a server and what a client recorded of its calls, in a store in that folder."""
    db = folder / "s.duckdb"
    assert ea.ingest([SAMPLES / name for name in LOGS], db=db).faults == ()
    return ea.connect(db)
