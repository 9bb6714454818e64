"""The proof of the rulebook: every rule wins its own examples and matches none of its counterexamples.

``erranalytics rules check`` and the tests run it; classification does not need it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import polars as pl

from erranalytics.classification import facts
from erranalytics.classification.classifier import candidates, classify
from erranalytics.classification.remedies import remedies
from erranalytics.classification.rule import REMEDY_WORDS, Rule
from erranalytics.classification.rulebook import Rulebook
from erranalytics.errors import did_you_mean


def check(book: Rulebook) -> list[str]:
    """The false claims of the rules, as ``path:line: sentence``; an empty list is a proof."""
    faults = [fault for rule in book.rules for fault in (*_compiles(rule), *_claims(rule))]
    if any("does not compile" in fault for fault in faults):
        return faults
    faults.extend(_examples(book))
    faults.extend(_counterexamples(book))
    faults.extend(facts.faults())
    return faults


def _compiles(rule: Rule) -> Iterator[str]:
    """Faults of a pattern that the engine refuses, and of a ``differ`` that names missing groups."""
    try:
        pl.Series([""]).str.contains(rule.regex)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[-1]
        yield f"{rule.locate('pattern')}: the pattern does not compile: {reason}"
    for group in sorted(set(rule.differ or ()) - set(rule.groups)):
        yield f"{rule.locate('differ')}: the pattern has no group '{group}'{did_you_mean(group, rule.groups)}"


def _claims(rule: Rule) -> Iterator[str]:
    """Faults that the file alone shows, in its literals, its remedy and its name."""
    lines = [example.line.lower() for example in rule.example]
    for literal in rule.literals:
        if not any(literal.lower() in line for line in lines):
            yield f"{rule.locate('literals')}: no example contains the literal '{literal}'"
    for example in rule.example:
        if not any(literal.lower() in example.line.lower() for literal in rule.literals):
            yield f"{rule.locate('[[example]]')}: the example '{example.line}' contains no literal"
    names = [fact.name for fact in facts.book()]
    for word in dict.fromkeys(facts.PLACEHOLDER.findall(rule.remedy or "")):
        if word not in names:
            yield f"{rule.locate('remedy')}: the remedy names an unknown fact '{word}'{did_you_mean(word, names)}"
    if rule.name.split("-")[0] in REMEDY_WORDS:
        yield f"{rule.locate('name')}: name '{rule.name}' says what to do; name the symptom"


def _examples(book: Rulebook) -> Iterator[str]:
    """Examples that another rule wins or a rule of the same family matches, and groups that no example fills."""
    owners = [(rule, example.line) for rule in book.rules for example in rule.example]
    lines = pl.Series("text", [line for _, line in owners], dtype=pl.String)
    verdicts = classify(lines, book=book)
    matches = candidates(lines, book=book)
    groups: dict[str, set[str]] = {}
    for (rule, line), winner, captures, numbers in zip(
        owners, verdicts["rule"], verdicts["captures"], matches["rules"].to_list(), strict=True
    ):
        place = rule.locate("[[example]]")
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
            yield f"{rule.locate('pattern')}: no example fills the group '{group}'"
    yield from _facts(book, verdicts)


def _facts(book: Rulebook, verdicts: pl.DataFrame) -> Iterator[str]:
    """Groups that are named like a fact and hold something else, and remedies that no example can fill."""
    table = verdicts.select("rule", "captures").hstack(facts.columns(verdicts["captures"]))
    table = table.with_columns(filled=remedies(table, book)).filter(pl.col("rule").is_not_null())
    for (name,), part in table.partition_by("rule", as_dict=True, maintain_order=True).items():
        rule = book.by_id[str(name)]
        for fact in facts.book():
            for group in sorted(set(rule.groups) & set(fact.groups)):
                texts = part["captures"].str.json_path_match(f"$.{group}")
                for text in texts.filter(texts.is_not_null() & part[fact.name].is_null()):
                    sentence = f"the group '{group}' captured '{text}', which is not of type {fact.type}"
                    yield f"{rule.locate('pattern')}: {sentence}"
        if rule.remedy and part["filled"].null_count() == part.height:
            yield f"{rule.locate('remedy')}: no example fills the remedy"


def _counterexamples(book: Rulebook) -> Iterator[str]:
    """Counterexamples that the pattern of their own rule matches."""
    owners = [(number, rule, other.line) for number, rule in enumerate(book.rules) for other in rule.counterexample]
    lines = pl.Series("text", [line for _, _, line in owners], dtype=pl.String)
    for (number, rule, line), numbers in zip(owners, candidates(lines, book=book)["rules"].to_list(), strict=True):
        if number in (numbers or []):
            yield f"{rule.locate('[[counterexample]]')}: the pattern matches the counterexample '{line}'"
