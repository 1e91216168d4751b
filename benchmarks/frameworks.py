"""The frameworks that the placement benchmark measures with."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence

from offerer import (
    FOREVER,
    ContainerSpec,
    Decision,
    Decisions,
    Decline,
    Demand,
    Framework,
    HostId,
    Launch,
    Offer,
    Resources,
    Revive,
    Suppress,
    TaskId,
    TaskInfo,
    TaskState,
    TaskStatus,
    Time,
    Wake,
    Want,
)

NEEDS = Resources.of(cpus=0.1, memory="32MiB")
_SPEC = ContainerSpec(image="none").to_bytes()
_TICK: Time = 10_000


class Placing(Framework):
    """Launches so many tasks, `batch` at most on each offer, and notes when.

    `window` bounds what is launched and not yet RUNNING; with a `rate` (tasks a second) the clock says when to launch.
    Unless it is `alone` it states what it wants, so that others get offers too.
    """

    def __init__(
        self, tasks: int, batch: int, window: int, rate: int, *, name: str = "placing", alone: bool = True
    ) -> None:
        self.name = name
        self.alone = alone
        self.tasks = self.left = self.waiting = tasks
        self.batch = batch
        self.window = window or tasks
        self.rate = rate
        self.in_hand: deque[Offer] = deque()
        self.launched_at: dict[TaskId, float] = {}
        self.launch_seconds: list[float] = []
        self.offer_seconds: list[float] = []
        self.running: list[tuple[float, float]] = []
        """How many tasks were RUNNING, and how many seconds after the first offer."""
        self.freed_at: dict[HostId, float] = {}
        self.first = self.last = 0.0
        self.failed = ""  # why it was given up
        self.done = asyncio.Event()

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        """Say what is wanted."""
        return self._demand()

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        """Take them in hand, and launch as far as the window lets."""
        clock = time.perf_counter()
        self.first = self.first or clock
        for offer in offers:
            freed = self.freed_at.pop(offer.host_id, None)
            if freed is not None:
                self.offer_seconds.append(clock - freed)
        self.in_hand.extend(offers)
        return self._launch(now)

    def on_tick(self, now: Time) -> Decisions:
        """More is due."""
        return self._launch(now)

    def _due(self) -> int:
        """How many more may be launched by now."""
        if not self.rate:
            return self.left
        launched = self.tasks - self.left
        return max(0, int((time.perf_counter() - self.first) * self.rate) - launched)

    def _demand(self) -> Iterator[Decision]:
        if not self.alone:
            yield Demand((Want(NEEDS, self.left),))

    def _launch(self, now: Time) -> Iterator[Decision]:
        before = self.left
        while self.in_hand and self.left and len(self.launched_at) < self.window:
            n = min(self.batch, self.left, self._due())
            if not n:
                break
            offer = self.in_hand.popleft()
            n = min(n, _fit(offer.resources))
            if not n:
                yield Decline([offer.id])
                continue
            tasks = [TaskInfo(TaskId(f"task-{self.left - i}"), NEEDS, _SPEC) for i in range(n)]
            self.left -= n
            sent = time.perf_counter()
            self.freed_at[offer.host_id] = sent
            self.launched_at.update((task.task_id, sent) for task in tasks)
            yield Launch([offer.id], tasks)
        if self.left != before:
            yield from self._demand()
        if self.rate and self.left:
            yield Wake(now + _TICK)
        if not self.left:
            yield Suppress()
            yield Decline([offer.id for offer in self.in_hand])
            self.in_hand.clear()

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        """Count what runs, and launch more."""
        clock = time.perf_counter()
        for status in statuses:
            if status.state is TaskState.RUNNING:
                self.launch_seconds.append(clock - self.launched_at.pop(status.task_id))
                self.waiting -= 1
            elif status.state.terminal:
                self.failed = f"task {status.task_id}: {status.state.name}: {status.message}"
                self.done.set()
        self.running.append((clock - self.first, self.tasks - self.waiting))
        if not self.waiting:
            self.last = clock
            self.done.set()
        return self._launch(now) if self.left else None


def _fit(resources: Resources) -> int:
    return min(resources.cpus // NEEDS.cpus, resources.memory // NEEDS.memory)


class Reviving(Framework):
    """Revives `times` times, each time until an offer of every host has come, and notes how long that took."""

    name = "reviving"

    def __init__(self, hosts: int, times: int) -> None:
        self.hosts = hosts
        self.times = times
        self.missing = 0
        self.revived_at = 0.0
        self.seconds: list[float] = []
        self.done = asyncio.Event()

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        """Begin."""
        return [Suppress(), Wake(now + 20 * _TICK)]

    def on_tick(self, now: Time) -> Decisions:
        """Everything has settled: ask."""
        self.missing = self.hosts
        self.revived_at = time.perf_counter()
        return [Revive()]

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Iterator[Decision]:
        """Count, and give back for good."""
        yield Decline([offer.id for offer in offers], FOREVER)
        if not self.missing:
            return
        self.missing -= len(offers)
        if not self.missing:
            self.seconds.append(time.perf_counter() - self.revived_at)
            if len(self.seconds) == self.times:
                self.done.set()
            yield Suppress()
            yield Wake(now + 20 * _TICK)
