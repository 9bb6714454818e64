"""What a problem says in numbers and names, as typed columns; they are data (``data/facts.toml``).

A rule gives a fact by a group of its name. What the rule that decided does not capture, the patterns of the fact
find in any text: how a runner ended or which port was called is said in the same words by many rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl

from erranalytics import datafiles
from erranalytics.text.literals import literals_in

FACTS = Path(__file__).parent / "facts.toml"

Kind = Literal["text", "model", "integer", "bytes"]
# Names of groups behind the stem of a size, and what a bare number in them counts.
_UNITS = {"": 1, "_bytes": 1, "_mib": 2**20, "_mb": 2**20}
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# Both are the default; a model is the same with and without them.
_DEFAULT_REGISTRY = r"^registry\.ollama\.ai/(?:library/)?"


@dataclass(frozen=True)
class Seen:
    """One way a fact shows in any text: what must stand there, the pattern with one group, and its proof."""

    needs: tuple[str, ...]
    pattern: str
    example: tuple[dict[str, Any], ...]
    counterexample: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Fact:
    """One typed column of ``errors``."""

    name: str
    type: Kind
    meaning: str
    seen: tuple[Seen, ...]

    @property
    def groups(self) -> dict[str, int]:
        """The names a group of a rule may have to give this fact, with what a bare number in it counts."""
        if self.type != "bytes":
            return {self.name: 1}
        return {self.name.removesuffix("_bytes") + suffix: factor for suffix, factor in _UNITS.items()}

    @property
    def dtype(self) -> pl.DataType:
        """Type of its column."""
        return pl.String() if self.type in {"text", "model"} else pl.Int64()


@cache
def book() -> tuple[Fact, ...]:
    """The facts of ``facts.toml``, in the order of the columns."""
    rows = datafiles.table("facts")["fact"]
    return tuple(
        Fact(
            name=row["name"],
            type=row["type"],
            meaning=row["meaning"],
            seen=tuple(
                Seen(tuple(one["needs"]), f"(?m){one['pattern']}", tuple(one["example"]), tuple(one["counterexample"]))
                for one in row.get("seen", ())
            ),
        )
        for row in rows
    )


def schema() -> pl.Schema:
    """Names and types of the columns that ``columns`` makes."""
    return pl.Schema({fact.name: fact.dtype for fact in book()})


def find(texts: pl.Series, *, owners: pl.Series, told: Mapping[str, Sequence[int]], quiet: Sequence[int]) -> pl.Series:
    """The facts that stand in each text, as a JSON object of strings.

    Args:
        texts: all readings of each problem, see ``unwrap``.
        owners: the number of the rule that decided, for each text.
        told: for facts by name the rules that have a group for it; they are not looked for there.
        quiet: the rules that report no problem; nothing is looked for there.

    Returns:
        JSON objects, null where nothing was found.
    """
    words = literals_in(texts, _needs())
    found = [
        _found(seen, [*told.get(fact.name, ()), *quiet]).alias(fact.name)
        for fact in book()
        if (seen := [one for one in fact.seen if not set(words).isdisjoint(one.needs)])
    ]
    if not found:
        return texts.clear(len(texts))
    table = pl.DataFrame({"text": texts, "owner": owners}).with_row_index("row")
    some = table.with_columns(held=pl.col("text").str.extract_many(words, overlapping=True))
    some = some.filter(pl.col("held").list.len() > 0)
    said = some.select(pl.struct(found).struct.json_encode().alias("said")).select(slim(pl.col("said"))).to_series()
    return texts.clear(len(texts)).scatter(some.get_column("row"), said)


@cache
def _needs() -> list[str]:
    return sorted({word for fact in book() for seen in fact.seen for word in seen.needs})


def _found(ways: Sequence[Seen], told: Sequence[int]) -> pl.Expr:
    """What the first of some patterns finds in ``text`` that finds anything; null where the rule itself tells it."""
    is_open = ~pl.col("owner").is_in(list(told))
    return pl.coalesce(
        pl.when(is_open & pl.any_horizontal(pl.col("held").list.contains(need) for need in seen.needs))
        .then("text")
        .str.extract(seen.pattern, 1)
        for seen in ways
    )


def merge(captures: pl.Expr, found: pl.Expr) -> pl.Expr:
    """Two JSON objects without a common key as one; null is an empty one."""
    both = captures.str.head(-1) + "," + found.str.slice(1)
    return pl.coalesce(both, captures, found)


def slim(objects: pl.Expr) -> pl.Expr:
    """JSON objects of strings without their nulls; null when nothing is left."""
    some = objects.str.replace_all(r'"\w+":null,?', "").str.replace(r",\}$", "}")
    return pl.when(some != "{}").then(some)


def columns(captures: pl.Series) -> pl.DataFrame:
    """Captures as typed columns.

    >>> columns(pl.Series(['{"needed":"4.0 GiB","free":"1.0 GiB"}']))["missing_bytes"].to_list()
    [3221225472]

    Args:
        captures: JSON objects of strings, nulls allowed.

    Returns:
        A frame of the same height with ``schema()``; null where the text does not tell the fact.
    """
    names = [group for fact in book() for group in fact.groups]
    texts = captures.rename("said").str.json_decode(pl.Struct(dict.fromkeys(names, pl.String()))).struct.unnest()
    values = texts.select(
        pl.coalesce(_value(group, fact, factor) for group, factor in fact.groups.items()).alias(fact.name)
        for fact in book()
    )
    needed, free = pl.col("needed_bytes"), pl.col("free_bytes")
    short = pl.when(needed > free).then(needed - free)
    return values.with_columns(pl.coalesce("missing_bytes", short)).cast(schema())


def _value(group: str, fact: Fact, factor: int) -> pl.Expr:
    text = pl.col(group)
    if fact.type == "model":
        return text.str.replace(_DEFAULT_REGISTRY, "")
    if fact.type == "text":
        return text
    if fact.type == "integer":
        plain = text.str.to_integer(strict=False, dtype=pl.Int64)
        return pl.when(text.str.starts_with("0x")).then(_hex(text)).otherwise(plain)
    number = text.str.extract(r"^([\d.]+)", 1).cast(pl.Float64, strict=False)
    # A number without a unit counts what the name of the group says.
    unit = text.str.extract(r"^[\d.]+ ?([KMGTk]?)i?B?$", 1).str.to_uppercase()
    scale = unit.replace_strict(_FACTORS, default=None, return_dtype=pl.Int64)
    return (number * scale * factor).round(0).cast(pl.Int64, strict=False)


def _hex(text: pl.Expr) -> pl.Expr:
    return text.str.strip_prefix("0x").str.to_integer(base=16, strict=False, dtype=pl.Int64)


PLACEHOLDER = re.compile(r"\{(\w+)\}")


def fill(template: str) -> pl.Expr:
    """A sentence with its ``{facts}`` put in; null where one of them is not known."""
    kinds = {fact.name: fact.type for fact in book()}
    parts = re.split(PLACEHOLDER, template)
    names = parts[1::2]
    if not names:
        return pl.lit(template)
    if not set(names) <= set(kinds):
        return pl.lit(None, dtype=pl.String)
    values = [size(pl.col(name)) if kinds[name] == "bytes" else pl.col(name).cast(pl.String) for name in names]
    return pl.format("{}".join(parts[::2]), *values)


def size(count: pl.Expr) -> pl.Expr:
    """Bytes as people read them: 512 B, 1.5 MiB, 3.1 GiB."""
    texts = {unit: pl.format(f"{{}} {unit}iB", (count / _FACTORS[unit]).round(1)) for unit in ("K", "M", "G")}
    # Sizes are told with one decimal of a GiB: of what is between 100 MiB and that, decimals would be invented.
    texts["M"] = (
        pl.when(count < 100 * 2**20)
        .then(texts["M"])
        .otherwise(pl.format("{} MiB", (count / 2**20).round(0).cast(pl.Int64)))
    )
    small = pl.when(count < 2**20).then(texts["K"]).when(count < 2**30).then(texts["M"]).otherwise(texts["G"])
    return pl.when(count < 2**10).then(pl.format("{} B", count)).when(count.is_not_null()).then(small)


def faults() -> Iterator[str]:
    """What is wrong with ``facts.toml``: patterns without their proof, as ``path: sentence``."""
    for fact in book():
        for seen in fact.seen:
            yield from _seen_faults(fact, seen)


def _seen_faults(fact: Fact, seen: Seen) -> Iterator[str]:
    place = f"{FACTS}: fact '{fact.name}'"
    if re.compile(seen.pattern).groups != 1:
        yield f"{place}: the pattern {seen.pattern!r} needs exactly one group"
        return
    for word in seen.needs:
        if not any(word in one["line"] for one in seen.example):
            yield f"{place}: '{word}' stands in no example"
    for one in seen.example:
        said = _alone(seen, one["line"])
        captures = pl.DataFrame({fact.name: said}).select(pl.struct(pl.all()).struct.json_encode()).to_series()
        value = columns(captures)[fact.name].item()
        if value != one["value"]:
            yield f"{place}: the example '{one['line']}' gives {value!r} and not {one['value']!r}"
    for one in seen.counterexample:
        if _alone(seen, one["line"]).item() is not None:
            yield f"{place}: the pattern matches the counterexample '{one['line']}'"


def _alone(seen: Seen, line: str) -> pl.Series:
    """What one way finds in one line."""
    one = pl.DataFrame({"text": [line], "owner": [-1]})
    held = one.with_columns(held=pl.col("text").str.extract_many(list(seen.needs), overlapping=True))
    return held.select(_found([seen], ())).to_series()
