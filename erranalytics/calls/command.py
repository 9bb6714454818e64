"""Run a command with the recorder on in every Python it starts, and report what could and could not be watched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from erranalytics.client.instrumentation import INSTRUMENTS
from erranalytics.client.recorder import APP_VARIABLE, FILE, FILE_VARIABLE
from erranalytics.errors import InputError, UsageError

STARTUP = Path(__file__).resolve().parent.parent / "client" / "startup"
NOTES_VARIABLE = "ERRANALYTICS_NOTES"
KNOWN = ", ".join(INSTRUMENTS)


@dataclass
class CommandResult:
    """How a command ended, and what its processes reported."""

    exit_code: int
    path: Path
    pythons: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    written_count: int = 0
    failed_count: int = 0
    lost_count: int = 0
    unfinished_count: int = 0

    def lines(self) -> Iterator[str]:
        """Sentences for a person: what was recorded, or why nothing was."""
        if self.written_count:
            calls = "1 call" if self.written_count == 1 else f"{self.written_count} calls"
            yield f"{calls} recorded, {self.failed_count} not completed: {self.path}"
        if not self.pythons and not self.faults:
            yield "nothing could be watched: no Python was started, or one that ignores its environment (-I, -E, -S)"
        elif self.pythons and not self.written_count:
            yield self._why_nothing()
        if self.lost_count:
            yield f"{self.lost_count} records could not be written to {self.path}"
        if self.unfinished_count:
            yield f"Python processes that ended abruptly: {self.unfinished_count}; calls they had open are missing"
        yield from (f"not watched: {fault}" for fault in dict.fromkeys(self.faults))

    def _why_nothing(self) -> str:
        # Nearly every program loads http.client, so it means something only where no other client is loaded.
        others = ", ".join(sorted(self.others - ({"http.client"} if self.watched else set())))
        if self.watched:
            named = ", ".join(sorted(self.watched))
            also = f"; {others} is loaded too" if others else ""
            return f"{named} was watched and made no call to a route of Ollama{also}"
        if others:
            return f"nothing could be watched: of its clients only {others} was loaded, and the recorder knows {KNOWN}"
        return f"nothing could be watched: Python ran, but loaded no client the recorder knows ({KNOWN})"


def run(command: Sequence[str], *, path: str | None = None, app: str | None = None) -> CommandResult:
    """Run a command to its end; its input, output and exit code stay its own.

    Args:
        command: the program and its arguments.
        path: the file of records; by default the variable ``ERRANALYTICS_CALLS``, else ``calls.jsonl`` in this folder.
        app: the name of the program in its records; by default the name of the script or command.
    """
    if not command:
        raise UsageError("there is no command to run", hint="erranalytics record -- python app.py")
    program = shutil.which(command[0])
    if program is None:
        raise InputError(f"there is no program {command[0]}", hint="Give it as you would without erranalytics.")
    target = Path(path or os.environ.get(FILE_VARIABLE) or FILE).absolute()
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint="Name a file with --output.")
    before = target.stat().st_size if target.exists() else 0
    with tempfile.TemporaryDirectory(prefix="erranalytics-") as folder:
        notes = Path(folder, "notes")
        notes.touch()
        environment = {
            **os.environ,
            FILE_VARIABLE: str(target),
            NOTES_VARIABLE: str(notes),
            APP_VARIABLE: app or os.environ.get(APP_VARIABLE) or _name(command),
            "PYTHONPATH": os.pathsep.join([str(STARTUP), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        result = CommandResult(_run([program, *command[1:]], environment), target)
        _add_notes(result, notes.read_text(encoding="utf-8").splitlines())
    _add_counts(result, before)
    return result


def _name(command: Sequence[str]) -> str:
    """The name of a program: that of the script rather than of its interpreter."""
    is_script = Path(command[0]).name.startswith("python") and len(command) > 1 and not command[1].startswith("-")
    return Path(command[1 if is_script else 0]).name


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    """Return the exit code of a command as a shell would; signals that would end this process go to the command."""
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as fault:
        raise InputError(f"{command[0]} cannot be run: {fault.strerror}") from None
    # Ctrl-C reaches both processes, but a supervisor terminates only this one.
    actions = {signal.SIGINT: lambda *_: None, signal.SIGTERM: lambda *_: process.terminate()}
    before = {number: signal.signal(number, action) for number, action in actions.items()}
    try:
        code = process.wait()
    finally:
        for number, action in before.items():
            signal.signal(number, action)
    return 128 - code if code < 0 else code


def _add_counts(result: CommandResult, before: int) -> None:
    """Count the records that were added to the file: forked children write there too and leave no note."""
    try:
        with result.path.open("rb") as file:
            # A file that is smaller now was started again.
            file.seek(before if result.path.stat().st_size >= before else 0)
            for line in file:
                result.written_count += 1
                result.failed_count += b'"outcome":"completed"' not in line
    except FileNotFoundError:
        pass


def _add_notes(result: CommandResult, lines: Sequence[str]) -> None:
    """Add what the processes reported of themselves."""
    started, left = set(), set()
    for line in lines:
        fact = json.loads(line)
        if "fault" in fact:
            result.faults.append(fact["fault"] + (f", not {fact['python']}" if "python" in fact else ""))
        elif "python" in fact:
            result.pythons.add(fact["python"])
            started.add(fact["pid"])
        elif "watched" in fact:
            result.watched.add(fact["watched"])
        else:
            left.add(fact["pid"])
            result.lost_count += fact["lost"]
            result.others |= set(fact["others"])
    result.unfinished_count = len(started - left)
