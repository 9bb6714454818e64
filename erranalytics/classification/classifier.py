"""Name the cause of each text: search for literals first, then run the patterns of the rules that wait for them.

The cost grows with the number of suspicious texts. One Aho-Corasick search goes over all texts. Only those that hold a
literal of some rule are unwrapped and searched again for the literals they hold, and only the patterns of the rules
with such a literal run on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics.classification import facts
from erranalytics.classification.innermost import innermost
from erranalytics.classification.rule import Rule
from erranalytics.classification.rulebook import NOISE, Rulebook
from erranalytics.text.json_objects import with_fields
from erranalytics.text.literals import joined_if_short, literals_in, places_by_literal
from erranalytics.text.patterns import may_fit

CONFIDENCE = pl.Enum(["certain", "likely", "guess"])
SCHEMA = pl.Schema(
    {
        "rule": pl.String(),
        "code": pl.String(),
        "confidence": CONFIDENCE,
        "severity": pl.String(),
        "captures": pl.String(),
        "inner": pl.String(),
        "wrapping": pl.List(pl.String()),
    }
)
# Wrapping whose escapes or line breaks may hide the literals of a text.
WRAPPINGS = ('"error":', '"error\\":', "'error':", "Error code: ")
INNER_CHARS = 4_000


class Memo:
    """The verdicts of the suspicious texts met so far; it saves time and changes no result.

    Logs repeat themselves: the second megabyte holds few texts that the first did not.
    """

    most = 50_000

    def __init__(self) -> None:
        self.known = pl.DataFrame(schema={"text": pl.String, **SCHEMA})

    def look_up(self, texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
        """A frame that holds the verdicts of the distinct ``texts``; only those not met before are classified."""
        fresh = texts.to_frame()
        if not self.known.is_empty():
            fresh = fresh.join(self.known, on="text", how="anti", maintain_order="left")
        if not fresh.is_empty():
            fresh = fresh.join(_verdicts(fresh["text"], book=book), on="text", how="left", maintain_order="left")
            earlier = self.known if self.known.height < self.most else self.known.clear()
            self.known = pl.concat([earlier, fresh.select(self.known.columns)])
        return self.known


def classify(texts: pl.Series | pl.DataFrame, *, book: Rulebook, memo: Memo | None = None) -> pl.DataFrame:
    """The verdict of each text: rule, code, confidence, severity, captures and innermost text.

    Args:
        texts: bodies of log records or messages, or a frame with a column ``text``; nulls are allowed.
        book: the rules to try.
        memo: the verdicts of earlier calls with the same book.

    Returns:
        A frame with ``SCHEMA``, of the same height and order; a row of nulls where no rule matches. ``captures`` is a
        JSON object of the named groups that matched and, for a problem, of the ``facts`` that no group captures; null
        when there are none. ``wrapping`` names the steps that unwrapped ``inner``; null when there were none.
    """
    series = (texts.get_column("text") if isinstance(texts, pl.DataFrame) else texts).rename("text")
    rows = series.cast(pl.String).to_frame()
    known = recognised(rows.get_column("text").unique(maintain_order=True), book=book, memo=memo)
    return rows.join(known, on="text", how="left", maintain_order="left").select(SCHEMA.names())


def recognised(texts: pl.Series, *, book: Rulebook, memo: Memo | None = None) -> pl.DataFrame:
    """The distinct texts that a rule matches, in a column ``text``, with the columns of ``SCHEMA``."""
    needles = literals_in(texts, _tables(book).needles, is_case_folded=True)
    if not needles:
        return _NO_VERDICTS
    suspects = texts.to_frame("text").filter(pl.col("text").str.contains_any(needles, ascii_case_insensitive=True))
    if suspects.is_empty():
        return _NO_VERDICTS
    if memo is None:
        return _verdicts(suspects["text"], book=book)
    known = memo.look_up(suspects["text"], book=book).filter(pl.col("rule").is_not_null())
    return known.join(suspects, on="text", how="semi")


_NO_VERDICTS = pl.DataFrame(schema={"text": pl.String, **SCHEMA})


def candidates(texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """The numbers of all rules whose pattern matches each text, best first, as lists in a column ``rules``."""
    haystacks = innermost(texts.cast(pl.String)).get_column("haystack")
    matches = _match(haystacks, book=book).group_by("id").agg(pl.col("rule_no").sort().alias("rules"))
    ids = pl.DataFrame({"id": pl.int_range(len(texts), dtype=pl.UInt32, eager=True)})
    return ids.join(matches, on="id", how="left", maintain_order="left").select("rules")


@dataclass(frozen=True)
class _Tables:
    """A rulebook in the form that classification needs.

    ``waiting`` has a row per literal and rule, ``verdicts`` a row per rule; ``capturing`` has the numbers of the rules
    with a group for a fact, by the name of the fact.
    """

    needles: list[str]
    literals: list[str]
    waiting: pl.DataFrame
    verdicts: pl.DataFrame
    noise: frozenset[int]
    capturing: dict[str, list[int]]


# For the rulebooks used last. Books are compared by identity, because two may share a hash.
_RECENT_TABLES: list[tuple[Rulebook, _Tables]] = []


def _tables(book: Rulebook) -> _Tables:
    """The tables of a rulebook, made once per process."""
    for recent, tables in _RECENT_TABLES:
        if recent is book:
            return tables
    tables = _Tables(
        needles=[*book.literals, *(text.lower() for text in WRAPPINGS)],
        literals=list(book.literals),
        waiting=pl.DataFrame(book.waiting, schema={"literal": pl.String, "rule_no": pl.UInt32}),
        verdicts=pl.DataFrame(book.columns).cast({"confidence": CONFIDENCE}),
        noise=frozenset(number for number, rule in enumerate(book.rules) if rule.family == NOISE),
        capturing={
            fact.name: [no for no in book.capturing if not fact.groups.keys().isdisjoint(book.rules[no].groups)]
            for fact in facts.book()
        },
    )
    _RECENT_TABLES[:] = [(book, tables), *_RECENT_TABLES[:3]]
    return tables


def _verdicts(texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """The distinct suspicious texts that a rule matches, with the columns of ``SCHEMA``."""
    readings = innermost(texts)
    winners = _without_noise(_winners(readings, book=book), texts=texts, book=book)
    if winners.is_empty():
        return _NO_VERDICTS
    ids = winners.get_column("id")
    known = winners.hstack(readings[ids]).with_columns(texts.gather(ids).alias("text"))
    further = facts.find(
        known.get_column("haystack"),
        owners=known.get_column("rule_no"),
        capturing=_tables(book).capturing,
        quiet=book.quiet,
    )
    table = known.hstack(_tables(book).verdicts[known.get_column("rule_no")]).hstack(_details(known, book=book))
    captures = facts.merge(pl.col("captures"), pl.lit(further)).alias("captures")
    inner = pl.coalesce("line", "inner").str.head(INNER_CHARS).alias("inner")
    return table.select("text", *({"captures": captures, "inner": inner}.get(name, name) for name in SCHEMA))


def _winners(readings: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """The first matching rule, in declared order, of each text that any rule matches."""
    matches = _match(readings.get_column("haystack"), book=book)
    if matches.height < 2:
        return matches
    return matches.group_by("id").agg(pl.col("rule_no").min()).sort("id")


def _without_noise(winners: pl.DataFrame, *, texts: pl.Series, book: Rulebook) -> pl.DataFrame:
    """The winners, where those of blocks that noise won are replaced by the rules that match their other lines."""
    noise = _tables(book).noise
    if noise.isdisjoint(winners.get_column("rule_no")):
        return winners
    blocks = winners.filter(
        pl.col("rule_no").is_in(list(noise)), texts.gather(winners.get_column("id")).str.contains("\n", literal=True)
    )
    if blocks.is_empty():
        return winners
    rest = texts.gather(blocks.get_column("id")).rename("text")
    for number in blocks.get_column("rule_no").unique().sort():
        rest = rest.str.replace_all(rf"(?m)^.*(?:{book.rules[number].pattern}).*$", "")
    others = _winners(innermost(rest), book=book)
    ids = blocks.get_column("id").gather(others.get_column("id"))
    return winners.update(others.with_columns(ids), on="id")


_NO_MATCHES = pl.DataFrame(schema={"id": pl.UInt32, "rule_no": pl.UInt32})


def _match(haystacks: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """The pairs of a text, by its id, and a rule, by its number, whose pattern matches."""
    waiting = _waiting(haystacks, book=book)
    if not waiting:
        return _NO_MATCHES
    # One query runs all patterns, each on its own texts.
    held = haystacks.to_frame("text").select(
        _holds(pl.col("text").gather(ids), rule=book.rules[number]).implode().alias(str(number))
        for number, ids in waiting.items()
    )
    pairs = pl.DataFrame(
        {"id": list(waiting.values()), "rule_no": list(waiting), "holds": held.row(0)},
        schema={"id": pl.List(pl.UInt32), "rule_no": pl.UInt32, "holds": pl.List(pl.Boolean)},
    )
    return pairs.explode("id", "holds").filter("holds").select("id", "rule_no")


def _waiting(haystacks: pl.Series, *, book: Rulebook) -> dict[int, pl.Series]:
    """The ids of the texts that hold a literal of a rule, by the number of that rule."""
    tables, literal = _tables(book), pl.col("literal")
    literals = literals_in(haystacks, tables.literals, is_case_folded=True)
    if not literals:
        return {}
    if joined_if_short(haystacks) is not None:
        waiting: dict[int, set[int]] = {}
        for text, ids in places_by_literal(haystacks, literals):
            for number in book.literals[text]:
                waiting.setdefault(number, set()).update(ids)
        return {
            number: pl.Series(sorted(ids), dtype=pl.UInt32)
            for number, ids in sorted(waiting.items())
            if may_fit(book.rules[number].regex, [haystacks[row] for row in ids])
        }
    texts = haystacks.to_frame("text").with_row_index("id")
    held = pl.col("text").str.extract_many(literals, ascii_case_insensitive=True, overlapping=True)
    pairs = texts.select("id", literal=held).explode("literal").filter(literal.is_not_null())
    pairs = pairs.select("id", literal.str.to_lowercase()).unique()
    pairs = pairs.join(tables.waiting, on="literal").select("id", "rule_no").unique().sort("rule_no", "id")
    groups = pairs.group_by("rule_no", maintain_order=True).agg("id")
    return dict(zip(groups["rule_no"], groups["id"], strict=True))


def _holds(haystacks: pl.Expr, *, rule: Rule) -> pl.Expr:
    """Whether the pattern matches and, if the rule demands it, two of its groups differ."""
    if rule.differ is None:
        return haystacks.str.contains(rule.regex)
    groups = haystacks.str.extract_groups(rule.regex).struct
    return (groups.field(rule.differ[0]) != groups.field(rule.differ[1])).fill_null(value=False)


def _details(known: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """The columns that need the pattern of the winner again: ``captures`` and, for a block, the deciding ``line``."""
    wanted = (
        known.select(
            "rule_no",
            place=pl.int_range(pl.len(), dtype=pl.UInt32),
            is_block=pl.col("inner").str.contains("\n", literal=True),
        )
        .filter(pl.col("is_block") | pl.col("rule_no").is_in(book.capturing))
        .group_by("rule_no", maintain_order=True)
        .agg("place", pl.col("is_block").any())
    )
    none = pl.Series([None], dtype=pl.String).new_from_index(0, known.height)
    captures, line = none.rename("captures"), none.clone().rename("line")
    parts = [
        _detail(places, rule=book.rules[number], has_block=is_block).implode().alias(str(number))
        for number, places, is_block in zip(*wanted.get_columns(), strict=True)
    ]
    for places, part in zip(wanted["place"], known.select(parts).get_columns(), strict=True):
        captures = captures.scatter(places, part[0].struct.field("captures"))
        line = line.scatter(places, part[0].struct.field("line"))
    return pl.DataFrame([captures, line])


def _detail(places: pl.Series, *, rule: Rule, has_block: bool) -> pl.Expr:
    """``captures`` (a JSON object of the named groups that matched) and ``line``."""
    inner, haystack = pl.col("inner").gather(places), pl.col("haystack").gather(places)
    captures = line = pl.repeat(None, len(places), dtype=pl.String)
    if rule.groups:
        captures = with_fields(haystack.str.extract_groups(rule.regex).struct.json_encode())
    if has_block:
        # The line that the pattern matches, from the innermost reading that has one.
        pattern = rf"(?m)^(.*(?:{rule.pattern}).*)$"
        deciding = pl.coalesce(inner.str.extract(pattern), haystack.str.extract(pattern))
        line = pl.when(inner.str.contains("\n", literal=True)).then(deciding)
    return pl.struct(captures=captures, line=line)
