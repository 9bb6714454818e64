"""Runs a command with the recorder on in every Python it starts, and tells what could be watched and what could not."""

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

from erranalytics.client.hooks import WATCHED
from erranalytics.client.recorder import APP_VARIABLE, FILE, FILE_VARIABLE
from erranalytics.errors import InputError, UsageError

STARTUP = Path(__file__).resolve().parent.parent / "client" / "startup"
NOTES_VARIABLE = "ERRANALYTICS_NOTES"
KNOWN = ", ".join(WATCHED)


@dataclass
class Recorded:
    """How a command ended, and what its processes told of themselves."""

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
        """Sentences for a person: what was recorded, else why not."""
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
        # Nearly everything loads http.client; it means something where nothing else does.
        others = ", ".join(sorted(self.others - ({"http.client"} if self.watched else set())))
        if self.watched:
            named = ", ".join(sorted(self.watched))
            also = f"; {others} is loaded too" if others else ""
            return f"{named} was watched and made no call to a route of Ollama{also}"
        if others:
            return f"nothing could be watched: of its clients only {others} was loaded, and the recorder knows {KNOWN}"
        return f"nothing could be watched: Python ran, but loaded no client the recorder knows ({KNOWN})"


def run(command: Sequence[str], *, path: str | None = None, app: str | None = None) -> Recorded:
    """Run a command to its end; its input, output and exit code are its own.

    Args:
        command: the program and its arguments.
        path: the file of records; without it ``ERRANALYTICS_CALLS``, else ``calls.jsonl`` here.
        app: the name of the program in its records; without it the name of the script or command.
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
        found = Recorded(_run([program, *command[1:]], environment), target)
        _gather(found, notes.read_text(encoding="utf-8").splitlines())
    _count(found, before)
    return found


def _name(command: Sequence[str]) -> str:
    """What a program is called: the script rather than its interpreter."""
    is_script = Path(command[0]).name.startswith("python") and len(command) > 1 and not command[1].startswith("-")
    return Path(command[1 if is_script else 0]).name


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    """The exit code of a command, as a shell would tell it; signals that would end this process are the command's."""
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as fault:
        raise InputError(f"{command[0]} cannot be run: {fault.strerror}") from None
    # The keyboard interrupts both, a supervisor terminates this process only.
    actions = {signal.SIGINT: lambda *_: None, signal.SIGTERM: lambda *_: process.terminate()}
    before = {number: signal.signal(number, action) for number, action in actions.items()}
    try:
        code = process.wait()
    finally:
        for number, action in before.items():
            signal.signal(number, action)
    return 128 - code if code < 0 else code


def _count(found: Recorded, before: int) -> None:
    """Count what was added to the file: forked children write there too and leave no word."""
    try:
        with found.path.open("rb") as file:
            # A file that is smaller now was begun anew.
            file.seek(before if found.path.stat().st_size >= before else 0)
            for line in file:
                found.written_count += 1
                found.failed_count += b'"outcome":"completed"' not in line
    except FileNotFoundError:
        pass


def _gather(found: Recorded, lines: Sequence[str]) -> None:
    """Put together what the processes told of themselves."""
    started, left = set(), set()
    for line in lines:
        fact = json.loads(line)
        if "fault" in fact:
            found.faults.append(fact["fault"] + (f", not {fact['python']}" if "python" in fact else ""))
        elif "python" in fact:
            found.pythons.add(fact["python"])
            started.add(fact["pid"])
        elif "watched" in fact:
            found.watched.add(fact["watched"])
        else:
            left.add(fact["pid"])
            found.lost_count += fact["lost"]
            found.others |= set(fact["others"])
    found.unfinished_count = len(started - left)
