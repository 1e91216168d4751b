"""A bounded pool of threads for calls that block; what follows runs in the event loop.

Not `concurrent.futures`: at the end of the process, that waits for calls that may take minutes, like pulling an image.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from offerer.errors import Unavailable

T = TypeVar("T")

_CLOSE_WITHIN: Final = 5.0


class Pool:
    """`size` calls at a time, further ones wait their turn. To be made within the event loop that it belongs to."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Call `work` in a thread, then `then` with its result in the event loop. `work` must not raise."""

        def call() -> None:
            result = work()
            if not self._closed:
                self._loop.call_soon_threadsafe(then, result)

        if self._closed:
            return
        self._work.put(call)
        if len(self._threads) < self._size:
            thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Call `work` in a thread and return its result, or raise what it raises; `Unavailable` once closed."""
        if self._closed:
            raise Unavailable("the executor is ending")
        future: asyncio.Future[T] = self._loop.create_future()

        def attempt() -> T | Exception:
            try:
                return work()
            except Exception as error:
                return error

        def settle(result: T | Exception) -> None:
            if future.done():
                return  # whoever waited was cancelled
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(attempt, settle)
        return await future

    async def close(self) -> None:
        """Drop the calls that wait, and wait a little for those under way; nothing follows up on them any more."""
        self._closed = True
        await asyncio.to_thread(self._join)

    def _run(self) -> None:
        while (call := self._work.get()) is not None:
            if not self._closed:
                call()

    def _join(self) -> None:
        for _ in self._threads:
            self._work.put(None)
        deadline = time.monotonic() + _CLOSE_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
