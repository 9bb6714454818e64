"""What the store says of the servers of the lab, held against what was done to them; skipped where the lab is absent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.lab import servers
from support.once import Once

import erranalytics as ea
from erranalytics.store import frames

INFERENCE = ("/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/v1/")


@pytest.fixture(scope="module")
def lab_db(shared: Path, ingested: Once) -> Path:
    """A store of the logs of all servers, with the requests that two of them dumped."""
    return ingested(*servers(shared), *sorted((shared / "lab" / "server").glob("*/ollama-request-logs-*")))


@pytest.fixture
def lab(lab_db: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store, open for reading."""
    connection = ea.connect(lab_db)
    yield connection
    connection.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_how_runs_ended(shared: Path, lab: duckdb.DuckDBPyConnection) -> None:
    """A run that another follows was restarted; a server that says that it ends, was stopped; of others nothing is known."""
    events = lines(shared / "lab" / "events.jsonl")
    marks = ("server_started", "server_stopped", "server_killed")
    expected: dict[str, list[str]] = {}
    for row in (row for row in events if row["event"] in marks):
        runs = expected.setdefault(row["run_id"], [])
        if row["event"] == "server_started":
            runs[-1:] = ["restarted"] if runs else []
            runs.append("unknown")
        elif row["event"] == "server_stopped" and row["run_id"] in ("d3-debug", "d4-trace", "d15-era3debug"):
            runs[-1] = "stopped"
    sql = """select uri, end_reason, version, devices, config['OLLAMA_HOST'] as host from server_sessions
             inner join sources using (source_id) where version is not null order by session_id"""
    found: dict[str, list[str]] = {}
    for row in frames.rows(lab, sql):
        found.setdefault(Path(row["uri"]).parent.name, []).append(row["end_reason"])
        assert row["host"] == "http://127.0.0.1:11434"
        assert row["devices"] == ["cpu 23.5 GiB"]
    assert found == expected


def test_starts_of_runs(shared: Path, lab: duckdb.DuckDBPyConnection) -> None:
    """A run begins within a second of the start of its process."""
    sql = """select uri, ts_start from server_sessions inner join sources using (source_id)
             where version is not null order by session_id"""
    found = [(Path(uri).parent.name, start) for uri, start in lab.execute(sql).fetchall()]
    events = lines(shared / "lab" / "events.jsonl")
    started = [(row["run_id"], datetime.fromisoformat(row["ts"])) for row in events if row["event"] == "server_started"]
    assert len(found) == len(started)
    for (run, seen), (name, real) in zip(sorted(found), sorted(started), strict=True):
        assert run == name
        assert abs(seen - real) < timedelta(seconds=1)


def test_loads_that_were_made_to_fail(lab: duckdb.DuckDBPyConnection) -> None:
    """Each is a failed attempt of its cause, as often as it was done; none is left without an outcome."""
    sql = """select s.uri, l.outcome, c.cause, l.ts_end >= l.ts_start from model_loads as l
             inner join sources as s using (source_id) left join causes as c using (code)"""
    rows = [(Path(uri).parent.name, *rest) for uri, *rest in lab.execute(sql).fetchall()]
    assert {outcome for _, outcome, *_ in rows} == {"loaded", "failed", "oom"}
    assert all(is_ordered for *_, is_ordered in rows)
    counts = Counter((run, cause) for run, _, cause, _ in rows if cause)
    assert counts["d1-main", "load_oom_system"] == counts["d6-load", "load_oom_system"] == 4
    assert counts["d1-main", "model_corrupt"] == counts["d13-era3", "model_corrupt"] == 4
    assert counts["d6-load", "load_timeout"] == 4
    assert {(cause, outcome) for _, outcome, cause, _ in rows if cause} >= {
        ("load_oom_system", "oom"), ("load_killed", "oom"), ("model_corrupt", "failed"), ("load_timeout", "failed"),
    }  # fmt: skip


def named(model: str) -> str:
    """A name with its tag."""
    return model if ":" in model.rsplit("/", 1)[-1] else f"{model}:latest"


def test_models_of_requests(shared: Path, lab: duckdb.DuckDBPyConnection) -> None:
    """Never another model than the one that was asked for; a file of a model is always that of the same one."""
    sql = """select s.uri, e.line_no, r.model, r.model_source from requests as r inner join events as e using (event_id)
             inner join sources as s using (source_id)"""
    found = {(Path(uri).parent.name, line): (model, how) for uri, line, model, how in lab.execute(sql).fetchall()}
    truth = [row for row in lines(shared / "lab" / "truth.jsonl") if row["gin_line_no"] and row["method"] == "POST"]
    truth = [row for row in truth if row["endpoint"].startswith(INFERENCE)]
    files: dict[str, set[str]] = {}
    sources: Counter[str] = Counter()
    for row in truth:
        model, how = found[row["run_id"], row["gin_line_no"]]
        if model is None:
            continue
        sources[how] += 1
        if model.startswith("sha256-"):
            files.setdefault(model, set()).add(row["model"])
        else:
            assert named(model) == named(row["model"])
    assert {len(names) for names in files.values()} == {1}
    assert sources["body_file"] >= 15
    assert sources["slog"] >= 25
    assert sources["message"] >= 5
