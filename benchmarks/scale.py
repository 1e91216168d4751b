"""How placement over real gRPC goes with more hosts, more tasks, and more frameworks: throughput, latency and memory.

One curve for each, everything else as `placement` has it::

    python -m benchmarks.scale --json --plot docs/scale.svg
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.measure import progress, report
from benchmarks.placement import Load, measure
from benchmarks.plots import check_plot, draw, plot_option

_AXES: Final[dict[str, tuple[int, ...]]] = {
    "executors": (100, 300, 1000, 3000, 10_000),
    "tasks": (10_000, 30_000, 100_000, 300_000),
    "frameworks": (1, 3, 10, 30, 100),
}
"""Fields of a `Load`, and the points."""
_NOTED: Final = ("tasks_per_second", "master_rss_mib", "executor_rss_mib")


def curve(axis: str, at_most: int, rounds: int) -> list[dict[str, Any]]:
    """One row for each point: the axis, and the medians of what is noted."""
    rows = []
    for n in _AXES[axis]:
        load = Load(**{axis: n})
        load = replace(load, tasks=min(load.tasks, at_most, 500 * load.executors))
        measured = [measure(load) for _ in range(rounds)]
        row: dict[str, Any] = {axis: n, "tasks": load.tasks}
        row |= {name: statistics.median(each[name] for each in measured) for name in _NOTED}
        for name in ("launch_ms", "offer_ms"):
            row[name] = {q: statistics.median(each[name][q] for each in measured) for q in ("p50", "p99")}
        progress(str(row))
        rows.append(row)
    return rows


@click.command()
@click.option("--axis", "axes", type=click.Choice(list(_AXES)), multiple=True, help="This one only. Repeatable.")
@click.option("--at-most", default=1_000_000, type=click.IntRange(1), help="No more tasks than this in any run.")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="Take the medians of so many.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(axes: tuple[str, ...], at_most: int, rounds: int, plot_to: Path | None, as_json: bool) -> None:
    """Measure how placements scale."""
    check_plot(plot_to)
    result = {axis: curve(axis, at_most, rounds) for axis in axes or _AXES}
    report(result, as_json)
    plot(plot_to, result)


def plot(path: Path | None, result: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Throughput and memory along each axis."""
    parts = []
    for axis, rows in result.items():
        curves = {name: [(row[axis], row[name]) for row in rows] for name in _NOTED}
        parts.append((axis, "tasks a second", {"": curves["tasks_per_second"]}))
        memory = {"master": curves["master_rss_mib"], "all executors": curves["executor_rss_mib"]}
        parts.append((axis, "memory (MiB)", memory))
    draw(path, parts, log="x", columns=2)


if __name__ == "__main__":
    main()
