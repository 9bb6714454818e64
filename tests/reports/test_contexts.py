"""Prompts that were cut or refused, counted again from the lines of the log, and the context that would have held them."""

from __future__ import annotations

import re
from statistics import median
from typing import Any

import duckdb
from support.stores import NOW, START, add_failure, add_session, add_source, empty_store, insert, lines_of, run, table

CUT = re.compile(r'msg="truncating input prompt" limit=(\d+) prompt=(\d+)')


def test_cut_prompts_are_the_lines_of_the_log(real: duckdb.DuckDBPyConnection) -> None:
    """Count, median and maximum of the warnings in the raw lines; the model is the one whose context it was."""
    lines = lines_of("server/mixed-0.11.11.log", "server/requests-0.24.0.log")
    expected = [(int(found[1]), int(found[2])) for line in lines if (found := CUT.search(line))]
    found = [row for row in run(real, "context-truncation") if row["outcome"] == "cut silently"]
    assert sum(row["prompt_count"] for row in found) == len(expected) == 7
    for row in found:
        lengths = [length for limit, length in expected if limit == row["num_ctx"]]
        assert (row["prompt_count"], row["max_tokens"]) == (len(lengths), max(lengths))
        assert row["median_tokens"] == round(median(lengths))
        # Above the longest prompt, with at least 1024 for the answer, and no whole 1024 too much.
        assert row["max_tokens"] + 1024 <= row["needed_num_ctx"] < row["max_tokens"] + 2048
        assert row["needed_num_ctx"] % 1024 == 0


def test_context_the_model_cannot_have_is_no_remedy(real: duckdb.DuckDBPyConnection) -> None:
    """The lab's model was trained with 2048 tokens, as the log says: more context is not what helps."""
    clamped = [line for line in lines_of("server/requests-0.24.0.log") if "n_ctx_train=2048" in line]
    (row,) = [row for row in run(real, "context-truncation") if row["outcome"] == "cut silently"]
    assert clamped
    assert row["num_ctx_train"] == 2048
    assert row["remedy"].startswith("The model was trained with 2048 tokens")


def test_refused_prompt_is_one_however_many_lines_say_so(real: duckdb.DuckDBPyConnection) -> None:
    """The server's line, the access line and what the client recorded are one prompt."""
    refused = {one["incident_id"] for one in table(real, "errors") if one["cause"] == "context_length_exceeded"}
    found = [row for row in run(real, "context-truncation") if row["outcome"] == "refused"]
    assert sum(row["prompt_count"] for row in found) == len(refused) > 0


def test_half_a_context_is_led_back_to_the_whole() -> None:
    """llama_server.go names the half it keeps; the load says the whole."""
    connection = empty_store()
    add_source(connection, START, NOW)
    add_session(connection, 1, "0.32.15")
    load: dict[str, Any] = {"session_id": 1, "source_id": 1, "outcome": "loaded", "last_event_id": 9}
    insert(connection, "model_loads", load_seq=2, title="chat", num_ctx=4096, first_event_id=2, **load)
    insert(connection, "model_loads", load_seq=5, title="embed", num_ctx=512, first_event_id=5, **load)
    text = (
        'level=WARN source=llama_server.go:314 msg="truncating input prompt" limit=2060 prompt=12891 keep=24 new=2060'
    )
    facts = {"cause": "prompt_truncated", "num_ctx": 2060, "prompt_tokens": 12891, "message": text}
    add_failure(connection, 20, START, "CTX005", severity="warning", facts=facts)
    (row,) = run(connection, "context-truncation")
    assert (row["model"], row["num_ctx"], row["needed_num_ctx"]) == ("chat", 4096, 14336)
    assert row["remedy"].startswith("Set num_ctx to 14336 ")
    assert run(connection, "context-truncation", model="embed") == []
