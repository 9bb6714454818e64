"""EVENTS → VERDICTS: which cause a text names, with its remedy."""
