"""Commands, files and usage of a real container, through a real master."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import attachment_checks as checks
from tests.docker.conftest import IMAGE
from tests.engine import Engine
from tests.processes import Processes, processes


@pytest.fixture(scope="module")
def cluster(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("cluster")) as running:
        running.master()
        running.executor("one", "--docker-host", engine.url, "--resources", "cpus=2;memory=2GiB")
        running.framework("tests.sleeper:Sleeper", "--set", f"image={IMAGE}")
        checks.wait_for_sleeper(running)
        yield running
        with engine.client() as client:
            for each in client.containers(all=True):
                client.remove_container(each["Id"], force=True)


def test_exec(cluster: Processes) -> None:
    checks.check_exec(cluster)
    done = checks.offerer(cluster, "exec", "-u", "1000", "sleeper", "--", "id", "-u")
    assert done.stdout == b"1000\n"
    done = checks.offerer(cluster, "exec", "-c", "web", "sleeper", "--", "true")
    assert done.returncode == 1 and b"has no container 'web'; there are: only one, without a name" in done.stderr


def test_a_terminal(cluster: Processes) -> None:
    checks.check_terminal(cluster)


def test_cp(cluster: Processes, tmp_path: Path) -> None:
    checks.check_cp(cluster, tmp_path, "/tmp")


def test_top(cluster: Processes) -> None:
    checks.check_top(cluster)
