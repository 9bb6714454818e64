"""Patterns of secrets in a text, for the recorder and for what reads its records and logs."""

from __future__ import annotations

# Each pattern with its replacement, in a syntax that both Python and the regex engine of polars understand.
SECRETS = {
    r"([?&](?:key|token|api_key|access_token|X-Amz-[A-Za-z-]+)=)[^&\"\s\\]+": r"\1[redacted]",
    r"(?im)^((?:proxy-)?authorization|cookie|set-cookie|x-api-key|api-key)(: ).+": r"\1\2[redacted]",
    r"(?i)(bearer )[\w.~+/=-]{8,}": r"\1[redacted]",
    r"\bsk-[A-Za-z0-9_-]{16,}": "[redacted]",
    r"(://)[^/\s:@\"]+:[^/\s@\"]+@": r"\1[redacted]@",
}
