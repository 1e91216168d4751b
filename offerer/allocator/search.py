"""Which hosts an allocation looks at, and for whom: those where something changed, for everybody; others for those
claimants alone who may take now what nobody wanted so far."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Protocol

from offerer.allocator.index import HostIndex
from offerer.allocator.ledger import Claimant, HostLedger
from offerer.allocator.room import Sizes
from offerer.resources import Resources

Wanting = dict[Claimant, dict[HostLedger, None] | None]
"""Who may take now what nobody wanted so far, and of which hosts; None is of any."""


class MayOffer(Protocol):
    """Whether a claimant has not refused so much of a host, and can use it."""

    def __call__(self, claimant: Claimant, host: HostLedger, amount: Resources, /) -> bool: ...


class Search:
    """The hosts that one claimant may take, along the row. Within an allocation they only become fewer."""

    def __init__(
        self, claimant: Claimant, among: Collection[HostLedger] | None, index: HostIndex, anything: Sizes, may: MayOffer
    ) -> None:
        self.claimant = claimant
        self._among = None if among is None else _along_the_row(among)
        self._index = index
        self._anything = anything
        self._may = may

    def next(self, position: int) -> HostLedger | None:
        """The first one from this position on."""
        claimant, demand = self.claimant, self.claimant.demand
        if demand is not None and not demand.hungry():
            return None
        sizes = demand.sizes() if demand is not None else self._anything
        while True:
            host = self._index.with_room(sizes, position) if self._among is None else next(self._among, None)
            if host is None or self._may(claimant, host, host.free):
                return host
            position = host.position + 1


def _along_the_row(hosts: Collection[HostLedger]) -> Iterator[HostLedger]:
    there = [host for host in hosts if host.position >= 0 and host.offerable]
    return iter(sorted(there, key=_position))


def _position(host: HostLedger) -> int:
    return host.position


def in_turn(
    changed: Sequence[HostLedger], searches: Sequence[Search]
) -> Iterator[tuple[HostLedger, Collection[Claimant] | None]]:
    """Every host to look at, along the row, with those who may take it; None is anybody."""
    upcoming: list[tuple[int, int, HostLedger, Search | None]] = [(host.position, -1, host, None) for host in changed]

    def go_on(n: int, search: Search, position: int) -> None:
        host = search.next(position)
        if host is not None:
            heappush(upcoming, (host.position, n, host, search))

    heapify(upcoming)
    for n, search in enumerate(searches):
        go_on(n, search, 0)
    while upcoming:
        position, _, host, _ = upcoming[0]
        changed_here, here = False, []
        while upcoming and upcoming[0][0] == position:
            _, n, _, found_by = heappop(upcoming)
            if found_by is None:
                changed_here = True
            else:
                here.append((n, found_by))
        yield host, None if changed_here else {each.claimant for _, each in here}
        for n, each in here:
            go_on(n, each, position + 1)
