"""``offerer push|up|scale|down|status|ps|why|inspect|history|diff|logs``: services, kept by the `coding` framework."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from offerer.cli.common import Session, container_option, json_option, pass_session
from offerer.cli.output import Column, Row, age, print_fields, print_json, print_table, readable, write_output
from offerer.cli.service_files import files_to_push
from offerer.cli.waiting import (
    FRAMEWORK,
    PATIENCE,
    TARGET,
    author,
    plan_option,
    report,
    wait_options,
    wait_until_done,
    warn,
)

_LARGEST_TAIL: Final = (1 << 31) - 1


# -- commands that change something ---------------------------------------------------------------------------


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@click.option("-m", "--message", default="", help="Why; shown by history.")
@json_option
@pass_session
def push(session: Session, files: Sequence[Any], message: str, as_json: bool) -> None:
    """Store service files as new revisions. Nothing that runs changes.

    All files are stored, or none. A file that says nothing new makes no revision. Env files and secrets that it
    refers to are read beside it, and with --env its overlay: core.staging.yaml.

    Example: offerer push core.yaml shop.yaml -m "web 20160531"
    """
    arguments = {
        "files": files_to_push(files, session.environment),
        "message": message,
        "who": author(),
    }
    answer = session.call(FRAMEWORK, "push", arguments)
    if as_json:
        print_json(answer)
        return
    for row in answer["services"]:
        what = "is stored; start it with up, or move what runs with update" if row["changed"] else "is unchanged"
        click.echo(f"{row['service']} r{row['revision']} {what}")
    warn(answer["warnings"])


@click.command()
@click.argument("targets", metavar=f"{TARGET}...", nargs=-1, required=True)
@plan_option
@wait_options
@json_option
@pass_session
def up(session: Session, targets: Sequence[str], plan: str, wait: bool, timeout: float, as_json: bool) -> None:
    """Start what was pushed and is down, and what it depends on before it.

    What runs already stays as it is, at the revision it has.

    Example: offerer up core --wait
    """
    answer = session.call(FRAMEWORK, "up", {"target": list(targets), "plan": plan, "who": author()}, timeout=PATIENCE)
    report(answer, "to start", "up already", as_json)
    if wait:
        wait_until_done(session, [*answer["changed"], *answer["unchanged"]], timeout, "up", as_json)


@click.command()
@click.argument("wanted", metavar="SERVICE/JOB=N")
@wait_options
@json_option
@pass_session
def scale(session: Session, wanted: str, wait: bool, timeout: float, as_json: bool) -> None:
    """Have N tasks of a job. It holds until a push changes the job's `replicas`; asking for what its file says ends it.

    Tasks of the highest numbers are stopped first. New ones have the revision that the others have.

    Example: offerer scale core/web=5 --wait
    """
    job, _, number = wanted.partition("=")
    if not number.isascii() or not number.isdigit():
        raise click.UsageError(f"{wanted!r} is not SERVICE/JOB=N, for example core/web=5")
    arguments = {"target": job, "replicas": int(number), "who": author()}
    answer = session.call(FRAMEWORK, "scale", arguments)
    report(answer, "to start or stop", "up already", as_json)
    if wait:
        wait_until_done(session, [*answer["changed"], *answer["unchanged"]], timeout, "as wanted", as_json)


@click.command()
@click.argument("targets", metavar=f"{TARGET}...", nargs=-1, required=True)
@wait_options
@json_option
@pass_session
def down(session: Session, targets: Sequence[str], wait: bool, timeout: float, as_json: bool) -> None:
    """Stop tasks, those that others depend on last. What was pushed is kept.

    Example: offerer down core/web/2
    """
    answer = session.call(FRAMEWORK, "down", {"target": list(targets), "who": author()})
    report(answer, "to stop", "down already", as_json)
    if wait:
        wait_until_done(session, [*answer["changed"], *answer["unchanged"]], timeout, "down", as_json)


# -- commands that look ---------------------------------------------------------------------------------------


@click.command()
@click.argument("targets", metavar=f"[{TARGET}]...", nargs=-1)
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
    warn([*answer["problems"], *_scale_notes(answer)])
    if answer["environments"] and not targets and not session.environment:
        warn([f"there are also the environments {', '.join(answer['environments'])}; see one with --env"])


@click.command()
@click.argument("targets", metavar=f"[{TARGET}]...", nargs=-1)
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
    if not as_json:
        warn(_scale_notes(answer))


@click.command()
@click.argument("targets", metavar=f"{TARGET}...", nargs=-1, required=True)
@json_option
@pass_session
def why(session: Session, targets: Sequence[str], as_json: bool) -> None:
    """Why tasks are not as wanted: what excludes how many hosts, what is nearest to fitting, and what would free it.

    Example: offerer why core/web
    """
    answer = session.call(FRAMEWORK, "why", {"target": list(targets)})
    placing = any("needs" in row for row in answer["tasks"])
    offers = session.state("offers").offers if placing else ()
    hosts = session.state("hosts").hosts if placing else ()
    closed = {host.name: host.availability for host in hosts if host.availability != "active"}
    holders = {host: sorted({offer.framework_id for offer in offers if offer.host == host}) for host in
               {offer.host for offer in offers}}  # fmt: skip
    if as_json:
        print_json({**answer, "offers_held": holders})
        return
    for row in answer["tasks"]:
        click.echo(f"{row['task']}: {row['reason']}")
        for line in _why_lines(row, holders):
            click.echo(f"  {line}")
        if "needs" in row:
            for host, how in sorted(closed.items()):
                click.echo(f"  {host} is {how}; it is offered again after: offerer uncordon {host}")
    if not answer["tasks"]:
        click.echo(f"all {answer['settled']} tasks are as wanted" if answer["settled"] else "nothing is up")


def _why_lines(row: Row, holders: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if "needs" not in row:
        return
    yield f"needs {row['needs']}; {row['hosts_seen']} hosts were seen"
    for text, count in row["excluded"].items():
        yield f"{count} {text}"
    for near in row["nearest"]:
        freeing = f"; stopping {' or '.join(near['would_free'])} would free that" if near["would_free"] else ""
        yield f"{near['host']} {near['lacks']}{freeing}"
    for host in [*row["fitting"], *(near["host"] for near in row["nearest"])]:
        if holders.get(host):
            yield f"{', '.join(holders[host])} holds an offer of {host}"


@click.command()
@click.argument("target", metavar=TARGET)
@container_option
@json_option
@pass_session
def inspect(session: Session, target: str, container: str, as_json: bool) -> None:
    """Everything known of a service, a job or a task: file, revisions, tasks, and a single task's container.

    Example: offerer inspect core/web/2
    """
    answer = session.call(FRAMEWORK, "inspect", {"target": target})
    tasks = answer["tasks"]
    if target.count("/") == 2 and tasks and tasks[0]["task_id"] and tasks[0]["state"] != "WAITING":
        answer["container"] = session.inspect(FRAMEWORK, tasks[0]["task_id"], container)
    if as_json:
        print_json(answer)
        return
    file = answer.pop("file", "")
    print_fields(readable(answer))
    if file and "/" not in target:
        click.echo("\n" + file.rstrip())


@click.command()
@click.argument("targets", metavar=f"[{TARGET}]...", nargs=-1)
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
        warn(_scale_notes(answer))
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
@click.argument("service")
@click.argument("one", metavar="[A]", required=False, type=click.IntRange(1))
@click.argument("other", metavar="[B]", required=False, type=click.IntRange(1))
@json_option
@pass_session
def diff(session: Session, service: str, one: int | None, other: int | None, as_json: bool) -> None:
    """What differs between two revisions, field by field: A and B, without B the newest, without A the one before.

    Example: offerer diff core 6 7
    """
    answer = session.call(FRAMEWORK, "diff", {"target": service, "from": one, "to": other})
    if as_json:
        print_json(answer)
        return
    for row in answer["differences"]:
        click.echo(difference_text(row))
    if not answer["differences"]:
        click.echo(f"{service} r{answer['from']} and r{answer['to']} are the same")
    warn(_scale_notes(answer))


@click.command()
@click.argument("target", metavar=f"{TARGET} | TASK_ID")
@click.option("-f", "--follow", is_flag=True, help="Go on as long as it runs.")
@click.option("--tail", type=click.IntRange(0, _LARGEST_TAIL), help="Only this many of the last lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Put the time before each line.")
@container_option
@click.option("--framework", default=FRAMEWORK, show_default=True, help="Whose task, where a TASK_ID is given.")
@pass_session
def logs(
    session: Session,
    target: str,
    follow: bool,
    tail: int | None,
    timestamps: bool,
    container: str,
    framework: str,
) -> None:
    """Print what a task writes, its stdout to stdout and its stderr to stderr.

    Of a task that does not run now, it is the last container's output. A job needs a task's name where it has several.

    Example: offerer logs core/web/2 -f --tail 100
    """
    task = {"task_id": target}
    if framework == FRAMEWORK and "." not in target:  # a task id has dots, the name of a task has none
        task = session.call(FRAMEWORK, "task", {"target": target})
    where = task.get("host_id") or task.get("host") or ""
    write_output(
        session.logs(
            framework,
            task["task_id"],
            host_id=where,
            container=container,
            follow=follow,
            tail=tail,
            timestamps=timestamps,
        )
    )


# -- inside ---------------------------------------------------------------------------------------------------


def _scale_notes(answer: Mapping[str, Any]) -> list[str]:
    """What is not as the files say, and by whom."""
    return [
        f"{each['job']} is scaled to {each['replicas']} by {each['who'] or 'an operator'}, {age(each['at'])} ago; "
        f"its file says {each['file']}"
        for each in answer["scales"]
    ]


def difference_text(row: Row) -> str:
    """``~ jobs.web.image: web:1 → web:2``."""
    before, after = _written(row["before"]), _written(row["after"])
    sign = "+" if row["before"] is None else "-" if row["after"] is None else "~"
    return f"{sign} {row['field']}: {' → '.join(each for each in (before, after) if each)}"


def _written(value: Any) -> str:
    """A value of a service file as it could be written there; empty where it is not there."""
    return "" if value is None else value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _update_text(row: Row) -> str:
    going = row["update"]
    if not going or going["outcome"]:
        return going["outcome"] if going else ""
    how = "paused" if going["paused"] else "goes back" if going["back"] else going["moving"]
    return f"{going['moved']}/{going['of']}" + (f" {how}" if how else "")


def _ran_text(row: Row) -> str:
    return age(row["started"], row["ended"]) if row["started"] and row["ended"] else ""
