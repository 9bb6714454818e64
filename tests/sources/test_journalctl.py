"""The journal by way of journalctl: read once, continued, with its gaps; a fake journalctl where none is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.needs import journal_remote, needs

import erranalytics as ea
from erranalytics.api import IngestResult
from erranalytics.errors import UsageError
from erranalytics.sources import journalctl
from erranalytics.sources.journalctl import Journal

FIRST_US = 1_795_226_400_000_000  # 2026-11-21 02:00:00 UTC

# Answers as journalctl does: entries.jsonl beside it is the journal, said.txt goes to standard error, code.txt is
# the exit code; each call is noted in calls.jsonl.
FAKE = """#!{python}
import json, pathlib, re, sys
here, args = pathlib.Path(__file__).parent, sys.argv[1:]
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(args) + "\\n")
read = lambda name: (here / name).read_text() if (here / name).exists() else ""
entries = [json.loads(line) for line in read("entries.jsonl").splitlines()]
if "-F" in args:
    print("\\n".join(sorted({{entry["_SYSTEMD_UNIT"] for entry in entries if "_SYSTEMD_UNIT" in entry}})))
    sys.exit(0)
since = [float(arg.removeprefix("--since=@")) * 1e6 for arg in args if arg.startswith("--since=@")]
grep = [arg.removeprefix("--grep=") for arg in args if arg.startswith("--grep=")]
for entry in entries:
    is_kernel = entry["_TRANSPORT"] == "kernel"
    wanted = "_TRANSPORT=kernel" in args if is_kernel else entry["_SYSTEMD_UNIT"] == args[args.index("-u") + 1] + ".service" if "-u" in args else False
    if wanted and all(int(entry["__REALTIME_TIMESTAMP"]) >= start for start in since) and all(re.search(p, entry["MESSAGE"], re.I) for p in grep):
        print(json.dumps(entry))
sys.stderr.write(read("said.txt"))
sys.exit(int(read("code.txt") or 0))
"""


def entry(second: float, message: str, *, unit: str = "ollama", transport: str = "stdout") -> dict[str, str]:
    """One entry of the journal of ``gpu01``, ``second`` seconds after the first."""
    stamp = str(FIRST_US + round(second * 1_000_000))
    own = {"SYSLOG_IDENTIFIER": "kernel"} if transport == "kernel" else {"SYSLOG_IDENTIFIER": unit, "_PID": "812"}
    where = {} if transport == "kernel" else {"_SYSTEMD_UNIT": f"{unit}.service"}
    known = {"__REALTIME_TIMESTAMP": stamp, "_HOSTNAME": "gpu01", "_TRANSPORT": transport, "MESSAGE": message}
    return known | own | where


def slog(second: int, message: str = "looking for compatible GPUs", **options: Any) -> dict[str, str]:
    """An entry with a line of the server."""
    stamp = f"2026-11-21T02:{second // 60:02d}:{second % 60:02d}.000Z"
    return entry(second + 0.01, f'time={stamp} level=INFO source=gpu.go:1 msg="{message}"', **options)


class Fake:
    """A journalctl of the test: what it holds and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        program = folder / "journalctl"
        program.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)

    def holds(self, entries: Sequence[dict[str, str]], *, says: str = "", code: int = 0) -> None:
        """The journal from now on."""
        text = "".join(json.dumps(one) + "\n" for one in entries)
        for name, content in (("entries.jsonl", text), ("said.txt", says), ("code.txt", str(code))):
            (self._folder / name).write_text(content, encoding="utf-8")

    def calls(self) -> list[list[str]]:
        """The arguments of every call."""
        return [json.loads(line) for line in (self._folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A journalctl in front of the one of the machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Fake(folder)


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[..., IngestResult]:
    """Ingest the journal into the store of the test."""
    return lambda unit="ollama", **options: ea.ingest(journal=unit, db=tmp_path / "t.duckdb", **options)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """Rows of the store of the test."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        connection = ea.connect(tmp_path / "t.duckdb")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return rows


MINUTE = [slog(second, f"line {second}") for second in range(0, 60, 5)]


def test_the_first_call_reads_all(fake: Fake, ingest: Any, ask: Any) -> None:
    """The entries of the unit, as one source with a name of its own."""
    fake.holds([*MINUTE, slog(7, "of another", unit="other")])
    (result,) = ingest().results
    assert (result.uri, result.status, result.host, result.event_count) == ("journal:ollama", "new", "gpu01", 12)
    assert fake.calls()[0] == ["--no-pager", "-a", "-o", "json", "-u", "ollama"]
    assert ask("select count(*) from events where message = 'of another'") == [(0,)]


def test_the_next_call_goes_on_where_the_last_ended(fake: Fake, ingest: Any, ask: Any) -> None:
    """It asks from a little before the last entry on, and what it had is not counted twice."""
    fake.holds(MINUTE[:6])
    ingest()
    fake.holds(MINUTE)
    (result,) = ingest().results
    assert fake.calls()[-2][-1] == f"--since=@{FIRST_US // 1_000_000 + 25 - 5}"
    assert (result.event_count, result.duplicate_count) == (6, 2)
    assert ask("select count(*), count(distinct message) from events") == [(12, 12)]
    assert ask("select count(*) from gaps") == [(0,)]


def test_nothing_new_adds_nothing(fake: Fake, ingest: Any, ask: Any) -> None:
    """No source, no load: a call every minute leaves no trace."""
    fake.holds(MINUTE)
    ingest()
    (result,) = ingest().results
    assert result.status == "known"
    assert ask("select (select count(*) from loads), (select count(*) from sources)") == [(1, 1)]


def test_a_vacuumed_stretch_is_a_gap(fake: Fake, ingest: Any, ask: Any) -> None:
    """A gap is recorded if the last entry is gone: from the last entry read to the first one left."""
    fake.holds(MINUTE[:6])
    ingest()
    fake.holds(MINUTE[9:])
    (result,) = ingest().results
    assert "vacuumed" in result.note
    found = ask("select host, unit, from_ts::varchar, to_ts::varchar, reason from gaps")
    assert found == [("gpu01", "ollama", "2026-11-21 02:00:25.01+00", "2026-11-21 02:00:45.01+00", "vacuumed")]


def test_data_quality_ends_with_the_gaps(fake: Fake, ingest: Any, tmp_path: Path) -> None:
    """What is missing is said where the completeness of the data is looked at."""
    from erranalytics.reports import runner

    for part in (MINUTE[:6], MINUTE[9:]):
        fake.holds(part)
        ingest()
    connection = ea.connect(tmp_path / "t.duckdb")
    notes = runner.run("data-quality", connection=connection).notes
    connection.close()
    note = "stretches of the journal that were vacuumed before they were read: 1 (2026-11-21 02:00 to 2026-11-21 02:00 UTC)"
    assert notes[-1] == note


def test_what_the_kernel_says_of_it_comes_with_it(fake: Fake, ingest: Any, ask: Any) -> None:
    """Killed processes and graphics cards, in their place between the lines of the server; no other kernel lines."""
    killed = "Out of memory: Killed process 4066 (ollama) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"
    kernel = [entry(12, killed, transport="kernel"), entry(13, "[UFW BLOCK] IN=eth0 OUT=", transport="kernel")]
    fake.holds([*MINUTE, *kernel])
    ingest()
    order = [row[0] for row in ask("select format from events order by event_id")]
    assert order == ["slog-text"] * 3 + ["kernel"] + ["slog-text"] * 9
    assert ask("select count(*) from events where message like '%UFW%'") == [(0,)]


NOT_ALLOWED = "Hint: You are currently not seeing messages from other users and the system.\n"
NO_FILES = "No journal files were opened due to insufficient permissions.\n"


@pytest.mark.parametrize(
    ("entries", "says", "code", "message", "hint"),
    [
        ([], NOT_ALLOWED, 0, "you may not read the journal", "systemd-journal"),
        ([], NO_FILES, 1, "you may not read the journal", "sudo"),
        (
            [],
            "Failed to open /x: No such file or directory\n",
            1,
            "journalctl cannot read the journal: Failed to open",
            "",
        ),
        ([], "", 0, "the journal holds no entries of the unit ollama", "systemctl list-units"),
        (
            [slog(1, unit="my-ollama"), slog(2, unit="cron")],
            "",
            0,
            "no entries of the unit ollama",
            "my-ollama.service",
        ),
    ],
)
def test_a_journal_that_gives_nothing(
    entries: list[dict[str, str]], says: str, code: int, message: str, hint: str, fake: Fake, ingest: Any
) -> None:
    """One sentence says why, the next what to do."""
    fake.holds(entries, says=says, code=code)
    (fault,) = ingest().faults
    assert message in fault.message
    assert hint in (fault.hint or "")


@pytest.mark.parametrize(
    ("entries", "says", "state"),
    [(MINUTE, "", "entries"), ([], "", "nothing"), ([], NOT_ALLOWED, "nothing you may read")],
)
def test_a_look_at_the_journal(entries: list[dict[str, str]], says: str, state: str, fake: Fake) -> None:
    """Whether there is anything, before all of it is read."""
    fake.holds(entries, says=says)
    assert journalctl.peek(Journal()) == state


def test_no_journalctl(tmp_path: Path, ingest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system a file is read instead."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (fault,) = ingest().faults
    assert (fault.message, fault.exit_code) == ("there is no journalctl on this machine", 3)
    assert "erranalytics ingest PATH" in fault.hint


def test_an_error_in_the_middle_keeps_what_was_read(fake: Fake, ingest: Any) -> None:
    """The entries before it are in the store, and the reason is in the note."""
    fake.holds(MINUTE, says="Failed to get journal fields: Bad message\n", code=1)
    (result,) = ingest().results
    assert result.event_count == 12
    assert "ended with an error" in result.note
    assert "Bad message" in result.note


def test_a_file_name_where_a_unit_belongs(fake: Fake, ingest: Any, tmp_path: Path) -> None:
    """``--journal server.log`` takes the file for a unit: the error says where to put a path."""
    path = tmp_path / "server.log"
    path.write_text("", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        ingest(str(path))
    assert "before --journal" in str(caught.value.hint)


@pytest.fixture
def remote() -> str:
    """The program of systemd that writes journals."""
    needs("journalctl")
    return str(journal_remote())


def test_a_real_journal_that_was_copied(tmp_path: Path, ask: Any, ingest: Any, remote: str) -> None:
    """The journalctl of this machine reads the folder of another one, and the second call finds nothing new."""
    folder = tmp_path / "journal"
    folder.mkdir()
    export = "".join(
        "".join(f"{key}={value}\n" for key, value in {**one, "_BOOT_ID": "6f0c2e5b1d8a4c0e9b7a3d52f4e81c90"}.items())
        + f"__MONOTONIC_TIMESTAMP={number + 1}\n\n"
        for number, one in enumerate(MINUTE)
    )
    (tmp_path / "x.export").write_text(export, encoding="utf-8")
    command = [remote, "-o", str(folder / "system.journal"), str(tmp_path / "x.export")]
    subprocess.run(command, check=True, capture_output=True)
    (first,) = ingest(journal_directory=folder).results
    (again,) = ingest(journal_directory=folder).results
    assert (first.uri, first.event_count, first.host) == (Journal("ollama", folder).uri, 12, "gpu01")
    assert again.status == "known"
