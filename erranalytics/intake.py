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

from erranalytics import archives, clocks, dumps, identity, journal, loads, sources, store
from erranalytics.dumps import DumpFolder
from erranalytics.errors import ErranalyticsError, InputError
from erranalytics.journal import Journal
from erranalytics.loads import LoadResult, Options
from erranalytics.sources import Source

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

    def take(self, paths: Sequence[str]) -> None:
        """Files, folders, globs and ``-``; what cannot be read is a fault, the others go on."""
        found = in_order(list(dumps.grouped(sources.expand(paths))))
        sizes = [size_on_disk(one) for one in found]
        self.watch.on_total(sum(size or 0 for size in sizes))
        for one, size in zip(found, sizes, strict=True):
            try:
                source = self._opened(one)
            except InputError as fault:
                self.watch.on_bytes(size or 0)
                self._fail(fault)
                continue
            result = self._loaded(source, source.byte_size if size is None else size)
            told = one.told() if isinstance(one, DumpFolder) and result.status != "known" else None
            self._keep(replace(result, note="; ".join(note for note in (told, result.note) if note) or None))

    def take_journal(self, wanted: Journal) -> None:
        """What the journal holds since the last time, and the gap when the last entry is gone from it."""
        host = self.options.host
        self.watch.on_source(wanted.uri)
        last_us = journal.last_read(self.connection, wanted, host=host)
        try:
            piece = journal.read(wanted, since_us=last_us, on_bytes=self.watch.on_bytes)
        except InputError as fault:
            self._fail(fault)
            return
        self.watch.on_total(2 * piece.source.byte_size)
        if piece.last_us is None or piece.last_us == last_us:
            sources.discard(piece.source)
            self._keep(LoadResult(wanted.uri, "known", "journald-json", note=piece.note))
            return
        result = self._loaded(piece.source, piece.source.byte_size)
        notes = [piece.note, result.note]
        with store.transaction(self.connection):
            if last_us is not None and piece.first_us is not None and piece.first_us > last_us:
                notes.append(journal.write_gap(self.connection, wanted, from_us=last_us, to_us=piece.first_us))
            journal.remember(self.connection, wanted, piece.last_us, host=host)
        self._keep(replace(result, note="; ".join(note for note in notes if note) or None))

    def _opened(self, one: str | DumpFolder | InputError) -> Source:
        if isinstance(one, InputError):
            raise one
        name = one if isinstance(one, str) else one.uri
        self.watch.on_source("stdin" if name == "-" else name)
        if one != "-":
            return opened(one)
        stream = cast(BinaryIO, journal.Counted(sys.stdin.buffer, self.watch.on_bytes))
        source = sources.open_spooled(stream, uri=one)
        # Its bytes are read twice: into a file, whose end must be known first, and out of it.
        self.watch.on_total(2 * source.byte_size)
        return source

    def _loaded(self, source: Source, size: int) -> LoadResult:
        after = self.results[-1].ending if self.results else None
        try:
            with _metered(source, size, self.watch.on_bytes) as advance:
                return loads.load(
                    self.connection,
                    source,
                    replace(self.options, on_bytes=advance, on_read=self.watch.on_read),
                    after=after,
                )
        finally:
            sources.discard(source)

    def _keep(self, result: LoadResult) -> None:
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
        source = sources.open_source(name) if Path(name).is_file() else None
    except InputError:
        return None
    if source is None:
        return None
    clock = clocks.first_clock(source.text_sample(), mtime=source.mtime, default_tz="UTC")
    return (clock.last_ts or clock.near.replace(tzinfo=UTC)) if clock.is_dated else None


def opened(one: str | DumpFolder) -> Source:
    """A source of a file, of standard input or of dumped requests, whose text is left out.

    Raises:
        InputError: it cannot be read.
    """
    if isinstance(one, str) and not dumps.is_dump(one):
        return sources.open_source(one)
    folder = DumpFolder(one, (one,)) if isinstance(one, str) else one
    return sources.from_bytes(dumps.collect(folder.paths), uri=folder.uri)


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
    if source.compression == archives.NONE:
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
