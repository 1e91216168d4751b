"""A plug-in that raises, hangs, launches what it was not offered, or dies, hurts only itself."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import pytest

from tests.processes import Processes, processes, wait_for

RESOURCES = ("--runtime", "fake", "--resources", "cpus=4;memory=4GiB")


@pytest.fixture
def cluster(tmp_path: Path):
    """A master with short heartbeats and one host."""
    with processes(tmp_path) as started:
        started.master("--heartbeat", "0.3", "--unreachable-after", "2")
        started.executor("h1", *RESOURCES)
        yield started


def running(cluster: Processes, framework: str) -> int:
    return sum(state == "RUNNING" for state in cluster.tasks(framework).values())


def hosted(master: int, plugin: str) -> psutil.Process:
    """The child of the master that hosts this plug-in."""

    def found() -> psutil.Process | None:
        for child in psutil.Process(master).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end, or be a zombie, as we look
                if plugin in " ".join(child.cmdline()):
                    return child
        return None

    process: psutil.Process = wait_for(f"the process of {plugin}", found)
    return process


def others_work(cluster: Processes) -> None:
    """A well-behaved framework gets offers and runs its tasks."""
    cluster.framework("examples.hello_framework:Hello")
    wait_for("three copies of hello", lambda: running(cluster, "hello") == 3)


def test_one_that_raises_is_logged_and_its_offers_go_to_others(cluster: Processes) -> None:
    raising = cluster.framework("tests.plugins:Raises")
    wait_for("the traceback", lambda: "RuntimeError: what a pity" in raising.output())
    others_work(cluster)
    declined = [each for each in cluster.session.events() if each.kind == "offer_declined"]
    assert any(each.fields["framework"] == "raises" for each in declined)
    assert raising.process is not None and raising.process.poll() is None


def test_one_that_hangs_loses_its_offers_and_comes_back_afterwards(cluster: Processes) -> None:
    hanging = cluster.framework("tests.plugins:Hangs")
    wait_for("the hang", lambda: "hanging" in hanging.output())
    others_work(cluster)
    back = ("framework_registered", "hangs")
    wait_for(
        "its return",
        lambda: [(e.kind, e.fields.get("framework")) for e in cluster.session.events()].count(back) == 2,
    )


def test_a_launch_outside_an_offer_is_dropped_with_the_reason(cluster: Processes) -> None:
    cluster.framework("tests.plugins:LaunchesWhatItWasNotOffered")
    others_work(cluster)
    wait_for("DROPPED", lambda: ("stolen", "DROPPED") in cluster.statuses("thief"))
    (event,) = [e for e in cluster.session.events() if e.kind == "task_status" and e.fields["task"] == "stolen"]
    assert event.fields["reason"] == "INVALID_OFFER"
    assert "never this framework's" in event.fields["message"]


def test_one_that_asks_for_nonsense_is_cut_off_with_a_clear_error(cluster: Processes) -> None:
    nonsense = cluster.framework("tests.plugins:DemandsNonsense")
    wait_for("the error", lambda: "constraint zone =~ (: not a regular expression" in nonsense.output())
    assert "Traceback" not in nonsense.output()
    others_work(cluster)


def test_the_same_name_twice_lets_the_newer_win_and_ends_the_older(cluster: Processes) -> None:
    older = cluster.framework("examples.hello_framework:Hello")
    wait_for("three copies", lambda: running(cluster, "hello") == 3)
    newer = cluster.framework("examples.hello_framework:Hello")
    assert older.process is not None and newer.process is not None
    assert older.process.wait(20) == 78
    assert "error: framework hello: another process registered under this name" in older.output()
    assert newer.process.poll() is None and running(cluster, "hello") == 3


def test_hosted_ones_are_restarted_when_killed(tmp_path: Path) -> None:
    with processes(tmp_path) as cluster:
        master = cluster.master("--framework", "examples.hello_framework:Hello", "--framework", "tests.plugins:Missing")
        cluster.executor("h1", *RESOURCES)
        wait_for("three copies", lambda: running(cluster, "hello") == 3)
        before = cluster.tasks("hello")
        child = hosted(master.pid, "Hello")
        child.kill()
        wait_for("another process", lambda: hosted(master.pid, "Hello").pid != child.pid)
        wait_for("its return", lambda: cluster.session.state("frameworks").frameworks[0].connected)
        assert cluster.tasks("hello") == before
        assert "has no 'Missing'" in master.output() and "Traceback" not in master.output()
        child = hosted(master.pid, "Hello")
        master.kill()
        psutil.wait_procs([child], timeout=20)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
