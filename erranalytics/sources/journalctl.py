"""The journal of systemd, read through journalctl: the entries since the last time, and a gap if some were lost.

Each reading begins a little before the last entry of the one before, so the two overlap. Entries that are known are
dropped when they are loaded; a reading without overlap means that the journal was vacuumed in between. Cursors are not
used: one that no longer exists silently leads to another entry (sd_journal_get_cursor(3), systemd 252).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import polars as pl

from erranalytics.errors import InputError
from erranalytics.sources.files import Source, discard, open_spooled
from erranalytics.sources.lines import read_blocks, to_lines

PROGRAM = "journalctl"
OVERLAP_S = 5
TAIL_BYTES = 4 << 20
# All in lower case: journalctl then ignores case.
KERNEL = (
    "out of memory|oom-kill|oom_reaper|nvrm: (xid|gpu|rm)|nvidia.*(error|fail|fallen)"
    "|(amdgpu|radeon|i915|xe ).*(error|fail|hang|reset|timeout|fault)"
    "|(ollama|llama).*(segfault|trap|general protection)"
)

_STAMP = re.compile(rb'"__REALTIME_TIMESTAMP" ?: ?"(\d+)"')
_UNREADABLE = re.compile(
    r"insufficient permissions|not seeing messages from other users|permission denied", re.IGNORECASE
)
_INSTEAD = """Read a file instead: erranalytics ingest PATH
On the machine that has it: journalctl -u ollama -a -o json > journal.json"""
_OTHERWISE = """Look for its unit: systemctl list-units '*ollama*'
In a container: docker logs ollama 2>&1 | erranalytics ingest -"""
NOT_ALLOWED = "Use sudo, or add yourself to the group systemd-journal: sudo usermod -aG systemd-journal $USER"


@dataclass(frozen=True, slots=True)
class Journal:
    """Which journal: the unit, and the folder of a journal that was copied here from another machine."""

    unit: str = "ollama"
    directory: Path | None = None

    @property
    def uri(self) -> str:
        """The name of its sources."""
        return f"journal:{self.unit}" + (f"@{self.directory}" if self.directory else "")

    def command(self, *arguments: str) -> list[str]:
        """The call of journalctl."""
        where = ["-D", str(self.directory)] if self.directory else []
        return [PROGRAM, *where, "--no-pager", *arguments]


@dataclass(frozen=True, slots=True)
class JournalEntries:
    """Entries as a source; the stamps of the first and the last, in microseconds; a note on what went wrong."""

    source: Source
    first_us: int | None
    last_us: int | None
    note: str | None = None


class CountingStream:
    """A stream that reports how many bytes were read from it."""

    def __init__(self, stream: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        self._stream, self._on_bytes = stream, on_bytes

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes."""
        data = self._stream.read(size)
        self._on_bytes(len(data))
        return data


def read(
    journal: Journal, *, since_us: int | None, on_bytes: Callable[[int], None] = lambda count: None
) -> JournalEntries:
    """The entries of a unit, from a little before ``since_us`` on.

    Raises:
        InputError: there is no journalctl, it may not read the journal, or the unit never logged anything.
    """
    # Whole seconds are exact enough for an overlap.
    since = [] if since_us is None else [f"--since=@{since_us // 1_000_000 - OVERLAP_S}"]
    source, messages, code = _spooled(journal, ["-a", "-o", "json", "-u", journal.unit, *since], on_bytes)
    first, last = _stamps(source)
    if last is None:
        discard(source)
        if messages and (code or _UNREADABLE.search(messages)):
            raise _refused(journal, messages)
        if since_us is None:
            raise _nothing(journal)
    note = f"journalctl ended with an error, what came before it was read: {_last_line(messages)}" if code else None
    if first is not None:
        source = _with_kernel(source, _kernel_lines(journal, first))
    return JournalEntries(source, first, last, note)


def _kernel_lines(journal: Journal, first_us: int) -> bytes:
    """Lines of the kernel about killed processes and graphics cards; none where journalctl cannot search."""
    since = f"--since=@{first_us // 1_000_000}"
    return _run(journal.command("-a", "-o", "json", "_TRANSPORT=kernel", f"--grep={KERNEL}", since)).stdout


def _with_kernel(source: Source, data: bytes) -> Source:
    """Merge the few entries of the kernel into those of a unit, by their stamps."""
    is_kernel = pl.col("raw").str.contains(r'"_TRANSPORT" ?: ?"kernel"')
    kernel = _keyed(to_lines(data)).filter(is_kernel).with_columns(is_kernel=pl.lit(value=True))
    if kernel.is_empty():
        return source
    with tempfile.TemporaryFile() as merged:
        for block in read_blocks(source):
            lines = block.lines if block.tail is None else pl.concat([block.lines, block.tail])
            entries = _keyed(lines).with_columns(is_kernel=pl.lit(value=False))
            # The entries keep their order even where the clock was set back.
            entries = entries.with_columns(pl.col("us").forward_fill().cum_max())
            is_due = pl.col("us") <= (entries["us"].max() or 0) if block.digest is None else pl.lit(value=True)
            due, kernel = kernel.filter(is_due), kernel.filter(~is_due)
            rows = pl.concat([entries, due]).sort("us", "is_kernel", maintain_order=True)
            merged.write("".join((rows["raw"] + "\n").to_list()).encode())
        merged.seek(0)
        discard(source)
        return open_spooled(cast(BinaryIO, merged), uri=source.uri)


def _keyed(lines: pl.DataFrame) -> pl.DataFrame:
    stamp = pl.col("raw").str.extract(_STAMP.pattern.decode()).cast(pl.Int64, strict=False)
    return lines.select("raw", us=stamp).filter(pl.col("raw") != "")


def _spooled(journal: Journal, arguments: list[str], on_bytes: Callable[[int], None]) -> tuple[Source, str, int]:
    """The output of journalctl as a source, its messages on standard error, and its exit code."""
    with tempfile.TemporaryFile() as messages:
        child = _started(journal, arguments, messages)
        try:
            with closing(cast(IO[bytes], child.stdout)) as stream:
                source = open_spooled(cast(BinaryIO, CountingStream(stream, on_bytes)), uri=journal.uri)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
        messages.seek(0)
        return source, messages.read().decode("utf-8", "replace").strip(), code


def _started(journal: Journal, arguments: list[str], messages: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            journal.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=_environment(),
        )
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        reason = "there is no journalctl on this machine" if is_missing else f"journalctl: {error.strerror}"
        raise InputError(reason, location=journal.uri, hint=_INSTEAD) from None


def _stamps(source: Source) -> tuple[int | None, int | None]:
    """The stamps of the first and the last entry."""
    first = _STAMP.search(source.sample)
    with source.open() as stream:
        stream.seek(max(source.byte_size - TAIL_BYTES, 0))
        last = _STAMP.findall(stream.read())
    return int(first[1]) if first else None, int(last[-1]) if last else None


def _last_line(messages: str) -> str:
    return messages.splitlines()[-1] if messages else "no reason given"


def _refused(journal: Journal, messages: str) -> InputError:
    if _UNREADABLE.search(messages):
        return InputError("you may not read the journal", location=journal.uri, hint=NOT_ALLOWED)
    return InputError(f"journalctl cannot read the journal: {_last_line(messages)}", location=journal.uri)


def _nothing(journal: Journal) -> InputError:
    alike = units_like(journal)
    hint = "Units that look like it: " + ", ".join(alike) if alike else _OTHERWISE
    return InputError(f"the journal holds no entries of the unit {journal.unit}", location=journal.uri, hint=hint)


def units_like(journal: Journal) -> list[str]:
    """Units in the journal whose name contains that of the unit, or ``ollama``."""
    words = {journal.unit.removesuffix(".service").lower(), "ollama"}
    units = _run(journal.command("-F", "_SYSTEMD_UNIT")).stdout.decode("utf-8", "replace").split()
    return sorted(unit for unit in units if any(word in unit.lower() for word in words))


def peek(journal: Journal) -> str:
    """What the journal of this machine holds for a unit: ``entries``, ``nothing``, or ``nothing you may read``."""
    if shutil.which(PROGRAM) is None:
        return "nothing"
    done = _run(journal.command("-n", "1", "-o", "json", "-u", journal.unit))
    if done.stdout.strip():
        return "entries"
    return "nothing you may read" if _UNREADABLE.search(done.stderr.decode("utf-8", "replace")) else "nothing"


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command with a short answer; an empty answer when it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=_environment())
    except OSError:
        return subprocess.CompletedProcess(command, 1, b"", b"")


def _environment() -> dict[str, str]:
    """The environment in which journalctl reports errors in English."""
    return {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
