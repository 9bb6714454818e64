"""Lines as logs hold them, one kind of clock each."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """A line as it leaves the wrapper, and how the wrapper prints it."""

    body: str
    kind: str | None = None
    stamp: str | None = None

    @property
    def raw(self) -> str:
        """The line in the log."""
        if self.stamp is None:
            return self.body
        stamp = f"[{self.stamp}]" if self.kind == "journal monotonic" else self.stamp
        return f"{stamp} {self.body}" if str(self.kind).startswith("stamp") else f"{stamp} h ollama[1]: {self.body}"


def slog(stamp: str, message: str = "a") -> str:
    """A slog line."""
    return f"time={stamp} level=INFO source=a.go:1 msg={message}"


def gin(stamp: str) -> str:
    """An access line."""
    return f'[GIN] {stamp.replace("-", "/").replace(" ", " - ")} | 200 | 1ms | 127.0.0.1 | POST     "/api/chat"'


def go(stamp: str) -> str:
    """A line of Go's log package."""
    return f"{stamp.replace('-', '/')} routes.go:1125: Listening on 127.0.0.1:11434"


def cpp(unix: int) -> str:
    """A line of the C++ server."""
    return f'INFO [main] build info | build=1 commit="952d03d" tid="1" timestamp={unix}'


def short(stamp: str, body: str = "") -> Line:
    """A line of ``journalctl``."""
    return Line(body or f"error {stamp}", "journal short", stamp)


def outer(kind: str, stamp: str, body: str = "") -> Line:
    """A line with another stamp around it."""
    return Line(body or f"error {stamp}", kind, stamp)


def bare(*bodies: str) -> list[Line]:
    """Lines without a wrapper."""
    return [Line(body) for body in bodies]
