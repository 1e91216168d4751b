"""Threads that read what the engine streams: its events for as long as it takes, a container's output when asked."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final, Protocol, TypeVar

from executor.runtime import LogChunk
from offerer.errors import OffererError

_log = logging.getLogger("offerer.executor")

_RECONNECT_FIRST: Final = 0.1
_RECONNECT_LAST: Final = 2.0
_LOG_QUEUE: Final = 64

T = TypeVar("T", covariant=True)


class Stream(Protocol[T]):
    """Blocks until there is more; ends when the other side ends it, or `close` is called from another thread."""

    def __iter__(self) -> Iterator[T]:
        """What comes."""

    def close(self) -> None:
        """End it."""


class Watcher:
    """Reads the engine's events in a thread, and connects again whenever the stream breaks.

    All three functions are called in that thread and may raise `Unavailable`, as may the stream; `on_connected` is
    called after every connection, for what was missed before.
    """

    def __init__(
        self,
        connect: Callable[[], Stream[dict[str, Any]]],
        on_connected: Callable[[], None],
        on_event: Callable[[dict[str, Any]], None],
    ) -> None:
        self._connect = connect
        self._on_connected = on_connected
        self._on_event = on_event
        self._stopped = threading.Event()
        self._stream: Stream[dict[str, Any]] | None = None
        self._thread = threading.Thread(target=self._run, name="engine-events", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, and wait for it."""
        self._stopped.set()
        while self._thread.is_alive():  # it may open a new stream just now
            if self._stream is not None:
                self._stream.close()
            self._thread.join(0.05)

    def _run(self) -> None:
        delay = _RECONNECT_FIRST
        away = False
        while not self._stopped.is_set():
            try:
                self._stream = self._connect()
                self._on_connected()
                if away:
                    _log.info("the Docker engine answers again")
                away, delay = False, _RECONNECT_FIRST
                for event in self._stream:
                    self._on_event(event)
            except OffererError as error:
                if not away and not self._stopped.is_set():
                    _log.warning("%s; trying on, containers run on", error)
                away = True
            self._stopped.wait(delay)
            delay = min(delay * 2, _RECONNECT_LAST)


class LogReader:
    """Reads a container's output in a thread. `connect` is called there; it and its stream may raise `OffererError`."""

    def __init__(self, connect: Callable[[], Stream[LogChunk]]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[LogChunk | OffererError | None] = asyncio.Queue(_LOG_QUEUE)
        self._closed = threading.Event()
        self._stream: Stream[LogChunk] | None = None
        self._thread = threading.Thread(target=self._run, name="engine-logs", daemon=True)

    async def chunks(self) -> AsyncGenerator[LogChunk, None]:
        """The output as it comes; the thread ends with it. Raises what the stream raises."""
        self._thread.start()
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, OffererError):
                    raise item
                yield item
        finally:
            self._closed.set()
            while self._thread.is_alive():  # it may open its stream, or wait for a place in the queue, just now
                if self._stream is not None:
                    self._stream.close()
                while not self._queue.empty():
                    self._queue.get_nowait()
                await asyncio.sleep(0.01)

    def _run(self) -> None:
        try:
            self._stream = self._connect()
            for chunk in self._stream:
                if self._closed.is_set():
                    return
                self._put(chunk)
            self._put(None)
        except OffererError as error:
            self._put(error)

    def _put(self, item: LogChunk | OffererError | None) -> None:
        if not self._closed.is_set():
            asyncio.run_coroutine_threadsafe(self._queue.put(item), self._loop).result()
