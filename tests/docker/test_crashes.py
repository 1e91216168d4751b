"""kill -9 of everything in turn while twenty services run: no container lost or doubled, each RUNNING again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import psutil
import pytest

from offerer.task_states import TRANSITIONS, TaskState
from tests.engine import Engine
from tests.processes import Processes, processes, wait_for

SERVICES = 20
HOSTS = ("h1", "h2", "h3")


class Story:
    """The cluster and what the engine, not offerer, says of it."""

    def __init__(self, engine: Engine, cluster: Processes, directory: Path) -> None:
        self.engine = engine
        self.cluster = cluster
        self.statuses = directory / "statuses"
        self.master = cluster.master("--framework", "tests.plugins:RecordingCoding")
        options = ("--docker-host", engine.url, "--resources", "cpus=4;memory=4GiB", "--address", "127.0.0.1")
        self.executors = {name: cluster.executor(name, *options) for name in HOSTS}

    def up(self) -> None:
        """Twenty services of one job each."""
        text = "service: s{0}\njobs:\n  job:\n    image: busybox:1\n    command: [sleep, '10000']\n    stop_grace: 1s\n"
        text += "    resources: {{cpus: 0.1, memory: 16MiB}}\n"
        files = [{"name": f"s{i}.yaml", "text": text.format(i)} for i in range(SERVICES)]
        wait_for("coding", lambda: self.cluster.session.call("coding", "push", {"files": files}))
        for i in range(SERVICES):
            self.cluster.session.call("coding", "up", {"target": f"s{i}"})
        self.settled()

    def settled(self) -> None:
        """Everything runs, as the framework says it."""
        wait_for("all services", self._all_run, 120)

    def _all_run(self) -> bool:
        tasks = self.cluster.session.call("coding", "ps", {})["tasks"]
        return len(tasks) == SERVICES and all(task["state"] == "RUNNING" for task in tasks)

    def containers(self) -> dict[str, str]:
        """Service → the id of its one running container, as the engine says it."""
        with contextlib.closing(docker.APIClient(self.engine.url, version="auto")) as client:
            running = client.containers(filters={"label": "offerer.task"})
        found = {each["Labels"]["offerer.task"].split(".")[0]: each["Id"] for each in running}
        assert len(found) == len(running) == SERVICES, f"{len(running)} containers of {len(found)} services run"
        return found

    def hosted(self) -> psutil.Process:
        """The process the master hosts the framework in."""
        (child,) = psutil.Process(self.master.pid).children()
        return child

    def check_statuses(self) -> None:
        """What the framework was shown is in legal order, each status once."""
        seen: dict[str, TaskState] = {}
        for line in self.statuses.read_text().splitlines():
            task, name = line.split()
            state = TaskState[name]
            before = seen.get(task, TaskState.STAGING)
            assert state == before or state in TRANSITIONS[before], f"{task} went from {before.name} to {name}"
            assert not before.terminal, f"{task} had ended and yet was shown {name}"
            seen[task] = state


@pytest.fixture
def story(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    engine.import_busybox("busybox:1")
    monkeypatch.setitem(os.environ, "STATUSES", str(tmp_path / "statuses"))
    with processes(tmp_path) as cluster:
        try:
            yield Story(engine, cluster, tmp_path)
        finally:
            with contextlib.closing(docker.APIClient(engine.url, version="auto")) as client:
                for each in client.containers(all=True, filters={"label": "offerer.task"}):
                    client.remove_container(each["Id"], force=True)


def test_nothing_is_lost_or_doubled(story: Story) -> None:
    cluster = story.cluster
    story.up()
    before = story.containers()

    victim = story.executors["h1"]
    victim.kill()
    wait_for("the loss", lambda: cluster.host("h1").state == "disconnected")
    assert story.containers() == before
    victim.start()
    wait_for("the executor", lambda: cluster.host("h1").state == "active")
    story.settled()
    assert story.containers() == before

    story.master.kill()
    assert story.containers() == before
    story.master.start()
    wait_for("the master", cluster.answers)
    wait_for("all hosts", lambda: all(cluster.host(name).state == "active" for name in HOSTS))
    story.settled()
    assert story.containers() == before

    hosted = story.hosted()
    hosted.kill()
    assert story.containers() == before
    wait_for("another process", lambda: any(c.pid != hosted.pid for c in psutil.Process(story.master.pid).children()))
    story.settled()
    assert story.containers() == before

    with contextlib.closing(docker.APIClient(story.engine.url, version="auto")) as client:
        client.kill(before["s3"])
        client.remove_container(before["s4"], force=True)
        wait_for("their return", lambda: _replaced(story, before, {"s3", "s4"}))
        after = story.containers()

        victim.kill()
        (lost,) = [each for each in client.containers(filters={"label": "offerer.host"}) if _on(story, each, "h1")][:1]
        client.kill(lost["Id"])
        victim.start()
        name = lost["Labels"]["offerer.task"].split(".")[0]
        wait_for("its return too", lambda: _replaced(story, after, {name}))
    story.settled()
    story.check_statuses()


def _replaced(story: Story, before: dict[str, str], services: set[str]) -> bool:
    """Whether exactly these services run in another container."""
    try:
        now = story.containers()
    except AssertionError:
        return False
    return {name for name in now if now[name] != before[name]} == services


def _on(story: Story, container: dict[str, dict[str, str]], host: str) -> bool:
    return container["Labels"]["offerer.host"] in (host, story.cluster.host(host).host_id)
