"""From where on pairs are made again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from erranalytics.derivation import pairing
from erranalytics.store.connection import open_in_memory

EVENTS = """
insert into events by name
select * from (values
    (1, 1, timestamptz '2026-11-20 08:00:00+00', 1), (2, 2, timestamptz '2026-11-20 09:00:00+00', 2),
    (3, 3, null, 3), (4, 4, timestamptz '2026-11-20 10:00:00+00', 3)
) as e (event_id, source_id, ts, session_id),
(select 1 as load_id, 1 as line_no, 1 as line_count, 'none' as ts_source, 'unknown' as format)
"""


def test_a_source_without_times_does_not_have_all_pairs_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are made again from five minutes before the first time of all that was touched."""
    always = replace(pairing.GATEWAYS, has_work="true")
    monkeypatch.setattr(pairing, "ALL", (always,))
    with open_in_memory() as connection:
        connection.execute(EVENTS)
        connection.execute("set variable touched = 2")
        connection.execute("create temp table scope as select unnest([2, 3]) as session_id")
        assert pairing.with_work(connection) == (always,)
        found = connection.execute(
            "select getvariable('pairs_from') = timestamptz '2026-11-20 08:55:00+00', count(*) from touched_spans()"
        ).fetchall()
    assert found == [(True, 3)]
