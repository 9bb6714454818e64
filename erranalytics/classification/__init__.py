"""EVENTS → VERDICTS: which cause a text names, and its remedy."""
