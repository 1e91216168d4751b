"""The allocator: books of who has what, and one `run` that shares out what became free.

What everybody was offered and nobody took is not looked at again. An allocation looks at *dirty* hosts, where something
became free or changed, for everybody; and for each framework that wants something it did not want before, or refuses
something no longer, at the hosts that it may take, found through an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from offerer.allocator.demand import DemandState
from offerer.allocator.drf import DrfSorter, Totals
from offerer.allocator.holds import Holds
from offerer.allocator.index import HostIndex
from offerer.allocator.ledger import NEVER, Claimant, Grant, HostLedger, Refusal, RoleLedger
from offerer.allocator.room import Sizes
from offerer.allocator.round import Round
from offerer.allocator.search import Wanting
from offerer.framework import Demand
from offerer.ids import FrameworkId, Role
from offerer.resources import MIB, NOTHING, Resources
from offerer.types import Time

MIN_OFFER = (Resources(cpus=10), Resources(memory=32 * MIB))
"""Less than all of these is not worth an offer (Mesos: ``cpus:0.01|mem:32``)."""


class Allocator:
    """Books and allocation. Methods note what there is to look at; `run` then shares it out."""

    def __init__(self, min_offer: tuple[Resources, ...] = MIN_OFFER) -> None:
        self.totals = Totals()
        self.roles: DrfSorter[RoleLedger] = DrfSorter(self.totals)
        self.hosts: dict[HostLedger, None] = {}  # all that count towards the totals
        self.index = HostIndex()
        self.holds = Holds(self.index, self.totals, self._touch)
        self.anything = Sizes(min_offer)
        self.quotas = False  # whether any role has a guarantee or a limit
        self.free = NOTHING
        """While there are quotas: the sum of what all hosts that may be offered have free, without ports."""
        self.withheld: dict[RoleLedger, None] = {}
        """Roles that quota has kept something from: they may have it as soon as anything changes."""
        self._dirty: dict[HostLedger, None] = {}
        self._wanting: Wanting = {}
        self._min_offer = min_offer

    # -- hosts ------------------------------------------------------------------------------------------------

    def add_host(self, host: HostLedger) -> None:
        """A host counts from now on. What is used on it is charged to claimants by `charge`."""
        self.hosts[host] = None
        self.index.add(host)
        self.totals.change(self.totals.resources + host.total.without_ports())
        self._recounted(host, NOTHING)
        self._touch(host)

    def remove_host(self, host: HostLedger) -> None:
        """A host no longer counts. Its grants must have been settled and its tasks discharged before."""
        _forget_refusals(host)
        if host.held_for is not None:
            self.holds.release(host.held_for)
        before = self._counted(host)
        del self.hosts[host]
        self.index.remove(host)
        self._recounted(host, before)
        self._dirty.pop(host, None)
        self.totals.change(self.totals.resources - host.total.without_ports())

    def change_host(self, host: HostLedger, name: str, attributes: Mapping[str, str], total: Resources) -> None:
        """A host has other attributes or another total. New attributes make every refusal of it void."""
        if attributes != host.attributes or name != host.name:
            _forget_refusals(host)
        if host in self.hosts:
            self.totals.change(self.totals.resources - host.total.without_ports() + total.without_ports())
        before = self._counted(host)
        host.name, host.attributes, host.total = name, attributes, total
        host.recount()
        self._recounted(host, before)
        self._touch(host)

    def set_offerable(self, host: HostLedger, offerable: bool) -> None:
        """Whether offers of this host may be made now."""
        before = self._counted(host)
        host.offerable = offerable
        self._recounted(host, before)
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
        self.quotas = any(each.guarantee or each.limit for each in self.roles.clients.values())
        self.free = NOTHING
        for host in self.hosts:
            self._recounted(host, NOTHING)
        self.withheld.clear()
        self.look_everywhere()

    def add_claimant(self, framework_id: FrameworkId, role_name: Role) -> Claimant:
        """A framework under a role, not active yet."""
        role = self.role(role_name)
        claimant = Claimant(framework_id, role)
        role.claimants.add(claimant)
        return claimant

    def remove_claimant(self, claimant: Claimant) -> None:
        """The framework is gone; all it had must have been given back."""
        self.set_active(claimant, False)
        self._wanting.pop(claimant, None)
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
            self.holds.release(claimant)
            claimant.hold_at = NEVER

    def revive(self, claimant: Claimant) -> None:
        """Forget every refusal of this claimant."""
        for host in claimant.refused:
            host.refusals.pop(claimant, None)
        claimant.refused.clear()
        claimant.revived += 1
        self._wanted_by(claimant)

    def state_demand(self, claimant: Claimant, demand: Demand, now: Time) -> None:
        """Replace what the claimant waits for."""
        if demand.wants is None:
            claimant.demand = None
        else:
            claimant.demand = DemandState(demand, now, claimant.demand)
        if claimant.hold is not None and (claimant.demand is None or claimant.hold.want not in claimant.demand.wants):
            self.holds.release(claimant)
        self._wanted_by(claimant)

    # -- the books --------------------------------------------------------------------------------------------

    def charge(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        """A task uses this much of a host that nobody offered (it was there when the master came)."""
        before = self._counted(host)
        host.used = host.used + amount
        host.recount()
        self._recounted(host, before)
        self._allocated(claimant, amount)
        if self.quotas:  # its guarantee may need less of other hosts now
            self._touch(host)

    def take(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        """This much of what is free on a host is granted."""
        before = self._counted(host)
        host.take(amount)
        self._recounted(host, before)
        self.index.lowered(host)
        self._allocated(claimant, amount)

    def _allocated(self, claimant: Claimant, amount: Resources) -> None:
        scalars = amount.without_ports()
        claimant.role.claimants.allocated(claimant, scalars)
        self.roles.allocated(claimant.role, scalars)

    def discharge(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        """A task or an offer gives this much back."""
        before = self._counted(host)
        host.put_back(amount)
        self._recounted(host, before)
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
        if grant.helps and claimant.demand is not None:
            claimant.demand.uncover(grant.helps)
            self._wanted_by(claimant)

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
            among = self._wanting.setdefault(claimant, {})
            if among is not None:
                among[host] = None
        return standing

    def _refuse(self, claimant: Claimant, host: HostLedger, refusal: Refusal) -> None:
        before = host.refusals.get(claimant, ())
        if not any(each.covers(refusal) for each in before):
            host.refusals[claimant] = (*(each for each in before if not refusal.covers(each)), refusal)
            claimant.refused[host] = None

    @property
    def idle(self) -> bool:
        """Whether `run` would have nothing to look at."""
        return not self._dirty and not self._wanting

    def run(self, now: Time) -> list[Grant]:
        """Share out what there is to look at. Afterwards there is nothing more, except what this itself let go."""
        if self.idle:
            return []
        dirty: Iterable[HostLedger] = self._dirty
        wanting = {claimant: among for claimant, among in self._wanting.items() if _hungry(claimant)}
        if wanting and 2 * len(self._dirty) >= len(self.hosts):  # nothing is gained by looking for the others
            dirty, wanting = self.hosts, {}
        changed = [host for host in dirty if host.offerable and self.worth_offering(host.free)]
        for host in changed:
            self.index.raised(host)
        self._dirty, self._wanting = {}, {}
        return Round(self, now, changed, wanting).run() if changed or wanting else []

    def worth_offering(self, amount: Resources) -> bool:
        """Whether the amount holds at least one of the smallest offers."""
        for least in self._min_offer:  # not any(): this is asked for every host of every round
            if amount.contains(least):
                return True
        return False

    # -- what there is to look at -------------------------------------------------------------------------------------

    def look_everywhere(self) -> None:
        """Look at every host for everybody next time, along the row."""
        self._dirty.clear()
        for host in self.hosts:
            self._touch(host)

    def _touch(self, host: HostLedger) -> None:
        """Something became free on this host, or changed."""
        if host.offerable and host.position >= 0:
            self._dirty[host] = None
        if self.withheld:  # a limit may have room again, and a guarantee need less
            roles = list(self.withheld)
            self.withheld.clear()
            for role in roles:
                for claimant in role.claimants.clients.values():
                    self._wanted_by(claimant)

    def _wanted_by(self, claimant: Claimant) -> None:
        """The claimant may take what nobody wanted so far."""
        if _hungry(claimant):
            self._wanting[claimant] = None
            self.holds.watch(claimant)

    # -- what is free, for quotas -------------------------------------------------------------------------------------

    def _counted(self, host: HostLedger) -> Resources:
        if not self.quotas or not host.offerable or host.position < 0:
            return NOTHING
        return host.free.without_ports()

    def _recounted(self, host: HostLedger, before: Resources) -> None:
        if self.quotas:
            self.free = self.free - before + self._counted(host)


def _forget_refusals(host: HostLedger) -> None:
    for claimant in host.refusals:
        claimant.refused.pop(host, None)
    host.refusals.clear()


def _hungry(claimant: Claimant) -> bool:
    """Whether it may be offered anything at all."""
    return claimant.active and (claimant.demand is None or claimant.demand.hungry())
