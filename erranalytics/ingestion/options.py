"""The options of a load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from erranalytics.classification.classifier import Memo
from erranalytics.classification.rulebook import Rulebook
from erranalytics.parsing.lineformats import FormatBook, FormatCache
from erranalytics.sources.lines import BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Options:
    """How to load sources.

    ``default_tz`` is the zone of stamps without one where the log has no evidence, ``year`` the year of the first stamp
    without one, ``host`` a label that overrides the name in the log, and ``wrapper`` overrides detection. ``on_bytes``
    gets the number of bytes read since its last call, ``on_read`` is called when all are read, and ``on_events`` gets
    each batch of numbered EVENTS with VERDICTS. ``block_bytes`` affects only memory.
    """

    formats: FormatBook
    rules: Rulebook
    default_tz: str = "UTC"
    year: int | None = None
    host: str | None = None
    wrapper: str | None = None
    on_bytes: Callable[[int], None] = lambda count: None
    on_read: Callable[[], None] = lambda: None
    on_events: Callable[[pl.DataFrame], None] = lambda events: None
    block_bytes: int = BLOCK_BYTES
    memo: Memo = field(default_factory=Memo)
    cache: FormatCache = field(default_factory=FormatCache)
