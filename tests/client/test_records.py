"""The form of the records: their model, their page, and the recorder, which writes exactly that form."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import get_args

import pytest
from pydantic import ValidationError
from support.folders import ROOT

from erranalytics.calls.record import CallRecord, read
from erranalytics.client import recorder
from erranalytics.client.outcome import OUTCOMES, Outcome
from erranalytics.client.sdk_errors import STATUS_SOURCES, StatusSource
from scripts.reference import calls as reference

LEAST = {
    "ts_start": "2026-11-26T03:00:00Z",
    "ts_end": "2026-11-26T03:00:01Z",
    "duration_ms": 1000,
    "outcome": "completed",
}


def test_the_recorder_writes_the_fields_of_the_model() -> None:
    """Name for name and in the same order, so that neither can change alone."""
    names = [field.alias or name for name, field in CallRecord.model_fields.items()]
    assert names == ["schema", *recorder.FIELDS, "attrs"]
    assert CallRecord.model_fields["schema_name"].default == recorder.SCHEMA


def test_every_outcome_and_source_is_explained() -> None:
    """Every outcome and every source of a status has a meaning, and every outcome an example."""
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert set(STATUS_SOURCES) == set(get_args(StatusSource))
    assert {one.outcome for one in reference.examples()} == set(OUTCOMES)


def test_a_line_gives_the_record_and_the_record_gives_the_line() -> None:
    """Reading what was written gives the same again."""
    for one in reference.examples():
        assert read(one.to_json()) == one


def test_a_record_cannot_be_changed() -> None:
    """A record is frozen."""
    with pytest.raises(ValidationError):
        read(json.dumps(LEAST)).outcome = "failed"


def test_unknown_fields_are_kept() -> None:
    """A later version, or another program, may write more fields."""
    one = CallRecord.model_validate({**LEAST, "gpu": "a", "attrs": {"gpu": "b", "n": 1}})
    assert one.attrs == {"gpu": "b", "n": 1}


BROKEN = {
    "a stream that failed": {"outcome": "failed", "stream": True},
    "a whole answer that was truncated": {"outcome": "truncated", "stream": False},
    "a status from nowhere": {"http_status": 200, "status_source": "none"},
    "a sentinel as a status": {"http_status": 200, "status_source": "sentinel"},
    "a status that is none": {"http_status": -1, "status_source": "wire"},
    "an unknown outcome": {"outcome": "done"},
    "a time without a zone": {"ts_start": "2026-11-26T03:00:00"},
    "a form that means something else": {"schema": "erranalytics.call/2"},
}


@pytest.mark.parametrize("name", BROKEN)
def test_records_that_contradict_themselves_are_refused(name: str) -> None:
    """A record that cannot be true is refused."""
    with pytest.raises(ValidationError):
        CallRecord.model_validate({**LEAST, **BROKEN[name]})


def test_the_schema_is_published() -> None:
    """docs/call-record.schema.json says what the model says, and lets readers meet fields they do not know."""
    schema = json.loads((ROOT / "docs" / reference.SCHEMA_PAGE).read_text(encoding="utf-8"))
    assert schema["properties"].keys() == {"schema", *recorder.FIELDS, "attrs"}
    assert schema["additionalProperties"] is True
    assert sorted(schema["required"]) == ["duration_ms", "outcome", "ts_end", "ts_start"]


# --- cheap to have -------------------------------------------------------------------------------------------------


# The package resolves its names when they are first used, so these load all of the recorder.
IMPORT = "from erranalytics.client import Recorder, record, wrap"


def loaded_by(code: str, *, before: str = "") -> set[str]:
    """Top-level packages that some code loads, in a process of its own, beyond those of the code before."""
    script = f"import sys\n{before}\nbefore = set(sys.modules)\n{code}\n"
    script += "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_recorder_loads_the_standard_library_only() -> None:
    """Neither polars nor DuckDB nor pydantic, and none of the clients it can watch."""
    assert loaded_by(IMPORT) - sys.stdlib_module_names == {"erranalytics"}


def test_recording_loads_nothing_more() -> None:
    """A call that is recorded needs the standard library only, beyond the client itself."""
    pytest.importorskip("httpx")
    code = (
        "from erranalytics.client import record\nimport os, tempfile\n"
        "with tempfile.TemporaryDirectory() as folder, record(os.path.join(folder, 'c')) as recorder:\n"
        "    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={'done': True}))\n"
        "    with httpx.Client(transport=transport) as client:\n"
        "        client.post('http://o:11434/api/generate', json={'model': 'm', 'stream': False})\n"
        "assert recorder.written_count == 1\n"
    )
    found = loaded_by(code, before="import httpx, encodings.idna") - sys.stdlib_module_names
    assert found <= {"erranalytics", "httpx", "httpcore", "anyio", "sniffio", "certifi"}


def test_importing_the_recorder_is_quick() -> None:
    """Under a tenth of a second more than Python itself takes, at the best of several times."""

    def took(code: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        return time.perf_counter() - begun

    took(IMPORT)
    assert min(took(IMPORT) for _ in range(5)) - min(took("pass") for _ in range(5)) < 0.1
