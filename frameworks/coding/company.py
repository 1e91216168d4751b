"""Which other tasks are where, and so which hosts the rules of a task leave. Pure.

Every rule comes down to a `Limit`: the values of one attribute that are allowed, or that are not, as things stand.
Placing tests hosts with it, the demand states it to the master, and reasons name it; so all three say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from frameworks.coding.names import JobName, TaskName
from frameworks.coding.placement import Host, Limit, refusal
from frameworks.coding.plans import TaskPlan
from frameworks.coding.records import Run, Task
from frameworks.coding.rules import Rule
from frameworks.coding.state import State
from offerer import Constraint, HostId, Resources, TaskState

_NAMED = 4
"""So many values are named in a reason; of more, their number is."""
Wish = Callable[[Host], int]
"""How far a host is from what is preferred; 0 is best."""


class _Seat(NamedTuple):
    """One container, as rules see it."""

    task: TaskName
    host: str
    attributes: dict[str, str]
    stays: bool
    """Whether it is the task's own present one, not one on its way out."""

    def value(self, attribute: str) -> str | None:
        return self.host if attribute == "host" else self.attributes.get(attribute)


class Company:
    """Where all containers are. Made anew whenever places are given, and told of each place given."""

    def __init__(self, state: State, hosts: Collection[Host]) -> None:
        """`hosts` are all that are known; what is asked of them is their attributes."""
        self._state = state
        self._hosts = hosts
        self._seats: dict[JobName, list[_Seat]] = {}
        self._used: dict[HostId, list[int]] = {}
        self._on: dict[JobName, Counter[HostId]] = {}
        self._keep_off: dict[JobName, dict[JobName, set[str]]] = {}
        """By job: the jobs whose tasks are to be apart from it, and the hosts where these are."""
        self._lost: set[HostId] = set()
        self._taken: dict[tuple[JobName, str], dict[str, set[TaskName]]] = {}
        """By job and attribute: the tasks at each value."""
        self._values: dict[tuple[tuple[Constraint, ...], str], list[str]] = {}
        """By conditions and attribute: the values at hosts that these allow."""
        self._surveyed = False

    def _survey(self) -> None:
        """Look at every container once, when that is first needed."""
        if self._surveyed:
            return
        self._surveyed = True
        for task in self._state.tasks.values():
            for run in task.containers:
                plan = self._state.plan(task, run.revision)
                if run.state is TaskState.UNREACHABLE:
                    self._lost.add(run.host_id)
                if plan is not None:
                    self._count(run.host_id, plan.resources)
                    self._keep_others_off(task.name.of_job, plan, run.host)

    def used(self) -> dict[HostId, Resources]:
        """What our containers hold of cpus and memory on each host."""
        self._survey()
        return {host: Resources(cpus, memory) for host, (cpus, memory) in self._used.items()}

    def places(self, job: JobName) -> Counter[HostId]:
        """How many containers of a job are on each host."""
        found = self._on.get(job)
        if found is None:
            found = self._on[job] = Counter(
                run.host_id for task in self._state.jobs.get(job, {}).values() for run in task.containers
            )
        return found

    def take(self, task: Task, run: Run, plan: TaskPlan) -> None:
        """This task was given a place."""
        self._survey()
        job = task.name.of_job
        self._count(run.host_id, plan.resources)
        self._keep_others_off(job, plan, run.host)
        self.places(job)[run.host_id] += 1
        seat = _Seat(task.name, run.host, run.attributes, True)
        if job in self._seats:
            self._seats[job].append(seat)
        for (other, attribute), taken in self._taken.items():
            value = seat.value(attribute)
            if other == job and value is not None:
                taken.setdefault(value, set()).add(task.name)

    def _count(self, host: HostId, taken: Resources) -> None:
        used = self._used.setdefault(host, [0, 0])
        used[0] += taken.cpus
        used[1] += taken.memory

    def _keep_others_off(self, job: JobName, plan: TaskPlan, host: str) -> None:
        for rule in plan.rules:
            if rule.kind == "apart" and rule.job is not None:
                self._keep_off.setdefault(rule.job, {}).setdefault(job, set()).add(host)

    # -- rules -------------------------------------------------------------------------------------------------

    def limits(self, task: Task, plan: TaskPlan, in_hand: Iterable[Host] = ()) -> tuple[Limit, ...]:
        """What the rules come down to now for this task: its own, and those of others that want to be apart from it.

        `in_hand` are the hosts to choose among, for the first task of those that are to be in the ``same`` place.
        """
        if not plan.rules and not self._state.some_keep_apart:
            return ()
        self._survey()
        found = [self._limit(rule, task, plan, in_hand) for rule in plan.rules]
        for owner, hosts in sorted(self._keep_off.get(task.name.of_job, {}).items()):
            where = f" ({_and(hosts)})" if len(hosts) <= _NAMED else ""
            found.append(Limit(f"{owner}, apart {task.name.of_job}{where}", "host", None, frozenset(hosts)))
        return tuple(found)

    def _limit(self, rule: Rule, task: Task, plan: TaskPlan, in_hand: Iterable[Host]) -> Limit:
        if rule.job is not None:
            return self._beside(rule, rule.job)
        attribute = rule.attribute
        if rule.kind == "same":
            return self._same(rule, task, plan, in_hand)
        if rule.kind == "spread":
            fuller = self._fuller(attribute, task, plan)
            detail = f"{_and(fuller)} {'has' if len(fuller) == 1 else 'have'} more" if fuller else ""
            return _limit(rule, None, fuller, detail)
        taken = self._tasks_at(task.name.of_job, attribute)
        full = {value for value, tasks in taken.items() if len(tasks) - (task.name in tasks) >= rule.most}
        has = "one" if rule.most == 1 else str(rule.most)
        return _limit(rule, None, full, f"{_and(full)} {'has' if len(full) == 1 else 'have'} {has}" if full else "")

    def _tasks_at(self, job: JobName, attribute: str) -> dict[str, set[TaskName]]:
        found = self._taken.get((job, attribute))
        if found is None:
            found = self._taken[job, attribute] = {}
            for seat in self._of_job(job):
                value = seat.value(attribute)
                if value is not None:
                    found.setdefault(value, set()).add(seat.task)
        return found

    def _beside(self, rule: Rule, job: JobName) -> Limit:
        seats = self._of_job(job)
        if rule.kind == "apart":
            hosts = {seat.host for seat in seats}
            return _limit(rule, None, hosts, f"it is on {_and(hosts)}" if hosts else "")
        hosts = {seat.host for seat in seats if seat.stays}
        return _limit(rule, hosts, set(), f"it is on {_and(hosts)}" if hosts else "it is nowhere")

    def _same(self, rule: Rule, task: Task, plan: TaskPlan, in_hand: Iterable[Host]) -> Limit:
        """Where most of the others are, of those that go by the same rules; for the first where there is most room."""
        says = self._state.plan(task) or plan  # without what is added for one move
        there = Counter(
            value
            for seat in self._staying(task)
            if (value := seat.value(rule.attribute)) is not None and self._goes_by_the_same_rules(seat, says)
        )
        detail = "the others are there"
        if not there:
            detail = "there is most room"
            for host in in_hand:
                value = host.value(rule.attribute)
                if value is not None and refusal(plan, host) is None:
                    there[value] += _fitting(plan, host)
        if not there:
            return _limit(rule, None, set(), "")
        value = min(there, key=lambda each: (-there[each], each))
        return _limit(rule, {value}, set(), f"{value}: {detail}")

    def _goes_by_the_same_rules(self, seat: _Seat, plan: TaskPlan) -> bool:
        """Not so while an update moves tasks to other rules: what is still to move decides nothing."""
        other = self._state.tasks[seat.task]
        theirs = self._state.plan(other, other.run.revision) if other.run else None
        return theirs is not None and (theirs.constraints, theirs.rules) == (plan.constraints, plan.rules)

    def _fuller(self, attribute: str, task: Task, plan: TaskPlan) -> set[str]:
        """The values at which there are more of the job's tasks than at the one with fewest."""
        counts = self._spread(attribute, task, plan)
        fewest = min(counts.values(), default=0)
        return {value for value, count in counts.items() if count > fewest}

    def _spread(self, attribute: str, task: Task, plan: TaskPlan) -> dict[str, int]:
        """How many other tasks of the job are at each value that a host has which the conditions allow."""
        values = self._values.get((plan.constraints, attribute))
        if values is None:
            allowed = [
                host.value(attribute)
                for host in self._hosts
                if not host.absent and host.id not in self._lost and plan.allows(host.name, host.attributes)
            ]
            values = self._values[plan.constraints, attribute] = [value for value in allowed if value is not None]
        counts = dict.fromkeys(values, 0)
        for seat in self._staying(task):
            value = seat.value(attribute)
            if value in counts:
                counts[value] += 1
        return counts

    def _staying(self, task: Task) -> list[_Seat]:
        return [seat for seat in self._of_job(task.name.of_job) if seat.stays and seat.task != task.name]

    def _of_job(self, job: JobName) -> list[_Seat]:
        found = self._seats.get(job)
        if found is None:
            found = self._seats[job] = [
                _Seat(task.name, run.host, run.attributes, run is task.run)
                for task in self._state.jobs.get(job, {}).values()
                for run in task.containers
            ]
        return found

    # -- what is preferred -------------------------------------------------------------------------------------

    def wishes(self, task: Task, plan: TaskPlan, in_hand: Iterable[Host]) -> tuple[Wish, ...]:
        """What is preferred, the most important first."""
        if plan.prefer:
            self._survey()
        return tuple(self._wish(each, task, plan, in_hand) for each in plan.prefer)

    def _wish(self, wanted: Constraint | Rule, task: Task, plan: TaskPlan, in_hand: Iterable[Host]) -> Wish:
        if isinstance(wanted, Constraint):
            return lambda host: int(not wanted.matches(host.name, host.attributes))
        if wanted.kind == "spread":
            counts = self._spread(wanted.attribute, task, plan)
            fewest, most = min(counts.values(), default=0), max(counts.values(), default=0)
            return lambda host: counts.get(host.value(wanted.attribute) or "", most + 1) - fewest
        limit = self._limit(wanted, task, plan, in_hand)
        return lambda host: int(not limit.admits(host))


def _limit(rule: Rule, only: set[str] | None, but: set[str], detail: str) -> Limit:
    why = f"{rule} ({detail})" if detail else str(rule)
    return Limit(why, rule.attribute, None if only is None else frozenset(only), frozenset(but))


def _and(values: Iterable[str]) -> str:
    named = sorted(values)
    if len(named) > _NAMED:
        return f"{len(named)} of them"
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]])) if named else ""


def _fitting(plan: TaskPlan, host: Host) -> int:
    """How many tasks of this plan the host takes, by its cpus and memory."""
    if plan.resources.ports:
        return 1
    need, free = plan.resources, host.free
    return max(1, min(free.cpus // max(1, need.cpus), free.memory // max(1, need.memory)))
