"""Run a stage ahead of its reader, in its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], *, depth: int = 1) -> Iterator[T]:
    """Run an iterator in a thread, at most ``depth`` items ahead; its exceptions are raised here."""
    results: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    room, stop = threading.Semaphore(depth), threading.Event()
    thread = threading.Thread(target=_produce, args=(items, results.put, room, stop), daemon=True)
    thread.start()
    try:
        while True:
            kind, value = results.get()
            if kind == "item":
                # The next item starts only when this one is taken, so memory holds one batch less.
                room.release()
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        stop.set()
        room.release()
        thread.join()


def _produce(
    items: Iterable[T], put: Callable[[tuple[str, Any]], None], room: threading.Semaphore, stop: threading.Event
) -> None:
    iterator = iter(items)
    try:
        while room.acquire() and not stop.is_set():
            put(("item", next(iterator)))
    except StopIteration:
        put(("end", None))
    except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
        put(("error", error))
