"""replay-batch: twelve hours of a production batch cluster, by four frameworks in virtual time.

Twice: on hosts with room for everything (`free`: how long does a launch wait?), and on a quarter of them (`contended`:
who gets how much?). The ideal is max-min fairness of dominant shares, capped by what each has running and
waiting at that moment. No task is stopped for another's sake, so at once shares can be far from it; on the mean not::

    python -m benchmarks.replay --json
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from benchmarks import batch
from benchmarks.measure import FloatRange, progress, report
from benchmarks.plots import check_plot
from offerer import SECOND, Resources, garbage
from offerer.resources import GIB
from offerer.sim import Simulation
from offerer.sim.report import Sample, summarize
from offerer.sim.workload import Batch

_HOST: Final = Resources(96_000, 512 * GIB)
_SAMPLE: Final = 10 * SECOND
_BISECTIONS: Final = 40


class Fairness:
    """How far dominant shares were from the ideal, over all looks at which somebody had to wait."""

    def __init__(self, total: Resources) -> None:
        self._total = total
        self._distances: list[float] = []
        self._had: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._waited: dict[str, int] = {}
        self.longest_starved = 0  # looks in a row with tasks waiting, none running

    def look(self, sample: Sample, plugins: Iterable[Batch]) -> None:
        """Compare the present shares with the ideal ones."""
        if not any(sample.waiting.values()):
            self._waited.clear()
            return
        wanted = {plugin.name: sample.shares[plugin.name] + self._waiting_share(plugin) for plugin in plugins}
        ideal = max_min(wanted, sum(sample.shares.values()))
        self._distances.append(max(abs(sample.shares[name] - share) for name, share in ideal.items()))
        for name, share in sample.shares.items():
            self._had[name] = self._had.get(name, 0.0) + share
            self._due[name] = self._due.get(name, 0.0) + ideal[name]
            starved = sample.waiting[name] and not share
            self._waited[name] = self._waited.get(name, 0) + 1 if starved else 0
            self.longest_starved = max(self.longest_starved, self._waited[name])

    def _waiting_share(self, plugin: Batch) -> float:
        cpus = memory = 0
        for resources, tasks in plugin.wanted():
            cpus += resources.cpus * tasks
            memory += resources.memory * tasks
        return max(cpus / self._total.cpus, memory / self._total.memory)

    def summary(self) -> dict[str, Any]:
        """In points: hundredths of the cluster, on the mean of all looks, and at one look."""
        looks = len(self._distances) or 1
        points = sorted(100 * each for each in self._distances) or [0.0]
        return {
            "looks_while_waiting": len(self._distances),
            "mean_shares": {
                name: {"had": round(100 * self._had[name] / looks, 2), "ideal": round(100 * self._due[name] / looks, 2)}
                for name in self._had
            },
            "points_from_ideal_at_once": {
                "mean": round(sum(points) / len(points), 2),
                "p50": round(points[len(points) // 2], 2),
                "p99": round(points[int(len(points) * 0.99)], 2),
            },
            "longest_starved_s": self.longest_starved * _SAMPLE / SECOND,
        }


def max_min(wanted: Mapping[str, float], available: float) -> dict[str, float]:
    """Shares that add up to what is available, equal where not less is wanted."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        level = (low + high) / 2
        if sum(min(level, each) for each in wanted.values()) > available:
            high = level
        else:
            low = level
    return {name: min(low, each) for name, each in wanted.items()}


def measure(hosts: int, hours: float, plot_to: Path | None = None) -> dict[str, Any]:
    """One run on so many hosts."""
    workload = batch.load(hours)
    started = time.perf_counter()
    simulation = Simulation(check_every=0)
    for n in range(hosts):
        simulation.add_host(f"host-{n}", _HOST)
    plugins = [Batch(name, name, arrivals) for name, arrivals in workload.arrivals.items()]
    for plugin in plugins:
        simulation.run(plugin)
    fairness = Fairness(Resources(hosts * _HOST.cpus, hosts * _HOST.memory))
    samples: list[Sample] = []
    while not all(plugin.done for plugin in plugins):
        simulation.advance(_SAMPLE)
        samples.append(Sample.of(simulation, plugins))
        fairness.look(samples[-1], plugins)
        if len(samples) % 720 == 0:
            progress(f"{len(samples) // 360} simulated hours in {time.perf_counter() - started:.0f} s")
    simulation.advance(60 * SECOND)
    simulation.check_settled()
    seconds = time.perf_counter() - started
    if plot_to is not None:
        from offerer.sim.plot import plot

        plot(samples, plot_to)
    summary = summarize(simulation, plugins, samples)
    return {
        "source": workload.source,
        **{name: summary[name] for name in ("hosts", "tasks_launched", "offers", "mean_utilisation", "log_hash")},
        "seconds": round(seconds, 1),
        "speed_up": round(summary["simulated_seconds"] / seconds),
        **fairness.summary(),
        "frameworks": summary["frameworks"],
    }


@click.command()
@click.option("--hosts", default=100, show_default=True, type=click.IntRange(4), help="Of 96 cores and 512 GiB.")
@click.option("--hours", default=12.0, show_default=True, type=FloatRange(0.01, 12), help="Of the trace.")
@click.option("--plot", "plot_to", type=click.Path(path_type=Path), help="Draw the contended run, as SVG.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(hosts: int, hours: float, plot_to: Path | None, as_json: bool) -> None:
    """Replay a batch cluster."""
    check_plot(plot_to)
    with garbage.seldom():
        report({"free": measure(hosts, hours), "contended": measure(hosts // 4, hours, plot_to)}, as_json)


if __name__ == "__main__":
    main()
