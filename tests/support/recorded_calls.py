"""Calls to make while a recorder watches, and the records it wrote of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from erranalytics.calls import record
from support.wire.server import WireServer


def recorded(path: Path) -> list[dict[str, Any]]:
    """The records of a file that need not be there yet; every one of them fits the model."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    assert [record.read(line).to_json() for line in lines]
    return [json.loads(line) for line in lines]


def ask(client: Any, server: WireServer, model: str = "fine", **more: Any) -> Any:
    """One call that does not stream."""
    return client.post(server.url + "/api/generate", json={"model": model, "prompt": "x", "stream": False, **more})


def stream(client: Any, server: WireServer, model: str = "fine", route: str = "/api/generate") -> Any:
    """A stream that is not read yet."""
    return client.stream("POST", server.url + route, json={"model": model, "prompt": "x", "stream": True})
