"""Where tasks may run, as a storm: none is ever started where its rules do not allow it, and none waits in vain.

What is allowed is worked out here once more, from the service file's words and the cluster itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from frameworks.coding.names import TaskName, parse_task_id
from offerer import SECOND, Conflict, InvalidInput, NotFound, Resources, TaskState, Time
from tests.coding_cluster import SimCluster, SimHost

TOTAL = Resources.of(cpus=2, memory="4GiB", ports="31000-31050")
HOSTS = {
    "a1": {"zone": "a", "disk": "ssd"}, "a2": {"zone": "a", "disk": "hdd"}, "b1": {"zone": "b", "disk": "ssd"},
    "b2": {"zone": "b"}, "c1": {"zone": "c", "disk": "hdd"},
}  # fmt: skip
ATTRIBUTES = st.fixed_dictionaries(
    {}, optional={"zone": st.sampled_from("abc"), "disk": st.sampled_from(["ssd", "hdd"])}
)
OF_WEB = (
    "zone unique", "host unique", "zone max_per 2", "spread zone", "same zone", "zone != c", "disk == ssd", "apart db",
)  # fmt: skip
OF_DB = ("host unique", "spread zone", "zone in [a, c]", "with web", "apart web")
LOST = st.sampled_from(["wait", "move", "{move_after: 30s}"])
PICK = st.integers(0, 100)
ORDERS = ("up", "update", "down", "rollback", "restart")


def service(web: Sequence[str], db: Sequence[str], replicas: int, lost: str, order: str, image: int, agent: str) -> str:
    return f"""\
service: s
jobs:
  web: {{image: web:{image}, replicas: {replicas}, constraints: {list(web)}, on_host_lost: {lost},
    update: {{order: {order}}}}}
  db: {{image: db:{image}, replicas: 2, constraints: {list(db)}, resources: {{cpus: 0.5}}}}
  agent: {{image: agent:{image}, one_per_host: true, constraints: [{agent}]}}
"""


FILES = st.builds(
    service,
    st.lists(st.sampled_from(OF_WEB), max_size=2, unique=True),
    st.lists(st.sampled_from(OF_DB), max_size=2, unique=True),
    st.integers(1, 4),
    LOST,
    st.sampled_from(["stop-first", "start-first"]),
    st.integers(1, 3),
    st.sampled_from(["disk == ssd", "zone =~ [ab]"]),
)


class Places(RuleBasedStateMachine):
    """Anything may happen at any time."""

    @initialize(file=FILES)
    def begin(self, file: str) -> None:
        self.cluster = SimCluster([SimHost(name, TOTAL, dict(attributes)) for name, attributes in HOSTS.items()])
        self.cluster.check_launch, self.cluster.may_double = self.check_launch, {"s/web"}
        self.files: list[str] = []
        self.ended: dict[tuple[str, str], Time] = {}
        self.push(file)
        if self.files:
            self.cluster.up("s")

    # -- what happens --

    @rule(file=FILES)
    def push(self, file: str) -> None:
        try:
            if self.cluster.push(file).revisions:
                self.files.append(file)
        except InvalidInput:
            pass  # such rules can never hold

    @rule(what=st.sampled_from(["s", "s/web", "s/db", "s/agent"]), order=st.sampled_from(ORDERS))
    def order(self, what: str, order: str) -> None:
        try:
            getattr(self.cluster, order)(what)
        except (Conflict, NotFound):
            pass  # it is not pushed, or not up

    @rule(order=st.sampled_from(["abort", "resume"]))
    def turn_the_update(self, order: str) -> None:
        try:
            getattr(self.cluster, order)("s")
        except (Conflict, NotFound):
            pass

    @rule(steps=st.integers(1, 12))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.cluster.step()

    @rule(seconds=st.sampled_from([1, 6, 40, 100]))
    def wait(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    @rule(pick=PICK)
    def lose_or_find(self, pick: int) -> None:
        host = self.host(pick)
        (self.cluster.lose if host.reachable else self.cluster.find_again)(host.name)

    @rule(pick=PICK, attributes=ATTRIBUTES)
    def change_attributes(self, pick: int, attributes: dict[str, str]) -> None:
        self.cluster.change_attributes(self.host(pick).name, attributes)

    @rule(pick=PICK)
    def remove_or_join(self, pick: int) -> None:
        name = list(HOSTS)[pick % len(HOSTS)]
        if name in self.cluster.hosts:
            self.note_ended(self.cluster.hosts[name].tasks, name)  # type: ignore[index]
            self.cluster.remove(name)
        else:
            self.cluster.join(SimHost(name, TOTAL, dict(HOSTS[name])))

    @rule(pick=PICK)
    def end_a_container(self, pick: int) -> None:
        tasks = [(task, host) for task, host in self.cluster.running().items() if self.cluster.hosts[host].reachable]
        if tasks:
            task, host = tasks[pick % len(tasks)]
            self.note_ended([task], host)
            self.cluster.end_container(task, TaskState.FAILED, 1)

    @rule(pick=PICK, what=st.sampled_from(["restart_framework", "reconnect", "rescind"]))
    def disturb(self, pick: int, what: str) -> None:
        getattr(self.cluster, what)()

    @rule(pick=PICK)
    def repeat_and_shuffle(self, pick: int) -> None:
        self.cluster.repeat(pick)
        self.cluster.shuffle(pick)

    def host(self, pick: int) -> SimHost:
        hosts = list(self.cluster.hosts.values()) or [SimHost("none", TOTAL)]
        if not self.cluster.hosts:
            self.cluster.join(hosts[0])
        return hosts[pick % len(hosts)]

    def note_ended(self, tasks: Sequence[str], host: str) -> None:
        for task in tasks:
            self.ended[task.split(".")[1], host] = self.cluster.now

    # -- what is allowed --

    def check_launch(self, name: TaskName, revision: int, host: SimHost) -> None:
        placed = self.cluster.state.tasks[name].run
        assert placed is not None
        for each in self.conditions(name, revision):
            if each != "spread zone" and not self.allows(each, name, revision, host, since=placed.placed):
                raise AssertionError(f"{name} at r{revision} is started on {host.name}, though {each}: {self.where()}")
        assert not self.is_kept_off(name, host), f"{name} is started on {host.name}, beside what is apart of it"

    def conditions(self, name: TaskName, revision: int) -> list[str]:
        plan = self.cluster.state.revisions["s"][revision].spec.jobs[name.job]
        return list(plan.constraints or ())

    def allows(self, each: str, name: TaskName, revision: int, host: SimHost, *, since: Time) -> bool:
        words, has = each.split(), host.attributes
        others = [other for other in self.others(name.job, name) if self.counts(other, each, since)]
        zones = [self.zone(other) for _, other in others]
        known: dict[str, Callable[[], bool]] = {
            "zone unique": lambda: "zone" in has and has["zone"] not in zones,
            "host unique": lambda: host.name not in [other for _, other in others],
            "zone max_per 2": lambda: "zone" in has and zones.count(has["zone"]) < 2,
            "same zone": lambda: "zone" in has and self.is_the_same(name, revision, has["zone"]),
            "zone != c": lambda: has.get("zone") != "c",
            "zone in [a, c]": lambda: has.get("zone") in ("a", "c"),
            "zone =~ [ab]": lambda: has.get("zone") in ("a", "b"),
            "disk == ssd": lambda: has.get("disk") == "ssd",
            "spread zone": lambda: "zone" in has and self.is_fewest(name, revision, has["zone"]),
        }
        if each in known:
            return known[each]()
        on_it = host.name in [other for _, other in self.others(words[1], name)]
        if words[0] == "apart":
            return not on_it
        return on_it or self.ended.get((words[1], host.name), -1) >= since

    def others(self, job: str, name: TaskName) -> list[tuple[str, str]]:
        """The tasks of a job but this one, with the host of each of their containers; a task once in each place."""
        found = set()
        for task, host in self.cluster.running().items():
            parsed = parse_task_id(task)
            if parsed and parsed[0].job == job and parsed[0] != name:
                found.add((str(parsed[0]), host))
        return sorted(found)

    def counts(self, other: tuple[str, str], each: str, since: Time) -> bool:
        """Not where it came later, by a revision that has no such rule: it may stand where this one is to go."""
        task = next(task for task in self.cluster.state.tasks.values() if str(task.name) == other[0])
        runs = [run for run in task.containers if run.host == other[1]]
        return any(run.placed < since or each in self.conditions(task.name, run.revision) for run in runs)

    def zone(self, host: str) -> str | None:
        return self.cluster.told.get(host, {}).get("zone")

    def staying(self, name: TaskName) -> list[tuple[str, int]]:
        """The hosts of the job's other tasks, and their revisions, as they are to stay."""
        tasks = self.cluster.state.jobs[name.of_job].values()
        return [(task.run.host, task.run.revision) for task in tasks if task.run and task.name != name]

    def is_the_same(self, name: TaskName, revision: int, zone: str) -> bool:
        asked = self.conditions(name, revision)
        alike = [self.zone(host) for host, number in self.staying(name) if self.conditions(name, number) == asked]
        return len(set(alike)) != 1 or alike[0] in (zone, None)

    def is_fewest(self, name: TaskName, revision: int, zone: str) -> bool:
        others = [each for each in self.conditions(name, revision) if each.startswith(("zone !", "zone in", "disk"))]
        fitting = [
            host
            for host in self.cluster.hosts.values()
            if host.reachable and all(self.allows(each, name, revision, host, since=0) for each in others)
        ]
        counts = dict.fromkeys(filter(None, (self.zone(host.name) for host in fitting)), 0)
        for host, _ in self.staying(name):
            at = self.zone(host)
            if at in counts:
                counts[at] += 1
        return counts.get(zone, 0) == min(counts.values(), default=0)

    def where(self) -> dict[str, str]:
        return {f"{task} on {host}": str(self.zone(host)) for task, host in self.cluster.running().items()}

    # -- what it comes to --

    def teardown(self) -> None:
        if not getattr(self, "files", None):
            return
        c = self.cluster
        for name, host in list(c.hosts.items()):
            if not host.reachable:
                c.find_again(name)
        c.up("s")
        c.advance(1000)
        waiting = [task for task in c.state.tasks.values() if task.wanted is not None and not task.settled]
        for task in waiting:
            assert task.run is None and task.not_before <= c.now, f"{task.name}: {c.reason(str(task.name))}"
            for host in c.hosts.values():
                plan = c.state.plan(task)
                assert plan is not None
                fits = host.free.contains(plan.resources) and task.host in ("", host.name)
                asked = self.conditions(task.name, task.wanted or 0)
                number = task.wanted or 0
                if fits and all(self.allows(each, task.name, number, host, since=c.now + 1) for each in asked):
                    if not self.is_kept_off(task.name, host):
                        raise AssertionError(f"{task.name} waits, though {host.name} would do: {self.where()}")
        self.check_agents()
        if not waiting and not c.state.updates:
            made = c.decisions_made
            c.advance(1000)
            assert c.decisions_made == made, "it goes on deciding though nothing is to be done"
        assert c.now > SECOND

    def is_kept_off(self, name: TaskName, host: SimHost) -> bool:
        """Whether a task that runs there is to be apart from this one."""
        for task in host.tasks:
            parsed = parse_task_id(task)
            if parsed and f"apart {name.job}" in self.conditions(parsed[0], parsed[1]):
                return True
        return False

    def check_agents(self) -> None:
        """Each host that fits has its agent, and no other has one."""
        c = self.cluster
        number = next((number for job, number in c.state.everywhere.items() if job.job == "agent"), None)
        if number is None or c.state.updates:
            return
        name = TaskName("s", "agent", "")
        down = {task.host for task in c.state.tasks.values() if task.host and not task.gone and task.wanted is None}
        fits = {
            host.name
            for host in c.hosts.values()
            if all(self.allows(each, name, number, host, since=c.now + 1) for each in self.conditions(name, number))
        }
        there = {host for task, host in c.running().items() if task.startswith("s.agent.")}
        assert there - fits == set() or any(run.revision != number for run in self.agents()), (there, fits, down)
        least = Resources.of(cpus=0.1, memory="128MiB")
        full = {host.name for host in c.hosts.values() if not host.free.contains(least)}
        assert fits - down - there <= full, (fits, down, there, self.where())

    def agents(self) -> list:
        tasks = self.cluster.state.tasks.values()
        return [run for task in tasks if task.name.job == "agent" for run in task.containers]


Places.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestPlaces = Places.TestCase
