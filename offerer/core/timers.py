"""Timers: what is to happen when, without a clock. Cancelled ones are skipped when their time comes."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from offerer.types import Time


class Timer:
    """One thing to do at one time."""

    __slots__ = ("action", "at")

    def __init__(self, at: Time, action: Callable[[], None]) -> None:
        self.at = at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not do it."""
        self.action = None


class Timers:
    """All timers, the earliest first; those of one time in the order they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[Time, int, Timer]] = []
        self._sequence = 0

    def set(self, at: Time, action: Callable[[], None]) -> Timer:
        """Do this at that time."""
        timer = Timer(at, action)
        self._sequence += 1
        heappush(self._heap, (at, self._sequence, timer))
        return timer

    def next(self) -> Time | None:
        """When the next one is due."""
        while self._heap and self._heap[0][2].action is None:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire(self, now: Time) -> None:
        """Do everything that is due."""
        while self._heap and self._heap[0][0] <= now:
            timer = heappop(self._heap)[2]
            if timer.action is not None:
                timer.action()
