"""The 64 services of train-ticket, with a stand-in image, all RUNNING in real containers on three executors."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import docker
import pytest

from benchmarks.traces import Microservice, microservices
from tests.engine import Engine
from tests.processes import processes, wait_for

pytestmark = pytest.mark.timeout(300)


def service_file(service: Microservice) -> dict[str, str]:
    """A service file of one job. Its callees need not be up: train-ticket calls in circles."""
    text = (
        f"service: {service.name}\n"
        "jobs:\n"
        "  main:\n"
        "    image: train-ticket:1\n"
        f"    command: [httpd, -f, -p, '8080']\n"
        f"    resources: {{cpus: {service.cpus_milli / 1000}, memory: {service.memory_mib}MiB}}\n"
        f"    replicas: {service.replicas}\n"
        "    ports: [{container: 8080, name: http}]\n"
        "    stop_grace: 1s\n"
    )
    return {"name": f"{service.name}.yaml", "text": text}


def test_all_run(engine: Engine, tmp_path: Path) -> None:
    engine.import_busybox("train-ticket:1")
    services = microservices("train-ticket").services
    assert len(services) == 64
    wanted = {service.name: service.replicas for service in services}
    with (
        processes(tmp_path) as cluster,
        contextlib.closing(docker.APIClient(engine.url, version="auto")) as client,
    ):
        cluster.master("--framework", "coding")
        for i, ports in enumerate(("20000-20999", "21000-21999", "22000-22999")):
            resources = f"cpus=8;memory=8GiB;ports={ports}"
            cluster.executor(f"h{i}", "--docker-host", engine.url, "--resources", resources, "--address", "127.0.0.1")
        try:
            files = [service_file(service) for service in services]
            wait_for("coding", lambda: cluster.session.call("coding", "push", {"files": files}))
            for name in wanted:
                cluster.session.call("coding", "up", {"target": name})

            def running() -> Counter[str]:
                containers = client.containers(filters={"label": "offerer.task", "status": "running"})
                return Counter(each["Labels"]["offerer.service"] for each in containers)

            wait_for("all services", lambda: running() == Counter(wanted), 240)
            tasks = wait_for("all RUNNING", lambda: _all_running(cluster.session.call("coding", "ps", {})["tasks"]))
            assert len(tasks) == sum(wanted.values())
            assert {task["host"] for task in tasks} == {"h0", "h1", "h2"}
        finally:
            for each in client.containers(all=True, filters={"label": "offerer.task"}):
                client.remove_container(each["Id"], force=True)


def _all_running(tasks: list[dict[str, str]]) -> list[dict[str, str]]:
    return tasks if all(task["state"] == "RUNNING" for task in tasks) else []
