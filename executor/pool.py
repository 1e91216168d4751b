"""A bounded pool of threads for calls that block; what follows runs in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Pool:
    """`size` calls at a time, further ones wait their turn. To be made within the event loop that it belongs to."""

    def __init__(self, size: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(size, name)
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def submit(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Call `work` in a thread, then `then` with its result in the event loop. `work` must not raise."""

        def finished(future: Future[T]) -> None:
            if not self._closed:
                self._loop.call_soon_threadsafe(finish, future)

        def finish(future: Future[T]) -> None:
            if not self._closed:
                then(future.result())

        if not self._closed:
            self._threads.submit(work).add_done_callback(finished)

    async def run(self, work: Callable[[], T]) -> T:
        """Call `work` in a thread and return its result, or raise what it raises."""
        return await self._loop.run_in_executor(self._threads, work)

    async def close(self) -> None:
        """Wait for the calls under way, drop those that wait, and follow up on neither."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
