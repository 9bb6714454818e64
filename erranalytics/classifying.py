"""Name the cause of each text: literals first, then the patterns of the rules that wait for them.

The cost follows the number of suspicious texts. All texts meet one Aho-Corasick search; only those that hold
a literal of some rule are unwrapped, searched again for which literals they hold, and shown to the patterns
of exactly those rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics import facts
from erranalytics.literals import standing
from erranalytics.rulebook import NOISE, Rule, Rulebook
from erranalytics.unwrap import unwrap

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
# Bodies whose literals are hidden by escapes or line breaks until they are unwrapped.
WRAPPINGS = ('"error":', '"error\\":', "'error':", "Error code: ")
INNER_CHARS = 4_000


class Memo:
    """Suspicious texts met before and what they were found to be; it saves time and changes nothing.

    Logs repeat themselves: the second megabyte holds few texts that the first did not.
    """

    most = 50_000

    def __init__(self) -> None:
        self.known = pl.DataFrame(schema={"text": pl.String, **SCHEMA})

    def look_up(self, texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
        """What the distinct ``texts`` are found to be, those met before without looking again."""
        fresh = texts.to_frame().join(self.known, on="text", how="anti", maintain_order="left")
        if not fresh.is_empty():
            named = fresh.join(_name(fresh["text"], book=book), on="text", how="left", maintain_order="left")
            kept = self.known if self.known.height < self.most else self.known.clear()
            self.known = pl.concat([kept, named.select(self.known.columns)])
        return self.known


def classify(texts: pl.Series | pl.DataFrame, *, book: Rulebook, memo: Memo | None = None) -> pl.DataFrame:
    """Rule, code, confidence, severity, captures and innermost text of each text.

    Args:
        texts: bodies of log records or messages, or a frame with a column ``text``; nulls are allowed.
        book: the rules to try.
        memo: what earlier calls with the same book found.

    Returns:
        ``SCHEMA``, of the same height and order; a row of nulls where no rule matches. ``captures`` is a JSON
        object of the named groups that took part and, of a problem, of the ``facts`` that no group tells; null when
        there are none. ``wrapping`` names what stood around ``inner``, null when nothing did.
    """
    series = (texts.get_column("text") if isinstance(texts, pl.DataFrame) else texts).rename("text")
    rows = series.cast(pl.String).to_frame().with_row_index("row")
    named = pl.DataFrame(schema={"text": pl.String, **SCHEMA})
    suspects = rows.clear()
    if needles := standing(rows.get_column("text"), _tables(book).needles, is_case_folded=True):
        suspects = rows.filter(pl.col("text").str.contains_any(needles, ascii_case_insensitive=True))
        named = (memo or Memo()).look_up(suspects.get_column("text").unique(maintain_order=True), book=book)
    found = suspects.lazy().join(named.lazy(), on="text", how="inner").drop("text")
    out = rows.lazy().select("row").join(found, on="row", how="left", maintain_order="left")
    return out.select(pl.col(column).cast(kind) for column, kind in SCHEMA.items()).collect()


def candidates(texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """The numbers of all rules whose pattern matches, best first: column ``rules`` (list), one row per text."""
    haystacks = unwrap(texts.cast(pl.String)).get_column("haystack")
    matches = _match(haystacks, book=book).group_by("id").agg(pl.col("rule_no").sort().alias("rules"))
    ids = pl.DataFrame({"id": pl.int_range(len(texts), dtype=pl.UInt32, eager=True)})
    return ids.join(matches, on="id", how="left", maintain_order="left").select("rules")


@dataclass(frozen=True)
class _Tables:
    """What classification asks of a rulebook, as it needs it.

    ``waiting`` has a row per literal and rule; ``verdicts`` what a rule says of every text it wins; ``told`` the rules
    that have a group for a fact.
    """

    needles: list[str]
    literals: list[str]
    waiting: pl.DataFrame
    verdicts: pl.DataFrame
    noise: frozenset[int]
    told: dict[str, list[int]]


_KNOWN_TABLES: dict[str, _Tables] = {}


def _tables(book: Rulebook) -> _Tables:
    """Made once for each rulebook of a process."""
    if book.hash not in _KNOWN_TABLES:
        _KNOWN_TABLES[book.hash] = _Tables(
            needles=[*book.literals, *(text.lower() for text in WRAPPINGS)],
            literals=list(book.literals),
            waiting=pl.DataFrame(book.waiting, schema={"literal": pl.String, "rule_no": pl.UInt32}),
            verdicts=pl.DataFrame(book.columns).cast({"confidence": CONFIDENCE}).with_row_index("rule_no"),
            noise=frozenset(number for number, rule in enumerate(book.rules) if rule.family == NOISE),
            told={
                fact.name: [no for no in book.capturing if not fact.groups.keys().isdisjoint(book.rules[no].groups)]
                for fact in facts.book()
            },
        )
    return _KNOWN_TABLES[book.hash]


def _name(texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """The distinct suspicious texts that a rule matches, with the columns of ``SCHEMA``."""
    readings = unwrap(texts)
    winners = _quiet_blocks(_winners(readings, book=book), texts=texts, book=book)
    if winners.is_empty():
        return pl.DataFrame(schema={"text": pl.String, **SCHEMA})
    ids = winners.get_column("id")
    known = winners.hstack(readings[ids]).with_columns(texts.gather(ids).alias("text"))
    found = known.lazy().join(_tables(book).verdicts.lazy(), on="rule_no", how="left", maintain_order="left")
    for part in (_details(known, book=book), _facts(known, book=book)):
        found = found.join(part.lazy(), on="id", how="left", maintain_order="left")
    named = found.with_columns(
        facts.merge(pl.col("captures"), pl.col("facts")).alias("captures"),
        pl.coalesce("line", "inner").str.head(INNER_CHARS).alias("inner"),
    )
    return named.select("text", *SCHEMA).collect()


def _winners(readings: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """The first rule in declared order for each text that any rule matches."""
    matches = _match(readings.get_column("haystack"), book=book)
    return matches.lazy().group_by("id").agg(pl.col("rule_no").min()).sort("id").collect()


def _quiet_blocks(winners: pl.DataFrame, *, texts: pl.Series, book: Rulebook) -> pl.DataFrame:
    """Let the lines of a block that are no noise decide, where there are such lines and they match."""
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
    again = _winners(unwrap(rest), book=book)
    ids = blocks.get_column("id").gather(again.get_column("id"))
    return winners.update(again.with_columns(ids), on="id")


_NO_MATCHES = pl.DataFrame(schema={"id": pl.UInt32, "rule_no": pl.UInt32})


def _match(haystacks: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """Pairs (id of the text, number of the rule) where the pattern of the rule matches."""
    tables, literal = _tables(book), pl.col("literal")
    texts, literals = haystacks.to_frame("text"), standing(haystacks, tables.literals, is_case_folded=True)
    if not literals:
        return _NO_MATCHES
    pairs = (
        texts.lazy()
        .select(literal=pl.col("text").str.extract_many(literals, ascii_case_insensitive=True, overlapping=True))
        .with_row_index("id")
        .filter(literal.list.len() > 0)
        .explode("literal")
        .with_columns(literal.str.to_lowercase())
        .unique()
        .join(tables.waiting.lazy(), on="literal")
        .select("id", "rule_no")
        .unique()
        .sort("rule_no", "id")
        .group_by("rule_no", maintain_order=True)
        .agg("id")
        .collect()
    )
    if pairs.is_empty():
        return _NO_MATCHES
    # All patterns in one go, each on the texts that wait for it.
    held = texts.select(
        _holds(pl.col("text").gather(ids), rule=book.rules[number]).implode().alias(str(number))
        for number, ids in zip(pairs.get_column("rule_no"), pairs.get_column("id"), strict=True)
    )
    matched = pl.Series("holds", held.row(0), dtype=pl.List(pl.Boolean))
    return pairs.lazy().with_columns(matched).explode("id", "holds").filter("holds").select("id", "rule_no").collect()


def _holds(haystacks: pl.Expr, *, rule: Rule) -> pl.Expr:
    """Whether the pattern matches and, where the rule asks for it, two of its groups differ."""
    if rule.differ is None:
        return haystacks.str.contains(rule.regex)
    groups = haystacks.str.extract_groups(rule.regex).struct
    return (groups.field(rule.differ[0]) != groups.field(rule.differ[1])).fill_null(value=False)


_DETAILS = pl.Schema({"id": pl.UInt32(), "captures": pl.String(), "line": pl.String()})


def _details(known: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """What needs the pattern of the winner again: its captures, and the deciding line of a block."""
    wanted = (
        known.lazy()
        .with_row_index("place")
        .with_columns(is_block=pl.col("inner").str.contains("\n", literal=True))
        .filter(pl.col("is_block") | pl.col("rule_no").is_in(book.capturing))
        .group_by("rule_no", maintain_order=True)
        .agg("place", pl.col("is_block").any())
        .collect()
    )
    if wanted.is_empty():
        return pl.DataFrame(schema=_DETAILS)
    parts = [
        _detail(places, rule=book.rules[number], has_block=is_block).implode().alias(str(number))
        for number, places, is_block in zip(*wanted.get_columns(), strict=True)
    ]
    found = known.select(parts).unpivot().lazy().explode("value").unnest("value")
    return found.select(_DETAILS.names()).cast(_DETAILS).collect()


def _detail(places: pl.Series, *, rule: Rule, has_block: bool) -> pl.Expr:
    """``id``, ``captures`` (named groups as a JSON object, without those that took no part) and ``line``."""
    inner, haystack = pl.col("inner").gather(places), pl.col("haystack").gather(places)
    captures = line = pl.lit(None, dtype=pl.String)
    if rule.groups:
        captures = facts.slim(haystack.str.extract_groups(rule.regex).struct.json_encode())
    if has_block:
        # The line that the pattern matches, in its most unwrapped reading.
        pattern = rf"(?m)^(.*(?:{rule.pattern}).*)$"
        deciding = pl.coalesce(inner.str.extract(pattern), haystack.str.extract(pattern))
        line = pl.when(inner.str.contains("\n", literal=True)).then(deciding)
    return pl.struct(pl.col("id").gather(places), captures=captures, line=line)


def _facts(known: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """What the texts of problems tell that no group of their rule does: ``id`` and ``facts``."""
    problems = known.filter(~pl.col("rule_no").is_in(book.quiet))
    found = facts.find(problems.get_column("haystack"), owners=problems.get_column("rule_no"), told=_tables(book).told)
    return problems.select("id", facts=found)
