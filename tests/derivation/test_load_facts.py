"""The facts of model loads prove themselves: every entry gives its value for its example, and is used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

import erranalytics
from erranalytics.derivation import load_facts

FACTS = load_facts.facts()
SQL = Path(erranalytics.__file__).parent / "derivation" / "sql"
RECORDS = """create table load_records (load_seq bigint, event_id bigint, kind varchar, message varchar, text varchar,
    attrs varchar)"""


def record(fact: Any, seen: Any, text: str) -> dict[str, str | None]:
    """A record of a load in which the entry finds its source."""
    source = seen["source"]
    key = source.removeprefix("attrs.") if source.startswith("attrs.") else None
    message = fact.get("like", "").replace("%", "") if key else text
    return {
        "kind": fact.get("kind", ["start"])[0],
        "message": message,
        "text": text if source == "text" else message,
        "attrs": json.dumps({key: text}) if key else None,
    }


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: str(fact["name"]))
def test_every_entry_gives_its_value(fact: Any) -> None:
    """In its own column of the view, from a record of the right kind, and not from one of another kind."""
    for seen in fact["seen"]:
        text, wanted = seen["example"]
        with duckdb.connect() as connection:
            connection.execute(RECORDS)
            rows = [record(fact, seen, text), record(fact, seen, text) | {"kind": "other"}]
            for number, row in enumerate(rows):
                connection.execute("insert into load_records values (?, 1, ?, ?, ?, ?)", [number, *row.values()])
            connection.execute(load_facts.view())
            values = connection.execute(f"select {fact['name']} from load_facts order by load_seq").fetchall()
        assert values == [(wanted,), (None if "kind" in fact else wanted,)]


def test_first_and_last() -> None:
    """Of a port the first record counts, of a context that is laid out again the last."""
    rows = [(n, "start", json.dumps({"cmd": f"--port {n}", "request": f"KvSize:{n}"})) for n in (1, 2)]
    with duckdb.connect() as connection:
        connection.execute(RECORDS)
        connection.executemany("insert into load_records values (7, ?, ?, '', '', ?)", rows)
        connection.execute(load_facts.view())
        values = connection.execute("select load_seq, cmd_port, layout_ctx from load_facts").fetchall()
    assert values == [(7, "1", "2")]


def test_every_fact_is_used() -> None:
    """By the step that writes the loads; and it names no other."""
    used = set(re.findall(r"\bf\.(\w+)", (SQL / "023_model_loads.sql").read_text(encoding="utf-8"))) - {"load_seq"}
    assert used == {fact["name"] for fact in FACTS}
    kinds = set(re.findall(r"then '(\w+)'", (SQL / "000_template_kinds.sql").read_text(encoding="utf-8"))) | {"facts"}
    assert {kind for fact in FACTS for kind in fact.get("kind", ())} <= kinds
