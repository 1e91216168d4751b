"""``offerer cordon|uncordon|drain|undrain|kill|rebalance``: hosts that are to be worked on, or have come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

import click

from offerer.cli.common import EXIT_FAILED, Session, json_option, pass_session
from offerer.cli.output import Row, live, print_json
from offerer.cli.waiting import FRAMEWORK, POLL, TARGET, name, seconds_of, wait_options, wait_until_done
from offerer.errors import InvalidInput, NotFound, Unavailable

HOST: Final = "HOST"
EXIT_TIED: Final = 2


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
@click.argument("host", metavar=HOST)
@click.option("--force", is_flag=True, help="When all that can move has, stop the rest: tied tasks, other frameworks'.")
@click.option("--timeout", default="10m", show_default=True, callback=seconds_of, help="How long to watch at most.")
@json_option
@pass_session
def drain(session: Session, host: str, force: bool, timeout: float, as_json: bool) -> None:
    """Empty a host: it is offered to nobody, and tasks move elsewhere, each started there before it stops here.

    The master remembers it until undrain, also when the host or this command is restarted. A task whose rules allow no
    other host is tied: it stays, and only --force stops it. Tasks of other frameworks are for these to move.

    Exit code 0: the host is empty. 2: only tied tasks are left. 1: the time is up.

    Example: offerer drain db-1 --timeout 30m
    """
    state = set_availability(session, host, "draining")
    try:
        left = _watch(session, state.host_id, state.name, force, timeout, quiet=as_json)
    except KeyboardInterrupt:
        click.echo(f"host {state.name} goes on being drained until: offerer undrain {state.name}", err=True)
        raise
    if as_json:
        print_json({"host": state.name, "id": state.host_id, "left": [each._asdict() for each in left]})
    elif not left:
        click.echo(f"host {state.name} is empty; when it may be used again: offerer undrain {state.name}")
    else:
        why = "only what is tied to it is left" if all(each.tied for each in left) else f"not empty after {timeout:g} s"
        click.echo(f"host {state.name}: {why}; it goes on being drained until: offerer undrain {state.name}", err=True)
        for each in left:
            click.echo(f"  {each}", err=True)
    sys.exit(0 if not left else EXIT_TIED if all(each.tied for each in left) else EXIT_FAILED)


@click.command()
@click.argument("host", metavar=HOST)
@json_option
@pass_session
def undrain(session: Session, host: str, as_json: bool) -> None:
    """End draining, or a cordon: the host is offered again. What has moved does not come back, the rest stays.

    Example: offerer undrain db-1
    """
    _say(set_availability(session, host, "active"), "is offered again; what is still there stays", as_json)


@click.command()
@click.argument("services", metavar=f"[{TARGET}]...", nargs=-1)
@click.option("--plan", "only_plan", is_flag=True, help="Only print the moves; exit code 1 where there are any.")
@wait_options
@json_option
@pass_session
def rebalance(
    session: Session, services: Sequence[str], only_plan: bool, wait: bool, timeout: float, as_json: bool
) -> None:
    """Move tasks to hosts that joined later, or are emptier: as drain does, each started there before it stops here.

    Only what makes a clear difference is moved: a second rebalance finds nothing to do. Tasks that are tied to their
    host, or have volumes, stay.

    Example: offerer rebalance core --plan
    """
    moves = session.call(FRAMEWORK, "rebalance", {"target": list(services), "plan": only_plan})["moves"]
    if as_json:
        print_json({"moves": moves})
    else:
        for move in moves:
            click.echo(f"{move['task']}: {move['from_host']} → {move['to_host']}: {move['why']}")
        if not moves:
            click.echo("nothing to move")
    if wait and moves and not only_plan:
        wait_until_done(session, [move["task"] for move in moves], timeout, "moved", as_json, moved=True)
    sys.exit(1 if only_plan and moves else 0)


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


# -- watching a host become empty -----------------------------------------------------------------------------


class Left(NamedTuple):
    """A task that is still on the host."""

    framework: str
    task_id: str
    task: str
    """``core/web/2``; of other frameworks the id."""
    tied: bool
    ends: bool
    """Whether it runs to its end, and so is not moved."""
    waits_for: str

    def __str__(self) -> str:
        return f"{self.task}: {self.waits_for}"


def _watch(session: Session, host_id: str, host: str, force: bool, timeout: float, *, quiet: bool) -> Sequence[Left]:
    """Look again and again until the host is empty, only what is tied is left, or the time is up: what is left."""
    until = time.monotonic() + timeout
    killed: set[tuple[str, str]] = set()
    with _progress(host, quiet) as show:
        while True:
            left = _left(session, host_id)
            show(left)
            stuck = all(each.tied or each.ends or each.framework != FRAMEWORK for each in left)
            if force and stuck:
                for each in left:
                    if (each.framework, each.task_id) not in killed:
                        killed.add((each.framework, each.task_id))
                        _kill_if_there(session, each)
            elif all(each.tied for each in left):
                return left
            if not left or time.monotonic() >= until:
                return left
            time.sleep(POLL)


def _left(session: Session, host_id: str) -> list[Left]:
    """The tasks on a host, those of services with what they wait for."""
    from offerer.task_states import TaskState

    tasks = [
        each
        for each in session.state("tasks").tasks
        if each.status.host_id == host_id and not TaskState(each.status.state).terminal
    ]
    rows = _rows(session, {each.status.task_id for each in tasks if each.framework_id == FRAMEWORK})
    return [_one(each.framework_id, each.status.task_id, rows) for each in tasks]


def _rows(session: Session, task_ids: Collection[str]) -> dict[str, Row]:
    """What the framework of services says of the containers of the services that these are of."""
    try:
        services = sorted({task_id.partition(".")[0] for task_id in task_ids})
        answer = session.call(FRAMEWORK, "ps", {"target": services}) if services else {"tasks": []}
    except (NotFound, Unavailable):  # it is away, and its tasks stay until it is back
        return {}
    return {task_id: row for row in answer["tasks"] for task_id in (row["task_id"], *row["replaces"]) if task_id}


def _one(framework: str, task_id: str, rows: dict[str, Row]) -> Left:
    row = rows.get(task_id)
    if row is not None:
        return Left(framework, task_id, name(row), row["tied"], row["ends"], row["reason"] or "moves")
    waits_for = "its framework is told" if framework != FRAMEWORK else "stops"
    return Left(framework, task_id, task_id, False, False, f"{waits_for} ({framework})")


def _kill_if_there(session: Session, task: Left) -> None:
    try:
        kill_task(session, task.framework, task.task_id)
    except NotFound:
        pass  # it has ended by itself


def _progress(host: str, quiet: bool) -> AbstractContextManager[Callable[[Sequence[Left]], None]]:
    """One line that changes on a terminal; in a pipe a line for every task that changed or left."""
    seen: dict[str, str] = {}

    def print_changes(left: Sequence[Left]) -> None:
        now = {each.task_id: each for each in left}
        for task_id in [each for each in seen if each not in now]:
            click.echo(f"{seen.pop(task_id).partition(': ')[0]} has left")
        for task_id, each in now.items():
            if seen.get(task_id) != str(each):
                seen[task_id] = str(each)
                click.echo(str(each))

    def line(left: Sequence[Left]) -> str:
        first = next((each for each in left if not each.tied), next(iter(left), None))
        return f"{len(left)} left on {host}" + (f" · {first}" if first else "")

    return live(print_changes, line, quiet=quiet)
