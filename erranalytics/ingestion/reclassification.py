"""Apply a changed rulebook to stored events, without the logs.

The texts are rebuilt from the columns of the store (see ``stored_text``) and may have less than the lines had. So a
verdict that came from a line is kept as long as its rule is unchanged: a rule with the same literals and pattern still
matches that line, and an unchanged rule that did not match the line still does not. Only rules that were added, changed
or removed decide by the text. A load that was classified by another rulebook than the store has is decided by all
rules. ``_decide`` has the cases.
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
from erranalytics.parsing.lineformats import FormatBook
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
# Updates the rows that depend on a verdict directly; incidents, outcomes and templates are derived again.
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
class ReclassifyResult:
    """What changed: one row per code with ``code``, ``cause``, ``before``, ``after``, ``added``, ``removed``.

    ``is_current`` means that the events were classified by this rulebook already, so none was read.
    """

    changes: pl.DataFrame
    event_count: int = 0
    changed_count: int = 0
    is_current: bool = False

    @property
    def summary(self) -> str:
        """The totals as a sentence."""
        if self.is_current:
            return "the events were already classified by these rules, nothing changed"
        added, removed = int(self.changes["added"].sum()), int(self.changes["removed"].sum())
        codes = self.changes.filter((pl.col("added") > 0) | (pl.col("removed") > 0)).height
        return (
            f"{self.event_count:,} events reclassified: {self.changed_count:,} changed, "
            f"{added:,} got a code and {removed:,} lost one, {codes:,} {'code' if codes == 1 else 'codes'}"
        )


@dataclass(frozen=True, slots=True)
class _Unchanged:
    """The rules and codes that the rulebook shares with the one of the store, and the loads classified by that one."""

    rules: list[str]
    codes: list[str]
    loads: list[int]


def reclassify(
    connection: duckdb.DuckDBPyConnection, *, rules: Rulebook, formats: FormatBook, force: bool = False
) -> ReclassifyResult:
    """Classify all events of a store opened for writing by another rulebook, in one transaction.

    Args:
        connection: the store.
        rules: the rulebook.
        formats: the line formats.
        force: classify all events even if they were already classified by this rulebook.
    """
    stale = "select count(*) from loads where rulebook_hash <> $hash"
    ((count,),) = connection.execute(stale, {"hash": rules.hash}).fetchall()
    if not count and not force:
        return ReclassifyResult(pl.DataFrame(schema=CHANGES), is_current=True)
    with frames.transaction(connection):
        connection.execute(
            """create or replace temp table codes_before as
               select code, any_value(cause) as cause, count(*) as before
               from events where code is not null group by code"""
        )
        unchanged = _unchanged(connection, rules)
        write_catalogue(connection, rules)
        events, changed = _classify_all(connection, rules, unchanged, formats=formats)
        connection.execute(_WRITE)
        connection.execute("update loads set rulebook_hash = $hash where rulebook_hash <> $hash", {"hash": rules.hash})
        # An empty range of loads: every run of the server is derived again, and no record is new.
        runs = connection.execute("select distinct session_id from events where session_id is not null").fetchall()
        sessions = [int(run) for (run,) in runs]
        derive(connection, formats=formats, loads=range(0), sessions=sessions, since_id=0)
        return ReclassifyResult(pl.DataFrame(connection.sql(_CHANGES)).cast(CHANGES), events, changed)


def _unchanged(connection: duckdb.DuckDBPyConnection, rules: Rulebook) -> _Unchanged:
    """The rules of the store that the rulebook has too, with the same literals and pattern and in the same order.

    The store does not keep the rule of an event that is not a problem. So a code is unchanged if all its rules are.
    """
    ((stored_hash,),) = connection.execute(
        "select coalesce(max(value), '') from meta where key = 'rulebook_hash'"
    ).fetchall()
    loads = [
        int(load_id)
        for (load_id,) in connection.execute(
            "select load_id from loads where rulebook_hash = ?", [stored_hash]
        ).fetchall()
    ]
    stored = connection.execute("select rule, code, literals, pattern from rules order by rowid").fetchall()
    new = {rule.id: (list(rule.literals), rule.pattern) for rule in rules.rules}
    same = [rule for rule, _, literals, pattern in stored if new.get(rule) == (literals, pattern)]
    ids = set(same)
    if [rule.id for rule in rules.rules if rule.id in ids] != same:
        same, ids = [], set()
    changed = {code for rule, code, _, _ in stored if rule not in ids or rules.by_id[rule].code != code}
    codes = sorted({code for _, code, _, _ in stored} - changed)
    return _Unchanged(same, codes, loads)


def _classify_all(
    connection: duckdb.DuckDBPyConnection, rules: Rulebook, unchanged: _Unchanged, *, formats: FormatBook
) -> tuple[int, int]:
    """Write changed verdicts to ``verdicts`` and their rows to ``errors_now``; return how many events and changes."""
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
        classified = verdicts.classify_events(stored_text.rebuild(frame, formats), rules=rules, memo=memo)
        calls = _calls(connection, frame["event_id"])
        new = _with_outcomes(_decide(classified, rules, unchanged), calls, rules).filter(_has_changed())
        frames.append(connection, "verdicts", new.select("event_id", "old_code", "code", "cause", "is_problem"))
        frames.append(connection, "errors_now", error_rows(new, causes, rules, calls, formats=formats))
        events, changed = events + frame.height, changed + new.height
    return events, changed


def _calls(connection: duckdb.DuckDBPyConnection, event_ids: pl.Series) -> pl.DataFrame:
    """The calls that the events record."""
    bounds = {"first": event_ids.min(), "last": event_ids.max()}
    sql = "select * from calls where event_id between $first and $last order by event_id"
    return pl.DataFrame(connection.sql(sql, params=bounds))


def _with_outcomes(events: pl.DataFrame, calls: pl.DataFrame, rules: Rulebook) -> pl.DataFrame:
    """Add the verdicts that follow from the outcome of a call where no rule matches."""
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


def _decide(classified: pl.DataFrame, rules: Rulebook, unchanged: _Unchanged) -> pl.DataFrame:
    """Choose between the verdict of the text, and the stored one of the line if no change of the rules concerns it.

    Returns:
        The events with their verdicts, and ``is_problem``.
    """
    # In a rulebook with the rules A, B and C in this order, where B is new or changed:
    #   rule of the line    rule of the text    rule that counts
    #   A                   none                A: it still matches the line, the text only has less
    #   A                   B                   A: it comes before B
    #   C                   B                   B: it was not tried on the line, and comes before C
    #   none                A                   none: A did not match the line, which had more than the text
    #   none                B                   B
    #   B                   none                none: the old B matched the line, and the new one does not match
    slugs = {cause.code: cause.slug for cause in rules.causes.values()}
    book = pl.DataFrame(rules.columns).with_columns(cause=pl.col("code").replace_strict(slugs)).with_row_index("place")
    places = book.select("rule", "place")
    frame = classified.join(places, on="rule", how="left", maintain_order="left")
    frame = frame.join(
        places.rename({"rule": "old_rule", "place": "old_place"}), on="old_rule", how="left", maintain_order="left"
    )
    rule, old_rule = pl.col("rule"), pl.col("old_rule")
    is_known = pl.col("load_id").is_in(unchanged.loads)
    is_same = rule.is_null() | (is_known & rule.is_in(unchanged.rules))
    is_later = (pl.col("place") > pl.col("old_place")).fill_null(value=False)
    # The rules of an unknown rulebook may have read more than the text has; only the identity of a rule is certain.
    is_valid = pl.when(is_known).then(old_rule.is_in(unchanged.rules)).otherwise(pl.col("old_place").is_not_null())
    keeps_rule = is_valid & pl.when(is_known).then(is_same | is_later).otherwise(rule.is_null())
    has_same_code = pl.col("old_code").is_null() | pl.col("old_code").is_in(unchanged.codes) | ~is_known
    keeps_code = old_rule.is_null() & is_same & has_same_code
    frame = frame.with_columns(
        is_kept=(keeps_rule & rule.ne_missing(old_rule)).fill_null(value=False),
        is_quiet=keeps_code.fill_null(value=False),
        rule=pl.when(keeps_code).then(None).when(keeps_rule).then("old_rule").otherwise("rule"),
    )
    frame = frame.drop("code", "cause", "severity", "confidence", "place", "old_place")
    frame = frame.join(book.drop("place"), on="rule", how="left", maintain_order="left")
    quiet, kept = pl.when("is_quiet"), pl.when("is_kept")
    return frame.with_columns(
        code=quiet.then("old_code").otherwise("code"),
        cause=quiet.then(pl.col("old_code").replace_strict(slugs, default=None)).otherwise("cause"),
        captures=kept.then("old_captures").otherwise(_longer_captures()),
        wrapping=kept.then("old_wrapping").otherwise("wrapping"),
        inner=kept.then("old_inner").otherwise("inner"),
        is_problem=pl.col("severity").is_in(_PROBLEMS).fill_null(value=False),
    )


def _longer_captures() -> pl.Expr:
    """The captures of the text, or the longer ones of the line if the same rule matches both."""
    new, old = pl.col("captures"), pl.col("old_captures")
    is_shorter = new.str.len_chars().fill_null(0) < old.str.len_chars().fill_null(0)
    return pl.when(is_shorter & (pl.col("rule") == pl.col("old_rule"))).then(old).otherwise(new)


def _has_changed() -> pl.Expr:
    """Whether a verdict differs from the stored one; the store has no rule for events that are not problems."""
    problem = pl.when("is_problem")
    pairs = [pl.col(name).ne_missing(pl.col(f"old_{name}")) for name in ("code", "cause")]
    pairs += [
        problem.then(name).otherwise(None).ne_missing(pl.col(f"old_{name}"))
        for name in ("rule", "severity", "confidence")
    ]
    return pl.any_horizontal(*pairs, pl.col("is_problem") & pl.col("captures").ne_missing(pl.col("old_captures")))
