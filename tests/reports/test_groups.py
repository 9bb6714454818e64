"""Failures by model, route, client and version: each figure counted twice."""

from __future__ import annotations

import io
import math
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from support.stores import (
    HOSTILE,
    NOW,
    START,
    Rows,
    add_call,
    add_causes,
    add_failure,
    add_requests,
    add_session,
    add_source,
    empty_store,
    insert,
    run,
    table,
)

from erranalytics.output.render import write
from erranalytics.reports import runner

GROUPS = ("model", "endpoint", "client", "version")


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


# --- nothing, and anything --------------------------------------------------------------------------------------------

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
    result = runner.answer([name], connection=busy, now=NOW)
    out = io.BytesIO()
    write(result, format="table", out=out, width=80, now=NOW)
    assert "\x1b" not in out.getvalue().decode()
    before = len(table(busy, "events"))
    for param in {"model", "endpoint", "code", "host"} & set(result[0].params):
        run(busy, name, **{param: HOSTILE[0]})
    assert len(table(busy, "events")) == before
