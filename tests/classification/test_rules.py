"""The rulebook proves itself: every pattern has met its example, every fault has a place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from support.folders import TESTS

from erranalytics.classification import proof, rulebook
from erranalytics.classification.classifier import candidates, classify
from erranalytics.classification.rulebook import Rulebook
from erranalytics.errors import RuleError

BAD = TESTS / "bad" / "rules"
BOOK = rulebook.load()
EXAMPLES = [(rule.id, number) for rule in BOOK.rules for number in range(len(rule.example))]


@pytest.fixture(scope="module")
def winners() -> dict[tuple[str, int], str | None]:
    """The rule that wins each example, all classified in one run."""
    lines = [BOOK.by_id[name].example[number].line for name, number in EXAMPLES]
    rules = classify(pl.Series("text", lines), book=BOOK)["rule"]
    return dict(zip(EXAMPLES, rules, strict=True))


@pytest.mark.parametrize(("name", "number"), EXAMPLES, ids=[f"{name}[{number}]" for name, number in EXAMPLES])
def test_example_is_won_by_its_rule(name: str, number: int, winners: dict[tuple[str, int], str | None]) -> None:
    """Each example is classified by the rule that shows it."""
    assert winners[name, number] == name


def test_shipped_rules_have_no_fault() -> None:
    """``check`` finds nothing in the shipped rulebook."""
    assert proof.check(BOOK) == []


def test_counterexamples_are_left_alone() -> None:
    """No counterexample is matched by the rule that names it."""
    samples = [(number, sample.line) for number, rule in enumerate(BOOK.rules) for sample in rule.counterexample]
    found = candidates(pl.Series("text", [line for _, line in samples]), book=BOOK)["rules"].to_list()
    assert [line for (number, line), rules in zip(samples, found, strict=True) if number in (rules or [])] == []


def test_shipped_codes_never_disappear() -> None:
    """Every code ever shipped is still in the taxonomy; a new one is added to the list."""
    shipped = (rulebook.RULES / "codes.txt").read_text("utf-8").split()
    assert shipped == sorted(BOOK.causes)


def test_every_rule_file_is_loaded() -> None:
    """No file of the rules folder is skipped."""
    assert len(BOOK.rules) == len(list(rulebook.RULES.glob("*/*.toml")))


def test_status_alone_is_never_certain() -> None:
    """The http_NNN causes are guesses, or likely at best."""
    rules = [rule for rule in BOOK.rules if BOOK.causes[rule.code].slug.startswith("http_")]
    assert rules
    assert {rule.confidence for rule in rules} <= {"guess", "likely"}


def test_aliases_lead_to_their_cause() -> None:
    """A slug and its alias name the same cause."""
    assert BOOK.by_slug["proxy-body-too-large"] is BOOK.by_slug["request_too_large"]


def test_hash_follows_the_content(tmp_path: Path) -> None:
    """The same rules have the same hash; one more rule has another."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "flux-burst.toml").write_text(
        'code = "UNK009"\nname = "flux-burst"\nliterals = ["flux burst"]\npattern = "flux burst"\n'
        'references = ["https://example.org/1"]\n[[example]]\nline = "flux burst"\n'
        '[[counterexample]]\nline = "no flux"\nwhy = "nothing burst"\n'
    )
    more = rulebook.load([tmp_path])
    assert rulebook.load().hash == BOOK.hash
    assert more.hash != BOOK.hash
    assert more.rules[0].id == "mine/flux-burst"
    assert proof.check(more) == []


def _faults(case: Path) -> list[str]:
    try:
        faults = proof.check(rulebook.load([case]))
    except RuleError as error:
        faults = str(error).splitlines()
    return [fault.replace(f"{case}/", "") for fault in faults]


@pytest.mark.parametrize("case", sorted(BAD.iterdir()), ids=lambda case: case.name)
def test_broken_rules_are_reported_at_once(case: Path) -> None:
    """All faults of a file are named with path, line and the nearest valid name."""
    expected = (case / "expected.txt").read_text("utf-8").splitlines()
    faults = _faults(case)
    assert [fault[: len(line)] for fault, line in zip(faults, expected, strict=True)] == expected


def test_duplicate_rule_is_named_with_both_files(tmp_path: Path) -> None:
    """A second rule of the same id is refused and the first one is named."""
    first = next(iter(sorted(rulebook.RULES.glob("gpu/*.toml"))))
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / first.name).write_text(first.read_text("utf-8"))
    with pytest.raises(RuleError, match="exists already in"):
        rulebook.load([tmp_path])


def test_pattern_the_engine_refuses_is_a_fault() -> None:
    """A pattern that does not compile is reported, not raised."""
    rule = replace(BOOK.rules[0], pattern="(unclosed")
    book = Rulebook(causes=BOOK.causes, rules=(rule,), families=BOOK.families, hash="")
    assert any("does not compile" in fault for fault in proof.check(book))
