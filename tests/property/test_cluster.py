"""The seven invariants of DESIGN.md section 4, whatever happens. `cluster_model` is the world around the core."""

from __future__ import annotations

from cluster_model import LONG, Executor, Plugin, World
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from offerer import SECOND, Constraint, Demand, Resources, TaskInfo, Want
from offerer.core import events as e
from offerer.errors import InvalidInput, NotFound, PeerError
from offerer.resources import GIB, MIB
from offerer.types import Availability

ROLES = ("gold", "silver", "bronze")
TIMES = st.sampled_from([0, SECOND, 5 * SECOND, 60 * SECOND, LONG])
NUMBER = st.integers(0, 1000)
FEW = st.integers(0, 4)


def some(items, number):
    """One of them, whichever the number says."""
    items = list(items)
    return items[number % len(items)] if items else None


totals = st.builds(
    lambda cpus, memory, ports: Resources(cpus * 500, memory * 512 * MIB, ports=((31000, 31000 + ports),)),
    st.integers(0, 8), st.integers(0, 8), st.integers(0, 3),
)  # fmt: skip
SMALL = Resources(250, 256 * MIB)
sizes = st.sampled_from([SMALL, SMALL, SMALL, Resources(250), Resources(memory=GIB), Resources(1000, GIB), Resources()])
amounts = st.dictionaries(st.sampled_from(["cpus", "memory"]), st.integers(0, 4), max_size=2).map(
    lambda chosen: {name: n * (500 if name == "cpus" else 512 * MIB) for name, n in chosen.items()}
)
constraints = st.sampled_from([(), (Constraint("zone", "==", ("a",)),), (Constraint("host", "in", ("h0", "h2")),)])
wants = st.builds(Want, sizes, st.integers(0, 5), constraints, st.integers(0, 2))
demands = st.one_of(
    st.just(Demand(None)), st.builds(Demand, st.lists(wants, max_size=3).map(tuple), st.integers(1, 2))
)


class ClusterMachine(RuleBasedStateMachine):
    """Draws what happens next."""

    @initialize(hosts=st.integers(1, 4), frameworks=st.integers(1, 3), quotas=st.booleans(), demand=demands)
    def begin(self, hosts, frameworks, quotas, demand):
        self.world = World()
        self.quotas = quotas
        self.tasks = 0
        for i in range(hosts):
            executor = Executor(self.world, f"h{i}", {"zone": "ab"[i % 2]}, Resources(2000, 2 * GIB, ports=((80, 81),)))
            self.world.executors[executor.name] = executor
            executor.connect()
        for i in range(frameworks):
            roles = (ROLES[i],) if i % 2 else (ROLES[i], ROLES[(i + 1) % 3])
            plugin = Plugin(self.world, f"f{i}", roles, (LONG, 20 * SECOND, 0)[i])
            self.world.plugins[plugin.name] = plugin
            plugin.connect()
        for plugin in self.world.plugins.values():  # some tasks in every stage, to begin with
            self.launch(plugin, 0, [SMALL, SMALL], 0)
            self.world.flow()
            self.world.flow()
            for executor in self.world.executors.values():
                for key in list(executor.tasks)[::2]:
                    executor.progress(key, 0)
            self.launch(plugin, 1, [SMALL], 0)
        plugin.demand = demand.wants is not None
        self.world.send(e.DemandStated(plugin.name, demand))

    def executor(self, number, *, connected=True):
        return some((x for x in self.world.executors.values() if x.connected == connected and not x.removed), number)

    def plugin(self, number, *, connected=True):
        return some((x for x in self.world.plugins.values() if x.connected == connected and not x.gone), number)

    # -- executors ----------------------------------------------------------------------------------------------

    @rule(which=NUMBER, n=FEW)
    def executor_hears(self, which, n):
        if executor := self.executor(which):
            executor.deliver(n)

    @rule(which=NUMBER, task=NUMBER, choice=FEW)
    def task_moves_on(self, which, task, choice):
        executor = some((x for x in self.world.executors.values() if x.tasks), which)
        if executor:
            executor.progress(some(executor.tasks, task), choice)

    @rule(which=NUMBER)
    def executor_reports(self, which):
        if executor := self.executor(which):
            executor.report(list(executor.unsent))

    @rule(which=NUMBER, picks=st.lists(NUMBER, min_size=1, max_size=4))
    def executor_reports_again_in_any_order(self, which, picks):
        executor = self.executor(which)
        if executor and executor.unacknowledged:
            executor.report([some(executor.unacknowledged, pick) for pick in picks])

    @rule(which=NUMBER)
    def executor_disconnects(self, which):
        if executor := self.executor(which):
            executor.disconnect()

    @rule(which=NUMBER)
    def executor_connects(self, which):
        if executor := self.executor(which, connected=False):
            executor.connect()

    @rule(which=NUMBER, total=totals, zone=st.sampled_from("ab"))
    def executor_registers_with_other_resources(self, which, total, zone):
        executor = some((x for x in self.world.executors.values() if not x.removed), which)
        if executor:
            executor.total, executor.attributes = total, {"zone": zone}
            executor.inbox.clear()
            executor.connect()

    @rule(which=NUMBER)
    def host_is_set_up_anew(self, which):
        if executor := self.executor(which, connected=False):
            executor.lose_everything()

    @rule(which=NUMBER)
    def host_is_removed(self, which):
        executor = self.executor(which, connected=False)
        if executor and executor.name in self.world.cluster.state.hosts:
            executor.removed = True
            self.world.send(e.HostRemoved(executor.name))

    @rule(which=NUMBER, availability=st.sampled_from(Availability))
    def operator_sets_availability(self, which, availability):
        host = some(self.world.cluster.state.hosts, which)
        if host:
            self.world.send(e.HostAvailabilitySet(host, availability))

    @rule(which=NUMBER, task=NUMBER)
    def operator_kills(self, which, task):
        framework = some(self.world.cluster.state.frameworks.values(), which)
        task_id = some(framework.tasks, task) if framework else None
        if task_id:
            alive = not framework.tasks[task_id].state.terminal
            try:
                self.world.send(e.KillOrdered(framework.id, task_id))
                assert alive
            except NotFound:
                assert not alive

    @rule(which=NUMBER, other=NUMBER)
    def executor_claims_what_is_anothers(self, which, other):
        executor, victim = self.executor(which), self.executor(other)
        alive = [x for x in victim.tasks.items() if not x[1].status.state.terminal] if victim else []
        framework = self.world.cluster.state.frameworks.get(alive[0][0][0]) if alive else None
        task = framework.tasks.get(alive[0][0][1]) if framework else None
        if executor is not victim and task is not None and not task.state.terminal:
            try:
                self.world.send(e.TaskStatusesReported(executor.name, [(framework.id, alive[0][1].status)]))
            except PeerError:
                return
            raise AssertionError("it should have been refused")

    # -- frameworks ---------------------------------------------------------------------------------------------

    @rule(which=NUMBER, n=FEW)
    def framework_hears(self, which, n):
        if plugin := self.plugin(which):
            plugin.deliver(n)

    @rule(which=NUMBER, n=FEW)
    def framework_acknowledges(self, which, n):
        if plugin := self.plugin(which):
            plugin.acknowledge(n)

    @rule(which=NUMBER, offer=NUMBER, resources=st.lists(sizes, max_size=3), port=st.booleans(), refuse_for=TIMES)
    def framework_launches(self, which, offer, resources, port, refuse_for):
        if plugin := self.plugin(which):
            ports = Resources(ports=((80 + offer % 2, 80 + offer % 2),)) if port else Resources()
            self.launch(plugin, offer, [size + ports for size in resources], refuse_for)

    def launch(self, plugin, offer, sizes, refuse_for):
        """On all offers of one host that it has or can get."""
        self.world.pass_time(0)
        plugin.deliver(99)
        first = some(plugin.offers.values(), offer)
        if first:
            offers = [x for x in plugin.offers.values() if (x.host_id, x.role) == (first.host_id, first.role)]
            plugin.accept([x.id for x in offers], [self.task(size) for size in sizes], refuse_for)

    @rule(which=NUMBER, picks=st.lists(NUMBER, max_size=3), size=sizes, again=st.booleans())
    def framework_launches_on_whatever(self, which, picks, size, again):
        """Others' offers, made-up ones, several hosts', one twice; an id that exists, or one twice."""
        plugin = self.plugin(which)
        if plugin:
            ids = [some([*self.world.issued, 12345], pick) for pick in picks]
            infos = [self.task(size)]
            infos += infos if again else []
            plugin.accept(ids, infos, 0)

    def task(self, resources):
        self.tasks += 1
        return TaskInfo(f"t{self.tasks}", resources, b"")

    @rule(which=NUMBER, picks=st.lists(NUMBER, min_size=1, max_size=4), refuse_for=TIMES)
    def framework_declines(self, which, picks, refuse_for):
        plugin = self.plugin(which)
        if plugin and plugin.offers:
            plugin.decline([some(plugin.offers, pick) for pick in picks], refuse_for)

    @rule(which=NUMBER, task=NUMBER, ghost=st.booleans())
    def framework_kills(self, which, task, ghost):
        if plugin := self.plugin(which):
            task_id = f"ghost{task}" if ghost else some(plugin.launched, task)
            if task_id:
                plugin.kill(task_id, task)

    @rule(which=NUMBER)
    def framework_suppresses(self, which):
        if plugin := self.plugin(which):
            plugin.suppressed = True
            self.world.send(e.OffersSuppressed(plugin.name))

    @rule(which=NUMBER)
    def framework_revives(self, which):
        if plugin := self.plugin(which):
            plugin.suppressed = False
            plugin.refused.clear()
            self.world.send(e.OffersRevived(plugin.name))

    @rule(which=NUMBER, demand=demands)
    def framework_states_demand(self, which, demand):
        if plugin := self.plugin(which):
            plugin.demand = demand.wants is not None
            self.world.send(e.DemandStated(plugin.name, demand))

    @rule(which=NUMBER)
    def framework_disconnects(self, which):
        if plugin := self.plugin(which):
            plugin.disconnect()

    @rule(which=NUMBER)
    def framework_goes_for_good(self, which):
        if plugin := self.plugin(which):
            plugin.gone = True
            plugin.disconnect()

    @rule(which=NUMBER)
    def framework_launches_and_dies_before_it_is_sent(self, which):
        plugin = self.plugin(which)
        if plugin and plugin.offers:
            self.tasks += 1
            plugin.launched[f"t{self.tasks}"] = some(plugin.offers.values(), 0).host_id
            plugin.disconnect()

    @rule(which=NUMBER, roles=st.sampled_from([None, ("gold",), ("silver", "bronze")]))
    def framework_connects(self, which, roles):
        if plugin := self.plugin(which, connected=False):
            plugin.roles = roles or plugin.roles
            plugin.connect()

    # -- the operator, the master, time ---------------------------------------------------------------------------

    @precondition(lambda self: self.quotas)
    @rule(role=st.sampled_from(ROLES), weight=st.sampled_from([None, 500, 3000]), guarantee=amounts, limit=amounts)
    def operator_configures(self, role, weight, guarantee, limit):
        try:
            self.world.send(e.RoleConfigured(role, weight, guarantee, limit))
        except InvalidInput:
            assert any(guarantee[name] > limit[name] for name in guarantee.keys() & limit.keys())

    @rule()
    def master_restarts(self):
        self.world.restart_master()

    @rule(duration=st.sampled_from([0, 0, SECOND, 10 * SECOND, 31 * SECOND, 61 * SECOND]))
    def time_passes(self, duration):
        self.world.pass_time(duration)

    @rule()
    def messages_arrive(self):
        self.world.flow()

    @rule()
    def everything_comes_to_rest(self):
        self.world.come_to_rest()
        self.world.check_nothing_is_overlooked()
        self.world.check_everything_is_offered()

    def teardown(self):
        if hasattr(self, "world"):
            self.everything_comes_to_rest()
            self.world.end_every_task()
            self.world.check_every_task_ended_once()


TestCluster = ClusterMachine.TestCase
