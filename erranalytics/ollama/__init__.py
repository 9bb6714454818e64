"""Facts about Ollama itself: routes, versions, settings."""
