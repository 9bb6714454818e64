"""What ``ingest`` and ``doctor`` tell a person, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from erranalytics.text.display import human_bytes, plural

if TYPE_CHECKING:
    from erranalytics.api import IngestResult
    from erranalytics.ingestion.loads import LoadResult

MOST_SOURCES = 12


def ingest_lines(done: IngestResult) -> Iterator[str]:
    """What was read: one line per source when they are few, then the totals and the store."""
    shown = [one for one in done.results if one.status != "known" or one.note]
    for one in shown[:MOST_SOURCES]:
        yield _source_line(one)
    if len(shown) > MOST_SOURCES:
        yield f"… and {len(shown) - MOST_SOURCES} more sources"
    known = len(done.results) - len(shown)
    if known:
        word = plural(known, "source is", "sources are")
        yield f"{known} {word} already in the store, nothing added"
    if done.results:
        yield _total_line(done)
    if done.db.exists():
        yield f"store: {done.db} ({human_bytes(done.db.stat().st_size)})"


def _source_line(one: LoadResult) -> str:
    name = "stdin" if one.uri == "-" else one.uri
    if one.status == "empty":
        return f"{name}: is empty, nothing to ingest"
    facts = [one.wrapper.replace("-", " ")] if one.status != "known" else ["nothing new"]
    if one.host:
        facts[0] += f" from {one.host}"
    if one.versions:
        facts.append("Ollama " + " → ".join(dict.fromkeys((one.versions[0], one.versions[-1]))))
    if one.encoding != "utf-8":
        facts.append(one.encoding)
    if one.status == "grown":
        facts.append("grown, only the tail was read")
    if one.unknown_count:
        facts.append(f"{one.unknown_count:,} {plural(one.unknown_count, 'line')} of no known format")
    if one.unknown_count * 2 > one.line_count:
        facts.append("most of it was not understood: what stands around the lines may be of another program")
    if one.note:
        facts.append(one.note)
    return f"{name}: " + ", ".join(facts)


def _total_line(done: IngestResult) -> str:
    size, known = done.total("byte_count"), done.total("duplicate_count")
    words = ("line", "event", "error", "incident")
    counts = [(len(done.results), "source"), *((done.total(f"{word}_count"), word) for word in words)]
    parts = [f"{count:,} {plural(count, word)}" for count, word in counts]
    parts.append(f"{done.total('reject_count'):,} rejected")
    if known:
        parts.append(f"{known:,} {plural(known, 'duplicate')}")
    parts.append(f"{done.seconds:.1f} s" + (f", {size / 1e6 / done.seconds:.0f} MB/s" if size > 10_000_000 else ""))
    return "  " + " · ".join(parts)


def fact_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """What ``doctor`` found, one fact a line, nested ones indented."""
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
