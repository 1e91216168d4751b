"""``offerer sim``: a cluster in virtual time."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from offerer import garbage
from offerer.cli.common import json_option
from offerer.errors import OffererError

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
    from offerer.sim.checks import SimulationFailed
    from offerer.sim.scenario import Run, load

    loaded = load(scenario)
    if seed is not None:
        loaded = loaded.model_copy(update={"seed": seed})
    replay = f"offerer sim run {shlex.quote(str(scenario))} --seed {loaded.seed}"
    simulated = Run(loaded, scenario.parent, replay)
    try:
        with garbage.seldom():
            report = simulated.run()
    except SimulationFailed as failed:
        raise OffererError(str(failed)) from None
    if plot_to is not None:
        from offerer.sim.plot import plot

        plot(simulated.samples, plot_to)
    if as_json:
        click.echo(json.dumps(report))
        return
    for key, value in report.items():
        if key != "frameworks":
            click.echo(f"{key:<18}  {value}")
    for framework in report["frameworks"]:
        parts = ", ".join(f"{name} {value}" for name, value in framework.items() if name != "name")
        click.echo(f"{framework['name']}: {parts}")
