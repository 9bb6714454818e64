"""LINES → BODIES: take off what other programs put around a line (journald, docker, a stamp)."""
