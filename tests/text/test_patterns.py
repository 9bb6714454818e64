"""The patterns that Python keeps compiled match the same lines as those that polars compiles."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erranalytics.classification import innermost, rulebook
from erranalytics.parsing import lineformats
from erranalytics.parsing.lineformats import FormatBook
from erranalytics.text import patterns
from erranalytics.wrappers.forms import WRAPPERS

BOOK, RULES = lineformats.load(), rulebook.load()
WORDS = sorted({word for item in BOOK.formats for one in item.sample for word in one.line.split()} - {""})
UNITS = (None, "ollama", "kernel", "systemd", "python3")


def recognised(lines: list[str], *, unit: str | None, is_few: bool) -> pl.DataFrame:
    """Format and noise of distinct lines, by either engine; nothing is known from before."""
    book = FormatBook(BOOK.formats, BOOK.hash)
    bodies = pl.DataFrame({"body": lines, "unit": unit}, schema={"body": pl.String, "unit": pl.String})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "FEW", len(lines) if is_few else 0)
        patch.setattr(lineformats, "MIN_CACHED", 0)
        return book.recognise(bodies).select("body", "format", "is_noise").sort("body")


def assert_same(lines: list[str], *, unit: str | None) -> None:
    """Both engines say the same of plain lines."""
    plain = sorted({line for line in lines if patterns.is_plain(line)})
    few, many = (recognised(plain, unit=unit, is_few=is_few) for is_few in (True, False))
    assert few.filter(pl.struct(few).ne_missing(pl.struct(many))).rows() == []


def test_every_format_and_wrapper_has_a_pattern_that_is_kept() -> None:
    """None needs what only the Rust engine has."""
    assert [item.name for item in BOOK.formats if None in item.plain] == []
    assert [wrapper.name for wrapper in WRAPPERS if patterns.compiled(wrapper.pattern) is None] == []


def test_what_python_reads_otherwise_is_not_kept() -> None:
    """A class inside of a class, a property, a broken pattern."""
    assert [patterns.compiled(one) for one in (r"[a[bc]]", r"[a-z&&b]", r"\p{Greek}", "(")] == [None] * 4


@pytest.mark.parametrize("unit", UNITS)
def test_samples_are_recognised_alike(unit: str | None) -> None:
    """Every sample of every format, in each unit."""
    assert_same([one.line for item in BOOK.formats for one in item.sample], unit=unit)


@pytest.mark.parametrize("unit", UNITS)
def test_real_lines_are_recognised_alike(unit: str | None, shared: object) -> None:
    """Every fifth line of the corpus and of the captures."""
    assert shared
    found: list[str] = []
    for path in sorted(p for folder in ("corpus", "lab") for p in (shared / folder).rglob("*") if p.is_file()):  # type: ignore[operator]
        found += [line[:2000] for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[::5]]
    assert len(found) > 20_000
    assert_same(found, unit=unit)


def test_what_a_rule_or_a_step_fits_is_let_through() -> None:
    """No example of any rule, and nothing near it, is kept from a pattern that fits it; most patterns are kept."""
    examples = [one.line for rule in RULES.rules for one in (*rule.example, *rule.counterexample)]
    texts = pl.Series("text", [*examples, *(f"first\n{line}\nlast" for line in examples[::7])])
    tried = [*(rule.regex for rule in RULES.rules), *(step.pattern for step in innermost.steps())]
    for pattern in tried:
        fitting = texts.filter(texts.str.contains(pattern))
        assert [text for text in fitting if not patterns.may_fit(pattern, [text])] == []
    assert sum(patterns.compiled(pattern) is not None for pattern in tried) > 0.95 * len(tried)


LINES = st.lists(st.sampled_from(WORDS) | st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(LINES.map(" ".join), min_size=1, max_size=40), unit=st.sampled_from(UNITS))
def test_any_plain_lines_are_recognised_alike(lines: list[str], unit: str | None) -> None:
    """Words of samples in any order, and any other characters."""
    assert_same(lines, unit=unit)


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.name)
def test_a_wrapper_that_may_stand_there_is_tried(wrapper: object) -> None:
    """The cheap look lets everything through that the pattern fits."""
    pattern, sample = wrapper.pattern, wrapper.sample  # type: ignore[attr-defined]
    fits = pl.Series([sample]).str.contains(pattern).item()
    assert patterns.may_fit(pattern, pl.Series([sample])) or not fits
    assert patterns.may_fit(pattern, pl.Series(["ü"]))
    assert patterns.may_fit(pattern, pl.Series([None], dtype=pl.String))
