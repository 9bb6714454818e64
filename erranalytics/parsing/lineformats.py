"""The line formats: load and check ``formats/*.toml``; recognise the format of bodies.

A format is data that carries its proof: every file has samples, see ``ingestion.format_proof``. What other stages
decide by the format of a line is in its file too: the code knows no name of a format. Order matters and is declared in
``formats/order.txt``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast, get_args

import polars as pl

from erranalytics import datafiles
from erranalytics.text import patterns
from erranalytics.text.literals import whole_of

UNKNOWN = "unknown"
# Up to so many bodies are looked at without a look at what was met before.
FEWEST_BODIES = 16
MOST_MET = 20_000
KEPT_BYTES = 500
# The readers that a format can name; of the others the groups of the pattern say all.
Reader = Literal["slog", "gin-line", "record", "dump", "combined", "access-object", "gin-relay", "web-fault", "relay"]


@cache
def _groups(pattern: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\(\?P<(\w+)>", pattern))


@cache
def _plain(*several: str | None) -> tuple[re.Pattern[str] | None, ...]:
    return tuple(patterns.compiled(one or "") for one in several)


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of the format, the groups it must give, the kind of its clock, and its text as the store rebuilds it."""

    line: str
    expect: dict[str, str] = field(default_factory=dict)
    noise: bool = False
    clock: str | None = None
    rebuilt: str | None = None


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

    ``owner``: what writes such lines, and so the surface on which their errors show. ``access``: each line is one
    answered request. ``every_unit``: it keeps its format whatever unit wrote it, where lines of other units get the
    format that takes ``strangers``. ``piece``: a text that people paste may consist of such lines alone; it is not a
    log then. ``reader``: what parses its lines, where the groups of the pattern are not enough. ``lookalike``: the
    format of lines of another program that begin the same way and that only the reader can tell apart. ``stack``: the
    format of a record that has a stack of Node after its first line. ``prefix``: these first bytes alone decide that a
    line has this format. ``clock``: the ``ts_source`` of its own stamp; ``local``: of a stamp that names no zone, where
    that differs. ``unix``: a pattern whose group is the time in seconds since 1970. ``trims``: characters that do not
    belong to the message where it begins with them. ``closes``: a line that matches it ends a record of this format.
    ``gathered``: its lines join a record that ``gathers``, as lines of clients without a time do. ``reached``: they
    join an error that ``reaches``, as lines of runners do. ``routed``: the component is the route of a request that
    the line names, and of the lines only those count that name a route or the port of Ollama. ``rebuilt``: the parts
    of the text that the rules read, as the columns of the store give it (``schema.PIECES`` between braces). A part
    falls away when a column of it is null, and of several in a list the first that has all its columns is used.
    """

    name: str
    title: str
    owner: Literal["ollama", "runner", "system", "client", "gateway", "other"]
    access: bool = False
    every_unit: bool = False
    strangers: bool = False
    piece: bool = False
    reader: Reader | None = None
    lookalike: str | None = None
    stack: str | None = None
    prefix: str | None = None
    clock: str | None = None
    local: str | None = None
    unix: str | None = None
    trims: str | None = None
    closes: str | None = None
    gathered: bool = False
    reached: bool = False
    routed: bool = False
    rebuilt: tuple[str | tuple[str, ...], ...] = ("{message}",)
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

    @property
    def groups(self) -> tuple[str, ...]:
        """The named groups of the pattern."""
        return _groups(self.pattern)

    @property
    def surface(self) -> str:
        """Where the errors in such lines show, as ``errors.surface`` has it."""
        if self.access and self.owner == "ollama":
            return "access"
        return self.owner if self.owner in ("client", "gateway") else "server"

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

    @property
    def plain(self) -> tuple[re.Pattern[str] | None, ...]:
        """``pattern``, ``anywhere``, ``noise`` and ``guard`` for Python; None where one of them cannot be."""
        return _plain(self.pattern, self.anywhere, self.noise, self.guard)

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


Flag = Literal[
    "absorbs",
    "access",
    "bare",
    "behind",
    "calls",
    "closes",
    "continues",
    "every_unit",
    "gathers",
    "piece",
    "reaches",
    "reader",
    "reads",
    "routed",
    "second",
    "turns",
]
Key = Literal["owner", "reader", "unix", "trims", "rebuilt"]
_MET = pl.Schema({"body": pl.String(), "unit": pl.String(), "format": pl.String(), "is_noise": pl.Boolean()})


def _grouped(formats: Sequence[LineFormat], key: str) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {}
    for item in formats:
        if value := getattr(item, key):
            found.setdefault(value, []).append(item.name)
    return found


class Met:
    """Bodies that one load met, with their formats: logs repeat themselves. It changes nothing but time."""

    def __init__(self) -> None:
        self.bodies = pl.DataFrame(schema=_MET)

    def keep(self, told: pl.DataFrame) -> None:
        """Keep more of them, and of too many only the last."""
        kept = told.filter(pl.col("body").str.len_bytes() <= KEPT_BYTES)
        is_full = self.bodies.height + kept.height > MOST_MET
        self.bodies = kept.head(MOST_MET) if is_full else pl.concat([self.bodies, kept])


class FormatBook:
    """The formats in their declared order, with the hash of their data; nothing in it changes once it is made."""

    def __init__(self, formats: Sequence[LineFormat], digest: str) -> None:
        self.formats = tuple(formats)
        self.by_name = {item.name: item for item in formats}
        self.hash = digest
        # Stages ask for these for each batch, some of them from several threads: all is made here, and nothing later.
        self._named = {flag: tuple(one.name for one in formats if getattr(one, flag)) for flag in get_args(Flag)}
        self._by_value = {key: _grouped(formats, key) for key in get_args(Key)}
        self.of_clients = self.owned_by("client")
        self.prefixes = {item.name: item.prefix for item in formats if item.prefix}
        self.loners = {item.name: item.alone for item in formats if item.alone}
        self.stacks = {item.name: item.stack for item in formats if item.stack}
        self.clocks = {item.name: item.clock for item in formats if item.clock}
        self.local_clocks = {item.name: item.local or item.clock for item in formats if item.clock}
        self.owners = {item.name: item.owner for item in formats}
        self.surfaces = {item.name: item.surface for item in formats}
        self.strange = next((item.name for item in formats if item.strangers), UNKNOWN)
        """The format of lines that units of other programs wrote."""
        stamps, others = {"time", "gotime", "rfctime", "localtime", "halftime"}, ("client", "other", "gateway")
        is_timeless = [stamps.isdisjoint(item.groups) and item.owner in others for item in formats]
        self.timeless = [
            *(one.name for one, is_one in zip(formats, is_timeless, strict=True) if is_one or one.gathered),
            UNKNOWN,
        ]
        """The formats whose lines have no time and are not those of a server or runner, and lines of no format."""
        self.loose = [*(item.name for item in formats if item.owner == "runner" or item.reached), UNKNOWN]
        """The formats of lines that an error of a runner may have after its first line, and lines of no format."""

    def names(self, flag: Flag) -> list[str]:
        """The formats that have a property."""
        return list(self._named[flag])

    def owned_by(self, owner: str) -> list[str]:
        """The formats of what some program writes."""
        return self._by_value["owner"].get(owner, [])

    def read_by(self, reader: Reader) -> list[str]:
        """The formats that a reader parses."""
        return self._by_value["reader"].get(reader, [])

    def by_value(self, key: Key) -> Mapping[Any, list[str]]:
        """The formats that have the same value of a key, by the value."""
        return self._by_value[key]

    def is_closing(self, body: pl.Expr, form: pl.Expr) -> pl.Expr:
        """Whether a line ends a record of its format."""
        tests = [(form == item.name) & body.str.contains(item.closes) for item in self.formats if item.closes]
        return pl.any_horizontal(pl.lit(value=False), *tests).fill_null(value=False)

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

    def recognise(self, bodies: pl.DataFrame, met: Met | None = None) -> pl.DataFrame:
        """Formats of distinct bodies.

        Args:
            bodies: columns ``body`` and ``unit`` (String).
            met: what the caller met before; it grows.

        Returns:
            The same rows with ``format`` (``unknown`` when none fits) and ``is_noise``.
        """
        if bodies.height <= FEWEST_BODIES and (few := self._tell_few(bodies)) is not None:
            return few
        if met is None:
            return self._tell(bodies)
        known = bodies.join(met.bodies, on=["body", "unit"], how="left", nulls_equal=True)
        fresh = known.filter(pl.col("format").is_null()).select("body", "unit")
        if fresh.is_empty():
            return known
        told = self._tell(fresh)
        met.keep(told)
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

    keys = format_files.keys_of(LineFormat, filled=("references", "sample"), base=format_files.Format)
    return datafiles.formats(keys.model_validate)


def _book(values: Mapping[str, Any]) -> FormatBook:
    return FormatBook([_format(data) for data in values["formats"]], values["hash"])


def _format(data: Mapping[str, Any]) -> LineFormat:
    """A format of the values of its file."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    values["sample"] = tuple(Sample(**one) for one in data["sample"])
    values["behind"] = tuple(Behind(**one) for one in data.get("behind", ()))
    if "rebuilt" in data:
        values["rebuilt"] = tuple(part if isinstance(part, str) else tuple(part) for part in data["rebuilt"])
    values["reads"] = {name: tuple(paths) for name, paths in data.get("reads", {}).items()}
    return LineFormat(**values)
