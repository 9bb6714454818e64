"""The failures in a piece of a log: the root of each incident, derived in a store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erranalytics.classification.rulebook import Rulebook
from erranalytics.explanation.explanation import Root
from erranalytics.ingestion import pipeline
from erranalytics.ingestion.in_memory import ParsedText, derived, stored_alone
from erranalytics.sources.files import discard, from_bytes

if TYPE_CHECKING:
    import duckdb


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


def roots(text: str, *, rules: Rulebook) -> list[Root]:
    """The roots of the incidents in a piece of a log, the worst first; none when it is a text of another kind."""
    source = from_bytes(text.encode("utf-8", "replace"))
    try:
        if pipeline.is_small(source):
            found = _roots(ParsedText.of(source, rules=rules))
        else:
            with stored_alone(source, rules=rules) as connection:
                found = _read_roots(connection)
    finally:
        discard(source)
    return found


def _roots(text: ParsedText) -> list[Root]:
    # Without a problem there is no root, and without a log (see `_ROOTS`) none is told.
    form = text.events["format"]
    is_logged = ~form.is_in(["unknown", "foreign"]) & ~form.str.starts_with("client-")
    if not text.problem_count or is_logged.sum() < 2:
        return []
    with derived(text, with_runs=True) as connection:
        return _read_roots(connection)


def _read_roots(connection: duckdb.DuckDBPyConnection) -> list[Root]:
    from erranalytics.store import frames

    return [Root(**row | {"wrapping": tuple(row["wrapping"] or ())}) for row in frames.rows(connection, _ROOTS)]
