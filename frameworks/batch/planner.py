"""What happened in, decisions out: which instances to launch where, what to stop, which offers to give back.

Pure. The five methods are those of a plug-in; each takes in what happened and then plans. That an instance has a place
is safe in the store before it is launched: until then the offer is held, and the next turn goes on.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from frameworks.batch.jobs import CANCELLED, FAILED, FINISHED, Instance, Job, to_launch
from frameworks.batch.names import parse_task_id
from frameworks.batch.state import State
from frameworks.coding.hand import Hand, wants_more
from frameworks.coding.observe import data_of, describe, started_at
from frameworks.coding.placement import Host, choose_ports, refusal
from frameworks.coding.plans import TaskPlan
from offerer import (
    DEFAULT_REFUSE_FOR,
    FOREVER,
    SECOND,
    Constraint,
    Decision,
    Demand,
    HostId,
    Kill,
    Launch,
    Offer,
    OfferId,
    Resources,
    Revive,
    TaskId,
    TaskState,
    TaskStatus,
    Time,
    Wake,
    Want,
)

KILL_AGAIN_AFTER: Final = 30 * SECOND
AGAIN_AFTER: Final = 1 * SECOND
"""When a launch that never came to run is tried again."""
HOLD_AFTER: Final = 10 * SECOND
"""A job that got no place for this long has the nearest host kept free of jobs after it."""

_NOTHING: Final = Resources()
_Kind = tuple[Resources, tuple[Constraint, ...], int]


class _Alarm(NamedTuple):
    """Something to look at again later, about one launch."""

    at: Time
    what: str
    """``again``, ``limit`` (it may run no longer) or ``lost`` (its host is not waited for any longer)."""
    job: str
    instance: int
    attempt: int


class Planner:
    """Decides for all jobs. Holds the offers in hand and what is known of hosts; the rest is in `State`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._hand = Hand()
        self._hosts = self._hand.hosts
        self._placed: dict[HostId, list[tuple[Job, Instance]]] = {}
        self._ours: dict[HostId, Resources] = {}
        self._alarms: list[_Alarm] = []
        self._dying: dict[TaskId, Time] = {}
        """Containers that are to stop, and when each was asked to; 0: not yet, or whoever was may have forgotten."""
        self._kill_at: Time | None = None
        """When one of them is to be asked (again)."""
        self._waiting: dict[str, int] = {}
        """How many instances of each job wait for a place."""
        self._wants: dict[tuple[Resources, tuple[Constraint, ...]], int] = {}
        """The same by what they need."""
        self._stated: Demand | None = None
        self._refused_until: Time = 0
        self._looking = False
        self._held: tuple[Job, HostId | None, Time] | None = None

    @property
    def hosts(self) -> Collection[Host]:
        """What offers have told of hosts since the last (re)connection."""
        return self._hosts.values()

    @property
    def looking(self) -> bool:
        """Whether offers of every host were asked for and none have come yet."""
        return self._looking

    def look(self) -> None:
        """Ask for offers of every host at the next turn, since somebody wants to know why a job waits."""
        self._looking = True

    def held_host(self, job: Job) -> str:
        """The host that is kept free for this job; empty where none is."""
        if self._held is None or self._held[0] is not job or self._held[1] is None:
            return ""
        host = self._hosts.get(self._held[1])
        return host.name if host else ""

    def stop(self, containers: Iterable[TaskId], now: Time) -> None:
        """Have these stopped at the next turn."""
        for each in containers:
            self._dying[each] = 0
            self._kill_at = now

    def try_again_at(self, job: Job, instance: Instance, at: Time) -> None:
        """Let an instance wait until then."""
        instance.not_before = at
        heapq.heappush(self._alarms, _Alarm(at, "again", job.id, instance.index, instance.attempt))

    # -- what happens --

    def registered(self, now: Time, tasks: Sequence[TaskStatus]) -> list[Decision]:
        """(Re)connected: offers from before are void, and whoever was asked to stop a task may have forgotten."""
        for host in self._hand.held:
            self._let_go(host, now)
        self._hosts.clear()
        self._ours.clear()
        for job in self._state.queue:
            for instance in job.instances.values():
                if instance.live:
                    self._hold(job, instance)
        self._dying = dict.fromkeys(self._dying, 0)
        self._kill_at = now
        for status in tasks:
            self._observe(status, now)
        self._stated, self._held = None, None
        return self.plan(now)

    def offered(self, now: Time, offers: Sequence[Offer]) -> list[Decision]:
        """Offers came."""
        self._looking = False
        for offer in offers:
            host = self._hand.take(offer, now)
            all_ = host.free + self._ours.get(host.id, _NOTHING)
            host.most = Resources(max(all_.cpus, host.most.cpus), max(all_.memory, host.most.memory))
        return self.plan(now, choosing=True)

    def rescinded(self, now: Time, offers: Sequence[OfferId]) -> list[Decision]:
        """Offers are void. What was placed on them and not yet launched needs another place."""
        decisions: list[Decision] = []
        for host, others in self._hand.void(offers):
            decisions += others
            self._let_go(host, now)
        return [*decisions, *self.plan(now)]

    def statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> list[Decision]:
        """Tasks changed."""
        for status in statuses:
            self._observe(status, now)
        return self.plan(now)

    def ticked(self, now: Time) -> list[Decision]:
        """The time asked for has come, or somebody woke us earlier."""
        return self.plan(now)

    # -- what to do about it --

    def plan(self, now: Time, *, choosing: bool = False) -> list[Decision]:
        """Everything to do now. Places are given only when offers have just come (`choosing`)."""
        self._ring(now)
        self._drop_stopped(now)
        if choosing:
            self._place(now)
        self._state.prune(now)
        self._state.flush()
        answers = [*self._launch(), *self._give_back(now)]
        stated = self._state_demand(now)
        kills = self._kill(now)
        wakes = [self._alarms[0].at] if self._alarms else []
        wakes += [self._kill_at] if self._kill_at is not None else []
        return [*kills, *stated, *answers, *([Wake(min(wakes))] if wakes else [])]

    def _ring(self, now: Time) -> None:
        """What was to be looked at by now."""
        while self._alarms and self._alarms[0].at <= now:
            alarm = heapq.heappop(self._alarms)
            job = self._state.jobs.get(alarm.job)
            instance = job.instances.get(alarm.instance) if job else None
            if job is None or instance is None or instance.attempt != alarm.attempt or job.stop:
                continue
            if alarm.what == "again" and not instance.live and not instance.outcome:
                job.ready.append(instance.index)
                self._state.touched[job.id] = job
            elif alarm.what == "limit" and instance.live:
                instance.overran = True
                self.stop([job.task_id(instance)], now)
            elif alarm.what == "lost" and instance.status is TaskState.UNREACHABLE:
                self.stop([job.task_id(instance)], now)  # for when it is back
                instance.message = f"host {instance.host} did not answer"
                self._end(job, instance)
                self._again(job, instance, now)

    def _kill(self, now: Time) -> list[Decision]:
        if self._kill_at is None or self._kill_at > now:
            return []
        due = [each for each, asked in self._dying.items() if now >= asked + KILL_AGAIN_AFTER]
        self._dying.update(dict.fromkeys(due, now))
        self._kill_at = now + KILL_AGAIN_AFTER if self._dying else None
        return [Kill(each) for each in due]

    def _drop_stopped(self, now: Time) -> None:
        """Take back the places of instances of jobs that were stopped before they were launched."""
        for placed in self._placed.values():
            for job, instance in [each for each in placed if each[0].stop]:
                placed.remove((job, instance))
                self._end(job, instance)
                self._state.conclude(job, now)

    # -- what became of tasks --

    def _observe(self, status: TaskStatus, now: Time) -> None:
        parsed = parse_task_id(status.task_id)
        job = self._state.jobs.get(parsed.job) if parsed else None
        instance = job.instances.get(parsed.instance) if job and parsed else None
        if status.state.terminal:
            self._dying.pop(status.task_id, None)
        if job is None or instance is None or parsed is None or parsed.attempt != instance.attempt or not instance.live:
            if not status.state.terminal:
                self._stray(status, job is not None, now)
        elif status.state.terminal:
            self._ended(job, instance, status, now)
        else:
            self._progress(job, instance, status, now)

    def _stray(self, status: TaskStatus, known: bool, now: Time) -> None:
        """A container that should not be: of a job that has ended, or of a launch that was given up."""
        parsed = parse_task_id(status.task_id)
        if parsed is None or not known and int(parsed.job.rpartition("-")[2]) > self._state.number:
            key = f"task {status.task_id}"
            self._state.problems[key] = f"{key} runs under our name and belongs to no job we know"
            return
        if status.task_id not in self._dying:
            self.stop([status.task_id], now)
        self._follow(status, now)

    def _follow(self, status: TaskStatus, now: Time) -> None:
        """One that is to stop: not asked again while it stops, nor while its host is away, but when that is back."""
        if status.state in (TaskState.KILLING, TaskState.UNREACHABLE):
            self._dying[status.task_id] = now + FOREVER
        elif self._dying[status.task_id] > now:
            self.stop([status.task_id], now)

    def _progress(self, job: Job, instance: Instance, status: TaskStatus, now: Time) -> None:
        before, instance.status = instance.status, status.state
        if status.state is TaskState.RUNNING and not instance.started:
            instance.started = _started(status, now)
            if not job.started:
                self._state.started(job, instance.started)
        if status.state is TaskState.UNREACHABLE and before is not TaskState.UNREACHABLE:
            self._alarm("lost", job, instance, job.plan.on_host_lost, now)
        if status.state is TaskState.RUNNING and before is not TaskState.RUNNING:
            self._alarm("limit", job, instance, job.spec.limit, instance.started)
        if status.task_id in self._dying:
            self._follow(status, now)
        elif job.stop:
            self.stop([status.task_id], now)

    def _alarm(self, what: str, job: Job, instance: Instance, after: Time | None, since: Time) -> None:
        if after is not None:
            heapq.heappush(self._alarms, _Alarm(since + after, what, job.id, instance.index, instance.attempt))

    def _ended(self, job: Job, instance: Instance, status: TaskStatus, now: Time) -> None:
        instance.started = instance.started or _started(status, 0)
        instance.ended, instance.exit_code = status.at or now, status.exit_code
        instance.message = describe(status) or status.state.name
        if instance.overran and status.state is not TaskState.FINISHED:
            instance.message = f"ran longer than its time limit of {job.spec.time_limit}"
        self._end(job, instance)
        state = status.state
        if state is TaskState.FINISHED:
            self._state.done(job, instance, FINISHED, now)
        elif job.stop:
            self._state.done(job, instance, CANCELLED, now)
        elif state in (TaskState.DROPPED, TaskState.GONE) or state is TaskState.KILLED and not instance.overran:
            self._again(job, instance, now)  # it is not to blame: its host was lost, or an operator stopped it
        else:
            self._failed(job, instance, state is TaskState.ERROR, now)

    def _failed(self, job: Job, instance: Instance, for_good: bool, now: Time) -> None:
        instance.failures += 1
        if not for_good and instance.failures <= job.spec.retries:
            self.try_again_at(job, instance, now + job.spec.delay(instance.failures))
            self._state.note(job, instance)
            return
        self._state.done(job, instance, FAILED, now)
        if job.spec.max_failed is not None and job.failed > job.spec.max_failed and not job.outcome:
            failures = f"{job.failed} instance{'s' if job.failed > 1 else ''} failed"
            self.stop(self._state.stop(job, f"{failures}; max_failed is {job.spec.max_failed}", "failed", now), now)

    def _again(self, job: Job, instance: Instance, now: Time) -> None:
        if job.stop:
            self._state.done(job, instance, CANCELLED, now)
            return
        self.try_again_at(job, instance, now + AGAIN_AFTER)
        self._state.note(job, instance)

    def _hold(self, job: Job, instance: Instance) -> None:
        ours = self._ours.get(instance.host_id, _NOTHING)
        self._ours[instance.host_id] = ours + _amounts(job.plan)

    def _end(self, job: Job, instance: Instance) -> None:
        """An instance has no container, and no place for one, any more."""
        instance.live = instance.launched = False
        instance.noted, instance.status, instance.ports = 0, None, []
        job.live -= 1
        self._state.note(job, instance)
        left = self._ours.get(instance.host_id, _NOTHING).minus_up_to(_amounts(job.plan))
        if left.empty:
            self._ours.pop(instance.host_id, None)
        else:
            self._ours[instance.host_id] = left

    # -- placing --

    def _place(self, now: Time) -> None:
        """Give places on the offers in hand, job by job; the fullest hosts first, so that large tasks find room."""
        hosts = sorted(self._hand.held, key=lambda host: (host.free.cpus, host.free.memory, host.id))
        full: set[_Kind] = set()  # what did not fit once does not fit later in this turn
        for job in list(self._state.queue):
            left = job.startable
            kind = _kind(job.plan)
            if not left:
                continue
            if kind not in full:
                usable = [host for host in hosts if not self._is_held(host.id, job)]
                before, left = left, self._place_job(job, left, usable, now)
                if left:
                    full.add(kind)
                if left < before:
                    job.hungry_since = 0
                    if self._held is not None and self._held[0] is job:
                        self._held = None
            if left and not job.hungry_since:
                job.hungry_since = now
            if left:
                self._hold_host(job, now)

    def _place_job(self, job: Job, left: int, hosts: Sequence[Host], now: Time) -> int:
        """Place so many instances of a job. Returns how many found no place."""
        for host in hosts:
            while left and refusal(job.plan, host) is None:
                self._give_place(job, host, now)
                left -= 1
        return left

    def _give_place(self, job: Job, host: Host, now: Time) -> None:
        instance = job.next_instance()
        instance.attempt += 1
        instance.live, instance.launched, instance.overran = True, False, False
        instance.host_id, instance.host = host.id, host.name
        instance.started = instance.ended = instance.not_before = 0
        instance.exit_code, instance.status = None, None
        instance.ports = choose_ports(job.plan, job.task_id(instance), host)
        host.free -= job.plan.taken(instance.ports)
        job.live += 1
        self._hold(job, instance)
        self._placed.setdefault(host.id, []).append((job, instance))
        self._state.note(job, instance)

    def _is_held(self, host: HostId, job: Job) -> bool:
        """Whether this host is kept free for a job before this one."""
        return self._held is not None and self._held[1] == host and self._held[0].order < job.order

    def _hold_host(self, job: Job, now: Time) -> None:
        """Keep the host nearest to fitting free for the first job that has waited for long, or it waits for ever."""
        if now < job.hungry_since + HOLD_AFTER:
            return
        if self._held is not None:
            holder, _, since = self._held
            other_waits = holder is not job and not holder.outcome and holder.startable and holder.order < job.order
            if other_waits or holder is job and now < since + HOLD_AFTER:
                return
        need = job.plan.resources
        may = [
            host
            for host in self._hosts.values()
            if host.most.cpus >= need.cpus
            and host.most.memory >= need.memory
            and all(each.matches(host.name, host.attributes) for each in job.plan.constraints)
        ]
        nearest = min(may, key=lambda host: (_lack(need, host), host.id), default=None)
        self._held = (job, nearest.id if nearest else None, now)

    def _let_go(self, host: Host, now: Time) -> None:
        """The offers of this host are void."""
        for job, instance in reversed(self._placed.pop(host.id, [])):
            self._end(job, instance)
            job.ready.appendleft(instance.index)
            self._state.conclude(job, now)
        self._hand.forget(host)

    # -- answering --

    def _launch(self) -> list[Decision]:
        """Launch what has a place, host by host, once everything placed there is safe in the store."""
        decisions: list[Decision] = []
        journal = self._state.journal
        for host in self._hand.held:
            placed = self._placed.get(host.id)
            if not placed:
                continue
            for _, instance in placed:
                instance.noted = instance.noted or journal.noted
            if max(instance.noted for _, instance in placed) > journal.safe:
                continue
            for _, instance in placed:
                instance.launched, instance.noted = True, 0
            infos = [to_launch(job, instance) for job, instance in placed]
            decisions.append(Launch(tuple(host.offers), infos))
            del self._placed[host.id]
            self._hand.forget(host)
        return decisions

    def _give_back(self, now: Time) -> list[Decision]:
        """Offers that nothing was placed on."""
        given = self._hand.give_back([host for host in self._hand.held if not self._placed.get(host.id)])
        if given:
            self._refused_until = now + DEFAULT_REFUSE_FOR
        return given

    def _state_demand(self, now: Time) -> list[Decision]:
        """State what waits for a place, where that has changed."""
        self._count_waiting()
        wants = [
            Want(resources, count, constraints, per_host=1 if resources.ports else 0)
            for (resources, constraints), count in self._wants.items()
        ]
        demand = Demand(None if self._looking else tuple(wants))
        if demand == self._stated:
            return []
        more = wants_more(self._stated, demand)
        self._stated = demand
        return [Revive(), demand] if more and now < self._refused_until else [demand]

    def _count_waiting(self) -> None:
        """Count anew what waits of the jobs that something happened to; there may be thousands of others."""
        for job in self._state.touched.values():
            before, now = self._waiting.pop(job.id, 0), job.startable
            if now:
                self._waiting[job.id] = now
            if now != before:
                kind = (job.plan.resources, job.plan.constraints)
                count = self._wants.get(kind, 0) + now - before
                if count:
                    self._wants[kind] = count
                else:
                    del self._wants[kind]
        self._state.touched.clear()


def _amounts(plan: TaskPlan) -> Resources:
    return Resources(plan.resources.cpus, plan.resources.memory)


def _kind(plan: TaskPlan) -> _Kind:
    return (plan.resources, plan.constraints, plan.free_ports)


def _lack(need: Resources, host: Host) -> float:
    """The largest share of what is needed that a host lacks."""
    free = host.free
    cpus = (need.cpus - free.cpus) / need.cpus if need.cpus else 0.0
    return max(0.0, cpus, (need.memory - free.memory) / need.memory if need.memory else 0.0)


def _started(status: TaskStatus, otherwise: Time) -> Time:
    """When the container started, by what the executor adds to a status."""
    started = started_at(data_of(status))
    return otherwise if started is None else started
