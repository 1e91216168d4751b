"""Garbage collection that does not stop a daemon: `run` instead of `asyncio.run`; and `seldom`, for simulations.

What a daemon holds (tasks, statuses, streams) lives for long and is in no cycles, and there is much of it. Python's
collector walks all of it whenever it has grown by a quarter, for 0.2 to 0.4 s at 100,000 tasks, during which nothing
is offered; half of a busy master's time went there. So each object is looked at once, while it is young. What is
thrown away later in a cycle (a broken connection, a failed call) is rare, and found by a walk of everything, so
seldom that it takes a thousandth of the time.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")

_YOUNG_EVERY: Final = 0.1  # seconds
_ALL_EVERY: Final = 60.0
_ALL_AT_MOST: Final = 1 / 1000  # of the time
_SELDOM: Final = 1_000_000  # new objects


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a daemon until it ends. For processes of our own: it is the whole process's collector that is switched."""

    async def tended() -> T:
        tending = asyncio.create_task(_tend(), name="garbage")
        try:
            return await main
        finally:
            tending.cancel()

    gc.disable()
    gc.freeze()
    try:
        return asyncio.run(tended())
    finally:
        gc.enable()


@contextmanager
def seldom() -> Iterator[None]:
    """Collect seldom meanwhile: for a program with no event loop that builds up much and keeps it."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_SELDOM, 10, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _tend() -> None:
    wait = _ALL_EVERY
    walked = time.monotonic()
    while True:
        await asyncio.sleep(_YOUNG_EVERY)
        gc.collect(0)
        if time.monotonic() - walked >= wait:
            started = time.monotonic()
            gc.unfreeze()
            gc.collect()
            walked = time.monotonic()
            wait = max(_ALL_EVERY, (walked - started) / _ALL_AT_MOST)
        gc.freeze()
