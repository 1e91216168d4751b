"""Full allocations: every host free, every framework wants everything, and what declining it all costs.

It drives `offerer.core.Cluster` directly, with nothing around it. The hosts are those of Mesos's own benchmark of its
allocator, and so is what happens: everything is offered, every framework declines all it got for good, what was
declined is offered to the next ones, round after round, until every framework has refused every host::

    python -m benchmarks.allocate --hosts 10000 --frameworks 200 --roles each --json
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import click

from benchmarks.measure import progress, report, rss_mib
from benchmarks.plots import Curve, check_plot, draw, plot_option
from offerer import SECOND, FrameworkId, HostId, OfferId, Resources, Role, garbage
from offerer.core import Cluster
from offerer.core import events as e
from offerer.core.outputs import Output, SendOffers
from offerer.framework import FOREVER

_HOST: Final = Resources.of(cpus=24, memory="4GiB", disk="4GiB", ports="31000-32000")
_HOSTS: Final = (1000, 5000, 10_000, 50_000)
_FRAMEWORKS: Final = (1, 50, 200, 1000)
_ROUNDS: Final = 5
_MOST_REFUSALS: Final = 2_000_000
"""What fits in memory beside everything else; sizes beyond it have no `refused_s`."""

Offers = dict[FrameworkId, list[OfferId]]


def measure(hosts: int, frameworks: int, roles: str) -> dict[str, Any]:
    """One size. Times are seconds of processor time; a cycle is the declines of everything and the allocation after."""
    cluster = Cluster()
    for i in range(frameworks):
        role = (Role(f"role-{i}" if roles == "each" else "*"),)
        cluster.handle(0, e.FrameworkRegistered(FrameworkId(f"framework-{i}"), role, FOREVER, {}))
    for i in range(hosts):
        cluster.handle(0, e.HostRegistered(HostId(f"h{i}"), f"host-{i}", "", {}, _HOST))
    gc.collect()
    first_s, offers = _allocate(cluster, 1)
    _check_all_offered(offers, hosts)
    cycles, allocations = [], []
    now = 1
    for _ in range(min(_ROUNDS, frameworks)):
        now += SECOND
        declining, allocating, offers = _cycle(cluster, now, offers)
        cycles.append(declining + allocating)
        allocations.append(allocating)
    row = {
        "hosts": hosts,
        "frameworks": frameworks,
        "roles": roles,
        "first_s": round(first_s, 4),
        "cycle_s": round(median(cycles), 4),
        "cycle_allocation_s": round(median(allocations), 4),
        "offers_per_s": round(hosts / first_s),
        "rss_mib": rss_mib(os.getpid()),
    }
    if hosts * frameworks <= _MOST_REFUSALS:
        row.update(_refused(cluster, now, offers))
    else:
        row["refused_s"] = None
    return row


def _allocate(cluster: Cluster, now: int) -> tuple[float, Offers]:
    started = time.process_time()
    outputs = cluster.handle(now, e.TimePassed())
    return time.process_time() - started, _offers_of(outputs)


def _offers_of(outputs: Iterable[Output]) -> Offers:
    return {
        output.framework_id: [offer.id for offer in output.offers]
        for output in outputs
        if isinstance(output, SendOffers)
    }


def _cycle(cluster: Cluster, now: int, offers: Offers) -> tuple[float, float, Offers]:
    """Everybody declines everything for good, and it is offered to the next ones: seconds of both, and the offers."""
    declines = [e.OffersDeclined(framework_id, ids, FOREVER) for framework_id, ids in offers.items()]
    started = time.process_time()
    for decline in declines:
        cluster.handle(now, decline)
    declining = time.process_time() - started
    return declining, *_allocate(cluster, now)


def _check_all_offered(offers: Offers, hosts: int) -> None:
    offered = sum(map(len, offers.values()))
    assert offered == hosts, f"{offered} of {hosts} hosts were offered"


def _refused(cluster: Cluster, now: int, offers: Offers) -> dict[str, float]:
    """What still runs once everybody refused everything: each second for twenty minutes, the typical and the worst."""
    while offers:
        now += SECOND
        _, _, offers = _cycle(cluster, now, offers)
    gc.collect()
    ticks = []
    for _ in range(1200):
        now += SECOND
        seconds, offers = _allocate(cluster, now)
        assert not offers, "what everybody refused is offered again"
        ticks.append(seconds)
    return {"refused_s": round(median(ticks), 6), "refused_worst_s": round(max(ticks), 4)}


@click.command()
@click.option("--hosts", type=click.IntRange(1), help=f"One number of hosts instead of {_HOSTS}.")
@click.option("--frameworks", type=click.IntRange(1), help=f"One number of frameworks instead of {_FRAMEWORKS}.")
@click.option(
    "--roles", type=click.Choice(["one", "each"]), default="one", show_default=True, help="All in one, or one each."
)
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(hosts: int | None, frameworks: int | None, roles: str, plot_to: Path | None, as_json: bool) -> None:
    """Measure full allocations."""
    check_plot(plot_to)
    rows = []
    for each in [hosts] if hosts else _HOSTS:
        for many in [frameworks] if frameworks else _FRAMEWORKS:
            with garbage.seldom():  # as a master does
                row = measure(each, many, roles)
            progress(str(row))
            rows.append(row)
            gc.collect()
    _plot(plot_to, rows)
    report({"rows": rows}, as_json)


def _plot(path: Path | None, rows: Sequence[Mapping[str, Any]]) -> None:
    parts = []
    for key, title in (("first_s", "first allocation (s)"), ("cycle_s", "decline cycle (s)")):
        curves: dict[str, Curve] = {}
        for row in rows:
            curves.setdefault(f"{row['frameworks']} frameworks", []).append((row["hosts"], row[key]))
        parts.append(("hosts", title, curves))
    draw(path, parts, log="xy")


if __name__ == "__main__":
    main()
