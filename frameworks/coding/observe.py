"""From what the cluster says of containers to what we know of tasks. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from frameworks.coding.everywhere import leave
from frameworks.coding.history import entry_of
from frameworks.coding.moves import note_back, note_draining
from frameworks.coding.names import parse_task_id
from frameworks.coding.records import Ended, Run, Task
from frameworks.coding.state import State
from frameworks.coding.strategy import Restart
from offerer import Reason, TaskState, TaskStatus, Time

_REASONS: Final = {
    Reason.OUT_OF_MEMORY: "out of memory; raise resources.memory",
    Reason.HOST_UNREACHABLE: "the host does not answer",
    Reason.HOST_REMOVED: "the host was removed",
    Reason.CONTAINER_LOST: "somebody removed the container",
}


def observe(state: State, status: TaskStatus, now: Time) -> None:
    """Take in one status. Ids that are not of our making are reported as a problem and otherwise left alone."""
    parsed = parse_task_id(status.task_id)
    if parsed is None:
        state.problems[f"task {status.task_id}"] = f"task {status.task_id} runs under our name but is not one of ours"
        return
    name, revision, attempt = parsed
    task = state.tasks.get(name)
    run = task.container(status.task_id) if task else None
    if task is not None and run is not None:
        if status.state.terminal:
            _end(state, task, run, status, now)
        else:
            _progress(state, task, run, status, now)
    elif not status.state.terminal:
        _found(state, state.task(name), revision, attempt, status, now)
    elif task is not None and status.task_id in task.strays:
        del task.strays[status.task_id]
        state.attend(task)


def _progress(state: State, task: Task, run: Run, status: TaskStatus, now: Time) -> None:
    back = run.state in (TaskState.UNREACHABLE, TaskState.KILLING) and status.state is not TaskState.KILLING
    if back:
        run.kill_sent = 0  # whoever was to pass it on may have forgotten
    if run.state is not status.state:
        run.since = status.at or now
    note_draining(task, run, status.draining)
    if status.state is not TaskState.UNREACHABLE:
        note_back(state, task, run)
    was_ready, known = run.ready, run.healthy
    run.state, run.message = status.state, describe(status)
    run.healthy = known if status.healthy is None else status.healthy
    if run.ready and not (was_ready and run.ready_since):
        run.ready_since = now
    first = status.state is TaskState.RUNNING and not run.started
    if first or run.healthy is not known or (status.data and not run.container):
        _read_data(run, status)
        run.started = run.started or (run.since if first else 0)
        state.changed(task)
    else:
        state.attend(task)


def _end(state: State, task: Task, run: Run, status: TaskStatus, now: Time) -> None:
    _read_data(run, status)
    at = status.at or now
    plan = state.plan(task, run.revision)
    state.journal.put(*entry_of(task, run, status._replace(at=at), plan.container.image if plan else ""))
    if run is not task.run:
        task.old.remove(run)
        state.changed(task)
        return
    if task.host and status.reason is Reason.HOST_REMOVED:
        leave(state, task, now)
    task.last = Ended(run.id, status.state.name, run.host, at, describe(status), status.exit_code)
    task.run = None
    if task.once is not None and status.state is not TaskState.DROPPED:
        task.wanted = None
    elif task.wanted == run.revision and not run.kill_sent:
        job = state.job(task.name.of_job, run.revision)
        restart = job.restart if job else Restart()
        if status.state is TaskState.FINISHED and not restart.always:
            task.finished = run.revision
        if run.started and at - run.started >= restart.quiet:
            task.failures = 0
        task.failures += 1
        task.not_before = (run.started or now) + restart.wait(task.failures)
        task.blocked = status.state is TaskState.ERROR
    state.changed(task)


def _found(state: State, task: Task, revision: int, attempt: int, status: TaskStatus, now: Time) -> None:
    """A container of ours that we have no record of. Without another, it is the task's; else it has to go."""
    if task.run is not None and task.run.launched:
        task.strays.setdefault(status.task_id, 0)
        state.attend(task)
        return
    task.attempt = max(task.attempt, attempt)
    task.strays.pop(status.task_id, None)
    placed, plan = status.at or now, state.plan(task, revision)
    task.run = Run(status.task_id, revision, status.host_id, str(status.host_id), "", [], placed, launched=True)
    task.run.probed = plan is not None and plan.probed
    _progress(state, task, task.run, status, now)
    state.changed(task)


def _read_data(run: Run, status: TaskStatus) -> None:
    data = data_of(status)
    run.container = str(data.get("container") or run.container)
    run.image_digest = str(data.get("image_digest") or run.image_digest)
    run.started = run.started or started_at(data) or 0


def data_of(status: TaskStatus) -> dict[str, Any]:
    """What the executor adds to a status; anything odd is left out."""
    try:
        data = json.loads(status.data or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def started_at(data: Mapping[str, Any]) -> Time | None:
    """When the container started, by these data; None where they do not say."""
    started = data.get("started_at")
    return started if isinstance(started, int) else None


def describe(status: TaskStatus) -> str:
    """The status in a few words: ``exit code 1``, ``out of memory; raise resources.memory``."""
    known = _REASONS.get(status.reason)
    if known:
        return known
    if status.message:
        return status.message
    return f"exit code {status.exit_code}" if status.exit_code is not None else ""
