"""Jobs of the `batch` framework, on a simulated cluster in virtual time."""

from __future__ import annotations

import random

import pytest

from frameworks.batch.names import parse_instance
from offerer import FrameworkId, InvalidInput, TaskId, TaskState
from offerer.core.events import KillRequested
from offerer.sim.network import Weather
from offerer.testing import SimulatedCluster
from tests.virtual import VirtualBatch, VirtualCoding


@pytest.fixture
def batch(cluster: SimulatedCluster) -> VirtualBatch:
    framework = cluster.run(VirtualBatch(cluster))
    cluster.advance("1s")
    return framework


def job(name: str = "sums", run_for: int | None = 30, **fields: object) -> str:
    """A job file. Each instance takes a core, and ends well after so many seconds."""
    labels = {} if run_for is None else {"fake.run_for": str(run_for)}
    labels |= {"fake.exit_code": str(fields.pop("exit_code"))} if "exit_code" in fields else {}
    settings = {"job": name, "image": "sums:1", "resources": {"cpus": 1, "memory": "64MiB"}, "labels": labels, **fields}
    return "\n".join(f"{field}: {value!r}" for field, value in settings.items())


def test_all_instances_run_to_their_end(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(2, cpus=4)
    sums = batch.submit(job(instances=10))
    cluster.advance("1s")
    assert batch.counts(sums) == (2, 8, 0, 0)
    assert "no host fits: 2 lack cpus" in batch.row(sums)["reason"]
    cluster.advance("31s")
    assert batch.counts(sums) == (0, 2, 8, 0)
    cluster.advance("31s")
    row = batch.row(sums)
    assert (row["state"], row["finished"], row["reason"]) == ("finished", 10, "")
    assert [each["state"] for each in batch.instances(sums)] == ["FINISHED"] * 10
    assert cluster.tasks("batch") == []


def test_nothing_is_hoarded(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(4, cpus=4)
    batch.submit(job(instances=2, run_for=None))
    cluster.advance("1s")
    cluster.assert_running("batch", 2)
    assert not cluster.simulation.master.cluster.state.offers


def test_an_instance_that_fails_is_tried_again_with_back_off(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(1)
    sums = batch.submit(job(run_for=None, retries=2, backoff={"delay": "10s", "factor": 3}))
    for attempt, pause in ((1, 10), (2, 30)):
        cluster.advance("1s")
        cluster.end_task(f"{sums}.0.{attempt}", 7)
        cluster.advance("1s")
        (row,) = batch.instances(sums)
        ordinal = ("2nd", "3rd")[attempt - 1]
        assert row["reason"] == f"exited with code 7; next attempt in {pause} s ({ordinal})"
        assert batch.counts(sums) == (1, 0, 0, 0)
        cluster.advance(pause)
        cluster.assert_running("batch", 1)
    cluster.end_task(f"{sums}.0.3", 9)
    cluster.advance("1s")
    row = batch.row(sums)
    assert (row["state"], row["failed"], row["reason"]) == ("failed", 1, "instance 0: exited with code 9")
    assert (batch.instances(sums)[0]["attempt"], batch.instances(sums)[0]["failures"]) == (3, 3)


def test_others_go_on_where_one_fails_for_good(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(1)
    sums = batch.submit(job(run_for=None, instances=3, retries=0))
    cluster.advance("1s")
    cluster.end_task(f"{sums}.1.1", 1)
    cluster.advance("1s")
    assert batch.counts(sums) == (0, 2, 0, 1)
    for index in (0, 2):
        cluster.end_task(f"{sums}.{index}.1")
    cluster.advance("1s")
    assert batch.row(sums)["state"] == "failed" and batch.counts(sums) == (0, 0, 2, 1)


def test_too_many_failures_end_the_job(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(1, cpus=4)
    sums = batch.submit(job(run_for=5, exit_code=1, instances=100, retries=0, max_failed=3))
    cluster.advance("20s")
    row = batch.row(sums)
    assert row["state"] == "failed"
    assert row["reason"].startswith("4 instances failed; max_failed is 3; instance ")
    assert row["failed"] + row["cancelled"] == 100 and row["failed"] == 4


def test_higher_priorities_go_first(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    low = batch.submit(job("low", instances=4))
    high = batch.submit(job("high", instances=3, priority=10))
    later = batch.submit(job("later", instances=2, priority=10))
    cluster.add_hosts(1, cpus=4)
    cluster.advance("1s")
    assert [batch.counts(each)[1] for each in (low, high, later)] == [0, 3, 1]
    cluster.advance("31s")
    assert [batch.counts(each)[1] for each in (low, high, later)] == [3, 0, 1]


def test_a_large_job_does_not_starve_behind_small_ones_after_it(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(2, cpus=4)
    small = batch.submit(job("small", instances=8, run_for=20))
    cluster.advance("10s")
    more = batch.submit(job("more", instances=200, run_for=20))
    large = batch.submit(job("large", None, priority=1, resources={"cpus": 4, "memory": "64MiB"}))
    cluster.advance("3s")
    assert batch.counts(large) == (1, 0, 0, 0)
    cluster.advance("60s")
    assert batch.counts(large) == (0, 1, 0, 0)
    assert batch.counts(small)[2] == 8 and batch.counts(more)[1] == 4  # the other host is not kept free


def test_no_more_than_parallel_at_once(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(2)
    sums = batch.submit(job(instances=10, parallel=3))
    cluster.advance("1s")
    assert batch.counts(sums) == (7, 3, 0, 0)
    cluster.advance("32s")
    assert batch.counts(sums) == (4, 3, 3, 0)


def test_instances_run_only_where_they_may(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(2, zone="a")
    cluster.add_hosts(1, zone="b")
    sums = batch.submit(job(instances=8, constraints=["zone == b"]))
    cluster.advance("1s")
    assert {task.host_id for task in cluster.tasks("batch")} == {"host-3"}
    assert batch.counts(sums) == (0, 8, 0, 0)


def test_an_instance_that_overruns_is_stopped_and_counts_as_failed(
    cluster: SimulatedCluster, batch: VirtualBatch
) -> None:
    cluster.add_hosts(1)
    sums = batch.submit(job(run_for=None, time_limit="1m", retries=1, backoff={"delay": "5s"}))
    cluster.advance("59s")
    cluster.assert_running("batch", 1)
    cluster.advance("3s")
    assert "ran longer than its time limit of 1m; next attempt in" in batch.instances(sums)[0]["reason"]
    cluster.advance("2m")
    assert batch.row(sums)["reason"] == "instance 0: ran longer than its time limit of 1m"


def test_cancel_stops_what_runs_and_starts_no_more(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(1, cpus=4)
    sums = batch.submit(job(instances=10))
    cluster.advance("31s")
    batch.cancel(sums)
    cluster.advance("1s")
    row = batch.row(sums)
    assert (row["state"], row["finished"], row["cancelled"]) == ("cancelled", 4, 6)
    assert row["reason"] == "cancelled by me"
    assert cluster.tasks("batch") == []
    waiting = batch.submit(job(instances=4, constraints=["zone == b"]))
    batch.cancel(waiting)
    assert batch.row(waiting)["state"] == "cancelled"


def test_a_job_goes_on_after_a_restart_in_the_middle(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(2, cpus=4)
    sums = batch.submit(job(instances=20, run_for=60, retries=1))
    cluster.advance("1s")
    cluster.end_task(f"{sums}.3.1", 1)
    cluster.advance("2s")
    before = {task.task_id for task in cluster.tasks("batch")}
    batch.restart()
    assert before <= {task.task_id for task in cluster.tasks("batch")}
    assert batch.counts(sums)[1] == 8
    cluster.advance("5m")
    assert batch.row(sums)["state"] == "finished"
    launched = [entry.fields["task"] for entry in cluster.events if entry.kind == "task_launched"]
    assert len(set(launched)) == len(launched)
    assert sum(each["attempt"] for each in batch.instances(sums)) == 21


def test_what_ended_while_the_framework_was_away_is_not_run_again(
    cluster: SimulatedCluster, batch: VirtualBatch
) -> None:
    cluster.add_hosts(1, cpus=4)
    sums = batch.submit(job(instances=6, run_for=3))
    cluster.advance("1s")
    batch.restart()
    cluster.advance("10s")
    assert batch.row(sums)["state"] == "finished"
    assert [each["attempt"] for each in batch.instances(sums)] == [1] * 6


def test_nothing_is_launched_that_the_store_does_not_know(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(1)
    batch.store_works = False
    batch.submit(job(instances=4))
    cluster.advance("5s")
    cluster.assert_running("batch", 0)
    batch.store_works = True
    batch.turn()
    cluster.advance("1s")
    cluster.assert_running("batch", 4)


def test_a_place_that_was_rescinded_before_the_launch_is_given_anew(
    cluster: SimulatedCluster, batch: VirtualBatch
) -> None:
    cluster.add_hosts(1)
    batch.store_works = False
    sums = batch.submit(job(instances=4))
    cluster.advance("65s")  # offers time out after 60 s
    batch.store_works = True
    cluster.advance("60s")  # and a time-out counts as a refusal for as long
    cluster.assert_running("batch", 4)
    assert batch.counts(sums) == (0, 4, 0, 0)


def test_an_instance_of_a_lost_host_runs_elsewhere_after_a_while(
    cluster: SimulatedCluster, batch: VirtualBatch
) -> None:
    cluster.add_hosts(1)
    moved = batch.submit(job("moved", run_for=None, on_host_lost={"move_after": "2m"}))
    stays = batch.submit(job("stays", run_for=None, on_host_lost="wait"))
    cluster.advance("1s")
    cluster.simulation.partition("host-1")
    cluster.add_hosts(1)
    cluster.advance("1m")
    assert batch.row(moved)["reason"] == "1 run on host-1, which does not answer"
    cluster.advance("2m")
    assert [each["host"] for each in batch.instances(moved)] == ["host-2"]
    assert [each["host"] for each in batch.instances(stays)] == ["host-1"]
    cluster.simulation.heal("host-1")
    cluster.advance("1m")
    assert {task.task_id for task in cluster.tasks("batch")} == {f"{moved}.0.2", f"{stays}.0.1"}
    assert batch.instances(moved)[0]["failures"] == 0


def test_instances_of_a_host_that_comes_back_empty_run_again(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(2, cpus=4)
    sums = batch.submit(job(instances=8, run_for=None, retries=0))
    cluster.advance("1s")
    cluster.kill_host("host-1")
    cluster.start_host("host-1")
    cluster.advance("20s")
    assert batch.counts(sums) == (0, 8, 0, 0)
    assert all(task.state is TaskState.RUNNING for task in cluster.tasks("batch"))


def test_an_instance_that_an_operator_stops_runs_again(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(1)
    sums = batch.submit(job(run_for=None, retries=0))
    cluster.advance("1s")
    cluster.simulation.master.feed(KillRequested(FrameworkId("batch"), TaskId(f"{sums}.0.1"), None))
    cluster.advance("5s")
    assert [(each["state"], each["attempt"], each["failures"]) for each in batch.instances(sums)] == [("RUNNING", 2, 0)]


def test_the_cluster_is_shared_fairly_with_services(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    coding = cluster.run(VirtualCoding(cluster))
    cluster.add_hosts(10, cpus=8)
    batch.submit(job(instances=10_000, run_for=10))
    cluster.advance("5s")
    cluster.assert_running("batch", 80)
    service = "service: web\njobs: {front: {image: web:1, replicas: 60, resources: {cpus: 1, memory: 64MiB}}}"
    coding.up(service)
    cluster.advance("30s")
    running = {name: len(cluster.tasks(name)) for name in ("batch", "coding")}
    assert running == {"batch": 40, "coding": 40}
    cluster.advance("2m")
    assert len(cluster.tasks("coding")) == 40  # half of it each, as long as both want more


def test_a_job_of_thousands_is_cheap_in_the_store(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.simulation.world.after_step = None  # checking the books all along would take longer than all the rest
    cluster.add_hosts(40, cpus=100, memory="64GiB")
    sums = batch.submit(job(instances=4000))
    cluster.advance("1s")
    cluster.assert_running("batch", 4000)
    cluster.advance("1m")
    assert batch.counts(sums) == (0, 0, 4000, 0)
    assert batch.writes < 1000
    assert len(batch.range("progress/")) == 80
    assert not batch.state.jobs[sums].instances  # what has ended is in the store only


def test_ended_jobs_are_forgotten_in_the_end(cluster: SimulatedCluster, batch: VirtualBatch) -> None:
    cluster.add_hosts(1)
    first = batch.submit(job(run_for=1))
    cluster.advance("8h")
    assert batch.row(first)["state"] == "finished"
    cluster.advance("167h")
    second = batch.submit(job(run_for=1))
    cluster.advance("10s")
    assert list(batch.state.jobs) == [second] and second == "sums-2"
    assert not [key for key in batch.entries if first in key]


@pytest.mark.parametrize("seed", range(6))
def test_every_instance_ends_once_whatever_happens(seed: int) -> None:
    """Messages are lost, repeated, out of order, hosts crash, the framework dies: all is run, and nothing is left."""
    cluster = SimulatedCluster(seed)
    simulation, dice = cluster.simulation, random.Random(seed)
    batch = cluster.run(VirtualBatch(cluster))
    hosts = cluster.add_hosts(4, cpus=4)
    jobs = [
        batch.submit(job("plain", 7, instances=40, backoff={"delay": "1s"}, on_host_lost="move")),
        batch.submit(job("failing", 3, exit_code=1, instances=10, retries=2, backoff={"delay": "1s"})),
        batch.submit(job("endless", None, instances=3, time_limit="20s", retries=1, priority=5)),
        batch.submit(job("stopped", None, instances=50, parallel=4)),
    ]
    simulation.network.weather = Weather(jitter=200_000, loss=0.002, duplication=0.05, reordering=0.05)
    for round_ in range(12):
        cluster.advance(dice.uniform(1, 8))
        match dice.randrange(4):
            case 0:
                name = dice.choice(hosts)
                cluster.kill_host(name)
                cluster.advance(dice.choice((2, 40)))
                cluster.start_host(name)
            case 1:
                batch.restart()
            case 2:
                name = dice.choice([*hosts, "batch"])
                simulation.partition(name)
                cluster.advance(dice.choice((2, 50)))
                simulation.heal(name)
            case _:
                cluster.advance(5)
        if round_ == 6:
            batch.cancel(jobs[3])
        if not batch.state.touched:  # else it is not connected now
            assert sum(batch.planner._wants.values()) == sum(each.startable for each in batch.state.queue)
    simulation.network.weather = Weather()
    cluster.advance("30m")
    rows = [batch.row(each) for each in jobs]
    assert [row["state"] for row in rows] == ["finished", "failed", "failed", "cancelled"], rows
    assert [row["finished"] for row in rows[:3]] == [40, 0, 0] and rows[1]["failed"] == 10 and rows[2]["failed"] == 3
    assert all(row["running"] == row["waiting"] == 0 for row in rows)
    planner = batch.planner
    assert not cluster.tasks("batch") and not planner._dying and not planner._ours and not planner._wants
    assert all(each["failures"] == 3 for each in batch.instances(jobs[1]))
    simulation.check_settled()


@pytest.mark.parametrize("wrong", ["Sums", "", "sums-1/", "sums-1/x", "sums-1/" + "9" * 5000, None, ["sums-1"]])
def test_what_is_no_instance_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput, match="is not JOB or JOB/INSTANCE, for example resize-7/42$"):
        parse_instance(wrong)
