"""Gateways in front of Ollama: a request which both sides wrote down is one, and the reports on them add up."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import polars as pl
import pytest
from support.content import content
from support.gateway_logs import Rows, Written, rows, write_store
from support.once import Once

import erranalytics as ea
from erranalytics.classification import rulebook
from erranalytics.ingestion import reclassification
from erranalytics.parsing import lineformats
from erranalytics.reports import runner
from erranalytics.store.connection import open_store

NGINX = ("nginx-access.log", "nginx-error.log")
SERVER = "server-0.24.0.log.gz"


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    """One run of a server behind nginx: both logs of nginx, and that of the server."""
    return root / "sample_logs" / "gateway"


@pytest.fixture(scope="module")
def gateway_db(folder: Path, ingested: Once) -> Path:
    """All three in one store."""
    return ingested(folder)


@pytest.fixture(scope="module")
def together(gateway_db: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store, open for reading."""
    connection = ea.connect(gateway_db)
    yield connection
    connection.close()


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A store of logs given as names and lines."""
    return partial(write_store, tmp_path)


# --- one run, seen at both --------------------------------------------------------------------------------------------


@pytest.fixture
def truth(shared: Path) -> Rows:
    """What was done in that run through nginx."""
    lines = (shared / "lab" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return [one for one in map(json.loads, lines) if one["run_id"] == "d7-proxy" and one["via"] == "nginx"]


def test_each_answer_of_nginx_has_its_status_and_cause(truth: Rows, together: duckdb.DuckDBPyConnection) -> None:
    """As many access lines as requests went through nginx, and each failed one names what was done to it."""
    sql = """select r.status, r.path, i.cause from requests as r left join incidents as i using (incident_id)
             where r.surface = 'gateway'"""
    found = Counter(together.execute(sql).fetchall())
    assert found.total() == len(truth) == 36
    wanted = Counter((one["http_status_on_wire"], one["endpoint"], one["expected_cause"]) for one in truth)
    assert {key: n for key, n in found.items() if key[0] >= 400} == {
        key: n for key, n in wanted.items() if key[0] >= 400
    }


def test_streams_that_nginx_cut_off_are_known_by_its_error_log(
    truth: Rows, together: duckdb.DuckDBPyConnection
) -> None:
    """An answer that broke behind its first byte stays a 200; only the error log tells of it."""
    sql = "select path from requests where surface = 'gateway' and outcome = 'failed_mid_stream' and status = 200"
    wanted = Counter(one["endpoint"] for one in truth if one["expected_cause"] == "stream_truncated")
    assert Counter(path for (path,) in together.execute(sql).fetchall()) == wanted


def test_each_line_of_nginx_finds_the_line_of_the_server(truth: Rows, together: duckdb.DuckDBPyConnection) -> None:
    """The protocol of the run names the line of the server of each request; refused ones have none."""
    sql = """select e.line_no, r.status, r.path from requests as r
             left join requests as o on o.request_id = r.answered_by left join events as e on e.event_id = o.event_id
             where r.surface = 'gateway'"""
    wanted = Counter((one["gin_line_no"], one["http_status_on_wire"], one["endpoint"]) for one in truth)
    assert Counter(together.execute(sql).fetchall()) == wanted


def test_a_failure_of_both_sides_is_one_incident(truth: Rows, together: duckdb.DuckDBPyConnection) -> None:
    """Each failed request is one incident with one request, however many lines of both sides tell of it."""
    failed = [one for one in truth if one["http_status_on_wire"] >= 400]
    sql = """select count(distinct incident_id), count(*) from requests where surface = 'gateway' and status >= 400"""
    assert together.execute(sql).fetchall() == [(len(failed), len(failed))]
    sql = """select distinct i.request_count from incidents as i inner join requests as r using (incident_id)
             where r.surface = 'gateway' and r.status >= 400"""
    assert together.execute(sql).fetchall() == [(1,)]
    sql = """select count(*), min(e.surface) from errors as e inner join incidents as i using (incident_id)
             where i.cause = 'cloud_or_proxy_timeout' and i.sides = 'server' and e.event_id = i.root_event_id"""
    assert together.execute(sql).fetchall() == [(5, "gateway")]


def test_whom_nginx_left_waiting_is_no_fault_of_the_server(together: duckdb.DuckDBPyConnection) -> None:
    """Ollama wrote 500 when nginx lost patience: the request was left, it did not fail."""
    sql = """select o.status, o.outcome, o.code, count(*) from requests as r
             inner join requests as o on o.request_id = r.answered_by where r.status = 504 group by all"""
    assert together.execute(sql).fetchall() == [(500, "cancelled_by_client", "GTW002", 5)]


def test_requests_of_both_sides_count_once(folder: Path, tmp_path: Path, together: duckdb.DuckDBPyConnection) -> None:
    """No report counts more requests because nginx wrote them down too."""
    ea.ingest([folder / SERVER], db=tmp_path / "alone.duckdb", tz="UTC")
    alone = ea.connect(tmp_path / "alone.duckdb")
    counts = {
        "status-codes": ["status", "endpoint", "request_count", "endpoint_request_count"],
        "streaming-failures": ["endpoint", "stream_count"],
        "error-trend": ["request_count"],
        "overview": ["request_count"],
        "overview-rates": ["metric", "all_count"],
    }
    for name, columns in counts.items():
        one, both = (
            runner.run(name, connection=connection, params={"since": "2026-11-21"}).frame.select(columns)
            for connection in (alone, together)
        )
        skipped = pl.lit(value=True) if name != "overview-rates" else pl.col("metric") != "streams_failed"
        assert both.filter(skipped).equals(one.filter(skipped)), name
    assert alone.sql("select count(*) from requests where surface <> 'ollama'").fetchall() == [(0,)]
    alone.close()


@pytest.mark.slow
def test_the_order_of_the_logs_changes_nothing(folder: Path, tmp_path: Path) -> None:
    """What each request and failure is does not depend on which log came first."""
    found = []
    for number, names in enumerate(((SERVER, *NGINX), (*NGINX, SERVER), (NGINX[1], SERVER, NGINX[0]))):
        db = tmp_path / f"{number}.duckdb"
        for name in names:
            ea.ingest([folder / name], db=db, tz="UTC")
        connection = ea.connect(db)
        found.append(content(connection))
        connection.close()
    for other in found[1:]:
        for table, rows_there in other.items():
            assert rows_there == found[0][table], table


def test_reclassifying_changes_nothing(gateway_db: Path, tmp_path: Path) -> None:
    """The texts of gateway lines are put together from the store, and all verdicts and incidents stay."""
    connection = open_store(Path(shutil.copy(gateway_db, tmp_path / "a.duckdb")))
    before = content(connection)
    done = reclassification.reclassify(connection, rules=rulebook.load(), formats=lineformats.load(), force=True)
    assert (done.changed_count, content(connection)) == (0, before)
    connection.close()


def test_calls_of_clients_are_the_same_failures(shared: Path, folder: Path, tmp_path: Path) -> None:
    """What a client saw of a request belongs to the incident of both sides, also where Ollama has no line of it."""
    calls = sorted((shared / "lab" / "client").glob("*.jsonl"))
    db = tmp_path / "a.duckdb"
    ea.ingest([*calls, *(folder / name for name in (SERVER, *NGINX))], db=db, tz="UTC")
    sql = """select i.cause, i.sides, i.request_count, i.call_count, count(*) as n from incidents as i
             where incident_id in (select incident_id from requests where surface = 'gateway') group by all order by 1"""
    assert [tuple(row.values()) for row in rows(db, sql)] == [
        ("cloud_or_proxy_timeout", "both", 1, 1, 8),
        ("model_not_found", "both", 1, 1, 3),
        ("proxy_bad_gateway", "both", 1, 1, 7),
        ("request_too_large", "both", 1, 1, 4),
    ]
    sql = "select count(*) as n from requests inner join calls on call_id = asked_by where abs(epoch_ms(calls.ts_end - requests.ts_end)) < 1000"
    assert rows(db, sql) == [{"n": 11}]
    # An incident is of the server's session where the server has a line of it, though the clients' logs came first.
    sql = """select i.session_id = r.session_id as is_server, i.source_id = e.source_id as is_source
             from incidents as i inner join requests as r using (incident_id)
             inner join events as e on e.event_id = r.event_id
             where r.surface = 'ollama' and incident_id in (select incident_id from requests where surface = 'gateway')
                 and i.sides = 'both'"""
    assert rows(db, sql) == [{"is_server": True, "is_source": True}] * 8


@pytest.mark.slow
def test_logs_that_grow_tell_the_same(folder: Path, tmp_path: Path, together: duckdb.DuckDBPyConnection) -> None:
    """Read while they are written, each in two parts, they give what they give at once."""
    whole = {"server.log": gzip.decompress((folder / SERVER).read_bytes())}
    whole |= {name: (folder / name).read_bytes() for name in NGINX}
    db = tmp_path / "a.duckdb"
    for share in (0.5, 1):
        for name, data in whole.items():
            lines = data.splitlines(keepends=True)
            (tmp_path / name).write_bytes(b"".join(lines[: int(len(lines) * share)]))
            ea.ingest([tmp_path / name], db=db, tz="UTC")
    connection = ea.connect(db)
    found, wanted = content(connection), content(together)
    connection.close()
    for table, rows_there in wanted.items():
        assert found[table] == rows_there, table


# --- the reports ------------------------------------------------------------------------------------------------------


def test_gateway_errors_adds_up(together: duckdb.DuckDBPyConnection) -> None:
    """Counted by hand from the lines of nginx, and what Ollama said from those of its own that were found."""
    sql = "select status, path, outcome, answered_by from requests where surface = 'gateway'"
    lines = together.execute(sql).fetchall()
    statuses = dict(together.execute("select request_id, status from requests").fetchall())
    frame = runner.run("gateway-errors", connection=together, params={"min_count": 1}).frame
    bad = [line for line in lines if line[0] >= 400 or line[2] == "failed_mid_stream"]
    assert frame["request_count"].sum() == len(bad) == 22
    found: Counter[tuple[int, str]] = Counter()
    for row in frame.to_dicts():
        found[row["status"], row["endpoint"]] += row["request_count"]
        assert row["endpoint_request_count"] == sum(line[1] == row["endpoint"] for line in lines)
        assert row["share"] == pytest.approx(row["request_count"] / row["endpoint_request_count"])
    assert found == Counter((line[0], line[1]) for line in bad)
    said = Counter(statuses[line[3]] for line in bad if line[0] == 504)
    told = Counter()
    for row in frame.filter(pl.col("status") == 504).to_dicts():
        status, _, count = row["ollama_said"].partition(" × ")
        told[int(status)] += int(count)
    assert told == said == {500: 5}


def test_gateway_errors_tells_of_an_error_log_alone(folder: Path, tmp_path: Path) -> None:
    """Without the access log there is no status, but each fault is there with its upstream."""
    ea.ingest([folder / "nginx-error.log"], db=tmp_path / "a.duckdb", tz="UTC")
    connection = ea.connect(tmp_path / "a.duckdb")
    frame = runner.run("gateway-errors", connection=connection).frame
    connection.close()
    assert (frame["request_count"].sum(), frame["status"].null_count()) == (19, frame.height)
    assert set(frame.filter(pl.col("code") != "REQ027")["upstream"]) == {"127.0.0.1:11434"}


def test_overload_counts_who_was_turned_away(written: Written) -> None:
    """By place, route and status; the hour is that with most, the pause the longest; a request of both sides is one."""
    start = datetime(2026, 11, 21, 1, 50, tzinfo=UTC)
    moments = [start + timedelta(minutes=8 * n) for n in range(6)]
    access = [
        f'10.0.0.9 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "POST /api/chat HTTP/1.1" {status} 10 "-" "curl" retry_after={pause}'
        for at, status, pause in zip(moments, (429, 429, 429, 503, 200, 200), (5, 30, 7, "-", "-", "-"), strict=True)
    ]
    at = moments[3]
    gin = f'[GIN] {at:%Y/%m/%d - %H:%M:%S} | 503 |  1.2ms | 127.0.0.1 | POST "/api/chat"'
    db = written(access="\n".join(access), server=gin)
    connection = ea.connect(db)
    frame = runner.run("overload", connection=connection, params={"min_count": 1}).frame
    connection.close()
    gateway, ollama = frame.to_dicts()
    assert (gateway["seen_at"], gateway["status"], gateway["turned_away_count"]) == ("gateway", 429, 3)
    # The 503 of nginx is that of Ollama and counts there.
    assert (gateway["request_count"], gateway["share"]) == (5, pytest.approx(3 / 5))
    hours = Counter(one.replace(minute=0) for one in moments[:3])
    assert (gateway["worst_ts"], gateway["worst_count"]) == hours.most_common(1)[0]
    assert (gateway["retry_after_s"], gateway["first_ts"], gateway["last_ts"]) == (30, moments[0], moments[2])
    assert (ollama["seen_at"], ollama["code"], ollama["turned_away_count"]) == ("ollama", "OVL001", 1)
