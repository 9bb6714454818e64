"""Text classified without a store gets the same verdicts as in a store."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.folders import SAMPLES

import erranalytics as ea
from erranalytics.classification import rulebook
from erranalytics.ingestion import in_memory
from erranalytics.parsing import lineformats
from erranalytics.sources.files import from_bytes
from erranalytics.store import connection

FORMATS, RULES = lineformats.load(), rulebook.load()
OOM = "Error: llama runner process has terminated: cudaMalloc failed: out of memory"
TEXTS = [
    OOM,
    "hello",
    "\n\n",
    "\u00fc\u0000 \x1b[31mError: out of memory\x1b[0m",
    '{"error":"model \'x\' not found"}',
    '{"error":"model \'x\' not found","status_code":404,"endpoint":"/api/chat","outcome":"failed"}',
    '[GIN] 2026/01/01 - 00:00:01 | 500 |   1.5ms |       127.0.0.1 | POST     "/api/chat"',
    "Mar 01 08:00:00 gpu01 ollama[42]: time=2026-03-01T08:00:00.000Z level=WARN source=a.go:1 msg=hello",
    "time=2026-03-01T08:00:00.000Z level=INFO source=a.go:1 msg=hello\n" + OOM,
    "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nollama._types.ResponseError: model 'x' not found",
    *(rule.example[0].line for rule in RULES.rules[::30]),
]


def of_store(text: in_memory.ParsedText) -> list[dict[str, Any]]:
    """The verdicts of the store for a text, derived even where that is not needed."""
    with in_memory.derived_store(text) as connection:
        return [row for frame in in_memory._verdict_frames(connection) for row in frame.to_dicts()]


@pytest.mark.parametrize("text", TEXTS, ids=[f"{number}" for number in range(len(TEXTS))])
def test_a_text_that_needs_no_store(text: str) -> None:
    """If at most one record is a problem, the store adds nothing."""
    parsed = in_memory.ParsedText.of(from_bytes(text.encode()), rules=RULES, formats=FORMATS)
    if parsed.problem_count < 2 and not parsed.events.is_empty():
        assert parsed.verdicts().to_dicts() == of_store(parsed)
    assert ea.classify(text) == of_store(parsed)


def test_the_store_of_the_process_forgets_each_text() -> None:
    """A text leaves nothing for the next one, and gives the same again."""
    text = (SAMPLES / "server" / "oom-0.24.0.log").read_text(encoding="utf-8")
    first, other, again = ea.classify(text), ea.classify(OOM + "\n\n" + OOM), ea.classify(text)
    assert first == again
    assert len({row["incident"] for row in first} - {None}) > 3
    assert [row["code"] for row in other] == ["MEM005", "MEM005"]
    ((left,),) = in_memory._LOCAL.connection.execute("select count(*) from events").fetchall()
    assert left == 0


def test_rules_of_a_user_are_not_kept_for_others(tmp_path: Path) -> None:
    """The store of the process has the shipped rules; others count for the call that names them."""
    (tmp_path / "flux-burst.toml").write_text(
        'code = "MEM005"\nname = "flux-burst"\nliterals = ["flux burst"]\npattern = "flux burst"\n'
        'references = ["https://example.org/1"]\n[[example]]\nline = "flux burst"\n'
        '[[counterexample]]\nline = "flux"\nwhy = "it did not burst"\n'
    )
    block = "flux burst\n\nflux burst\n\n" + OOM
    assert [row["code"] for row in ea.classify(block, rules_dir=[tmp_path]) if row["code"]] == ["MEM005"] * 3
    assert [row["code"] for row in ea.classify(block) if row["code"]] == ["MEM005"]


def test_each_thread_has_a_store() -> None:
    """Several threads classify blocks at once and get what one gets."""
    text = (SAMPLES / "server" / "oom-0.24.0.log").read_text(encoding="utf-8")
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(ea.classify(text))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [ea.classify(text)] * 3


def test_stores_are_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text without an echo opens no store, many blocks one."""
    opened: list[int] = []
    parsed = connection.open_in_memory
    monkeypatch.setattr(connection, "open_in_memory", lambda: opened.append(1) or parsed())
    monkeypatch.setattr(in_memory, "_LOCAL", threading.local())
    for text in TEXTS[:8]:
        ea.classify(text)
        ea.explain(text)
    assert opened == []
    for _ in range(3):
        ea.classify(OOM + "\n\n" + OOM)
    assert opened == [1]
