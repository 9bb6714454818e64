"""The session of each record: one run of the server.

A session begins at its ``server config`` line (v0.1.34 and later) or, without one, at ``Listening on``. A second server
that finds the port taken prints its ``server config`` line and then an error, and ends. Its session does not count, and
the lines after it belong to the session before (server/routes.go and cmd/cmd.go at v0.24.0).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from erranalytics.text.literals import may_hold


@dataclass(frozen=True, slots=True)
class SessionState:
    """The session at the end of a batch, counted from 0 inside a load; ``fallback`` is the session before it."""

    current: int = 0
    fallback: int = 0
    newest: int = 0
    has_config: bool = False


def assign(events: pl.DataFrame, state: SessionState) -> tuple[pl.Series, SessionState]:
    """The session of each event.

    Args:
        events: EVENTS in line order.
        state: the state that the batch before returned.

    Returns:
        A series ``session`` (Int32) of the same height, and the state after the last event.
    """
    # > server config                                       1
    # > Listening on 127.0.0.1:11434 (version 0.24.0)       1
    # > server config                                       2
    # > Error: listen tcp 127.0.0.1:11434: bind: ...        1: session 2 found the port taken
    # > any message                                         1
    marks = _marks(events["message"])
    if marks.is_empty():
        same = pl.Series("session", [state.current], dtype=pl.Int32).new_from_index(0, events.height)
        return same, state
    before = pl.col("kind").shift(fill_value="config" if state.has_config else "listen")
    is_start = (pl.col("kind") == "config") | ((pl.col("kind") == "listen") & (before != "config"))
    marks = marks.with_columns(is_start=is_start, is_abort=pl.col("kind") == "abort")
    number = state.newest + pl.col("is_start").cum_sum()
    # A start that is followed by an abort does not count; the abort returns to the last start that does.
    is_kept = pl.col("is_start") & ~pl.col("is_abort").shift(-1, fill_value=False)
    marks = marks.with_columns(number=pl.when("is_start").then(number), kept=pl.when(is_kept).then(number))
    # Only a server that has not logged "Listening on" yet can be the one that found the port taken.
    is_undone = state.has_config and bool(marks["is_abort"][0])
    fallback = pl.col("kept").forward_fill().fill_null(state.fallback if is_undone else state.current)
    marks = marks.with_columns(
        session=pl.when("is_abort").then(fallback).otherwise("number").forward_fill(), fallback=fallback
    )
    marks = marks.with_columns(pl.col("session").fill_null(state.current).cast(pl.Int32))
    table = events.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"))
    joined = table.join(marks.select("row", "session"), on="row", how="left", maintain_order="left")
    series = joined["session"].forward_fill().fill_null(state.current)
    kept = marks.filter("is_start")["number"].to_list()
    earlier = [state.current, *kept]
    last = int(marks["session"][-1])
    return series, SessionState(
        current=last,
        fallback=int(earlier[-2]) if len(earlier) > 1 else state.fallback,
        newest=state.newest + int(marks["is_start"].sum()),
        has_config=marks["kind"][-1] == "config",
    )


def _marks(messages: pl.Series) -> pl.DataFrame:
    """``row`` and ``kind`` of the messages that a server prints when it starts, or when it ends at once."""
    message = pl.col("message")
    kind = (
        pl.when(message == "server config")
        .then(pl.lit("config"))
        .when(message.str.starts_with("Listening on ") & message.str.contains("(version", literal=True))
        .then(pl.lit("listen"))
        .when(message.str.starts_with("Error: listen tcp "))
        .then(pl.lit("abort"))
    )
    if not may_hold(messages, ("server config", "Listening on ", "Error: listen tcp ")):
        return pl.DataFrame(schema={"row": pl.UInt32, "kind": pl.String})
    return messages.to_frame("message").select(kind=kind).with_row_index("row").filter(pl.col("kind").is_not_null())
