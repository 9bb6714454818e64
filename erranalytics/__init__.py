"""erranalytics: why Ollama fails, from its logs, in one DuckDB file.

>>> import erranalytics as ea
>>> ea.explain("MEM014").cause.slug
'load_oom_system'

Names are resolved when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from erranalytics.version import __version__

if TYPE_CHECKING:
    from erranalytics.api import classify, connect, explain, ingest, reclassify, report, suggest_rule

__all__ = ["__version__", "classify", "connect", "explain", "ingest", "reclassify", "report", "suggest_rule"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from erranalytics import api

        return getattr(api, name)
    raise AttributeError(f"module 'erranalytics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
