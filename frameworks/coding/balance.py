"""What hosts that joined later could take: moves that leave the tasks of a job spread more evenly and hosts more level.

Pure. A move is proposed only where it makes a clear difference, so that the next look proposes nothing: for a spread,
two tasks of a job more at one place than at another; for the level, a host that stays clearly fuller than the other
even after the move. No spread is given up for the level. Nothing moves that its rules or its data tie to where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple

from frameworks.coding.company import Company
from frameworks.coding.moves import draining_hosts
from frameworks.coding.names import JobName, TaskName, natural
from frameworks.coding.placement import Host, refusal
from frameworks.coding.plans import TaskPlan
from frameworks.coding.records import REBALANCE, Run, Task
from frameworks.coding.rehearsal import Turns
from frameworks.coding.rules import Rule
from frameworks.coding.state import State
from offerer import HostId, Resources

MARGIN: Final = 100_000
"""Millionths of a host: so much fuller than the other must a host be still when a task has moved between them."""
_WHOLE: Final = 1_000_000
_NOTHING: Final = Resources()
_Entry = tuple[Task, Run, TaskPlan]


class Move(NamedTuple):
    """A task that another host should have."""

    task: TaskName
    from_host: str
    to_host: str
    why: str


def propose(
    state: State, hosts: Iterable[Host], offered: Collection[HostId], among: Collection[TaskName]
) -> Turns[list[Move]]:
    """Moves of these tasks that would improve things, in the order in which they are best carried out.

    `offered` are those of the hosts that may be given something: not one that is cordoned.

    A generator, since a thousand moves take seconds: let others have their turn wherever it yields.
    """
    board = _Board(state.copy(), hosts, offered, among)
    found: list[Move] = []
    before = -1
    while len(found) > before:
        before = len(found)
        for move in chain(board.spread(), board.level()):
            found.append(move)
            yield
    return _shortened(found)


def set_going(state: State, moves: Iterable[Move]) -> None:
    """Have these tasks moved, each as soon as its job's strategy lets it and there is a place on that host."""
    for move in moves:
        task = state.tasks.get(move.task)
        if task is not None and task.run is not None and task.settled and task.run.host == move.from_host:
            task.run.moving, task.planned = REBALANCE, move.to_host
            state.changed(task)


def _shortened(moves: Sequence[Move]) -> list[Move]:
    """The same with one move for each task; none where it ends where it began."""
    by_task: dict[TaskName, Move] = {}
    for move in moves:
        first = by_task.pop(move.task, move)
        by_task[move.task] = move._replace(from_host=first.from_host)
    return [move for move in by_task.values() if move.from_host != move.to_host]


class _Board:
    """A copy of everything known, on which moves are tried."""

    def __init__(
        self, state: State, hosts: Iterable[Host], offered: Collection[HostId], among: Collection[TaskName]
    ) -> None:
        drained = draining_hosts(state)
        there = [host for host in hosts if not host.absent and host.name not in drained]
        self._state = state
        there.sort(key=lambda host: host.name)
        self._hosts = {host.id: replace(host, offers=[], placed=[]) for host in there}
        self._offered = offered
        self._rules = state.some_keep_apart or any(
            plan.rules or plan.prefer for task in state.tasks.values() if (plan := state.plan(task))
        )
        self._company = self._look_around()
        self._used = self._company.used()
        self._movable: dict[JobName, list[_Entry]] = {}
        for name in sorted(among, key=natural):
            task = state.tasks[name]
            plan = state.plan(task)
            if plan is not None and task.run is not None and _may_move(state, task, task.run, plan, self._hosts):
                self._movable.setdefault(name.of_job, []).append((task, task.run, plan))

    def _look_around(self) -> Company:
        return Company(self._state, list(self._hosts.values()))

    # -- spread ------------------------------------------------------------------------------------------------

    def spread(self) -> Iterator[Move]:
        """Move tasks of each job from where there are more of them to where there are at least two fewer."""
        for job in self._movable:
            for i, attribute in enumerate(self._places(job)):
                while move := self._even_out(job, attribute, self._places(job)[:i]):
                    yield move

    def _places(self, job: JobName) -> list[str]:
        """The attributes over which the tasks of a job are spread, the most important first; the last is the host."""
        plan = self._movable[job][0][2]
        rules = [rule for rule in (*plan.rules, *plan.prefer) if isinstance(rule, Rule) and rule.kind == "spread"]
        hosts = [] if plan.pack else ["host"]
        return list(dict.fromkeys([*(rule.attribute for rule in rules), *hosts]))

    def _even_out(self, job: JobName, attribute: str, before: Sequence[str]) -> Move | None:
        counts = self._counts(job, attribute)
        for entry in self._by_crowd(job, attribute, counts):
            task, run, _ = entry
            here = self._hosts[run.host_id].value(attribute)
            for host in self._emptiest_first():
                there = host.value(attribute)
                if here is None or there is None or counts[here] - counts[there] < 2:
                    continue
                if self._fits(entry, host) and not self._worse(job, run, host, before):
                    more, less = _place(attribute, here), _place(attribute, there)
                    return self._move(entry, host, f"{counts[here]} of {job} are on {more}, {counts[there]} on {less}")
        return None

    def _by_crowd(self, job: JobName, attribute: str, counts: Counter[str]) -> list[_Entry]:
        """The tasks of a job, those at the most crowded places first, of fuller hosts first."""

        def crowd(entry: _Entry) -> tuple[int, int]:
            host = self._hosts[entry[1].host_id]
            return -counts[host.value(attribute) or ""], -self._fullness(host)

        return sorted(self._movable[job], key=crowd)

    def _counts(self, job: JobName, attribute: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for task in self._state.jobs[job].values():
            host = self._hosts.get(task.run.host_id) if task.run else None
            value = host.value(attribute) if host else None
            if value is not None:
                found[value] += 1
        return found

    def _worse(self, job: JobName, run: Run, host: Host, attributes: Iterable[str]) -> bool:
        """Whether the move would leave the job spread less evenly over one of these."""
        for attribute in attributes:
            counts = self._counts(job, attribute)
            here, there = self._hosts[run.host_id].value(attribute), host.value(attribute)
            if here != there and (here is None or there is None or counts[there] >= counts[here]):
                return True
        return False

    # -- level -------------------------------------------------------------------------------------------------

    def level(self) -> Iterator[Move]:
        """Move tasks from fuller hosts to emptier ones."""
        while move := self._level_out():
            yield move

    def _level_out(self) -> Move | None:
        entries: dict[HostId, list[_Entry]] = {}
        for movable in self._movable.values():
            for entry in movable:
                if not entry[2].pack:
                    entries.setdefault(entry[1].host_id, []).append(entry)
        order = self._emptiest_first()
        for full in reversed(order):
            here = sorted(entries.get(full.id, ()), key=lambda entry: (-entry[2].resources.memory, entry[0].name))
            for empty in order:
                if not here or self._fullness(full) - self._fullness(empty) <= MARGIN:
                    break
                for entry in here:
                    if self._levels(entry[2], full, empty) and self._fits(entry, empty):
                        job = entry[0].name.of_job
                        if not self._worse(job, entry[1], empty, self._places(job)):
                            used = _percent(self._fullness(full)), _percent(self._fullness(empty))
                            why = f"{full.name} is {used[0]} used, {empty.name} {used[1]}"
                            return self._move(entry, empty, why)
        return None

    def _levels(self, plan: TaskPlan, full: Host, empty: Host) -> bool:
        """Whether the fuller host gets emptier by the move, and stays the fuller one all the same, with the margin."""
        before = self._fullness(full)
        after = self._fullness(full, less=plan.resources)
        return after < before and after - self._fullness(empty, more=plan.resources) >= MARGIN

    def _emptiest_first(self) -> list[Host]:
        return sorted(self._hosts.values(), key=lambda host: (self._fullness(host), host.name))

    def _fullness(self, host: Host, more: Resources = _NOTHING, less: Resources = _NOTHING) -> int:
        """The largest share of cpus or memory that is used, in millionths; with a task more, or one less."""
        totals = host.totals(self._used.get(host.id, _NOTHING))
        shares = [
            (total - free + change) * _WHOLE // total
            for total, free, change in (
                (totals.cpus, host.free.cpus, more.cpus - less.cpus),
                (totals.memory, host.free.memory, more.memory - less.memory),
            )
            if total
        ]
        return max([0, *shares])

    # -- both --------------------------------------------------------------------------------------------------

    def _fits(self, entry: _Entry, host: Host) -> bool:
        """Whether the host can take the task, and is preferred no less than the one that it is on."""
        task, run, plan = entry
        if host.id == run.host_id or host.id not in self._offered:
            return False
        limits = self._company.limits(task, plan) if self._rules else ()
        if refusal(plan, host, limits) is not None:
            return False
        here, hosts = self._hosts[run.host_id], list(self._hosts.values())
        wishes = self._company.wishes(task, plan, hosts) if plan.prefer else ()
        return [wish(host) for wish in wishes] <= [wish(here) for wish in wishes]

    def _move(self, entry: _Entry, host: Host, why: str) -> Move:
        task, run, plan = entry
        move = Move(task.name, self._hosts[run.host_id].name, host.name, why)
        here, taken = self._hosts[run.host_id], Resources(plan.resources.cpus, plan.resources.memory)
        here.free += plan.resources
        host.free -= plan.resources
        self._used[here.id] = self._used.get(here.id, taken) - taken
        self._used[host.id] = self._used.get(host.id, Resources()) + taken
        run.host_id, run.host, run.attributes = host.id, host.name, dict(host.attributes)
        if self._rules:
            self._company = self._look_around()
        return move


def _may_move(state: State, task: Task, run: Run, plan: TaskPlan, hosts: Collection[HostId]) -> bool:
    """Whether a task runs as it should, and nothing ties it to its host."""
    if state.ends_by_itself(task) or not task.settled or not run.launched or run.moving or run.host_id not in hosts:
        return False
    tied = plan.on_host_lost is None or any(plan.volumes)
    return not tied and not any(rule.job is not None or rule.kind == "same" for rule in plan.rules)


def _place(attribute: str, value: str) -> str:
    return value if attribute == "host" else f"{attribute} {value}"


def _percent(share: int) -> str:
    return f"{round(share * 100 / _WHOLE)} %"
