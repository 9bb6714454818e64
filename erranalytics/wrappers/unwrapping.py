"""What stands around the lines of Ollama: find it in a sample and take it off, vectorised.

A line may carry several layers (journald around compose around a stamp), and a file may change its form in the middle:
each line is told by its own shape. What needs the lines before travels in ``WrapState``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, get_args

import polars as pl

from erranalytics import schema
from erranalytics.text.patterns import may_fit
from erranalytics.wrappers import journal_entries, powershell
from erranalytics.wrappers.forms import CONSOLE, LAYERS, Clock
from erranalytics.wrappers.json_lines import LOST_MESSAGE
from erranalytics.wrappers.powershell import Console
from erranalytics.wrappers.prefixes import GATE, MAY_PEEL, PROOFS, peel, peel_at_once
from erranalytics.wrappers.rows import ANSI, ROWS, as_rows

__all__ = ["CLOCKS", "LOST_MESSAGE", "PLAIN", "WrapState", "detect", "evidence", "names", "unwrap"]

PLAIN = "plain"
CLOCKS: tuple[str, ...] = get_args(Clock)
MAX_LAYERS = 3
SAMPLE_LINES = 2000
_TEXT_MODES = tuple(layer.name for layer in LAYERS if layer.start)
# No prefix of journalctl is shorter.
_INDENT = " " * 10
# Its entries have a blank line between them.
_SEPARATED = "journald-json-sse"
_CARRIED = ("stamp", "clock", "host", "unit", "pid", "layer")


@dataclass(frozen=True, slots=True)
class WrapState:
    """What the lines before tell the next.

    ``wrapper``: the layers of the source, joined by ``+``. ``proven``: weak layers that stood before a line of Ollama.
    ``head``: what the last line carried, for lines that hang on it. ``capture``: where the capture of a console stands.
    ``pending``: LINES of an entry or of a split line that is not complete yet.
    """

    wrapper: str
    proven: tuple[str, ...] = ()
    head: dict[str, Any] | None = None
    capture: Console | None = None
    pending: pl.DataFrame | None = None

    def as_json(self) -> dict[str, Any]:
        """What a grown source needs to go on; it is read again from the first pending line."""
        capture = self.capture.as_json() if self.capture else None
        return {"wrapper": self.wrapper, "proven": list(self.proven), "head": self.head, "capture": capture}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> WrapState:
        """The state from ``as_json``."""
        capture = Console(**values["capture"]) if values.get("capture") else None
        return cls(values["wrapper"], tuple(values.get("proven", ())), values.get("head"), capture)


def names() -> tuple[str, ...]:
    """The layers there are; ``--format`` takes one, or several joined by ``+``, the outermost first."""
    return (PLAIN, *(layer.name for layer in LAYERS))


def unwrap(lines: pl.DataFrame, state: WrapState, *, is_last: bool) -> tuple[pl.DataFrame, WrapState]:
    """Take the wrapper off LINES, from the first pending line on.

    Args:
        lines: LINES behind those that were given before.
        state: what the call before returned.
        is_last: no further lines will come, so nothing is held back.

    Returns:
        BODIES in the order of the lines, and the state behind them.
    """
    rows, state = _unwrap(lines, state, is_last=is_last)
    return rows.select(schema.BODIES.names()), state


def _unwrap(lines: pl.DataFrame, state: WrapState, *, is_last: bool) -> tuple[pl.DataFrame, WrapState]:
    """ROWS and the state behind them."""
    lines = lines if state.pending is None else pl.concat([state.pending, lines])
    if lines.is_empty():
        return schema.empty(ROWS), replace(state, pending=None)
    rest, capture = as_rows(lines), state.capture
    if (state.wrapper, state.head, capture) == (PLAIN, None, None) and not _may_carry(rest):
        return rest, replace(state, pending=None)
    stack = [name for name in state.wrapper.split("+") if name != CONSOLE.name]
    expected = [*stack, *[None] * MAX_LAYERS][:MAX_LAYERS]
    quick = peel_at_once(rest, expected=expected[0])
    found: list[pl.DataFrame] = []
    waits: list[int] = []
    # What was taken off at once is no line of an entry or a capture: only what is left can begin one.
    if capture or journal_entries.may_begin(quick.left) or powershell.may_begin(quick.left):
        found, rest, waits = journal_entries.take(rest, is_last=is_last)
        rest, capture, waiting = powershell.take(rest, capture, is_last=is_last)
        waits += [] if waiting is None else [waiting]
        quick = peel_at_once(rest, expected=expected[0])
    outer = peel(rest, expected=expected[0], proven=state.proven, is_last=is_last, quick=quick)
    waits += [] if outer.waits is None else [outer.waits]
    rows = _in_order([*found, outer.frame])
    hung = _hang(rows, lines, state.head)
    rows, proofs, more = _peel_inner(hung, expected[1:], state, is_last=is_last)
    proofs, pending, waits = pl.concat([outer.proofs, proofs]), None, waits + more
    if waits:
        is_done = pl.col("line_no") < min(waits)
        rows, hung, proofs, pending = (
            rows.filter(is_done),
            hung.filter(is_done),
            proofs.filter(is_done),
            lines.filter(~is_done),
        )
    proven = tuple(dict.fromkeys((*state.proven, *proofs["name"])))
    head = _last_head(hung, lines, state.head)
    return rows, replace(state, proven=proven, head=head, capture=capture, pending=pending)


def _may_carry(rows: pl.DataFrame) -> bool:
    """Whether anything may stand around some of the ROWS; of most files nothing does, and a cheap look tells."""
    if not any(may_fit(pattern, rows["body"]) for pattern in (*journal_entries.BEGINNINGS, CONSOLE.pattern, GATE)):
        return False
    return any(rows.select(*journal_entries.SIGNS, powershell.SIGN, MAY_PEEL).row(0))


def _in_order(parts: list[pl.DataFrame]) -> pl.DataFrame:
    filled = [part.select(ROWS.names()) for part in parts if not part.is_empty()]
    if len(filled) == 1:
        return filled[0]
    return pl.concat([schema.empty(ROWS), *filled]).sort("line_no", maintain_order=True)


def _peel_inner(
    rows: pl.DataFrame, expected: list[str | None], state: WrapState, *, is_last: bool
) -> tuple[pl.DataFrame, pl.DataFrame, list[int]]:
    """Take further layers off the rows that carried one; also what proved itself, and lines that wait."""
    proofs, waits = [schema.empty(PROOFS)], []
    fresh = rows["layer"].is_not_null()
    for name in expected:
        part = rows if fresh.all() else rows.filter(fresh)
        peeled = peel(part, expected=name, proven=state.proven, is_last=is_last)
        if peeled.frame is part:
            break
        proofs.append(peeled.proofs)
        waits += [] if peeled.waits is None else [peeled.waits]
        rest = rows.filter(~fresh).with_columns(is_fresh=pl.lit(value=False))
        before = part.select("line_no", layer_before="layer").unique("line_no", keep="first")
        inner = peeled.frame.join(before, on="line_no", how="left", maintain_order="left")
        inner = inner.with_columns(is_fresh=pl.col("layer") != pl.col("layer_before")).select(rest.columns)
        both = pl.concat([rest, inner]).sort("line_no", maintain_order=True)
        rows, fresh = both.drop("is_fresh"), both["is_fresh"]
    return rows, pl.concat(proofs), waits


def _hang(rows: pl.DataFrame, lines: pl.DataFrame, head: dict[str, Any] | None) -> pl.DataFrame:
    """Give the further lines of a message, which journalctl indents, what their first line carried.

    The indent is as many blanks as the prefix has bytes (print_multiline in src/shared/logs-show.c@systemd-v252).
    """
    layer, body = pl.col("layer"), pl.col("body")
    if (head and head["layer"] == _SEPARATED) or (rows["layer"] == _SEPARATED).any():
        before = layer.shift(fill_value=head["layer"] if head else None)
        rows = rows.filter(~((body == "") & layer.is_null() & (before == _SEPARATED).fill_null(value=False)))
    is_loose = layer.is_null() & body.str.starts_with(_INDENT)
    if not rows.select(is_loose.any()).item():
        return rows
    place, is_head = pl.int_range(pl.len()), layer.is_in(_TEXT_MODES).fill_null(value=False)
    table = rows.join(lines.select("line_no", size=pl.col("raw").str.len_bytes()), on="line_no", maintain_order="left")
    width = pl.when(is_head).then(pl.col("size") - body.str.len_bytes()).forward_fill()
    table = table.with_columns(
        width=width.fill_null(head["width"] if head else 0).cast(pl.Int64),
        indent=body.str.len_bytes().cast(pl.Int64) - body.str.strip_chars_start(" ").str.len_bytes(),
        of=pl.when(is_head).then(place).forward_fill().fill_null(-1 if head else -2),
    )
    fits = is_loose & (pl.col("width") > 0) & (pl.col("indent") >= pl.col("width"))
    broken = pl.when(~is_head & ~fits).then(place).forward_fill().fill_null(-2)
    table = table.with_columns(hangs=fits & (pl.col("of") > broken))
    of, hangs = pl.col("of"), pl.col("hangs")
    carried = [
        pl.when(hangs & (of >= 0))
        .then(pl.col(name).gather(of.clip(0)))
        .when(hangs)
        .then(pl.lit(head[name] if head else None, dtype=ROWS[name]))
        .otherwise(name)
        .alias(name)
        for name in _CARRIED
    ]
    cut = pl.when(hangs).then(body.str.slice(pl.col("width"))).otherwise("body")
    return table.select("line_no", *carried, body=cut).select(ROWS.names())


def _last_head(rows: pl.DataFrame, lines: pl.DataFrame, before: dict[str, Any] | None) -> dict[str, Any] | None:
    if rows.is_empty():
        return before
    last = rows.row(-1, named=True)
    if last["layer"] not in {*_TEXT_MODES, _SEPARATED}:
        return None
    raw = lines.filter(pl.col("line_no") == last["line_no"])["raw"][0]
    return {**{name: last[name] for name in _CARRIED}, "width": len(raw.encode()) - len(last["body"].encode())}


def detect(sample: str) -> str:
    """The layers of most lines of a sample, joined by ``+``; ``plain`` when none fits half of them."""
    lines = _lines_of(sample)
    if not _may_carry(as_rows(lines)):
        return PLAIN
    layers, found = _layers_of(lines), []
    for depth in range(MAX_LAYERS):
        counts = layers.list.get(depth, null_on_oob=True).value_counts(sort=True, name="lines").drop_nulls()
        if counts.is_empty() or counts["lines"][0] * 2 < len(layers):
            break
        found.append(counts[layers.name][0])
        layers = layers.filter(layers.list.get(depth, null_on_oob=True) == found[-1])
    return "+".join(found) or PLAIN


def evidence(sample: str) -> list[tuple[str, int, int]]:
    """What stands around the lines of a sample: the layers, how many lines carry them, how many were looked at."""
    layers = _layers_of(_lines_of(sample))
    counts = layers.list.join("+").fill_null(PLAIN).value_counts(sort=True, name="lines")
    return list(zip(counts[layers.name], counts["lines"], [len(layers)] * counts.height, strict=True))


def _lines_of(sample: str) -> pl.DataFrame:
    """LINES of a sample."""
    raw = pl.Series(re.sub(ANSI, "", sample).replace("\ufeff", "").split("\n")[:SAMPLE_LINES], dtype=pl.String)
    return pl.DataFrame({"line_no": range(1, len(raw) + 1), "raw": raw.str.strip_chars_end("\r")}, schema=schema.LINES)


def _layers_of(lines: pl.DataFrame) -> pl.Series:
    """The layers of each line that is not blank; null where there are none."""
    rows, _ = _unwrap(lines, WrapState(PLAIN), is_last=True)
    weak = "|".join(layer.name for layer in LAYERS if layer.is_weak and "?P<unit>" in layer.pattern)
    named = rows["layer"].drop_nulls().filter(rows["layer"].drop_nulls().str.contains(rf"(?:^|\+)(?:{weak})\b"))
    if len(named):
        # Containers may begin with lines of other programs: the form proves itself later in the sample.
        rows, _ = _unwrap(lines, WrapState(named[0]), is_last=True)
    filled = lines.select("line_no").filter(lines["raw"].str.strip_chars() != "")
    rows = rows.unique("line_no", keep="first").sort("line_no")
    # A line without a row of its own belongs to the entry that began before it.
    return filled.join_asof(rows, on="line_no")["layer"].str.split("+").alias("layers")
