"""The one clock of the shells: microseconds since 1970, anchored once, then monotonic. The core never reads it."""

import time

from offerer.types import Time

_ANCHOR = time.time_ns() - time.monotonic_ns()


def now() -> Time:
    """The present time. Never goes backwards within a process, whatever happens to the system's clock."""
    return (_ANCHOR + time.monotonic_ns()) // 1000
