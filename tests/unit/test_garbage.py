"""Garbage in cycles is found while a daemon runs, young or old, and afterwards the process is as it was."""

import asyncio
import gc
import weakref

import pytest

from offerer import SECOND, Resources, garbage
from offerer.sim import Simulation
from offerer.sim.workload import Arrival, Batch
from offerer.sim.world import START


class _Node:
    def __init__(self) -> None:
        self.itself: _Node | None = self


async def _gone(ref: weakref.ref[_Node]) -> None:
    async with asyncio.timeout(10):
        while ref() is not None:
            await asyncio.sleep(0.01)


def test_what_is_thrown_away_young_is_found():
    async def main() -> str:
        await _gone(weakref.ref(_Node()))
        return "done"

    assert garbage.run(main()) == "done"
    assert gc.isenabled()


def test_what_is_thrown_away_old_is_found_by_a_walk_of_everything(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        node = _Node()
        while any(each is node for each in gc.get_objects()):  # it is young still
            await asyncio.sleep(0.01)
        ref = weakref.ref(node)
        del node
        await _gone(ref)

    monkeypatch.setattr(garbage, "_ALL_EVERY", 0.3)
    garbage.run(main())


def test_an_error_ends_the_run_and_leaves_the_collector_on():
    async def main() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        garbage.run(main())
    assert gc.isenabled()


def test_tasks_that_ended_leave_nothing_to_a_collector_that_seldom_comes():
    simulation = Simulation()
    simulation.add_host("host", Resources.of(cpus=4, memory="16GiB"))
    one = Resources.of(cpus=1, memory="1GiB")
    plugin = simulation.run(Batch("batch", "*", [Arrival(START + SECOND, 100, one, 5 * SECOND)])).plugin
    simulation.advance(SECOND)
    gc.collect()
    simulation.advance(200 * SECOND)
    assert isinstance(plugin, Batch) and plugin.finished == 100
    assert gc.collect() == 0
