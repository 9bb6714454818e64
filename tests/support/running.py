"""How a run of the tests goes: the long modules first, what it left out at its end, how long each module took."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

DURATIONS = Path(__file__).with_name("durations.txt")
# A run with this variable writes what its modules took into that file.
MEASURE = "ERRANALYTICS_TEST_DURATIONS"
# Modules that take less come last, in random order.
LEAST_S = 2.0


def module_of(nodeid: str) -> str:
    """The file a test is in, as pytest names it."""
    return nodeid.partition("::")[0]


def read(path: Path) -> dict[str, float]:
    """Seconds of each module."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = (line.split() for line in lines if line and not line.startswith("#"))
    return {module: float(seconds) for seconds, module in rows}


def write(path: Path, measured: dict[str, float], root: Path) -> None:
    """Write what was measured; modules that did not run keep what they had, those that are gone are dropped."""
    known = {module: seconds for module, seconds in read(path).items() if (root / module).exists()}
    rows = sorted((known | measured).items(), key=lambda row: (-row[1], row[0]))
    head = f"# Seconds each module takes, longest first: {MEASURE}=tests/support/durations.txt make test-all\n"
    body = "".join(f"{seconds:.0f} {module}\n" for module, seconds in rows if seconds >= LEAST_S)
    path.write_text(head + body, encoding="utf-8")


class LongFirst:
    """No worker begins a long module when the others are done; pytest-randomly's order stays within each."""

    def __init__(self, config: pytest.Config) -> None:
        self._seconds = read(DURATIONS)
        # pytest-xdist would put the modules with most tests first, which are not the longest.
        config.option.loadscopereorder = False

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort by what a module takes; the sort is stable."""
        items.sort(key=lambda item: -self._seconds.get(module_of(item.nodeid), 0.0))


class LeftOut:
    """Says at the end how many slow tests of each module were left to ``make check``."""

    def __init__(self, config: pytest.Config) -> None:
        self._is_asked = "slow" in config.option.markexpr
        self._counts: Counter[str] = Counter()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what the marker left out."""
        if self._is_asked:
            self._counts.update(module_of(item.nodeid) for item in items if item.get_closest_marker("slow"))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker hands its counts to the process that reports."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["left_out"] = dict(self._counts)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """All workers collect the same tests, so any of them knows the counts."""
        self._counts = Counter(getattr(node, "workeroutput", {}).get("left_out")) or self._counts

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line a module."""
        if self._counts:
            terminalreporter.section("left to make check")
        for module, count in sorted(self._counts.items()):
            terminalreporter.write_line(f"{module}: {count} slow {'test' if count == 1 else 'tests'}")


class Durations:
    """Adds up what the tests of each module take, and writes it where the run says so."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Setup, call and teardown."""
        self._seconds[module_of(report.nodeid)] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker has only a part, so the process that reports writes."""
        if not hasattr(session.config, "workerinput"):
            write(session.config.rootpath / os.environ[MEASURE], self._seconds, session.config.rootpath)


def plug(config: pytest.Config) -> None:
    """Have all of it in a run."""
    config.pluginmanager.register(LongFirst(config))
    config.pluginmanager.register(LeftOut(config))
    if MEASURE in os.environ:
        config.pluginmanager.register(Durations())
