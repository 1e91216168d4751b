"""A storm of crashes, losses and commands: what must hold in the middle of it, and what it comes to afterwards.

`SimCluster` fails the test by itself where a task id is used twice or a task has two containers.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from frameworks.coding.names import parse_task_id
from offerer import Conflict, Resources, TaskState
from offerer.types import Availability
from tests.coding_cluster import SimCluster, SimHost

HOSTS = ("a", "b", "c")
VERSIONS = st.integers(1, 4)
TARGETS = st.sampled_from(["core", "core/db", "core/web", "core/web/1", "shop", "core/db/two"])


WAYS = {
    1: "",
    2: "update: {order: start-first, min_healthy: 1.0, healthy_for: 3s, on_failure: rollback, deadline: 30s}",
    3: "update: {parallel: 2, min_healthy: 0.5, healthy_for: 0s, on_failure: continue, deadline: 20s}\n"
    "    health: {http: /}",
    4: "update: {order: start-first, parallel: 2, canary: 1, on_failure: pause, deadline: 60s}\n"
    "    readiness: {tcp: 80}",
}


def core(version: int) -> str:
    """The service at some version: its command, the number of replicas and a dependency vary."""
    return f"""\
service: core
jobs:
  db:
    image: db:1
    ports: [{{container: 3306, host: 3306}}]
    tasks:
      one: {{host: a, command: [v{version // 2}]}}
      two: {{hosts: [b, c]}}
  web:
    image: web:{version}
    replicas: {1 + version}
    ports: [{{container: 80}}]
    constraints: [host != c]
    resources: {{cpus: 0.5, memory: 100MiB}}
    depends_on: [db]
    {WAYS[version]}
"""


SHOP = "service: shop\njobs: {front: {image: front:1, replicas: 2, depends_on: [core/web]}}\n"


class Storm(RuleBasedStateMachine):
    """Anything may happen at any time, between any two steps of the cluster."""

    @initialize()
    def begin(self) -> None:
        total = Resources.of(cpus=8, memory="4GiB", ports="3306,31000-31050")
        self.cluster = SimCluster([SimHost(name, total) for name in HOSTS])
        self.cluster.may_double = {"core/web"}
        self.cluster.push(core(1), SHOP)
        self.cluster.up("core", "shop")

    @rule(steps=st.integers(1, 12))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.cluster.step()

    @rule(seconds=st.sampled_from([0.5, 1, 6, 40]))
    def wait(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    @rule(version=VERSIONS)
    def push(self, version: int) -> None:
        self.cluster.push(core(version))

    @rule(what=TARGETS)
    def up(self, what: str) -> None:
        self.cluster.up(what)

    @rule(what=TARGETS)
    def down(self, what: str) -> None:
        self.cluster.down(what)

    @rule(what=TARGETS, order=st.sampled_from(["update", "update", "restart"]))
    def update(self, what: str, order: str) -> None:
        try:
            getattr(self.cluster, order)(what)
        except Conflict:
            pass  # it is not up

    @rule(what=st.sampled_from(["pause", "resume", "promote", "abort"]))
    def turn_the_update(self, what: str) -> None:
        try:
            getattr(self.cluster, what)("core")
        except Conflict:
            pass  # there is none, or it does not wait for that

    @rule(pick=st.integers(0, 100), healthy=st.booleans())
    def change_a_probe(self, pick: int, healthy: bool) -> None:
        probed = self.cluster.probed()
        if probed:
            self.cluster.probe(probed[pick % len(probed)], healthy)

    @rule(pick=st.integers(0, 100), clean=st.booleans())
    def end_a_container(self, pick: int, clean: bool) -> None:
        names = sorted(
            str(parsed[0])
            for host in self.cluster.hosts.values()
            if host.reachable
            for task in host.tasks
            if (parsed := parse_task_id(task)) and self.cluster._find(str(parsed[0]))[0].reachable
        )
        if names:
            state = TaskState.FINISHED if clean else TaskState.FAILED
            self.cluster.end(names[pick % len(names)], state, 0 if clean else 1)

    @rule(host=st.sampled_from(HOSTS))
    def lose_or_find(self, host: str) -> None:
        if self.cluster.hosts[host].reachable:  # type: ignore[index]
            self.cluster.lose(host)
        else:
            self.cluster.find_again(host)

    @rule(host=st.sampled_from(HOSTS), availability=st.sampled_from(Availability))
    def set_availability(self, host: str, availability: Availability) -> None:
        self.cluster.set_availability(host, availability)

    @rule(pick=st.integers(0, 100))
    def repeat_a_status(self, pick: int) -> None:
        self.cluster.repeat(pick)

    @rule(pick=st.integers(1, 20))
    def shuffle_statuses(self, pick: int) -> None:
        self.cluster.shuffle(pick)

    @rule()
    def rebalance(self) -> None:
        self.cluster.rebalance()

    @rule()
    def restart_framework(self) -> None:
        self.cluster.restart_framework()

    @rule()
    def reconnect(self) -> None:
        self.cluster.reconnect()

    @rule()
    def rescind(self) -> None:
        self.cluster.rescind()

    @rule()
    def break_or_mend_store(self) -> None:
        self.cluster.store_works = not self.cluster.store_works

    @precondition(lambda self: hasattr(self, "cluster"))
    @rule(bad=st.booleans())
    def break_or_mend_image(self, bad: bool) -> None:
        self.cluster.crashes_on_start = lambda name: bad and name.job == "web"

    @invariant()
    def nothing_runs_where_it_may_not(self) -> None:
        if not hasattr(self, "cluster"):
            return
        self.cluster.check_no_doubles()
        for task, host in self.cluster.running().items():
            assert not (task.startswith("core.web.") and host == "c")
            assert not (task.startswith("core.db.one.") and host != "a")
            assert not (task.startswith("core.db.two.") and host == "a")

    def teardown(self) -> None:
        """The storm is over: what is wanted comes to be, and then there is silence."""
        if not hasattr(self, "cluster"):
            return
        c = self.cluster
        c.store_works, c.crashes_on_start = True, lambda _: False
        for name in HOSTS:
            if not c.hosts[name].reachable:  # type: ignore[index]
                c.find_again(name)
        drained = [name for name in HOSTS if c.hosts[name].availability is Availability.DRAINING]  # type: ignore[index]
        for name in HOSTS:
            c.set_availability(name, Availability.ACTIVE)
        for task_id in c.probed():
            c.probe(task_id, True)
        c.up("core", "shop")
        c.advance(2000)
        wanted = {str(task.name) for task in c.state.tasks.values() if task.wanted is not None}
        rows = c.rows()
        waiting = {name: row["reason"] for name, row in rows.items() if row["state"] != "RUNNING"}
        assert waiting == {} and set(rows) == wanted
        assert all(row["revision"] == row["wanted_revision"] for row in rows.values())
        assert len(c.running()) == len(wanted)
        for name in drained[:1]:
            c.set_availability(name, Availability.DRAINING)
        c.advance(2000)
        assert len(c.running()) == len(wanted)
        left = {task for task, host in c.running().items() if host in drained[:1]}
        assert all(task.startswith("core.db.one.") for task in left), f"{drained[0]} is not emptied of {left}"
        made = c.decisions_made
        c.advance(3600)
        assert c.decisions_made == made, "it goes on deciding though nothing is to be done"


Storm.TestCase.settings = settings(stateful_step_count=50)
TestStorm = Storm.TestCase
