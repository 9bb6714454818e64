"""The line formats: load and check ``formats/*.toml``; recognise the format of bodies.

A format is data with its proof: every file has samples, see ``ingestion.format_proof``. The file also holds whatever
other stages decide by the format of a line, so no format is named in the code. Formats are tried in the order declared
in ``formats/order.txt``.
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
from erranalytics.text.literals import joined_if_short

UNKNOWN = "unknown"
# For so few bodies the cache is not asked.
MIN_CACHED = 16
MAX_CACHED = 20_000
MAX_CACHED_BYTES = 500
# The readers that a format can name. A format without a reader is parsed by the groups of its pattern alone.
Reader = Literal["slog", "gin-line", "record", "dump", "combined", "access-object", "gin-relay", "web-fault", "relay"]


@cache
def _groups(pattern: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\(\?P<(\w+)>", pattern))


@cache
def _plain(*sources: str | None) -> tuple[re.Pattern[str] | None, ...]:
    return tuple(patterns.compiled(source or "") for source in sources)


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of the format: the groups it must give, the kind of its clock, and its text as the store rebuilds it."""

    line: str
    expect: dict[str, str] = field(default_factory=dict)
    noise: bool = False
    clock: str | None = None
    rebuilt: str | None = None


@dataclass(frozen=True, slots=True)
class FollowingLine:
    """A kind of line after the first line of a record, and the part of it that is kept; ``$0`` is all of it."""

    pattern: str
    says: str


@dataclass(frozen=True, kw_only=True)
class LineFormat:
    """One line format; the attributes are the keys of its file.

    How a line is recognised:
        ``starts`` and ``contains`` are cheap tests before ``pattern`` (Rust regex; named groups are columns).
        ``prefix``: these first bytes alone decide. ``units``: only lines of these syslog identifiers, or lines that
        ``anywhere`` matches. ``every_unit``: the format holds for every unit; other lines of other units get the format
        with ``strangers``. ``owner``: the program that writes such lines, and so the surface where their errors show.
        ``access``: each line is one answered request. ``piece``: a text that people paste may consist of such lines
        alone; it is not a log then.

    What belongs to one record:
        ``noise``: neighbours that match it, and not ``guard``, are folded into one record; those that begin with one of
        ``keeps`` stay as lines of the record. ``second``: the next line belongs to the record if this matches it,
        whatever its format would be alone, and the two are read together: the pattern continues after ``\\n``.
        ``opens``: indented lines after it belong to the record. ``absorbs``: so do lines of no known format;
        ``gathers``: and lines of clients without a time; ``gathered``: its lines join such a record too. ``reaches``:
        after a line that matches it, lines of no known format and of runners belong to the record; ``reached``: its
        lines join such a record too. ``continues``: it joins a record of one of these formats before it; ``turns``: and
        from then on decides which lines join that record. ``alone``: the format of a line that joins no record.
        ``closes``: a line that matches it ends a record of this format.

    What is kept of a record:
        ``hides``: these parts are dropped, except for their groups. ``behind``: what is kept of the lines after the
        first; a line that matches none of them is dropped. ``bare``: the rules read the message, not the line.
        ``trims``: characters that are removed from the start of the message. ``rebuilt``: the parts of the text for the
        rules as columns of the store (``schema.PIECES`` between braces). A part is left out if one of its columns is
        null; of the parts in a list the first that has all its columns is used.

    How a record is parsed:
        ``reader``: the parser, if the groups of the pattern are not enough. ``lookalike``: the format of lines of
        another program that begin the same way and that only the reader can distinguish. ``stack``: the format of a
        record that has a stack of Node after its first line. ``clock``: the ``ts_source`` of its own stamp; ``local``:
        the one of a stamp without a zone, if it differs. ``unix``: a pattern whose group is the time in seconds since
        1970. ``reads``: lines are JSON objects, read at these paths (see ``loggers``). ``calls``: each record is about
        one call. ``routed``: the component is the route of the request that the line names, and only lines count that
        name a route or the port of Ollama.
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
    behind: tuple[FollowingLine, ...] = ()
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
        """Where the errors in such lines show: the value of ``errors.surface``."""
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

    def may_be_in(self, text: str) -> bool:
        """Whether a text may contain lines of this format."""
        tests = (self.starts, self.contains)
        return all(not literals or any(literal in text for literal in literals) for literals in tests)

    @property
    def plain(self) -> tuple[re.Pattern[str] | None, ...]:
        """``pattern``, ``anywhere``, ``noise`` and ``guard`` for Python; None for one that Python cannot run."""
        return _plain(self.pattern, self.anywhere, self.noise, self.guard)

    def fits(self, body: str, unit: str | None) -> bool | None:
        """Whether a plain line has this format; None if only the Rust engine can decide."""
        if (self.starts and not body.startswith(self.starts)) or not self.may_be_in(body):
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
_RECOGNISED = pl.Schema({"body": pl.String(), "unit": pl.String(), "format": pl.String(), "is_noise": pl.Boolean()})


def _grouped(formats: Sequence[LineFormat], key: str) -> dict[Any, list[str]]:
    names: dict[Any, list[str]] = {}
    for item in formats:
        if value := getattr(item, key):
            names.setdefault(value, []).append(item.name)
    return names


class FormatCache:
    """The bodies that one load has recognised, with their formats: logs repeat themselves. It only saves time."""

    def __init__(self) -> None:
        self.bodies = pl.DataFrame(schema=_RECOGNISED)

    def add(self, recognised: pl.DataFrame) -> None:
        """Add bodies; when they become too many, only the new ones are kept."""
        short = recognised.filter(pl.col("body").str.len_bytes() <= MAX_CACHED_BYTES)
        is_full = self.bodies.height + short.height > MAX_CACHED
        self.bodies = short.head(MAX_CACHED) if is_full else pl.concat([self.bodies, short])


class FormatBook:
    """The formats in their declared order, with the hash of their data; it does not change after it is made."""

    def __init__(self, formats: Sequence[LineFormat], digest: str) -> None:
        self.formats = tuple(formats)
        self.by_name = {item.name: item for item in formats}
        self.hash = digest
        # Stages ask for these in each batch, some from several threads, so all of them are made here and none later.
        self._named = {flag: tuple(item.name for item in formats if getattr(item, flag)) for flag in get_args(Flag)}
        self._by_value = {key: _grouped(formats, key) for key in get_args(Key)}
        self.client_formats = self.owned_by("client")
        self.prefixes = {item.name: item.prefix for item in formats if item.prefix}
        self.formats_when_alone = {item.name: item.alone for item in formats if item.alone}
        self.stack_formats = {item.name: item.stack for item in formats if item.stack}
        self.clocks = {item.name: item.clock for item in formats if item.clock}
        self.local_clocks = {item.name: item.local or item.clock for item in formats if item.clock}
        self.owners = {item.name: item.owner for item in formats}
        self.surfaces = {item.name: item.surface for item in formats}
        self.stranger_format = next((item.name for item in formats if item.strangers), UNKNOWN)
        """The format of lines written by the units of other programs."""
        stamps, others = {"time", "gotime", "rfctime", "localtime", "halftime"}, ("client", "other", "gateway")
        is_timeless = [stamps.isdisjoint(item.groups) and item.owner in others for item in formats]
        self.timeless = [
            *(
                item.name
                for item, has_no_time in zip(formats, is_timeless, strict=True)
                if has_no_time or item.gathered
            ),
            UNKNOWN,
        ]
        """The formats of lines without a time that neither server nor runner wrote, and lines of no format."""
        self.error_tails = [*(item.name for item in formats if item.owner == "runner" or item.reached), UNKNOWN]
        """The formats of lines that may follow the first line of a runner's error, and lines of no format."""

    def names(self, flag: Flag) -> list[str]:
        """The formats with a property."""
        return list(self._named[flag])

    def owned_by(self, owner: str) -> list[str]:
        """The formats of the lines that a program writes."""
        return self._by_value["owner"].get(owner, [])

    def read_by(self, reader: Reader) -> list[str]:
        """The formats that a reader parses."""
        return self._by_value["reader"].get(reader, [])

    def by_value(self, key: Key) -> Mapping[Any, list[str]]:
        """The formats for each value of a key."""
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
        """Lines without the parts that their format drops (``hides``)."""
        # Most formats share one pattern, and it costs more to compile than to run, so it runs once for all of them.
        for pattern in dict.fromkeys(item.hides for item in self.formats if item.hides):
            theirs = form.is_in([item.name for item in self.formats if item.hides == pattern])
            body = pl.when(theirs).then(body.str.replace_all(pattern, "${1}${2}${3}…")).otherwise(body)
        return body

    def kept_after_first(self, body: pl.Expr, form: pl.Expr) -> pl.Expr:
        """The parts that are kept of the lines after the first line of a record; null for a line that is dropped."""
        kept = self.without_hidden(body, form)
        for item in self.formats:
            if item.behind:
                text = pl.lit(None, dtype=pl.String)
                for kind in reversed(item.behind):
                    is_kind = body.str.contains(kind.pattern)
                    text = pl.when(is_kind).then(body.str.replace(kind.pattern, kind.says)).otherwise(text)
                kept = pl.when(form == item.name).then(text).otherwise(kept)
        return kept

    def is_kept(self, body: pl.Expr, noise: pl.Expr) -> pl.Expr:
        """Whether a line of a run of noise stays as a line of its record."""
        tests = [
            (noise == item.name) & pl.any_horizontal(body.str.starts_with(start) for start in item.keeps)
            for item in self.formats
            if item.keeps
        ]
        return pl.any_horizontal(pl.lit(value=False), *tests).fill_null(value=False)

    def recognise(self, bodies: pl.DataFrame, cache: FormatCache | None = None) -> pl.DataFrame:
        """Recognise the formats of distinct bodies.

        Args:
            bodies: columns ``body`` and ``unit`` (String).
            cache: the bodies that the caller saw before; new ones are added.

        Returns:
            The same rows with ``format`` (``unknown`` if none fits) and ``is_noise``.
        """
        if bodies.height <= MIN_CACHED and (few := self._recognise_few(bodies)) is not None:
            return few
        if cache is None:
            return self._recognise_all(bodies)
        known = bodies.join(cache.bodies, on=["body", "unit"], how="left", nulls_equal=True)
        fresh = known.filter(pl.col("format").is_null()).select("body", "unit")
        if fresh.is_empty():
            return known
        recognised = self._recognise_all(fresh)
        cache.add(recognised)
        return pl.concat([known.filter(pl.col("format").is_not_null()), recognised])

    def _recognise_few(self, bodies: pl.DataFrame) -> pl.DataFrame | None:
        """``_recognise_all`` for a few plain lines; None for other lines, and where only the Rust engine can decide."""
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
        columns = (pl.Series("format", names, dtype=pl.String), pl.Series("is_noise", noise, dtype=pl.Boolean))
        return bodies.select("body", "unit").with_columns(columns)

    def _recognise_all(self, bodies: pl.DataFrame) -> pl.DataFrame:
        if (few := self._recognise_few(bodies)) is not None:
            return few
        body, unit = pl.col("body"), pl.col("unit")
        text = joined_if_short(bodies["body"])
        formats = [item for item in self.formats if text is None or item.may_be_in(text)]
        # The cheap tests of all formats run in one query. A pattern costs more to compile than to run on a few bodies,
        # so it runs only if some body passed its tests.
        tests = [pl.repeat(value=True, n=pl.len(), dtype=pl.Boolean) & item.may_match(body, unit) for item in formats]
        waits = bodies.select(test.alias(item.name) for item, test in zip(formats, tests, strict=True))
        formats = [item for item in formats if waits[item.name].any()]
        left, done = bodies.with_row_index("row").hstack(waits), []
        for item in formats:
            matches = (
                left.lazy()
                .filter(item.name)
                .filter(item.is_match(body, unit))
                .select("row", "body", "unit", format=pl.lit(item.name), is_noise=item.is_noise(body))
                .collect()
            )
            if not matches.is_empty():
                done.append(matches)
                left = left.join(matches, on="row", how="anti", maintain_order="left")
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
    """``load`` from the files themselves, which are tested again."""
    return _book(_tested())


def _tested() -> dict[str, Any]:
    from erranalytics.parsing import format_files

    keys = format_files.keys_of(LineFormat, filled=("references", "sample"), base=format_files.Format)
    return datafiles.formats(keys.model_validate)


def _book(values: Mapping[str, Any]) -> FormatBook:
    return FormatBook([_format(data) for data in values["formats"]], values["hash"])


def _format(data: Mapping[str, Any]) -> LineFormat:
    """A format from the values of its file."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    values["sample"] = tuple(Sample(**sample) for sample in data["sample"])
    values["behind"] = tuple(FollowingLine(**line) for line in data.get("behind", ()))
    if "rebuilt" in data:
        values["rebuilt"] = tuple(part if isinstance(part, str) else tuple(part) for part in data["rebuilt"])
    values["reads"] = {name: tuple(paths) for name, paths in data.get("reads", {}).items()}
    return LineFormat(**values)
