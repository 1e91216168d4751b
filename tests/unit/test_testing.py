"""The pytest plug-in: both fixtures, on the example framework."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from examples.hello_framework import Hello
from offerer import Decision, InvalidInput, Kill, NotFound, TaskState, TaskStatus
from offerer.testing import LiveCluster, SimulatedCluster

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


def test_a_framework_that_cannot_register_fails_the_test(live_cluster: LiveCluster) -> None:
    first = live_cluster.run(Hello())
    other = type(first)()
    live_cluster.run(other)  # under the same name: it takes over, and the first one ends
    with pytest.raises(Exception, match="another process registered under this name"):
        for _ in range(1000):
            live_cluster.tasks("hello")
            live_cluster.advance("10ms")


def test_the_tutorial_works_as_it_is_written(pytester: pytest.Pytester) -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "TESTING.md").read_text()
    tutorial = text.partition("```python\n")[2].partition("```")[0]
    assert len([line for line in tutorial.splitlines() if line]) <= 11
    pytester.makepyfile(test_tutorial=tutorial)
    pytester.syspathinsert(root)
    result = pytester.runpytest_inprocess("-p", "offerer.testing", "-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)
