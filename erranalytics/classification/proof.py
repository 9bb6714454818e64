"""The proof of the rulebook: every rule meets its examples and counterexamples, and no other rule's.

Nothing here is needed to classify; ``erranalytics rules check`` and the tests run it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import polars as pl

from erranalytics.classification import facts
from erranalytics.classification.classifier import candidates, classify
from erranalytics.classification.remedies import remedies
from erranalytics.classification.rulebook import REMEDY_WORDS, Rule, Rulebook, locate
from erranalytics.errors import nearest


def check(book: Rulebook) -> list[str]:
    """Faults in what the rules claim, as ``path:line: sentence``; an empty list is a proof."""
    faults = [fault for rule in book.rules for fault in (*_compiles(rule), *_claims(rule))]
    if any("does not compile" in fault for fault in faults):
        return faults
    faults.extend(_examples(book))
    faults.extend(_counterexamples(book))
    faults.extend(facts.faults())
    return faults


def _compiles(rule: Rule) -> Iterator[str]:
    """The fault of a pattern that the engine refuses, and of ``differ`` naming groups that are not there."""
    try:
        pl.Series([""]).str.contains(rule.regex)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[-1]
        yield f"{locate(rule.path, 'pattern')}: the pattern does not compile: {reason}"
    for group in sorted(set(rule.differ or ()) - set(rule.groups)):
        yield f"{locate(rule.path, 'differ')}: the pattern has no group '{group}'{nearest(group, rule.groups)}"


def _claims(rule: Rule) -> Iterator[str]:
    """Faults that the file alone shows: its literals, its name."""
    lines = [example.line.lower() for example in rule.example]
    for literal in rule.literals:
        if not any(literal.lower() in line for line in lines):
            yield f"{locate(rule.path, 'literals')}: literal '{literal}' stands in no example"
    for example in rule.example:
        if not any(literal.lower() in example.line.lower() for literal in rule.literals):
            yield f"{locate(rule.path, '[[example]]')}: no literal stands in the example '{example.line}'"
    names = [fact.name for fact in facts.book()]
    for word in dict.fromkeys(facts.PLACEHOLDER.findall(rule.remedy or "")):
        if word not in names:
            yield f"{locate(rule.path, 'remedy')}: the remedy names no fact '{word}'{nearest(word, names)}"
    if rule.name.split("-")[0] in REMEDY_WORDS:
        yield f"{locate(rule.path, 'name')}: name '{rule.name}' says what to do; name the symptom"


def _examples(book: Rulebook) -> Iterator[str]:
    """Examples that another rule wins, that two rules of a family match, groups that stay empty."""
    owners = [(rule, example.line) for rule in book.rules for example in rule.example]
    lines = pl.Series("text", [line for _, line in owners], dtype=pl.String)
    found = classify(lines, book=book)
    matches = candidates(lines, book=book)
    groups: dict[str, set[str]] = {}
    for (rule, line), winner, captures, numbers in zip(
        owners, found["rule"], found["captures"], matches["rules"].to_list(), strict=True
    ):
        place = locate(rule.path, "[[example]]")
        rivals = [book.rules[number].id for number in numbers or [] if book.rules[number].family == rule.family]
        if rule.id not in rivals:
            yield f"{place}: the pattern does not match the example '{line}'"
        elif winner != rule.id:
            yield f"{place}: rule '{winner}' wins the example '{line}'"
        for rival in sorted(set(rivals) - {rule.id}):
            yield f"{place}: rule '{rival}' of the same family matches the example '{line}' too"
        groups.setdefault(rule.id, set()).update(json.loads(captures) if captures and winner == rule.id else {})
    for rule in book.rules:
        for group in sorted(set(rule.groups) - groups[rule.id]):
            yield f"{locate(rule.path, 'pattern')}: no example fills the group '{group}'"
    yield from _facts(book, found)


def _facts(book: Rulebook, found: pl.DataFrame) -> Iterator[str]:
    """Groups named like a fact that hold something else, and remedies that no example can fill."""
    won = found.select("rule", "captures").hstack(facts.columns(found["captures"]))
    won = won.with_columns(filled=remedies(won, book)).filter(pl.col("rule").is_not_null())
    for (name,), part in won.partition_by("rule", as_dict=True, maintain_order=True).items():
        rule = book.by_id[str(name)]
        for fact in facts.book():
            for group in sorted(set(rule.groups) & set(fact.groups)):
                texts = part["captures"].str.json_path_match(f"$.{group}")
                for text in texts.filter(texts.is_not_null() & part[fact.name].is_null()):
                    yield f"{locate(rule.path, 'pattern')}: the group '{group}' took '{text}', which is no {fact.type}"
        if rule.remedy and part["filled"].null_count() == part.height:
            yield f"{locate(rule.path, 'remedy')}: no example fills the remedy"


def _counterexamples(book: Rulebook) -> Iterator[str]:
    """Counterexamples that the pattern of their own rule matches."""
    owners = [(number, rule, sample.line) for number, rule in enumerate(book.rules) for sample in rule.counterexample]
    lines = pl.Series("text", [line for _, _, line in owners], dtype=pl.String)
    for (number, rule, line), numbers in zip(owners, candidates(lines, book=book)["rules"].to_list(), strict=True):
        if number in (numbers or []):
            yield f"{locate(rule.path, '[[counterexample]]')}: the pattern matches the counterexample '{line}'"
