"""Lines of two logs that are one request: calls and access lines, access lines of gateways and of Ollama.

Candidates are found first. Then the best pairs are taken, which leaves others to be the best, until no more come.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb

_SQL = Path(__file__).parent / "sql"
# A pair depends on lines within seconds; what is older than this before a load stays as it is.
_MARGIN = "interval 5 minute"
_MOST_ROUNDS = 500
_TOUCHED = "from events where event_id >= getvariable('touched') and session_id in (select session_id from scope)"


@dataclass(frozen=True)
class Pairing:
    """Two kinds of lines that are paired.

    ``folder`` holds the statements; a file in ``rounds`` is one insert, which is run until it adds nothing.
    ``has_work`` is the condition, in SQL, that there is something to pair.
    """

    folder: str
    rounds: frozenset[str]
    has_work: str

    @cached_property
    def _files(self) -> tuple[tuple[str, str], ...]:
        """Name and SQL of each file, in order; the first one widens the scope."""
        paths = sorted((_SQL / self.folder).glob("*.sql"))
        return tuple((path.name, path.read_text(encoding="utf-8")) for path in paths)

    def widen(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Add the sessions to ``scope`` whose lines may be paired with those that were touched."""
        connection.execute(self._files[0][1])

    def pair(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Pair what a load may have changed, and find the incidents of the problems on both sides."""
        for name, sql in self._files[1:]:
            for _ in range(_MOST_ROUNDS if name in self.rounds else 1):
                result = connection.execute(sql)
                # An insert returns how many rows it has added.
                if name in self.rounds and result.fetchall() == [(0,)]:
                    break


LINKS = Pairing(
    folder="links",
    rounds=frozenset({"020_unique.sql", "030_ordered.sql"}),
    has_work="""(exists (select 1 from calls) and exists (select 1 from requests where surface = 'ollama')
        or exists (select 1 from calls where request_id is not null))""",
)
GATEWAYS = Pairing(
    folder="gateways",
    rounds=frozenset({"020_best.sql"}),
    has_work="""(exists (select 1 from requests where surface = 'gateway')
        or exists (select 1 from errors where surface = 'gateway'))""",
)
ALL = (LINKS, GATEWAYS)


def with_work(connection: duckdb.DuckDBPyConnection) -> tuple[Pairing, ...]:
    """The pairings that have something to pair, with the scope widened for each."""
    (flags,) = connection.execute(f"select {', '.join(item.has_work for item in ALL)}").fetchall()
    pairings = tuple(item for item, flag in zip(ALL, flags, strict=True) if flag)
    if pairings:
        connection.execute(
            f"""create or replace temp macro touched_spans() as table
                select coalesce(min(ts) - {_MARGIN}, timestamptz '1970-01-01') as from_ts,
                    coalesce(max(ts) + {_MARGIN}, timestamptz '9999-12-31') as to_ts
                {_TOUCHED} group by source_id"""
        )
        for item in pairings:
            item.widen(connection)
        # Of all sources together: one without any time must not have all pairs made again. A time does not leave DuckDB
        # here, because its lowest supported version needs pytz for that.
        connection.execute(
            f"""set variable pairs_from = (
                    select coalesce(min(ts) - {_MARGIN}, timestamptz '1970-01-01') {_TOUCHED})"""
        )
    return pairings
