"""``offerer-framework``: run a plug-in in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

import click

from offerer import garbage
from offerer.client.client import run_framework
from offerer.client.loading import EXIT_WRONG, load_framework
from offerer.errors import OffererError
from offerer.framework import Framework
from offerer.ids import Role

_EPILOG = """
\b
Example:
  offerer-framework coding --master 10.0.0.1:5050
  offerer-framework examples.hello_framework:Hello --set copies=5 --role batch
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("plugin", metavar="NAME|MODULE:CLASS")
@click.option(
    "--master", default="127.0.0.1:5050", show_default=True, envvar="OFFERER_MASTER", metavar="HOST:PORT[,…]",
    help="Where the master is; several are tried in turn.",
)  # fmt: skip
@click.option("--name", help="Register under this name instead of the plug-in's own.")
@click.option("--role", help="Role to share resources under instead of the plug-in's own.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Option of the plug-in's constructor.")
@click.option("--hosted", is_flag=True, hidden=True, help="End when standard input closes.")
@click.version_option(package_name="offerer")
def command(
    plugin: str, master: str, name: str | None, role: str | None, settings: tuple[str, ...], hosted: bool
) -> None:
    """Run a framework plug-in in a process of its own, until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    options = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.isidentifier():
            raise click.BadParameter(f"{setting!r} is not KEY=VALUE, for example copies=5", param_hint="--set")
        options[key] = value

    def make() -> Framework:
        framework = load_framework(plugin, options)
        framework.name = name or framework.name
        framework.role = Role(role) if role else framework.role
        return framework

    try:
        make()
        if hosted:
            _end_with_standard_input()
        garbage.run(_run(make, master))
    except OffererError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_WRONG)


def _end_with_standard_input() -> None:
    """The master that hosts us is gone when the pipe closes, even if it was killed, even if the plug-in hangs."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True, name="end with the master").start()


async def _run(make: Callable[[], Framework], master: str) -> None:
    task = asyncio.create_task(run_framework(make, master))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass


def main() -> None:
    """Entry point."""
    command()


if __name__ == "__main__":
    main()
