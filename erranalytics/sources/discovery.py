"""Where Ollama logs on each system, and which of these logs this machine has."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erranalytics.sources import journalctl
from erranalytics.sources.journalctl import Journal
from erranalytics.text.display import human_bytes, plural

# System, kind of log, places: a unit of the journal, or files.
# docs/troubleshooting.mdx and app/logrotate/logrotate.go@v0.33.0-rc2; snap/snapcraft.yaml of mz2/ollama-snap@03660e4,
# whose daemon is called listener; Formula/o/ollama.rb of Homebrew for its service.
TABLE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("linux", "service", ("journal:ollama",)),
    ("linux", "snap", ("journal:snap.ollama.listener",)),
    ("linux", "files in your home", ("~/.ollama/logs/server*.log", "~/.ollama/logs/app*.log")),
    ("linux", "files of the system", ("/var/log/ollama*.log", "/var/log/ollama/*.log")),
    ("darwin", "app", ("~/.ollama/logs/server*.log", "~/.ollama/logs/app*.log")),
    ("darwin", "Homebrew service", ("/opt/homebrew/var/log/ollama.log", "/usr/local/var/log/ollama.log")),
    ("win32", "app", ("%LOCALAPPDATA%/Ollama/server*.log", "%LOCALAPPDATA%/Ollama/app*.log")),
)
ELSEWHERE = """Say where: erranalytics ingest PATH, or erranalytics ingest --journal UNIT
Docker: docker logs ollama 2>&1 | erranalytics ingest -
Kubernetes: kubectl logs deploy/ollama --timestamps | erranalytics ingest -"""


@dataclass(frozen=True, slots=True)
class Place:
    """One place that may hold logs, and the logs in it: ``paths``, or a ``unit`` of the journal.

    ``state`` is the answer of ``journalctl.peek``.
    """

    what: str
    where: str
    paths: tuple[str, ...] = ()
    unit: str | None = None
    state: str = "nothing"

    def summary(self) -> str:
        """One line: the kind of log, what is there, and where.

        >>> Place("snap", "journal:snap.ollama.listener").summary()
        'snap: nothing in journal:snap.ollama.listener'
        >>> Place("service", "journal:ollama", unit="ollama", state="entries").summary()
        'service: entries in journal:ollama'
        """
        count = len(self.paths)
        size = human_bytes(sum(Path(path).stat().st_size for path in self.paths))
        there = f"{count} {plural(count, 'file')} ({size})" if count else self.state
        return f"{self.what}: {there} in {self.where}"


def find_places(
    *, system: str = sys.platform, variables: Mapping[str, str] = os.environ, root: str = ""
) -> tuple[Place, ...]:
    """The places of a system in the order of the table, with the logs they hold.

    Args:
        system: as ``sys.platform`` names it.
        variables: the environment, for home and data folder.
        root: a folder to put before absolute paths.
    """
    places = []
    for name, what, where in TABLE:
        unit = where[0].removeprefix("journal:")
        if name != system:
            continue
        if unit == where[0]:
            places.append(Place(what, ", ".join(where), _files(where, variables, root)))
        else:
            state = journalctl.peek(Journal(unit))
            places.append(Place(what, where[0], unit=unit if state == "entries" else None, state=state))
    return tuple(places)


def _files(patterns: Sequence[str], variables: Mapping[str, str], root: str) -> tuple[str, ...]:
    """The files that match, the oldest first: the number in the name of a rotated file grows with its age."""
    home = variables.get("HOME") or variables.get("USERPROFILE")
    starts = {"~": home, "%LOCALAPPDATA%": variables.get("LOCALAPPDATA"), "": root}
    paths: list[Path] = []
    for pattern in patterns:
        start, _, rest = pattern.partition("/")
        folder = starts[start]
        if folder is not None:
            paths += sorted(Path(folder or "/").glob(rest), key=lambda path: (path.stat().st_mtime, path))
    return tuple(str(path) for path in paths if path.is_file())


def advice(places: Sequence[Place]) -> str:
    """What to do when none of the places has a log."""
    is_closed = any("may" in place.state for place in places)
    return f"{journalctl.NOT_ALLOWED}\n{ELSEWHERE}" if is_closed else ELSEWHERE
