"""``offerer plan``: what `up` or `update` would do, looked at before it is done."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from offerer.cli.common import EXIT_FAILED, Session, json_option, pass_session, run_reporting_errors
from offerer.cli.output import Column, Row, print_json, print_table
from offerer.cli.services import difference_text
from offerer.cli.service_files import files_named
from offerer.cli.waiting import FRAMEWORK, PATIENCE, TARGET, author, warn
from offerer.errors import OffererError

EXIT_ERROR: Final = 255
"""Whatever is wrong: 1 says that there is something to do."""


class _Plan(click.Command):
    """A command all of whose errors have the same exit code."""

    def make_context(self, *given: Any, **extra: Any) -> click.Context:
        with _errors_apart():
            return super().make_context(*given, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _errors_apart():
            return super().invoke(ctx)


@contextlib.contextmanager
def _errors_apart() -> Iterator[None]:
    try:
        yield
    except (click.ClickException, OffererError) as error:
        _leave(error)


def _leave(error: Exception) -> None:
    def again() -> None:
        raise error

    try:
        run_reporting_errors(again)
    except SystemExit:
        sys.exit(EXIT_ERROR)


@click.command(cls=_Plan)
@click.argument("given", metavar=f"{TARGET}|FILE...", nargs=-1, required=True)
@click.option("--do", type=click.Choice(["up", "update"]), help="Without it: update where any of it is up, else up.")
@json_option
@pass_session
def plan(session: Session, given: Sequence[str], do: str | None, as_json: bool) -> None:
    """Show what up or update would do, on the cluster as it is, and do nothing.

    Of a file, what pushing and then updating would do. What runs is supposed to do well; `up` and `update` take the
    token with --plan, and then do what was shown, or nothing where that no longer holds.

    The exit code is 0 where there is nothing to do, 1 where there is, 255 where something is wrong.

    Example: offerer plan core.yaml
    """
    files = [each for each in given if each.endswith((".yaml", ".yml")) or Path(each).is_file()]
    arguments = {
        "target": [each for each in given if each not in files],
        "files": files_named(files, session.environment),
        "do": do or "",
        "who": author(),
    }
    answer = session.call(FRAMEWORK, "plan", arguments, timeout=PATIENCE)
    if as_json:
        print_json(answer)
    else:
        _print(answer, files, session.environment)
    sys.exit(EXIT_FAILED if answer["steps"] else 0)


def _print(answer: dict[str, Any], files: Sequence[str], environment: str) -> None:
    for i, row in enumerate(answer["differences"]):
        revisions = row["service"], row["from"], row["to"]
        if i == 0 or revisions != tuple(answer["differences"][i - 1][key] for key in ("service", "from", "to")):
            click.echo("{} r{} → r{}".format(*revisions))
        click.echo(f"  {difference_text(row)}")
    if answer["differences"]:
        click.echo()
    columns = [
        Column("TASK", "task"),
        Column("ACTION", "action"),
        Column("HOST", _host_text),
        Column("REV", _revision_text),
        Column("REASON", "reason"),
    ]
    stay = f"{answer['unchanged']} task{' stays' if answer['unchanged'] == 1 else 's stay'} as they are"
    print_table(answer["steps"], columns, empty="nothing to do")
    if answer["unchanged"] and answer["steps"]:
        click.echo(stay)
    warn(answer["notes"])
    if answer["steps"]:
        where = f" --env {environment}" if environment else ""
        push = f"offerer push {' '.join(files)}{where} && " if files else ""
        command = f"offerer {answer['command']} {' '.join(answer['targets'])} --plan {answer['token']}"
        click.echo(f"\nTo do this, and nothing else: {push}{command}")


def _host_text(row: Row) -> str:
    return f"{row['from_host']} → {row['host']}" if row["action"] == "move" else str(row["host"])


def _revision_text(row: Row) -> str:
    numbers = [f"r{each}" for each in (row["from_revision"], row["revision"]) if each]
    return " → ".join(dict.fromkeys(numbers))
