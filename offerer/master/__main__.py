"""``offerer-master``: run a master."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import click

from offerer import garbage
from offerer.core import Settings
from offerer.errors import OffererError
from offerer.master.server import Master, MasterConfig
from offerer.types import SECOND

_EPILOG = """
\b
Example:
  offerer-master --framework coding --set coding.git=/srv/story
  offerer-master --listen 0.0.0.0:5050 --store /var/lib/offerer/master.db --framework my_package.my_module:MyFramework
"""


def default_store() -> Path:
    """Where state is kept unless said otherwise: /var/lib for root, the user's state directory for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/offerer/master.db")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "offerer/master.db"


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--listen", default="127.0.0.1:5050", show_default=True, metavar="HOST:PORT", help="Address for gRPC.")
@click.option("--store", type=click.Path(path_type=Path), help=f"SQLite file of the state.  [{default_store()}]")
@click.option("--framework", "frameworks", multiple=True, metavar="NAME|MODULE:CLASS", help="Host this plug-in too.")
@click.option("--set", "options", multiple=True, metavar="NAME.KEY=VALUE", help="Option of a hosted plug-in.")
@click.option("--heartbeat", type=click.FloatRange(0.1, 60), default=5.0, show_default=True, metavar="SECONDS")
@click.option(
    "--unreachable-after", type=click.FloatRange(0.5, 3600), default=30.0, show_default=True, metavar="SECONDS",
    help="Silence after which a host counts as unreachable.",
)  # fmt: skip
@click.option(
    "--offer-timeout", type=click.FloatRange(0.1, 86400), default=60.0, show_default=True, metavar="SECONDS",
    help="An offer not answered within this is rescinded.",
)  # fmt: skip
@click.version_option(package_name="offerer")
def command(
    listen: str,
    store: Path | None,
    frameworks: tuple[str, ...],
    options: tuple[str, ...],
    heartbeat: float,
    unreachable_after: float,
    offer_timeout: float,
) -> None:
    """Run a master: it offers the resources of hosts to frameworks and relays launches and statuses."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    path = store or default_store()
    config = MasterConfig(
        store=str(path),
        listen=_checked_address(listen),
        frameworks=frameworks,
        framework_options=_checked_options(options, frameworks),
        heartbeat=int(heartbeat * SECOND),
        unreachable_after=int(unreachable_after * SECOND),
        settings=Settings(
            offer_timeout=int(offer_timeout * SECOND), unreachable_after=int(unreachable_after * SECOND)
        ),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        garbage.run(_run(config))
    except OSError as error:
        _fail(f"--store {path}: {error.strerror}; choose another place with --store")
    except OffererError as error:
        _fail(str(error))


def _checked_address(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{address!r} is not HOST:PORT, for example 0.0.0.0:5050", param_hint="--listen")
    return address


def _checked_options(options: tuple[str, ...], frameworks: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The options by plug-in: ``git=/srv/story`` of ``coding.git=/srv/story``."""
    found: dict[str, tuple[str, ...]] = {}
    for option in options:
        where, equals, value = option.partition("=")
        name, _, key = where.rpartition(".")
        if not equals or not name or not key.isidentifier():
            raise click.BadParameter(f"{option!r} is not NAME.KEY=VALUE, for example coding.git=/srv/story",
                                     param_hint="--set")  # fmt: skip
        if name not in frameworks:
            hosted = ", ".join(frameworks) or "none"
            raise click.BadParameter(f"{option!r}: {name!r} is not hosted here (hosted: {hosted})", param_hint="--set")
        found[name] = (*found.get(name, ()), f"{key}={value}")
    return found


def _fail(message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(1)


async def _run(config: MasterConfig) -> None:
    master = Master(config)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await master.start()
    click.echo(f"offerer-master listens on {master.address}", err=True)
    try:
        await stop.wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await master.stop()


def main() -> None:
    """Entry point."""
    command()


if __name__ == "__main__":
    main()
