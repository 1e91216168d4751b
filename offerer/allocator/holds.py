"""Holds: a big task does not starve behind small ones.

A want that nothing was granted for during `HOLD_AFTER` has a host kept for it, the one that lacks least. Frameworks
ahead of it in the order may still use that host, those behind may not. After as long again, another host may be nearer.

What runs there may run for ever. So a hold that nothing was added to for `HOLD_FOR` is given up, and none is made for
that want for as long: in vain it keeps a host half of the time at most.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from offerer.allocator.demand import Helps, WantState
from offerer.allocator.drf import Totals
from offerer.allocator.index import HostIndex
from offerer.allocator.ledger import NEVER, Claimant, Hold, HostLedger
from offerer.allocator.quota import amount_of
from offerer.allocator.room import Bound
from offerer.resources import Resources
from offerer.types import SECOND, Time

HOLD_AFTER: Time = 10 * SECOND
HOLD_FOR: Time = 600 * SECOND


class Holds:
    """Which host is kept for whom. `released` hears of hosts let go."""

    def __init__(self, index: HostIndex, totals: Totals, released: Callable[[HostLedger], None]) -> None:
        self._index = index
        self._totals = totals
        self._released = released
        self.expires: Time = NEVER
        """When `expire` next may have something to do."""
        self._held: dict[Claimant, None] = {}
        self._looks: list[tuple[Time, int, Claimant]] = []
        self._counter = count()

    def due(self, now: Time) -> bool:
        """Whether there may be somebody to look at, once passed over."""
        looks = self._looks
        while looks and looks[0][0] != looks[0][2].hold_at:
            heappop(looks)
        return bool(looks) and looks[0][0] <= now

    def _look_at(self, claimant: Claimant, at: Time) -> None:
        claimant.hold_at = at
        heappush(self._looks, (at, next(self._counter), claimant))

    def watch(self, claimant: Claimant) -> None:
        """It may wait for something from now on; one that is watched already is looked at in time."""
        since = claimant.demand.waiting_since() if claimant.demand is not None else None
        if since is not None and claimant.hold_at == NEVER:
            self._look_at(claimant, since + HOLD_AFTER)

    def release(self, claimant: Claimant) -> None:
        """The host kept for this claimant, if there is one, is everybody's again."""
        if claimant.hold is not None:
            host = claimant.hold.host
            host.held_for = claimant.hold = None
            del self._held[claimant]
            self._released(host)

    def served(self, claimant: Claimant, wants: Helps, now: Time) -> None:
        """A grant helps these wants: what was kept for one of them need not be, and another may have its turn."""
        if claimant.hold is not None and any(claimant.hold.want is want for want, _ in wants):
            self.release(claimant)
            self._look_at(claimant, now)

    def passed_over(self, claimant: Claimant, now: Time) -> None:
        """It could not use a host at a time when it is to be looked at: keep one for it if it has waited long."""
        claimant.hold_at = NEVER
        since = claimant.demand.waiting_since() if claimant.demand is not None else None
        if claimant.demand is None or since is None:
            return
        want = claimant.demand.longest_waiting(now - HOLD_AFTER, self._totals.version, now)
        if want is not None:
            self._keep_the_nearest(claimant, want, now)
        self._look_at(claimant, max(since, now if since <= now - HOLD_AFTER else 0) + HOLD_AFTER)

    def expire(self, now: Time) -> None:
        """Give up what is held in vain."""
        for claimant in list(self._held):
            hold = claimant.hold
            if hold is None or hold.until > now:
                continue
            near = _how_near(hold.host.free, hold.want.want.resources)
            if near > hold.near:
                claimant.hold = hold._replace(near=near, until=now + HOLD_FOR)
            else:
                hold.want.rests_until = now + HOLD_FOR
                self.release(claimant)
        self.expires = min((each.hold.until for each in self._held if each.hold is not None), default=NEVER)

    def _keep_the_nearest(self, claimant: Claimant, want: WantState, now: Time) -> None:
        some_large_enough = False

        def eligible(host: HostLedger) -> bool:
            nonlocal some_large_enough
            if not want.fits(host.name, host.attributes, host.total):
                return False
            some_large_enough = True
            return host.held_for in (None, claimant) and claimant not in host.refusals

        nearest = self._index.nearest(lambda free: _how_near(free, want.want.resources), eligible)
        before = claimant.hold
        if before is not None and before.host is not nearest:
            self.release(claimant)
        if nearest is not None:
            hold = Hold(nearest, want, _how_near(nearest.free, want.want.resources), now + HOLD_FOR)
            if before is not None and before.want is want and before.near >= hold.near:
                hold = hold._replace(near=before.near, until=before.until)
            nearest.held_for, claimant.hold = claimant, hold
            self._held[claimant] = None
            self.expires = min(self.expires, hold.until)
        elif not some_large_enough:
            want.too_big_for = self._totals.version


def _how_near(free: Resources | Bound, wanted: Resources) -> float:
    """The part of the scarcest resource that is there already, 0 to 1. Of a bound only what it bounds counts."""
    near = 1.0
    if wanted.cpus:
        near = free.cpus / wanted.cpus
    if wanted.memory:
        near = min(near, free.memory / wanted.memory)
    if wanted.disk:
        near = min(near, free.disk / wanted.disk)
    if wanted.gpus:
        near = min(near, free.gpus / wanted.gpus)
    if type(free) is Resources:
        for name, amount in wanted.counts:
            near = min(near, amount_of(free, name) / amount)
    return min(1.0, near)
