"""Commands that wait: what they make of a cluster that is away for a while."""

from __future__ import annotations

from typing import Any

import pytest

from offerer.cli import updates, waiting
from offerer.errors import NotFound, OffererError, Unavailable


class Flaky:
    """A session whose calls fail in turn, and then are answered."""

    def __init__(self, *failures: OffererError) -> None:
        self.failures = list(failures)

    def call(self, framework: str, method: str, arguments: object) -> dict[str, Any]:
        if self.failures:
            raise self.failures.pop(0)
        return {"update": {"outcome": "done"}, "tasks": []}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL", 0)


def test_whoever_watches_an_update_bears_with_a_restart_of_the_framework() -> None:
    session = Flaky(Unavailable("framework 'coding' is not connected"), Unavailable("no answer in time"))
    assert updates.watch(session, ["core"], None, True) == 0  # type: ignore[arg-type]


def test_but_not_for_ever_nor_with_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound):
        updates.watch(Flaky(NotFound("there is no service 'core'")), ["core"], None, True)  # type: ignore[arg-type]
    monkeypatch.setattr(waiting, "AWAY", 0)
    with pytest.raises(Unavailable):
        updates.watch(Flaky(Unavailable("away")), ["core"], None, True)  # type: ignore[arg-type]
