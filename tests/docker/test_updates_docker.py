"""The main stories of services in real containers: updates under a steady load, canaries, and what dies in between."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engine import Engine
from tests.processes import ROOT, Processes, processes, wait_for

pytestmark = pytest.mark.timeout(180)

IMAGE = "web:1"
SERVICE = """\
service: {name}
jobs:
  web:
    image: web:1
    command: [sh, -c, 'mkdir /tmp/www; echo {text} > /tmp/www/index.html; {serve}']
    resources: {{cpus: 0.1, memory: 16MiB}}
    replicas: 3
    ports: [{{container: 8080, name: http}}]
    health: {{http: /, interval: 0.5s, failures: 1, grace: 1s}}
    stop_signal: SIGKILL
    {settings}
"""
SERVES = "exec httpd -f -p 8080 -h /tmp/www"
BREAKS = "exec sleep 600"


@pytest.fixture(scope="module")
def cluster(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    engine.import_busybox(IMAGE)
    with processes(tmp_path_factory.mktemp("updates")) as running:
        running.master("--framework", "coding", "--heartbeat", "0.5", "--unreachable-after", "3")
        for i, ports in enumerate(("20000-20999", "21000-21999")):
            resources = f"cpus=2;memory=1GiB;ports={ports}"
            running.executor(f"h{i}", "--docker-host", engine.url, "--resources", resources, "--address", "127.0.0.1")
        wait_for("coding", lambda: running.session.state("frameworks").frameworks)
        try:
            yield running
        finally:
            with engine.client() as client:
                for each in client.containers(all=True, filters={"label": "offerer.task"}):
                    client.remove_container(each["Id"], force=True)


class Load:
    """Asks one replica after the other, some two hundred times a second, by addresses that are looked up all along."""

    def __init__(self, cluster: Processes) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._cluster = cluster
        self._addresses: list[str] = []
        self._stop = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[Load]:
        threads = [threading.Thread(target=each) for each in (self._look_up, self._request)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _look_up(self) -> None:
        while not self._stop.is_set():
            rows = self._cluster.session.call("coding", "ps", {"target": "site"})["tasks"]
            self._addresses = [each["address"] for row in rows for each in row["serving"]]
            time.sleep(0.4)

    def _request(self) -> None:
        turn = 0
        while not self._stop.is_set():
            addresses = self._addresses
            if addresses:
                turn += 1
                self._get(addresses[turn % len(addresses)])
            time.sleep(0.005)

    def _get(self, address: str) -> None:
        with contextlib.closing(http.client.HTTPConnection(address, timeout=5)) as connection:
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                text = answer.read().decode().strip()
            except OSError as error:
                self.failures.append(f"{address}: {error!r}")
                return
        if answer.status == 200:
            self.answers[text] += 1
        else:
            self.failures.append(f"{address}: status {answer.status}")


def offerer(cluster: Processes, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    command = [sys.executable, "-m", "offerer.cli.main", "--master", cluster.address, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


class Site:
    """One service, its file and what is known of it."""

    def __init__(self, cluster: Processes, engine: Engine, directory: Path, name: str, settings: str) -> None:
        self.name = name
        self._cluster = cluster
        self._engine = engine
        self._file = directory / f"{name}.yaml"
        self._settings = settings

    def push(self, text: str, serve: str = SERVES, settings: str = "") -> None:
        fields = {"name": self.name, "text": text, "serve": serve, "settings": settings or self._settings}
        self._file.write_text(SERVICE.format(**fields))
        self.do("push", str(self._file))

    def do(self, *arguments: str, code: int = 0) -> str:
        """Run a command that ends with this exit code; what it said."""
        done = offerer(self._cluster, *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def rows(self) -> list[dict[str, Any]]:
        """What `ps --json` says of its tasks."""
        return list(self._cluster.session.call("coding", "ps", {"target": self.name})["tasks"])

    def revisions(self) -> list[int]:
        return [row["revision"] for row in self.rows()]

    def containers(self) -> dict[str, str]:
        """The id of the container of each task that runs, by task id, as the engine knows them."""
        with self._engine.client() as client:
            filters = {"label": f"offerer.service={self.name}", "status": "running"}
            return {each["Labels"]["offerer.task"]: each["Id"] for each in client.containers(filters=filters)}


def test_an_update_loses_no_request_and_a_bad_one_rolls_back(
    cluster: Processes, engine: Engine, tmp_path: Path
) -> None:
    update = "update: {{parallel: 2, order: start-first, healthy_for: 0.5s, deadline: {}, on_failure: rollback}}"
    settings = f"shutdown_delay: 1.5s\n    {update.format('60s')}"
    site = Site(cluster, engine, tmp_path, "site", settings)
    site.push("one")
    site.do("up", "site", "--wait")
    load = Load(cluster)
    with load.running():
        wait_for("requests", lambda: load.answers["one"] > 20)
        site.push("two")
        site.do("update", "site", "--watch")
        before = load.answers["two"]
        wait_for("requests", lambda: load.answers["two"] > before + 20)
        old = load.answers["one"]
        site.push("three", BREAKS, settings.replace("60s", "4s"))
        assert "rolled back" in site.do("update", "site", "--watch", code=1)
        before = load.answers["two"]
        wait_for("requests", lambda: load.answers["two"] > before + 20)
    assert not load.failures, f"{len(load.failures)} of {load.answers.total()}: {load.failures[:5]}"
    assert load.answers["one"] == old and set(load.answers) == {"one", "two"}
    assert [(row["state"], row["revision"], len(row["serving"])) for row in site.rows()] == [("RUNNING", 2, 1)] * 3
    site.do("down", "site", "--wait")


def test_canaries_that_are_aborted_leave_all_as_it_was(cluster: Processes, engine: Engine, tmp_path: Path) -> None:
    site = Site(cluster, engine, tmp_path, "canary", "update: {canary: 1, healthy_for: 0.5s}")
    site.push("one")
    site.do("up", "canary", "--wait")
    before = site.containers()
    site.push("two")
    assert "canary: 1 task runs the new revision of canary/web" in site.do("update", "canary", "--watch", code=2)
    assert sorted(site.revisions()) == [1, 1, 2]
    site.do("abort", "canary")
    assert wait_for("its end", lambda: _ended(cluster, "canary"))["outcome"] == "rolled back"
    assert site.revisions() == [1, 1, 1] and all(row["ready"] for row in site.rows())
    kept = set(before.items()) & set(site.containers().items())
    assert len(kept) == 2 and len(site.containers()) == 3
    site.do("down", "canary", "--wait")


def test_an_update_goes_on_where_the_framework_died(cluster: Processes, engine: Engine, tmp_path: Path) -> None:
    site = Site(cluster, engine, tmp_path, "crash", "update: {healthy_for: 0.5s}")
    site.push("one")
    site.do("up", "crash", "--wait")
    before = sorted(site.containers())
    site.push("two")
    site.do("update", "crash")
    wait_for("the middle of it", lambda: 2 in site.revisions())
    master = next(daemon for daemon in cluster.daemons if daemon.name == "master")
    for framework in psutil.Process(master.pid).children():
        framework.kill()
    wait_for("its end", lambda: site.revisions() == [2, 2, 2] and all(row["ready"] for row in site.rows()))
    updated = [f"crash.web.{i}.r2-{int(each.rpartition('-')[2]) + 1}" for i, each in enumerate(before, 1)]
    assert sorted(site.containers()) == updated  # each by one launch, whatever port was taken at first
    assert wait_for("that it is done", lambda: _ended(cluster, "crash"))["outcome"] == "done"
    site.do("down", "crash", "--wait")


def _ended(cluster: Processes, service: str) -> dict[str, Any] | None:
    update: dict[str, Any] = cluster.session.call("coding", "rollout", {"target": service})["update"]
    return update if update["outcome"] else None


def test_a_host_that_was_lost_comes_back_with_what_runs(cluster: Processes, engine: Engine, tmp_path: Path) -> None:
    site = Site(cluster, engine, tmp_path, "lost", "on_host_lost: wait")
    site.push("one")
    site.do("up", "lost", "--wait")
    before = site.containers()
    executor = next(daemon for daemon in cluster.daemons if daemon.name == "executor-h0")
    there = [row["task"] for row in site.rows() if row["host"] == "h0"]
    assert there
    executor.kill()

    def lost() -> list[str]:
        return [row["task"] for row in site.rows() if row["state"] == "UNREACHABLE"]

    wait_for("that they are missed", lambda: lost() == there)
    assert site.containers() == before
    executor.start()
    wait_for("all of them", lambda: all(row["ready"] for row in site.rows()) and not lost())
    assert site.containers() == before
    site.do("down", "lost", "--wait")
