"""Gates: what ``--fail-on`` accepts, when it fails, what it says, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import duckdb
import pytest
from support.stores import NOW, add_requests, empty_store, small_store

from erranalytics.errors import UsageError
from erranalytics.reports import catalogue, gates
from erranalytics.reports.gates import Verdict


@pytest.fixture(scope="module")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """Six incidents and 130 streams of which 17 are known to have failed, see ``test_reports``."""
    connection = small_store()
    yield connection
    connection.close()


def checked(text: str, store: duckdb.DuckDBPyConnection, **params: object) -> Verdict:
    """What becomes of a gate."""
    return gates.check(gates.parse(text), connection=store, params=params, now=NOW)


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("severity>=error", True),
        ("severity>=ERROR", True),
        ("severity > critical", False),
        ("severity=critical", True),
        ("severity<error", False),
        ("code=MEM014", True),
        ("code=mem014", True),
        ("code==MEM014", True),
        ("code=MEM001", False),
        ("code!=MEM014", True),
        ("category=memory", True),
        ("category=storage", False),
        ("incidents>=6", True),
        ("incidents>6", False),
        ("requests > 10", True),
        ("requests>11", False),
        ("failure_rate>0.05", True),
        ("failure_rate>12.9%", False),
        ("stream_failure_rate>=13%", True),
        ("streaming-failures.stream_count=130", True),
        ("streaming-failures.stream_count>130", False),
        ("streaming-failures.at_least>13.5%", True),
        ("streaming-failures.at_least > 0.14", False),
        ("streaming-failures.rate_upper>0", False),
        ("oom-incidents.missing_bytes>3GiB", True),
        ("oom-incidents.missing_bytes>3.4GB", True),
        ("oom-incidents.missing_bytes>4GiB", False),
        ("incidents.duration_us>=5s", True),
        ("incidents.duration_us>5000000", False),
        ("incidents.duration_us>1m", False),
        ("data-quality.accounted!=yes", False),
        ("data-quality.accounted='yes'", True),
    ],
)
def test_a_gate_fails_when_it_holds(text: str, failed: bool, store: duckdb.DuckDBPyConnection) -> None:
    """Only roots of incidents count, never their echoes; units and spellings are understood."""
    assert checked(text, store).failed is failed


@pytest.mark.parametrize(
    ("text", "params", "sentence"),
    [
        ("severity>=error", {}, "severity>=error: 6 of 6 incidents: 5 error, 1 critical"),
        ("severity>=critical", {}, "severity>=critical: 1 of 6 incidents: 1 critical"),
        ("code=MEM014", {"since": "-7d"}, "code=MEM014: 2 of 5 incidents: 2 MEM014"),
        ("category!=memory", {}, "category!=memory: 2 of 6 incidents: 1 overload, 1 runner"),
        ("incidents>=6", {}, "incidents>=6: 6 incidents"),
        ("requests>10", {}, "requests>10: 11 requests"),
        (
            "failure_rate>5%",
            {"since": "-7d"},
            "failure_rate>5%: 13.7 % (16 of 117, bad_count of all_count)",
        ),
        (
            "streaming-failures.at_least>2%",
            {},
            "streaming-failures.at_least>2%: 13.6 % (stream_count 130) for all",
        ),
        (
            "streaming-failures.rate_lower>2%",
            {"min_count": 1},
            "streaming-failures.rate_lower>2%: 81.6 % (17 of 17, bad_count of known_count) for all",
        ),
        (
            "status-codes.share>=80%",
            {"endpoint": "/api/chat"},
            "status-codes.share>=80%: 81.7 % (94 of 115, request_count of endpoint_request_count) for inference /api/chat",
        ),
        (
            "error-frequency.incident_count>0",
            {},
            "error-frequency.incident_count>0: 3 for MEM014; and 3 more rows",
        ),
    ],
)
def test_the_sentence_has_the_value_and_its_counts(
    text: str, params: dict[str, object], sentence: str, store: duckdb.DuckDBPyConnection
) -> None:
    """What was found, of how many, and in which row."""
    assert checked(text, store, **params) == Verdict(failed=True, sentence=sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "streaming-failures.rate_upper>0.02",
            "not judged: streaming-failures.rate_upper>0.02: there is no rate_high (17 of 17, bad_count of known_count) for all; a rate below --min-count 20 is not judged",
        ),
        ("failure_rate>0", "not judged: failure_rate>0: there is no rate (17 of 132"),
    ],
)
def test_what_cannot_be_judged_is_said_and_does_not_fail(
    text: str, sentence: str, store: duckdb.DuckDBPyConnection
) -> None:
    """A rate of too few is no finding, and no good news either."""
    verdict = checked(text, store, **({} if "streaming" in text else {"min_count": 1000}))
    assert not verdict.failed
    assert verdict.sentence.startswith(sentence)
    assert checked("streaming-failures.known_count<20", store).failed


def test_both_ends_of_an_interval_have_public_names(store: duckdb.DuckDBPyConnection) -> None:
    """``rate_upper`` is ``rate_high``, ``rate_lower`` is ``rate_low``."""
    upper, lower = gates.parse("streaming-failures.rate_upper>2%"), gates.parse("streaming-failures.rate_lower>2%")
    assert (upper.column.name, lower.column.name) == ("rate_high", "rate_low")
    assert checked("streaming-failures.rate_upper>99%", store, min_count=1).failed
    assert not checked("streaming-failures.rate_lower>99%", store, min_count=1).failed


def test_a_gate_looks_at_the_total_only_where_there_is_one() -> None:
    """One route that fails always is not the rate of all; without a row of all, one row is enough."""
    connection = empty_store()
    add_requests(connection, 30, NOW - timedelta(hours=3))
    add_requests(connection, 30, NOW - timedelta(hours=2), endpoint="/api/generate", status=500)
    assert not checked("streaming-failures.at_least>60%", connection).failed
    assert checked("streaming-failures.at_least>40%", connection).failed
    assert checked("status-codes.share>60%", connection).failed


def test_a_gate_without_rows_passes_silently() -> None:
    """Nothing happened: that is neither a finding nor a doubt."""
    assert checked("oom-incidents.missing_bytes>1GiB", empty_store()) == Verdict(failed=False)
    assert checked("severity>=info", empty_store()) == Verdict(failed=False)


def test_a_gate_keeps_to_the_period(store: duckdb.DuckDBPyConnection) -> None:
    """What lies before ``since`` is not found."""
    assert checked("category=memory", store).failed
    assert not checked("category=memory", store, since=NOW - timedelta(days=1)).failed


def test_a_filter_that_the_report_does_not_have_is_reported(store: duckdb.DuckDBPyConnection) -> None:
    """A gate never looks at more than was asked for without saying so."""
    verdict = checked("data-quality.reject_count>0", store, model="qwen3:32b")
    assert verdict.failed
    assert verdict.sentence.endswith("(without --model, which data-quality does not have)")
    quiet = checked("data-quality.reject_count>99", store, model="qwen3:32b")
    assert quiet == Verdict(
        failed=False,
        sentence="passed: data-quality.reject_count>99 (without --model, which data-quality does not have)",
    )


def test_every_row_counts_whatever_a_report_shows(store: duckdb.DuckDBPyConnection) -> None:
    """A limit on the rows of a report is for readers; the gate looks at all of them."""
    shown = checked("overview-failing.incident_count>0", store, limit=1)
    assert re.search(r"and 3 more rows$", shown.sentence)


def test_the_counts_of_every_interval_are_found() -> None:
    """Wherever a report has both ends of an interval, the sentence can name what the rate is made of."""
    reports = [
        one
        for one in catalogue.catalogue().values()
        if {"rate_low", "rate_high"} & {c.name for c in one.header.columns}
    ]
    assert len(reports) >= 3
    for report in reports:
        for column in report.header.columns:
            if column.name in ("rate_low", "rate_high"):
                assert gates._parts(column, report.header.columns) is not None, (report.name, column.name)


@pytest.mark.parametrize(
    "text",
    [
        *("", "severity", "severity>=eror", "sevrity>=error", "severity>>error", "incidents>=many", "code>MEM001"),
        *("a=1 or b=2", "rate>5%%", "failure_rate>5", "incidents>=5%", "streaming-failures.", ">3", "a.b.c>1"),
    ],
)
def test_a_bad_gate_shows_the_grammar(text: str) -> None:
    """Whatever is wrong with a short form, the hint is the whole grammar."""
    with pytest.raises(UsageError) as caught:
        gates.parse(text)
    assert caught.value.hint == gates.GRAMMAR


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "straming-failures.rate_high>1%",
            "no report named 'straming-failures', did you mean 'streaming-failures'?",
            "reports: cancelled, ",
        ),
        (
            "streaming-failures.rate_uper>1%",
            "report 'streaming-failures' has no column 'rate_uper', did you mean 'rate_upper'?",
            "its columns: endpoint, stream_count, ",
        ),
        (
            "streaming-failures.rate_high>2",
            "'2' is more than the whole",
            "A share is from 0 to 1. For 2 percent write 2%.",
        ),
        ("streaming-failures.rate_high>x", "'x' is not a share: 0.02 or 2%", None),
        ("streaming-failures.stream_count>2%", "'2%' is not a number", None),
        ("oom-incidents.missing_bytes>8 apples", "'8 apples' is not a size: 8GiB, 512MB or bytes", None),
        ("incidents.duration_us>1y", "'1y' is not a duration: 250ms, 30s, 5m, 2h or microseconds", None),
        ("incidents.title>x", "title holds texts, which can only be compared by = and !=", None),
        ("incidents.first_ts>1", "incidents.first_ts is a time, which a gate cannot compare", "Use --since"),
        ("code=MEM999", "no code 'MEM999'", "all codes"),
        ("category=memroy", "no category 'memroy', did you mean 'memory'?", "one of: auth, "),
    ],
)
def test_a_bad_gate_on_a_report_names_what_would_be_right(text: str, message: str, hint: str | None) -> None:
    """Reports, columns and forms of values, the nearest one first; a name nobody knows would never fail."""
    with pytest.raises(UsageError) as caught:
        gates.parse(text)
    assert str(caught.value).startswith(message)
    assert (caught.value.hint or "").startswith(hint or "")
