"""The ``offerer-executor`` command."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click

from executor.allow import parse_allowed
from executor.daemon import Executor, ExecutorConfig
from executor.host import default_state_dir, total_resources
from executor.retention import Retention
from executor.runtime import RUNTIMES, make_runtime
from offerer import __version__, garbage
from offerer.cli.common import DEFAULT_MASTER, check_address, run_reporting_errors
from offerer.errors import InvalidInput
from offerer.types import SECOND, Time

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}

_EPILOG: Final = """\b
Example:
  offerer-executor --master 10.0.0.1:5050,10.0.0.2:5050 \\
      --resources "cpus=8;memory=32GiB;ports=31000-32000" --attributes "zone=a;disk=ssd"

What --resources does not name is what this machine has; ports are 1-32767 unless named. Ending the executor never
stops a task: the next one on this host adopts what runs.
"""


def _masters(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    named = [each.strip() for part in value for each in part.split(",")]
    return tuple(check_address(context, parameter, each) for each in named if each)


def _attributes(_context: click.Context, _parameter: click.Parameter, value: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in value.split(";"))):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not (name and equals and text):
            raise click.BadParameter(f"{part!r} is not NAME=VALUE, for example zone=a")
        if name == "host":
            raise click.BadParameter("'host' is the name of the host; set that with --name")
        if name in attributes:
            raise click.BadParameter(f"{name!r} is given twice; give it once")
        attributes[name] = text
    return attributes


def _duration(_context: click.Context, _parameter: click.Parameter, value: str) -> Time:
    match = re.fullmatch(r"(\d+)([smhd])", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a duration, for example 12h or 3d")
    return int(match[1]) * _UNITS[match[2]] * SECOND


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=_EPILOG)
@click.option(
    "--master",
    "masters",
    multiple=True,
    default=(DEFAULT_MASTER,),
    show_default=True,
    envvar="OFFERER_MASTER",
    show_envvar=True,
    callback=_masters,
    metavar="HOST:PORT[,…]",
    help="Where the masters answer; they are tried in turn.",
)
@click.option("--name", default="", metavar="NAME", help="The host's name, unique in the cluster.  [this machine's]")
@click.option("--address", default="", metavar="ADDRESS", help="Where published ports can be reached.  [found out]")
@click.option("--resources", default="", metavar="LIST", help='What to offer: "cpus=8;memory=32GiB;gpus=2".')
@click.option("--attributes", default="", callback=_attributes, metavar="LIST", help='For example "zone=a;disk=ssd".')
@click.option("--runtime", type=click.Choice(RUNTIMES), default="docker", show_default=True, help="What runs tasks.")
@click.option(
    "--docker-host",
    default="",
    envvar="DOCKER_HOST",
    show_envvar=True,
    metavar="URL",
    help="The Docker engine.  [unix:///var/run/docker.sock]",
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_state_dir,
    metavar="DIR",
    help=f"Keeps the host's id, and what the process runtime runs.  [{default_state_dir()}]",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="How many tasks are worked on at a time.",
)
@click.option("--cluster", default="offerer", show_default=True, metavar="NAME", help="Label on the containers.")
@click.option(
    "--allow",
    multiple=True,
    metavar="LIST",
    help="What containers may have of this host, and nothing else: privileged, mounts[=/PATH], devices[=/PATH], none. "
    " [mounts,devices]",
)
@click.option(
    "--keep-last",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Ended containers to keep of each job.",
)
@click.option(
    "--keep-for", default="3d", show_default=True, callback=_duration, metavar="TIME", help="How long to keep them."
)
@click.version_option(__version__, prog_name="offerer-executor")
def command(**options: Any) -> None:
    """Offer this host's resources to the cluster, and run tasks on it."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    garbage.run(_run(_config(options)))


def _config(options: dict[str, Any]) -> ExecutorConfig:
    if not options["masters"]:
        raise InvalidInput("--master: '' names no master; give at least one HOST:PORT")
    state_dir: Path = options["state_dir"].absolute()
    return ExecutorConfig(
        masters=options["masters"],
        runtime=make_runtime(
            options["runtime"],
            state_dir=state_dir,
            docker_host=options["docker_host"],
            parallel=options["parallel"],
            retention=Retention(options["keep_last"], options["keep_for"]),
        ),
        total=total_resources(options["resources"], state_dir),
        state_dir=state_dir,
        name=options["name"],
        address=options["address"],
        attributes=options["attributes"],
        cluster=options["cluster"],
        allowed=parse_allowed(options["allow"]),
    )


async def _run(config: ExecutorConfig) -> None:
    executor = Executor(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, executor.stop)
    await executor.run()


def main() -> None:
    """Run the command; every error on purpose is one line on stderr and an exit code."""
    run_reporting_errors(lambda: command.main(standalone_mode=False))


if __name__ == "__main__":
    main()
