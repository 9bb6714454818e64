"""The bookmark of each journal in a store, and the gaps that vacuuming left."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from platform import node

import duckdb

from erranalytics.sources.journalctl import Journal


def last_read(connection: duckdb.DuckDBPyConnection, journal: Journal, *, host: str | None) -> int | None:
    """The stamp of the last entry that was read from this journal, in microseconds."""
    stamps = connection.execute("select value from meta where key = ?", [_key(journal, host)]).fetchall()
    return int(json.loads(stamps[0][0])) if stamps else None


def remember(connection: duckdb.DuckDBPyConnection, journal: Journal, last_us: int, *, host: str | None) -> None:
    """Store the stamp of the last entry that was read from this journal."""
    connection.execute("insert or replace into meta values (?, ?)", [_key(journal, host), str(last_us)])


def _key(journal: Journal, host: str | None) -> str:
    return f"{journal.uri} read on {host or ('' if journal.directory else node())}"


def write_gap(connection: duckdb.DuckDBPyConnection, journal: Journal, *, from_us: int, to_us: int) -> str:
    """Store a gap: entries were removed before they were read. Return a sentence for the user."""
    start, end = (datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=us) for us in (from_us, to_us))
    connection.execute(
        """insert into gaps
           select coalesce((select max(gap_id) from gaps), 0) + 1, source_id, host, ?, ?, ?, 'vacuumed'
           from sources where uri = ? order by source_id desc limit 1""",
        [journal.unit, start, end, journal.uri],
    )
    return (
        "the journal was vacuumed and no longer has the last entry that was read: entries between "
        f"{start:%Y-%m-%d %H:%M:%S} and {end:%Y-%m-%d %H:%M:%S} UTC are missing"
    )
