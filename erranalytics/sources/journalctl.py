"""The journal of systemd by way of journalctl: what came since the last time, and what was gone before it was read.

A piece begins a little before the last entry of the piece before it, so the two overlap: what is known is dropped when
it is loaded, and a piece without an overlap tells that the journal was vacuumed in between. Cursors are not used: one
that is gone leads silently to another entry (sd_journal_get_cursor(3), systemd 252).
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
# Lower case: journalctl then takes capitals and small letters for the same.
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
class Piece:
    """Entries as a source; the stamps of the first and the last, in microseconds; what went wrong."""

    source: Source
    first_us: int | None
    last_us: int | None
    note: str | None = None


class Counted:
    """A stream that tells how much was read of it."""

    def __init__(self, stream: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        self._stream, self._on_bytes = stream, on_bytes

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes."""
        data = self._stream.read(size)
        self._on_bytes(len(data))
        return data


def read(journal: Journal, *, since_us: int | None, on_bytes: Callable[[int], None] = lambda count: None) -> Piece:
    """The entries of a unit, from a little before ``since_us`` on.

    Raises:
        InputError: there is no journalctl, it may not read the journal, or nothing was ever logged by the unit.
    """
    # Whole seconds: the overlap is there to be generous.
    since = [] if since_us is None else [f"--since=@{since_us // 1_000_000 - OVERLAP_S}"]
    source, said, code = _spooled(journal, ["-a", "-o", "json", "-u", journal.unit, *since], on_bytes)
    first, last = _stamps(source)
    if last is None:
        discard(source)
        if said and (code or _UNREADABLE.search(said)):
            raise _refused(journal, said)
        if since_us is None:
            raise _nothing(journal)
    note = f"journalctl ended with an error, what came before it was read: {_last_line(said)}" if code else None
    if first is not None:
        source = _with_kernel(source, _kernel_lines(journal, first))
    return Piece(source, first, last, note)


def _kernel_lines(journal: Journal, first_us: int) -> bytes:
    """What the kernel says of killed processes and graphics cards; nothing where journalctl cannot search."""
    since = f"--since=@{first_us // 1_000_000}"
    return _asked(journal.command("-a", "-o", "json", "_TRANSPORT=kernel", f"--grep={KERNEL}", since)).stdout


def _with_kernel(source: Source, data: bytes) -> Source:
    """The entries of a unit with the few of the kernel among them, by their stamps."""
    is_kernel = pl.col("raw").str.contains(r'"_TRANSPORT" ?: ?"kernel"')
    kernel = _keyed(to_lines(data)).filter(is_kernel).with_columns(is_kernel=pl.lit(value=True))
    if kernel.is_empty():
        return source
    with tempfile.TemporaryFile() as merged:
        for block in read_blocks(source):
            lines = block.lines if block.tail is None else pl.concat([block.lines, block.tail])
            entries = _keyed(lines).with_columns(is_kernel=pl.lit(value=False))
            # A clock that was set back does not change the order of the entries.
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
    """What journalctl prints as a source, what it said on standard error, and how it ended."""
    with tempfile.TemporaryFile() as said:
        child = _started(journal, arguments, said)
        try:
            with closing(cast(IO[bytes], child.stdout)) as stream:
                source = open_spooled(cast(BinaryIO, Counted(stream, on_bytes)), uri=journal.uri)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
        said.seek(0)
        return source, said.read().decode("utf-8", "replace").strip(), code


def _started(journal: Journal, arguments: list[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            journal.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
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


def _last_line(said: str) -> str:
    return said.splitlines()[-1] if said else "no reason given"


def _refused(journal: Journal, said: str) -> InputError:
    if _UNREADABLE.search(said):
        return InputError("you may not read the journal", location=journal.uri, hint=NOT_ALLOWED)
    return InputError(f"journalctl cannot read the journal: {_last_line(said)}", location=journal.uri)


def _nothing(journal: Journal) -> InputError:
    alike = units_like(journal)
    hint = "Units that look like it: " + ", ".join(alike) if alike else _OTHERWISE
    return InputError(f"the journal holds no entries of the unit {journal.unit}", location=journal.uri, hint=hint)


def units_like(journal: Journal) -> list[str]:
    """Units in the journal whose name holds that of the unit, or ollama."""
    words = {journal.unit.removesuffix(".service").lower(), "ollama"}
    units = _asked(journal.command("-F", "_SYSTEMD_UNIT")).stdout.decode("utf-8", "replace").split()
    return sorted(unit for unit in units if any(word in unit.lower() for word in words))


def peek(journal: Journal) -> str:
    """What the journal of this machine has of a unit: ``entries``, ``nothing``, or ``nothing you may read``."""
    if shutil.which(PROGRAM) is None:
        return "nothing"
    done = _asked(journal.command("-n", "1", "-o", "json", "-u", journal.unit))
    if done.stdout.strip():
        return "entries"
    return "nothing you may read" if _UNREADABLE.search(done.stderr.decode("utf-8", "replace")) else "nothing"


def _asked(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """A call with a short answer; none when it cannot be made."""
    try:
        return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=_environment())
    except OSError:
        return subprocess.CompletedProcess(command, 1, b"", b"")


def _environment() -> dict[str, str]:
    """journalctl is to say in English what is wrong."""
    return {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
