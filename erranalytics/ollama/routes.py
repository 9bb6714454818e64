"""The routes of Ollama, and the route of a path."""

from __future__ import annotations

import polars as pl

from erranalytics.client import routes

POLL_PATHS = ("/", *routes.STATUS_PATHS)
STREAM_PATHS, EMBED_PATHS, PROGRESS_PATHS = routes.STREAM_PATHS, routes.EMBED_PATHS, routes.PROGRESS_PATHS
OTHER_PATHS = (*routes.MODEL_PATHS, "/api/me", "/api/signout")
KNOWN_PATHS = (*POLL_PATHS, *STREAM_PATHS, *EMBED_PATHS, *PROGRESS_PATHS, *OTHER_PATHS)

# A proxy may serve Ollama below a path of its own. Only the routes listed here count below such a path; the other names
# could belong to any program.
_BELOW = (
    r"^/[\w.~/-]*?(/(?:api/(?:generate|chat|embed|embeddings|tags|ps|show|pull|blobs/[^/]+)"
    r"|v1/(?:chat/completions|completions|responses|messages|embeddings|models(?:/.+)?)))$"
)


def endpoint(path: pl.Expr) -> pl.Expr:
    """The route of a path: digests and model names become placeholders, unknown routes become ``/other``."""
    blobs = pl.when(path.str.starts_with("/api/blobs/")).then(pl.lit("/api/blobs/:digest"))
    return (
        pl.when(path.is_in(KNOWN_PATHS))
        .then(path)
        .otherwise(
            blobs.when(path.str.starts_with("/v1/models/"))
            .then(pl.lit("/v1/models/:model"))
            .otherwise(pl.lit("/other"))
        )
    )


def behind_gateway(path: pl.Expr) -> pl.Expr:
    """The path that Ollama gets for a path at a gateway; null if the request is not for Ollama.

    >>> frame = pl.DataFrame({"p": ["/api/chat", "/ollama/v1/models/demo", "/shop/api/create", "/"]})
    >>> frame.select(behind_gateway(pl.col("p"))).to_series().to_list()
    ['/api/chat', '/v1/models/demo', None, None]
    """
    is_known = path.is_in([route for route in KNOWN_PATHS if route != "/"]) | path.str.starts_with("/api/blobs/")
    return pl.when(is_known).then(path).otherwise(path.str.extract(_BELOW, 1))
