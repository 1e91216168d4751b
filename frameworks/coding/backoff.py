"""How long a task that keeps ending waits before its next start.

Counted from the start of the attempt that ended: a container that ran longer than the delay starts again at once,
one that dies on start does so at 1, 2, 4 … seconds' distance.
"""

from __future__ import annotations

from typing import Final

from offerer import SECOND, Time

FIRST_DELAY: Final = 1 * SECOND
FACTOR: Final = 2
LONGEST_DELAY: Final = 300 * SECOND
RESET_AFTER: Final = 600 * SECOND
"""A container that ran this long was well: what failed before it no longer counts."""


def delay(failures: int) -> Time:
    """How far apart two starts are after this many failures in a row, 1 or more."""
    wait = FIRST_DELAY
    for _ in range(min(failures - 1, 32)):
        wait = min(LONGEST_DELAY, wait * FACTOR)
    return wait


def waiting_text(not_before: Time, failures: int, now: Time) -> str:
    """``next attempt in 12 s (5th)``."""
    seconds = -(-(not_before - now) // SECOND)
    return f"next attempt in {seconds} s ({ordinal(failures + 1)})"


def ordinal(n: int) -> str:
    """``1st``, ``2nd``, ``11th``."""
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
