"""Remove secrets and prompts from text before anything is stored."""

from __future__ import annotations

import polars as pl

from erranalytics.text.literals import may_hold

# Attributes of debug and trace lines that hold the text of people or of a model.
PROMPT_KEYS = (
    "prompt",
    "messages",
    "req",
    "resp",
    "request_body",
    "content",
    "input",
    "string",
    "text",
    "body",
    "output",
    "thinking",
    "raw",
)

# One attribute of a slog line, with the blank before it.
TOKEN = r' (?:"[^"]*"|[^\s="]+)=(?:"(?:[^"\\]|\\.)*"|\S*)'
_KEYS = "|".join(PROMPT_KEYS)
_KEY_SIGNS = tuple(f" {key}=" for key in PROMPT_KEYS)
# Numbers under these keys are lengths, so they stay.
_SECRET_TOKEN = rf'^ (?:{_KEYS})=(?:"(?:[^"\\]|\\.)*[^\d"](?:[^"\\]|\\.)*"|[^\s"]*[^\d"\s]\S*)$'
# Trace lines use the key `string` for tokens, but it also holds how a process ended (llm/server.go at v0.24.0).
_EXIT_TOKEN = r'^ string="?(?:signal|exit status)'
_HINTS = ("key=", "earer ", "EARER ", "sk-", "://", "assword", "oken=", "ookie: ", "uthorization: ", "pi-")
_MASKS = {
    r"([?&](?:key|token|api_key|access_token|X-Amz-[A-Za-z-]+)=)[^&\"\s\\]+": "${1}[redacted]",
    r"(?im)^((?:proxy-)?authorization|cookie|set-cookie|x-api-key|api-key)(: ).+": "${1}${2}[redacted]",
    r"(?i)(bearer )[\w.~+/=-]{8,}": "${1}[redacted]",
    r"\bsk-[A-Za-z0-9_-]{16,}": "[redacted]",
    r"(://)[^/\s:@\"]+:[^/\s@\"]+@": "${1}[redacted]@",
}


def mask_secrets(text: pl.Series) -> pl.Series:
    """Replace keys in URLs, bearer tokens and passwords by ``[redacted]``.

    >>> mask_secrets(pl.Series(["GET https://a.b/connect?name=x&key=c3NoLWVk", "plain"])).to_list()
    ['GET https://a.b/connect?name=x&key=[redacted]', 'plain']
    """
    if not may_hold(text, _HINTS):
        return text
    suspicious = text.str.contains_any(list(_HINTS)).fill_null(value=False)
    if not suspicious.any():
        return text
    masked = pl.col("text")
    for pattern, replacement in _MASKS.items():
        masked = masked.str.replace_all(pattern, replacement)
    frame = pl.DataFrame({"text": text, "suspicious": suspicious})
    return frame.select(pl.when("suspicious").then(masked).otherwise("text").alias(text.name)).to_series()


def mask_prompts(attrs: pl.Series) -> pl.Series:
    """Replace slog attributes whose key names a prompt or a response by their length and a hash.

    >>> mask_prompts(pl.Series([' images=0 prompt=30', None])).to_list()
    [' images=0 prompt=30', None]
    >>> mask_prompts(pl.Series([' prompt="[user] hello"']))[0].startswith(' prompt="[redacted 22 chars ')
    True
    """
    if not may_hold(attrs, _KEY_SIGNS):
        return attrs
    frame = pl.DataFrame({"attrs": attrs}).with_row_index("row")
    has_key = pl.col("attrs").str.contains(rf" (?:{_KEYS})=")
    chosen = frame.filter(has_key)
    if chosen.is_empty():
        return attrs
    tokens = chosen.select("row", token=pl.col("attrs").str.extract_all(TOKEN)).explode("token")
    name = pl.col("token").str.extract(r"^ ([^=]+)=")
    mask = pl.format(' {}="[redacted {} chars {}]"', name, pl.col("token").str.len_chars(), pl.col("token").hash(0))
    is_secret = pl.col("token").str.contains(_SECRET_TOKEN) & ~pl.col("token").str.contains(_EXIT_TOKEN)
    tokens = tokens.with_columns(pl.when(is_secret).then(mask).otherwise("token").alias("token"))
    joined = tokens.group_by("row", maintain_order=True).agg(masked=pl.col("token").str.join(""))
    masked = frame.join(joined, on="row", how="left", maintain_order="left")
    return masked.select(pl.coalesce("masked", "attrs").alias(attrs.name)).to_series()
