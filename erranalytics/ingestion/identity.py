"""Which stored source an input is: known by its bytes, never by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from erranalytics.ingestion import pipeline
from erranalytics.ingestion.pipeline import State
from erranalytics.parsing.lineformats import FormatBook
from erranalytics.sources.digest import LEAF_BYTES, TREE, Digest
from erranalytics.sources.files import HEAD_BYTES, Source, flat_digests, head_digest, prefix_digests
from erranalytics.sources.lines import to_lines
from erranalytics.store import frames
from erranalytics.wrappers import unwrapping

if TYPE_CHECKING:
    import hashlib

# How long after the last record of one file the first of the next may come.
LONGEST_PAUSE = timedelta(minutes=5)

RECENT_LINES = 2000
LEAST_REPEATED = 8

_SERVER_START = re.compile(r"\bserver config\b")
_LISTENING = re.compile(r"\bListening on \S+ \(version ")
_PIECE_MARK = re.compile(r"[\W_]*(?:\d{0,14}|[a-z]{2})[\W_]*")


@dataclass(frozen=True, slots=True)
class Known:
    """A stored source whose bytes are a prefix of an input.

    ``digest`` is over those bytes; ``is_all`` when no more follow.
    """

    row: dict[str, Any]
    byte_count: int
    digest: Digest | hashlib._Hash
    is_all: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a source ended that the next file of the same run may continue.

    ``chain`` are the sources that continue each other up to this one, ``sessions`` are the numbers of the run in which
    it began and of the one before that. ``state`` is the one behind its last line, ``before`` the one before its last
    ``lines``; ``is_whole`` when the last of them has its end.
    """

    uri: str
    source_id: int
    host: str | None
    chain: tuple[int, ...]
    sessions: tuple[int, int]
    state: State
    before: State
    lines: pl.DataFrame = field(repr=False)
    is_whole: bool

    @property
    def line_count(self) -> int:
        """Lines of the source."""
        return self.state.line_no - 1

    def opened(self, formats: FormatBook) -> State:
        """The state before its last record, with the lines of that record; after a line without end it is closed."""
        if not self.is_whole:
            return self.state
        _, _, state = pipeline.step(self.lines, self.before, formats=formats, is_last=False)
        waiting = state.wrapping.pending
        return self.state if waiting is not None and waiting.height else state


def find_known(connection: duckdb.DuckDBPyConnection, source: Source, *, host: str | None = None) -> Known | None:
    """The stored source whose bytes are a prefix of this one, the longest of them.

    A few lines without a date are no identity: there only the same content or the same name counts.
    Under another ``host`` label the same bytes are another source.
    """
    candidates = frames.rows(
        connection,
        """select source_id, uri, wrapper, encoding, host, stream_id, byte_count, line_count, content_digest,
               resume_state, resume_byte, resume_session_id, resume_fallback_id
           from sources
           where (head_digest = $head or byte_count < $least) and coalesce(host = $host, $host is null)
               and (byte_count >= $least or uri = $uri or byte_count = $size
                    or is_dated)
           order by byte_count desc""",
        {
            "head": head_digest(source.sample),
            "least": HEAD_BYTES,
            "host": host,
            "uri": source.uri,
            "size": len(source.sample),
        },
    )
    if not candidates:
        return None
    for is_flat, digests_of in ((False, prefix_digests), (True, flat_digests)):
        rows = [row for row in candidates if _is_flat(row) == is_flat]
        # One byte more tells whether that is all there is.
        sizes = [int(row["byte_count"]) for row in rows]
        digests = digests_of(source, [*sizes, *(size + 1 for size in sizes)]) if rows else {}
        for row in rows:
            size = int(row["byte_count"])
            if size in digests and digests[size].hexdigest() == row["content_digest"]:
                return Known(row, size, digests[size], is_all=size + 1 not in digests)
    return None


def _is_flat(row: dict[str, Any]) -> bool:
    """Whether a long source was stored with the digest of an earlier version."""
    return int(row["byte_count"]) > LEAF_BYTES and not str(row["content_digest"]).startswith(TREE)


def was_replaced(connection: duckdb.DuckDBPyConnection, source: Source) -> bool:
    """Whether a file of this name was read before and had other content: it was rotated in place or truncated."""
    if source.mtime is None:
        return False
    return bool(connection.execute("select 1 from sources where uri = ?", [source.uri]).fetchall())


def continues(source: Source, first: State, ending: Ending, *, host: str | None, formats: FormatBook) -> bool:
    """Whether a new source goes on where another file of this run ended.

    It does when it is a piece of the same name that begins in the middle of a run of the server, shortly after the
    last record of the other, and does not repeat what stands there. A piece without any time must begin with a line of
    a runner.
    """
    if host != ending.host or not is_sibling(source.uri, ending.uri):
        return False
    sample = source.text_sample()
    lines = to_lines(sample.encode())["raw"].to_list()
    is_listening = any(_LISTENING.search(line) for line in lines[:5])
    if any(_SERVER_START.search(line) for line in lines[:1]) or (is_listening and not ending.state.session.has_config):
        return False
    if not first.clock.is_dated:
        return _is_of_runner(lines, first, formats=formats)
    last, clock, before = ending.state.clock.last_ts, first.clock, ending.state.clock
    moment = clock.last_ts
    if clock.own.seconds is None and before.own.seconds is not None:
        # Only local stamps in this piece: they are those of the same server.
        moment = (clock.near - timedelta(seconds=before.own.seconds)).replace(tzinfo=UTC)
    if last is None or moment is None or not -timedelta(seconds=1) <= moment - last <= LONGEST_PAUSE:
        return False
    return not _repeats(lines, tuple(ending.lines.tail(RECENT_LINES)["raw"].to_list()))


def _repeats(lines: list[str], ending: tuple[str, ...]) -> bool:
    """Whether text begins with the last lines of another, more of them than are written twice now and then.

    >>> _repeats([*"cdefghijkl"], tuple("abcdefghij")), _repeats([*"ijkl"], tuple("abcdefghij"))
    (True, False)
    """
    places = [place for place, line in enumerate(ending[: 1 - LEAST_REPEATED]) if line == lines[0]]
    return any(list(ending[place:]) == lines[: len(ending) - place] for place in places)


def _is_of_runner(lines: list[str], first: State, *, formats: FormatBook) -> bool:
    """Whether a piece begins with a line of a model runner, which has no stamp of its own."""
    bodies, _ = unwrapping.unwrap(to_lines("".join(lines[:1]).encode()), first.wrapping, is_last=True)
    known = formats.recognise(bodies.select("body", "unit"))["format"].to_list()
    return bool(known) and known[0] in formats.by_name and formats.by_name[known[0]].owner == "runner"


def is_sibling(one: str, other: str) -> bool:
    """Whether two names are those of pieces: ``x.log.2`` and ``x.log.1``, ``part-7`` and ``part-8``."""
    a, b = PurePath(one), PurePath(other)
    if a.parent != b.parent or a.name == b.name:
        return False
    start = next(
        (n for n, (x, y) in enumerate(zip(a.name, b.name, strict=False)) if x != y), min(len(a.name), len(b.name))
    )
    # Back to the first digit of a number, so that 9 and 10 are seen whole.
    while start and a.name[start - 1].isdigit():
        start -= 1
    ends = [a.name[start:], b.name[start:]]
    return all(_PIECE_MARK.fullmatch(re.sub(r"\.(?:log|txt|gz|zst|xz|bz2)$", "", end)) for end in ends)
