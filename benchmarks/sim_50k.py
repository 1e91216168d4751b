"""sim-50k: the openb hosts 33 times over (50,259), and eight times the batch arrivals, in virtual time.

Four frameworks, the production core and the executor's lifecycle of every host, on one core::

    python -m benchmarks.sim_50k --hours 1 --json
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from benchmarks import batch, openb
from benchmarks.measure import FloatRange, progress, report, rss_mib
from benchmarks.plots import Curve, Curves, check_plot, draw, plot_option
from offerer import SECOND, garbage
from offerer.sim import Simulation
from offerer.sim.report import Sample
from offerer.sim.workload import Batch, quantile_ms

_COPIES: Final = 33
_TIMES: Final = 8
_STEP: Final = 60 * SECOND


def measure(hours: float, copies: int, seed: int, plot_to: Path | None) -> dict[str, Any]:
    """One run."""
    cluster = openb.load()
    workload = batch.load(hours, _TIMES)
    started = time.perf_counter()
    simulation = Simulation(seed, check_every=0)
    for copy in range(copies):
        for machine in cluster.machines:
            simulation.add_host(f"{machine.name}-{copy}", machine.resources)
    simulation.advance(SECOND)
    plugins = [Batch(name, name, arrivals) for name, arrivals in workload.arrivals.items()]
    for plugin in plugins:
        simulation.run(plugin)
    progress(f"{len(simulation.hosts)} hosts registered in {time.perf_counter() - started:.1f} s")
    began, simulated, cpu = time.perf_counter(), simulation.world.now, time.process_time()
    steps = 0
    samples: list[Sample] = []
    real: Curve = []
    while not all(plugin.done for plugin in plugins):
        simulation.advance(_STEP)
        steps += 1
        if plot_to is not None:
            samples.append(Sample.of(simulation, plugins))
            real.append((samples[-1].at, time.perf_counter() - began))
        if steps % 10 == 0:
            launched = sum(framework.launched for framework in simulation.frameworks.values())
            progress(f"{steps} simulated minutes, {launched} tasks, {time.perf_counter() - began:.0f} s")
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    _plot(plot_to, samples, real)
    frameworks = list(simulation.frameworks.values())
    return {
        "sources": [cluster.source, workload.source],
        "hosts": len(simulation.hosts),
        "hours": hours,
        "tasks": workload.tasks,
        "finished": sum(plugin.finished for plugin in plugins),
        "offers_per_task": round(sum(each.received for each in frameworks) / workload.tasks, 3),
        "wait_ms": {
            plugin.name: {"p50": quantile_ms(plugin.waits, 0.5), "p99": quantile_ms(plugin.waits, 0.99)}
            for plugin in plugins
        },
        "setup_seconds": round(began - started, 1),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "simulated_seconds": (simulation.world.now - simulated) // SECOND,
        "speed_up": round((simulation.world.now - simulated) / SECOND / seconds, 1),
        "speed_up_cpu": round((simulation.world.now - simulated) / SECOND / cpu, 1),
        "rss_mib": rss_mib(os.getpid()),
        "log_hash": simulation.world.log_hash,
    }


def _plot(path: Path | None, samples: Sequence[Sample], real: Curve) -> None:
    def over_time(of: Callable[[Sample], Mapping[str, float]]) -> Curves:
        return {name: [(sample.at, of(sample)[name]) for sample in samples] for name in of(samples[0])}

    if samples:
        curves = {
            "real seconds": {"": real},
            "used, of all": over_time(lambda sample: sample.utilisation),
            "dominant share": over_time(lambda sample: sample.shares),
        }
        draw(path, [("simulated seconds", title, each) for title, each in curves.items()])


@click.command()
@click.option("--hours", default=12.0, show_default=True, type=FloatRange(0.01, 12), help="Of the arrivals.")
@click.option("--copies", default=_COPIES, show_default=True, type=click.IntRange(1), help="Of the 1,523 hosts.")
@click.option("--seed", default=1, show_default=True, help="Of the dice.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(hours: float, copies: int, seed: int, plot_to: Path | None, as_json: bool) -> None:
    """Simulate fifty thousand hosts."""
    check_plot(plot_to)
    with garbage.seldom():
        report(measure(hours, copies, seed, plot_to), as_json)


if __name__ == "__main__":
    main()
