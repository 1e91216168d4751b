"""A real Docker engine for the tests of this directory: one per session, started and removed by us."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from executor.docker.runtime import DEFAULT_SECRETS
from tests import engine as engines
from tests.small_master import SmallMaster

HERE = os.path.dirname(__file__)
IMAGE = "busybox:1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.docker)


@pytest.fixture(scope="session")
def engine() -> Iterator[engines.Engine]:
    """An engine with the image ``busybox:1``. Under CI it is a failure where none can be started, else a skip."""
    reason = engines.missing()
    if reason and os.environ.get("CI") != "true":
        pytest.skip(reason)
    with engines.running_engine() as running:  # raises with the reason
        running.import_busybox(IMAGE)
        yield running


@pytest.fixture
async def master() -> AsyncIterator[SmallMaster]:
    """A master for one executor."""
    async with SmallMaster().serving() as serving:
        yield serving


@pytest.fixture
def client(engine: engines.Engine) -> Iterator[docker.APIClient]:
    """The engine's API; the containers of the test are removed after it, with the secrets written for them."""
    with engine.client() as api:
        yield api
        for each in api.containers(all=True):
            for bind in api.inspect_container(each["Id"])["HostConfig"]["Binds"] or ():
                source = Path(bind.partition(":")[0])
                if source.is_relative_to(DEFAULT_SECRETS):
                    executors = source.relative_to(DEFAULT_SECRETS).parts[0]
                    shutil.rmtree(DEFAULT_SECRETS / executors, ignore_errors=True)
            api.remove_container(each["Id"], force=True)
