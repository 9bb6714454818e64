"""Shared fixtures: the folders, stores that tests of several modules read and none writes, a server that misbehaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.recorded_calls import recorded
from support.wire.server import WireServer

if TYPE_CHECKING:
    import duckdb

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the checkout; the test is skipped by name without it."""
    folder = ROOT.parent / "shared"
    if not (folder / "corpus").is_dir():
        pytest.skip("needs the reference folder ../shared, which is not part of the repository")
    return folder


@pytest.fixture(scope="session", params=[1, 2])
def busy(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of chance."""
    from support.stores import busy_store

    connection = busy_store(request.param)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of real logs of a server and what a client recorded of its calls."""
    from support.stores import real_store

    connection = real_store(tmp_path_factory.mktemp("groups"))
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
