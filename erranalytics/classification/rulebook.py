"""The rulebook: all causes, and the rules in the order in which they are tried.

A rule says how a cause shows in a text; the cause says what that means and what to do. ``load`` refuses files that
cannot be used and reports all their faults at once; ``proof.check`` proves that each rule does what its examples claim.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from erranalytics import datafiles
from erranalytics.classification import taxonomy
from erranalytics.classification.rule import Counterexample, Example, Rule
from erranalytics.classification.taxonomy import Cause
from erranalytics.datafiles import Severity
from erranalytics.errors import RuleError, UsageError, did_you_mean

RULES = datafiles.RULES
# The family of lines that report no problem; in a block such a line decides only when no other does.
NOISE = "noise"
# The fields of a rule in the order of its prepared values; its examples come after them.
_PLAIN = ("name", "family", "code", "pattern", "confidence", "severity", "since", "until", "remedy")
_LISTS = ("literals", "references", "implies", "differ")


@dataclass(frozen=True, kw_only=True)
class Rulebook:
    """All causes and rules, in the order in which the rules are tried."""

    causes: dict[str, Cause]
    rules: tuple[Rule, ...]
    families: tuple[str, ...]
    hash: str

    @cached_property
    def by_slug(self) -> dict[str, Cause]:
        """Causes by slug and by alias."""
        aliases = {alias: cause for cause in self.causes.values() for alias in cause.aliases}
        return aliases | {cause.slug: cause for cause in self.causes.values()}

    @cached_property
    def by_id(self) -> dict[str, Rule]:
        """Rules by ``family/name``."""
        return {rule.id: rule for rule in self.rules}

    @cached_property
    def literals(self) -> dict[str, tuple[int, ...]]:
        """The numbers of the rules that wait for a literal, by the literal in lower case."""
        waiting: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for literal in dict.fromkeys(text.lower() for text in rule.literals):
                waiting.setdefault(literal, []).append(number)
        return {literal: tuple(numbers) for literal, numbers in waiting.items()}

    @cached_property
    def waiting(self) -> dict[str, list[Any]]:
        """``literals`` as columns ``literal`` and ``rule_no`` with one pair per row."""
        pairs = [(literal, number) for literal, numbers in self.literals.items() for number in numbers]
        return {"literal": [literal for literal, _ in pairs], "rule_no": [number for _, number in pairs]}

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The verdict of each rule, as columns in the order of the rules."""
        return {
            "rule": [rule.id for rule in self.rules],
            "code": [rule.code for rule in self.rules],
            "confidence": [rule.confidence for rule in self.rules],
            "severity": [self.severity(rule) for rule in self.rules],
        }

    @cached_property
    def quiet(self) -> list[int]:
        """The numbers of the rules that report no problem."""
        return [number for number, rule in enumerate(self.rules) if self.severity(rule) == "info"]

    @cached_property
    def capturing(self) -> list[int]:
        """The numbers of the rules whose pattern has groups."""
        return [number for number, rule in enumerate(self.rules) if rule.groups]

    def find(self, name: str) -> Rule:
        """The rule ``family/name``.

        Raises:
            UsageError: there is no such rule; names the nearest one.
        """
        if name not in self.by_id:
            hint = "all rules: erranalytics rules list"
            raise UsageError(f"no rule named {name!r}{did_you_mean(name, self.by_id)}", hint=hint)
        return self.by_id[name]

    def severity(self, rule: Rule) -> Severity:
        """The severity of the rule, or else of its cause."""
        return rule.severity or self.causes[rule.code].severity


def load(extra_dirs: Sequence[str | Path] = ()) -> Rulebook:
    """The shipped rules and those of ``extra_dirs`` (``<family>/<name>.toml`` or ``<name>.toml``).

    Rules of extra folders are tried first within their family, and families that are not declared come before all
    others. Within a process the same files give the same object.

    Raises:
        RuleError: one or more files are wrong; lists all faults as ``path:line: sentence``.
    """
    return _extended(tuple((Path(folder), _state(Path(folder))) for folder in extra_dirs)) if extra_dirs else _shipped()


def read(extra_dirs: Sequence[str | Path] = ()) -> Rulebook:
    """Like ``load``, but the shipped files too are read and checked again."""
    from erranalytics.classification import rule_files

    causes = [Cause(**row) for row in rule_files.checked_causes()]
    return _checked([*map(Path, extra_dirs), RULES], causes=causes, declared=datafiles.families())


def unchecked() -> dict[str, Any]:
    """The values to prepare of the shipped rules, from files that are not checked."""
    causes, declared = [Cause(**row) for row in taxonomy.rows()], datafiles.families()
    return _values(_ordered([Rule.from_file(data) for data in datafiles.rules()], causes=causes, declared=declared))


@cache
def _shipped() -> Rulebook:
    return _of_values(datafiles.prepared("rulebook", datafiles.rule_files(), lambda: _values(read())))


@lru_cache(maxsize=8)
def _extended(extra: tuple[tuple[Path, str], ...]) -> Rulebook:
    """The shipped rules with those of some folders; a folder is known by its path and the digest of its files."""
    folders = [folder for folder, _ in extra]
    try:
        shipped = _shipped()
    except RuleError:
        # Reports its faults and those of the folders together.
        return read(folders)
    declared = datafiles.families()
    return _checked(folders, causes=shipped.causes.values(), declared=declared, shipped=shipped.rules)


def _state(folder: Path) -> str:
    """A digest of the files of a folder of rules."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.toml"), *folder.glob("*/*.toml")]):
        text = path.read_bytes()
        digest.update(f"{path} {len(text)}\n".encode("utf-8", "surrogateescape"))
        digest.update(text)
    return digest.hexdigest()


def _checked(
    folders: Iterable[Path], *, causes: Iterable[Cause], declared: tuple[str, ...], shipped: Sequence[Rule] = ()
) -> Rulebook:
    """The rulebook of the rules of some folders and of those that were read before."""
    from erranalytics.classification import rule_files

    codes = [cause.code for cause in causes]
    faults: list[str] = []
    rules: list[Rule] = []
    for folder in folders:
        known = declared if folder == RULES else None
        rules.extend(map(Rule.from_file, rule_files.read(folder, codes=codes, known=known, faults=faults)))
    rules.extend(sorted(shipped, key=lambda rule: (rule.family, f"{rule.name}.toml")))
    faults.extend(_duplicates(rules))
    if faults:
        raise RuleError.from_faults(faults, hint="a rule file is described in CONTRIBUTING.md, 'Add a rule'")
    return _ordered(rules, causes=causes, declared=declared)


def _ordered(rules: Sequence[Rule], *, causes: Iterable[Cause], declared: tuple[str, ...]) -> Rulebook:
    """The rulebook with its rules in the order of their families, those that are not declared first."""
    own = tuple(dict.fromkeys(rule.family for rule in rules if rule.family not in declared))
    families = own + declared
    place = {family: number for number, family in enumerate(families)}
    ordered = tuple(sorted(rules, key=lambda rule: place[rule.family]))
    digest = _digest(causes, ordered)
    return Rulebook(causes={cause.code: cause for cause in causes}, rules=ordered, families=families, hash=digest)


def _values(book: Rulebook) -> dict[str, Any]:
    """The values to prepare of a rulebook, without the paths of its files."""
    rules = [
        [
            *(getattr(rule, name) for name in _PLAIN),
            *(getattr(rule, name) for name in _LISTS),
            [example.line for example in rule.example],
            [[example.line, example.why] for example in rule.counterexample],
        ]
        for rule in book.rules
    ]
    causes = [[*cause.as_dict().values()] for cause in book.causes.values()]
    return {"causes": causes, "rules": rules, "families": book.families, "hash": book.hash}


def _of_values(values: Mapping[str, Any]) -> Rulebook:
    """The rulebook from its prepared values, see ``_values``."""
    names = [field.name for field in fields(Cause)]
    causes = [Cause(**dict(zip(names, [*texts, tuple(aliases)], strict=True))) for *texts, aliases in values["causes"]]
    folder, count = str(RULES), len(_PLAIN)
    rules = [
        Rule(
            **dict(zip(_PLAIN, row, strict=False)),
            literals=tuple(literals),
            references=tuple(references),
            implies=tuple(implies),
            differ=differ and tuple(differ),
            example=tuple(map(Example, lines)),
            counterexample=tuple(Counterexample(line, why) for line, why in others),
            path=os.path.join(folder, row[1], f"{row[0]}.toml"),  # noqa: PTH118 - faster than Path, for hundreds of rules
        )
        for row in values["rules"]
        for literals, references, implies, differ, lines, others in [row[count:]]
    ]
    by_code = {cause.code: cause for cause in causes}
    return Rulebook(causes=by_code, rules=tuple(rules), families=tuple(values["families"]), hash=values["hash"])


def _duplicates(rules: Iterable[Rule]) -> Iterator[str]:
    seen: dict[str, Rule] = {}
    for rule in rules:
        first = seen.setdefault(rule.id, rule)
        if first is not rule:
            yield f"{rule.path}:1: rule '{rule.id}' exists already in {first.path}"


def _digest(causes: Iterable[Cause], rules: Iterable[Rule]) -> str:
    """A hash of the causes, the rules without their paths, the steps of unwrapping and the facts."""
    plain = [rule.as_dict() for rule in rules]
    for rule in plain:
        del rule["path"]
    data = [cause.as_dict() for cause in causes], plain
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for name in datafiles.WITH_RULES:
        digest.update((datafiles.PACKAGE / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()
