"""What the `coding` framework does, told as stories in virtual time, with the hosts and the store of `SimCluster`."""

from __future__ import annotations

import pytest

from frameworks.coding import backoff
from frameworks.coding.explain import why
from frameworks.coding.strategy import Restart
from offerer import SECOND, Conflict, HostId, NotFound, Reason, Resources, TaskId, TaskState, TaskStatus
from tests.coding_cluster import SimCluster, SimHost

CORE = """\
service: core
jobs:
  mysql:
    image: mysql:5.7
    resources: {cpus: 1, memory: 1GiB}
    ports: [{container: 3306, host: 3306}]
    tasks:
      primary: {host: db-1}
      replica: {host: db-2}
  web:
    image: web:1
    resources: {cpus: 0.5, memory: 256MiB}
    ports: [{container: 8080, name: http}]
    replicas: 3
    depends_on: [mysql]
"""
ONE = "service: one\njobs: {web: {image: web:1, ports: [{container: 80}]}}\n"
ALL_OF_CORE = {"core/mysql/primary", "core/mysql/replica", "core/web/1", "core/web/2", "core/web/3"}


def host(name: str, cpus: float = 4, memory: str = "8GiB", **attributes: str) -> SimHost:
    return SimHost(name, Resources.of(cpus=cpus, memory=memory, ports="31000-32000,3306"), attributes)


def cluster(*names: str) -> SimCluster:
    return SimCluster([host(name) for name in names or ("db-1", "db-2", "app-1", "app-2")])


def started(*files: str, hosts: tuple[str, ...] = ()) -> SimCluster:
    """A cluster on which these services run."""
    c = cluster(*hosts)
    c.push(*files)
    c.up(*c.state.revisions)
    c.settle()
    return c


def service(name: str, **jobs: str) -> str:
    lines = "".join(f"  {job}: {{image: x:1, {fields}}}\n" for job, fields in jobs.items())
    return f"service: {name}\njobs:\n{lines}"


def is_quiet(c: SimCluster) -> bool:
    """Whether the planner has nothing more to say, however long one waits."""
    made = c.decisions_made
    c.advance(3600)
    return c.decisions_made == made


# -- up -------------------------------------------------------------------------------------------------------


def test_pushing_changes_nothing_that_runs() -> None:
    c = started(CORE)
    before = c.running()
    c.push(CORE.replace("web:1", "web:2"))
    c.advance(60)
    assert c.running() == before


def test_up_starts_everything_where_it_may_run() -> None:
    c = started(CORE)
    rows = c.rows("core")
    assert set(rows) == ALL_OF_CORE
    assert {row["state"] for row in rows.values()} == {"RUNNING"}
    assert (rows["core/mysql/primary"]["host"], rows["core/mysql/replica"]["host"]) == ("db-1", "db-2")
    assert rows["core/mysql/primary"]["address"] == "db-1:3306"
    assert {row["reason"] for row in rows.values()} == {""}
    assert is_quiet(c)


def test_up_again_changes_nothing() -> None:
    c = started(CORE)
    before = c.running()
    c.push(CORE.replace("web:1", "web:2"))
    answer = c.up("core")
    c.settle()
    assert c.running() == before
    assert answer.changed == [] and len(answer.unchanged) == 5
    assert answer.notes == ["core: 5 tasks stay at a revision before r2; move with: offerer update core"]


def test_up_starts_jobs_that_were_pushed_since() -> None:
    c = started(service("one", web=""))
    c.push(service("one", web="", api=""))
    c.up("one")
    c.settle()
    assert sorted(c.running()) == ["one.api.1.r2-1", "one.web.1.r1-1"]


def test_up_of_one_task_brings_what_it_depends_on_first() -> None:
    c = cluster()
    c.push(CORE)
    answer = c.up("core/web/2")
    c.settle()
    assert answer.notes == ["core/mysql is needed and is brought up too"]
    assert [line.split()[1] for line in c.log] == [
        "core.mysql.primary.r1-1", "core.mysql.replica.r1-1", "core.web.2.r1-1",
    ]  # fmt: skip


def test_a_job_waits_until_all_of_what_it_depends_on_runs() -> None:
    c = SimCluster([host("db-1"), host("app-1")])
    c.push(CORE)
    c.up("core")
    c.settle()
    assert list(c.running()) == ["core.mysql.primary.r1-1"]
    assert c.reason("core/mysql/replica") == "waits for host db-2"
    assert c.reason("core/web/1") == "waits for core/mysql (1 of 2 ready)"
    c.hosts.update({h.name: h for h in [host("db-2")]})  # type: ignore[dict-item]
    c.settle()
    assert set(c.rows()) == ALL_OF_CORE and len(c.running()) == 5


def test_dependencies_of_other_services_are_brought_up_and_waited_for() -> None:
    c = cluster()
    c.push(service("shop", front="depends_on: [core/web]"))
    answer = c.up("shop")
    c.settle()
    assert answer.notes == ["core/web is needed and is not pushed; what depends on it waits for it"]
    assert c.reason("shop/front/1") == "waits for core/web: service core is not pushed"
    c.push(CORE)
    c.settle()
    assert c.reason("shop/front/1") == "waits for core/web, which is not up"
    assert "core/web is needed and is brought up too" in c.up("shop").notes
    c.settle()
    assert len(c.running()) == 6


def test_a_dependency_that_dies_takes_nobody_with_it() -> None:
    c = started(CORE)
    c.end("core/mysql/primary")
    c.end("core/web/1")
    c.crashes_on_start = lambda name: name.job == "mysql"
    c.advance(5)
    assert {str(row["state"]) for name, row in c.rows().items() if "web" in name} == {"RUNNING"}


# -- placement ------------------------------------------------------------------------------------------------


def test_replicas_are_spread_over_hosts() -> None:
    c = started(service("one", web="replicas: 4"), hosts=("a", "b", "c", "d"))
    assert sorted(c.running().values()) == ["a", "b", "c", "d"]


def test_more_replicas_than_hosts_are_spread_evenly() -> None:
    c = started(service("one", web="replicas: 6"), hosts=("a", "b", "c"))
    assert sorted(c.running().values()) == ["a", "a", "b", "b", "c", "c"]


def test_tasks_go_where_most_is_left() -> None:
    c = SimCluster([host("small", cpus=2, memory="2GiB"), host("large", cpus=16, memory="64GiB")])
    c.push(*(service(f"s{i}", web="resources: {cpus: 1, memory: 512MiB}") for i in range(8)))
    c.up(*c.state.revisions)
    c.settle()
    assert list(c.running().values()).count("large") >= 6


def test_conditions_are_strict_and_the_reason_says_which() -> None:
    c = SimCluster([host("a", zone="a"), host("b1", zone="b", memory="1GiB"), host("b2", zone="b", memory="1GiB")])
    c.push(service("one", web="constraints: [zone == b], resources: {cpus: 1, memory: 2GiB}"))
    c.up("one")
    c.settle()
    assert c.running() == {}
    assert c.reason("one/web/1") == (
        "no host fits: 2 lack memory, 1 excluded by zone == b; nearest: b1 lacks 1GiB memory"
    )
    c.hosts["b2"].total = Resources.of(cpus=4, memory="4GiB")  # type: ignore[index]
    c.advance(5)
    assert c.running() == {"one.web.1.r1-1": "b2"}


def test_the_reason_counts_hosts_that_joined_later() -> None:
    c = SimCluster([host("a", memory="1GiB")])
    c.push(service("one", web="resources: {cpus: 1, memory: 2GiB}"))
    c.up("one")
    c.settle()
    assert c.reason("one/web/1") == "no host fits: 1 lacks memory; nearest: a lacks 1GiB memory"
    c.hosts["b"] = host("b", cpus=0.5)  # type: ignore[index]
    c.advance(10)
    assert c.reason("one/web/1") == "no host fits: 1 lacks memory, 1 lacks cpus; nearest: a lacks 1GiB memory"


def test_a_task_tied_to_a_host_says_what_the_host_lacks() -> None:
    c = SimCluster([host("a"), host("b", cpus=0.5)])
    c.push(service("one", web="host: b, resources: {cpus: 1}"))
    c.up("one")
    c.settle()
    assert c.reason("one/web/1") == "waits for host b: it lacks 0.5 cpus"


def test_a_fixed_port_is_taken_once_per_host() -> None:
    c = started(service("one", web="replicas: 3, ports: [{host: 3306}]"), hosts=("a", "b"))
    assert sorted(c.running().values()) == ["a", "b"]
    waiting = next(row for row in c.rows().values() if row["state"] == "WAITING")
    assert waiting["reason"] == "no host fits: 2 have port 3306 taken; nearest: a has port 3306 taken"


def test_free_ports_are_distinct_and_change_with_the_attempt() -> None:
    c = started(service("one", web="ports: [{container: 80}, {container: 81}]"), hosts=("a",))

    def ports() -> list[int]:
        run = c.state.tasks[next(iter(c.state.tasks))].run
        assert run is not None
        return [port.host for port in run.ports]

    first = ports()
    assert len(set(first)) == 2 and all(31000 <= port <= 32000 for port in first)
    c.advance(60)
    c.end("one/web/1")
    c.settle()
    assert not set(first) & set(ports())


def test_a_port_without_a_number_is_the_same_inside_and_outside() -> None:
    c = started(service("one", web="ports: [{name: http}]"))
    run = next(iter(c.state.tasks.values())).run
    assert run is not None and run.ports[0].container == run.ports[0].host


def test_only_what_helps_is_asked_for() -> None:
    c = started(CORE)
    assert c.demand.wants == ()
    c.push(service("big", web="resources: {cpus: 64}, constraints: [zone == a], replicas: 2"))
    c.up("big")
    c.settle()
    assert c.demand.wants is not None
    (want,) = c.demand.wants
    assert (want.resources.cpus, want.count, [str(each) for each in want.constraints]) == (64000, 2, ["zone == a"])
    c.down("big")
    c.settle()
    assert c.demand.wants == ()
    assert c.offers == {}


def test_a_task_for_the_one_host_left_is_offered_that_among_hundreds() -> None:
    c = SimCluster([host(f"a{i}", zone="a") for i in range(200)] + [host("b", zone="b")])
    c.push(service("one", web="replicas: 2, constraints: [zone unique]"))
    c.up("one")
    c.settle()
    assert "b" in c.running().values() and len(c.running()) == 2
    left = next(task for task, where in c.running().items() if where == "b")
    c.end(left.replace(".", "/").rpartition("/")[0])
    c.advance(60)
    assert "b" in c.running().values() and len(c.running()) == 2


def test_offers_that_are_rescinded_before_the_launch_cost_nothing() -> None:
    c = cluster()
    c.push(ONE)
    c.store_works = False  # so that it gets a place, and the place cannot be written
    c.up("one")
    c.settle()
    assert c.reason("one/web/1").startswith("is being placed on") and c.running() == {}
    c.rescind()
    c.store_works = True
    c.settle()
    assert list(c.running()) == ["one.web.1.r1-2"]


# -- what ends ------------------------------------------------------------------------------------------------


def test_a_container_that_ended_is_started_again() -> None:
    c = started(ONE)
    c.advance(60)
    c.end("one/web/1", TaskState.FINISHED, 0)
    c.settle()
    assert list(c.running()) == ["one.web.1.r1-2"]


def test_attempts_are_further_and_further_apart() -> None:
    c = cluster()
    c.push(ONE)
    c.crashes_on_start = lambda _: True
    c.up("one")
    c.settle()
    assert c.reason("one/web/1") == "FAILED: exit code 1; next attempt in 1 s (2nd)"
    starts = []
    for _ in range(1000):
        before = len(c.launched)
        c.advance(1)
        if len(c.launched) > before:
            starts.append((c.now - 1_000_000 * SECOND) // SECOND)
    assert starts == [1, 3, 7, 15, 31, 63, 127, 255, 511, 811]
    assert c.reason("one/web/1") == "FAILED: exit code 1; next attempt in 111 s (12th)"


def test_up_tries_again_at_once() -> None:
    c = cluster()
    c.push(ONE)
    c.crashes_on_start = lambda _: True
    c.up("one")
    c.advance(100)
    c.crashes_on_start = lambda _: False
    c.up("one")
    c.settle()
    assert len(c.running()) == 1


def test_ten_good_minutes_make_up_for_earlier_failures() -> None:
    c = cluster()
    c.push(ONE)
    c.crashes_on_start = lambda _: True
    c.up("one")
    c.advance(20)
    c.crashes_on_start = lambda _: False
    c.advance(700)
    c.crashes_on_start = lambda _: True
    c.end("one/web/1")
    c.settle()
    assert c.reason("one/web/1").endswith("next attempt in 2 s (3rd)")  # the one that ran long, and one more


def test_a_spec_that_the_cluster_refuses_is_not_tried_again() -> None:
    c = started(ONE)
    c.end("one/web/1", TaskState.ERROR)
    c.advance(3600)
    assert c.running() == {}
    assert "push a correction and update" in c.reason("one/web/1")
    c.push(ONE.replace("web:1", "web:2"))
    c.update("one")
    c.settle()
    assert list(c.running()) == ["one.web.1.r2-2"]


def test_every_container_is_in_the_history() -> None:
    c = started(ONE)
    c.advance(5)
    c.end("one/web/1")
    c.settle()
    c.down("one")
    c.settle()
    assert [key for key in sorted(c.entries) if key.startswith("history/")] == [
        "history/one/web/1/00000001", "history/one/web/1/00000002",
    ]  # fmt: skip
    assert b'"exit_code": 1' in c.entries["history/one/web/1/00000001"].value
    assert b'"state": "KILLED"' in c.entries["history/one/web/1/00000002"].value


# -- hosts that do not answer ---------------------------------------------------------------------------------


def test_tasks_of_an_unreachable_host_that_are_to_wait_are_never_doubled() -> None:
    c = started(service("one", web="replicas: 2, on_host_lost: wait"), hosts=("a", "b", "c"))
    lost = next(iter(c.running().values()))
    before = c.running()
    c.lose(lost)
    c.advance(3600)
    assert c.running() == before
    row = next(row for row in c.rows().values() if row["host"] == lost)
    assert (row["state"], row["reason"]) == ("UNREACHABLE", "the host does not answer; it waits for it")
    c.find_again(lost)
    c.settle()
    assert c.running() == before and {row["state"] for row in c.rows().values()} == {"RUNNING"}


def test_what_is_taken_down_meanwhile_is_stopped_when_the_host_is_back() -> None:
    c = started(ONE, hosts=("a",))
    c.lose("a")
    c.down("one")
    c.settle()
    assert len(c.running()) == 1
    c.find_again("a")
    c.settle()
    assert c.running() == {}


def test_a_container_given_up_that_comes_back_is_stopped_before_another_start() -> None:
    c = started(ONE, hosts=("a", "b"))
    (old,) = c.running()
    where = c.hosts[HostId(c.running()[old])]
    spec = where.tasks.pop(TaskId(old))  # the operator removes the host; the task counts as gone
    c.carry_out(c.planner.statuses(c.now, [c._status(TaskId(old), TaskState.GONE, where, Reason.HOST_REMOVED)]))
    c.advance(2)
    assert list(c.running()) == ["one.web.1.r1-2"]
    where.tasks[TaskId(old)] = spec  # and yet it comes back with its container
    c.carry_out(c.planner.statuses(c.now, [c._status(TaskId(old), TaskState.RUNNING, where)]))
    assert c.log[-1] == f"kill {old}"
    c.settle()
    assert list(c.running()) == ["one.web.1.r1-2"] and is_quiet(c)


def test_nothing_is_started_beside_a_container_that_is_still_stopping() -> None:
    c = started(ONE, hosts=("a",))
    stray = TaskStatus(TaskId("one.web.1.r1-0"), TaskState.UNREACHABLE, HostId("elsewhere"))
    c.carry_out(c.planner.statuses(c.now, [stray]))
    c.pending.clear()  # whoever has it does not answer
    c.now += 60 * SECOND
    c.end("one/web/1")
    c._deliver()
    c.flush()
    assert c.reason("one/web/1") == "FAILED: exit code 1; waits for one.web.1.r1-0 to stop"
    c.pending.append(stray._replace(state=TaskState.KILLED))
    c.settle()
    assert list(c.running()) == ["one.web.1.r1-2"]


def test_ids_that_are_not_ours_are_left_alone_and_reported() -> None:
    c = started(ONE)
    stranger = TaskStatus(TaskId("somebody-elses"), TaskState.RUNNING, HostId("app-1"))
    assert c.planner.statuses(c.now, [stranger]) == []
    assert "not one of ours" in c.state.problems["task somebody-elses"]


# -- update and down ------------------------------------------------------------------------------------------


def test_update_moves_one_task_at_a_time() -> None:
    c = started(CORE)
    c.push(CORE.replace("web:1", "web:2"))
    c.update("core")
    c.log.clear()
    fewest = 5
    while c.step():
        up = sum(row["state"] == "RUNNING" for row in c.rows().values())
        fewest = min(fewest, up)
    assert fewest == 4
    assert c.log == [
        "kill core.web.1.r1-1", "launch core.web.1.r2-2 on app-1",
        "kill core.web.2.r1-1", "launch core.web.2.r2-2 on app-2",
        "kill core.web.3.r1-1", "launch core.web.3.r2-2 on db-1",
    ]  # fmt: skip
    assert {row["revision"] for row in c.rows().values()} == {2}
    assert c.state.updates == {} and c.state.ended_updates["core"].outcome == "done"


def test_an_update_stops_at_a_task_that_does_not_come_up_and_a_later_one_takes_over() -> None:
    c = started(service("one", web="replicas: 3"))
    c.push(service("one", web="replicas: 3, command: [bad]"))
    c.crashes_on_start = lambda _: True
    c.update("one")
    c.advance(600)
    assert sum(row["state"] == "RUNNING" for row in c.rows().values()) == 2
    c.push(service("one", web="replicas: 3, command: [good]"))
    c.crashes_on_start = lambda _: False
    c.update("one")
    c.settle()
    assert {row["revision"] for row in c.rows().values()} == {3}
    assert len(c.running()) == 3


def test_update_scales_up_and_down() -> None:
    c = started(service("one", web="replicas: 2"))
    c.push(service("one", web="replicas: 4"))
    c.update("one")
    c.settle()
    assert sorted(c.rows()) == ["one/web/1", "one/web/2", "one/web/3", "one/web/4"]
    c.push(service("one", web="replicas: 1"))
    c.update("one")
    c.settle()
    assert list(c.running()) == ["one.web.1.r1-1"]


def test_update_of_one_task_leaves_the_others() -> None:
    c = started(service("one", web="replicas: 3"))
    c.push(service("one", web="replicas: 3, command: [x]"))
    c.update("one/web/2")
    c.settle()
    assert {name: row["revision"] for name, row in c.rows().items()} == {
        "one/web/1": 1, "one/web/2": 2, "one/web/3": 1,
    }  # fmt: skip


def test_update_leaves_down_what_was_taken_down() -> None:
    c = started(service("one", web="replicas: 3"))
    c.down("one/web/2")
    c.push(service("one", web="replicas: 3, command: [x]"))
    c.update("one")
    c.settle()
    assert sorted(c.rows()) == ["one/web/1", "one/web/3"]
    c.up("one")
    c.settle()
    assert c.rows()["one/web/2"]["revision"] == 2


def test_update_of_what_is_not_up_says_so() -> None:
    c = cluster()
    c.push(ONE)
    with pytest.raises(Conflict, match="one is not up, so there is nothing to update; start it with: offerer up one"):
        c.update("one")


def test_an_update_goes_on_after_a_restart() -> None:
    c = started(service("one", web="replicas: 4"))
    c.push(service("one", web="replicas: 4, command: [x]"))
    c.update("one")
    for _ in range(40):
        c.restart_framework()
        for _ in range(3):
            c.step()
    c.settle()
    assert {row["revision"] for row in c.rows().values()} == {2} and len(c.running()) == 4


def test_down_stops_dependants_first() -> None:
    c = started(CORE, service("shop", front="depends_on: [core/web]"))
    c.log.clear()
    c.down("core", "shop")
    c.settle()
    assert [line.split(".")[1] for line in c.log] == ["front", "web", "web", "web", "mysql", "mysql"]
    assert c.running() == {} and c.rows() == {} and is_quiet(c)


def test_down_says_what_stays_up_without_it() -> None:
    c = started(CORE)
    assert c.down("core/mysql").notes == ["core/web depends on core/mysql and stays up"]
    c.settle()
    assert sorted(c.rows()) == ["core/web/1", "core/web/2", "core/web/3"]


def test_down_of_dependants_on_a_lost_host_does_not_keep_the_rest() -> None:
    c = started(CORE)
    web = next(task for task in c.running() if task.startswith("core.web") and c.running()[task].startswith("app"))
    c.lose(c.running()[web])
    c.settle()
    c.down("core")
    c.settle()
    assert list(c.running()) == [web]


def test_down_before_anything_was_placed() -> None:
    c = SimCluster([])
    c.push(CORE)
    c.up("core")
    c.settle()
    c.down("core")
    c.settle()
    assert c.rows() == {} and is_quiet(c)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cor", "there is no service 'cor'; did you mean 'core'?"),
        ("core/wed", "service core has no job 'wed'; did you mean 'web'?"),
        ("core/web/9", "job core/web has no task '9'; its tasks are 1, 2, 3"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(target: str, message: str) -> None:
    c = started(CORE)
    with pytest.raises(NotFound, match="^" + message.replace("?", r"\?") + "$"):
        c.up(target)


# -- restarts -------------------------------------------------------------------------------------------------


def test_a_restart_changes_nothing() -> None:
    c = started(CORE)
    before, rows = c.running(), c.rows()
    c.restart_framework()
    c.settle()
    assert c.running() == before and c.rows() == rows and is_quiet(c)


def test_what_died_while_the_framework_was_away_is_started_again() -> None:
    c = started(ONE)
    host_, task = c._find("one/web/1")
    del host_.tasks[task]
    c.restart_framework()
    c.advance(2)
    assert list(c.running()) == ["one.web.1.r1-2"]


def test_a_launch_the_cluster_never_got_is_neither_lost_nor_made_twice() -> None:
    c = cluster()
    c.push(ONE)
    c.up("one")
    while not any(task.run for task in c.state.tasks.values()):
        c.step()
    journal = c.state.journal  # its place is written, but the process dies before the launch
    for change in journal.take():
        c.entries[change.key] = c.entries[change.key]._replace(value=change.value)  # type: ignore[union-attr]
    c.restart_framework()
    c.advance(2)
    assert list(c.running()) == ["one.web.1.r1-2"]


def test_nothing_is_started_before_the_cluster_has_said_what_it_has() -> None:
    c = started(ONE)
    entry = c.entries["tasks/one/web/1"]
    c.restart_framework()
    run = c.state.tasks[next(iter(c.state.tasks))].run
    assert run is not None and run.launched  # loaded as believed in: no second container before an answer
    assert entry == c.entries["tasks/one/web/1"]
    assert list(c.running()) == ["one.web.1.r1-1"]


def test_containers_without_a_record_are_taken_over() -> None:
    c = started(service("one", web="replicas: 2"))
    before = c.running()
    for key in [key for key in c.entries if key.startswith("tasks/one/web/2")]:
        del c.entries[key]
    c.restart_framework()
    c.up("one")
    c.settle()
    assert c.running() == before


def test_containers_that_nobody_wants_are_stopped() -> None:
    c = started(service("one", web="replicas: 2"))
    for key in [key for key in c.entries if key.startswith("tasks/one/web/2")]:
        del c.entries[key]
    c.restart_framework()
    c.settle()
    assert list(c.running()) == ["one.web.1.r1-1"]
    c.up("one")
    c.settle()
    assert sorted(c.running()) == ["one.web.1.r1-1", "one.web.2.r1-2"]


def test_the_back_off_is_not_forgotten() -> None:
    c = cluster()
    c.push(ONE)
    c.crashes_on_start = lambda _: True
    c.up("one")
    c.advance(100)
    reason = c.reason("one/web/1")
    c.restart_framework()
    c.settle()
    assert c.reason("one/web/1") == reason


def test_a_reconnection_keeps_everything() -> None:
    c = started(CORE)
    before = c.running()
    c.reconnect()
    c.settle()
    assert c.running() == before and is_quiet(c)


def test_nothing_is_launched_while_the_store_is_away() -> None:
    c = cluster()
    c.push(ONE)
    c.store_works = False
    c.up("one")
    c.advance(60)
    assert c.running() == {}
    c.store_works = True
    c.settle()
    assert len(c.running()) == 1


# -- delays ---------------------------------------------------------------------------------------------------


def test_delays_double_up_to_five_minutes() -> None:
    assert [Restart().wait(n) // SECOND for n in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]


@pytest.mark.parametrize(("n", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")])
def test_ordinals(n: int, text: str) -> None:
    assert backoff.ordinal(n) == text


# -- reasons --------------------------------------------------------------------------------------------------


def reasons(c: SimCluster, task: str) -> dict[str, object]:
    name = next(name for name in c.state.tasks if str(name) == task)
    return why(c.state, c.planner.hosts, c.state.tasks[name], c.now)


def test_why_counts_what_excludes_hosts_and_names_what_would_free_the_nearest() -> None:
    c = SimCluster([host("a", zone="x", memory="4GiB"), host("b", zone="y"), host("c", zone="x", memory="1GiB")])
    c.push(service("big", db="host: a, resources: {memory: 3GiB}"), service("small", db="host: a"))
    c.up("big", "small")
    c.settle()
    c.push(service("one", web="constraints: [zone == x], resources: {memory: 2GiB}"))
    c.up("one")
    c.advance(20)
    assert reasons(c, "one/web/1") == {
        "task": "one/web/1",
        "reason": "no host fits: 2 lack memory, 1 excluded by zone == x; nearest: c lacks 1GiB memory",
        "needs": "cpus=0.1;memory=2GiB",
        "hosts_seen": 3,
        "excluded": {"lack memory": 2, "excluded by zone == x": 1},
        "fitting": [],
        "nearest": [
            {"host": "c", "lacks": "lacks 1GiB memory", "would_free": []},
            {"host": "a", "lacks": "lacks 1.1GiB memory", "would_free": ["big/db/1"]},
        ],
    }
    c.down("big")
    c.advance(10)
    assert "one.web.1.r1-1" in c.running()


def test_why_of_a_taken_port_names_the_task_that_has_it() -> None:
    c = started(service("one", web="host: a, ports: [{host: 3306}]"), hosts=("a",))
    c.push(service("two", web="host: a, ports: [{host: 3306}]"))
    c.up("two")
    c.advance(20)
    found = reasons(c, "two/web/1")
    assert found["reason"] == "waits for host a: it has port 3306 taken"
    assert found["nearest"] == [{"host": "a", "lacks": "has port 3306 taken", "would_free": ["one/web/1"]}]
    assert reasons(c, "one/web/1") == {"task": "one/web/1", "reason": ""}
