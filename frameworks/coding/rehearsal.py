"""What an order would come to: it is given to a copy of everything known, in which every container does well at once.

Pure. The decisions are the planner's own; only the cluster is imagined, from what offers have told of its hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from frameworks.coding.names import TaskName, parse_task_id
from frameworks.coding.obstacles import reason
from frameworks.coding.orders import Answer
from frameworks.coding.placement import Host
from frameworks.coding.planner import Planner
from frameworks.coding.plans import host_ports
from frameworks.coding.records import Run, Task
from frameworks.coding.rollout import CANARIES, promote
from frameworks.coding.state import State
from offerer import (
    DEFAULT_ROLE,
    SECOND,
    Decision,
    HostId,
    Kill,
    Launch,
    Offer,
    OfferId,
    Resources,
    TaskId,
    TaskState,
    TaskStatus,
    Time,
    Wake,
)

T = TypeVar("T")

PATIENCE: Final = 3600 * SECOND
"""Imagined time without anything happening, beyond the deadlines of updates, after which nothing more will."""
_TURNS: Final = 100_000


class Step(NamedTuple):
    """What one task would do."""

    task: TaskName
    action: str
    """``start``, ``stop``, ``replace`` (a new container on the same host), ``move`` (on another one) or ``wait``."""
    host: str = ""
    """Where it ends up, or is stopped."""
    from_host: str = ""
    revision: int | None = None
    from_revision: int | None = None
    reason: str = ""
    """Why it waits."""


class Rehearsal(NamedTuple):
    """What came of it."""

    steps: list[Step]
    """In the order in which they would happen; those that wait last."""
    unchanged: int
    """The tasks whose containers stay as they are."""
    notes: list[str]


Turns = Generator[None, None, T]


def rehearse(
    state: State,
    hosts: Collection[Host],
    order: Callable[[State], Answer],
    now: Time,
    *,
    places: Mapping[TaskName, str],
) -> Turns[Rehearsal]:
    """Give this order to a copy of the state. `places` are hosts to prefer, by name. Raises as the order does.

    A generator, since many tasks one after another take seconds: let others have their turn wherever it yields.
    """
    stage = _Stage(state.copy(), hosts, now)
    yield
    return (yield from stage.play(order, places))


class _Stage:
    """The imagined cluster."""

    def __init__(self, state: State, hosts: Collection[Host], now: Time) -> None:
        self._state = state
        self._now = now
        self._hosts = {host.id: replace(host, offers=[], placed=[]) for host in hosts}
        self._planner = Planner(state, [replace(host, offers=[], placed=[]) for host in hosts])
        self._holds = {
            run.id: (run.host_id, self._takes(task, run))
            for task in state.tasks.values()
            for run in task.containers
            if run.launched
        }
        self._news: list[TaskStatus] = []
        self._wakes: set[Time] = set()
        self._offers = 0
        self._order_of: dict[TaskName, None] = {}
        self._notes: list[str] = []

    def play(self, order: Callable[[State], Answer], places: Mapping[TaskName, str]) -> Turns[Rehearsal]:
        """Everything, from the order to the end."""
        before = {name: list(task.containers) for name, task in self._state.tasks.items()}
        before_revision = {run.id: run.revision for runs in before.values() for run in runs}
        self._calm()
        answer = order(self._state)
        for name in answer.changed:
            self._state.task(name).planned = places.get(name, "")
        yield from self._run(answer.changed)
        tasks = [self._state.task(name) for name in dict.fromkeys([*self._order_of, *answer.changed])]
        changed = {*answer.changed, *(task.name for task in tasks if task.host)}
        steps = [
            step
            for task in tasks
            if task.name in changed and (step := self._step(task, before.get(task.name, []), before_revision))
        ]
        steps.sort(key=lambda step: step.action == "wait")
        touched = {step.task for step in steps}
        unchanged = len([name for name in answer.unchanged if name not in touched]) + len(changed - touched)
        return Rehearsal(steps, unchanged, [*answer.notes, *self._notes])

    def _calm(self) -> None:
        """Whoever was asked to stop has done so, since that is on its way whatever comes."""
        for task in list(self._state.tasks.values()):
            for run in list(task.containers):
                if run.launched and run.kill_sent:
                    self._end(run.id, TaskState.KILLED)

    def _run(self, changed: Sequence[TaskName]) -> Turns[None]:
        services = {name.service for name in changed}
        tasks = [self._state.task(name) for name in changed]
        deadlines = [self._state.strategy(name.of_job).deadline for name in changed]
        until = self._now + PATIENCE + max(deadlines, default=0)
        fresh = True  # whether something changed since every host was offered
        self._obey(self._planner.ticked(self._now))
        for _ in range(_TURNS):
            yield
            if self._save() or self._deliver():
                fresh = True
            elif fresh:
                fresh = False
                self._offer()
            elif self._paused(services) or self._done(services, tasks):
                break
            else:
                self._wakes = {at for at in self._wakes if at > self._now}
                if not self._wakes or min(self._wakes) > until:
                    break
                self._now = min(self._wakes)
                self._obey(self._planner.ticked(self._now))
                fresh = True

    def _done(self, services: Iterable[str], tasks: Sequence[Task]) -> bool:
        return all(task.settled for task in tasks) and not any(each in self._state.updates for each in services)

    def _paused(self, services: Iterable[str]) -> bool:
        """Whether an update stands still. Canaries are taken for good, since all of it is to be seen."""
        for service in services:
            update = self._state.updates.get(service)
            if update is None or not (update.paused or update.back):
                continue
            self._notes.append(f"the update of {service} {'goes back' if update.back else 'stops'}: "
                               f"{update.why if update.back else update.paused}")  # fmt: skip
            if not update.paused.startswith(CANARIES):
                return True
            promote(self._state, service, self._now)
            self._obey(self._planner.ticked(self._now))
        return False

    # -- the imagined cluster --

    def _obey(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Launch):
                for info in decision.tasks:
                    self._start(decision.offers, info.task_id, info.resources)
            elif isinstance(decision, Kill):
                self._end(decision.task_id, TaskState.KILLED)
            elif isinstance(decision, Wake):
                self._wakes.add(decision.at)

    def _start(self, offers: Sequence[OfferId], task_id: TaskId, resources: Resources) -> None:
        run = self._run_of(task_id)
        if run is None:
            return
        task, found = run
        self._order_of.setdefault(task.name)
        self._holds[task_id] = found.host_id, resources
        self._hosts[found.host_id].free -= resources
        healthy = True if found.probed else None
        self._news.append(TaskStatus(task_id, TaskState.RUNNING, found.host_id, healthy=healthy, at=self._now))
        job = self._state.job(task.name.of_job, found.revision)
        if job is not None and not job.restart.always:  # done at once, or whoever waits for that would never start
            self._end(task_id, TaskState.FINISHED)

    def _end(self, task_id: TaskId, state: TaskState) -> None:
        found = self._run_of(task_id)
        if found is not None and found[1].state is TaskState.UNREACHABLE:
            return  # it will not be before its host is back
        if found is not None:
            self._order_of.setdefault(found[0].name)
        host_id, resources = self._holds.pop(task_id, (HostId(""), Resources()))
        host = self._hosts.get(host_id)
        if host is not None:
            host.free += resources
        self._news.append(TaskStatus(task_id, state, host_id, exit_code=0, at=self._now))

    def _save(self) -> bool:
        journal = self._state.journal
        if journal.empty:
            return False
        journal.drop()
        self._obey(self._planner.ticked(self._now))
        return True

    def _deliver(self) -> bool:
        news, self._news = self._news, []
        if news:
            self._obey(self._planner.statuses(self._now, news))
        return bool(news)

    def _offer(self) -> None:
        offers = []
        for host in self._hosts.values():
            if not host.free.empty:
                self._offers += 1
                number = OfferId(self._offers)
                offers.append(Offer(number, host.id, host.name, DEFAULT_ROLE, host.free, host.attributes, host.address))
        if offers:
            self._obey(self._planner.offered(self._now, offers))

    # -- what came of it --

    def _step(self, task: Task, before: Sequence[Run], revisions: Mapping[TaskId, int]) -> Step | None:
        was = next((run for run in before if run.launched), None)
        run = task.run if task.run is not None and task.run.launched else None
        if run is None and task.wanted is not None and task.wanted == task.finished:
            last = task.last
            return Step(task.name, "start", last.host if last else "", revision=task.wanted)
        if run is None:
            if task.wanted is None:
                return Step(task.name, "stop", was.host, from_revision=revisions[was.id]) if was else None
            why = reason(self._state, task, self._now)
            if was is None:
                return Step(task.name, "wait", revision=task.wanted, reason=why)
            stopped = f"is stopped on {was.host}, then {why}"
            return Step(task.name, "wait", "", was.host, task.wanted, revisions[was.id], stopped)
        if was is None:
            return Step(task.name, "start", run.host, revision=run.revision)
        if run.id == was.id:
            if task.settled or run.revision == task.wanted:
                return None
            return Step(task.name, "wait", run.host, run.host, task.wanted, run.revision,
                        reason(self._state, task, self._now))  # fmt: skip
        action = "replace" if run.host_id == was.host_id else "move"
        return Step(task.name, action, run.host, was.host, run.revision, revisions[was.id])

    def _takes(self, task: Task, run: Run) -> Resources:
        plan = self._state.plan(task, run.revision)
        return (plan.resources if plan else Resources()) + host_ports(run.ports)

    def _run_of(self, task_id: TaskId) -> tuple[Task, Run] | None:
        parsed = parse_task_id(task_id)
        task = self._state.tasks.get(parsed[0]) if parsed else None
        run = task.container(task_id) if task else None
        return (task, run) if task and run else None
