"""LINES → BODIES: what stands around a line (journald, docker, a stamp) is taken off."""
