"""A recorder for programs that call models: one line of JSON for each call, from what was seen on the wire.

>>> from erranalytics.client import record, wrap

``record`` is a block in which the calls of all known clients are recorded; ``wrap`` records the calls of one client.
Values, exceptions and their order stay the same, and nothing here raises. The records hold neither keys nor prompts.
The recorder needs only the standard library. Its names are resolved when they are first used, so the rest of
erranalytics can use its facts about calls without loading all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erranalytics.client.instrumentation import wrap
    from erranalytics.client.recorder import Recorder
    from erranalytics.client.recording import Recording, record

__all__ = ["Recorder", "Recording", "record", "wrap"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from erranalytics.client import instrumentation, recording

        return getattr(instrumentation if name == "wrap" else recording, name)
    raise AttributeError(f"module 'erranalytics.client' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
