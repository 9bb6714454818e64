"""The outcomes of a call, and which of them fits what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from erranalytics.client.bodies import BodyContent

Outcome = Literal[
    "completed",
    "failed",
    "failed_before_first_byte",
    "failed_mid_stream",
    "truncated",
    "cancelled_by_client",
    "not_observable",
]
OUTCOMES: dict[Outcome, str] = {
    "completed": "The whole answer came: with `done:true`, `[DONE]` or `message_stop` if it streamed.",
    "failed": 'A call that does not stream got no answer, an error, or `"done":false`.',
    "failed_before_first_byte": "A stream was refused, or broke before its first byte.",
    "failed_mid_stream": "An error object came inside a 200.",
    "truncated": "A stream ended, cleanly or not, without its end mark.",
    "cancelled_by_client": "The program closed the answer, cancelled its task or ended.",
    "not_observable": "Nothing that was seen shows whether the call succeeded.",
}
STREAM_ONLY = frozenset(("failed_before_first_byte", "failed_mid_stream", "truncated"))

# What ended the call: the body ended as HTTP says it should, the client library raised, its deadline passed, the
# program was interrupted (a cancelled task, Ctrl-C), it closed the answer, or the body could not be watched.
Ending = Literal["end", "exception", "timeout", "cancelled", "closed", "unwatched"]


def outcome_of(
    *,
    stream: bool | None,
    status: int | None,
    ending: Ending,
    has_begun: bool,
    is_opaque: bool,
    content: BodyContent,
) -> Outcome:
    """The outcome of a call.

    Args:
        stream: whether the program asked for an answer in pieces.
        status: of HTTP; null when no answer came.
        ending: what ended the call.
        has_begun: whether a piece of the answer came.
        is_opaque: whether the body could not be read, for example because of its content encoding.
        content: what was read in the body.
    """
    early: Outcome = "failed_before_first_byte" if stream else "failed"
    if (status is not None and status >= 300) or content.is_gateway_page:
        return early
    if ending == "timeout":
        # A client that stops waiting in the middle of a stream has left it; a call that had not begun has failed.
        left: Outcome = "cancelled_by_client" if stream and has_begun else early
        return "completed" if content.is_complete else left
    if ending == "unwatched" or (ending != "exception" and is_opaque):
        return "not_observable"
    if content.error:
        return "failed_mid_stream" if stream else "failed"
    is_left = ending in {"closed", "cancelled"}
    # A program that has seen the end mark, or why the model stopped, has the whole answer and may leave.
    if content.is_complete or (is_left and content.finish_reason):
        return "completed"
    if is_left and not content.is_garbled:
        return "cancelled_by_client"
    if ending == "exception" or is_left:
        return "truncated" if stream and has_begun else early
    return _without_end_mark(content, stream=stream, has_begun=has_begun)


def _without_end_mark(content: BodyContent, *, stream: bool | None, has_begun: bool) -> Outcome:
    """The outcome when the body ended as HTTP says it should, but nothing in it says that the answer is complete."""
    if stream:
        return "truncated" if content.is_readable or not has_begun else "not_observable"
    return "failed" if content.is_complete is False else "not_observable"
