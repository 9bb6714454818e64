"""The results of ``ingest`` and ``doctor`` as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from erranalytics.text.display import human_bytes, plural

if TYPE_CHECKING:
    from erranalytics.api import IngestResult
    from erranalytics.ingestion.loads import LoadResult

MOST_SOURCES = 12


def ingest_lines(done: IngestResult) -> Iterator[str]:
    """A line for each of the first sources, the totals and the store."""
    listed = [result for result in done.results if result.status != "known" or result.note]
    for result in listed[:MOST_SOURCES]:
        yield _source_line(result)
    if len(listed) > MOST_SOURCES:
        yield f"… and {len(listed) - MOST_SOURCES} more sources"
    if known := len(done.results) - len(listed):
        yield f"{known} {plural(known, 'source is', 'sources are')} already in the store, nothing added"
    if done.results:
        yield _total_line(done)
    if done.db.exists():
        yield f"store: {done.db} ({human_bytes(done.db.stat().st_size)})"


def _source_line(result: LoadResult) -> str:
    name = "stdin" if result.uri == "-" else result.uri
    if result.status == "empty":
        return f"{name}: is empty, nothing to ingest"
    facts = [result.wrapper.replace("-", " ")] if result.status != "known" else ["nothing new"]
    if result.host:
        facts[0] += f" from {result.host}"
    if result.versions:
        facts.append("Ollama " + " → ".join(dict.fromkeys((result.versions[0], result.versions[-1]))))
    if result.encoding != "utf-8":
        facts.append(result.encoding)
    if result.status == "grown":
        facts.append("grown, only the tail was read")
    if result.unknown_count:
        facts.append(f"{result.unknown_count:,} {plural(result.unknown_count, 'line')} of no known format")
    if result.unknown_count * 2 > result.line_count:
        facts.append("most of it was not understood: the lines may have a wrapper of another program")
    if result.note:
        facts.append(result.note)
    return f"{name}: " + ", ".join(facts)


def _total_line(done: IngestResult) -> str:
    size, duplicates = done.total("byte_count"), done.total("duplicate_count")
    words = ("line", "event", "error", "incident")
    counts = [(len(done.results), "source"), *((done.total(f"{word}_count"), word) for word in words)]
    parts = [f"{count:,} {plural(count, word)}" for count, word in counts]
    parts.append(f"{done.total('reject_count'):,} rejected")
    if duplicates:
        parts.append(f"{duplicates:,} {plural(duplicates, 'duplicate')}")
    parts.append(f"{done.seconds:.1f} s" + (f", {size / 1e6 / done.seconds:.0f} MB/s" if size > 10_000_000 else ""))
    return "  " + " · ".join(parts)


def fact_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The facts of ``doctor``, one per line, with nested ones indented."""
    for key, value in facts.items():
        name = key.replace("_", " ")
        if isinstance(value, list) and not value:
            yield f"{name}: none"
        elif isinstance(value, list):
            yield f"{name}:"
            for item in value:
                yield from (f"  {line}" for line in (fact_lines(item) if isinstance(item, Mapping) else [str(item)]))
        elif isinstance(value, Mapping):
            yield f"{name}: " + (
                ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in value.items()) or "none"
            )
        else:
            yield f"{name}: {value}"
