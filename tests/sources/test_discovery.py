"""Without a path the program looks where Ollama logs, and says what it found and what it did not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from erranalytics import api
from erranalytics.cli.main import main
from erranalytics.errors import UsageError
from erranalytics.sources import discovery, journalctl

LINE = 'time=2026-11-20T08:00:00.000Z level=INFO source=routes.go:1752 msg="Listening on 127.0.0.1:11434 (version 0.24.0)"\n'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a journal; its root, which is home and data folder too."""
    monkeypatch.setattr(journalctl, "peek", lambda wanted: "nothing")
    return tmp_path


def put(root: Path, name: str, *, mtime: int = 0) -> Path:
    """A log in place."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LINE, encoding="utf-8")
    os.utime(path, (mtime, mtime))
    return path


def found(root: Path, system: str) -> list[str]:
    """Paths found, relative to the root."""
    variables = {"HOME": str(root / "home"), "LOCALAPPDATA": str(root / "data")}
    looked = discovery.find_places(system=system, variables=variables, root=str(root))
    return [str(Path(path).relative_to(root)) for place in looked for path in place.paths]


@pytest.mark.parametrize(
    ("system", "path"),
    [
        ("linux", "home/.ollama/logs/server.log"),
        ("linux", "var/log/ollama.log"),
        ("linux", "var/log/ollama/serve.log"),
        ("darwin", "home/.ollama/logs/app-1.log"),
        ("darwin", "opt/homebrew/var/log/ollama.log"),
        ("win32", "data/Ollama/server-2.log"),
    ],
)
def test_each_system_has_its_places(system: str, path: str, machine: Path) -> None:
    """Files of the server and of the app, where the documentation says; nothing else below them."""
    put(machine, path)
    put(machine, "home/.ollama/history.log")
    assert found(machine, system) == [path]


def test_rotated_files_come_oldest_first(machine: Path) -> None:
    """server-2.log is older than server-1.log, and both than server.log."""
    names = ["server-2.log", "server-1.log", "server.log"]
    for number, name in enumerate(names):
        put(machine, f"home/.ollama/logs/{name}", mtime=1000 + number)
    assert found(machine, "darwin") == [f"home/.ollama/logs/{name}" for name in names]


def test_without_a_home_nothing_is_found_there(machine: Path) -> None:
    """A service has no HOME; that is not an error."""
    put(machine, "home/.ollama/logs/server.log")
    assert [place.paths for place in discovery.find_places(system="darwin", variables={}, root=str(machine))] == [
        (),
        (),
    ]


def test_a_unit_of_the_journal_is_a_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It counts when the journal has entries of it."""
    states = {"snap.ollama.listener": "entries"}
    monkeypatch.setattr(journalctl, "peek", lambda wanted: states.get(wanted.unit, "nothing"))
    looked = discovery.find_places(system="linux", variables={}, root=str(tmp_path))
    assert [place.summary() for place in looked if place.unit] == ["snap: entries in journal:snap.ollama.listener"]


def test_every_place_has_a_sentence(machine: Path) -> None:
    """What it is, how much of it there is, where."""
    put(machine, "home/.ollama/logs/server.log")
    summaries = [
        place.summary() for place in discovery.find_places(system="darwin", variables={"HOME": str(machine / "home")})
    ]
    assert summaries[0] == "app: 1 file (115 B) in ~/.ollama/logs/server*.log, ~/.ollama/logs/app*.log"


def test_nothing_anywhere_names_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what to do where Ollama writes to its own output."""
    monkeypatch.setattr(discovery, "find_places", lambda: (discovery.Place("app", "~/.ollama/logs"),))
    with pytest.raises(UsageError) as caught:
        api.find_logs()
    assert "~/.ollama/logs" in str(caught.value.hint)
    assert "docker logs ollama 2>&1 | erranalytics ingest -" in str(caught.value.hint)


def test_a_journal_that_may_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing found because nothing may be seen: the sentence says what to do about that."""
    closed = discovery.Place("service", "journal:ollama", state="nothing you may read")
    monkeypatch.setattr(discovery, "find_places", lambda: (closed,))
    with pytest.raises(UsageError) as caught:
        api.find_logs()
    assert "service: nothing you may read in journal:ollama" in str(caught.value.hint)
    assert "systemd-journal" in str(caught.value.hint)


def test_a_call_without_a_path_reads_what_is_found(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where it looked before it reads."""
    path = put(machine, "server.log")
    there = (discovery.Place("app", "~/x", (str(path),)), discovery.Place("Homebrew service", "/y"))
    monkeypatch.setattr(discovery, "find_places", lambda: there)
    with pytest.raises(SystemExit) as left:
        main(["ingest", "--db", str(machine / "t.duckdb")], prog_name="erranalytics")
    said = capsys.readouterr().err.splitlines()
    assert left.value.code == 0
    assert said[:2] == ["app: 1 file (115 B) in ~/x", "Homebrew service: nothing in /y"]
    assert said[2] == f"{path}: plain, Ollama 0.24.0"
