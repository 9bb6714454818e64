"""Draft the file of a rule for a text that no rule matches; a person fills in the rest.

The draft follows the masks of ``fingerprint``: the parts that vary become sub-patterns, and the constant parts become
the pattern and its literal. A draft is tried on its own example before it is returned.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from erranalytics.classification.classifier import classify
from erranalytics.classification.fingerprint import LONGEST_CHARS, MASKS
from erranalytics.classification.innermost import innermost
from erranalytics.classification.rule import REMEDY_WORDS, Rule
from erranalytics.classification.rulebook import NOISE, Rulebook
from erranalytics.errors import UsageError
from erranalytics.explanation.lookup import explain
from erranalytics.redaction import mask_secrets
from erranalytics.text.display import UNSAFE, shortened

if TYPE_CHECKING:
    import duckdb

# Placeholder for a person to replace; it is not a code, so a draft is refused as a rule until it has one.
TO_FILL = "TODO"
# The family for rules of a user; such families are tried first.
OWN_FAMILY = "own"
LITERAL_CHARS = 60
NAME_WORDS = 5
COMMENT_CHARS = 100

_SAMPLE_SQL = """
select e.message
from events as e inner join templates as t on t.template_id = e.template_id
where t.fingerprint = $fingerprint
order by e.code is not null, e.event_id
limit 1
"""

# The sub-pattern for each mask; values that are worth a column become named groups.
_SUB_PATTERNS = {
    "uuid": r"[0-9a-fA-F-]{36}",
    "sha256": r"sha256[:-][0-9a-fA-F]+",
    "time": r"\d{4}[-/]\d\d[-/]\d\d[T\s-]+[\d:.,]+(?:Z|[+-][\d:]+)?",
    "url": r"""\w+://[^\s"']+""",
    "path": r"""[^\s"'`]+""",
    "address": r"[\[\]0-9a-fA-F.:]+",
    "hex": r"(?:0[xX])?[0-9a-fA-F]+",
    "duration": r"\d[\d.hmsnuµ]*",
    "size": r"\d+(?:\.\d+)? ?\w+",
    "number": r"[-+]?\d+(?:[.,]\d+)*%?",
    "'": r"'[^'\n]*'",
    "`": r"`[^`\n]*`",
    '"': r'\\?".*?"',
}
_NAMED = ("size", "path")
_SPECIAL = re.compile(r"\\?\"|[ \t]{2,}|\t|[\\.+*?()|\[\]{}^$]")
# The search for literals ignores case in ASCII only, and quotes and blanks come in several forms.
_LITERAL_BREAK = re.compile(r"\\?\"|[ \t]{2,}|[\t\r\n]")
_MARKS = ("\U00100000", "\U0010fffd")
_SLOG_MESSAGE = re.compile(r'\bmsg=(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_TROUBLE = re.compile(
    r"(?i)\b(?:error|fail|fatal|panic|exception|cannot|could not|unable|invalid|refused|denied|timed out|timeout|"
    r"killed|abort|corrupt|out of memory)"
)
_TRACEBACK = "Traceback (most recent call last)"
_NO_SYMPTOM = re.compile(
    "the|an|of|to|for|in|is|was|were|with|on|at|by|and|or|be|has|have|it|its|this|that|from|as|msg|err|error|level|"
    "source|info|warn|debug"
)


@dataclass(frozen=True)
class Suggestion:
    """A drafted rule; if a rule matches the text already, ``known`` is that rule and there is no draft."""

    text: str
    known: Rule | None = None
    family: str = OWN_FAMILY
    name: str = ""
    literal: str = ""
    pattern: str = ""
    nearest: tuple[Rule, ...] = ()
    counterexample: tuple[str, str] = (TO_FILL, TO_FILL)

    @property
    def summary(self) -> str:
        """One sentence about the rule that matches the text already; empty when there is none."""
        if self.known is None:
            return ""
        caveat = "" if self.known.confidence == "certain" else "; the text inside may still need a rule of its own"
        return f"rule {self.known.id} ({self.known.code}) matches this text already{caveat}"

    def lines(self) -> list[str]:
        """The file as TOML, ready to be saved as ``<family>/<name>.toml``; empty when a rule matches the text."""
        return [] if self.known else list(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"# Save as {self.family}/{self.name}.toml; erranalytics rules check --rules DIR proves it."
        yield f"# Fill in code and references instead of {TO_FILL}, and a counterexample that is close but different."
        if self.nearest:
            yield "# Nearest rules by words; none of them matches:"
            for rule in self.nearest:
                yield f"#   {rule.id} ({rule.code}): {_comment(rule.example[0].line)}"
        yield f'code       = "{TO_FILL}"  # the cause, from docs/rules.md'
        yield f'name       = "{self.name}"  # the symptom, never the remedy'
        yield f"literals   = [{_toml(self.literal)}]"
        yield "# The parts that vary are left open; name a value with (?P<name>...) to keep it."
        yield f"pattern    = {_toml(self.pattern)}"
        yield f'references = ["{TO_FILL}"]  # where the text comes from: https, pinned to a version or commit'
        yield ""
        yield "[[example]]"
        yield f"line = {_toml(self.text)}"
        yield ""
        yield "[[counterexample]]  # a similar text that means something else"
        yield f"line = {_toml(self.counterexample[0])}"
        yield f"why  = {_toml(self.counterexample[1])}"


def suggest(text: str, *, book: Rulebook) -> Suggestion:
    """A draft of a rule for ``text``, or the rule that matches it already.

    Raises:
        UsageError: the text has no constant part that could be a literal.
    """
    # Colours of a terminal and broken characters are not part of the text.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).encode("utf-8", "replace").decode().strip()
    example = mask_secrets(pl.Series("text", [plain], dtype=pl.String)).item()
    rule = classify(pl.Series("text", [example], dtype=pl.String), book=book)["rule"].item()
    if rule is not None:
        return Suggestion(example, known=book.by_id[rule])
    focus, pattern, literal = _draft(example)
    nearest = tuple(book.by_id[name] for name, _ in explain(focus, book=book).nearest if name in book.by_id)
    family = next((rule.family for rule in nearest if rule.family != NOISE), OWN_FAMILY)
    return Suggestion(
        text=example,
        family=family,
        name=_name(focus, family=family, book=book),
        literal=literal,
        pattern=pattern,
        nearest=nearest,
        counterexample=_counterexample(nearest, pattern=pattern),
    )


def text_of(fingerprint: str, *, connection: duckdb.DuckDBPyConnection) -> str:
    """The first message of the store with a fingerprint, if possible one that no rule matches.

    Raises:
        UsageError: the store has no such message.
    """
    row = connection.execute(_SAMPLE_SQL, {"fingerprint": fingerprint.strip().lower()}).fetchone()
    if row is None:
        hint = "Fingerprints: erranalytics report unknown-errors."
        raise UsageError(f"the store holds no message with the fingerprint {fingerprint!r}", hint=hint)
    return str(row[0])


def _draft(example: str) -> tuple[str, str, str]:
    """The part of the text that states the symptom, its pattern and its literal: the first that matches the example."""
    readings = innermost(pl.Series("text", [example], dtype=pl.String))
    inner, line = _symptom_line(readings["inner"].item()), _symptom_line(example)
    for focus in dict.fromkeys((_message(inner), _message(line), line)):
        for pieces in (_pieces(focus), [("", focus)]):
            pattern, literal = _pattern(pieces), _literal(pieces, example)
            if literal and _matches(readings["haystack"], pattern):
                return focus, pattern, literal
    raise UsageError(
        "this text has no constant part that a rule could wait for",
        hint="A rule needs a literal of three characters or more. Give the whole line.",
    )


def _symptom_line(text: str) -> str:
    """The line of a block that names a problem, or else its first line; no longer than a template."""
    lines = [line.strip() for line in text.split("\n") if line.strip()] or [""]
    if any(_TRACEBACK in line for line in lines):
        return lines[-1][:LONGEST_CHARS]
    return next((line for line in lines if _TROUBLE.search(line)), lines[0])[:LONGEST_CHARS]


def _message(line: str) -> str:
    """The message of a slog line; any other line as it is."""
    match = _SLOG_MESSAGE.search(line)
    return next((part for part in match.groups() if part), line) if match else line


def _pieces(text: str) -> list[tuple[str, str]]:
    """The text as (mask, "") and ("", constant) in order; the masks are those of ``fingerprint``."""
    first, last = _MARKS
    if any(first <= char <= last for char in text):
        return [("", text)]
    kinds: list[str] = []
    for name, pattern, _ in MASKS:
        text = re.sub(pattern, lambda match, name=name: _marked(match, name=name, kinds=kinds), text)  # type: ignore[misc]
    parts = re.split(f"<([{first}-{last}])>", text)
    pieces = [(kinds[ord(part) - ord(first)], "") if odd % 2 else ("", part) for odd, part in enumerate(parts)]
    pieces = [piece for piece in pieces if any(piece)]
    # A stamp before the text belongs to its wrapper.
    while pieces and (pieces[0][0] == "time" or not (pieces[0][0] or pieces[0][1].strip())):
        pieces.pop(0)
    return pieces


def _marked(match: re.Match[str], *, name: str, kinds: list[str]) -> str:
    before = match.string[match.start() - 1] if match.start() else ""
    # An apostrophe inside a word does not open a quotation.
    if name == "quoted" and before.isalnum():
        return match[0]
    kinds.append(match[0][0] if name == "quoted" else name)
    return f"<{chr(ord(_MARKS[0]) + len(kinds) - 1)}>"


def _pattern(pieces: list[tuple[str, str]]) -> str:
    """The pieces as a pattern of the engine: constants escaped, masks as what fits in their place."""
    parts, named = [], set()
    for mask, constant in pieces:
        if not mask:
            parts.append(_SPECIAL.sub(_escaped, constant))
        elif mask in _NAMED and mask not in named:
            named.add(mask)
            parts.append(f"(?P<{mask}>{_SUB_PATTERNS[mask]})")
        else:
            parts.append(_SUB_PATTERNS[mask])
    return "".join(parts).strip(" ")


def _escaped(match: re.Match[str]) -> str:
    text = match[0]
    # Whether a quote is escaped depends on the wrapper of the line.
    if text.endswith('"'):
        return r"\\?" + '"'
    return r"[ \t]+" if text.isspace() else f"\\{text}"


def _literal(pieces: list[tuple[str, str]], example: str) -> str:
    """The constant of the example with most letters and digits, three characters or more; empty if there is none."""
    parts = [part for mask, constant in pieces if not mask for part in _LITERAL_BREAK.split(_ascii_capitals(constant))]
    fitting = [short for part in parts if len(short := part.strip()[:LITERAL_CHARS].strip()) >= 3 and short in example]
    return max(fitting, key=lambda part: sum(map(str.isalnum, part)), default="")


def _ascii_capitals(text: str) -> str:
    """Turn capitals outside ASCII into breaks, because the search for literals ignores case in ASCII only."""
    return "".join(char if char.isascii() or char.lower() == char else "\n" for char in text)


def _matches(haystack: pl.Series, pattern: str) -> bool:
    try:
        return bool(pattern) and bool(haystack.str.contains(f"(?m){pattern}").item())
    except pl.exceptions.PolarsError:
        return False


def _counterexample(nearest: tuple[Rule, ...], *, pattern: str) -> tuple[str, str]:
    """A text of a near rule that the pattern does not match, and which rule that is."""
    for rule in nearest:
        line = rule.example[0].line
        if not _matches(innermost(pl.Series("text", [line]))["haystack"], pattern):
            return line, f"{rule.code}: {rule.id}"
    return TO_FILL, TO_FILL


def _name(focus: str, *, family: str, book: Rulebook) -> str:
    """The words of the symptom in kebab case, as a name that no other rule of the family has."""
    text = " ".join(constant for mask, constant in _pieces(focus) if not mask)
    plain = unicodedata.normalize("NFKD", text.replace("'", "")).encode("ascii", "ignore").decode().lower()
    words = [
        word
        for word in re.findall(r"[a-z][a-z0-9]+", plain)
        if word not in REMEDY_WORDS and not _NO_SYMPTOM.fullmatch(word)
    ]
    stem = "-".join(words[:NAME_WORDS]) or "unknown-text"
    taken = {rule.name for rule in book.rules if rule.family == family}
    return next(name for name in (stem, *(f"{stem}-{number}" for number in range(2, 9999))) if name not in taken)


def _comment(text: str) -> str:
    return shortened(" ".join(UNSAFE.sub(" ", text).split()), COMMENT_CHARS)


def _toml(text: str) -> str:
    """A TOML string, literal where it can be, so that patterns stay readable; safe for a terminal."""
    if not UNSAFE.search(text):
        if "'" not in text:
            return f"'{text}'"
        if "'''" not in text and not text.endswith("'"):
            return f"'''{text}'''"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'
