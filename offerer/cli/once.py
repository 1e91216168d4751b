"""``offerer run``: one-off tasks with the settings of a job."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from offerer.cli.common import EXIT_FAILED, EXIT_INTERRUPTED, Session, json_option, pass_session
from offerer.cli.output import print_json, write_output
from offerer.cli.waiting import FRAMEWORK, POLL, ask
from offerer.errors import Unavailable


@click.command()
@click.argument("target", metavar="SERVICE/JOB[/TASK]")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND…]")
@click.option("--detach", "-d", is_flag=True, help="Return at once, and let it run.")
@json_option
@pass_session
def run(session: Session, target: str, command: tuple[str, ...], detach: bool, as_json: bool) -> None:
    """Run a command once, as a task of its own with the image, env and settings of a job in its newest revision.

    It has no ports and no probes, and is never started again. Its output is printed, and its exit code is that of this
    command; interrupted, it is stopped. Without a COMMAND it runs the job's own.

    Example: offerer run core/web -- ./manage.py migrate
    """
    answer = session.call(FRAMEWORK, "run", {"target": target, "command": list(command)})
    name = answer["task"]
    if not detach:
        try:
            sys.exit(_attached(session, name))
        except KeyboardInterrupt:
            session.call(FRAMEWORK, "down", {"target": name})
            click.echo(f"{name} is being stopped", err=True)
            sys.exit(EXIT_INTERRUPTED)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{name} runs r{answer['revision']} once; see it with: offerer logs {name} -f")


def _attached(session: Session, name: str) -> int:
    """Print what a one-off task writes until it ends. Its exit code."""
    _wait_for_start(session, name)
    container = ask(session, "task", name)
    where = container["host_id"] or container["host"]
    try:
        write_output(session.logs(FRAMEWORK, container["task_id"], host_id=where, follow=True))
    except Unavailable as error:
        click.echo(f"the output broke off: {error}; all of it: offerer logs {name}", err=True)
    while container["live"]:
        time.sleep(POLL)
        container = ask(session, "task", name)
    ended: dict[str, Any] = container["ended"]
    if ended["state"] != "FINISHED" and ended["exit_code"] is None:
        click.echo(f"error: {name} {ended['state']}: {ended['message']}", err=True)
    code = ended["exit_code"]
    return EXIT_FAILED if code is None else int(code)


def _wait_for_start(session: Session, name: str) -> None:
    """Until it runs or has ended; says on stderr what it waits for."""
    said = ""
    while True:
        rows = ask(session, "ps", name)["tasks"]
        if not rows or rows[0]["state"] not in ("WAITING", "STAGING", "STARTING"):
            return
        why = rows[0]["reason"]
        if why and why != said:
            said = why
            click.echo(f"{name} {rows[0]['state']}: {why}", err=True)
        time.sleep(POLL)
