"""Settings of the server that remedies name (``settings.toml``): how to set them, and which versions have them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from erranalytics import datafiles
from erranalytics.ollama.versions import release

NAME = re.compile(r"\bOLLAMA_[A-Z_]+\b")
_VALUE = re.compile(r"\b(OLLAMA_[A-Z_]+)=([\w.:/-]*\w)")


@dataclass(frozen=True)
class Setting:
    """One environment variable; the versions come from real logs, see the file."""

    name: str
    example: str
    meaning: str
    seen: str | None = None
    absent: str | None = None
    gone: str | None = None
    otherwise: str | None = None

    def caveat(self, version: str | None) -> str:
        """A warning if the given version lacks the setting; empty if it has it or nothing is known."""
        if version is None:
            return ""
        at = release(version)
        if self.absent and at <= release(self.absent):
            instead = f"; there use {self.otherwise}" if self.otherwise else "; upgrade first"
            return f"not in {version}{instead}"
        if self.gone and at >= release(self.gone):
            return f"no longer in {version}"
        if self.absent and self.seen and at < release(self.seen):
            return f"{version} may not have it: see ollama serve --help"
        return ""


@cache
def book() -> dict[str, Setting]:
    """All settings by name."""
    rows = datafiles.table("settings")["setting"]
    return {row["name"]: Setting(**{"otherwise" if key == "else" else key: row[key] for key in row}) for row in rows}


def named(text: str) -> list[tuple[Setting, str]]:
    """The settings that a remedy names, in its order, each with the value it gives or else an example."""
    values = dict(_VALUE.findall(text))
    known = book()
    return [
        (known[name], values.get(name, known[name].example))
        for name in dict.fromkeys(NAME.findall(text))
        if name in known
    ]


def how(settings: list[tuple[Setting, str]]) -> list[str]:
    """Commands that set them: for the service, and for the other ways to start a server."""
    pairs = [f"{setting.name}={value}" for setting, value in settings]
    name, _, value = pairs[0].partition("=")
    return [
        "sudo systemctl edit ollama: under [Service] the line Environment="
        + " ".join(f'"{pair}"' for pair in pairs)
        + ", then sudo systemctl restart ollama",
        f"else docker run -e {pairs[0]}, launchctl setenv {name} {value} or setx {name} {value}; then restart it",
    ]
