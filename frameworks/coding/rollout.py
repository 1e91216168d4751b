"""Updates under way: which task is moved to its new revision next, and what happens when one does not arrive.

Pure, and durable by its shape: the update's entry says where each task is to go and where it came from, each task's
own record how far it is. Jobs go one after another in the order of their dependencies; within a job its strategy rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from frameworks.coding.names import JobName, Target, TaskName, natural
from frameworks.coding.obstacles import ended_text, reason, spare, steady_at
from frameworks.coding.records import UPDATES, Task, Update
from frameworks.coding.state import State
from offerer import SECOND, Conflict, NotFound, Time

CANARIES: Final = "canary"
"""What `Update.paused` begins with while canaries run; any other pause ends with `resume`."""


def advance_updates(state: State, now: Time) -> list[Time]:
    """Set going what may go in each service; end updates that are through. Returns when to look again."""
    wakes: list[Time] = []
    for service, update in list(state.updates.items()):
        while True:
            left = remaining(state, update, now)
            _note_progress(state, service, update, len(update.targets) - len(left), now)
            waited_for = [task for task in left if task.name not in update.given_up]
            if not waited_for:
                _end(state, service, update, left)
                break
            wakes += [at for task in waited_for if (at := steady_at(state, task)) is not None and at > now]
            if update.paused:
                break
            job = _first_job(state, waited_for)
            if not _set_going(state, service, update, [t for t in waited_for if t.name.of_job == job], now):
                if not update.paused:
                    wakes += _check_deadline(state, service, update, waited_for, now)
                break
    return wakes


def _set_going(state: State, service: str, update: Update, left: list[Task], now: Time) -> bool:
    """Set the next tasks of one job going, as its strategy allows. False where none was."""
    job = left[0].name.of_job
    strategy = state.strategy(job)
    flying = [task for task in left if under_way(task, update)]
    canaries = strategy.canary if not update.back and job.job not in update.promoted else 0
    tasks = [state.task(name) for name in update.targets if name.of_job == job]
    changed = [task for task in tasks if _is_new(state, update, task)]
    moved = sum(under_way(task, update) for task in changed)
    if canaries and canaries <= moved < len(changed):
        _wait_for_promotion(state, service, update, job, flying, moved)
        return False
    slots = strategy.at_once - len(flying)
    if moved < canaries:
        slots = min(slots, canaries - moved)
    doomed = sum(task.ready and (run := task.run) is not None and (run.revision != task.wanted or run.evicted)
                 for task in flying)  # fmt: skip
    may_lose = spare(state, job) - doomed
    set_going = False
    waiting = [task for task in left if not under_way(task, update)]
    for task in sorted(waiting, key=lambda each: (each.ready, each.leaving is None, natural(each.name))):
        goal = update.targets[task.name]
        loses = _loses(state, update, task, goal)
        if slots <= 0:
            break
        if loses and not (strategy.start_first and goal is not None):
            if may_lose <= 0:
                continue
            may_lose -= 1
        if _is_stale(update, task) and task.run is not None:
            task.run.evicted = True
        state.want(task, goal, now)
        slots -= 1
        set_going = True
    return set_going


def _loses(state: State, update: Update, task: Task, goal: int | None) -> bool:
    """Whether a ready container has to go for this move, and the task has no other."""
    run = task.run
    if goal is None or run is None:
        return task.ready and goal is None
    return run.ready and not task.old and (_is_stale(update, task) or not state.same(task, run.revision, goal))


def _is_stale(update: Update, task: Task) -> bool:
    """Whether its container is to be started anew whatever its revision, and has not been."""
    last = update.restarts.get(task.name)
    return last is not None and task.run is not None and task.run.number <= last


def _is_new(state: State, update: Update, task: Task) -> bool:
    """Whether the update brings something new to this task, rather than a number."""
    goal = update.targets[task.name]
    if goal is None or task.name in update.restarts:
        return goal is not None
    return not state.same(task, update.origins.get(task.name), goal)


def _wait_for_promotion(
    state: State, service: str, update: Update, job: JobName, flying: list[Task], canaries: int
) -> None:
    if flying:
        return
    what = "1 task runs" if canaries == 1 else f"{canaries} tasks run"
    update.paused = f"{CANARIES}: {what} the new revision of {job}; go on with promote, or go back with abort"
    put(state, service, update)


def _note_progress(state: State, service: str, update: Update, arrived: int, now: Time) -> None:
    if arrived > update.arrived:
        update.arrived, update.progressed = arrived, now
        put(state, service, update)


def _check_deadline(state: State, service: str, update: Update, left: list[Task], now: Time) -> list[Time]:
    """What to do where nothing has arrived for too long."""
    flying = [task for task in left if under_way(task, update)]
    first = (flying or left)[0]
    strategy = state.strategy(first.name.of_job)
    due = update.progressed + strategy.deadline
    refused = [task for task in flying if task.refused]
    if now < due and not refused:
        return [due]
    limit = f"{strategy.deadline // SECOND} s"
    if refused:  # no patience helps
        flying = refused
        why = f"{refused[0].name} cannot come up: {reason(state, refused[0], now)}"
    elif flying:
        tried = f"{ended_text(first)}; " if first.run is not None and first.failures and first.last else ""
        why = (
            f"{first.name} did not come up within {limit}: "
            f"{tried}{reason(state, first, now) or 'it does not stay ready'}"
        )
    else:
        why = f"{first.name} could not be replaced within {limit}: too few tasks of {first.name.of_job} are ready"
    if strategy.on_failure == "rollback" and not update.back:
        turn_back(state, service, update, why, now)
        note_deployment(state, service, list(update.origins), "rolled back by itself", "", why, now)
    elif strategy.on_failure == "continue" and flying and not update.back:
        update.given_up |= {task.name for task in flying}
        update.why, update.progressed = why, now
        put(state, service, update)
    else:
        update.paused = why
        put(state, service, update)
    return [now]


def turn_back(state: State, service: str, update: Update, why: str, now: Time) -> None:
    """Take what was moved back to where it came from, by the same strategy."""
    moved = {name: at for name, at in update.origins.items() if state.task(name).wanted != at}
    for name in update.targets:
        state.task(name).planned = ""
    for job, at in update.everywhere.items():
        state.want_everywhere(JobName(service, job), at)
    update.targets, update.back, update.why, update.paused = moved, True, why, ""
    update.given_up, update.progressed, update.arrived = set(), now, 0
    for name in update.restarts:
        run = state.task(name).run
        if run is not None and run.evicted and not run.kill_sent and _is_stale(update, state.task(name)):
            run.evicted = False  # it has not made way yet, so it need not
            state.changed(state.task(name))
    update.restarts = {}
    put(state, service, update)


def _end(state: State, service: str, update: Update, left: list[Task]) -> None:
    update.outcome = "rolled back" if update.back else "failed" if left else "done"
    update.paused = ""
    del state.updates[service]
    state.ended_updates[service] = update
    put(state, service, update)


def remaining(state: State, update: Update, now: Time) -> list[Task]:
    """The tasks that have not arrived: not set going yet, or not yet ready for long enough at their new revision."""
    tasks = (state.task(name) for name in update.targets)
    return [task for task in tasks if not _arrived(state, task, update, now)]


def under_way(task: Task, update: Update) -> bool:
    """Whether a task that has not arrived was set going."""
    if task.wanted != update.targets[task.name]:
        return False
    return not _is_stale(update, task) or task.run is not None and task.run.evicted


def _arrived(state: State, task: Task, update: Update, now: Time) -> bool:
    if not under_way(task, update) or not task.settled or _is_stale(update, task):
        return False
    if task.run is None or not _is_new(state, update, task):
        return True
    at = steady_at(state, task)
    return at is not None and at <= now


def put(state: State, service: str, update: Update) -> None:
    """Have the update written."""
    state.journal.put(UPDATES + service, update)


def put_update(
    state: State,
    service: str,
    targets: dict[TaskName, int | None],
    who: str,
    now: Time,
    restarts: Collection[TaskName] = (),
    everywhere: Mapping[str, int | None] | None = None,
) -> None:
    """Add these targets to the service's update; a later one takes the place of an earlier one of the same task.

    What it goes back to is what was before the earlier update, since that never was complete. `everywhere` are the
    jobs with one task per host that it moves, and the revision each is to be at. `restarts` are those of the targets
    to be started anew even where the revision is what they have.
    """
    earlier = state.updates.get(service)
    before = {name: state.task(name).wanted for name in targets}
    update = Update(
        {**(earlier.targets if earlier else {}), **targets},
        {**before, **(earlier.origins if earlier else {})},
        who,
        now,
        progressed=now,
        restarts={**(earlier.restarts if earlier else {}), **{name: state.task(name).attempt for name in restarts}},
    )
    for job, goal in (everywhere or {}).items():
        update.everywhere[job] = state.everywhere.get(JobName(service, job))
        state.want_everywhere(JobName(service, job), goal)
    update.everywhere |= earlier.everywhere if earlier else {}
    state.updates[service] = update
    put(state, service, update)


def start(state: State, task: Task, goal: int, now: Time) -> None:
    """Bring up one more task of a job at the revision of the others. An update of these takes it along, and back.

    Where that is being tried on canaries, it starts at what they come from, and is moved when they are promoted.
    """
    job, update = task.name.of_job, state.updates.get(task.name.service)
    first = goal
    if update is not None and any(name.of_job == job for name in update.targets):
        before = [at for name, at in update.origins.items() if name.of_job == job and at is not None]
        origin = max(before, default=None)
        tried = state.strategy(job).canary and not update.back and job.job not in update.promoted
        if tried and origin is not None and state.plan(task, origin) is not None:
            first = origin
        update.targets[task.name], update.origins[task.name] = goal, origin
        put(state, job.service, update)
    state.want(task, first, now)


def note_deployment(
    state: State, service: str, tasks: Sequence[TaskName], what: str, who: str, why: str, now: Time
) -> None:
    """Note, for whoever keeps the story, that these tasks of a service were set going."""
    if not state.deployments.wanted:
        return
    update = state.updates.get(service)
    goals = {task.name: task.wanted for task in state.covered([Target(service)])} | (update.targets if update else {})
    numbers = [goal for name in tasks if (goal := goals.get(name))] or [goal for goal in goals.values() if goal]
    state.deployments.note(service, max(numbers, default=None), what, who, why, list(map(str, tasks)), now)


def cancel(state: State, tasks: list[Task]) -> None:
    """These tasks are no longer to be moved: they are being taken down."""
    for service in {task.name.service for task in tasks}:
        update = state.updates.get(service)
        if update is None:
            continue
        for task in tasks:
            update.targets.pop(task.name, None)
            update.origins.pop(task.name, None)
            update.restarts.pop(task.name, None)
        put(state, service, update)


# -- what an operator says of an update -----------------------------------------------------------------------


def pause(state: State, service: str, who: str) -> None:
    """Set nothing further going. What is on its way goes on."""
    update = _under_way_in(state, service)
    if not update.paused or update.paused.startswith(CANARIES):
        update.paused = f"paused by {who or 'an operator'}"
        put(state, service, update)


def resume(state: State, service: str, now: Time) -> None:
    """Go on, with patience anew; what the cluster refused is tried once more."""
    update = _under_way_in(state, service)
    if not update.paused:
        raise Conflict(f"the update of {service} is not paused")
    if update.paused.startswith(CANARIES):
        raise Conflict(f"the update of {service} waits with its canaries; go on with: offerer promote {service}")
    for task in remaining(state, update, now):
        if task.refused:
            task.blocked = False
            state.changed(task)
    update.paused, update.progressed = "", now
    put(state, service, update)


def promote(state: State, service: str, now: Time) -> None:
    """The canaries are good: move the rest of their job."""
    update = _under_way_in(state, service)
    if not update.paused.startswith(CANARIES):
        raise Conflict(f"the update of {service} does not wait with canaries: {update.paused or 'it goes on'}")
    left = remaining(state, update, now)
    if left:
        update.promoted.add(_first_job(state, left).job)
    update.paused, update.progressed = "", now
    put(state, service, update)


def abort(state: State, service: str, who: str, now: Time) -> None:
    """Take everything back to where it was."""
    update = _under_way_in(state, service)
    if update.back and not update.paused:
        raise Conflict(f"the update of {service} is going back already: {update.why}")
    turn_back(state, service, update, update.why or f"aborted by {who or 'an operator'}", now)
    note_deployment(state, service, list(update.origins), "abort", who, "", now)


def _under_way_in(state: State, service: str) -> Update:
    update = state.updates.get(service)
    if update is None:
        if service not in state.revisions:
            raise NotFound(f"there is no service {service!r}")
        ended = state.ended_updates.get(service)
        last = f"; the last one is {ended.outcome}" if ended else ""
        raise Conflict(f"no update of {service} is under way{last}")
    return update


def _first_job(state: State, tasks: list[Task]) -> JobName:
    """The job of these tasks whose turn it is: the one with the fewest dependencies, then by name."""
    return min({task.name.of_job for task in tasks}, key=lambda job: (len(state.graph.all_dependencies([job])), job))
