"""Run the stages: blocks → LINES → RECORDS → EVENTS → verdicts, in batches.

Stages are functions from frame to frame. ``State`` carries what the next batch needs from the ones before it. Reading
runs ahead in its own thread and parsing in another, so two cores are busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from erranalytics import redaction, schema
from erranalytics.calls import extraction
from erranalytics.classification.classifier import Memo
from erranalytics.classification.rulebook import Rulebook
from erranalytics.classification.verdicts import classify_events
from erranalytics.clocks.clock import Clock, first_clock
from erranalytics.ingestion.prefetch import ahead
from erranalytics.parsing import framing, sessions
from erranalytics.parsing.events import parse
from erranalytics.parsing.lineformats import FormatBook, FormatCache
from erranalytics.parsing.sessions import SessionState
from erranalytics.sources import compression
from erranalytics.sources.digest import Digest
from erranalytics.sources.files import SAMPLE_BYTES, Source
from erranalytics.sources.lines import BLOCK_BYTES, Block, read_blocks
from erranalytics.wrappers import unwrapping
from erranalytics.wrappers.unwrapping import WrapState

if TYPE_CHECKING:
    import hashlib

SMALL_BYTES = 1 << 20
GUESSES = ("certain", "likely", "guess")


@dataclass(frozen=True, slots=True)
class State:
    """Everything the next batch needs from the ones before it.

    ``line_no`` is the next line of the source; ``open_byte`` is the byte at which its ``open_line`` begins.
    """

    wrapping: WrapState
    clock: Clock
    line_no: int = 1
    open_byte: int = 0
    session: SessionState = field(default_factory=SessionState)
    rest: pl.DataFrame | None = None

    @property
    def open_line(self) -> int:
        """The first line that is not part of a complete record; ``line_no`` if nothing is open."""
        waiting = (self.rest, self.wrapping.pending)
        return min(
            (int(rows["line_no"][0]) for rows in waiting if rows is not None and rows.height), default=self.line_no
        )

    def as_json(self) -> dict[str, Any]:
        """The values from which a grown source can resume at its ``open_line``."""
        return {
            "wrapping": self.wrapping.as_json(),
            "clock": self.clock.as_json(),
            "line_no": self.open_line,
            "has_config": self.session.has_config,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> State:
        """The state from the values of ``as_json``; the open lines must be read again."""
        session = SessionState(fallback=-1, has_config=values["has_config"])
        wrapping, clock = WrapState.from_json(values["wrapping"]), Clock.from_json(values["clock"])
        return cls(wrapping, clock, line_no=values["line_no"], session=session)


@dataclass(frozen=True, slots=True)
class Batch:
    """EVENTS with VERDICTS and ``session``, rejects, and the states before and after them.

    ``calls`` are the records of calls among the events, see ``extraction``. ``resume``, in the last batch of a source
    with several blocks, is the state before the open record, which more bytes may still change.
    """

    events: pl.DataFrame
    rejects: pl.DataFrame
    block: Block
    state: State
    before: State
    resume: State | None = None
    calls: pl.DataFrame = field(default_factory=lambda: schema.empty(extraction.SCHEMA))


def first_state(source: Source, *, default_tz: str, wrapper: str | None = None, year: int | None = None) -> State:
    """The state before the first line, with wrapper and clock from a sample of the source."""
    sample = source.text_sample()
    wrapper = wrapper or unwrapping.detect(sample)
    clock = first_clock(sample, mtime=source.mtime, default_tz=default_tz, year=year)
    return State(WrapState(wrapper), clock)


def is_small(source: Source, block_bytes: int = BLOCK_BYTES) -> bool:
    """Whether a source fits one block with room to spare, so that threads do not pay; an archive must fit a sample."""
    if source.compression != compression.NONE:
        return len(source.sample) < SAMPLE_BYTES
    return source.byte_size <= min(SMALL_BYTES, block_bytes - 1)


def run(
    source: Source,
    *,
    state: State,
    start: int,
    formats: FormatBook,
    rules: Rulebook,
    memo: Memo,
    block_bytes: int = BLOCK_BYTES,
    seen: tuple[int, Digest | hashlib._Hash] | None = None,
) -> Iterator[Batch]:
    """Yield the classified batches of a source from byte ``start``, in order."""
    for batch in parsed(source, state=state, start=start, formats=formats, block_bytes=block_bytes, seen=seen):
        extracted = extraction.extract(
            classify_events(batch.events, rules=rules, memo=memo), rules=rules, formats=formats
        )
        rejects = pl.concat([batch.rejects, extracted.rejects])
        yield replace(batch, events=extracted.events, calls=extracted.calls, rejects=rejects)


def parsed(
    source: Source,
    *,
    state: State,
    start: int,
    formats: FormatBook,
    block_bytes: int = BLOCK_BYTES,
    seen: tuple[int, Digest | hashlib._Hash] | None = None,
    is_small: bool = False,
    cache: FormatCache | None = None,
) -> Iterator[Batch]:
    """Yield the batches of a source from byte ``start``, in order, without verdicts and calls.

    Unwrapping and parsing have a thread each; classifying needs no state and is left to the caller. If the source
    ``is_small``, the thread of the caller does all of it. ``cache`` holds what other small sources of the load had.
    """
    blocks = read_blocks(source, start=start, first_line=state.line_no, block_bytes=block_bytes, seen=seen)
    is_from_start = start == 0 and state.line_no == 1 and state.rest is None
    unwrapped = _unwrapped(blocks, state.wrapping, can_grow=source.can_grow, is_from_start=is_from_start)
    if is_small:
        return _parsed(unwrapped, state=state, formats=formats, cache=cache or FormatCache())
    return ahead(_parsed(ahead(unwrapped), state=state, formats=formats, cache=cache or FormatCache()), depth=2)


@dataclass(frozen=True, slots=True)
class _UnwrappedLines:
    """The BODIES of some lines, the number of lines, and the state of their wrappers for the next lines."""

    bodies: pl.DataFrame
    line_count: int
    wrapping: WrapState


@dataclass(frozen=True, slots=True)
class _UnwrappedBlock:
    """A block: its complete lines, its last line if it has no line end, and that line if it waits for its end."""

    block: Block
    complete: _UnwrappedLines
    tail: _UnwrappedLines | None = None
    waiting: pl.DataFrame | None = None


def _unwrapped(
    blocks: Iterable[Block], wrapping: WrapState, *, can_grow: bool, is_from_start: bool
) -> Iterator[_UnwrappedBlock]:
    """Unwrap blocks; ``is_from_start`` means that the first one begins with the first line of its source."""
    for block in blocks:
        if block.digest is None:
            part = _unwrap(block.lines, wrapping, is_last=False)
            wrapping, is_from_start = part.wrapping, False
            yield _UnwrappedBlock(block.without_lines(), part)
            continue
        tail = schema.empty(schema.LINES) if block.tail is None else block.tail
        waiting = incomplete(tail) if can_grow else tail.clear()
        tail = tail.join(waiting, on="line_no", how="anti") if waiting.height else tail
        if is_from_start:
            # The source has only this block, so when it has grown it is read again from its start.
            yield _UnwrappedBlock(
                block, _unwrap(pl.concat([block.lines, tail]), wrapping, is_last=True), waiting=waiting
            )
        else:
            part = _unwrap(block.lines, wrapping, is_last=False)
            yield _UnwrappedBlock(block, part, _unwrap(tail, part.wrapping, is_last=True), waiting)


def _unwrap(lines: pl.DataFrame, wrapping: WrapState, *, is_last: bool) -> _UnwrappedLines:
    bodies, wrapping = unwrapping.unwrap(lines, wrapping, is_last=is_last)
    return _UnwrappedLines(bodies, lines.height, wrapping)


def _parsed(
    unwrapped: Iterable[_UnwrappedBlock], *, state: State, formats: FormatBook, cache: FormatCache
) -> Iterator[Batch]:
    for item in unwrapped:
        before, resume, block = state, None, item.block
        is_last = item.waiting is not None and item.tail is None
        events, rejects, state = _parse(item.complete, state, formats=formats, is_last=is_last, cache=cache)
        if item.waiting is None:
            state = _with_byte(state, block)
            yield Batch(events, rejects, block.stripped(), state, before)
            continue
        if item.tail is not None:
            resume = _with_byte(state, block)
            more, bad, state = _parse(item.tail, resume, formats=formats, is_last=True, cache=cache)
            events, rejects = pl.concat([events, more]), pl.concat([rejects, bad])
        if item.waiting.height:
            sample = redaction.mask_secrets(item.waiting["raw"]).str.slice(0, 80)
            count, reason = pl.lit(1, dtype=pl.Int32), pl.lit("incomplete")
            late = item.waiting.select("line_no", line_count=count, reason=reason, sample=sample)
            rejects = pl.concat([rejects, late])
        state = replace(state, line_no=state.line_no + item.waiting.height)
        yield Batch(events, rejects, block, state, before, resume)


def _with_byte(state: State, block: Block) -> State:
    """The state after a block, with the byte in the source at which its open lines begin."""
    offset = block.offset(state.line_no - state.open_line)
    return state if offset is None else replace(state, open_byte=offset)


def step(
    lines: pl.DataFrame, state: State, *, formats: FormatBook, is_last: bool
) -> tuple[pl.DataFrame, pl.DataFrame, State]:
    """Turn the LINES after a state into EVENTS with ``session`` and rejects, and return the state after them."""
    return _parse(_unwrap(lines, state.wrapping, is_last=is_last), state, formats=formats, is_last=is_last)


def _parse(
    part: _UnwrappedLines, state: State, *, formats: FormatBook, is_last: bool, cache: FormatCache | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, State]:
    bodies = part.bodies if state.rest is None else pl.concat([state.rest, part.bodies])
    line_no, pending = state.line_no + part.line_count, part.wrapping.pending
    end = line_no if pending is None or pending.is_empty() else int(pending["line_no"][0])
    framed = framing.frame(bodies, book=formats, end=end, is_last=is_last, cache=cache)
    events, clock = parse(framed.records, book=formats, clock=state.clock)
    numbers, session = sessions.assign(events, state.session)
    state = replace(state, wrapping=part.wrapping, clock=clock, line_no=line_no, session=session, rest=framed.rest)
    return events.with_columns(numbers), framed.rejects, state


def incomplete(tail: pl.DataFrame) -> pl.DataFrame:
    """The LINES without a line end that are evidently cut: a line of Ollama, or an object without its last brace."""
    raw = pl.col("raw")
    is_slog = raw.str.contains(r"time=\d{4}-") & ~raw.str.contains(r" msg=")
    has_open_quote = raw.str.contains(r"time=\d{4}-") & (raw.str.count_matches(r'(?:^|[^\\])(?:\\\\)*"') % 2 == 1)
    is_access = raw.str.contains(r"\[GIN\] \d{4}/") & ~raw.str.contains(r'\| [A-Z]+ +"[^"]*"')
    is_object = raw.str.starts_with("{") & ~raw.str.ends_with("}")
    return tail.filter(is_slog | has_open_quote | is_access | is_object)
