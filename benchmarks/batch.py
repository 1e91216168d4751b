"""The batch trace: when tasks of which size arrive and how long they run, or a seeded stand-in of the same shape."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from benchmarks.traces import folder
from offerer import SECOND, Resources
from offerer.resources import GIB, MIB
from offerer.sim.workload import Arrival
from offerer.sim.world import START

FRAMEWORKS: Final = 4
MACHINE: Final = 512 * GIB
"""What the trace calls one machine, for its shares of memory."""
_STEP: Final = 256 * MIB


class Workload(NamedTuple):
    """Arrivals by framework (job id modulo `FRAMEWORKS`), and where they are from."""

    arrivals: Mapping[str, list[Arrival]]
    tasks: int
    source: str


def load(hours: float, times: int = 1) -> Workload:
    """The first so many hours, with so many times the instances."""
    arrivals: dict[str, list[Arrival]] = {f"batch-{n}": [] for n in range(FRAMEWORKS)}
    tasks = 0
    rows, source = _rows()
    for at, duration, cpus, memory, job, instances in rows:
        if at < hours * 3600:
            size = Resources(round(cpus * 1000), -(-round(memory * MACHINE) // _STEP) * _STEP)
            arrival = Arrival(START + at * SECOND, instances * times, size, round(duration * 10) * (SECOND // 10))
            arrivals[f"batch-{job % FRAMEWORKS}"].append(arrival)
            tasks += arrival.tasks
    return Workload(arrivals, tasks, source)


_Row = tuple[int, float, float, float, int, int]


def _rows() -> tuple[Iterable[_Row], str]:
    traces = folder("batch-arrivals")
    if traces is None:
        return _stand_in(), "a seeded stand-in for batch-arrivals: the traces are not here"
    with (traces / "tasks.csv").open(newline="") as file:
        rows = [
            (
                int(row["submit_time"]),
                float(row["duration"]),
                float(row["cpu"]),
                float(row["memory"]),
                int(row["job_id"]),
                int(row["instances_num"]),
            )
            for row in csv.DictReader(file)
        ]
    return rows, "batch-arrivals/tasks.csv"


def _stand_in() -> Iterable[_Row]:
    dice = random.Random(1)
    for job in range(18_772):
        duration = min(3600.0, dice.lognormvariate(2.8, 1.3) + 1)
        yield dice.randrange(43_200), duration, dice.choice((0.5, 0.5, 1.0)), 0.005, job, min(1999, dice.randrange(95))
