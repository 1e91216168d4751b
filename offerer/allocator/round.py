"""One allocation: hosts in turn, to the roles and frameworks in the order of fairness.

Stage 1 meets guarantees, stage 2 shares the rest. As in Mesos, what a host has free goes whole to the first framework
that may and will have it, chopped only where quota says so; the next in line gets what is left over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from offerer.allocator.ledger import Claimant, Grant, HostLedger, RoleLedger, any_hides
from offerer.allocator.quota import Headroom, beyond_guarantee, towards_guarantee, unmet
from offerer.allocator.search import Search, Wanting, in_turn
from offerer.resources import Resources
from offerer.types import Time

if TYPE_CHECKING:
    from offerer.allocator.allocator import Allocator


class Round:
    """The state of one allocation: of what `changed` hosts have free, and of what those who are `wanting` may take."""

    def __init__(self, allocator: Allocator, now: Time, changed: Sequence[HostLedger], wanting: Wanting) -> None:
        self._allocator = allocator
        self._now = now
        self._changed = changed
        self._wanting = wanting
        self._roles = allocator.roles
        self._holds = allocator.holds
        self._headroom: Headroom | None = None
        self._grants: list[Grant] = []
        self._guaranteed: dict[tuple[Claimant, HostLedger], Grant] = {}
        """Of these, those to which stage 2 may add; within a stage nobody gets of a host twice."""

    def run(self) -> list[Grant]:
        """The grants, at most one for each framework and host."""
        if self._allocator.quotas:
            self._meet_guarantees()
        for host, takers in self._in_turn(self._wanting):
            self._share_out(host, takers)
        return self._grants

    def _in_turn(self, wanting: Collection[Claimant]) -> Iterator[tuple[HostLedger, Collection[Claimant] | None]]:
        if not wanting:
            return ((host, None) for host in self._changed)
        index, anything = self._allocator.index, self._allocator.anything
        searches = [Search(each, self._wanting[each], index, anything, self._may_offer) for each in wanting]
        return in_turn(self._changed, searches)

    def _meet_guarantees(self) -> None:
        roles = list(self._roles.clients.values())
        lacking = {role for role in roles if unmet(role)}
        if not lacking:
            return
        self._headroom = headroom = Headroom(roles, self._allocator.free)
        for host, takers in self._in_turn([claimant for claimant in self._wanting if claimant.role in lacking]):
            for role in self._roles.order():
                if not unmet(role):
                    continue
                amount = towards_guarantee(role, host.free, headroom)
                for claimant in role.claimants.order():
                    if (takers is None or claimant in takers) and self._may_offer(claimant, host, amount):
                        self._grant(claimant, host, amount)
                        amount = towards_guarantee(role, host.free, headroom)

    def _share_out(self, host: HostLedger, takers: Collection[Claimant] | None) -> None:
        if takers is not None and len(takers) == 1 and host.held_for is None and not self._holds.due(self._now):
            (claimant,) = takers
            amount = self._share_of(claimant.role, host)
            if self._may_offer(claimant, host, amount):
                self._grant(claimant, host, amount)
            return
        for role in self._roles.order():
            amount = self._share_of(role, host)
            for claimant in role.claimants.order():
                if (takers is None or claimant in takers) and self._may_offer(claimant, host, amount):
                    self._grant(claimant, host, amount)
                    if not self._allocator.worth_offering(host.free):
                        return
                    amount = self._share_of(role, host)
                else:
                    if claimant.hold_at <= self._now:
                        self._holds.passed_over(claimant, self._now)
                    if host.held_for is claimant:
                        return

    def _share_of(self, role: RoleLedger, host: HostLedger) -> Resources:
        """What of the host's free resources this role may have."""
        if not self._allocator.quotas:
            return host.free
        amount = beyond_guarantee(role, host.free, self._headroom)
        if amount != host.free:
            self._allocator.withheld[role] = None
        return amount

    def _may_offer(self, claimant: Claimant, host: HostLedger, amount: Resources) -> bool:
        """Whether the claimant has not refused this and can use it."""
        demand = claimant.demand
        if demand is not None and not demand.hungry():
            return False
        refusals = host.refusals.get(claimant)
        if refusals is not None and any_hides(refusals, amount, self._now):
            return False
        if not self._allocator.worth_offering(amount):
            return False
        return demand is None or bool(demand.helped_by(host.name, host.attributes, amount))

    def _grant(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        grant = self._guaranteed.get((claimant, host)) if self._guaranteed else None
        if grant is None:
            grant = Grant(claimant, host, amount)
            self._grants.append(grant)
        else:
            grant.amount = grant.amount + amount
        self._allocator.take(claimant, host, amount)
        if self._headroom is not None:
            self._guaranteed[claimant, host] = grant
            self._headroom.taken(amount)
        if claimant.demand is not None:
            self._cover(claimant, grant)

    def _cover(self, claimant: Claimant, grant: Grant) -> None:
        demand, host = claimant.demand, grant.host
        assert demand is not None
        if grant.helps:  # a second part of the same host: count the whole anew
            demand.uncover(grant.helps)
        grant.helps = demand.helped_by(host.name, host.attributes, grant.amount)
        demand.cover(grant.helps, self._now)
        self._holds.served(claimant, grant.helps, self._now)
