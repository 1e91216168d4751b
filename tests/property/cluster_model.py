"""A world around the core: executors and frameworks as simple as can be, with messages under way to each of them.

A connection delivers in order until it breaks; what was under way then is lost. `World.send` gives an event to the
core, checks the books, and puts what comes out on its way. What DESIGN.md section 4 promises is asserted here, by the
number it has there; the state machine beside this file draws what happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from offerer import SECOND, Offer, Resources, TaskInfo, TaskState, TaskStatus
from offerer.allocator.quota import amount_of, unmet
from offerer.core import Cluster
from offerer.core import events as e
from offerer.core import outputs as o
from offerer.resources import NOTHING

LONG = 3600 * SECOND
_NEXT = {
    TaskState.STAGING: (TaskState.STARTING, TaskState.RUNNING, TaskState.ERROR),
    TaskState.STARTING: (TaskState.RUNNING, TaskState.FAILED, TaskState.ERROR),
    TaskState.RUNNING: (TaskState.FINISHED, TaskState.FAILED),
    TaskState.KILLING: (TaskState.KILLED,),
}


@dataclass
class Held:
    """A task that an executor has, with its latest status."""

    framework_id: str
    resources: Resources
    status: TaskStatus


class Executor:
    """What it holds, and the statuses that nobody has acknowledged."""

    def __init__(self, world: World, name: str, attributes: dict[str, str], total: Resources) -> None:
        self.world = world
        self.name = name
        self.attributes = attributes
        self.total = total
        self.connected = False
        self.removed = False
        self.inbox: list[o.Output] = []
        self.tasks: dict[tuple[str, str], Held] = {}
        self.unacknowledged: dict[bytes, tuple[str, TaskStatus]] = {}
        self.unsent: list[bytes] = []

    def connect(self) -> None:
        self.connected = True
        self.unsent = list(self.unacknowledged)
        held = [e.HeldTask(task.framework_id, task.resources, task.status) for task in self.tasks.values()]
        self.world.send(e.HostRegistered(self.name, self.name, "", self.attributes, self.total, held))

    def disconnect(self) -> None:
        self.connected = False
        self.inbox.clear()
        self.world.send(e.HostDisconnected(self.name))

    def deliver(self, n: int) -> None:
        for _ in range(min(n, len(self.inbox))):
            self._on(self.inbox.pop(0))

    def _on(self, output: o.Output) -> None:
        match output:
            case o.LaunchTasks(_, framework_id, tasks):
                for task in tasks:
                    assert (framework_id, task.task_id) not in self.tasks, "a task is launched once"
                    status = TaskStatus(task.task_id, TaskState.STAGING, self.name)  # nothing is said of it yet
                    self.tasks[framework_id, task.task_id] = Held(framework_id, task.resources, status)
            case o.KillTask(_, framework_id, task_id, _):
                held = self.tasks.get((framework_id, task_id))
                if held is None:
                    self._add(framework_id, TaskStatus(task_id, TaskState.GONE, self.name, uuid=self.world.uuid()))
                elif held.status.state < TaskState.KILLING:
                    self._report(framework_id, task_id, held.resources, TaskState.KILLING)
            case o.AcknowledgeStatuses(_, uuids):
                for uuid in uuids:
                    self._on_acknowledged(uuid)

    def _on_acknowledged(self, uuid: bytes) -> None:
        framework_id, status = self.unacknowledged.pop(uuid, ("", None))
        self.unsent = [each for each in self.unsent if each != uuid]
        if status is not None and status.state.terminal and status.state is not TaskState.GONE:
            self.world.check_the_end_is_known(framework_id, status)
            self.tasks.pop((framework_id, status.task_id), None)

    def _report(self, framework_id: str, task_id: str, resources: Resources, state: TaskState) -> None:
        status = TaskStatus(task_id, state, self.name, at=self.world.now, uuid=self.world.uuid())
        self.tasks[framework_id, task_id] = Held(framework_id, resources, status)
        self._add(framework_id, status)

    def _add(self, framework_id: str, status: TaskStatus) -> None:
        self.unacknowledged[status.uuid] = (framework_id, status)
        self.unsent.append(status.uuid)

    def progress(self, key: tuple[str, str], choice: int) -> None:
        """The task moves on by itself."""
        held = self.tasks[key]
        states = _NEXT.get(held.status.state)
        if states:
            self._report(key[0], key[1], held.resources, states[choice % len(states)])

    def report(self, uuids: Iterable[bytes]) -> None:
        statuses = [self.unacknowledged[uuid] for uuid in uuids]
        self.unsent = [uuid for uuid in self.unsent if uuid not in set(uuids)]
        if statuses:
            self.world.send(e.TaskStatusesReported(self.name, statuses))

    def lose_everything(self) -> None:
        """The machine was set up anew: the host has the same id, and nothing on it."""
        assert not self.connected
        self.tasks.clear()
        self.unacknowledged.clear()


class Plugin:
    """A framework and its client: what it launched, how each ended, the offers it holds."""

    def __init__(self, world: World, name: str, roles: tuple[str, ...], failover_timeout: int) -> None:
        self.world = world
        self.name = name
        self.roles = roles
        self.failover_timeout = failover_timeout
        self.connected = False
        self.retired = False  # was away for too long, once
        self.gone = False  # never comes back
        self.suppressed = False
        self.demand = False
        self.inbox: list[o.Output] = []
        self.offers: dict[int, Offer] = {}
        self.launched: dict[str, str] = {}  # task → host, alive as far as it knows
        self.to_be_moved: dict[str, bool] = {}  # task → whether its host is to be emptied, as it was told last
        self.ended: dict[str, TaskStatus] = {}
        self.killed: set[str] = set()  # asked for of this master
        self.seen: set[bytes] = set()
        self.acks: list[bytes] = []
        self.refused: dict[tuple[str, str], Resources] = {}  # (role, host) → the last refusal

    def connect(self) -> None:
        self.connected = True
        self.suppressed = self.demand = False
        self.refused.clear()
        self.world.send(e.FrameworkRegistered(self.name, self.roles, self.failover_timeout, dict(self.launched)))

    def disconnect(self) -> None:
        self.connected = False
        self.inbox.clear()
        self.acks.clear()
        self.offers.clear()
        self.world.issued = {key: each for key, each in self.world.issued.items() if each[0] != self.name}
        self.world.send(e.FrameworkDisconnected(self.name))

    def deliver(self, n: int) -> None:
        for _ in range(min(n, len(self.inbox))):
            self._on(self.inbox.pop(0))

    def _on(self, output: o.Output) -> None:
        match output:
            case o.SendOffers(_, offers):
                self.offers |= {offer.id: offer for offer in offers}
            case o.RescindOffers(_, offer_ids):
                for offer_id in offer_ids:
                    self.offers.pop(offer_id, None)
            case o.ForwardStatuses(_, statuses) | o.ConfirmFramework(_, statuses):
                for status in statuses:
                    self._on_status(status)

    def _on_status(self, status: TaskStatus) -> None:
        self.to_be_moved[status.task_id] = status.draining
        if status.uuid:
            self.acks.append(status.uuid)
            if status.uuid in self.seen:
                return
            self.seen.add(status.uuid)
        task_id = status.task_id
        if task_id.startswith("ghost"):
            assert status.state is TaskState.GONE
            return
        if task_id in self.ended and self.retired:
            # It was away for too long, so its tasks were given up. Returning with a belief in one it is told GONE;
            # should the acknowledgement to the executor have got lost, how it really ended follows. The client's
            # memory of ended tasks (offerer/client/views.py) keeps that from the plug-in.
            return
        assert task_id not in self.ended, f"4: {self.ended.get(task_id)} and then {status}"
        if status.state.terminal:
            self.ended[task_id] = status
            self.launched.pop(task_id, None)
        else:
            self.launched[task_id] = status.host_id

    def kill(self, task_id: str, grace: int | None) -> None:
        self.killed.add(task_id)
        self.world.send(e.KillRequested(self.name, task_id, grace))

    def acknowledge(self, n: int) -> None:
        some, self.acks = self.acks[:n], self.acks[n:]
        if some:
            self.world.send(e.StatusesAcknowledged(self.name, some))

    def decline(self, offer_ids: list[int], refuse_for: int) -> None:
        for offer_id in offer_ids:
            offer = self.offers.pop(offer_id, None)
            if offer is not None and offer_id in self.world.issued and refuse_for:
                self.refused[offer.role, offer.host_id] = offer.resources
            self.world.issued.pop(offer_id, None)
        self.world.send(e.OffersDeclined(self.name, offer_ids, refuse_for))

    def accept(self, offer_ids: list[int], tasks: list[TaskInfo], refuse_for: int) -> None:
        """Launch; every task is then on its way to the host or answered for (invariant 3)."""
        before = set(self.launched) | set(self.ended)
        host = ""
        for offer_id in offer_ids:
            self.offers.pop(offer_id, None)
            if self.world.issued.get(offer_id, ("",))[0] == self.name:
                host = self.world.issued.pop(offer_id)[1].host_id
        self.launched |= {task.task_id: host for task in tasks if task.task_id not in before}
        outputs = self.world.send(e.OffersAccepted(self.name, offer_ids, tasks, refuse_for))
        answered = [
            status.task_id for each in outputs if isinstance(each, o.ForwardStatuses) for status in each.statuses
        ]
        under_way = [task.task_id for each in outputs if isinstance(each, o.LaunchTasks) for task in each.tasks]
        for task_id in {task.task_id for task in tasks}:
            n = sum(task.task_id == task_id for task in tasks)
            assert answered.count(task_id) + under_way.count(task_id) == n, f"3: silence about {task_id}"


@dataclass
class World:
    """The core and everybody around it."""

    now: int = 0
    term: int = 0
    executors: dict[str, Executor] = field(default_factory=dict)
    plugins: dict[str, Plugin] = field(default_factory=dict)
    known_hosts: dict[str, e.KnownHost] = field(default_factory=dict)
    roles: dict[str, o.PersistRole] = field(default_factory=dict)
    issued: dict[int, tuple[str, Offer]] = field(default_factory=dict)  # offers out, as told by the outputs
    counter: int = 0

    def __post_init__(self) -> None:
        self.restart_master()

    def uuid(self) -> bytes:
        self.counter += 1
        return b"x%015d" % self.counter

    def restart_master(self) -> None:
        """A new master: every connection is gone, it knows what was persisted."""
        for executor in self.executors.values():
            executor.connected = False
            executor.inbox.clear()
        for plugin in self.plugins.values():
            plugin.connected = False
            plugin.inbox.clear()
            plugin.acks.clear()
            plugin.offers.clear()
            plugin.killed.clear()
        self.issued.clear()
        self.term += 1
        self.cluster = Cluster()
        self.send(e.ClusterStarted(self.term, list(self.known_hosts.values())))
        for role in list(self.roles.values()):
            self.send(e.RoleConfigured(role.role, role.weight, role.guarantee, role.limit))

    def send(self, event: e.Event) -> list[o.Output]:
        """Have the core handle this, check its books, and put what comes out on its way."""
        outputs = self.cluster.handle(self.now, event)
        for output in outputs:
            self._route(output)
        self.check_books()
        if isinstance(event, e.TimePassed):
            self.check_quotas(outputs)
        return outputs

    def _route(self, output: o.Output) -> None:
        match output:
            case o.LaunchTasks() | o.KillTask() | o.AcknowledgeStatuses() | o.ConfirmHost():
                executor = self.executors[output.host_id]
                assert executor.connected, f"{output} to a host that is not connected"
                executor.inbox.append(output)
            case o.ConfirmFramework() | o.ForwardStatuses() | o.SendOffers() | o.RescindOffers():
                plugin = self.plugins[output.framework_id]
                assert plugin.connected, f"{output} to a framework that is not connected"
                plugin.inbox.append(output)
                self._note_offers(output)
            case o.PersistHost():
                self.known_hosts[output.host_id] = e.KnownHost(output.host_id, output.name, output.availability)
            case o.ForgetHost():
                del self.known_hosts[output.host_id]
            case o.PersistRole():
                self.roles[output.role] = output
            case o.Announce("framework_retired", fields):
                self.plugins[fields["framework"]].retired = True

    def _note_offers(self, output: o.Output) -> None:
        if isinstance(output, o.SendOffers):
            for offer in output.offers:
                assert offer.id not in self.issued, "2: an offer is made once"
                self.issued[offer.id] = (output.framework_id, offer)
        elif isinstance(output, o.RescindOffers):
            for offer_id in output.offer_ids:
                assert self.issued.pop(offer_id)[0] == output.framework_id

    # -- time ---------------------------------------------------------------------------------------------------

    def pass_time(self, duration: int) -> None:
        target = self.now + duration
        for _ in range(2000):
            deadline = self.cluster.next_deadline()
            if deadline is None or deadline > target:
                self.now = target
                return
            self.now = max(self.now, deadline)
            self.send(e.TimePassed())
        raise AssertionError("the core wants to be called for ever")

    # -- what DESIGN.md section 4 promises ------------------------------------------------------------------------

    def check_books(self) -> None:
        """1: offered + allocated + free = total, port by port. 2: a piece of resource is in one offer at most."""
        self.cluster.check_invariants()
        state = self.cluster.state
        assert {key: offer for key, (_, offer) in self.issued.items()}.keys() == state.offers.keys(), "2: offers out"
        for host in state.hosts.values():
            parts = [offer.resources for _, offer in self.issued.values() if offer.host_id == host.id]
            parts += [task.resources for task in host.tasks.values() if task.claimant is not None]
            whole = NOTHING
            for part in parts:
                whole = whole + part
            assert whole.port_count() == sum(part.port_count() for part in parts), "2: a port is held twice"
            assert not host.total.contains(whole) or host.free + whole == host.total, f"1: {host.name}"

    def check_quotas(self, outputs: list[o.Output]) -> None:
        """7: offers beyond a guarantee leave what other guarantees still need; none passes a limit."""
        offered = {offer.role for each in outputs if isinstance(each, o.SendOffers) for offer in each.offers}
        state = self.cluster.state
        roles = state.allocator.roles.clients
        free = NOTHING
        for host in state.hosts.values():
            if host.may_be_offered:
                free = free + host.free.without_ports()
        for name in offered:
            role = roles[name]
            got = [offer for each in outputs if isinstance(each, o.SendOffers) for offer in each.offers]
            for resource in ("cpus", "memory", "disk"):
                if not any(offer.role == name and amount_of(offer.resources, resource) for offer in got):
                    continue
                used = amount_of(role.used, resource)
                assert used <= role.limit.get(resource, used), f"7: {name} is over its limit of {resource}"
                needed = sum(unmet(other).get(resource, 0) for other in roles.values() if other is not role)
                if used > role.guarantee.get(resource, 0) and needed:
                    assert amount_of(free, resource) >= needed, f"7: {name} has {resource} that others are guaranteed"

    def check_the_end_is_known(self, framework_id: str, status: TaskStatus) -> None:
        """5: an executor is told to forget an end only when the framework knows of it, or will never ask."""
        plugin = self.plugins[framework_id]
        framework = self.cluster.state.frameworks.get(framework_id)
        task = framework.tasks.get(status.task_id) if framework is not None else None
        ended_otherwise = task is not None and task.state.terminal and task.status.uuid != status.uuid
        assert status.task_id in plugin.ended or ended_otherwise or plugin.retired, f"5: {status} got lost"

    def flow(self) -> None:
        """What is under way arrives, and what that brings about is said; frameworks keep their offers."""
        self.pass_time(0)
        for executor in self.executors.values():
            if executor.connected:
                executor.deliver(len(executor.inbox))
                executor.report(list(executor.unsent))
        for plugin in self.plugins.values():
            plugin.deliver(len(plugin.inbox))
            plugin.acknowledge(len(plugin.acks))

    # -- the end of the story -------------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """Everybody is connected, everything under way arrives, offers are declined for long."""
        for executor in self.executors.values():
            if not executor.connected and not executor.removed:
                executor.connect()
        for plugin in self.plugins.values():
            if not plugin.connected and not plugin.gone:
                plugin.connect()
        for _ in range(60):
            self.pass_time(0)
            if not self._one_turn():
                return self._check_that_all_agree()
        raise AssertionError("the cluster does not come to rest")

    def _one_turn(self) -> bool:
        busy = bool(self.cluster.state.recovering)
        if busy:
            self.pass_time(30 * SECOND)
        for executor in self.executors.values():
            busy |= executor.connected and bool(executor.inbox or executor.unsent)
        for plugin in self.plugins.values():
            busy |= bool(plugin.inbox or plugin.acks or plugin.offers)
        self.flow()
        for plugin in self.plugins.values():
            if plugin.offers:
                plugin.decline(list(plugin.offers), LONG)
        return busy

    def _check_that_all_agree(self) -> None:
        """A framework believes in a task when its host has it, and knows whether that is to be emptied; one that it
        wanted to stop is being stopped."""
        for plugin in self.plugins.values():
            for task_id, host in plugin.launched.items():
                held = self.executors[host].tasks.get((plugin.name, task_id)) if host else None
                if not plugin.gone:
                    assert held is not None, f"4: nobody tells {plugin.name} what became of {task_id} on {host}"
                    assert task_id not in plugin.killed or held.status.state >= TaskState.KILLING, "a kill got lost"
                    told = plugin.to_be_moved.get(task_id, False)  # of a launch still unanswered: nothing
                    known = self.cluster.state.hosts.get(host)
                    if held.status.state is not TaskState.STAGING or told:
                        assert known is None or told == known.draining, f"{plugin.name} is not told of {host}"
        for executor in self.executors.values():
            for (framework_id, task_id), held in executor.tasks.items():
                plugin = self.plugins[framework_id]
                known = task_id in plugin.launched or plugin.gone or executor.removed
                assert known or held.status.state.terminal, f"{executor.name} runs {task_id}, and nobody knows"

    def check_nothing_is_overlooked(self) -> None:
        """6: no event comes any more, so a look at every host finds nothing that somebody wants and did not refuse."""
        allocator = self.cluster.state.allocator
        allocator.look_everywhere()
        assert not allocator.run(self.now), "6: something free was overlooked"

    def check_everything_is_offered(self) -> None:
        """6: whoever forgets what it refused is offered all that is free."""
        for plugin in self.plugins.values():
            if plugin.connected and not plugin.suppressed:
                plugin.refused.clear()
                self.send(e.OffersRevived(plugin.name))
        self.come_to_rest()
        state = self.cluster.state
        allocator = state.allocator
        for host in state.hosts.values():
            for plugin in self.plugins.values():
                if not allocator.worth_offering(host.free) or not host.may_be_offered or self._quotas():
                    continue
                if not plugin.connected or plugin.suppressed or plugin.demand or host.held_for is not None:
                    continue
                for role in plugin.roles:
                    refused = plugin.refused.get((role, host.id), NOTHING)
                    assert refused.contains(host.free), f"6: {host.free} of {host.name} is kept from {plugin.name}"

    def _quotas(self) -> bool:
        return any(role.guarantee or role.limit for role in self.cluster.state.allocator.roles.clients.values())

    def end_every_task(self) -> None:
        """Frameworks stop all they have; those that never come back lose it. Until everything has ended."""
        self.come_to_rest()
        for plugin in self.plugins.values():
            if plugin.connected:
                self.send(e.OffersSuppressed(plugin.name))
        self.pass_time(8 * 24 * LONG)
        for _ in range(10):
            self.come_to_rest()
            if not any(x.tasks and not x.removed for x in self.executors.values()):
                break
            for plugin in self.plugins.values():
                for task_id in plugin.launched if plugin.connected else ():
                    plugin.kill(task_id, None)
            self.come_to_rest()
            for executor in self.executors.values():
                for key in list(executor.tasks):
                    executor.progress(key, 0)
        for executor in self.executors.values():
            if executor.connected:  # what nobody acknowledged is sent again
                executor.report(list(executor.unacknowledged))
        self.come_to_rest()

    def check_every_task_ended_once(self) -> None:
        """4 and 5: each launched task has ended, once, at its framework; and nobody keeps anything of it."""
        for plugin in self.plugins.values():
            assert plugin.gone or not plugin.launched, f"4: {plugin.name} never hears of {plugin.launched}"
            assert not plugin.gone or plugin.name not in self.cluster.state.frameworks, f"{plugin.name} is remembered"
        for executor in self.executors.values():
            if not executor.removed:
                assert not executor.unacknowledged, f"5: {executor.name} sends {executor.unacknowledged} for ever"
                assert not executor.tasks, f"{executor.name} runs {executor.tasks}, and nobody knows"
        state = self.cluster.state
        assert not state.unacknowledged and not state.early_kills
        assert not any(framework.tasks for framework in state.frameworks.values())
        assert not any(host.tasks or host.used for host in state.hosts.values())
