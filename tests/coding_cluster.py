"""A cluster in miniature and in virtual time, to drive the `coding` planner: hosts, offers, containers, a store.

It does what the master and the executors do as far as a framework can tell: it offers what the demand asks for,
checks launches against offers, keeps containers, and reports statuses in order. Everything happens when the test says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from frameworks.coding import orders, rollout
from frameworks.coding.balance import Move, propose, set_going
from frameworks.coding.names import Target, TaskName, parse_target, parse_task_id
from frameworks.coding.once import run_once
from frameworks.coding.planner import Planner
from frameworks.coding.files import PushedFile
from frameworks.coding.pushes import Push, prepare_push
from frameworks.coding.records import DRAIN
from frameworks.coding.rehearsal import Rehearsal, Turns
from frameworks.coding.reviews import Plan, Reviews
from frameworks.coding.state import State
from frameworks.coding.views import task_rows, update_row
from offerer import (
    DEFAULT_ROLE,
    SECOND,
    ContainerSpec,
    Decision,
    Decline,
    Delete,
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
    Want,
)
from offerer.types import Availability

T = TypeVar("T")
START: Time = 1_000_000 * SECOND


@dataclass
class SimHost:
    """A host, its containers, and whether the master hears of it."""

    name: str
    total: Resources
    attributes: dict[str, str] = field(default_factory=dict)
    reachable: bool = True
    availability: Availability = Availability.ACTIVE
    tasks: dict[TaskId, TaskInfo] = field(default_factory=dict)
    stopping: set[TaskId] = field(default_factory=set)

    @property
    def free(self) -> Resources:
        free = self.total
        for task in self.tasks.values():
            free -= task.resources
        return free


def _outcome(turns: Turns[T]) -> T:
    while True:
        try:
            next(turns)
        except StopIteration as end:
            found: T = end.value
            return found


def _fitting(want: Want, host: SimHost, free: Resources) -> int:
    """How many tasks of a want this much of a host takes, up to as many as are wanted."""
    if not all(each.matches(host.name, host.attributes) for each in want.constraints):
        return 0
    count, most = 0, want.per_host or want.count
    while count < most and free.contains(want.resources):
        free, count = free - want.resources, count + 1
    return count


class SimCluster:
    """Hosts, a planner and its store. `settle` runs until nothing happens any more at this time."""

    def __init__(self, hosts: Iterable[SimHost]) -> None:
        self.now = START
        self.hosts = {HostId(host.name): host for host in hosts}
        self.entries: dict[str, Entry] = {}
        self.offers: dict[OfferId, Offer] = {}
        self.log: list[str] = []
        """The launches and kills, in order."""
        self.events: list[tuple[Time, str]] = []
        """The same and what ended, with the time of each."""
        self.launched: set[TaskId] = set()
        self.demand = Demand(None)
        self.refused: dict[HostId, Time] = {}
        self.wakes: list[Time] = []
        self.pending: list[TaskStatus] = []
        self.store_works = True
        self.crashes_on_start: Callable[[TaskName], bool] = lambda _: False
        self.probe_says: Callable[[TaskInfo], bool | None] = lambda _: True
        """What the probe of a container, where it has one, says right after its start."""
        self.may_double: set[str] = set()
        """The jobs that may have a container and its successor at once."""
        self.heard: dict[TaskId, TaskStatus] = {}
        """What the framework was told last of each container."""
        self.asked_to_stop: set[TaskId] = set()
        self.said: dict[TaskId, bool] = {}
        """What the probe of each container said last."""
        self.check_launch: Callable[[TaskName, int, SimHost], None] = lambda *_: None
        """What a test wants to be true of every launch, told of it just before: the task, its revision, its host."""
        self.told: dict[str, dict[str, str]] = {}
        """The attributes of each host as they were offered last."""
        self.moves_tasks = False
        """Whether anything was drained or balanced, so that any task may have had to move, beside its old container."""
        self.left_behind: set[TaskId] = set()
        """Containers that others had taken the place of when their host came back."""
        self.decisions_made = 0
        self._offer_number = 0
        self._boot()

    # -- what an operator does --

    def push(self, *files: str) -> Push:
        return self._push([PushedFile(f"file{i}.yaml", text) for i, text in enumerate(files)])

    def push_to(self, environment: str, text: str, overlay: str) -> Push:
        return self._push([PushedFile("file.yaml", text, environment, overlay)])

    def _push(self, files: list[PushedFile]) -> Push:
        push = prepare_push(self.state, files, "me", "", self.now)
        for revision in push.revisions:
            self.entries[revision.key] = Entry(revision.key, revision.to_bytes(), 1)
        self._keep_secrets(push.secrets)
        self.state.add_revisions(push.revisions)
        return push

    def set_secret(self, name: str, value: str) -> None:
        """Set a secret, or without a value remove it."""
        secrets, now = self.state.secrets, self.now
        self._keep_secrets(secrets.set(name, value, "me", now)[1] if value else secrets.remove(name, "me", now))

    def _keep_secrets(self, changes: list[Put | Delete]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.entries[change.key] = Entry(change.key, change.value, 1)
            else:
                del self.entries[change.key]
        self.state.secrets.took_place(changes)

    def up(self, *targets: str) -> orders.Answer:
        return self._ordered(orders.up(self.state, self._targets(targets), self.now))

    def update(self, *targets: str) -> orders.Answer:
        return self._ordered(orders.update(self.state, self._targets(targets), "me", self.now))

    def plan(self, *targets: str, do: str = "") -> tuple[Plan, Rehearsal]:
        """What a command would do, by an operator's `plan`."""
        self._look()
        made = self.reviews.make(self.planner.hosts_to_plan, do, self._targets(targets), None, self.now)
        plan, rehearsal, _ = _outcome(made)
        return plan, rehearsal

    def do(self, plan: Plan) -> orders.Answer:
        """The command of a plan, with its token."""
        self._look()
        targets = list(plan.targets)
        checked = self.reviews.check(plan.token, self.planner.hosts_to_plan, plan.command, targets, self.now)
        places = _outcome(checked)
        command = self.up if plan.command == "up" else self.update
        answer = command(*map(str, targets))
        for name in answer.changed:
            self.state.task(name).planned = places.get(name, "")
        return answer

    def _look(self) -> None:
        self.settle()
        self.planner.look()
        self.refused.clear()
        self.carry_out(self.planner.ticked(self.now))
        self.settle()

    def rollback(self, target: str, to: int | None = None) -> orders.Answer:
        return self._ordered(orders.rollback(self.state, parse_target(target), to, "me", self.now))

    def restart(self, *targets: str) -> orders.Answer:
        return self._ordered(orders.restart(self.state, self._targets(targets), "me", self.now))

    def rebalance(self) -> list[Move]:
        """Carry out whatever moves would improve things."""
        moves = self.moves()
        self.moves_tasks = True
        set_going(self.state, moves)
        self.flush()
        return moves

    def moves(self) -> list[Move]:
        """The moves that would improve things, after a look at every host."""
        self.planner.look()
        self.carry_out(self.planner.ticked(self.now))
        self.refused.clear()
        self.settle()
        work = propose(self.state, self.planner.hosts_there, self.planner.seen, self.state.tasks)
        while True:
            try:
                next(work)
            except StopIteration as end:
                found: list[Move] = end.value
                return found

    def run(self, target: str, *command: str) -> str:
        task = run_once(self.state, parse_target(target), command, self.now)
        self.flush()
        return str(task.name)

    def scale(self, target: str, replicas: int) -> orders.Answer:
        return self._ordered(orders.scale(self.state, parse_target(target), replicas, "me", self.now))

    def down(self, *targets: str) -> orders.Answer:
        return self._ordered(orders.down(self.state, self._targets(targets), self.now))

    def pause(self, service: str) -> None:
        rollout.pause(self.state, service, "me")
        self._turned()

    def resume(self, service: str) -> None:
        rollout.resume(self.state, service, self.now)
        self._turned()

    def promote(self, service: str) -> None:
        rollout.promote(self.state, service, self.now)
        self._turned()

    def abort(self, service: str) -> None:
        rollout.abort(self.state, service, "me", self.now)
        self._turned()

    def _turned(self) -> None:
        self.flush()
        self.carry_out(self.planner.ticked(self.now))

    def rollout(self, service: str) -> dict[str, object]:
        """What `update --watch` shows of the newest update."""
        row = update_row(self.state, service, self.now)
        assert row is not None, f"{service} was never updated"
        return row

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
        self.end_container(self._find(task)[1], state, exit_code)

    def end_container(self, task_id: str, state: TaskState = TaskState.FAILED, exit_code: int = 1) -> None:
        """This container ends by itself."""
        host = next(host for host in self.hosts.values() if task_id in host.tasks)
        self._remove(host, TaskId(task_id), state, Reason.EXITED, f"exit code {exit_code}", exit_code)

    def probed(self) -> list[str]:
        """The containers with a probe, on hosts that answer."""
        return sorted(
            task_id
            for host in self.hosts.values()
            if host.reachable
            for task_id, task in host.tasks.items()
            if task_id not in host.stopping and ContainerSpec.from_bytes(task.spec).readiness
        )

    def probe(self, task: str, healthy: bool) -> None:
        """The probe of a container, or of a task's newest container, changes its mind."""
        hosts = [host for host in self.hosts.values() if task in host.tasks]
        host, task_id = (hosts[0], TaskId(task)) if hosts else self._find(task)
        self.said[task_id] = healthy
        self.pending.append(self._status(task_id, TaskState.RUNNING, host)._replace(healthy=healthy))

    def lose(self, host_name: str) -> None:
        """The host no longer answers."""
        host = self.hosts[HostId(host_name)]
        host.reachable = False
        for task in host.tasks:
            self._report(task, TaskState.UNREACHABLE, host, Reason.HOST_UNREACHABLE)
        self._void_offers(host_name)

    def find_again(self, host_name: str) -> None:
        """The host answers again, with its containers as they are."""
        host = self.hosts[HostId(host_name)]
        host.reachable = True
        self.left_behind |= self._on_their_way_out() & set(host.tasks)
        for task in host.tasks:
            state = TaskState.KILLING if task in host.stopping else TaskState.RUNNING
            self._report(task, state, host, Reason.HOST_RECOVERED)

    def _on_their_way_out(self) -> set[TaskId]:
        return {run.id for task in self.state.tasks.values() for run in task.old}

    def set_availability(self, host_name: str, availability: Availability) -> None:
        """An operator cordons or drains the host, or has it used again; its tasks are told of as the master does."""
        host = self.hosts[HostId(host_name)]
        turned = (host.availability is Availability.DRAINING) != (availability is Availability.DRAINING)
        host.availability = availability
        self.moves_tasks |= availability is Availability.DRAINING
        if availability is not Availability.ACTIVE:
            self._void_offers(host_name)
        for task in host.tasks if turned else ():
            state = TaskState.KILLING if task in host.stopping else TaskState.RUNNING
            self._report(task, state if host.reachable else TaskState.UNREACHABLE, host)

    def join(self, host: SimHost) -> None:
        """A host registers for the first time."""
        self.hosts[HostId(host.name)] = host

    def remove(self, host_name: str) -> None:
        """An operator gives the host up: whatever it had is gone."""
        host = self.hosts.pop(HostId(host_name))
        self._void_offers(host_name)
        for task in list(host.tasks):
            self._remove(host, task, TaskState.GONE, Reason.HOST_REMOVED, "", None)

    def change_attributes(self, host_name: str, attributes: dict[str, str]) -> None:
        """The host registers anew, with these attributes; offers and refusals of it are void."""
        self.hosts[HostId(host_name)].attributes = attributes
        self.refused.pop(HostId(host_name), None)
        self._void_offers(host_name)

    def _void_offers(self, host_name: str) -> None:
        gone = [offer.id for offer in self.offers.values() if offer.host == host_name]
        for offer in gone:
            del self.offers[offer]
        if gone:
            self.carry_out(self.planner.rescinded(self.now, gone))

    def repeat(self, pick: int) -> None:
        """A status that was told of before comes again: the last of a container, or how one ended."""
        on_the_way = {status.task_id for status in self.pending}
        heard = [status for status in self.heard.values() if status.task_id not in on_the_way]
        if heard:
            self.pending.append(heard[pick % len(heard)])

    def shuffle(self, rotate: int) -> None:
        """What is on its way comes in another order, but that of each container in its own."""
        by_task: dict[TaskId, list[TaskStatus]] = {}
        for status in self.pending:
            by_task.setdefault(status.task_id, []).append(status)
        names = list(by_task)
        names = names[rotate % max(1, len(names)) :] + names[: rotate % max(1, len(names))]
        self.pending = [status for name in names for status in by_task[name]]

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
        self.reviews = Reviews(self.state)
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
                if host.reachable and task in self.said:
                    known[-1] = known[-1]._replace(healthy=self.said[task])
        ids = {status.task_id for status in known}
        believed = {task: host for task, host in self.state.believed().items() if task not in ids}
        self.heard.clear()
        self.asked_to_stop.clear()
        self._hear(known)
        self.carry_out(self.planner.registered(self.now, known))
        for task, host_id in believed.items():
            gone = TaskStatus(task, TaskState.GONE, host_id, Reason.RECONCILIATION, at=self.now)
            self.pending.append(gone)

    def _deliver(self) -> bool:
        pending, self.pending = self.pending, []
        if pending:
            self._hear(pending)
            self.carry_out(self.planner.statuses(self.now, pending))
        return bool(pending)

    def _hear(self, statuses: Sequence[TaskStatus]) -> None:
        for status in statuses:
            known = self.heard.get(status.task_id)
            if status.healthy is None and known is not None:
                status = status._replace(healthy=known.healthy)
            if status.state in (TaskState.RUNNING, TaskState.UNREACHABLE):
                self.asked_to_stop.discard(status.task_id)
            self.heard[status.task_id] = status

    def ready(self, job: str) -> set[str]:
        """The tasks of a job that have a container which can be used, as far as the framework was told."""
        names = set()
        for task_id, status in self.heard.items():
            name, revision, _ = parse_task_id(task_id) or (None, 0, 0)
            if name is None or str(name.of_job) != job or task_id in self.asked_to_stop:
                continue
            plan = self.state.plan(self.state.task(name), revision)
            fit = status.healthy if plan and plan.probed else status.healthy is not False
            if status.state is TaskState.RUNNING and fit:
                names.add(name.task)
        return names

    def _check_floor(self, task_id: TaskId) -> None:
        """An update stops nothing that its job must keep ready; a move nothing at all that is ready."""
        name, _, _ = parse_task_id(task_id) or (None, 0, 0)
        if name is None or self.state.task(name).wanted is None and name.service not in self.state.updates:
            return
        job = name.of_job
        before = self.ready(str(job))
        self.asked_to_stop.add(task_id)
        after = self.ready(str(job))
        task = self.state.task(name)
        moved = task.wanted is not None and any(run.id == task_id and run.moving == DRAIN for run in task.old)
        assert not moved or before == after, f"the move of {task_id} leaves {after} ready of {before}"
        strategy, update = self.state.strategy(job), self.state.updates.get(job.service)
        goals = update.targets if update else {}
        if name not in goals and self.state.task(name).wanted is None:
            return  # taken down, by whoever wanted that
        there = sum(goals.get(task.name, task.wanted) is not None for task in self.state.jobs[job].values())
        if len(after) < len(before):
            must_stay = strategy.must_stay(there) if strategy.min_healthy is not None else 0
            assert len(after) >= must_stay, f"kill {task_id} leaves {len(after)} ready of {must_stay}"

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
            if host.availability is not Availability.ACTIVE:
                continue
            if not host.reachable or host_id in offered or self.refused.get(host_id, 0) > self.now or free.empty:
                continue
            if not self._helps(host, free):
                continue
            self._offer_number += 1
            number = OfferId(self._offer_number)
            self.told[host.name] = host.attributes
            offer = Offer(number, host_id, host.name, DEFAULT_ROLE, free, host.attributes, host.name)
            self.offers[offer.id] = offer
            made.append(offer)
        if made:
            self.carry_out(self.planner.offered(self.now, made))
        return bool(made)

    def _helps(self, host: SimHost, free: Resources) -> bool:
        """Whether some want is not covered by the offers out, as the master has it, and this host helps it."""
        return self.demand.wants is None or any(
            _fitting(want, host, free) and not self._covered(want) for want in self.demand.wants
        )

    def _covered(self, want: Want) -> bool:
        out = [_fitting(want, self.hosts[each.host_id], each.resources) for each in self.offers.values()]
        return sum(out) >= want.count and sum(map(bool, out)) >= self.demand.choice

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
            named = parse_task_id(task.task_id)
            if named is not None:
                self.check_launch(named[0], named[1], host)
            host.tasks[task.task_id] = task
            self.check_no_doubles()
            self._note(f"launch {task.task_id} on {host.name}")
            parsed = parse_task_id(task.task_id)
            if parsed and self.crashes_on_start(parsed[0]):
                self._report(task.task_id, TaskState.STARTING, host)
                self._remove(host, task.task_id, TaskState.FAILED, Reason.EXITED, "exit code 1", 1)
            else:
                self._report(task.task_id, TaskState.RUNNING, host)
                says = self.probe_says(task) if ContainerSpec.from_bytes(task.spec).readiness else None
                if says is not None:
                    self.said[task.task_id] = says
                    self.pending[-1] = self.pending[-1]._replace(healthy=says)

    def check_no_doubles(self) -> None:
        """No task has two containers on hosts that answer, but for what was left on one that is only just back."""
        excused = self.left_behind & self._on_their_way_out() if self.left_behind else set()
        names = Counter(
            str(parsed[0])
            for host in self.hosts.values()
            if host.reachable
            for task in host.tasks
            if task not in excused and (parsed := parse_task_id(task))
        )
        for name, count in names.items():
            moves = self.moves_tasks and any(name == str(each.name) for each in self.state.tasks.values() if each.old)
            most = 2 if moves or name.rpartition("/")[0] in self.may_double else 1
            assert count <= most, f"{count} containers of {name}: {sorted(self.running())}"

    def _kill(self, task_id: TaskId) -> None:
        for host in self.hosts.values():
            if task_id in host.tasks:
                self._note(f"kill {task_id}")
                self._check_floor(task_id)
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
        status = TaskStatus(task_id, state, HostId(host.name), reason, message, exit_code, self.now)
        self.pending.append(status)
        self.events.append((self.now, f"{task_id} {state.name}" + (f": {message}" if message else "")))

    def _note(self, event: str) -> None:
        self.log.append(event)
        self.events.append((self.now, event))

    def _report(self, task_id: TaskId, state: TaskState, host: SimHost, reason: Reason = Reason.NONE) -> None:
        self.pending.append(self._status(task_id, state, host, reason))

    def _status(self, task_id: TaskId, state: TaskState, host: SimHost, reason: Reason = Reason.NONE) -> TaskStatus:
        draining = host.availability is Availability.DRAINING
        return TaskStatus(task_id, state, HostId(host.name), reason, "", None, self.now, draining=draining)

    def _find(self, task: str) -> tuple[SimHost, TaskId]:
        found = [
            (parsed[2], host, task_id)
            for host in self.hosts.values()
            for task_id in host.tasks
            if (parsed := parse_task_id(task_id)) and str(parsed[0]) == task
        ]
        if found:
            return max(found, key=lambda each: each[0])[1:]
        raise AssertionError(f"no container of {task} runs: {self.running()}")
