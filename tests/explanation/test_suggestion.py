"""``rules suggest``: whatever the text, the draft is a rule file that proves itself once a person has filled it in."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import erranalytics as ea
from erranalytics.classification import proof, rulebook
from erranalytics.classification.classifier import classify
from erranalytics.classification.innermost import innermost
from erranalytics.classification.rule import REMEDY_WORDS
from erranalytics.classification.rulebook import Rulebook
from erranalytics.errors import UsageError
from erranalytics.explanation import suggestion
from erranalytics.explanation.suggestion import TO_FILL, suggest
from erranalytics.text.display import printable

BOOK = rulebook.load()
UNKNOWN = [
    "Unable to disable persistence mode for GPU 00000000:1D:00.0: Insufficient Permissions",
    'time=2026-11-20T08:00:00.000Z level=WARN source=x.go:12 msg="frobnicator turned blue" size="12 MiB" path=/a/b/c',
    'time=2026-11-20T08:00:00.000Z level=WARN source=x.go:12 msg="x" error="read /a/b: frob 12 MiB of \\"zeta\\" is full"',
    '{"error":"frobnicate \\"bar\\" with 12,5 % of [zeta] (a|b)"}',
    "2026-11-20 08:00:00 frobnication of sha256:4f5e6d7c8a stalled for 1.5s at 10.0.0.7:11434, see https://a.b/c?key=s3cret1",
    "can't frobnicate what won't be read: it's '''quoted''' thrice\\",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nFrobError: the flux\tran  dry at 0x7f3c",
    "ÄRGER: die Größe überschreitet 12 GiB — frobnicate \x07 failed\r\nsecond line",
    "frobnicate\x85the\u202e text\u2028that turns 12 MiB around",
    "\x1b[31mfrobnicate: ^$.*+?()[]{}|\\1 (?P<x>y) (?=z)\x1b[0m",
]  # fmt: skip


def filled(draft: suggestion.Suggestion) -> str:
    """The file after a person has named the cause and the source."""
    # What a terminal is spared must not change the file.
    text = "".join(f"{printable(line)}\n" for line in draft.lines())
    return text.replace(f'"{TO_FILL}"  # the cause', '"UNK009"  # the cause').replace(
        f'["{TO_FILL}"]', '["https://example.org/1"]'
    )


def draft_of(text: str) -> suggestion.Suggestion | None:
    """A draft that parses, matches its example and waits for a literal in it; None for a text that is known."""
    draft = suggest(text, book=BOOK)
    if draft.known:
        assert draft.lines() == []
        return None
    data = tomllib.loads(filled(draft))
    (example,) = data["example"]
    assert tomllib.loads("\n".join(draft.lines()))["code"] == TO_FILL
    assert example["line"] == draft.text
    assert not set(data["name"].split("-")) & REMEDY_WORDS
    assert any(literal.lower() in example["line"].lower() for literal in data["literals"])
    assert innermost(pl.Series("text", [example["line"]]))["haystack"].str.contains(f"(?m){data['pattern']}").item()
    return draft


def prove(texts: Iterable[str], folder: Path) -> None:
    """Filled in and saved, the drafts of these texts load, prove themselves and win their examples."""
    drafts = {f"{draft.family}/{draft.name}": draft for text in texts if (draft := draft_of(text))}
    for name, draft in drafts.items():
        path = folder / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled(draft), encoding="utf-8", newline="")
    try:
        book = rulebook.load([folder])
        rules = [book.by_id[name] for name in drafts]
        for rule in rules:
            alone = Rulebook(causes=book.causes, rules=(rule,), families=book.families, hash="")
            assert proof.check(alone) == []
            assert classify(pl.Series("text", [rule.example[0].line]), book=alone)["rule"].item() == rule.id
        lines = pl.Series("text", [rule.example[0].line for rule in rules], dtype=pl.String)
        assert classify(lines, book=book)["rule"].null_count() == 0
    finally:
        for name in drafts:
            (folder / f"{name}.toml").unlink()


@pytest.mark.slow
def test_drafts_prove_themselves(tmp_path: Path) -> None:
    """Lines with quotes, escapes, masks, several lines, colours and the signs of patterns."""
    assert [text for text in UNKNOWN if suggest(text, book=BOOK).known] == []
    prove(UNKNOWN, tmp_path)


PIECES = st.one_of(
    st.sampled_from(["frobnicate", "zeta", "failed", "12 MiB", "/a/b/c", "10.0.0.7:80", "1.5s", "404", "sha256:4f5e6d7c"]),
    st.sampled_from(["'", '"', "\\", "'''", '"""', '\\"', "\n", "\t", "  ", "(?P<a>b)", "[x", "{2}", "^$.*+?|", "msg=", "#"]),
    st.text(max_size=6),
)  # fmt: skip


TEXTS = st.builds(
    lambda parts, blank: blank.join(parts), st.lists(PIECES, min_size=1, max_size=8), st.sampled_from(["", " "])
)


def _is_refused(text: str) -> bool:
    try:
        return not suggest(text, book=BOOK)
    except UsageError:
        return True


PATIENT = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@PATIENT
@given(texts=st.lists(TEXTS, min_size=8, max_size=16))
def test_any_text_gives_a_draft_that_proves_itself(texts: list[str], tmp_path: Path) -> None:
    """Any text is known, or drafted, or refused because it holds no three characters to wait for."""
    empty = [text for text in texts if _is_refused(text)]
    assert not any("frobnicate" in text for text in empty)
    prove([text for text in texts if text not in empty], tmp_path)


@pytest.mark.slow
@PATIENT
@given(data=st.data())
def test_lines_like_those_of_the_rulebook_give_drafts(data: st.DataObject, tmp_path: Path) -> None:
    """Examples of rules with one word replaced, so that most of them are unknown."""
    texts = []
    for rule in data.draw(
        st.lists(st.sampled_from(BOOK.rules), min_size=8, max_size=16, unique_by=lambda rule: rule.id)
    ):
        words = data.draw(st.sampled_from(rule.example)).line.split(" ")
        words[data.draw(st.integers(0, len(words) - 1))] = "frobnicate"
        texts.append(" ".join(words))
    prove(texts, tmp_path)


def test_what_varies_is_left_open() -> None:
    """The draft of one occurrence matches the next one, and keeps the size and the path."""
    draft = suggest("flux burst of 12 MiB in /a/b/c after 3 tries", book=BOOK)
    groups = pl.Series(["flux burst of 1.5 GiB in /d/e after 12 tries"]).str.extract_groups(draft.pattern)
    assert groups.struct.unnest().row(0) == ("1.5 GiB", "/d/e")
    assert draft.literal == "flux burst of"


def test_name_tells_the_symptom() -> None:
    """Words of the text in kebab case, without those that tell what to do and without what varies."""
    assert suggest("failed to update the flux: check /a/b/c and restart 12", book=BOOK).name == "failed-flux"


def test_a_known_text_names_its_rule() -> None:
    """There is no draft of what a rule knows."""
    draft = suggest("cudaMalloc failed: out of memory", book=BOOK)
    assert draft.known is not None
    assert draft.known.id == "memory/cuda-malloc-failed"
    assert draft.lines() == []


def test_secrets_do_not_reach_the_example() -> None:
    """A key in an address is masked before anything is drafted."""
    text = "\n".join(suggest("frobnicate: GET https://a.b/connect?key=c3NoLWVkMjU1MTk refused", book=BOOK).lines())
    assert "c3NoLWVk" not in text
    assert "key=[redacted]" in text


def test_a_fingerprint_of_the_store_is_drafted(tmp_path: Path) -> None:
    """The message behind a row of ``unknown-errors`` becomes the example."""
    db, log = tmp_path / "a.duckdb", tmp_path / "a.log"
    log.write_text(
        'time=2026-11-20T08:00:00.000Z level=INFO source=a.go:1 msg="Listening on 127.0.0.1:11434 (version 0.24.0)"\n'
        'time=2026-11-20T08:00:01.000Z level=WARN source=a.go:2 msg="frobnicator turned blue after 12 tries"\n'
        'time=2026-11-20T08:00:02.000Z level=WARN source=a.go:2 msg="frobnicator turned blue after 13 tries"\n'
        'time=2026-11-20T08:00:03.000Z level=INFO source=a.go:3 msg="retrying" attempt=error\n'
    )
    ea.ingest([log], db=db)
    (row,) = ea.report("unknown-errors", db=db).to_dicts()
    assert (row["event_count"], row["level"], row["first_version"]) == (2, "WARN", "0.24.0")
    draft = ea.suggest_rule(fingerprint=row["fingerprint"], db=db)
    assert draft.text == "frobnicator turned blue after 12 tries"
    with pytest.raises(UsageError, match="no message with the fingerprint"):
        ea.suggest_rule(fingerprint="0" * 16, db=db)


def test_too_little_is_refused() -> None:
    """A rule needs three characters to wait for."""
    with pytest.raises(UsageError, match="no constant part"):
        suggest("12", book=BOOK)
    with pytest.raises(UsageError, match="give a text or a fingerprint"):
        ea.suggest_rule(" ")
