"""Captures of a console: how Windows PowerShell 5.1 writes the output of a native program.

Its ``>`` and ``*>`` write standard error as error records. The first line gets the name of the program and a frame
that says where it was called. Every line is broken at the width of the window, after a blank or inside a word.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from erranalytics.wrappers.forms import OLLAMA_LINE, POWERSHELL
from erranalytics.wrappers.rows import ROWS

# The frame follows the first line within this many lines.
_REACH = 300
_BODY = pl.col("body")
# Whether some ROWS may begin a capture.
SIGN = _BODY.str.contains(POWERSHELL.pattern).any().alias(POWERSHELL.name)
# The beginning of a line that is not the rest of a broken one.
_KNOWN = (
    rf"^(?:{OLLAMA_LINE}|\s*$|\s*\+ |time=\d{{4}}-|(?:load|init|main|panic): |(?:CUDA|ROCm) error|goroutine \d"
    r"|[a-z]{3,}\w*_\w+: |\p{L}{3} [ \d]\d \d\d:\d\d:\d\d |\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
)


@dataclass(frozen=True, slots=True)
class CaptureState:
    """The place inside a capture: ``region`` is ``head``, ``frame`` or ``behind``; ``width`` is the widest line so far.

    Stores hold these words, see ``WrapState.as_json``.
    """

    region: str
    width: int
    is_wrapped: bool

    def as_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return asdict(self)


def rejoin(
    rows: pl.DataFrame, capture: CaptureState | None, *, is_last: bool
) -> tuple[pl.DataFrame, CaptureState | None, int | None]:
    """Join the lines that PowerShell broke.

    Args:
        rows: ROWS before any wrapper is taken off.
        capture: the state after the lines before; None while no capture has begun.
        is_last: no input follows, so the last line does not wait for more of it.

    Returns:
        ROWS, the state after them, and the number of the first line that waits.
    """
    # > ollama.exe : time=2026-03-01T11:04:05.416Z level=INFO
    # > source=routes.go:1238 msg=ready
    # > At line:1 char:1
    # > + ollama serve *> o.log
    # >     + FullyQualifiedErrorId : NativeCommandError
    # > time=2026-03-01T11:04:06.000Z level=INFO source=server.go:9
    # > msg=loaded
    #   Here a blank ends both broken lines. The frame stays as it is, and the lines around it become:
    #   time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg=ready
    #   time=2026-03-01T11:04:06.000Z level=INFO source=server.go:9 msg=loaded
    if capture is None and not may_begin(rows):
        return rows, capture, None
    is_head = rows.select(_BODY.str.contains(POWERSHELL.pattern)).to_series()
    table, waits = _heads(rows.with_columns(is_head=is_head, is_plus=_BODY.str.starts_with("+ ")), is_last=is_last)
    first = 0 if capture else table.select((pl.col("is_head").cum_sum() == 0).sum()).item()
    inside = table.slice(first)
    if inside.is_empty():
        return table.select(ROWS.names()), capture, waits
    inside = _groups(inside, capture or CaptureState("behind", 0, is_wrapped=False))
    if not is_last:
        # The last line may continue, so it is read again with the next ones.
        last = inside.filter("is_start").tail(1)
        waits = int(last["line_no"][0])
        if capture or last["group"][0] > 1:
            capture = CaptureState(*last.select("region_before", "width_before", "wrapped_before").row(0))
        inside = inside.filter(pl.col("line_no") < waits)
    joined = inside.group_by("group", maintain_order=True).agg(pl.exclude("body").first(), _BODY.str.join(""))
    joined = joined.with_columns(_BODY.str.replace(POWERSHELL.pattern, ""), wrapper=pl.lit(POWERSHELL.name))
    return pl.concat([table.head(first).select(ROWS.names()), joined.select(ROWS.names())]), capture, waits


def may_begin(rows: pl.DataFrame) -> bool:
    """Whether some ROWS may begin a capture."""
    return bool(rows.select(SIGN).item())


def _heads(table: pl.DataFrame, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Keep ``is_head`` only where a frame follows: without it ``ollama : `` is plain text.

    Returns:
        The rows before the first head that is still undecided, and the line number of that head.
    """
    place = pl.int_range(pl.len())
    frame = pl.when("is_plus").then(place).backward_fill() - place
    can_follow = frame.is_null() & (pl.len() - place <= _REACH) & (not is_last)
    unsure = table.filter(pl.col("is_head") & can_follow)["line_no"]
    table = table.with_columns(is_head=pl.col("is_head") & (frame <= _REACH).fill_null(value=False))
    if unsure.is_empty():
        return table, None
    return table.filter(pl.col("line_no") < unsure[0]), int(unsure[0])


def _regions(table: pl.DataFrame, capture: CaptureState) -> pl.DataFrame:
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


def _groups(table: pl.DataFrame, capture: CaptureState) -> pl.DataFrame:
    """Number the lines as they were before PowerShell broke them."""
    table = _regions(table, capture)
    # Access lines come from standard output, which PowerShell does not break.
    counts = (pl.col("region") != "frame") & ~pl.col("is_position") & ~_BODY.str.contains("[GIN] 2", literal=True)
    size = pl.when(counts).then(_BODY.str.len_chars().cast(pl.Int64)).otherwise(0)
    # A soft break follows a blank; a hard one cuts a word, so the line is exactly as wide as the window.
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
    """Whether the log line before has an open quote, so that this line is part of it."""
    run = pl.col("is_known").cum_sum()
    quotes = _BODY.str.replace_all(r"\\.", "").str.count_matches('"', literal=True).cast(pl.Int64)
    is_open = ((quotes.cum_sum() - quotes) % 2 == 1) & _BODY.first().str.starts_with("time=")
    was_closed = (~pl.col("is_known") & ~is_open & ~pl.col("is_broken")).cum_max().shift(fill_value=False)
    return (is_open & ~was_closed).over(run)
