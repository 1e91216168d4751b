"""The allocator: books of who has what, and one `run` that shares out what became free.

Only *dirty* hosts are looked at: those where something became free, changed, or whose refusals ran out, and those
that a framework which wants offers again could use. A host that everybody refused costs nothing until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from offerer.allocator.demand import DemandState
from offerer.allocator.drf import DrfSorter, Totals
from offerer.allocator.ledger import Claimant, Grant, HostLedger, Refusal, RoleLedger
from offerer.allocator.round import Round
from offerer.framework import Demand
from offerer.ids import FrameworkId, Role
from offerer.resources import MIB, Resources
from offerer.types import Time

MIN_OFFER = (Resources(cpus=10), Resources(memory=32 * MIB))
"""Less than all of these is not worth an offer (Mesos: ``cpus:0.01|mem:32``)."""


class Allocator:
    """Books and allocation. Every method that frees something marks hosts dirty; `run` then shares them out."""

    def __init__(self, min_offer: tuple[Resources, ...] = MIN_OFFER) -> None:
        self.totals = Totals()
        self.roles: DrfSorter[RoleLedger] = DrfSorter(self.totals)
        self.hosts: dict[HostLedger, None] = {}  # all that count towards the totals
        self._dirty: dict[HostLedger, None] = {}
        self._all_dirty = False  # instead of marking each of them
        self._min_offer = min_offer
        self._quotas = False  # whether any role has a guarantee or a limit

    # -- hosts ------------------------------------------------------------------------------------------------

    def add_host(self, host: HostLedger) -> None:
        """A host counts from now on. What is used on it is charged to claimants by `charge`."""
        self.hosts[host] = None
        self.totals.change(self.totals.resources + host.total.without_ports())
        self._touch(host)

    def remove_host(self, host: HostLedger) -> None:
        """A host no longer counts. Its grants must have been settled and its tasks discharged before."""
        for claimant in host.refusals:
            claimant.refused.pop(host, None)
        host.refusals.clear()
        if host.held_for is not None:
            self.release_hold(host.held_for)
        self.hosts.pop(host, None)
        self._dirty.pop(host, None)
        self.totals.change(self.totals.resources - host.total.without_ports())

    def change_host(self, host: HostLedger, name: str, attributes: Mapping[str, str], total: Resources) -> None:
        """A host has other attributes or another total. New attributes make every refusal of it void."""
        if attributes != host.attributes or name != host.name:
            for claimant in host.refusals:
                claimant.refused.pop(host, None)
            host.refusals.clear()
        if host in self.hosts:
            self.totals.change(self.totals.resources - host.total.without_ports() + total.without_ports())
        host.name, host.attributes, host.total = name, attributes, total
        host.recount()
        self._touch(host)

    def set_offerable(self, host: HostLedger, offerable: bool) -> None:
        """Whether offers of this host may be made now."""
        host.offerable = offerable
        self._touch(host)

    # -- roles and claimants ----------------------------------------------------------------------------------

    def role(self, name: Role) -> RoleLedger:
        """The books of a role, opened on first sight."""
        role = self.roles.clients.get(name)
        if role is None:
            role = RoleLedger(name, self.totals)
            self.roles.add(role)
        return role

    def configure_role(
        self,
        role: RoleLedger,
        weight: int | None = None,
        guarantee: Mapping[str, int] | None = None,
        limit: Mapping[str, int] | None = None,
    ) -> None:
        """Set weight (thousandths), guarantee and limit; None leaves each as it is."""
        if weight is not None:
            self.roles.set_weight(role, weight)
        if guarantee is not None:
            role.guarantee = guarantee
        if limit is not None:
            role.limit = limit
        self._quotas = any(each.guarantee or each.limit for each in self.roles.clients.values())
        self._all_dirty = True

    def add_claimant(self, framework_id: FrameworkId, role_name: Role) -> Claimant:
        """A framework under a role, not active yet."""
        role = self.role(role_name)
        claimant = Claimant(framework_id, role)
        role.claimants.add(claimant)
        return claimant

    def remove_claimant(self, claimant: Claimant) -> None:
        """The framework is gone; all it had must have been given back."""
        self.set_active(claimant, False)
        claimant.role.claimants.remove(claimant)

    def set_active(self, claimant: Claimant, active: bool) -> None:
        """Whether the claimant takes part: connected and not suppressed."""
        if claimant.active == active:
            return
        role = claimant.role
        role.claimants.set_active(claimant, active)
        role_active = any(each.active for each in role.claimants.clients.values())
        if role_active != role.active:
            self.roles.set_active(role, role_active)
        if active:
            self._wanted_by(claimant)
        else:
            self.release_hold(claimant)

    def revive(self, claimant: Claimant) -> None:
        """Forget every refusal of this claimant."""
        for host in claimant.refused:
            host.refusals.pop(claimant, None)
            self._touch(host)
        claimant.refused.clear()

    def state_demand(self, claimant: Claimant, demand: Demand, now: Time) -> None:
        """Replace what the claimant waits for."""
        if demand.wants is None:
            claimant.demand = None
        else:
            claimant.demand = DemandState(demand, now, claimant.demand)
        if claimant.hold is not None and (claimant.demand is None or claimant.hold.want not in claimant.demand.wants):
            self.release_hold(claimant)
        self._wanted_by(claimant)

    # -- the books --------------------------------------------------------------------------------------------

    def charge(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        """A task uses this much of a host that nobody offered (it was there when the master came)."""
        host.used = host.used + amount
        host.recount()
        scalars = amount.without_ports()
        claimant.role.claimants.allocated(claimant, scalars)
        self.roles.allocated(claimant.role, scalars)
        if self._quotas:  # its guarantee may need less of other hosts now
            self._all_dirty = True

    def discharge(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        """A task or an offer gives this much back."""
        host.put_back(amount)
        scalars = amount.without_ports()
        claimant.role.claimants.unallocated(claimant, scalars)
        self.roles.unallocated(claimant.role, scalars)
        self._touch(host)

    def settle(self, grant: Grant, unused: Resources, now: Time, refuse_for: Time = 0) -> None:
        """A grant is answered: `unused` of it comes back, and is not wanted again for `refuse_for`."""
        claimant, host = grant.claimant, grant.host
        if unused:
            self.discharge(claimant, host, unused)
            if refuse_for > 0:
                self._refuse(claimant, host, Refusal(unused, now + refuse_for))
        if grant.helps:
            for want, n in grant.helps:
                want.capacity -= n
                want.hosts -= 1
            self._wanted_by(claimant)

    def release_hold(self, claimant: Claimant) -> None:
        """The host kept for this claimant, if there is one, is everybody's again."""
        if claimant.hold is not None:
            host = claimant.hold.host
            host.held_for = claimant.hold = None
            self._touch(host)

    def end_refusals(self, claimant: Claimant, hosts: Iterable[HostLedger], until: Time, now: Time) -> list[HostLedger]:
        """End the refusals of these hosts that run until then. Returns those that still stand at `now`."""
        standing = []
        for host in hosts:
            refusals = host.refusals.get(claimant, ())
            if all(each.until != until for each in refusals):
                continue  # revived or renewed meanwhile
            if until > now:
                standing.append(host)
                continue
            left = tuple(each for each in refusals if each.until != until)
            if left:
                host.refusals[claimant] = left
            else:
                del host.refusals[claimant]
                claimant.refused.pop(host, None)
            self._touch(host)
        return standing

    def _refuse(self, claimant: Claimant, host: HostLedger, refusal: Refusal) -> None:
        before = host.refusals.get(claimant, ())
        if not any(each.covers(refusal) for each in before):
            host.refusals[claimant] = (*(each for each in before if not refusal.covers(each)), refusal)
            claimant.refused[host] = None

    @property
    def idle(self) -> bool:
        """Whether `run` would have nothing to look at."""
        return not self._dirty and not self._all_dirty

    def run(self, now: Time) -> list[Grant]:
        """Share out what the dirty hosts have free. Afterwards no host is dirty."""
        if self.idle:
            return []
        looked_at = self.hosts if self._all_dirty else self._dirty
        hosts = [host for host in looked_at if host.offerable and self.worth_offering(host.free)]
        self._dirty.clear()
        self._all_dirty = False
        return Round(self, now, self._quotas).run(hosts) if hosts else []

    def worth_offering(self, amount: Resources) -> bool:
        """Whether the amount holds at least one of the smallest offers."""
        for least in self._min_offer:  # not any(): this is asked for every host of every round
            if amount.contains(least):
                return True
        return False

    # -- what is dirty ----------------------------------------------------------------------------------------

    def _touch(self, host: HostLedger) -> None:
        if self._quotas:  # what is free here counts for what a guarantee keeps back elsewhere, and for limits
            self._all_dirty = True
        elif host.offerable:
            self._dirty[host] = None

    def _wanted_by(self, claimant: Claimant) -> None:
        """The claimant may take what nobody wanted so far."""
        if claimant.active and (claimant.demand is None or claimant.demand.hungry()):
            self._all_dirty = True
