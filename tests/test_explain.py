"""``explain``: what a query may be, and how the answer reads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from erranalytics import rulebook
from erranalytics.explaining import explain

BOOK = rulebook.load()
QUERIES = [
    ("mem001", "code", "MEM001"),
    ("queue_full", "slug", "OVL001"),
    ("proxy-body-too-large", "slug", "REQ027"),
    ("gpu/illegal-memory-access", "rule", "GPU001"),
    ("404", "status", "NFD006"),
    ("Error: llama runner process has terminated: cudaMalloc failed: out of memory", "text", "MEM005"),
]


@pytest.mark.parametrize(("query", "kind", "code"), QUERIES, ids=[kind for _, kind, _ in QUERIES])
def test_query_is_recognised(query: str, kind: str, code: str) -> None:
    """A code, slug, alias, rule, status or text leads to its cause."""
    found = explain(query, book=BOOK)
    assert found.kind == kind
    assert found.cause is not None
    assert found.cause.code == code


def test_text_shows_rule_and_matched_part() -> None:
    """For a text the rule, the part it matched and what it captured are told."""
    found = explain("load_tensors: offloaded 2/29 layers to GPU", book=BOOK)
    assert found.rule is not None
    assert found.rule.id == "memory/partial-offload"
    assert found.snippet == "offloaded 2/29 layers to GPU"
    assert found.captures == {"layers": "2", "total": "29"}


def test_block_is_explained_by_its_deciding_line() -> None:
    """A pasted traceback is explained by its last line."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "demo.py", line 1, in <module>\n'
        "ollama._types.ResponseError: model 'demo' not found (status code: 404)"
    )
    found = explain(text, book=BOOK)
    assert found.cause is not None
    assert found.cause.slug == "model_not_found"
    assert found.inner == "model 'demo' not found"


def test_unknown_text_says_so_and_names_neighbours() -> None:
    """Nothing is guessed; the nearest rules are shown as such."""
    found = explain("the runner process has turned blue", book=BOOK)
    lines = found.lines()
    assert found.cause is None
    assert lines[0].startswith("No rule knows")
    assert found.nearest
    assert found.nearest[0][0] in BOOK.by_id


def test_mistyped_name_shows_the_nearest() -> None:
    """A slug with a slip shows what it may have meant."""
    assert any("cuda_oom" in name for name, _ in explain("cuda_omm", book=BOOK).nearest)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_keep_the_width(width: int) -> None:
    """No line is wider than asked, unless a single address is."""
    for query in ("mem001", "404", "Error: no slots available after 10 retries", "blue runner process"):
        for line in explain(query, book=BOOK).lines(width):
            assert len(line) <= width or len(line.split()) <= 2


@pytest.mark.parametrize("code", sorted(BOOK.causes))
def test_every_cause_can_be_told(code: str) -> None:
    """Each code gives a title, a remedy and a dictionary that JSON takes."""
    found = explain(code, book=BOOK)
    lines = found.lines()
    assert lines[0].startswith(code)
    assert any(line.startswith("What to do") for line in lines)
    assert json.loads(json.dumps(found.as_dict()))["code"] == code


def test_a_code_needs_no_polars() -> None:
    """Explaining a code imports neither polars nor duckdb: it stays quick."""
    script = (
        "import sys; from erranalytics import rulebook; from erranalytics.explaining import explain;"
        "explain('MEM001', book=rulebook.load()).lines(); print('polars' in sys.modules, 'duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
