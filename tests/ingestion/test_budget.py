"""What must not creep back, counted and not timed: statements of derivation, runs of polars for a text and for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from support.folders import SAMPLES

import erranalytics as ea
from erranalytics.classification import rulebook, verdicts
from erranalytics.derivation import steps
from erranalytics.ingestion import loads, pipeline
from erranalytics.ingestion.resume import first_state
from erranalytics.parsing import lineformats
from erranalytics.sources.files import open_source
from erranalytics.store.connection import open_in_memory

OPTIONS = loads.Options(lineformats.load(), rulebook.load())
QUIET = "".join(
    f'time=2026-11-20T08:00:{second:02d}.000Z level=INFO source=a.go:1 msg="a note"\n' for second in range(50)
)
OOM = "Error: llama runner process has terminated: cudaMalloc failed: out of memory"


class Counting:
    """A connection that counts the statements it is given."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.count, self._connection = 0, connection

    def execute(self, query: str, *arguments: Any) -> duckdb.DuckDBPyConnection:
        """Count and execute."""
        self.count += len(duckdb.extract_statements(query))
        return self._connection.execute(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def statements(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many statements derive what a log brings into a new store."""
    derive, counted = steps.derive, []

    def watched(connection: duckdb.DuckDBPyConnection, **others: Any) -> None:
        counting = Counting(connection)
        derive(counting, **others)  # type: ignore[arg-type]
        counted.append(counting.count)

    monkeypatch.setattr(loads, "derive", watched)
    with open_in_memory() as connection:
        loads.load(connection, open_source(str(path)), OPTIONS)
    (count,) = counted
    return int(count)


def test_a_log_with_nothing_to_derive_takes_few_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No load, no problem, no request, no call: a third of those of a busy log."""
    (tmp_path / "quiet.log").write_text(QUIET)
    assert statements(tmp_path / "quiet.log", monkeypatch) <= 30


def test_a_log_with_something_of_most_takes_its_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads, memory, failures and requests, and nothing of clients and gateways; 14 of them make empty tables."""
    assert 60 < statements(SAMPLES / "server" / "oom-0.24.0.log", monkeypatch) <= 100


@contextmanager
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How often polars is run meanwhile."""
    found = [0]
    with monkeypatch.context() as patch:
        # Newer versions run what needs no optimiser by a way of its own; one may call the other.
        for name in ("collect", "_collect_eager"):
            if (method := getattr(pl.LazyFrame, name, None)) is not None:
                patch.setattr(pl.LazyFrame, name, counted(method, found))
        yield found


def counted(method: Any, found: list[int], depth: list[int] = [0]) -> Any:  # noqa: B006 - of all methods
    """A method that counts its outermost calls."""

    def call(self: pl.LazyFrame, *args: Any, **kwargs: Any) -> Any:
        found[0] += not depth[0]
        depth[0] += 1
        try:
            return method(self, *args, **kwargs)
        finally:
            depth[0] -= 1

    return call


NOTE = "time=2026-03-01T08:00:00.000Z level=INFO source=a.go:1 msg=x\n"
TEXTS = {"plain": ("hello", 60), "failure": (OOM, 98), "two lines": (NOTE + OOM, 160)}


@pytest.mark.parametrize(("text", "most"), TEXTS.values(), ids=TEXTS)
def test_a_text_takes_few_runs(text: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the text to its verdict, once the process has seen another."""
    ea.classify(text)
    with runs(monkeypatch) as found:
        ea.classify(text)
    assert most // 2 < found[0] <= most


@pytest.mark.parametrize(("name", "most"), [("oom-0.24.0.log", 250), ("journal-0.24.0.log", 400)])
def test_a_block_takes_few_runs(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the bytes of a log to events with verdicts, whatever its size; more formats take more."""
    source = open_source(str(SAMPLES / "server" / name))
    with runs(monkeypatch) as found:
        first = first_state(source, OPTIONS)
        (batch,) = pipeline.parsed(source, state=first, start=0, formats=OPTIONS.formats, is_small=True)
        verdicts.classify_events(batch.events, rules=OPTIONS.rules)
    assert most // 2 < found[0] <= most
