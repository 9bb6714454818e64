"""The record of one call to a model, as the recorder of ``erranalytics.client`` writes it: one line of JSON.

The recorder itself writes plain dicts, because it must not need pydantic; tests check them against this model.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from erranalytics.client.outcome import STREAM_ONLY, Outcome
from erranalytics.client.sdk_errors import StatusSource

Milliseconds = Annotated[float, Field(ge=0)]


class CallRecord(BaseModel):
    """One call, or one attempt at it, from its start to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    schema_name: Literal["erranalytics.call/1"] = Field(
        default="erranalytics.call/1", alias="schema", description="Name and version of this form."
    )
    ts_start: AwareDatetime = Field(description="When the call began.")
    ts_end: AwareDatetime = Field(
        description="When it ended: with the last byte, the exception, or when it was closed."
    )
    duration_ms: Milliseconds = Field(description="How long it took, by a clock that is never set.")
    client: str | None = Field(default=None, description="Library and version that called.")
    endpoint: str | None = Field(default=None, description="The route, without what a gateway put before it.")
    url_host: str | None = Field(default=None, description="Host and port of the URL.")
    method: str | None = Field(default=None, description="Method of HTTP.")
    model: str | None = Field(default=None, description="The model that was asked.")
    stream: bool | None = Field(default=None, description="Whether an answer in pieces was asked for.")
    http_status: int | None = Field(default=None, ge=100, le=599, description="Status of HTTP.")
    status_source: StatusSource = Field(default="none", description="Where the status comes from.")
    outcome: Outcome = Field(description="How the call ended.")
    first_chunk_ms: Milliseconds | None = Field(
        default=None, description="From the start to the first byte of the answer."
    )
    chunk_count: int | None = Field(
        default=None, ge=0, description="Objects of the stream: lines or events, without `[DONE]`."
    )
    last_chunk_gap_ms: Milliseconds | None = Field(
        default=None, description="From the last byte to the end of the call."
    )
    done_seen: bool | None = Field(default=None, description="Whether the end mark was seen.")
    error_type: str | None = Field(
        default=None, description="Class of the exception of the client, else the type the server gave its error."
    )
    error_message: str | None = Field(
        default=None, description="The error text of the server, else of the exception; masked."
    )
    error_body: str | None = Field(
        default=None, description="Body of the error, reduced to what describes the error; masked."
    )
    retry_after_s: float | None = Field(default=None, ge=0, description="Wait that the answer asks for.")
    ratelimit_limit: int | None = Field(default=None, ge=0, description="Calls allowed in a period.")
    ratelimit_remaining: int | None = Field(default=None, ge=0, description="Calls left of them.")
    ratelimit_reset: str | None = Field(
        default=None, description="When the period ends, as sent: servers write seconds, times and durations."
    )
    maintenance_until: AwareDatetime | None = Field(default=None, description="End of an announced maintenance.")
    upstream_request_id: str | None = Field(
        default=None, description="Identifier that the server or gateway gave the call."
    )
    attempt: int = Field(default=1, ge=1, description="Which attempt this is, 1 for the first.")
    app: str | None = Field(default=None, description="The program that called.")
    trace_id: str | None = Field(default=None, description="The trace that the call belongs to.")
    record_id: str | None = Field(
        default=None, description="Identifier that the program gave the call, else a random one."
    )
    attrs: dict[str, Any] = Field(default_factory=dict, description="Everything else.")

    @model_validator(mode="before")
    @classmethod
    def _keep_unknown_fields(cls, data: Any) -> Any:
        """Keep the fields of later versions and of other writers: they are no reason to refuse a record."""
        if not isinstance(data, dict):
            return data
        known = {"schema", *cls.model_fields}
        unknown = {name: value for name, value in data.items() if name not in known}
        if not unknown:
            return data
        fields = {name: value for name, value in data.items() if name in known}
        return {**fields, "attrs": {**unknown, **(data.get("attrs") or {})}}

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.outcome in STREAM_ONLY and self.stream is False:
            raise ValueError(f"{self.outcome} is the outcome of a stream")
        if self.outcome == "failed" and self.stream:
            raise ValueError("a stream fails before its first byte, in the middle, or is truncated")
        if self.http_status is not None and self.status_source in {"none", "sentinel"}:
            raise ValueError(f"a status whose source is {self.status_source}")
        return self

    def to_json(self) -> str:
        """The record as its line, without the line feed."""
        return self.model_dump_json(by_alias=True)


def read(line: str | bytes) -> CallRecord:
    """A record from its line.

    >>> read('{"ts_start":"2026-11-26T03:00:00Z","ts_end":"2026-11-26T03:00:01Z","duration_ms":1000,'
    ...      '"outcome":"completed","shelf":7}').attrs
    {'shelf': 7}
    """
    return CallRecord.model_validate_json(line)
