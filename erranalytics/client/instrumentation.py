"""Where clients are made to show their calls: those that are loaded, and those that will be.

A class is changed once and stays so: without a recorder that wants its calls it does what it did before.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

from erranalytics.client import context
from erranalytics.client.recorder import ACTIVE, Recorder, current

Client = TypeVar("Client")

# Clients that can be watched, and the module here that knows how.
WATCHED = {"httpx": "httpx", "httpx2": "httpx", "requests": "requests", "aiohttp": "aiohttp"}
# Where SDKs keep the client of httpx they call: ollama, openai, anthropic, langchain-ollama.
INNER = ("_client", "_async_client", "async_client")

_wrapping: list[Recorder] = []


def patch(module: ModuleType) -> None:
    """Have the clients of a loaded module show their calls."""
    try:
        importlib.import_module(f"erranalytics.client.instruments.{WATCHED[module.__name__]}").patch(module)
    except Exception as fault:  # noqa: BLE001 - a version that is built otherwise goes unwatched
        _say("the clients of %s cannot be watched: %s", module.__name__, fault)


def turn_on(seen: Callable[[str], None] | None = None) -> None:
    """Watch the clients that are loaded and those that will be; ``seen`` is told the name of each."""
    for name in WATCHED:
        module = sys.modules.get(name)
        if module is not None:
            patch(module)
            if seen:
                seen(name)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(seen))


def turn_on_for_good(seen: Callable[[str], None] | None = None) -> Recorder:
    """Record from now to the end of the process; where to, the environment says, see ``Recorder``."""
    recorder = Recorder()
    ACTIVE.append(recorder)
    turn_on(seen)
    return recorder


def wrap(client: Client, recorder: Recorder | None = None) -> Client:
    """Record the calls of one client, and give the same client back.

    Clients of httpx, httpx2, ollama, openai and anthropic, sync and async, sessions of requests and aiohttp, and what
    keeps one of these inside. Anything else is given back as it is, with a warning in the log.

    Args:
        client: the client; its class and all its methods stay what they were.
        recorder: where its records go; without it the recorder that is on, else one for ``calls.jsonl``.
    """
    chosen = recorder or current() or _default()
    if not _mark(client, chosen, depth=0):
        _say("%s is no client that can be watched", type(client).__name__)
    return client


def _default() -> Recorder:
    if not _wrapping:
        _wrapping.append(Recorder())
    return _wrapping[0]


def _mark(client: Any, recorder: Recorder, *, depth: int) -> bool:
    """Note on a client whose calls are wanted, or on the clients inside it."""
    for kind in type(client).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in WATCHED and kind.__name__ in {"Client", "AsyncClient", "Session", "ClientSession"}:
            patch(sys.modules[package])
            # Not every class lets attributes be set.
            vars(client)[context.MARK] = recorder
            return True
    inner = [getattr(client, name, None) for name in INNER] if depth < 3 else []
    # A list, because each of them is marked and not only the first.
    marked = [_mark(one, recorder, depth=depth + 1) for one in inner if hasattr(one, "__dict__")]
    return any(marked)


def _say(text: str, *values: Any) -> None:
    import logging

    logging.getLogger("erranalytics.client").warning(text, *values)


class _Finder:
    """Sees that a module is about to be loaded, and changes it right after.

    Not derived from the class of ``importlib.abc``, whose import would cost more than the recorder.
    """

    def __init__(self, seen: Callable[[str], None] | None) -> None:
        self._seen = seen

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in WATCHED:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._seen)  # type: ignore[assignment]
        return spec


class _Loader:
    """A loader that loads as the one inside, and then lets the module be changed."""

    def __init__(self, inner: Any, seen: Callable[[str], None] | None) -> None:
        self._inner, self._seen = inner, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._inner.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        module.__loader__ = self._inner
        self._inner.exec_module(module)
        patch(module)
        if self._seen:
            self._seen(module.__name__)
