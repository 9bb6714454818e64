"""The rulebook: the taxonomy of causes and one TOML file per rule.

A rule says how one cause looks in a text; the cause says what it means and what to do. ``load`` refuses a file that
cannot be used and reports all faults at once; ``proof.check`` proves that each rule does what its examples claim.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from erranalytics import datafiles
from erranalytics.datafiles import Confidence, Severity
from erranalytics.errors import RuleError, UsageError, nearest

RULES = datafiles.RULES
# The family of lines that report nothing; in a block such a line decides only when nothing else does.
NOISE = "noise"
# A name tells what is seen; one that begins with such a word tells what to do.
REMEDY_WORDS = frozenset(
    ("lower", "raise", "increase", "reduce", "upgrade", "update", "install", "restart", "fix", "use", "set", "check")
)
# Fields of a rule as they stand in its form; examples come after them.
_PLAIN = ("name", "family", "code", "pattern", "confidence", "severity", "since", "until", "remedy")
_LISTS = ("literals", "references", "implies", "differ")


@dataclass(frozen=True, slots=True)
class Cause:
    """One row of the taxonomy: what went wrong, who can act and how."""

    code: str
    slug: str
    category: str
    title: str
    severity: Severity
    layer: str
    phase: str
    side: str
    retry: str
    error_class: str
    typical_status: str
    remedy: str
    see: str
    aliases: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, as JSON has them."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class Example:
    """A text the rule must match and win."""

    line: str


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A text the rule must not match, and why."""

    line: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One way a cause shows in a text; ``family`` is the folder of its file.

    ``differ`` names two groups that must hold different texts (``29/29 layers`` is no shortfall): the engine
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, as JSON has them."""
        return _plain(self)

    @property
    def id(self) -> str:
        """``family/name``, the identity of the rule everywhere outside the rulebook."""
        return f"{self.family}/{self.name}"

    @property
    def versions(self) -> str:
        """The versions of Ollama that write the text, in words; empty when that is not known."""
        if self.since and self.until:
            return f"{self.since} to {self.until}"
        return f"since {self.since}" if self.since else f"to {self.until}" if self.until else ""

    @property
    def regex(self) -> str:
        """The pattern as it is run: ``^`` and ``$`` stand at the borders of each line."""
        return f"(?m){self.pattern}"

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of the captures, in pattern order."""
        return tuple(re.findall(r"\(\?P?<(\w+)>", self.pattern))


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
        """Lower-case literal to the numbers of the rules that wait for it."""
        found: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for literal in dict.fromkeys(text.lower() for text in rule.literals):
                found.setdefault(literal, []).append(number)
        return {literal: tuple(numbers) for literal, numbers in found.items()}

    @cached_property
    def waiting(self) -> dict[str, list[Any]]:
        """``literals`` as the columns ``literal`` and ``rule_no``, one pair a row."""
        pairs = [(literal, number) for literal, numbers in self.literals.items() for number in numbers]
        return {"literal": [literal for literal, _ in pairs], "rule_no": [number for _, number in pairs]}

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """What each rule says of every text it wins, as columns in the order of the rules."""
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
            UsageError: there is none, with the nearest name.
        """
        if name not in self.by_id:
            hint = "all rules: erranalytics rules list"
            raise UsageError(f"no rule named {name!r}{nearest(name, self.by_id)}", hint=hint)
        return self.by_id[name]

    def severity(self, rule: Rule) -> Severity:
        """What the rule says, else what its cause says."""
        return rule.severity or self.causes[rule.code].severity


def load(extra_dirs: Sequence[str | Path] = ()) -> Rulebook:
    """The shipped rules and those of ``extra_dirs`` (``<family>/<name>.toml`` or ``<name>.toml``).

    Rules of extra folders are tried first within their family; families that are not declared come first of all.
    Within a process the same files give the same object.

    Raises:
        RuleError: one or more files are wrong; all faults are listed as ``path:line: sentence``.
    """
    return _with(tuple((Path(folder), _texts(Path(folder))) for folder in extra_dirs)) if extra_dirs else _shipped()


def read(extra_dirs: Sequence[str | Path] = ()) -> Rulebook:
    """``load``, from the files themselves: the shipped ones, too, are read and tested again."""
    from erranalytics.classification import rule_files

    causes = [Cause(**row) for row in rule_files.taxonomy(Cause)]
    return _tested([*map(Path, extra_dirs), RULES], causes=causes, declared=datafiles.families())


def untested() -> dict[str, Any]:
    """The values of the form of the shipped rules, from files that nobody has tested."""
    causes, declared = [Cause(**row) for row in datafiles.taxonomy()], datafiles.families()
    return _values(_ordered([_rule(data) for data in datafiles.rules()], causes=causes, declared=declared))


@cache
def _shipped() -> Rulebook:
    return _of_values(datafiles.prepared("rulebook", datafiles.rule_files(), lambda: _values(read())))


@lru_cache(maxsize=8)
def _with(extra: tuple[tuple[Path, str], ...]) -> Rulebook:
    """The shipped rules with those of folders, which are told apart by what their files hold."""
    folders = [folder for folder, _ in extra]
    try:
        shipped = _shipped()
    except RuleError:
        # Its faults and those of the folders are told at once.
        return read(folders)
    declared = datafiles.families()
    return _tested(folders, causes=shipped.causes.values(), declared=declared, shipped=shipped.rules)


def _texts(folder: Path) -> str:
    """A digest of the files of a folder of rules."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.toml"), *folder.glob("*/*.toml")]):
        text = path.read_bytes()
        digest.update(f"{path} {len(text)}\n".encode("utf-8", "surrogateescape"))
        digest.update(text)
    return digest.hexdigest()


def _tested(
    folders: Iterable[Path], *, causes: Iterable[Cause], declared: tuple[str, ...], shipped: Sequence[Rule] = ()
) -> Rulebook:
    """The rules of folders, and those that were read before."""
    from erranalytics.classification import rule_files

    codes = [cause.code for cause in causes]
    faults: list[str] = []
    rules: list[Rule] = []
    for folder in folders:
        known = declared if folder == RULES else None
        rules.extend(map(_rule, rule_files.read(folder, codes=codes, known=known, faults=faults)))
    rules.extend(sorted(shipped, key=lambda rule: (rule.family, f"{rule.name}.toml")))
    faults.extend(_duplicates(rules))
    if faults:
        raise RuleError.from_faults(faults, hint="a rule file is described in CONTRIBUTING.md, 'Add a rule'")
    return _ordered(rules, causes=causes, declared=declared)


def _ordered(rules: Sequence[Rule], *, causes: Iterable[Cause], declared: tuple[str, ...]) -> Rulebook:
    own = tuple(dict.fromkeys(rule.family for rule in rules if rule.family not in declared))
    families = own + declared
    place = {family: number for number, family in enumerate(families)}
    ordered = tuple(sorted(rules, key=lambda rule: place[rule.family]))
    digest = _digest(causes, ordered)
    return Rulebook(causes={cause.code: cause for cause in causes}, rules=ordered, families=families, hash=digest)


def _rule(data: Mapping[str, Any]) -> Rule:
    """A rule of the values of its file."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    values["example"] = tuple(Example(**one) for one in data["example"])
    values["counterexample"] = tuple(Counterexample(**one) for one in data["counterexample"])
    return Rule(**values)


def _values(book: Rulebook) -> dict[str, Any]:
    """What the form of the rulebook holds; where the rules lie is not in it."""
    rules = [
        [
            *(getattr(rule, name) for name in _PLAIN),
            *(getattr(rule, name) for name in _LISTS),
            [one.line for one in rule.example],
            [[one.line, one.why] for one in rule.counterexample],
        ]
        for rule in book.rules
    ]
    causes = [[*cause.as_dict().values()] for cause in book.causes.values()]
    return {"causes": causes, "rules": rules, "families": book.families, "hash": book.hash}


def _of_values(values: Mapping[str, Any]) -> Rulebook:
    """The rulebook of which ``_values`` made the values."""
    names = [item.name for item in fields(Cause)]
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
            path=os.path.join(folder, row[1], f"{row[0]}.toml"),  # noqa: PTH118 - one for each of hundreds
        )
        for row in values["rules"]
        for literals, references, implies, differ, lines, others in [row[count:]]
    ]
    by_code = {cause.code: cause for cause in causes}
    return Rulebook(causes=by_code, rules=tuple(rules), families=tuple(values["families"]), hash=values["hash"])


def locate(path: str, needle: str) -> str:
    """``path:line`` of the first line of the file that holds ``needle`` (line 1 when none does)."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError:
        return f"{path}:1"
    number = next((number for number, line in enumerate(lines, 1) if needle in line), 1)
    return f"{path}:{number}"


def _duplicates(rules: Iterable[Rule]) -> Iterator[str]:
    seen: dict[str, Rule] = {}
    for rule in rules:
        first = seen.setdefault(rule.id, rule)
        if first is not rule:
            yield f"{rule.path}:1: rule '{rule.id}' exists already in {first.path}"


def _digest(causes: Iterable[Cause], rules: Iterable[Rule]) -> str:
    """Hash of what the rules, the steps of unwrapping and the facts say, not of where the rules lie."""
    plain = [rule.as_dict() for rule in rules]
    for rule in plain:
        del rule["path"]
    data = [cause.as_dict() for cause in causes], plain
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for name in datafiles.WITH_RULES:
        digest.update((datafiles.PACKAGE / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def _plain(one: Any) -> dict[str, Any]:
    """The fields of a cause, rule or example by name, without the types of Python only."""
    return {item.name: _json(getattr(one, item.name)) for item in fields(one)}


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, str) else _plain(value)
