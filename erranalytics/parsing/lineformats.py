"""The line formats: load and check ``formats/*.toml``; recognise the format of bodies.

A format is data that carries its proof: every file has samples, each sample must be recognised as that
format and give the groups it expects. Order matters and is declared in ``formats/order.txt``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, cast

import polars as pl

from erranalytics import datafiles
from erranalytics.text import patterns
from erranalytics.text.literals import whole_of

UNKNOWN = "unknown"
# Up to so many bodies are looked at without a look at what was met before.
FEWEST_BODIES = 16
MOST_MET = 20_000
KEPT_BYTES = 500
# The two formats of nearly every line of a busy server; they are told by their first bytes.
HOT = {"slog-text": "time=2", "gin": "[GIN] 2"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of the format and the groups it must give."""

    line: str
    expect: dict[str, str] = field(default_factory=dict)
    noise: bool = False


@dataclass(frozen=True, slots=True)
class Behind:
    """A kind of line behind the first of a record, and what is kept of it; ``$0`` is all of it."""

    pattern: str
    says: str


@dataclass(frozen=True, kw_only=True)
class LineFormat:
    """One line format.

    ``starts`` and ``contains`` are cheap tests before ``pattern`` (Rust regex, named groups are columns).
    ``units``: only for these syslog identifiers, or where ``anywhere`` matches. ``noise``: neighbours that
    match it, and not ``guard``, are folded into one record; of them those that begin with one of ``keeps`` stay
    as lines of the record, for what they tell. ``opens``: indented lines behind it belong to it.
    ``absorbs``: so do lines of no known format; ``gathers``: and lines of others without a time. ``reaches``: behind a
    line that matches it, so do lines of no known format and of runners. ``continues``: it belongs to a record of
    these formats that stands before it; ``turns``: and from then on decides what belongs to that record. ``alone``:
    the format of a line of it that belongs to no record. ``hides``: these parts of its records are not kept, but for
    what their groups hold. ``behind``: what is kept of the lines behind the first; what matches none is dropped.
    ``bare``: the rules read the message, not the line. ``second``: the line behind the first belongs to it where this
    matches, whatever its format would be alone, and is read together with it: the pattern goes on behind ``\\n``.
    ``calls``: each record tells of one call. ``reads``: lines are JSON objects, and these are the paths of what is
    read of them (see ``loggers``).
    """

    name: str
    title: str
    owner: Literal["ollama", "runner", "system", "client", "gateway", "foreign"]
    pattern: str
    starts: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    anywhere: str | None = None
    noise: str | None = None
    guard: str | None = None
    keeps: tuple[str, ...] = ()
    opens: bool = False
    absorbs: bool = False
    gathers: bool = False
    reaches: str | None = None
    continues: tuple[str, ...] = ()
    turns: bool = False
    alone: str | None = None
    hides: str | None = None
    behind: tuple[Behind, ...] = ()
    bare: bool = False
    second: str | None = None
    calls: bool = False
    reads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    references: tuple[str, ...]
    sample: tuple[Sample, ...]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The named groups of the pattern."""
        return tuple(re.findall(r"\(\?P<(\w+)>", self.pattern))

    def may_match(self, body: pl.Expr, unit: pl.Expr) -> pl.Expr:
        """Whether a body passes the cheap tests before the pattern."""
        tests = [pl.lit(value=True)]
        if self.starts:
            tests.append(pl.any_horizontal(body.str.starts_with(text) for text in self.starts))
        if self.contains:
            tests.append(pl.any_horizontal(body.str.contains(text, literal=True) for text in self.contains))
        if self.units and not self.anywhere:
            tests.append(self._is_theirs(unit))
        return pl.all_horizontal(tests)

    def may_stand_in(self, whole: str) -> bool:
        """Whether lines of this format may be among those that make up a text."""
        return all(not some or any(text in whole for text in some) for some in (self.starts, self.contains))

    @cached_property
    def plain(self) -> tuple[re.Pattern[str] | None, ...]:
        """``pattern``, ``anywhere``, ``noise`` and ``guard`` for Python; None where one of them cannot be."""
        return tuple(patterns.compiled(one or "") for one in (self.pattern, self.anywhere, self.noise, self.guard))

    def fits(self, body: str, unit: str | None) -> bool | None:
        """Whether a plain line has this format, and None where only the pattern of the Rust engine can tell."""
        if (self.starts and not body.startswith(self.starts)) or not self.may_stand_in(body):
            return False
        if self.units and not self.anywhere and unit not in self.units:
            return False
        if None in self.plain:
            return None
        pattern, anywhere, *_ = cast(tuple[re.Pattern[str], ...], self.plain)
        if self.anywhere:
            return bool((unit in self.units and pattern.search(body)) or anywhere.search(body))
        return bool(pattern.search(body))

    def fits_noise(self, body: str) -> bool:
        """Whether a plain line that has this format is pure noise."""
        *_, noise, guard = cast(tuple[re.Pattern[str], ...], self.plain)
        return bool(self.noise and noise.search(body) and not (self.guard and guard.search(body)))

    def is_match(self, body: pl.Expr, unit: pl.Expr) -> pl.Expr:
        """Whether a body that passed the cheap tests has this format."""
        test = body.str.contains(self.pattern)
        return (self._is_theirs(unit) & test) | body.str.contains(self.anywhere) if self.anywhere else test

    def _is_theirs(self, unit: pl.Expr) -> pl.Expr:
        return unit.is_in(self.units).fill_null(value=False)

    def is_noise(self, body: pl.Expr) -> pl.Expr:
        """Whether a body of this format is pure noise."""
        if self.noise is None:
            return pl.lit(value=False)
        test = body.str.contains(self.noise)
        return test & ~body.str.contains(self.guard) if self.guard else test


Flag = Literal["opens", "absorbs", "gathers", "reaches", "continues", "turns", "bare", "calls", "second", "reads"]
_MET = pl.Schema({"body": pl.String(), "unit": pl.String(), "format": pl.String(), "is_noise": pl.Boolean()})


class FormatBook:
    """The formats in their declared order, with the hash of their data."""

    def __init__(self, formats: Sequence[LineFormat], digest: str) -> None:
        self.formats = tuple(formats)
        self.by_name = {item.name: item for item in formats}
        self.hash = digest
        # Logs repeat themselves: what was met before need not be looked at again. It changes nothing but time.
        self._met = pl.DataFrame(schema=_MET)

    def names(self, flag: Flag) -> list[str]:
        """The formats that have a property."""
        return [item.name for item in self.formats if getattr(item, flag)]

    @cached_property
    def of_clients(self) -> list[str]:
        """The formats of what a program wrote that calls Ollama."""
        return [item.name for item in self.formats if item.owner == "client"]

    @cached_property
    def timeless(self) -> list[str]:
        """The formats whose lines have no time and are none of a server or runner, and lines of no known format."""
        stamps, others = {"time", "gotime", "rfctime", "localtime", "halftime"}, ("client", "foreign", "gateway")
        known = [item.name for item in self.formats if stamps.isdisjoint(item.groups) and item.owner in others]
        return [*known, "ollama-text", UNKNOWN]

    @cached_property
    def loose(self) -> list[str]:
        """The formats of lines that an error of a runner may have behind its first, and lines of no known one."""
        return [*(item.name for item in self.formats if item.owner == "runner"), "go-panic", "go-dump", UNKNOWN]

    def is_second(self, body: pl.Expr, form: pl.Expr) -> pl.Expr:
        """Whether a line is the second half of the line before it, whose format is ``form``."""
        tests = [(form == item.name) & body.str.contains(item.second) for item in self.formats if item.second]
        return pl.any_horizontal(pl.lit(value=False), *tests).fill_null(value=False)

    def is_reaching(self, body: pl.Expr, form: pl.Expr) -> pl.Expr:
        """Whether a line ends in the middle of an error."""
        tests = [(form == item.name) & body.str.contains(item.reaches) for item in self.formats if item.reaches]
        return pl.any_horizontal(pl.lit(value=False), *tests).fill_null(value=False)

    def without_hidden(self, body: pl.Expr, form: pl.Expr) -> pl.Expr:
        """Lines without the parts that are not kept."""
        # Most formats hide the same, and the pattern costs more to compile than to run: once for all of them.
        for pattern in dict.fromkeys(item.hides for item in self.formats if item.hides):
            theirs = form.is_in([item.name for item in self.formats if item.hides == pattern])
            body = pl.when(theirs).then(body.str.replace_all(pattern, "${1}${2}${3}…")).otherwise(body)
        return body

    def kept_behind(self, body: pl.Expr, form: pl.Expr) -> pl.Expr:
        """What is kept of lines behind the first of a record of a format; null for a line that is dropped."""
        kept = self.without_hidden(body, form)
        for item in self.formats:
            if item.behind:
                said = pl.lit(None, dtype=pl.String)
                for kind in reversed(item.behind):
                    is_kind = body.str.contains(kind.pattern)
                    said = pl.when(is_kind).then(body.str.replace(kind.pattern, kind.says)).otherwise(said)
                kept = pl.when(form == item.name).then(said).otherwise(kept)
        return kept

    def is_kept(self, body: pl.Expr, noise: pl.Expr) -> pl.Expr:
        """Whether a line of a run of noise stays as a line of its record."""
        tests = [
            (noise == item.name) & pl.any_horizontal(body.str.starts_with(start) for start in item.keeps)
            for item in self.formats
            if item.keeps
        ]
        return pl.any_horizontal(pl.lit(value=False), *tests).fill_null(value=False)

    def recognise(self, bodies: pl.DataFrame) -> pl.DataFrame:
        """Formats of distinct bodies.

        Args:
            bodies: columns ``body`` and ``unit`` (String).

        Returns:
            The same rows with ``format`` (``unknown`` when none fits) and ``is_noise``.
        """
        if bodies.height <= FEWEST_BODIES and (few := self._tell_few(bodies)) is not None:
            return few
        met = self._met
        known = bodies.join(met, on=["body", "unit"], how="left", nulls_equal=True)
        fresh = known.filter(pl.col("format").is_null()).select("body", "unit")
        if fresh.is_empty():
            return known
        told = self._tell(fresh)
        kept = told.filter(pl.col("body").str.len_bytes() <= KEPT_BYTES)
        self._met = pl.concat([met, kept]) if met.height + kept.height <= MOST_MET else kept.head(MOST_MET)
        return pl.concat([known.filter(pl.col("format").is_not_null()), told])

    def _tell_few(self, bodies: pl.DataFrame) -> pl.DataFrame | None:
        """``_tell`` for a few plain lines; None where they are none or only the Rust engine can tell."""
        if bodies.height > patterns.FEW or not all(patterns.is_plain(text) for text in bodies["body"]):
            return None
        names, noise = [], []
        for body, unit in zip(bodies["body"], bodies["unit"], strict=True):
            for item in self.formats:
                fits = item.fits(body, unit)
                if fits is None:
                    return None
                if fits:
                    break
            names.append(item.name if fits else UNKNOWN)
            noise.append(fits and item.fits_noise(body))
        found = (pl.Series("format", names, dtype=pl.String), pl.Series("is_noise", noise, dtype=pl.Boolean))
        return bodies.select("body", "unit").with_columns(found)

    def _tell(self, bodies: pl.DataFrame) -> pl.DataFrame:
        if (found := self._tell_few(bodies)) is not None:
            return found
        body, unit = pl.col("body"), pl.col("unit")
        whole = whole_of(bodies["body"])
        formats = [item for item in self.formats if whole is None or item.may_stand_in(whole)]
        # The cheap tests of all formats in one go. A pattern costs more to compile than to run on a few bodies: one
        # that no body waits for is not run.
        tests = [pl.repeat(value=True, n=pl.len(), dtype=pl.Boolean) & item.may_match(body, unit) for item in formats]
        waits = bodies.select(test.alias(item.name) for item, test in zip(formats, tests, strict=True))
        formats = [item for item in formats if waits[item.name].any()]
        left, done = bodies.with_row_index("row").hstack(waits), []
        for item in formats:
            found = (
                left.lazy()
                .filter(item.name)
                .filter(item.is_match(body, unit))
                .select("row", "body", "unit", format=pl.lit(item.name), is_noise=item.is_noise(body))
                .collect()
            )
            if not found.is_empty():
                done.append(found)
                left = left.join(found, on="row", how="anti", maintain_order="left")
        rest = left.select("row", "body", "unit", format=pl.lit(UNKNOWN), is_noise=pl.lit(value=False))
        return pl.concat([*done, rest]).drop("row")


@cache
def load() -> FormatBook:
    """The formats of the package.

    Raises:
        FormatError: with every fault of every file.
    """
    return _book(datafiles.prepared("formats", datafiles.format_files(), _tested))


def read() -> FormatBook:
    """``load``, from the files themselves: what they hold is tested again."""
    return _book(_tested())


def _tested() -> dict[str, Any]:
    from erranalytics.parsing import format_files

    keys = format_files.keys_of(LineFormat, filled=("references", "sample"))
    return datafiles.formats(keys.model_validate)


def _book(values: Mapping[str, Any]) -> FormatBook:
    return FormatBook([_format(data) for data in values["formats"]], values["hash"])


def _format(data: Mapping[str, Any]) -> LineFormat:
    """A format of the values of its file."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    values["sample"] = tuple(Sample(**one) for one in data["sample"])
    values["behind"] = tuple(Behind(**one) for one in data.get("behind", ()))
    values["reads"] = {name: tuple(paths) for name, paths in data.get("reads", {}).items()}
    return LineFormat(**values)


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
