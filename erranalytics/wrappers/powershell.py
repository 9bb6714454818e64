"""Captures of a console: what Windows PowerShell 5.1 makes of the output of a native program.

Its ``>`` and ``*>`` write standard error as error records: the first line with the name of the program and a frame that
says where it was called, every line broken at the width of the window, behind a blank or in the middle of a word.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from erranalytics.wrappers.forms import CONSOLE, OWN
from erranalytics.wrappers.rows import ROWS

# The frame stands this close behind the first line.
_REACH = 300
_BODY = pl.col("body")
# Whether a capture may begin in some ROWS.
SIGN = _BODY.str.contains(CONSOLE.pattern).any().alias(CONSOLE.name)
_KNOWN = (
    rf"^(?:{OWN}|\s*$|\s*\+ |time=\d{{4}}-|(?:load|init|main|panic): |(?:CUDA|ROCm) error|goroutine \d"
    r"|[a-z]{3,}\w*_\w+: |\p{L}{3} [ \d]\d \d\d:\d\d:\d\d |\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
)


@dataclass(frozen=True, slots=True)
class Console:
    """Where a capture stands: in the ``head`` line, the error ``frame`` or ``behind`` it; its width as seen so far."""

    region: str
    width: int
    is_wrapped: bool

    def as_json(self) -> dict[str, Any]:
        """The values of JSON."""
        return asdict(self)


def take(
    rows: pl.DataFrame, capture: Console | None, *, is_last: bool
) -> tuple[pl.DataFrame, Console | None, int | None]:
    """Make broken lines whole again.

    Args:
        rows: ROWS of which nothing was taken yet.
        capture: what the lines before told; None while no capture has begun.
        is_last: nothing follows, so the last line does not wait for more of it.

    Returns:
        ROWS, where the capture stands behind them, and the first line that waits.
    """
    if capture is None and not may_begin(rows):
        return rows, capture, None
    is_head = rows.select(_BODY.str.contains(CONSOLE.pattern)).to_series()
    table, waits = _heads(rows.with_columns(is_head=is_head, is_plus=_BODY.str.starts_with("+ ")), is_last=is_last)
    first = 0 if capture else table.select((pl.col("is_head").cum_sum() == 0).sum()).item()
    inside = table.slice(first)
    if inside.is_empty():
        return table.select(ROWS.names()), capture, waits
    inside = _groups(inside, capture or Console("behind", 0, is_wrapped=False))
    if not is_last:
        # The last line may go on; it is looked at again with the next ones.
        last = inside.filter("is_start").tail(1)
        waits = int(last["line_no"][0])
        if capture or last["group"][0] > 1:
            capture = Console(*last.select("region_before", "width_before", "wrapped_before").row(0))
        inside = inside.filter(pl.col("line_no") < waits)
    whole = inside.group_by("group", maintain_order=True).agg(pl.exclude("body").first(), _BODY.str.join(""))
    whole = whole.with_columns(_BODY.str.replace(CONSOLE.pattern, ""), layer=pl.lit(CONSOLE.name))
    return pl.concat([table.head(first).select(ROWS.names()), whole.select(ROWS.names())]), capture, waits


def may_begin(rows: pl.DataFrame) -> bool:
    """Whether a capture may begin in some ROWS."""
    return bool(rows.select(SIGN).item())


def _heads(table: pl.DataFrame, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Keep ``is_head`` where the frame follows.

    Returns:
        The rows before the first head that cannot be told yet, and the line of that.
    """
    place = pl.int_range(pl.len())
    frame = pl.when("is_plus").then(place).backward_fill() - place
    can_follow = frame.is_null() & (pl.len() - place <= _REACH) & (not is_last)
    unsure = table.filter(pl.col("is_head") & can_follow)["line_no"]
    table = table.with_columns(is_head=pl.col("is_head") & (frame <= _REACH).fill_null(value=False))
    if unsure.is_empty():
        return table, None
    return table.filter(pl.col("line_no") < unsure[0]), int(unsure[0])


def _regions(table: pl.DataFrame, capture: Console) -> pl.DataFrame:
    """Add ``region``, and whether a line ``is_position``: the first of a frame."""
    region = (
        pl.when("is_head")
        .then(pl.lit("head"))
        .when("is_plus")
        .then(pl.lit("frame"))
        .when(_BODY.str.contains(r"^ +\+ FullyQualifiedErrorId"))
        .then(pl.lit("behind"))
    )
    table = table.with_columns(region=region.forward_fill().fill_null(capture.region))
    # The frame begins with the line before its first plus sign: `At line:1 char:1`, in any language.
    begins = (pl.col("region") == "head") & (pl.col("region").shift(-1) == "frame") & ~pl.col("is_head")
    return table.with_columns(is_position=begins.fill_null(value=False))


def _groups(table: pl.DataFrame, capture: Console) -> pl.DataFrame:
    """Number the lines as they were before they were broken."""
    table = _regions(table, capture)
    # Access lines come from standard output, which is not broken.
    counts = (pl.col("region") != "frame") & ~pl.col("is_position") & ~_BODY.str.contains("[GIN] 2", literal=True)
    size = pl.when(counts).then(_BODY.str.len_chars().cast(pl.Int64)).otherwise(0)
    is_soft = _BODY.str.ends_with(" ") & (_BODY.str.strip_chars() != "")
    table = table.with_columns(
        width=pl.max_horizontal(size.cum_max(), pl.lit(capture.width)),
        is_wrapped=is_soft.cum_max() | pl.lit(capture.is_wrapped),
    )
    is_hard = pl.col("is_wrapped") & counts & (_BODY.str.len_chars() == pl.col("width"))
    table = table.with_columns(
        is_known=_BODY.str.contains(_KNOWN), is_broken=(is_soft | is_hard).shift(fill_value=False)
    )
    is_known = pl.col("is_known")
    goes_on = (
        pl.when("is_head")
        .then(pl.lit(value=False))
        .when(pl.col("region") == "head")
        .then(~pl.col("is_position"))
        .when(pl.col("region") == "frame")
        .then(~is_known)
        .otherwise(~is_known & (pl.col("is_broken") | _is_quoted()))
    )
    is_start = ~goes_on | (pl.int_range(pl.len()) == 0)
    return table.with_columns(
        is_start=is_start,
        group=is_start.cum_sum(),
        region_before=pl.col("region").shift(fill_value=capture.region),
        width_before=pl.col("width").shift(fill_value=capture.width),
        wrapped_before=pl.col("is_wrapped").shift(fill_value=capture.is_wrapped),
    )


def _is_quoted() -> pl.Expr:
    """Whether the log line that began before has an open quote: what stands here is a part of it."""
    run = pl.col("is_known").cum_sum()
    quotes = _BODY.str.replace_all(r"\\.", "").str.count_matches('"', literal=True).cast(pl.Int64)
    is_open = ((quotes.cum_sum() - quotes) % 2 == 1) & _BODY.first().str.starts_with("time=")
    was_closed = (~pl.col("is_known") & ~is_open & ~pl.col("is_broken")).cum_max().shift(fill_value=False)
    return (is_open & ~was_closed).over(run)
