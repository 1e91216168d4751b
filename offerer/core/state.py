"""The state of the cluster: hosts, frameworks, tasks, offers. Changed only by the ``on_<event>`` handlers beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from offerer.allocator import Allocator, Claimant, Grant, HostLedger
from offerer.allocator.allocator import MIN_OFFER
from offerer.core.outputs import Output
from offerer.core.timers import Timer, Timers
from offerer.ids import FrameworkId, HostId, OfferId, Role, TaskId
from offerer.resources import NOTHING, Resources
from offerer.task_states import TaskState
from offerer.types import SECOND, Availability, TaskStatus, Time


TaskKey = tuple[FrameworkId, TaskId]
"""A task's id is unique within its framework only."""

UNKNOWN_FAILOVER_TIMEOUT: Time = 7 * 24 * 3600 * SECOND
"""For a framework that only its tasks on some host speak of."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set of the core."""

    offer_timeout: Time = 60 * SECOND
    """An offer neither accepted nor declined is rescinded after this."""
    unreachable_after: Time = 30 * SECOND
    """A host that has not come back for this long is unreachable."""
    min_offer: tuple[Resources, ...] = MIN_OFFER
    """Free resources below all of these are not offered."""


class HostState(Enum):
    """Where a host is in its life."""

    RECOVERING = "recovering"  # known from the store, not seen since this master took the lead
    ACTIVE = "active"
    DISCONNECTED = "disconnected"  # its stream broke; no offers of it, its tasks are taken to run
    UNREACHABLE = "unreachable"  # silent for too long; its tasks are UNREACHABLE


class Task:
    """A task the cluster has: alive, or ended and not yet acknowledged by its framework."""

    __slots__ = (
        "acknowledged",
        "claimant",
        "framework",
        "host",
        "kill_grace",
        "killed",
        "resources",
        "status",
        "uuids",
    )

    def __init__(self, framework: Framework, host: Host | None, resources: Resources, status: TaskStatus) -> None:
        self.framework = framework
        self.host = host  # None: it never reached one
        self.resources = resources
        self.claimant: Claimant | None = None  # who is charged for the resources; None: they are not held
        self.status = status  # the latest
        self.acknowledged = False  # the latest status has reached the framework
        self.uuids: tuple[bytes, ...] = ()  # statuses sent to the framework and not acknowledged, in order
        self.killed = False  # the framework asked to stop it
        self.kill_grace: Time | None = None

    @property
    def state(self) -> TaskState:
        """The state of the latest status."""
        return self.status.state


class Host(HostLedger):
    """A host: its books, and what the core knows besides."""

    __slots__ = ("address", "availability", "offers", "runtime", "software", "state", "tasks", "timer")

    def __init__(self, host_id: HostId, name: str, attributes: Mapping[str, str], total: Resources) -> None:
        super().__init__(host_id, name, attributes, total)
        self.address = ""
        self.runtime = ""
        self.software = ""
        self.state = HostState.RECOVERING
        self.availability = Availability.ACTIVE
        self.tasks: dict[TaskKey, Task] = {}
        self.offers: dict[OfferId, OutstandingOffer] = {}
        self.timer: Timer | None = None

    @property
    def draining(self) -> bool:
        """Whether it is to be emptied."""
        return self.availability is Availability.DRAINING

    @property
    def may_be_offered(self) -> bool:
        """Whether it is here and an operator lets it be used."""
        return self.state is HostState.ACTIVE and self.availability is Availability.ACTIVE


class Framework:
    """A framework under its name, connected or awaited."""

    __slots__ = (
        "claimants",
        "connected",
        "failover_timeout",
        "id",
        "offers",
        "retired",
        "suppressed",
        "tasks",
        "timer",
    )

    def __init__(self, framework_id: FrameworkId) -> None:
        self.id = framework_id
        self.connected = False
        self.retired = False  # was away longer than its time-out: its tasks are stopped
        self.failover_timeout: Time = UNKNOWN_FAILOVER_TIMEOUT
        self.claimants: dict[Role, Claimant] = {}
        self.suppressed: dict[Role, None] = {}
        self.tasks: dict[TaskId, Task] = {}
        self.offers: dict[OfferId, OutstandingOffer] = {}
        self.timer: Timer | None = None

    @property
    def used(self) -> Resources:
        """All that its tasks and offers hold."""
        total = NOTHING
        for claimant in self.claimants.values():
            total = total + claimant.used
        return total


class OutstandingOffer:
    """An offer out: the grant behind it, since when and until when."""

    __slots__ = ("framework", "grant", "host", "id", "since", "until")

    def __init__(
        self, offer_id: OfferId, framework: Framework, host: Host, grant: Grant, since: Time, until: Time
    ) -> None:
        self.id = offer_id
        self.framework = framework
        self.host = host
        self.grant = grant
        self.since = since
        self.until = until


class State:
    """Everything the core knows, and the outputs of the event being handled."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.term = 0
        self.now: Time = 0
        self.allocator = Allocator(settings.min_offer)
        self.timers = Timers()
        self.hosts: dict[HostId, Host] = {}
        self.frameworks: dict[FrameworkId, Framework] = {}
        self.offers: dict[OfferId, OutstandingOffer] = {}
        self.offer_timer: Timer | None = None
        self.hold_timer: Timer | None = None
        self.unacknowledged: dict[bytes, Task] = {}  # status uuid → its task
        self.recovering: dict[HostId, None] = {}  # hosts still waited for; no offers until none is
        self.early_kills: dict[TaskKey, Time | None] = {}
        """Kills, with their grace, of tasks that a host still waited for may bring along."""
        self.outputs: list[Output] = []
        self._sequence = 0

    def next_id(self) -> int:
        """The next number of this term, for offers and for statuses made here."""
        self._sequence += 1
        return self.term << 32 | self._sequence

    def framework(self, framework_id: FrameworkId) -> Framework:
        """The record of a framework, opened on first sight (a host may know it before it registers)."""
        framework = self.frameworks.get(framework_id)
        if framework is None:
            framework = self.frameworks[framework_id] = Framework(framework_id)
        return framework
