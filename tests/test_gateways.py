"""Gateways in front of Ollama: their lines, what they mean, and that a request which both sides wrote down is one."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from content import content

import erranalytics as ea
from erranalytics import lineformats, reclassifying, reports, rulebook, store

NGINX = ("nginx-access.log", "nginx-error.log")
SERVER = "server-0.24.0.log.gz"
Rows = list[dict[str, Any]]
Written = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    """One run of a server behind nginx: both logs of nginx, and that of the server."""
    return root / "sample_logs" / "gateway"


@pytest.fixture(scope="module")
def together(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """All three in one store."""
    db = tmp_path_factory.mktemp("gateway") / "all.duckdb"
    assert ea.ingest([folder / name for name in (SERVER, *NGINX)], db=db, tz="UTC").faults == ()
    connection = ea.connect(db)
    yield connection
    connection.close()


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A store of logs given as names and lines."""

    def write(*, tz: str = "UTC", **logs: str) -> Path:
        for name, text in logs.items():
            (tmp_path / f"{name}.log").write_text(text.strip() + "\n", encoding="utf-8")
        db = tmp_path / "store.duckdb"
        assert ea.ingest([tmp_path / f"{name}.log" for name in logs], db=db, tz=tz).faults == ()
        return db

    return write


def rows(db: Path, sql: str) -> Rows:
    """The rows of a query."""
    connection = ea.connect(db)
    found = store.rows(connection, sql)
    connection.close()
    return found


# --- one run, seen at both ---------------------------------------------------------------------------------------


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
            reports.run(name, connection=connection, params={"since": "2026-11-21"}).frame.select(columns)
            for connection in (alone, together)
        )
        skipped = pl.lit(value=True) if name != "overview-rates" else pl.col("metric") != "streams_failed"
        assert both.filter(skipped).equals(one.filter(skipped)), name
    assert alone.sql("select count(*) from requests where surface <> 'ollama'").fetchall() == [(0,)]
    alone.close()


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


def test_reclassifying_changes_nothing(folder: Path, tmp_path: Path) -> None:
    """The texts of gateway lines are put together from the store, and all verdicts and incidents stay."""
    db = tmp_path / "a.duckdb"
    ea.ingest([folder / name for name in (SERVER, *NGINX)], db=db, tz="UTC")
    connection = store.open_store(db)
    before = content(connection)
    done = reclassifying.reclassify(connection, rules=rulebook.load(), force=True)
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


# --- forms of lines ----------------------------------------------------------------------------------------------

HEAD = '10.0.0.9 - - [21/Nov/2026:09:57:30 +0800] "POST /api/chat HTTP/1.1" 502 157 "-" "curl/8.5.0"'
TIME = "2026-11-21 01:57:30+00"
HEX = "0123456789abcdef0123456789abcdef"
UPSTREAM = "10.0.0.5:11434"


@pytest.mark.parametrize(
    ("line", "duration_us", "upstream", "name"),
    [
        (HEAD, None, None, None),
        (HEAD.split(' "-"', maxsplit=1)[0], None, None, None),
        (HEAD + ' "10.0.0.7"', None, None, None),
        (HEAD + ' rt=1.250 uct="0.000" uht="1.200" urt="1.240"', 1_250_000, None, None),
        (HEAD + " request_time=0.004 upstream_response_time=0.003 upstream_addr=10.0.0.5:11434", 4000, UPSTREAM, None),
        (HEAD + ' "-" 0.010', 10_000, None, None),
        (HEAD + " rt=0.010 upstream: 10.0.0.5:11434 request_id=req-0a1b2c3d", 10_000, UPSTREAM, "req-0a1b2c3d"),
        (HEAD + f" 512 0.010 [demo-ollama-11434] [] 10.0.0.5:11434 157 0.010 502 {HEX}", 10_000, UPSTREAM, HEX),
        ("ollama.example:443 " + HEAD, None, None, None),
        (HEAD.replace("/api/chat", "/api/chat?key=abc"), None, None, None),
        (
            '{"time":"2026-11-21T09:57:30+08:00","remote_addr":"10.0.0.9","request":"POST /api/chat HTTP/1.1","status":502,"request_time":0.004,"upstream_addr":"10.0.0.5:11434","request_id":"req-0a1b2c3d"}',
            4000,
            UPSTREAM,
            "req-0a1b2c3d",
        ),
        (
            '{"time_local":"21/Nov/2026:09:57:30 +0800","remote_addr":"10.0.0.9","request_method":"POST","request_uri":"/api/chat?x=1","status":"502","request_time":"0.250"}',
            250_000,
            None,
            None,
        ),
        (
            '{"level":"error","ts":1795226250,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"10.0.0.9","client_ip":"10.0.0.9","method":"POST","uri":"/api/chat"},"duration":0.25,"size":0,"status":502}',
            250_000,
            None,
            None,
        ),
    ],
)
def test_forms_of_access_lines(
    line: str, duration_us: int | None, upstream: str | None, name: str | None, written: Written
) -> None:
    """Combined, common, with a host before it or times behind it, ingress, JSON: one request with what the line tells."""
    db = written(access=line)
    (found,) = rows(db, "select ts_end::varchar as ts, * from requests")
    assert (found["ts"], found["status"], found["method"], found["path"]) == (TIME, 502, "POST", "/api/chat")
    assert (found["surface"], found["client_address"], found["code"]) == ("gateway", "10.0.0.9", "GTW001")
    assert (found["duration_us"], found["upstream"], found["upstream_request_id"]) == (duration_us, upstream, name)
    assert rows(db, "select surface, http_status, endpoint from errors") == [
        {"surface": "gateway", "http_status": 502, "endpoint": "/api/chat"}
    ]


def test_other_pages_of_a_web_server_are_no_requests_of_ours(written: Written) -> None:
    """Their lines are kept as what they are; they are no requests, no problems, and no unknown errors."""
    db = written(
        access="""
10.0.0.9 - - [21/Nov/2026:09:57:30 +0800] "GET / HTTP/1.1" 502 157 "-" "curl/8.5.0"
10.0.0.9 - - [21/Nov/2026:09:57:31 +0800] "POST /shop/api/create HTTP/1.1" 500 157 "-" "curl/8.5.0"
10.0.0.9 - - [21/Nov/2026:09:57:32 +0800] "\\x16\\x03\\x01" 400 157 "-" "-"
10.0.0.9 - - [21/Nov/2026:09:57:33 +0800] "GET /llm/api/tags HTTP/1.1" 200 157 "-" "curl/8.5.0"
""",
        error="""
2026/11/21 01:57:30 [error] 31#31: *5 open() "/www/favicon.ico" failed (2: No such file or directory), client: 10.0.0.9, server: _, request: "GET /favicon.ico HTTP/1.1", host: "a"
2026/11/21 01:57:31 [error] 31#31: *6 upstream timed out (110: Connection timed out) while reading response header from upstream, client: 10.0.0.9, server: _, request: "GET /shop HTTP/1.1", upstream: "http://10.0.0.5:9000/shop", host: "a"
""",
    )
    assert Counter(row["format"] for row in rows(db, "select format from events")) == {
        "nginx-access": 4,
        "nginx-error": 2,
    }
    assert rows(db, "select path, endpoint, is_poll from requests") == [
        {"path": "/llm/api/tags", "endpoint": "/api/tags", "is_poll": True}
    ]
    assert rows(db, "select code from errors") == []
    connection = ea.connect(db)
    assert reports.run("unknown-errors", connection=connection).frame.is_empty()
    connection.close()


def test_the_zone_of_an_error_log(written: Written) -> None:
    """Its stamps have none: the given one counts, or that of access lines in the same log."""
    line = '2026/11/21 09:57:30 [error] 31#31: *5 no live upstreams while connecting to upstream, client: 10.0.0.9, request: "POST /api/chat HTTP/1.1"'
    sql = "select ts::varchar as ts from events where format = 'nginx-error'"
    assert rows(written(tz="Asia/Shanghai", error=line), sql) == [{"ts": TIME}]
    assert {row["ts"] for row in rows(written(both=f"{HEAD}\n{line}"), sql)} == {TIME}


def test_lines_of_two_containers_in_one_log(written: Written) -> None:
    """Behind the prefix of compose, lines of nginx are told by their form, and Ollama's requests stay its own."""
    text = f"""
ollama-1  | [GIN] 2026/11/21 - 01:57:30 | 200 |  1.0s |  172.18.0.3 | POST     "/api/chat"
nginx-1   | {HEAD}
ollama-1  | time=2026-11-21T01:57:31.000Z level=INFO source=routes.go:1 msg="Listening on [::]:11434 (version 0.24.0)"
"""
    found = rows(written(compose=text), "select surface, status from requests order by surface")
    assert found == [{"surface": "gateway", "status": 502}, {"surface": "ollama", "status": 200}]


# --- what a status means at a gateway ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "slug", "outcome"),
    [
        (200, None, "not_observable"),
        (401, "http_401", "failed_before_first_byte"),
        (402, "http_402", "failed_before_first_byte"),
        (404, "model_not_found", "failed_before_first_byte"),
        (413, "request_too_large", "failed_before_first_byte"),
        (429, "http_429", "failed_before_first_byte"),
        (499, "gateway_client_closed", "cancelled_by_client"),
        (502, "proxy_bad_gateway", "failed_before_first_byte"),
        (503, "http_503", "failed_before_first_byte"),
        (504, "cloud_or_proxy_timeout", "failed_before_first_byte"),
        (521, "cloudflare_origin", "failed_before_first_byte"),
        (524, "cloudflare_timeout", "failed_before_first_byte"),
        (525, "cloudflare_tls", "failed_before_first_byte"),
    ],
)
def test_a_status_means_something_else_at_a_gateway(
    status: int, slug: str | None, outcome: str, written: Written
) -> None:
    """Ollama sends 502 for the cloud and 503 for a full queue, and never 413, 504 or 52x; a gateway has its own reasons."""
    db = written(access=HEAD.replace(" 502 ", f" {status} "))
    sql = "select r.outcome, c.cause from requests as r left join causes as c using (code)"
    assert rows(db, sql) == [{"outcome": outcome, "cause": slug}]


def test_who_leaves_at_nginx_is_no_fault_of_the_server(written: Written) -> None:
    """499 at nginx and 500 at Ollama in the same second: one warning, and the request was left by its client."""
    db = written(
        access=HEAD.replace(" 502 ", " 499 ").replace("09:57:30 +0800", "01:57:30 +0000"),
        server='[GIN] 2026/11/21 - 01:57:30 | 500 |         1m0s |       127.0.0.1 | POST     "/api/chat"',
    )
    assert rows(db, "select cause, severity, request_count, error_count from incidents") == [
        {"cause": "gateway_client_closed", "severity": "warning", "request_count": 1, "error_count": 2}
    ]
    found = rows(db, "select surface, outcome from requests order by surface")
    assert [row["outcome"] for row in found] == ["cancelled_by_client"] * 2


def test_upstreams_that_are_tried_in_vain_are_one_failure(written: Written) -> None:
    """nginx tells of each upstream it tried for a request, and sends one status."""
    tail = 'client: 10.0.0.9, server: _, request: "POST /api/chat HTTP/1.1", upstream: "http://10.0.0.{}:11434/api/chat", host: "a"'
    start = "2026/11/21 01:57:{} [error] 31#31: *5 connect() failed (111: Connection refused) while connecting to upstream, "
    db = written(
        access=HEAD,
        error="\n".join(start.format(second) + tail.format(n) for second, n in ((20, 5), (25, 6), (30, 7))),
    )
    assert rows(db, "select cause, error_count, request_count, sides from incidents") == [
        {"cause": "proxy_bad_gateway", "error_count": 4, "request_count": 1, "sides": "gateway"}
    ]


def test_an_upstream_that_failed_while_another_answered_stands_alone(written: Written) -> None:
    """The request succeeded: it is not drawn into the fault of the upstream that was tried first."""
    line = '2026/11/21 01:57:30 [error] 31#31: *5 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, request: "POST /api/chat HTTP/1.1", upstream: "http://10.0.0.5:11434/api/chat"'
    db = written(access=HEAD.replace(" 502 ", " 200 "), error=line)
    assert rows(db, "select outcome, incident_id from requests") == [{"outcome": "not_observable", "incident_id": None}]
    assert rows(db, "select cause, request_count from incidents") == [
        {"cause": "proxy_bad_gateway", "request_count": 0}
    ]


def test_equal_requests_of_one_second_find_their_own_lines(written: Written) -> None:
    """Five clients at once, of whom every other is refused by Ollama: five pairs, each of equal statuses."""
    statuses = [200, 503, 200, 503, 503]
    db = written(
        access="\n".join(
            HEAD.replace(" 502 ", f" {status} ").replace("10.0.0.9", f"10.0.0.{n}") for n, status in enumerate(statuses)
        ),
        server="\n".join(
            f'[GIN] 2026/11/21 - 01:57:30 | {status} | 12.{n}ms | 127.0.0.1 | POST "/api/chat"'
            for n, status in enumerate(statuses)
        ),
    )
    sql = """select r.status, o.status as answered, o.duration_us from requests as r
             inner join requests as o on o.request_id = r.answered_by order by r.event_id"""
    found = rows(db, sql)
    assert [(row["status"], row["answered"], row["duration_us"]) for row in found] == [
        (status, status, 12_000 + 100 * n) for n, status in enumerate(statuses)
    ]
    # Ollama's 503 is a full queue, whatever nginx could have meant by it.
    assert rows(db, "select distinct cause, request_count from incidents") == [
        {"cause": "queue_full", "request_count": 1}
    ]


# --- one-api, new-api, LiteLLM -----------------------------------------------------------------------------------


def test_a_model_without_a_channel_is_a_fault_of_the_configuration(written: Written) -> None:
    """new-api sends 503 for it and names the request in both lines: one incident that no waiting helps against."""
    db = written(
        newapi="""
[ERR] 2026/11/21 - 01:57:30 | 202611210157309312665255241189 | user 3 | No available channel for model qwen3:8b under group default (distributor)
[GIN] 2026/11/21 - 01:57:30 | 202611210157309312665255241189 | 503 |    1.987086ms | client_ip=192.168.156.1 |    POST /v1/chat/completions
""",
    )
    sql = "select code, cause, error_count, request_count from incidents"
    assert rows(db, sql) == [{"code": "GTW006", "cause": "gateway_no_channel", "error_count": 2, "request_count": 1}]
    (line,) = rows(db, "select surface, upstream_request_id, client_address, duration_us, code from requests")
    assert line["upstream_request_id"] == "202611210157309312665255241189"
    assert (line["surface"], line["client_address"], line["duration_us"]) == ("gateway", "192.168.156.1", 1987)
    assert rows(db, "select retry, error_class from errors where code = 'GTW006'") == [
        {"retry": "after_change", "error_class": "FAILED_PRECONDITION"}
    ]
    connection = ea.connect(db)
    assert reports.run("overload", connection=connection).frame.is_empty()
    connection.close()


@pytest.mark.parametrize(
    ("line", "slug"),
    [
        ("[ERROR] 2026/06/03 - 09:46:41 | 20260603094 | controller/relay.go:262 [processChannelRelayError] relay error (channel id 1, user id: 1): context canceled ", "client_cancelled"),
        ('[ERROR] 2026/06/03 - 09:46:41 | 202606030946154601 | relay error (channel id 3, user id: 1): do request failed: Post "http://ollama:11434/api/chat": dial tcp 10.0.0.5:11434: connect: connection refused', "server_unreachable"),
        ("[ERR] 2026/06/03 - 09:46:41 | 202606030946154601 | channel error (channel #3, status code: 500): llama runner process has terminated: cudaMalloc failed: out of memory", "load_oom_gpu"),
        ("[ERR] 2026/06/03 - 09:46:41 | 202606030946154601 | relay error (channel #3, status code: 500): bad response status code 500", "gateway_upstream_error"),
        ("[SYS] 2026/06/03 - 02:07:33 | syncing options from database", None),
        ("02:22:59 - LiteLLM Proxy:ERROR: proxy_server.py:3714 - litellm.proxy.proxy_server.chat_completion(): Exception occured - litellm.APIConnectionError: OllamaException - [Errno 111] Connection refused", "server_unreachable"),
    ],
)  # fmt: skip
def test_what_gateways_say_is_freed_from_their_words(line: str, slug: str | None, written: Written) -> None:
    """Behind channel, user and route stands what the upstream said; each of them is an incident of the gateway."""
    db = written(gateway=line)
    found = rows(db, "select surface, cause from errors")
    assert found == ([{"surface": "gateway", "cause": slug}] if slug else [])
    assert rows(db, "select count(*) as n from events where format in ('unknown', 'foreign')") == [{"n": 0}]


def test_lines_of_gin_that_are_not_ollamas(written: Written) -> None:
    """one-api has another column; a cut line of Ollama stays unknown."""
    db = written(
        one="""
[GIN] 2026/06/03 - 09:11:29 | 202606030911295380747189654121 | 400 |    31.86788ms |   192.168.156.1 |    POST /v1/messages
[GIN] 2026/06/03 - 09:11:29 | 2026060309112665255241189458900 | 200 |   26.126704ms |   192.168.156.1 |     GET /api/log/
[GIN] 2026/06/03 - 09:11:30 | 200 |   26.126704ms |   192.168.156.1 | GET      "/api/tags"
[GIN] 2026/06/03 - 09:11:3
[GIN] 2026/06/03 - 09:11:31 | 200 |   26.126704ms |   192.168.156.1 | GET      "/api/tags"
""",
    )
    assert [row["format"] for row in rows(db, "select format from events order by event_id")] == [
        *("gateway-gin", "gateway-gin", "gin", "unknown", "gin"),
    ]
    assert [row["surface"] for row in rows(db, "select surface from requests order by event_id")] == [
        *("gateway", "ollama", "ollama")
    ]


# --- what answers ask for ----------------------------------------------------------------------------------------

ASKED = "retry_after_s, ratelimit_limit, ratelimit_remaining, ratelimit_reset, upstream_request_id, maintenance_until"


def test_headers_of_an_answer_become_columns(written: Written) -> None:
    """As text of a log, in an access line that has them, and in the record of a call."""
    text = (
        "2026-11-21 01:57:30,000 - app - ERROR - 429 Too Many Requests; Retry-After: 30; X-RateLimit-Limit: 60; "
        "X-RateLimit-Remaining: 0; X-RateLimit-Reset: 1795226250; X-Request-ID: req-0a1b2c3d; "
        "X-Maintenance-Until: 2026-11-21T10:00:00Z"
    )
    call = {
        "schema": "erranalytics.call/1", "ts_start": "2026-11-21T01:57:29Z", "ts_end": "2026-11-21T01:57:30Z",
        "method": "POST", "endpoint": "/v1/chat/completions", "http_status": 429, "status_source": "wire",
        "outcome": "failed_before_first_byte", "error_message": "Too Many Requests", "retry_after_s": 30, "ratelimit_limit": 60,
        "ratelimit_remaining": 0, "ratelimit_reset": "1795226250", "upstream_request_id": "req-0a1b2c3d",
        "maintenance_until": "2026-11-21T10:00:00Z",
    }  # fmt: skip
    wanted = (30, 60, 0, "1795226250", "req-0a1b2c3d", "2026-11-21T10:00:00Z")
    db = written(app=text, calls=json.dumps(call))
    found = rows(db, f"select {ASKED} from errors order by event_id")
    assert [tuple(row.values()) for row in found] == [wanted, wanted]


def test_headers_in_an_access_line(written: Written) -> None:
    """Where the form of the log holds what was sent."""
    db = written(
        access=HEAD.replace(" 502 ", " 429 ") + ' retry_after="30" x_ratelimit_remaining=0 x_ratelimit_reset=-'
    )
    found = rows(db, f"select {ASKED}, remedy from errors")
    assert (found[0]["retry_after_s"], found[0]["ratelimit_remaining"], found[0]["ratelimit_reset"]) == (30, 0, None)
    assert found[0]["remedy"].startswith("Wait 30 s before the next attempt")


# --- the reports -------------------------------------------------------------------------------------------------


def test_gateway_errors_adds_up(together: duckdb.DuckDBPyConnection) -> None:
    """Counted by hand from the lines of nginx, and what Ollama said from those of its own that were found."""
    sql = "select status, path, outcome, answered_by from requests where surface = 'gateway'"
    lines = together.execute(sql).fetchall()
    statuses = dict(together.execute("select request_id, status from requests").fetchall())
    frame = reports.run("gateway-errors", connection=together, params={"min_count": 1}).frame
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
    frame = reports.run("gateway-errors", connection=connection).frame
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
    frame = reports.run("overload", connection=connection, params={"min_count": 1}).frame
    connection.close()
    gateway, ollama = frame.to_dicts()
    assert (gateway["seen_at"], gateway["status"], gateway["turned_away_count"]) == ("gateway", 429, 3)
    # The 503 of nginx is that of Ollama and counts there.
    assert (gateway["request_count"], gateway["share"]) == (5, pytest.approx(3 / 5))
    hours = Counter(one.replace(minute=0) for one in moments[:3])
    assert (gateway["worst_ts"], gateway["worst_count"]) == hours.most_common(1)[0]
    assert (gateway["retry_after_s"], gateway["first_ts"], gateway["last_ts"]) == (30, moments[0], moments[2])
    assert (ollama["seen_at"], ollama["code"], ollama["turned_away_count"]) == ("ollama", "OVL001", 1)


def test_formats_of_gateways_come_before_those_they_look_like() -> None:
    """Go's logger and applications write the same beginnings."""
    names = [item.name for item in lineformats.load().formats]
    assert names.index("nginx-error") < names.index("go-log")
    assert names.index("gateway-json") < names.index("client-json")
    assert names.index("nginx-access") < names.index("foreign")
