"""A host is emptied by command: a master, executors on the fake runtime, services and another framework."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from offerer.cli.main import main
from tests.processes import Processes, processes, wait_for

CORE = """\
service: core
jobs:
  web: {image: web:1, replicas: 4, update: {healthy_for: 0s, parallel: 2}}
  db: {image: db:1, host: one}
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    with processes(tmp_path) as running:
        running.master("--framework", "coding")
        running.executor("one", "--runtime", "fake", "--resources", "cpus=4;memory=8GiB")
        wait_for("coding", lambda: running.session.call("coding", "push", {"files": [{"name": "f", "text": CORE}]}))
        running.session.call("coding", "up", {"target": "core"})
        wait_for("all tasks", lambda: list(running.tasks("coding").values()) == ["RUNNING"] * 5)
        running.framework("examples.hello_framework:Hello", "--role", "batch", "--set", "copies=1")
        wait_for("a copy", lambda: list(running.tasks("hello").values()) == ["RUNNING"])
        running.executor("two", "--runtime", "fake", "--resources", "cpus=4;memory=8GiB")
        yield running


def run(cluster: Processes, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--master", cluster.address, *arguments])


def hosts_of(cluster: Processes, framework: str) -> dict[str, str]:
    tasks = json.loads(run(cluster, "tasks", "--framework", framework, "--json").stdout)
    return {task["task"].rsplit(".", 1)[0]: task["host"] for task in tasks if task["state"] == "RUNNING"}


def test_what_can_move_does_and_the_rest_is_named_or_stopped(cluster: Processes) -> None:
    (hello,) = cluster.tasks("hello")
    early = run(cluster, "drain", "one", "--timeout", "1s")
    assert early.exit_code == 1 and f"{hello}: its framework is told (hello)" in early.stderr

    wait_for("the moves", lambda: list(hosts_of(cluster, "coding").values()).count("two") == 4)
    assert run(cluster, "kill", hello).exit_code == 0
    tied = run(cluster, "drain", "one")
    why = "host one is being drained; it may run nowhere else: stop it with offerer drain one --force"
    assert (tied.exit_code, tied.stderr.splitlines()[-1].strip()) == (2, f"core/db/1: {why}")
    answer: Any = json.loads(run(cluster, "drain", "one", "--json").stdout)
    assert [(left["task"], left["tied"], left["waits_for"]) for left in answer["left"]] == [("core/db/1", True, why)]
    assert hosts_of(cluster, "coding") == {
        "core.db.1": "one", "core.web.1": "two", "core.web.2": "two", "core.web.3": "two", "core.web.4": "two",
    }  # fmt: skip

    forced = run(cluster, "drain", "one", "--force")
    assert forced.exit_code == 0 and "core/db/1 has left" in forced.stdout
    assert forced.stdout.splitlines()[-1] == "host one is empty; when it may be used again: offerer undrain one"
    row = next(row for row in cluster.session.call("coding", "ps", {"target": "core/db"})["tasks"])
    assert row["state"] == "WAITING" and row["reason"].startswith("KILLED: stopped as requested")
    assert run(cluster, "undrain", "one").stdout == "host one is offered again; what is still there stays\n"
    wait_for("the database", lambda: hosts_of(cluster, "coding").get("core.db.1") == "one")

    (hello,) = cluster.tasks("hello")
    assert hosts_of(cluster, "hello") == {hello: "two"}
    back = run(cluster, "drain", "two", "--force")  # the tasks of others are stopped too, services' move
    assert back.exit_code == 0, back.stderr
    wait_for("another copy", lambda: hello not in cluster.tasks("hello") and cluster.tasks("hello"))
    assert set({**hosts_of(cluster, "hello"), **hosts_of(cluster, "coding")}.values()) == {"one"}

    run(cluster, "undrain", "two")
    planned = run(cluster, "rebalance", "--plan")
    assert planned.exit_code == 1 and planned.stdout.splitlines() == [
        "core/web/1: one → two: 4 of core/web are on one, 0 on two",
        "core/web/2: one → two: 3 of core/web are on one, 1 on two",
    ]
    moved = run(cluster, "rebalance", "core", "--wait")
    assert moved.exit_code == 0 and moved.stdout.splitlines()[-1] == "2 tasks moved", moved.output
    assert list(hosts_of(cluster, "coding").values()).count("two") == 2
    again = run(cluster, "rebalance", "--plan", "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (0, {"moves": []})
    assert run(cluster, "drain", "nowhere").stderr == "error: there is no host 'nowhere'\n"
