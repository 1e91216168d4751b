"""Service files on a real Docker engine: a pod that watches itself, secrets, settings, and a second environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from click.testing import CliRunner

from offerer.cli.main import main
from tests.engine import Engine
from tests.processes import Processes, processes, wait_for

FILE = """\
service: core
jobs:
  web:
    resources: {cpus: 0.2, memory: 64MiB}
    ports: [{container: 8080, name: http}]
    health: {http: /index.html, interval: 0.2s}
    env_file: web.env
    stop_grace: 3s
    init_steps:
      write:
        image: busybox:1
        command: [sh, -c, 'echo $GREETING > /www/index.html']
        volumes: ['site:/www']
    containers:
      watcher:
        image: busybox:1
        command:
          - sh
          - -c
          - 'until pid=$(pidof httpd | tr " " "\\n" | sort -n | grep -m 1 .); do sleep 0.05; done; echo watching $pid;
            while kill -0 $pid 2>/dev/null; do sleep 0.05; done; echo gone; sleep 60'
      web:
        image: busybox:1
        command: [httpd, -f, -p, '8080', -h, /www]
        volumes: ['site:/www:ro']
        read_only: true
        tmpfs: ['/tmp:size=1MiB']
        cap_drop: [ALL]
        ulimits: {nofile: 256}
        secrets:
          db-password: store
          tls: {file: tls.pem, target: /etc/tls.pem}
          api-key: {file: tls.pem, env: API_KEY}
"""


class Commands:
    """The `offerer` command, in this process."""

    def __init__(self, cluster: Processes) -> None:
        self._cluster = cluster

    def __call__(self, *words: str, given: str = "") -> str:
        result = CliRunner().invoke(main, ["--master", self._cluster.address, *words], given)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def offerer(engine: Engine, client: docker.APIClient, tmp_path: Path) -> Iterator[Commands]:
    """On a cluster of one host, whose containers `client` removes when the executor has ended."""
    with processes(tmp_path) as cluster:
        cluster.master("--framework", "coding")
        options = ("--docker-host", engine.url, "--resources", "cpus=4;memory=4GiB;ports=23000-23099")
        cluster.executor("h1", *options, "--address", "127.0.0.1")
        wait_for("coding", lambda: cluster.session.call("coding", "services", {}))
        yield Commands(cluster)


def test_a_pod_whose_containers_watch_each_other(offerer: Commands, client: docker.APIClient, tmp_path: Path) -> None:
    file = tmp_path / "core.yaml"
    file.write_text(FILE)
    (tmp_path / "web.env").write_text("GREETING='hello, world'\n")
    (tmp_path / "tls.pem").write_text("PEM\n")
    (tmp_path / "core.staging.yaml").write_text("jobs: {web: {env: {GREETING: staging}}}\n")
    for where in ((), ("--env", "staging")):
        offerer("secret", "set", "db-password", *where, given="hunter2\n")
        offerer("push", str(file), *where)
        offerer("up", "core", "--wait", "--timeout", "60s", *where)

    def inside(*words: str, where: tuple[str, ...] = ()) -> str:
        return offerer("exec", "core/web", "-c", "web", *where, "--", *words)

    assert inside("wget", "-q", "-O", "-", "http://127.0.0.1:8080/") == "hello, world\n"
    assert inside("wget", "-q", "-O", "-", "http://127.0.0.1:8080/", where=("--env", "staging")) == "staging\n"
    assert inside("cat", "/run/secrets/db-password", "/etc/tls.pem") == "hunter2PEM\n"
    assert inside("sh", "-c", "echo $API_KEY $(ulimit -n) $OFFERER_TASK") == "PEM 256 core/web/1\n"
    assert "Read-only" in inside("sh", "-c", "touch /x 2>&1 || true")
    container = json.loads(offerer("inspect", "core/web/1", "-c", "web", "--json"))["container"]
    assert "hunter2" not in json.dumps(container) and "API_KEY=***" in json.dumps(container)

    watched = wait_for("the pid", lambda: offerer("logs", "core/web", "-c", "watcher")).split()
    assert watched[0] == "watching"
    inside("sh", "-c", f"grep -q httpd /proc/{watched[1]}/cmdline")
    for each in client.containers(filters={"label": ["offerer.task=core.web.1.r1-1", "offerer.container=web"]}):
        client.kill(each["Id"])
    ended = wait_for("its end", lambda: [
        row for row in json.loads(offerer("history", "core", "--json"))["containers"] if row["ended"]
    ])  # fmt: skip
    assert ended[0]["message"] == "container web exited with code 137"
    assert offerer("logs", "core.web.1.r1-1", "-c", "watcher").splitlines()[1:] == ["gone"]
