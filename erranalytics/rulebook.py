"""Load and check the rulebook: the taxonomy of causes and one TOML file per rule.

A rule says how one cause looks in a text; the cause says what it means and what to do.
``load`` refuses a file that cannot be used and reports all faults at once; ``check`` proves
that each rule does what its examples claim.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from erranalytics.errors import RuleError, UsageError
from erranalytics.versions import VERSION, release

PACKAGE = Path(__file__).parent
RULES = PACKAGE / "rules"
# The family of lines that report nothing; in a block such a line decides only when nothing else does.
NOISE = "noise"
TAXONOMY = PACKAGE / "data" / "taxonomy.csv"
# What else decides on a verdict.
WITH_RULES = (PACKAGE / "data" / "unwrap.toml", PACKAGE / "data" / "facts.toml")

Severity = Literal["info", "warning", "error", "critical"]
Confidence = Literal["certain", "likely", "guess"]

# A name tells what is seen; one that begins with such a word tells what to do.
REMEDY_WORDS = frozenset(
    ("lower", "raise", "increase", "reduce", "upgrade", "update", "install", "restart", "fix", "use", "set", "check")
)
_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_PINNED = re.compile(r"[\w./+-]+(?::\d+)?@[\w.+-]+")
_BRANCH = re.compile(r"/(?:blob|tree|raw)/(?:main|master|HEAD|develop)/")
# Rust's regex crate has neither; polars would only complain at the first text.
_UNSUPPORTED = re.compile(r"\(\?(?:[=!>]|<[=!])|(?<!\\)(?:\\\\)*\\[1-9]")


class Cause(BaseModel):
    """One row of the taxonomy: what went wrong, who can act and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class Example(BaseModel):
    """A text the rule must match and win."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str


class Counterexample(BaseModel):
    """A text the rule must not match, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    why: str


class Rule(BaseModel):
    """One way a cause shows in a text; ``family`` is the folder of its file.

    ``differ`` names two groups that must hold different texts (``29/29 layers`` is no shortfall): the engine
    has no back-references.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: str
    literals: tuple[str, ...] = Field(min_length=1)
    pattern: str = Field(min_length=1)
    confidence: Confidence = "certain"
    severity: Severity | None = None
    references: tuple[str, ...] = Field(min_length=1)
    since: str | None = None
    until: str | None = None
    implies: tuple[str, ...] = ()
    differ: tuple[str, str] | None = None
    remedy: str | None = None
    example: tuple[Example, ...] = Field(min_length=1)
    counterexample: tuple[Counterexample, ...] = Field(min_length=1)
    family: str
    path: str

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

    @field_validator("name")
    @classmethod
    def _kebab(cls, value: str) -> str:
        if not _KEBAB.fullmatch(value):
            raise ValueError(f"name '{value}' is not kebab-case")
        return value

    @field_validator("literals")
    @classmethod
    def _literal(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(text) < 3 for text in value):
            raise ValueError("a literal needs three characters or more")
        return value

    @field_validator("pattern")
    @classmethod
    def _portable(cls, value: str) -> str:
        if _UNSUPPORTED.search(value):
            raise ValueError("the pattern uses look-around or a back-reference, which the engine does not have")
        return value

    @field_validator("since", "until")
    @classmethod
    def _version(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith("v") and VERSION.fullmatch(value)):
            raise ValueError(f"'{value}' is no version of Ollama, such as v0.13.5")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Rule:
        if self.since and self.until and release(self.since) > release(self.until):
            raise ValueError(f"since {self.since} is later than until {self.until}")
        return self

    @field_validator("references")
    @classmethod
    def _pinned(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if _BRANCH.search(text):
                raise ValueError(f"reference '{text}' follows a branch; pin it to a tag or commit")
            if not text.startswith("https://") and not _PINNED.fullmatch(text):
                raise ValueError(f"reference '{text}' is neither https nor a pinned path@tag")
        return value


class Rulebook(BaseModel):
    """All causes and rules, in the order in which the rules are tried."""

    model_config = ConfigDict(frozen=True)

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


def load(extra_dirs: Sequence[Path] = ()) -> Rulebook:
    """Read the shipped rules and those of ``extra_dirs`` (``<family>/<name>.toml`` or ``<name>.toml``).

    Rules of extra folders are tried first within their family; families that are not declared come first of all.

    Raises:
        RuleError: one or more files are wrong; all faults are listed as ``path:line: sentence``.
    """
    causes = _read_taxonomy(TAXONOMY)
    declared = tuple(tomllib.loads((RULES / "families.toml").read_text("utf-8"))["order"])
    faults: list[str] = []
    rules: list[Rule] = []
    for folder in [*extra_dirs, RULES]:
        known = declared if folder == RULES else None
        rules.extend(_read_folder(Path(folder), causes=causes, known=known, faults=faults))
    faults.extend(_duplicates(rules))
    if faults:
        raise RuleError.from_faults(faults, hint="a rule file is described in CONTRIBUTING.md, 'Add a rule'")
    own = tuple(dict.fromkeys(rule.family for rule in rules if rule.family not in declared))
    families = own + declared
    place = {family: number for number, family in enumerate(families)}
    ordered = tuple(sorted(rules, key=lambda rule: place[rule.family]))
    return Rulebook(causes=causes, rules=ordered, families=families, hash=_digest(causes.values(), ordered))


def locate(path: str, needle: str) -> str:
    """``path:line`` of the first line of the file that holds ``needle`` (line 1 when none does)."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError:
        return f"{path}:1"
    number = next((number for number, line in enumerate(lines, 1) if needle in line), 1)
    return f"{path}:{number}"


def nearest(word: str, words: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest valid word, else an empty text."""
    match = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" (did you mean '{match[0]}'?)" if match else ""


def _read_taxonomy(path: Path) -> dict[str, Cause]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "match"} for row in csv.DictReader(file)]
    causes = [Cause.model_validate({**row, "aliases": tuple(re.findall(r"[^|;, ]+", row["aliases"]))}) for row in rows]
    return {cause.code: cause for cause in causes}


def _read_folder(
    folder: Path, *, causes: Mapping[str, Cause], known: tuple[str, ...] | None, faults: list[str]
) -> Iterator[Rule]:
    if not folder.is_dir():
        faults.append(f"{folder}: there is no such folder of rules")
    # A folder of a user may be one family without folders in it.
    loose = [] if known is not None else sorted(folder.glob("*.toml"))
    for path in [*loose, *sorted(folder.glob("*/*.toml"))]:
        family = path.parent.name
        if known is not None and family not in known:
            faults.append(f"{path}:1: family '{family}' is not declared in families.toml{nearest(family, known)}")
        rule = _read_rule(path, causes=causes, faults=faults)
        if rule is not None:
            yield rule


def _read_rule(path: Path, *, causes: Mapping[str, Cause], faults: list[str]) -> Rule | None:
    """One rule, or None with all its faults appended."""
    text = path.read_text("utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        faults.append(f"{path}:{line[1] if line else 1}: not valid TOML: {error}")
        return None
    before = len(faults)
    rule: Rule | None = None
    try:
        rule = Rule.model_validate(data | {"family": path.parent.name, "path": str(path)})
    except ValidationError as error:
        # An example that is itself wrong also counts as absent; once is enough.
        known = {fault["loc"][0] for fault in error.errors() if len(fault["loc"]) > 1}
        told = [fault for fault in error.errors() if fault["type"] != "too_short" or fault["loc"][0] not in known]
        faults.extend(_sentence(fault, path=path, text=text) for fault in told)
    owned = [key for key in ("family", "path") if key in data]
    faults.extend(f"{path}:{_line_of(text, key)}: unknown key '{key}': the folder and the file say it" for key in owned)
    faults.extend(_agreement(data, path=path, text=text, causes=causes))
    return rule if len(faults) == before else None


def _agreement(data: Mapping[str, Any], *, path: Path, text: str, causes: Mapping[str, Cause]) -> Iterator[str]:
    """Faults between the file and what stands outside it: its name, the taxonomy."""
    name = data.get("name")
    if isinstance(name, str) and name != path.stem:
        yield f"{path}:{_line_of(text, 'name')}: name '{name}' differs from the file name '{path.stem}'"
    for key in ("code", "implies"):
        value = data.get(key, [])
        for code in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
            if isinstance(code, str) and code not in causes:
                yield f"{path}:{_line_of(text, key)}: unknown code '{code}'{nearest(code, causes)}"


def _sentence(fault: ErrorDetails, *, path: Path, text: str) -> str:
    """A fault of pydantic as one sentence with its place."""
    key = str(fault["loc"][0]) if fault["loc"] else ""
    inner = next((str(part) for part in reversed(fault["loc"]) if isinstance(part, str)), key)
    place = f"{path}:{_line_of(text, inner if inner != key else key)}"
    kind = fault["type"]
    if kind == "missing":
        return f"{path}:{_line_of(text, key)}: key '{inner}' is missing"
    if kind == "extra_forbidden":
        valid = set((Rule if inner == key else Counterexample).model_fields) - {"family", "path"}
        return f"{place}: unknown key '{inner}'{nearest(inner, sorted(valid))}"
    if kind == "literal_error":
        words = re.findall(r"'(\w+)'", fault["ctx"]["expected"])
        return f"{place}: {key} '{fault['input']}' is none of {', '.join(words)}{nearest(str(fault['input']), words)}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message if kind == 'value_error' else f'{inner}: {message[0].lower()}{message[1:]}'}"


def _line_of(text: str, key: str) -> int:
    found = re.search(rf"(?m)^\s*\[*{re.escape(key)}\b", text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _duplicates(rules: Iterable[Rule]) -> Iterator[str]:
    seen: dict[str, Rule] = {}
    for rule in rules:
        first = seen.setdefault(rule.id, rule)
        if first is not rule:
            yield f"{rule.path}:1: rule '{rule.id}' exists already in {first.path}"


def _digest(causes: Iterable[Cause], rules: Iterable[Rule]) -> str:
    """Hash of what the rules, the steps of unwrapping and the facts say, not of where the rules lie."""
    data = [cause.model_dump() for cause in causes], [rule.model_dump(exclude={"path"}) for rule in rules]
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for path in WITH_RULES:
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()
