"""Inputs one after the other into an open store: files, folders of dumped requests, standard input, the journal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import duckdb
import polars as pl

from erranalytics.clocks.clock import first_clock
from erranalytics.errors import ErranalyticsError, InputError
from erranalytics.ingestion import identity, journal_bookmark, loads, pipeline
from erranalytics.ingestion.loads import LoadResult, Options, Small
from erranalytics.ingestion.pipeline import State
from erranalytics.ingestion.resume import first_state
from erranalytics.sources import compression, journalctl, request_dumps
from erranalytics.sources.files import HEAD_BYTES, Source, discard, expand, from_bytes, open_source, open_spooled
from erranalytics.sources.journalctl import Journal
from erranalytics.sources.request_dumps import DumpFolder
from erranalytics.store import frames

# Small sources are stored together; so much is lost at most when the program is killed.
TOGETHER_BYTES = 4 << 20
TOGETHER_COUNT = 100
# What a source may be refused with.
_REFUSALS = (ErranalyticsError, duckdb.Error, pl.exceptions.PolarsError)
# How much text there is in an archive that does not tell its size, for progress only.
USUAL_RATIO = 10


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told while it happens: an input begins, bytes to come, bytes done, all read, it is in the store or is not.

    Bytes are those on disk.
    """

    on_source: Callable[[str], None] = lambda uri: None
    on_total: Callable[[int], None] = lambda count: None
    on_bytes: Callable[[int], None] = lambda count: None
    on_result: Callable[[LoadResult], None] = lambda result: None
    on_fault: Callable[[ErranalyticsError], None] = lambda fault: None
    on_read: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Intake:
    """Loads into one store; ``results`` and ``faults`` tell what became of each input."""

    connection: duckdb.DuckDBPyConnection
    options: Options
    watch: Watch
    results: list[LoadResult] = field(default_factory=list)
    faults: list[ErranalyticsError] = field(default_factory=list)
    _waiting: list[tuple[Small | LoadResult, str | None]] = field(default_factory=list)

    def take(self, paths: Sequence[str]) -> None:
        """Files, folders, globs and ``-``; what cannot be read is a fault, the others go on."""
        found = in_order(list(request_dumps.grouped(expand(paths))))
        sizes = [size_on_disk(one) for one in found]
        self.watch.on_total(sum(size or 0 for size in sizes))
        try:
            for one, size in zip(found, sizes, strict=True):
                try:
                    source = self._opened(one)
                except InputError as fault:
                    self.watch.on_bytes(size or 0)
                    self._fail(fault)
                    continue
                note = one.summary() if isinstance(one, DumpFolder) else None
                try:
                    self._take(source, source.byte_size if size is None else size, note=note)
                finally:
                    discard(source)
        except Exception:
            # Those before it are not to blame.
            self._store_waiting()
            raise
        self._store_waiting()

    def _take(self, source: Source, size: int, *, note: str | None) -> None:
        """Load a source, or let it wait for others when it is small and continues none."""
        if self._may_meet(source):
            self._store_waiting()
        with _metered(source, size, self.watch.on_bytes) as advance:
            options = replace(self.options, on_bytes=advance, on_read=self.watch.on_read)
            known = identity.find_known(self.connection, source, host=options.host)
            if known and known.is_all:
                self._waiting.append((loads.nothing_new(source, known), None))
                return
            first = first_state(source, options)
            if known or self._goes_on(source, first) or not pipeline.is_small(source, options.block_bytes):
                self._store_waiting()
                after = self.results[-1].ending if self.results else None
                self._keep(loads.load(self.connection, source, options, after=after), note=note)
                return
            self._waiting.append((loads.parse_small(self.connection, source, options, first=first), note))
        smalls = [one for one, _ in self._waiting if isinstance(one, Small)]
        if len(smalls) >= TOGETHER_COUNT or sum(small.size for small in smalls) >= TOGETHER_BYTES:
            self._store_waiting()

    def _may_meet(self, source: Source) -> bool:
        """Whether a source may be known when those that wait are stored: by its first bytes, or by its name."""
        return any(
            small.source.uri == source.uri or source.sample.startswith(small.source.sample[:HEAD_BYTES])
            for small, _ in self._waiting
            if isinstance(small, Small)
        )

    def _goes_on(self, source: Source, first: State) -> bool:
        """Whether a source continues the one before it."""
        before = self._waiting[-1][0] if self._waiting else self.results[-1] if self.results else None
        if before is None or not identity.is_sibling(source.uri, before.uri):
            return False
        after = before.ending_for(self.options) if isinstance(before, Small) else before.ending
        return after is not None and identity.continues(
            source, first, after, host=self.options.host, formats=self.options.formats
        )

    def _store_waiting(self) -> None:
        """Store what waits, together; if that fails, one by one."""
        waiting, self._waiting = self._waiting, []
        smalls = [one for one, _ in waiting if isinstance(one, Small)]
        try:
            results = iter(loads.load_together(self.connection, smalls, self.options))
        except _REFUSALS:
            if len(smalls) < 2:
                raise
            self._one_by_one(waiting)
            return
        for one, note in waiting:
            self._keep(next(results) if isinstance(one, Small) else one, note=note)

    def _one_by_one(self, waiting: Sequence[tuple[Small | LoadResult, str | None]]) -> None:
        """Store what can be stored, so that a bad source does not take the others with it; then the fault is raised."""
        first: Exception | None = None
        for one, note in waiting:
            try:
                (result,) = (
                    loads.load_together(self.connection, [one], self.options) if isinstance(one, Small) else [one]
                )
            except _REFUSALS as fault:
                first = first or fault
            else:
                self._keep(result, note=note)
        if first:
            raise first

    def take_journal(self, wanted: Journal) -> None:
        """What the journal holds since the last time, and the gap when the last entry is gone from it."""
        host = self.options.host
        self.watch.on_source(wanted.uri)
        last_us = journal_bookmark.last_read(self.connection, wanted, host=host)
        try:
            piece = journalctl.read(wanted, since_us=last_us, on_bytes=self.watch.on_bytes)
        except InputError as fault:
            self._fail(fault)
            return
        self.watch.on_total(2 * piece.source.byte_size)
        if piece.last_us is None or piece.last_us == last_us:
            discard(piece.source)
            self._keep(LoadResult(wanted.uri, "known", "journald-json"), note=piece.note)
            return
        source, notes = piece.source, [piece.note]
        try:
            with _metered(source, source.byte_size, self.watch.on_bytes) as advance:
                options = replace(self.options, on_bytes=advance, on_read=self.watch.on_read)
                result = loads.load(self.connection, source, options)
        finally:
            discard(source)
        with frames.transaction(self.connection):
            if last_us is not None and piece.first_us is not None and piece.first_us > last_us:
                notes.append(journal_bookmark.write_gap(self.connection, wanted, from_us=last_us, to_us=piece.first_us))
            journal_bookmark.remember(self.connection, wanted, piece.last_us, host=host)
        self._keep(result, note="; ".join(note for note in notes if note))

    def _opened(self, one: str | DumpFolder | InputError) -> Source:
        if isinstance(one, InputError):
            raise one
        name = one if isinstance(one, str) else one.uri
        self.watch.on_source("stdin" if name == "-" else name)
        if one != "-":
            return opened(one)
        stream = cast(BinaryIO, journalctl.CountingStream(sys.stdin.buffer, self.watch.on_bytes))
        source = open_spooled(stream, uri=one)
        # Its bytes are read twice: into a file, whose end must be known first, and out of it.
        self.watch.on_total(2 * source.byte_size)
        return source

    def _keep(self, result: LoadResult, *, note: str | None) -> None:
        """Keep a result, with what was seen before its source was read."""
        result = replace(result, note="; ".join(one for one in (note, result.note) if one) or None)
        self.results.append(result)
        self.watch.on_result(result)

    def _fail(self, fault: ErranalyticsError) -> None:
        self.faults.append(fault)
        self.watch.on_fault(fault)


def in_order(found: list[str | DumpFolder | InputError]) -> list[str | DumpFolder | InputError]:
    """Inputs as they came, but pieces of one name in the order of time: ``x.log`` goes on where ``x.log.1`` ends."""
    ordered: list[str | DumpFolder | InputError] = []
    run: list[str] = []
    for one in [*found, None]:
        if run and not (isinstance(one, str) and identity.is_sibling(one, run[-1])):
            ordered += _by_time(run) if len(run) > 1 else run
            run = []
        if isinstance(one, str):
            run.append(one)
        elif one is not None:
            ordered.append(one)
    return ordered


def _by_time(pieces: list[str]) -> list[str]:
    """Pieces by their first time; those without any stay behind the one before them by number."""
    times: list[datetime] = []
    numbered = sorted(pieces, key=lambda name: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", name)])
    for name in numbered:
        first = _first_time(name)
        times.append(first or (times[-1] if times else datetime.min.replace(tzinfo=UTC)))
    return [name for _, name in sorted(zip(times, numbered, strict=True), key=lambda pair: pair[0])]


def _first_time(name: str) -> datetime | None:
    try:
        source = open_source(name) if Path(name).is_file() else None
    except InputError:
        return None
    if source is None:
        return None
    clock = first_clock(source.text_sample(), mtime=source.mtime, default_tz="UTC")
    return (clock.last_ts or clock.near.replace(tzinfo=UTC)) if clock.is_dated else None


def opened(one: str | DumpFolder) -> Source:
    """A source of a file, of standard input or of dumped requests, whose text is left out.

    Raises:
        InputError: it cannot be read.
    """
    if isinstance(one, str) and not request_dumps.is_dump(one):
        return open_source(one)
    folder = DumpFolder(one, (one,)) if isinstance(one, str) else one
    return from_bytes(request_dumps.collect(folder.paths), uri=folder.uri)


def size_on_disk(one: str | DumpFolder | InputError) -> int | None:
    """Bytes of an input; None for standard input and pipes, whose end is not known."""
    match one:
        case InputError():
            return 0
        case DumpFolder():
            return sum(_size(path) for path in one.paths)
        case _:
            return _size(one) if Path(one).is_file() else None


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def text_size(source: Source) -> int:
    """Bytes of the text of a source; a guess where its archive does not tell."""
    if source.compression == compression.NONE:
        return source.byte_size
    if source.compression == "gzip" and source.byte_size > 4:
        # The last four bytes are the size, modulo 4 GiB (RFC 1952).
        with source.path.open("rb") as handle:
            handle.seek(-4, os.SEEK_END)
            told = int.from_bytes(handle.read(4), "little")
        return max(told, source.byte_size)
    return source.byte_size * USUAL_RATIO


@contextmanager
def _metered(source: Source, size: int, on_bytes: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """Bytes of text to bytes on disk, ``size`` of them in all, whatever was skipped because it was known."""
    share, done, told = size / max(text_size(source), 1), 0, 0

    def advance(count: int) -> None:
        nonlocal done, told
        done += count
        now = min(int(done * share), size)
        on_bytes(now - told)
        told = now

    yield advance
    on_bytes(size - told)
