"""What a status means at a gateway, and whose failure it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from support.gateway_logs import HEAD, Written, rows, write_store


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A store of logs given as names and lines."""
    return partial(write_store, tmp_path)


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
