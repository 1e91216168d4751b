"""A host that falls silent and comes back, with a real master, real executors and the `coding` framework."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Processes, processes, wait_for

CORE = """\
service: core
jobs:
  db: {image: db:1, host: one}
  web: {image: web:1, prefer: [zone == a], on_host_lost: {move_after: 1s}}
  agent: {image: agent:1, one_per_host: true, constraints: ["zone in [a, b]"]}
  twins: {image: twins:1, replicas: 2, constraints: [zone unique]}
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    with processes(tmp_path) as running:
        running.master("--framework", "coding", "--heartbeat", "0.2", "--unreachable-after", "1")
        for name, zone in (("one", "a"), ("two", "b"), ("three", "c")):
            running.executor(name, "--runtime", "fake", "--attributes", f"zone={zone}")
        wait_for("coding", lambda: running.session.call("coding", "push", {"files": [{"name": "f", "text": CORE}]}))
        answer = running.session.call("coding", "up", {"target": "core"})
        assert {"core/agent/one", "core/agent/two"} < set(answer["changed"])
        yield running


def rows(cluster: Processes) -> dict[str, tuple[str, str]]:
    """State and host of each task."""
    found = cluster.session.call("coding", "ps", {})["tasks"]
    return {f"{row['job']}/{row['task']}": (row["state"], row["host"]) for row in found}


def on(cluster: Processes, host: str) -> set[str]:
    """The containers that the master has on a host."""
    tasks = cluster.session.state("tasks").tasks
    return {task.status.task_id for task in tasks if task.host == host and task.status.state < 6}


def test_tasks_leave_a_lost_host_as_their_jobs_say_and_what_they_left_is_stopped_when_it_is_back(
    cluster: Processes,
) -> None:
    wait_for("all tasks", lambda: [state for state, _ in rows(cluster).values()] == ["RUNNING"] * 6)
    before = rows(cluster)
    assert before["web/1"][1] == before["db/1"][1] == "one"
    assert {task for task in before if task.startswith("agent/")} == {"agent/one", "agent/two"}
    assert before["twins/1"][1] != before["twins/2"][1]

    one = next(daemon for daemon in cluster.daemons if daemon.name == "executor-one")
    one.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    try:
        wait_for("the move", lambda: rows(cluster)["web/1"][0] == "RUNNING" and rows(cluster)["web/1"][1] != "one")
        assert rows(cluster)["db/1"] == rows(cluster)["agent/one"] == ("UNREACHABLE", "one")
        assert any(task.startswith("core.web.1.") for task in on(cluster, "one"))
        cluster.executor("four", "--runtime", "fake", "--attributes", "zone=b")
        wait_for("an agent on the new host", lambda: rows(cluster).get("agent/four") == ("RUNNING", "four"))
    finally:
        one.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
    wait_for("the host", lambda: rows(cluster)["db/1"] == rows(cluster)["agent/one"] == ("RUNNING", "one"))
    wait_for("the end of what was left", lambda: not any("web" in task for task in on(cluster, "one")))
    assert rows(cluster)["web/1"][1] != "one"
