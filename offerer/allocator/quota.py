"""Quota: guarantees come before shares, limits are never passed.

A guarantee or limit is a mapping from resource name to amount; what is not named has no guarantee and no limit.
What free resources the unmet guarantees still need (the *headroom*) is kept out of everybody else's offers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from offerer.allocator.ledger import RoleLedger
from offerer.resources import NOTHING, Resources


def amount_of(resources: Resources, name: str) -> int:
    """The amount of a resource by its name."""
    if name in ("cpus", "memory", "disk", "gpus"):
        return int(getattr(resources, name))
    return resources.count(name)


def capped(resources: Resources, caps: Mapping[str, int]) -> Resources:
    """The resources with each named amount at most its cap; ports and the rest as they are."""
    return Resources(
        min(resources.cpus, caps.get("cpus", resources.cpus)),
        min(resources.memory, caps.get("memory", resources.memory)),
        min(resources.disk, caps.get("disk", resources.disk)),
        min(resources.gpus, caps.get("gpus", resources.gpus)),
        tuple((name, min(n, caps[name]) if name in caps else n) for name, n in resources.counts if caps.get(name, n)),
        resources.ports,
    )


def unmet(role: RoleLedger) -> dict[str, int]:
    """What a role still lacks of its guarantee."""
    missing = {name: amount - amount_of(role.used, name) for name, amount in role.guarantee.items()}
    return {name: amount for name, amount in missing.items() if amount > 0}


class Headroom:
    """Within one allocation: how much is free, and how much of it unmet guarantees need."""

    def __init__(self, roles: Iterable[RoleLedger], free: Resources) -> None:
        self._roles = [role for role in roles if role.guarantee]
        self._free = free

    def taken(self, amount: Resources) -> None:
        """This much is free no longer."""
        self._free = self._free - amount.without_ports()

    def surplus_for(self, role: RoleLedger) -> dict[str, int]:
        """Per resource that others' guarantees need: how much may go to this role all the same."""
        needed: dict[str, int] = {}
        for other in self._roles:
            if other is not role:
                for name, amount in unmet(other).items():
                    needed[name] = needed.get(name, 0) + amount
        return {name: max(0, amount_of(self._free, name) - amount) for name, amount in needed.items()}


def beyond_guarantee(role: RoleLedger, amount: Resources, headroom: Headroom | None) -> Resources:
    """What of this amount the role may have by its share: within its limit and everyone else's headroom."""
    caps = dict(headroom.surplus_for(role)) if headroom else {}
    for name, limit in role.limit.items():
        room = max(0, limit - amount_of(role.used, name))
        caps[name] = min(room, caps.get(name, room))
    return capped(amount, caps) if caps else amount


def towards_guarantee(role: RoleLedger, amount: Resources, headroom: Headroom) -> Resources:
    """What of this amount goes to meet the role's guarantee: what it lacks, and of other resources what it may have.

    Nothing where the amount holds nothing that the role lacks.
    """
    missing = unmet(role)
    if not any(amount_of(amount, name) for name in missing):
        return NOTHING
    caps = dict(missing)
    rest = beyond_guarantee(role, amount, headroom)
    for name, _ in amount.scalars():
        caps.setdefault(name, amount_of(rest, name))
    return capped(amount, caps)
