"""The sample logs give what their manifest says, however they reach the program.

``python tests/test_samples.py --update`` rewrites the counts; the diff is then to be read against ``injected``.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import erranalytics as ea
from erranalytics import rulebook

FOLDER = Path(__file__).resolve().parent.parent / "sample_logs"
MANIFEST = FOLDER / "MANIFEST.toml"
FILES: list[dict[str, Any]] = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["file"]
NAMES = [entry["path"] for entry in FILES]
Ingest = tuple[dict[str, Any], dict[str, int], Path]
OfSample = Callable[[str], Ingest]
# The nearer cause told by the log where the protocol of the run names the wider one.
NEARER = {"MEM007": "load_oom_system"}


def ingested(source: Path | str, folder: Path) -> Ingest:
    """Counts of a load, incidents by code, and the store."""
    db = folder / "store.duckdb"
    done = ea.ingest([source], db=db, tz="UTC")
    assert [str(fault) for fault in done.faults] == []
    (load,) = done.results
    connection = ea.connect(db)
    rows = connection.execute("select code, count(*) from incidents group by code order by code").fetchall()
    connection.close()
    counts = {"lines": load.line_count, "events": load.event_count, "errors": load.error_count}
    return (
        {**counts, "rejects": load.reject_count, "unknown": load.unknown_count, "wrapper": load.wrapper},
        dict(rows),
        db,
    )


def events(db: Path) -> list[tuple[Any, ...]]:
    """What was understood, without anything that depends on how the bytes came."""
    connection = ea.connect(db)
    columns = "line_no, line_count, ts::varchar, ts_source, format, level, component, message, attrs, code, incident_id"
    rows = connection.execute(f"select {columns} from events order by event_id").fetchall()
    connection.close()
    return rows


@pytest.fixture(scope="module")
def of_sample(tmp_path_factory: pytest.TempPathFactory) -> OfSample:
    """Each sample ingested once, however many tests look at it."""
    return cache(lambda name: ingested(FOLDER / name, tmp_path_factory.mktemp("sample")))


def test_the_manifest_names_every_file_once() -> None:
    """No sample without its origin and its expectation."""
    found = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file() and path != MANIFEST)
    assert sorted(NAMES) == found


def test_the_folder_stays_small() -> None:
    """A clone is quick; larger logs belong elsewhere."""
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 1_500_000


@pytest.mark.parametrize("entry", FILES, ids=NAMES)
def test_a_sample_gives_what_the_manifest_says(entry: dict[str, Any], of_sample: OfSample) -> None:
    """Lines, events, errors, and incidents by code."""
    counts, incidents, _ = of_sample(entry["path"])
    assert counts == entry["counts"] | {"wrapper": entry["wrapper"]}
    assert incidents == entry["incidents"]


@pytest.mark.parametrize("entry", FILES, ids=NAMES)
def test_every_line_of_a_sample_is_accounted_for(entry: dict[str, Any], of_sample: OfSample) -> None:
    """Each line is in exactly one event or in a counted reject."""
    path = FOLDER / entry["path"]
    counts, _, db = of_sample(entry["path"])
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    connection = ea.connect(db)
    row = connection.execute(
        "select (select sum(line_count) from events), (select coalesce(sum(line_count), 0) from rejects)"
    ).fetchone()
    connection.close()
    assert row is not None
    assert counts["lines"] == len(data.splitlines()) == row[0] + row[1]


@pytest.mark.parametrize("entry", [entry for entry in FILES if entry["proved"]], ids=lambda entry: entry["path"])
def test_as_many_incidents_as_were_injected(entry: dict[str, Any]) -> None:
    """Where the log can show it, the number of incidents is the number of failures that were caused on purpose."""
    causes = rulebook.load().causes
    injected = {code: entry["injected"].get(NEARER.get(code, causes[code].slug)) for code in entry["proved"]}
    assert {code: entry["incidents"].get(code) for code in entry["proved"]} == injected


@pytest.mark.parametrize("name", ["server/oom-0.24.0.log", "server/journal-0.24.0.log", "client/httpx.jsonl"])
def test_path_stdin_and_gzip_give_the_same_events(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_sample: OfSample
) -> None:
    """How the bytes arrive makes no difference."""
    path = FOLDER / name
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for folder in ("gzip", "stdin"):
        (tmp_path / folder).mkdir()
    *_, plain = of_sample(name)
    *_, zipped = ingested(packed, tmp_path / "gzip")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    *_, piped = ingested("-", tmp_path / "stdin")
    assert events(plain) == events(zipped) == events(piped)


def test_the_forms_of_one_journal_tell_the_same_failures() -> None:
    """The entries that all forms hold give the same incidents."""
    names = ["journal-short-iso.log", "journal-short-precise.log", "journal-short-iso-precise.log"]
    entries = {entry["path"]: entry["incidents"] for entry in FILES}
    first, *others = (entries[f"forms/{name}"] for name in names)
    assert others == [first, first]


def test_a_journal_and_the_log_of_the_server_tell_the_same_failures() -> None:
    """What journald puts in front of the lines changes nothing in what failed."""
    entries = {entry["path"]: entry["incidents"] for entry in FILES}
    assert entries["server/journal-0.24.0.log"] == entries["forms/server.log"]


def test_no_prompt_of_the_trace_log_is_stored(of_sample: OfSample) -> None:
    """OLLAMA_DEBUG=2 logs prompts; the store keeps their length only."""
    path = FOLDER / "server/trace-0.24.0.log"
    prompts = re.findall(r'prompt="(\[user\][^"]{8,})"', path.read_text(encoding="utf-8"))
    *_, db = of_sample("server/trace-0.24.0.log")
    stored = "\n".join(str(row) for row in events(db))
    assert len(prompts) > 3
    assert [prompt for prompt in prompts if prompt in stored] == []


def test_all_samples_together_count_every_file_once(tmp_path: Path) -> None:
    """The folders of the demo in one store: the numbers add up, and a second time adds nothing."""
    folders = [FOLDER / "server", FOLDER / "client", FOLDER / "gateway"]
    done = ea.ingest(folders, db=tmp_path / "all.duckdb", tz="UTC")
    again = ea.ingest(folders, db=tmp_path / "all.duckdb", tz="UTC")
    wanted = [entry["counts"]["lines"] for entry in FILES if not entry["path"].startswith("forms/")]
    assert sum(load.line_count for load in done.results) == sum(wanted)
    assert Counter(load.status for load in again.results) == {"known": len(wanted)}


def update() -> None:
    """Rewrite ``counts`` and ``incidents`` of every file in the manifest."""
    text = MANIFEST.read_text(encoding="utf-8")
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            counts, incidents, _ = ingested(FOLDER / name, Path(folder))
        del counts["wrapper"]
        for key, value in (("counts", counts), ("incidents", incidents)):
            table = "{ " + ", ".join(f"{inner} = {count}" for inner, count in value.items()) + " }" if value else "{}"
            text = re.sub(
                rf'(path = "{re.escape(name)}"\n(?:(?!\[\[).*\n)*?){key} = .*', rf"\g<1>{key} = {table}", text
            )
    MANIFEST.write_text(text, encoding="utf-8")


if __name__ == "__main__" and "--update" in sys.argv:
    update()
