"""What the `coding` planner takes to bring up many services on an empty cluster: its own time, in all.

The 64 services of train-ticket, once for each environment, on equal hosts: pushed, brought up together, placed on the
offers of a real master in virtual time, and all RUNNING in the end. Counted is the processor time spent in the planner,
from the first offer to the last status, and apart from it what pushing, ordering and writing records takes::

    python -m benchmarks.planning --environments 20 --hosts 200 --json
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final, TypeVar

import click

from benchmarks.measure import progress, report
from benchmarks.plots import check_plot, draw_bars, plot_option
from benchmarks.traces import Microservice, microservices
from frameworks.coding import orders
from frameworks.coding.names import Target, in_environment
from frameworks.coding.planner import Planner
from frameworks.coding.files import PushedFile
from frameworks.coding.pushes import prepare_push
from frameworks.coding.state import State
from offerer import SECOND, Decision, Decisions, Framework, FrameworkId, Offer, OfferId, Resources, TaskStatus, Time
from offerer.sim import Simulation

_HOST: Final = Resources.of(cpus=16, memory="64GiB", ports="31000-32000")
_BAR: Final = 1.0  # seconds
_LONGEST: Final = 60  # seconds of virtual time until all runs
R = TypeVar("R")


class Measured(Framework):
    """The planner as a plug-in, its store at hand at once, each part of its work timed."""

    name = "coding"

    def __init__(self) -> None:
        self.state = State()
        self.planner = Planner(self.state)
        self.seconds = dict.fromkeys(("push", "orders", "planner", "records"), 0.0)
        self.calls = 0

    def timed(self, part: str, work: Callable[[], R]) -> R:
        """Do this, and count the processor time it takes."""
        started = process_time()
        done = work()
        self.seconds[part] += process_time() - started
        return done

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        return self._planned(now, lambda: self.planner.registered(now, tasks))

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        return self._planned(now, lambda: self.planner.offered(now, offers))

    def on_rescinded(self, now: Time, offers: Sequence[OfferId]) -> Decisions:
        return self._planned(now, lambda: self.planner.rescinded(now, offers))

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        return self._planned(now, lambda: self.planner.statuses(now, statuses))

    def on_tick(self, now: Time) -> Decisions:
        return self._planned(now, lambda: self.planner.ticked(now))

    def _planned(self, now: Time, plan: Callable[[], list[Decision]]) -> list[Decision]:
        self.calls += 1
        decisions = self.timed("planner", plan)
        journal = self.state.journal
        while not journal.empty:
            self.timed("records", journal.take)
            journal.saved()
            self.calls += 1
            decisions = [*decisions, *self.timed("planner", lambda: self.planner.ticked(now))]
        return decisions


def service_file(service: Microservice, replicas: int, constraints: Sequence[str]) -> str:
    """One service of train-ticket: one job with a free port. Which calls which is left out: they do so in circles."""
    return (
        f"service: {service.name}\n"
        "jobs:\n"
        "  main:\n"
        "    image: train-ticket:1\n"
        f"    resources: {{cpus: {service.cpus_milli / 1000}, memory: {service.memory_mib}MiB}}\n"
        f"    replicas: {service.replicas * replicas}\n"
        "    ports: [{container: 8080, name: http}]\n"
        f"    constraints: {json.dumps(constraints)}\n"
    )


def measure(environments: int, hosts: int, replicas: int, constraints: Sequence[str]) -> dict[str, Any]:
    """Bring all of it up once."""
    shape = microservices("train-ticket")
    files = [(f"{service.name}.yaml", service_file(service, replicas, constraints)) for service in shape.services]
    names = [f"env-{number}" for number in range(1, environments + 1)]
    simulation = Simulation(check_every=0)
    for number in range(1, hosts + 1):
        simulation.add_host(f"host-{number}", _HOST, {"zone": "abc"[number % 3]})
    plugin = Measured()
    state, world = plugin.state, simulation.world
    for name in names:
        pushed = [PushedFile(file, text, name) for file, text in files]
        push = plugin.timed("push", partial(prepare_push, state, pushed, "benchmark", "", world.now))
        state.add_revisions(push.revisions)
    targets = [Target(in_environment(service.name, name)) for name in names for service in shape.services]
    gc.collect()
    gc.freeze()
    plugin.timed("orders", lambda: orders.up(state, targets, world.now))
    wanted = len(state.tasks)
    progress(f"{len(targets)} services, {wanted} tasks, {hosts} hosts")
    simulation.run(plugin)
    started, waited = perf_counter(), 0
    while state.unsettled and waited < _LONGEST:
        simulation.advance(SECOND)
        waited += 1
    placed = Counter(run.host for task in state.tasks.values() for run in task.containers if run.ready)
    if placed.total() != wanted:
        raise click.ClickException(f"{placed.total()} of {wanted} tasks run after {waited} s")
    calls, simulated = plugin.calls, simulation.frameworks[FrameworkId("coding")].launched
    assert simulated == wanted
    return {
        "services": len(targets),
        "tasks": wanted,
        "hosts": hosts,
        "planner_s": round(plugin.seconds["planner"], 3),
        "bar_s": _BAR,
        "orders_s": round(plugin.seconds["orders"], 3),
        "records_s": round(plugin.seconds["records"], 3),
        "push_s": round(plugin.seconds["push"], 3),
        "turns": calls,
        "virtual_s": waited,
        "wall_s": round(perf_counter() - started, 2),
        "tasks_per_host": [min(placed.values()), max(placed.values())],
        "source": shape.source,
    }


@click.command()
@click.option("--environments", type=click.IntRange(1), default=20, show_default=True, help="Copies of all services.")
@click.option("--hosts", type=click.IntRange(1), default=200, show_default=True)
@click.option("--replicas", type=click.IntRange(1), default=1, show_default=True, help="Times what the trace says.")
@click.option("--constraint", "constraints", multiple=True, help="Of each job, such as 'spread zone'. Repeatable.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def main(
    environments: int, hosts: int, replicas: int, constraints: tuple[str, ...], plot_to: Path | None, as_json: bool
) -> None:
    """What the planner takes to bring up many services on an empty cluster."""
    check_plot(plot_to)
    result = measure(environments, hosts, replicas, constraints)
    report(result, as_json)
    parts = ("push", "orders", "planner", "records")
    draw_bars(plot_to, {"processor time (s)": {part: result[f"{part}_s"] for part in parts}})


if __name__ == "__main__":
    main()
