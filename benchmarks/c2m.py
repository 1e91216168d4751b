"""Nomad's C2M shape: 2,000 jobs of 1,000 tasks each on 6,100 hosts, all simulated, on one core.

The production core, executor lifecycle and client's views run unchanged in virtual time; every task is launched,
started, reported RUNNING, shown to its framework and acknowledged to its executor::

    python -m benchmarks.c2m --json
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.measure import progress, report, rss_mib
from benchmarks.plots import Curve, check_plot, draw, plot_option
from offerer import (
    SECOND,
    ContainerSpec,
    Decision,
    Decisions,
    Decline,
    Framework,
    Launch,
    Offer,
    Resources,
    Suppress,
    TaskId,
    TaskInfo,
    TaskState,
    TaskStatus,
    Time,
)
from offerer.sim import Simulation

_HOST = Resources.of(cpus=36, memory="72GiB")
_NEEDS = Resources.of(cpus=0.1, memory="100MiB")
_SPEC = ContainerSpec(image="none").to_bytes()


class Jobs(Framework):
    """Launches all tasks of all jobs on what it is offered, `per_offer` at most on one offer."""

    name = "c2m"

    def __init__(self, jobs: int, tasks: int, per_offer: int) -> None:
        self.left = self.waiting = jobs * tasks
        self._ids = (TaskId(f"job-{job}.{i}") for job in range(jobs) for i in range(tasks))
        self._per_offer = per_offer

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Iterator[Decision]:
        """Spread them evenly."""
        for offer in offers:
            n = min(self._per_offer, self.left)
            if n:
                self.left -= n
                yield Launch([offer.id], [TaskInfo(next(self._ids), _NEEDS, _SPEC) for _ in range(n)], 3600 * SECOND)
            else:
                yield Decline([offer.id], 3600 * SECOND)
        if not self.left:
            yield Suppress()

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        """Count what runs."""
        for status in statuses:
            if status.state is TaskState.RUNNING:
                self.waiting -= 1
            elif status.state.terminal:
                raise AssertionError(f"{status}")
        return None


def measure(jobs: int, tasks: int, hosts: int, plot_to: Path | None) -> dict[str, Any]:
    """One run."""
    started = time.perf_counter()
    simulation = Simulation(check_every=0)
    for i in range(hosts):
        simulation.add_host(f"host-{i}", _HOST)
    simulation.advance(SECOND)
    progress(f"{hosts} hosts registered in {time.perf_counter() - started:.1f} s")
    total = jobs * tasks
    jobs_framework = Jobs(jobs, tasks, -(-total // hosts))
    gc.freeze()
    gc.set_threshold(1_000_000, 50, 1000)  # nothing here is garbage before the end
    curve: Curve = []
    began, cpu = time.perf_counter(), time.process_time()
    simulation.run(jobs_framework)
    while jobs_framework.waiting:
        simulation.advance(SECOND // 10)
        curve.append((time.perf_counter() - began, total - jobs_framework.waiting))
    simulation.advance(SECOND)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    draw(plot_to, [("real seconds", "tasks that run", {"": curve})])
    framework = simulation.frameworks[next(iter(simulation.frameworks))]
    assert framework.launched == total and len(framework.states) == total, "not everything runs"
    return {
        "jobs": jobs,
        "tasks_per_job": tasks,
        "tasks": total,
        "hosts": hosts,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "setup_seconds": round(began - started, 3),
        "tasks_per_second": round(total / seconds),
        "rss_mib": rss_mib(os.getpid()),
        "log_hash": simulation.world.log_hash,
    }


@click.command()
@click.option("--jobs", default=2000, show_default=True, type=click.IntRange(1))
@click.option("--tasks", default=1000, show_default=True, type=click.IntRange(1), help="Tasks of each job.")
@click.option("--hosts", default=6100, show_default=True, type=click.IntRange(1))
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(jobs: int, tasks: int, hosts: int, plot_to: Path | None, as_json: bool) -> None:
    """Place two million tasks."""
    check_plot(plot_to)
    if jobs * tasks > hosts * 360:
        raise click.BadParameter(f"{jobs * tasks} tasks do not fit on {hosts} hosts of 360 each", param_hint="--tasks")
    report(measure(jobs, tasks, hosts, plot_to), as_json)


if __name__ == "__main__":
    main()
