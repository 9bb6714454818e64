"""``explain``: what a query may be, and how the answer reads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from erranalytics import api
from erranalytics.classification import rulebook
from erranalytics.errors import UsageError
from erranalytics.explanation.lookup import explain
from erranalytics.ollama import settings

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
    assert found.captures == {"layers_offloaded": "2", "layers_total": "29"}


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
    assert lines[0].startswith("No rule matches")
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
        "import sys; from erranalytics.classification import rulebook; from erranalytics.explanation.lookup import explain;"
        "explain('MEM001', book=rulebook.load()).lines(); print('polars' in sys.modules, 'duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


LOG = """time=2026-03-01T11:04:05.000Z level=INFO source=routes.go:1490 msg="Listening on 127.0.0.1:11434 (version 0.4.6)"
[GIN] 2026/03/01 - 11:04:10 | 404 |     1.2ms |       127.0.0.1 | POST     "/api/show"
time=2026-03-01T11:05:00.000Z level=ERROR source=sched.go:511 msg="error loading llama server" error="llama runner process has terminated: cudaMalloc failed: out of memory"
[GIN] 2026/03/01 - 11:05:00 | 500 |     2.1s |       127.0.0.1 | POST     "/api/chat"
time=2026-03-01T11:06:00.000Z level=WARN source=runner.go:140 msg="truncating input prompt" limit=2048 prompt=9000 keep=5 new=2048
[GIN] 2026/03/01 - 11:06:05 | 200 |     5.1s |       127.0.0.1 | POST     "/api/chat"
"""


def test_piece_of_a_log_is_explained_by_its_worst_incident() -> None:
    """Of several records the worst failure is explained, the others are named, and the version is read from them."""
    found = api.explain(LOG)
    assert found.kind == "log"
    assert found.cause is not None
    assert (found.cause.code, found.version) == ("MEM005", "v0.4.6")
    assert [root.code for root in found.roots] == ["MEM005", "NFD001", "CTX005"]
    assert found.roots[0].request_count == 1
    text = "\n".join(found.lines(100))
    assert "In this log  MEM005  line 3" in text


def test_remedy_holds_the_numbers_of_the_text() -> None:
    """What the text tells stands in the remedy, in the text and in the JSON form."""
    found = explain("model requires more system memory (24.0 GiB) than is available (15.5 GiB)", book=BOOK)
    assert "Free 8.5 GiB of memory" in " ".join(found.lines(400))
    assert found.as_dict()["remedy"].startswith("Free 8.5 GiB of memory")
    assert found.as_dict()["captures"] == {"needed": "24.0 GiB", "free": "15.5 GiB"}


def test_wrapping_is_told() -> None:
    """What stood around the text is named, outermost first."""
    found = explain("ollama._types.ResponseError: model 'demo' not found (status code: 404)", book=BOOK)
    assert found.as_dict()["wrapping"] == ["status-suffix", "exception-class"]
    assert "Unwrapped    status-suffix · exception-class" in found.lines()


def test_versions_of_a_rule_are_told() -> None:
    """A text that only some versions write says so."""
    found = explain('msg="model request too large for system"', book=BOOK)
    assert "Versions     Ollama v0.2.2 to v0.24.0 writes this text" in found.lines()


VERSIONS = [
    (None, "", True),
    ("v0.13.5", "", True),
    ("v0.5.12", "not in v0.5.12; there use PARAMETER num_ctx in the Modelfile", False),
    ("v0.5.13", "v0.5.13 may not have it: see ollama serve --help", True),
]


@pytest.mark.parametrize(("version", "caveat", "is_shown"), VERSIONS, ids=[str(one) for one, _, _ in VERSIONS])
def test_settings_fit_the_version_at_hand(version: str | None, caveat: str, is_shown: bool) -> None:
    """A setting the version lacks is said to be missing, with what to use there; no command sets it."""
    found = explain("CTX001", book=BOOK, version=version)
    assert settings.book()["OLLAMA_CONTEXT_LENGTH"].caveat(version).startswith(caveat)
    text = "\n".join(found.lines(200))
    assert ('Environment="OLLAMA_CONTEXT_LENGTH=8192"' in text) == is_shown
    assert found.as_dict()["ollama_version"] == version


def test_values_of_a_remedy_are_the_values_set() -> None:
    """Where the remedy names a value, the command sets that one and not an example."""
    named = settings.named("Set OLLAMA_KV_CACHE_TYPE=q4_0 with OLLAMA_FLASH_ATTENTION=1.")
    assert [(one.name, value) for one, value in named] == [
        ("OLLAMA_KV_CACHE_TYPE", "q4_0"),
        ("OLLAMA_FLASH_ATTENTION", "1"),
    ]


def test_every_setting_a_remedy_names_is_known() -> None:
    """No remedy names a setting without a word on what it does."""
    remedies = [cause.remedy for cause in BOOK.causes.values()] + [rule.remedy or "" for rule in BOOK.rules]
    names = {name for remedy in remedies for name in settings.NAME.findall(remedy)}
    assert names <= set(settings.book())


def test_version_that_is_none_is_refused() -> None:
    """A mistyped version says how it should look."""
    with pytest.raises(UsageError, match="is not a version of Ollama"):
        api.explain("MEM014", ollama_version="latest")
