"""The proof of the line formats: samples show every property that a format file declares."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import polars as pl

from erranalytics import schema
from erranalytics.calls import decoding
from erranalytics.clocks.clock import Clock
from erranalytics.ingestion import stored_text
from erranalytics.parsing.events import parse
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook, LineFormat, Sample

# Stamps without a zone are read as UTC, and lines without a stamp get no time.
_CLOCK = Clock("UTC", near=datetime.fromisoformat("2026-01-01"))
_OF_CALLS = {"status_code": "http_status", "model": "model", "endpoint": "endpoint", "error_type": "error_type"}
_PLAIN = LineFormat.__dataclass_fields__["rebuilt"].default


def check(book: FormatBook) -> list[str]:
    """All faults: of the samples, of references to other formats, and of properties that no sample shows."""
    return [*_recognised(book), *_named(book), *_shown(book)]


def _recognised(book: FormatBook) -> Iterator[str]:
    """Check that each sample is recognised as its format and gives the groups that it expects."""
    for item in book.formats:
        unit = item.units[0] if item.units and not item.anywhere else None
        for sample in item.sample:
            frame = pl.DataFrame({"body": [sample.line], "unit": [unit]}, schema_overrides={"unit": pl.String})
            row = book.recognise(frame)
            if row["format"][0] != item.name:
                yield _fault(item, f"the sample is recognised as {row['format'][0]}", sample)
                continue
            if row["is_noise"][0] != sample.noise:
                yield _fault(item, f"noise is not {sample.noise}", sample)
            groups = pl.col("body").str.extract_groups(item.pattern)
            values = row.select(groups).unnest("body").row(0, named=True) if item.groups else {}
            for group, value in sample.expect.items():
                if values.get(group) != value:
                    yield _fault(item, f"{group} is {values.get(group)!r}, not {value!r}", sample)


def _named(book: FormatBook) -> Iterator[str]:
    """Check that the formats that a file names exist, and that one format takes the lines of unknown programs."""
    for item in book.formats:
        for key in ("continues", "alone", "lookalike", "stack"):
            value = getattr(item, key) or ()
            for name in (value,) if isinstance(value, str) else value:
                if name != UNKNOWN and name not in book.by_name:
                    yield f"formats/{item.name}.toml: {key} names '{name}', which is not a format"
    takers = [item.name for item in book.formats if item.strangers]
    if len(takers) != 1:
        yield f"formats/: one format takes strangers, not {len(takers)}: {', '.join(takers)}"


def _shown(book: FormatBook) -> Iterator[str]:
    """Check that a sample shows each property of a format, and that the stages give what the samples expect."""
    owners = [(item, sample) for item in book.formats for sample in item.sample]
    events = _events(book, owners)
    for (item, sample), row in zip(owners, events.iter_rows(named=True), strict=True):
        if row["format"] != item.name:
            yield _fault(item, f"the sample is parsed as {row['format']}", sample)
        if sample.clock is not None and row["ts_source"] != sample.clock:
            yield _fault(item, f"the clock is '{row['ts_source']}', not '{sample.clock}'", sample)
        if sample.rebuilt is not None and row["text"] != sample.rebuilt:
            yield _fault(item, f"the rebuilt text is {row['text']!r}, not {sample.rebuilt!r}", sample)
    for item in book.formats:
        rows = events.filter(pl.Series([owner is item for owner, _ in owners]))
        yield from (f"formats/{item.name}.toml: {fault}" for fault in _unshown(item, rows))
    for item in book.formats:
        for owner, sample in owners:
            is_theirs = owner.name in (item.name, item.lookalike)
            if item.prefix and sample.line.startswith(item.prefix) and not is_theirs:
                yield _fault(owner, f"the sample begins with the prefix of {item.name}", sample)


def _unshown(item: LineFormat, rows: pl.DataFrame) -> Iterator[str]:
    """Yield the properties of a format that none of its samples shows."""
    lines = pl.Series([sample.line for sample in item.sample])
    if item.prefix and not lines.str.starts_with(item.prefix).any():
        yield "no sample begins with the prefix"
    for key in ("closes", "unix"):
        pattern = getattr(item, key)
        if pattern and not lines.str.contains(pattern).any():
            yield f"no sample matches '{key}'"
    if item.closes and lines.str.contains(item.closes).all():
        yield "no sample continues: all match 'closes'"
    clocks = {sample.clock for sample in item.sample}
    for clock in {item.clock, item.local} - {None}:
        if clock not in clocks:
            yield f"no sample expects the clock '{clock}'"
    if item.routed and rows["component"].null_count() == rows.height:
        yield "no sample names a route"
    if item.rebuilt != _PLAIN:
        yield from _unbuilt(item, rows)


def _unbuilt(item: LineFormat, rows: pl.DataFrame) -> Iterator[str]:
    """Yield the parts of the rebuilt text that no sample shows."""
    if not any(sample.rebuilt for sample in item.sample):
        yield "no sample expects a rebuilt text"
    parts = [text for part in item.rebuilt for text in ((part,) if isinstance(part, str) else part)]
    pieces = {name for part in parts for name in re.findall(r"\{(\w+)\}", part)}
    if "our_fault" in pieces and not item.routed:
        yield "'our_fault' is the text of a format that is routed"
    for name in sorted(pieces.intersection(rows.columns)):
        if rows[name].null_count() == rows.height:
            yield f"no sample has the piece '{name}' of the rebuilt text"


def _events(book: FormatBook, owners: list[tuple[LineFormat, Sample]]) -> pl.DataFrame:
    """The samples as EVENTS, with the text that is rebuilt from the columns that a store keeps."""
    # A line that looks like one of another format goes to the reader of that format first.
    first = {item.lookalike: item.name for item in book.formats if item.lookalike}
    records = pl.DataFrame(
        {
            "line_no": range(1, len(owners) + 1),
            "line_count": [1] * len(owners),
            "format": [first.get(item.name, item.name) for item, _ in owners],
            "body": [sample.line for _, sample in owners],
        }
    )
    missing = {name: pl.lit(None, dtype=kind) for name, kind in schema.RECORDS.items() if name not in records.columns}
    records = records.with_columns(**missing).select(schema.RECORDS.names()).cast(schema.RECORDS)
    events, _ = parse(records, book=book, clock=_CLOCK)
    is_record = pl.col("format").is_in(book.read_by("record"))
    calls = decoding.read(events.select(pl.when(is_record).then("text")).to_series())
    calls = calls.select("row", **{name: pl.col(column) for name, column in _OF_CALLS.items()})
    events = events.drop("text").with_row_index("row").join(calls, on="row", how="left", maintain_order="left")
    return stored_text.rebuild(events, book)


def _fault(item: LineFormat, what: str, sample: Sample) -> str:
    return f"formats/{item.name}.toml: {what}: {sample.line}"
