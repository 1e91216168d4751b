"""All that operators can say, and all that can happen to a cluster, in any order, and what it comes to.

In the end everything is mended, brought up and updated: exactly what the newest files say runs then, at the newest
revision, and there is silence. Then a last change is planned: what happens is what the plan has shown.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from frameworks.coding.files import PushedFile
from frameworks.coding.names import TaskName, is_once, parse_task_id
from frameworks.coding.pushes import prepare_push
from offerer import Conflict, Delete, Entry, InvalidInput, NotFound, Put, Resources, TaskState
from offerer.types import Availability
from tests.coding_cluster import SimCluster, SimHost

TOTAL = Resources.of(cpus=16, memory="32GiB", ports="3306,8080,31000-32500")
HOSTS = {"a": {"zone": "x"}, "b": {"zone": "x"}, "c": {"zone": "y"}, "run-1": {"zone": "y"}}
PICK = st.integers(0, 1000)

UPDATES = (
    "",
    "update: {parallel: 2, healthy_for: 2s, on_failure: rollback, deadline: 30s}",
    "update: {order: start-first, healthy_for: 3s, deadline: 30s}",
    "update: {order: start-first, parallel: 2, canary: 1, healthy_for: 1s, on_failure: continue, deadline: 20s}",
    "update: {canary: 1, on_failure: rollback, deadline: 20s}",
)
PROBES = ("", "health: {http: /, port: 80}", "readiness: {tcp: 80}")
RULES = ("", "host unique", "zone max_per 3", "spread zone", "zone == x", "host != c")
LOST = ("", "on_host_lost: wait", "on_host_lost: move", "on_host_lost: {move_after: 20s}")
FIXED_PORT = "ports: [{container: 3306, host: 3306}], "
DBS = (
    f"db: {{image: db:1, {FIXED_PORT}tasks: {{one: {{host: a}}, two: {{hosts: [b, c]}}}}}}",
    "db: {image: db:2, tasks: {one: {host: a, volumes: [data:/data]}}}",
    "db: {image: db:2, tasks: {one: {host: b}, three: {hosts: [a, c]}}}",
)
AGENTS = (
    "",
    "agent: {image: agent:1, one_per_host: true}",
    "agent: {image: agent:2, one_per_host: true, constraints: [zone == y], update: {order: start-first}}",
    "agent: {image: agent:2, replicas: 2}",
)
STEPS = ("", "step: {image: step:1, restart: {on: failure}}", "step: {image: step:2, restart: {on: failure}}")


@st.composite
def files(draw: st.DrawFn) -> str:
    """The service `core` in one of its many shapes."""

    def one(choices: tuple[str, ...]) -> str:
        return draw(st.sampled_from(choices))

    web = draw(st.sampled_from(["web", "web", "site"]))
    replicas = draw(st.integers(1, 3))
    secret, rule_, step = draw(st.booleans()), one(RULES), one(STEPS)
    fields = [
        f"image: web:{draw(st.integers(1, 3))}", f"replicas: {replicas}", "ports: [{container: 80}]", one(UPDATES),
        one(PROBES), one(LOST), f"constraints: [{rule_}]" if rule_ else "",
        f"depends_on: {{db: healthy{', step: finished' if step else ''}}}", "secrets: {key: store}" if secret else "",
    ]  # fmt: skip
    jobs = [f"{web}: {{{', '.join(filter(None, fields))}}}", one(DBS), one(AGENTS), step]
    return "service: core\njobs:\n" + "".join(f"  {job}\n" for job in jobs if job)


WEB = "service: core\njobs: {web: {image: web:1}}\n"
SHOP = "service: shop\njobs: {front: {image: front:1, replicas: 2, depends_on: {core/db: started}}}\n"
SERVICES = ("core", "shop", "core@test")
TARGETS = st.sampled_from(
    ["core", "core", "core/web", "core/site", "core/db", "core/web/1", "core/agent", "core/agent/a", "core/step",
     "core/db/one", "core/web/run-1", "shop", "core@test", "core@test/web"]
)  # fmt: skip


class Commands(RuleBasedStateMachine):
    """Anything may happen at any time, between any two steps of the cluster."""

    @initialize(file=files(), last=files(), shop=st.booleans())
    def begin(self, file: str, last: str, shop: bool) -> None:
        self.cluster = c = SimCluster([SimHost(name, TOTAL, dict(has)) for name, has in HOSTS.items()])
        c.may_double = {f"{service}/{job}" for service in SERVICES for job in ("web", "site", "agent")}
        c.check_launch = self.check_launch
        self.cluster.probe_says = lambda _: True
        self.last = last
        self.plan_: Any = None
        self.set_secret("key", "one")
        self.set_secret("key@test", "two")
        self.push(file, "")
        if shop:
            c.push(SHOP)
        c.up("core")

    # -- an operator -------------------------------------------------------------------------------------------

    def push(self, file: str, environment: str) -> bool:
        c = self.cluster
        if environment:
            file = file.replace(FIXED_PORT, "")  # a host has it once, for all environments
        try:
            push = prepare_push(c.state, [PushedFile("core.yaml", file, environment)], "me", "", c.now)
        except InvalidInput as error:
            note(f"not pushed: {error}")
            return False
        for revision in push.revisions:
            c.entries[revision.key] = Entry(revision.key, revision.to_bytes(), 1)
        c.state.add_revisions(push.revisions)
        return True

    def set_secret(self, name: str, value: str) -> None:
        self.take(self.cluster.state.secrets.set(name, value, "me", 0)[1])

    def take(self, changes: list[Put | Delete]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.cluster.entries[change.key] = Entry(change.key, change.value, 1)
            else:
                del self.cluster.entries[change.key]
        self.cluster.state.secrets.took_place(changes)

    @rule(file=files(), environment=st.sampled_from(["", "", "test"]))
    def push_a_file(self, file: str, environment: str) -> None:
        self.push(file, environment)

    @rule(value=st.sampled_from(["one", "two", "three"]), remove=st.booleans())
    def change_the_secret(self, value: str, remove: bool) -> None:
        if remove:
            try:
                self.take(self.cluster.state.secrets.remove("key", "me", 0))
            except NotFound:
                pass
        else:
            self.set_secret("key", value)

    @rule(what=TARGETS, order=st.sampled_from(["up", "up", "update", "update", "update", "restart", "down"]))
    def order(self, what: str, order: str) -> None:
        try:
            getattr(self.cluster, order)(what)
        except (Conflict, NotFound):
            pass  # it is not pushed, or not up

    @rule(what=TARGETS, pick=st.one_of(st.none(), st.integers(1, 5)))
    def roll_back(self, what: str, pick: int | None) -> None:
        try:
            self.cluster.rollback(what, pick)
        except (Conflict, NotFound):
            pass

    @rule(what=TARGETS, count=st.integers(1, 4))
    def scale(self, what: str, count: int) -> None:
        try:
            self.cluster.scale(what, count)
        except (Conflict, NotFound, InvalidInput):
            pass

    @rule(what=TARGETS)
    def run_once(self, what: str) -> None:
        try:
            self.cluster.run(what, "migrate")
        except (Conflict, NotFound, InvalidInput):
            pass

    @rule(what=st.sampled_from(["pause", "resume", "promote", "abort"]), service=st.sampled_from(SERVICES))
    def turn_the_update(self, what: str, service: str) -> None:
        try:
            getattr(self.cluster, what)(service)
        except (Conflict, NotFound):
            pass

    @rule(what=TARGETS, do=st.sampled_from(["", "up", "update"]))
    def plan(self, what: str, do: str) -> None:
        try:
            self.plan_, _ = self.cluster.plan(what, do=do)
        except (Conflict, NotFound):
            pass

    @rule()
    def do_the_plan(self) -> None:
        plan, self.plan_ = self.plan_, None
        if plan is not None:
            try:
                self.cluster.do(plan)
            except (Conflict, NotFound):
                pass  # it is something else now, or the framework was restarted

    @rule(what=TARGETS, do=st.sampled_from(["", "up", "update"]))
    def plan_and_do(self, what: str, do: str) -> None:
        """What was just shown holds."""
        try:
            plan, _ = self.cluster.plan(what, do=do)
        except (Conflict, NotFound):
            return
        if self.cluster.store_works:
            self.cluster.do(plan)

    @rule()
    def rebalance(self) -> None:
        self.cluster.rebalance()

    # -- what happens ------------------------------------------------------------------------------------------

    @rule(steps=st.integers(1, 12))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.cluster.step()

    @rule(seconds=st.sampled_from([0.5, 2, 6, 40, 100]))
    def wait(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    @rule(pick=PICK, healthy=st.booleans())
    def change_a_probe(self, pick: int, healthy: bool) -> None:
        probed = self.cluster.probed()
        if probed:
            self.cluster.probe(probed[pick % len(probed)], healthy)

    @rule(pick=PICK, clean=st.booleans())
    def end_a_container(self, pick: int, clean: bool) -> None:
        tasks = [task for host in self.cluster.hosts.values() if host.reachable for task in host.tasks]
        if tasks:
            state = TaskState.FINISHED if clean else TaskState.FAILED
            self.cluster.end_container(sorted(tasks)[pick % len(tasks)], state, 0 if clean else 1)

    @rule(pick=PICK)
    def lose_or_find(self, pick: int) -> None:
        host = self.host(pick)
        (self.cluster.lose if host.reachable else self.cluster.find_again)(host.name)

    @rule(pick=PICK, availability=st.sampled_from(Availability))
    def set_availability(self, pick: int, availability: Availability) -> None:
        self.cluster.set_availability(self.host(pick).name, availability)

    @rule(pick=PICK)
    def remove_or_join(self, pick: int) -> None:
        name = sorted(HOSTS)[pick % len(HOSTS)]
        if name not in self.cluster.hosts:
            self.cluster.join(SimHost(name, TOTAL, dict(HOSTS[name])))
        elif len(self.cluster.hosts) > 1:
            self.cluster.remove(name)

    @rule(what=st.sampled_from(["restart_framework", "restart_framework", "reconnect", "rescind"]))
    def disturb(self, what: str) -> None:
        getattr(self.cluster, what)()

    @rule(pick=PICK)
    def repeat_and_shuffle(self, pick: int) -> None:
        self.cluster.repeat(pick)
        self.cluster.shuffle(pick)

    @rule()
    def break_or_mend_store(self) -> None:
        self.cluster.store_works = not self.cluster.store_works

    @rule(bad=st.sampled_from(["", "web", "agent", "db"]))
    def break_or_mend_image(self, bad: str) -> None:
        self.cluster.crashes_on_start = lambda name: name.job == bad

    def host(self, pick: int) -> SimHost:
        hosts = list(self.cluster.hosts.values())
        return hosts[pick % len(hosts)]

    # -- what is allowed ---------------------------------------------------------------------------------------

    def check_launch(self, name: TaskName, revision: int, host: SimHost) -> None:
        task = self.cluster.state.tasks[name]
        plan = self.cluster.state.plan(task, revision)
        assert plan is not None and plan.allows(host.name, host.attributes), f"{name} is started on {host.name}"
        assert host.availability is Availability.ACTIVE and host.reachable
        assert not task.host or task.host == host.name

    # -- what it comes to --------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        c = self.cluster
        c.store_works, c.crashes_on_start = True, lambda _: False
        for name, has in HOSTS.items():
            if name not in c.hosts:
                c.join(SimHost(name, TOTAL, dict(has)))
            if not c.hosts[name].reachable:  # type: ignore[index]
                c.find_again(name)
            c.set_availability(name, Availability.ACTIVE)
        for task_id in c.probed():
            c.probe(task_id, True)
        self.set_secret("key", "last")
        self.set_secret("key@test", "last")
        c.settle()
        for task in list(c.state.tasks.values()):
            if task.once is not None and task.run is None and task.wanted is not None:
                c.down(str(task.name))  # it may wait for a secret of its revision that is gone
        for service in SERVICES:
            newest = c.state.newest(service)
            if newest is not None:
                self.push(newest.text, newest.environment)
                self.bring_to_the_newest(service)
        self.check_all_is_as_the_files_say()
        made, wakes = c.decisions_made, len(c.wakes)
        c.advance(3600)
        assert c.decisions_made == made, f"it goes on deciding though nothing is to be done: {c.log[-10:]}"
        assert len(c.wakes) <= wakes
        self.check_that_plans_come_true()

    def bring_to_the_newest(self, service: str) -> None:
        c = self.cluster
        c.up(service)
        self.go_through(service)
        c.update(service)
        self.go_through(service)
        c.up(service)
        self.go_through(service)
        assert service not in c.state.updates, f"{c.state.updates[service]} {self.waiting()}"

    def go_through(self, service: str) -> None:
        """Until an update is through; jobs that run to their end do so."""
        c = self.cluster
        for _ in range(30):
            c.advance(120)
            for task in list(c.running()):
                if ".step." in task or is_once(task.split(".")[2]):
                    c.end_container(task, TaskState.FINISHED, 0)
            update = c.state.updates.get(service)
            if update is None:
                c.advance(10)
                return
            if update.paused.startswith("canary"):
                c.promote(service)
            elif update.paused:
                c.resume(service)

    def waiting(self) -> dict[str, object]:
        return {name: row["reason"] for name, row in self.cluster.rows().items() if row["reason"]}

    def check_all_is_as_the_files_say(self) -> None:
        c = self.cluster
        expected = set()
        for service in c.state.revisions:
            newest = c.state.newest(service)
            assert newest is not None
            for job_name, job in newest.spec.jobs.items():
                scaled = next((each.replicas for name, each in c.state.scales.items()
                               if name == (service, job_name)), None)  # fmt: skip
                count = scaled if scaled and not job.tasks and not job.one_per_host else job.replicas or 1
                tasks = list(job.tasks) if job.tasks else [str(number + 1) for number in range(count)]
                if job.one_per_host:
                    zone = {"zone == y": ["c", "run-1"]}.get((job.constraints or [""])[0])
                    tasks = zone or list(HOSTS)
                if job.restart is None:
                    expected |= {f"{service}/{job_name}/{task}" for task in tasks}
        rows = {name: row for name, row in c.rows().items() if "/step/" not in name}
        there = {f"{parsed[0].service}/{parsed[0].job}/{name_of(c, parsed[0])}"
                 for task in c.running() if (parsed := parse_task_id(task))}  # fmt: skip
        assert there == expected and len(c.running()) == len(expected), (there ^ expected, self.waiting())
        for name, row in rows.items():
            assert row["state"] == "RUNNING" and row["revision"] == row["wanted_revision"], (name, row)
            newest = c.state.newest(str(row["service"]))
            assert newest and row["revision"] == newest.number, (name, row)

    def check_that_plans_come_true(self) -> None:
        c = self.cluster
        if not self.push(self.last, ""):
            return
        plan, _ = c.plan("core", do="update")
        note(f"{plan.steps}")
        before = {task.name: list(task.containers) for task in c.state.tasks.values()}
        ids = {name: [run.id for run in runs] for name, runs in before.items()}
        c.do(plan)
        self.go_through("core")
        assert "core" not in c.state.updates, c.state.updates["core"]
        touched = set()
        for step in plan.steps:
            touched.add(step.task)
            run = c.state.task(step.task).run
            if step.action in ("start", "replace", "move") and step.task.job != "step":
                assert run is not None and run.host == step.host, (step, run)
            elif step.action == "stop":
                assert run is None, (step, run)
        for name, was in ids.items():
            task = c.state.tasks.get(name)
            if name not in touched and task is not None and name.service == "core":
                assert [run.id for run in task.containers] == was, (name, was, task)


def name_of(c: SimCluster, name: TaskName) -> str:
    """What a task is expected as: of one with a host, that."""
    return c.state.tasks[name].host or name.task


Commands.TestCase.settings = settings(stateful_step_count=40, max_examples=12)
TestCommands = Commands.TestCase


def test_a_task_whose_secret_is_gone_stays_where_it_is() -> None:
    machine = Commands()
    web = "web: {image: web:1, secrets: {key: store}}"
    machine.begin(file=f"service: core\njobs: {{{web}}}\n", last="", shop=False)  # type: ignore[call-arg]
    c = machine.cluster
    c.settle()
    (was,) = c.running().items()
    machine.take(c.state.secrets.remove("key", "me", 0))  # by another tool: the command would refuse
    c.set_availability(was[1], Availability.DRAINING)
    c.advance(100)
    assert c.running() == dict([was])
    assert c.reason("core/web/1").endswith("; the secret key was removed; set it with: offerer secret set key, then "
                                           "push and update")  # fmt: skip
    c.lose(was[1])
    c.advance(200)
    assert "it is to move: the secret key was removed" in c.reason("core/web/1")


def test_what_is_pushed_while_a_plan_is_checked_is_not_rolled_out_by_it() -> None:
    c = SimCluster([SimHost("a", TOTAL)])
    c.push(WEB)
    c.up("core")
    c.push(WEB.replace("web:1", "web:2"))
    plan, _ = c.plan("core")
    checked = c.reviews.check(plan.token, c.planner.hosts_to_plan, plan.command, list(plan.targets), c.now)
    next(checked)
    c.push(WEB.replace("web:1", "web:3"))
    with pytest.raises(Conflict, match="now r3 is the newest"):
        list(checked)


def test_a_plan_in_which_a_task_waits_for_its_place_holds_when_nothing_changed() -> None:
    c = SimCluster([SimHost(name, TOTAL, dict(has)) for name, has in HOSTS.items()])
    c.may_double = {"core/web"}
    web = "image: web:1, replicas: 3, constraints: [spread zone], update: {order: start-first, healthy_for: 3s}"
    step = "step: {image: step:1, restart: {on: failure}}"
    c.push(f"service: core\njobs: {{web: {{{web}, depends_on: {{step: finished}}}}, {step}}}\n")
    c.up("core")
    c.settle()
    c.set_availability("b", Availability.CORDONED)
    c.push(f"service: core\njobs: {{web: {{{web}, health: {{tcp: 80}}}}}}\n")
    c.set_availability("a", Availability.CORDONED)
    plan, _ = c.plan("core/web", do="update")
    assert set(c.do(plan).changed) == {step.task for step in plan.steps}
