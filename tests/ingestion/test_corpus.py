"""Floors on real logs; skipped by name where the reference folder is not beside the checkout."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from support.lab import servers
from support.once import Once

import erranalytics as ea
from erranalytics.store import frames

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus_db(shared: Path, ingested: Once) -> Path:
    """A store of the whole corpus, servers and clients."""
    return ingested(shared / "corpus" / "server", shared / "corpus" / "client")


@pytest.fixture
def corpus(corpus_db: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store, open for reading."""
    connection = ea.connect(corpus_db)
    yield connection
    connection.close()


def rows(path: Path) -> list[dict[str, str]]:
    """A file of labels; line feeds and carriage returns inside fields stay."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labels(corpus: duckdb.DuckDBPyConnection, path: Path) -> list[dict[str, str]]:
    """Labels; a log of which another one holds a part has not all its lines in the store."""
    sql = "select uri from sources inner join loads using (source_id) where duplicate_count > 0"
    copied = [uri for (uri,) in corpus.execute(sql).fetchall()]
    assert len(copied) <= 8
    return [row for row in rows(path) if not any(uri.endswith(row["file"]) for uri in copied)]


def test_every_line_is_accounted_for(corpus_db: Path, corpus: duckdb.DuckDBPyConnection) -> None:
    """Lines in equal lines of events plus rejects, for each source; server logs have known formats."""
    assert set(ea.report("data-quality", db=corpus_db)["accounted"]) == {"yes"}
    sql = """select sum(e.line_count) filter (where format <> 'unknown') / sum(e.line_count)
             from events as e inner join sources using (source_id)
             where uri like '%/server/%' and format not in ('foreign', 'powershell-note')"""
    share = corpus.execute(sql).fetchall()[0][0]
    assert share >= 0.995


def test_again_changes_nothing(shared: Path, corpus_db: Path, tmp_path: Path) -> None:
    """The corpus a second time leaves every table as it is."""
    connection = ea.connect(corpus_db)
    before = frames.digests(connection)
    connection.close()
    own = shutil.copy(corpus_db, tmp_path / "corpus.duckdb")
    done = ea.ingest([shared / "corpus" / "server"], db=own, tz="UTC")
    assert {one.status for one in done.results} == {"known"}
    connection = ea.connect(own)
    assert frames.digests(connection) == before
    connection.close()


def test_gold_lines_in_their_files(shared: Path, corpus: duckdb.DuckDBPyConnection) -> None:
    """A labelled line, or the incident it belongs to, has the right cause; what is no error is none."""
    sql = """select e.code, er.severity, i.code from events as e
             inner join sources as s using (source_id)
             left join errors as er on er.event_id = e.event_id
             left join incidents as i on i.incident_id = e.incident_id
             where ends_with(s.uri, ?) and e.line_no <= ? order by e.line_no desc limit 1"""
    right, gold = 0, labels(corpus, shared / "corpus" / "gold.csv")
    for row in gold:
        code, severity, root = corpus.execute(sql, [row["file"], int(row["line_no"])]).fetchall()[0]
        alone = re.search(r"alone=(\w+)", row["note"])
        wanted = {row["code"], alone[1] if alone else row["code"]}
        if row["is_error"] == "true":
            right += bool(wanted & {code, root}) or ("none" in wanted and code is None)
        else:
            right += severity is None
    assert right / len(gold) >= 0.98


@functools.cache
def lines_of(path: Path) -> list[str]:
    """The lines of a log, read once; progress bars write bare carriage returns, which end no line."""
    return path.read_bytes().decode("utf-8", "replace").split("\n")


def test_gold_incidents_are_folded(shared: Path, corpus: duckdb.DuckDBPyConnection) -> None:
    """Adjacent lines of one failure, of a server or a client, are one incident that holds nothing else."""
    sql = """select count(distinct er.incident_id), min(span.first_line), max(span.last_line)
             from events as e inner join sources as s using (source_id)
             inner join errors as er on er.event_id = e.event_id
             inner join (select incident_id, min(line_no) as first_line, max(line_no + line_count - 1) as last_line
                         from events where incident_id is not null group by incident_id) as span
                 on span.incident_id = er.incident_id
             where ends_with(s.uri, ?) and e.line_no + e.line_count > ? and e.line_no <= ?"""
    exact, groups = 0, labels(corpus, shared / "corpus" / "gold-incidents.csv")
    for row in groups:
        first, last = int(row["first_line"]), int(row["last_line"])
        count, low, high = corpus.execute(sql, [row["file"], first, last]).fetchall()[0]
        # Blank lines hang on the last one; the labels leave them out.
        behind = lines_of(shared / "corpus" / row["file"])[last : high or last]
        exact += count == 1 and low >= first and all(line.strip() == "" for line in behind)
    assert exact / len(groups) >= 0.96


def test_lab_requests_get_no_invented_cause(shared: Path, ingested: Once) -> None:
    """A request that went well is never given a cause; most that failed get theirs or an honest status."""
    connection = ea.connect(ingested(*servers(shared)))
    sql = """select s.uri, e.line_no, i.cause, i.confidence from requests as r inner join events as e using (event_id)
             inner join sources as s using (source_id) left join incidents as i on i.incident_id = r.incident_id"""
    found = connection.execute(sql).fetchall()
    seen = {(Path(uri).parent.name, line): (cause, sure) for uri, line, cause, sure in found}
    connection.close()
    truth = [json.loads(line) for line in (shared / "lab" / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    logged = [row for row in truth if row["gin_line_no"]]
    wrong = invented = 0
    for row in logged:
        cause, sure = seen[row["run_id"], row["gin_line_no"]]
        accepted = {row["expected_cause"], *row["accept_causes"]}
        invented += row["expected_cause"] == "none" and cause is not None
        wrong += cause is not None and cause not in accepted and sure == "certain"
    assert invented == 0
    assert wrong / len(logged) <= 0.07


# Of all loads in the corpus of servers, by what part a column must be known; the rest is not in the logs or was scrubbed.
FLOORS = {
    "blob": 0.99, "architecture": 0.9, "parameters": 0.85, "quantization": 0.9, "num_ctx": 0.85, "num_parallel": 0.85,
    "kv_cache_type": 0.85, "flash_attention": 0.8, "layers_total": 0.97, "layers_offloaded": 0.9, "weights_bytes": 0.93,
    "kv_bytes": 0.9, "graph_bytes": 0.92, "required_bytes": 0.97, "available_bytes": 0.97, "runner_port": 0.99,
}  # fmt: skip


def test_loads_of_real_servers(corpus: duckdb.DuckDBPyConnection) -> None:
    """What is known of the loads of real servers does not fall behind what was reached."""
    served = "inner join sources as s using (source_id) where s.uri like '%/server/%'"
    columns = ", ".join(f"count(l.{name}) / count(*) as {name}" for name in FLOORS)
    unknown = "count(*) filter (where l.outcome = 'unknown') as unknown"
    (row,) = frames.rows(corpus, f"select {columns}, {unknown}, count(*) as loads from model_loads as l {served}")
    assert row["loads"] >= 390
    assert row["unknown"] <= 1
    assert {name: row[name] for name in FLOORS if row[name] < FLOORS[name]} == {}
    (seen,) = frames.rows(
        corpus, f"select count(*) as readings, count(distinct library) as libraries from gpu_memory as g {served}"
    )
    assert seen["readings"] >= 1250
    assert seen["libraries"] >= 4


def test_runs_of_real_servers(corpus: duckdb.DuckDBPyConnection) -> None:
    """A run whose start is in the log has a version, settings and devices, but for what its log does not tell."""
    sql = """select count(*) as runs, count(*) filter (where cardinality(config) > 0) / count(*) as config,
             count(devices) / count(*) as devices
             from server_sessions inner join sources using (source_id) where version is not null and uri like '%/server/%'"""
    (row,) = frames.rows(corpus, sql)
    assert row["runs"] >= 145
    assert min(row["config"], row["devices"]) >= 0.98


def test_models_of_requests_of_real_servers(corpus: duckdb.DuckDBPyConnection) -> None:
    """How many requests have a model does not fall behind; none has one without saying how it is known."""
    sql = """select count(*) filter (where model is not null) as told, count(*) filter (where (model is null) <> (model_source is null)) as odd,
             count(*) filter (where not is_inference and model is not null) as other from requests"""
    (row,) = frames.rows(corpus, sql)
    assert row["told"] >= 650
    assert (row["odd"], row["other"]) == (0, 0)
