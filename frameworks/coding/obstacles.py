"""What stands in the way of starting or stopping a task now, in words. The planner acts on it, `ps` shows it."""

from __future__ import annotations

from typing import Final

from frameworks.coding import backoff, secrets
from frameworks.coding.containers import SecretPlan
from frameworks.coding.names import JobName
from frameworks.coding.records import LOST, REBALANCE, Run, Task
from frameworks.coding.state import State
from offerer import SECOND, TaskState, Time

_WORDS: Final = {"started": "running", "healthy": "ready", "finished": "finished"}


def obstacle(state: State, task: Task, now: Time) -> str | None:
    """Why a task that is to run and does not must not be placed now; None where it may be."""
    if task.strays:
        return f"waits for {min(task.strays)} to stop"
    if not state.strategy(task.name.of_job).start_first:
        for run in task.on_their_way_out:
            if run.moving == LOST:
                return f"waits for {run.id} to stop"
    if state.plan(task) is None:
        return f"revision {task.wanted} of it cannot be read"
    if (secret := lacking_secret(state, task)) is not None:
        return secrets.missing(secret.stored_as, secret.version)
    if task.refused:
        return "the cluster refuses it; push a correction and update, or try again with up"
    if task.not_before > now:
        return backoff.waiting_text(task.not_before, task.failures, now)
    if task.gated:
        conditions = state.conditions(task.name.of_job)
        for job in state.graph.depends_on(task.name.of_job):
            missing = _not_yet(state, job, conditions.get(job, "healthy"))
            if missing:
                return missing
    return None


def lacking_secret(state: State, task: Task) -> SecretPlan | None:
    """A secret that it needs and that is not there."""
    plan = state.plan(task)
    needed = plan.secrets if plan else ()
    return next((each for each in needed if not state.secrets.has(each.stored_as, each.version)), None)


def _not_yet(state: State, job: JobName, condition: str) -> str | None:
    if job.service not in state.revisions:
        return f"waits for {job}: service {job.service} is not pushed"
    wanted = [task for task in state.jobs.get(job, {}).values() if task.wanted is not None]
    if not wanted and job not in state.everywhere:
        return f"waits for {job}, which is not up"
    there = sum(
        task.wanted == task.finished
        or (condition == "started" and task.running)
        or (condition == "healthy" and task.ready)
        for task in wanted
    )
    return None if there == len(wanted) else f"waits for {job} ({there} of {len(wanted)} {_WORDS[condition]})"


# -- stopping -------------------------------------------------------------------------------------------------


def to_stop(state: State, task: Task, run: Run, now: Time) -> bool:
    """Whether a container is to leave, and may now."""
    if task.wanted is None:
        return not _needed(state, task)
    if run is task.run:
        return (task.wanted != run.revision or run.evicted) and _can_be_spared(state, task, run)
    if run.moving == LOST:
        if run.state in (None, TaskState.UNREACHABLE):
            return False  # it goes when its host is back
        if not state.strategy(task.name.of_job).start_first:
            return True
    at = steady_at(state, task)  # one on its way out makes way once its successor can be relied on
    return not run.ready or at is not None and at <= now


def steady_at(state: State, task: Task) -> Time | None:
    """From when on the task counts as arrived at what is wanted, if its container stays ready; None: it is not."""
    run = task.run
    if run is None or not run.ready or run.revision != task.wanted or run.evicted:
        return None
    return run.ready_since + state.strategy(task.name.of_job).healthy_for


def spare(state: State, job: JobName) -> int:
    """How many ready tasks of a job may go missing for an update."""
    update = state.updates.get(job.service)
    goals = update.targets if update else {}
    tasks = state.jobs.get(job, {}).values()
    there = sum(goals.get(task.name, task.wanted) is not None for task in tasks)
    return sum(task.ready for task in tasks) - state.strategy(job).must_stay(there)


def _can_be_spared(state: State, task: Task, run: Run) -> bool:
    """Whether the job can do without this container, which something newer is to replace."""
    others = any(other.ready for other in task.containers if other is not run)
    return not run.ready or others or spare(state, task.name.of_job) > 0


def _needed(state: State, task: Task) -> bool:
    """Whether a task to be taken down has to wait: those being taken down too that depend on it go first.

    A dependant on a host that does not answer is not waited for.
    """
    return any(
        other.wanted is None
        and any(run.launched and run.state is not TaskState.UNREACHABLE for run in other.containers)
        for job in state.graph.all_dependants(task.name.of_job)
        for other in state.jobs.get(job, {}).values()
    )


# -- in words -------------------------------------------------------------------------------------------------


def reason(state: State, task: Task, now: Time) -> str:
    """Why a task is not as wanted; of one that is, what is odd about it, or nothing."""
    run = task.run
    if run is not None and run.moving and not run.evicted and task.wanted == run.revision and not task.old:
        if run.state is not TaskState.UNREACHABLE and run.moving != LOST:
            return _is_to_leave(state, task, run)
    if task.settled:
        return f"finished: {ended_text(task)}" if task.run is None and task.wanted is not None else _odd(state, task)
    if run is None:
        if task.wanted is None or task.wanted == task.finished:
            return "stops"
        why = obstacle(state, task, now) or task.shortage or "waits for an offer"
        ended = task.last is not None and task.failures
        return _beside(task, f"{ended_text(task)}; {why}" if ended else why)
    if not run.launched:
        return _beside(task, f"is being placed on {run.host}")
    if task.wanted != run.revision or run.evicted:
        again = "is started anew" if task.wanted == run.revision else f"makes way for r{task.wanted}"
        what = "stops" if task.wanted is None else again
        if run.kill_sent or to_stop(state, task, run, now):
            return what
        if task.wanted is None:
            return f"{what} after what depends on it"
        return f"{what} when enough others of {task.name.of_job} are ready"
    if run.state is TaskState.UNREACHABLE:
        return _beside(task, f"{run.message or 'the host does not answer'}; {_lost(state, task, run, now)}")
    if run.running and not run.ready:
        return _beside(task, f"not ready: {run.message}" if run.message else "not ready yet")
    return _beside(task, run.message)


def _is_to_leave(state: State, task: Task, run: Run) -> str:
    """What a task waits for that is to move and has not set off."""
    why = f"moves to {task.planned}, for balance" if run.moving == REBALANCE else f"host {run.host} is being drained"
    if state.ends_by_itself(task):
        return f"{why}; it runs to its end, and is not moved"
    if task.tied:
        plan = state.plan(task)
        stays = plan is not None and plan.on_host_lost is None and plan.tied_to is None
        ties = "it stays with its host (on_host_lost: wait)" if stays else "it may run nowhere else"
        return f"{why}; {ties}: stop it with offerer drain {run.host} --force"
    return f"{why}; {_held_up(state, task) or f'it moves after others of {task.name.of_job}'}"


def _held_up(state: State, task: Task) -> str:
    """What keeps a task from moving that is to; empty where nothing is known to."""
    secret = lacking_secret(state, task)
    return secrets.missing(secret.stored_as, secret.version) if secret else task.shortage


def _lost(state: State, task: Task, run: Run, now: Time) -> str:
    """What becomes of a task whose host does not answer."""
    if task.wanted is None:
        return "it stops when that is back"
    plan = state.plan(task)
    if plan is None or plan.on_host_lost is None:
        return "it waits for it"
    left = run.since + plan.on_host_lost - now
    if left > 0:
        return f"it moves in {-(-left // SECOND)} s"
    return f"it is to move: {_held_up(state, task) or 'waits for an offer'}"


def _odd(state: State, task: Task) -> str:
    """Whether it runs where it would not be started now, since the host has other attributes than it had."""
    plan, run = state.plan(task), task.run
    if task.old:
        return _beside(task, "")
    if plan is None or run is None:
        return ""
    for condition in plan.constraints:
        if run.attributes and not condition.matches(run.host, run.attributes):
            return f"stays, though {condition} excludes {run.host} now; started again, it goes elsewhere"
    return ""


def _beside(task: Task, why: str) -> str:
    """The same, with what it takes the place of."""
    if not task.old:
        return why
    old = task.old[0]
    replaces = f"replaces {old.id} on {old.host}" + (", which does not answer" if old.left_behind else "")
    return f"{replaces}; {why}" if why else replaces


def ended_text(task: Task) -> str:
    """How its last container ended."""
    last = task.last
    return f"{last.state}: {last.message}" if last and last.message else last.state if last else ""
