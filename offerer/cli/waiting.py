"""What the commands about services share: the framework they ask, what they report, how they wait and show progress."""

from __future__ import annotations

import getpass
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import click

from offerer.cli.common import Session, fail
from offerer.cli.output import Row, live, print_json
from offerer.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")

FRAMEWORK: Final = "coding"
POLL: Final = 0.3
"""Seconds between two looks while waiting."""
AWAY: Final = 60.0
"""Seconds for which one that waits bears with nobody answering."""
PATIENCE: Final = 300.0
"""Seconds for what plays through an update first: hundreds of tasks of one service take a while."""
TARGET: Final = "SERVICE[/JOB[/TASK]]"
_LARGEST_FILE: Final = 512 << 10  # characters; a framework takes no more


def ask(session: Session, method: str, target: str | Sequence[str]) -> dict[str, Any]:
    """What the framework says of a target, for a command that waits: it bears with a restart of master or framework."""
    until = time.monotonic() + AWAY
    while True:
        try:
            return session.call(FRAMEWORK, method, {"target": target})
        except Unavailable:
            if time.monotonic() >= until:
                raise
            time.sleep(POLL)


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


def plan_option(command: Callable[P, R]) -> Callable[P, R]:
    """Adds ``--plan``."""
    return click.option(
        "--plan", metavar="TOKEN", default="", help="Only what that plan showed; fail where it no longer holds."
    )(command)


def wait_until_done(
    session: Session, names: Sequence[str], timeout: float, what: str, as_json: bool, *, moved: bool = False
) -> None:
    """Look again and again until all these tasks are as wanted, and with `moved` none of them is to leave its host.

    Leaves with exit code 1 where time runs out, or the cluster refuses one of them so that waiting is of no use.
    """
    services = sorted({name.split("/")[0] for name in names})
    wanted = set(names)
    deadline = time.monotonic() + timeout
    with progress(as_json) as show:
        while wanted:
            answer = ask(session, "ps", services)
            rows = [row for row in answer["tasks"] if name(row) in wanted]
            late = [row for row in rows if not row["settled"] or moved and row["leaving"]]
            show(rows, len(wanted) - len(late), len(wanted))
            if not late:
                break
            refused = [row for row in late if row["refused"]]
            if refused or time.monotonic() >= deadline:
                told = refused or late
                listed = "; ".join(f"{name(row)} {row['state']}: {row['reason']}" for row in told[:5])
                more = f"; and {len(told) - 5} more" if len(told) > 5 else ""
                fail(f"not {what}{'' if refused else f' after {timeout:g} s'}: {listed}{more}")
            time.sleep(POLL)
    if not as_json:
        click.echo(f"{len(wanted)} task{'' if len(wanted) == 1 else 's'} {what}")


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[Sequence[Row], int, int], None]]:
    """How far it is: one line that changes on a terminal, in a pipe a line for every task that changed."""
    seen: dict[str, str] = {}

    def print_changes(told: tuple[Sequence[Row], int, int]) -> None:
        for row in told[0]:
            where = f" on {row['host']}" if row["host"] else ""
            text = f"{name(row)} {row['state']}{where}"
            if seen.get(name(row)) != text:
                seen[name(row)] = text
                click.echo(text + (f": {row['reason']}" if row["reason"] else ""))

    def line(told: tuple[Sequence[Row], int, int]) -> str:
        rows, done, of = told
        late = next((row for row in rows if not row["settled"]), None)
        return f"{done} of {of}" + (f" · {name(late)} {late['state']} {late['reason']}" if late else "")

    with live(print_changes, line, quiet=quiet) as show:
        yield lambda rows, done, of: show((rows, done, of))


def report(answer: Mapping[str, Any], changed: str, unchanged: str, as_json: bool) -> None:
    """What a command set going; with ``--json`` the answer itself."""
    if as_json:
        print_json(answer)
        return
    counts = [(len(answer["changed"]), changed), (len(answer["unchanged"]), unchanged)]
    parts = [f"{n} task{'' if n == 1 else 's'} {what}" for n, what in counts if n]
    click.echo(", ".join(parts) or "nothing to do")
    warn(answer["notes"])


def warn(notes: Sequence[str]) -> None:
    """Notes go to stderr, so that they are not taken for the answer."""
    for note in notes:
        click.echo(f"note: {note}", err=True)


def name(row: Row) -> str:
    """``core/web/2``."""
    return f"{row['service']}/{row['job']}/{row['task']}"


def author() -> str:
    """Who gives the command, and on which machine: ``amy@laptop``."""
    return f"{user()}@{socket.gethostname()}"


def user() -> str:
    """Who gives the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return "unknown"


def read_file(file: Any, what: str = "service") -> str:
    """The text of a service file, or of one of another kind. Raises `click.UsageError`."""
    try:
        text = str(file.read(_LARGEST_FILE + 1))
    except UnicodeDecodeError:
        raise click.UsageError(f"{file.name} is not UTF-8 text; a {what} file is YAML") from None
    except OSError as error:
        raise click.UsageError(f"{file.name} cannot be read: {error.strerror}") from None
    if len(text) > _LARGEST_FILE:
        raise click.UsageError(f"{file.name} is larger than {_LARGEST_FILE >> 10} KiB; no {what} file is")
    return text
