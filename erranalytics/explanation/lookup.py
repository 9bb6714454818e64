"""Find out what a code, a status, a rule or a pasted text means; needs no store."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from erranalytics.classification.rule import Rule
from erranalytics.classification.rulebook import Rulebook
from erranalytics.classification.taxonomy import Cause
from erranalytics.explanation.explanation import Explanation, Root, flat
from erranalytics.ollama import versions

NEAREST_COUNT = 3


def explain(query: str, *, book: Rulebook, version: str | None = None) -> Explanation:
    """Explain a code, a slug or alias, a rule id, an HTTP status, or any text of a log or a client.

    Args:
        query: the code or text.
        book: the rules.
        version: the version of Ollama in use; by default the one that the text states.
    """
    return replace(_explain(query, book=book), version=version or versions.stated(query))


def of_log(query: str, roots: Sequence[Root], *, book: Rulebook, version: str | None = None) -> Explanation:
    """Explain the worst incident of a block of several records, and name the others.

    Args:
        query: the block.
        roots: the roots of its incidents, the one to explain first.
        book: the rules.
        version: the version of Ollama in use; by default the one that the log states.
    """
    first = roots[0]
    cause, rule = book.causes[first.code], book.by_id.get(first.rule or "")
    return Explanation(
        query=query,
        kind="log",
        cause=cause,
        rule=rule,
        severity=first.severity,
        snippet=flat(first.inner),
        inner=first.inner,
        captures=json.loads(first.captures) if first.captures else {},
        wrapping=first.wrapping,
        filled=first.remedy,
        version=version or (f"v{first.version}" if first.version else versions.stated(query)),
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
    """Explain a bare status by its cause, and relate the other causes that come with it."""
    candidates = [cause for cause in book.causes.values() if re.search(rf"\b{status}\b", cause.typical_status)]
    named = book.by_slug.get(f"http_{status}")
    cause = named or next(iter(candidates), None)
    if cause is None:
        return Explanation(query, "unknown", nearest=_nearest(f"status code {status}", book))
    related = tuple(other for other in candidates if other is not cause)
    return replace(_of_cause(query, kind="status", cause=cause, book=book), related=related)


def _of_text(query: str, *, book: Rulebook) -> Explanation:
    # polars is the slowest import of the program, and a code or a slug does without it.
    import polars as pl

    from erranalytics.classification import facts
    from erranalytics.classification.classifier import classify
    from erranalytics.classification.innermost import innermost

    texts = pl.Series("text", [query], dtype=pl.String)
    verdicts = classify(texts, book=book)
    verdict = verdicts.row(0, named=True)
    if verdict["rule"] is None:
        return Explanation(query, "unknown", nearest=_nearest(query, book))
    rule = book.by_id[verdict["rule"]]
    cause = book.causes[rule.code]
    # Without wrapping, the pattern saw the text itself.
    is_bare = verdict["wrapping"] is None and verdict["inner"] == query
    seen = texts if is_bare else innermost(texts).get_column("haystack")
    snippet = seen.str.extract(rule.regex, 0).item()
    filled = facts.columns(verdicts["captures"]).select(facts.fill(rule.remedy)).item() if rule.remedy else None
    return Explanation(
        query=query,
        kind="text",
        cause=cause,
        rule=rule,
        severity=verdict["severity"],
        snippet=flat(snippet) if snippet else None,
        inner=verdict["inner"],
        captures=json.loads(verdict["captures"]) if verdict["captures"] else {},
        wrapping=tuple(verdict["wrapping"] or ()),
        filled=filled,
        related=_related(cause, rule, book),
    )


def _related(cause: Cause, rule: Rule | None, book: Rulebook) -> tuple[Cause, ...]:
    """The causes that the rule implies, then those of the same category and phase with the nearest codes."""
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
    """The causes with the most similar names, or else the rules whose examples share most words with the query."""
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
    # Sequence matching is slow, so it only orders examples that share words.
    first = sorted(scored[:20], key=lambda item: -difflib.SequenceMatcher(None, word[:200], item[2][:200]).ratio())
    best = {name: line for score, name, line in reversed(first) if score > 0.1}
    return tuple(reversed(list(best.items())))[:NEAREST_COUNT]
