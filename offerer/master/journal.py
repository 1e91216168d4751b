"""The newest events, for ``offerer events``: kept as they came, put into words only when somebody reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from offerer.core import events as e
from offerer.core import outputs as o
from offerer.ids import FrameworkId, HostId, TaskId
from offerer.types import TaskStatus, Time

KEEP = 10_000

Fields = dict[str, str]


class Entry(NamedTuple):
    """One event, in words."""

    id: int
    at: Time
    kind: str
    fields: Fields


class Journal:
    """A ring of the newest `keep` events, numbered from 1 on."""

    def __init__(self, keep: int = KEEP) -> None:
        self._keep = keep
        self._records: deque[tuple[int, int, Time, Any]] = deque()  # first id, how many, when, what
        self._next = 1
        self._changed = asyncio.Event()
        self._readers = 0

    def record(self, at: Time, happened: e.Event | o.Output) -> None:
        """Keep it if operators may want to see it."""
        size = _SIZES.get(type(happened))
        n = size(happened) if size is not None else 0
        if not n:
            return
        self._records.append((self._next, n, at, happened))
        self._next += n
        while self._records and self._next - self._records[0][0] - self._records[0][1] >= self._keep:
            self._records.popleft()
        if self._readers:
            self._changed.set()

    def after(self, event_id: int) -> Iterator[Entry]:
        """What is kept of the events later than this one, oldest first."""
        for first, n, at, happened in self._records:
            if first + n - 1 > event_id:
                for number, (kind, fields) in enumerate(_WORDS[type(happened)](happened), first):
                    if number > event_id:
                        yield Entry(number, at, kind, fields)

    def statuses(self) -> Iterator[tuple[FrameworkId, TaskStatus]]:
        """What is kept of all that frameworks were told of their tasks, oldest first."""
        for _, _, _, happened in self._records:
            if isinstance(happened, o.ForwardStatuses):
                for status in happened.statuses:
                    yield happened.framework_id, status

    def last_host_of(self, framework_id: FrameworkId, task_id: TaskId) -> HostId | None:
        """Where a task was launched, if that is still remembered."""
        for _, _, _, happened in reversed(self._records):
            if isinstance(happened, o.LaunchTasks) and happened.framework_id == framework_id:
                if any(task.task_id == task_id for task in happened.tasks):
                    return happened.host_id
        return None

    async def follow(self, event_id: int) -> AsyncIterator[list[Entry]]:
        """The same, and then whatever comes, for ever."""
        self._readers += 1
        try:
            while True:
                entries = list(self.after(event_id))
                if entries:
                    event_id = entries[-1].id
                    yield entries
                else:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            self._readers -= 1


def _status_fields(framework_id: str, status: TaskStatus) -> Fields:
    fields = {"framework": framework_id, "task": status.task_id, "state": status.state.name}
    if status.host_id:
        fields["host_id"] = status.host_id
    if status.reason:
        fields["reason"] = status.reason.name
    if status.message:
        fields["message"] = status.message
    if status.exit_code is not None:
        fields["exit_code"] = str(status.exit_code)
    return fields


_One = Iterator[tuple[str, Fields]]


def _offers(output: o.SendOffers) -> _One:
    for offer in output.offers:
        fields = {"framework": output.framework_id, "offer": str(offer.id), "host": offer.host}
        yield "offer_sent", {**fields, "resources": str(offer.resources)}


def _rescinded(output: o.RescindOffers) -> _One:
    for offer_id in output.offer_ids:
        yield "offer_rescinded", {"framework": output.framework_id, "offer": str(offer_id)}


def _declined(event: e.OffersDeclined) -> _One:
    for offer_id in event.offer_ids:
        yield "offer_declined", {"framework": event.framework_id, "offer": str(offer_id)}


def _launched(output: o.LaunchTasks) -> _One:
    for task in output.tasks:
        fields = {"framework": output.framework_id, "task": task.task_id, "host_id": output.host_id}
        yield "task_launched", {**fields, "resources": str(task.resources)}


def _statuses(output: o.ForwardStatuses) -> _One:
    for status in output.statuses:
        yield "task_status", _status_fields(output.framework_id, status)


def _kill(output: o.KillTask) -> _One:
    yield "task_kill", {"framework": output.framework_id, "task": output.task_id, "host_id": output.host_id}


def _host(event: e.HostRegistered) -> _One:
    fields = {"host": event.name, "host_id": event.host_id, "tasks": str(len(event.tasks))}
    yield "host_registered", {**fields, "resources": str(event.total)}


def _availability(event: e.HostAvailabilitySet) -> _One:
    yield "host_availability_set", {"host_id": event.host_id, "availability": event.availability.value}


def _role(event: e.RoleConfigured) -> _One:
    yield "role_configured", {"role": event.role}


def _simple(kind: str, **names: str) -> Callable[[Any], _One]:
    def words(happened: Any) -> _One:
        yield kind, {name: str(getattr(happened, attribute)) for name, attribute in names.items()}

    return words


def _announced(output: o.Announce) -> _One:
    yield output.kind, output.fields


def _one(_: Any) -> int:
    return 1


_SIZES: dict[type, Callable[[Any], int]] = {
    o.SendOffers: lambda output: len(output.offers),
    o.RescindOffers: lambda output: len(output.offer_ids),
    o.LaunchTasks: lambda output: len(output.tasks),
    o.ForwardStatuses: lambda output: len(output.statuses),
    o.KillTask: _one,
    o.Announce: _one,
    e.OffersDeclined: lambda event: len(event.offer_ids),
    e.HostRegistered: _one,
    e.HostDisconnected: _one,
    e.HostRemoved: _one,
    e.HostAvailabilitySet: _one,
    e.KillOrdered: _one,
    e.FrameworkRegistered: _one,
    e.FrameworkDisconnected: _one,
    e.RoleConfigured: _one,
}
_WORDS: dict[type, Callable[[Any], _One]] = {
    o.SendOffers: _offers,
    o.RescindOffers: _rescinded,
    o.LaunchTasks: _launched,
    o.ForwardStatuses: _statuses,
    o.KillTask: _kill,
    o.Announce: _announced,
    e.OffersDeclined: _declined,
    e.HostRegistered: _host,
    e.HostDisconnected: _simple("host_disconnected", host_id="host_id"),
    e.HostRemoved: _simple("host_removed", host_id="host_id"),
    e.HostAvailabilitySet: _availability,
    e.KillOrdered: _simple("kill_ordered", framework="framework_id", task="task_id"),
    e.FrameworkRegistered: _simple("framework_registered", framework="framework_id"),
    e.FrameworkDisconnected: _simple("framework_disconnected", framework="framework_id"),
    e.RoleConfigured: _role,
}
