"""Explain one cause, one rule, one HTTP status or one pasted text; needs no store.

``explain`` finds out what the query is; ``Explanation`` knows how to show it, as a dictionary or as lines.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from erranalytics.classification.rule import Rule
from erranalytics.classification.rulebook import Rulebook
from erranalytics.classification.taxonomy import Cause
from erranalytics.ollama import settings, versions

LABEL_WIDTH = 13
NEAREST_COUNT = 3
SNIPPET_CHARS = 120
SHOWN_COUNT = 8
RETRY = {
    "immediate": "at once; the same request may well succeed",
    "backoff": "with growing pauses between the attempts",
    "after_change": "after a change; the same request will fail again",
    "never": "not needed",
}
# Confidence in words, for people who meet the rulebook for the first time.
CONFIDENCE = {
    "certain": "the text itself names the cause",
    "likely": "a wrapper or a status with its context; the text inside was not seen",
    "guess": "a status or a general phrase alone",
}


@dataclass(frozen=True)
class Root:
    """The problem an incident of a pasted log comes from, and how many records and requests it took with it."""

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
    """What a query means: the cause, how it was found, and what is near it.

    ``kind`` is ``code``, ``slug``, ``rule``, ``status``, ``text``, ``log`` (a block of several records) or ``unknown``;
    ``cause`` is None for unknown texts. ``version`` is the Ollama at hand, where it is known.
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
                {"name": one.name, "value": value, "meaning": one.meaning, "caveat": one.caveat(self.version)}
                for one, value in settings.named(self.remedy)
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
        """What to do: the sentence of the rule with the numbers of the text, else that of the cause."""
        return self.filled or (self.cause.remedy if self.cause else "")

    def __str__(self) -> str:
        """The explanation as a page of text, for ``print`` in a notebook."""
        return "\n".join(self.lines(100)).rstrip()

    def lines(self, width: int = 80) -> list[str]:
        """The explanation as text, no line wider than ``width`` unless one word is."""
        return list(self._unknown(width) if self.cause is None else self._known(self.cause, width))

    def _known(self, cause: Cause, width: int) -> Iterator[str]:
        facts = [cause.slug, cause.category, self.severity or cause.severity]
        yield f"{cause.code}  {' · '.join(facts + ([self.rule.confidence] if self.rule else []))}"
        yield from textwrap.wrap(cause.title, width)
        yield ""
        yield from _block("What to do", _steps(self.remedy), width)
        yield from self._settings(width)
        yield from _block("Retry", [RETRY.get(cause.retry, cause.retry)], width)
        yield from _block("Seen as", [_seen(cause)], width)
        if self.rule is not None:
            shown = f"{self.rule.id}  «{self.snippet}»" if self.snippet else self.rule.id
            yield from _block("Matched", [shown], width)
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
            yield from _block("In this log", _told(self.roots), width)

    def _settings(self, width: int) -> Iterator[str]:
        """What the settings of the remedy mean, what the version at hand lacks, and how to set the rest."""
        named = settings.named(self.remedy)
        caveats = {one.name: one.caveat(self.version) for one, _ in named}
        texts = [f"{one.name}={value}  {caveats[one.name] or one.meaning}" for one, value in named]
        yield from _block("Settings", texts, width)
        usable = [(one, value) for one, value in named if not caveats[one.name].startswith(("not ", "no longer "))]
        if usable:
            yield from _block("Set by", settings.how(usable), width)

    def _unknown(self, width: int) -> Iterator[str]:
        yield from textwrap.wrap(f"No rule knows «{_short(self.query)}».", width)
        if self.nearest:
            yield ""
            yield "Nearest, by words only; none of them matches:"
        for name, example in self.nearest:
            yield f"  {name}"
            yield from textwrap.wrap(_short(example), width, initial_indent="    ", subsequent_indent="    ")
        yield ""
        yield from textwrap.wrap("A line that should be known: erranalytics rules suggest drafts its rule.", width)

    def _references(self) -> tuple[str, ...]:
        if self.rule is not None:
            return self.rule.references
        return self.sources


def explain(query: str, *, book: Rulebook, version: str | None = None) -> Explanation:
    """What ``query`` means: a code, a slug or alias, a rule id, an HTTP status, or any text of a log or client.

    Args:
        query: what was asked.
        book: the rules.
        version: the Ollama at hand; what the text itself tells is found without it.
    """
    return replace(_explain(query, book=book), version=version or versions.told(query))


def of_log(query: str, roots: Sequence[Root], *, book: Rulebook, version: str | None = None) -> Explanation:
    """What a block of several records means: its worst incident, the others by name.

    Args:
        query: the block.
        roots: the roots of its incidents, the one to explain first.
        book: the rules.
        version: the Ollama at hand; else the one the log tells.
    """
    first = roots[0]
    cause, rule = book.causes[first.code], book.by_id.get(first.rule or "")
    return Explanation(
        query=query,
        kind="log",
        cause=cause,
        rule=rule,
        severity=first.severity,
        snippet=_short(first.inner),
        inner=first.inner,
        captures=json.loads(first.captures) if first.captures else {},
        wrapping=first.wrapping,
        filled=first.remedy,
        version=version or (f"v{first.version}" if first.version else versions.told(query)),
        roots=tuple(roots),
        related=_related(cause, rule, book),
    )


def _explain(query: str, *, book: Rulebook) -> Explanation:
    word = query.strip()
    cause = book.causes.get(word.upper())
    if cause is not None:
        return _of_cause(query, kind="code", cause=cause, book=book)
    slug = word.lower().replace(" ", "_")
    cause = book.by_slug.get(slug) or book.by_slug.get(slug.replace("_", "-"))
    if cause is not None:
        return _of_cause(query, kind="slug", cause=cause, book=book)
    rule = book.by_id.get(word)
    if rule is not None:
        cause = book.causes[rule.code]
        plain = None if rule.remedy is None or "{" in rule.remedy else rule.remedy
        related = _related(cause, rule, book)
        return Explanation(query, "rule", cause, rule, book.severity(rule), filled=plain, related=related)
    if re.fullmatch(r"[1-5]\d\d", word):
        return _of_status(query, status=word, book=book)
    return _of_text(query, book=book)


def _of_cause(query: str, *, kind: str, cause: Cause, book: Rulebook) -> Explanation:
    rules = [rule for rule in book.rules if rule.code == cause.code]
    sources = [cause.see] if cause.see else [text for rule in rules[:1] for text in rule.references]
    return Explanation(
        query=query,
        kind=kind,
        cause=cause,
        severity=cause.severity,
        rules=tuple(rule.id for rule in rules),
        sources=tuple(sources),
        related=_related(cause, None, book),
    )


def _of_status(query: str, *, status: str, book: Rulebook) -> Explanation:
    """The cause of a bare status, with the causes that are known to come with it."""
    holders = [cause for cause in book.causes.values() if re.search(rf"\b{status}\b", cause.typical_status)]
    named = book.by_slug.get(f"http_{status}")
    cause = named or next(iter(holders), None)
    if cause is None:
        return Explanation(query, "unknown", nearest=_nearest(f"status code {status}", book))
    related = tuple(other for other in holders if other is not cause)
    return replace(_of_cause(query, kind="status", cause=cause, book=book), related=related)


def _of_text(query: str, *, book: Rulebook) -> Explanation:
    # polars is the slowest import of the program; a code or a slug needs no pattern.
    import polars as pl

    from erranalytics.classification import facts
    from erranalytics.classification.classifier import classify
    from erranalytics.classification.innermost import innermost

    texts = pl.Series("text", [query], dtype=pl.String)
    verdict = classify(texts, book=book)
    found = verdict.row(0, named=True)
    if found["rule"] is None:
        return Explanation(query, "unknown", nearest=_nearest(query, book))
    rule = book.by_id[found["rule"]]
    cause = book.causes[rule.code]
    # Where nothing stood around it, the text itself is what the pattern saw.
    is_bare = found["wrapping"] is None and found["inner"] == query
    seen = texts if is_bare else innermost(texts).get_column("haystack")
    snippet = seen.str.extract(rule.regex, 0).item()
    filled = facts.columns(verdict["captures"]).select(facts.fill(rule.remedy)).item() if rule.remedy else None
    return Explanation(
        query=query,
        kind="text",
        cause=cause,
        rule=rule,
        severity=found["severity"],
        snippet=_short(snippet) if snippet else None,
        inner=found["inner"],
        captures=json.loads(found["captures"]) if found["captures"] else {},
        wrapping=tuple(found["wrapping"] or ()),
        filled=filled,
        related=_related(cause, rule, book),
    )


def _told(roots: Sequence[Root]) -> list[str]:
    """A sentence per code, in the order of the roots."""
    told = []
    for code in dict.fromkeys(root.code for root in roots):
        group = [root for root in roots if root.code == code]
        times = "" if len(group) == 1 else f", {len(group)} times"
        lost = sum(root.request_count for root in group)
        requests = f", {lost} requests" if lost > 1 else ""
        told.append(f"{code}  line {group[0].line_no}{times}{requests}: {_short(group[0].inner)}")
    rest = len(told) - SHOWN_COUNT
    return told[:SHOWN_COUNT] + ([f"and {rest} more: erranalytics classify - tells all"] if rest > 0 else [])


def _related(cause: Cause, rule: Rule | None, book: Rulebook) -> tuple[Cause, ...]:
    """What the rule implies, then the neighbours of the cause in its category and phase."""
    implied = [book.causes[code] for code in rule.implies] if rule else []
    number = int(cause.code[-3:])
    near = [
        other
        for other in book.causes.values()
        if other.category == cause.category and other.phase == cause.phase and other.code != cause.code
    ]
    near.sort(key=lambda other: abs(int(other.code[-3:]) - number))
    return tuple(dict.fromkeys([*implied, *near]))[:NEAREST_COUNT]


def _nearest(query: str, book: Rulebook) -> tuple[tuple[str, str], ...]:
    """The causes whose names, else the rules whose examples, share most with the query."""
    import difflib

    word = query.strip()
    if re.fullmatch(r"[\w-]+", word):
        names = difflib.get_close_matches(word.lower(), list(book.by_slug), n=NEAREST_COUNT, cutoff=0.6)
        codes = difflib.get_close_matches(word.upper(), list(book.causes), n=NEAREST_COUNT, cutoff=0.6)
        causes = dict.fromkeys([*(book.causes[code] for code in codes), *(book.by_slug[name] for name in names)])
        if causes:
            return tuple((f"{cause.code} {cause.slug}", cause.title) for cause in causes)[:NEAREST_COUNT]
    words = set(re.findall(r"[a-z]{3,}", word.lower()))
    scored = []
    for rule in book.rules:
        for example in rule.example:
            other = set(re.findall(r"[a-z]{3,}", example.line.lower()))
            if shared := words & other:
                scored.append((len(shared) / len(words | other), rule.id, example.line))
    scored.sort(reverse=True)
    # Sequence matching is slow, so it only orders what shares words.
    first = sorted(scored[:20], key=lambda item: -difflib.SequenceMatcher(None, word[:200], item[2][:200]).ratio())
    best = {name: line for score, name, line in reversed(first) if score > 0.1}
    return tuple(reversed(list(best.items())))[:NEAREST_COUNT]


def _steps(remedy: str) -> list[str]:
    """The remedy as it is, or as numbered steps where it has several."""
    # A semicolon within brackets or quotes belongs to an example.
    parts = re.split(r";\s+(?![^(]*\))|(?<=[A-Za-z)\"])\.\s+(?=[A-Z])", remedy.rstrip("."))
    if len(parts) < 2 or remedy.startswith("Nothing"):
        return [remedy]
    return [f"{number} {part[0].upper()}{part[1:]}" for number, part in enumerate(parts, 1)]


def _seen(cause: Cause) -> str:
    where = f"{cause.layer}, phase {cause.phase}" if cause.phase != "any" else f"{cause.layer}, any phase"
    status = f"status {cause.typical_status} · " if cause.typical_status else ""
    return f"{status}{where} · {cause.side} can act · {cause.error_class}"


def _block(label: str, parts: list[str], width: int) -> Iterator[str]:
    """A label with its text beside it, wrapped below itself; addresses are never broken."""
    head = f"{label:<{LABEL_WIDTH}}"
    for part in parts:
        yield from textwrap.wrap(
            part, width, initial_indent=head, subsequent_indent=" " * LABEL_WIDTH, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
        head = " " * LABEL_WIDTH


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SNIPPET_CHARS else f"{flat[: SNIPPET_CHARS - 1]}…"
