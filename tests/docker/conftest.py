"""A real Docker engine for the tests of this directory: one per session, started and removed by us."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import engine as engines

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
