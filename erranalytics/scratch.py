"""One source judged by the whole machinery in a store in memory that is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from erranalytics import lineformats, loads, sources, store, zones
from erranalytics.explaining import Root
from erranalytics.rulebook import Rulebook
from erranalytics.sources import Source

if TYPE_CHECKING:
    import duckdb

_VERDICTS = """
select e.line_no, e.line_count, strftime(e.ts, '%Y-%m-%dT%H:%M:%S.%fZ') as ts, e.ts_source, e.format, e.level,
       e.message,
       coalesce(v.severity in ('warning', 'error', 'critical'), false) as is_error,
       e.code, e.cause, c.category, v.severity, v.http_status, v.confidence, v.rule, v.fingerprint,
       dense_rank() over (order by e.incident_id nulls last) as incident_rank, e.incident_id is null as is_alone
from events as e
inner join verdicts as v using (event_id)
left join causes as c on c.code = e.code
order by e.event_id
"""
_ROOTS = """
select v.line_no, i.code, e.rule, i.severity, e.message as inner, e.captures, e.wrapping, e.remedy, s.version,
    i.error_count, i.request_count
from incidents as i
inner join errors as e on e.event_id = i.root_event_id
inner join events as v on v.event_id = i.root_event_id
left join server_sessions as s on s.session_id = i.session_id
-- A traceback or a message of several lines is one text; only what Ollama logged is a log.
where (select count(*) from events where format not in ('unknown', 'foreign') and format not like 'client-%') > 1
order by case i.severity when 'critical' then 0 when 'error' then 1 else 2 end,
    case i.confidence when 'certain' then 0 when 'likely' then 1 else 2 end, v.line_no
"""


def verdicts(source: Source, *, rules: Rulebook, wrapper: str | None = None) -> Iterator[pl.DataFrame]:
    """Frames with the fields ``classify`` writes, in input order."""
    with _judged(source, rules=rules, wrapper=wrapper) as connection:
        for frame in store.stream(connection, _VERDICTS):
            incident = pl.when(~pl.col("is_alone")).then("incident_rank").alias("incident")
            yield frame.with_columns(incident).drop("incident_rank", "is_alone")


def roots(text: str, *, rules: Rulebook) -> list[Root]:
    """The roots of the incidents in a piece of a log, the worst first; none when it is a text of another kind."""
    source = sources.from_bytes(text.encode("utf-8", "replace"))
    try:
        with _judged(source, rules=rules) as connection:
            found = store.rows(connection, _ROOTS)
    finally:
        sources.discard(source)
    return [Root(**row | {"wrapping": tuple(row["wrapping"] or ())}) for row in found]


@contextmanager
def _judged(source: Source, *, rules: Rulebook, wrapper: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store that holds the source, and the table ``verdicts`` with what was found for every event."""
    connection = store.open_in_memory()
    try:
        connection.execute(
            """create table verdicts (event_id bigint, severity varchar, http_status smallint,
                   confidence varchar, rule varchar, fingerprint varchar)"""
        )

        def keep(events: pl.DataFrame) -> None:
            names = ("event_id", "severity", "confidence", "rule", "fingerprint")
            store.append(connection, "verdicts", events.select(*names, http_status="status"))

        options = loads.Options(
            lineformats.load(), rules, default_tz=zones.local(None), wrapper=wrapper, on_events=keep
        )
        loads.load(connection, source, options)
        yield connection
    finally:
        connection.close()
