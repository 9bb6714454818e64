"""The routes of Ollama, by what they answer."""

from __future__ import annotations

# Their answers say in the body whether they are complete (docs/api.md@v0.24.0).
NATIVE_PATHS = ("/api/generate", "/api/chat")
STREAM_PATHS = (*NATIVE_PATHS, "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
EMBED_PATHS = ("/api/embed", "/api/embeddings", "/v1/embeddings")
# These answer 200 at once and may still fail: their first progress line is sent before the work.
PROGRESS_PATHS = ("/api/pull", "/api/push", "/api/create")
STATUS_PATHS = ("/api/version", "/api/tags", "/api/ps")
MODEL_PATHS = ("/api/show", "/api/copy", "/api/delete", "/v1/models")
PATHS = (*STREAM_PATHS, *EMBED_PATHS, *PROGRESS_PATHS, *STATUS_PATHS, *MODEL_PATHS)

INFERENCE = frozenset((*STREAM_PATHS, *EMBED_PATHS))
# These stream unless a request says otherwise (docs/api.md@v0.24.0).
STREAM_BY_DEFAULT = frozenset((*NATIVE_PATHS, *PROGRESS_PATHS))
