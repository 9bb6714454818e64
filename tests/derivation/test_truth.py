"""The lab: each fault that was caused on purpose is one incident of the right cause, and nothing else is one.

``truth.jsonl`` says of every request what was done to it and which lines the server wrote meanwhile. What is no incident
and what is an incident without a fault is listed in ``support/lab.py``, what has a nearer cause than the protocol here, each
with its reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.lab import UNASKED, UNSEEN, clients, rows, servers
from support.once import Once

import erranalytics as ea

Row = dict[str, Any]
Place = tuple[str, int]

# What the log tells is nearer to the cause than what the protocol says of the request: fault, causes.
NEARER: Mapping[str, tuple[str, ...]] = {
    "runner_sigkill": ("runner_killed",),
    "runner_sigkill_before_listen": ("load_killed",),
    "runner_sigsegv": ("segfault",),
    "runner_sigabrt": ("native_abort",),
    # The address space was limited, and the key/value cache was the first to meet it.
    "rlimit_as": ("kv_cache_alloc_failed",),
    "token_repeat": ("token_repeat_abort",),
}
# The runner of these was killed and they got a 500 without a word; until somebody found the runner dead, another model
# had answered. Access lines name no model, so nobody can tell that both are one: the 500 stays a guess.
BETWEEN = {"d0225", "d0230", "d0482", "d0495", "d0661"}


# What the record of a call shows of its cause, where that is less, or nearer, than the protocol: causes, why.
SHOWN: list[tuple[tuple[str, ...], str]] = [
    (("stream_missing_done", "stream_truncated"), "A stream that ends shows no reason, and a client cannot tell who cut it."),
    (("connection_failed",), "openai-python says only: Connection error."),
    (("http_413", "proxy_bad_gateway"), "Of a body that is not in its form openai-python shows the status."),
    (("runner_crashed",), "v0.32 says that the runner has stopped, whether before or after the first token."),
    (("blob_digest_mismatch",), "The transfer failed since the registry sent another file."),
    (("kv_cache_alloc_failed",), "See rlimit_as."),
    (("stream_error_object",), "An error inside a stream, whose text is that of a status elsewhere."),
]  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a store of the lab holds: incidents, and those of access lines, of suspected streams and of all lines."""

    incidents: dict[int, Row]
    of_access: dict[Place, int | None]
    of_suspect: dict[Place, int]
    of_line: dict[str, list[tuple[int, int]]]


@pytest.fixture(scope="module")
def truth(shared: Path) -> list[Row]:
    """Every request of the lab and what was done to it."""
    return rows(shared / "lab" / "truth.jsonl")


@pytest.fixture(scope="module")
def seen(shared: Path, ingested: Once) -> Seen:
    """The logs of all servers in one store."""
    connection = ea.connect(ingested(*servers(shared)))
    found = connection.sql("select incident_id, cause, confidence, error_count, request_count from incidents")
    names = found.columns
    incidents = {row[0]: dict(zip(names, row, strict=True)) for row in found.fetchall()}
    place = "parse_path(s.uri)[-2], e.line_no"
    access = connection.sql(
        f"""select {place}, r.incident_id, i.incident_id from requests as r
           inner join events as e using (event_id) inner join sources as s on s.source_id = e.source_id
           left join incidents as i on i.root_event_id = r.suspected_by"""
    ).fetchall()
    of_line = defaultdict(list)
    for run, line, incident in connection.sql(
        f"""select {place}, e.incident_id from events as e inner join sources as s using (source_id)
           where e.incident_id is not null order by e.event_id"""
    ).fetchall():
        of_line[run].append((line, incident))
    connection.close()
    of_access = {(run, line): incident for run, line, incident, _ in access}
    suspects = {(run, line): suspect for run, line, _, suspect in access if suspect is not None}
    return Seen(incidents, of_access, suspects, dict(of_line))


def accepted(row: Row) -> set[str]:
    """The causes that are right for a request."""
    return {row["expected_cause"], *row["accept_causes"], *NEARER.get(row["injected_fault"], ())}


def incident(row: Row, seen: Seen) -> int | None:
    """Where a fault is told: by its access line, by the death of its runner, or by a line written while it ran."""
    if row["gin_line_no"] is None:
        return None
    place = (row["run_id"], row["gin_line_no"])
    if seen.of_access[place] is not None:
        return seen.of_access[place]
    if (row["injected_fault"] or "").startswith("runner_sig"):
        return seen.of_suspect.get(place)
    span = range(row["log_line_first"], row["gin_line_no"])
    told = [one for line, one in seen.of_line.get(row["run_id"], ()) if line in span]
    fitting = [one for one in told if seen.incidents[one]["cause"] in accepted(row)]
    return next((one for one in reversed(fitting) if not seen.incidents[one]["request_count"]), None)


def found(truth: list[Row], seen: Seen) -> dict[str, int]:
    """The incident of each fault that the log tells of."""
    pairs = ((row["request_id"], incident(row, seen)) for row in truth if row["expected_cause"] != "none")
    return {name: one for name, one in pairs if one is not None}


def test_what_went_well_is_in_no_incident(truth: list[Row], seen: Seen) -> None:
    """No request that was answered as it should be has a cause."""
    well = [row for row in truth if row["expected_cause"] == "none" and row["gin_line_no"]]
    assert len(well) > 150
    assert [row["request_id"] for row in well if seen.of_access[row["run_id"], row["gin_line_no"]]] == []


def test_each_fault_is_one_incident(truth: list[Row], seen: Seen) -> None:
    """No two faults share an incident; but for those that left no trace, each has one."""
    faults = found(truth, seen)
    shared = {one: count for one, count in Counter(faults.values()).items() if count > 1}
    assert shared == {}
    missing = Counter(
        (row["injected_fault"] or row["expected_cause"], row["http_status_on_wire"] if row["gin_line_no"] else None)
        for row in truth
        if row["expected_cause"] != "none" and row["request_id"] not in faults
    )
    assert missing == {(fault, status): count for fault, status, count, _ in UNSEEN}


def test_each_fault_has_the_right_cause(truth: list[Row], seen: Seen) -> None:
    """The cause of the protocol or a nearer one; a guess only where the access line is all that the log tells."""
    wrong, guessed = [], set()
    for row in truth:
        one = found([row], seen).get(row["request_id"])
        if one is None or seen.incidents[one]["cause"] in accepted(row):
            continue
        is_guess = seen.incidents[one]["confidence"] == "guess" and seen.incidents[one]["error_count"] == 1
        guessed |= {row["request_id"]} if is_guess else set()
        wrong += [] if is_guess else [(row["request_id"], seen.incidents[one]["cause"])]
    assert wrong == []
    assert guessed >= BETWEEN
    killed = {row["request_id"] for row in truth if (row["injected_fault"] or "").startswith("runner_sig")}
    # These two deaths were not noticed: the model was asked for after it was unloaded.
    assert guessed & killed == BETWEEN | {"d0218", "d0672"}


def test_no_incident_without_a_fault(truth: list[Row], seen: Seen) -> None:
    """What no request caused is listed."""
    caused = set(found(truth, seen).values())
    others = Counter(one["cause"] for number, one in seen.incidents.items() if number not in caused)
    assert others == {cause: count for cause, count, _ in UNASKED}


def test_a_busy_port_is_an_incident(shared: Path, seen: Seen) -> None:
    """Each second server on the same port, at its line."""
    for row in rows(shared / "lab" / "events.jsonl"):
        if row.get("expected_cause"):
            (one,) = {one for line, one in seen.of_line[row["run_id"]] if line == row["log_line_first"]}
            assert seen.incidents[one]["cause"] == row["expected_cause"]


def test_each_failed_call_is_one_incident(truth: list[Row], shared: Path, ingested: Once) -> None:
    """Of the records of eight clients every failed one is an incident of its own, and no good one is in any."""
    files = clients(shared)
    connection = ea.connect(ingested(*files))
    told = connection.sql(
        """select parse_path(s.uri)[-1], e.line_no, e.incident_id, i.cause, i.confidence, i.error_count from events as e
           inner join sources as s using (source_id) inner join incidents as i using (incident_id)"""
    ).fetchall()
    connection.close()
    causes = {(name, line): (cause, sure) for name, line, _, cause, sure, _ in told}
    assert {count for *_, count in told} == {1}
    assert len({one for _, _, one, *_ in told}) == len(told)
    of_request = {row["request_id"]: row for row in truth}
    shown = {cause for group, _ in SHOWN for cause in group}
    good, silent, wrong = [], [], []
    for path in files:
        for line, record in enumerate(rows(path), start=1):
            row, cause = of_request[record["request_id"]], causes.get((path.name, line))
            if row["expected_cause"] == "none":
                good += [record["request_id"]] if cause else []
            elif cause is None:
                silent += [record["request_id"]] if record["error_message"] else []
            elif not (accepted(row) | shown) & {cause[0]} and cause[1] == "certain":
                wrong.append((record["request_id"], row["expected_cause"], cause[0]))
    assert (good, silent, wrong) == ([], [], [])
