"""What programs and notebooks call; the command line calls the same functions.

Every function takes plain values and gives plain values, polars frames or a DuckDB connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erranalytics.errors import ErranalyticsError, StoreLockedError, UsageError

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from erranalytics.explanation.explanation import Explanation
    from erranalytics.explanation.suggestion import Suggestion
    from erranalytics.ingestion.inputs import Watch
    from erranalytics.ingestion.loads import LoadResult
    from erranalytics.ingestion.reclassification import Reclassified
    from erranalytics.sources.discovery import Place
    from erranalytics.sources.files import Source

DEFAULT_WAIT_S = 5.0
COUNTS = (
    *("byte_count", "line_count", "event_count", "error_count", "incident_count"),
    *("reject_count", "unknown_count", "duplicate_count"),
)

_TOLD = ("uri", "status", "wrapper", "encoding", "host", "versions", *COUNTS, "note")


@dataclass(frozen=True, slots=True)
class Ingested:
    """What ``ingest`` did: one result per source read, one fault per input that could not be."""

    db: Path
    results: tuple[LoadResult, ...]
    faults: tuple[ErranalyticsError, ...]
    seconds: float

    def total(self, count: str) -> int:
        """The sum of a count over all sources, such as ``line_count``."""
        return sum(getattr(one, count) for one in self.results)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        faults = [{"location": fault.location, "message": fault.message, "hint": fault.hint} for fault in self.faults]
        return {
            "db": str(self.db),
            "seconds": round(self.seconds, 3),
            "totals": {"source_count": len(self.results), **{name: self.total(name) for name in COUNTS}},
            "sources": [{name: getattr(one, name) for name in _TOLD} for one in self.results],
            "faults": faults,
        }


def resolve_db(db: str | Path | None) -> Path:
    """The store to use: the argument, ``ERRANALYTICS_DB``, or the user's data directory."""
    from erranalytics.store.connection import default_path

    return Path(db) if db is not None else default_path()


def ingest(
    paths: Sequence[str | Path] = (),
    *,
    db: str | Path | None = None,
    journal: str | Sequence[str] = (),
    journal_directory: str | Path | None = None,
    tz: str | None = None,
    year: int | None = None,
    host: str | None = None,
    wrapper: str | None = None,
    rules_dir: Sequence[str | Path] = (),
    wait_s: float = DEFAULT_WAIT_S,
    on_wait: Callable[[str], None] = lambda text: None,
    watch: Watch | None = None,
) -> Ingested:
    """Read files, folders, globs, ``-`` and the journal into a store, each record exactly once.

    Args:
        paths: what to read.
        db: the store; see ``resolve_db``.
        journal: systemd units whose entries to read from the journal, from where the last call ended.
        journal_directory: a copied journal (``/var/log/journal`` of another machine) instead of that of this one.
        tz: zone of stamps that name none, where the log holds no evidence (IANA name; default: the machine's).
        year: year of the first stamp without one.
        host: label of the machine; it wins over the name in the log, and records under one label are counted once.
        wrapper: what stands around the lines, instead of detecting it.
        rules_dir: folders with further rules.
        wait_s: how long to wait for a store that another process writes.
        on_wait: told once whom it waits for.
        watch: told as things happen, see ``intake.Watch``.

    Returns:
        What was done; inputs that could not be read are its ``faults``.

    Raises:
        UsageError: no such zone or format.
        StoreError: the store cannot be used.
        RuleError: a rule file is wrong.
    """
    import time
    from contextlib import closing

    from erranalytics.classification import rulebook
    from erranalytics.clocks import zones
    from erranalytics.ingestion import inputs, loads
    from erranalytics.parsing import lineformats
    from erranalytics.sources.journalctl import Journal
    from erranalytics.store.connection import open_store

    began = time.monotonic()
    path, zone = resolve_db(db), zones.local(tz)
    rules, formats = rulebook.load(rules_dir), lineformats.load()
    check_wrapper(wrapper)
    folder = Path(journal_directory).resolve() if journal_directory else None
    units = [journal] if isinstance(journal, str) else journal
    for unit in units:
        if Path(unit).is_file():
            raise UsageError(f"{unit} is a file, not a unit of the journal", hint="Put paths before --journal.")
    options = loads.Options(formats, rules, default_tz=zone, year=year, host=host, wrapper=wrapper)
    with closing(_patiently(open_store, path, wait_s=wait_s, on_wait=on_wait)) as connection:
        taken = inputs.Intake(connection, options, watch or inputs.Watch())
        for unit in units:
            taken.take_journal(Journal(unit, folder))
        taken.take([str(one) for one in paths])
    return Ingested(path, tuple(taken.results), tuple(taken.faults), time.monotonic() - began)


def find_logs() -> tuple[Place, ...]:
    """The places where Ollama logs on this system, with what there is of them.

    Raises:
        UsageError: there is nothing in any of them.
    """
    from erranalytics.sources import discovery

    found = discovery.look()
    if not any(place.paths or place.unit for place in found):
        looked = [place.told() for place in found]
        raise UsageError("found no log of Ollama on this machine", hint="\n".join([*looked, discovery.advice(found)]))
    return found


def check_wrapper(wrapper: str | None) -> None:
    """Refuse a name ``--format`` does not know.

    Raises:
        UsageError: with the names there are.
    """
    from erranalytics.wrappers import unwrapping

    if wrapper is not None and not set(wrapper.split("+")) <= set(unwrapping.names()):
        raise UsageError(f"there is no input format {wrapper!r}", hint="formats: " + ", ".join(unwrapping.names()))


def classify(lines: str | Iterable[str], *, rules_dir: Sequence[str | Path] = ()) -> list[dict[str, Any]]:
    """Events with cause, code and incident of some log text, without a store.

    Args:
        lines: a text, or lines with or without line ends.

    Returns:
        One dictionary per event with the fields ``classify`` writes on the command line.
    """
    from erranalytics.sources.files import discard, from_bytes

    text = lines if isinstance(lines, str) else "\n".join(line.rstrip("\n") for line in lines)
    source = from_bytes(text.encode("utf-8", "replace"))
    try:
        return [row for chunk in classify_source(source, rules_dir=rules_dir) for row in chunk.to_dicts()]
    finally:
        discard(source)


def classify_source(
    source: Source, *, rules_dir: Sequence[str | Path] = (), wrapper: str | None = None
) -> Iterator[pl.DataFrame]:
    """Frames with the fields ``classify`` writes, in input order: the whole machinery over a store in memory."""
    from erranalytics.classification import rulebook
    from erranalytics.ingestion import in_memory
    from erranalytics.parsing import lineformats

    check_wrapper(wrapper)
    return in_memory.verdicts(source, rules=rulebook.load(rules_dir), formats=lineformats.load(), wrapper=wrapper)


def connect(
    db: str | Path | None = None, *, wait_s: float = DEFAULT_WAIT_S, on_wait: Callable[[str], None] = lambda text: None
) -> duckdb.DuckDBPyConnection:
    """A read-only DuckDB connection to a store, views ready, times in UTC.

    Raises:
        StoreError: there is no such store, or it cannot be opened.
    """
    from erranalytics.store.connection import open_read_only

    return _patiently(open_read_only, resolve_db(db), wait_s=wait_s, on_wait=on_wait)


def _patiently(
    opening: Callable[..., duckdb.DuckDBPyConnection], path: Path, *, wait_s: float, on_wait: Callable[[str], None]
) -> duckdb.DuckDBPyConnection:
    """Open a store; when another process holds it, say once for whom it waits, and wait."""
    try:
        return opening(path)
    except StoreLockedError as fault:
        if wait_s <= 0:
            raise
        on_wait(f"{fault.message}: waiting up to {wait_s:g} s")
        return opening(path, wait_s=wait_s)


def report(name: str = "overview", *, db: str | Path | None = None, **params: object) -> pl.DataFrame:
    """The rows of a report.

    Raises:
        UsageError: no such report or parameter.
        StoreError: there is no such store.
    """
    from erranalytics.reports import runner

    connection = connect(db)
    try:
        return runner.run(name, connection=connection, params=params).frame
    finally:
        connection.close()


def explain(text: str, *, rules_dir: Sequence[str | Path] = (), ollama_version: str | None = None) -> Explanation:
    """What a code, slug, status, text or piece of a log means; needs no store.

    Args:
        text: what was asked; of several records the worst incident is explained and the others are named.
        rules_dir: folders of further rules.
        ollama_version: the version at hand, such as ``0.13.5``; a log tells it itself.

    Raises:
        UsageError: that is no version.
    """
    from erranalytics.classification import rulebook
    from erranalytics.explanation import lookup
    from erranalytics.ollama import versions

    version = versions.checked(ollama_version)
    book = rulebook.load(rules_dir)
    if "\n" in text.strip():
        from erranalytics.explanation import log
        from erranalytics.parsing import lineformats

        if roots := log.roots(text, rules=book, formats=lineformats.load()):
            return lookup.of_log(text, roots, book=book, version=version)
    return lookup.explain(text, book=book, version=version)


def reclassify(
    *,
    db: str | Path | None = None,
    rules_dir: Sequence[str | Path] = (),
    force: bool = False,
    wait_s: float = DEFAULT_WAIT_S,
    on_wait: Callable[[str], None] = lambda text: None,
) -> Reclassified:
    """Judge the events of a store by the rules of now, without the logs.

    Args:
        db: the store; see ``resolve_db``.
        rules_dir: folders with further rules.
        force: judge anew also what was judged by these rules.
        wait_s: how long to wait for a store that another process writes.
        on_wait: told once whom it waits for.

    Returns:
        What changed: ``changes`` is a frame with a row per code, ``told`` a sentence.

    Raises:
        StoreError: there is no such store, or it cannot be used.
        RuleError: a rule file is wrong.
    """
    from contextlib import closing

    from erranalytics.classification import rulebook
    from erranalytics.ingestion import reclassification
    from erranalytics.parsing import lineformats
    from erranalytics.store.connection import check_exists, open_store

    path, rules = resolve_db(db), rulebook.load(rules_dir)
    check_exists(path)
    with closing(_patiently(open_store, path, wait_s=wait_s, on_wait=on_wait)) as connection:
        return reclassification.reclassify(connection, rules=rules, formats=lineformats.load(), force=force)


def suggest_rule(
    text: str | None = None,
    *,
    fingerprint: str | None = None,
    db: str | Path | None = None,
    rules_dir: Sequence[str | Path] = (),
) -> Suggestion:
    """A drafted rule for a text no rule knows, or for a fingerprint of a store.

    Raises:
        UsageError: neither a text nor a fingerprint, or both; the text holds nothing constant.
        StoreError: there is no such store.
    """
    from erranalytics.classification import rulebook
    from erranalytics.explanation import suggestion

    if (fingerprint is None) == (not (text or "").strip()):
        raise UsageError("give a text or a fingerprint", hint="erranalytics rules suggest 'the line'")
    if fingerprint is not None:
        connection = connect(db)
        try:
            text = suggestion.text_of(fingerprint, connection=connection)
        finally:
            connection.close()
    return suggestion.suggest(text or "", book=rulebook.load(rules_dir))
