"""The openb cluster: its hosts and its pods, read where the traces lie, or a seeded stand-in of the same shape."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.traces import folder
from offerer import Constraint, Resources
from offerer.resources import MIB


class Machine(NamedTuple):
    """A host of the trace."""

    name: str
    resources: Resources
    model: str
    """Of its GPUs; empty without."""


class Pod(NamedTuple):
    """A pod of the trace, to be one task."""

    name: str
    resources: Resources
    constraints: tuple[Constraint, ...]


class Openb(NamedTuple):
    """The cluster and its pods, in the order of the files."""

    machines: Sequence[Machine]
    pods: Sequence[Pod]
    source: str


def load(pods: str = "default", *, gpus: bool = False) -> Openb:
    """The cluster with one of its lists of pods: ``default``, ``cpu100`` or ``gpuspec10``; with GPUs, or without."""
    traces = folder("openb")
    if traces is None:
        return _stand_in(gpus=gpus)
    with (traces / "openb_node_list_all_node.csv").open(newline="") as file:
        machines = [
            Machine(
                row["sn"],
                _resources(int(row["cpu_milli"]), int(row["memory_mib"]), int(row["gpu"]) if gpus else 0),
                row["model"],
            )
            for row in csv.DictReader(file)
        ]
    path = traces / f"openb_pod_list_{pods}.csv"
    with path.open(newline="") as file:
        wanted = [
            Pod(
                row["name"],
                _resources(int(row["cpu_milli"]), int(row["memory_mib"]), int(row["num_gpu"]) if gpus else 0),
                _constraints(row["gpu_spec"]) if gpus else (),
            )
            for row in csv.DictReader(file)
        ]
    return Openb(machines, wanted, path.name)


def _resources(cpus: int, memory_mib: int, gpus: int) -> Resources:
    return Resources(cpus, memory_mib * MIB, 0, gpus)


def _constraints(gpu_spec: str) -> tuple[Constraint, ...]:
    models = tuple(filter(None, gpu_spec.split("|")))
    return (Constraint("gpu_model", "in", models),) if models else ()


def _stand_in(*, gpus: bool) -> Openb:
    dice = random.Random(1)
    machines = []
    for i in range(1523):
        cpus, memory, devices = dice.choice(((96, 384, 8), (96, 512, 2), (64, 256, 2), (32, 256, 0), (128, 768, 8)))
        machines.append(Machine(f"host-{i}", _resources(cpus * 1000, memory * 1024, devices if gpus else 0), "G2"))
    wanted = []
    for i in range(8152):
        cpus, memory = dice.choice(((12, 16), (6, 12), (8, 30), (11, 45), (16, 64), (4, 8)))
        devices = min(1, dice.randrange(8)) if gpus else 0
        wanted.append(Pod(f"pod-{i}", _resources(cpus * 1000, memory * 1024, devices), ()))
    return Openb(machines, wanted, "a seeded stand-in for openb: the traces are not here")
