"""Utilisation, dominant shares and waiting tasks over time, as one SVG. Needs ``pip install 'offerer[sim]'``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from offerer.errors import InvalidInput
from offerer.sim.report import Sample


def check_plot(path: Path) -> None:
    """Before anything runs: that there will be a way to draw. Raises `InvalidInput`."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InvalidInput("--plot: it needs matplotlib; install it with: pip install 'offerer[sim]'") from None
    if not path.absolute().parent.is_dir():
        raise InvalidInput(f"--plot: {path}: there is no such directory")


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Draw the samples of a run. Raises `InvalidInput` where the file cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), layout="constrained")
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
    try:
        figure.savefig(path, format="svg", metadata={"Date": None})
    except OSError as error:
        raise InvalidInput(f"--plot: {path}: {error.strerror}") from None
