"""A batch framework for simulations: tasks that arrive by a list, run for their time and end. An ordinary plug-in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from offerer.containers import ContainerSpec
from offerer.framework import Decision, Decline, Demand, Framework, Launch, Wake, Want
from offerer.ids import Role, TaskId
from offerer.resources import Resources
from offerer.task_states import TaskState
from offerer.types import SECOND, Offer, Reason, TaskInfo, TaskStatus, Time

_MOST_WANTS: Final = 64  # kinds of tasks stated in one demand, the longest waiting first


class Arrival(NamedTuple):
    """So many equal tasks, wanted from a time on; `run_for` is in microseconds, None runs for ever."""

    at: Time
    tasks: int
    resources: Resources
    run_for: Time | None


class _Waiting:
    """What waits of one arrival."""

    __slots__ = ("arrival", "left", "since")

    def __init__(self, arrival: Arrival, left: int, since: Time) -> None:
        self.arrival = arrival
        self.left = left
        self.since = since


class Batch(Framework):
    """Launches what arrived, first come first served for each size of task, and again what failed or got lost.

    What was refused is not launched again: another try gives the same answer.
    """

    def __init__(self, name: str, role: str, arrivals: Iterable[Arrival]) -> None:
        self.name = name
        self.role = Role(role)
        self.waits: Counter[Time] = Counter()
        """How many tasks waited for how long from their arrival to their launch, to the millisecond."""
        self.finished = 0
        self.retried = 0
        self.refused = 0
        self._to_come = deque(sorted(arrivals, key=_order))
        self._waiting: dict[Resources, deque[_Waiting]] = {}
        self._running: dict[TaskId, Arrival] = {}
        self._numbers = 0
        self._stated: Demand | None = None

    @property
    def waiting(self) -> int:
        """Tasks that arrived and are not launched."""
        return sum(tasks for _, tasks in self.wanted())

    def wanted(self) -> Iterator[tuple[Resources, int]]:
        """What waits, by size."""
        for resources, group in self._waiting.items():
            yield resources, sum(each.left for each in group)

    @property
    def done(self) -> bool:
        """Whether everything came, ran and finished."""
        return not (self._to_come or self._waiting or self._running)

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Iterator[Decision]:
        """State everything anew."""
        self._stated = None
        self._take_back(now, tasks)
        yield from self.on_tick(now)

    def on_tick(self, now: Time) -> Iterator[Decision]:
        """Take in what arrives."""
        while self._to_come and self._to_come[0].at <= now:
            arrival = self._to_come.popleft()
            self._enqueue(_Waiting(arrival, arrival.tasks, arrival.at))
        if self._to_come:
            yield Wake(self._to_come[0].at)
        yield from self._state()

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Iterator[Decision]:
        """Fill each offer, and decline what nothing fits."""
        for offer in offers:
            tasks = list(self._fill(now, offer.resources))
            yield Launch([offer.id], tasks) if tasks else Decline([offer.id])
        yield from self._state()

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Iterator[Decision]:
        """What finished is done; what ended otherwise waits again."""
        self._take_back(now, statuses)
        yield from self._state()

    def _take_back(self, now: Time, statuses: Iterable[TaskStatus]) -> None:
        for status in statuses:
            if not status.state.terminal:
                continue
            arrival = self._running.pop(status.task_id, None)
            if arrival is None:
                continue
            if status.state is TaskState.FINISHED:
                self.finished += 1
            elif status.state is TaskState.ERROR or status.reason is Reason.INVALID_TASK:
                self.refused += 1
            else:
                self.retried += 1
                self._enqueue(_Waiting(arrival, 1, now))

    def _enqueue(self, waiting: _Waiting) -> None:
        self._waiting.setdefault(waiting.arrival.resources, deque()).append(waiting)

    def _fill(self, now: Time, free: Resources) -> Iterator[TaskInfo]:
        for resources, group in list(self._waiting.items()):
            while group and free.contains(resources):
                first = group[0]
                free = free - resources
                self._numbers += 1
                task_id = TaskId(f"{self.name}.{self._numbers}")
                self._running[task_id] = first.arrival
                self.waits[(now - first.since) // 1000] += 1
                first.left -= 1
                if not first.left:
                    group.popleft()
                yield TaskInfo(task_id, resources, _spec(first.arrival.run_for))
            if not group:
                del self._waiting[resources]

    def _state(self) -> Iterator[Demand]:
        demand = Demand(tuple(Want(*each) for each in islice(self.wanted(), _MOST_WANTS)))
        if demand != self._stated:
            self._stated = demand
            yield demand


def _order(arrival: Arrival) -> tuple[object, ...]:
    """Equal times in an order of their own, not that of the input."""
    size = arrival.resources
    amounts = (size.cpus, size.memory, size.disk, size.gpus, size.counts, size.ports)
    return arrival.at, arrival.tasks, amounts, -1 if arrival.run_for is None else arrival.run_for


@lru_cache(maxsize=100_000)
def _spec(run_for: Time | None) -> bytes:
    labels = {} if run_for is None else {"fake.run_for": f"{run_for / SECOND:g}"}
    return ContainerSpec(labels=labels).to_bytes()


def quantile_ms(waits: Counter[Time], q: float) -> int:
    """The wait in milliseconds that this part of all tasks did not exceed."""
    left = q * sum(waits.values())
    for wait in sorted(waits):
        left -= waits[wait]
        if left <= 0:
            return wait
    return 0
