"""Classification: shape, unwrapping, blocks, confidence, and the floors on the reference texts."""

from __future__ import annotations

import csv
import importlib
import json
import re
from pathlib import Path

import polars as pl
import pytest

from erranalytics.classification import rulebook
from erranalytics.classification.classifier import SCHEMA, classify
from erranalytics.classification.innermost import innermost

BOOK = rulebook.load()
MODULE = importlib.import_module("erranalytics.classification.classifier")
STAMP = re.compile(r"^(?:[A-Z][a-z]{2} +\d+ [\d:]{8} \S+ (?:ollama|systemd)\[\d+\]: |[\w-]+-1 +\| )?(?:\s*time=\S+ )?")


def _run(*texts: str | None) -> pl.DataFrame:
    return classify(pl.Series("text", texts, dtype=pl.String), book=BOOK)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_output_has_its_schema_height_and_order() -> None:
    """One row per text in the order given; unknown texts and nulls give nulls."""
    out = _run("all is well", "model is required", None, "all is well", "model is required")
    assert out.schema == SCHEMA
    assert out["code"].to_list() == [None, "REQ006", None, None, "REQ006"]


def test_empty_input_gives_an_empty_frame() -> None:
    """No texts, no rows, the same schema; a frame is taken as well as a series."""
    assert _run().schema == SCHEMA
    out = classify(pl.DataFrame({"text": ["model is required"]}), book=BOOK)
    assert out["rule"].to_list() == ["request/model-absent"]


def test_each_distinct_suspicious_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patterns see a repeated line once and an unsuspicious line never."""
    seen: list[int] = []

    def count(texts: pl.Series) -> pl.DataFrame:
        seen.append(len(texts))
        return innermost(texts)

    monkeypatch.setattr(MODULE, "innermost", count)
    _run(*["model is required"] * 1000, *[f"line {number}" for number in range(1000)])
    assert seen == [1]


WRAPPED = [
    ('{"error":"model is required"}', "REQ006"),
    ("Error code: 400 - {'error': {'message': 'model is required', 'type': 'invalid_request_error'}}", "REQ006"),
    ("model is required (status code: 400)", "REQ006"),
    ("ollama._types.ResponseError: model is required (status code: 400)", "REQ006"),
    ('litellm.BadRequestError: OllamaException - {"error":"model is required"}', "REQ006"),
    ("400 Bad Request: model is required", "REQ006"),
    ("ollama.generate failed: ResponseError: model is required", "REQ006"),
    ("app.chat - ollama.chat failed: Error: model is required", "REQ006"),
    ('litellm.llms.ollama.OllamaError: b\'{"error":"illegal base64 data at input byte 4"}\'', "REQ005"),
    (r'{"error":"{\"error\":{\"code\":500,\"message\":\"Context size has been exceeded.\"}}"}', "CTX002"),
    (r'level=ERROR source=routes.go:1 msg="demo" error="option \"num_ctx\" must be of type integer"', "REQ014"),
    ('{"error":{"message":"\\"llama3:3b\\" does not support\n     thinking","type":"api_error"}}', "CAP002"),
]


@pytest.mark.parametrize(("text", "code"), WRAPPED, ids=range(len(WRAPPED)))
def test_innermost_text_decides(text: str, code: str) -> None:
    """Whatever an SDK, a gateway or a log puts around it, the text of the server names the cause."""
    assert _run(text)["code"].to_list() == [code]


def test_inner_is_the_unwrapped_text() -> None:
    """``inner`` holds the innermost error without its wrappings."""
    assert _run('{"error":"model is required"} (status code: 400)')["inner"].to_list() == ["model is required"]


def test_captures_are_json_without_empty_groups() -> None:
    """Named groups that took part become a JSON object; a rule without groups gives null."""
    line = "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 14495514624"
    out = _run(line, "model is required")
    assert json.loads(out["captures"][0]) == {"buffer_bytes": "14495514624"}
    assert out["captures"][1] is None


def test_block_is_named_by_its_cause() -> None:
    """In a block the specific line wins over echoes, statuses and noise, wherever it stands."""
    block = (
        'level=INFO source=server.go:632 msg="waiting for server to become available" status="llm server error"\n'
        "CUDA error: an illegal memory access was encountered\n"
        "ggml-cuda.cu:73: CUDA error\n"
        '[GIN] 2025/04/15 - 09:01:33 | 500 |    2.8s |       127.0.0.1 | POST     "/api/chat"\n'
        'level=ERROR source=server.go:449 msg="llama runner terminated" error="exit status 0xc0000409"'
    )
    out = _run(block)
    assert out["code"].to_list() == ["GPU001"]
    assert out["inner"].to_list() == ["CUDA error: an illegal memory access was encountered"]


@pytest.mark.parametrize("line", ["load_tensors: offloaded 29/29 layers to GPU", '[GIN] | 200 | POST "/api/chat"'])
def test_normal_lines_stay_without_cause(line: str) -> None:
    """All layers on the GPU and an answered request are no problems."""
    assert _run(line)["code"].to_list() == [None]


@pytest.mark.parametrize(
    "line",
    [
        '[GIN] | 404 | POST "/api/show"',
        '[GIN] 2025/05/06 - 23:52:50 | 404 |       2.999ms |       127.0.0.1 | POST     "/api/show"',
    ],
)
def test_access_lines_match_raw_and_normalised(line: str) -> None:
    """A pasted access line and its short form give the same, and never a certain, answer."""
    out = _run(line)
    assert out["code"].to_list() == ["NFD001"]
    assert out["confidence"].to_list() != ["certain"]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504])
def test_status_alone_is_never_certain(status: int) -> None:
    """A bare status is a guess or likely."""
    out = _run(f'[GIN] | {status} | GET "/api/demo"', f"HTTP/1.1 {status} demo", f"Error code: {status}")
    assert "certain" not in out["confidence"].to_list()
    assert out["code"][0] is not None


# Catalogue rows that name a wrapping, while the text inside names a cause: text, code of the row, code of the inside.
# The design says: classify on the innermost text.
INNERMOST = [
    ("llama runner process has terminated: error loading model: unable to allocate CUDA0 buffer", "MDL006", "MEM005"),
    ("llama runner process has terminated: CUDA error: out of memory", "RUN023", "MEM001"),
    (
        (
            "llama runner process has terminated: this model is not supported by your version of "
            "Ollama. You may need to upgrade"
        ),
        "RUN019",
        "MDL003",
    ),
    (
        "llama-server process no longer running: unknown CUDA error: an illegal memory access was encountered",
        "RUN001",
        "GPU001",
    ),
    (
        "llama-server process has terminated: exit status 1: error loading model: unknown model architecture: 'foo'",
        "RUN019",
        "MDL003",
    ),
    ("Failed to create new sequence: failed to process inputs: image: unknown format", "RUN011", "REQ021"),
    (
        '{"error":{"message":"model \'x\' not found","type":"not_found_error","param":null,"code":null}}',
        "UNK005",
        "NFD001",
    ),
    (
        (
            '{"type":"error","error":{"type":"overloaded_error","message":"server busy, please '
            'try again.  maximum pending requests exceeded"},"request_id":"req_x"}'
        ),
        "UNK006",
        "OVL001",
    ),
    ('{"type":"error","error":{"type":"authentication_error","message":"unauthorized"}}', "UNK006", "AUT002"),
    ('{"type":"error","error":{"type":"permission_error","message":"ollama cloud is disabled"}}', "UNK006", "AUT005"),
    ("model 'x' not found (status code: 404)", "UNK002", "NFD001"),
    (
        (
            'time=2025-03-12T12:14:22.015Z level=ERROR source=sched.go:456 msg="error loading '
            'llama server" error="llama runner process has terminated: signal: killed"'
        ),
        "RUN018",
        "MEM021",
    ),
    (
        (
            'time=2026-07-21T14:48:40.000Z level=INFO source=sched.go:641 msg="Load failed" '
            'model=/m error="llama-server process has terminated: exit status 1"'
        ),
        "RUN018",
        "RUN019",
    ),
]


@pytest.mark.parametrize(("text", "wrapping", "inside"), INNERMOST, ids=range(len(INNERMOST)))
def test_wrapping_does_not_hide_its_inside(text: str, wrapping: str, inside: str) -> None:
    """Where a wrapping and its inside both have a code, the inside decides."""
    assert wrapping != inside
    assert _run(text)["code"].to_list() == [inside]


def test_catalogue_examples_give_their_cause(shared: Path) -> None:
    """Every example of the catalogue has the code of its row, but for the wrappings listed above."""
    rows = [row for row in _rows(shared / "reference" / "ollama-errors.csv") if row["example_message"]]
    codes = _run(*(row["example_message"] for row in rows))["code"].to_list()
    listed = {(text, wrapping): inside for text, wrapping, inside in INNERMOST}
    wanted = [(row["example_message"], BOOK.by_slug[row["cause_slug"]].code) for row in rows]
    assert codes == [listed.get((text, code), code) for text, code in wanted]


def test_labelled_lines_of_the_corpus(shared: Path) -> None:
    """The right cause for 92 % of the labelled lines, and no certain false alarm."""
    rows = _rows(shared / "corpus" / "gold.csv")
    out = _run(*(STAMP.sub("", row["raw"]) for row in rows)).to_dicts()
    right, alarms = 0, []
    for row, found in zip(rows, out, strict=True):
        alone = re.search(r"alone=(\w+)", row["note"])
        wanted = {row["code"], alone[1].replace("none", "") if alone else row["code"]}
        quiet = found["code"] is None or found["severity"] == "info"
        right += quiet if row["is_error"] == "false" else (found["code"] or "") in wanted
        if row["is_error"] == "false" and not quiet and found["confidence"] == "certain":
            alarms.append(row["raw"])
    assert alarms == []
    assert right / len(rows) >= 0.92


def test_phrases_of_guides_give_their_code(shared: Path) -> None:
    """All texts and statuses of the guides that started the taxonomy have their code."""
    rows = _rows(shared / "reference" / "seed-coverage.csv")
    found = _run(*(row["text_or_status"] for row in rows))["code"].to_list()
    assert found == [row["code"] for row in rows]


def test_texts_of_reporters(shared: Path) -> None:
    """Texts as people report them: at least 95 % right, at most one certain false alarm."""
    rows = _rows(shared / "corpus" / "threads.csv")
    out = _run(*(row["raw"] for row in rows)).to_dicts()
    right, alarms = 0, 0
    for row, found in zip(rows, out, strict=True):
        slugs = {row["expected_slug"], *row["acceptable_slugs"].split("|")}
        quiet = found["code"] is None or found["severity"] == "info"
        slug = BOOK.causes[found["code"]].slug if found["code"] else "unknown"
        codes = {BOOK.by_slug[name].code for name in slugs if name in BOOK.by_slug}
        hit = found["code"] in codes or ("http_error" in slugs and slug.startswith("http_"))
        right += quiet if row["is_error"] == "false" else hit
        alarms += row["is_error"] == "false" and not quiet and found["confidence"] == "certain"
    assert right / len(rows) >= 0.95
    assert alarms <= 1
