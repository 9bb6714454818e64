"""Failures by model, route, client and version, what is new, prompts cut, pulls that failed, trends: each figure counted twice."""

from __future__ import annotations

import io
import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pytest
from test_reports import NOW, add_causes, add_requests, empty_store, insert

import erranalytics as ea
from erranalytics import reports
from erranalytics.errors import UsageError
from erranalytics.overview import glance
from erranalytics.render import write

START = NOW - timedelta(days=20)
SAMPLES = Path(__file__).resolve().parent.parent / "sample_logs"
LOGS = [
    "server/mixed-0.11.11.log",
    "server/requests-0.24.0.log",
    "server/cloud-0.24.0.log",
    "client/ollama-python.jsonl",
]
GROUPS = ("model", "endpoint", "client", "version")
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


def table(connection: duckdb.DuckDBPyConnection, name: str) -> Rows:
    """All rows of a table or view."""
    return reports.query(f"select * from {name}", connection=connection)[0].to_dicts()


@pytest.fixture(scope="module", params=[1, 2])
def busy(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of chance."""
    connection = busy_store(request.param)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of real logs of a server and what a client recorded of its calls."""
    db = tmp_path_factory.mktemp("groups") / "s.duckdb"
    assert ea.ingest([SAMPLES / name for name in LOGS], db=db).faults == ()
    connection = ea.connect(db)
    yield connection
    connection.close()


def lines_of(*names: str) -> list[str]:
    """Lines of sample logs."""
    return [line for name in names for line in (SAMPLES / name).read_text(encoding="utf-8").splitlines()]


# --- by model, route, client, version -----------------------------------------------------------------------------------


def expected_requests(connection: duckdb.DuckDBPyConnection) -> Rows:
    """Each inference request once, from the base tables: its group, whether it failed, whether its end is known."""
    versions = {one["session_id"]: one["version"] for one in table(connection, "server_sessions")}
    calls = table(connection, "calls")
    linked = {one["request_id"]: one for one in calls if one["request_id"] is not None}
    found = []
    for one in table(connection, "requests"):
        if not one["is_inference"] or one["surface"] != "ollama":
            continue
        call = linked.get(one["request_id"], {})
        outcome = one["outcome"]
        if outcome in ("not_observable", "completed") and call.get("outcome") not in (None, "not_observable"):
            outcome = call["outcome"]
        found.append(
            {
                "model": one["model"] or call.get("model"),
                "endpoint": one["endpoint"],
                "client": call.get("client") or one["client_address"],
                "version": versions.get(one["session_id"]),
                "outcome": outcome,
            }
        )
    found += [
        {key: one.get(key) for key in ("model", "endpoint", "client", "outcome")} | {"version": None}
        for one in calls
        if one["is_inference"] and one["request_id"] is None
    ]
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_requests_of_a_group_are_those_of_the_tables(busy: duckdb.DuckDBPyConnection, group: str) -> None:
    """What server and client saw counts once; failed, all and unseen are counted again in plain Python."""
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for one in expected_requests(busy):
        name = one[group] or "unknown"
        expected[name]["all"] += 1
        expected[name]["failed"] += one["outcome"].startswith("failed") or one["outcome"] == "truncated"
        expected[name]["unseen"] += one["outcome"] == "not_observable"
    found = {
        row[group]: {"all": row["request_count"], "failed": row["failed_count"], "unseen": row["not_observable_count"]}
        for row in run(busy, f"errors-by-{group}")
        if row["request_count"]
    }
    assert found == {name: dict(counts) for name, counts in expected.items()}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(
    "params", [{}, {"code": "MEM014"}, {"since": START + timedelta(days=5), "until": START + timedelta(days=9)}]
)
def test_groups_sum_to_error_frequency(busy: duckdb.DuckDBPyConnection, group: str, params: dict[str, Any]) -> None:
    """No incident is dropped because the log does not tell its group, and none counts twice."""
    found = run(busy, f"errors-by-{group}", **params)
    whole = sum(row["incident_count"] for row in run(busy, "error-frequency", **params))
    assert sum(row["incident_count"] for row in found) == whole > 0
    assert params or any(row[group] == "unknown" and row["incident_count"] for row in found)
    assert len({row[group] for row in found}) == len(found)


@pytest.mark.parametrize("group", GROUPS)
def test_groups_of_real_logs_sum_to_error_frequency(real: duckdb.DuckDBPyConnection, group: str) -> None:
    """The same on logs of real servers, and failed requests are those of the overview, client records apart."""
    found = run(real, f"errors-by-{group}")
    assert sum(row["incident_count"] for row in found) == len(table(real, "incidents"))
    expected = [
        one for one in expected_requests(real) if one["outcome"].startswith("failed") or one["outcome"] == "truncated"
    ]
    assert sum(row["failed_count"] for row in found) == len(expected)


@pytest.mark.parametrize("group", GROUPS)
def test_filters_of_groups_agree_with_error_frequency(real: duckdb.DuckDBPyConnection, group: str) -> None:
    """Under a model or a route the sums stay those of error-frequency."""
    for params in ({"model": "mini-chat:1b"}, {"endpoint": "/api/generate"}):
        if next(iter(params)) != group:
            whole = sum(row["incident_count"] for row in run(real, "error-frequency", **params))
            assert sum(row["incident_count"] for row in run(real, f"errors-by-{group}", **params)) == whole > 0


def test_model_of_an_incident_is_that_of_its_root(busy: duckdb.DuckDBPyConnection) -> None:
    """Else the first its records name, else that of the first request or call it hit, counted again in plain Python."""
    roots = {one["event_id"]: one["model"] for one in table(busy, "errors")}
    hits: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for one in table(busy, "requests") + table(busy, "calls"):
        if one["incident_id"] is not None and one["model"] and one.get("surface", "ollama") == "ollama":
            hits[one["incident_id"]].append((one["event_id"], one["model"]))
    expected: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in table(busy, "incidents"):
        first = min(hits[one["incident_id"]], default=(0, None))
        events = {model for event, model in hits[one["incident_id"]] if event == first[0]}
        if len(events) > 1:  # a request and a call of one number: no order among them
            continue
        name = roots[one["root_event_id"]] or (one["models"] or [None])[0] or first[1] or "unknown"
        expected[name].append(one)
    for row in run(busy, "errors-by-model"):
        mine = expected[row["model"]]
        assert row["incident_count"] >= len(mine)
        if row["incident_count"] == len(mine) > 0:
            codes = Counter(one["code"] for one in mine)
            assert codes[row["top_code"]] == max(codes.values()) == row["top_count"]
            assert (row["first_ts"], row["last_ts"]) == (
                min(o["first_ts"] for o in mine),
                max(o["last_ts"] for o in mine),
            )


@pytest.mark.parametrize("group", GROUPS)
def test_rate_is_refused_below_min_count(busy: duckdb.DuckDBPyConnection, group: str) -> None:
    """Below ``min_count`` there is no rate and no interval, and the note says why; else the textbook interval."""
    z = 1.959963984540054
    for row in run(busy, f"errors-by-{group}", min_count=40):
        n, rate = row["request_count"], (row["failure_rate"], row["rate_low"], row["rate_high"])
        if n < 40:
            assert rate == (None, None, None)
            assert row["note"] == ("too few requests to judge" if n else "no inference request of it is in the log")
        else:
            p = row["failed_count"] / n
            middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
            low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
            assert rate == (pytest.approx(p), pytest.approx(low, abs=1e-12), pytest.approx(high))
            assert row["note"] is None


def test_versions_stand_in_their_order(busy: duckdb.DuckDBPyConnection) -> None:
    """0.9 before 0.10, candidates before their release and 2 before 10, what is no version last."""
    found = [row["version"] for row in run(busy, "errors-by-version")]
    assert found == ["v0.2.1", "0.9.6", "0.10.0-rc2", "0.10.0-rc10", "0.10.0", "0.32.15", "dev<b>", "unknown"]


def version_store(*counts: tuple[str, int, int]) -> duckdb.DuckDBPyConnection:
    """Requests by version: how many failed of how many."""
    connection = empty_store()
    add_causes(connection)
    add_source(connection, START, NOW)
    for number, (version, bad, all_count) in enumerate(counts):
        add_session(connection, number, version)
        add_requests(connection, bad, START + timedelta(days=number), status=500, session_id=number)
        add_requests(connection, all_count - bad, START + timedelta(days=number), session_id=number)
    return connection


def test_version_is_worse_only_when_intervals_do_not_overlap() -> None:
    """5 and 8 of 100 may be chance, 40 of 100 is not; a version with too few is stepped over; the fix is seen."""
    connection = version_store(
        ("0.9.0", 5, 100), ("0.10.0-rc1", 8, 100), ("0.10.0", 2, 3), ("0.11.0", 40, 100), ("0.11.1", 4, 100)
    )
    found = run(connection, "errors-by-version")
    assert [(row["version"], row["trend"], row["compared_to"]) for row in found] == [
        ("0.9.0", None, None),
        ("0.10.0-rc1", "same", "0.9.0"),
        ("0.10.0", None, None),
        ("0.11.0", "worse", "0.10.0-rc1"),
        ("0.11.1", "better", "0.11.0"),
    ]
    assert found[3]["change"] == pytest.approx(0.32)
    for row, before in ((found[3], found[1]), (found[4], found[3])):
        assert row["rate_low"] > before["rate_high"] or row["rate_high"] < before["rate_low"]


def test_client_is_known_by_its_records_else_by_its_address() -> None:
    """A call and its access line count once, under the client; other lines count under their address."""
    connection = empty_store()
    add_source(connection, START, NOW)
    add_session(connection, 1, "0.24.0")
    add_requests(connection, 4, START, client_address="10.0.0.9")
    add_requests(connection, 2, START, client_address="10.0.0.9", outcome="cancelled_by_client")
    add_call(connection, 1, START, "truncated", request_id=1, client="ollama-python/0.6.3")
    add_call(connection, 2, START, "failed_before_first_byte", client="curl", incident_id=1)
    add_failure(connection, 1, START, "OVL001")
    add_failure(connection, 2, START, "OVL001")
    found = {
        row["client"]: (
            row["seen_by"],
            row["incident_count"],
            row["failed_count"],
            row["request_count"],
            row["cancelled_count"],
        )
        for row in run(connection, "errors-by-client")
    }
    assert found == {
        "10.0.0.9": ("server", 0, 0, 5, 2),
        "ollama-python/0.6.3": ("client", 0, 1, 1, 0),
        "curl": ("client", 1, 1, 1, 0),
        "unknown": (None, 1, 0, 0, 0),
    }


def test_failed_load_is_counted_under_its_file() -> None:
    """Where nothing names the model, a failed load has the name or the digest of the file that was being loaded."""
    connection = empty_store()
    add_causes(connection)
    add_source(connection, START, NOW)
    add_session(connection, 1, "0.24.0")
    load: dict[str, Any] = {"session_id": 1, "source_id": 1, "last_event_id": 9, "outcome": "failed"}
    insert(connection, "model_loads", load_seq=1, blob="sha256-aaa", first_event_id=1, **load)
    insert(connection, "model_loads", load_seq=5, blob="sha256-bbb", first_event_id=5, **load)
    insert(connection, "model_loads", load_seq=7, blob="sha256-bbb", model="llava:13b", first_event_id=70, **load)
    for number in (3, 6):
        add_failure(connection, number, START, "MEM014")
    assert {row["model"]: row["incident_count"] for row in run(connection, "errors-by-model")} == {
        "sha256-aaa": 1,
        "llava:13b": 1,
    }


# --- what is new --------------------------------------------------------------------------------------------------------


def test_new_codes_are_those_not_seen_before(real: duckdb.DuckDBPyConnection) -> None:
    """Each code of the real logs, cut at a time inside them, counted again from the records."""
    seen = [one for one in table(real, "errors") if one["ts"]]
    cut = sorted(one["ts"] for one in seen)[len(seen) // 2]
    before, after = defaultdict(set), defaultdict(set)
    for one in seen:
        (after if one["ts"] >= cut else before)[one["code"]].add(one["incident_id"])
    expected = {code: len(numbers) for code, numbers in after.items() if code not in before}
    found = [row for row in run(real, "new-errors", since=cut) if row["kind"] == "code"]
    assert {row["name"]: row["after_count"] for row in found} == expected
    assert expected
    assert {row["before_count"] for row in found} == {0}
    everything = [row for row in run(real, "new-errors", since=cut, show="all") if row["kind"] == "code"]
    assert {row["name"]: (row["before_count"], row["after_count"]) for row in everything} == {
        code: (len(before[code]), len(numbers)) for code, numbers in after.items()
    }
    assert all(row["first_ts"] == min(one["ts"] for one in seen if one["code"] == row["name"]) for row in found)


def test_new_since_a_version() -> None:
    """By order of versions and not of time; a sighting without a version makes it doubtful, and the note says so."""
    connection = empty_store()
    add_causes(connection)
    add_source(connection, START, NOW)
    for number, version in enumerate(["0.10.0", "0.9.0", None, "0.10.0-rc1"]):
        add_session(connection, number, version)
    for number, (code, session) in enumerate(
        [("MEM014", 0), ("MEM014", 1), ("RUN036", 0), ("OVL001", 0), ("OVL001", 2), ("MEM002", 3)], 1
    ):
        add_failure(connection, number, START + timedelta(hours=number), code, session=session)
    found = {row["name"]: row for row in run(connection, "new-errors", since_version="0.10.0")}
    assert {name: row["untold_count"] for name, row in found.items()} == {"RUN036": 0, "OVL001": 1}
    assert (found["RUN036"]["note"], found["RUN036"]["first_version"]) == (None, "0.10.0")
    assert found["OVL001"]["note"] == "may be older: some sightings tell no time or version"
    assert {row["name"] for row in run(connection, "new-errors", since_version="0.10.0-rc1")} == {
        "RUN036",
        "OVL001",
        "MEM002",
    }
    both = run(connection, "new-errors", since_version="0.9.0", since=START + timedelta(hours=3))
    assert {row["name"] for row in both} == {"RUN036", "OVL001", "MEM002"}
    with pytest.raises(UsageError, match="since_version is no version"):
        run(connection, "new-errors", since_version="main")


def test_new_without_a_log_before_says_so() -> None:
    """When the log begins only then, everything is new, and the note says that this means nothing."""
    connection = empty_store()
    add_source(connection, START, NOW)
    add_session(connection, 1, "0.24.0")
    add_failure(connection, 1, NOW - timedelta(days=1))
    (row,) = run(connection, "new-errors", since=START)
    assert row["note"] == "the log begins only then: nothing to compare with"
    (row,) = run(connection, "new-errors")
    assert row["note"] == "since 2026-11-13 18:00, seven days before the end of the log"


def test_new_templates_are_those_of_unknown_errors() -> None:
    """Lines that look like a problem and that no rule knows are new by their template."""
    connection = empty_store()
    add_source(connection, START, NOW)
    event: dict[str, Any] = {"source_id": 1, "load_id": 1, "line_count": 1, "ts_source": "slog", "host": "gpu01"}
    for number, (text, hours) in enumerate(
        [("failed to <b>flux</b>", (9, 10)), ("failed to see", (1, 10)), ("all well", (10,))], 1
    ):
        insert(connection, "templates", template_id=number, template=text, fingerprint=f"f{number}", format="slog-text",
               event_count=1)  # fmt: skip
        for at in hours:
            insert(connection, "events", event_id=number * 100 + at, line_no=at, ts=START + timedelta(hours=at), format="slog-text",
                   level="INFO", message=text, template_id=number, **event)  # fmt: skip
    (row,) = run(connection, "new-errors", since=START + timedelta(hours=5))
    assert (row["kind"], row["name"], row["title"], row["after_count"]) == (
        "template",
        "f1",
        "failed to <b>flux</b>",
        2,
    )
    assert [one["fingerprint"] for one in run(connection, "unknown-errors")] == ["f1", "f2"]


# --- prompts that were cut ----------------------------------------------------------------------------------------------

CUT = re.compile(r'msg="truncating input prompt" limit=(\d+) prompt=(\d+)')


def test_cut_prompts_are_the_lines_of_the_log(real: duckdb.DuckDBPyConnection) -> None:
    """Count, median and maximum of the warnings in the raw lines; the model is the one whose context it was."""
    lines = lines_of("server/mixed-0.11.11.log", "server/requests-0.24.0.log")
    expected = [(int(found[1]), int(found[2])) for line in lines if (found := CUT.search(line))]
    found = [row for row in run(real, "context-truncation") if row["outcome"] == "cut silently"]
    assert sum(row["prompt_count"] for row in found) == len(expected) == 7
    for row in found:
        lengths = [length for limit, length in expected if limit == row["num_ctx"]]
        assert (row["prompt_count"], row["max_tokens"]) == (len(lengths), max(lengths))
        assert row["median_tokens"] == round(median(lengths))
        # Above the longest prompt, with at least 1024 for the answer, and no whole 1024 too much.
        assert row["max_tokens"] + 1024 <= row["needed_num_ctx"] < row["max_tokens"] + 2048
        assert row["needed_num_ctx"] % 1024 == 0


def test_context_the_model_cannot_have_is_no_remedy(real: duckdb.DuckDBPyConnection) -> None:
    """The lab's model was trained with 2048 tokens, as the log says: more context is not what helps."""
    clamped = [line for line in lines_of("server/requests-0.24.0.log") if "n_ctx_train=2048" in line]
    (row,) = [row for row in run(real, "context-truncation") if row["outcome"] == "cut silently"]
    assert clamped
    assert row["num_ctx_train"] == 2048
    assert row["remedy"].startswith("The model was trained with 2048 tokens")


def test_refused_prompt_is_one_however_many_lines_say_so(real: duckdb.DuckDBPyConnection) -> None:
    """The server's line, the access line and what the client recorded are one prompt."""
    refused = {one["incident_id"] for one in table(real, "errors") if one["cause"] == "context_length_exceeded"}
    found = [row for row in run(real, "context-truncation") if row["outcome"] == "refused"]
    assert sum(row["prompt_count"] for row in found) == len(refused) > 0


def test_half_a_context_is_led_back_to_the_whole() -> None:
    """llama_server.go names the half it keeps; the load says the whole."""
    connection = empty_store()
    add_source(connection, START, NOW)
    add_session(connection, 1, "0.32.15")
    load: dict[str, Any] = {"session_id": 1, "source_id": 1, "outcome": "loaded", "last_event_id": 9}
    insert(connection, "model_loads", load_seq=2, title="chat", num_ctx=4096, first_event_id=2, **load)
    insert(connection, "model_loads", load_seq=5, title="embed", num_ctx=512, first_event_id=5, **load)
    text = (
        'level=WARN source=llama_server.go:314 msg="truncating input prompt" limit=2060 prompt=12891 keep=24 new=2060'
    )
    facts = {"cause": "prompt_truncated", "num_ctx": 2060, "prompt_tokens": 12891, "message": text}
    add_failure(connection, 20, START, "CTX005", severity="warning", facts=facts)
    (row,) = run(connection, "context-truncation")
    assert (row["model"], row["num_ctx"], row["needed_num_ctx"]) == ("chat", 4096, 14336)
    assert row["remedy"].startswith("Set num_ctx to 14336 ")
    assert run(connection, "context-truncation", model="embed") == []


# --- registry -----------------------------------------------------------------------------------------------------------


def test_failed_pulls_are_those_the_client_saw(real: duckdb.DuckDBPyConnection) -> None:
    """Models whose pull failed, from the client's own file; each is a row of the report.

    Where the server told of the failure as well, the row has the name without registry and namespace.
    """
    calls = [json.loads(line) for line in lines_of("client/ollama-python.jsonl")]
    pulls = {one["model"] for one in calls if one["endpoint"] == "/api/pull" and one["error_message"]}
    found = {row["model"] for row in run(real, "registry-errors")}
    assert pulls
    assert {name for name in pulls if not {name, name.rpartition("/library/")[2]} & found} == set()


def test_registry_errors_are_incidents_of_pulls(real: duckdb.DuckDBPyConnection) -> None:
    """Incidents of the taxonomy's registry causes, or with a record of a pull or push, each once."""
    causes = {one["code"]: one for one in table(real, "causes")}
    asked = {one["incident_id"] for one in table(real, "errors") if one["endpoint"] in ("/api/pull", "/api/push")}
    expected = Counter(
        one["code"]
        for one in table(real, "incidents")
        if one["incident_id"] in asked
        or "registry" in (causes[one["code"]]["category"], causes[one["code"]]["layer"])
        or causes[one["code"]]["phase"] in ("pull", "push")
    )
    found: Counter[str] = Counter()
    for row in run(real, "registry-errors"):
        found[row["code"]] += row["incident_count"]
    assert found == expected
    assert expected


REGISTRY = [
    ("REG003", "registry_unreachable", "registry", "error"),
    ("REG011", "download_retry", "registry", "warning"),
]


def registry_store(*texts: str, code: str = "REG003", severity: str = "error") -> duckdb.DuckDBPyConnection:
    """A failure for each text, an hour apart."""
    connection = empty_store()
    add_source(connection, START, NOW)
    add_session(connection, 1, "0.24.0")
    for number, cause, category, worst in REGISTRY:
        rest = {
            "layer": "registry",
            "phase": "pull",
            "side": "operator",
            "retry": "backoff",
            "error_class": "UNAVAILABLE",
        }
        insert(
            connection,
            "causes",
            code=number,
            cause=cause,
            category=category,
            title="t",
            severity=worst,
            remedy="r",
            **rest,
        )
    for number, text in enumerate(texts, 1):
        facts = {"message": text, "category": "registry"}
        add_failure(connection, number, START + timedelta(hours=number), code, severity=severity, facts=facts)
    return connection


@pytest.mark.parametrize(
    ("text", "registry", "model"),
    [
        (
            'pull model manifest: Get "https://registry.ollama.ai/v2/library/llama9/manifests/8b": dial tcp: lookup x',
            "registry.ollama.ai",
            "llama9:8b",
        ),
        (r"Head \"https://reg.example:5000/v2/me/own/blobs/sha256:056133\": EOF", "reg.example:5000", "me/own"),
        ("dial tcp: lookup registry.ollama.ai on 127.0.0.53:53: no such host", "registry.ollama.ai", "unknown"),
        ("500 Server Error for url: http://127.0.0.1:11434/api/pull", "unknown", "unknown"),
        ("part 3 attempt 1 failed: unexpected EOF", "unknown", "unknown"),
    ],
)
def test_registry_and_model_are_read_from_the_url(text: str, registry: str, model: str) -> None:
    """The URL of a registry names host, model and tag; the address of Ollama itself is none."""
    (row,) = run(registry_store(text), "registry-errors")
    assert (row["registry"], row["model"]) == (registry, model)


def test_parameters_of_a_url_are_not_shown() -> None:
    """Signatures of storage hosts are cut off, digests shortened, and the text ends after 200 characters."""
    text = f'Get "https://s.example/docker/registry/v2/blobs/sha256:{"ab" * 32}?X-Amz-Signature=5ecret&x=1": EOF {"y" * 300}'
    (row,) = run(registry_store(text), "registry-errors")
    assert "5ecret" not in row["message"]
    assert row["message"].startswith('Get "https://s.example/docker/registry/v2/blobs/sha256:abababababab…?…": EOF')
    assert (len(row["message"]), row["message"][-1]) == (200, "…")


def test_pull_recovers_by_itself_or_by_a_later_proof() -> None:
    """A part that is tried again went on; a failed pull is mended by a later one that a client saw to its end."""
    (row,) = run(registry_store("part 1 failed", code="REG011", severity="warning"), "registry-errors")
    assert row["recovered"] == "retried"
    connection = registry_store('Get "https://registry.ollama.ai/v2/library/a/manifests/1b": EOF')
    assert run(connection, "registry-errors")[0]["recovered"] is None
    add_call(connection, 1, START, "completed", endpoint="/api/pull", model="a:1b", is_inference=False)
    assert run(connection, "registry-errors")[0]["recovered"] is None
    add_call(connection, 2, NOW, "completed", endpoint="/api/pull", model="a:1b", is_inference=False)
    assert run(connection, "registry-errors")[0]["recovered"] == "pulled"


# --- trends -------------------------------------------------------------------------------------------------------------


def trend_store(counts: list[int], code: str = "MEM014") -> duckdb.DuckDBPyConnection:
    """So many failures on each day, the last day ends at ``NOW``."""
    connection = empty_store()
    add_causes(connection)
    begin = datetime(2026, 11, 20, tzinfo=UTC) - timedelta(days=len(counts) - 1)
    add_source(connection, begin, NOW)
    number = 0
    for day, count in enumerate(counts):
        for minute in range(count):
            number += 1
            add_failure(connection, number, begin + timedelta(days=day, minutes=minute + 1), code)
    return connection


def is_burst(counts: list[int], count: int) -> bool:
    """The definition of the column, in plain Python."""
    middle = median(counts)
    return count >= 5 and count > middle + 3 * median(abs(one - middle) for one in counts)


@pytest.mark.parametrize(
    "counts",
    [[0, 0, 0, 4], [0, 0, 6, 0], [5, 5, 5, 5], [5, 7, 6, 30, 5, 0, 8], [9, 10, 11, 10, 12], [20], [1, 0, 9, 0, 0, 8]],
)
@pytest.mark.parametrize("report", ["error-trend", "oom-trend"])
def test_burst_and_change_follow_their_definition(counts: list[int], report: str) -> None:
    """A step far above the median of all is marked; the change is against the step before, zeros included."""
    found = run(trend_store(counts), report)
    assert [row["incident_count"] for row in found] == counts
    assert [row["is_burst"] for row in found] == [is_burst(counts, count) for count in counts]
    changes = [None, *(later - count for count, later in pairwise(counts))]
    if report == "oom-trend":  # an empty day has no code, so nothing that changed
        changes = [change if count else None for change, count in zip(changes, counts, strict=True)]
    assert [row["change"] for row in found] == changes


@pytest.mark.parametrize("report", ["error-trend", "oom-trend"])
def test_period_before_stands_beside_its_place(report: str) -> None:
    """Three days against the three days before, also when the period begins in the middle of a day."""
    connection = trend_store([1, 2, 3, 4, 5, 6, 7])
    since = datetime(2026, 11, 18, tzinfo=UTC)
    found = run(connection, report, since=since, until=since + timedelta(days=3))
    assert [(row["incident_count"], row["before_count"]) for row in found] == [(5, 2), (6, 3), (7, 4)]
    noon = since + timedelta(hours=12)
    found = run(connection, report, since=noon, until=noon + timedelta(days=2))
    assert [row["before_count"] for row in found] == [0, 4, 5]
    begins = run(connection, report, since=datetime(2026, 11, 14, tzinfo=UTC))
    assert {row["before_count"] for row in begins} == {None}
    assert {row["before_count"] for row in run(connection, report)} == {None}


def test_code_that_stopped_keeps_its_row() -> None:
    """What ran out of memory in the period before and no more is a row of zero."""
    connection = trend_store([3, 0])
    since = datetime(2026, 11, 20, tzinfo=UTC)
    (row,) = run(connection, "oom-trend", since=since, until=since + timedelta(days=1))
    assert (row["code"], row["incident_count"], row["before_count"], row["is_burst"]) == ("MEM014", 0, 3, False)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_days_of_odd_zones_hold_their_requests(busy: duckdb.DuckDBPyConnection, zone: str) -> None:
    """Counting by quarters of an hour first moves no request to another day, wherever midnight is."""
    expected = Counter(
        one["ts_end"].astimezone(reports.ZoneInfo(zone)).date()
        for one in table(busy, "requests")
        if one["is_inference"] and one["surface"] == "ollama"
    )
    found = {
        row["bucket"].astimezone(reports.ZoneInfo(zone)).date(): row["request_count"]
        for row in run(busy, "error-trend", tz=zone)
    }
    assert {day: count for day, count in found.items() if count} == dict(expected)


# --- the overview -------------------------------------------------------------------------------------------------------


def sentences(connection: duckdb.DuckDBPyConnection, **params: object) -> str:
    """The glance of the overview."""
    results = reports.answer(connection=connection, params=params, now=NOW)
    return "\n".join(glance({one.name: one.frame.to_dicts() for one in results}, now=NOW, zone=reports.ZoneInfo("UTC")))


def test_overview_says_whether_it_gets_worse() -> None:
    """The last day against the day before; with a period, against the one before; not beyond what chance may do."""
    assert "Trend: 40 failures in the last day, 0 in the day before: worse." in sentences(
        trend_store([9, 0, 0, 0, 0, 40])
    )
    text = sentences(trend_store([3] * 8), since=NOW - timedelta(days=2), until=NOW)
    assert "Trend: 6 failures in the period, 6 in the period before: no clear change." in text
    assert "Trend" not in sentences(trend_store([3] * 3), since=NOW - timedelta(days=2))
    week = sentences(trend_store([0] * 10 + [30] + [0] * 8))
    assert "Trend: 0 failures in the last 7 days, 30 in the 7 days before: better." in week


def test_overview_names_codes_that_are_new() -> None:
    """A code of the last day that the log did not have is named."""
    connection = trend_store([3, 3, 3])
    add_failure(connection, 900, NOW - timedelta(hours=1), "OVL001")
    assert "New: OVL001 (report new-errors)." in sentences(connection)


def test_overview_tells_of_streams_and_memory() -> None:
    """Streams by what is known of their end; memory by its most frequent code and model."""
    connection = trend_store([2, 0, 3])
    for number in range(1, 8):
        add_call(connection, number, NOW - timedelta(hours=1), "truncated" if number < 3 else "completed")
    add_call(connection, 8, NOW - timedelta(hours=1), "cancelled_by_client")
    add_failure(connection, 900, NOW - timedelta(hours=2), "MEM002", facts={"model": "llava:13b"})
    text = sentences(connection)
    assert "Streams: 2 of 7 with a known end failed, 2 of them cut off; 1 cancelled." in text
    assert "Memory: 6 failures, last 2 h ago; 5 × MEM014, mostly llava:13b." in text


def test_overview_of_real_logs_fits_a_screen(real: duckdb.DuckDBPyConnection) -> None:
    """Forty lines of eighty columns, and its streams are those of streaming-failures."""
    results = reports.answer(connection=real, now=NOW)
    folder = reports.answer(["streaming-failures"], connection=real, params={"min_count": 1}, now=NOW)
    whole = folder[0].frame.to_dicts()[-1]
    rates = {one["metric"]: one for one in results[2].frame.to_dicts()}
    streams = rates["streams_failed"]
    for mine, theirs in (("known_count", "known_count"), ("bad_count", "bad_count"), ("cancelled_count", "cancelled_count"),
                         ("truncated_count", "truncated_count"), ("suspected_count", "suspected_count")):  # fmt: skip
        assert streams[mine] == whole[theirs]
    requests = [one for one in table(real, "requests") if one["is_inference"] and one["surface"] == "ollama"]
    assert rates["requests_failed"]["all_count"] == len(requests)
    assert rates["requests_failed"]["bad_count"] == sum(one["outcome"].startswith("failed") for one in requests)
    out = io.BytesIO()
    write(results, format="table", out=out, width=80, now=NOW)
    lines = out.getvalue().decode().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


# --- nothing, and anything ----------------------------------------------------------------------------------------------

MINE = [
    *(f"errors-by-{group}" for group in GROUPS),
    "new-errors",
    "context-truncation",
    "registry-errors",
    "error-trend",
    "oom-trend",
]


@pytest.mark.parametrize("name", MINE)
def test_empty_store_has_no_rows(name: str) -> None:
    """Without any log there is nothing to say, and no row that says zero."""
    assert run(empty_store(), name) == []


@pytest.mark.parametrize("name", MINE)
def test_names_of_any_kind_are_only_text(busy: duckdb.DuckDBPyConnection, name: str) -> None:
    """Quotes, tags and controls in names change no figure, reach no terminal, and filter as they are written."""
    result = reports.answer([name], connection=busy, now=NOW)
    out = io.BytesIO()
    write(result, format="table", out=out, width=80, now=NOW)
    assert "\x1b" not in out.getvalue().decode()
    before = len(table(busy, "events"))
    for param in {"model", "endpoint", "code", "host"} & set(result[0].params):
        run(busy, name, **{param: HOSTILE[0]})
    assert len(table(busy, "events")) == before
