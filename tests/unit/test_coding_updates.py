"""Updates, told as stories in virtual time: health, canaries, roll-back, and a floor that nothing falls through.

`SimCluster` fails a test by itself where an update stops a container that `min_healthy` keeps, or where a task has
two containers and may not.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameworks.coding.files import PushedFile
from frameworks.coding.pushes import prepare_push
from frameworks.coding.state import State
from offerer import Conflict, InvalidInput, NotFound, Resources, TaskInfo, TaskState
from offerer.types import Availability
from tests.coding_cluster import SimCluster, SimHost

START_FIRST = "order: start-first, healthy_for: 5s"


def web(version: int, update: str, more: str = "", replicas: int = 3) -> str:
    fields = f"image: web:{version}, replicas: {replicas}, ports: [{{container: 80, name: http}}], {more}"
    return f"service: one\njobs: {{web: {{{fields} update: {{{update}}}}}}}\n"


def started(update: str, more: str = "", replicas: int = 3, hosts: tuple[str, ...] = ("a", "b", "c")) -> SimCluster:
    """Version 1 of the service, running."""
    c = SimCluster([SimHost(name, Resources.of(cpus=4, memory="8GiB", ports="31000-32000,3306")) for name in hosts])
    c.may_double = {"one/web"} if "start-first" in update else set()
    c.push(web(1, update, more, replicas))
    c.up("one")
    c.settle()
    return c


def updating(update: str, more: str = "", replicas: int = 3) -> SimCluster:
    """The same, on its way to version 2."""
    c = started(update, more, replicas)
    c.push(web(2, update, more, replicas))
    c.log.clear()
    c.update("one")
    return c


def revisions(c: SimCluster) -> list[object]:
    return [row["revision"] for row in c.rows().values()]


def bad(version: int) -> object:
    """A probe that fails in containers of this version."""
    return lambda task: f"web:{version}".encode() not in task.spec


# -- start-first ----------------------------------------------------------------------------------------------


def serving(c: SimCluster, task: str) -> list[str]:
    listed = c.rows(task)[task]["serving"]
    assert isinstance(listed, list)
    return [each["task_id"] for each in listed]


def test_what_can_be_asked_is_listed_of_both_until_the_old_one_is_to_stop() -> None:
    c = updating(START_FIRST, "health: {http: /},")
    c.settle()
    assert serving(c, "one/web/1") == ["one.web.1.r2-2", "one.web.1.r1-1"]
    c.advance(5)
    assert serving(c, "one/web/1") == ["one.web.1.r2-2"]


def test_start_first_keeps_every_task_ready_and_each_old_one_until_its_successor_is_relied_on() -> None:
    c = updating(START_FIRST)
    fewest = 3
    for _ in range(40):
        c.advance(0.5)
        fewest = min(fewest, len(c.ready("one/web")))
    assert fewest == 3 and revisions(c) == [2, 2, 2] and len(c.running()) == 3
    assert [line.partition(" on ")[0] for line in c.log] == [
        "launch one.web.1.r2-2", "kill one.web.1.r1-1",
        "launch one.web.2.r2-2", "kill one.web.2.r1-1",
        "launch one.web.3.r2-2", "kill one.web.3.r1-1",
    ]  # fmt: skip
    assert c.rollout("one")["outcome"] == "done"


def test_the_reason_says_what_is_being_replaced() -> None:
    c = updating(START_FIRST, "health: {http: /},")
    c.probe_says = lambda _: None
    c.settle()
    assert c.reason("one/web/1").startswith("replaces one.web.1.r1-1 on ")
    assert c.reason("one/web/1").endswith("; not ready yet")


def test_a_successor_whose_probe_fails_never_takes_over_and_the_update_rolls_back_by_itself() -> None:
    c = updating(START_FIRST + ", on_failure: rollback, deadline: 60s", "health: {http: /},")
    c.probe_says = bad(2)  # type: ignore[assignment]
    before = set(c.running())
    c.advance(59)
    assert before < set(c.running()) and len(c.ready("one/web")) == 3
    c.advance(30)
    assert set(c.running()) == before and revisions(c) == [1, 1, 1]
    row = c.rollout("one")
    assert row["outcome"] == "rolled back"
    assert str(row["why"]).startswith("one/web/1 did not come up within 60 s: replaces one.web.1.r1-1")


def test_an_update_waits_no_longer_for_a_task_that_the_cluster_refuses() -> None:
    c = updating("on_failure: rollback")
    c.settle()
    c.end("one/web/1", TaskState.ERROR)
    c.advance(20)
    row = c.rollout("one")
    assert row["outcome"] == "rolled back" and revisions(c) == [1, 1, 1]
    assert str(row["why"]).startswith("one/web/1 cannot come up: ERROR")


def test_resume_has_what_the_cluster_refused_tried_again() -> None:
    c = updating("healthy_for: 2s")
    c.settle()
    c.end("one/web/1", TaskState.ERROR)
    c.advance(1)
    assert str(c.rollout("one")["paused"]).startswith("one/web/1 cannot come up: ERROR")
    c.resume("one")
    c.advance(30)
    assert revisions(c) == [2, 2, 2] and c.rollout("one")["outcome"] == "done"


def test_what_never_stayed_up_is_said_with_how_its_last_container_ended() -> None:
    c = updating(START_FIRST + ", on_failure: rollback, deadline: 60s", "health: {http: /},")
    c.probe_says = bad(2)  # type: ignore[assignment]
    c.settle()
    c.end_container("one.web.1.r2-2")
    c.advance(61)
    assert str(c.rollout("one")["why"]).startswith("one/web/1 did not come up within 60 s: FAILED: exit code 1; repl")


def test_a_successor_that_flaps_has_to_be_ready_without_interruption() -> None:
    c = updating(START_FIRST, "health: {http: /},", replicas=1)
    for _ in range(5):
        c.advance(4)
        c.probe("one/web/1", False)
        c.settle()
        c.probe("one/web/1", True)
        c.settle()
    assert len(c.running()) == 2
    c.advance(5)
    assert list(c.running()) == ["one.web.1.r2-2"]


def test_a_second_update_supersedes_the_first_without_a_third_container() -> None:
    c = updating(START_FIRST, "health: {http: /},", replicas=1)
    c.probe_says = bad(2)  # type: ignore[assignment]
    c.advance(10)
    c.push(web(3, START_FIRST, "health: {http: /},", replicas=1))
    c.update("one")
    c.advance(20)
    assert list(c.running()) == ["one.web.1.r3-3"] and c.rollout("one")["outcome"] == "done"


def test_a_host_lost_in_the_middle_leaves_the_old_one_at_work() -> None:
    c = updating(START_FIRST, replicas=1)
    c.advance(1)
    new = next(task for task in c.running() if "r2" in task)
    old_host = c.running()["one.web.1.r1-1"]
    if c.running()[new] == old_host:
        pytest.fail("a spread would be expected")
    c.lose(c.running()[new])
    c.advance(30)
    assert "one.web.1.r1-1" in c.running() and c.ready("one/web") == {"1"}
    c.find_again(c.running()[new])
    c.advance(10)
    assert list(c.running()) == [new]


@pytest.mark.parametrize("order", ["start-first", "stop-first, min_healthy: 0.5"])
def test_an_update_goes_on_after_any_number_of_crashes(order: str) -> None:
    c = updating(f"order: {order}, healthy_for: 1s", "health: {http: /},")
    for _ in range(40):
        c.restart_framework()
        for _ in range(3):
            c.step()
        c.now += 200_000
    c.advance(30)
    assert revisions(c) == [2, 2, 2] and len(c.running()) == 3 and c.rollout("one")["outcome"] == "done"


def test_taking_down_in_the_middle_stops_both_containers() -> None:
    c = updating(START_FIRST)
    c.advance(1)
    assert len(c.running()) == 4
    c.down("one")
    c.settle()
    assert c.running() == {} and c.rows() == {}


# -- stop-first -----------------------------------------------------------------------------------------------


def test_no_more_are_down_at_once_than_min_healthy_allows() -> None:
    c = updating("parallel: 5, min_healthy: 0.6, healthy_for: 2s", replicas=5)
    fewest = 5
    for _ in range(40):
        c.step()
        fewest = min(fewest, len(c.ready("one/web")))
    assert fewest == 3
    c.advance(30)
    assert revisions(c) == [2] * 5


def test_a_task_that_dies_elsewhere_holds_the_next_stop_back() -> None:
    strategy = "min_healthy: 0.6, healthy_for: 0s"  # two of three
    c = started(strategy)
    c.crashes_on_start = lambda name: name.task == "3"
    c.end("one/web/3")
    c.settle()
    c.push(web(2, strategy))
    c.update("one")
    c.advance(60)
    assert c.rows()["one/web/3"]["wanted_revision"] == 2  # what does not run is moved first, since that costs nothing
    assert revisions(c)[:2] == [1, 1]
    c.crashes_on_start = lambda _: False
    c.advance(120)
    assert revisions(c) == [2, 2, 2]


def test_without_a_strategy_it_goes_one_at_a_time_and_single_tasks_can_be_updated() -> None:
    c = started("", replicas=1, hosts=("a",))
    c.push("service: one\njobs: {web: {image: web:2}}\n")
    c.update("one")
    c.settle()
    assert revisions(c) == [2]


def test_what_does_not_come_up_pauses_the_update_and_resume_gives_it_another_try() -> None:
    c = updating("healthy_for: 2s, deadline: 60s")
    c.crashes_on_start = lambda name: True
    c.advance(61)
    row = c.rollout("one")
    assert str(row["paused"]).startswith("one/web/1 did not come up within 60 s: FAILED: exit code 1; next attempt in")
    c.advance(600)
    assert revisions(c)[1:] == [1, 1]
    c.crashes_on_start = lambda name: False
    c.up("one")
    c.resume("one")
    c.advance(30)
    assert revisions(c) == [2, 2, 2] and c.rollout("one")["outcome"] == "done"


def test_continue_leaves_the_failing_task_behind_and_fails_in_the_end() -> None:
    c = updating("healthy_for: 1s, deadline: 20s, on_failure: continue")
    c.crashes_on_start = lambda name: name.task == "1"
    c.advance(300)
    assert revisions(c)[1:] == [2, 2]
    row = c.rollout("one")
    assert (row["outcome"], row["given_up"]) == ("failed", ["one/web/1"])


def test_being_away_is_no_reason_to_call_an_update_failed() -> None:
    c = updating("healthy_for: 5s, deadline: 60s, on_failure: rollback")
    c.step()
    c.now += 3600 * 1_000_000
    c.restart_framework()
    c.advance(60)
    assert c.rollout("one")["outcome"] == "done"


# -- pause, canaries, abort -----------------------------------------------------------------------------------


def test_pause_and_resume() -> None:
    c = updating("healthy_for: 2s")
    c.advance(1)
    c.pause("one")
    c.advance(100)
    assert revisions(c) == [2, 1, 1] and c.rollout("one")["paused"] == "paused by me"
    c.restart_framework()
    c.advance(100)
    assert revisions(c) == [2, 1, 1]
    c.resume("one")
    c.advance(20)
    assert revisions(c) == [2, 2, 2]


def test_canaries_wait_for_promotion() -> None:
    c = updating("canary: 1, healthy_for: 2s, parallel: 3")
    c.advance(600)
    assert revisions(c) == [2, 1, 1]
    assert c.rollout("one")["paused"] == (
        "canary: 1 task runs the new revision of one/web; go on with promote, or go back with abort"
    )
    with pytest.raises(Conflict, match="go on with: offerer promote one"):
        c.resume("one")
    c.promote("one")
    c.advance(20)
    assert revisions(c) == [2, 2, 2] and c.rollout("one")["outcome"] == "done"


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_an_aborted_canary_goes_back(order: str) -> None:
    c = updating(f"canary: 1, healthy_for: 2s, order: {order}")
    c.advance(60)
    c.abort("one")
    c.advance(60)
    assert revisions(c) == [1, 1, 1] and len(c.running()) == 3
    assert (c.rollout("one")["outcome"], c.rollout("one")["why"]) == ("rolled back", "aborted by me")
    assert c.state.updates == {}


def test_abort_takes_away_what_the_update_added() -> None:
    c = started("healthy_for: 1s")
    c.push(web(2, "healthy_for: 1s", replicas=5))
    c.update("one")
    c.advance(3)
    c.abort("one")
    c.advance(30)
    assert sorted(c.rows()) == ["one/web/1", "one/web/2", "one/web/3"] and revisions(c) == [1, 1, 1]


def test_orders_to_no_update_say_so() -> None:
    c = started("healthy_for: 1s")
    for order in (c.pause, c.resume, c.promote, c.abort):
        with pytest.raises(Conflict, match="no update of one is under way"):
            order("one")


# -- health and order -----------------------------------------------------------------------------------------

TWO = "service: two\njobs:\n  db: {{image: db:1, {db}}}\n  web: {{image: web:1, depends_on: {{db: {what}}}}}\n"


@pytest.mark.parametrize(("what", "waits"), [("started", False), ("healthy", True)])
def test_a_dependant_waits_for_what_it_asks_for(what: str, waits: bool) -> None:
    c = started("")
    c.probe_says = lambda _: None
    c.push(TWO.format(db="readiness: {tcp: 3306}", what=what))
    c.up("two")
    c.advance(30)
    assert ("two.web.1.r1-1" in c.running()) != waits
    if waits:
        assert c.reason("two/web/1") == "waits for two/db (0 of 1 ready)"
        assert c.reason("two/db/1") == "not ready yet"
    c.probe("two/db/1", True)
    c.settle()
    assert "two.web.1.r1-1" in c.running()
    c.probe("two/db/1", False)  # one that is no longer ready does not take its dependants with it
    c.advance(60)
    assert "two.web.1.r1-1" in c.running()


def test_waiting_for_the_end_of_a_job_that_never_ends_is_refused() -> None:
    c = started("")
    with pytest.raises(InvalidInput, match=r"two/db never finishes, it is always started again; write healthy, or"):
        c.push(TWO.format(db="replicas: 1", what="finished"))


def test_a_job_that_runs_to_completion_lets_those_go_that_wait_for_its_end() -> None:
    c = started("")
    c.push(TWO.format(db="restart: {on: failure}", what="finished"))
    c.up("two")
    c.settle()
    assert c.reason("two/web/1") == "waits for two/db (0 of 1 finished)"
    c.end("two/db/1")
    c.advance(5)  # it failed: once more
    assert "two.db.1.r1-2" in c.running()
    c.end("two/db/1", TaskState.FINISHED, 0)
    c.advance(60)
    assert "two.web.1.r1-1" in c.running() and "two.db.1.r1-3" not in c.launched
    assert c.rows()["two/db/1"]["state"] == "FINISHED"
    c.restart_framework()
    c.advance(60)
    assert "two.db.1.r1-3" not in c.launched


def test_the_restart_policy_is_followed() -> None:
    c = started("")
    c.push("service: two\njobs: {web: {image: x, restart: {delay: 5s, factor: 3, longest: 30s}}}\n")
    c.crashes_on_start = lambda name: name.service == "two"
    c.up("two")
    c.advance(0)
    assert c.reason("two/web/1") == "FAILED: exit code 1; next attempt in 5 s (2nd)"
    c.advance(5 + 15)
    assert c.reason("two/web/1").endswith("next attempt in 30 s (4th)")


# -- refused at push ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            "update: {min_healthy: 1.0}",
            "update.min_healthy: 1 of 1 task leaves none that may be stopped first; "
            "write order: start-first, or min_healthy: 0",
        ),
        ("replicas: 3, update: {min_healthy: 0.7}", "write order: start-first, or min_healthy: 0.66 or less"),
        ("update: {max_over: 1}", "update.max_over: 1 is of use only with order: start-first"),
        ("update: {order: start-first, max_over: 0}", "max_over: 0 leaves no room to start a task first"),
        ("update: {healthy_for: 10m}", "deadline: it must be longer than healthy_for"),
        (
            "update: {order: start-first}, host: db-1, ports: [{host: 3306}]",
            "it takes the fixed host port 3306 and may run only on db-1, where the old one has it",
        ),
        ("update: {min_healthy: 80}", "80 is not a share from 0 to 1"),
        ("update: {order: blue-green}", "'blue-green' must be 'stop-first' or 'start-first'"),
        ("update: {paralel: 2}", "unknown field; did you mean 'parallel'?"),
        ("health: {http: healthz}", "'healthz' is not a path such as /healthz"),
        ("health: {http: /, tcp: 80}", "give one of http: /path, tcp: port and command"),
        ("health: {http: /}", "health: there are 0 ports; say which with port: NAME or a number"),
        ("health: {http: /, port: web}, ports: [{name: http}]", "no port called 'web'; its ports are called http"),
        ("restart: {factor: 0}", "0 is not a factor from 1 to 100"),
        ("depends_on: {db: ready}", "'ready' must be"),
    ],
)
def test_what_could_never_work_is_refused_with_its_reason(fields: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        prepare_push(State(), [PushedFile("f", f"service: one\njobs: {{web: {{image: x, {fields}}}}}\n")], "", "", 0)
    assert message in str(caught.value)


# -- the floor ------------------------------------------------------------------------------------------------

STRATEGIES = st.builds(
    lambda order, parallel, share, quiet, failing: (
        f"order: {order}, parallel: {parallel}, min_healthy: {share if order == 'stop-first' else 1.0}, "
        f"healthy_for: {quiet}s, on_failure: {failing}, deadline: 40s"
    ),
    st.sampled_from(["stop-first", "start-first"]),
    st.integers(1, 4),
    st.sampled_from([0, 0.25, 0.5, 0.75]),
    st.integers(0, 5),
    st.sampled_from(["pause", "rollback", "continue"]),
)
MISHAPS = ["end", "sick", "well", "lose", "crash", "drain", "drain", "restart"]


@settings(max_examples=60, deadline=None)
@given(
    STRATEGIES,
    st.lists(st.tuples(st.integers(1, 25), st.sampled_from(MISHAPS)), max_size=12),
    st.integers(0, 3),
)
def test_an_update_never_stops_what_min_healthy_keeps(
    strategy: str, failures: list[tuple[int, str]], broken: int
) -> None:
    """Whatever fails meanwhile, whatever host is drained. `SimCluster` checks every kill; and when all is well again,
    the update ends, and a host that is still being drained is empty."""
    c = started(strategy, "health: {http: /},", replicas=5)
    c.push(web(2, strategy, "health: {http: /},", replicas=5))

    def says(task: TaskInfo) -> bool:
        return b"web:2" not in task.spec or int(task.task_id.split(".")[2]) > broken

    c.probe_says = says
    c.update("one")
    for steps, what in failures:
        for _ in range(steps):
            if not c.step():
                c.advance(0.7)
        _fail(c, what, steps)
    for name in "abc":
        if not c.hosts[name].reachable:  # type: ignore[index]
            c.find_again(name)
    drained = [host.name for host in c.hosts.values() if host.availability is Availability.DRAINING]
    for name in drained[1:]:
        c.set_availability(name, Availability.ACTIVE)
    c.probe_says = lambda _: True
    for task in list(c.running()):
        c.said[task] = True  # type: ignore[index]
    c.restart_framework()
    c.advance(100)
    if c.state.updates.get("one"):
        c.resume("one")
    c.advance(1000)
    assert c.rollout("one")["outcome"] and len(c.running()) == 5
    assert not drained or drained[0] not in c.running().values()


def _fail(c: SimCluster, what: str, pick: int) -> None:
    live = sorted(task for host in c.hosts.values() if host.reachable for task in host.tasks)
    if what == "lose":
        name = "abc"[pick % 3]
        if c.hosts[name].reachable:  # type: ignore[index]
            c.lose(name)
        else:
            c.find_again(name)
    elif what == "crash":
        c.restart_framework()
    elif what == "restart":
        c.restart("one/web" if pick % 2 else f"one/web/{pick % 5 + 1}")
    elif what == "drain":
        name = "abc"[pick % 3]
        drained = c.hosts[name].availability is Availability.DRAINING  # type: ignore[index]
        c.set_availability(name, Availability.ACTIVE if drained else Availability.DRAINING)
    elif live:
        name = "/".join(live[pick % len(live)].split(".")[:3])
        host, _ = c._find(name)
        if what == "end":
            c.end(name)
        elif host.reachable:
            c.probe(name, what == "well")


# -- roll-back ------------------------------------------------------------------------------------------------


def test_rollback_goes_to_the_revision_before_or_to_any_other() -> None:
    c = started("healthy_for: 0s")
    for version in (2, 3):
        c.push(web(version, "healthy_for: 0s", replicas=version))
        c.update("one")
        c.advance(10)
    assert revisions(c) == [3, 3, 3]
    c.rollback("one")
    c.advance(10)
    assert revisions(c) == [2, 2]
    answer = c.rollback("one", to=1)
    c.advance(10)
    assert revisions(c) == [1, 1, 1]
    assert answer.notes == ["r3 stays the newest: the next update of one goes there, so push a correction before"]
    with pytest.raises(Conflict, match="one is at r1, the first revision there is"):
        c.rollback("one")
    with pytest.raises(NotFound, match="one has no revision 7; it has r1, r2, r3"):
        c.rollback("one", to=7)
    c.update("one")
    c.advance(10)
    assert revisions(c) == [3, 3, 3]


def test_rollback_takes_over_from_an_update_that_hangs() -> None:
    c = updating(START_FIRST, "health: {http: /},")
    c.probe_says = bad(2)  # type: ignore[assignment]
    before = {task for task in c.running() if "r1" in task}
    c.advance(20)
    c.rollback("one")
    c.advance(20)
    assert set(c.running()) == before and c.rollout("one")["outcome"] == "done"


def test_rollback_of_a_job_the_old_revision_does_not_have() -> None:
    c = started("healthy_for: 0s")
    c.push("service: one\njobs: {web: {image: web:2}, api: {image: x}}\n")
    c.up("one/api")
    c.settle()
    with pytest.raises(Conflict, match="one/api is not part of r1; stop it with: offerer down one/api"):
        c.rollback("one/api")
