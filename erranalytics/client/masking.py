"""Texts that may be written: without keys, without what people asked or a model answered, and never long.

The recorder imports nothing but the standard library, so ``erranalytics.redact``, which works on columns, is not used
here; a test holds both to the same secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

TEXT_LIMIT = 2_000
NAME_LIMIT = 200
# Shorter texts of a request ("hi", "json") stand in error messages by chance.
QUOTED_FROM = 8
# Above this a request is not read again to find what an error quotes of it; the error is then not written.
REQUEST_LIMIT = 1 << 20
STRETCH, LINES_LIMIT = 24, 2_000

_SECRETS = (
    (re.compile(r"([?&](?:key|token|api_key|access_token|X-Amz-[A-Za-z-]+)=)[^&\"\s\\]+"), r"\1[redacted]"),
    (re.compile(r"(?im)^((?:proxy-)?authorization|cookie|set-cookie|x-api-key|api-key)(: ).+"), r"\1\2[redacted]"),
    (re.compile(r"(?i)(bearer )[\w.~+/=-]{8,}"), r"\1[redacted]"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"), "[redacted]"),
    (re.compile(r"(://)[^/\s:@\"]+:[^/\s@\"]+@"), r"\1[redacted]@"),
)
# Without one of these nothing above fits; most texts are short names.
_HINT = re.compile(r"(?i)[?&]|bearer |sk-|://|authorization|cookie|api-key")
# What an error body says of the error itself. Others may repeat the request, as validators of gateways do.
_KEPT = frozenset(
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
# Where a request holds words of people.
_WORDS = ("messages", "prompt", "system", "suffix", "input", "instructions", "template", "tools", "format", "documents")
_NO_WORDS = frozenset(("role", "type", "name"))


def masked(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """A text without keys and passwords, cut at ``limit`` characters.

    >>> masked("GET https://a.b/connect?name=x&key=c3NoLWVk: 401")
    'GET https://a.b/connect?name=x&key=[redacted] 401'
    >>> masked("x" * 30, limit=10)
    'xxxxxxxxxx… (30 characters)'
    """
    if len(text) <= limit and not _HINT.search(text):
        return text
    # A key that the cut halves must be seen whole.
    head = text[: limit + 4_096]
    for pattern, replacement in _SECRETS:
        head = pattern.sub(replacement, head)
    return head if len(head) <= limit else f"{head[:limit]}… ({len(text)} characters)"


def error_body(body: bytes, words: Words) -> str | None:
    """The body of an error as it may be written: JSON with the keys that speak of the error, any other text cut.

    >>> error_body(b'{"error": {"message": "no", "input": "my secret plans"}, "served": 3}', Words(b""))
    '{"error":{"message":"no"}}'
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if not isinstance(value, dict | list):
        return words.hide(text)
    if words.are_unknown:
        return None
    return masked(json.dumps(_reduced(value, words), ensure_ascii=False, separators=(",", ":")))


def _reduced(value: Any, words: Words, depth: int = 0) -> Any:
    if depth > 8:
        return None
    if isinstance(value, dict):
        return {key: _reduced(member, words, depth + 1) for key, member in value.items() if key in _KEPT}
    if isinstance(value, list):
        return [_reduced(member, words, depth + 1) for member in value[:20]]
    return words.hide(value) if isinstance(value, str) else value


class Words:
    """The words people put into a request, to take them out of what an error quotes.

    A quote is a whole line of them, or any stretch of 24 characters: validators cut what they show.

    >>> Words(b'{"prompt": "tell me a secret"}').hide('cannot parse "tell me a secret" here')
    'cannot parse "[redacted 16 characters]" here'
    """

    def __init__(self, request: bytes | None) -> None:
        self.are_unknown = request is None or len(request) > REQUEST_LIMIT
        self._text, self._lines = "", set[str]()
        if self.are_unknown or not request:
            return
        try:
            asked = json.loads(request)
        except (ValueError, RecursionError):
            # No JSON and so no call to a model: what it holds may be anything.
            self.are_unknown = True
            return
        if isinstance(asked, dict):
            texts = list(_texts(asked.get(key) for key in _WORDS))
            self._text = "\n".join(texts)
            lines = {line for text in texts for line in (text, *text.splitlines()) if len(line) >= QUOTED_FROM}
            self._lines = {form for line in lines for form in _escaped(line)} if len(lines) < LINES_LIMIT else lines

    def hide(self, text: str | None) -> str | None:
        """A text without quotes and keys, cut; nothing when it cannot be told what is a quote."""
        if self.are_unknown:
            return None
        if not text:
            return text
        # Far more than is kept, so that what is quoted at the cut is seen as a quote.
        text = text[: TEXT_LIMIT + 4_096]
        for line in sorted(self._lines, key=len, reverse=True):
            text = text.replace(line, _redacted(line))
        return masked(self._without_stretches(text) if self._text else text)

    def _without_stretches(self, text: str) -> str:
        parts, at, look = [], 0, 0
        half = STRETCH // 2
        while look + half <= len(text):
            place = self._text.find(text[look : look + half])
            start, end = (look, look + half) if place >= 0 else (look, look)
            while place > 0 and start > at and text[start - 1] == self._text[place - 1]:
                start, place = start - 1, place - 1
            while (
                place >= 0
                and end < len(text)
                and self._text[place + end - start : place + end - start + 1] == text[end]
            ):
                end += 1
            if end - start >= STRETCH:
                parts += [text[at:start], _redacted(text[start:end])]
                at = look = end
            else:
                look += half
        return "".join([*parts, text[at:]])


def _escaped(line: str) -> tuple[str, ...]:
    """A line as it may stand in an error: as it is, as JSON writes it, as Python shows it."""
    return line, json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1], repr(line)[1:-1]


def _redacted(text: str) -> str:
    return f"[redacted {len(text)} characters]"


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """All texts in nested values."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(member for key, member in value.items() if key not in _NO_WORDS)
        elif isinstance(value, list):
            waiting.extend(value)
