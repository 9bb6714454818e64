"""Recognise an input that is stored already, by its bytes and never by its name.

The store keeps the size and the digest of each source. With a stored source of 900 bytes:

    input                                               find_stored
    the same 900 bytes, under any name                  StoredSource(byte_count=900, is_all=True): nothing to do
    these 900 bytes and 200 more                        StoredSource(byte_count=900, is_all=False): it has grown
    other bytes under the same name                     None: a new source, see was_replaced
"""

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

# The longest time between the last record of a file and the first of the next.
LONGEST_PAUSE = timedelta(minutes=5)

RECENT_LINES = 2000
LEAST_REPEATED = 8

_SERVER_START = re.compile(r"\bserver config\b")
_LISTENING = re.compile(r"\bListening on \S+ \(version ")
_PIECE_MARK = re.compile(r"[\W_]*(?:\d{0,14}|[a-z]{2})[\W_]*")


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A stored source whose bytes are a prefix of an input.

    ``digest`` covers those bytes; ``is_all`` means that the input has no more.
    """

    row: dict[str, Any]
    byte_count: int
    digest: Digest | hashlib._Hash
    is_all: bool


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """The end of a source, which the next file of the same call may continue.

    ``chain`` are the sources that continue each other, up to this one; ``sessions`` are the numbers of the run of the
    server in which it began and of the run before. ``before`` and ``state`` are the states before and after its last
    ``lines``; ``is_whole`` means that the last of them has a line end.
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

    def reopened(self, formats: FormatBook) -> State:
        """The state before its last record, with the lines of that record; a line without end leaves nothing open."""
        if not self.is_whole:
            return self.state
        _, _, state = pipeline.step(self.lines, self.before, formats=formats, is_last=False)
        waiting = state.wrapping.pending
        return self.state if waiting is not None and waiting.height else state


def find_stored(
    connection: duckdb.DuckDBPyConnection, source: Source, *, host: str | None = None
) -> StoredSource | None:
    """Find the longest stored source whose bytes are a prefix of this one.

    A few lines without a date do not identify a source, so they also need the same size or the same name. Under another
    ``host`` label the same bytes are another source.
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
        # A digest of one more byte exists only if the input goes on.
        sizes = [int(row["byte_count"]) for row in rows]
        digests = digests_of(source, [*sizes, *(size + 1 for size in sizes)]) if rows else {}
        for row in rows:
            size = int(row["byte_count"])
            if size in digests and digests[size].hexdigest() == row["content_digest"]:
                return StoredSource(row, size, digests[size], is_all=size + 1 not in digests)
    return None


def _is_flat(row: dict[str, Any]) -> bool:
    """Whether a long source was stored with the kind of digest that earlier versions used."""
    return int(row["byte_count"]) > LEAF_BYTES and not str(row["content_digest"]).startswith(TREE)


def was_replaced(connection: duckdb.DuckDBPyConnection, source: Source) -> bool:
    """Whether a file of this name was stored with other content: it was rotated in place or truncated."""
    if source.mtime is None:
        return False
    return bool(connection.execute("select 1 from sources where uri = ?", [source.uri]).fetchall())


def continues(source: Source, first: State, end: SourceEnd, *, host: str | None, formats: FormatBook) -> bool:
    """Whether a new source continues another file that was read in the same call.

    It must be a piece of the same log that begins in the middle of a run of the server, shortly after the last record
    of the other, and does not repeat its lines. A piece without times must begin with a line of a runner.
    """
    # server.log.1 ends with     time=2026-11-20T08:10:00.000Z level=INFO … msg="entering retry loop"
    # server.log begins with
    #   time=2026-11-20T08:10:05.000Z level=INFO … msg="loading model"    continues: 5 s later, in the same run
    #   time=2026-11-20T08:10:05.000Z level=INFO … msg="server config"    does not: a run of the server begins
    #   time=2026-11-20T09:10:00.000Z level=INFO … msg="loading model"    does not: LONGEST_PAUSE has passed
    if host != end.host or not is_sibling(source.uri, end.uri):
        return False
    sample = source.text_sample()
    lines = to_lines(sample.encode())["raw"].to_list()
    is_listening = any(_LISTENING.search(line) for line in lines[:5])
    if any(_SERVER_START.search(line) for line in lines[:1]) or (is_listening and not end.state.session.has_config):
        return False
    if not first.clock.is_dated:
        return _is_of_runner(lines, first, formats=formats)
    last, clock, before = end.state.clock.last_ts, first.clock, end.state.clock
    moment = clock.last_ts
    if clock.own.seconds is None and before.own.seconds is not None:
        # This piece has only local stamps, which are in the zone of the same server.
        moment = (clock.near - timedelta(seconds=before.own.seconds)).replace(tzinfo=UTC)
    if last is None or moment is None or not -timedelta(seconds=1) <= moment - last <= LONGEST_PAUSE:
        return False
    return not _repeats(lines, tuple(end.lines.tail(RECENT_LINES)["raw"].to_list()))


def _repeats(lines: list[str], last_lines: tuple[str, ...]) -> bool:
    """Whether a text begins with the last lines of another, and with more of them than a log repeats by chance.

    >>> _repeats([*"cdefghijkl"], tuple("abcdefghij")), _repeats([*"ijkl"], tuple("abcdefghij"))
    (True, False)
    """
    starts = [start for start, line in enumerate(last_lines[: 1 - LEAST_REPEATED]) if line == lines[0]]
    return any(list(last_lines[start:]) == lines[: len(last_lines) - start] for start in starts)


def _is_of_runner(lines: list[str], first: State, *, formats: FormatBook) -> bool:
    """Whether a piece begins with a line of a model runner, which has no stamp of its own."""
    bodies, _ = unwrapping.unwrap(to_lines("".join(lines[:1]).encode()), first.wrapping, is_last=True)
    names = formats.recognise(bodies.select("body", "unit"))["format"].to_list()
    return bool(names) and names[0] in formats.by_name and formats.by_name[names[0]].owner == "runner"


def is_sibling(name: str, other: str) -> bool:
    """Whether two names are those of pieces of one log.

    >>> is_sibling("x.log.2", "x.log.1"), is_sibling("part-9", "part-10"), is_sibling("server.log", "client.log")
    (True, True, False)
    """
    a, b = PurePath(name), PurePath(other)
    if a.parent != b.parent or a.name == b.name:
        return False
    start = next(
        (n for n, (x, y) in enumerate(zip(a.name, b.name, strict=False)) if x != y), min(len(a.name), len(b.name))
    )
    # Go back to the first digit of a number, so that 10 and 11 are compared as numbers and not as 0 and 1.
    while start and a.name[start - 1].isdigit():
        start -= 1
    ends = [a.name[start:], b.name[start:]]
    return all(_PIECE_MARK.fullmatch(re.sub(r"\.(?:log|txt|gz|zst|xz|bz2)$", "", end)) for end in ends)
