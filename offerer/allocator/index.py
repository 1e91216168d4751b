"""Which hosts have room, found without looking at those that have none.

All hosts stand in one row, in the order they were added. Of every 32 in a row, and of every 1,024, a *bound* is known:
none of them has more free of any resource. A search for room goes along the row and leaps over what is bounded too low.
Bounds may be too high (those of a block where something was taken are worked out anew when a search comes by), never
too low.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from offerer.allocator.ledger import HostLedger
from offerer.allocator.room import Bound, Sizes
from offerer.resources import NOTHING, Resources

_SMALL: Final = 32
_LARGE: Final = _SMALL * _SMALL


class HostIndex:
    """The row of hosts and its bounds. Tell it of every host that has more free (`raised`) or less (`lowered`)."""

    def __init__(self) -> None:
        self._row: list[HostLedger | None] = []
        self._small: list[Bound] = []
        self._large: list[Bound] = []
        self._gaps = 0

    def add(self, host: HostLedger) -> None:
        """Put a host at the end of the row."""
        host.position = len(self._row)
        if not host.position % _SMALL:
            self._small.append(Bound())
        if not host.position % _LARGE:
            self._large.append(Bound())
        self._row.append(host)

    def remove(self, host: HostLedger) -> None:
        """Take a host out. The others keep their order."""
        self._row[host.position] = None
        self.lowered(host)
        host.position = -1
        self._gaps += 1
        if self._gaps > _SMALL and self._gaps * 2 > len(self._row):
            self._close_gaps()

    def _close_gaps(self) -> None:
        hosts = [host for host in self._row if host is not None]
        self._row, self._small, self._large, self._gaps = [], [], [], 0
        for host in hosts:
            self.add(host)
            self.raised(host)

    def raised(self, host: HostLedger) -> None:
        """More may be free there."""
        if host.offerable:
            self._small[host.position // _SMALL].raise_to(host.free)
            self._large[host.position // _LARGE].raise_to(host.free)

    def lowered(self, host: HostLedger) -> None:
        """Less is free there."""
        self._small[host.position // _SMALL].loose = True
        self._large[host.position // _LARGE].loose = True

    def with_room(self, sizes: Sizes, position: int) -> HostLedger | None:
        """The first host from this position on that may be offered and has room for one of the sizes."""
        row, fit = self._row, sizes.fit
        end = len(row)
        while position < end:
            if not position % _LARGE and not fit(self._bound_of_large(position // _LARGE)):
                position += _LARGE
            elif not position % _SMALL and not fit(self._bound_of_small(position // _SMALL)):
                position += _SMALL
            else:
                host = row[position]
                position += 1
                if host is not None and host.offerable and fit(host.free):
                    return host
        return None

    def nearest(
        self, how_near: Callable[[Resources | Bound], float], eligible: Callable[[HostLedger], bool]
    ) -> HostLedger | None:
        """Of the eligible hosts the one for which this is highest, and the first of equals; it grows with the room."""
        row = self._row
        end, position = len(row), 0
        highest, found = -1.0, None
        while position < end:
            if not position % _LARGE and how_near(self._bound_of_large(position // _LARGE)) <= highest:
                position += _LARGE
            elif not position % _SMALL and how_near(self._bound_of_small(position // _SMALL)) <= highest:
                position += _SMALL
            else:
                host = row[position]
                position += 1
                if host is not None and host.offerable:
                    near = how_near(host.free)
                    if near > highest and eligible(host):
                        highest, found = near, host
        return found

    def _bound_of_small(self, block: int) -> Bound:
        bound = self._small[block]
        if bound.loose:
            hosts = self._row[block * _SMALL : (block + 1) * _SMALL]
            bound.tighten(host.free if host is not None and host.offerable else NOTHING for host in hosts)
        return bound

    def _bound_of_large(self, block: int) -> Bound:
        bound = self._large[block]
        if bound.loose:
            bound.tighten(self._small[block * _SMALL : (block + 1) * _SMALL])
        return bound
