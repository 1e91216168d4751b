"""Jobs with `one_per_host`: a task on each host that its conditions allow, which comes and goes as hosts do. Pure.

Such a task is named after its host and may run only there. Its record outlives it, since no task id is used twice.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable
from typing import Final

from frameworks.coding.names import JobName, TaskName, is_once
from frameworks.coding.placement import Host
from frameworks.coding.records import Task
from frameworks.coding.rollout import cancel, put
from frameworks.coding.state import State
from offerer import Constraint, Resources, Time, Want

_OPPOSITES: Final = {"==": "!=", "!=": "==", "in": "not in", "not in": "in", "=~": "!~", "!~": "=~"}


def follow_hosts(state: State, hosts: Iterable[Host], now: Time) -> None:
    """Have a task on each of these hosts that should have one, and none on those that no longer fit."""
    there = [host for host in hosts if not host.absent]
    for job, number in list(state.everywhere.items()):
        planned = state.job(job, number)
        if planned is None or planned.everywhere is None:
            continue
        tasks = {task.host: task for task in state.jobs.get(job, {}).values() if task.host}
        for host in there:
            task = tasks.get(host.name)
            if task is None or task.gone:
                if planned.everywhere.allows(host.name, host.attributes):
                    _come(state, job, host.name, number, task, now)
            elif task.wanted is not None and (plan := state.plan(task)) and not plan.allows(host.name, host.attributes):
                leave(state, task, now)


def _come(state: State, job: JobName, host: str, number: int, task: Task | None, now: Time) -> None:
    if task is None:
        task = state.task(TaskName(*job, host_label(host, state.jobs.get(job, {}))))
    task.host, task.gone = host, False
    update = state.updates.get(job.service)
    if update is not None and job.job in update.everywhere:  # where that goes back, this task does too
        update.targets[task.name], update.origins[task.name] = number, update.everywhere[job.job]
        put(state, job.service, update)
    state.want(task, number, now, gated=True)


def leave(state: State, task: Task, now: Time) -> None:
    """The host of this task is no longer there, or no longer fits: the task goes, until that changes."""
    task.gone = True
    cancel(state, [task])
    if task.wanted is not None:
        state.want(task, None, now)


def forget_hosts(state: State, waiting: Iterable[Task], hosts: Collection[Host], now: Time) -> None:
    """Have those that wait for a host leave which was not offered though every host was asked for twice."""
    there = {host.name for host in hosts if not host.absent}
    ours = {run.host for task in state.tasks.values() for run in task.containers}
    for task in waiting:
        if task.host and task.run is None and task.host not in there and task.host not in ours:
            leave(state, task, now)


def standing_wants(state: State) -> list[Want]:
    """What has hosts offered that should have a task of such a job and have none, or have one and no longer fit.

    Of however little is free there: a task that has no room on its host waits, and says so.
    """
    wants = []
    for job, number in state.everywhere.items():
        planned = state.job(job, number)
        if planned is None or planned.everywhere is None:
            continue
        conditions = planned.everywhere.constraints
        known = sorted(task.host for task in state.jobs.get(job, {}).values() if task.host and not task.gone)
        others = (Constraint("host", "not in", tuple(known)),) if known else ()
        wants.append(Want(Resources(), 1, conditions + others, per_host=1))
        if known:
            there = Constraint("host", "in", tuple(known))
            wants += [Want(Resources(), 1, (there, _opposite(each)), per_host=1) for each in conditions]
    return wants


def _opposite(condition: Constraint) -> Constraint:
    return condition._replace(operator=_OPPOSITES[condition.operator])


def host_label(host: str, taken: Collection[str]) -> str:
    """The name of the task for a host: the host's, as far as that can be the name of a task."""
    label = re.sub(r"[^a-z0-9-]+", "-", host.lower()).strip("-")[:63].strip("-")
    if label and label not in taken and not is_once(label):
        return label
    return f"{label[:54] or 'host'}-{zlib.crc32(host.encode()):08x}"
