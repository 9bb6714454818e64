"""Forms of the lines that gateways write, what they say in them, and what they ask of a client."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from support.gateway_logs import HEAD, TIME, Written, rows, write_store

import erranalytics as ea
from erranalytics.parsing import lineformats
from erranalytics.reports import runner

HEX = "0123456789abcdef0123456789abcdef"
UPSTREAM = "10.0.0.5:11434"


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A store of logs given as names and lines."""
    return partial(write_store, tmp_path)


# --- forms of lines ---------------------------------------------------------------------------------------------------


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
    """Combined, common, with a host before it or times after it, ingress, JSON: one request with its fields."""
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
    assert runner.run("unknown-errors", connection=connection).frame.is_empty()
    connection.close()


def test_the_zone_of_an_error_log(written: Written) -> None:
    """Its stamps have none: the given one counts, or that of access lines in the same log."""
    line = '2026/11/21 09:57:30 [error] 31#31: *5 no live upstreams while connecting to upstream, client: 10.0.0.9, request: "POST /api/chat HTTP/1.1"'
    sql = "select ts::varchar as ts from events where format = 'nginx-error'"
    assert rows(written(tz="Asia/Shanghai", error=line), sql) == [{"ts": TIME}]
    assert {row["ts"] for row in rows(written(both=f"{HEAD}\n{line}"), sql)} == {TIME}


def test_lines_of_two_containers_in_one_log(written: Written) -> None:
    """After the prefix of compose, lines of nginx are recognised by their form, and Ollama's requests stay its own."""
    text = f"""
ollama-1  | [GIN] 2026/11/21 - 01:57:30 | 200 |  1.0s |  172.18.0.3 | POST     "/api/chat"
nginx-1   | {HEAD}
ollama-1  | time=2026-11-21T01:57:31.000Z level=INFO source=routes.go:1 msg="Listening on [::]:11434 (version 0.24.0)"
"""
    found = rows(written(compose=text), "select surface, status from requests order by surface")
    assert found == [{"surface": "gateway", "status": 502}, {"surface": "ollama", "status": 200}]


def test_formats_of_gateways_come_before_those_they_look_like() -> None:
    """Go's logger and applications write the same beginnings."""
    names = [item.name for item in lineformats.load().formats]
    assert names.index("nginx-error") < names.index("go-log")
    assert names.index("gateway-json") < names.index("client-json")
    assert names.index("nginx-access") < names.index("foreign")


# --- one-api, new-api, LiteLLM ----------------------------------------------------------------------------------------


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
    assert runner.run("overload", connection=connection).frame.is_empty()
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


# --- what answers ask for ---------------------------------------------------------------------------------------------

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
