"""``offerer dev``: a cluster on this machine, for as long as the command runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from offerer.cli.common import DEFAULT_MASTER, Session, check_address, check_environment
from offerer.cli.output import Column, Row, age, live, print_table
from offerer.cli.service_files import files_named
from offerer.cli.waiting import author, name, seconds_of
from offerer.errors import NotFound, OffererError, Unavailable

if TYPE_CHECKING:
    from offerer.cli.embedded import Setup

_POLL: Final = 0.2  # seconds between two looks
_STEADY: Final = 1.0  # seconds for which all must run: what ends at once has not come up
_EPILOG: Final = """\b
Example:
  offerer dev                             an empty cluster; use it from another terminal
  offerer dev shop.yaml --up              brings the services of the file up, until Ctrl-C
  offerer dev shop.yaml --up --env dev    the same with shop.dev.yaml over it
  offerer dev shop.yaml --up --once       the same as a check: exit 0 once all runs, 1 with the reasons otherwise

Without a Docker engine, tasks run as plain processes; their commands are also looked up beside the service files.
"""


@click.command(epilog=_EPILOG)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--hosts", type=click.IntRange(1, 12), default=3, show_default=True, help="How many share this machine.")
@click.option(
    "--env",
    "environment",
    default="",
    envvar="OFFERER_ENV",
    show_envvar=True,
    metavar="NAME",
    callback=lambda context, parameter, value: check_environment(value),
    help="The environment; dev takes shop.dev.yaml over shop.yaml.",
)
@click.option("--up", is_flag=True, help="Bring the services of the files up.")
@click.option("--once", is_flag=True, help="With --up: end when all runs.")
@click.option("--timeout", default="2m", show_default=True, callback=seconds_of, help="How long all may take to run.")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "docker", "process", "fake"]),
    default="auto",
    show_default=True,
    help="What runs tasks; auto is docker where an engine answers, otherwise process.",
)
@click.option("--docker-host", default="", envvar="DOCKER_HOST", show_envvar=True, metavar="URL", help="The engine.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep what was pushed and is up there, for the next time.  [a temporary directory]",
)
@click.option(
    "--listen",
    callback=lambda context, parameter, value: value and check_address(context, parameter, value),
    metavar="HOST:PORT",
    help=f"Where the master answers.  [{DEFAULT_MASTER}, or a free port]",
)
@click.option(
    "--git",
    type=click.Path(file_okay=False, resolve_path=True),
    help="Commit whatever is deployed to the Git repository there.",
)
def dev(files: tuple[Path, ...], **options: Any) -> None:
    """Run a cluster on this machine: a master, hosts, and the frameworks coding and batch, in one process.

    It ends with Ctrl-C, and whatever it started ends with it.
    """
    from offerer.cli.embedded import Setup

    up, once = options["up"], options["once"]
    if once and not up:
        raise click.UsageError("--once goes with --up")
    if up and not files:
        raise click.UsageError("--up needs at least one FILE")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("offerer.executor").setLevel(logging.ERROR)  # that it connects again and again while we stop
    runtime = _choose_runtime(options["runtime"], options["docker_host"])
    if runtime == "process":
        beside = dict.fromkeys(str(file.resolve().parent) for file in files)
        os.environ["PATH"] = os.pathsep.join([*beside, os.environ.get("PATH", os.defpath)])
    with _state_dir(options["state_dir"]) as state_dir:
        setup = Setup(state_dir, options["hosts"], runtime, options["docker_host"], options["listen"] or "",
                      options["git"] or "")  # fmt: skip
        sys.exit(asyncio.run(_run(setup, files, options["environment"], up=up, once=once, timeout=options["timeout"])))


def _choose_runtime(wanted: str, docker_host: str) -> str:
    if wanted != "auto":
        return wanted
    from executor.docker import engine_answers

    if engine_answers(docker_host):
        return "docker"
    where = f" at {docker_host}" if docker_host else ""
    click.echo(f"No Docker engine answers{where}: tasks run as plain processes, without isolation or limits.", err=True)
    return "process"


@contextlib.contextmanager
def _state_dir(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="offerer-dev-") as directory:
        yield Path(directory)


async def _run(
    setup: Setup, files: Sequence[Path], environment: str, *, up: bool, once: bool, timeout: float
) -> int:
    from offerer.cli.embedded import running_cluster

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running_cluster(setup, DEFAULT_MASTER) as master:
        click.echo(f"The master answers at {master.address}; {setup.hosts} hosts, runtime {setup.runtime}.")
        session = Session(master.address)
        session.environment = environment
        work = asyncio.create_task(_work(session, files, up=up, timeout=timeout))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                click.echo("Stopping.", err=True)
                return 130
            all_run = await work
            if not once:
                _say_how_to_use(master.address, environment)
                await stop.wait()
                click.echo("Stopping.", err=True)
        finally:
            work.cancel()
            stopped.cancel()
            session.close()
    return 0 if all_run or not once else 1


def _say_how_to_use(address: str, environment: str) -> None:
    settings = {"OFFERER_MASTER": address if address != DEFAULT_MASTER else "", "OFFERER_ENV": environment}
    exports = " ".join(f"{name}={value}" for name, value in settings.items() if value)
    before = f"export {exports}, then " if exports else ""
    click.echo(f"In another terminal: {before}offerer status, ps, hosts, logs …")
    click.echo("Ctrl-C ends all of it.")


# -- what is asked of the framework; each call in a thread, for it waits -----------------------------------------


async def _work(session: Session, files: Sequence[Path], *, up: bool, timeout: float) -> bool:
    """Push, bring up, wait and show. False where something does not run in time."""
    await _framework_answers(session)
    if not files:
        return True
    arguments = {
        "files": _read(files, session.environment),
        "who": author(),
    }
    pushed = await asyncio.to_thread(session.call, "coding", "push", arguments)
    services = [row["service"] for row in pushed["services"]]
    if not up:
        click.echo(f"Pushed {', '.join(services)}; start with: offerer up SERVICE")
        return True
    await asyncio.to_thread(session.call, "coding", "up", {"target": services, "who": author()})
    with _progress() as show:
        rows, late = await _until_all_run(session, services, timeout, show)
    _print_tasks(rows)
    for task, reason in late.items():
        click.echo(f"error: {task} does not run within {timeout:g} s: {reason}", err=True)
    return not late


async def _framework_answers(session: Session) -> None:
    """Wait until the framework has connected."""
    for _ in range(100):
        with contextlib.suppress(NotFound, Unavailable):
            await asyncio.to_thread(session.call, "coding", "services", {})
            return
        await asyncio.sleep(0.1)
    await asyncio.to_thread(session.call, "coding", "services", {})


async def _until_all_run(
    session: Session, services: Sequence[str], timeout: float, show: Callable[[Sequence[Row]], None]
) -> tuple[list[Row], dict[str, str]]:
    """The tasks, and those that do not run or have not done so for a moment, each with the reason."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout
    since: dict[tuple[str, str | None], float] = {}  # when a task, in this very container, was first seen to run
    trouble: dict[str, str] = {}  # why there was none when there last was none: of one that ends again and again
    while True:
        rows = (await asyncio.to_thread(session.call, "coding", "ps", {"target": services}))["tasks"]
        show(rows)
        now = clock()
        runs = [(name(row), row["task_id"]) for row in rows if row["settled"]]
        since = {key: since.get(key, now) for key in runs}
        trouble |= {name(row): row["reason"] for row in rows if row["task_id"] is None}
        late = [row for row in rows if now - since.get((name(row), row["task_id"]), now) < _STEADY]
        if not rows and now >= deadline:
            return rows, dict.fromkeys(services, "none of its tasks is up")
        if (rows and not late) or now >= deadline:
            return rows, {name(row): row["reason"] or trouble.get(name(row), "only just started") for row in late}
        await asyncio.sleep(_POLL)


def _read(files: Sequence[Path], environment: str) -> list[dict[str, Any]]:
    try:
        return files_named(list(map(str, files)), environment)
    except click.UsageError as error:
        raise OffererError(str(error)) from None


# -- what is shown --------------------------------------------------------------------------------------------


def _progress() -> AbstractContextManager[Callable[[Sequence[Row]], None]]:
    """How far it is: one line that changes on a terminal, a line per task elsewhere."""
    seen: dict[str, object] = {}

    def print_news(rows: Sequence[Row]) -> None:
        for row in rows:
            news = f"{row['state']} {_where(row)}" if row["settled"] else row["last"] and row["reason"]
            about = row["task_id"] if row["settled"] else row["last"]  # not the text, in which seconds are counted
            if news and seen.get(name(row)) != about:
                seen[name(row)] = about
                click.echo(f"{name(row)}: {news}")

    def line(rows: Sequence[Row]) -> str:
        first = next((f": {name(row)} {row['reason']}" for row in rows if not row["settled"]), "")
        return f"{sum(row['settled'] for row in rows)} of {len(rows)} run{first}"

    return live(print_news, line)


def _print_tasks(rows: Sequence[Row]) -> None:
    columns = [
        Column("TASK", name),
        Column("STATE", "state"),
        Column("HOST", "host"),
        Column("ADDRESS", "address"),
        Column("SINCE", lambda row: age(row["since"]), right=True),
        Column("REASON", "reason"),
    ]
    print_table(rows, columns)


def _where(row: Row) -> str:
    return f"on {row['host']}" + (f" at {row['address']}" if row["address"] else "")
