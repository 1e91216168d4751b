"""Room: sizes to look for, and bounds on what a group of hosts has free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offerer.resources import Resources


class Sizes:
    """What a search looks for: room for any of these. Ports, and counts of other names, are left to the caller."""

    __slots__ = ("any_of", "least")

    def __init__(self, any_of: Sequence[Resources]) -> None:
        self.any_of = any_of
        self.least = Resources(
            min((each.cpus for each in any_of), default=0),
            min((each.memory for each in any_of), default=0),
            min((each.disk for each in any_of), default=0),
            min((each.gpus for each in any_of), default=0),
        )
        """No more of anything than each of them takes: what has no room for this has room for none."""

    def fit(self, room: Resources | Bound) -> bool:
        """Whether one of them fits there."""
        cpus, memory, disk, gpus = room.cpus, room.memory, room.disk, room.gpus
        least = self.least
        if cpus < least.cpus or memory < least.memory or disk < least.disk or gpus < least.gpus:
            return False
        for each in self.any_of:
            if cpus >= each.cpus and memory >= each.memory and disk >= each.disk and gpus >= each.gpus:
                return True
        return False


class Bound:
    """At least as much of each resource as any host of a block has free."""

    __slots__ = ("cpus", "disk", "gpus", "loose", "memory")

    def __init__(self) -> None:
        self.cpus = self.memory = self.disk = self.gpus = 0
        self.loose = False  # something was taken since: it may be too high

    def raise_to(self, room: Resources | Bound) -> None:
        """Make it no lower than this."""
        self.cpus = max(self.cpus, room.cpus)
        self.memory = max(self.memory, room.memory)
        self.disk = max(self.disk, room.disk)
        self.gpus = max(self.gpus, room.gpus)

    def tighten(self, rooms: Iterable[Resources | Bound]) -> None:
        """Make it no higher than these need."""
        self.cpus = self.memory = self.disk = self.gpus = 0
        self.loose = False
        for room in rooms:
            self.raise_to(room)
