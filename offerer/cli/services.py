"""``offerer push|up|update|down|status|ps|inspect|history|logs``: services, kept by the `coding` framework."""

from __future__ import annotations

import getpass
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import click

from offerer.cli.common import Session, fail, json_option, pass_session
from offerer.cli.output import Column, Row, age, clock_text, print_fields, print_json, print_table

P = ParamSpec("P")
R = TypeVar("R")

FRAMEWORK: Final = "coding"
_LARGEST_FILE: Final = 512 << 10  # characters; the framework takes no more
_LARGEST_TAIL: Final = (1 << 31) - 1
_POLL: Final = 0.3  # seconds between two looks while waiting
_TIMES: Final = frozenset({"at", "ended", "placed", "pushed_at", "since", "started", "started_at"})
_TARGET: Final = "SERVICE[/JOB[/TASK]]"


def seconds_of(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """Callback for options that take a duration: ``90``, ``90s``, ``5m``, ``1h30m``."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", value)
    if not match or not value:
        raise click.BadParameter(f"{value!r} is not a duration, for example 5m or 90s")
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def wait_options(command: Callable[P, R]) -> Callable[P, R]:
    """Adds ``--wait`` and ``--timeout``."""
    command = click.option(
        "--timeout", default="5m", show_default=True, callback=seconds_of, help="How long --wait waits at most."
    )(command)
    return click.option("--wait", is_flag=True, help="Return when it is done; fail where that takes too long.")(command)


# -- commands that change something ---------------------------------------------------------------------------


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@click.option("-m", "--message", default="", help="Why; shown by history.")
@json_option
@pass_session
def push(session: Session, files: Sequence[Any], message: str, as_json: bool) -> None:
    """Store service files as new revisions. Nothing that runs changes.

    All files are stored, or none. A file that says nothing new makes no revision.

    Example: offerer push core.yaml shop.yaml -m "web 20160531"
    """
    arguments = {
        "files": [{"name": file.name, "text": _read(file)} for file in files],
        "message": message,
        "who": f"{_user()}@{socket.gethostname()}",
    }
    answer = session.call(FRAMEWORK, "push", arguments)
    if as_json:
        print_json(answer)
        return
    for row in answer["services"]:
        what = "is stored; start it with up, or move what runs with update" if row["changed"] else "is unchanged"
        click.echo(f"{row['service']} r{row['revision']} {what}")
    _warn(answer["warnings"])


@click.command()
@click.argument("targets", metavar=f"{_TARGET}...", nargs=-1, required=True)
@wait_options
@json_option
@pass_session
def up(session: Session, targets: Sequence[str], wait: bool, timeout: float, as_json: bool) -> None:
    """Start what was pushed and is down, and what it depends on before it.

    What runs already stays as it is, at the revision it has.

    Example: offerer up core --wait
    """
    answer = session.call(FRAMEWORK, "up", {"target": list(targets)})
    _report(answer, "to start", "up already", as_json)
    if wait:
        _wait(session, [*answer["changed"], *answer["unchanged"]], timeout, "up", as_json)


@click.command()
@click.argument("targets", metavar=f"{_TARGET}...", nargs=-1, required=True)
@wait_options
@json_option
@pass_session
def update(session: Session, targets: Sequence[str], wait: bool, timeout: float, as_json: bool) -> None:
    """Move running tasks to the newest revision, one at a time.

    Each is stopped, started anew and waited for before the next. A task whose settings the new revision leaves as
    they are goes on running. A later update takes over from one under way.

    Example: offerer update core/web --wait
    """
    answer = session.call(FRAMEWORK, "update", {"target": list(targets), "who": _user()})
    _report(answer, "to move", "at the newest revision already", as_json)
    if wait:
        _wait(session, [*answer["changed"], *answer["unchanged"]], timeout, "updated", as_json)


@click.command()
@click.argument("targets", metavar=f"{_TARGET}...", nargs=-1, required=True)
@wait_options
@json_option
@pass_session
def down(session: Session, targets: Sequence[str], wait: bool, timeout: float, as_json: bool) -> None:
    """Stop tasks, those that others depend on last. What was pushed is kept.

    Example: offerer down core/web/2
    """
    answer = session.call(FRAMEWORK, "down", {"target": list(targets)})
    _report(answer, "to stop", "down already", as_json)
    if wait:
        _wait(session, [*answer["changed"], *answer["unchanged"]], timeout, "down", as_json)


# -- commands that look ---------------------------------------------------------------------------------------


@click.command()
@click.argument("targets", metavar=f"[{_TARGET}]...", nargs=-1)
@json_option
@pass_session
def status(session: Session, targets: Sequence[str], as_json: bool) -> None:
    """One line per service: how much of it runs, at which revision, and what is in the way.

    Example: offerer status core shop/front
    """
    answer = session.call(FRAMEWORK, "status", {"target": list(targets)})
    if as_json:
        print_json(answer)
        return
    columns = [
        Column("SERVICE", "service"),
        Column("RUNNING", lambda row: f"{row['running']}/{row['up']}" if row["up"] else "down"),
        Column("TASKS", "tasks", right=True),
        Column("REV", lambda row: ", ".join(f"r{number}" for number in row["revisions"])),
        Column("NEWEST", lambda row: f"r{row['newest_revision']}" if row["newest_revision"] else ""),
        Column("PUSHED", lambda row: age(row["pushed_at"] or 0, answer["now"])),
        Column("UPDATE", _update_text),
        Column("REASON", lambda row: "; ".join(row["reasons"][:2]) + ("; …" if len(row["reasons"]) > 2 else "")),
    ]
    print_table(answer["services"], columns, empty="nothing is pushed; push a service with: offerer push FILE")
    _warn(answer["problems"])


@click.command()
@click.argument("targets", metavar=f"[{_TARGET}]...", nargs=-1)
@json_option
@pass_session
def ps(session: Session, targets: Sequence[str], as_json: bool) -> None:
    """One line per task that is up: where it runs, or why it does not.

    Example: offerer ps core
    """
    answer = session.call(FRAMEWORK, "ps", {"target": list(targets)})
    columns = [
        Column("SERVICE", "service"),
        Column("JOB", "job"),
        Column("TASK", "task"),
        Column("STATE", "state"),
        Column("HOST", "host"),
        Column("ADDRESS", "address"),
        Column("REV", lambda row: f"r{row['revision'] or row['wanted_revision']}"),
        Column("SINCE", lambda row: age(row["since"], answer["now"]), right=True),
        Column("REASON", "reason"),
    ]
    empty = "nothing is up; start a service with: offerer up SERVICE"
    print_table(answer["tasks"], columns, as_json=as_json, empty=empty)


@click.command()
@click.argument("target", metavar=_TARGET)
@json_option
@pass_session
def inspect(session: Session, target: str, as_json: bool) -> None:
    """Everything known of a service, a job or a task: file, revisions, tasks, and a single task's container.

    Example: offerer inspect core/web/2
    """
    answer = session.call(FRAMEWORK, "inspect", {"target": target})
    tasks = answer["tasks"]
    if target.count("/") == 2 and tasks and tasks[0]["task_id"] and tasks[0]["state"] != "WAITING":
        answer["container"] = session.inspect(FRAMEWORK, tasks[0]["task_id"])
    if as_json:
        print_json(answer)
        return
    file = answer.pop("file", "")
    print_fields(_with_clock_times(answer))
    if file and "/" not in target:
        click.echo("\n" + file.rstrip())


@click.command()
@click.argument("targets", metavar=f"[{_TARGET}]...", nargs=-1)
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@click.option("--revisions", is_flag=True, help="What was pushed instead of what ran.")
@json_option
@pass_session
def history(session: Session, targets: Sequence[str], limit: int, revisions: bool, as_json: bool) -> None:
    """Every container that ever ran, newest first, and how it ended; or every revision that was pushed.

    Example: offerer history core/web -n 50
    """
    answer = session.call(FRAMEWORK, "history", {"target": list(targets), "limit": limit})
    if as_json:
        print_json(answer)
        return
    now = answer["now"]
    if revisions:
        columns = [
            Column("SERVICE", "service"),
            Column("REV", lambda row: f"r{row['revision']}"),
            Column("AGE", lambda row: age(row["at"], now), right=True),
            Column("WHO", "who"),
            Column("FILE", "file"),
            Column("MESSAGE", "message"),
        ]
        print_table(list(reversed(answer["revisions"]))[:limit], columns, empty="nothing is pushed")
        return
    columns = [
        Column("CONTAINER", "task_id"),
        Column("REV", lambda row: f"r{row['revision']}"),
        Column("HOST", "host"),
        Column("STARTED", lambda row: age(row["started"] or row["placed"], now), right=True),
        Column("RAN", _ran_text, right=True),
        Column("STATE", "state"),
        Column("EXIT", "exit_code", right=True),
        Column("REASON", lambda row: row["message"] or ("" if row["reason"] == "NONE" else row["reason"])),
    ]
    print_table(answer["containers"], columns, empty="no container ran yet")


@click.command()
@click.argument("target", metavar=f"{_TARGET} | TASK_ID")
@click.option("-f", "--follow", is_flag=True, help="Go on as long as it runs.")
@click.option("--tail", type=click.IntRange(0, _LARGEST_TAIL), help="Only this many of the last lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Put the time before each line.")
@click.option("--framework", default=FRAMEWORK, show_default=True, help="Whose task, where a TASK_ID is given.")
@pass_session
def logs(
    session: Session, target: str, follow: bool, tail: int | None, timestamps: bool, framework: str
) -> None:
    """Print what a task writes, its stdout to stdout and its stderr to stderr.

    Of a task that does not run now, it is the last container's output. A job needs a task's name where it has several.

    Example: offerer logs core/web/2 -f --tail 100
    """
    task_id = target
    if framework == FRAMEWORK and "." not in target:  # a task id has dots, the name of a task has none
        task_id = session.call(FRAMEWORK, "task", {"target": target})["task_id"]
    for is_stderr, data in session.logs(framework, task_id, follow=follow, tail=tail, timestamps=timestamps):
        stream = sys.stderr.buffer if is_stderr else sys.stdout.buffer
        stream.write(data)
        stream.flush()


# -- waiting --------------------------------------------------------------------------------------------------


def _wait(session: Session, names: Sequence[str], timeout: float, what: str, as_json: bool) -> None:
    """Look again and again until all these tasks are as wanted. Leaves with exit code 1 where time runs out."""
    services = sorted({name.split("/")[0] for name in names})
    wanted = set(names)
    deadline = time.monotonic() + timeout
    with _progress(as_json) as show:
        while wanted:
            answer = session.call(FRAMEWORK, "ps", {"target": services})
            rows = [row for row in answer["tasks"] if _name(row) in wanted]
            updating = _updating(session, services) if what == "updated" else False
            late = [row for row in rows if not row["settled"]]
            show(rows, len(wanted) - len(late), len(wanted))
            if not late and not updating:
                break
            if time.monotonic() >= deadline:
                listed = "; ".join(f"{_name(row)} {row['state']}: {row['reason']}" for row in late[:5])
                more = f"; and {len(late) - 5} more" if len(late) > 5 else ""
                fail(f"not {what} after {timeout:g} s: {listed or 'the update goes on'}{more}")
            time.sleep(_POLL)
    if not as_json:
        click.echo(f"{len(wanted)} task{'' if len(wanted) == 1 else 's'} {what}")


def _updating(session: Session, services: Sequence[str]) -> bool:
    answer = session.call(FRAMEWORK, "status", {"target": list(services)})
    return any(row["update"] for row in answer["services"])


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Sequence[Row], int, int], None]]:
    """How far it is: one line that changes on a terminal, in a pipe a line for every task that changed."""
    seen: dict[str, str] = {}

    def print_changes(rows: Sequence[Row], _done: int, _of: int) -> None:
        for row in rows:
            where = f" on {row['host']}" if row["host"] else ""
            text = f"{_name(row)} {row['state']}{where}"
            if seen.get(_name(row)) != text:
                seen[_name(row)] = text
                click.echo(text + (f": {row['reason']}" if row["reason"] else ""))

    if quiet:
        yield lambda _rows, _done, _of: None
    elif not sys.stdout.isatty():
        yield print_changes
    else:
        from rich.console import Console

        with Console().status("…") as spinner:

            def show_line(rows: Sequence[Row], done: int, of: int) -> None:
                late = next((row for row in rows if not row["settled"]), None)
                rest = f" · {_name(late)} {late['state']} {late['reason']}" if late else ""
                spinner.update(f"{done} of {of}{rest}".replace("[", r"\["))

            yield show_line


# -- inside ---------------------------------------------------------------------------------------------------


def _report(answer: Mapping[str, Any], changed: str, unchanged: str, as_json: bool) -> None:
    """What a command set going; with ``--json`` the answer itself."""
    if as_json:
        print_json(answer)
        return
    counts = [(len(answer["changed"]), changed), (len(answer["unchanged"]), unchanged)]
    parts = [f"{n} task{'' if n == 1 else 's'} {what}" for n, what in counts if n]
    click.echo(", ".join(parts) or "nothing to do")
    _warn(answer["notes"])


def _with_clock_times(value: Any) -> Any:
    """The same with every point in time as people read it."""
    if isinstance(value, list):
        return [_with_clock_times(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: clock_text(each) if key in _TIMES and isinstance(each, int) and each else _with_clock_times(each)
        for key, each in value.items()
    }


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _name(row: Row) -> str:
    return f"{row['service']}/{row['job']}/{row['task']}"


def _update_text(row: Row) -> str:
    going = row["update"]
    return f"{going['moved']}/{going['of']}" + (f" {going['moving']}" if going["moving"] else "") if going else ""


def _ran_text(row: Row) -> str:
    return age(row["started"], row["ended"]) if row["started"] and row["ended"] else ""


def _read(file: Any) -> str:
    try:
        text = str(file.read(_LARGEST_FILE + 1))
    except UnicodeDecodeError:
        raise click.UsageError(f"{file.name} is not UTF-8 text; a service file is YAML") from None
    except OSError as error:
        raise click.UsageError(f"{file.name} cannot be read: {error.strerror}") from None
    if len(text) > _LARGEST_FILE:
        raise click.UsageError(f"{file.name} is larger than {_LARGEST_FILE >> 10} KiB; no service file is")
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return "unknown"
