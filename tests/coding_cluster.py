"""A cluster in miniature and in virtual time, to drive the `coding` planner: hosts, offers, containers, a store.

It does what the master and the executors do as far as a framework can tell: it offers what the demand asks for,
checks launches against offers, keeps containers, and reports statuses in order. Everything happens when the test says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from frameworks.coding import orders
from frameworks.coding.names import Target, TaskName, parse_target, parse_task_id
from frameworks.coding.planner import Planner
from frameworks.coding.pushes import Push, prepare_push
from frameworks.coding.state import State
from frameworks.coding.views import task_rows
from offerer import (
    DEFAULT_ROLE,
    SECOND,
    Decision,
    Decline,
    Demand,
    Entry,
    HostId,
    Kill,
    Launch,
    Offer,
    OfferId,
    Put,
    Reason,
    Resources,
    Revive,
    TaskId,
    TaskInfo,
    TaskState,
    TaskStatus,
    Time,
    Wake,
)

START: Time = 1_000_000 * SECOND


@dataclass
class SimHost:
    """A host, its containers, and whether the master hears of it."""

    name: str
    total: Resources
    attributes: dict[str, str] = field(default_factory=dict)
    reachable: bool = True
    tasks: dict[TaskId, TaskInfo] = field(default_factory=dict)
    stopping: set[TaskId] = field(default_factory=set)

    @property
    def free(self) -> Resources:
        free = self.total
        for task in self.tasks.values():
            free -= task.resources
        return free


class SimCluster:
    """Hosts, a planner and its store. `settle` runs until nothing happens any more at this time."""

    def __init__(self, hosts: Iterable[SimHost]) -> None:
        self.now = START
        self.hosts = {HostId(host.name): host for host in hosts}
        self.entries: dict[str, Entry] = {}
        self.offers: dict[OfferId, Offer] = {}
        self.log: list[str] = []
        self.launched: set[TaskId] = set()
        self.demand = Demand(None)
        self.refused: dict[HostId, Time] = {}
        self.wakes: list[Time] = []
        self.pending: list[TaskStatus] = []
        self.store_works = True
        self.crashes_on_start: Callable[[TaskName], bool] = lambda _: False
        self.decisions_made = 0
        self._offer_number = 0
        self._boot()

    # -- what an operator does --

    def push(self, *files: str) -> Push:
        push = prepare_push(self.state, [(f"file{i}.yaml", text) for i, text in enumerate(files)], "me", "", self.now)
        for revision in push.revisions:
            self.entries[revision.key] = Entry(revision.key, revision.to_bytes(), 1)
        self.state.add_revisions(push.revisions)
        return push

    def up(self, *targets: str) -> orders.Answer:
        return self._ordered(orders.up(self.state, self._targets(targets), self.now))

    def update(self, *targets: str) -> orders.Answer:
        return self._ordered(orders.update(self.state, self._targets(targets), "me", self.now))

    def down(self, *targets: str) -> orders.Answer:
        return self._ordered(orders.down(self.state, self._targets(targets), self.now))

    def _ordered(self, answer: orders.Answer) -> orders.Answer:
        self.flush()
        return answer

    @staticmethod
    def _targets(targets: Sequence[str]) -> list[Target]:
        return [parse_target(target) for target in targets]

    def rows(self, *targets: str) -> dict[str, dict[str, object]]:
        """What `ps` shows, by task."""
        meant = self._targets(targets) or [Target(service) for service in self.state.revisions]
        return {f"{r['service']}/{r['job']}/{r['task']}": r for r in task_rows(self.state, meant, self.now)}

    def reason(self, task: str) -> str:
        return str(self.rows()[task]["reason"])

    def running(self) -> dict[str, str]:
        """The live containers and their hosts."""
        return {str(task): host.name for host in self.hosts.values() for task in host.tasks}

    # -- what happens to a cluster --

    def restart_framework(self) -> None:
        """The framework's process dies, with whatever it had not written, and comes back."""
        self.offers.clear()
        self._boot()

    def reconnect(self) -> None:
        """The connection breaks and comes back."""
        self.offers.clear()
        self._register()

    def end(self, task: str, state: TaskState = TaskState.FAILED, exit_code: int = 1) -> None:
        """The container of this task ends by itself."""
        host, task_id = self._find(task)
        self._remove(host, task_id, state, Reason.EXITED, f"exit code {exit_code}", exit_code)

    def lose(self, host_name: str) -> None:
        """The host no longer answers."""
        host = self.hosts[HostId(host_name)]
        host.reachable = False
        gone = [offer.id for offer in self.offers.values() if offer.host == host_name]
        for offer in gone:
            del self.offers[offer]
        for task in host.tasks:
            self._report(task, TaskState.UNREACHABLE, host, Reason.HOST_UNREACHABLE)
        if gone:
            self.carry_out(self.planner.rescinded(self.now, gone))

    def find_again(self, host_name: str) -> None:
        """The host answers again, with its containers as they are."""
        host = self.hosts[HostId(host_name)]
        host.reachable = True
        for task in host.tasks:
            state = TaskState.KILLING if task in host.stopping else TaskState.RUNNING
            self._report(task, state, host, Reason.HOST_RECOVERED)

    def rescind(self) -> None:
        """Every offer times out."""
        offers, self.offers = list(self.offers), {}
        if offers:
            self.carry_out(self.planner.rescinded(self.now, offers))

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything due on the way happening at its time."""
        self.settle()
        until = self.now + round(seconds * SECOND)
        while True:
            due = [at for at in [*self.wakes, *self.refused.values()] if self.now < at <= until]
            if not due:
                break
            self.now = min(due)
            self.settle()
        self.now = until
        self.settle()

    def settle(self, turns: int = 10_000) -> None:
        """Deliver, offer and tick until nothing is left to do at this time."""
        for _ in range(turns):
            if not self.step():
                return
        raise AssertionError("it never comes to rest:\n" + "\n".join(self.log[-30:]))

    def step(self) -> bool:
        """One thing: a write to the store, statuses, containers that stop, a tick, offers. False: nothing to do."""
        if self.flush() or self._deliver() or self._finish_stopping() or self._tick():
            return True
        return self._make_offers()

    def flush(self) -> bool:
        """Write what the planner has noted."""
        journal = self.state.journal
        if journal.empty or not self.store_works:
            return False
        for change in journal.take():
            if isinstance(change, Put):
                self.entries[change.key] = Entry(change.key, change.value, 1)
            else:
                self.entries.pop(change.key, None)
        journal.saved()
        self.carry_out(self.planner.plan(self.now))
        return True

    def carry_out(self, decisions: Sequence[Decision] | None) -> None:
        for decision in decisions or ():
            self.decisions_made += 1
            if isinstance(decision, Launch):
                self._launch(decision)
            elif isinstance(decision, Decline):
                for offer in decision.offers:
                    given = self.offers.pop(offer, None)
                    if given and decision.refuse_for:
                        self.refused[given.host_id] = self.now + decision.refuse_for
            elif isinstance(decision, Kill):
                self._kill(decision.task_id)
            elif isinstance(decision, Demand):
                self.demand = decision
            elif isinstance(decision, Revive):
                self.refused.clear()
            elif isinstance(decision, Wake):
                self.wakes.append(decision.at)

    # -- inside --

    def _boot(self) -> None:
        self.state = State()
        self.state.load(sorted(self.entries.values()), self.now)
        self.planner = Planner(self.state)
        self.wakes, self.pending = [], []
        self._register()

    def _register(self) -> None:
        """The cluster says what it has, and of each task believed in that it does not have, that it is gone."""
        self.pending = []
        known = []
        for host in self.hosts.values():
            for task in host.tasks:
                state = TaskState.KILLING if task in host.stopping else TaskState.RUNNING
                known.append(self._status(task, state if host.reachable else TaskState.UNREACHABLE, host))
        ids = {status.task_id for status in known}
        believed = {task: host for task, host in self.state.believed().items() if task not in ids}
        self.carry_out(self.planner.registered(self.now, known))
        for task, host_id in believed.items():
            self._report(task, TaskState.GONE, self.hosts[host_id], Reason.RECONCILIATION)

    def _deliver(self) -> bool:
        pending, self.pending = self.pending, []
        if pending:
            self.carry_out(self.planner.statuses(self.now, pending))
        return bool(pending)

    def _finish_stopping(self) -> bool:
        for host in self.hosts.values():
            if host.reachable and host.stopping:
                task = min(host.stopping)
                host.stopping.discard(task)
                if task in host.tasks:
                    self._remove(host, task, TaskState.KILLED, Reason.KILL_REQUESTED, "", None)
                return True
        return False

    def _tick(self) -> bool:
        due = [at for at in self.wakes if at <= self.now]
        self.wakes = [at for at in self.wakes if at > self.now]
        if due:
            self.carry_out(self.planner.plan(self.now))
        return bool(due)

    def _make_offers(self) -> bool:
        made = []
        offered = {offer.host_id for offer in self.offers.values()}
        for host_id, host in self.hosts.items():
            free = host.free
            if not host.reachable or host_id in offered or self.refused.get(host_id, 0) > self.now or free.empty:
                continue
            if not self._helps(host, free):
                continue
            self._offer_number += 1
            number = OfferId(self._offer_number)
            offer = Offer(number, host_id, host.name, DEFAULT_ROLE, free, host.attributes, host.name)
            self.offers[offer.id] = offer
            made.append(offer)
        if made:
            self.carry_out(self.planner.offered(self.now, made))
        return bool(made)

    def _helps(self, host: SimHost, free: Resources) -> bool:
        if self.demand.wants is None:
            return True
        return any(
            free.contains(want.resources) and all(each.matches(host.name, host.attributes) for each in want.constraints)
            for want in self.demand.wants
        )

    def _launch(self, launch: Launch) -> None:
        offers = [self.offers.pop(offer, None) for offer in launch.offers]
        host_id = next((offer.host_id for offer in offers if offer), HostId(""))
        free = Resources()
        for offer in offers:
            free += offer.resources if offer else Resources()
        for task in launch.tasks:
            assert task.task_id not in self.launched, f"{task.task_id} is used twice"
            self.launched.add(task.task_id)
            if not all(offers) or not free.contains(task.resources):
                dropped = TaskStatus(task.task_id, TaskState.DROPPED, host_id, Reason.INVALID_OFFER, "no such offer")
                self.pending.append(dropped._replace(at=self.now))
                continue
            free -= task.resources
            host = self.hosts[host_id]
            host.tasks[task.task_id] = task
            self.check_no_doubles()
            self.log.append(f"launch {task.task_id} on {host.name}")
            parsed = parse_task_id(task.task_id)
            if parsed and self.crashes_on_start(parsed[0]):
                self._report(task.task_id, TaskState.STARTING, host)
                self._remove(host, task.task_id, TaskState.FAILED, Reason.EXITED, "exit code 1", 1)
            else:
                self._report(task.task_id, TaskState.RUNNING, host)

    def check_no_doubles(self) -> None:
        """No task has two containers, wherever they are."""
        names = [parsed[0] for task in self.running() if (parsed := parse_task_id(task))]
        assert len(names) == len(set(names)), f"two containers of one task: {sorted(self.running())}"

    def _kill(self, task_id: TaskId) -> None:
        for host in self.hosts.values():
            if task_id in host.tasks:
                self.log.append(f"kill {task_id}")
                if host.reachable and task_id not in host.stopping:
                    self._report(task_id, TaskState.KILLING, host)
                    host.stopping.add(task_id)
                return  # of a host that does not answer, nobody remembers the kill
        self.pending.append(TaskStatus(task_id, TaskState.GONE, reason=Reason.RECONCILIATION, at=self.now))

    def _remove(
        self, host: SimHost, task_id: TaskId, state: TaskState, reason: Reason, message: str, exit_code: int | None
    ) -> None:
        del host.tasks[task_id]
        host.stopping.discard(task_id)
        self.pending.append(TaskStatus(task_id, state, HostId(host.name), reason, message, exit_code, self.now))

    def _report(self, task_id: TaskId, state: TaskState, host: SimHost, reason: Reason = Reason.NONE) -> None:
        self.pending.append(self._status(task_id, state, host, reason))

    def _status(self, task_id: TaskId, state: TaskState, host: SimHost, reason: Reason = Reason.NONE) -> TaskStatus:
        return TaskStatus(task_id, state, HostId(host.name), reason, "", None, self.now)

    def _find(self, task: str) -> tuple[SimHost, TaskId]:
        for host in self.hosts.values():
            for task_id in host.tasks:
                parsed = parse_task_id(task_id)
                if parsed and str(parsed[0]) == task:
                    return host, task_id
        raise AssertionError(f"no container of {task} runs: {self.running()}")
