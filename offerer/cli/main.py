"""The `offerer` command: finds its commands in one module per group, and imports only the one that is run."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any, Final

import click

import offerer
from offerer.cli.common import DEFAULT_MASTER, Session, add_environment, check_address, run_reporting_errors

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own log repeats in C++ what we say in one line

# Section of the help → module → commands. A command `x` is the attribute `x` of its module, or `x_command` where
# the bare name would hide a builtin.
_SECTIONS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "Services": (
        "offerer.cli.services",
        ("push", "up", "scale", "down", "status", "ps", "why", "inspect", "history", "diff", "logs"),
    ),
    "Dry run": ("offerer.cli.plan", ("plan",)),
    "Updates": ("offerer.cli.updates", ("update", "rollback", "restart", "pause", "resume", "promote", "abort")),
    "Jobs": ("offerer.cli.batch", ("batch",)),
    "One-offs": ("offerer.cli.once", ("run",)),
    "Containers": ("offerer.cli.containers", ("exec", "cp", "top")),
    "Service files": ("offerer.cli.service_files", ("render", "schema")),
    "Secrets": ("offerer.cli.secrets", ("secret",)),
    "Cluster": (
        "offerer.cli.cluster",
        ("hosts", "host", "frameworks", "roles", "role", "offers", "tasks", "task", "events"),
    ),
    "Maintenance": ("offerer.cli.maintenance", ("cordon", "uncordon", "drain", "undrain", "kill", "rebalance")),
    "On this machine": ("offerer.cli.dev", ("dev",)),
    "In virtual time": ("offerer.cli.sim", ("sim",)),
}
_OF_ENVIRONMENTS: Final = ("Services", "Dry run", "Updates", "One-offs", "Containers", "Service files", "Secrets")
"""The sections whose commands take ``--env``."""
_MODULES: Final = {name: module for module, names in _SECTIONS.values() for name in names}


_SENTENCE: Final = 200  # characters: more than the first sentence of any command has


class Commands(click.Group):
    """A group whose commands are imported when they are needed, and whose errors are one line each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command = getattr(importlib.import_module(_MODULES[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        if cmd_name != "schema" and any(cmd_name in _SECTIONS[section][1] for section in _OF_ENVIRONMENTS):
            add_environment(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, (_, names) in _SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(section):
                formatter.write_dl([(name, each.get_short_help_str(_SENTENCE)) for name, each in commands if each])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        options["standalone_mode"] = False
        run_reporting_errors(lambda: super(Commands, self).main(args, *rest, **options))


@click.group(
    "offerer", cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--master",
    envvar="OFFERER_MASTER",
    default=DEFAULT_MASTER,
    show_default=True,
    show_envvar=True,
    callback=check_address,
    metavar="HOST:PORT",
    help="Where the master answers.",
)
@click.version_option(offerer.__version__, prog_name="offerer")
@click.pass_context
def main(context: click.Context, master: str) -> None:
    """Share Docker hosts among frameworks, and run services on them.

    Example: offerer dev examples/shop/shop.yaml --up
    """
    session = Session(master)
    context.obj = session
    context.call_on_close(session.close)


if __name__ == "__main__":
    main()
