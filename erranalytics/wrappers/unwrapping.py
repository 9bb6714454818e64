"""Detect the wrappers around the lines of Ollama in a sample, and take them off, vectorised.

A line may carry several wrappers (journald around compose around a stamp), and a file may change its wrapper in the
middle, so each line is matched by its own shape. Whatever depends on the lines before travels in ``WrapState``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, get_args

import polars as pl

from erranalytics import schema
from erranalytics.text.patterns import may_fit
from erranalytics.wrappers import journal_entries, powershell
from erranalytics.wrappers.forms import POWERSHELL, WRAPPERS, Clock
from erranalytics.wrappers.json_lines import LOST_MESSAGE
from erranalytics.wrappers.powershell import CaptureState
from erranalytics.wrappers.prefixes import GATE, MAY_PEEL, PROOFS, peel, peel_fast
from erranalytics.wrappers.rows import ANSI, ROWS, as_rows

__all__ = ["CLOCKS", "LOST_MESSAGE", "PLAIN", "WrapState", "detect", "evidence", "names", "unwrap"]

PLAIN = "plain"
CLOCKS: tuple[str, ...] = get_args(Clock)
MAX_WRAPPERS = 3
SAMPLE_LINES = 2000
_TEXT_MODES = tuple(wrapper.name for wrapper in WRAPPERS if wrapper.start)
# No prefix of journalctl is shorter.
_INDENT = " " * 10
# The wrapper with a blank line between its entries.
_SEPARATED = "journald-json-sse"
_CARRIED = ("stamp", "clock", "host", "unit", "pid", "wrapper")


@dataclass(frozen=True, slots=True)
class WrapState:
    """What the next lines need to know of the lines before.

    ``wrapper``: the wrappers of the source, joined by ``+``. ``proven``: weak wrappers that a line of Ollama followed.
    ``head``: the fields of the last line, for indented lines that continue it. ``capture``: the place inside a capture
    of PowerShell. ``pending``: LINES of an entry or of a split line that is not complete yet.
    """

    wrapper: str
    proven: tuple[str, ...] = ()
    head: dict[str, Any] | None = None
    capture: CaptureState | None = None
    pending: pl.DataFrame | None = None

    def as_json(self) -> dict[str, Any]:
        """The state as JSON values, for a source that has grown: it is read again from the first pending line."""
        capture = self.capture.as_json() if self.capture else None
        head = _renamed(self.head, "wrapper", _STORED_AS)
        return {"wrapper": self.wrapper, "proven": list(self.proven), "head": head, "capture": capture}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> WrapState:
        """The state from ``as_json``."""
        capture = CaptureState(**values["capture"]) if values.get("capture") else None
        head = _renamed(values.get("head"), _STORED_AS, "wrapper")
        return cls(values["wrapper"], tuple(values.get("proven", ())), head, capture)


# The key of a head's wrapper in stores.
_STORED_AS = "layer"


def _renamed(head: dict[str, Any] | None, old: str, new: str) -> dict[str, Any] | None:
    return head and {new if key == old else key: value for key, value in head.items()}


def names() -> tuple[str, ...]:
    """The names of all wrappers; ``--format`` takes one, or several joined by ``+``, the outermost first."""
    return (PLAIN, *(wrapper.name for wrapper in WRAPPERS))


def unwrap(lines: pl.DataFrame, state: WrapState, *, is_last: bool) -> tuple[pl.DataFrame, WrapState]:
    """Take the wrappers off LINES, from the first pending line on.

    Args:
        lines: the LINES after those of the call before.
        state: the state that the call before returned.
        is_last: no further lines will come, so nothing is held back.

    Returns:
        BODIES in the order of the lines, and the state after them.
    """
    # > Mar 01 19:04:05 gpu01 docker[812]: ollama-1  | time=2026-03-01T11:04:05.416Z level=INFO msg=ready
    # > Mar 01 19:04:05 gpu01 docker[812]: ollama-1  | panic: boom
    #   gives two BODIES with stamp "Mar 01 19:04:05", host gpu01, unit ollama-1 and pid 812; their bodies are
    #   "time=2026-03-01T11:04:05.416Z level=INFO msg=ready" and "panic: boom". The state after them says that
    #   "compose ollama-1" is proven.
    rows, state = _unwrap(lines, state, is_last=is_last)
    return rows.select(schema.BODIES.names()), state


def _unwrap(lines: pl.DataFrame, state: WrapState, *, is_last: bool) -> tuple[pl.DataFrame, WrapState]:
    """ROWS and the state after them."""
    lines = lines if state.pending is None else pl.concat([state.pending, lines])
    if lines.is_empty():
        return schema.empty(ROWS), replace(state, pending=None)
    rest, capture = as_rows(lines), state.capture
    if (state.wrapper, state.head, capture) == (PLAIN, None, None) and not _may_carry(rest):
        return rest, replace(state, pending=None)
    stack = [name for name in state.wrapper.split("+") if name != POWERSHELL.name]
    expected = [*stack, *[None] * MAX_WRAPPERS][:MAX_WRAPPERS]
    fast = peel_fast(rest, expected=expected[0])
    entries: list[pl.DataFrame] = []
    waits: list[int] = []
    # Rows that lost their wrapper already are not part of an entry or a capture: only the rows left can begin one.
    if capture or journal_entries.may_begin(fast.left) or powershell.may_begin(fast.left):
        entries, rest, waits = journal_entries.extract(rest, is_last=is_last)
        rest, capture, waiting = powershell.rejoin(rest, capture, is_last=is_last)
        waits += [] if waiting is None else [waiting]
        fast = peel_fast(rest, expected=expected[0])
    outer = peel(rest, expected=expected[0], proven=state.proven, is_last=is_last, fast=fast)
    waits += [] if outer.waits is None else [outer.waits]
    rows = _in_order([*entries, outer.frame])
    attached = _attach_indented(rows, lines, state.head)
    rows, proofs, more = _peel_inner(attached, expected[1:], state, is_last=is_last)
    proofs, pending, waits = pl.concat([outer.proofs, proofs]), None, waits + more
    if waits:
        is_done = pl.col("line_no") < min(waits)
        rows, attached, proofs, pending = (
            rows.filter(is_done),
            attached.filter(is_done),
            proofs.filter(is_done),
            lines.filter(~is_done),
        )
    proven = tuple(dict.fromkeys((*state.proven, *proofs["name"])))
    head = _last_head(attached, lines, state.head)
    return rows, replace(state, proven=proven, head=head, capture=capture, pending=pending)


def _may_carry(rows: pl.DataFrame) -> bool:
    """Whether some of the ROWS may carry a wrapper: a cheap test, since most files have none."""
    if not any(may_fit(pattern, rows["body"]) for pattern in (*journal_entries.BEGINNINGS, POWERSHELL.pattern, GATE)):
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
    """Take further wrappers off the rows that carried one.

    Returns:
        The rows; the weak wrappers that are proven now; the first lines that wait.
    """
    proofs, waits = [schema.empty(PROOFS)], []
    fresh = rows["wrapper"].is_not_null()
    for name in expected:
        part = rows if fresh.all() else rows.filter(fresh)
        peeled = peel(part, expected=name, proven=state.proven, is_last=is_last)
        if peeled.frame is part:
            break
        proofs.append(peeled.proofs)
        waits += [] if peeled.waits is None else [peeled.waits]
        rest = rows.filter(~fresh).with_columns(is_fresh=pl.lit(value=False))
        before = part.select("line_no", wrapper_before="wrapper").unique("line_no", keep="first")
        inner = peeled.frame.join(before, on="line_no", how="left", maintain_order="left")
        inner = inner.with_columns(is_fresh=pl.col("wrapper") != pl.col("wrapper_before")).select(rest.columns)
        both = pl.concat([rest, inner]).sort("line_no", maintain_order=True)
        rows, fresh = both.drop("is_fresh"), both["is_fresh"]
    return rows, pl.concat(proofs), waits


def _attach_indented(rows: pl.DataFrame, lines: pl.DataFrame, head: dict[str, Any] | None) -> pl.DataFrame:
    """Give the further lines of a message, which journalctl indents, the fields of their first line.

    The indent has as many blanks as the prefix has bytes (print_multiline in src/shared/logs-show.c@systemd-v252).
    """
    # > Mar 01 19:04:05 gpu01 ollama[1234]: panic: runtime error
    # >                                     goroutine 1 [running]:
    # >         an indent of eight blanks
    #   gives stamp, host, unit and pid of the first line to the second, whose body is "goroutine 1 [running]:"; the
    #   third is not indented by the 36 bytes of the prefix and stays as it is
    wrapper, body = pl.col("wrapper"), pl.col("body")
    if (head and head["wrapper"] == _SEPARATED) or (rows["wrapper"] == _SEPARATED).any():
        before = wrapper.shift(fill_value=head["wrapper"] if head else None)
        rows = rows.filter(~((body == "") & wrapper.is_null() & (before == _SEPARATED).fill_null(value=False)))
    is_loose = wrapper.is_null() & body.str.starts_with(_INDENT)
    if not rows.select(is_loose.any()).item():
        return rows
    place, is_head = pl.int_range(pl.len()), wrapper.is_in(_TEXT_MODES).fill_null(value=False)
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
    if last["wrapper"] not in {*_TEXT_MODES, _SEPARATED}:
        return None
    raw = lines.filter(pl.col("line_no") == last["line_no"])["raw"][0]
    return {**{name: last[name] for name in _CARRIED}, "width": len(raw.encode()) - len(last["body"].encode())}


def detect(sample: str) -> str:
    """The wrappers of most lines of a sample, joined by ``+``; ``plain`` when no wrapper fits half of them."""
    lines = _lines_of(sample)
    if not _may_carry(as_rows(lines)):
        return PLAIN
    wrappers, detected = _wrappers_of(lines), []
    for depth in range(MAX_WRAPPERS):
        counts = wrappers.list.get(depth, null_on_oob=True).value_counts(sort=True, name="lines").drop_nulls()
        if counts.is_empty() or counts["lines"][0] * 2 < len(wrappers):
            break
        detected.append(counts[wrappers.name][0])
        wrappers = wrappers.filter(wrappers.list.get(depth, null_on_oob=True) == detected[-1])
    return "+".join(detected) or PLAIN


def evidence(sample: str) -> list[tuple[str, int, int]]:
    """The wrappers in a sample: their names, how many lines carry them, how many lines were read."""
    wrappers = _wrappers_of(_lines_of(sample))
    counts = wrappers.list.join("+").fill_null(PLAIN).value_counts(sort=True, name="lines")
    return list(zip(counts[wrappers.name], counts["lines"], [len(wrappers)] * counts.height, strict=True))


def _lines_of(sample: str) -> pl.DataFrame:
    """LINES of a sample."""
    raw = pl.Series(re.sub(ANSI, "", sample).replace("\ufeff", "").split("\n")[:SAMPLE_LINES], dtype=pl.String)
    return pl.DataFrame({"line_no": range(1, len(raw) + 1), "raw": raw.str.strip_chars_end("\r")}, schema=schema.LINES)


def _wrappers_of(lines: pl.DataFrame) -> pl.Series:
    """The wrappers of each line that is not blank; null where it has none."""
    rows, _ = _unwrap(lines, WrapState(PLAIN), is_last=True)
    weak = "|".join(wrapper.name for wrapper in WRAPPERS if wrapper.is_weak and "?P<unit>" in wrapper.pattern)
    named = rows["wrapper"].drop_nulls().filter(rows["wrapper"].drop_nulls().str.contains(rf"(?:^|\+)(?:{weak})\b"))
    if len(named):
        # A container may begin with lines of other programs, so the wrapper is proven later in the sample.
        rows, _ = _unwrap(lines, WrapState(named[0]), is_last=True)
    filled = lines.select("line_no").filter(lines["raw"].str.strip_chars() != "")
    rows = rows.unique("line_no", keep="first").sort("line_no")
    # A line without a row of its own belongs to the entry that began before it.
    return filled.join_asof(rows, on="line_no")["wrapper"].str.split("+").alias("wrappers")
