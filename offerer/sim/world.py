"""Virtual time: one heap of what is to happen when, one source of chance, and the log whose hash tells runs apart."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

from offerer.types import SECOND, Time

START: Final[Time] = 1_767_225_600 * SECOND
"""When every simulation begins: 2026-01-01 00:00 UTC."""


_MOST_AT_ONCE: Final = 1_000_000


class Stuck(Exception):
    """Time does not go on."""


class Timer:
    """Something that is to happen; `cancel` prevents it."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not do it."""
        self.action = None


class World:
    """Events happen in the order of their time, those of one time in the order they were planned."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.now: Time = START
        self.steps = 0
        self._at_once = 0  # steps since time last went on
        self.after_step: Callable[[], None] | None = None
        self._heap: list[tuple[Time, int, Timer]] = []
        self._planned = 0
        self._log = hashlib.sha256()

    def call_at(self, at: Time, action: Callable[[], None]) -> Timer:
        """Plan this for that time, or for now where that is past."""
        timer = Timer(action)
        self._planned += 1
        heappush(self._heap, (max(at, self.now), self._planned, timer))
        return timer

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Plan this for so many seconds from now (what the fake runtime asks of an event loop)."""
        return self.call_at(self.now + round(seconds * SECOND), action)

    def run_until(self, until: Time) -> None:
        """Let everything happen that is planned up to that time, and make it that time. Raises `Stuck`."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, timer = heappop(heap)
            if timer.action is not None:
                if at != self.now:
                    self.now, self._at_once = at, 0
                self.steps += 1
                self._at_once += 1
                if self._at_once > _MOST_AT_ONCE:
                    raise Stuck("time stands still: does a plug-in wake itself for now, or refuse for no time?")
                timer.action()
                if self.after_step is not None:
                    self.after_step()
        self.now = max(self.now, until)

    def record(self, what: str) -> None:
        """Write a line into the log."""
        self._log.update(f"{self.now - START} {what}\n".encode())

    @property
    def log_hash(self) -> str:
        """Equal for two runs in which the same things happened at the same times."""
        return self._log.hexdigest()[:16]
