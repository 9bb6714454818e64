"""The explanation of a cause, a rule, an HTTP status or a pasted text, as a dictionary or as lines of text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from erranalytics.classification.rule import Rule
from erranalytics.classification.taxonomy import Cause
from erranalytics.ollama import settings
from erranalytics.text.display import shortened

LABEL_WIDTH = 13
SNIPPET_CHARS = 120
SHOWN_COUNT = 8
RETRY = {
    "immediate": "at once; the same request may well succeed",
    "backoff": "with growing pauses between the attempts",
    "after_change": "after a change; the same request will fail again",
    "never": "not needed",
}
# Confidence in words, for readers who do not know the rulebook.
CONFIDENCE = {
    "certain": "the text itself names the cause",
    "likely": "a wrapper or a status with its context; the text inside was not seen",
    "guess": "a status or a general phrase alone",
}


@dataclass(frozen=True)
class Root:
    """The root of an incident in a pasted log, and how many errors and requests belong to the incident."""

    line_no: int
    code: str
    rule: str | None
    severity: str
    inner: str
    captures: str | None
    wrapping: tuple[str, ...]
    remedy: str | None
    version: str | None
    error_count: int
    request_count: int


@dataclass(frozen=True)
class Explanation:
    """The meaning of a query: the cause, how it was found, and what is near it.

    ``kind`` is ``code``, ``slug``, ``rule``, ``status``, ``text``, ``log`` (a block of several records) or ``unknown``;
    ``cause`` is None for unknown texts. ``version`` is the version of Ollama in use, if it is known.
    """

    query: str
    kind: str
    cause: Cause | None = None
    rule: Rule | None = None
    severity: str | None = None
    snippet: str | None = None
    inner: str | None = None
    captures: dict[str, str] = field(default_factory=dict)
    wrapping: tuple[str, ...] = ()
    filled: str | None = None
    version: str | None = None
    roots: tuple[Root, ...] = ()
    rules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    related: tuple[Cause, ...] = ()
    nearest: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The explanation with plain values only, ready for JSON."""
        return {
            "query": self.query,
            "kind": self.kind,
            **({} if self.cause is None else self.cause.as_dict() | {"remedy": self.remedy}),
            "settings": [
                {
                    "name": setting.name,
                    "value": value,
                    "meaning": setting.meaning,
                    "caveat": setting.caveat(self.version),
                }
                for setting, value in settings.named(self.remedy)
            ],
            "incidents": [asdict(root) for root in self.roots],
            "severity": self.severity,
            "confidence": self.rule.confidence if self.rule else None,
            "rule": self.rule.id if self.rule else None,
            "matched": self.snippet,
            "inner": self.inner,
            "captures": self.captures,
            "wrapping": list(self.wrapping),
            "ollama_version": self.version,
            "references": list(self._references()),
            "rules": list(self.rules),
            "see_also": [cause.code for cause in self.related],
            "nearest": [{"name": name, "example": example} for name, example in self.nearest],
        }

    @property
    def remedy(self) -> str:
        """What to do: the remedy of the rule, filled with the numbers of the text, or else that of the cause."""
        return self.filled or (self.cause.remedy if self.cause else "")

    def __str__(self) -> str:
        """The explanation as one text, for ``print`` in a notebook."""
        return "\n".join(self.lines(100)).rstrip()

    def lines(self, width: int = 80) -> list[str]:
        """The lines of the explanation, none wider than ``width`` unless a single word is."""
        return list(self._unknown(width) if self.cause is None else self._known(self.cause, width))

    def _known(self, cause: Cause, width: int) -> Iterator[str]:
        words = [cause.slug, cause.category, self.severity or cause.severity]
        yield f"{cause.code}  {' · '.join(words + ([self.rule.confidence] if self.rule else []))}"
        yield from textwrap.wrap(cause.title, width)
        yield ""
        yield from _block("What to do", _steps(self.remedy), width)
        yield from self._settings(width)
        yield from _block("Retry", [RETRY.get(cause.retry, cause.retry)], width)
        yield from _block("Seen as", [_seen(cause)], width)
        if self.rule is not None:
            matched = f"{self.rule.id}  «{self.snippet}»" if self.snippet else self.rule.id
            yield from _block("Matched", [matched], width)
            yield from _block("Confidence", [f"{self.rule.confidence}: {CONFIDENCE[self.rule.confidence]}"], width)
        if self.rule is not None and self.rule.versions:
            yield from _block("Versions", [f"Ollama {self.rule.versions} writes this text"], width)
        if self.captures:
            yield from _block("Says", [" · ".join(f"{key} {value}" for key, value in self.captures.items())], width)
        if self.wrapping:
            yield from _block("Unwrapped", [" · ".join(self.wrapping)], width)
        if self.rules:
            yield from _block("Rules", [" · ".join(self.rules)], width)
        yield from _block("Source", list(self._references()), width)
        if self.related:
            near = [f"{other.code} {other.slug}" for other in self.related]
            yield from _block("See also", [" · ".join(near)], width)
        if self.roots:
            yield from _block("In this log", _incidents(self.roots), width)

    def _settings(self, width: int) -> Iterator[str]:
        """What the settings of the remedy mean, which of them this version lacks, and how to set the others."""
        named = settings.named(self.remedy)
        caveats = {setting.name: setting.caveat(self.version) for setting, _ in named}
        texts = [f"{setting.name}={value}  {caveats[setting.name] or setting.meaning}" for setting, value in named]
        yield from _block("Settings", texts, width)
        usable = [item for item in named if not caveats[item[0].name].startswith(("not ", "no longer "))]
        if usable:
            yield from _block("Set by", settings.how(usable), width)

    def _unknown(self, width: int) -> Iterator[str]:
        yield from textwrap.wrap(f"No rule matches «{flat(self.query)}».", width)
        if self.nearest:
            yield ""
            yield "Nearest by words; none of them matches:"
        for name, example in self.nearest:
            yield f"  {name}"
            yield from textwrap.wrap(flat(example), width, initial_indent="    ", subsequent_indent="    ")
        yield ""
        yield from textwrap.wrap("To add a rule for this text, let erranalytics rules suggest draft it.", width)

    def _references(self) -> tuple[str, ...]:
        if self.rule is not None:
            return self.rule.references
        return self.sources


def _incidents(roots: Sequence[Root]) -> list[str]:
    """A sentence for each code, in the order of the roots."""
    sentences = []
    for code in dict.fromkeys(root.code for root in roots):
        group = [root for root in roots if root.code == code]
        times = "" if len(group) == 1 else f", {len(group)} times"
        request_count = sum(root.request_count for root in group)
        requests = f", {request_count} requests" if request_count > 1 else ""
        sentences.append(f"{code}  line {group[0].line_no}{times}{requests}: {flat(group[0].inner)}")
    rest = len(sentences) - SHOWN_COUNT
    return sentences[:SHOWN_COUNT] + ([f"and {rest} more: erranalytics classify - lists them all"] if rest > 0 else [])


def _steps(remedy: str) -> list[str]:
    """The remedy as it is, or as numbered steps if it has several."""
    # A semicolon in brackets or quotes belongs to an example.
    parts = re.split(r";\s+(?![^(]*\))|(?<=[A-Za-z)\"])\.\s+(?=[A-Z])", remedy.rstrip("."))
    if len(parts) < 2 or remedy.startswith("Nothing"):
        return [remedy]
    return [f"{number} {part[0].upper()}{part[1:]}" for number, part in enumerate(parts, 1)]


def _seen(cause: Cause) -> str:
    where = f"{cause.layer}, phase {cause.phase}" if cause.phase != "any" else f"{cause.layer}, any phase"
    status = f"status {cause.typical_status} · " if cause.typical_status else ""
    return f"{status}{where} · {cause.side} can act · {cause.error_class}"


def _block(label: str, parts: list[str], width: int) -> Iterator[str]:
    """A label with its text beside it, wrapped in its own column; addresses are never broken."""
    head = f"{label:<{LABEL_WIDTH}}"
    for part in parts:
        yield from textwrap.wrap(
            part, width, initial_indent=head, subsequent_indent=" " * LABEL_WIDTH, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
        head = " " * LABEL_WIDTH


def flat(text: str) -> str:
    """A text on one line, shortened to a snippet."""
    return shortened(" ".join(text.split()), SNIPPET_CHARS)
