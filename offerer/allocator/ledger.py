"""What the allocator knows of hosts, roles and frameworks: who has what, and who refused what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from offerer.allocator.demand import DemandState, WantState
from offerer.allocator.drf import Client, DrfSorter, Totals
from offerer.ids import FrameworkId, HostId, Role
from offerer.resources import NOTHING, Resources
from offerer.types import Time


NEVER: Time = 1 << 62


class Refusal(NamedTuple):
    """A framework does not want to see a host until then, as long as no more is free there than it refused."""

    resources: Resources
    until: Time

    def covers(self, other: Refusal) -> bool:
        """Whether the other one says nothing beyond this one."""
        return self.until >= other.until and self.resources.contains(other.resources)


def any_hides(refusals: tuple[Refusal, ...], amount: Resources, now: Time) -> bool:
    """Whether an offer of this amount would be no more than what was refused."""
    for refused, until in refusals:
        if now < until and refused.contains(amount):
            return True
    return False


class HostLedger:
    """A host's books. Invariant: ``used`` is the sum of all grants and tasks on it; ``free = total - used``, port by
    port, and nothing where the host shrank below what is used."""

    __slots__ = ("attributes", "free", "held_for", "id", "name", "offerable", "position", "refusals", "total", "used")

    def __init__(self, host_id: HostId, name: str, attributes: Mapping[str, str], total: Resources) -> None:
        self.id = host_id
        self.name = name
        self.attributes = attributes
        self.total = total
        self.used = NOTHING
        self.free = total
        self.offerable = False
        self.position = -1  # in the row of the `HostIndex`, -1: not in it
        self.refusals: dict[Claimant, tuple[Refusal, ...]] = {}
        """Mostly one each; several where it refused this part of the host and that one, neither within the other."""
        self.held_for: Claimant | None = None
        """Who waits for something big here: what becomes free is kept together for it (see `Round`)."""

    def take(self, amount: Resources) -> None:
        """Move this much from free to used."""
        self.used = self.used + amount
        self.free = self.free - amount

    def put_back(self, amount: Resources) -> None:
        """Move this much from used to free (or to nothing, where the host shrank)."""
        self.used = self.used - amount
        self.recount()

    def recount(self) -> None:
        """Work out what is free anew."""
        self.free = self.total.minus_up_to(self.used)


class Hold(NamedTuple):
    """A host kept for a want that has waited long."""

    host: HostLedger
    want: WantState
    near: float
    """How much of what it takes was there at best, 0 to 1."""
    until: Time
    """When it is given up unless more is there by then."""


class Claimant(Client):
    """A framework under one of its roles: what offers are made to."""

    __slots__ = ("awaited", "demand", "framework_id", "hold", "hold_at", "refused", "revived", "role")

    def __init__(self, framework_id: FrameworkId, role: RoleLedger) -> None:
        super().__init__(framework_id)
        self.framework_id = framework_id
        self.role = role
        self.demand: DemandState | None = None  # None: wants everything
        self.refused: dict[HostLedger, None] = {}  # hosts with a refusal of ours, for clearing them
        self.revived = 0  # how often
        self.awaited = 0  # refusals whose end somebody waits for, more than there are where some were renewed
        self.hold: Hold | None = None
        self.hold_at = NEVER  # when a hold for it is looked for, if it is passed over


class RoleLedger(Client):
    """A role: its weight and quota, and the frameworks under it."""

    __slots__ = ("claimants", "guarantee", "limit")

    def __init__(self, role: Role, totals: Totals) -> None:
        super().__init__(role)
        self.claimants: DrfSorter[Claimant] = DrfSorter(totals)
        self.guarantee: Mapping[str, int] = {}
        self.limit: Mapping[str, int] = {}


class Grant:
    """Resources of one host set aside for one claimant, until settled. The core makes an offer of it."""

    __slots__ = ("amount", "claimant", "helps", "host")

    def __init__(self, claimant: Claimant, host: HostLedger, amount: Resources) -> None:
        self.claimant = claimant
        self.host = host
        self.amount = amount
        self.helps: list[tuple[WantState, int]] = []
        """The wants it covers, and how many tasks of each could run on it."""
