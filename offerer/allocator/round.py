"""One allocation: hosts in turn, to the roles and frameworks in the order of fairness.

Stage 1 meets guarantees, stage 2 shares the rest. As in Mesos, what a host has free goes whole to the first framework
that may and will have it, chopped only where quota says so; the next in line gets what is left over.

A big task does not starve behind small ones: a want that nothing was granted for during `HOLD_AFTER` has a host kept
for it, the one that lacks least. Frameworks ahead of it in the order may still use that host, those behind may not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from offerer.allocator.ledger import Claimant, Grant, Hold, HostLedger, RoleLedger, any_hides
from offerer.allocator.quota import Headroom, amount_of, beyond_guarantee, towards_guarantee, unmet
from offerer.resources import Resources
from offerer.types import SECOND, Time

if TYPE_CHECKING:
    from offerer.allocator.allocator import Allocator

HOLD_AFTER: Time = 10 * SECOND


class Round:
    """The state of one allocation."""

    def __init__(self, allocator: Allocator, now: Time, quotas: bool) -> None:
        self._allocator = allocator
        self._now = now
        self._roles = allocator.roles
        self._quotas = quotas
        self._headroom: Headroom | None = None
        self._grants: dict[tuple[Claimant, HostLedger], Grant] = {}

    def run(self, hosts: list[HostLedger]) -> list[Grant]:
        """Grants of what these hosts have free, at most one for each framework and host."""
        if self._quotas:
            self._meet_guarantees(hosts)
        for host in hosts:
            self._share_out(host)
        return list(self._grants.values())

    def _meet_guarantees(self, hosts: Iterable[HostLedger]) -> None:
        roles = list(self._roles.clients.values())
        if not any(unmet(role) for role in roles):
            return
        free = (host.free for host in self._allocator.hosts if host.offerable)
        self._headroom = headroom = Headroom(roles, free)
        for host in hosts:
            for role in self._roles.order():
                if not unmet(role):
                    continue
                amount = towards_guarantee(role, host.free, headroom)
                for claimant in role.claimants.order():
                    if self._may_offer(claimant, host, amount):
                        self._grant(claimant, host, amount)
                        amount = towards_guarantee(role, host.free, headroom)

    def _share_out(self, host: HostLedger) -> None:
        allocator = self._allocator
        for role in self._roles.order():
            amount = self._share_of(role, host)
            for claimant in role.claimants.order():
                if self._may_offer(claimant, host, amount):
                    self._grant(claimant, host, amount)
                    if not allocator.worth_offering(host.free):
                        return
                    amount = self._share_of(role, host)
                elif claimant.demand is not None and self._keeps(claimant, host):
                    return

    def _share_of(self, role: RoleLedger, host: HostLedger) -> Resources:
        """What of the host's free resources this role may have."""
        return beyond_guarantee(role, host.free, self._headroom) if self._quotas else host.free

    def _may_offer(self, claimant: Claimant, host: HostLedger, amount: Resources) -> bool:
        """Whether the claimant has not refused this and can use it."""
        refusals = host.refusals.get(claimant)
        if refusals is not None and any_hides(refusals, amount, self._now):
            return False
        if not self._allocator.worth_offering(amount):
            return False
        demand = claimant.demand
        return demand is None or bool(demand.helped_by(host.name, host.attributes, amount))

    def _grant(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        grant = self._grants.get((claimant, host))
        if grant is None:
            grant = self._grants[claimant, host] = Grant(claimant, host, amount)
        else:
            grant.amount = grant.amount + amount
        host.take(amount)
        role: RoleLedger = claimant.role
        scalars = amount.without_ports()
        role.claimants.allocated(claimant, scalars)
        self._roles.allocated(role, scalars)
        if self._headroom is not None:
            self._headroom.taken(amount)
        if claimant.demand is not None:
            self._cover(claimant, grant)

    def _cover(self, claimant: Claimant, grant: Grant) -> None:
        assert claimant.demand is not None
        host = grant.host
        for want, n in grant.helps:  # a second part of the same host: count the whole anew
            want.capacity -= n
            want.hosts -= 1
        grant.helps = claimant.demand.helped_by(host.name, host.attributes, grant.amount)
        for want, n in grant.helps:
            want.capacity += n
            want.hosts += 1
            want.since = self._now
            if claimant.hold is not None and claimant.hold.want is want:
                self._allocator.release_hold(claimant)

    def _keeps(self, claimant: Claimant, host: HostLedger) -> bool:
        """Whether this host is kept for something big that the claimant waits for."""
        hold = claimant.hold
        if hold is None or hold.since <= self._now - HOLD_AFTER:
            self._hold_the_nearest(claimant)
        return host.held_for is claimant

    def _hold_the_nearest(self, claimant: Claimant) -> None:
        demand = claimant.demand
        want = demand.longest_waiting(self._now - HOLD_AFTER) if demand is not None else None
        if want is None:
            return
        self._allocator.release_hold(claimant)
        candidates = [
            host
            for host in self._allocator.hosts
            if host.offerable
            and host.held_for is None
            and want.fits(host.name, host.attributes, host.total)
            and claimant not in host.refusals
        ]
        if candidates:
            nearest = max(candidates, key=lambda host: _how_near(host.free, want.want.resources))
            nearest.held_for = claimant
            claimant.hold = Hold(nearest, want, self._now)


def _how_near(free: Resources, wanted: Resources) -> float:
    """The part of the scarcest resource that is there already, 0 to 1."""
    return min((min(1.0, amount_of(free, name) / amount) for name, amount in wanted.scalars()), default=1.0)
