"""What stands around the lines of Ollama: find it in a sample and take it off, vectorised.

Every unwrapper takes LINES and gives ``line_no, stamp, host, unit, pid, body`` in the same order; a line
that does not carry the wrapper keeps its text as ``body``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import polars as pl

PLAIN = "plain"

_MONTH = r"\p{L}{1,4}\.?|\d{1,2}月"
_SHORT = rf"(?:{_MONTH}) [ \d]\d \d\d:\d\d:\d\d"
_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
_TAIL = r" (?:(\S+) )?([^\s\[:]+)(?:\[(\d+)\])?: ?(.*)$"

# The stamp of each text mode of journalctl (systemd 252) and how many characters it takes.
TEXT_MODES: dict[str, tuple[str, int]] = {
    "journald-short": (_SHORT, 15),
    "journald-short-precise": (_SHORT + r"\.\d{6}", 22),
    "journald-short-iso": (_ISO + _ZONE, 24),
    "journald-short-iso-precise": (_ISO + r"\.\d{6}" + _ZONE, 31),
}
_JSON_FIELDS = ("MESSAGE", "__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_PID")
_JSON_TYPE = pl.Struct(dict.fromkeys(_JSON_FIELDS, pl.String))
_BYTES_AS_HEX = pl.DataFrame(
    {"byte": list(range(256)), "hex": [f"{n:02x}" for n in range(256)]}, schema={"byte": pl.Int16, "hex": pl.String}
)
_COMPOSE = r"^([A-Za-z][\w.-]*) +\| ?(.*)$"


def detect(sample: str) -> str:
    """The wrapper of most lines of a sample: ``plain`` when none fits half of them."""
    lines = [line for line in sample.splitlines()[:2000] if line.strip()]
    patterns = {name: rf"^{stamp}{_TAIL}" for name, (stamp, _) in TEXT_MODES.items()}
    patterns["journald-json"] = r'^\{.*"__REALTIME_TIMESTAMP" ?:'
    patterns["compose"] = _COMPOSE
    compiled = {name: re.compile(pattern.replace(r"\p{L}", r"[^\W\d_]")) for name, pattern in patterns.items()}
    for name, pattern in compiled.items():
        if lines and sum(bool(pattern.match(line)) for line in lines) * 2 >= len(lines):
            return name
    return PLAIN


def unwrap(lines: pl.DataFrame, *, wrapper: str) -> pl.DataFrame:
    """Take the wrapper off LINES.

    Returns:
        ``line_no, stamp, host, unit, pid, body``; ``stamp`` is the text of the wrapper's time (for JSON
        the microseconds since 1970), null where the line carries none.
    """
    if wrapper in TEXT_MODES:
        return _unwrap_text(lines, *TEXT_MODES[wrapper])
    return _OTHERS.get(wrapper, _unwrap_plain)(lines)


def _bare(body: pl.Expr) -> list[pl.Expr]:
    null = pl.lit(None, dtype=pl.String)
    empty = [null.alias("stamp"), null.alias("host"), null.alias("unit"), pl.lit(None, dtype=pl.Int32).alias("pid")]
    return [pl.col("line_no"), *empty, body.alias("body")]


def _unwrap_plain(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.select(_bare(pl.col("raw")))


def _unwrap_text(lines: pl.DataFrame, stamp: str, width: int) -> pl.DataFrame:
    """Syslog-like prefix: cut at fixed places, then prove the few distinct heads by regex."""
    rest = pl.col("raw").str.slice(width + 1)
    cut = lines.select("line_no", "raw", stamp=pl.col("raw").str.slice(0, width), rest=rest)
    cut = cut.with_columns(end=pl.col("rest").str.find("]: ", literal=True))
    cut = cut.with_columns(
        head=pl.col("rest").str.slice(0, pl.col("end") + 1), body=pl.col("rest").str.slice(pl.col("end") + 3)
    )
    heads = cut.select(pl.col("head").unique())
    parts = pl.col("head").str.extract_groups(r"^(?:(?P<host>\S+) )?(?P<unit>[^\s\[:]+)\[(?P<pid>\d+)\]$")
    heads = (
        heads.with_columns(parts.alias("parts"))
        .unnest("parts")
        .with_columns(pl.col("pid").cast(pl.Int32, strict=False))
    )
    bad_stamps = cut.select(pl.col("stamp").unique()).filter(~pl.col("stamp").str.contains(f"^{stamp}$"))["stamp"]
    if heads.height == 1:
        # One process wrote everything: no need to look each line up.
        one = heads.row(0, named=True)
        quick = cut.with_columns(
            host=pl.lit(one["host"], pl.String), unit=pl.lit(one["unit"], pl.String), pid=pl.lit(one["pid"], pl.Int32)
        )
    else:
        quick = cut.join(heads, on="head", how="left", nulls_equal=True, maintain_order="left")
    columns = ["line_no", "stamp", "host", "unit", "pid", "body"]
    if bad_stamps.is_empty() and heads["unit"].null_count() == 0:
        return quick.select(columns)
    is_good = pl.col("unit").is_not_null() & ~pl.col("stamp").is_in(bad_stamps.implode())
    slow = _unwrap_text_slowly(quick.filter(~is_good).select("line_no", "raw"), stamp)
    return pl.concat([quick.filter(is_good).select(columns), slow]).sort("line_no")


def _unwrap_text_slowly(lines: pl.DataFrame, stamp: str) -> pl.DataFrame:
    """The lines whose prefix has another shape: no pid, no host, a localised month, or no prefix at all."""
    groups = lines.select(
        "line_no",
        "raw",
        pl.col("raw")
        .str.extract_groups(f"^({stamp}){_TAIL}")
        .struct.rename_fields(["stamp", "host", "unit", "pid", "body"])
        .alias("parts"),
    ).unnest("parts")
    return groups.select(
        "line_no",
        "stamp",
        pl.when(pl.col("stamp").is_not_null()).then("host").alias("host"),
        pl.when(pl.col("stamp").is_not_null()).then("unit").alias("unit"),
        pl.col("pid").cast(pl.Int32, strict=False),
        pl.when(pl.col("stamp").is_not_null()).then("body").otherwise("raw").alias("body"),
    )


def _unwrap_json(lines: pl.DataFrame) -> pl.DataFrame:
    """``journalctl -o json``: MESSAGE may be a string, null (too long) or an array of bytes."""
    raw = pl.col("raw")
    is_array = raw.str.contains(r'"MESSAGE" ?: ?\[')
    simple = lines.filter(~is_array & raw.str.starts_with("{"))
    try:
        simple = simple.with_columns(raw.str.json_decode(_JSON_TYPE).alias("json")).unnest("json")
    except pl.exceptions.PolarsError:
        # One damaged object makes the quick decoder refuse the whole block.
        simple = simple.with_columns(_by_path(raw))
    arrays = lines.filter(is_array & raw.str.starts_with("{")).with_columns(_by_path(raw))
    arrays = arrays.drop("MESSAGE").join(_decode_bytes(arrays), on="line_no", how="left")
    other = lines.filter(~raw.str.starts_with("{")).with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in _JSON_FIELDS
    )
    frame = pl.concat([simple, arrays.select(simple.columns), other.select(simple.columns)]).sort("line_no")
    is_record = pl.col("__REALTIME_TIMESTAMP").is_not_null()
    return frame.select(
        "line_no",
        pl.col("__REALTIME_TIMESTAMP").alias("stamp"),
        pl.col("_HOSTNAME").alias("host"),
        pl.coalesce("SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT").alias("unit"),
        pl.col("_PID").cast(pl.Int32, strict=False).alias("pid"),
        pl.when(is_record).then("MESSAGE").otherwise("raw").alias("body"),
    )


def _by_path(raw: pl.Expr) -> list[pl.Expr]:
    return [raw.str.json_path_match(f"$.{name}").alias(name) for name in _JSON_FIELDS]


def _decode_bytes(lines: pl.DataFrame) -> pl.DataFrame:
    """``"MESSAGE":[72,105]`` as text, by way of hex digits."""
    numbers = pl.col("raw").str.extract(r'"MESSAGE" ?: ?\[([\d, ]*)\]').str.replace_all(" ", "").str.split(",")
    exploded = (
        lines.select("line_no", byte=numbers).explode("byte").with_columns(pl.col("byte").cast(pl.Int16, strict=False))
    )
    digits = exploded.join(_BYTES_AS_HEX, on="byte", how="left", maintain_order="left")
    joined = digits.group_by("line_no", maintain_order=True).agg(pl.col("hex").str.join(""))
    return joined.select("line_no", MESSAGE=pl.col("hex").str.decode("hex", strict=False).cast(pl.String, strict=False))


def _unwrap_compose(lines: pl.DataFrame) -> pl.DataFrame:
    """``docker compose logs``: the container name becomes the unit."""
    parts = lines.with_columns(
        pl.col("raw").str.extract_groups(_COMPOSE).struct.rename_fields(["name", "inner"]).alias("parts")
    ).unnest("parts")
    bare = parts.with_columns(pl.coalesce("inner", "raw").alias("text"))
    return bare.select(_bare(pl.col("text"))).with_columns(unit=parts["name"])


_OTHERS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {"journald-json": _unwrap_json, "compose": _unwrap_compose}


def names() -> tuple[str, ...]:
    """The wrappers there are."""
    return (PLAIN, *TEXT_MODES, *_OTHERS)
