"""The session of each record: one run of the server."""

from __future__ import annotations

import polars as pl
import pytest

from erranalytics.parsing import sessions

LISTEN, CONFIG, BUSY = (
    "Listening on 127.0.0.1:11434 (version 0.24.0)",
    "server config",
    "Error: listen tcp 127.0.0.1:11434: bind: address already in use",
)
TABLE = {
    "config and listen are one start": (["a", CONFIG, LISTEN, "b"], [0, 1, 1, 1]),
    "listen alone is a start": (["a", LISTEN, "b", LISTEN], [0, 1, 1, 2]),
    "two starts": ([CONFIG, LISTEN, "a", CONFIG, LISTEN], [1, 1, 1, 2, 2]),
    "a second server on a busy port": ([CONFIG, LISTEN, "a", CONFIG, BUSY, "b"], [1, 1, 1, 2, 1, 1]),
    "nothing": (["a", "b"], [0, 0]),
}


@pytest.mark.parametrize("name", TABLE)
def test_sessions(name: str) -> None:
    """The same runs in one batch and line by line."""
    messages, expected = TABLE[name]
    events = pl.DataFrame({"message": messages})
    assert sessions.assign(events, sessions.SessionState())[0].to_list() == expected
    state, single = sessions.SessionState(), []
    for at in range(events.height):
        series, state = sessions.assign(events.slice(at, 1), state)
        single += series.to_list()
    assert single == expected


# A load that goes on where another ended: run 0 is the run it goes on in, -1 the one before that.
RESUMED = {
    "the taken port is told by the first line": (True, [BUSY, "a"], [-1, -1]),
    "the start that was announced begins to listen": (True, [LISTEN, "a"], [0, 0]),
    "the next start": (False, ["a", CONFIG, LISTEN, "b"], [0, 1, 1, 1]),
    "a second server that begins and ends here": (False, ["a", CONFIG, BUSY, "b"], [0, 1, 0, 0]),
}


@pytest.mark.parametrize("name", RESUMED)
def test_sessions_of_a_source_that_goes_on(name: str) -> None:
    """What the load before said last decides to which run the first lines belong."""
    has_config, messages, expected = RESUMED[name]
    state = sessions.SessionState(fallback=-1, has_config=has_config)
    assert sessions.assign(pl.DataFrame({"message": messages}), state)[0].to_list() == expected
