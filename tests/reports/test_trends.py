"""What is new, what gets worse, and what the overview says of it: each figure counted twice."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import duckdb
import pytest
from support.stores import (
    NOW,
    START,
    add_call,
    add_causes,
    add_failure,
    add_session,
    add_source,
    empty_store,
    insert,
    run,
    table,
)

from erranalytics.errors import UsageError
from erranalytics.output.overview import glance
from erranalytics.output.render import write
from erranalytics.reports import runner

# --- what is new ------------------------------------------------------------------------------------------------------


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
    assert found["OVL001"]["note"] == "may be older: some sightings have no time or version"
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


# --- trends -----------------------------------------------------------------------------------------------------------


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
        one["ts_end"].astimezone(runner.ZoneInfo(zone)).date()
        for one in table(busy, "requests")
        if one["is_inference"] and one["surface"] == "ollama"
    )
    found = {
        row["bucket"].astimezone(runner.ZoneInfo(zone)).date(): row["request_count"]
        for row in run(busy, "error-trend", tz=zone)
    }
    assert {day: count for day, count in found.items() if count} == dict(expected)


# --- the overview -----------------------------------------------------------------------------------------------------


def sentences(connection: duckdb.DuckDBPyConnection, **params: object) -> str:
    """The glance of the overview."""
    results = runner.answer(connection=connection, params=params, now=NOW)
    return "\n".join(glance({one.name: one.frame.to_dicts() for one in results}, now=NOW, zone=runner.ZoneInfo("UTC")))


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
    results = runner.answer(connection=real, now=NOW)
    folder = runner.answer(["streaming-failures"], connection=real, params={"min_count": 1}, now=NOW)
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
