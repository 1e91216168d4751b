"""Weighted dominant-resource fairness: an order of clients by what they already have.

Ghodsi et al., "Dominant Resource Fairness: Fair Allocation of Multiple Resource Types", NSDI 2011. A client's dominant
share is the largest of its shares of each resource of the whole cluster; the client with the smallest goes next.
Equal shares: fewer allocations so far, then name, as in Mesos (the count survives deactivation and returns).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from sortedcontainers import SortedList

from offerer.resources import NOTHING, Resources


def dominant_share(used: Resources, total: Resources) -> float:
    """The largest share of any one resource, 0 to 1 and beyond where the total shrank. Ports have no share."""
    share = 0.0
    if used.cpus and total.cpus:
        share = used.cpus / total.cpus
    if used.memory and total.memory:
        share = max(share, used.memory / total.memory)
    if used.disk and total.disk:
        share = max(share, used.disk / total.disk)
    if used.gpus and total.gpus:
        share = max(share, used.gpus / total.gpus)
    for name, n in used.counts:
        of_all = total.count(name)
        if of_all:
            share = max(share, n / of_all)
    return share


class Totals:
    """What the whole cluster has. `version` changes with it, so that sorters know when every share has moved."""

    __slots__ = ("resources", "version")

    def __init__(self) -> None:
        self.resources = NOTHING
        self.version = 0

    def change(self, resources: Resources) -> None:
        """Set the total."""
        self.resources = resources
        self.version += 1


class Client:
    """What a sorter knows of whom it sorts. Change `used`, `weight` and `active` through the sorter only."""

    __slots__ = ("active", "allocations", "key", "name", "stale", "used", "weight")

    def __init__(self, name: str) -> None:
        self.name = name
        self.weight = 1000  # in thousandths
        self.used = NOTHING
        self.allocations = 0
        self.active = False
        self.stale = False
        self.key: tuple[float, int, str, Client] | None = None  # as it stands in the order, None: not in it


C = TypeVar("C", bound=Client)


class DrfSorter(Generic[C]):
    """Keeps clients in order, repositioning only those whose share moved since the last look."""

    def __init__(self, totals: Totals) -> None:
        self.clients: dict[str, C] = {}
        self._totals = totals
        self._version = totals.version
        self._order: SortedList = SortedList()
        self._stale: list[C] = []

    def add(self, client: C) -> None:
        """Take a client in, inactive."""
        self.clients[client.name] = client

    def remove(self, client: C) -> None:
        """Let a client go."""
        self.set_active(client, False)
        del self.clients[client.name]

    def set_active(self, client: C, active: bool) -> None:
        """Only active clients are in the order."""
        client.active = active
        self._touch(client)

    def set_weight(self, client: C, milli: int) -> None:
        """The share is divided by the weight: twice the weight, twice the resources at equal rank."""
        client.weight = milli
        self._touch(client)

    def allocated(self, client: C, amount: Resources) -> None:
        """The client got this much (without ports), in one allocation."""
        client.used = client.used + amount
        client.allocations += 1
        self._touch(client)

    def unallocated(self, client: C, amount: Resources) -> None:
        """The client gave this much (without ports) back."""
        client.used = client.used - amount
        self._touch(client)

    def share(self, client: C) -> float:
        """The client's dominant share divided by its weight."""
        return dominant_share(client.used, self._totals.resources) * 1000 / client.weight

    def order(self) -> Iterator[C]:
        """Active clients, the one to go next first. Changes made while iterating show in the next order."""
        if self._version != self._totals.version:
            self._version = self._totals.version
            self._rebuild()
        elif self._stale:
            for client in self._stale:
                client.stale = False
                if client.key is not None:
                    self._order.remove(client.key)
                client.key = self._key(client) if client.active else None
                if client.key is not None:
                    self._order.add(client.key)
            self._stale.clear()
        return (key[3] for key in self._order)

    def _touch(self, client: C) -> None:
        if not client.stale:
            client.stale = True
            self._stale.append(client)

    def _key(self, client: C) -> tuple[float, int, str, Client]:
        return self.share(client), client.allocations, client.name, client

    def _rebuild(self) -> None:
        for client in self._stale:
            client.stale = False
            client.key = None
        self._stale.clear()
        for client in self.clients.values():
            client.key = self._key(client) if client.active else None
        self._order = SortedList(client.key for client in self.clients.values() if client.key is not None)
