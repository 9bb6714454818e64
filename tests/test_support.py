"""What the tests rest on: what is missing fails a proof, logs are read once, and a run says what it left out."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import needs, once, running
from support.folders import ROOT, TESTS

SUPPORT = TESTS / "support"
LINE = "time=2026-01-05T10:00:00.000Z level=INFO source=routes.go:1 msg=hello\n"


# --- what is needed ------------------------------------------------------------------------------------------------


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a browser, outside of continuous integration."""
    monkeypatch.setitem(needs.NEEDS, "chromium", ("a browser", lambda: False))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv(needs.WITHOUT, raising=False)
    return monkeypatch


def test_what_is_there_is_used(lacking: pytest.MonkeyPatch) -> None:
    """Nothing happens, also in continuous integration."""
    lacking.setitem(needs.NEEDS, "chromium", ("a browser", lambda: True))
    lacking.setenv("CI", "true")
    needs.needs("chromium")


def test_what_is_missing_is_skipped_by_name(lacking: pytest.MonkeyPatch) -> None:
    """On somebody's machine a test without its means is no fault."""
    with pytest.raises(pytest.skip.Exception, match=r"^needs a browser$"):
        needs.needs("chromium")


def test_what_is_missing_fails_in_continuous_integration(lacking: pytest.MonkeyPatch) -> None:
    """A proof that was not made must not look like one; the message says how to leave it out."""
    lacking.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=f'needs a browser; .*{needs.WITHOUT}="chromium"'):
        needs.needs("chromium")


@pytest.mark.parametrize("text", ["chromium", "shared chromium", "journalctl,chromium"])
def test_what_the_run_leaves_out_is_skipped(lacking: pytest.MonkeyPatch, text: str) -> None:
    """Names are separated by blanks or commas."""
    lacking.setenv("CI", "true")
    lacking.setenv(needs.WITHOUT, text)
    with pytest.raises(pytest.skip.Exception, match=r"^left out by "):
        needs.needs("chromium")


def test_a_name_that_nothing_has_is_refused(lacking: pytest.MonkeyPatch) -> None:
    """A slip would leave out nothing."""
    lacking.setenv(needs.WITHOUT, "chrome")
    with pytest.raises(ValueError, match="names chrome; there are chromium, journalctl, shared"):
        needs.left_out()


def test_what_this_machine_lacks_is_printed() -> None:
    """As the variable wants it, by a Python that has no library."""
    run = subprocess.run([sys.executable, "-S", SUPPORT / "needs.py"], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [name for name, (_, is_there) in needs.NEEDS.items() if not is_there()]


# --- stores of logs ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not once.CAN_WAIT, reason="needs fcntl")
def test_workers_that_ask_at_once_get_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs are read by the first of them, in each order and zone anew."""
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_text(LINE, encoding="utf-8")
    second.write_text(LINE.replace("hello", "again"), encoding="utf-8")
    calls = []
    ingest = once.ea.ingest

    def counted(logs: tuple[Path, ...], *, db: Path, tz: str) -> object:
        calls.append((logs, tz))
        return ingest(logs, db=db, tz=tz)

    monkeypatch.setattr(once.ea, "ingest", counted)
    with ThreadPoolExecutor(4) as pool:
        stores = set(pool.map(lambda _: once.Once(tmp_path / "made")(first, second), range(8)))
    assert (len(stores), calls) == (1, [((first, second), "UTC")])
    others = {
        once.Once(tmp_path / "made")(*logs, tz=zone)
        for logs, zone in (((first,), "UTC"), ((first, second), "Asia/Tokyo"))
    }
    assert (len(others | stores), len(calls)) == (3, 3)
    connection = once.ea.connect(stores.pop())
    assert connection.execute("select count(*) from sources").fetchall() == [(2,)]
    connection.close()


def test_a_store_that_was_written_to_is_found_out(tmp_path: Path) -> None:
    """Who reads it leaves no trace; who writes to it changes what other tests see."""
    (tmp_path / "a.log").write_text(LINE, encoding="utf-8")
    (tmp_path / "b.log").write_text(LINE.replace("hello", "again"), encoding="utf-8")
    made = once.Once(tmp_path / "made")
    db = made(tmp_path / "a.log")
    once.ea.report("overview", db=db)
    assert made.written() == []
    once.ea.ingest([tmp_path / "b.log"], db=db, tz="UTC")
    assert made.written() == [db]


# --- a run ---------------------------------------------------------------------------------------------------------

CONFTEST = """
from pathlib import Path
from support import running

running.DURATIONS = Path(__file__).with_name("durations.txt")


def pytest_configure(config):
    running.plug(config)


def pytest_runtest_logreport(report):
    if report.when == "call":
        print("ran", report.nodeid)
"""
MODULE = """
import pytest

@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_slow(number):
    pass

def test_quick():
    pass

def test_quick_too():
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three modules with slow tests, the last of which takes longest, and one without."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    for name in "abc":
        (tmp_path / f"test_{name}.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "test_d.py").write_text("def test_quick():\n    pass\n", encoding="utf-8")
    (tmp_path / "durations.txt").write_text("# a head\n60 test_c.py\n30 test_b.py\n9 gone.py\n", encoding="utf-8")
    return tmp_path


def ran(project: Path, *options: str, **variables: str) -> str:
    """What a run of that project prints."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "xdist", "-p", "randomly", *options]
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "ERRANALYTICS_"))}
    paths = {
        "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    run = subprocess.run(command, cwd=project, env=own | paths | variables, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def order(output: str) -> list[str]:
    """The modules in the order in which they ran."""
    return list(
        dict.fromkeys(line.split()[1].partition("::")[0] for line in output.splitlines() if "ran test_" in line)
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_names_the_slow_tests_it_left_out(project: Path, workers: str) -> None:
    """How many of each module, once, however many workers there were."""
    output = ran(project, "-n", workers, "-m", "not slow")
    said = output[output.index("left to make check") :].splitlines()
    assert said[1:4] == ["test_a.py: 3 slow tests", "test_b.py: 3 slow tests", "test_c.py: 3 slow tests"]
    assert "7 passed" in said[-1]


def test_a_run_of_all_tests_leaves_nothing_out(project: Path) -> None:
    """So it says nothing of it."""
    output = ran(project, "-n", "0")
    assert "16 passed" in output
    assert "left to make check" not in output


@pytest.mark.parametrize("seed", ["1", "2"])
def test_long_modules_come_first(project: Path, seed: str) -> None:
    """By the table, however the rest is shuffled; with one worker modules run in the order of all."""
    options = ("-n", "1", "--dist", "loadfile", f"--randomly-seed={seed}")
    assert order(ran(project, *options))[:2] == ["test_c.py", "test_b.py"]


def test_order_within_a_module_stays_random(project: Path) -> None:
    """Tests that lean on each other are found out."""
    runs = {ran(project, "-n", "0", f"--randomly-seed={seed}", "test_c.py") for seed in range(3)}
    orders = {tuple(line for line in output.splitlines() if "ran test_" in line) for output in runs}
    assert len(orders) > 1


def test_a_run_measures_its_modules(project: Path) -> None:
    """Those that ran get their new seconds, the others keep theirs, and a module that is gone is dropped."""
    (project / "test_a.py").write_text("def test_quick():\n    pass\n", encoding="utf-8")
    ran(project, "-n", "1", "test_a.py", "test_b.py", **{running.MEASURE: "durations.txt"})
    assert running.read(project / "durations.txt") == {"test_c.py": 60.0}


def test_a_table_is_written_longest_first(tmp_path: Path) -> None:
    """Under a head that says how; what takes a moment needs no place."""
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).touch()
    path = tmp_path / "durations.txt"
    running.write(path, {"a.py": 3.4, "b.py": 1.2}, tmp_path)
    running.write(path, {"c.py": 71.6}, tmp_path)
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    assert running.MEASURE in head
    assert rows == ["72 c.py", "3 a.py"]


def test_the_table_names_modules_that_exist() -> None:
    """A module that was renamed would lose its place without a word."""
    assert [module for module in running.read(running.DURATIONS) if not (ROOT / module).exists()] == []
