"""Which task goes on which host: strict about conditions, then spread, then level.

Pure, and deterministic: the same offers and tasks give the same placement.
"""

from __future__ import annotations

import bisect
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple

from frameworks.coding.names import TaskName
from frameworks.coding.plans import TaskPlan
from offerer import Constraint, HostId, Offer, OfferId, PortMapping, Resources, TaskId, Time

_PORT_CHOICE: Final = 1000
"""Free host ports are taken among this many at the high end of those offered."""
_SCALE: Final = 1_000_000


@dataclass(slots=True)
class Host:
    """What offers have told of one host."""

    id: HostId
    name: str
    attributes: dict[str, str]
    address: str
    free: Resources
    """What is left of the offers held, or was when the last of them was used or given back."""
    most: Resources
    """The most that was ever seen free at once: as near as a framework comes to the host's total."""
    offers: list[OfferId] = field(default_factory=list)
    """Those held now, all of this host."""
    seen: Time = 0
    """When it was last offered."""
    absent: bool = False
    """Whether offers of every host were asked for since, and none of this one came: it is lost, or others have it."""
    placed: list[TaskName] = field(default_factory=list)
    """The tasks that have a place on these offers and are not launched yet."""

    def add(self, offer: Offer, now: Time) -> None:
        """Another offer of this host."""
        self.seen, self.absent = now, False
        self.free = self.free + offer.resources if self.offers else offer.resources
        self.offers.append(offer.id)
        self.name, self.attributes, self.address = offer.host, dict(offer.attributes), offer.address
        free, most = self.free, self.most
        self.most = Resources(max(free.cpus, most.cpus), max(free.memory, most.memory))

    def value(self, attribute: str) -> str | None:
        """Of an attribute; ``host`` is the name."""
        return self.name if attribute == "host" else self.attributes.get(attribute)

    def left(self, used: Resources) -> int:
        """The smallest share of any resource that is left, in millionths; `used` is what our own tasks hold here."""
        totals = self.totals(used)
        shares = [
            free * _SCALE // total
            for free, total in ((self.free.cpus, totals.cpus), (self.free.memory, totals.memory))
            if total
        ]
        return min(shares, default=_SCALE)

    def totals(self, used: Resources) -> Resources:
        """What it has of cpus and memory in all, as far as is known; `used` is what our own tasks hold here."""
        cpus = max(self.most.cpus, self.free.cpus + used.cpus)
        return Resources(cpus, max(self.most.memory, self.free.memory + used.memory))


class Limit(NamedTuple):
    """What one rule leaves of the hosts as things stand: those with these values of an attribute, or without those."""

    why: str
    """The rule, and what makes it exclude what it does: ``zone unique (a and b have one)``."""
    attribute: str
    only: frozenset[str] | None
    but: frozenset[str]

    def admits(self, host: Host) -> bool:
        """Whether a host is left. One that lacks the attribute is not."""
        value = host.value(self.attribute)
        return value is not None and value not in self.but and (self.only is None or value in self.only)

    def constraints(self) -> list[Constraint]:
        """The same as conditions that the master understands."""
        found = []
        if self.only is not None:
            found.append(Constraint(self.attribute, "in", tuple(sorted(self.only))))
        elif self.attribute != "host":
            found.append(Constraint(self.attribute, "=~", (".+",)))
        if self.but:
            found.append(Constraint(self.attribute, "not in", tuple(sorted(self.but))))
        return found


class Level:
    """The hosts with offers in hand, the one with most left first; kept in order while tasks are placed."""

    def __init__(self, hosts: Iterable[Host], used: dict[HostId, Resources]) -> None:
        self._used = used
        self._order = sorted((-host.left(used.get(host.id, _NOTHING)), host.id, host) for host in hosts)

    def choose(
        self,
        plan: TaskPlan,
        siblings: Counter[HostId],
        limits: Sequence[Limit] = (),
        wishes: Sequence[Callable[[Host], int]] = (),
    ) -> Host | None:
        """The host that can take a task of this plan and comes nearest to what is wished, the first wish first.

        Beyond that the one with the fewest siblings, then with most left; or to pack, the one with least left.
        """
        best: Host | None = None
        least: tuple[int, ...] = ()
        for _, host_id, host in reversed(self._order) if plan.pack else self._order:
            cost = (*(wish(host) for wish in wishes), 0 if plan.pack else siblings[host_id])
            if (best is None or cost < least) and refusal(plan, host, limits) is None:
                best, least = host, cost
                if not any(cost):
                    break
        return best

    def take(self, host: Host, task: TaskName, taken: Resources) -> None:
        """This task with these resources was placed on this host."""
        used = self._used.get(host.id, _NOTHING)
        self._order.pop(bisect.bisect_left(self._order, (-host.left(used), host.id)))
        host.free -= taken
        host.placed.append(task)
        self._used[host.id] = used = used + taken
        bisect.insort(self._order, (-host.left(used), host.id, host), key=lambda entry: entry[:2])


_NOTHING: Final = Resources()


class Refusal(NamedTuple):
    """One thing for which a host cannot take a task."""

    kind: str
    """``excluded``, ``lack``, ``port`` (a fixed one is taken), ``ports`` (none is free) or ``absent``."""
    what: str
    """The condition, the resource, or the port."""
    short: int = 0
    """How much of the resource is missing."""

    @property
    def text(self) -> str:
        """As it is said of several hosts: ``lack memory``."""
        return {
            "excluded": f"excluded by {self.what}",
            "lack": f"lack {self.what}",
            "port": f"have port {self.what} taken",
            "ports": "have no free port",
            "absent": "are not offered",
        }[self.kind]


def refusal(plan: TaskPlan, host: Host, limits: Sequence[Limit] = ()) -> Refusal | None:
    """Why this host cannot take a task of this plan, the first reason; None if it can."""
    return next(refusals(plan, host, limits), None)


def refusals(plan: TaskPlan, host: Host, limits: Sequence[Limit] = ()) -> Iterator[Refusal]:
    """Everything for which this host cannot take a task of this plan; conditions first."""
    fits = True
    for each in chain(_excluded(plan, host, limits), _lacking(plan, host)):
        fits = False
        yield each
    if fits and host.absent:
        yield Refusal("absent", "")


def _excluded(plan: TaskPlan, host: Host, limits: Sequence[Limit]) -> Iterator[Refusal]:
    for constraint in plan.constraints:
        if not constraint.matches(host.name, host.attributes):
            yield Refusal("excluded", str(constraint))
    for limit in limits:
        if not limit.admits(host):
            lacks = host.value(limit.attribute) is None
            yield Refusal("excluded", f"having no {limit.attribute}" if lacks else limit.why)


def _lacking(plan: TaskPlan, host: Host) -> Iterator[Refusal]:
    free, need = host.free, plan.resources
    for name, amount in need.scalars():
        have = getattr(free, name) if name in ("cpus", "memory", "disk", "gpus") else free.count(name)
        if have < amount:
            yield Refusal("lack", name, amount - have)
    for first, last in need.ports:
        for port in range(first, last + 1):
            if not free.has_port(port):
                yield Refusal("port", str(port))
    if plan.free_ports and free.port_count() < plan.free_ports + need.port_count():
        yield Refusal("ports", "")


def choose_ports(plan: TaskPlan, task_id: TaskId, host: Host) -> list[PortMapping]:
    """The host port of each port of the plan: the one it names, or one of those free.

    Which free one follows from the task id, so that the next attempt takes another: a port offered may be held on
    the host by somebody the executor does not know.
    """
    taken = {port.host for port in plan.ports if port.host}
    chosen = []
    for i, wish in enumerate(plan.ports):
        number = wish.host or _pick(host.free.ports, taken, f"{task_id}:{i}")
        taken.add(number)
        chosen.append(PortMapping(wish.container or number, number, wish.protocol, wish.name or ""))
    return chosen


def _pick(ranges: Sequence[tuple[int, int]], taken: set[int], seed: str) -> int:
    free = []
    for first, last in reversed(ranges):
        free += [port for port in range(last, max(first, last - _PORT_CHOICE) - 1, -1) if port not in taken]
        if len(free) >= _PORT_CHOICE:
            break
    return free[zlib.crc32(seed.encode()) % min(len(free), _PORT_CHOICE)]
