"""A recorder for programs that call models: one line of JSON for each call, by what was seen on the wire.

>>> from erranalytics.client import record, wrap

``record`` is a block in which the calls of all known clients are recorded, ``wrap`` records those of one client.
Values, exceptions and their order stay what they were, nothing here raises, and neither words of people nor keys are
written. Only the standard library is needed.
"""

from __future__ import annotations

from erranalytics.client.instrumentation import wrap
from erranalytics.client.recorder import Recorder, Recording, record

__all__ = ["Recorder", "Recording", "record", "wrap"]
