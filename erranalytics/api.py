"""The functions for programs and notebooks; the command line calls the same ones.

Every function takes plain values, and returns plain values, polars frames or a DuckDB connection.
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
    from erranalytics.ingestion.inputs import ProgressCallbacks
    from erranalytics.ingestion.loads import LoadResult
    from erranalytics.ingestion.reclassification import ReclassifyResult
    from erranalytics.sources.discovery import Place
    from erranalytics.sources.files import Source

DEFAULT_WAIT_S = 5.0
COUNTS = (
    *("byte_count", "line_count", "event_count", "error_count", "incident_count"),
    *("reject_count", "unknown_count", "duplicate_count"),
)

_SOURCE_FIELDS = ("uri", "status", "wrapper", "encoding", "host", "versions", *COUNTS, "note")


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What ``ingest`` did: one result per source, and one fault per input that could not be read."""

    db: Path
    results: tuple[LoadResult, ...]
    faults: tuple[ErranalyticsError, ...]
    seconds: float

    def total(self, count: str) -> int:
        """The sum of a count over all sources, such as ``line_count``."""
        return sum(getattr(result, count) for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        faults = [{"location": fault.location, "message": fault.message, "hint": fault.hint} for fault in self.faults]
        return {
            "db": str(self.db),
            "seconds": round(self.seconds, 3),
            "totals": {"source_count": len(self.results), **{name: self.total(name) for name in COUNTS}},
            "sources": [{name: getattr(result, name) for name in _SOURCE_FIELDS} for result in self.results],
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
    watch: ProgressCallbacks | None = None,
) -> IngestResult:
    """Read files, folders, globs, ``-`` and the journal into a store, each record exactly once.

    Args:
        paths: what to read.
        db: the store; see ``resolve_db``.
        journal: systemd units to read from the journal, from where the last call ended.
        journal_directory: a copied journal, such as ``/var/log/journal`` of another machine, instead of this machine's.
        tz: zone of stamps without one, where the log has no evidence (IANA name; default: the machine's).
        year: year of the first stamp without one.
        host: label of the machine; it overrides the name in the log, and records under one label are counted once.
        wrapper: the wrapper around the lines, instead of detecting it.
        rules_dir: folders with further rules.
        wait_s: seconds to wait for a store that another process is writing.
        on_wait: called once with a sentence that names the process it waits for.
        watch: functions to call while inputs are loaded, see ``inputs.ProgressCallbacks``.

    Returns:
        The result; its ``faults`` are the inputs that could not be read.

    Raises:
        UsageError: there is no such zone or format.
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
    store, zone = resolve_db(db), zones.local(tz)
    rules, formats = rulebook.load(rules_dir), lineformats.load()
    check_wrapper(wrapper)
    folder = Path(journal_directory).resolve() if journal_directory else None
    units = [journal] if isinstance(journal, str) else journal
    for unit in units:
        if Path(unit).is_file():
            raise UsageError(f"{unit} is a file, not a unit of the journal", hint="Put paths before --journal.")
    options = loads.Options(formats, rules, default_tz=zone, year=year, host=host, wrapper=wrapper)
    with closing(_open_waiting(open_store, store, wait_s=wait_s, on_wait=on_wait)) as connection:
        loaded = inputs.Inputs(connection, options, watch or inputs.ProgressCallbacks())
        for unit in units:
            loaded.load_journal(Journal(unit, folder))
        loaded.load([str(path) for path in paths])
    return IngestResult(store, tuple(loaded.results), tuple(loaded.faults), time.monotonic() - began)


def find_logs() -> tuple[Place, ...]:
    """The places where Ollama logs on this system, with the logs that exist there.

    Raises:
        UsageError: none of them has a log.
    """
    from erranalytics.sources import discovery

    places = discovery.find_places()
    if not any(place.paths or place.unit for place in places):
        looked = [place.summary() for place in places]
        raise UsageError("found no log of Ollama on this machine", hint="\n".join([*looked, discovery.advice(places)]))
    return places


def check_wrapper(wrapper: str | None) -> None:
    """Refuse a name that ``--format`` does not know.

    Raises:
        UsageError: with the names that exist.
    """
    from erranalytics.wrappers import unwrapping

    if wrapper is not None and not set(wrapper.split("+")) <= set(unwrapping.names()):
        raise UsageError(f"there is no input format {wrapper!r}", hint="formats: " + ", ".join(unwrapping.names()))


def classify(lines: str | Iterable[str], *, rules_dir: Sequence[str | Path] = ()) -> list[dict[str, Any]]:
    """Classify log text without a store: its events with cause, code and incident.

    Args:
        lines: a text, or lines with or without line ends.

    Returns:
        One dictionary per event, with the fields that ``classify`` writes on the command line.
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
    """Frames with the fields that ``classify`` writes, in input order; like ``ingest``, but with a store in memory."""
    from erranalytics.classification import rulebook
    from erranalytics.ingestion import in_memory
    from erranalytics.parsing import lineformats

    check_wrapper(wrapper)
    return in_memory.verdicts(source, rules=rulebook.load(rules_dir), formats=lineformats.load(), wrapper=wrapper)


def connect(
    db: str | Path | None = None, *, wait_s: float = DEFAULT_WAIT_S, on_wait: Callable[[str], None] = lambda text: None
) -> duckdb.DuckDBPyConnection:
    """Open a read-only DuckDB connection to a store, with its views and with times in UTC.

    Raises:
        StoreError: there is no such store, or it cannot be opened.
    """
    from erranalytics.store.connection import open_read_only

    return _open_waiting(open_read_only, resolve_db(db), wait_s=wait_s, on_wait=on_wait)


def _open_waiting(
    opening: Callable[..., duckdb.DuckDBPyConnection], path: Path, *, wait_s: float, on_wait: Callable[[str], None]
) -> duckdb.DuckDBPyConnection:
    """Open a store; if another process holds it, report that once and wait."""
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
        UsageError: there is no such report or parameter.
        StoreError: there is no such store.
    """
    from erranalytics.reports import runner

    connection = connect(db)
    try:
        return runner.run(name, connection=connection, params=params).frame
    finally:
        connection.close()


def explain(text: str, *, rules_dir: Sequence[str | Path] = (), ollama_version: str | None = None) -> Explanation:
    """Explain a code, slug, status, text or piece of a log; this needs no store.

    Args:
        text: what to explain; of several records the worst incident is explained and the others are named.
        rules_dir: folders of further rules.
        ollama_version: the version of Ollama, such as ``0.13.5``, if the text is not a log that has it.

    Raises:
        UsageError: this is not a version.
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
) -> ReclassifyResult:
    """Classify the events of a store by the current rules, without the logs.

    Args:
        db: the store; see ``resolve_db``.
        rules_dir: folders with further rules.
        force: classify the events even if they were already classified by these rules.
        wait_s: seconds to wait for a store that another process is writing.
        on_wait: called once with a sentence that names the process it waits for.

    Returns:
        What changed: ``changes`` is a frame with a row per code, ``summary`` a sentence.

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
    with closing(_open_waiting(open_store, path, wait_s=wait_s, on_wait=on_wait)) as connection:
        return reclassification.reclassify(connection, rules=rules, formats=lineformats.load(), force=force)


def suggest_rule(
    text: str | None = None,
    *,
    fingerprint: str | None = None,
    db: str | Path | None = None,
    rules_dir: Sequence[str | Path] = (),
) -> Suggestion:
    """Draft a rule for a text that no rule matches, or for a fingerprint of a store.

    Raises:
        UsageError: there is neither a text nor a fingerprint, or both; or no part of the text is constant.
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
