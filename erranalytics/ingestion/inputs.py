"""Load inputs into an open store in turn: files, folders of dumped requests, standard input, the journal."""

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
from erranalytics.ingestion.loads import LoadResult, ParsedSource
from erranalytics.ingestion.options import Options
from erranalytics.ingestion.pipeline import State
from erranalytics.ingestion.resume import first_state
from erranalytics.sources import compression, journalctl, request_dumps
from erranalytics.sources.files import HEAD_BYTES, Source, discard, expand, from_bytes, open_source, open_spooled
from erranalytics.sources.journalctl import Journal
from erranalytics.sources.request_dumps import DumpFolder
from erranalytics.store import frames

# Small sources are stored together, up to this much, which is also the most that is lost when the program is killed.
TOGETHER_BYTES = 4 << 20
TOGETHER_COUNT = 100
# Exceptions that refuse a source.
_REFUSALS = (ErranalyticsError, duckdb.Error, pl.exceptions.PolarsError)
# The guess, for progress only, how much longer the text of an archive is that does not state its size.
USUAL_RATIO = 10


@dataclass(frozen=True, slots=True)
class ProgressCallbacks:
    """Functions to call while inputs are loaded; all bytes are those on disk.

    ``on_source`` gets the name of an input that begins, ``on_total`` more bytes to come, ``on_bytes`` more bytes done;
    ``on_read`` is called when a source is read, ``on_result`` or ``on_fault`` when an input is stored or refused.
    """

    on_source: Callable[[str], None] = lambda uri: None
    on_total: Callable[[int], None] = lambda count: None
    on_bytes: Callable[[int], None] = lambda count: None
    on_result: Callable[[LoadResult], None] = lambda result: None
    on_fault: Callable[[ErranalyticsError], None] = lambda fault: None
    on_read: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Inputs:
    """Loads inputs into one store; each input adds to ``results`` or ``faults``."""

    connection: duckdb.DuckDBPyConnection
    options: Options
    callbacks: ProgressCallbacks
    results: list[LoadResult] = field(default_factory=list)
    faults: list[ErranalyticsError] = field(default_factory=list)
    _waiting: list[tuple[ParsedSource | LoadResult, str | None]] = field(default_factory=list)

    def load(self, paths: Sequence[str]) -> None:
        """Load files, folders, globs and ``-``; an input that cannot be read is a fault, and the others are loaded."""
        inputs = in_order(list(request_dumps.grouped(expand(paths))))
        sizes = [size_on_disk(name) for name in inputs]
        self.callbacks.on_total(sum(size or 0 for size in sizes))
        try:
            for name, size in zip(inputs, sizes, strict=True):
                try:
                    source = self._open(name)
                except InputError as fault:
                    self.callbacks.on_bytes(size or 0)
                    self._add_fault(fault)
                    continue
                note = name.summary() if isinstance(name, DumpFolder) else None
                try:
                    self._load_source(source, source.byte_size if size is None else size, note=note)
                finally:
                    discard(source)
        except Exception:
            # The sources before it are not at fault.
            self._store_waiting()
            raise
        self._store_waiting()

    def _load_source(self, source: Source, size: int, *, note: str | None) -> None:
        """Load a source, or let it wait for others if it is small and does not continue the one before it."""
        if self._may_match_waiting(source):
            self._store_waiting()
        with _metered(source, size, self.callbacks.on_bytes) as advance:
            options = replace(self.options, on_bytes=advance, on_read=self.callbacks.on_read)
            stored = identity.find_stored(self.connection, source, host=options.host)
            if stored and stored.is_all:
                self._waiting.append((loads.nothing_new(source, stored), None))
                return
            first = first_state(source, options)
            if stored or self._continues_previous(source, first) or not pipeline.is_small(source, options.block_bytes):
                self._store_waiting()
                previous = self.results[-1].source_end if self.results else None
                self._add_result(loads.load(self.connection, source, options, previous=previous), note=note)
                return
            self._waiting.append((loads.parse_small(self.connection, source, options, first=first), note))
        parsed = [waiting for waiting, _ in self._waiting if isinstance(waiting, ParsedSource)]
        if len(parsed) >= TOGETHER_COUNT or sum(source.size for source in parsed) >= TOGETHER_BYTES:
            self._store_waiting()

    def _may_match_waiting(self, source: Source) -> bool:
        """Whether a waiting source may be the same one, by its first bytes or by its name."""
        return any(
            waiting.source.uri == source.uri or source.sample.startswith(waiting.source.sample[:HEAD_BYTES])
            for waiting, _ in self._waiting
            if isinstance(waiting, ParsedSource)
        )

    def _continues_previous(self, source: Source, first: State) -> bool:
        """Whether a source continues the one before it."""
        previous = self._waiting[-1][0] if self._waiting else self.results[-1] if self.results else None
        if previous is None or not identity.is_sibling(source.uri, previous.uri):
            return False
        if isinstance(previous, ParsedSource):
            source_end = previous.source_end(host=self.options.host)
        else:
            source_end = previous.source_end
        return source_end is not None and identity.continues(
            source, first, source_end, host=self.options.host, formats=self.options.formats
        )

    def _store_waiting(self) -> None:
        """Store the waiting sources together; if that fails, one by one."""
        entries, self._waiting = self._waiting, []
        parsed = [waiting for waiting, _ in entries if isinstance(waiting, ParsedSource)]
        try:
            results = iter(loads.load_together(self.connection, parsed, self.options))
        except _REFUSALS:
            if len(parsed) < 2:
                raise
            self._store_one_by_one(entries)
            return
        for waiting, note in entries:
            self._add_result(next(results) if isinstance(waiting, ParsedSource) else waiting, note=note)

    def _store_one_by_one(self, entries: Sequence[tuple[ParsedSource | LoadResult, str | None]]) -> None:
        """Store every source that can be stored, and then raise the first fault."""
        first: Exception | None = None
        for waiting, note in entries:
            try:
                if isinstance(waiting, ParsedSource):
                    (result,) = loads.load_together(self.connection, [waiting], self.options)
                else:
                    result = waiting
            except _REFUSALS as fault:
                first = first or fault
            else:
                self._add_result(result, note=note)
        if first:
            raise first

    def load_journal(self, journal: Journal) -> None:
        """Load the entries since the last time, and record a gap if the last entry is no longer in the journal."""
        host = self.options.host
        self.callbacks.on_source(journal.uri)
        last_us = journal_bookmark.last_read(self.connection, journal, host=host)
        try:
            piece = journalctl.read(journal, since_us=last_us, on_bytes=self.callbacks.on_bytes)
        except InputError as fault:
            self._add_fault(fault)
            return
        self.callbacks.on_total(2 * piece.source.byte_size)
        if piece.last_us is None or piece.last_us == last_us:
            discard(piece.source)
            self._add_result(LoadResult(journal.uri, "known", "journald-json"), note=piece.note)
            return
        source, notes = piece.source, [piece.note]
        try:
            with _metered(source, source.byte_size, self.callbacks.on_bytes) as advance:
                options = replace(self.options, on_bytes=advance, on_read=self.callbacks.on_read)
                result = loads.load(self.connection, source, options)
        finally:
            discard(source)
        with frames.transaction(self.connection):
            if last_us is not None and piece.first_us is not None and piece.first_us > last_us:
                notes.append(
                    journal_bookmark.write_gap(self.connection, journal, from_us=last_us, to_us=piece.first_us)
                )
            journal_bookmark.remember(self.connection, journal, piece.last_us, host=host)
        self._add_result(result, note="; ".join(note for note in notes if note))

    def _open(self, name: str | DumpFolder | InputError) -> Source:
        if isinstance(name, InputError):
            raise name
        uri = name if isinstance(name, str) else name.uri
        self.callbacks.on_source("stdin" if uri == "-" else uri)
        if name != "-":
            return open_input(name)
        stream = cast(BinaryIO, journalctl.CountingStream(sys.stdin.buffer, self.callbacks.on_bytes))
        source = open_spooled(stream, uri=name)
        # Its bytes are read twice: first into a file, because the size must be known, and then from that file.
        self.callbacks.on_total(2 * source.byte_size)
        return source

    def _add_result(self, result: LoadResult, *, note: str | None) -> None:
        """Add a result, with the note of the reader before its own."""
        result = replace(result, note="; ".join(text for text in (note, result.note) if text) or None)
        self.results.append(result)
        self.callbacks.on_result(result)

    def _add_fault(self, fault: ErranalyticsError) -> None:
        self.faults.append(fault)
        self.callbacks.on_fault(fault)


def in_order(inputs: list[str | DumpFolder | InputError]) -> list[str | DumpFolder | InputError]:
    """Sort pieces of one log by time, and keep other inputs in their order: ``x.log`` continues ``x.log.1``."""
    ordered: list[str | DumpFolder | InputError] = []
    pieces: list[str] = []
    for name in [*inputs, None]:
        if pieces and not (isinstance(name, str) and identity.is_sibling(name, pieces[-1])):
            ordered += _by_time(pieces) if len(pieces) > 1 else pieces
            pieces = []
        if isinstance(name, str):
            pieces.append(name)
        elif name is not None:
            ordered.append(name)
    return ordered


def _by_time(pieces: list[str]) -> list[str]:
    """Sort pieces by their first time; a piece without times stays after the one with the previous number."""
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


def open_input(name: str | DumpFolder) -> Source:
    """Open a file, standard input or dumped requests, whose texts are left out, as a source.

    Raises:
        InputError: it cannot be read.
    """
    if isinstance(name, str) and not request_dumps.is_dump(name):
        return open_source(name)
    folder = DumpFolder(name, (name,)) if isinstance(name, str) else name
    return from_bytes(request_dumps.collect(folder.paths), uri=folder.uri)


def size_on_disk(name: str | DumpFolder | InputError) -> int | None:
    """The bytes of an input on disk; None for standard input and pipes, whose size is not known."""
    match name:
        case InputError():
            return 0
        case DumpFolder():
            return sum(_size(path) for path in name.paths)
        case _:
            return _size(name) if Path(name).is_file() else None


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def text_size(source: Source) -> int:
    """The bytes of a source's text; a guess where its archive does not state them."""
    if source.compression == compression.NONE:
        return source.byte_size
    if source.compression == "gzip" and source.byte_size > 4:
        # The last four bytes are the size, modulo 4 GiB (RFC 1952).
        with source.path.open("rb") as handle:
            handle.seek(-4, os.SEEK_END)
            size = int.from_bytes(handle.read(4), "little")
        return max(size, source.byte_size)
    return source.byte_size * USUAL_RATIO


@contextmanager
def _metered(source: Source, size: int, on_bytes: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """Report progress in bytes on disk, ``size`` in all, although some of the text may be skipped as already stored."""
    share, done, reported = size / max(text_size(source), 1), 0, 0

    def advance(count: int) -> None:
        nonlocal done, reported
        done += count
        now = min(int(done * share), size)
        on_bytes(now - reported)
        reported = now

    yield advance
    on_bytes(size - reported)
