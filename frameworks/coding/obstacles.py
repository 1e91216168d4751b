"""What stands in the way of starting or stopping a task now, in words. The planner acts on it, `ps` shows it."""

from __future__ import annotations

from frameworks.coding import backoff
from frameworks.coding.names import JobName
from frameworks.coding.state import State, Task
from offerer import TaskState, Time


def obstacle(state: State, task: Task, now: Time) -> str | None:
    """Why a task that is to run and does not must not be placed now; None where it may be."""
    if task.strays:
        return f"waits for {min(task.strays)} to stop"
    if state.plan(task) is None:
        return f"revision {task.wanted} of it cannot be read"
    if task.blocked:
        return "the cluster refuses it; push a correction and update, or try again with up"
    if task.not_before > now:
        return backoff.waiting_text(task.not_before, task.failures, now)
    if task.gated:
        for job in state.graph.depends_on(task.name.of_job):
            missing = _not_running(state, job)
            if missing:
                return missing
    return None


def may_stop(state: State, task: Task) -> bool:
    """Whether a task to be stopped may stop now: those being stopped too that depend on it go first.

    A dependant on a host that does not answer is not waited for.
    """
    if task.wanted is not None:  # to be replaced, not taken down
        return True
    return not any(
        other.wanted is None
        and other.run is not None
        and other.run.launched
        and other.run.state is not TaskState.UNREACHABLE
        for job in state.graph.all_dependants(task.name.of_job)
        for other in state.jobs.get(job, {}).values()
    )


def _not_running(state: State, job: JobName) -> str | None:
    if job.service not in state.revisions:
        return f"waits for {job}: service {job.service} is not pushed"
    wanted = [task for task in state.jobs.get(job, {}).values() if task.wanted is not None]
    if not wanted:
        return f"waits for {job}, which is not up"
    running = sum(task.running for task in wanted)
    return None if running == len(wanted) else f"waits for {job} ({running} of {len(wanted)} running)"
