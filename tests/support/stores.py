"""Stores to ask reports about: rows put in by hand, and rows of chance."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from erranalytics.reports import runner
from erranalytics.store import migrate, queries
from support.folders import SAMPLES

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
START = NOW - timedelta(days=20)
# What ``make demo`` reads.
DEMO = (SAMPLES / "server", SAMPLES / "client")
CAUSES = [
    ("MEM002", "cuda_oom_alloc", "memory", "CUDA could not reserve a buffer while loading.", "error"),
    ("MEM014", "load_oom_system", "memory", "The model needs more RAM than is free.", "error"),
    ("RUN036", "runner_terminated", "runner", "The runner process ended.", "critical"),
    ("OVL001", "queue_full", "overload", "Too many requests wait on the server.", "error"),
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


def empty_store() -> duckdb.DuckDBPyConnection:
    """A store in memory with all tables and no rows."""
    connection = duckdb.connect()
    migrate.migrate(connection, Path(":memory:"))
    return connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, **values: object) -> None:
    """One row; columns not named are NULL."""
    marks = ", ".join("?" for _ in values)
    connection.execute(f"insert into {table} ({', '.join(values)}) values ({marks})", list(values.values()))


def add_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """The handful of causes the small store uses."""
    for code, cause, category, title, severity in CAUSES:
        rest = {"layer": "runner", "phase": "load", "side": "operator", "retry": "backoff", "error_class": "INTERNAL"}
        remedy = "Lower num_ctx. Or use a smaller model."
        row = {"code": code, "cause": cause, "category": category, "title": title, "severity": severity}
        insert(connection, "causes", **row, **rest, remedy=remedy)


def add_incident(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    ts: datetime,
    *,
    code: str,
    severity: str = "error",
    facts: dict[str, Any] | None = None,
    models: list[str] | None = None,
    requests: int = 0,
    session: int = 1,
) -> None:
    """An incident of two error lines: its root and one echo (RUN036), five seconds later."""
    root, category = number * 10, next(row[2] for row in CAUSES if row[0] == code)
    shared = {"layer": "gpu", "side": "operator", "status_source": "none", "confidence": "certain", "source_id": 1}
    end = ts + timedelta(seconds=5)
    for event, when, said, text in ((root, ts, code, f"root of {number}"), (root + 1, end, "RUN036", "echo")):
        insert(
            connection,
            "errors",
            **shared,
            error_id=event,
            ts=when,
            surface="server",
            code=said,
            cause="x",
            category=category if said == code else "runner",
            severity=severity,
            message=text,
            event_id=event,
            incident_id=number,
            session_id=session,
            host="gpu01",
            **(facts or {} if said == code else {}),
        )
    insert(
        connection,
        "incidents",
        incident_id=number,
        first_ts=ts,
        last_ts=end,
        code=code,
        cause="x",
        severity=severity,
        root_event_id=root,
        error_count=2,
        request_count=requests,
        call_count=0,
        models=models or [],
        sides="server",
        session_id=session,
        source_id=1,
        confidence="certain",
    )


def add_requests(
    connection: duckdb.DuckDBPyConnection, count: int, ts: datetime, *, status: int = 200, **values: object
) -> None:
    """Access lines of one kind, one second apart."""
    outcomes = {200: "not_observable", 499: "cancelled_by_client"}
    first = connection.execute("select coalesce(max(request_id), 0) + 1 from requests").fetchall()[0][0]
    row: dict[str, Any] = {"endpoint": "/api/chat", "is_poll": False, "is_inference": True, "session_id": 1} | values
    row.setdefault("outcome", outcomes.get(status, "failed_before_first_byte"))
    for at in range(count):
        when = ts + timedelta(seconds=at)
        insert(connection, "requests", **row, request_id=first + at, event_id=first + at, ts_end=when, status=status)


def small_store() -> duckdb.DuckDBPyConnection:
    """Two weeks of one host: 130 streams, five incidents in the second week, one in the first, 120 lines of log."""
    connection = empty_store()
    add_causes(connection)
    start, end = NOW - timedelta(days=14), NOW - timedelta(minutes=1)
    source = {"source_id": 1, "uri": "server.log", "wrapper": "plain", "host": "gpu01", "encoding": "utf-8"}
    insert(connection, "sources", **source, compression="none", first_ts=start, last_ts=end, byte_count=9000,
           line_count=120, head_digest="a", content_digest="a")  # fmt: skip
    insert(connection, "loads", load_id=1, source_id=1, started_at=NOW, finished_at=NOW, byte_start=0, byte_count=9000,
           line_count=120, event_count=100, duplicate_count=7, reject_count=3, version="1", rulebook_hash="a",
           formats_hash="a")  # fmt: skip
    insert(connection, "rejects", load_id=1, source_id=1, line_no=5, line_count=2, reason="blank")
    insert(connection, "rejects", load_id=1, source_id=1, line_no=9, line_count=1, reason="binary", sample="[red]")
    insert(connection, "server_sessions", session_id=1, source_id=1, host="gpu01", version="0.24.0", ts_start=start,
           ts_end=end, end_reason="crashed", first_event_id=1, last_event_id=99)  # fmt: skip
    connection.execute(
        """insert into events (event_id, source_id, load_id, line_no, line_count, ts, ts_source, host, format)
        select 1000 + i, 1, 1, i, case when i = 1 then 11 else 1 end, cast(? as timestamptz) + to_hours(cast(i as int)),
            case when i <= 60 then 'slog' else 'inherited' end, 'gpu01',
            case when i <= 5 then 'unknown' when i <= 10 then 'foreign' else 'slog-text' end
        from range(1, 101) as r(i)""",
        [start],
    )
    week = NOW - timedelta(days=7)
    sizes = {
        "device": "CUDA0",
        "needed_bytes": 23 * 2**30,
        "free_bytes": round(19.6 * 2**30),
        "layers_offloaded": 65,
        "layers_total": 65,
    }
    add_incident(connection, 1, week + timedelta(days=1), code="MEM014", facts=sizes, models=["qwen3:32b"], requests=4)
    add_incident(
        connection,
        2,
        week + timedelta(days=3),
        code="MEM002",
        facts={"buffer_bytes": round(4403.49 * 2**20), "device": "0"},
    )
    add_incident(connection, 3, week + timedelta(days=3, hours=1), code="MEM014", facts={"needed_bytes": 2**30})
    add_incident(connection, 4, week + timedelta(days=6), code="RUN036", severity="critical", models=["llava:13b"])
    add_incident(connection, 5, NOW - timedelta(hours=2), code="OVL001", requests=6)
    add_incident(connection, 6, week - timedelta(days=2), code="MEM014", requests=1)
    insert(connection, "model_loads", load_seq=3, session_id=1, source_id=1, ts_start=start, model=None, num_ctx=4096,
           layers_offloaded=20, layers_total=41, available_bytes=2**30, outcome="oom", first_event_id=18,
           last_event_id=19)  # fmt: skip
    add_requests(connection, 90, week + timedelta(days=1))
    add_requests(connection, 4, week + timedelta(days=1), suspected_by=40, incident_id=4)
    add_requests(connection, 10, week + timedelta(days=2), status=500, code="MEM014", incident_id=1)
    add_requests(connection, 6, NOW - timedelta(hours=2), status=503, code="OVL001", incident_id=5)
    add_requests(connection, 5, NOW - timedelta(hours=3), status=499)
    add_requests(connection, 14, week - timedelta(days=2), endpoint="/v1/chat/completions")
    add_requests(connection, 1, week - timedelta(days=2), status=500, endpoint="/v1/chat/completions", code="MEM014")
    polls: dict[str, Any] = {"is_poll": True, "is_inference": False, "outcome": None}
    add_requests(connection, 30, week, endpoint="/api/version", **polls)
    add_requests(connection, 2, week, endpoint="/api/embed", outcome="completed")
    return connection


def run(connection: duckdb.DuckDBPyConnection, name: str, **params: object) -> Rows:
    """Rows of a report."""
    return runner.run(name, connection=connection, params=params, now=NOW).frame.to_dicts()


def table(connection: duckdb.DuckDBPyConnection, name: str) -> Rows:
    """All rows of a table or view."""
    return queries.query(f"select * from {name}", connection=connection)[0].to_dicts()


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
