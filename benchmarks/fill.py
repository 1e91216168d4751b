"""fill-openb: the pods of a production cluster placed on its hosts, all arriving and none leaving.

Through real offers of the core and one framework, and by a plain loop without offers, with the same policy: the offers
must not cost a placement::

    python -m benchmarks.fill --policy pack --json

`pack` takes the first host where it fits, `best-fit` the fullest, `spread` the emptiest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.measure import report
from benchmarks.openb import Machine, Openb, Pod, load
from benchmarks.plots import Curve, check_plot, draw, plot_option
from offerer import FrameworkId, HostId, Resources, Role, TaskId, TaskInfo
from offerer.core import Cluster
from offerer.core import events as e
from offerer.core.outputs import LaunchTasks, SendOffers
from offerer.framework import FOREVER

_FRAMEWORK = FrameworkId("fill")


class Room:
    """What is left of a host while pods are placed."""

    __slots__ = ("free", "machine", "total")

    def __init__(self, machine: Machine, free: Resources) -> None:
        self.machine = machine
        self.total = machine.resources
        self.free = free

    def takes(self, pod: Pod) -> bool:
        """Whether the pod may run here now."""
        if not self.free.contains(pod.resources):
            return False
        attributes = {"gpu_model": self.machine.model}
        return all(each.matches(self.machine.name, attributes) for each in pod.constraints)


Policy = Callable[[Sequence[Room], Pod], Room | None]


def pack(rooms: Sequence[Room], pod: Pod) -> Room | None:
    """The first host where it fits."""
    return next((room for room in rooms if room.takes(pod)), None)


def best_fit(rooms: Sequence[Room], pod: Pod) -> Room | None:
    """The host with the fewest cores free, then the least memory."""
    return min(_taking(rooms, pod), key=lambda room: (room.free.cpus, room.free.memory), default=None)


def spread(rooms: Sequence[Room], pod: Pod) -> Room | None:
    """The host of whose cores the largest part is free."""
    return max(_taking(rooms, pod), key=lambda room: room.free.cpus / room.total.cpus, default=None)


def _taking(rooms: Sequence[Room], pod: Pod) -> Iterator[Room]:
    return (room for room in rooms if room.takes(pod))


POLICIES: dict[str, Policy] = {"pack": pack, "best-fit": best_fit, "spread": spread}


def assign(rooms: Sequence[Room], pods: Sequence[Pod], policy: Policy) -> dict[str, list[Pod]]:
    """Pods by the name of the host they go to; those that fit nowhere are left out."""
    placed: dict[str, list[Pod]] = {}
    for pod in pods:
        room = policy(rooms, pod)
        if room is not None:
            room.free = room.free - pod.resources
            placed.setdefault(room.machine.name, []).append(pod)
    return placed


def without_offers(openb: Openb, policy: Policy) -> dict[str, list[Pod]]:
    """The plain loop: what could be done with everything in one hand."""
    return assign([Room(machine, machine.resources) for machine in openb.machines], openb.pods, policy)


def through_offers(openb: Openb, policy: Policy) -> tuple[dict[str, list[Pod]], int]:
    """The same through offers: pods by host as the core launched them, and how many offers it took."""
    cluster = Cluster()
    for number, machine in enumerate(openb.machines):
        attributes = {"gpu_model": machine.model}
        host_id = HostId(f"{number}")
        cluster.handle(0, e.HostRegistered(host_id, machine.name, "", attributes, machine.resources))
    cluster.handle(0, e.FrameworkRegistered(_FRAMEWORK, (Role("*"),), FOREVER, {}))
    machines = {machine.name: machine for machine in openb.machines}
    waiting = {pod.name: pod for pod in openb.pods}
    launched: dict[str, list[Pod]] = {}
    offers_made = 0
    while waiting:
        outputs = cluster.handle(0, e.TimePassed())
        offers = [offer for output in outputs if isinstance(output, SendOffers) for offer in output.offers]
        offers_made += len(offers)
        rooms = [Room(machines[offer.host], offer.resources) for offer in offers]
        assigned = assign(rooms, list(waiting.values()), policy)
        if not assigned:
            break
        for offer in offers:
            tasks = [TaskInfo(TaskId(pod.name), pod.resources, b"") for pod in assigned.get(offer.host, ())]
            if not tasks:
                continue
            for output in cluster.handle(0, e.OffersAccepted(_FRAMEWORK, [offer.id], tasks)):
                assert isinstance(output, LaunchTasks), f"not launched: {output}"
                launched[offer.host] = [waiting.pop(task.task_id) for task in output.tasks]
    cluster.check_invariants()
    return launched, offers_made


def measure(pods: str, policy: str, *, gpus: bool, plot_to: Path | None) -> dict[str, Any]:
    """Both ways, and how they differ."""
    openb = load(pods, gpus=gpus)
    started = time.perf_counter()
    launched, offers = through_offers(openb, POLICIES[policy])
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    plain = without_offers(openb, POLICIES[policy])
    plain_seconds = time.perf_counter() - started
    _plot(plot_to, openb, launched)
    placed = sum(map(len, launched.values()))
    plain_placed = sum(map(len, plain.values()))
    return {
        "source": openb.source,
        "policy": policy,
        "gpus": gpus,
        "pods": len(openb.pods),
        "hosts": len(openb.machines),
        "placed": placed,
        "placed_share": round(placed / len(openb.pods), 4),
        "hosts_used": len(launched),
        "offers_per_task": round(offers / placed, 3),
        "seconds": round(seconds, 3),
        "without_offers": {
            "placed": plain_placed,
            "placed_share": round(plain_placed / len(openb.pods), 4),
            "hosts_used": len(plain),
            "seconds": round(plain_seconds, 3),
        },
        "same_placements": launched == plain,
    }


def _plot(path: Path | None, openb: Openb, launched: Mapping[str, Sequence[Pod]]) -> None:
    """How full each host is, the fullest first."""
    curves: dict[str, Curve] = {}
    for name in ("cpus", "memory", "gpus"):
        full = []
        for machine in openb.machines:
            total = getattr(machine.resources, name)
            used = sum(getattr(pod.resources, name) for pod in launched.get(machine.name, ()))
            full.append(used / total if total else 0.0)
        if any(full):
            curves[name] = [(n, part) for n, part in enumerate(sorted(full, reverse=True))]
    draw(path, [("hosts, the fullest first", "used, of each", curves)])


@click.command()
@click.option("--pods", type=click.Choice(["default", "cpu100", "gpuspec10"]), default="default", show_default=True)
@click.option("--policy", type=click.Choice(list(POLICIES)), default="pack", show_default=True)
@click.option("--gpus", is_flag=True, help="With whole GPUs as a third resource.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(pods: str, policy: str, gpus: bool, plot_to: Path | None, as_json: bool) -> None:
    """Fill a production cluster with its pods."""
    check_plot(plot_to)
    report(measure(pods, policy, gpus=gpus, plot_to=plot_to), as_json)


if __name__ == "__main__":
    main()
