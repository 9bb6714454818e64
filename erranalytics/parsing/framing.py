"""BODIES to RECORDS: recognise the line format, fold what belongs together.

A record is one thing that was said: a slog line, an access line with its trailers, a CUDA error block, a
panic with its goroutines, a run of loader metadata. Whether a line continues the record before depends
on the lines since that record began and on nothing else, so the last record of a batch, handed back as
``rest``, is all the state there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics import schema
from erranalytics.parsing import gateways, lineformats, otlp
from erranalytics.parsing.lineformats import UNKNOWN, FormatBook
from erranalytics.text.literals import may_hold

MAX_RECORD_LINES = 4096
KEPT_LINES = 200
MAX_ROUNDS = 50

_OLLAMA_UNIT = r"(?i)ollama|llama"
# A line that was printed behind text without a line end: loader dots, progress bars, driver messages.
_GLUED = r'^([^"]*[^"\s])((?:time=\d{4}-\d\d-\d\dT\S+ level=|\[GIN\] \d{4}/).*)$'
# What curl prints behind a body without a line end, or behind its progress.
_GLUED_CURL = (
    r"^(.*(?:\}|[0-9kMG])|\{\"?\w{0,20})"
    r"(\*   Trying \S+:\d+\.\.\.|curl: \(\d+\) .*|  % Total +% Received .*|HTTP/\d(?:\.\d)? \d{3}(?: [A-Z].*)?)$"
)
_OF_CURL = ("*   Trying ", "curl: (", "  % Total ", "}HTTP/")
# One of them stands in each line that is more than one.
_OF_MANY = (*lineformats.HOT.values(), *_OF_CURL, *otlp.STARTS)


@dataclass(frozen=True, slots=True)
class Framed:
    """RECORDS of a batch, the BODIES of its unfinished last record, and counted rejects.

    ``rejects`` has ``line_no, line_count, reason, sample``.
    """

    records: pl.DataFrame
    rest: pl.DataFrame
    rejects: pl.DataFrame


def frame(bodies: pl.DataFrame, *, book: FormatBook, end: int, is_last: bool) -> Framed:
    """BODIES to RECORDS.

    Args:
        bodies: BODIES, beginning with the ``rest`` of the batch before.
        book: the line formats.
        end: number of the physical line behind them.
        is_last: no further lines will come, so nothing is held back.
    """
    if bodies.is_empty():
        return Framed(schema.empty(schema.RECORDS), bodies, _no_rejects())
    while (known := recognise(bodies, book=book)) is None:
        bodies = split_glued(bodies)
    blank_head = _blank_head(known, end=end)
    left = known.slice(blank_head.height) if blank_head.height else known
    marked = _mark_starts(left, book=book) if left.height > 1 else _alone(left, book=book)
    cut = marked.height
    if not is_last and not marked.is_empty():
        # Everything before the last start is complete.
        cut = int(marked.select(pl.col("is_start").arg_true().last()).item())
        end = int(marked["line_no"][cut])
    return Framed(_fold(marked.head(cut), end=end, book=book), bodies.slice(blank_head.height + cut), blank_head)


def split_glued(bodies: pl.DataFrame) -> pl.DataFrame:
    """Several BODIES where records share a physical line; loader dots alone are dropped.

    A log line stands behind other text, curl behind a body, or the line is a batch of OTLP.
    """
    body = pl.col("body")
    parts = bodies.with_row_index("place")
    batches = parts.filter(otlp.is_envelope(body))
    if not batches.is_empty():
        parts = pl.concat([parts.filter(~otlp.is_envelope(body)), otlp.unfold(batches)])
        parts = parts.sort("place", maintain_order=True).with_columns(
            place=pl.int_range(pl.len(), dtype=pl.get_index_type())
        )
    # The lines that are told by their first bytes are whole; of the others equal ones are looked at once.
    cold = parts.filter(~_is_hot(body)).select(_whole(body)).unique()
    glued = cold.filter(_is_glued(body))["body"].implode()
    parts = parts.with_columns(is_glued=~_is_hot(body) & _whole(body).is_in(glued))
    halves = [pl.coalesce(_whole(body).str.extract(one, half) for one in (_GLUED, _GLUED_CURL)) for half in (1, 2)]
    inner = parts.filter("is_glued").with_columns(halves[1])
    outer = parts.with_columns(pl.when("is_glued").then(halves[0]).otherwise(body).alias("body"))
    outer = outer.filter(~(pl.col("is_glued") & pl.col("body").str.contains(r"^\.+$")))
    return pl.concat([outer, inner]).sort("place", maintain_order=True).select(bodies.columns)


def _whole(body: pl.Expr) -> pl.Expr:
    """A body as its format is recognised."""
    return body.fill_null("").str.strip_chars_end()


def _is_hot(body: pl.Expr) -> pl.Expr:
    """Whether the first bytes tell the format."""
    return pl.any_horizontal(body.str.starts_with(start) for start in lineformats.HOT.values()).fill_null(value=False)


def _is_glued(body: pl.Expr) -> pl.Expr:
    """Whether a record stands behind other text; of bodies whose first bytes do not tell their format."""
    has_line = body.str.contains_any(list(lineformats.HOT.values())) & body.str.contains(_GLUED)
    return has_line | (body.str.contains_any(_OF_CURL) & body.str.contains(_GLUED_CURL))


def _is_batch(body: pl.Expr) -> pl.Expr:
    """Whether a body is a batch of OTLP that can be taken apart; a damaged one stays as it is."""
    return otlp.is_envelope(body) & body.str.json_path_match("$").is_not_null()


def recognise(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame | None:
    """Add ``format``, ``noise`` (the key of a run of noise, else null) and ``shape`` to BODIES.

    None when lines stand behind other text: they are to be split first.

    ``shape`` is ``blank``, ``indented``, ``meta`` (behind an access line) or ``closing`` (of a GPU error block).

    The two formats of nearly every line are told by their first bytes, the others on distinct bodies.
    """
    body, hot = pl.col("body"), pl.lit(None, dtype=pl.String)
    for name, start in lineformats.HOT.items():
        hot = pl.when(body.str.starts_with(start)).then(pl.lit(name)).otherwise(hot)
    table = bodies.with_columns(format=hot)
    is_cold = pl.col("format").is_null()
    if not table["format"].null_count():
        return table.with_columns(noise=pl.lit(None, dtype=pl.String), shape=pl.lit(None, dtype=pl.String))
    cold = table.filter(is_cold).select(_whole(body), "unit")
    distinct = cold.unique() if cold.height > 1 else cold
    if may_hold(distinct["body"], _OF_MANY) and distinct.select((_is_glued(body) | _is_batch(body)).any()).item():
        return None
    found = _recognise_cold(distinct, book=book)
    if cold.height > 1:
        found = cold.join(found, on=["body", "unit"], how="left", nulls_equal=True, maintain_order="left")
    if cold.height == table.height:
        return table.with_columns(found.select("body", "format", "noise", "shape"))
    cold = found
    # Scattered back by position, which is a fraction of the price of a join.
    place = table.select((is_cold.cum_sum().cast(pl.Int64) - 1).clip(0)).to_series()
    picked = {
        name: pl.when(is_cold).then(pl.lit(cold[source].gather(place)))
        for name, source in {"body": "body", "format": "format", "noise": "noise", "shape": "shape"}.items()
    }
    return table.with_columns(
        body=pl.coalesce(picked["body"], "body"),
        format=pl.coalesce("format", picked["format"]),
        noise=picked["noise"],
        shape=picked["shape"],
    )


def _recognise_cold(distinct: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Format and noise key of each distinct body."""
    found = book.recognise(distinct)
    body, form = pl.col("body"), pl.col("format")
    if found["unit"].null_count() < found.height:
        others = ["systemd", "kernel", *gateways.FORMATS]
        is_other_program = ~pl.col("unit").str.contains(_OLLAMA_UNIT) & ~form.is_in(others)
        found = found.with_columns(format=pl.when(is_other_program).then(pl.lit("foreign")).otherwise("format"))
    shape = (
        pl.when(body == "")
        .then(pl.lit("blank"))
        .when(body.str.starts_with(" ") & body.str.strip_chars_start(" ").str.starts_with("Meta:"))
        .then(pl.lit("meta"))
        .when((body.str.starts_with(" ") | body.str.starts_with("\t")) & form.is_in([UNKNOWN, "foreign"]))
        .then(pl.lit("indented"))
    )
    if (found["format"] == "gpu-error").any():
        is_closing = (form == "gpu-error") & body.str.contains(r"^\S+:\d+: (?:CUDA|ROCm|HIP) error$")
        shape = shape.when(is_closing).then(pl.lit("closing"))
    return found.select("unit", "format", "body", noise=pl.when("is_noise").then("format"), shape=shape)


def _no_rejects() -> pl.DataFrame:
    return pl.DataFrame(schema={"line_no": pl.Int64, "line_count": pl.Int32, "reason": pl.String, "sample": pl.String})


def _blank_head(bodies: pl.DataFrame, *, end: int) -> pl.DataFrame:
    """Blank lines before the first record belong to nothing: the only lines that framing rejects."""
    if bodies["body"][0]:
        return _no_rejects()
    filled = (
        bodies.select((pl.col("body") != "").arg_max()).item()
        if bodies.select((pl.col("body") != "").any()).item()
        else bodies.height
    )
    if not filled:
        return _no_rejects()
    sample = pl.lit(None, dtype=pl.String)
    count = (pl.col("line_no").shift(-1).fill_null(end) - pl.col("line_no")).cast(pl.Int32)
    counted = bodies.select("line_no", line_count=count, reason=pl.lit("blank"), sample=sample)
    return counted.head(filled)


def _mark_starts(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Add ``is_start``: whether the line begins a record.

    A record ends after ``MAX_RECORD_LINES``, and what follows is looked at as if nothing stood before it: so it does
    not matter whether a batch ends there.
    """
    bodies = _pair(bodies, book=book)
    ends = pl.repeat(value=False, n=bodies.height, dtype=pl.Boolean, eager=True)
    while True:
        table = _mark_joins(bodies, ends, book=book)
        place = pl.int_range(pl.len())
        size = place - pl.when("is_start").then(place).forward_fill()
        table = table.with_columns(size=size, is_blank=(pl.col("shape") == "blank").fill_null(value=False))
        # A blank line cannot begin a record.
        is_over = (pl.col("size") >= MAX_RECORD_LINES) & ~pl.col("is_blank")
        if not table.select(is_over.any()).item():
            return table
        record = pl.col("is_start").cum_sum()
        is_noise = ((pl.col("run") != "") & ~pl.col("is_hanging")).all().over(record)
        # Where a run of noise is cut changes nothing behind; elsewhere all behind the first cut is looked at again.
        is_next = (
            pl.when(is_noise)
            .then(pl.col("size") % MAX_RECORD_LINES == 0)
            .otherwise(is_over.cast(pl.Int32).cum_sum().over(record) == 1)
        )
        ends = ends | table.select(is_over & is_next).to_series()


def _alone(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """``_mark_starts`` of one line, which has nothing to join."""
    loners = {item.name: item.alone for item in book.formats if item.alone}
    if bodies.height and bodies["format"][0] in loners:
        bodies = bodies.with_columns(pl.col("format").replace(loners))
    return bodies.with_columns(is_start=pl.lit(value=True))


def _pair(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Add ``is_second``: whether the line is the second half of the one before it, whose format it gets then."""
    form, halves = pl.col("format"), book.names("second")
    if not bodies.select(form.is_in(halves).any()).item():
        return bodies.with_columns(is_second=pl.lit(value=False))
    is_second = book.is_second(pl.col("body"), form.shift()) & ~form.is_in(halves)
    return bodies.with_columns(is_second=is_second).with_columns(
        format=pl.when("is_second").then(form.shift()).otherwise(form),
        noise=pl.when(~pl.col("is_second")).then("noise"),
        shape=pl.when(~pl.col("is_second")).then("shape"),
    )


def _mark_joins(bodies: pl.DataFrame, ends: pl.Series, *, book: FormatBook) -> pl.DataFrame:
    """Add ``is_start``, where a record is known to end before some lines, and ``run``, the run of noise."""
    form, shape = pl.col("format"), pl.col("shape")
    is_hanging = shape.is_in(["blank", "indented", "meta"]).fill_null(value=False)
    # Nothing but a blank line is continued across a change of process.
    is_blank = (shape == "blank").fill_null(value=False)
    unit = pl.when(~is_blank).then(pl.col("unit").fill_null("")).forward_fill()
    pid = pl.when(~is_blank).then("pid").forward_fill()
    is_other = (pid != pid.shift()).fill_null(value=False) | (unit != unit.shift()).fill_null(value=False)
    is_first = (is_other & ~is_blank) | (pl.int_range(pl.len()) == 0) | ends
    table = bodies.with_columns(is_hanging=is_hanging, is_first=is_first)
    first = pl.when("is_first").then(pl.lit(""))
    noise = pl.when("is_hanging").then(first).otherwise(pl.col("noise").fill_null("")).forward_fill()
    # An indented line hangs on the line before it, unless that one is of a kind that nothing hangs on.
    before = pl.when(shape == "blank").then(first).otherwise(form).forward_fill().shift().fill_null("")
    table = table.with_columns(run=noise, before=before)
    run, before = pl.col("run"), pl.col("before")
    is_stuck = ~before.is_in(list(lineformats.HOT)) | ((shape == "meta") & (before == "gin"))
    joins = (pl.col("is_hanging") & ((shape == "blank") | is_stuck)) | pl.col("is_second")
    table = table.with_columns(joins=(joins | ((run != "") & ~pl.col("is_hanging") & (run == run.shift()))) & ~is_first)
    joined = _join_guests(table, book=book)
    loners = {item.name: item.alone for item in book.formats if item.alone}
    is_alone = form.is_in(list(loners)) & ~pl.col("joins")
    if joined.select(is_alone.any()).item():
        joined = joined.with_columns(pl.when(is_alone).then(form.replace(loners)).otherwise(form).alias("format"))
    return joined.with_columns(is_start=~pl.col("joins"))


def _join_guests(table: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Let lines join the record of the last line that stands for itself, their anchor, where its format takes them.

    What does not join is an anchor itself, so it is looked at again until nothing changes: nearly always at once.
    """
    form, anchor = pl.col("format"), pl.col("anchor")
    is_closing = (pl.col("shape") == "closing").fill_null(value=False)
    can_join = (form == UNKNOWN) | form.is_in(book.names("continues")) | is_closing
    takes = (form == UNKNOWN) & anchor.is_in(book.names("absorbs"))
    reaching, gathering = _reaching(table, book=book), book.names("gathers")
    if table.select(form.is_in(gathering).any()).item():
        inside = form.is_in(book.timeless) & ~form.is_in([*gathering, *book.names("turns")])
        can_join, takes = can_join | inside, takes | (inside & anchor.is_in(gathering))
    if reaching is not None:
        can_join, takes = can_join | form.is_in(book.loose), takes | (form.is_in(book.loose) & pl.col("is_reached"))
    is_guest = table.select(can_join & ~pl.col("is_hanging") & ~pl.col("is_first")).to_series()
    guests = table.select("format", "shape", place=pl.int_range(pl.len())).filter(is_guest)
    if guests.is_empty():
        return table
    for item in book.formats:
        if item.continues:
            takes = takes | ((form == item.name) & anchor.is_in(item.continues))
    # An error block of a GPU backend ends with the line that names the source file.
    takes = takes | (is_closing & (anchor == "gpu-error"))
    # A line that hangs on nothing is an anchor that takes nothing.
    names = table.select(pl.when("is_hanging").then(pl.lit("")).otherwise(form)).to_series()
    joined, turns = is_guest, form.is_in(book.names("turns"))
    loners = [item.name for item in book.formats if item.alone]
    for _ in range(MAX_ROUNDS):
        # What turns its record is an anchor too, but only when it joins one.
        is_anchor = (~pl.col("is_hanging") & (~joined | turns)) | pl.col("is_first")
        is_anchor_named = ~(form.is_in(loners) & ~joined)
        current = table.select(pl.when(is_anchor_named).then(names)).to_series()
        place = _last_place(table, is_anchor).gather(guests["place"])
        known = guests.with_columns(anchor=current.gather(place).fill_null(""))
        if reaching is not None:
            ends = _last_place(table, (~pl.col("is_hanging") & ~(joined & form.is_in(book.loose))) | pl.col("is_first"))
            known = known.with_columns(reaching.gather(ends.gather(guests["place"])).fill_null(value=False))
        hit = known.select(takes).to_series()
        again = pl.repeat(value=False, n=table.height, dtype=pl.Boolean, eager=True).scatter(guests["place"], hit)
        if (again == joined).all():
            break
        joined = again
    return table.with_columns(joins=pl.col("joins") | joined)


def _last_place(table: pl.DataFrame, is_wanted: pl.Expr) -> pl.Series:
    """For each line the place of the last wanted line before it."""
    return table.select(pl.when(is_wanted).then(pl.int_range(pl.len())).forward_fill().shift()).to_series()


def _reaching(table: pl.DataFrame, *, book: FormatBook) -> pl.Series | None:
    """Which lines end in the middle of an error; None when no line does, as in nearly every log."""
    is_able = table.select(pl.col("format").is_in(book.names("reaches"))).to_series()
    if not is_able.any():
        return None
    hit = table.filter(is_able).select(book.is_reaching(pl.col("body"), pl.col("format"))).to_series()
    if not hit.any():
        return None
    none = pl.repeat(value=False, n=table.height, dtype=pl.Boolean, eager=True)
    return none.scatter(is_able.arg_true(), hit).rename("is_reached")


def _told(table: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Records whose format says what is kept of them, without the rest; others as they are."""
    form = pl.col("format")
    owner = pl.when("is_start").then(form).forward_fill()
    choosy = [item.name for item in book.formats if item.behind or item.hides]
    if table.height == 1 and table["format"][0] not in choosy:
        return table
    is_theirs = table.select(owner.is_in(choosy)).to_series()
    if not is_theirs.any():
        return table
    some = table.with_row_index("place").with_columns(owner=owner).filter(is_theirs)
    body, start = pl.col("body"), pl.col("is_start")
    said = (
        pl.when(start)
        .then(book.without_hidden(body, pl.col("owner")))
        .otherwise(book.kept_behind(body, pl.col("owner")))
    )
    some = some.with_columns(said.alias("body")).filter(body.is_not_null())
    # What is said of a thousand pieces of an answer is said once.
    is_chosen = pl.col("owner").is_in([item.name for item in book.formats if item.behind])
    some = some.filter(start | ~is_chosen | (body != body.shift()))
    rest = table.with_row_index("place").filter(~is_theirs)
    return pl.concat([rest, some.drop("owner")]).sort("place").drop("place")


def _fold(marked: pl.DataFrame, *, end: int, book: FormatBook) -> pl.DataFrame:
    """One row per start; the lines behind it become ``rest``.

    A line counts for the record in which it begins: a second record on one physical line has none of its own.
    """
    if marked.is_empty():
        return schema.empty(schema.RECORDS)
    counts = pl.col("line_no").shift(-1).fill_null(end) - pl.col("line_no")
    if marked["is_start"].all():
        table = _told(marked, book=book).with_columns(line_count=counts.cast(pl.Int32), rest=pl.lit(None, pl.String))
        return table.select(pl.col(name).cast(kind) for name, kind in schema.RECORDS.items())
    table = marked.with_columns(record=pl.col("is_start").cum_sum())
    starts = table.filter("is_start")
    starts = starts.with_columns(line_count=counts.cast(pl.Int32))
    table = _told(table, book=book)
    starts = starts.with_columns(table.filter("is_start")["body"])
    followers = table.filter(~pl.col("is_start") & (pl.col("shape") != "blank").fill_null(value=True))
    if followers["noise"].null_count() < followers.height:
        followers = followers.filter(pl.col("noise").is_null() | book.is_kept(pl.col("body"), pl.col("noise")))
    if followers.is_empty():
        rest = pl.lit(None, dtype=pl.String)
        return starts.select(*(name for name in schema.RECORDS if name != "rest"), rest=rest).cast(schema.RECORDS)
    rests = followers.group_by("record", maintain_order=True).agg(rest=pl.col("body").head(KEPT_LINES).str.join("\n"))
    return (
        starts.join(rests, on="record", how="left", maintain_order="left")
        .select(schema.RECORDS.names())
        .cast(schema.RECORDS)
    )
