"""What a request says of itself, and what the headers of an answer add: facts of a record, never the words in them."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from erranalytics.client.masking import NAME_LIMIT, masked

# Requests above this are searched at both ends instead of being parsed: images make them megabytes long.
PARSED_UP_TO = 128 << 10
ENDS = 4 << 10

ROUTES = re.compile(
    r"/(?:api/(?:generate|chat|embed|embeddings|tags|ps|show|pull|push|create|copy|delete|version)"
    r"|v1/(?:chat/completions|completions|embeddings|responses|messages|models(?=/|$)))(?=/?$|/[^/]+$)"
)
INFERENCE = frozenset(
    (
        "/api/generate",
        "/api/chat",
        "/api/embed",
        "/api/embeddings",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
    )
)
# These stream unless a request says otherwise (docs/api.md at v0.24.0).
STREAM_BY_DEFAULT = frozenset(("/api/generate", "/api/chat", "/api/pull", "/api/push", "/api/create"))
_MODEL = re.compile(rb'(?<!\\)"(?:model|name)"\s*:\s*"([^"\\]{1,300})"')
_STREAM = re.compile(rb'(?<!\\)"stream"\s*:\s*(true|false)')
_AGENTS = (
    (re.compile(r"^(ollama-python|litellm|langchain-ollama|python-httpx2?|python-requests)/([\w.+-]{1,40})"), None),
    (re.compile(r"^(?:Async)?(OpenAI|Anthropic)/Python ([\w.+-]{1,40})"), "-python"),
    (re.compile(r"\b(aiohttp)/([\w.+-]{1,40})"), None),
)


def endpoint(path: str) -> str | None:
    """The route of Ollama a path ends in, whatever a gateway put before it; nothing for other paths.

    >>> endpoint("/proxy/v1/chat/completions"), endpoint("/v1/models/tiny"), endpoint("/health")
    ('/v1/chat/completions', '/v1/models', None)
    """
    found = ROUTES.search(path)
    return found[0] if found else None


def is_ollama(host: str) -> bool:
    """Whether a host is by its port, or by ``OLLAMA_HOST``, a server of Ollama."""
    named = os.environ.get("OLLAMA_HOST", "").split("//")[-1].strip("/")
    return host.endswith(":11434") or (bool(named) and host == named)


def body_facts(body: bytes, route: str | None) -> tuple[str | None, bool | None]:
    """Model and ``stream`` of a request.

    >>> body_facts(b'{"model": "tiny", "prompt": "hello"}', "/api/generate")
    ('tiny', True)
    >>> body_facts(b"", "/api/tags")
    (None, False)
    """
    model, stream = _parsed(body) if len(body) <= PARSED_UP_TO else _searched(body)
    if stream is None and route is not None:
        stream = route in STREAM_BY_DEFAULT
    return model, stream


def _parsed(body: bytes) -> tuple[str | None, bool | None]:
    try:
        asked = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(asked, dict):
        return None, None
    model, stream = asked.get("model") or asked.get("name"), asked.get("stream")
    return (
        masked(model, limit=NAME_LIMIT) if isinstance(model, str) else None,
        stream if isinstance(stream, bool) else None,
    )


def _searched(body: bytes) -> tuple[str | None, bool | None]:
    """Both ends only: SDKs write the model first or last."""
    ends = (body[:ENDS], body[-ENDS:])
    models = [found[1].decode("utf-8", "replace") for end in ends if (found := _MODEL.search(end))]
    streams = [found[1] == b"true" for end in ends if (found := _STREAM.search(end))]
    return (masked(models[0], limit=NAME_LIMIT) if models else None), (streams[-1] if streams else None)


def client_name(agent: str, library: str) -> str:
    """Library and version by the ``User-Agent``; what a program put there itself is not taken over.

    >>> client_name("ollama-python/0.6.3 (x86_64 linux) Python/3.11.7", "httpx/0.28.1")
    'ollama-python/0.6.3'
    >>> client_name("AsyncOpenAI/Python 3.57.0", "httpx2/2.16.2")
    'openai-python/3.57.0'
    >>> client_name("my shop", "httpx/0.28.1")
    'httpx/0.28.1'
    """
    for pattern, suffix in _AGENTS:
        if found := pattern.search(agent):
            return f"{found[1].lower()}{suffix or ''}/{found[2]}".removeprefix("python-")
    return library


def attempt(headers: Mapping[str, str]) -> int:
    """Which attempt a request is: the SDKs of OpenAI and Anthropic count their retries in a header."""
    retries = headers.get("x-stainless-retry-count", "")
    return int(retries) + 1 if retries.isdecimal() and len(retries) < 4 else 1


def trace(headers: Mapping[str, str]) -> str | None:
    """The trace a request belongs to (W3C ``traceparent``)."""
    found = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", headers.get("traceparent", ""))
    return found[1] if found else None


def answer_facts(headers: Mapping[str, str], status: int) -> dict[str, Any]:
    """What the headers of an answer say about limits, maintenance and the request's name upstream."""
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
    if until := _first(headers, "x-maintenance-until"):
        stamp = moment(until)
        facts["maintenance_until" if stamp else "maintenance_until_text"] = stamp or masked(until, limit=NAME_LIMIT)
    return facts


def _first(headers: Mapping[str, str], *names: str) -> str | None:
    return next((value for name in names if (value := headers.get(name))), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds an answer asks to wait, from ``Retry-After-Ms`` or ``Retry-After`` as a number or a date.

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "1500"}), retry_after({})
    (2.0, 1.5, None)
    """
    for name, scale in (("retry-after-ms", 1_000), ("retry-after", 1)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,6})?", value):
            return round(float(value) / scale, 3)
    if stamp := _http_date(headers.get("retry-after", "")):
        return round(max(0.0, stamp - time.time()), 3)
    return None


def moment(text: str) -> str | None:
    """A time in UTC as records write it, from ISO 8601, a Unix time or the date of HTTP.

    >>> moment("2026-11-26T04:00:00+01:00"), moment("1795662000"), moment("soon")
    ('2026-11-26T03:00:00.000000Z', '2026-11-26T03:00:00.000000Z', None)
    """
    text = text.strip()
    if re.fullmatch(r"\d{9,11}(?:\.\d{1,6})?", text):
        return stamp(float(text))
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        seconds = _http_date(text)
        return None if seconds is None else stamp(seconds)
    return stamp((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _http_date(text: str) -> float | None:
    if not text.endswith("GMT"):
        return None
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def stamp(seconds: float) -> str:
    """Seconds since 1970 as records write times: UTC with microseconds.

    >>> stamp(1795662000.25)
    '2026-11-26T03:00:00.250000Z'
    """
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1e6):06d}Z"
