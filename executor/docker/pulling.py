"""How far a pull is, from the engine's stream of lines about layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from offerer.resources import format_bytes

TELL_EVERY: Final = 5.0  # seconds
_HERE: Final = ("Pull complete", "Already exists")


class Progress:
    """One pull. `now` is a clock in seconds."""

    def __init__(self, image: str, now: Callable[[], float] = time.monotonic) -> None:
        self._image = image
        self._now = now
        self._told = now()
        self._layers: dict[str, tuple[int, int, bool]] = {}  # bytes that came, of how many, whether it is done

    def add(self, line: Mapping[str, Any]) -> str:
        """Take in a line; what to tell, if it is time to tell something."""
        status, detail = line.get("status", ""), line.get("progressDetail") or {}
        layer = line.get("id", "")
        if status in ("Pulling fs layer", "Waiting", "Verifying Checksum", "Download complete", *_HERE):
            came, size, _ = self._layers.get(layer, (0, 0, False))
            self._layers[layer] = (came if status != "Download complete" else size, size, status in _HERE)
        elif status == "Downloading":
            self._layers[layer] = (detail.get("current", 0), detail.get("total", 0), False)
        if not self._layers or self._now() - self._told < TELL_EVERY:
            return ""
        self._told = self._now()
        done = sum(layer[2] for layer in self._layers.values())
        came, size = (sum(layer[n] for layer in self._layers.values()) for n in (0, 1))
        sizes = f", {format_bytes(came)} of {format_bytes(size)}" if size else ""
        return f"pulling image {self._image}: {done} of {len(self._layers)} layers{sizes}"
