"""``offerer sim``: a cluster in virtual time."""

from __future__ import annotations

import json
import shlex
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offerer import garbage
from offerer.cli.common import json_option
from offerer.errors import OffererError

if TYPE_CHECKING:
    from offerer.sim import Simulation
    from offerer.sim.report import Report

_EPILOG = """\b
Example:
  offerer sim run examples/outages.yaml                 run it once, check everything, print what came of it
  offerer sim run examples/outages.yaml --seed 7        the same with other dice: other losses, other crashes
"""


@click.group()
def sim() -> None:
    """Run a cluster in virtual time: the real scheduler on simulated hosts.

    Example: offerer sim run examples/outages.yaml
    """


@sim.command(epilog=_EPILOG)
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=int, help="Instead of the scenario's.")
@click.option("--plot", "plot_to", type=click.Path(dir_okay=False, path_type=Path), help="Draw it, as SVG.")
@json_option
def run(scenario: Path, seed: int | None, plot_to: Path | None, as_json: bool) -> None:
    """Run a scenario, checking all invariants on the way. Equal seeds give equal runs.

    It ends with exit code 1 and the command that replays it where something happened that may not.
    """
    from offerer.sim.plot import check_plot, plot
    from offerer.sim.run import Run
    from offerer.sim.scenario import load

    if plot_to is not None:
        check_plot(plot_to)
    loaded = load(scenario)
    if seed is not None:
        loaded = loaded.model_copy(update={"seed": seed})
    replay = f"offerer sim run {shlex.quote(str(scenario))} --seed {loaded.seed}"
    with garbage.seldom():
        simulated = Run(loaded, scenario, replay)
        try:
            report = simulated.run()
        except Exception as error:
            raise _failed(error, simulated.simulation) from None
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print(report)
    if plot_to is not None:
        plot(simulated.samples, plot_to)


def _failed(error: Exception, simulation: Simulation) -> OffererError:
    """The error to end with. Of what a plug-in raised, its own part of the traceback is printed before."""
    from offerer.client.loading import plugin_frames
    from offerer.sim.checks import SimulationFailed, failure

    if isinstance(error, SimulationFailed):
        return OffererError(str(error))
    frames = plugin_frames(error)
    if frames or not isinstance(error, OffererError):
        shown = traceback.TracebackException.from_exception(error)
        shown.stack = frames or shown.stack  # where no plug-in is to blame, everything helps
        click.echo("".join(shown.format()).rstrip(), err=True)
    wrong = f"{type(error).__name__}: {error}" if frames else str(error)
    return OffererError(str(failure(wrong, simulation.world, simulation.replay)))


def _print(report: Report) -> None:
    for key, value in report.items():
        if key != "frameworks":
            click.echo(f"{key:<18}  {value}")
    for framework in report["frameworks"]:
        parts = ", ".join(f"{name} {value}" for name, value in framework.items() if name != "name")
        click.echo(f"{framework['name']}: {parts}")
