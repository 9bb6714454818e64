"""The routes of Ollama, and which of them a path is."""

from __future__ import annotations

import polars as pl

POLL_PATHS = ("/", "/api/version", "/api/tags", "/api/ps")
STREAM_PATHS = (
    "/api/generate",
    "/api/chat",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
)
EMBED_PATHS = ("/api/embed", "/api/embeddings", "/v1/embeddings")
# These answer 200 at once and may still fail: their first progress line is sent before the work.
PROGRESS_PATHS = ("/api/pull", "/api/push", "/api/create")
OTHER_PATHS = ("/api/show", "/api/copy", "/api/delete", "/api/me", "/api/signout", "/v1/models")
KNOWN_PATHS = (*POLL_PATHS, *STREAM_PATHS, *EMBED_PATHS, *PROGRESS_PATHS, *OTHER_PATHS)

# A proxy may serve Ollama below a path of its own. Names that any program could use count without such a path only.
_BELOW = (
    r"^/[\w.~/-]*?(/(?:api/(?:generate|chat|embed|embeddings|tags|ps|show|pull|blobs/[^/]+)"
    r"|v1/(?:chat/completions|completions|responses|messages|embeddings|models(?:/.+)?)))$"
)


def endpoint(path: pl.Expr) -> pl.Expr:
    """The route of a path: digests and model names are cut off, unknown routes become ``/other``."""
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
    """The path as Ollama gets it, of a path at a gateway; null where the request is not for Ollama.

    >>> frame = pl.DataFrame({"p": ["/api/chat", "/ollama/v1/models/demo", "/shop/api/create", "/"]})
    >>> frame.select(behind_gateway(pl.col("p"))).to_series().to_list()
    ['/api/chat', '/v1/models/demo', None, None]
    """
    is_known = path.is_in([one for one in KNOWN_PATHS if one != "/"]) | path.str.starts_with("/api/blobs/")
    return pl.when(is_known).then(path).otherwise(path.str.extract(_BELOW, 1))
