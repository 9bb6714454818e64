"""The composition: blocks → LINES → RECORDS → EVENTS → verdicts, in batches with carry-over.

Stages are functions from frame to frame; what one batch must tell the next stands in ``State`` and goes
through every call. Reading runs ahead in a thread of its own, parsing in another, so two cores are busy.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import polars as pl

from erranalytics import clocks, fingerprint, framing, parsing, schema, sessions, sources, wrappers
from erranalytics.classifying import Memo
from erranalytics.classifying import classify as classify_texts
from erranalytics.clocks import Clock
from erranalytics.lineformats import FormatBook
from erranalytics.rulebook import Rulebook
from erranalytics.sessions import SessionState
from erranalytics.sources import Block, Source

T = TypeVar("T")

GUESSES = ("certain", "likely", "guess")


@dataclass(frozen=True, slots=True)
class State:
    """Everything the next batch needs of the ones before."""

    wrapper: str
    clock: Clock
    line_no: int = 1
    session: SessionState = field(default_factory=SessionState)
    rest: pl.DataFrame | None = None

    def as_json(self) -> dict[str, Any]:
        """What a grown source needs to go on; the rest is empty at the end of a source."""
        return {
            "wrapper": self.wrapper,
            "clock": self.clock.as_json(),
            "line_no": self.line_no,
            "has_config": self.session.has_config,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> State:
        """The state from ``as_json``."""
        session = SessionState(has_config=values["has_config"])
        return cls(values["wrapper"], Clock.from_json(values["clock"]), line_no=values["line_no"], session=session)


@dataclass(frozen=True, slots=True)
class Batch:
    """EVENTS with VERDICTS and ``session``; rejects; where the input stands after it."""

    events: pl.DataFrame
    rejects: pl.DataFrame
    block: Block
    state: State


def first_state(source: Source, *, default_tz: str, wrapper: str | None = None) -> State:
    """The state before the first line: wrapper and clock from a sample of the source."""
    sample = source.text_sample()
    found = wrapper or wrappers.detect(sample)
    return State(found, clocks.first_clock(sample, mtime=source.mtime, default_tz=default_tz))


def run(
    source: Source,
    *,
    state: State,
    start: int,
    formats: FormatBook,
    rules: Rulebook,
    memo: Memo,
    block_bytes: int = sources.BLOCK_BYTES,
) -> Iterator[Batch]:
    """The batches of a source from byte ``start``, in order."""
    blocks = ahead(sources.read(source, start=start, first_line=state.line_no, block_bytes=block_bytes))
    # Parsing runs in a thread; judging, which needs no state, in the caller's: the two weigh about the same.
    for batch in ahead(_parsed(blocks, state=state, formats=formats)):
        yield replace(batch, events=judge(batch.events, rules=rules, memo=memo))


def _parsed(blocks: Iterable[Block], *, state: State, formats: FormatBook) -> Iterator[Batch]:
    for block in blocks:
        lines = block.lines if state.rest is None else pl.concat([state.rest, block.lines])
        framed = framing.frame(lines, wrapper=state.wrapper, book=formats, is_last=block.digest is not None)
        events, clock = parsing.parse(framed.records, book=formats, clock=state.clock)
        numbers, session = sessions.assign(events, state.session)
        state = replace(
            state, clock=clock, session=session, rest=framed.rest, line_no=state.line_no + block.lines.height
        )
        yield Batch(events.with_columns(numbers), framed.rejects, block, state)


def judge(events: pl.DataFrame, *, rules: Rulebook, memo: Memo | None = None) -> pl.DataFrame:
    """Add VERDICTS to EVENTS (and keep further columns); texts and messages are looked at once each."""
    texts = events.select(pl.col("text").unique())
    verdicts = texts.hstack(classify_texts(texts["text"], book=rules, memo=memo)).cast({"confidence": pl.String})
    messages = events.select(pl.col("message").unique())
    messages = messages.with_columns(template=fingerprint.template(messages["message"]))
    messages = messages.with_columns(fingerprint=fingerprint.fingerprint(messages["template"]))
    # Most texts are known to no rule: the join brings only those that are.
    slugs = {cause.code: cause.slug for cause in rules.causes.values()}
    known = verdicts.filter(pl.col("code").is_not_null())
    known = known.with_columns(cause=pl.col("code").replace_strict(slugs, default=None, return_dtype=pl.String))
    judged = events.join(known, on="text", how="left", maintain_order="left").join(
        messages, on="message", how="left", nulls_equal=True, maintain_order="left"
    )
    return judged.select([*events.columns, *schema.VERDICTS.names()])


def ahead(items: Iterable[T], *, depth: int = 1) -> Iterator[T]:
    """Run an iterator in a thread, at most ``depth`` items ahead; errors come through."""
    box: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, box.put, stop), daemon=True)
    thread.start()
    try:
        while True:
            kind, value = box.get()
            if kind == "item":
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        stop.set()
        while thread.is_alive():
            # The producer may wait for room: make some until it sees the stop.
            try:
                box.get(timeout=0.01)
            except queue.Empty:
                continue


def _produce(items: Iterable[T], put: Callable[[tuple[str, Any]], None], stop: threading.Event) -> None:
    try:
        for item in items:
            if stop.is_set():
                return
            put(("item", item))
        put(("end", None))
    except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
        put(("error", error))
