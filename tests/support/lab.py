"""The lab: its logs, how its protocol is read, and what the logs cannot tell or tell besides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Faults of which the log of the server tells nothing: fault, or cause where nothing was broken; status of the access
# line; how many; why.
UNSEEN: list[tuple[str, int | None, int, str]] = [
    ("server_down", None, 26, "There was no server."),
    ("proxy_body_limit", None, 4, "The proxy refused the request, it never came to the server."),
    ("server_sigkill", None, 8, "A server that is killed writes nothing."),
    ("server_sigterm", 200, 2, "The server cut its streams as it ended, and logged them as answered."),
    ("client_timeout", None, 1, "The client left while its request was queued, which is never logged (findings, 3)."),
    ("client_cancel", 200, 14, "The client left in the middle of a stream, which is logged as answered."),
    ("runner_stopped", 200, 6, "The runner hung until the client or the proxy left: a stream that is logged as answered."),
    ("format_invalid", 200, 1, "v0.11 puts errors before the first token into a 200."),
    ("registry_manifest_error", 200, 1, "A pull fails inside its 200; only what fails on the way is logged."),
    ("registry_model_not_found", 200, 3, "As above."),
    ("registry_rate_limited", 200, 2, "As above."),
    ("registry_transfer_failed", 200, 2, "As above."),
    ("route_not_found", 404, 2, "A browser asked for its icon, which is no problem (NFD005, info)."),
    ("runner_sigkill", 200, 6, "Nobody asked for the model again, or it was unloaded first: its death was not noticed."),
    ("registry_insecure", 200, 1, "The log tells of the handshake (registry_tls), see below."),
]  # fmt: skip
# Incidents that no request of the protocol asked for: cause, how many, why.
UNASKED: list[tuple[str, int, str]] = [
    ("blob_not_found", 19, "A model of the lab lost its file on purpose; the server says so at each start."),
    ("model_corrupt", 18, "A model of the lab was cut on purpose; the server says so at each start."),
    ("upstream_cache_refresh_failed", 21, "The lab has no network; the server misses ollama.com at each start."),
    ("num_ctx_clamped", 22, "The default context is larger than that of the tiny models; a warning, nothing failed."),
    ("gpu_discovery_failed", 1, "The machine has no GPU; a warning at the start."),
    ("port_in_use", 2, "The second server on the same port: events.jsonl, not a request."),
    ("registry_tls", 1, "The registry spoke plain HTTP, which the line calls a handshake that failed (d0427)."),
    ("runner_killed", 6, "Five deaths of BETWEEN; and a server that ends kills its runner, which reads like any kill."),
]


def servers(shared: Path) -> list[Path]:
    """The logs of all servers, in one order, so that all who ask for their store get the same one."""
    return sorted((shared / "lab" / "server").glob("*/server.log"))


def clients(shared: Path) -> list[Path]:
    """What each client recorded of its calls."""
    return sorted((shared / "lab" / "client").glob("*.jsonl"))


def rows(path: Path) -> list[Row]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
