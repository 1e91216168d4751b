"""``offerer batch submit|list|show|wait|cancel|logs``: jobs that run to their end, by the `batch` framework."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import click

from offerer.cli.common import EXIT_FAILED, Session, fail, json_option, pass_session
from offerer.cli.output import Column, Row, age, live, print_fields, print_json, print_table, readable, write_output
from offerer.cli.waiting import POLL, author, read_file, seconds_of, warn

FRAMEWORK: Final = "batch"
_COMMAND: Final = "offerer.batch.command"
_NAME: Final = 40
_STATES: Final = ("waiting", "running", "finished", "failed", "cancelled")
_LARGEST_TAIL: Final = (1 << 31) - 1
_EXAMPLE: Final = """\b
Example:
  offerer batch submit resize.yaml --wait
  offerer batch submit --image tools:1 --instances 100 --retries 2 -- resize --all
"""


@click.group()
def batch() -> None:
    """Jobs of many instances, each run until it has ended well.

    Example: offerer batch submit resize.yaml --wait
    """


class _WithCommand(click.Command):
    """Takes what stands behind ``--`` as a command, whatever it looks like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[_COMMAND] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@batch.command(cls=_WithCommand, epilog=_EXAMPLE)
@click.argument("file", metavar="[FILE]", required=False, type=click.File(encoding="utf-8"))
@click.option("--name", help="What the job is called.  [from the file, else from its command or image]")
@click.option("--image", help="Reference of the image.")
@click.option("-n", "--instances", type=int, help="How many times it is to be run.")
@click.option("--parallel", type=int, help="So many of them at once at most.")
@click.option("--priority", type=int, help="Jobs with a higher one go first.  [0]")
@click.option("--retries", type=int, help="How often an instance that failed is tried again.  [3]")
@click.option("--max-failed", type=int, help="Stop all of it once more instances than that have failed.")
@click.option("--time-limit", metavar="DURATION", help="How long one instance may run, such as 1h30m.")
@click.option("--cpus", type=float, help="Cores for each instance.  [0.1]")
@click.option("--memory", help="Memory for each instance, such as 512MiB.  [128MiB]")
@click.option("--gpus", type=int, help="GPUs for each instance.")
@click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="A variable. Repeatable.")
@click.option("--constraint", multiple=True, metavar="CONDITION", help="Such as 'zone == a'. Repeatable.")
@click.option("--wait", is_flag=True, help="Return when it has ended; exit code 0 where all instances ended well.")
@click.option(
    "--timeout", default="", callback=lambda *given: seconds_of(*given) if given[2] else None,
    help="How long --wait waits at most; without it, as long as it takes.",
)  # fmt: skip
@json_option
@pass_session
def submit(
    session: Session, /, file: Any, wait: bool, timeout: float | None, as_json: bool, **given: Any
) -> None:
    """Run a job: that of a file, or one described by options. An option replaces what the file says."""
    settings = _settings(given, click.get_current_context().meta.get(_COMMAND))
    if file is None and not settings.get("image") and not settings.get("command"):
        raise click.UsageError("give a FILE, or --image IMAGE, or a command behind --")
    if file is None:
        settings.setdefault("job", _name_of(settings))
    arguments = {
        "file": file.name if file else "",
        "text": read_file(file, "job") if file else "",
        "settings": settings,
        "who": author(),
    }
    row = session.call(FRAMEWORK, "submit", arguments)["job"]
    if not wait:
        print_json(row) if as_json else click.echo(f"{row['job']} is submitted; see: offerer batch show {row['job']}")
        return
    if not as_json:
        click.echo(f"{row['job']} is submitted")
    _wait(session, [row["job"]], timeout, as_json)


@batch.command("list")
@click.option("-a", "--all", "all_", is_flag=True, help="Those that have ended too, the newest end first.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many of those.")
@json_option
@pass_session
def list_jobs(session: Session, all_: bool, limit: int, as_json: bool) -> None:
    """One line per job: how far it is, and what is in the way. Jobs under way come in the order they are served.

    Example: offerer batch list --all
    """
    answer = session.call(FRAMEWORK, "list", {"all": all_, "limit": limit})
    if as_json:
        print_json(answer)
        return
    columns = [
        Column("JOB", "job"),
        Column("STATE", lambda row: row["state"].upper()),
        Column("PRIORITY", "priority", right=True),
        *(Column(title.upper(), title, right=True) for title in ("waiting", "running", "finished", "failed")),
        Column("AGE", lambda row: age(row["at"], answer["now"]), right=True),
        Column("TOOK", lambda row: age(row["started"], row["ended"]) if row["ended"] and row["started"] else "",
               right=True),
        Column("REASON", "reason"),
    ]  # fmt: skip
    ended = answer["ended"] if not all_ else 0
    empty = f"no job is under way{f', {ended} ended: --all shows them' if ended else ''}"
    print_table(answer["jobs"], columns, empty=empty)
    warn(answer["problems"])


@batch.command()
@click.argument("job")
@click.option("--state", type=click.Choice(_STATES), help="Only instances in this state.")
@click.option("-n", "--limit", type=click.IntRange(0, 100_000), default=20, show_default=True,
              help="How many instances, those that failed first.")  # fmt: skip
@json_option
@pass_session
def show(session: Session, job: str, state: str | None, limit: int, as_json: bool) -> None:
    """Everything known of a job, and its instances: where they ran and how they ended.

    Example: offerer batch show resize-7 --state failed
    """
    arguments = {"job": job, "state": state or "", "limit": limit, "look": True}
    answer = session.call(FRAMEWORK, "show", arguments)
    if as_json:
        print_json(answer)
        return
    now, row = answer["now"], dict(answer["job"])
    for field in ("at", "started", "ended"):
        row[field] = f"{age(row[field], now)} ago" if row[field] else None
    print_fields(readable({**row, "spec": answer["spec"]}))
    columns = [
        Column("INSTANCE", "instance", right=True),
        Column("STATE", "state"),
        Column("HOST", "host"),
        Column("ATTEMPT", "attempt", right=True),
        Column("RAN", lambda row: age(row["started"], row["ended"] or now) if row["started"] else "", right=True),
        Column("EXIT", "exit_code", right=True),
        Column("REASON", "reason"),
    ]
    if answer["instances"]:
        click.echo("")
        print_table(answer["instances"], columns)
    if answer["found"] > len(answer["instances"]) and limit:
        click.echo(f"and {answer['found'] - len(answer['instances'])} more; see --limit and --state", err=True)


@batch.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
@click.option("--timeout", default="", callback=lambda *given: seconds_of(*given) if given[2] else None,
              help="How long at most; without it, as long as it takes.")  # fmt: skip
@json_option
@pass_session
def wait(session: Session, jobs: Sequence[str], timeout: float | None, as_json: bool) -> None:
    """Wait until jobs have ended. Exit code 0 where every instance of all of them ended well.

    Example: offerer batch wait resize-7 --timeout 2h
    """
    _wait(session, jobs, timeout, as_json)


@batch.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
@json_option
@pass_session
def cancel(session: Session, jobs: Sequence[str], as_json: bool) -> None:
    """Stop what runs of jobs, and start no more of them.

    Example: offerer batch cancel resize-7
    """
    arguments = {"jobs": list(jobs), "who": author()}
    answer = session.call(FRAMEWORK, "cancel", arguments)
    if as_json:
        print_json(answer)
        return
    for row in answer["jobs"]:
        changed = row["job"] in answer["changed"]
        running = f"; {row['running']} instances stop" if row["running"] else ""
        click.echo(f"{row['job']} is cancelled{running}" if changed else f"{row['job']} has {row['state']} already")


@batch.command()
@click.argument("target", metavar="JOB[/INSTANCE]")
@click.option("-f", "--follow", is_flag=True, help="Go on as long as it runs.")
@click.option("--tail", type=click.IntRange(0, _LARGEST_TAIL), help="Only this many of the last lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Put the time before each line.")
@pass_session
def logs(session: Session, target: str, follow: bool, tail: int | None, timestamps: bool) -> None:
    """Print what an instance writes, or its last container wrote, as long as its host keeps that.

    Example: offerer batch logs resize-7/42 -f
    """
    task = session.call(FRAMEWORK, "task", {"target": target})
    write_output(session.logs(FRAMEWORK, task["task_id"], host_id=task["host_id"], follow=follow, tail=tail,
                              timestamps=timestamps))  # fmt: skip


# -- inside ---------------------------------------------------------------------------------------------------


def _settings(given: Mapping[str, Any], command: Sequence[str] | None) -> dict[str, Any]:
    """The fields of a job file that the options stand for."""
    fields = {"name": "job", "constraint": "constraints"}
    settings: dict[str, Any] = {}
    resources = {name: given[name] for name in ("cpus", "memory", "gpus") if given[name] is not None}
    for name, value in given.items():
        if name not in ("cpus", "memory", "gpus", "env") and value not in (None, ()):
            settings[fields.get(name, name)] = list(value) if isinstance(value, tuple) else value
    if resources:
        settings["resources"] = resources
    if given["env"]:
        pairs = [each.partition("=") for each in given["env"]]
        wrong = next((name for name, equals, _ in pairs if not equals), None)
        if wrong is not None:
            raise click.UsageError(f"--env {wrong!r} is not NAME=VALUE, for example MODE=fast")
        settings["env"] = {name: value for name, _, value in pairs}
    if command:
        settings["command"] = list(command)
    return settings


def _name_of(settings: Mapping[str, Any]) -> str:
    """``resize`` of the image ``tools/resize:1``, or of the command ``./resize.sh``."""
    whole = settings.get("image") or settings["command"][0]
    name = whole.rstrip("/").rpartition("/")[2].partition(":")[0].partition("@")[0].partition(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_NAME].strip("-") or "job"


def _wait(session: Session, jobs: Sequence[str], timeout: float | None, as_json: bool) -> None:
    deadline = None if timeout is None else time.monotonic() + timeout
    with _progress(as_json) as report:
        while True:
            rows = [session.call(FRAMEWORK, "show", {"job": job, "limit": 0})["job"] for job in jobs]
            report(rows)
            late = [row["job"] for row in rows if not row["ended"]]
            if not late or deadline is not None and time.monotonic() >= deadline:
                break
            time.sleep(POLL)
    if as_json:
        print_json(rows[0] if len(rows) == 1 else rows)
    if late:
        fail(f"{', '.join(late)} has not ended after {timeout:g} s")
    if not as_json:
        for row in rows:
            click.echo(_result(row))
    if any(row["state"] != "finished" for row in rows):
        sys.exit(EXIT_FAILED)


def _result(row: Row) -> str:
    took = f" in {age(row['started'], row['ended'])}" if row["started"] else ""
    why = f": {row['reason']}" if row["reason"] else ""
    counts = ", ".join(f"{row[name]} {name}" for name in ("finished", "failed", "cancelled") if row[name])
    return f"{row['job']} is {row['state']}{took} ({counts} of {row['instances']}){why}"


def _progress(quiet: bool) -> AbstractContextManager[Callable[[Sequence[Row]], None]]:
    """How far jobs are: one line that changes on a terminal, in a pipe a line for every tenth of a job."""
    said: dict[str, tuple[object, ...]] = {}

    def text(row: Row) -> str:
        counts = ", ".join(f"{row[name]} {name}" for name in ("running", "waiting", "failed") if row[name])
        why = f" · {row['reason']}" if row["reason"] and not row["ended"] else ""
        done = f"{row['job']}: {row['finished']} of {row['instances']} finished"
        return done + (f", {counts}" if counts else "") + why

    def print_changes(rows: Sequence[Row]) -> None:
        for row in rows:
            key = (row["finished"] * 10 // row["instances"], row["failed"] > 0, row["state"])
            if said.get(row["job"]) != key:
                said[row["job"]] = key
                click.echo(text(row))

    return live(print_changes, lambda rows: "; ".join(map(text, rows)), quiet=quiet)
