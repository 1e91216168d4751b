"""many-frameworks: the 164 packages of a real catalogue, each a framework, on the 1,523 hosts of openb.

Each asks for its package's roles in two waves five minutes apart; its tasks run for 5 to 15 minutes. `--load` says what
part of the cluster all of them together want in one wave. How even are the shares of those who wait for more, and who
waited longest with nothing?::

    python -m benchmarks.many_frameworks --json
"""

from __future__ import annotations

import csv
import random
import time
from functools import reduce
from pathlib import Path
from statistics import mean, pstdev
from typing import Any, Final

import click

from benchmarks import openb
from benchmarks.measure import FloatRange, progress, report
from benchmarks.plots import Curve, check_plot, draw, plot_option
from benchmarks.traces import folder
from offerer import SECOND, Resources, garbage
from offerer.allocator import dominant_share
from offerer.resources import MIB
from offerer.sim import Simulation
from offerer.sim.report import Sample
from offerer.sim.workload import Arrival, Batch, quantile_ms
from offerer.sim.world import START

_LOOK: Final = 5 * SECOND
_WAVES: Final = 2  # this much apart:
_WAVE: Final = 300 * SECOND


def packages() -> tuple[dict[str, list[tuple[int, Resources]]], str]:
    """By package: how many tasks of which size it asks for."""
    traces = folder("dcos-universe")
    asked: dict[str, list[tuple[int, Resources]]] = {}
    if traces is None:
        dice = random.Random(1)
        for n in range(164):
            size = Resources(dice.choice((100, 500, 1000, 2000)), dice.choice((256, 1024, 4096)) * MIB)
            asked[f"package-{n}"] = [(dice.choice((1, 1, 3)), size)]
        return asked, "a seeded stand-in for dcos-universe: the traces are not here"
    with (traces / "roles.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            size = Resources(round(float(row["cpus"]) * 1000), round(float(row["mem_mb"] or 0)) * MIB)
            asked.setdefault(row["package"], []).append((max(1, round(float(row["count"] or 1))), size))
    return asked, "dcos-universe/roles.csv"


def _workload(asked: dict[str, list[tuple[int, Resources]]], total: Resources, load: float) -> list[Batch]:
    """Frameworks that all want the same share of the cluster in each wave, in the sizes of their roles."""
    dice = random.Random(1)
    frameworks = []
    for package, roles in sorted(asked.items()):
        once = dominant_share(reduce(Resources.__add__, [size for count, size in roles for _ in range(count)]), total)
        times = max(1, round(load / len(asked) / once))
        arrivals = [
            Arrival(START + wave * _WAVE, count * times, size, dice.randrange(300, 900) * SECOND)
            for wave in range(_WAVES)
            for count, size in roles
        ]
        frameworks.append(Batch(package, package, arrivals))
    return frameworks


def measure(load: float, plot_to: Path | None) -> dict[str, Any]:
    """One run."""
    asked, source = packages()
    cluster = openb.load()
    simulation = Simulation(check_every=0)
    for machine in cluster.machines:
        simulation.add_host(machine.name, machine.resources)
    total = reduce(Resources.__add__, [machine.resources for machine in cluster.machines])
    plugins = _workload(asked, total, load)
    started, cpu = time.perf_counter(), time.process_time()
    for plugin in plugins:
        simulation.run(plugin)
    spreads: list[float] = []
    curves: dict[str, Curve] = {"used": [], "spread of shares of those who wait": []}
    starved: dict[str, int] = {}
    longest, longest_name = 0, ""
    looks = 0
    while not all(plugin.done for plugin in plugins):
        simulation.advance(_LOOK)
        looks += 1
        sample = Sample.of(simulation, plugins)
        hungry = [name for name, waiting in sample.waiting.items() if waiting]
        spread = 100 * pstdev(sample.shares[name] for name in hungry) if len(hungry) > 1 else 0.0
        if len(hungry) > 1:
            spreads.append(spread)
        curves["used"].append((sample.at, 100 * max(sample.utilisation.values())))
        curves["spread of shares of those who wait"].append((sample.at, spread))
        starved = {name: starved.get(name, 0) + _LOOK // SECOND for name in hungry if not sample.shares[name]}
        for name, seconds in starved.items():
            if seconds > longest:
                longest, longest_name = seconds, name
        if looks % 12 == 0:
            progress(f"{looks // 12} simulated minutes in {time.perf_counter() - started:.0f} s")
    draw(plot_to, [("simulated seconds", f"{name} (%)", {"": curve}) for name, curve in curves.items()])
    simulation.check()
    waits = [quantile_ms(plugin.waits, 0.99) for plugin in plugins]
    frameworks = list(simulation.frameworks.values())
    tasks = sum(framework.launched for framework in frameworks)
    return {
        "source": source,
        "frameworks": len(plugins),
        "hosts": len(cluster.machines),
        "load": load,
        "tasks": tasks,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "simulated_seconds": looks * _LOOK // SECOND,
        "share_spread_points": round(mean(spreads), 3) if spreads else 0.0,
        "longest_starved_s": longest,
        "longest_starved": longest_name,
        "wait_p99_ms": {"median": sorted(waits)[len(waits) // 2], "worst": max(waits)},
        "offers_per_task": round(sum(each.received for each in frameworks) / tasks, 3),
        "log_hash": simulation.world.log_hash,
    }


@click.command()
@click.option("--load", default=0.8, show_default=True, type=FloatRange(0.01, 100), help="Wanted in one wave, of all.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(load: float, plot_to: Path | None, as_json: bool) -> None:
    """Run many frameworks on one cluster."""
    check_plot(plot_to)
    with garbage.seldom():
        report(measure(load, plot_to), as_json)


if __name__ == "__main__":
    main()
