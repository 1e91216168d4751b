"""One-off tasks: a command run once with the settings of a job, beside the tasks that the job has. Pure.

``core/web/run-1`` is one. It has no ports, no probes and no place in the job's numbers; it is never started again,
never moved, and forgotten when newer ones have ended. What ran stays in the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from frameworks.coding.names import JobName, Target, TaskName, is_once
from frameworks.coding.orders import check_pushed
from frameworks.coding.records import Once, Task
from frameworks.coding.state import State
from offerer import Conflict, InvalidInput, Time

KEEP: Final = 10
"""So many that have ended are remembered of each job, so that logs finds them by name."""


def run_once(state: State, target: Target, command: Sequence[str], now: Time) -> Task:
    """Have a command (without one, the job's own) run once with the job's settings in its newest revision."""
    check_pushed(state, target)
    newest = state.newest(target.service)
    job = newest.jobs.get(target.job) if newest else None
    if newest is None or job is None:
        raise InvalidInput(f"target: {target} is not SERVICE/JOB; name one of its jobs, for example {target}/web")
    like, plan = target.task, job.everywhere or job.replica or job.tasks.get(target.task)
    if plan is None:
        names = ", ".join(f"{target}/{task}" for task in job.tasks)
        raise InvalidInput(f"target: the tasks of {target} have settings of their own; name one of {names}")
    if plan.container.containers:
        raise Conflict(f"{target} is a pod, of which no part runs alone; run it inside with: offerer exec {target}")
    _forget_ended(state, job.name)
    numbers = [_number(name) for name in state.tasks if name.of_job == job.name and is_once(name.task)]
    name = TaskName(target.service, target.job, f"run-{max(numbers, default=0) + 1}")
    task = state.tasks[name] = Task(name, once=Once(like, list(command)))
    state.want(task, newest.number, now)
    return task


def _of_job(state: State, job: JobName) -> list[Task]:
    return [task for task in state.tasks.values() if task.once is not None and task.name.of_job == job]


def _number(name: TaskName) -> int:
    return int(name.task.removeprefix("run-"))


def _forget_ended(state: State, job: JobName) -> None:
    """Never the newest: from its number the next one follows, so that no name is used twice."""
    ended = sorted((task for task in _of_job(state, job) if task.ended_once), key=lambda task: _number(task.name))
    for task in ended[: -KEEP + 1]:
        state.forget(task)
