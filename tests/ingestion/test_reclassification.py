"""Changed rules on stored events: the columns of the store suffice, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
from support.content import content, difference

import erranalytics as ea
from erranalytics.classification import rulebook, verdicts
from erranalytics.classification.rulebook import Rulebook
from erranalytics.ingestion import loads, reclassification, stored_text
from erranalytics.parsing import lineformats
from erranalytics.sources.files import open_source
from erranalytics.store import frames
from erranalytics.store.connection import open_store

pytestmark = pytest.mark.slow

FORMATS, RULES = lineformats.load(), rulebook.load()
ERRORS = "select code, severity, confidence, rule, captures, event_id from errors order by event_id"
RULE = """
code = "UNK001"
name = "no-such-line"
literals = ["loaded runners"]
pattern = 'loaded runners'
references = ["https://github.com/ollama/ollama/blob/v0.24.0/server/sched.go"]
[[example]]
line = 'loaded runners'
[[counterexample]]
line = 'loaded models'
why = "another word"
"""
# Records whose columns give another code than their line: format, code by the line, code by the columns.
EXCEPTIONS: set[tuple[str, str | None, str | None]] = set()


def captures(root: Path) -> list[Path]:
    """The logs that the store is filled from."""
    return sorted([*(root / "tests/data/once").glob("*.log"), *(root / "sample_logs/server").glob("*.log*")])


def filled(path: Path, logs: list[Path], *, rules: Rulebook = RULES) -> duckdb.DuckDBPyConnection:
    """A store with these logs, classified by a rulebook."""
    connection = open_store(path)
    for log in logs:
        loads.load(connection, open_source(str(log)), loads.Options(FORMATS, rules))
    return connection


def without(*names: str) -> Rulebook:
    """The rulebook without some rules."""
    kept = tuple(rule for rule in RULES.rules if rule.id not in names)
    return Rulebook(causes=RULES.causes, rules=kept, families=RULES.families, hash="without " + " ".join(names))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A store with all captures, classified by the rulebook."""
    path = tmp_path_factory.mktemp("stored") / "t.duckdb"
    filled(path, captures(root)).close()
    return path


@pytest.fixture
def known(stored: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of it that a test may change."""
    connection = open_store(Path(shutil.copy(stored, tmp_path / "known.duckdb")))
    yield connection
    connection.close()


def test_columns_give_the_verdicts_of_lines(known: duckdb.DuckDBPyConnection) -> None:
    """Texts rebuilt from the store get the same codes and captures as the lines, except for one in a thousand."""
    ((last,),) = known.execute("select max(event_id) from events").fetchall()
    assert last < reclassification.BATCH_EVENTS
    judged = verdicts.classify_events(stored_text.rebuild(reclassification._read(known, 0), FORMATS), rules=RULES)
    other = judged.filter(pl.col("code").ne_missing(pl.col("old_code")))
    assert set(other.select("format", "old_code", "code").iter_rows()) == EXCEPTIONS
    assert other.height <= judged.height / 1000
    problems = judged.filter(pl.col("old_rule").is_not_null())
    for name in ("rule", "severity", "confidence", "captures"):
        assert problems.filter(pl.col(name).ne_missing(pl.col(f"old_{name}"))).is_empty(), name


def test_the_same_rules_change_nothing(known: duckdb.DuckDBPyConnection) -> None:
    """No event is read; when that is forced, every table keeps the same rows."""
    before, errors = frames.digests(known), known.execute(ERRORS).fetchall()
    done = reclassification.reclassify(known, rules=RULES, formats=FORMATS)
    assert (done.is_current, done.changes.height, frames.digests(known)) == (True, 0, before)
    assert done.summary == "the events were already classified by these rules, nothing changed"
    done = reclassification.reclassify(known, rules=RULES, formats=FORMATS, force=True)
    assert (done.is_current, done.changed_count, done.changes.height) == (False, 0, 0)
    assert known.execute(ERRORS).fetchall() == errors
    assert frames.digests(known) == before


def test_rules_that_come_and_go_are_applied(known: duckdb.DuckDBPyConnection, root: Path, tmp_path: Path) -> None:
    """A store classified without some rules becomes equal to one classified with them, incidents included, and back."""
    used = "select rule from errors where rule is not null group by rule order by count(*) desc, rule limit 3"
    book = without(*[rule for (rule,) in known.execute(used).fetchall()])
    never = filled(tmp_path / "never.duckdb", captures(root), rules=book)
    with_them, without_them = content(known), content(never)
    assert {"events", "errors", "incidents", "templates"} <= difference(with_them, without_them).keys()

    done = reclassification.reclassify(never, rules=RULES, formats=FORMATS)
    assert difference(content(never), with_them) == {}
    counts = dict(known.execute("select code, count(*) from events where code is not null group by code").fetchall())
    found = done.changes.to_dicts()
    assert found
    assert {row["code"]: row["after"] for row in found} == {row["code"]: counts.get(row["code"], 0) for row in found}
    assert all(row["after"] == row["before"] + row["added"] - row["removed"] for row in found)
    once = frames.digests(never)
    assert reclassification.reclassify(never, rules=RULES, formats=FORMATS).is_current
    reclassification.reclassify(never, rules=RULES, formats=FORMATS, force=True)
    assert frames.digests(never) == once
    never.close()

    reclassification.reclassify(known, rules=book, formats=FORMATS)
    assert difference(content(known), without_them) == {}


def test_loads_of_several_books_become_one(root: Path, tmp_path: Path) -> None:
    """A log that was classified by an earlier rulebook than the store has is classified by all rules."""
    first, second = (root / "sample_logs/server" / name for name in ("oom-0.24.0.log", "queue-0.24.0.log"))
    wanted = filled(tmp_path / "wanted.duckdb", [first, second])
    rule = wanted.execute("select rule from errors group by rule order by count(*) desc, rule limit 1").fetchall()[0][0]
    filled(tmp_path / "mixed.duckdb", [first], rules=without(rule)).close()
    mixed = filled(tmp_path / "mixed.duckdb", [second])
    assert not reclassification.reclassify(mixed, rules=RULES, formats=FORMATS).is_current
    assert difference(content(mixed), content(wanted)) == {}
    assert mixed.execute("select distinct rulebook_hash from loads").fetchall() == [(RULES.hash,)]
    mixed.close()
    wanted.close()


def test_a_folder_of_rules_comes_and_goes(root: Path, tmp_path: Path) -> None:
    """With ``--rules`` its code appears, without it the store is what it was; the public function closes the store."""
    folder, db = tmp_path / "rules", tmp_path / "t.duckdb"
    folder.mkdir()
    (folder / "no-such-line.toml").write_text(RULE.replace("loaded runners", "Listening on"), encoding="utf-8")
    connection = filled(db, [root / "sample_logs/server/oom-0.24.0.log"])
    before = content(connection)
    connection.close()
    done = ea.reclassify(db=db, rules_dir=[folder])
    gone = ea.reclassify(db=db)
    added, removed = (
        dict(zip(one.changes["code"], one.changes[name], strict=True))
        for one, name in ((done, "added"), (gone, "removed"))
    )
    assert added.get("UNK001", 0) > 0
    assert removed.get("UNK001") == added["UNK001"]
    connection = open_store(db)
    assert difference(content(connection), before) == {}
    connection.close()
