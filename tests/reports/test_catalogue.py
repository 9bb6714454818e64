"""The reports: every file is well formed, runs on any store, and counts what the definitions say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from support.folders import ROOT, TESTS
from support.stores import NOW, add_requests, empty_store, insert, small_store

from erranalytics.errors import ReportError, UsageError
from erranalytics.reports import catalogue, runner
from erranalytics.store import queries

NAMES = sorted(path.stem for path in (ROOT / "queries").glob("*.sql"))


@pytest.fixture(scope="module")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """The small store, read by many tests and written by none."""
    connection = small_store()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def bare() -> Iterator[duckdb.DuckDBPyConnection]:
    """The empty store."""
    connection = empty_store()
    yield connection
    connection.close()


Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def rows(store: duckdb.DuckDBPyConnection) -> Rows:
    """Run a report on the small store and give its rows."""
    return lambda name, **params: runner.run(name, connection=store, params=params, now=NOW).frame.to_dicts()


# --- the catalogue ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_header_is_valid(name: str) -> None:
    """A report says what it answers, what its columns mean, and stays within sixty lines."""
    report = catalogue.find(name)
    assert report.header.question.endswith("?")
    assert all(column.meaning and column.type for column in report.header.columns)
    assert len(report.path.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("name", NAMES)
def test_declared_parameters_are_those_of_the_query(name: str) -> None:
    """What DuckDB finds in the one statement is what the header declares."""
    report = catalogue.find(name)
    (statement,) = duckdb.extract_statements(report.sql)
    used = set(statement.named_parameters)
    parts = {key for part in report.header.parts for key in catalogue.find(part).params}
    assert used | {"tz"} == (set(report.params) - (parts - used)) | {"tz"}


@pytest.mark.parametrize("name", NAMES)
def test_declared_columns_are_those_returned(name: str, bare: duckdb.DuckDBPyConnection) -> None:
    """Names, order and types of the header are those of the result, on a store without rows."""
    report = catalogue.find(name)
    frame, types = queries.query(report.sql, connection=bare, params=_defaults(report))
    assert frame.columns == [column.name for column in report.header.columns]
    assert types == {column.name: column.type for column in report.header.columns}


@pytest.mark.parametrize("name", NAMES)
def test_order_is_total(name: str, store: duckdb.DuckDBPyConnection) -> None:
    """The outermost select is ordered, and no two rows share the values it is ordered by."""
    report = catalogue.find(name)
    tree = sqlglot.parse_one(report.sql, dialect="duckdb")
    order = tree.args.get("order")
    assert order is not None
    if isinstance(tree, exp.Select):
        keys = {column.name for column in order.find_all(exp.Column)}
        assert keys
    frame, _ = queries.query(report.sql, connection=store, params=_defaults(report))
    visible = [key for key in frame.columns if key in keys]
    # A key that is not shown (a place, a number) must make the order total by itself.
    assert frame.height == frame.select(visible).unique().height or keys - set(visible)


@pytest.mark.parametrize("name", NAMES)
def test_runs_with_every_parameter(name: str, store: duckdb.DuckDBPyConnection) -> None:
    """All filters at once are accepted, as text, the way a command line gives them."""
    given = {
        "since": "-7d",
        "until": "now",
        "host": "gpu01",
        "model": "qwen3:32b",
        "endpoint": "/api/chat",
        "code": "MEM014",
        "bucket": "week",
        "tz": "Europe/Berlin",
        "min_count": "5",
        "limit": "2",
    }
    known = catalogue.find(name).params
    result = runner.run(name, connection=store, params={k: v for k, v in given.items() if k in known}, now=NOW)
    assert result.tz == "Europe/Berlin"


def test_same_parameter_means_the_same_everywhere() -> None:
    """A report's own parameter never hides a common one."""
    assert not [
        name for name, report in catalogue.catalogue().items() if set(report.header.param) & set(catalogue.COMMON)
    ]


@pytest.mark.parametrize("path", sorted((TESTS / "bad" / "reports").glob("*.sql")), ids=lambda path: path.stem)
def test_bad_report_names_all_its_faults(path: Path) -> None:
    """Every fault of a file is told at once, with file and line."""
    with pytest.raises(ReportError) as caught:
        catalogue.read(path)
    told = str(caught.value).replace(f"{path.parent}/", "")
    assert told.splitlines() == path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_list_hides_parts() -> None:
    """``report --list`` names what a person asks for; the parts of the overview are not among it."""
    listed = catalogue.describe()
    assert [one["name"] for one in listed] == sorted(
        name for name in NAMES if not name.startswith(("overview-", "page", "cov", "oom-changes"))
    )
    assert set(listed[0]) == {"name", "title", "question", "parameters", "columns"}
    assert json.loads(json.dumps(listed)) == listed


def test_an_unknown_report_names_its_neighbour() -> None:
    """The nearest name and where all are listed."""
    with pytest.raises(UsageError) as caught:
        catalogue.find("oom-trends")
    assert str(caught.value) == "no report named 'oom-trends', did you mean 'oom-trend'?"
    assert caught.value.hint == "all reports: erranalytics report --list"


@pytest.mark.parametrize(
    ("params", "message", "hint"),
    [
        (
            {"sinse": "-7d"},
            "report 'incidents' has no parameter 'sinse', did you mean 'since'?",
            "its parameters: since, until",
        ),
        ({"since": "yesterdy"}, "'yesterdy' is not a time", "formats: -24h"),
        ({"since": "now", "until": "-1h"}, "the period is empty", None),
        ({"tz": "Mars/Olympus"}, "no time zone named 'Mars/Olympus'", "a name such as"),
    ],
)
def test_bad_parameter_is_refused(
    params: dict[str, object], message: str, hint: str | None, bare: duckdb.DuckDBPyConnection
) -> None:
    """A wrong name or value says what would be right."""
    with pytest.raises(UsageError) as caught:
        runner.run("incidents", connection=bare, params=params, now=NOW)
    assert str(caught.value).startswith(message)
    assert (caught.value.hint or "").startswith(hint or "")


def test_bad_choice_and_number_are_refused(bare: duckdb.DuckDBPyConnection) -> None:
    """A parameter with choices names them; a number must be one."""
    with pytest.raises(UsageError, match="bucket is 'dya', did you mean 'day'"):
        runner.run("error-trend", connection=bare, params={"bucket": "dya"})
    with pytest.raises(UsageError, match="min_count is 'many', not of type integer"):
        runner.run("status-codes", connection=bare, params={"min_count": "many"})


def _defaults(report: runner.Report) -> dict[str, object]:
    bound = runner.bind(report, {}, now=NOW)
    return {name: bound[name] for name in re.findall(r"\$([a-z_]+)", report.sql)}


# --- what they count --------------------------------------------------------------------------------------------


def test_incidents_agree_across_reports(rows: Rows) -> None:
    """Five failures in the last week, whichever report counts them."""
    frequency = sum(row["incident_count"] for row in rows("error-frequency", since="-7d"))
    trend = sum(row["incident_count"] for row in rows("error-trend", since="-7d"))
    (overview,) = rows("overview", since="-7d")
    assert frequency == trend == overview["incident_count"] == len(rows("incidents", since="-7d")) == 5


def test_error_frequency_counts_incidents_before_lines(rows: Rows) -> None:
    """RUN036 has most lines, as an echo of everything, and comes after the cause with most incidents."""
    found = [(row["code"], row["incident_count"], row["error_count"]) for row in rows("error-frequency")]
    assert found == [("MEM014", 3, 3), ("RUN036", 1, 7), ("MEM002", 1, 1), ("OVL001", 1, 1)]


def test_status_codes_keep_polls_apart(rows: Rows) -> None:
    """Shares are of the endpoint, and heartbeats come last under their own kind."""
    found = rows("status-codes")
    assert (found[0]["endpoint"], found[0]["status"], found[0]["share"]) == ("/api/chat", 200, 94 / 115)
    assert [row["kind"] for row in found].index("poll") == len(found) - 1


def test_streams_below_min_count_are_not_judged(rows: Rows) -> None:
    """Seventeen known outcomes are too few by default: no rate, no interval, and the note says why."""
    row = rows("streaming-failures")[-1]
    assert (row["endpoint"], row["known_count"], row["not_observable_count"]) == ("all", 17, 108)
    assert (row["failure_rate"], row["rate_low"], row["rate_high"], row["note"]) == (None, None, None, "too few")


def test_stream_logged_as_200_is_never_a_success(rows: Rows) -> None:
    """Suspected streams stay not observable, cancelled ones are in neither side of the rate."""
    row = rows("streaming-failures", min_count=1)[-1]
    assert (row["stream_count"], row["known_count"], row["bad_count"]) == (130, 17, 17)
    assert (row["cancelled_count"], row["suspected_count"]) == (5, 4)
    assert row["note"] == "only failures are provable from a server log: read at_least"
    assert row["at_least"] == pytest.approx(17 / 125)


def test_wilson_interval_is_the_textbook_one(rows: Rows) -> None:
    """16 of 117 requests: the interval computed by hand from the formula."""
    row = next(row for row in rows("overview-rates", since="-7d") if row["metric"] == "requests_failed")
    z, n, p = 1.959963984540054, 117, 16 / 117
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (row["bad_count"], row["all_count"], row["rate"]) == (16, n, p)
    assert row["rate_low"] == pytest.approx((middle - half) / (1 + z * z / n))
    assert row["rate_high"] == pytest.approx((middle + half) / (1 + z * z / n))


def test_wilson_interval_of_all_failed_is_not_a_point(rows: Rows) -> None:
    """17 of 17: the published interval for p = 1 is n / (n + z²) to 1."""
    row = rows("streaming-failures", min_count=1)[-1]
    assert row["failure_rate"] == 1
    assert row["rate_low"] == pytest.approx(17 / (17 + 3.841458820694124))
    assert row["rate_high"] == pytest.approx(1)


def test_trend_is_judged_against_the_period_before(rows: Rows) -> None:
    """Three memory failures after one may be chance; without a period before there is no trend."""
    (now,) = [row for row in rows("overview-rates", since="-7d") if row["metric"] == "oom_incidents"]
    assert (now["bad_count"], now["before_bad_count"], now["trend"]) == (3, 1, "same")
    assert {row["trend"] for row in rows("overview-rates")} == {None}


def test_trend_is_worse_when_chance_cannot_explain_it() -> None:
    """5 of 100 failed before and 30 of 100 now."""
    connection = empty_store()
    start = NOW - timedelta(days=4)
    source = {"source_id": 1, "uri": "a", "wrapper": "plain", "encoding": "utf-8", "compression": "none"}
    insert(connection, "sources", **source, first_ts=start, last_ts=NOW, byte_count=1, line_count=1, head_digest="a",
           content_digest="a")  # fmt: skip
    for day, bad in ((1, 30), (2, 5)):
        add_requests(connection, bad, NOW - timedelta(days=day), status=500)
        add_requests(connection, 100 - bad, NOW - timedelta(days=day))
    found = runner.run("overview-rates", connection=connection, params={"since": "-36h"}, now=NOW).frame.to_dicts()
    assert (found[0]["before_rate"], found[0]["rate"], found[0]["trend"]) == (0.05, 0.3, "worse")


def test_empty_buckets_are_shown(rows: Rows) -> None:
    """Every day of the log has its row, also those on which nothing happened."""
    days = rows("error-trend")
    assert len(days) == 15
    assert all(later["bucket"] - day["bucket"] == timedelta(days=1) for day, later in pairwise(days))
    assert [day["incident_count"] for day in days[:5]] == [0, 0, 0, 0, 0]


def test_days_are_those_of_the_zone(rows: Rows) -> None:
    """In Berlin the first day of the log begins at 23:00 UTC of the day before."""
    days = rows("oom-trend", tz="Europe/Berlin")
    assert days[0]["bucket"].astimezone(UTC) == datetime(2026, 11, 5, 23, 0, tzinfo=UTC)


def test_hours_survive_the_change_of_clocks() -> None:
    """25 hours on the October Sunday in Berlin, none of them twice."""
    connection = empty_store()
    zone = ZoneInfo("Europe/Berlin")
    first, last = datetime(2026, 10, 25, tzinfo=zone), datetime(2026, 10, 25, 23, 59, tzinfo=zone)
    source = {"source_id": 1, "uri": "a", "wrapper": "plain", "encoding": "utf-8", "compression": "none"}
    insert(connection, "sources", **source, first_ts=first, last_ts=last, byte_count=1, line_count=1, head_digest="a",
           content_digest="a")  # fmt: skip
    params = {"bucket": "hour", "tz": "Europe/Berlin"}
    hours = runner.run("error-trend", connection=connection, params=params, now=NOW).frame["bucket"]
    assert (len(hours), hours.n_unique()) == (25, 25)


def test_oom_incident_says_what_was_missing(rows: Rows) -> None:
    """Sizes as the log prints them become bytes, and the difference is what was short."""
    row = next(row for row in rows("oom-incidents") if row["incident_id"] == 1)
    assert (row["device"], row["layers"], row["model"]) == ("CUDA0", "65/65", "qwen3:32b")
    assert row["needed_bytes"] == 23 * 2**30
    assert row["missing_bytes"] == row["needed_bytes"] - row["free_bytes"] == pytest.approx(3.4 * 2**30, rel=1e-6)
    assert (row["would_fit_with"], row["note"]) == (None, "missing: the sizes of weights and KV cache")


def test_oom_incident_names_the_number_that_is_missing(rows: Rows) -> None:
    """One buffer is not compared with what was free before the load; context comes from the load."""
    row = next(row for row in rows("oom-incidents") if row["incident_id"] == 2)
    assert (row["needed_bytes"], row["free_bytes"], row["missing_bytes"]) == (round(4403.49 * 2**20), None, None)
    assert (row["note"], row["num_ctx"], row["layers"], row["device"]) == ("missing: free", 4096, "20/41", "CUDA0")


def test_data_quality_accounts_for_every_line(rows: Rows) -> None:
    """120 lines are 100 records, 10 folded lines, 7 known ones and 3 rejects."""
    whole, one = rows("data-quality")
    assert (whole["source"], one["source"], one["accounted"]) == ("all", "server.log", "yes")
    assert (one["event_count"], one["folded_count"], one["duplicate_count"], one["reject_count"]) == (100, 10, 7, 3)
    assert (one["reject_reasons"], one["clocks"]) == ("blank 2, binary 1", "slog 60.0 %, inherited 40.0 %")
    # By lines: 110 in records, 5 of other programs, 15 of no known shape.
    assert one["known_share"] == pytest.approx(90 / 105)


def test_data_quality_tells_of_a_lost_line() -> None:
    """One line that is neither record, duplicate nor reject is said to be missing."""
    connection = small_store()
    connection.execute("delete from rejects where reason = 'binary'")
    found = runner.run("data-quality", connection=connection).frame["accounted"].to_list()
    assert found == ["no: 1 lines", "no: 1 lines"]


def test_unknown_errors_are_told_by_level_or_by_words() -> None:
    """A level decides; without one the words do; below a warning, or in an application's log, only clear phrases."""
    templates = [
        (1, "slog-text", "WARN", "flux turned blue"),
        (2, "llama-cpp", None, "flux <number> is invalid"),
        (3, "slog-text", "INFO", "wrote error.log, no errors, failed=<number>"),
        (4, "slog-text", "INFO", "failed to read flux"),
        (5, "unknown", None, "config at /errors/invalid-flux.json of error-model"),
        (6, "foreign", "ERROR", "flux failed"),
        (7, "client-text", "ERROR", "debugger is active"),
        (8, "unknown", None, "Flux ERROR: <quoted>"),
        (9, "slog-text", "ERROR", "flux failed"),
    ]
    connection = empty_store()
    event: dict[str, Any] = {"source_id": 1, "load_id": 1, "line_count": 1, "ts_source": "slog", "host": "gpu01"}
    for number, form, level, text in templates:
        insert(connection, "templates", template_id=number, template=text, fingerprint=f"f{number}", format=form,
               event_count=2)  # fmt: skip
        for at in range(2):
            insert(connection, "events", **event, event_id=10 * number + at, line_no=at, ts=NOW + timedelta(hours=at),
                   format=form, level=level, message=text, template_id=number,
                   code="RUN036" if number == 9 else None)  # fmt: skip
    found = runner.run("unknown-errors", connection=connection, params={"min_count": 8}).frame
    assert found["fingerprint"].to_list() == ["f1", "f2", "f4", "f8"]
    assert found.row(0, named=True)["hosts"] == ["gpu01"]
    assert found["share"].to_list() == [0.25] * 4
    later = runner.run("unknown-errors", connection=connection, params={"since": NOW + timedelta(minutes=1)}).frame
    assert later.select("event_count", "share").rows() == [(1, None)] * 4


def test_notes_tell_what_could_not_be_seen(store: duckdb.DuckDBPyConnection) -> None:
    """The blind spots a report names in its header come with its result."""
    notes = runner.run("streaming-failures", connection=store, now=NOW).notes
    assert notes == (
        "streams logged as 200, which does not prove that they finished: 108",
        "crashes of the server, which may hide requests in flight: 1",
    )


def test_overview_runs_with_its_parts(store: duckdb.DuckDBPyConnection) -> None:
    """Without a name: the overview, and what it is made of, each with the same parameters."""
    found = runner.answer(connection=store, params={"since": "-7d", "min_count": 1}, now=NOW)
    parts = ["overview-failing", "overview-rates", "overview-trend", "coverage"]
    assert [one.name for one in found] == ["overview", *parts]
    assert found[2].params["min_count"] == 1


def test_query_takes_types_polars_does_not_know(bare: duckdb.DuckDBPyConnection) -> None:
    """Intervals and maps come as text, a repeated name gets a number."""
    sql = "select interval '1' day as a, map {'k': 1} as a, timestamptz '2026-11-20 19:00:00+01' as t"
    frame, types = queries.query(sql, connection=bare)
    assert frame.row(0) == ("1 day", "{k=1}", datetime(2026, 11, 20, 18, 0, tzinfo=UTC))
    assert types == {"a": "interval", "a_1": "map(varchar, integer)", "t": "timestamptz"}


def test_bad_sql_is_a_mistake_of_the_user(bare: duckdb.DuckDBPyConnection) -> None:
    """DuckDB's first line, no traceback."""
    with pytest.raises(UsageError, match="the query failed: Catalog Error"):
        queries.query("select * from evnts", connection=bare)


# --- times ------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-24h", NOW - timedelta(hours=24)),
        ("-7d", NOW - timedelta(days=7)),
        ("-90s", NOW - timedelta(seconds=90)),
        ("-1.5h", NOW - timedelta(minutes=90)),
        ("-2W", NOW - timedelta(weeks=2)),
        ("today", datetime(2026, 11, 20, tzinfo=BERLIN)),
        ("yesterday", datetime(2026, 11, 19, tzinfo=BERLIN)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=BERLIN)),
        (" 2026-11-20 18:00 ", datetime(2026, 11, 20, 18, tzinfo=BERLIN)),
        ("2026-11-20T18:00:00Z", NOW),
        ("2026-11-20T19:00:00+01:00", NOW),
        ("2026-07-01", datetime(2026, 6, 30, 22, tzinfo=UTC)),
    ],
)
def test_time_forms(text: str, expected: datetime) -> None:
    """A time without a zone is one of the zone that was asked for."""
    assert runner.parse_when(text, now=NOW, tz=BERLIN) == expected


@pytest.mark.parametrize("text", ["", "7d", "-7x", "-99999999w", "2026-13-01", "tomorrow", "0001-01-01"])
def test_what_is_no_time(text: str) -> None:
    """Everything else is refused with the forms."""
    with pytest.raises(UsageError, match="is not a time"):
        runner.parse_when(text, now=NOW, tz=BERLIN)
