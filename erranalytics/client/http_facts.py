"""Fields of a record that come from a request and from the headers of its answer; none holds any of a prompt."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from erranalytics.client.bodies import parse_json
from erranalytics.client.masking import NAME_LIMIT, masked
from erranalytics.client.routes import PATHS, STREAM_BY_DEFAULT

# Images make a request megabytes long, so only both ends of a longer one are searched.
PARSE_LIMIT = 128 << 10
END_BYTES = 4 << 10

ROUTE = re.compile(rf"(?:{'|'.join(PATHS)})(?=/?$|/[^/]+$)")
UNREADABLE_MAINTENANCE = "maintenance_until_text"
_MODEL = re.compile(rb'(?<!\\)"(?:model|name)"\s*:\s*"([^"\\]{1,300})"')
_STREAM = re.compile(rb'(?<!\\)"stream"\s*:\s*(true|false)')
_AGENTS = (
    (re.compile(r"^(ollama-python|litellm|langchain-ollama|python-httpx2?|python-requests)/([\w.+-]{1,40})"), None),
    (re.compile(r"^(?:Async)?(OpenAI|Anthropic)/Python ([\w.+-]{1,40})"), "-python"),
    (re.compile(r"\b(aiohttp)/([\w.+-]{1,40})"), None),
)


def endpoint(path: str) -> str | None:
    """The route of Ollama that a path ends in, whatever a gateway put before it; null for other paths.

    >>> endpoint("/proxy/v1/chat/completions"), endpoint("/v1/models/tiny"), endpoint("/health")
    ('/v1/chat/completions', '/v1/models', None)
    """
    match = ROUTE.search(path)
    return match[0] if match else None


def is_ollama(host: str) -> bool:
    """Whether a host is Ollama's, by its port or because ``OLLAMA_HOST`` names it."""
    configured = os.environ.get("OLLAMA_HOST", "").split("//")[-1].strip("/")
    return host.endswith(":11434") or (bool(configured) and host == configured)


def body_facts(body: bytes, route: str | None) -> tuple[str | None, bool | None]:
    """The model of a request, and whether it asks for a stream.

    >>> body_facts(b'{"model": "tiny", "prompt": "hello"}', "/api/generate")
    ('tiny', True)
    >>> body_facts(b"", "/api/tags")
    (None, False)
    """
    model, stream = _parsed(body) if len(body) <= PARSE_LIMIT else _searched(body)
    if stream is None and route is not None:
        stream = route in STREAM_BY_DEFAULT
    return model, stream


def _parsed(body: bytes) -> tuple[str | None, bool | None]:
    fields = parse_json(body)
    if not isinstance(fields, dict):
        return None, None
    model, stream = fields.get("model") or fields.get("name"), fields.get("stream")
    return (
        masked(model, limit=NAME_LIMIT) if isinstance(model, str) else None,
        stream if isinstance(stream, bool) else None,
    )


def _searched(body: bytes) -> tuple[str | None, bool | None]:
    """Search both ends: SDKs write the model first or last."""
    ends = (body[:END_BYTES], body[-END_BYTES:])
    models = [match[1].decode("utf-8", "replace") for end in ends if (match := _MODEL.search(end))]
    streams = [match[1] == b"true" for end in ends if (match := _STREAM.search(end))]
    return (masked(models[0], limit=NAME_LIMIT) if models else None), (streams[-1] if streams else None)


def client_name(agent: str, library: str) -> str:
    """Library and version, by the ``User-Agent`` of an SDK that is known, else ``library``.

    >>> client_name("ollama-python/0.6.3 (x86_64 linux) Python/3.11.7", "httpx/0.28.1")
    'ollama-python/0.6.3'
    >>> client_name("AsyncOpenAI/Python 3.57.0", "httpx2/2.16.2")
    'openai-python/3.57.0'
    >>> client_name("my shop", "httpx/0.28.1")
    'httpx/0.28.1'
    """
    for pattern, suffix in _AGENTS:
        if match := pattern.search(agent):
            return f"{match[1].lower()}{suffix or ''}/{match[2]}".removeprefix("python-")
    return library


def attempt(headers: Mapping[str, str]) -> int:
    """The number of the attempt: the SDKs of OpenAI and Anthropic count their retries in a header."""
    retries = headers.get("x-stainless-retry-count", "")
    return int(retries) + 1 if retries.isdecimal() and len(retries) < 4 else 1


def trace_id(headers: Mapping[str, str]) -> str | None:
    """The trace that a request belongs to (W3C ``traceparent``)."""
    match = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", headers.get("traceparent", ""))
    return match[1] if match else None


def answer_facts(headers: Mapping[str, str], status: int) -> dict[str, Any]:
    """Limits, maintenance and the request's identifier upstream, from the headers of an answer."""
    facts: dict[str, Any] = {}
    request_id = _first(headers, "x-request-id", "request-id", "x-oneapi-request-id", "x-litellm-call-id", "cf-ray")
    if request_id:
        facts["upstream_request_id"] = masked(request_id, limit=NAME_LIMIT)
    for field, names in (
        ("ratelimit_limit", ("x-ratelimit-limit", "x-ratelimit-limit-requests", "ratelimit-limit")),
        ("ratelimit_remaining", ("x-ratelimit-remaining", "x-ratelimit-remaining-requests", "ratelimit-remaining")),
    ):
        value = (_first(headers, *names) or "").split(",")[0].strip()
        if value.isdecimal() and len(value) < 16:
            facts[field] = int(value)
    reset = _first(headers, "x-ratelimit-reset", "x-ratelimit-reset-requests", "ratelimit-reset")
    if reset:
        facts["ratelimit_reset"] = masked(reset, limit=NAME_LIMIT)
    if status >= 400 and (after := retry_after(headers)) is not None:
        facts["retry_after_s"] = after
    if until := headers.get("x-maintenance-until"):
        time_utc = utc_time(until)
        # A record's field holds a time; a text that is not one becomes an attribute.
        facts["maintenance_until" if time_utc else UNREADABLE_MAINTENANCE] = time_utc or masked(until, limit=NAME_LIMIT)
    return facts


def _first(headers: Mapping[str, str], *names: str) -> str | None:
    return next((value for name in names if (value := headers.get(name))), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks to wait, from ``Retry-After-Ms`` or ``Retry-After`` as a number or a date.

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "1500"}), retry_after({})
    (2.0, 1.5, None)
    """
    for name, scale in (("retry-after-ms", 1_000), ("retry-after", 1)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,6})?", value):
            return round(float(value) / scale, 3)
    if date := _http_date(headers.get("retry-after", "")):
        return round(max(0.0, date - time.time()), 3)
    return None


def utc_time(text: str) -> str | None:
    """A time in the form of records, from ISO 8601, a Unix time or a date of HTTP; null for any other text.

    >>> utc_time("2026-11-26T04:00:00+01:00"), utc_time("1795662000"), utc_time("soon")
    ('2026-11-26T03:00:00.000000Z', '2026-11-26T03:00:00.000000Z', None)
    """
    text = text.strip()
    if re.fullmatch(r"\d{9,11}(?:\.\d{1,6})?", text):
        return format_time(float(text))
    from datetime import UTC, datetime

    try:
        time_read = datetime.fromisoformat(text)
    except ValueError:
        seconds = _http_date(text)
        return None if seconds is None else format_time(seconds)
    return format_time((time_read if time_read.tzinfo else time_read.replace(tzinfo=UTC)).timestamp())


def _http_date(text: str) -> float | None:
    if not text.endswith("GMT"):
        return None
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def format_time(seconds: float) -> str:
    """Seconds since 1970 in the form of records: UTC with microseconds.

    >>> format_time(1795662000.25)
    '2026-11-26T03:00:00.250000Z'
    """
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1e6):06d}Z"
