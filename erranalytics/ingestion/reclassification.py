"""A changed rulebook on stored events, without the logs.

The texts are put together from the columns of the store (see ``texts``), and may tell less than the lines did. So
what was found in a line stands as long as the rule that found it does: a rule with the same literals and pattern still
matches that line, and one with the same that did not match it still does not. Only rules that are new, changed or gone
decide anew. A load that was judged by another book than the store knows is judged by all rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from erranalytics import schema
from erranalytics.calls import extraction
from erranalytics.classification import verdicts
from erranalytics.classification.classifier import Memo
from erranalytics.classification.rulebook import Rulebook
from erranalytics.derivation.steps import derive
from erranalytics.ingestion import stored_text
from erranalytics.ingestion.rows import error_rows
from erranalytics.ingestion.rulebook_rows import causes_frame, write_catalogue
from erranalytics.store import frames

BATCH_EVENTS = 200_000

_EVENTS = """
select e.event_id, e.source_id, e.load_id, e.session_id, e.ts, e.host, e.format, e.level, e.component, e.message,
    e.attrs, e.code as old_code, e.cause as old_cause, r.status, r.method, r.path,
    x.rule as old_rule, x.severity as old_severity, x.confidence as old_confidence, x.captures as old_captures,
    x.wrapping as old_wrapping,
    x.message as old_inner, k.http_status as status_code, k.model, k.endpoint, k.error_type
from (from events where event_id >= $first and event_id < $last) as e
left join (from requests where event_id >= $first and event_id < $last) as r using (event_id)
left join (from errors where event_id >= $first and event_id < $last) as x using (event_id)
left join (from calls where event_id >= $first and event_id < $last) as k using (event_id)
order by e.event_id
"""
_CHANGES = """
with moved as (select old_code, code from verdicts where code is distinct from old_code),
added as (select code, count(*) as added from moved group by code),
removed as (select old_code as code, count(*) as removed from moved group by old_code)
select code, coalesce(c.cause, b.cause) as cause, coalesce(b.before, 0) as before,
    coalesce(b.before, 0) + coalesce(a.added, 0) - coalesce(r.removed, 0) as after,
    coalesce(a.added, 0) as added, coalesce(r.removed, 0) as removed
from added as a
full join removed as r using (code)
left join codes_before as b using (code)
left join causes as c using (code)
where code is not null
order by code
"""
# What follows from a verdict in the rows that are there; incidents, outcomes and templates are derived.
_WRITE = """
update events set code = v.code, cause = v.cause, incident_id = case when v.is_problem then incident_id end
from verdicts as v where events.event_id = v.event_id;

delete from errors where event_id in (select event_id from verdicts);
insert into errors by name select * from errors_now;

update calls set code = case when v.is_problem then v.code end, cause = case when v.is_problem then v.cause end
from verdicts as v where calls.event_id = v.event_id;

update requests set code = case when v.is_problem then v.code end
from verdicts as v where requests.event_id = v.event_id;

update errors set category = c.category, layer = c.layer, phase = c.phase, side = c.side, retry = c.retry,
    error_class = c.error_class
from causes as c
where errors.code = c.code
    and row(errors.category, errors.layer, errors.phase, errors.side, errors.retry, errors.error_class)
        is distinct from row(c.category, c.layer, c.phase, c.side, c.retry, c.error_class);
"""
CHANGES = pl.Schema(
    {
        "code": pl.String(),
        "cause": pl.String(),
        "before": pl.Int64(),
        "after": pl.Int64(),
        "added": pl.Int64(),
        "removed": pl.Int64(),
    }
)
_PROBLEMS = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Reclassified:
    """What changed: a row per code with ``code``, ``cause``, ``before``, ``after``, ``added``, ``removed``.

    ``is_current``: the book is the one the events were judged by, nothing was looked at.
    """

    changes: pl.DataFrame
    event_count: int = 0
    changed_count: int = 0
    is_current: bool = False

    @property
    def told(self) -> str:
        """The totals as a sentence."""
        if self.is_current:
            return "the events were judged by these rules already, nothing changed"
        added, removed = int(self.changes["added"].sum()), int(self.changes["removed"].sum())
        codes = self.changes.filter((pl.col("added") > 0) | (pl.col("removed") > 0)).height
        return (
            f"{self.event_count:,} events judged anew: {self.changed_count:,} changed, "
            f"{added:,} came to a code and {removed:,} left one, {codes:,} {'code' if codes == 1 else 'codes'}"
        )


@dataclass(frozen=True, slots=True)
class _Standing:
    """Which rules and codes say of a text what they said when the events were judged."""

    rules: list[str]
    codes: list[str]
    loads: list[int]


def reclassify(connection: duckdb.DuckDBPyConnection, *, rules: Rulebook, force: bool = False) -> Reclassified:
    """Judge all events of a store opened for writing by another rulebook; all or nothing.

    Args:
        connection: the store.
        rules: the book.
        force: look at all events also when they were judged by this book.
    """
    stale = "select count(*) from loads where rulebook_hash <> $hash"
    ((count,),) = connection.execute(stale, {"hash": rules.hash}).fetchall()
    if not count and not force:
        return Reclassified(pl.DataFrame(schema=CHANGES), is_current=True)
    with frames.transaction(connection):
        connection.execute(
            """create or replace temp table codes_before as
               select code, any_value(cause) as cause, count(*) as before
               from events where code is not null group by code"""
        )
        standing = _standing(connection, rules)
        write_catalogue(connection, rules)
        events, changed = _judge_all(connection, rules, standing)
        connection.execute(_WRITE)
        connection.execute("update loads set rulebook_hash = $hash where rulebook_hash <> $hash", {"hash": rules.hash})
        # A load that does not exist: every run is touched, and no record is new.
        runs = connection.execute("select distinct session_id from events where session_id is not null").fetchall()
        derive(connection, loads=range(0), sessions=[int(run) for (run,) in runs], since_id=0)
        return Reclassified(pl.DataFrame(connection.sql(_CHANGES)).cast(CHANGES), events, changed)


def _standing(connection: duckdb.DuckDBPyConnection, rules: Rulebook) -> _Standing:
    """Rules of the store that the book has too, with the same literals and pattern and in the same order.

    A code of an event that is no problem, whose rule the store does not keep, stands when all its rules do.
    """
    ((known,),) = connection.execute("select coalesce(max(value), '') from meta where key = 'rulebook_hash'").fetchall()
    loads = [
        int(one)
        for (one,) in connection.execute("select load_id from loads where rulebook_hash = ?", [known]).fetchall()
    ]
    stored = connection.execute("select rule, code, literals, pattern from rules order by rowid").fetchall()
    new = {rule.id: (list(rule.literals), rule.pattern) for rule in rules.rules}
    same = [rule for rule, _, literals, pattern in stored if new.get(rule) == (literals, pattern)]
    kept = set(same)
    if [rule.id for rule in rules.rules if rule.id in kept] != same:
        same, kept = [], set()
    moved = {code for rule, code, _, _ in stored if rule not in kept or rules.by_id[rule].code != code}
    codes = sorted({code for _, code, _, _ in stored} - moved)
    return _Standing(same, codes, loads)


def _judge_all(connection: duckdb.DuckDBPyConnection, rules: Rulebook, standing: _Standing) -> tuple[int, int]:
    """Verdicts of all events, those that changed into the table ``verdicts`` and the new rows into ``errors_now``."""
    connection.execute(
        """create or replace temp table verdicts
               (event_id bigint, old_code varchar, code varchar, cause varchar, is_problem boolean)"""
    )
    connection.execute("create or replace temp table errors_now as select * from errors where false")
    ((first, last),) = connection.execute(
        "select coalesce(min(event_id), 0), coalesce(max(event_id), -1) from events"
    ).fetchall()
    memo, causes = Memo(), causes_frame(rules)
    events = changed = 0
    for start in range(first, last + 1, BATCH_EVENTS):
        frame = _read(connection, start)
        judged = verdicts.judge(stored_text.rebuild(frame), rules=rules, memo=memo)
        calls = _calls(connection, frame["event_id"])
        news = _conclude(_decide(judged, rules, standing), calls, rules).filter(_differs())
        frames.append(connection, "verdicts", news.select("event_id", "old_code", "code", "cause", "is_problem"))
        frames.append(connection, "errors_now", error_rows(news, causes, rules, calls))
        events, changed = events + frame.height, changed + news.height
    return events, changed


def _calls(connection: duckdb.DuckDBPyConnection, event_ids: pl.Series) -> pl.DataFrame:
    """The records of calls among the events."""
    bounds = {"first": event_ids.min(), "last": event_ids.max()}
    sql = "select * from calls where event_id between $first and $last order by event_id"
    return pl.DataFrame(connection.sql(sql, params=bounds))


def _conclude(events: pl.DataFrame, calls: pl.DataFrame, rules: Rulebook) -> pl.DataFrame:
    """The verdicts that the outcome of a call gives where no rule does."""
    if calls.is_empty():
        return events
    places = events.with_row_index("row").select("row", "event_id", "is_problem")
    decided = calls.join(places, on="event_id", how="inner")
    events = extraction.with_causes(events, decided, rules=rules)
    return events.with_columns(is_problem=pl.col("severity").is_in(_PROBLEMS).fill_null(value=False))


def _read(connection: duckdb.DuckDBPyConnection, start: int) -> pl.DataFrame:
    bounds = {"first": start, "last": start + BATCH_EVENTS}
    frame = pl.DataFrame(connection.sql(_EVENTS, params=bounds))
    return frame.cast({name: kind for name, kind in schema.EVENTS.items() if name in frame.columns})


def _decide(judged: pl.DataFrame, rules: Rulebook, standing: _Standing) -> pl.DataFrame:
    """The verdict of the text, or that of the line where the rule that gave it stands and none before it is new.

    Returns:
        The events with their verdicts, ``is_problem``, and ``is_anew``: whether the text decided.
    """
    slugs = {cause.code: cause.slug for cause in rules.causes.values()}
    says = pl.DataFrame(rules.columns).with_columns(cause=pl.col("code").replace_strict(slugs)).with_row_index("place")
    places = says.select("rule", "place")
    frame = judged.join(places, on="rule", how="left", maintain_order="left")
    frame = frame.join(
        places.rename({"rule": "old_rule", "place": "old_place"}), on="old_rule", how="left", maintain_order="left"
    )
    rule, old_rule = pl.col("rule"), pl.col("old_rule")
    is_known = pl.col("load_id").is_in(standing.loads)
    is_same = rule.is_null() | (is_known & rule.is_in(standing.rules))
    is_later = (pl.col("place") > pl.col("old_place")).fill_null(value=False)
    # Of a book that is not known only this is: its rules may have read more than the text tells.
    stands = pl.when(is_known).then(old_rule.is_in(standing.rules)).otherwise(pl.col("old_place").is_not_null())
    keeps_rule = stands & pl.when(is_known).then(is_same | is_later).otherwise(rule.is_null())
    has_standing_code = pl.col("old_code").is_null() | pl.col("old_code").is_in(standing.codes) | ~is_known
    keeps_code = old_rule.is_null() & is_same & has_standing_code
    frame = frame.with_columns(
        is_kept=(keeps_rule & rule.ne_missing(old_rule)).fill_null(value=False),
        is_quiet=keeps_code.fill_null(value=False),
        rule=pl.when(keeps_code).then(None).when(keeps_rule).then("old_rule").otherwise("rule"),
    )
    frame = frame.drop("code", "cause", "severity", "confidence", "place", "old_place")
    frame = frame.join(says.drop("place"), on="rule", how="left", maintain_order="left")
    quiet, kept = pl.when("is_quiet"), pl.when("is_kept")
    return frame.with_columns(
        code=quiet.then("old_code").otherwise("code"),
        cause=quiet.then(pl.col("old_code").replace_strict(slugs, default=None)).otherwise("cause"),
        captures=kept.then("old_captures").otherwise(_fuller()),
        wrapping=kept.then("old_wrapping").otherwise("wrapping"),
        inner=kept.then("old_inner").otherwise("inner"),
        is_problem=pl.col("severity").is_in(_PROBLEMS).fill_null(value=False),
        is_anew=~pl.col("is_quiet") & ~pl.col("is_kept") & ~rule.is_in(standing.rules).fill_null(value=False),
    )


def _fuller() -> pl.Expr:
    """The captures of a rule that decided anew; of one that decides as before the longer ones, of line or text."""
    new, old = pl.col("captures"), pl.col("old_captures")
    is_shorter = new.str.len_chars().fill_null(0) < old.str.len_chars().fill_null(0)
    return pl.when(is_shorter & (pl.col("rule") == pl.col("old_rule"))).then(old).otherwise(new)


def _differs() -> pl.Expr:
    """Whether a verdict is another one than the store has; what is no problem has no rule there."""
    problem = pl.when("is_problem")
    pairs = [pl.col(name).ne_missing(pl.col(f"old_{name}")) for name in ("code", "cause")]
    pairs += [
        problem.then(name).otherwise(None).ne_missing(pl.col(f"old_{name}"))
        for name in ("rule", "severity", "confidence")
    ]
    return pl.any_horizontal(*pairs, pl.col("is_problem") & pl.col("captures").ne_missing(pl.col("old_captures")))
