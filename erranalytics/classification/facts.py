"""The numbers and names that the text of a problem states, as typed columns declared in ``facts.toml``.

A rule captures a fact with a group of its name. Where the winning rule has no such group, the patterns of the fact
itself search the text, because many rules share the words for how a runner ended or which port was called.
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
from erranalytics.text.json_objects import with_fields
from erranalytics.text.literals import literals_in

FACTS = Path(__file__).parent / "facts.toml"

Kind = Literal["text", "model", "integer", "bytes"]
# Suffixes of the groups that hold a size, and the unit of a bare number in each.
_UNITS = {"": 1, "_bytes": 1, "_mib": 2**20, "_mb": 2**20}
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# Both parts are defaults; a model is the same with and without them.
_DEFAULT_REGISTRY = r"^registry\.ollama\.ai/(?:library/)?"


@dataclass(frozen=True)
class Seen:
    """One way a fact shows in any text: the literals it needs, the pattern with one group, and its proof."""

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
        """The names of the groups that capture this fact, each with the unit of a bare number in it."""
        if self.type != "bytes":
            return {self.name: 1}
        return {self.name.removesuffix("_bytes") + suffix: factor for suffix, factor in _UNITS.items()}

    @property
    def dtype(self) -> pl.DataType:
        """The type of its column."""
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
                Seen(tuple(way["needs"]), f"(?m){way['pattern']}", tuple(way["example"]), tuple(way["counterexample"]))
                for way in row.get("seen", ())
            ),
        )
        for row in rows
    )


def schema() -> pl.Schema:
    """The names and types of the columns of ``columns``."""
    return pl.Schema({fact.name: fact.dtype for fact in book()})


def find(
    texts: pl.Series, *, owners: pl.Series, capturing: Mapping[str, Sequence[int]], quiet: Sequence[int]
) -> pl.Series:
    """The facts that the patterns find in each text, as a JSON object of strings.

    Args:
        texts: all readings of each problem, see ``innermost``.
        owners: the number of the winning rule of each text.
        capturing: the rules that have a group for a fact, by its name; it is not searched for in their texts.
        quiet: the rules that report no problem; their texts are not searched.

    Returns:
        JSON objects; null where no pattern matches.
    """
    words = literals_in(texts, _needs())
    values = [
        _first_match(ways, [*capturing.get(fact.name, ()), *quiet]).alias(fact.name)
        for fact in book()
        if (ways := [way for way in fact.seen if not set(words).isdisjoint(way.needs)])
    ]
    if not values:
        return texts.clear(len(texts))
    table = pl.DataFrame({"text": texts, "owner": owners}).with_row_index("row")
    table = table.with_columns(held=pl.col("text").str.extract_many(words, overlapping=True))
    table = table.filter(pl.col("held").list.len() > 0)
    objects = table.select(pl.struct(values).struct.json_encode().alias("facts")).select(with_fields(pl.col("facts")))
    return texts.clear(len(texts)).scatter(table.get_column("row"), objects.to_series())


@cache
def _needs() -> list[str]:
    return sorted({word for fact in book() for seen in fact.seen for word in seen.needs})


def _first_match(ways: Sequence[Seen], exempt: Sequence[int]) -> pl.Expr:
    """The group of the first pattern that matches ``text``; null in the texts of the exempt rules."""
    is_open = ~pl.col("owner").is_in(list(exempt))
    return pl.coalesce(
        pl.when(is_open & pl.any_horizontal(pl.col("held").list.contains(need) for need in way.needs))
        .then("text")
        .str.extract(way.pattern, 1)
        for way in ways
    )


def merge(captures: pl.Expr, others: pl.Expr) -> pl.Expr:
    """Two JSON objects without a common key as one; null is an empty object."""
    both = captures.str.head(-1) + "," + others.str.slice(1)
    return pl.coalesce(both, captures, others)


def columns(captures: pl.Series) -> pl.DataFrame:
    """Captures as typed columns.

    >>> columns(pl.Series(['{"needed":"4.0 GiB","free":"1.0 GiB"}']))["missing_bytes"].to_list()
    [3221225472]

    Args:
        captures: JSON objects of strings, nulls allowed.

    Returns:
        A frame of the same height with ``schema()``; null where the text does not state the fact.
    """
    names = [group for fact in book() for group in fact.groups]
    texts = captures.rename("facts").str.json_decode(pl.Struct(dict.fromkeys(names, pl.String()))).struct.unnest()
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
    # A number without a unit is in the unit that the name of the group says.
    unit = text.str.extract(r"^[\d.]+ ?([KMGTk]?)i?B?$", 1).str.to_uppercase()
    scale = unit.replace_strict(_FACTORS, default=None, return_dtype=pl.Int64)
    return (number * scale * factor).round(0).cast(pl.Int64, strict=False)


def _hex(text: pl.Expr) -> pl.Expr:
    return text.str.strip_prefix("0x").str.to_integer(base=16, strict=False, dtype=pl.Int64)


PLACEHOLDER = re.compile(r"\{(\w+)\}")


def fill(template: str) -> pl.Expr:
    """A sentence with its ``{facts}`` filled in; null where one of them is unknown."""
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
    # Logs give sizes with one decimal of a GiB, so decimals of anything from 100 MiB up would be invented.
    texts["M"] = (
        pl.when(count < 100 * 2**20)
        .then(texts["M"])
        .otherwise(pl.format("{} MiB", (count / 2**20).round(0).cast(pl.Int64)))
    )
    small = pl.when(count < 2**20).then(texts["K"]).when(count < 2**30).then(texts["M"]).otherwise(texts["G"])
    return pl.when(count < 2**10).then(pl.format("{} B", count)).when(count.is_not_null()).then(small)


def faults() -> Iterator[str]:
    """The faults of ``facts.toml``, such as patterns without a proof, as ``path: sentence``."""
    for fact in book():
        for seen in fact.seen:
            yield from _seen_faults(fact, seen)


def _seen_faults(fact: Fact, seen: Seen) -> Iterator[str]:
    place = f"{FACTS}: fact '{fact.name}'"
    if re.compile(seen.pattern).groups != 1:
        yield f"{place}: the pattern {seen.pattern!r} needs exactly one group"
        return
    for word in seen.needs:
        if not any(word in example["line"] for example in seen.example):
            yield f"{place}: no example contains '{word}'"
    for example in seen.example:
        match = _match(seen, example["line"])
        captures = pl.DataFrame({fact.name: match}).select(pl.struct(pl.all()).struct.json_encode()).to_series()
        value = columns(captures)[fact.name].item()
        if value != example["value"]:
            yield f"{place}: the example '{example['line']}' gives {value!r} and not {example['value']!r}"
    for example in seen.counterexample:
        if _match(seen, example["line"]).item() is not None:
            yield f"{place}: the pattern matches the counterexample '{example['line']}'"


def _match(seen: Seen, line: str) -> pl.Series:
    """The text that one way captures in one line."""
    table = pl.DataFrame({"text": [line], "owner": [-1]})
    table = table.with_columns(held=pl.col("text").str.extract_many(list(seen.needs), overlapping=True))
    return table.select(_first_match([seen], ())).to_series()
