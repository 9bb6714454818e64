"""How far a store has read each journal, and the gaps that vacuuming left."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from platform import node

import duckdb

from erranalytics.sources.journalctl import Journal


def last_read(connection: duckdb.DuckDBPyConnection, journal: Journal, *, host: str | None) -> int | None:
    """The stamp of the last entry that a store has of this journal, in microseconds."""
    found = connection.execute("select value from meta where key = ?", [_key(journal, host)]).fetchall()
    return int(json.loads(found[0][0])) if found else None


def remember(connection: duckdb.DuckDBPyConnection, journal: Journal, last_us: int, *, host: str | None) -> None:
    """Note in a store how far this journal was read."""
    connection.execute("insert or replace into meta values (?, ?)", [_key(journal, host), str(last_us)])


def _key(journal: Journal, host: str | None) -> str:
    return f"{journal.uri} read on {host or ('' if journal.directory else node())}"


def write_gap(connection: duckdb.DuckDBPyConnection, journal: Journal, *, from_us: int, to_us: int) -> str:
    """Note in a store that entries were gone before they were read; the sentence that tells it."""
    start, end = (datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=us) for us in (from_us, to_us))
    connection.execute(
        """insert into gaps
           select coalesce((select max(gap_id) from gaps), 0) + 1, source_id, host, ?, ?, ?, 'vacuumed'
           from sources where uri = ? order by source_id desc limit 1""",
        [journal.unit, start, end, journal.uri],
    )
    return (
        f"the journal no longer holds the last entry that was read, it was vacuumed: what was logged between "
        f"{start:%Y-%m-%d %H:%M:%S} and {end:%Y-%m-%d %H:%M:%S} UTC is gone"
    )
