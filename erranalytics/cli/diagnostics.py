"""Messages and progress for people: the only module that writes to standard error.

Messages are plain sentences, with ``erranalytics: …`` before errors; colour and progress appear on a terminal only.
rich is imported only when a progress bar is drawn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from erranalytics.errors import ErranalyticsError

PROGRAM = "erranalytics"


class ExitCode(IntEnum):
    """How a command ended; ``describe_exit_codes`` gives each a sentence."""

    DONE = 0
    FINDINGS = 1
    USAGE = 2
    INPUT = 3
    STORE = 4
    INTERRUPTED = 130

    @property
    def sentence(self) -> str:
        """The meaning of the code."""
        return _SENTENCES[self]


_SENTENCES = {
    ExitCode.DONE: "done",
    ExitCode.FINDINGS: "findings at or above --fail-on",
    ExitCode.USAGE: "usage, or a bad rule, format, report or config file",
    ExitCode.INPUT: "input unreadable",
    ExitCode.STORE: "store unusable",
    ExitCode.INTERRUPTED: "interrupted",
}


def describe_exit_codes() -> str:
    """The table of exit codes for ``--help``, with ``code  sentence`` on each line."""
    return "\n".join(f"{code.value:>3}  {code.sentence}" for code in ExitCode)


def wants_color(stream: IO[Any]) -> bool:
    """Whether a stream is a terminal that shows colours (unless ``NO_COLOR`` or ``TERM=dumb``)."""
    try:
        terminal = stream.isatty()
    except ValueError:  # closed
        return False
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def note(text: str) -> None:
    """Write a note, such as which store is used."""
    _say(text)


def warn(text: str) -> None:
    """Write a warning about a problem that stops nothing."""
    _say(text, prefix="warning: ", style="33")


def verdict(sentence: str, *, failed: bool) -> None:
    """Write the result of a condition of ``--fail-on``; an empty sentence writes nothing."""
    if sentence:
        _say(sentence, prefix="failed: " * failed, style="1;31" * failed)


def error(fault: ErranalyticsError) -> None:
    """Write what is wrong, where, and what to do next; never a traceback."""
    _say(str(fault), prefix=f"{PROGRAM}: ", style="1;31")
    for line in (fault.hint or "").splitlines():
        _say("  " + line)


def _say(text: str, *, prefix: str = "", style: str = "") -> None:
    """Write lines, the first after the prefix; text of a log in them cannot control the terminal."""
    from erranalytics.text.display import printable

    lines = [printable(line) for line in text.split("\n")]
    if style and wants_color(sys.stderr):
        prefix = f"\x1b[{style}m{prefix}\x1b[0m"
    message = prefix + "\n".join(lines) + "\n"
    encoding = sys.stderr.encoding or "utf-8"
    # A terminal with ASCII only shows \u2192 instead of an arrow, and nothing fails.
    sys.stderr.write(message.encode(encoding, "backslashreplace").decode(encoding))
    sys.stderr.flush()


class Progress(Protocol):
    """The callbacks by which a stage reports its progress."""

    def expect(self, count: int) -> None:
        """``count`` more bytes will follow."""

    def advance(self, count: int) -> None:
        """``count`` more bytes are done."""

    def file(self, name: str) -> None:
        """The next input begins."""

    def read(self) -> None:
        """The input is read to its end, and its incidents are derived."""


class _Silent:
    def expect(self, count: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def file(self, name: str) -> None:
        pass

    def read(self) -> None:
        pass


class _Bar:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task
        self._total, self._name = 0, ""

    def expect(self, count: int) -> None:
        self._total += count
        # Without a total the bar only pulses, because the size is not known yet.
        self._bar.update(self._task, total=self._total or None)

    def advance(self, count: int) -> None:
        self._bar.advance(self._task, count)

    def file(self, name: str) -> None:
        # Escaped twice: for the terminal, and for rich, which reads a description as markup.
        from rich.markup import escape

        from erranalytics.text.display import printable

        self._name = escape(printable(name))
        self._bar.update(self._task, description=self._name)

    def read(self) -> None:
        self._bar.update(self._task, description=f"{self._name}: finding incidents")


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar with bytes, rate, time left and the current input, removed at the end; nothing without a terminal."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _Silent()
        return
    from rich import progress as bars
    from rich.console import Console

    console = Console(file=sys.stderr, no_color=not wants_color(sys.stderr))
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(binary_units=True),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, bar.add_task("", total=None))
