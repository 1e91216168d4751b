"""What the core wants done. Imperative; carried out in order by whoever runs the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offerer.ids import FrameworkId, HostId, OfferId, Role, TaskId
from offerer.types import Availability, Offer, TaskInfo, TaskStatus, Time


@dataclass(slots=True)
class ConfirmHost:
    """Tell an executor that it is registered."""

    host_id: HostId


@dataclass(slots=True)
class LaunchTasks:
    """Tell an executor to run tasks."""

    host_id: HostId
    framework_id: FrameworkId
    tasks: Sequence[TaskInfo]


@dataclass(slots=True)
class KillTask:
    """Tell an executor to stop a task."""

    host_id: HostId
    framework_id: FrameworkId
    task_id: TaskId
    grace: Time | None


@dataclass(slots=True)
class AcknowledgeStatuses:
    """Tell an executor that these statuses reached their framework (or concern nobody any more)."""

    host_id: HostId
    uuids: list[bytes]


@dataclass(slots=True)
class ConfirmFramework:
    """Tell a framework that it is registered, and of every task the cluster has of it."""

    framework_id: FrameworkId
    tasks: Sequence[TaskStatus]


@dataclass(slots=True)
class ForwardStatuses:
    """Tell a framework what became of tasks."""

    framework_id: FrameworkId
    statuses: list[TaskStatus]


@dataclass(slots=True)
class SendOffers:
    """Make offers to a framework."""

    framework_id: FrameworkId
    offers: list[Offer]


@dataclass(slots=True)
class RescindOffers:
    """Take offers back from a framework."""

    framework_id: FrameworkId
    offer_ids: list[OfferId]


@dataclass(slots=True)
class PersistHost:
    """Remember a host, so that a new master waits for it and knows whether it may be used."""

    host_id: HostId
    name: str
    availability: Availability


@dataclass(slots=True)
class ForgetHost:
    """Remember a host no more."""

    host_id: HostId


@dataclass(slots=True)
class PersistRole:
    """Remember a role's weight and quota."""

    role: Role
    weight: int
    guarantee: Mapping[str, int]
    limit: Mapping[str, int]


@dataclass(slots=True)
class Announce:
    """Tell operators about something that no other output shows: a host lost, a recovery ended."""

    kind: str
    fields: dict[str, str]


Output = (
    ConfirmHost
    | LaunchTasks
    | KillTask
    | AcknowledgeStatuses
    | ConfirmFramework
    | ForwardStatuses
    | SendOffers
    | RescindOffers
    | PersistHost
    | ForgetHost
    | PersistRole
    | Announce
)
