"""The figures of the reports, held against numbers that were found in another way.

Three times: against the protocol of the lab, where what was broken is known; against the raw lines of the sample logs,
read here with plain expressions; and against text that wants to do harm.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
import statistics
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from support.folders import ROOT, SAMPLES
from support.lab import UNASKED, UNSEEN, clients, rows, servers
from support.once import Once

import erranalytics as ea
from erranalytics.classification import rulebook
from erranalytics.output import render
from erranalytics.output.html import page
from erranalytics.reports import catalogue, runner

INFERENCE = {
    *("/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/v1/chat/completions", "/v1/completions"),
    *("/v1/embeddings", "/v1/responses", "/v1/messages"),
}
STREAMING = INFERENCE - {"/api/embed", "/api/embeddings", "/v1/embeddings"}
POLLS = {"/", "/api/version", "/api/tags", "/api/ps"}
Row = dict[str, Any]
SLUGS = {code: cause.slug for code, cause in rulebook.load().causes.items()}


def report(db: Path, name: str, **params: object) -> list[Row]:
    """The rows of a report."""
    return ea.report(name, db=db, **params).to_dicts()


def by_cause(db: Path) -> Counter[str]:
    """What error-frequency says: failures of each cause."""
    return Counter({SLUGS[row["code"]]: row["incident_count"] for row in report(db, "error-frequency")}) - Counter()


# --- the lab -------------------------------------------------------------------------------------------------------

# Text in which a client shows the status and nothing of the reason.
STATUS_ONLY = re.compile(
    r"|HTTP/1\.1 \d{3} .*|Client error '\d{3} .*|\d{3} (Client|Server) Error: .*|Error code: \d{3}", re.DOTALL
)
# What a status says by itself, or with its words or its route.
STATUS_SAYS = [
    (re.compile("413 Client Error: Request Entity Too Large"), "request_too_large"),
    (re.compile("403 .* for url.*/api/tags$", re.DOTALL), "host_or_origin_forbidden"),  # nothing else refuses a list
    (re.compile(r"\b404 .* /(v1/chat/completions|api/chat|api/generate)$", re.DOTALL), "model_not_found"),
    (re.compile(r"\b404 .* /(favicon\.ico|v2/chat)$", re.DOTALL), "route_not_found"),
    (re.compile(r"\b503\b"), "queue_full"),
    (re.compile(r"\b405\b"), "method_not_allowed"),
    (re.compile(r"\b502\b"), "proxy_bad_gateway"),
    (re.compile(r"\b504\b"), "cloud_or_proxy_timeout"),
]
# What the text of a record says where that is another cause than the protocol names: cause, as reported, how often, why.
TOLD_OTHERWISE: list[tuple[str, str, int, str]] = [
    ("load_oom_system", "kv_cache_alloc_failed", 4, "The address space was limited; the key/value cache met it first."),
    ("model_corrupt", "capability_chat_generate", 8, "Without its file a model has no capability."),
    ("model_corrupt", "load_failed", 2, "unable to load model, and no more."),
    ("model_unsupported_architecture", "load_failed", 9, "As above."),
    ("load_killed", "client_timeout", 2, "The client left before the server gave up."),
    ("cloud_stream_failed", "stream_truncated", 1, "ollama-js notices the missing end and knows no reason."),
    ("registry_transfer_failed", "blob_digest_mismatch", 2, "The registry sent another file."),
    ("runner_crashed", "runner_crashed_midstream", 2, "unexpected EOF, whether before or after the first token."),
    ("runner_crashed_midstream", "runner_crashed", 1, "model runner has unexpectedly stopped, likewise."),
    ("cloud_error", "http_error", 1, "internal server error, and no more."),
]  # fmt: skip
# What the log of a server tells: cause, cause or fault of the protocol, how many more are reported than were injected, why.
TOLD_BY_SERVERS: list[tuple[str, str, int, str]] = [
    *((name, name, 0, "") for name in (
        "model_not_found", "queue_full", "model_unsupported_architecture", "prompt_truncated", "registry_unreachable",
        "load_killed", "method_not_allowed", "load_timeout", "cloud_stream_failed", "cloud_rate_limited", "cloud_unauthorized",
        "cloud_payment_required",
    )),
    ("load_oom_system", "num_ctx_too_big", 0, ""),
    ("kv_cache_alloc_failed", "rlimit_as", 0, ""),
    ("segfault", "runner_sigsegv", 0, ""),
    ("native_abort", "runner_sigabrt", 0, ""),
    ("token_repeat_abort", "token_repeat", 0, ""),
    ("runner_killed", "runner_sigkill", -8, "See test_oom_incidents_are_what_was_injected."),
]  # fmt: skip
OUTCOMES = {
    "complete": "completed",
    "error_chunk": "failed",
    "never_started": "failed",
    "truncated": "truncated",
    "cancelled_by_client": "cancelled",
}


@dataclass(frozen=True)
class Lab:
    """The protocol, what clients recorded by the name of the request, and stores of either side and of both."""

    truth: list[Row]
    records: dict[str, Row]
    server: Path
    client: Path
    both: Path


@pytest.fixture(scope="module")
def lab(shared: Path, ingested: Once) -> Lab:
    """The lab in three stores."""
    logs, calls = servers(shared), clients(shared)
    server, client, both = ingested(*logs), ingested(*calls), ingested(*calls, *logs)
    records = {row["request_id"]: row for path in calls for row in rows(path)}
    return Lab(rows(shared / "lab" / "truth.jsonl"), records, server, client, both)


def told(row: Row, record: Row) -> str | None:
    """The cause the record of a failed call can show: that of the protocol, or less."""
    text, status = record["error_message"] or "", record["status_code"]
    if row["expected_cause"] in ("none", "prompt_truncated"):  # a prompt that was cut is answered like any other
        return None
    if status and status >= 400 and STATUS_ONLY.fullmatch(text):
        said = next((cause for sign, cause in STATUS_SAYS if sign.search(f"{text} {row['endpoint']}")), None)
        return said or f"http_{status}"
    if not text:
        return "stream_missing_done"
    if text == "Connection error.":
        return "connection_failed"
    return str(row["expected_cause"])


def test_error_frequency_of_clients_is_what_was_injected(lab: Lab) -> None:
    """For each cause as many failures as were caused and as the records can show."""
    expected = Counter(told(row, lab.records[row["request_id"]]) for row in lab.truth)
    del expected[None]
    for cause, reported, count, _ in TOLD_OTHERWISE:
        expected += Counter({reported: count})
        expected[cause] -= count
    assert by_cause(lab.client) == +expected


def test_error_frequency_of_servers_is_what_was_injected(lab: Lab) -> None:
    """Faults that a server tells are counted as often as they were injected, and all failures together are explained."""
    found = by_cause(lab.server)
    for cause, injected, more, _ in TOLD_BY_SERVERS:
        caused = [row for row in lab.truth if injected in (row["expected_cause"], row["injected_fault"])]
        logged = [row for row in caused if row["gin_line_no"] and row["expected_cause"] != "none"]
        assert (cause, found[cause]) == (cause, len(logged) + more)
    faults = sum(row["expected_cause"] != "none" for row in lab.truth)
    assert found.total() == faults - sum(count for *_, count, _ in UNSEEN) + sum(count for _, count, _ in UNASKED)


def test_error_frequency_of_both_sides_counts_a_failure_once(lab: Lab) -> None:
    """What either side saw, and nothing twice but what is listed."""
    faults = sum(row["expected_cause"] != "none" for row in lab.truth)
    once = faults + sum(count for _, count, _ in UNASKED)
    assert by_cause(lab.both).total() == once


@pytest.mark.parametrize("side", ["client", "both"])
def test_streaming_failures_are_what_was_injected(side: str, lab: Lab) -> None:
    """Each stream of each route ends as the protocol says; with the servers' logs beside the records none is added.

    Twelve programs closed their stream, and their records read like those of a stream that was cut: 200, no error, no end.
    They count as truncated, see test_calls.
    """
    expected: dict[str, Counter[str]] = {}
    closed = 0
    for row in lab.truth:
        if row["endpoint"] not in STREAMING or row["stream_outcome"] not in OUTCOMES:
            continue
        outcome, record = OUTCOMES[row["stream_outcome"]], lab.records[row["request_id"]]
        is_silent = outcome == "cancelled" and not record["error_message"] and not record["done"]
        closed += is_silent
        for name in (row["endpoint"], "all"):
            expected.setdefault(name, Counter()).update(["truncated" if is_silent else outcome])
    assert closed == 12
    found = report(getattr(lab, side), "streaming-failures")
    assert {row["endpoint"]: row["stream_count"] for row in found} == {k: v.total() for k, v in expected.items()}
    for row in found:
        ends = expected[row["endpoint"]]
        bad = ends["failed"] + ends["truncated"]
        assert (row["failed_count"], row["truncated_count"]) == (ends["failed"], ends["truncated"])
        assert (row["cancelled_count"], row["known_count"]) == (ends["cancelled"], bad + ends["completed"])
        assert (row["bad_count"], row["not_observable_count"], row["suspected_count"]) == (bad, 0, 0)
        known = bad + ends["completed"]
        assert row["failure_rate"] == (pytest.approx(bad / known) if known >= 20 else None)


@pytest.mark.parametrize(("side", "unseen"), [("server", 0), ("both", 0), ("client", 1)])
def test_oom_incidents_are_what_was_injected(side: str, unseen: int, lab: Lab) -> None:
    """As many memory failures as were caused, of each kind; of killed runners those that somebody found dead."""
    faults = Counter(row["injected_fault"] for row in lab.truth if row["expected_cause"] != "none")
    expected = {
        "MEM014": faults["num_ctx_too_big"],
        # Two of six were asked for by a client that shows the status only.
        "MEM007": faults["rlimit_as"] - 2 * unseen,
        # Two of ten clients left before the server gave up.
        "MEM021": faults["runner_sigkill_during_load"] + faults["runner_sigkill_before_listen"] - 2 * unseen,
        # Six were never found dead, eight ended in an answer that says less; five of these were found dead later, and a
        # server that ends kills its runner. A client cannot tell who killed it.
        "MEM022": (faults["runner_sigkill"] - 6 - 8 + 5 + 1) * (1 - unseen),
    }
    found = report(getattr(lab, side), "oom-incidents")
    assert Counter(row["code"] for row in found) == +Counter(expected)
    assert sum(row["incident_count"] for row in report(getattr(lab, side), "oom-trend")) == len(found)


def test_what_servers_said_and_clients_got_is_what_happened(lab: Lab) -> None:
    """The status of the access line of each call is that of the protocol, whatever the client saw."""
    statuses: Counter[tuple[int | None, int | None]] = Counter()
    for row in lab.truth:
        line = re.search(r"\| (\d{3}) \|", row["gin_line"] or "")
        status = lab.records[row["request_id"]]["status_code"]
        statuses[int(line[1]) if line else None, None if status == -1 else status] += 1  # ollama-python's word for none
    found: Counter[tuple[int | None, int | None]] = Counter()
    for row in report(lab.both, "client-vs-server"):
        found[row["server_status"], row["client_status"]] += row["call_count"]
    assert found == statuses


# --- the sample logs -----------------------------------------------------------------------------------------------

GIN = re.compile(
    r'\[GIN\] (\d{4}/\d\d/\d\d - \d\d:\d\d:\d\d) \|\s*(\d{3}) \|\s*(\S+) \|\s*(\S+) \|\s*([A-Z]+)\s+"([^"?]*)'
)
UNITS = {"h": 3.6e9, "m": 6e7, "s": 1e6, "ms": 1e3, "µs": 1, "ns": 1e-3}


@dataclass(frozen=True)
class Access:
    """An access line, read with one expression."""

    file: str
    ts: datetime
    status: int
    took_us: int
    method: str
    endpoint: str

    @property
    def is_inference(self) -> bool:
        """Whether it asks a model; who comes with another method is told so with 405 and asked for nothing."""
        return self.endpoint in INFERENCE and self.method == "POST"

    @property
    def is_failed(self) -> bool:
        """Answered with an error, and not because the client left."""
        return self.status >= 400 and self.status != 499


@dataclass(frozen=True)
class Samples:
    """Raw lines of the sample logs, what was made of some of them here, and stores of either side, of both, and of a gateway."""

    lines: dict[str, list[str]]
    access: list[Access]
    calls: list[Row]
    server: Path
    client: Path
    both: Path
    gateway: Path

    def count(self, pattern: str) -> int:
        """How many lines of servers hold a text."""
        return sum(bool(re.search(pattern, line)) for lines in self.lines.values() for line in lines)

    @property
    def inference(self) -> list[Access]:
        """The access lines of requests to models."""
        return [one for one in self.access if one.is_inference]


def text_of(path: Path) -> str:
    """The text of a sample, packed or not."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def access_lines(file: str, text: str) -> Iterator[Access]:
    """The access lines of a log, in UTC by the offset of the times beside them."""
    offset = re.search(r"time=\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", text)
    east = datetime.fromisoformat(f"2026-01-01T00:00:00{offset[1]}").utcoffset() if offset else None
    for stamp, status, took, _, method, path in GIN.findall(text):
        ts = datetime.strptime(stamp, "%Y/%m/%d - %H:%M:%S").replace(tzinfo=timezone(east or timedelta()))
        us = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(h|ms|m|µs|ns|s)", took))
        yield Access(file, ts.astimezone(UTC), int(status), round(us), method, path)


@pytest.fixture(scope="module")
def samples(ingested: Once, demo: Path) -> Samples:
    """The samples of ``make demo``, those of servers and of clients also by themselves."""
    server, client, gateway = (ingested(SAMPLES / name) for name in ("server", "client", "gateway"))
    texts = {path.name: text_of(path) for path in sorted((SAMPLES / "server").iterdir())}
    access = [one for name, text in texts.items() for one in access_lines(name, text)]
    calls = [row for path in sorted((SAMPLES / "client").iterdir()) for row in rows(path)]
    return Samples(
        {name: text.splitlines() for name, text in texts.items()}, access, calls, server, client, demo, gateway
    )


def injected(*causes: str) -> int:
    """How often the protocol of the samples of servers names causes."""
    files = tomllib.loads((SAMPLES / "MANIFEST.toml").read_text("utf-8"))["file"]
    return sum(one["injected"].get(cause, 0) for one in files if one["path"].startswith("server/") for cause in causes)


def hour(ts: datetime) -> datetime:
    """The hour of UTC a moment is in."""
    return ts.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def check_status_codes(samples: Samples) -> None:
    """Access lines by route and status."""
    known = INFERENCE | POLLS
    kinds = [(one.is_inference, one) for one in samples.access if one.endpoint in known]
    expected = Counter((is_inference, one.endpoint, one.status) for is_inference, one in kinds)
    of_route = Counter((is_inference, one.endpoint) for is_inference, one in kinds)
    found = report(samples.server, "status-codes")
    shown = [row | {"of": row["kind"] == "inference"} for row in found if row["endpoint"] in known]
    assert {(row["of"], row["endpoint"], row["status"]): row["request_count"] for row in shown} == expected
    assert {(row["of"], row["endpoint"]): row["endpoint_request_count"] for row in shown} == of_route
    assert {row["kind"] for row in shown if row["endpoint"] in POLLS} == {"poll"}
    assert sum(row["request_count"] for row in found) == len(samples.access)


def check_overview(samples: Samples) -> None:
    """Requests, inputs, versions and the time they cover."""
    (row,) = report(samples.both, "overview")
    versions = {v for lines in samples.lines.values() for v in re.findall(r"\(version ([\d.]+)\)", "\n".join(lines))}
    assert (row["request_count"], row["source_count"]) == (len(samples.inference), len(samples.lines) + 3)
    assert set(row["versions"]) == versions
    assert row["first_ts"] == min(one.ts for one in samples.access)
    assert row["last_ts"] - max(one.ts for one in samples.access) < timedelta(seconds=5)
    assert row["hosts"] == re.findall(r"^\S+ \d+ \S+ (\S+) ", samples.lines["journal-0.24.0.log"][0])


def check_overview_rates(samples: Samples) -> None:
    """Numerators and denominators, by the statuses of the access lines."""
    streams = [one for one in samples.inference if one.endpoint in STREAMING and one.status != 499]
    bad = sum(one.is_failed for one in samples.inference), sum(one.is_failed for one in streams)
    found = {row["metric"]: row for row in report(samples.server, "overview-rates")}
    rates = [found["requests_failed"], found["streams_failed"]]
    assert [(row["bad_count"], row["all_count"]) for row in rates] == [
        (bad[0], len(samples.inference)),
        (bad[1], len(streams)),
    ]
    assert found["oom_incidents"]["bad_count"] == sum(MEMORY.values())


def check_error_frequency(samples: Samples) -> None:
    """Failures by the protocol of the samples; lines by what they say."""
    found = {SLUGS[row["code"]]: row for row in report(samples.server, "error-frequency")}
    for cause in ("model_not_found", "queue_full", "model_unsupported_architecture", "prompt_truncated", "load_killed"):
        assert (cause, found[cause]["incident_count"]) == (cause, injected(cause))
    for cause, pattern in SAID.items():
        assert (cause, found[cause]["error_count"]) == (cause, samples.count(pattern))
    for status, cause in ((401, "cloud_unauthorized"), (402, "cloud_payment_required"), (405, "method_not_allowed")):
        assert found[cause]["request_count"] == sum(one.status == status for one in samples.access)


# Causes whose every line says the same.
SAID = {
    "context_length_exceeded": "the input length exceeds the context length",
    "prompt_truncated": "truncating input prompt",
    "model_unsupported_architecture": "unknown model architecture",
    "port_in_use": "address already in use",
    "segfault": "SIGSEGV: segmentation violation",
    "num_ctx_clamped": "requested context size too large for model",
}
# Memory failures of the samples, counted by hand in their logs: file, code.
MEMORY = {
    ("requests-0.24.0.log", "MEM014"): 4,
    ("journal-0.24.0.log", "MEM014"): 1,
    ("journal-0.24.0.log", "MEM022"): 1,
    ("mixed-0.11.11.log", "MEM014"): 1,
    ("mixed-0.11.11.log", "MEM021"): 2,
    ("mixed-0.11.11.log", "MEM022"): 7,
    ("crash-0.24.0.log.gz", "MEM021"): 5,
    ("crash-0.24.0.log.gz", "MEM022"): 18,
    ("trace-0.24.0.log", "MEM022"): 1,
    ("oom-0.24.0.log", "MEM007"): 3,
    ("oom-0.32.15.log", "MEM007"): 3,
}


def check_oom_incidents(samples: Samples) -> None:
    """The failures counted by hand, and of refused loads the sizes that the log writes."""
    found = report(samples.server, "oom-incidents")
    expected: Counter[str] = Counter()
    for (_, code), count in MEMORY.items():
        expected[code] += count
    assert Counter(row["code"] for row in found) == expected
    refused = r"model requires more system memory \(([\d.]+) GiB\) than is available \(([\d.]+) GiB\)"
    sizes = {pair for lines in samples.lines.values() for pair in re.findall(refused, "\n".join(lines))}
    shown = {(row["needed_bytes"], row["free_bytes"]) for row in found if row["code"] == "MEM014"}
    assert {(f"{need / 2**30:.1f}", f"{free / 2**30:.1f}") for need, free in shown} <= sizes
    # A server that began another retry first writes another number of what is free.
    assert len(shown) <= len(sizes)


def check_oom_trend(samples: Samples) -> None:
    """The same failures, spread over the hours."""
    found = report(samples.server, "oom-trend", bucket="hour")
    assert sum(row["incident_count"] for row in found) == sum(MEMORY.values())
    first, last = min(one.ts for one in samples.access), max(one.ts for one in samples.access)
    assert {row["bucket"] for row in found} == {hour(first), hour(last)}


def check_error_trend(samples: Samples) -> None:
    """Requests and failed ones of each hour."""
    found = {row["bucket"]: row for row in report(samples.server, "error-trend", bucket="hour")}
    asked, failed = (
        Counter(hour(one.ts) for one in samples.inference if one.is_failed or not is_bad) for is_bad in (False, True)
    )
    assert {at: row["request_count"] for at, row in found.items()} == asked
    assert {at: row["failed_count"] for at, row in found.items()} == failed


def check_incidents(samples: Samples) -> None:
    """One row per failure, newest first."""
    found = report(samples.server, "incidents")
    codes = Counter(SLUGS[row["code"]] for row in found)
    assert codes["model_not_found"] == injected("model_not_found")
    assert codes["queue_full"] == injected("queue_full")
    assert [row["first_ts"] for row in found] == sorted((row["first_ts"] for row in found), reverse=True)
    refused = [one for one in samples.access if one.status == 503 and one.is_inference]
    assert sum(row["request_count"] for row in found if row["code"] == "OVL001") == len(refused)


def check_cancelled(samples: Samples) -> None:
    """Access lines with 499, by route."""
    left = Counter(one.endpoint for one in samples.inference if one.status == 499)
    asked = Counter(one.endpoint for one in samples.inference)
    found = {row["endpoint"]: row for row in report(samples.server, "cancelled")}
    assert {name: (row["cancelled_count"], row["all_count"]) for name, row in found.items()} == {
        name: (count, asked[name]) for name, count in left.items()
    }
    times = {one.endpoint: one.took_us for one in samples.inference if one.status == 499}
    assert {name: row["median_us"] for name, row in found.items()} == times


def check_streaming_failures(samples: Samples) -> None:
    """Of servers by status, of clients by the marks in their records."""
    streams = [one for one in samples.inference if one.endpoint in STREAMING]
    (whole,) = [row for row in report(samples.server, "streaming-failures") if row["endpoint"] == "all"]
    statuses = Counter("ok" if one.status == 200 else "left" if one.status == 499 else "bad" for one in streams)
    assert (whole["stream_count"], whole["not_observable_count"]) == (len(streams), statuses["ok"])
    assert (whole["failed_count"], whole["cancelled_count"]) == (statuses["bad"], statuses["left"])
    calls = [one for one in samples.calls if one["stream"] and one["endpoint"] in STREAMING]
    left = sum("Timeout" in (one["error_type"] or "") and one["chunks"] > 0 for one in calls)
    whole_ones = sum(one["done"] for one in calls)
    for row in report(samples.client, "streaming-failures"):
        if row["endpoint"] == "all":
            assert (row["stream_count"], row["cancelled_count"]) == (len(calls), left)
            assert (row["bad_count"], row["known_count"]) == (len(calls) - left - whole_ones, len(calls) - left)
        else:
            assert row["stream_count"] == sum(one["endpoint"] == row["endpoint"] for one in calls)


def check_stream_trend(samples: Samples) -> None:
    """The streams of each hour."""
    streams = [one for one in samples.inference if one.endpoint in STREAMING]
    found = {row["bucket"]: row for row in report(samples.server, "stream-trend", bucket="hour")}
    assert {at: row["stream_count"] for at, row in found.items()} == Counter(hour(one.ts) for one in streams)
    bad = Counter(hour(one.ts) for one in streams if one.is_failed)
    assert {at: row["bad_count"] for at, row in found.items()} == bad


def check_client_vs_server(samples: Samples) -> None:
    """Every call is in one row; where both sides name a status, it is the same."""
    found = report(samples.both, "client-vs-server")
    statuses = Counter(None if one["status_code"] == -1 else one["status_code"] for one in samples.calls)
    counted: Counter[int | None] = Counter()
    for row in found:
        counted[row["client_status"]] += row["call_count"]
    assert counted == statuses
    both = [row for row in found if row["server_status"] and row["client_status"]]
    assert sum(row["call_count"] for row in both) > 100
    assert [row for row in both if row["server_status"] != row["client_status"]] == []
    broken = [one for one in samples.calls if not one["done"] and one["chunks"] > 0]
    assert 0 < sum(row["call_count"] for row in found if row["is_contradiction"]) <= len(broken)


def check_overload(samples: Samples) -> None:
    """Access lines with 503 and 429, by route and status."""
    turned = Counter((one.endpoint, one.status) for one in samples.inference if one.status in (429, 503))
    found: Counter[tuple[str, int]] = Counter()
    for row in report(samples.server, "overload"):
        found[row["endpoint"], row["status"]] += row["turned_away_count"]
    assert {key: count for key, count in found.items() if key[0] in INFERENCE} == turned


def check_data_quality(samples: Samples) -> None:
    """Lines of every file."""
    whole, *found = report(samples.server, "data-quality")
    expected = {name: len(lines) for name, lines in samples.lines.items()}
    assert {Path(row["source"]).name: row["line_count"] for row in found} == expected
    assert (whole["line_count"], whole["reject_count"]) == (sum(expected.values()), 0)
    assert {row["accounted"] for row in [whole, *found]} == {"yes"}


def check_unknown_errors(samples: Samples) -> None:
    """Nothing in the samples, as every line of theirs with a level above INFO has a rule or tells of no problem."""
    found = report(samples.server, "unknown-errors")
    said = [line for lines in samples.lines.values() for line in lines if re.search(r"level=(WARN|ERROR)", line)]
    assert len(said) > 500
    assert sum(row["event_count"] for row in found) < len(said) / 100


def check_coverage(samples: Samples) -> None:
    """Streams that were logged as 200."""
    notes = {row["topic"]: row["amount"] for row in report(samples.server, "coverage")}
    assert notes["not_observable"] == sum(one.status == 200 and one.endpoint in STREAMING for one in samples.access)


def check_latency(samples: Samples) -> None:
    """Counts and the longest by route."""
    found = [row for row in report(samples.server, "latency") if row["name"] in INFERENCE]
    counts: Counter[str] = Counter()
    longest: dict[str, int] = {}
    for row in found:
        counts[row["name"]] += row["request_count"]
        longest[row["name"]] = max(longest.get(row["name"], 0), row["max_us"])
    assert counts == Counter(one.endpoint for one in samples.inference)
    assert longest == {name: max(one.took_us for one in samples.inference if one.endpoint == name) for name in counts}
    for row in found:
        if (row["name"], row["fate"]) == ("/api/chat", "failed"):
            times = [one.took_us for one in samples.inference if one.endpoint == "/api/chat" and one.is_failed]
            assert row["request_count"] == len(times)
            assert row["p50_us"] == pytest.approx(statistics.median(times), abs=1)


def check_slow_requests(samples: Samples) -> None:
    """The ten longest durations."""
    found = [row["duration_us"] for row in report(samples.server, "slow-requests", limit=10)]
    assert found == sorted((one.took_us for one in samples.inference), reverse=True)[:10]


def check_errors_by_endpoint(samples: Samples) -> None:
    """Requests and failed ones of each route."""
    found = {
        row["endpoint"]: row for row in report(samples.server, "errors-by-endpoint") if row["endpoint"] in INFERENCE
    }
    asked, failed = (
        Counter(one.endpoint for one in samples.inference if one.is_failed or not is_bad) for is_bad in (False, True)
    )
    assert {name: row["failed_count"] for name, row in found.items() if row["failed_count"]} == failed
    assert {name: row["request_count"] for name, row in found.items()} == {name: asked[name] for name in found}


def check_sums(name: str) -> Callable[[Samples], None]:
    """Groups of another kind hold the same requests and the same failures altogether."""

    def check(samples: Samples) -> None:
        found = report(samples.server, name)
        assert sum(row["request_count"] for row in found) == len(samples.inference)
        assert sum(row["failed_count"] for row in found) == sum(one.is_failed for one in samples.inference)

    check.__doc__ = check_sums.__doc__
    return check


def check_model_loads(samples: Samples) -> None:
    """A load for every runner that was started, and for every load that was refused before."""
    found = report(samples.server, "model-loads", limit=100_000)
    ports = {
        (name, port)
        for name, lines in samples.lines.items()
        for line in lines
        # Those without a model only look for devices.
        for port in re.findall(r"starting (?:runner|llama-server|llama server).*--model .*--port (\d+)", line)
    }
    started = [row for row in found if row["outcome"] in ("loaded", "unknown")]
    assert len(started) <= len(ports) <= len(found)
    refused = sum(count for (_, code), count in MEMORY.items() if code == "MEM014")
    assert Counter((row["outcome"], row["code"]) for row in found)["oom", "MEM014"] == refused


def check_sessions(samples: Samples) -> None:
    """A run for each server that listens, with its version; requests of each version."""
    found = report(samples.server, "sessions")
    listens = Counter(
        version
        for lines in samples.lines.values()
        for version in re.findall(r"Listening on .*\(version ([\d.]+)\)", "\n".join(lines))
    )
    assert Counter(row["version"] for row in found if row["ts_start"]) == listens
    assert sum(row["request_count"] for row in found) == len(samples.inference)
    assert sum(row["failed_count"] for row in found) == sum(one.is_failed for one in samples.inference)


def check_crashes_and_restarts(samples: Samples) -> None:
    """Runners that were killed are among them, as often as counted by hand."""
    found = Counter(row["code"] for row in report(samples.server, "crashes-and-restarts"))
    assert found["MEM022"] == sum(count for (_, code), count in MEMORY.items() if code == "MEM022")
    assert found["RUN039"] == samples.count("^SIGSEGV: segmentation violation")


def check_gpu_memory(samples: Samples) -> None:
    """The memory of the host is that which the lines of the servers name."""
    totals = {
        round(float(size), 1)
        for lines in samples.lines.values()
        for size in re.findall(r'inference compute.*total="([\d.]+) GiB"', "\n".join(lines))
    }
    found = report(samples.server, "gpu-memory")
    assert {round(row["total_bytes"] / 2**30, 1) for row in found if row["device"] == "cpu"} <= totals
    assert all(row["lowest_free_bytes"] <= row["total_bytes"] for row in found if row["total_bytes"])


def check_context_truncation(samples: Samples) -> None:
    """Prompts that were cut, and those that were refused."""
    found: Counter[str] = Counter()
    for row in report(samples.server, "context-truncation"):
        found[row["outcome"]] += row["prompt_count"]
    assert found["cut silently"] == samples.count("truncating input prompt") == injected("prompt_truncated")
    assert found["refused"] == samples.count("the input length exceeds the context length")


def check_registry_errors(samples: Samples) -> None:
    """Pulls, pushes and creations that did not reach a registry, by the protocol."""
    found = Counter[str]()
    for row in report(samples.server, "registry-errors"):
        found[SLUGS[row["code"]]] += row["incident_count"]
    assert found["registry_unreachable"] == injected("registry_unreachable")


def check_new_errors(samples: Samples) -> None:
    """With nothing before, every cause of error-frequency is new."""
    found = {row["name"] for row in report(samples.server, "new-errors") if row["kind"] == "code"}
    causes = {row["code"] for row in report(samples.server, "error-frequency") if row["severity"] != "info"}
    assert causes <= found


def check_overview_failing(samples: Samples) -> None:
    """Failures by the protocol of the samples, the most frequent first."""
    found = {SLUGS[row["code"]]: row["incident_count"] for row in report(samples.server, "overview-failing", limit=99)}
    assert (found["model_not_found"], found["queue_full"]) == (injected("model_not_found"), injected("queue_full"))
    assert list(found.values()) == sorted(found.values(), reverse=True)


def check_gateway_errors(samples: Samples) -> None:
    """Statuses of the access log of the gateway, by route."""
    line = re.compile(r'"[A-Z]+ (/[^ ?"]*)[^"]*" (\d{3}) ')
    access = line.findall(text_of(SAMPLES / "gateway" / "nginx-access.log"))
    refused = Counter((path, int(status)) for path, status in access if int(status) >= 400)
    found: Counter[tuple[str, int]] = Counter()
    for row in report(samples.gateway, "gateway-errors"):
        if row["status"] and row["status"] >= 400:
            found[row["endpoint"], row["status"]] += row["request_count"]
    assert found == refused


CHECKS: dict[str, Callable[[Samples], None]] = {
    "cancelled": check_cancelled,
    "client-vs-server": check_client_vs_server,
    "context-truncation": check_context_truncation,
    "coverage": check_coverage,
    "crashes-and-restarts": check_crashes_and_restarts,
    "data-quality": check_data_quality,
    "error-frequency": check_error_frequency,
    "error-trend": check_error_trend,
    "errors-by-client": check_sums("errors-by-client"),
    "errors-by-endpoint": check_errors_by_endpoint,
    "errors-by-model": check_sums("errors-by-model"),
    "errors-by-version": check_sums("errors-by-version"),
    "gateway-errors": check_gateway_errors,
    "gpu-memory": check_gpu_memory,
    "incidents": check_incidents,
    "latency": check_latency,
    "model-loads": check_model_loads,
    "new-errors": check_new_errors,
    "oom-incidents": check_oom_incidents,
    "oom-trend": check_oom_trend,
    "overload": check_overload,
    "overview": check_overview,
    "overview-failing": check_overview_failing,
    "overview-rates": check_overview_rates,
    "registry-errors": check_registry_errors,
    "sessions": check_sessions,
    "slow-requests": check_slow_requests,
    "status-codes": check_status_codes,
    "stream-trend": check_stream_trend,
    "streaming-failures": check_streaming_failures,
    "unknown-errors": check_unknown_errors,
}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_figures_of_the_samples(name: str, samples: Samples) -> None:
    """The main figures of a report are those that the raw lines give."""
    CHECKS[name](samples)


def test_every_report_is_checked() -> None:
    """A report that is listed has its figures checked here; what is only part of a page is tested with the page."""
    assert {one["name"] for one in catalogue.describe()} - set(CHECKS) == set()


# --- text that wants to do harm ------------------------------------------------------------------------------------

HARM = (
    "\x1b[31mred\x1b]0;title\x07\x00\x08\x7f\x85\x9b <script>alert(1)</script><img src=x onerror=alert(2)> \"double\" 'single' "
    "`tick` | pipe \\ [link](javascript:alert(3)) & ; -- \r\n\tnext\u2028line \u202eevil\u2066 \u200f\u061c {{ 7 * 7 }} ${x} %s $(id) 漢字 😀"
)
LONG = "x" * 1_000_000
# Texts of the store that come from logs, and no words of our own.
FREE = [
    *(("events", name) for name in ("message", "component", "unit", "host")),
    *(("errors", name) for name in ("message", "model", "endpoint", "exception_type", "device", "remedy", "host")),
    *(("requests", name) for name in ("path", "endpoint", "client_address", "model", "upstream")),
    *(("calls", name) for name in ("client", "endpoint", "model", "error_message", "error_type", "app", "host")),
    *(("server_sessions", name) for name in ("version", "host")),
    *(("model_loads", name) for name in ("model", "title", "blob", "architecture", "quantization")),
    *(("gpu_memory", name) for name in ("device_id", "name", "library")),
    *(("templates", name) for name in ("template", "format", "first_version", "last_version")),
    *(("sources", name) for name in ("uri", "host")),
    ("rejects", "sample"),
]
LISTS = [("incidents", "models"), ("server_sessions", "devices")]
NAMES = sorted(path.stem for path in (ROOT / "queries").glob("*.sql"))
# What steers a terminal: C0 and C1, direction marks, line separators; lines end with \n.
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
Stores = Mapping[str, duckdb.DuckDBPyConnection]


def hostile_log() -> str:
    """A log whose texts are all harm, as a client of the server can make it write them."""
    head = 'time=2026-11-21T07:00:0{}.000Z level={} source=x.go:1 msg="{}"'
    quoted = HARM.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    lines = [head.format(0, "INFO", "Listening on 127.0.0.1:11434 (version 0.24.0)")]
    lines += [head.format(1, "ERROR", f"something failed: {quoted}"), head.format(2, "WARN", f"failed {LONG}")]
    lines += [HARM.replace("\n", " "), f'[GIN] 2026/11/21 - 07:00:03 | 404 | 1ms | 10.0.0.1 | POST "/api/{quoted}"']
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def stores(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """An empty store, that of the samples, and one in which every free text is harm and one is a megabyte."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "empty.log").write_text("", encoding="utf-8")
    (folder / "hostile.log").write_text(hostile_log(), encoding="utf-8")
    ea.ingest([folder / "empty.log"], db=folder / "empty.duckdb", tz="UTC")
    hostile = folder / "hostile.duckdb"
    shutil.copy(samples.both, hostile)
    ea.ingest([SAMPLES / "gateway", folder / "hostile.log"], db=hostile, tz="UTC")
    writer = duckdb.connect(str(hostile))
    for table, column in FREE:
        writer.execute(f"update {table} set {column} = {column} || $harm where {column} is not null", {"harm": HARM})
    for table, column in LISTS:
        writer.execute(f"update {table} set {column} = list_append({column}, $harm)", {"harm": HARM})
    for table in ("events", "errors"):
        long = f"select event_id from {table} where code is not null order by event_id limit 3"
        writer.execute(f"update {table} set message = message || $long where event_id in ({long})", {"long": LONG})
    writer.close()
    opened = {
        "empty": ea.connect(folder / "empty.duckdb"),
        "samples": ea.connect(samples.both),
        "hostile": ea.connect(hostile),
    }
    yield opened
    for connection in opened.values():
        connection.close()


def written(result: runner.Result, form: str, width: int | None = None) -> bytes:
    """What would be printed, or written to a file."""
    out = io.BytesIO()
    render.write([result], format=form, out=out, width=width, now=datetime(2026, 11, 22, tzinfo=UTC))
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_report_survives_any_store_in_any_form(name: str, stores: Stores) -> None:
    """No character that steers a terminal, nothing a browser would run, no cell that breaks out of its row."""
    for place, connection in stores.items():
        result = runner.run(name, connection=connection)
        if place == "empty":
            assert result.frame.height <= 5, "an empty store has nothing to show but totals"
        for form in render.FORMATS:
            for width in (None, 80) if form in ("table", "vertical") else (None,):
                check_form(result, form, written(result, form, width), width)
        whole = page.write([result])
        assert STEERING.search(whole) is None
        tags = Tags()
        tags.feed(whole)
        assert (tags.harmful, tags.count > 10) == ([], True)


class Tags(HTMLParser):
    """The elements of a page, as a browser finds them, and those that would do something."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.harmful = 0, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what runs a script of somebody else, or loads something."""
        self.count += 1
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "src") and not (value or "").startswith(("#", "data:,"))):
                self.harmful.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        """Inside a script only what is ours."""
        if self.lasttag == "script" and "alert(" in data and self.cdata_elem:
            self.harmful.append(data)


def test_harm_reaches_the_reports(stores: Stores) -> None:
    """The test above tests something: the texts are in the rows, and JSON gives them back to the last character."""
    result = runner.run("incidents", connection=stores["hostile"])
    shown = json.loads(written(result, "json"))
    assert [row["models"][-1] for row in shown if row["models"]] == [HARM] * sum(bool(row["models"]) for row in shown)
    assert any("alert(1)" in (row["message"] or "") for row in shown)
    assert any(len(row["message"] or "") == 200 for row in shown)


def check_form(result: runner.Result, form: str, data: bytes, width: int | None) -> None:
    """The bytes of a form hold the rows, and nothing else."""
    height = result.frame.height
    if form == "parquet":
        assert pl.read_parquet(io.BytesIO(data)).height == height
        return
    text = data.decode()
    assert STEERING.search(text) is None, form
    if form == "json":
        assert len(json.loads(text)) == height
    elif form == "jsonl":
        assert [type(json.loads(line)) for line in text.splitlines()] == [dict] * height
    elif form == "csv":
        parsed = list(csv.reader(io.StringIO(text)))
        assert {len(row) for row in parsed} == {len(result.columns)}
        assert len(parsed) == height + 1
    elif form == "md":
        table = [line for line in text.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table} == {len(result.columns) + 1}
        assert len(table) == height + 2
        assert re.search(r"(?<!\\)<", text) is None
    elif width and result.name != "overview":
        from rich.cells import cell_len

        assert [line for line in text.splitlines() if cell_len(line) > width] == []
