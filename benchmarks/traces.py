"""Real workloads, read where they lie: ``$OFFERER_TRACES``, or ``shared/traces`` beside the checkout.

They are never part of the project. Where neither is there, a seeded stand-in of the same shape is made, and `source`
of what is returned says so.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

_BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "traces"


class Microservice(NamedTuple):
    """A service of a real application, as its manifests size it."""

    name: str
    replicas: int
    cpus_milli: int
    memory_mib: int
    depends_on: tuple[str, ...]


class Application(NamedTuple):
    """All services of one application, and where they are from."""

    services: Sequence[Microservice]
    source: str


def folder(name: str) -> Path | None:
    """Where the traces of this name are, or None. Raises `click.ClickException` if they are not where it is asked."""
    asked = os.environ.get("OFFERER_TRACES", "")
    path = Path(asked or _BESIDE) / name
    if asked and not path.is_dir():
        hint = "name the directory that has it, or unset it for a made-up workload"
        raise click.ClickException(f"OFFERER_TRACES: {asked!r} has no directory {name}; {hint}")
    return path if path.is_dir() else None


def microservices(app: str, otherwise: int = 64) -> Application:
    """The services of an application; a stand-in has `otherwise` of them."""
    traces = folder("microservices")
    if traces is None:
        return Application(_stand_in(otherwise), f"a seeded stand-in for {app}: the traces are not here")
    path = traces / "services.csv"
    with path.open(newline="") as file:
        services = [
            Microservice(
                row["service"],
                round(float(row["replicas"] or 1)),
                round(float(row["cpu_request_milli"] or 50)),
                round(float(row["mem_request_mib"] or 64)),
                tuple(filter(None, row["depends_on"].replace(",", " ").replace(";", " ").split())),
            )
            for row in csv.DictReader(file)
            if row["app"] == app
        ]
    return Application(services, f"{app} of {path.name}")


def _stand_in(n: int) -> list[Microservice]:
    dice = random.Random(1)
    return [
        Microservice(
            f"service-{i}", 1, 50, dice.choice((100, 200)), tuple(f"service-{dice.randrange(n)}" for _ in range(2))
        )
        for i in range(n)
    ]
