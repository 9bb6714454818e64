"""The line formats prove themselves; each sample is a test of its own."""

from __future__ import annotations

import polars as pl
import pytest

from erranalytics import lineformats

BOOK = lineformats.load()
SAMPLES = [(item.name, sample.line) for item in BOOK.formats for sample in item.sample]


def test_every_format_agrees_with_its_samples() -> None:
    """``check`` finds no fault: format, noise flag and expected groups of every sample."""
    assert lineformats.check(BOOK) == []


@pytest.mark.parametrize(("name", "line"), SAMPLES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(SAMPLES)])
def test_sample_is_recognised(name: str, line: str) -> None:
    """A sample is recognised as its own format, not as one that is tried before."""
    unit = (BOOK.by_name[name].units or (None,))[0]
    frame = pl.DataFrame({"body": [line], "unit": [unit]}, schema_overrides={"unit": pl.String})
    assert BOOK.recognise(frame)["format"].to_list() == [name]


def test_a_broken_sample_is_found() -> None:
    """A sample that another format takes is a fault with the name of the file."""
    gin = BOOK.by_name["gin"].model_copy(update={"sample": BOOK.by_name["slog-text"].sample})
    broken = lineformats.FormatBook([gin if item.name == "gin" else item for item in BOOK.formats], "x")
    assert any(fault.startswith("formats/gin.toml: ") for fault in lineformats.check(broken))


def test_few_and_many_bodies_are_recognised_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through the formats give the same answer for every sample."""
    units = [(BOOK.by_name[name].units or (None,))[0] for name, _ in SAMPLES]
    frame = pl.DataFrame({"body": [line for _, line in SAMPLES], "unit": units}, schema_overrides={"unit": pl.String})
    few = BOOK.recognise(frame)
    monkeypatch.setattr(lineformats, "FEW", 0)
    many = BOOK.recognise(frame)
    assert many.height == few.height == len(SAMPLES)
    assert few.sort("body", "unit").equals(many.sort("body", "unit"))
