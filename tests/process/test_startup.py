"""What a command loads before it does anything, and the forms that spare it the data files (``datafiles``)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.folders import ROOT

from erranalytics import datafiles
from erranalytics.calls import mapping
from erranalytics.classification import rulebook
from erranalytics.parsing import lineformats
from erranalytics.reports import catalogue

LOG = ROOT / "sample_logs" / "server" / "oom-0.24.0.log"
TEXT = "cudaMalloc failed: out of memory"
# What may be spared: the libraries the program depends on, and what reads the data files.
WATCHED = {"click", "duckdb", "jinja2", "platformdirs", "polars", "pydantic", "rich", "tomllib"}
RULE = """code = "UNK009"
name = "flux-burst"
literals = ["flux burst"]
pattern = "flux burst"
references = ["https://example.org/1"]
[[example]]
line = "flux burst"
[[counterexample]]
line = "no flux"
why = "nothing burst"
"""
STORE = {"click", "duckdb", "platformdirs", "polars"}
# Each command and what it may load of that; DB stands for a store, LOG for a log, BLOCK for a piece of it.
COMMANDS: list[tuple[list[str], set[str]]] = [
    (["--help"], {"click"}),
    (["--version"], {"click"}),
    (["ingest", "--help"], {"click"}),
    (["report", "--help"], {"click"}),
    (["completion", "bash"], {"click"}),
    (["record", "--", sys.executable, "-c", "pass"], {"click"}),
    (["rules", "show", "memory/cuda-buffer-of-size"], {"click"}),
    (["explain", "MEM014"], {"click"}),
    (["explain", "load_oom_system"], {"click"}),
    (["explain", "memory/cuda-buffer-of-size"], {"click"}),
    (["explain", "503"], {"click"}),
    (["explain", "MEM014", "-f", "json"], {"click"}),
    (["explain", TEXT], {"click", "polars"}),
    (["explain", "a flux burst at 7"], {"click", "polars"}),
    (["explain", "BLOCK"], STORE),
    (["rules", "list", "-f", "csv"], {"click", "polars"}),
    (["rules", "suggest", "the flux burst at 7"], {"click", "polars"}),
    (["rules", "suggest", "--fingerprint", "0", "--db", "DB"], STORE),
    (["rules", "check"], {"click", "polars", "pydantic", "tomllib"}),
    (["report", "--list"], {"click", "rich"}),
    (["report", "--list", "-f", "json"], {"click"}),
    (["report", "--db", "DB"], STORE | {"rich"}),
    (["report", "error-frequency", "--db", "DB"], STORE | {"rich"}),
    (["report", "error-frequency", "--db", "DB", "-f", "csv"], STORE),
    (["report", "error-frequency", "--db", "DB", "--fail-on", "severity>=error", "-f", "json"], STORE),
    (["report", "--db", "DB", "-f", "html"], STORE | {"jinja2"}),
    (["sql", "select 1", "--db", "DB", "-f", "json"], STORE),
    (["classify", "LOG"], STORE),
    (["ingest", "LOG", "--db", "DB"], STORE),
    (["reclassify", "--db", "DB"], STORE),
    (["doctor", "LOG", "--db", "DB"], STORE | {"pydantic", "tomllib"}),
]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one log; making it makes the forms, too."""
    path = tmp_path_factory.mktemp("store") / "one.duckdb"
    python("-m", "erranalytics", "ingest", str(LOG), "--db", str(path))
    python("-m", "erranalytics", "report", "--db", str(path))
    return path


def python(*arguments: str, cwd: Path = ROOT, **env: str) -> str:
    """What a Python process of its own prints."""
    command = [sys.executable, *arguments]
    whole = {**os.environ, "PYTHONPATH": str(cwd), **env}
    return subprocess.run(command, cwd=cwd, env=whole, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("command", "allowed"), COMMANDS, ids=[" ".join(words[:4])[:60] for words, _ in COMMANDS])
def test_a_command_loads_what_it_uses(command: list[str], allowed: set[str], db: Path, tmp_path: Path) -> None:
    """No library is loaded for nothing, and no data file is read that has a form."""
    block = "".join(LOG.read_text(encoding="utf-8").splitlines(keepends=True)[-60:])
    words = [{"DB": str(db), "LOG": str(LOG), "BLOCK": block}.get(word, word) for word in command]
    code = (
        "import json, sys; from pathlib import Path; from erranalytics.cli.main import main\n"
        "try:\n    main(json.loads(sys.argv[2]))\nexcept SystemExit:\n    pass\n"
        "Path(sys.argv[1]).write_text(' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    out = tmp_path / "loaded"
    python("-c", code, str(out), json.dumps(words))
    assert set(out.read_text().split()) & WATCHED <= allowed


# --- forms ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of its own with two data files; its form."""
    (tmp_path / "a.toml").write_text("x = 1\n")
    (tmp_path / "b.toml").write_text("y = 2\n")
    monkeypatch.setattr(datafiles, "PACKAGE", tmp_path)
    monkeypatch.setattr(datafiles, "FOLDER", tmp_path / "prepared")
    return tmp_path / "prepared" / "two.json"


def ask(form: Path) -> tuple[Any, int]:
    """What the form of the two files gives, and how often they were read for it."""
    read: list[int] = []

    def reader() -> dict[str, Any]:
        read.append(1)
        return {name: (form.parent.parent / name).read_text() for name in datafiles.listed(".")}

    found = datafiles.prepared("two", datafiles.listed("."), reader)
    return found, len(read)


def test_files_are_read_once(form: Path) -> None:
    """The second time the form is enough, and nothing but the form is left behind."""
    first, second = ask(form), ask(form)
    assert first[1] == 1
    assert second == (first[0], 0)
    assert list(form.parent.iterdir()) == [form]


def test_a_change_is_seen_at_once(form: Path) -> None:
    """Neither the size nor the time of a file need change."""
    ask(form)
    path = form.parent.parent / "b.toml"
    before = path.stat()
    path.write_text("y = 3\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ask(form) == ({"./a.toml": "x = 1\n", "./b.toml": "y = 3\n"}, 1)
    assert ask(form)[1] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "c.toml").write_text("z = 3\n"),
        lambda folder: (folder / "a.toml").unlink(),
        lambda folder: (folder / "a.toml").rename(folder / "d.toml"),
    ],
    ids=["more", "less", "renamed"],
)
def test_files_that_come_and_go_are_seen(form: Path, change: Callable[[Path], object]) -> None:
    """Another list of files is another state."""
    ask(form)
    change(form.parent.parent)
    assert ask(form)[1] == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"garbage",
        lambda data: b"\n",
        lambda data: data[:-5],
        lambda data: data + b" ",
        lambda data: data.replace(b"x = 1", b"x = 7"),
        lambda data: b"0" * 64 + data[64:],
        lambda data: data.partition(b"\n")[0] + b"\n",
        lambda data: bytes(range(256)),
    ],
    ids=["empty", "garbage", "a line", "cut", "longer", "other", "another key", "head alone", "bytes"],
)
def test_a_damaged_form_is_made_anew(form: Path, damage: Callable[[bytes], bytes]) -> None:
    """What cannot be used is as good as none."""
    right, _ = ask(form)
    form.write_bytes(damage(form.read_bytes()))
    assert ask(form) == (right, 1)
    assert ask(form) == (right, 0)


def test_where_nothing_can_be_written_files_are_read(form: Path) -> None:
    """An installation that belongs to somebody else works as before."""
    form.parent.write_text("no folder")
    right, count = ask(form)
    assert (ask(form), count) == ((right, 1), 1)


# --- what is in them -----------------------------------------------------------------------------------------------


def test_forms_give_what_the_files_give() -> None:
    """All fields, their types and the hashes that stores keep."""
    assert rulebook.load() == rulebook.read()
    assert [rule.groups for rule in rulebook.load().rules] == [rule.groups for rule in rulebook.read().rules]
    assert lineformats.load().formats == lineformats.read().formats
    assert lineformats.load().hash == lineformats.read().hash
    assert mapping.load() == mapping.read()
    assert catalogue.catalogue() == catalogue.catalogue(catalogue.folder())
    for name, values in datafiles.tables().items():
        assert datafiles.table(name) == values


def test_untested_files_give_the_same() -> None:
    """A wheel is built without pydantic; what is tested is that this changes nothing."""
    tables = (
        ("reports", catalogue.report_files(), catalogue.unchecked),
        ("rulebook", datafiles.rule_files(), rulebook.unchecked),
    )
    others = (
        ("formats", datafiles.format_files(), datafiles.formats),
        ("mappings", datafiles.mapping_files(), datafiles.mappings),
    )
    for name, files, unchecked in (*tables, *others):
        assert datafiles.prepared(name, files, unchecked) == json.loads(json.dumps(unchecked())), name


def test_forms_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once made, no file is parsed."""
    book, count = rulebook.load(), len(catalogue.catalogue())
    refused = lambda *_: pytest.fail("a file is read")  # noqa: E731 - stands for two functions
    monkeypatch.setattr(rulebook, "read", refused)
    monkeypatch.setattr(catalogue, "read", refused)
    monkeypatch.setattr(datafiles, "_toml", refused)
    monkeypatch.setattr(datafiles, "families", lambda: book.families)
    assert rulebook._shipped.__wrapped__() == book
    assert len(catalogue.catalogue.__wrapped__()) == count
    assert lineformats.load.__wrapped__().hash == lineformats.load().hash
    assert mapping.load.__wrapped__() == mapping.load()
    assert datafiles.table.__wrapped__("settings") == datafiles.table("settings")


def test_the_proof_reads_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """``rules check`` believes no form."""
    monkeypatch.setattr(datafiles, "prepared", lambda *_: pytest.fail("a form is used"))
    assert len(rulebook.read().rules) > 400
    assert len(lineformats.read().formats) > 70
    assert len(mapping.read()) > 3


def test_the_code_that_reads_is_part_of_the_state() -> None:
    """A form of another version of the program is none."""
    for files, code in (
        (datafiles.rule_files(), {"classification/rulebook.py", "classification/rule_files.py"}),
        (datafiles.format_files(), {"parsing/format_files.py", "parsing/lineformats.py", "schema.py"}),
        (datafiles.mapping_files(), {"parsing/format_files.py", "schema.py"}),
        (catalogue.report_files(), {"reports/catalogue.py", "reports/header.py"}),
        (datafiles.table_files(), set()),
    ):
        assert {"datafiles.py"} | code <= set(files)
        assert all((datafiles.PACKAGE / name).is_file() for name in files)


def test_rules_are_loaded_once() -> None:
    """The same files give the same object, whatever calls come between."""
    assert rulebook.load() is rulebook.load(())


def test_a_changed_rule_of_a_user_is_seen(tmp_path: Path) -> None:
    """Rules of a folder are kept as long as its files say the same."""
    path = tmp_path / "flux-burst.toml"
    path.write_text(RULE)
    first = rulebook.load([tmp_path])
    assert rulebook.load([str(tmp_path)]) is first
    path.write_text(RULE + "# no more\n")
    assert rulebook.load([tmp_path]) is not first
    assert rulebook.load([tmp_path]) == first
    path.unlink()
    assert rulebook.load([tmp_path]) == rulebook.load()


def test_an_edit_of_a_checkout_is_seen_by_the_next_command(tmp_path: Path) -> None:
    """Taxonomy and rules as they are now, though there were forms of what they were."""
    ignored = shutil.ignore_patterns("__pycache__", "__prepared__")
    shutil.copytree(ROOT / "erranalytics", tmp_path / "erranalytics", ignore=ignored)
    told = python("-m", "erranalytics", "explain", "MEM014", cwd=tmp_path)
    form = tmp_path / "erranalytics" / "__prepared__" / "rulebook.json"
    taxonomy = tmp_path / "erranalytics" / "classification" / "taxonomy.csv"
    title = told.splitlines()[1]
    assert form.is_file()
    taxonomy.write_text(taxonomy.read_text("utf-8").replace(title, title.upper()), "utf-8")
    assert python("-m", "erranalytics", "explain", "MEM014", cwd=tmp_path) == told.replace(title, title.upper())
