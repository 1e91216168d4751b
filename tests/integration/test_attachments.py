"""Commands, files and usage of a task of the process runtime, through a real master."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import attachment_checks as checks
from tests.processes import Processes, processes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("cluster")) as running:
        running.master()
        running.executor("one", "--runtime", "process", "--resources", "cpus=2;memory=2GiB")
        running.framework("tests.sleeper:Sleeper")
        checks.wait_for_sleeper(running)
        yield running
        checks.offerer(running, "exec", "sleeper", "--", "sh", "-c", "kill $(cat ../pid | cut -d' ' -f1)")


def test_exec(cluster: Processes) -> None:
    checks.check_exec(cluster)


def test_a_terminal(cluster: Processes) -> None:
    checks.check_terminal(cluster)


def test_cp(cluster: Processes, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    checks.check_cp(cluster, tmp_path, str(tmp_path / "there"))


def test_top(cluster: Processes) -> None:
    checks.check_top(cluster)
