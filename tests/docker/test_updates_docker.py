"""Updates of a real HTTP service in real containers, under a steady load on whichever replicas are listed as ready."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import Engine
from tests.processes import ROOT, Processes, processes, wait_for

pytestmark = pytest.mark.timeout(180)

IMAGE = "web:1"
SERVICE = """\
service: site
jobs:
  web:
    image: web:1
    command: [sh, -c, 'mkdir /tmp/www; echo {text} > /tmp/www/index.html; {serve}']
    resources: {{cpus: 0.1, memory: 16MiB}}
    replicas: 3
    ports: [{{container: 8080, name: http}}]
    health: {{http: /, interval: 0.5s, failures: 1, grace: 1s}}
    shutdown_delay: 1.5s
    stop_signal: SIGKILL
    update: {{order: start-first, healthy_for: 0.5s, parallel: 2, deadline: {deadline}, on_failure: rollback}}
"""
SERVES = "exec httpd -f -p 8080 -h /tmp/www"
BREAKS = "exec sleep 600"


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


def push(cluster: Processes, directory: Path, text: str, serve: str = SERVES, deadline: str = "60s") -> None:
    file = directory / "site.yaml"
    file.write_text(SERVICE.format(text=text, serve=serve, deadline=deadline))
    assert offerer(cluster, "push", str(file)).returncode == 0


def test_an_update_loses_no_request_and_a_bad_one_rolls_back(engine: Engine, tmp_path: Path) -> None:
    engine.import_busybox(IMAGE)
    with processes(tmp_path) as cluster:
        cluster.master("--framework", "coding")
        for i, ports in enumerate(("20000-20999", "21000-21999")):
            resources = f"cpus=2;memory=1GiB;ports={ports}"
            cluster.executor(f"h{i}", "--docker-host", engine.url, "--resources", resources, "--address", "127.0.0.1")
        wait_for("coding", lambda: cluster.session.state("frameworks").frameworks)
        try:
            push(cluster, tmp_path, "one")
            assert offerer(cluster, "up", "site", "--wait").returncode == 0
            load = Load(cluster)
            with load.running():
                wait_for("requests", lambda: load.answers["one"] > 20)
                push(cluster, tmp_path, "two")
                updated = offerer(cluster, "update", "site", "--watch")
                assert updated.returncode == 0, updated.stdout + updated.stderr
                before = load.answers["two"]
                wait_for("requests", lambda: load.answers["two"] > before + 20)
                old = load.answers["one"]
                push(cluster, tmp_path, "three", serve=BREAKS, deadline="4s")
                failed = offerer(cluster, "update", "site", "--watch")
                assert failed.returncode == 1, failed.stdout + failed.stderr
                assert "rolled back" in failed.stdout + failed.stderr
                before = load.answers["two"]
                wait_for("requests", lambda: load.answers["two"] > before + 20)
            assert not load.failures, f"{len(load.failures)} of {load.answers.total()}: {load.failures[:5]}"
            assert load.answers["one"] == old and set(load.answers) == {"one", "two"}
            rows = json.loads(offerer(cluster, "ps", "site", "--json").stdout)
            assert [(row["state"], row["revision"], len(row["serving"])) for row in rows] == [("RUNNING", 2, 1)] * 3
        finally:
            with engine.client() as client:
                for each in client.containers(all=True, filters={"label": "offerer.task"}):
                    client.remove_container(each["Id"], force=True)
