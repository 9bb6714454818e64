"""Instrumentation of client libraries that are loaded, and of those that will be.

The classes of a library are changed once and for good; without a recorder they behave as before.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

from erranalytics.client.context import ACTIVE, MARK, current
from erranalytics.client.recorder import Recorder

Client = TypeVar("Client")

# Libraries that can be watched, and the module of ``instruments`` that does it.
INSTRUMENTS = {"httpx": "httpx", "httpx2": "httpx", "requests": "requests", "aiohttp": "aiohttp"}
# Where SDKs keep the httpx client that they call: ollama, openai, anthropic, langchain-ollama.
INNER = ("_client", "_async_client", "async_client")

_default_recorder: list[Recorder] = []


def patch(module: ModuleType) -> None:
    """Instrument the clients of a loaded library."""
    try:
        importlib.import_module(f"erranalytics.client.instruments.{INSTRUMENTS[module.__name__]}").patch(module)
    except Exception as exception:  # noqa: BLE001 - an unfamiliar version stays uninstrumented
        _warn("the clients of %s cannot be watched: %s", module.__name__, exception)


def turn_on(on_load: Callable[[str], None] | None = None) -> None:
    """Instrument the libraries that are loaded and those that will be; ``on_load`` gets the name of each."""
    for name in INSTRUMENTS:
        module = sys.modules.get(name)
        if module is not None:
            patch(module)
            if on_load:
                on_load(name)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(on_load))


def turn_on_for_good(on_load: Callable[[str], None] | None = None) -> Recorder:
    """Record from now to the end of the process, into the file that the environment names, see ``Recorder``."""
    recorder = Recorder()
    ACTIVE.append(recorder)
    turn_on(on_load)
    return recorder


def wrap(client: Client, recorder: Recorder | None = None) -> Client:
    """Record the calls of one client, and return the same client.

    It accepts clients of httpx, httpx2, ollama, openai and anthropic, sync and async, sessions of requests and aiohttp,
    and objects that hold one of these. Any other object is returned unchanged, with a warning in the log.

    Args:
        client: the client; its class and all its methods stay the same.
        recorder: writes the records; without it the recorder that is on, else one for ``calls.jsonl``.
    """
    chosen = recorder or current() or _default()
    if not _mark(client, chosen, depth=0):
        _warn("%s is not a client that can be watched", type(client).__name__)
    return client


def _default() -> Recorder:
    if not _default_recorder:
        _default_recorder.append(Recorder())
    return _default_recorder[0]


def _mark(client: Any, recorder: Recorder, *, depth: int) -> bool:
    """Mark a client, or the clients inside it, with its recorder; return whether there was one."""
    for kind in type(client).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in INSTRUMENTS and kind.__name__ in {"Client", "AsyncClient", "Session", "ClientSession"}:
            patch(sys.modules[package])
            # Some classes refuse setattr, so the mark goes past it.
            vars(client)[MARK] = recorder
            return True
    inner = [getattr(client, name, None) for name in INNER] if depth < 3 else []
    # A list and not a generator, so that any() does not stop at the first one that is marked.
    marked = [_mark(part, recorder, depth=depth + 1) for part in inner if hasattr(part, "__dict__")]
    return any(marked)


def _warn(text: str, *values: Any) -> None:
    import logging

    logging.getLogger("erranalytics.client").warning(text, *values)


class _Finder:
    """An import hook that instruments a library right after it is loaded.

    It does not derive from the class in ``importlib.abc``: importing that would cost more than the recorder.
    """

    def __init__(self, on_load: Callable[[str], None] | None) -> None:
        self._on_load = on_load

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in INSTRUMENTS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec: ModuleSpec | None = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._on_load)  # type: ignore[assignment]
        return spec


class _Loader:
    """A loader that runs the inner one, and then instruments the module."""

    def __init__(self, inner: Any, on_load: Callable[[str], None] | None) -> None:
        self._inner, self._on_load = inner, on_load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._inner.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        module.__loader__ = self._inner
        self._inner.exec_module(module)
        patch(module)
        if self._on_load:
            self._on_load(module.__name__)
