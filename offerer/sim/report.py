"""What came of a simulation: totals, waits, shares over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from offerer.allocator import dominant_share
from offerer.framework import Framework
from offerer.ids import FrameworkId
from offerer.resources import NOTHING
from offerer.sim.simulation import Simulation
from offerer.sim.workload import Batch, quantile_ms
from offerer.sim.world import START
from offerer.types import SECOND

Report = dict[str, Any]


class Sample(NamedTuple):
    """The cluster at one moment. Shares are from 0 to 1, of what the hosts now registered have."""

    at: float  # seconds
    utilisation: dict[str, float]  # by resource, of tasks
    shares: dict[str, float]  # dominant shares of tasks, by framework
    waiting: dict[str, int]  # tasks not launched, by framework

    @classmethod
    def of(cls, simulation: Simulation, plugins: Sequence[Framework]) -> Sample:
        """The present state."""
        state = simulation.master.cluster.state
        total = state.allocator.totals.resources
        everything, shares = NOTHING, {}
        for plugin in plugins:
            framework = state.frameworks.get(FrameworkId(plugin.name))
            used = NOTHING
            if framework is not None:
                used = framework.used
                for offer in framework.offers.values():
                    used = used - offer.grant.amount.without_ports()
            shares[plugin.name] = round(dominant_share(used, total), 4)
            everything = everything + used
        of_all = dict(total.scalars())
        used_of = dict(everything.scalars())
        return cls(
            (simulation.world.now - START) / SECOND,
            {name: round(used_of.get(name, 0) / amount, 4) for name, amount in of_all.items()},
            shares,
            {plugin.name: plugin.waiting for plugin in plugins if isinstance(plugin, Batch)},
        )


def summarize(simulation: Simulation, plugins: Sequence[Framework], samples: Sequence[Sample]) -> Report:
    """The whole run in one JSON object."""
    world, network, master = simulation.world, simulation.network, simulation.master
    frameworks = [_summary(simulation, plugin) for plugin in sorted(plugins, key=lambda plugin: plugin.name)]
    return {
        "seed": world.seed,
        "simulated_seconds": (world.now - START) / SECOND,
        "steps": world.steps,
        "hosts": len(simulation.hosts),
        "tasks_launched": sum(each["launched"] for each in frameworks),
        "offers": master.offers_made,
        "messages": network.messages,
        "messages_lost": network.lost,
        "mean_utilisation": {
            name: round(sum(sample.utilisation.get(name, 0.0) for sample in samples) / len(samples), 4)
            for name in sorted({name for sample in samples for name in sample.utilisation})
        },
        "frameworks": frameworks,
        "log_hash": world.log_hash,
    }


def _summary(simulation: Simulation, plugin: Framework) -> Report:
    framework = simulation.frameworks[FrameworkId(plugin.name)]
    answer: Report = {
        "name": plugin.name,
        "launched": framework.launched,
        "ended": framework.ended,
        "alive": len(framework.states),
        "offers": framework.received,
        "declined_share": round(framework.declined / framework.received, 4) if framework.received else 0.0,
    }
    if isinstance(plugin, Batch):
        answer["finished"] = plugin.finished
        answer["launched_again"] = plugin.retried
        answer["refused"] = plugin.refused
        answer["waiting"] = plugin.waiting
        answer["wait_ms"] = {"p50": quantile_ms(plugin.waits, 0.5), "p99": quantile_ms(plugin.waits, 0.99)}
    return answer
