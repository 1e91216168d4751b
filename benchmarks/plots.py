"""Draws what was measured, as SVG. Needs ``pip install 'offerer[sim]'``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from offerer.errors import InvalidInput

Curve = list[tuple[float, float]]
Curves = Mapping[str, Curve]
"""By the name in the legend: the points of a curve."""

plot_option: Callable[..., Any] = click.option(
    "--plot", "plot_to", type=click.Path(path_type=Path, dir_okay=False), help="Draw it too, as SVG (needs matplotlib)."
)


def check_plot(path: Path | None) -> None:
    """Before hours of measuring: that there will be a way to draw. Raises `click.ClickException`."""
    if path is None:
        return
    from offerer.sim import plot  # with the simulator, which whoever draws nothing can do without

    try:
        plot.check_plot(path)
    except InvalidInput as error:
        raise click.ClickException(str(error)) from None


def draw(path: Path | None, parts: Sequence[tuple[str, str, Curves]], *, log: str = "", columns: int = 1) -> None:
    """One picture of several parts, each with the titles of its axes, x and y. `log`: "x" or "xy" is logarithmic."""
    if path is None:
        return
    from matplotlib.figure import Figure

    rows = -(-len(parts) // columns)
    figure = Figure(figsize=(9, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis in axes[len(parts) :]:
        axis.remove()
    for axis, (x_title, y_title, curves) in zip(axes[: len(parts)], parts, strict=True):
        for name, points in curves.items():
            axis.plot([x for x, _ in points], [y for _, y in points], marker="." if log else "", label=name)
        axis.set_xlabel(x_title)
        axis.set_ylabel(y_title)
        if "x" in log:
            axis.set_xscale("log")
        if "y" in log:
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        if len(curves) > 1:
            axis.legend(fontsize="small")
    _save(figure, path)


def draw_bars(path: Path | None, parts: Mapping[str, Mapping[str, float]]) -> None:
    """One picture of several parts side by side, each with its title, and a bar for each name."""
    if path is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(parts), 3), layout="constrained")
    for axis, (title, bars) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts.items(), strict=True):
        axis.bar_label(axis.bar(list(bars), list(bars.values())), fmt="%.1f")
        axis.set_title(title)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    import matplotlib

    try:
        with matplotlib.rc_context({"svg.fonttype": "none"}):  # letters, not their outlines
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    except OSError as error:
        raise click.ClickException(f"--plot: {path}: {error.strerror}") from None
