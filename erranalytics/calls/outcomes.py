"""The outcome of a call whose record does not state it, and the cause of a failure that no rule recognises."""

from __future__ import annotations

import polars as pl

from erranalytics.client.routes import NATIVE_PATHS

# Causes of a connection that was cut.
_CUT = (
    "connection_reset",
    "connection_failed",
    "network_error",
    "stream_truncated",
    "stream_missing_done",
    "stream_empty",
)
# The program itself ended the call: asyncio, the DOM, Go.
_ABORTED = r"(?i)AbortError|CancelledError|operation was aborted|context canceled|KeyboardInterrupt|GeneratorExit"


def decide(calls: pl.DataFrame) -> pl.DataFrame:
    """Fill in the outcome of calls whose record does not state it.

    Args:
        calls: ``schema.CALLS`` with ``cause`` and ``category``, the verdict on their error.

    Returns:
        The same rows with ``outcome``.
    """
    status, done = pl.col("http_status"), pl.col("done_seen")
    is_stream = pl.col("stream").fill_null(value=False)
    is_ok = status.is_between(200, 299).fill_null(value=False)
    has_begun = (pl.col("chunk_count") > 0).fill_null(value=False) | (is_ok & pl.col("chunk_count").is_null())
    has_error = pl.coalesce("error_type", "error_message").is_not_null()
    is_sentinel = pl.col("status_source") == "sentinel"
    error = pl.concat_str("error_type", pl.lit(" "), "error_message", ignore_nulls=True)
    is_aborted = error.str.contains(_ABORTED).fill_null(value=False)
    has_left = is_aborted | (pl.col("category") == "cancelled").fill_null(value=False)
    # After the first piece a connection can only be cut: a later error about an unreachable host is the server's text.
    is_cut = pl.col("cause").is_in(_CUT).fill_null(value=False)
    stream = (
        pl.when(done.fill_null(value=False) & ~has_error)
        .then(pl.lit("completed"))
        .when(~has_begun & ~is_sentinel)
        .then(pl.when(is_ok & ~has_error).then(pl.lit("truncated")).otherwise(pl.lit("failed_before_first_byte")))
        .when(has_error & has_left)
        .then(pl.lit("cancelled_by_client"))
        .when(has_error & is_cut & ~is_sentinel)
        .then(pl.lit("truncated"))
        .when(has_error)
        .then(pl.lit("failed_mid_stream"))
        .when(done.is_null())
        .then(pl.lit("not_observable"))
        .otherwise(pl.lit("truncated"))
    )
    is_partial = (pl.col("endpoint").is_in(NATIVE_PATHS) & ~done).fill_null(value=False)
    single = (
        pl.when(is_aborted)
        .then(pl.lit("cancelled_by_client"))
        .when(has_error | (status >= 400).fill_null(value=False) | (is_ok & is_partial))
        .then(pl.lit("failed"))
        .when(is_ok)
        .then(pl.lit("completed"))
        .otherwise(pl.lit("not_observable"))
    )
    decided = pl.when(is_stream).then(stream).otherwise(single)
    return calls.with_columns(outcome=pl.coalesce("outcome", decided))


def infer_causes(calls: pl.DataFrame) -> pl.DataFrame:
    """Add the cause of failed calls whose text no rule recognises, as ``slug`` and ``reason``; null for other calls.

    Args:
        calls: the result of ``decide``, with ``is_problem``: whether a rule found one.
    """
    outcome, status = pl.col("outcome"), pl.col("http_status")
    has_error = pl.coalesce("error_type", "error_message").is_not_null()
    is_partial = (pl.col("done_seen").eq(other=False) & status.is_between(200, 299) & ~has_error).fill_null(value=False)
    slug = (
        pl.when(pl.col("is_problem") | outcome.is_in(["completed", "not_observable"]))
        .then(None)
        .when(outcome == "cancelled_by_client")
        .then(pl.lit("client_cancelled"))
        .when((outcome == "truncated") | is_partial)
        .then(pl.lit("stream_missing_done"))
        .when(outcome == "failed_mid_stream")
        .then(pl.lit("stream_error_object"))
        .when(status >= 400)
        .then(pl.concat_str(pl.lit("http_"), status.cast(pl.String)))
        .when(pl.col("error_message").is_null())
        .then(pl.lit("empty_error"))
        .otherwise(pl.lit("unknown"))
    )
    pieces = pl.format("after {} pieces", pl.col("chunk_count").fill_null(0))
    reason = pl.coalesce("error_message", pl.concat_str(outcome, pl.lit(" "), pieces))
    return calls.with_columns(slug=slug, reason=pl.when(slug.is_not_null()).then(reason))
