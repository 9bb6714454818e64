"""The line formats: load and check ``formats/*.toml``; recognise the format of bodies.

A format is data that carries its proof: every file has samples, each sample must be recognised as that
format and give the groups it expects. Order matters and is declared in ``formats/order.txt``.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from functools import cache, cached_property
from importlib import resources
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from erranalytics.errors import FormatError

UNKNOWN = "unknown"
FEW = 10_000
STAGE = 20
# The two formats of nearly every line of a busy server; they are told by their first bytes.
HOT = {"slog-text": "time=2", "gin": "[GIN] 2"}


class Sample(BaseModel):
    """A line of the format and the groups it must give."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    line: str
    expect: dict[str, str] = Field(default_factory=dict)
    noise: bool = False


class LineFormat(BaseModel):
    """One line format.

    ``starts`` and ``contains`` are cheap tests before ``pattern`` (Rust regex, named groups are columns).
    ``units``: only for these syslog identifiers, or where ``anywhere`` matches. ``noise``: neighbours that
    match it, and not ``guard``, are folded into one record. ``opens``: indented lines behind it belong to it.
    ``absorbs``: so do lines of no known format. ``continues``: it belongs to a record of these formats that
    stands before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    title: str
    owner: Literal["ollama", "runner", "system", "client", "foreign"]
    pattern: str
    starts: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    anywhere: str | None = None
    noise: str | None = None
    guard: str | None = None
    opens: bool = False
    absorbs: bool = False
    continues: tuple[str, ...] = ()
    references: tuple[str, ...] = Field(min_length=1)
    sample: tuple[Sample, ...] = Field(min_length=1)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The named groups of the pattern."""
        return tuple(re.findall(r"\(\?P<(\w+)>", self.pattern))

    def is_match(self, body: pl.Expr, unit: pl.Expr) -> pl.Expr:
        """Whether a body has this format."""
        test = body.str.contains(self.pattern)
        if self.contains:
            test = pl.any_horizontal(body.str.contains(text, literal=True) for text in self.contains) & test
        if self.starts:
            test = pl.any_horizontal(body.str.starts_with(text) for text in self.starts) & test
        if not self.units:
            return test
        is_theirs = unit.is_in(self.units).fill_null(value=False) & test
        return is_theirs | body.str.contains(self.anywhere) if self.anywhere else is_theirs

    def is_noise(self, body: pl.Expr) -> pl.Expr:
        """Whether a body of this format is pure noise."""
        if self.noise is None:
            return pl.lit(value=False)
        test = body.str.contains(self.noise)
        return test & ~body.str.contains(self.guard) if self.guard else test


class FormatBook:
    """The formats in their declared order, with the hash of their data."""

    def __init__(self, formats: Sequence[LineFormat], digest: str) -> None:
        self.formats = tuple(formats)
        self.by_name = {item.name: item for item in formats}
        self.hash = digest

    def names(self, flag: Literal["opens", "absorbs", "continues"]) -> list[str]:
        """The formats that have a property."""
        return [item.name for item in self.formats if getattr(item, flag)]

    def recognise(self, bodies: pl.DataFrame) -> pl.DataFrame:
        """Formats of distinct bodies.

        Args:
            bodies: columns ``body`` and ``unit`` (String).

        Returns:
            The same rows with ``format`` (``unknown`` when none fits) and ``is_noise``.
        """
        # A stage is one pass over what the stages before left: for few bodies the passes cost, for many the patterns.
        stage = STAGE if bodies.height < FEW else 1
        left, done = bodies, []
        for at in range(0, len(self.formats), stage):
            if left.is_empty():
                break
            tried = left.with_columns(_form(self.formats[at : at + stage]).alias("format"))
            hits = tried.filter(pl.col("format").is_not_null())
            done.append(hits.with_columns(_noise(self.formats[at : at + stage]).alias("is_noise")))
            left = tried.filter(pl.col("format").is_null()).drop("format")
        done.append(left.with_columns(format=pl.lit(UNKNOWN), is_noise=pl.lit(value=False)))
        return pl.concat(done)


def _form(formats: Sequence[LineFormat]) -> pl.Expr:
    """The name of the first of some formats that a body has, else null."""
    form: pl.Expr = pl.lit(None, dtype=pl.String)
    for item in reversed(formats):
        is_match = item.is_match(pl.col("body"), pl.col("unit"))
        form = pl.when(is_match).then(pl.lit(item.name)).otherwise(form)
    return form


def _noise(formats: Sequence[LineFormat]) -> pl.Expr:
    noise: pl.Expr = pl.lit(value=False)
    for item in formats:
        if item.noise:
            noise = pl.when(pl.col("format") == item.name).then(item.is_noise(pl.col("body"))).otherwise(noise)
    return noise


@cache
def load() -> FormatBook:
    """The formats of the package.

    Raises:
        FormatError: with every fault of every file.
    """
    folder = resources.files("erranalytics") / "formats"
    order = (folder / "order.txt").read_text(encoding="utf-8").split()
    formats, faults, digest = [], [], hashlib.sha256("\n".join(order).encode())
    for name in order:
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
        digest.update(text.encode())
        try:
            formats.append(LineFormat.model_validate(tomllib.loads(text)))
        except (ValidationError, tomllib.TOMLDecodeError) as error:
            faults.append(f"formats/{name}.toml: {error}")
    if faults:
        raise FormatError.from_faults(faults)
    return FormatBook(formats, digest.hexdigest())


def check(book: FormatBook) -> list[str]:
    """Every sample is recognised as its format and gives the groups it expects; the faults found."""
    faults = []
    for item in book.formats:
        unit = item.units[0] if item.units and not item.anywhere else None
        for sample in item.sample:
            row = book.recognise(
                pl.DataFrame({"body": [sample.line], "unit": [unit]}, schema_overrides={"unit": pl.String})
            )
            if row["format"][0] != item.name:
                faults.append(
                    f"formats/{item.name}.toml: the sample is recognised as {row['format'][0]}: {sample.line}"
                )
                continue
            if row["is_noise"][0] != sample.noise:
                faults.append(f"formats/{item.name}.toml: noise is not {sample.noise} for: {sample.line}")
            found = (
                row.select(pl.col("body").str.extract_groups(item.pattern)).unnest("body").row(0, named=True)
                if item.groups
                else {}
            )
            for group, value in sample.expect.items():
                if found.get(group) != value:
                    faults.append(
                        f"formats/{item.name}.toml: {group} is {found.get(group)!r}, not {value!r}: {sample.line}"
                    )
    return faults
