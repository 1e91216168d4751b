"""``offerer update|rollback|restart|pause|resume|promote|abort``: moving what runs to other containers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import click

from offerer.cli.common import EXIT_FAILED, Session, fail, json_option, pass_session
from offerer.cli.output import print_json
from offerer.cli.waiting import (
    FRAMEWORK,
    PATIENCE,
    POLL,
    TARGET,
    ask,
    author,
    name,
    plan_option,
    progress,
    report,
    seconds_of,
)

P = ParamSpec("P")
R = TypeVar("R")

EXIT_PAUSED = 2


def watch_options(command: Callable[P, R]) -> Callable[P, R]:
    """Adds ``--watch`` and ``--timeout``."""
    command = click.option(
        "--timeout",
        default="",
        callback=lambda *given: seconds_of(*given) if given[2] else None,
        help="How long to watch at most; without it, as long as it takes.",
    )(command)
    return click.option(
        "--watch", "--wait", "watched", is_flag=True, help="Show progress until it ends or is paused."
    )(command)


@click.command()
@click.argument("targets", metavar=f"{TARGET}...", nargs=-1, required=True)
@plan_option
@watch_options
@json_option
@pass_session
def update(
    session: Session, targets: Sequence[str], plan: str, watched: bool, timeout: float | None, as_json: bool
) -> None:
    """Move running tasks to the newest revision, as the job's `update:` says.

    Without that, one task at a time is stopped, started anew and waited for. A task whose settings the new revision
    leaves as they are goes on running. A later update takes over from one under way.

    With --watch, the exit code is 0 where it is done, 1 where it failed or was rolled back, 2 where it is paused.

    Example: offerer update core/web --watch
    """
    arguments = {"target": list(targets), "who": author(), "plan": plan}
    answer = session.call(FRAMEWORK, "update", arguments, timeout=PATIENCE)
    report(answer, "to move", "at the newest revision already", as_json)
    _watch_if(watched, session, answer, timeout, as_json)


def _watch_if(
    watched: bool,
    session: Session,
    answer: Mapping[str, Any],
    timeout: float | None,
    as_json: bool,
    done: str = "updated",
) -> None:
    if watched:
        names = [*answer["changed"], *answer["unchanged"]]
        moved = {each.split("/")[0] for each in answer["changed"]}
        others = {each.split("/")[0] for each in names} - moved
        under_way = [each for each in others if _under_way(session, each)]
        code = watch(session, [*moved, *under_way], timeout, as_json)
        if not code and not as_json:
            click.echo(f"{len(names)} task{'' if len(names) == 1 else 's'} {done}")
        sys.exit(code)


@click.command()
@click.argument("target", metavar="SERVICE[/JOB]")
@click.option("--to", type=click.IntRange(1), metavar="N", help="The revision to go to; without it, the one before.")
@watch_options
@json_option
@pass_session
def rollback(
    session: Session, target: str, to: int | None, watched: bool, timeout: float | None, as_json: bool
) -> None:
    """Move running tasks back to an earlier revision, as the job's `update:` says.

    What is newest stays newest: the next update goes there again, so push a correction first.

    Example: offerer rollback core/web --to 7 --watch
    """
    answer = session.call(FRAMEWORK, "rollback", {"target": target, "to": to, "who": author()})
    report(answer, "to move back", "there already", as_json)
    _watch_if(watched, session, answer, timeout, as_json)


@click.command()
@click.argument("targets", metavar=f"{TARGET}...", nargs=-1, required=True)
@watch_options
@json_option
@pass_session
def restart(session: Session, targets: Sequence[str], watched: bool, timeout: float | None, as_json: bool) -> None:
    """Start running tasks anew, at the revision they have, one after another as the job's `update:` says.

    It is an update like any other: pause, resume and abort take it too, and --watch ends with the same exit codes.

    Example: offerer restart core/web --watch
    """
    answer = session.call(FRAMEWORK, "restart", {"target": list(targets), "who": author()})
    report(answer, "to start anew", "", as_json)
    _watch_if(watched, session, answer, timeout, as_json, "started anew")


def _under_way(session: Session, service: str) -> bool:
    going = session.call(FRAMEWORK, "rollout", {"target": service})["update"]
    return going is not None and not going["outcome"]


def watch(session: Session, services: Iterable[str], timeout: float | None, quiet: bool) -> int:
    """Follow the updates of these services. The exit code: 0 done, 1 failed or rolled back, 2 paused."""
    until = None if timeout is None else time.monotonic() + timeout
    left, paused, failed, turned = list(services), [], [], set[str]()
    with progress(quiet) as show:
        while left:
            rows: list[dict[str, Any]] = []
            for service in list(left):
                answer = ask(session, "rollout", service)
                going = answer["update"]
                rows += answer["tasks"]
                if not quiet and service not in turned and going and going["back"] and not going["outcome"]:
                    turned.add(service)
                    click.echo(f"the update of {service} goes back: {going['why']}", err=True)
                if going is None or going["outcome"] == "done":
                    left.remove(service)
                elif going["outcome"]:
                    left.remove(service)
                    failed.append(f"the update of {service} {_ended(going['outcome'])}: {going['why']}")
                elif going["paused"]:
                    left.remove(service)
                    paused.append(f"the update of {service} is paused: {going['paused']}")
            show(rows, sum(row["settled"] for row in rows), len(rows))
            if left and until is not None and time.monotonic() >= until:
                late = [f"{name(row)} {row['state']}: {row['reason']}" for row in rows if not row["settled"]]
                fail(f"not updated after {timeout:g} s: {'; '.join(late[:5]) or 'the update goes on'}")
            if left:
                time.sleep(POLL)
    for message in [*failed, *paused]:
        click.echo(message, err=True)
    return EXIT_FAILED if failed else EXIT_PAUSED if paused else 0


def _ended(outcome: str) -> str:
    return "was rolled back" if outcome == "rolled back" else "failed"


@click.command()
@click.argument("service")
@json_option
@pass_session
def pause(session: Session, service: str, as_json: bool) -> None:
    """Set no further task of an update going. What is on its way goes on.

    Example: offerer pause core
    """
    _turn(session, "pause", service, as_json, "is paused")


@click.command()
@click.argument("service")
@json_option
@pass_session
def resume(session: Session, service: str, as_json: bool) -> None:
    """Go on with an update that was paused, by hand or since a task did not come up in time.

    Example: offerer resume core
    """
    _turn(session, "resume", service, as_json, "goes on")


@click.command()
@click.argument("service")
@json_option
@pass_session
def promote(session: Session, service: str, as_json: bool) -> None:
    """The canaries of an update are good: move the rest of their job.

    Example: offerer promote core
    """
    _turn(session, "promote", service, as_json, "goes on beyond its canaries")


@click.command()
@click.argument("service")
@json_option
@pass_session
def abort(session: Session, service: str, as_json: bool) -> None:
    """End an update, and take what it moved back to where it was.

    Example: offerer abort core
    """
    _turn(session, "abort", service, as_json, "goes back")


def _turn(session: Session, method: str, service: str, as_json: bool, says: str) -> None:
    answer = session.call(FRAMEWORK, method, {"target": service, "who": author()})
    if as_json:
        print_json(answer)
        return
    click.echo(f"the update of {service} {says}")
