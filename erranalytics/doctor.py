"""Report versions, store and rulebook, and what would be detected in files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erranalytics.api import resolve_db
from erranalytics.errors import ErranalyticsError, InputError

if TYPE_CHECKING:
    import polars as pl


def diagnose(paths: Sequence[str], *, db: str | Path | None = None) -> dict[str, Any]:
    """Report versions, store, schema and rulebook, and what would be detected in files."""
    import platform

    import duckdb
    import polars as pl

    from erranalytics.calls import decoding
    from erranalytics.classification import proof, rulebook
    from erranalytics.ingestion import format_proof
    from erranalytics.parsing import lineformats
    from erranalytics.store import frames, migrate
    from erranalytics.store.connection import open_read_only
    from erranalytics.version import __version__

    path, rules, formats = resolve_db(db), rulebook.load(), lineformats.load()
    facts: dict[str, Any] = {
        "erranalytics": __version__,
        "python": platform.python_version(),
        "platform": sys.platform,
        "polars": pl.__version__,
        "duckdb": duckdb.__version__,
        "rules": len(rules.rules),
        "rulebook_hash": rules.hash,
        "rulebook_faults": proof.check(rules),
        "formats": len(formats.formats),
        "formats_hash": formats.hash,
        "format_faults": [*format_proof.check(formats), *decoding.check()],
        "store": str(path),
        "schema_newest": migrate.migrations()[-1][0],
    }
    try:
        connection = open_read_only(path)
        facts["store_bytes"] = path.stat().st_size
        facts["schema"] = migrate.schema_version(connection, path)
        facts["tables"] = {name: count for name, (count, _) in frames.digests(connection).items()}
        connection.close()
    except ErranalyticsError as fault:
        facts["store_state"] = str(fault)
    facts["files"] = [_detected(name) for name in paths]
    return facts


def _detected(name: str) -> dict[str, Any]:
    from erranalytics.classification import rulebook
    from erranalytics.classification.classifier import Memo
    from erranalytics.clocks import zones
    from erranalytics.ingestion import inputs, pipeline
    from erranalytics.parsing import lineformats
    from erranalytics.sources.files import discard
    from erranalytics.wrappers import unwrapping

    try:
        source = inputs.open_input(name)
    except InputError as fault:
        return {"file": name, "fault": str(fault)}
    state = pipeline.first_state(source, default_tz=zones.local(None))
    batch = next(
        pipeline.run(source, state=state, start=0, formats=lineformats.load(), rules=rulebook.load(), memo=Memo()), None
    )
    state = batch.state if batch else state
    formats = _line_counts(batch.events) if batch else {}
    evidence = unwrapping.evidence(source.text_sample())
    discard(source)
    return {
        "file": name,
        "compression": source.compression,
        "encoding": source.encoding,
        "wrapper": state.wrapping.wrapper,
        "carried_by": [f"{form}: {count:,} of {seen:,} lines" for form, count, seen in evidence],
        "server_zone_seconds_east": state.clock.own.seconds,
        "formats": formats,
    }


def _line_counts(events: pl.DataFrame) -> dict[str, int]:
    """The number of lines of each format, the most frequent first."""
    import polars as pl

    counts = events.group_by("format").agg(lines=pl.col("line_count").sum())
    return dict(counts.sort("lines", "format", descending=[True, False]).iter_rows())
