"""Logs of clients: where they are, queries of their stores, and the records of a text."""

from __future__ import annotations

import polars as pl

from erranalytics.parsing import framing, lineformats
from erranalytics.sources.lines import to_lines
from erranalytics.wrappers import unwrapping
from support.folders import TESTS

CLIENTS = TESTS / "data" / "clients"
BOOK = lineformats.load()
EVENTS = """select e.line_no, e.line_count, e.format, e.message, e.attrs, e.component, r.cause, r.http_status,
    r.status_source, r.incident_id, r.surface, r.message as said
    from events as e left join errors as r using (event_id) order by e.event_id"""


def unwrapped(text: str) -> pl.DataFrame:
    """The lines of a text as BODIES."""
    state = unwrapping.WrapState(unwrapping.detect(text))
    return unwrapping.unwrap(to_lines(text.encode()), state, is_last=True)[0]


def formats_of(text: str) -> list[str]:
    """The formats of the records of a text."""
    bodies = unwrapped(text)
    return framing.frame(bodies, book=BOOK, end=bodies.height + 1, is_last=True).records["format"].to_list()
