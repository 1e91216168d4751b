"""Times as people write them in scenarios and tests."""

from __future__ import annotations

import re
from typing import Final

from offerer.errors import InvalidInput
from offerer.types import SECOND, Time

_UNITS: Final = {"us": 1, "ms": 1000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")


def duration(text: str | int | float, field: str = "duration") -> Time:
    """Microseconds from ``"30s"``, ``"1h30m"``, ``"250ms"``, or a number of seconds. Raises `InvalidInput`."""
    if isinstance(text, (int, float)) and not isinstance(text, bool) and 0 <= text < 1e12:
        return round(text * SECOND)
    parts = _PART.findall(str(text))
    if parts and "".join(number + unit for number, unit in parts) == str(text).replace(" ", ""):
        time = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if time < 1e12 * SECOND:
            return round(time)
    raise InvalidInput(f"{field}: {text!r} is not a time; write for example 30s, 250ms or 1h30m")


def format_duration(time: Time) -> str:
    """The same the other way: ``1h30m``, ``1s500ms``, ``0s``."""
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        number, time = divmod(time, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
