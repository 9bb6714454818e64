"""The pages about causes and rules: an index, and a page for each category of causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from erranalytics.classification import rulebook
from erranalytics.classification.rule import Rule
from erranalytics.classification.rulebook import Rulebook
from erranalytics.classification.taxonomy import Cause
from scripts.reference.markdown import GENERATED, code, escape, first_line, page, table

HEAD = """erranalytics knows {causes} causes and recognises them with {rules} rules. Each category of causes has a page.
A code never changes its meaning. `erranalytics explain CODE` prints the entry of a code on a terminal, and
`erranalytics explain 'TEXT'` says which rule matches a text."""
ORDER = "Families of rules are tried in this order, and the first rule that matches decides: {families}."
NO_RULE = "No rule recognises this cause in a text. It is derived from the events around it."


def pages() -> dict[str, str]:
    """The text of each page by its path below ``docs``."""
    book = rulebook.load()
    causes = sorted(book.causes.values(), key=lambda cause: (cause.category, cause.code))
    categories = {name: list(group) for name, group in groupby(causes, key=lambda cause: cause.category)}
    rules: dict[str, list[Rule]] = {cause: [] for cause in book.causes}
    for rule in book.rules:
        rules[rule.code].append(rule)
    of_categories = {f"rules/{name}.md": _category(name, members, rules) for name, members in categories.items()}
    return {"rules.md": _index(categories, book), **of_categories}


def _index(categories: dict[str, list[Cause]], book: Rulebook) -> str:
    rows = [
        (f"[{name}](rules/{name}.md)", str(len(members)), ", ".join(cause.code for cause in members))
        for name, members in categories.items()
    ]
    return page(
        [
            "# Causes and rules",
            GENERATED,
            HEAD.format(causes=len(book.causes), rules=len(book.rules)),
            table(("category", "causes", "codes"), rows),
            ORDER.format(families=", ".join(map(code, book.families))),
        ]
    )


def _category(name: str, members: Sequence[Cause], rules: dict[str, list[Rule]]) -> str:
    rows = [(_link(cause), code(cause.slug), cause.title) for cause in members]
    return page(
        [
            f"# Causes of category {name}",
            GENERATED,
            "[All categories](../rules.md)",
            table(("code", "cause", "what happened"), rows),
            *(part for cause in members for part in _cause(cause, rules[cause.code])),
        ]
    )


def _link(cause: Cause) -> str:
    return f"[{cause.code}](#{cause.code.lower()}-{cause.slug})"


def _cause(cause: Cause, rules: Sequence[Rule]) -> Iterator[str]:
    yield f"## {cause.code} {cause.slug}"
    yield f"**{escape(cause.title)}**"
    facts = [f"severity {cause.severity}", f"layer {cause.layer}", f"phase {cause.phase}", f"{cause.side} can act"]
    facts += [f"retry {cause.retry}", cause.error_class]
    facts += [f"status {cause.typical_status}"] if cause.typical_status else []
    yield escape(" · ".join(facts))
    yield f"What to do: {escape(cause.remedy)}"
    if cause.see:
        yield f"Source: <{cause.see}>" if cause.see.startswith("https://") else f"Source: {escape(cause.see)}"
    for rule in rules:
        yield "\n".join(_rule(rule, cause))
    if not rules:
        yield NO_RULE


def _rule(rule: Rule, cause: Cause) -> Iterator[str]:
    severity = f", severity {rule.severity}" if rule.severity and rule.severity != cause.severity else ""
    versions = f", Ollama {rule.versions}" if rule.versions else ""
    yield f"- Rule {code(rule.id)} ({rule.confidence}{severity}{versions}): {code(rule.pattern)}"
    for example in rule.example:
        yield f"  - matches {code(first_line(example.line))}"
    for other in rule.counterexample:
        yield f"  - does not match {code(first_line(other.line))}: {escape(other.why)}"
    if rule.remedy:
        yield f"  - remedy: {escape(rule.remedy)}"
    yield "  - " + ", ".join(f"<{text}>" if text.startswith("https://") else code(text) for text in rule.references)
