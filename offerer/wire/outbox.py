"""What waits to be sent to one peer: batched into messages, bounded, written by one task.

The core's outputs of one loop turn end up in one message. A peer that does not drain its stream is cut off when its
outbox is full; it never stalls the loop or the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

MESSAGE_BYTES = 1 << 20
"""A message is closed at about this size, far below the 16 MiB at which a peer is cut off."""
OUTBOX_BYTES = 64 << 20
NOT_URGENT = 1.0  # seconds that what is not urgent may wait

M = TypeVar("M")


class Overflow(Exception):
    """The peer does not drain its stream."""


class Outbox(Generic[M]):
    """Messages to one peer, in order."""

    def __init__(
        self, new_message: Callable[[], M], limit: int = OUTBOX_BYTES, message_bytes: int = MESSAGE_BYTES
    ) -> None:
        self._new_message = new_message
        self._limit = limit
        self._message_bytes = message_bytes
        self._messages: deque[tuple[M, int]] = deque()
        self._open: M | None = None
        self._open_bytes = 0
        self._bytes = 0
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.overflowed = False
        self.sent = 0

    def message(self, size: int, *, urgent: bool = True) -> M:
        """The message to add about `size` bytes to. What is not urgent goes with what is, or within a second."""
        if self._open is None or self._open_bytes > self._message_bytes:
            self._close_message()
            self._open = self._new_message()
        self._open_bytes += size
        self._bytes += size
        if self._bytes > self._limit:
            self.overflowed = True
        if urgent:
            self._wake.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(NOT_URGENT, self._flush)
        return self._open

    def _flush(self) -> None:
        self._timer = None
        self._wake.set()

    @property
    def waiting(self) -> bool:
        """Whether something is still to be written."""
        return self._bytes > 0

    def _close_message(self) -> None:
        if self._open is not None:
            self._messages.append((self._open, self._open_bytes))
        self._open = None
        self._open_bytes = 0

    def close(self) -> None:
        """`pump` is to end: after the message that it is writing now, if it is."""
        self._closed = True
        self._wake.set()
        if self._timer is not None:
            self._timer.cancel()

    async def pump(self, write: Callable[[M], Awaitable[None]]) -> None:
        """Write messages as they come, until `close`. Raises `Overflow`."""
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            self._close_message()
            while self._messages and not self._closed:
                if self.overflowed:
                    raise Overflow
                message, size = self._messages.popleft()
                await write(message)
                self.sent += 1
                self._bytes -= size
