"""What can happen to the cluster. Past tense; nouns of the glossary; everything the core ever learns comes this way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offerer.framework import Demand
from offerer.ids import FrameworkId, HostId, OfferId, Role, TaskId
from offerer.resources import Resources
from offerer.types import Availability, TaskInfo, TaskStatus, Time


@dataclass(slots=True)
class KnownHost:
    """A host as the store remembers it."""

    host_id: HostId
    name: str
    availability: Availability = Availability.ACTIVE


@dataclass(slots=True)
class ClusterStarted:
    """A master took the lead with this term. The hosts known from before are waited for before anything is offered."""

    term: int
    hosts: Sequence[KnownHost] = ()


@dataclass(slots=True)
class HeldTask:
    """A task an executor has when it registers."""

    framework_id: FrameworkId
    resources: Resources
    status: TaskStatus


@dataclass(slots=True)
class HostRegistered:
    """An executor connected (again), with everything it has."""

    host_id: HostId
    name: str
    address: str
    attributes: Mapping[str, str]
    total: Resources
    tasks: Sequence[HeldTask] = ()
    runtime: str = ""
    software: str = ""


@dataclass(slots=True)
class HostDisconnected:
    """The connection to an executor broke, after it had been silent for so long; it may come back."""

    host_id: HostId
    silent_for: Time = 0


@dataclass(slots=True)
class HostRemoved:
    """An operator says that the host is gone for good."""

    host_id: HostId


@dataclass(slots=True)
class HostAvailabilitySet:
    """An operator says whether a host may be used, or is to be emptied."""

    host_id: HostId
    availability: Availability


@dataclass(slots=True)
class TaskStatusesReported:
    """An executor reports statuses, in order."""

    host_id: HostId
    statuses: Sequence[tuple[FrameworkId, TaskStatus]]


@dataclass(slots=True)
class FrameworkRegistered:
    """A framework connected (again). `believed` are tasks it takes to be alive, each with its host."""

    framework_id: FrameworkId
    roles: tuple[Role, ...]
    failover_timeout: Time
    believed: Mapping[TaskId, HostId]


@dataclass(slots=True)
class FrameworkDisconnected:
    """The connection to a framework broke; it may come back."""

    framework_id: FrameworkId


@dataclass(slots=True)
class OffersAccepted:
    """A framework launches tasks on offers of one host."""

    framework_id: FrameworkId
    offer_ids: Sequence[OfferId]
    tasks: Sequence[TaskInfo]
    refuse_for: Time = 0


@dataclass(slots=True)
class OffersDeclined:
    """A framework does not want these offers."""

    framework_id: FrameworkId
    offer_ids: Sequence[OfferId]
    refuse_for: Time


@dataclass(slots=True)
class KillRequested:
    """A framework wants a task stopped."""

    framework_id: FrameworkId
    task_id: TaskId
    grace: Time | None = None


@dataclass(slots=True)
class KillOrdered:
    """An operator wants a task stopped, whoever's it is."""

    framework_id: FrameworkId
    task_id: TaskId
    grace: Time | None = None


@dataclass(slots=True)
class StatusesAcknowledged:
    """A framework has handled these statuses."""

    framework_id: FrameworkId
    uuids: Sequence[bytes]


@dataclass(slots=True)
class DemandStated:
    """A framework says what it waits for (under all its roles, or under one)."""

    framework_id: FrameworkId
    demand: Demand
    role: Role | None = None


@dataclass(slots=True)
class OffersSuppressed:
    """A framework wants no offers (under all its roles, or under one)."""

    framework_id: FrameworkId
    role: Role | None = None


@dataclass(slots=True)
class OffersRevived:
    """A framework wants offers again, and forgets what it refused."""

    framework_id: FrameworkId
    role: Role | None = None


@dataclass(slots=True)
class RoleConfigured:
    """An operator set a role's weight (thousandths), guarantee or limit; None keeps what was."""

    role: Role
    weight: int | None = None
    guarantee: Mapping[str, int] | None = None
    limit: Mapping[str, int] | None = None


@dataclass(slots=True)
class TimePassed:
    """Nothing but time: due timers fire, and what became free is shared out."""


Event = (
    ClusterStarted
    | HostRegistered
    | HostDisconnected
    | HostRemoved
    | HostAvailabilitySet
    | TaskStatusesReported
    | FrameworkRegistered
    | FrameworkDisconnected
    | OffersAccepted
    | OffersDeclined
    | KillRequested
    | KillOrdered
    | StatusesAcknowledged
    | DemandStated
    | OffersSuppressed
    | OffersRevived
    | RoleConfigured
    | TimePassed
)
