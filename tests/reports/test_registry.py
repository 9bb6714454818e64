"""Pulls and pushes that failed: which model, at which registry, and whether they succeeded later."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import duckdb
import pytest
from support.stores import (
    NOW,
    START,
    add_call,
    add_failure,
    add_session,
    add_source,
    empty_store,
    insert,
    lines_of,
    run,
    table,
)


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
