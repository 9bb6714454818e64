"""What a store says, without the numbers it gives its rows: two stores that say the same are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import duckdb

from erranalytics.store import frames

Content = Mapping[str, Counter[tuple[str, ...]]]

# One query a table. Numbers of rows, sources and loads are left out or replaced by what they point to.
_QUERIES = {
    "events": """select e.host, e.ts::varchar, e.ts_source, e.unit, e.pid, e.format, e.level, e.component, e.message, e.attrs,
        e.code, e.cause, e.line_count, t.template, i.first_ts::varchar, i.code, s.ts_start::varchar, s.version
        from events as e left join templates as t using (template_id) left join incidents as i using (incident_id)
        left join server_sessions as s on s.session_id = e.session_id""",
    "errors": """select e.host, e.ts::varchar, e.surface, e.code, e.severity, e.http_status, e.status_source, e.model, e.endpoint,
        e.message, e.fingerprint, e.confidence, e.rule, i.first_ts::varchar, i.code
        from errors as e left join incidents as i using (incident_id)""",
    "requests": """select r.ts_start::varchar, r.ts_end::varchar, r.duration_us, r.status, r.method, r.path, r.model,
        r.model_source, r.outcome, r.code,
        i.first_ts::varchar, i.code, r.suspected_by is not null from requests as r left join incidents as i using (incident_id)""",
    "incidents": """select first_ts::varchar, last_ts::varchar, i.code, i.severity, error_count, request_count, models, sides, e.message
        from incidents as i left join events as e on e.event_id = i.root_event_id""",
    "server_sessions": """select host, pid, version, ts_start::varchar, ts_end::varchar, end_reason, config::varchar,
        list_sort(devices)::varchar from server_sessions""",
    "model_loads": """select * exclude (load_seq, session_id, source_id, first_event_id, last_event_id, ts_start, ts_end),
        ts_start::varchar, ts_end::varchar from model_loads""",
    "gpu_memory": "select * exclude (event_id, source_id, session_id, ts), ts::varchar from gpu_memory",
    "templates": """select template, format, code, first_ts::varchar, last_ts::varchar, event_count, first_version, last_version
        from templates""",
}
# The clock of the machine, which no two runs share; what else a load has must be equal.
_CLOCKS = {"loads": ("started_at", "finished_at")}
# Where a record is larger than a block, a source that grows is read again from a later line.
_RESUME = {"sources": ("resume_byte", "resume_state", "resume_session_id", "resume_fallback_id")}


def content(connection: duckdb.DuckDBPyConnection) -> Content:
    """The rows of each table as a multiset."""
    return {
        name: Counter(tuple(str(value) for value in row) for row in connection.execute(sql).fetchall())
        for name, sql in _QUERIES.items()
    }


def digests(connection: duckdb.DuckDBPyConnection, *, with_resume: bool = True) -> dict[str, tuple[int, str]]:
    """Every row of every table with its numbers, without the times at which loads were done."""
    found = frames.digests(connection)
    for table, names in (_CLOCKS if with_resume else _CLOCKS | _RESUME).items():
        rows = f"(from {table} select * exclude ({', '.join(names)}))"
        sql = f"select count(*), coalesce(sum(hash(t)::hugeint), 0)::varchar from {rows} as t"
        ((count, digest),) = connection.execute(sql).fetchall()
        found[table] = (int(count), str(digest))
    return found


def counts(connection: duckdb.DuckDBPyConnection, *, host: str | None = None) -> dict[str, int]:
    """How many rows the tables hold, of one host or of all."""
    tables = ("events", "errors", "requests", "incidents", "server_sessions")
    of_host = "session_id in (select session_id from events where coalesce(host = $host, $host is null))"
    found = {}
    for name in tables:
        ((found[name],),) = connection.execute(
            f"select count(*) from {name} where {of_host}", {"host": host}
        ).fetchall()
    return found


def difference(one: Content, other: Content, *, most: int = 3) -> dict[str, tuple[list[Any], list[Any]]]:
    """Rows that only one of two stores has, some of each table; empty when they say the same."""
    return {
        name: (list((one[name] - other[name]).items())[:most], list((other[name] - one[name]).items())[:most])
        for name in one
        if one[name] != other[name]
    }


def ledger(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """Loads whose lines are not all in an event, a reject or counted as duplicate: an account that adds up is empty."""
    return connection.execute(
        """select l.load_id, l.line_count - l.duplicate_count
               - coalesce((select sum(e.line_count) from events as e where e.load_id = l.load_id), 0)
               - coalesce((select sum(r.line_count) from rejects as r where r.load_id = l.load_id), 0) as missing,
               l.event_count - (select count(*) from events as e where e.load_id = l.load_id) as events_missing
           from loads as l where missing <> 0 or events_missing <> 0"""
    ).fetchall()
