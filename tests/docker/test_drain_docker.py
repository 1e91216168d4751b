"""A host is emptied while its services answer requests: real containers, and nobody who asks goes without an answer."""

from __future__ import annotations

import contextlib
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from click.testing import CliRunner

from offerer.cli.common import Session
from offerer.cli.main import main
from tests.engine import Engine
from tests.processes import Processes, processes, wait_for

SITE = """\
service: site
jobs:
  web:
    image: busybox:1
    command: [sh, -c, "echo here > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
    replicas: 2
    ports: [{container: 8080, name: http}]
    health: {http: /index.html, interval: 0.25s, grace: 5s}
    update: {healthy_for: 1s}
    stop_grace: 1s
  data: {image: busybox:1, command: [sleep, "10000"], host: h1, stop_grace: 1s}
"""


@pytest.fixture
def cluster(engine: Engine, tmp_path: Path) -> Iterator[Processes]:
    with processes(tmp_path) as running:
        running.master("--framework", "coding")
        try:
            for name, ports in (("h1", "23000-23099"), ("h2", "23100-23199")):
                resources = f"cpus=4;memory=4GiB;ports={ports}"
                running.executor(
                    name, "--docker-host", engine.url, "--resources", resources, "--address", "127.0.0.1"
                )
            yield running
        finally:
            with contextlib.closing(docker.APIClient(engine.url, version="auto")) as client:
                for each in client.containers(all=True, filters={"label": "offerer.task"}):
                    client.remove_container(each["Id"], force=True)


def _ready(session: Session) -> dict[str, tuple[str, str]]:
    """Task → its address and host, of those that are ready."""
    rows = session.call("coding", "ps", {})["tasks"]
    return {row["task_id"]: (row["address"], row["host"]) for row in rows if row["job"] == "web" and row["ready"]}


class Visitor(threading.Thread):
    """Asks one replica after another, again and again. `unanswered` counts when none of them had an answer."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.session = Session(address)
        self.answered = self.unanswered = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            if any(map(_answers, [address for address, _ in _ready(self.session).values()])):
                self.answered += 1
            else:
                self.unanswered += 1
        self.session.close()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/index.html", timeout=5) as response:
            return bool(response.read() == b"here\n")
    except OSError:
        return False


def test_a_host_is_emptied_and_nobody_notices(cluster: Processes) -> None:
    session = cluster.session
    wait_for("coding", lambda: session.call("coding", "push", {"files": [{"name": "site.yaml", "text": SITE}]}))
    session.call("coding", "up", {"target": "site"})
    wait_for("both replicas", lambda: len(_ready(session)) == 2)
    assert {host for _, host in _ready(session).values()} == {"h1", "h2"}
    visitor = Visitor(cluster.address)
    visitor.start()
    drained = CliRunner().invoke(main, ["--master", cluster.address, "drain", "h1", "--timeout", "60s"])
    visitor.over.set()
    visitor.join()
    assert drained.exit_code == 2 and "site/data/1: host h1 is being drained; it may run nowhere" in drained.stderr
    assert [host for _, host in _ready(session).values()] == ["h2", "h2"]
    assert (visitor.unanswered, visitor.answered > 10) == (0, True)
