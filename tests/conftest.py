"""Shared fixtures: the folders, stores that tests of several modules read and none writes, a server that misbehaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import running
from support.folders import ROOT, TESTS
from support.needs import SHARED, left_out, needs
from support.once import CAN_WAIT, Once
from support.recorded_calls import recorded
from support.wire.server import WireServer

if TYPE_CHECKING:
    import duckdb

# Folders of tests that are not about one package, and the marker of all that is in them.
MARKERS = {"process": "process", "properties": "property"}


def pytest_configure(config: pytest.Config) -> None:
    """The long modules come first, and the run says what it leaves out; a wrong name of that ends it."""
    try:
        left_out()
    except ValueError as fault:
        raise pytest.UsageError(str(fault)) from None
    running.plug(config)


def pytest_itemcollected(item: pytest.Item) -> None:
    """The folder of a test says its kind, so that ``-m process`` runs all of one kind and ``-m "not process"`` none."""
    if marker := MARKERS.get(item.path.relative_to(TESTS).parts[0]):
        item.add_marker(marker)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the checkout."""
    needs("shared")
    return SHARED


@pytest.fixture(scope="session")
def ingested(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Once]:
    """Gives the store of some logs, which no test writes to; each is made once for all workers of a run."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput") and CAN_WAIT:
        folder = folder.parent
    once = Once(folder / "ingested")
    yield once
    assert once.written() == [], "a test wrote to a store that others read"


@pytest.fixture(scope="session", params=[1, 2])
def busy(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of chance."""
    from support.stores import busy_store

    connection = busy_store(request.param)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def demo(ingested: Once) -> Path:
    """The store of ``make demo``: real logs of servers, and what clients recorded of their calls."""
    from support.stores import DEMO

    return ingested(*DEMO)


@pytest.fixture(scope="session")
def real(demo: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same store, open for reading."""
    import erranalytics as ea

    connection = ea.connect(demo)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store whose log, host and models are written by an enemy, and real logs beside it."""
    from support.page_reader import hostile_store

    connection = hostile_store(tmp_path_factory.mktemp("hostile"))
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def pages(hostile: duckdb.DuckDBPyConnection) -> list[str]:
    """What that store makes: the whole page, and one of reports that quote the log."""
    from support.page_reader import drawn

    return [drawn([], hostile), drawn(["incidents", "unknown-errors", "error-frequency", "oom-incidents"], hostile)]


@pytest.fixture(scope="module")
def server() -> Iterator[WireServer]:
    """The server that misbehaves."""
    with WireServer() as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of records."""
    return tmp_path / "calls.jsonl"


@pytest.fixture
def calls(path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Reads the records written so far; every one of them fits the model."""
    return partial(recorded, path)
