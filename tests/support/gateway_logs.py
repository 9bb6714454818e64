"""Lines of gateways, and stores made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import erranalytics as ea
from erranalytics.store import frames

HEAD = '10.0.0.9 - - [21/Nov/2026:09:57:30 +0800] "POST /api/chat HTTP/1.1" 502 157 "-" "curl/8.5.0"'
TIME = "2026-11-21 01:57:30+00"
Rows = list[dict[str, Any]]
Written = Callable[..., Path]


def write_store(folder: Path, *, tz: str = "UTC", **logs: str) -> Path:
    """A store of logs given as names and lines."""
    for name, text in logs.items():
        (folder / f"{name}.log").write_text(text.strip() + "\n", encoding="utf-8")
    db = folder / "store.duckdb"
    assert ea.ingest([folder / f"{name}.log" for name in logs], db=db, tz=tz).faults == ()
    return db


def rows(db: Path, sql: str) -> Rows:
    """The rows of a query."""
    connection = ea.connect(db)
    found = frames.rows(connection, sql)
    connection.close()
    return found
