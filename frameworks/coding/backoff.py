"""When a task that keeps ending is tried again, in words. The delays are those of its `restart:`.

They are counted from the start of the attempt that ended: a container that ran longer than the delay starts again at
once, one that dies on start does so at 1, 2, 4 … seconds' distance.
"""

from __future__ import annotations

from offerer import SECOND, Time


def waiting_text(not_before: Time, failures: int, now: Time) -> str:
    """``next attempt in 12 s (5th)``."""
    seconds = -(-(not_before - now) // SECOND)
    return f"next attempt in {seconds} s ({ordinal(failures + 1)})"


def ordinal(n: int) -> str:
    """``1st``, ``2nd``, ``11th``."""
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
