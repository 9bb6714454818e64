"""Mark the lines that begin a record; the others belong to the record of the line before."""

from __future__ import annotations

import polars as pl

from erranalytics.parsing.lineformats import UNKNOWN, FormatBook

MAX_RECORD_LINES = 4096
MAX_ROUNDS = 50


def mark_starts(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Add ``is_start``: whether the line begins a record.

    A record ends after ``MAX_RECORD_LINES``. The lines after that are treated like the first lines of a log, so it does
    not matter whether a batch ends there.
    """
    # > panic: runtime error                                               starts
    # > goroutine 1 [running]:                                             joins
    # > main.main()                                                        joins
    # > time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 ... starts
    # > llama_model_loader: - kv   0: general.architecture str = llama     starts
    # > llama_model_loader: - kv   1: general.name str = demo              joins: both are noise of one format
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
        # A cut inside a run of noise changes nothing after it; after any other cut the next lines are marked again.
        is_next = (
            pl.when(is_noise)
            .then(pl.col("size") % MAX_RECORD_LINES == 0)
            .otherwise(is_over.cast(pl.Int32).cum_sum().over(record) == 1)
        )
        ends = ends | table.select(is_over & is_next).to_series()


def mark_single(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """``mark_starts`` for a single line, which has nothing to join."""
    if bodies.height and bodies["format"][0] in book.formats_when_alone:
        bodies = bodies.with_columns(pl.col("format").replace(book.formats_when_alone))
    return bodies.with_columns(is_start=pl.lit(value=True))


def _pair(bodies: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Add ``is_second``: whether the line is the second half of the line before, whose format it then gets."""
    # > Nov 26, 2026 1:08:19 PM com.example.Asker ask
    # > SEVERE: the model did not answer
    #   one record of java.util.logging: the second line has its level and its message
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
    """Add ``is_start`` and ``run``, the run of noise; ``ends`` marks lines before which a record must end."""
    form, shape = pl.col("format"), pl.col("shape")
    is_hanging = shape.is_in(["blank", "indented", "meta"]).fill_null(value=False)
    # A record ends where the process changes; only blank lines have no process of their own.
    is_blank = (shape == "blank").fill_null(value=False)
    unit = pl.when(~is_blank).then(pl.col("unit").fill_null("")).forward_fill()
    pid = pl.when(~is_blank).then("pid").forward_fill()
    is_other = (pid != pid.shift()).fill_null(value=False) | (unit != unit.shift()).fill_null(value=False)
    is_first = (is_other & ~is_blank) | (pl.int_range(pl.len()) == 0) | ends
    table = bodies.with_columns(is_hanging=is_hanging, is_first=is_first)
    first = pl.when("is_first").then(pl.lit(""))
    noise = pl.when("is_hanging").then(first).otherwise(pl.col("noise").fill_null("")).forward_fill()
    # An indented line belongs to the line before it, unless that line is always complete:
    # > words that no format knows
    # >   indented                       joins
    # > [GIN] 2026/03/01 - 11:04:05 | 200 | ...
    # >   indented                       starts: an access line has only its Meta: lines after it
    before = pl.when(shape == "blank").then(first).otherwise(form).forward_fill().shift().fill_null("")
    table = table.with_columns(run=noise, before=before)
    run, before = pl.col("run"), pl.col("before")
    is_stuck = ~before.is_in(list(book.prefixes)) | ((shape == "meta") & before.is_in(book.names("access")))
    joins = (pl.col("is_hanging") & ((shape == "blank") | is_stuck)) | pl.col("is_second")
    table = table.with_columns(joins=(joins | ((run != "") & ~pl.col("is_hanging") & (run == run.shift()))) & ~is_first)
    joined = _join_guests(table, book=book)
    is_alone = form.is_in(list(book.formats_when_alone)) & ~pl.col("joins")
    if joined.select(is_alone.any()).item():
        alone = form.replace(book.formats_when_alone)
        joined = joined.with_columns(pl.when(is_alone).then(alone).otherwise(form).alias("format"))
    return joined.with_columns(is_start=~pl.col("joins"))


def _join_guests(table: pl.DataFrame, *, book: FormatBook) -> pl.DataFrame:
    """Let lines join the record of their anchor, the last line that is independent, if its format takes them.

    A line that does not join is an anchor itself, so the lines are checked until nothing changes; one round is usual.
    """
    # > 2026-03-01 11:04:05,123 ERROR app: no answer                      anchor
    # > Traceback (most recent call last):                                joins it, as client-trace may
    # >   File "app.py", line 3, in ask                                   joins it, since it is indented
    # > ollama._types.ResponseError: model 'demo' not found               joins it, as client-error may
    # > time=2026-03-01T11:04:06.000Z level=INFO source=a.go:1 msg=ok     does not join: the next anchor
    form, anchor = pl.col("format"), pl.col("anchor")
    is_closing = (pl.col("shape") == "closing").fill_null(value=False)
    can_join = (form == UNKNOWN) | form.is_in(book.names("continues")) | is_closing
    takes = (form == UNKNOWN) & anchor.is_in(book.names("absorbs"))
    reaching, gathering = _reaching(table, book=book), book.names("gathers")
    if table.select(form.is_in(gathering).any()).item():
        inside = form.is_in(book.timeless) & ~form.is_in([*gathering, *book.names("turns")])
        can_join, takes = can_join | inside, takes | (inside & anchor.is_in(gathering))
    if reaching is not None:
        is_tail = form.is_in(book.error_tails)
        can_join, takes = can_join | is_tail, takes | (is_tail & pl.col("is_reached"))
    is_guest = table.select(can_join & ~pl.col("is_hanging") & ~pl.col("is_first")).to_series()
    guests = table.select("format", "shape", place=pl.int_range(pl.len())).filter(is_guest)
    if guests.is_empty():
        return table
    for item in book.formats:
        if item.continues:
            takes = takes | ((form == item.name) & anchor.is_in(item.continues))
    takes = takes | (is_closing & (anchor == form))
    # An indented line that belongs to no line before is an anchor that takes no lines.
    names = table.select(pl.when("is_hanging").then(pl.lit("")).otherwise(form)).to_series()
    joined, turns = is_guest, form.is_in(book.names("turns"))
    for _ in range(MAX_ROUNDS):
        # A line of a format that ``turns`` its record is an anchor too, but only after it has joined one.
        is_anchor = (~pl.col("is_hanging") & (~joined | turns)) | pl.col("is_first")
        is_anchor_named = ~(form.is_in(list(book.formats_when_alone)) & ~joined)
        current = table.select(pl.when(is_anchor_named).then(names)).to_series()
        place = _last_place(table, is_anchor).gather(guests["place"])
        known = guests.with_columns(anchor=current.gather(place).fill_null(""))
        if reaching is not None:
            is_end = ~pl.col("is_hanging") & ~(joined & form.is_in(book.error_tails))
            ends = _last_place(table, is_end | pl.col("is_first"))
            known = known.with_columns(reaching.gather(ends.gather(guests["place"])).fill_null(value=False))
        hit = known.select(takes).to_series()
        next_joined = pl.repeat(value=False, n=table.height, dtype=pl.Boolean, eager=True).scatter(guests["place"], hit)
        if (next_joined == joined).all():
            break
        joined = next_joined
    return table.with_columns(joins=pl.col("joins") | joined)


def _last_place(table: pl.DataFrame, is_wanted: pl.Expr) -> pl.Series:
    """The place of the last wanted line before each line."""
    return table.select(pl.when(is_wanted).then(pl.int_range(pl.len())).forward_fill().shift()).to_series()


def _reaching(table: pl.DataFrame, *, book: FormatBook) -> pl.Series | None:
    """Whether each line ends in the middle of an error; None if no line does, as in nearly every log."""
    is_able = table.select(pl.col("format").is_in(book.names("reaches"))).to_series()
    if not is_able.any():
        return None
    hit = table.filter(is_able).select(book.is_reaching(pl.col("body"), pl.col("format"))).to_series()
    if not hit.any():
        return None
    nowhere = pl.repeat(value=False, n=table.height, dtype=pl.Boolean, eager=True)
    return nowhere.scatter(is_able.arg_true(), hit).rename("is_reached")
