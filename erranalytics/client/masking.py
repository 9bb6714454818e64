"""Masking of texts before they are written: no keys, no words from a request, and never long.

``erranalytics.redaction`` masks whole columns with the same patterns. It needs polars, which the recorder may not
import.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from erranalytics.client.bodies import parse_json
from erranalytics.client.secret_patterns import SECRETS

TEXT_LIMIT = 2_000
NAME_LIMIT = 200
# Shorter texts of a request ("hi", "json") are found in error messages by chance.
SHORTEST_QUOTE = 8
# A longer request is not searched for what an error quotes from it; its error is not written.
REQUEST_LIMIT = 1 << 20
# A run of this many characters that the request has too is a quote, wherever it begins and ends.
QUOTED_RUN, LINES_LIMIT = 24, 2_000

_SECRETS = tuple((re.compile(pattern), replacement) for pattern, replacement in SECRETS.items())
# A text without one of these holds no secret; most texts are short names, and this test is quicker than five patterns.
_HINT = re.compile(r"(?i)[?&]|bearer |sk-|://|authorization|cookie|api-key")
# Keys of an error body that describe the error. The others may repeat the request, as validators of gateways do.
_ERROR_KEYS = frozenset(
    [
        "code",
        "detail",
        "error",
        "errors",
        "loc",
        "message",
        "msg",
        "object",
        "param",
        "reason",
        "request_id",
        "status",
        "status_code",
        "type",
        "url",
    ]
)
# The keys of a request that hold what a person wrote.
_PROMPT_KEYS = (
    "messages",
    "prompt",
    "system",
    "suffix",
    "input",
    "instructions",
    "template",
    "tools",
    "format",
    "documents",
)
_PLAIN_KEYS = frozenset(("role", "type", "name"))


def masked(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """A text without keys and passwords, cut at ``limit`` characters.

    >>> masked("GET https://a.b/connect?name=x&key=c3NoLWVk: 401")
    'GET https://a.b/connect?name=x&key=[redacted] 401'
    >>> masked("x" * 30, limit=10)
    'xxxxxxxxxx… (30 characters)'
    """
    if len(text) <= limit and not _HINT.search(text):
        return text
    # Patterns must see the whole of a key that the limit would cut in half.
    head = text[: limit + 4_096]
    for pattern, replacement in _SECRETS:
        head = pattern.sub(replacement, head)
    return head if len(head) <= limit else f"{head[:limit]}… ({len(text)} characters)"


def error_body(body: bytes, words: RequestWords) -> str | None:
    """The masked body of an error: of JSON the keys that describe the error, of any other text its beginning.

    >>> error_body(b'{"error": {"message": "no", "input": "my secret plans"}, "served": 3}', RequestWords(b""))
    '{"error":{"message":"no"}}'
    """
    text = body.decode("utf-8", "replace").strip()
    value = parse_json(text, default=text)
    if not isinstance(value, dict | list):
        return words.hide(text)
    if words.are_unknown:
        return None
    return masked(json.dumps(_reduced(value, words), ensure_ascii=False, separators=(",", ":")))


def _reduced(value: Any, words: RequestWords, depth: int = 0) -> Any:
    if depth > 8:
        return None
    if isinstance(value, dict):
        return {key: _reduced(member, words, depth + 1) for key, member in value.items() if key in _ERROR_KEYS}
    if isinstance(value, list):
        return [_reduced(member, words, depth + 1) for member in value[:20]]
    return words.hide(value) if isinstance(value, str) else value


class RequestWords:
    """The words that a person put into a request; ``hide`` takes them out of an error that quotes them.

    A quote is a whole line of the request, or any run of 24 characters: validators shorten what they show.

    >>> RequestWords(b'{"prompt": "tell me a secret"}').hide('cannot parse "tell me a secret" here')
    'cannot parse "[redacted 16 characters]" here'
    """

    def __init__(self, request: bytes | None) -> None:
        self.are_unknown = request is None or len(request) > REQUEST_LIMIT
        self._text, self._lines = "", set[str]()
        if self.are_unknown or not request:
            return
        fields = parse_json(request, default=...)
        # A request that is not JSON is not a call to a model, and any part of it may be private.
        self.are_unknown = fields is ...
        if isinstance(fields, dict):
            texts = list(_texts(fields.get(key) for key in _PROMPT_KEYS))
            self._text = "\n".join(texts)
            lines = {line for text in texts for line in (text, *text.splitlines()) if len(line) >= SHORTEST_QUOTE}
            self._lines = {form for line in lines for form in _escaped(line)} if len(lines) < LINES_LIMIT else lines

    def hide(self, text: str | None) -> str | None:
        """The text without quotes and keys, cut to the limit; null when the request is unknown."""
        if self.are_unknown:
            return None
        if not text:
            return text
        # Longer than the result, so that a quote across the limit is still recognised.
        text = text[: TEXT_LIMIT + 4_096]
        for line in sorted(self._lines, key=len, reverse=True):
            text = text.replace(line, _redacted(line))
        return masked(self._without_quoted_runs(text) if self._text else text)

    def _without_quoted_runs(self, text: str) -> str:
        # Every run of QUOTED_RUN characters holds a whole window of half that length, so only each window is looked
        # up in the request; a window that is found is then grown to both sides.
        parts, position, window = [], 0, 0
        half = QUOTED_RUN // 2
        while window + half <= len(text):
            place = self._text.find(text[window : window + half])
            start, end = (window, window + half) if place >= 0 else (window, window)
            while place > 0 and start > position and text[start - 1] == self._text[place - 1]:
                start, place = start - 1, place - 1
            while (
                place >= 0
                and end < len(text)
                and self._text[place + end - start : place + end - start + 1] == text[end]
            ):
                end += 1
            if end - start >= QUOTED_RUN:
                parts += [text[position:start], _redacted(text[start:end])]
                position = window = end
            else:
                window += half
        return "".join([*parts, text[position:]])


def _escaped(line: str) -> tuple[str, ...]:
    """A line in the forms an error may quote: as it is, as JSON writes it, as Python shows it."""
    return line, json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1], repr(line)[1:-1]


def _redacted(text: str) -> str:
    return f"[redacted {len(text)} characters]"


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """All texts in nested values, but for roles, types and names."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(member for key, member in value.items() if key not in _PLAIN_KEYS)
        elif isinstance(value, list):
            waiting.extend(value)
