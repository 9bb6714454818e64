"""The page about records of calls, from their model and examples, and the JSON Schema of a record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from erranalytics.calls.record import CallRecord, read
from erranalytics.client.outcome import OUTCOMES
from erranalytics.client.sdk_errors import STATUS_SOURCES
from scripts.reference.markdown import GENERATED, code, fence, page, table

EXAMPLES = Path(__file__).resolve().parent / "call-examples.jsonl"
SCHEMA_PAGE = "call-record.schema.json"
HEAD = f"""A record is one line of JSON. It describes one call to a model, or one attempt at it. The
[recorder](recorder.md) writes such records for programs in Python; other programs may write them too, following the
[JSON Schema]({SCHEMA_PAGE}). Unknown fields are kept in `attrs`, so a record with more fields can still be read. A
record whose fields mean something else needs another `schema`."""


def pages() -> dict[str, str]:
    """The text of each page by its path below ``docs``."""
    return {"client-records.md": page(_blocks()), SCHEMA_PAGE: schema_text()}


def schema_text() -> str:
    """The JSON Schema of a record."""
    schema = CallRecord.model_json_schema(by_alias=True)
    # Readers keep unknown fields.
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "additionalProperties": True}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def examples() -> list[CallRecord]:
    """Records of every outcome, written against a server that misbehaves."""
    return [read(line) for line in EXAMPLES.read_text(encoding="utf-8").splitlines()]


def _blocks() -> Iterator[str]:
    yield "# Records of calls"
    yield GENERATED
    yield HEAD
    yield "## Fields"
    yield _fields()
    yield "## Where a status comes from"
    yield table(("source", "meaning"), ((code(name), text) for name, text in STATUS_SOURCES.items()), is_markup=True)
    yield "## Outcomes"
    yield "The examples leave out fields without a value; a record holds all of them."
    for outcome, meaning in OUTCOMES.items():
        yield f"### {outcome}"
        yield meaning
        yield fence("json", [_shown(record) for record in examples() if record.outcome == outcome])


def _fields() -> str:
    rows = [
        (code(field.alias or name), _kind(str(field.annotation)), field.description or "")
        for name, field in CallRecord.model_fields.items()
    ]
    return table(("field", "type", "meaning"), rows, is_markup=True)


def _kind(annotation: str) -> str:
    """The word for a type from its Python name."""
    words = {"datetime": "time", "Datetime": "time", "dict": "object", "bool": "true or false", "float": "number"}
    words |= {"int": "integer"}
    return next((word for part, word in words.items() if part in annotation), "text")


def _shown(record: CallRecord) -> str:
    data = json.loads(record.to_json())
    return json.dumps({name: value for name, value in data.items() if value is not None}, ensure_ascii=False)
