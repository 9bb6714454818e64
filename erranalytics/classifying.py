"""Name the cause of each text: literals first, then the patterns of the rules that wait for them.

The cost follows the number of suspicious texts. All texts meet one Aho-Corasick search; only those that hold
a literal of some rule are unwrapped, searched again for which literals they hold, and shown to the patterns
of exactly those rules.
"""

from __future__ import annotations

import polars as pl

from erranalytics import facts
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
    suspects = rows.filter(pl.col("text").str.contains_any(_needles(book), ascii_case_insensitive=True))
    distinct = suspects.get_column("text").unique(maintain_order=True)
    named = (memo or Memo()).look_up(distinct, book=book)
    found = suspects.join(named, on="text", how="inner").drop("text")
    out = rows.select("row").join(found, on="row", how="left", maintain_order="left")
    return out.select(pl.col(column).cast(kind) for column, kind in SCHEMA.items())


def candidates(texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """The numbers of all rules whose pattern matches, best first: column ``rules`` (list), one row per text."""
    haystacks = unwrap(texts.cast(pl.String)).get_column("haystack")
    matches = _match(haystacks, book=book).group_by("id").agg(pl.col("rule_no").sort().alias("rules"))
    ids = pl.DataFrame({"id": pl.int_range(len(texts), dtype=pl.UInt32, eager=True)})
    return ids.join(matches, on="id", how="left", maintain_order="left").select("rules")


def _needles(book: Rulebook) -> list[str]:
    return [*book.literals, *WRAPPINGS]


def _name(texts: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """The distinct suspicious texts that a rule matches, with the columns of ``SCHEMA``."""
    readings = unwrap(texts)
    winners = _quiet_blocks(_winners(readings, book=book), texts=texts, book=book)
    ids = winners.get_column("id")
    known = winners.hstack(readings[ids]).with_columns(texts.gather(ids).alias("text"))
    found = known.join(_rule_table(book), on="rule_no", how="left", maintain_order="left")
    found = found.join(_details(known, book=book), on="id", how="left", maintain_order="left")
    found = found.join(_facts(known, book=book), on="id", how="left", maintain_order="left")
    return found.with_columns(
        facts.merge(pl.col("captures"), pl.col("facts")).alias("captures"),
        pl.coalesce("line", "inner").str.head(INNER_CHARS).alias("inner"),
    ).select("text", *SCHEMA)


def _rule_table(book: Rulebook) -> pl.DataFrame:
    """What a rule says of every text it wins, by number."""
    return pl.DataFrame(book.columns).cast({"confidence": CONFIDENCE}).with_row_index("rule_no")


def _winners(readings: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """The first rule in declared order for each text that any rule matches."""
    matches = _match(readings.get_column("haystack"), book=book)
    return matches.group_by("id").agg(pl.col("rule_no").min()).sort("id")


def _quiet_blocks(winners: pl.DataFrame, *, texts: pl.Series, book: Rulebook) -> pl.DataFrame:
    """Let the lines of a block that are no noise decide, where there are such lines and they match."""
    noise = [number for number, rule in enumerate(book.rules) if rule.family == NOISE]
    blocks = winners.filter(
        pl.col("rule_no").is_in(noise), texts.gather(winners.get_column("id")).str.contains("\n", literal=True)
    )
    if blocks.is_empty():
        return winners
    rest = texts.gather(blocks.get_column("id")).rename("text")
    for number in blocks.get_column("rule_no").unique().sort():
        rest = rest.str.replace_all(rf"(?m)^.*(?:{book.rules[number].pattern}).*$", "")
    again = _winners(unwrap(rest), book=book)
    ids = blocks.get_column("id").gather(again.get_column("id"))
    return winners.update(again.with_columns(ids), on="id")


def _match(haystacks: pl.Series, *, book: Rulebook) -> pl.DataFrame:
    """Pairs (id of the text, number of the rule) where the pattern of the rule matches."""
    literals = book.literals
    waiting = pl.DataFrame(book.waiting, schema={"literal": pl.String, "rule_no": pl.UInt32})
    held = haystacks.rename("literal").str.extract_many(list(literals), ascii_case_insensitive=True, overlapping=True)
    pairs = (
        pl.DataFrame({"id": pl.int_range(len(haystacks), dtype=pl.UInt32, eager=True), "literal": held})
        .filter(pl.col("literal").list.len() > 0)
        .explode("literal")
        .with_columns(pl.col("literal").str.to_lowercase())
        .unique()
        .join(waiting, on="literal")
        .select("id", "rule_no")
        .unique()
        .sort("rule_no", "id")
    )
    found = [pl.DataFrame(schema={"id": pl.UInt32, "rule_no": pl.UInt32})]
    for (number,), part in pairs.partition_by("rule_no", as_dict=True).items():
        rule = book.rules[int(str(number))]
        found.append(part.filter(_holds(haystacks.gather(part.get_column("id")), rule=rule)))
    return pl.concat(found)


def _holds(haystacks: pl.Series, *, rule: Rule) -> pl.Series:
    """Whether the pattern matches and, where the rule asks for it, two of its groups differ."""
    if rule.differ is None:
        return haystacks.str.contains(rule.regex)
    groups = haystacks.str.extract_groups(rule.regex).struct
    return (groups.field(rule.differ[0]) != groups.field(rule.differ[1])).fill_null(value=False)


def _details(known: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """What needs the pattern of the winner again: its captures, and the deciding line of a block."""
    parts = [pl.DataFrame(schema={"id": pl.UInt32, "captures": pl.String, "line": pl.String})]
    block = pl.col("inner").str.contains("\n", literal=True)
    wanted = known.filter(block | pl.col("rule_no").is_in(book.capturing))
    for (number,), part in wanted.partition_by("rule_no", as_dict=True).items():
        rule = book.rules[int(str(number))]
        parts.append(part.select("id", captures=_captures(rule), line=pl.when(block).then(_deciding_line(rule))))
    return pl.concat(parts)


def _deciding_line(rule: Rule) -> pl.Expr:
    """The line that the pattern matches, in its most unwrapped reading."""
    line = rf"(?m)^(.*(?:{rule.pattern}).*)$"
    return pl.coalesce(pl.col("inner").str.extract(line), pl.col("haystack").str.extract(line))


def _captures(rule: Rule) -> pl.Expr:
    """Named groups as a JSON object without the groups that took no part."""
    if not rule.groups:
        return pl.lit(None, dtype=pl.String)
    return facts.slim(pl.col("haystack").str.extract_groups(rule.regex).struct.json_encode())


def _facts(known: pl.DataFrame, *, book: Rulebook) -> pl.DataFrame:
    """What the texts of problems tell that no group of their rule does: ``id`` and ``facts``."""
    problems = known.filter(~pl.col("rule_no").is_in(book.quiet))
    owners = problems.get_column("rule_no")
    told = {
        fact.name: owners.is_in(
            [number for number in book.capturing if not fact.groups.keys().isdisjoint(book.rules[number].groups)]
        )
        for fact in facts.book()
    }
    return problems.select("id", facts=facts.find(problems.get_column("haystack"), told=told))
