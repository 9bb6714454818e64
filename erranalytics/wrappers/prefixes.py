"""Take one wrapper off the front of lines: each row is matched by its own shape, the expected wrapper first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from erranalytics import schema
from erranalytics.text import patterns
from erranalytics.wrappers import forms, json_lines
from erranalytics.wrappers.forms import EVIDENT, FOREIGN_LOGGER, LETTER, WRAPPERS, Wrapper
from erranalytics.wrappers.rows import join_pieces, merge_fields

# Every line with a wrapper begins like this; nearly all lines without one do not.
GATE = (
    r"^(?:\{|data: \{|\x1e|\[pod/|\[ *[0-9]|[0-9]{4}[-/][0-9][0-9][-/]|[0-9]{10}\.|[0-9]+\|"
    rf"|\[? ?(?:[0-9]{{1,2}}{LETTER}|{LETTER}{{2,8}})\.? {{1,3}}[0-9]|{LETTER}{{1,9}}\.? [0-9]{{4}}-"
    r"|[0-9A-Za-z_.@-]+ +\|)"
)
_BODY = pl.col("body")
# Most lines begin in one of two ways and have no wrapper. Only the others, the cold lines, are matched with patterns.
_IS_COLD = ~_BODY.str.starts_with("time=2") & ~_BODY.str.starts_with("[GIN] 2")
# Whether some of the ROWS may begin with a wrapper.
MAY_PEEL = pl.when(_IS_COLD).then(_BODY).str.contains(GATE).any().alias("prefix")
_GROUPS = ("stamp", "zone", "host", "unit", "alone", "of_kernel", "pid", "own_pid", "stream", "tag", "body")
_PROCESS = r"^(?:(?P<host>[^\s:\[\]=]+) )?(?P<unit>[^\s\[:=]+)\[(?P<pid>\d+)\]$"

# Weak wrappers that are proven, with the name of the container or process, and the first line that proves each.
PROOFS = pl.Schema({"name": pl.String(), "line_no": pl.Int64()})


@dataclass(frozen=True, slots=True)
class PeelResult:
    """ROWS with one wrapper less; the weak wrappers that are proven now (``PROOFS``); the first line that waits."""

    frame: pl.DataFrame
    proofs: pl.DataFrame
    waits: int | None = None


@dataclass(slots=True)
class _Work:
    """Rows that are done and rows that are left while the wrappers are tried one after the other."""

    left: pl.DataFrame
    is_last: bool
    done: list[pl.DataFrame] = field(default_factory=list)
    proofs: list[pl.DataFrame] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FastPeelResult:
    """Rows without their wrapper, and rows that are left; both with ``order``, the place among all rows."""

    done: pl.DataFrame | None
    left: pl.DataFrame


def peel_fast(rows: pl.DataFrame, *, expected: str | None) -> FastPeelResult:
    """Take a text mode of journalctl off the rows that carry it, if that is the expected wrapper."""
    rows, first = rows.with_row_index("order"), forms.BY_NAME.get(expected or "")
    return FastPeelResult(*_peel_journal(rows, first)) if first and first.start else FastPeelResult(None, rows)


def peel(
    rows: pl.DataFrame,
    *,
    expected: str | None,
    proven: Sequence[str],
    is_last: bool,
    fast: FastPeelResult | None = None,
) -> PeelResult:
    """Take the outermost wrapper off the rows that carry one.

    Args:
        rows: ROWS in order.
        expected: the wrapper that most rows should carry.
        proven: weak wrappers, with the name they carry, that need no further proof.
        is_last: no input follows, so pieces of lines do not wait for others.
        fast: the result of ``peel_fast`` for the same rows, if there is one.
    """
    # > Mar 01 19:04:05 gpu01 docker[812]: ollama-1  | panic: boom
    #   first call     ollama-1  | panic: boom     with stamp, host, unit and pid of the journal
    #   second call    panic: boom                 with unit ollama-1
    #   third call     the same frame: nothing is left to take off
    fast = fast or peel_fast(rows, expected=expected)
    work = _Work(fast.left, is_last, done=[] if fast.done is None else [fast.done])
    gate = work.left.select(_IS_COLD).to_series()
    # The pattern runs on the cold lines only, which are few on a busy server.
    cold = work.left.lazy().filter(gate).select(_BODY.str.contains(GATE)).collect().to_series()
    gate = gate.scatter(gate.arg_true(), cold) if len(cold) else gate
    if not gate.any() and not work.done:
        return PeelResult(rows, schema.empty(PROOFS))
    closed = work.left.filter(~gate)
    if gate.any():
        work.left = work.left.filter(gate)
        for wrapper in sorted(WRAPPERS, key=lambda item: item.name != expected):
            if work.left.is_empty():
                break
            if wrapper.reader in {"text", "object", "docker"}:
                _try(wrapper, work, proven=(*proven, wrapper.name) if wrapper.name == expected else proven)
        work.done.append(work.left)
    parts = [part for part in (*work.done, closed) if not part.is_empty()]
    frame = parts[0] if len(parts) == 1 else pl.concat(parts or [closed]).sort("order", maintain_order=True)
    proofs = pl.concat([schema.empty(PROOFS), *work.proofs])
    return PeelResult(frame.drop("order"), proofs, min(work.waits, default=None))


def _try(wrapper: Wrapper, work: _Work, *, proven: Sequence[str]) -> None:
    """Move the rows that carry a wrapper from ``left`` to ``done``."""
    if not patterns.may_fit(wrapper.pattern, work.left["body"]):
        return
    hit = work.left.select(pl.col("body").str.contains(wrapper.pattern)).to_series()
    if not hit.any():
        return
    rows = work.left.filter(hit)
    if wrapper.is_weak:
        is_proven, proofs = _proven(rows, wrapper, proven)
        work.proofs.append(proofs)
        rows, hit = rows.filter(is_proven), hit.scatter(hit.arg_true(), is_proven)
        if rows.is_empty():
            return
    work.left = work.left.filter(~hit)
    readers = {"text": read_text, "object": json_lines.read_journal, "docker": json_lines.read_docker}
    peeled, waits = readers[wrapper.reader](rows, wrapper, is_last=work.is_last)
    work.done.append(peeled)
    work.waits += [] if waits is None else [waits]


def _proven(rows: pl.DataFrame, wrapper: Wrapper, proven: Sequence[str]) -> tuple[pl.Series, pl.DataFrame]:
    """Whether each row carries a weak wrapper: a line of Ollama follows it, or followed it before under its name."""
    # > 2026-03-01 19:04:05 panic: boom                        no: nothing proves the stamp yet, unless it is expected
    # > 2026-03-01 19:04:05 time=2026-03-01T11:04:05.416Z ...  yes: a line of Ollama follows
    # > 2026-03-01 19:04:06 goroutine 1 [running]:             yes: the stamp is proven now
    # > 2026-03-01 19:04:06 INFO other program                 no: another logger wrote this line and its stamp
    parts = rows.select("line_no", pl.col("body").str.extract_groups(wrapper.pattern).alias("parts"))
    body = pl.col("parts").struct.field("body")
    names = [pl.lit(wrapper.name)] + ([pl.col("parts").struct.field("unit")] if "?P<unit>" in wrapper.pattern else [])
    table = parts.select(
        "line_no", name=pl.concat_str(names, separator=" "), evident=body.str.contains(EVIDENT), rest=body
    )
    table = table.with_columns(pl.col("evident").fill_null(value=False))
    seen = pl.col("evident").cum_max().over("name") | pl.col("name").is_in(proven)
    seen = pl.lit(value=True) if wrapper.name in proven and "?P<unit>" in wrapper.pattern else seen
    if wrapper.clock:
        seen = pl.col("evident") | (seen & ~pl.col("rest").str.contains(FOREIGN_LOGGER).fill_null(value=False))
    is_proven = table.select(seen).to_series()
    proofs = table.filter("evident").unique("name", keep="first", maintain_order=True)
    return is_proven, proofs.select("name", "line_no")


def read_text(rows: pl.DataFrame, wrapper: Wrapper, *, is_last: bool) -> tuple[pl.DataFrame, int | None]:
    """Take a wrapper off with the groups of its pattern, and join lines that came in pieces."""
    missing = [pl.lit(None, dtype=pl.String).alias(name) for name in _GROUPS if f"?P<{name}>" not in wrapper.pattern]
    parts = rows.select(pl.col("body").str.extract_groups(wrapper.pattern).alias("parts")).unnest("parts")
    parts = parts.with_columns(missing).select(_GROUPS)
    stamp, clock = _stamp(wrapper)
    parts = parts.select(
        stamp=stamp,
        clock=clock,
        host="host",
        unit=pl.coalesce("unit", "alone", "of_kernel"),
        pid=pl.coalesce("pid", "own_pid").cast(pl.Int32, strict=False),
        body=pl.col("body").fill_null(""),
        stream="stream",
        is_open=pl.col("tag") == "P",
    )
    return join_pieces(merge_fields(rows, parts, wrapper), is_last=is_last)


def _stamp(wrapper: Wrapper) -> tuple[pl.Expr, pl.Expr]:
    """The stamp and its kind; an unambiguous zone becomes part of the stamp."""
    # > Sun 2026-03-01 19:04:05 UTC   "2026-03-01T19:04:05Z", journal rfc3339
    # > Sun 2026-03-01 19:04:05 +08   "2026-03-01T19:04:05+08:00", journal rfc3339
    # > Sun 2026-03-01 19:04:05 CST   "2026-03-01 19:04:05", journal naive: CST is America or China
    stamp, clock = pl.col("stamp"), pl.lit(wrapper.clock)
    if "?P<zone>" not in wrapper.pattern:
        return stamp, pl.when(stamp.is_not_null()).then(clock)
    zone = pl.col("zone").replace({"UTC": "Z", "GMT": "Z"}).str.replace(r"^([+-]\d\d)$", "${1}:00")
    is_sure = zone.str.contains(r"^(?:Z|[+-]\d\d:?\d\d)$").fill_null(value=False)
    program = str(wrapper.clock).split(" ", maxsplit=1)[0]
    dated = stamp.str.replace_many({"/": "-", ",": ".", " ": "T"})
    kind = pl.when(is_sure).then(pl.lit(f"{program} rfc3339")).otherwise(clock)
    return pl.when(is_sure).then(dated + zone).otherwise(stamp), pl.when(stamp.is_not_null()).then(kind)


def _peel_journal(rows: pl.DataFrame, wrapper: Wrapper) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take off a text mode of journalctl by cutting at fixed places; only the few distinct heads meet a pattern.

    Returns:
        The rows of that shape without their wrapper; the other rows, for the pattern.
    """
    # The stamp of a mode has a fixed width, so each line is cut into three texts:
    # > Mar 01 19:04:05 gpu01 ollama[1234]: panic: boom
    #   start "Mar 01 19:04:05 ", head "gpu01 ollama[1234]", body "panic: boom"
    # Starts and heads repeat, so the patterns run on the distinct ones.
    body = pl.col("body")
    sample = rows.head(200).select(body.str.extract(f"^({wrapper.start}) ").drop_nulls().first()).item()
    if sample is None:
        return rows.clear(), rows
    width, bare = len(sample), re.sub(r"\?P<\w+>", "?:", wrapper.start)
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
    peeled = _with_start(cut, wrapper)
    if bad.is_empty() and heads["unit"].null_count() == 0:
        return peeled, rows.clear()
    is_good = cut.select(pl.col("unit").is_not_null() & ~pl.col("start").is_in(bad.implode())).to_series()
    return peeled.filter(is_good), rows.filter(~is_good)


def _with_start(cut: pl.DataFrame, wrapper: Wrapper) -> pl.DataFrame:
    """Rows of a text mode, with the stamp and its kind from the start of the line."""
    if wrapper.start.startswith("(?P<stamp>") and "zone" not in wrapper.start:
        cut = cut.with_columns(stamp=pl.col("start").str.strip_suffix(" "), clock=pl.lit(wrapper.clock))
    else:
        parts = cut.select(pl.col("start").str.extract_groups(wrapper.start).alias("parts")).unnest("parts")
        stamp, clock = _stamp(wrapper)
        cut = cut.hstack(parts.select(stamp=stamp, clock=clock))
    return cut.select("order", *(name for name in schema.BODIES.names()), wrapper=pl.lit(wrapper.name))
