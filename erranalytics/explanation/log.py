"""The root of each incident in a piece of a log, derived in a store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erranalytics.classification.rulebook import Rulebook
from erranalytics.explanation.explanation import Root
from erranalytics.ingestion import pipeline
from erranalytics.ingestion.in_memory import ParsedText, derived_store, separate_store
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook
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
-- A traceback or a message of several lines is one text; only records of Ollama make a log.
where (select count(*) from events where not list_contains($pieces, format)) > 1
order by case i.severity when 'critical' then 0 when 'error' then 1 else 2 end,
    case i.confidence when 'certain' then 0 when 'likely' then 1 else 2 end, v.line_no
"""


def roots(text: str, *, rules: Rulebook, formats: FormatBook) -> list[Root]:
    """The roots of the incidents in a piece of a log, the worst first; none when the text is not a log."""
    source = from_bytes(text.encode("utf-8", "replace"))
    try:
        if pipeline.is_small(source):
            return _roots(ParsedText.of(source, rules=rules, formats=formats))
        with separate_store(source, rules=rules, formats=formats) as connection:
            return _read_roots(connection, formats)
    finally:
        discard(source)


def _roots(text: ParsedText) -> list[Root]:
    # Without a problem there is no root, and a text that is not a log (see `_ROOTS`) has none either.
    is_logged = ~text.events["format"].is_in(_pieces(text.formats))
    if not text.problem_count or is_logged.sum() < 2:
        return []
    with derived_store(text, with_runs=True) as connection:
        return _read_roots(connection, text.formats)


def _pieces(formats: FormatBook) -> list[str]:
    """The formats whose lines alone do not make a log."""
    return [*formats.names("piece"), UNKNOWN]


def _read_roots(connection: duckdb.DuckDBPyConnection, formats: FormatBook) -> list[Root]:
    from erranalytics.store import frames

    rows = frames.rows(connection, _ROOTS, {"pieces": _pieces(formats)})
    return [Root(**row | {"wrapping": tuple(row["wrapping"] or ())}) for row in rows]
