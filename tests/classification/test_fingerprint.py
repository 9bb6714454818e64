"""Templates and fingerprints of texts no rule knows."""

from __future__ import annotations

import random

import polars as pl
import pytest

from erranalytics.classification.fingerprint import fingerprint, template

TEMPLATES = [
    ("part 4 of sha256:4f5e6d7c at 10.0.0.7:11434 for 1.5s", "part <number> of <sha256> at <address> for <duration>"),
    ("loading C:\\Users\\user\\model.gguf (4.7 GiB)", "loading <path> (<size>)"),
    ("open /models/blobs/demo: gone, code -3", "open <path>: gone, code <number>"),
    ("request 123e4567-e89b-12d3-a456-426614174000 to https://host/v1?x=1", "request <uuid> to <url>"),
    ('model "demo:1b" and \'other\' at 0x7f00ab', "model <quoted> and <quoted> at <hex>"),
    ("2026/01/02 - 10:11:12 late by 12m", "<time> late by <duration>"),
    ("\x1b[31mfirst 1\x1b[0m\nsecond line 2", "first <number>"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TEMPLATES, ids=range(len(TEMPLATES)))
def test_what_varies_is_masked(text: str, expected: str) -> None:
    """Ids, paths, addresses and numbers become masks; the words stay."""
    assert template(pl.Series([text])).to_list() == [expected]


def test_order_and_company_do_not_matter() -> None:
    """A text has the same template and fingerprint whatever stands around it."""
    texts = [text for text, _ in TEMPLATES]
    alone = {text: fingerprint(template(pl.Series([text]))).item() for text in texts}
    mixed = random.Random(7).sample(texts * 3, k=len(texts) * 3)
    together = fingerprint(template(pl.Series(mixed))).to_list()
    assert together == [alone[text] for text in mixed]


def test_fingerprint_is_the_same_for_ever() -> None:
    """Sixteen digits that no version of Python or polars may change."""
    assert fingerprint(pl.Series(["part <number> stalled"])).to_list() == ["44a34a35a6824b12"]


def test_nulls_stay_nulls() -> None:
    """A missing text has neither template nor fingerprint."""
    texts = pl.Series([None, "demo 1"], dtype=pl.String)
    assert fingerprint(template(texts)).is_null().to_list() == [True, False]


def test_empty_input() -> None:
    """No texts, no fingerprints."""
    assert fingerprint(template(pl.Series([], dtype=pl.String))).to_list() == []
