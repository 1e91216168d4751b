"""``offerer cordon|uncordon|kill``: what an operator does about hosts that are to be worked on."""

from __future__ import annotations

from typing import Any

import click

from offerer.cli.common import Session, json_option, pass_session
from offerer.cli.output import print_json
from offerer.errors import InvalidInput, NotFound

HOST = "HOST"


@click.command()
@click.argument("name", metavar=HOST)
@json_option
@pass_session
def cordon(session: Session, name: str, as_json: bool) -> None:
    """Offer a host to nobody. What runs there goes on; uncordon ends it.

    Example: offerer cordon db-1
    """
    _say(set_availability(session, name, "cordoned"), "is cordoned: it is offered to nobody, its tasks stay", as_json)


@click.command()
@click.argument("name", metavar=HOST)
@json_option
@pass_session
def uncordon(session: Session, name: str, as_json: bool) -> None:
    """Offer a host again, whether it was cordoned or drained.

    Example: offerer uncordon db-1
    """
    _say(set_availability(session, name, "active"), "is offered again", as_json)


@click.command()
@click.argument("task_id", metavar="TASK_ID")
@click.option("--framework", help="Whose task, where several frameworks have one of this id.")
@click.option("--grace", type=click.FloatRange(0, 86400), metavar="SECONDS", help="Until it is killed.")
@pass_session
def kill(session: Session, task_id: str, framework: str | None, grace: float | None) -> None:
    """Stop a task of any framework, which may start another in its place. See also down, for services.

    Example: offerer kill core.web.2.r7-3
    """
    found = [
        each
        for each in session.state("tasks").tasks
        if each.status.task_id == task_id and framework in (None, each.framework_id)
    ]
    if not found:
        raise NotFound(f"there is no task {task_id!r}; see the ids with: offerer tasks")
    if len(found) > 1:
        listed = ", ".join(sorted(each.framework_id for each in found))
        raise InvalidInput(f"several frameworks have a task {task_id!r}; name one with --framework: {listed}")
    kill_task(session, found[0].framework_id, task_id, grace)
    click.echo(f"{task_id} of {found[0].framework_id} is being stopped")


# -- what the commands ask of the master ----------------------------------------------------------------------


def set_availability(session: Session, host: str, availability: str) -> Any:
    """Say whether a host, by name or id, may be used. Returns its state."""
    from offerer.wire import codec

    request = codec.operator.SetAvailabilityRequest(host=host, availability=availability)
    with session.rpc_errors():
        return session.operator.SetAvailability(request, timeout=10)


def kill_task(session: Session, framework: str, task_id: str, grace: float | None = None) -> None:
    """Have a task stopped."""
    from offerer.wire import codec

    within = None if grace is None else round(grace * 1_000_000)
    request = codec.operator.KillTaskRequest(framework_id=framework, task_id=task_id, grace=within)
    with session.rpc_errors():
        session.operator.KillTask(request, timeout=10)


def _say(host: Any, what: str, as_json: bool) -> None:
    if as_json:
        print_json({"host": host.name, "id": host.host_id, "availability": host.availability, "tasks": host.tasks})
        return
    click.echo(f"host {host.name} {what}")
