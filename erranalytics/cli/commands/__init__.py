"""The commands: each parses, calls one function of ``api`` or ``reports``, and passes the result to ``render``."""
