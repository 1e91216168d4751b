"""Desired and observed in, decisions out: what to launch where, what to stop, which offers to use and to give back.

Pure. The five methods are those of a plug-in; each takes in what happened and then plans. A task's record is safe in
the store before its launch or kill is decided: until then the offers for it are held, and the next turn goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from frameworks.coding import moves
from frameworks.coding.company import Company
from frameworks.coding.everywhere import follow_hosts, forget_hosts, standing_wants
from frameworks.coding.explain import shortage
from frameworks.coding.hand import Hand, wants_more
from frameworks.coding.names import JobName, TaskName
from frameworks.coding.observe import observe
from frameworks.coding.obstacles import lacking_secret, obstacle, steady_at, to_stop
from frameworks.coding.placement import Host, Level, choose_ports, refusal
from frameworks.coding.plans import TaskPlan, task_to_launch
from frameworks.coding.records import DRAIN, Run, Task
from frameworks.coding.rollout import advance_updates
from frameworks.coding.state import State
from offerer import (
    DEFAULT_REFUSE_FOR,
    SECOND,
    Constraint,
    Decision,
    Decline,
    Demand,
    HostId,
    Kill,
    Launch,
    Offer,
    OfferId,
    Reason,
    Resources,
    Revive,
    TaskState,
    TaskStatus,
    Time,
    Wake,
    Want,
)

CHOICE: Final = 32
"""On how many hosts to ask for offers: enough for an even spread, few enough not to hold up others."""
KILL_AGAIN_AFTER: Final = 30 * SECOND
LOOK_AFTER: Final = 10 * SECOND
"""A task without a place for this long: look at every host once, so that the reason shown is about all of them."""
LOOK_AGAIN_AFTER: Final = 60 * SECOND
LOOKED_AFTER: Final = 1 * SECOND
"""So long after asking, the offers of every host have come."""

_EVERYTHING: Final = Demand(None)


class Planner:
    """Decides for all services. Holds the offers in hand and what is known of hosts; the rest is in `State`."""

    def __init__(self, state: State, hosts: Iterable[Host] = ()) -> None:
        self._state = state
        self._hand = Hand(hosts)
        self._hosts = self._hand.hosts
        self._stated: Demand = _EVERYTHING
        self._seen: set[HostId] = set()
        self._looking = True
        self._followed: dict[JobName, int] = {}
        self._look_at: Time = 0
        self._judge_at: Time = 0
        self._looked_at: Time = 0
        self._refused_until: Time = 0

    @property
    def hosts(self) -> Collection[Host]:
        """What offers have told of hosts since the last (re)connection."""
        return self._hosts.values()

    @property
    def looking(self) -> bool:
        """Whether offers of every host were asked for and none have come yet."""
        return self._looking

    @property
    def hosts_there(self) -> list[Host]:
        """Those that have offered something since somebody looked, or have containers of ours, answer and may stay."""
        ours = {
            run.host_id
            for task in self._state.tasks.values()
            for run in task.containers
            if run.launched and run.state is not TaskState.UNREACHABLE and run.moving != DRAIN
        }
        return [host for host in self._hosts.values() if host.id in self._seen or host.id in ours]

    @property
    def hosts_to_plan(self) -> list[Host]:
        """The same as hosts to start something on: one that was not offered has no more than what stops there."""
        return [
            host if host.id in self._seen or host.offers else replace(host, free=Resources())
            for host in self.hosts_there
        ]

    @property
    def seen(self) -> Collection[HostId]:
        """Those that have offered something since somebody looked."""
        return frozenset(self._seen)

    def look(self) -> None:
        """Ask for offers of every host at the next turn, since somebody wants to know why a task waits."""
        self._looking = True
        self._seen.clear()

    # -- what happens --

    def registered(self, now: Time, tasks: Sequence[TaskStatus]) -> list[Decision]:
        """(Re)connected: offers from before are void, and whoever was asked to stop a task may have forgotten."""
        for host in self._hand.held:
            self._let_go(host)
        self._hosts.clear()  # who is there now shows by the offers to come
        for name in self._state.unsettled:
            task = self._state.tasks[name]
            task.strays = dict.fromkeys(task.strays, 0)
            for run in task.containers:
                run.kill_sent = 0
        for update in self._state.updates.values():
            update.progressed = now  # nothing could arrive while nobody looked
        for status in tasks:
            observe(self._state, status, now)
        self._stated, self._looking, self._look_at, self._judge_at = _EVERYTHING, True, 0, 0
        return [_EVERYTHING, *self.plan(now)]

    def offered(self, now: Time, offers: Sequence[Offer]) -> list[Decision]:
        """Offers came."""
        self._looking = False
        self._seen.update(offer.host_id for offer in offers)
        changed = []
        for offer in offers:
            known = self._hosts.get(offer.host_id)
            before = known.attributes if known else {}
            host = self._hand.take(offer, now)
            if host.attributes != before:
                changed.append(host)
        if changed:
            self._note_attributes({host.id: host.attributes for host in changed})
        return self.plan(now, choosing=True)

    def _note_attributes(self, changed: Mapping[HostId, dict[str, str]]) -> None:
        """Remember what these hosts are now like with what runs there, which may be long after they are full."""
        for task in self._state.tasks.values():
            for run in task.containers:
                attributes = changed.get(run.host_id)
                if attributes is not None and attributes != run.attributes:
                    run.attributes = attributes
                    self._state.changed(task)

    def rescinded(self, now: Time, offers: Sequence[OfferId]) -> list[Decision]:
        """Offers are void. What was placed on them and not yet launched needs another place."""
        decisions: list[Decision] = []
        for host, others in self._hand.void(offers):
            decisions += others
            self._let_go(host)
        return [*decisions, *self.plan(now)]

    def statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> list[Decision]:
        """Tasks changed."""
        for status in statuses:
            observe(self._state, status, now)
            if status.draining and status.host_id in self._hosts:
                self._hosts[status.host_id].absent = True
            if status.reason is Reason.HOST_REMOVED and (host := self._hosts.pop(status.host_id, None)):
                self._let_go(host)
        return self.plan(now)

    def ticked(self, now: Time) -> list[Decision]:
        """The time asked for has come, or somebody woke us earlier."""
        return self.plan(now)

    # -- what to do about it --

    def plan(self, now: Time, *, choosing: bool = False) -> list[Decision]:
        """Everything to do now.

        Places are given only when offers have just come (`choosing`): those still in hand wait for the store, and
        are of few hosts. Whoever turns up meanwhile asks for offers of all that may do, to choose well among them.
        """
        wakes = [*advance_updates(self._state, now), *moves.note_lost(self._state, now)]
        wakes += moves.advance_moves(self._state, now)
        if choosing or self._followed != self._state.everywhere:
            changed = self._followed != self._state.everywhere
            follow_hosts(self._state, list(self._hosts.values()) if changed else self._hand.held, now)
            self._followed = dict(self._state.everywhere)
        kills: list[Decision] = []
        waiting: list[Task] = []
        for name in list(self._state.unsettled):
            task = self._state.tasks[name]
            if task.strays:
                kills += self._stop_strays(task, now, wakes)
            if task.run is not None and not task.run.launched:
                lacking = lacking_secret(self._state, task)
                if task.run.revision != task.wanted or moves.is_back(task) or lacking:
                    self._drop_place(task)
            self._state.sort_containers(task)
            for run in list(task.containers):
                kills += self._stop(task, run, now, wakes)
            if task.run is None and task.wanted not in (None, task.finished):
                if obstacle(self._state, task, now) is None:
                    waiting.append(task)
                elif task.not_before > now:
                    wakes.append(task.not_before)
        waiting += moves.movers(self._state)
        waiting = self._place(waiting, now) if waiting and choosing else waiting
        self._judge(waiting, now)
        # Kills come before launches: what they free is not needed for them, but stopping never has to wait.
        answers = [*self._launch(now), *self._give_back()]
        stated = self._state_demand(waiting, now, wakes)
        if any(isinstance(answer, Decline) for answer in answers):
            self._refused_until = now + DEFAULT_REFUSE_FOR
        return [*kills, *stated, *answers, *([Wake(min(wakes))] if wakes else [])]

    def _stop(self, task: Task, run: Run, now: Time, wakes: list[Time]) -> list[Decision]:
        """Stop a container that is not what is wanted, once that is safe in the store."""
        if run is not task.run and (steady := steady_at(self._state, task)) is not None and steady > now:
            wakes.append(steady)
        if not run.launched or not to_stop(self._state, task, run, now) or not self._state.saved(task):
            return []
        if run.kill_sent:
            if run.state in (TaskState.KILLING, TaskState.UNREACHABLE):
                return []
            if now < run.kill_sent + KILL_AGAIN_AFTER:
                wakes.append(run.kill_sent + KILL_AGAIN_AFTER)
                return []
        run.kill_sent = now
        return [Kill(run.id)]

    def _stop_strays(self, task: Task, now: Time, wakes: list[Time]) -> list[Decision]:
        due = [stray for stray, sent in task.strays.items() if not sent or now >= sent + KILL_AGAIN_AFTER]
        task.strays.update(dict.fromkeys(due, now))
        wakes += [sent + KILL_AGAIN_AFTER for sent in task.strays.values()]
        return [Kill(stray) for stray in due]

    # -- placing --

    def _place(self, waiting: list[Task], now: Time) -> list[Task]:
        """Give tasks places on the offers in hand, the hardest to place first. Returns those that found none."""
        hosts = self._hand.held
        company = Company(self._state, self._hosts.values())
        level = Level(hosts, company.used())
        hopeless: dict[tuple[object, ...], str] = {}  # what did not fit once does not fit later in this turn
        left = []
        plans = [(task, plan) for task in waiting if (plan := self._state.plan_to_place(task))]
        for task, plan in sorted(plans, key=_hardest_first):
            if task.run is not None and not moves.may_set_off(self._state, task):
                continue
            limits = company.limits(task, plan, hosts)
            kind = (plan.resources, plan.constraints, plan.free_ports, limits)
            if kind in hopeless:
                task.shortage = hopeless[kind]
                left.append(task)
                continue
            wishes = company.wishes(task, plan, hosts)
            host = level.choose(plan, company.places(task.name.of_job), limits, wishes)
            if host is None:
                seen = moves.elsewhere(self._state, self._hosts.values(), task)
                task.shortage = hopeless[kind] = shortage(plan, seen, limits)
                left.append(task)
                continue
            level.take(host, task.name, self._give_place(task, plan, host, now))
            if task.run is not None:
                company.take(task, task.run, plan)
        return left

    def _give_place(self, task: Task, plan: TaskPlan, host: Host, now: Time) -> Resources:
        moves.set_off(task)
        task.attempt += 1
        task_id = task.name.launch(task.wanted or 0, task.attempt)
        ports = choose_ports(plan, task_id, host)
        task.run = Run(task_id, task.wanted or 0, host.id, host.name, host.address, ports, now, since=now)
        task.run.probed, task.run.attributes = plan.probed, dict(host.attributes)
        task.gated, task.shortage, task.planned = False, "", ""
        self._state.changed(task)
        return plan.taken(ports)

    def _drop_place(self, task: Task) -> None:
        """Forget the place of a task that was not launched. Its number is spent."""
        assert task.run is not None and not task.run.launched
        host = self._hosts.get(task.run.host_id)
        if host is not None and task.name in host.placed:
            host.placed.remove(task.name)
        task.run = None
        moves.give_up_place(task)
        self._state.changed(task)

    def _judge(self, waiting: Sequence[Task], now: Time) -> None:
        """Once every host was looked at: which of those that are to move may run nowhere else."""
        if not self._judge_at or now < self._judge_at:
            return
        self._judge_at = 0
        company = Company(self._state, self._hosts.values())
        for task in waiting:
            plan = self._state.plan_to_place(task)
            if task.run is not None and plan is not None:
                hosts, limits = moves.elsewhere(self._state, self._hosts.values(), task), company.limits(task, plan)
                firsts = (refusal(plan, host, limits) for host in hosts)
                task.tied = all(first is not None and first.kind == "excluded" for first in firsts)

    def _let_go(self, host: Host) -> None:
        """The offers of this host are void."""
        for name in list(host.placed):
            self._drop_place(self._state.tasks[name])
        self._hand.forget(host)

    # -- answering --

    def _launch(self, now: Time) -> list[Decision]:
        """Launch what has a place, host by host, once everything placed there is safe in the store."""
        decisions: list[Decision] = []
        for host in self._hand.held:
            tasks = [self._state.tasks[name] for name in host.placed]
            if not tasks or not all(self._state.saved(task) for task in tasks):
                continue
            infos = []
            for task in tasks:
                plan = self._state.plan(task)
                assert task.run is not None and plan is not None
                task.run.launched, task.run.since = True, now
                infos.append(task_to_launch(task.name, task.run.id, plan, task.run.ports, self._state.secrets.value))
            decisions.append(Launch(tuple(host.offers), infos))
            self._hand.forget(host)
        return decisions

    def _give_back(self) -> list[Decision]:
        """Offers that nothing was placed on."""
        return self._hand.give_back([host for host in self._hand.held if not host.placed])

    def _state_demand(self, waiting: Sequence[Task], now: Time, wakes: list[Time]) -> list[Decision]:
        """State what waits for a place, where that has changed."""
        if not waiting:
            self._look_at = self._looked_at = 0
        elif not self._look_at:
            self._look_at = now + LOOK_AFTER
        elif now >= self._look_at:
            for host in self._hosts.values():
                host.absent = not host.offers and host.seen < self._looked_at
            if self._looked_at:
                forget_hosts(self._state, waiting, self._hosts.values(), now)
            self._looking, self._looked_at = True, now
            self._look_at, self._judge_at = now + LOOK_AGAIN_AFTER, now + LOOKED_AFTER
            for task in waiting:
                moves.give_up(self._state, task)
        wakes += [at for at in (self._look_at, self._judge_at) if at]
        demand = _EVERYTHING if self._looking else Demand(tuple(self._wants(waiting)), CHOICE)
        if demand == self._stated:
            return []
        more = wants_more(self._stated, demand)
        self._stated = demand
        return [Revive(), demand] if more and now < self._refused_until else [demand]

    def _wants(self, waiting: Collection[Task]) -> list[Want]:
        """What waits, with its rules as the conditions they come to now; what no host can be for is left out."""
        counts: Counter[tuple[Resources, tuple[Constraint, ...], bool]] = Counter()
        company = Company(self._state, self._hosts.values()) if waiting else None
        for task in waiting:
            plan = self._state.plan_to_place(task)
            if plan is None or company is None:
                continue
            limits = company.limits(task, plan)
            if all(limit.only is None or limit.only for limit in limits):
                now = tuple(condition for limit in limits for condition in limit.constraints())
                once = plan.resources.ports or any(each.attribute == "host" and each.most == 1 for each in plan.rules)
                counts[plan.resources, plan.constraints + now, bool(once)] += 1
        wants = [
            Want(resources, count, constraints, per_host=int(once))
            for (resources, constraints, once), count in counts.items()
        ]
        return [*wants, *standing_wants(self._state)]


def _hardest_first(entry: tuple[Task, TaskPlan]) -> tuple[bool, bool, int, int, TaskName]:
    task, plan = entry
    follows = any(rule.kind == "with" for rule in plan.rules)
    anywhere = not plan.constraints and not plan.rules and not plan.resources.ports
    return (follows, anywhere, -plan.resources.memory, -plan.resources.cpus, task.name)
