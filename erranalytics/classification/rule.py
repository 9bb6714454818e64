"""One rule of the rulebook: how a cause shows in a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from erranalytics.classification.taxonomy import plain_fields
from erranalytics.datafiles import Confidence, Severity

# A name describes the symptom; one that begins with such a word describes the cure.
REMEDY_WORDS = frozenset(
    ("lower", "raise", "increase", "reduce", "upgrade", "update", "install", "restart", "fix", "use", "set", "check")
)


@dataclass(frozen=True, slots=True)
class Example:
    """A text that the rule must match and win."""

    line: str


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A text that the rule must not match, and why."""

    line: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One way a cause shows in a text; ``family`` is the folder of its file.

    ``differ`` names two groups that must hold different texts (``29/29 layers`` is not a shortfall), because the engine
    has no back-references.
    """

    code: str
    name: str
    literals: tuple[str, ...]
    pattern: str
    confidence: Confidence = "certain"
    severity: Severity | None = None
    references: tuple[str, ...]
    since: str | None = None
    until: str | None = None
    implies: tuple[str, ...] = ()
    differ: tuple[str, str] | None = None
    remedy: str | None = None
    example: tuple[Example, ...]
    counterexample: tuple[Counterexample, ...]
    family: str
    path: str

    @classmethod
    def from_file(cls, data: Mapping[str, Any]) -> Rule:
        """The rule from the values of its file."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        values["example"] = tuple(Example(**example) for example in data["example"])
        values["counterexample"] = tuple(Counterexample(**example) for example in data["counterexample"])
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, ready for JSON."""
        return plain_fields(self)

    @property
    def id(self) -> str:
        """``family/name``, the identity of the rule everywhere outside the rulebook."""
        return f"{self.family}/{self.name}"

    @property
    def versions(self) -> str:
        """The versions of Ollama that write the text, in words; empty when they are not known."""
        if self.since and self.until:
            return f"{self.since} to {self.until}"
        return f"since {self.since}" if self.since else f"to {self.until}" if self.until else ""

    @property
    def regex(self) -> str:
        """The pattern as it is run: ``^`` and ``$`` match at the ends of each line."""
        return f"(?m){self.pattern}"

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, in the order of the pattern."""
        return tuple(re.findall(r"\(\?P?<(\w+)>", self.pattern))

    def locate(self, text: str) -> str:
        """``path:line`` of the first line of its file that holds ``text`` (line 1 when none does)."""
        try:
            lines = Path(self.path).read_text("utf-8").splitlines()
        except OSError:
            return f"{self.path}:1"
        return f"{self.path}:{next((number for number, line in enumerate(lines, 1) if text in line), 1)}"
