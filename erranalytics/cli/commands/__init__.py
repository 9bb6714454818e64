"""The commands: each parses, calls one function of ``api`` or ``reports`` and hands the result to ``render``."""
