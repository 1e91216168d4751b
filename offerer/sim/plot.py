"""Drawings as SVG. Needs ``pip install 'offerer[sim]'``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offerer.errors import InvalidInput
from offerer.sim.report import Sample


@contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Any]:
    """A figure of matplotlib, of so many inches, saved at the end of the block.

    Raises `InvalidInput` where matplotlib is missing or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InvalidInput("--plot: it needs matplotlib; install it with: pip install 'offerer[sim]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    yield figure
    try:
        figure.savefig(path, format="svg", metadata={"Date": None})
    except OSError as error:
        raise InvalidInput(f"--plot: {path}: {error.strerror}") from None


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Utilisation, dominant shares and waiting tasks over time. Raises `InvalidInput` as `drawing` does."""
    with drawing(path, 9, 9) as figure:
        _draw(samples, figure)


def _draw(samples: Sequence[Sample], figure: Any) -> None:
    axes = figure.subplots(3, 1, sharex=True)
    times = [sample.at for sample in samples]
    parts: list[tuple[str, Sequence[Mapping[str, float]]]] = [
        ("used, of all", [sample.utilisation for sample in samples]),
        ("dominant share", [sample.shares for sample in samples]),
        ("waiting tasks", [sample.waiting for sample in samples]),
    ]
    for axis, (title, series) in zip(axes, parts, strict=True):
        for name in sorted(set().union(*series)):
            axis.plot(times, [moment.get(name, 0) for moment in series], label=name)
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        if axis.has_data():
            axis.legend(loc="upper right", fontsize="small")
    axes[-1].set_xlabel("simulated time (s)")
