"""The pytest plug-in: both fixtures, on the example framework."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import sleep

import pytest

from examples.hello_framework import Hello
from offerer import (
    Context,
    Decision,
    Framework,
    InvalidInput,
    Kill,
    NotFound,
    Offer,
    TaskState,
    TaskStatus,
    Unavailable,
)
from offerer.testing import Cluster, LiveCluster, SimulatedCluster

pytest_plugins = ["pytester"]


def test_tasks_of_a_dead_host_become_unreachable(cluster: SimulatedCluster) -> None:
    cluster.add_hosts(3, cpus=8, memory="32GiB", zone="a")
    cluster.run(Hello(copies=3))
    cluster.advance("1s")
    cluster.assert_running("hello", 3)
    cluster.kill_host(cluster.tasks("hello")[0].host_id)
    cluster.advance("1m")
    assert {task.state for task in cluster.tasks("hello")} == {TaskState.UNREACHABLE}


class Mover(Hello):
    """Keeps its copies off hosts that are being drained."""

    name = "mover"

    def on_statuses(self, now: int, statuses: Sequence[TaskStatus]) -> Iterator[Decision]:
        leaving = [status.task_id for status in statuses if status.draining]
        yield from map(Kill, self.alive.intersection(leaving))
        self.alive.difference_update(leaving)
        yield from super().on_statuses(now, [status for status in statuses if status.task_id not in leaving])


def test_a_framework_can_empty_a_host(cluster: SimulatedCluster) -> None:
    first, second = cluster.add_hosts(2)
    cluster.run(Mover(copies=3))
    cluster.advance("1s")
    for full, empty in ((first, second), (second, first)):
        cluster.undrain_host(empty)
        cluster.drain_host(full)
        cluster.advance("6s")  # what was declined is offered again after 5
        cluster.assert_running("mover", 3)
        assert {task.host_id for task in cluster.tasks("mover")} == {empty}
    said = [event.fields["availability"] for event in cluster.events if event.kind == "host_availability_set"]
    assert said == ["active", "draining", "active", "draining"]


def test_a_framework_hears_of_draining_over_real_grpc(live_cluster: LiveCluster) -> None:
    (host,) = live_cluster.add_hosts(1)
    plugin = live_cluster.run(Mover(copies=3))
    live_cluster.assert_running("mover", 3)
    live_cluster.drain_host(host)
    for _ in range(500):
        if not plugin.alive:
            break
        live_cluster.advance("10ms")
    live_cluster.assert_running("mover", 0)


def test_hello_replaces_what_ends(cluster: SimulatedCluster) -> None:
    cluster.add_hosts(1)
    cluster.run(Hello(copies=2))
    cluster.advance("1s")
    first = cluster.tasks("hello")[0]
    cluster.end_task(first.task_id, exit_code=3)
    cluster.advance(1)
    cluster.assert_running("hello", 2)
    assert first.task_id not in [task.task_id for task in cluster.tasks("hello")]


def test_tasks_are_found_by_the_beginning_of_their_ids(cluster: SimulatedCluster) -> None:
    cluster.add_hosts(1)
    cluster.run(Hello(copies=2))
    cluster.advance("1s")
    prefix = cluster.tasks("hello")[0].task_id.rpartition("-")[0]
    cluster.assert_running(prefix, 2)
    cluster.assert_running(prefix[:-1], 0)


def test_what_does_not_run_is_said_with_the_reason(cluster: SimulatedCluster) -> None:
    cluster.add_hosts(1, cpus=0.1, memory="64MiB")
    cluster.run(Hello(copies=2))
    cluster.advance("1s")
    with pytest.raises(AssertionError, match=r"hello: 1 of 2 run; host-1 has memory=48MiB;.* free"):
        cluster.assert_running("hello", 2)


def test_a_host_comes_back_empty(cluster: SimulatedCluster) -> None:
    (name,) = cluster.add_hosts(1)
    cluster.run(Hello(copies=1))
    cluster.advance("1s")
    cluster.kill_host(name)
    cluster.advance("1m")
    cluster.start_host(name)
    cluster.advance("1s")
    cluster.assert_running("hello", 1)
    with pytest.raises(InvalidInput, match="is up"):
        cluster.start_host(name)
    with pytest.raises(NotFound, match="no task 'nothing' runs"):
        cluster.end_task("nothing")


def test_events_tell_the_story_in_order(cluster: SimulatedCluster) -> None:
    cluster.add_hosts(1)
    cluster.run(Hello(copies=1))
    cluster.advance("1s")
    cluster.kill_host("host-1")
    cluster.advance("1m")
    kinds = [event.kind for event in cluster.events]
    states = [event.fields["state"] for event in cluster.events if "state" in event.fields]
    assert kinds.index("host_registered") < kinds.index("offer_sent") < kinds.index("host_unreachable")
    assert states == ["RUNNING", "UNREACHABLE"]
    assert [event.at for event in cluster.events] == sorted(event.at for event in cluster.events)


def test_a_year_passes_quickly(cluster: SimulatedCluster) -> None:
    cluster.add_hosts(3)
    cluster.run(Hello())
    cluster.advance("365d")
    cluster.assert_running("hello", 3)


def test_the_same_over_real_grpc(live_cluster: LiveCluster) -> None:
    live_cluster.add_hosts(2, zone="a")
    live_cluster.run(Hello(copies=3))
    live_cluster.assert_running("hello", 3)
    live_cluster.end_task(live_cluster.tasks("hello")[0].task_id)
    live_cluster.assert_running("hello", 3)
    host = live_cluster.tasks("hello")[0].host_id
    live_cluster.kill_host(host)
    live_cluster.start_host(host)
    live_cluster.assert_running("hello", 3)
    assert "host_registered" in [event.kind for event in live_cluster.events]
    with pytest.raises(NotFound, match="no host 'host-9' up"):
        live_cluster.kill_host("host-9")


class Raises(Framework):
    """Raises over its first offers."""

    name = "raises"

    def on_offers(self, now: int, offers: Sequence[Offer]) -> None:
        raise ValueError("what a pity")


def test_what_a_framework_raises_fails_the_next_call(live_cluster: LiveCluster) -> None:
    live_cluster.add_hosts(1)
    with pytest.raises(ValueError, match="what a pity") as raised:
        live_cluster.run(Raises())
        live_cluster.assert_running("raises", 1)
    assert "on_offers" in [entry.name for entry in raised.traceback]


def test_what_a_framework_raises_fails_the_test_at_its_end(tmp_path: Path) -> None:
    live = LiveCluster(tmp_path)
    live.add_hosts(1)
    live._call(live._start_client(Raises()))
    while not live._raised:
        sleep(0.01)
    with pytest.raises(ValueError, match="what a pity"):
        live.close()


def test_a_framework_of_the_same_name_takes_over(cluster: SimulatedCluster) -> None:
    take_over(cluster)


def test_a_framework_of_the_same_name_takes_over_real_grpc(live_cluster: LiveCluster) -> None:
    take_over(live_cluster)


def take_over(cluster: Cluster) -> None:
    cluster.add_hosts(1)
    first = cluster.run(Hello(copies=3))
    cluster.advance("200ms")
    cluster.assert_running("hello", 3)
    known = set(first.alive)
    second = cluster.run(Hello(copies=3))
    cluster.advance("200ms")
    cluster.assert_running("hello", 3)
    assert second.alive == known
    cluster.end_task(min(known))
    cluster.advance("200ms")
    cluster.assert_running("hello", 3)
    assert first.alive == known != second.alive


def test_roles_are_configured_in_the_units_of_people(cluster: SimulatedCluster) -> None:
    configure(cluster)
    role = cluster.simulation.master.cluster.state.allocator.role("ci")
    assert (role.weight, role.guarantee, role.limit) == (2000, {"cpus": 1500, "licences": 0}, {"memory": 8 << 30})


def test_roles_are_configured_over_real_grpc(live_cluster: LiveCluster) -> None:
    configure(live_cluster)
    assert "role_configured" in [event.kind for event in live_cluster.events]


def configure(cluster: Cluster) -> None:
    cluster.configure_role("ci", weight=2)
    cluster.configure_role("ci", guarantee={"cpus": 1.5, "licences": 0}, limit={"memory": "8GiB"})
    for wrong, arguments in {
        "weight: 0 must be": {"weight": 0},
        "guarantee: cpus: 'x' is not a number": {"guarantee": {"cpus": "x"}},
        "limit: resources: 'ports' is not a name": {"limit": {"ports": 1}},
        "limit: 4 must be a mapping": {"limit": 4},
    }.items():
        with pytest.raises(InvalidInput, match=f"configure_role: {wrong}"):
            cluster.configure_role("ci", **arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="role: 'c i' must be"):
        cluster.configure_role("c i", weight=1)


def test_the_fixtures_check_what_they_are_given(cluster: SimulatedCluster) -> None:
    check(cluster)


def test_the_fixtures_check_what_they_are_given_over_real_grpc(live_cluster: LiveCluster) -> None:
    check(live_cluster)


def check(cluster: Cluster) -> None:
    with pytest.raises(InvalidInput, match="add_hosts: count: -1 must be a whole number from 1"):
        cluster.add_hosts(-1)
    with pytest.raises(InvalidInput, match="add_hosts: zone: 3 must be a string, as all attributes; write '3'"):
        cluster.add_hosts(1, zone=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="end_task: exit_code: 'x' must be a whole number from 0 to 255"):
        cluster.end_task("t", exit_code="x")  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="there is no host 'x'"):
        cluster.drain_host("x")
    with pytest.raises(InvalidInput, match=r"Hello is a class; give an instance of it: Hello\(\)"):
        cluster.run(Hello)
    cluster.run(Hello())  # and all works as before


def test_exit_codes_of_tasks_that_ended_can_be_seen(cluster: SimulatedCluster) -> None:
    see_exit_codes(cluster)


def test_exit_codes_of_tasks_that_ended_can_be_seen_over_real_grpc(live_cluster: LiveCluster) -> None:
    see_exit_codes(live_cluster)


def see_exit_codes(cluster: Cluster) -> None:
    cluster.add_hosts(1)
    cluster.run(Hello(copies=1))
    cluster.advance("200ms")
    cluster.assert_running("hello", 1)
    (task,) = cluster.tasks("hello")
    cluster.end_task(task.task_id, exit_code=3)
    cluster.advance("200ms")
    cluster.assert_running("hello", 1)
    first, second = cluster.tasks("hello", ended=True)
    assert (first.task_id, first.state, first.exit_code) == (task.task_id, TaskState.FAILED, 3)
    assert [second] == cluster.tasks("hello")
    assert cluster.tasks(task.task_id, ended=True) == [first]


def test_hosts_that_are_not_offered_are_said_with_the_reason(cluster: SimulatedCluster) -> None:
    cluster.add_hosts(2)
    cluster.drain_host("host-1")
    cluster.advance("1s")
    cluster.kill_host("host-2")
    cluster.advance("1m")
    with pytest.raises(AssertionError, match="no framework is called 'x', .*: none; host-1 is draining, host-2 is un"):
        cluster.assert_running("x", 1)


def test_the_tutorial_works_as_it_is_written(pytester: pytest.Pytester) -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "TESTING.md").read_text()
    framework, test = (block.partition("```")[0] for block in text.split("```python\n")[1:])
    assert framework in (root / "examples" / "hello_framework.py").read_text()
    assert len([line for line in test.splitlines() if line]) <= 11
    pytester.makepyfile(hello=framework, test_hello=test)
    result = pytester.runpytest_inprocess("-p", "offerer.testing", "-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


def test_a_name_of_a_host_is_not_given_again(cluster: SimulatedCluster) -> None:
    first, second = cluster.add_hosts(2)
    cluster.advance("1s")
    cluster.kill_host(first)
    cluster.simulation.remove(first)
    assert cluster.add_hosts(1) not in ([first], [second])


def test_what_is_meant_as_a_resource_is_no_attribute(cluster: SimulatedCluster) -> None:
    with pytest.raises(InvalidInput, match="mem: '1GiB' would be an attribute; write memory"):
        cluster.add_hosts(1, mem="1GiB")


class Deaf(Hello):
    """Does not end."""

    name = "deaf"

    async def serve(self, context: Context) -> None:
        context.ready()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)


def test_a_framework_that_does_not_end_fails_the_test_and_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offerer.testing._ENDS_WITHIN", 0.1)
    live = LiveCluster(tmp_path)
    live.run(Deaf())
    with pytest.raises(Unavailable, match=r"framework deaf: its serve\(\) does not end"):
        live.close()
    assert "live_cluster" not in {thread.name for thread in threading.enumerate()}
