"""A real Docker engine for the tests of this directory: one per session, started and removed by us."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import docker
import pytest

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
    """The engine's API; the containers of the test are removed after it."""
    with engine.client() as api:
        yield api
        for each in api.containers(all=True):
            api.remove_container(each["Id"], force=True)
