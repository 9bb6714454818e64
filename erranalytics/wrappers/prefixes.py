"""Take one layer of wrapper off: each row is told by its own shape, the expected layer first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from erranalytics import schema
from erranalytics.text import patterns
from erranalytics.wrappers import forms, json_lines
from erranalytics.wrappers.forms import EVIDENT, FOREIGN_LOGGER, LAYERS, LETTER, Layer
from erranalytics.wrappers.rows import join_pieces, overlay

# Any line that carries a layer begins like this; nearly all lines without one do not.
GATE = (
    r"^(?:\{|data: \{|\x1e|\[pod/|\[ *[0-9]|[0-9]{4}[-/][0-9][0-9][-/]|[0-9]{10}\.|[0-9]+\|"
    rf"|\[? ?(?:[0-9]{{1,2}}{LETTER}|{LETTER}{{2,8}})\.? {{1,3}}[0-9]|{LETTER}{{1,9}}\.? [0-9]{{4}}-"
    r"|[0-9A-Za-z_.@-]+ +\|)"
)
_BODY = pl.col("body")
_IS_COLD = ~_BODY.str.starts_with("time=2") & ~_BODY.str.starts_with("[GIN] 2")
# Whether a layer may stand before some of the ROWS.
MAY_PEEL = pl.when(_IS_COLD).then(_BODY).str.contains(GATE).any().alias("prefix")
_GROUPS = ("stamp", "zone", "host", "unit", "alone", "kernel", "pid", "own_pid", "stream", "tag", "body")
_PROCESS = r"^(?:(?P<host>[^\s:\[\]=]+) )?(?P<unit>[^\s\[:=]+)\[(?P<pid>\d+)\]$"

# Weak layers that proved themselves, with the name of the container or process, and the first line that did it.
PROOFS = pl.Schema({"name": pl.String(), "line_no": pl.Int64()})


@dataclass(frozen=True, slots=True)
class Peeled:
    """ROWS with one layer less; weak layers that proved themselves, each with the line that did; a line that waits."""

    frame: pl.DataFrame
    proofs: pl.DataFrame
    waits: int | None = None


@dataclass(slots=True)
class _Work:
    """What is done and what is left while the layers are tried one after the other."""

    left: pl.DataFrame
    is_last: bool
    done: list[pl.DataFrame] = field(default_factory=list)
    proofs: list[pl.DataFrame] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Quick:
    """What was taken off at once, and what is left; both with ``order``, the place among the rows."""

    done: pl.DataFrame | None
    left: pl.DataFrame


def peel_at_once(rows: pl.DataFrame, *, expected: str | None) -> Quick:
    """Take a text mode of journalctl off the rows that carry it, where that is the expected layer."""
    rows, first = rows.with_row_index("order"), forms.BY_NAME.get(expected or "")
    return Quick(*_peel_journal(rows, first)) if first and first.start else Quick(None, rows)


def peel(
    rows: pl.DataFrame, *, expected: str | None, proven: Sequence[str], is_last: bool, quick: Quick | None = None
) -> Peeled:
    """Take the outermost layer off the rows that carry one.

    Args:
        rows: ROWS in order.
        expected: the layer that most rows should carry.
        proven: weak layers, with the name they carry, that need no further proof.
        is_last: nothing follows, so pieces of lines do not wait for others.
        quick: what ``peel_at_once`` made of the same rows, if that was asked before.
    """
    quick = quick or peel_at_once(rows, expected=expected)
    work = _Work(quick.left, is_last, done=[] if quick.done is None else [quick.done])
    gate = work.left.select(_IS_COLD).to_series()
    # The pattern sees only what may fit, which is little on a busy server.
    cold = work.left.lazy().filter(gate).select(_BODY.str.contains(GATE)).collect().to_series()
    gate = gate.scatter(gate.arg_true(), cold) if len(cold) else gate
    if not gate.any() and not work.done:
        return Peeled(rows, schema.empty(PROOFS))
    closed = work.left.filter(~gate)
    if gate.any():
        work.left = work.left.filter(gate)
        for layer in sorted(LAYERS, key=lambda one: one.name != expected):
            if work.left.is_empty():
                break
            if layer.reader in {"text", "object", "docker"}:
                _try(layer, work, proven=(*proven, layer.name) if layer.name == expected else proven)
        work.done.append(work.left)
    parts = [part for part in (*work.done, closed) if not part.is_empty()]
    whole = parts[0] if len(parts) == 1 else pl.concat(parts or [closed]).sort("order", maintain_order=True)
    proofs = pl.concat([schema.empty(PROOFS), *work.proofs])
    return Peeled(whole.drop("order"), proofs, min(work.waits, default=None))


def _try(layer: Layer, work: _Work, *, proven: Sequence[str]) -> None:
    """Move the rows that carry a layer from what is left to what is done."""
    if not patterns.may_fit(layer.pattern, work.left["body"]):
        return
    hit = work.left.select(pl.col("body").str.contains(layer.pattern)).to_series()
    if not hit.any():
        return
    found = work.left.filter(hit)
    if layer.is_weak:
        keep, proofs = _proven(found, layer, proven)
        work.proofs.append(proofs)
        found, hit = found.filter(keep), hit.scatter(hit.arg_true(), keep)
        if found.is_empty():
            return
    work.left = work.left.filter(~hit)
    readers = {"text": read_text, "object": json_lines.read_journal, "docker": json_lines.read_docker}
    taken, waits = readers[layer.reader](found, layer, is_last=work.is_last)
    work.done.append(taken)
    work.waits += [] if waits is None else [waits]


def _proven(found: pl.DataFrame, layer: Layer, proven: Sequence[str]) -> tuple[pl.Series, pl.DataFrame]:
    """Which rows carry a weak layer: a line of Ollama stands behind it, or did so before under the same name."""
    parts = found.select("line_no", pl.col("body").str.extract_groups(layer.pattern).alias("parts"))
    body = pl.col("parts").struct.field("body")
    names = [pl.lit(layer.name)] + ([pl.col("parts").struct.field("unit")] if "?P<unit>" in layer.pattern else [])
    table = parts.select(
        "line_no", name=pl.concat_str(names, separator=" "), evident=body.str.contains(EVIDENT), rest=body
    )
    table = table.with_columns(pl.col("evident").fill_null(value=False))
    seen = pl.col("evident").cum_max().over("name") | pl.col("name").is_in(proven)
    seen = pl.lit(value=True) if layer.name in proven and "?P<unit>" in layer.pattern else seen
    if layer.clock:
        seen = pl.col("evident") | (seen & ~pl.col("rest").str.contains(FOREIGN_LOGGER).fill_null(value=False))
    keep = table.select(seen.alias("keep")).to_series()
    proofs = table.filter("evident").unique("name", keep="first", maintain_order=True)
    return keep, proofs.select("name", "line_no")


def read_text(rows: pl.DataFrame, layer: Layer, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Take a layer off by the groups of its pattern, and join lines that came in pieces."""
    missing = [pl.lit(None, dtype=pl.String).alias(name) for name in _GROUPS if f"?P<{name}>" not in layer.pattern]
    parts = rows.select(pl.col("body").str.extract_groups(layer.pattern).alias("parts")).unnest("parts")
    parts = parts.with_columns(missing).select(_GROUPS)
    stamp, clock = _stamp(layer)
    parts = parts.select(
        stamp=stamp,
        clock=clock,
        host="host",
        unit=pl.coalesce("unit", "alone", "kernel"),
        pid=pl.coalesce("pid", "own_pid").cast(pl.Int32, strict=False),
        body=pl.col("body").fill_null(""),
        stream="stream",
        is_open=pl.col("tag") == "P",
    )
    return join_pieces(overlay(rows, parts, layer), is_last=is_last)


def _stamp(layer: Layer) -> tuple[pl.Expr, pl.Expr]:
    """The stamp and its kind: a zone that is sure becomes a part of it."""
    stamp, clock = pl.col("stamp"), pl.lit(layer.clock)
    if "?P<zone>" not in layer.pattern:
        return stamp, pl.when(stamp.is_not_null()).then(clock)
    zone = pl.col("zone").replace({"UTC": "Z", "GMT": "Z"}).str.replace(r"^([+-]\d\d)$", "${1}:00")
    is_sure = zone.str.contains(r"^(?:Z|[+-]\d\d:?\d\d)$").fill_null(value=False)
    program = str(layer.clock).split(" ", maxsplit=1)[0]
    dated = stamp.str.replace_many({"/": "-", ",": ".", " ": "T"})
    kind = pl.when(is_sure).then(pl.lit(f"{program} rfc3339")).otherwise(clock)
    return pl.when(is_sure).then(dated + zone).otherwise(stamp), pl.when(stamp.is_not_null()).then(kind)


def _peel_journal(rows: pl.DataFrame, layer: Layer) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A text mode of journalctl, cut at fixed places and proven on the few distinct heads.

    Returns:
        The rows of that shape, taken off; the others, for the pattern.
    """
    body = pl.col("body")
    found = rows.head(200).select(body.str.extract(f"^({layer.start}) ").drop_nulls().first()).item()
    if found is None:
        return rows.clear(), rows
    width, bare = len(found), re.sub(r"\?P<\w+>", "?:", layer.start)
    cut = rows.select(
        "order", "line_no", raw="body", start=body.str.slice(0, width + 1), rest=body.str.slice(width + 1)
    )
    usual = cut.head(1).select(pl.col("rest").str.extract(r"^([^\]]*\]): ")).item()
    if usual and cut.select(pl.col("rest").str.starts_with(f"{usual}: ").all()).item():
        # One process wrote everything: no need to look for the end of each head.
        heads = pl.DataFrame({"head": [usual]})
        cut = cut.with_columns(body=pl.col("rest").str.slice(len(usual) + 2))
    else:
        cut = cut.with_columns(end=pl.col("rest").str.find("]: ", literal=True))
        cut = cut.with_columns(
            head=pl.col("rest").str.slice(0, pl.col("end") + 1), body=pl.col("rest").str.slice(pl.col("end") + 3)
        )
        heads = cut.select(pl.col("head").unique())
    heads = heads.with_columns(pl.col("head").str.extract_groups(_PROCESS).alias("parts")).unnest("parts")
    heads = heads.with_columns(pl.col("pid").cast(pl.Int32, strict=False))
    starts = cut.select(pl.col("start").unique())
    bad = starts.filter(~pl.col("start").str.contains(f"^{bare} $"))["start"]
    if heads.height == 1:
        cut = cut.with_columns(pl.lit(heads[name][0], dtype=heads.schema[name]).alias(name) for name in heads.columns)
    else:
        cut = cut.join(heads, on="head", how="left", nulls_equal=True, maintain_order="left")
    taken = _with_start(cut, layer)
    if bad.is_empty() and heads["unit"].null_count() == 0:
        return taken, rows.clear()
    is_good = cut.select(pl.col("unit").is_not_null() & ~pl.col("start").is_in(bad.implode())).to_series()
    return taken.filter(is_good), rows.filter(~is_good)


def _with_start(cut: pl.DataFrame, layer: Layer) -> pl.DataFrame:
    """Rows of a text mode, with the stamp and its kind from the start of the line."""
    if layer.start.startswith("(?P<stamp>") and "zone" not in layer.start:
        cut = cut.with_columns(stamp=pl.col("start").str.strip_suffix(" "), clock=pl.lit(layer.clock))
    else:
        parts = cut.select(pl.col("start").str.extract_groups(layer.start).alias("parts")).unnest("parts")
        stamp, clock = _stamp(layer)
        cut = cut.hstack(parts.select(stamp=stamp, clock=clock))
    return cut.select("order", *(name for name in schema.BODIES.names()), layer=pl.lit(layer.name))
