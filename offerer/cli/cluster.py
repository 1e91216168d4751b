"""Commands about the cluster itself: hosts, frameworks, roles, offers, tasks and events of every framework."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from offerer.cli.common import Session, json_option, pass_session
from offerer.cli.output import (
    Column,
    Row,
    age,
    amounts_text,
    clock_text,
    print_fields,
    print_json,
    print_table,
    resources_json,
    write_output,
)
from offerer.errors import InvalidInput
from offerer.resources import Resources, format_bytes, format_cpus

if TYPE_CHECKING:
    from offerer.wire import codec

# -- hosts ----------------------------------------------------------------------------------------------------


@click.command()
@json_option
@pass_session
def hosts(session: Session, as_json: bool) -> None:
    """List hosts: what they have, and how much of it tasks use.

    Example: offerer hosts --json
    """
    state = _state(session, "hosts")
    rows = [
        {
            "host": host.name,
            "id": host.host_id,
            "state": host.state,
            "availability": host.availability,
            "address": host.address,
            "tasks": host.tasks,
            **_amounts(host, "total", "allocated", "offered"),
            "attributes": dict(sorted(host.attributes.items())),
            "runtime": host.runtime,
            "software": host.software,
        }
        for host in sorted(state.hosts, key=lambda host: (host.name, host.host_id))
    ]
    columns = [
        Column("HOST", "host"),
        Column("STATE", _host_state),
        Column("ADDRESS", "address"),
        Column("CPUS", _cpus, right=True),
        Column("MEMORY", _memory, right=True),
        Column("TASKS", "tasks", right=True),
        Column("RUNTIME", "runtime"),
        Column("ATTRIBUTES", "attributes"),
    ]
    print_table(rows, columns, as_json=as_json, empty="no hosts; start one with 'offerer-executor --master HOST:PORT'")


@click.group()
def host() -> None:
    """Do something about one host.

    Example: offerer host remove db-1
    """


@host.command("remove")
@click.argument("name")
@pass_session
def host_remove(session: Session, name: str) -> None:
    """Forget a host for good: its tasks become GONE. NAME is its name or id; it must not be connected.

    Example: offerer host remove db-1
    """
    from offerer.wire import codec

    with session.rpc_errors():
        session.operator.RemoveHost(codec.operator.RemoveHostRequest(host=name), timeout=10)
    click.echo(f"host {name} is removed")


# -- frameworks and roles -------------------------------------------------------------------------------------


@click.command()
@json_option
@pass_session
def frameworks(session: Session, as_json: bool) -> None:
    """List frameworks: their share, and what they wait for.

    Example: offerer frameworks
    """
    state = _state(session, "frameworks")
    rows = [
        {
            "framework": each.framework_id,
            "role": each.role,
            "state": ("suppressed" if each.suppressed else "connected") if each.connected else "away",
            "tasks": each.tasks,
            "offers": each.offers,
            "dominant_share": each.dominant_share,
            **_amounts(each, "allocated", "offered"),
            "demand": each.demand,
        }
        for each in sorted(state.frameworks, key=lambda each: each.framework_id)
    ]
    columns = [
        Column("FRAMEWORK", "framework"),
        Column("ROLE", "role"),
        Column("STATE", "state"),
        Column("TASKS", "tasks", right=True),
        Column("OFFERS", "offers", right=True),
        Column("SHARE", _share, right=True),
        Column("USES", lambda row: amounts_text(row["allocated"])),
        Column("WAITS FOR", "demand"),
    ]
    print_table(rows, columns, as_json=as_json, empty="no frameworks")


@click.command()
@json_option
@pass_session
def roles(session: Session, as_json: bool) -> None:
    """List roles: weights, guarantees and limits, and what each uses.

    Example: offerer roles
    """
    state = _state(session, "roles")
    rows = [_role_row(each) for each in sorted(state.roles, key=lambda each: each.role)]
    columns = [
        Column("ROLE", "role"),
        Column("WEIGHT", lambda row: f"{row['weight']:g}", right=True),
        Column("SHARE", _share, right=True),
        Column("GUARANTEE", lambda row: amounts_text(row["guarantee"])),
        Column("LIMIT", lambda row: amounts_text(row["limit"], zeros=True)),
        Column("USES", lambda row: amounts_text(row["allocated"])),
        Column("FRAMEWORKS", "frameworks"),
    ]
    print_table(rows, columns, as_json=as_json, empty="no roles")


@click.group()
def role() -> None:
    """Do something about one role.

    Example: offerer role set ci --weight 2
    """


@role.command("set")
@click.argument("name")
@click.option("--weight", type=float, help="Its share against other roles; 1 unless set.")
@click.option("--guarantee", metavar="RESOURCES", help='Gets this first, e.g. "cpus=4;memory=8GiB"; "none": nothing.')
@click.option("--limit", metavar="RESOURCES", help='Never gets more, e.g. "cpus=8;gpus=0"; "none": no limit.')
@json_option
@pass_session
def role_set(
    session: Session, name: str, weight: float | None, guarantee: str | None, limit: str | None, as_json: bool
) -> None:
    """Set weight and quota of a role. What is not given stays as it is.

    Example: offerer role set ci --weight 2 --limit "cpus=16;memory=64GiB"
    """
    from offerer.wire import codec

    if weight is None and guarantee is None and limit is None:
        raise click.UsageError("give --weight, --guarantee or --limit")
    if weight is not None and not 0.001 <= weight <= 1e6:
        raise click.BadParameter(f"{weight:g} must be from 0.001 to 1000000", param_hint="--weight")
    request = codec.operator.SetRoleRequest(
        role=name,
        weight_milli=None if weight is None else round(weight * 1000),
        guarantee=None if guarantee is None else codec.operator.Quota(amounts=_quota("--guarantee", guarantee)),
        limit=None if limit is None else codec.operator.Quota(amounts=_quota("--limit", limit)),
    )
    with session.rpc_errors():
        answer = session.operator.SetRole(request, timeout=10)
    row = _role_row(answer)
    if as_json:
        print_json(row)
    else:
        click.echo(
            f"role {row['role']}: weight {row['weight']:g}, guarantee {amounts_text(row['guarantee'])}, "
            f"limit {amounts_text(row['limit'], zeros=True)}"
        )


def _role_row(each: codec.operator.RoleState) -> dict[str, Any]:
    return {
        "role": each.role,
        "weight": each.weight_milli / 1000,
        "dominant_share": each.dominant_share,
        "guarantee": resources_json(_read(each.guarantee)),
        "limit": {name: n / 1000 if name == "cpus" else n for name, n in sorted(each.limit.amounts.items())},
        "allocated": resources_json(_read(each.allocated)),
        "frameworks": sorted(each.frameworks),
    }


def _quota(option: str, text: str) -> dict[str, int]:
    """Amounts as the wire has them; a zero that is written counts, unlike in `Resources`."""
    if text.strip() == "none":
        return {}
    try:
        resources = Resources.parse(text)
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint=option) from None
    if resources.ports:
        raise click.BadParameter("ports cannot be part of a quota; leave them out", param_hint=option)
    amounts = dict(resources.scalars())
    names = [part.partition("=")[0].strip() for part in text.split(";") if part.strip()]
    return {name: amounts.get(name, 0) for name in names}


# -- offers and tasks -----------------------------------------------------------------------------------------


@click.command()
@json_option
@pass_session
def offers(session: Session, as_json: bool) -> None:
    """List offers that frameworks hold now.

    Example: offerer offers
    """
    state = _state(session, "offers")
    rows = [
        {
            "offer": f"{each.id >> 32}.{each.id & 0xFFFFFFFF}",
            "host": each.host,
            "framework": each.framework_id,
            "role": each.role,
            "since": each.since,
            "until": each.until,
            **_amounts(each, "resources"),
        }
        for each in sorted(state.offers, key=lambda each: each.id)
    ]
    now = time.time_ns() // 1000
    columns = [
        Column("OFFER", "offer"),
        Column("HOST", "host"),
        Column("FRAMEWORK", "framework"),
        Column("ROLE", "role"),
        Column("AGE", lambda row: age(row["since"], now), right=True),
        Column("EXPIRES IN", lambda row: age(now, row["until"]) if row["until"] else "-", right=True),
        Column("RESOURCES", lambda row: amounts_text(row["resources"])),
    ]
    print_table(rows, columns, as_json=as_json, empty="no offers are out")


@click.command()
@click.option("--framework", help="Only those of this framework.")
@click.option("--host", "host_name", help="Only those on this host.")
@json_option
@pass_session
def tasks(session: Session, framework: str | None, host_name: str | None, as_json: bool) -> None:
    """List tasks of every framework, with their latest status.

    Example: offerer tasks --framework coding --host db-1
    """
    from offerer.task_states import TaskState
    from offerer.types import Reason
    from offerer.wire import codec

    rows = []
    for each in _state(session, "tasks").tasks:
        status = codec.read_status(each.status)
        if framework not in (None, each.framework_id) or host_name not in (None, each.host, status.host_id):
            continue
        rows.append(
            {
                "framework": each.framework_id,
                "task": status.task_id,
                "state": TaskState(status.state).name,
                "host": each.host,
                "since": status.at,
                "reason": Reason(status.reason).name,
                "message": status.message,
                **_amounts(each, "resources"),
            }
        )
    columns = [
        Column("FRAMEWORK", "framework"),
        Column("TASK", "task"),
        Column("STATE", "state"),
        Column("HOST", "host"),
        Column("SINCE", lambda row: age(row["since"]), right=True),
        Column("RESOURCES", lambda row: amounts_text(row["resources"])),
        Column("MESSAGE", "message"),
    ]
    rows.sort(key=lambda row: (str(row["framework"]), str(row["task"])))
    print_table(rows, columns, as_json=as_json, empty="no tasks")


@click.group()
def task() -> None:
    """Look into one task of any framework.

    Example: offerer task logs hello hello-1
    """


@task.command("logs")
@click.argument("framework")
@click.argument("task_id", metavar="TASK")
@click.option("-f", "--follow", is_flag=True, help="Go on until the task ends.")
@click.option("--tail", type=click.IntRange(0, (1 << 31) - 1), metavar="N", help="Only the last N lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time.")
@pass_session
def task_logs(
    session: Session, framework: str, task_id: str, follow: bool, tail: int | None, timestamps: bool
) -> None:
    """Print the output of a task.

    Example: offerer task logs hello hello-1 -f --tail 100
    """
    write_output(session.logs(framework, task_id, follow=follow, tail=tail, timestamps=timestamps))


@task.command("inspect")
@click.argument("framework")
@click.argument("task_id", metavar="TASK")
@json_option
@pass_session
def task_inspect(session: Session, framework: str, task_id: str, as_json: bool) -> None:
    """Show what the host's runtime says of a task.

    Example: offerer task inspect hello hello-1
    """
    print_fields(session.inspect(framework, task_id), as_json=as_json)


# -- events ---------------------------------------------------------------------------------------------------


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as things happen.")
@click.option(
    "--after", type=click.IntRange(0, (1 << 63) - 1), default=0, metavar="N", help="Only events after number N."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@pass_session
def events(session: Session, follow: bool, after: int, as_json: bool) -> None:
    """Print what happened in the cluster, oldest first. The master keeps the newest 10,000 events.

    Example: offerer events -f
    """
    for event in session.events(after=after, follow=follow):
        fields = dict(sorted(event.fields.items()))
        if as_json:
            line = json.dumps({"id": event.id, "at": event.at, "kind": event.kind, **fields}, ensure_ascii=False)
        else:
            said = " ".join(f"{key}={value}" for key, value in fields.items() if value)
            line = f"{clock_text(event.at)}  {event.kind:<20}  {said}".rstrip()
        click.echo(line)


# -- inside ---------------------------------------------------------------------------------------------------


def _state(session: Session, part: str) -> codec.operator.State:
    state = session.state(part)
    if state.recovering:
        click.echo("note: the master has just started and waits for hosts it knows; it makes no offers yet", err=True)
    return state


def _read(message: codec.common.Resources) -> Resources:
    from offerer.wire import codec

    return codec.read_resources(message)


def _amounts(message: object, *fields: str) -> dict[str, dict[str, object]]:
    return {field: resources_json(_read(getattr(message, field))) for field in fields}


def _host_state(row: Row) -> str:
    """``active``, ``draining``; ``unreachable, draining`` where both are out of the ordinary."""
    said = [row[part] for part in ("state", "availability") if row[part] != "active"]
    return ", ".join(said) or "active"


def _cpus(row: Row) -> str:
    used, total = (format_cpus(round(row[part]["cpus"] * 1000)) for part in ("allocated", "total"))
    return f"{used}/{total}"


def _memory(row: Row) -> str:
    return f"{format_bytes(row['allocated']['memory'])}/{format_bytes(row['total']['memory'])}"


def _share(row: Row) -> str:
    return f"{row['dominant_share']:.1%}"
