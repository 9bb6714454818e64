"""The sample logs give what their manifest says, however they reach the program.

``python tests/test_samples.py --update`` rewrites the counts; what they are held against is written by hand and stays:
the protocol of the runs, and lines counted in the bytes of the files without the program.
"""

from __future__ import annotations

import gzip
import io
import json
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
from support.folders import SAMPLES

import erranalytics as ea
from erranalytics.classification import rulebook

MANIFEST = SAMPLES / "MANIFEST.toml"
WRITTEN: dict[str, Any] = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
FILES: list[dict[str, Any]] = WRITTEN["file"]
ONCE_A_START: dict[str, str] = WRITTEN["once_a_start"]
NAMES = [entry["path"] for entry in FILES]
Ingest = tuple[dict[str, Any], dict[str, int], Path]
OfSample = Callable[[str], Ingest]


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


def content(name: str) -> bytes:
    """The bytes of a sample, unpacked."""
    data = (SAMPLES / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


def starts_that_show(line: str, text: str) -> int:
    """After how many starts of a server a line stands."""
    return sum(re.search(line, start) is not None for start in text.split("Listening on ")[1:])


def proved_of(entry: dict[str, Any]) -> set[str]:
    """The codes of a sample whose number does not rest on the program alone."""
    return {*entry.get("proved", {}), *entry.get("counted", [])}


def requests_of(name: str, parts: dict[str, dict[str, int]]) -> list[str]:
    """The smallest known groups of requests behind a name: a fault in parts is all its parts."""
    return [f"{name}/{part}" for part in parts.get(name, {})] or [name]


def faults_of(entry: dict[str, Any], text: str) -> list[str]:
    """Why the numbers of a sample do not stand, a sentence for each fault."""
    found, proofs, reasons = entry["incidents"], entry.get("proved", {}), entry.get("reasons", {})
    proved = proved_of(entry)
    faults = [f"{code} has neither a proof nor a reason" for code in found if code not in proved | {*reasons}]
    faults += [f"{code} is not among the incidents" for code in sorted(proved | {*reasons}) if code not in found]
    faults += [f"{code} is proved and has a reason" for code in reasons if code in proved]
    faults += [f"{code} has an empty reason" for code, reason in reasons.items() if not reason.strip()]
    injected, parts, happened = (entry.get(key, {}) for key in ("injected", "parts", "happened"))
    sums = {kind: sum(numbers.values()) for kind, numbers in parts.items()}
    faults += [f"{kind} is more or less than its parts" for kind in parts if injected.get(kind) != sums[kind]]
    known = injected | happened | {f"{kind}/{part}": n for kind in parts for part, n in parts[kind].items()}
    known["none"] = 0
    terms = [(code, name) for code, names in proofs.items() for name in names]
    faults += [f"{code} rests on {name}, which was not injected" for code, name in terms if not known.get(name)]
    used = Counter(part for _, name in terms if name not in happened for part in requests_of(name, parts))
    faults += [f"{part} proves more than one code" for part, times in used.items() if times > 1]
    wanted = {code: sum(known.get(name, 0) for name in names) for code, names in proofs.items()}
    faults += [f"{code}: found {found.get(code)}, injected {n}" for code, n in wanted.items() if n != found.get(code)]
    told = {code: happened.get("server_started") for code, name in terms if name == "server_started"}
    told |= {code: found.get(code) for code in entry.get("counted", [])}
    shown = {code: starts_that_show(ONCE_A_START[code], text) for code in told}
    faults += [f"{code}: told by {n} starts, shown by {shown[code]}" for code, n in told.items() if n != shown[code]]
    return faults


@pytest.fixture(scope="module")
def of_sample(tmp_path_factory: pytest.TempPathFactory) -> OfSample:
    """Each sample ingested once, however many tests look at it."""
    return cache(lambda name: ingested(SAMPLES / name, tmp_path_factory.mktemp("sample")))


def test_the_manifest_names_every_file_once() -> None:
    """No sample without its origin and its expectation."""
    found = sorted(str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*") if path.is_file() and path != MANIFEST)
    assert sorted(NAMES) == found


def test_the_folder_stays_small() -> None:
    """A clone is quick; larger logs belong elsewhere."""
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 1_500_000


@pytest.mark.parametrize("entry", FILES, ids=NAMES)
def test_a_sample_gives_what_the_manifest_says(entry: dict[str, Any], of_sample: OfSample) -> None:
    """Lines, events, errors, and incidents by code."""
    counts, incidents, _ = of_sample(entry["path"])
    assert counts == entry["counts"] | {"wrapper": entry["wrapper"]}
    assert incidents == entry["incidents"]


@pytest.mark.parametrize("entry", FILES, ids=NAMES)
def test_every_line_of_a_sample_is_accounted_for(entry: dict[str, Any], of_sample: OfSample) -> None:
    """Each line is in exactly one event or in a counted reject."""
    counts, _, db = of_sample(entry["path"])
    connection = ea.connect(db)
    row = connection.execute(
        "select (select sum(line_count) from events), (select coalesce(sum(line_count), 0) from rejects)"
    ).fetchone()
    connection.close()
    assert row is not None
    assert counts["lines"] == len(content(entry["path"]).splitlines()) == row[0] + row[1]


@pytest.mark.parametrize("entry", FILES, ids=NAMES)
def test_each_number_is_proved_or_has_a_reason(entry: dict[str, Any]) -> None:
    """As many incidents as failures were caused on purpose, or as starts show the line, or a sentence why not."""
    assert faults_of(entry, content(entry["path"]).decode()) == []


@pytest.mark.parametrize("entry", FILES, ids=NAMES)
def test_a_code_rests_on_the_fault_of_its_name(entry: dict[str, Any]) -> None:
    """Where a fault of the very cause was injected, its code does not borrow the number of others."""
    causes = rulebook.load().causes
    named = {code: causes[code].slug for code in entry["proved"] if causes[code].slug in entry["injected"]}
    rests = {code: {name.partition("/")[0] for name in entry["proved"][code]} for code in named}
    assert [code for code in named if named[code] not in rests[code]] == []


def test_most_numbers_of_the_demo_are_proved() -> None:
    """Samples that show a run a second time, in other forms or at a gateway, do not help."""
    demo = [entry for entry in FILES if entry["path"].startswith(("server/", "client/"))]
    assert sum(len(proved_of(entry)) for entry in demo) >= 100


SMALL: dict[str, Any] = {
    "incidents": {"CTX007": 1, "NET009": 2, "NFD001": 3, "REQ034": 1, "UNK001": 1},
    "injected": {"none": 1, "model_not_found": 3, "model_corrupt": 2},
    "parts": {"model_corrupt": {"blob_deleted": 1, "truncated_blob": 1}},
    "happened": {"server_started": 2},
    "counted": ["CTX007"],
    "proved": {
        "NET009": ["server_started"],
        "NFD001": ["model_not_found"],
        "REQ034": ["model_corrupt/blob_deleted"],
    },
    "reasons": {"UNK001": "nobody knows"},
}
START = 'msg="Listening on 127.0.0.1:11434"\nmsg="model recommendations refresh failed"\n'
SMALL_TEXT = f'{START}msg="requested context size too large for model"\n{START}'


@pytest.mark.parametrize(
    ("key", "change", "faults"),
    [
        ("incidents", {}, []),
        ("incidents", {"NFD001": 4}, ["NFD001: found 4, injected 3"]),
        ("incidents", {"CTX007": 2}, ["CTX007: told by 2 starts, shown by 1"]),
        ("incidents", {"MEM014": 1}, ["MEM014 has neither a proof nor a reason"]),
        ("reasons", {"UNK001": " "}, ["UNK001 has an empty reason"]),
        ("reasons", {"NFD001": "because"}, ["NFD001 is proved and has a reason"]),
        ("reasons", {"MEM014": "because"}, ["MEM014 is not among the incidents"]),
        ("proved", {"UNK001": ["model_corrupt/truncated_blob"]}, ["UNK001 is proved and has a reason"]),
        ("proved", {"NFD001": ["model_not_found", "x"]}, ["NFD001 rests on x, which was not injected"]),
        ("injected", {"model_not_found": 2}, ["NFD001: found 3, injected 2"]),
        ("injected", {"model_corrupt": 3}, ["model_corrupt is more or less than its parts"]),
        ("happened", {"server_started": 3}, ["NET009: found 2, injected 3", "NET009: told by 3 starts, shown by 2"]),
        ("proved", {"NFD001": ["model_not_found", "none"]}, ["NFD001 rests on none, which was not injected"]),
        (
            "proved",
            {"NFD001": ["model_corrupt"]},
            ["model_corrupt/blob_deleted proves more than one code", "NFD001: found 3, injected 2"],
        ),
    ],
)
def test_a_number_that_does_not_stand_is_told(key: str, change: dict[str, Any], faults: list[str]) -> None:
    """The proofs are no decoration: each way to be wrong has its sentence."""
    assert faults_of(SMALL | {key: SMALL[key] | change}, SMALL_TEXT) == faults


@pytest.mark.parametrize("name", ["server/oom-0.24.0.log", "server/journal-0.24.0.log", "client/httpx.jsonl"])
def test_path_stdin_and_gzip_give_the_same_events(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_sample: OfSample
) -> None:
    """How the bytes arrive makes no difference."""
    path = SAMPLES / name
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


def messages(name: str) -> list[str]:
    """What the server wrote, without what journald put around it."""
    lines = content(name).decode().splitlines()
    if ".json" in name:
        return [json.loads(line)["MESSAGE"] for line in lines]
    return [re.sub(r"^\S.*? ollama\[\d+\]: ", "", line).rstrip() for line in lines]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("forms/")])
def test_a_form_holds_the_newest_entries_of_its_run(name: str) -> None:
    """So the protocol of the run proves its numbers too."""
    written = messages(name)
    assert written == messages("server/journal-0.24.0.log")[-len(written) :]


def test_a_journal_and_the_log_of_the_server_tell_the_same_failures() -> None:
    """What journald puts in front of the lines changes nothing in what failed."""
    entries = {entry["path"]: entry["incidents"] for entry in FILES}
    assert entries["server/journal-0.24.0.log"] == entries["forms/server.log"]


def test_no_prompt_of_the_trace_log_is_stored(of_sample: OfSample) -> None:
    """OLLAMA_DEBUG=2 logs prompts; the store keeps their length only."""
    path = SAMPLES / "server/trace-0.24.0.log"
    prompts = re.findall(r'prompt="(\[user\][^"]{8,})"', path.read_text(encoding="utf-8"))
    *_, db = of_sample("server/trace-0.24.0.log")
    stored = "\n".join(str(row) for row in events(db))
    assert len(prompts) > 3
    assert [prompt for prompt in prompts if prompt in stored] == []


def test_all_samples_together_count_every_file_once(tmp_path: Path) -> None:
    """The folders of the demo in one store: the numbers add up, and a second time adds nothing."""
    folders = [SAMPLES / "server", SAMPLES / "client", SAMPLES / "gateway"]
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
            counts, incidents, _ = ingested(SAMPLES / name, Path(folder))
        del counts["wrapper"]
        for key, value in (("counts", counts), ("incidents", incidents)):
            table = "{ " + ", ".join(f"{inner} = {count}" for inner, count in value.items()) + " }" if value else "{}"
            text = re.sub(
                rf'(path = "{re.escape(name)}"\n(?:(?!\[\[).*\n)*?){key} = .*', rf"\g<1>{key} = {table}", text
            )
    MANIFEST.write_text(text, encoding="utf-8")


if __name__ == "__main__" and "--update" in sys.argv:
    update()
