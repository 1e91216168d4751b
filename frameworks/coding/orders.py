"""What commands such as `up`, `update` and `down` change about what is wanted. Pure; the planner carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from frameworks.coding.names import JobName, Target, TaskName, did_you_mean, natural
from frameworks.coding.rollout import cancel, put, put_update, start
from frameworks.coding.plans import JobPlan
from frameworks.coding.possible import why_impossible
from frameworks.coding.records import Scale, Task
from frameworks.coding.state import State
from offerer import Conflict, InvalidInput, NotFound, Time


class Answer(NamedTuple):
    """What a command came to."""

    changed: list[TaskName]
    """The tasks of which something else is wanted now."""
    unchanged: list[TaskName]
    """Those that were as asked for already."""
    notes: list[str]
    """What the operator should know."""


def up(state: State, targets: Sequence[Target], now: Time) -> Answer:
    """Start what was pushed and is down, after what it depends on. What is up stays as it is, at its revision."""
    for target in targets:
        check_pushed(state, target)
    asked: dict[JobName, list[TaskName]] = {}
    for target in targets:
        for name in state.newest_tasks(target):
            asked.setdefault(name.of_job, []).append(name)
        for job in _everywhere(state, target):
            asked.setdefault(job, [])
    names, notes = _with_what_they_need(state, asked)
    changed, unchanged = [], []
    for name in dict.fromkeys(names):
        task = state.task(name)
        if task.wanted is None:
            newest = state.newest(name.service)
            state.want(task, newest.number if newest else None, now, gated=True)
            changed.append(name)
            continue
        unchanged.append(name)
        if task.run is None and (task.blocked or task.not_before > now):
            task.blocked, task.not_before = False, now  # whoever asks again wants it tried again now
            state.changed(task)
    notes += _behind(state, unchanged)
    return Answer(changed, unchanged, notes)


def _with_what_they_need(state: State, asked: dict[JobName, list[TaskName]]) -> tuple[list[TaskName], list[str]]:
    """The tasks of these jobs and of what they depend on; jobs with one task per host are brought up on the way."""
    names: list[TaskName] = []
    notes: list[str] = []
    for job in state.graph.all_dependencies(asked):
        tasks = asked[job] if job in asked else list(state.newest_tasks(Target(*job)))
        names += tasks
        newest, comes = state.newest(job.service), False
        if newest is not None and _everywhere(state, Target(*job)):
            comes = job not in state.everywhere
            if comes:
                state.want_everywhere(job, newest.number)
                notes.append(f"{job}: each host that fits gets a task as it is offered")
        elif not tasks:
            notes.append(f"{job} is needed and is not pushed; what depends on it waits for it")
        if job not in asked and (comes or any(state.task(name).wanted is None for name in tasks)):
            notes.append(f"{job} is needed and is brought up too")
    return names, notes


def _everywhere(state: State, target: Target) -> list[JobName]:
    """The jobs of a target with one task per host, as its newest revision has them."""
    newest = state.newest(target.service)
    if newest is None or target.task:
        return []
    jobs = (job for job in newest.jobs.values() if job.everywhere is not None)
    return [job.name for job in jobs if target.job in ("", job.name.job)]


def _up_everywhere(state: State, target: Target) -> list[JobName]:
    """The jobs of a target that have one task per host and are up."""
    if target.task:
        return []
    return [job for job in state.everywhere if job.service == target.service and target.job in ("", job.job)]


def update(state: State, targets: Sequence[Target], who: str, now: Time) -> Answer:
    """Move what is up to the newest revision; tasks it has more of are started, those it has no longer are stopped."""
    changed: list[TaskName] = []
    unchanged: list[TaskName] = []
    notes: list[str] = []
    for target in targets:
        up_now = _up_now(state, target)
        newest = state.newest(target.service)
        answer = _move(state, target, up_now, newest.number if newest else 0, who, now)
        changed += answer.changed
        unchanged += answer.unchanged
        notes += answer.notes
    return Answer(list(dict.fromkeys(changed)), unchanged, notes)


def restart(state: State, targets: Sequence[Target], who: str, now: Time) -> Answer:
    """Start what is up anew, at the revision it has or is on its way to, in the manner of an update."""
    changed: list[TaskName] = []
    for target in targets:
        goals = {task.name: goal for task in _up_now(state, target) if (goal := _goal(state, task.name))}
        put_update(state, target.service, dict(goals), who, now, restarts=goals)
        changed += goals
    return Answer(list(dict.fromkeys(changed)), [], [])


def rollback(state: State, target: Target, number: int | None, who: str, now: Time) -> Answer:
    """Move what is up to an earlier revision: this one, or the last before the newest that is up or being moved to."""
    up_now = _up_now(state, target)
    revisions = state.revisions[target.service]
    if number is None:
        goals = [goal for task in up_now if (goal := _goal(state, task.name) or task.wanted)]
        present = max([*goals, *(state.everywhere[job] for job in _up_everywhere(state, target))])
        number = max((each for each in revisions if each < present), default=None)
        if number is None:
            raise Conflict(f"{target} is at r{present}, the first revision there is")
    check_revision(state, target.service, number)
    there = any(target.job in ("", job) for job in revisions[number].jobs)
    if not there or target.task and not any(state.tasks_of(target, number)):
        raise Conflict(f"{target} is not part of r{number}; stop it with: offerer down {target}")
    answer = _move(state, target, up_now, number, who, now)
    newest = max(revisions)
    note = f"r{newest} stays the newest: the next update of {target.service} goes there, so push a correction before"
    return answer._replace(notes=[*answer.notes, *([note] if number < newest else [])])


def check_revision(state: State, service: str, number: int) -> None:
    """Raise `NotFound` unless the service has this revision."""
    revisions = state.revisions.get(service, {})
    if number not in revisions:
        there = ", ".join(f"r{each}" for each in sorted(revisions))
        raise NotFound(f"{service} has no revision {number}; it has {there}")


def _up_now(state: State, target: Target) -> list[Task]:
    check_pushed(state, target, or_up=True)
    tasks = [task for task in state.covered([target]) if not task.once]
    up_now = [task for task in tasks if task.wanted is not None or _goal(state, task.name) is not None]
    if not up_now and not _up_everywhere(state, target):
        raise Conflict(f"{target} is not up, so there is nothing to update; start it with: offerer up {target}")
    return up_now


def _move(state: State, target: Target, up_now: Sequence[Task], number: int, who: str, now: Time) -> Answer:
    moves = _moves(state, target, up_now, number)
    by_task = {name: number if has else None for name, has in moves.items()}
    goals = {name: goal for name, goal in by_task.items() if _goal(state, name) != goal}
    everywhere = _moves_everywhere(state, target, up_now, number)
    same = sum(state.same(task := state.task(name), task.run.revision if task.run else None, goal)
               for name, goal in goals.items() if goal is not None)  # fmt: skip
    if goals or everywhere:
        put_update(state, target.service, goals, who, now, everywhere=everywhere)
    run_on = "1 task runs" if same == 1 else f"{same} tasks run"
    notes = [f"{target.service}: {run_on} on, since r{number} changes nothing of theirs"] if same else []
    return Answer(list(goals), [name for name in moves if name not in goals], notes)


def scale(state: State, target: Target, replicas: int, who: str, now: Time) -> Answer:
    """Have so many tasks of a job, until a push changes what its file says. Those of the highest numbers go first."""
    job = _like_tasks(state, target)
    name, scaled = job.name, job.scaled(replicas)
    wrong = scaled.strategy.why_stuck(replicas)
    impossible = why_impossible(scaled)
    if wrong or impossible:
        many = "1 task" if replicas == 1 else f"{replicas} tasks"
        raise InvalidInput(f"{name} cannot have {many}: {wrong or impossible and impossible[1]}")
    file = job.like_tasks or 0
    state.scale(name, Scale(replicas, file, who, now) if replicas != file else None)
    tasks = [task for task in state.covered([Target(*name)]) if not task.once]
    goals = [goal for task in tasks if (goal := _goal(state, task.name)) is not None]
    if not goals:
        return Answer([], [], [f"{name} is down; it has {replicas} when it is brought up with: offerer up {name}"])
    wanted = {TaskName(*name, task) for task in scaled.tasks}
    superfluous = [task for task in tasks if task.wanted is not None and task.name not in wanted]
    missing = [task for each in sorted(wanted, key=natural) if (task := state.task(each)).wanted is None]
    cancel(state, [*superfluous, *missing])
    for task in missing:
        start(state, task, max(goals), now)
    for task in superfluous:
        state.want(task, None, now)
    changed = [task.name for task in [*missing, *superfluous]]
    return Answer(changed, sorted(wanted - set(changed), key=natural), [])


def _like_tasks(state: State, target: Target) -> JobPlan:
    """The job of a target, as its newest revision has it. Raises where it has none, or its tasks have names."""
    check_pushed(state, target)
    if not target.job or target.task:
        raise InvalidInput(f"target: {target} is not SERVICE/JOB, for example {target.service}/{target.job or 'web'}")
    job = state.job(JobName(target.service, target.job))
    assert job is not None
    if job.everywhere is not None:
        raise Conflict(f"{target} has one task on each host that fits; say which hosts these are in its constraints")
    if job.replica is None:
        raise Conflict(f"the tasks of {target} have names of their own; add or remove them in its file, and push that")
    return job


def _moves_everywhere(state: State, target: Target, up_now: Sequence[Task], number: int) -> dict[str, int | None]:
    """The jobs of an update whose tasks for new hosts are to be of another revision, or of none."""
    revision = state.revisions[target.service].get(number)
    has = {name for name, job in (revision.jobs if revision else {}).items() if job.everywhere is not None}
    up_jobs = {job.job for job in _up_everywhere(state, target)}
    if not target.task:
        up_jobs |= has & {task.name.job for task in up_now}
    goals = {job: number if job in has else None for job in sorted(up_jobs)}
    return {job: goal for job, goal in goals.items() if state.everywhere.get(JobName(target.service, job)) != goal}


def down(state: State, targets: Sequence[Target], now: Time) -> Answer:
    """Stop these tasks, those that others depend on last."""
    for target in targets:
        check_pushed(state, target, or_up=True)
    tasks = state.covered(targets)
    cancel(state, tasks)
    for target in targets:
        for job in _up_everywhere(state, target):
            state.want_everywhere(job, None)
            if update := state.updates.get(job.service):
                update.everywhere.pop(job.job, None)  # nothing of it is there to take back
                put(state, job.service, update)
    changed = [task for task in tasks if task.wanted is not None]
    for task in changed:
        state.want(task, None, now)
    notes = _left_without(state, [task for task in changed if not task.once])
    return Answer([task.name for task in changed], [task.name for task in tasks if task not in changed], notes)


def _moves(state: State, target: Target, up_now: Sequence[Task], number: int) -> dict[TaskName, bool]:
    """The tasks of an update, and whether the revision it goes to has each of them."""
    there = set(state.tasks_of(target, number))
    moves = {task.name: task.name in there for task in up_now}
    if not target.task:  # of a job that is up, those that are new; what was taken down stays down
        deployed: dict[JobName, set[int | None]] = {}
        for task in up_now:
            deployed.setdefault(task.name.of_job, set()).add(task.wanted)
        for name in sorted(there, key=natural):
            revisions = deployed.get(name.of_job, set())
            if revisions and not any(name in state.tasks_of(Target(*name), each) for each in revisions if each):
                moves[name] = True
    return moves


def _goal(state: State, name: TaskName) -> int | None:
    """The revision this task is on its way to, or at."""
    update = state.updates.get(name.service)
    if update is not None and name in update.targets:
        return update.targets[name]
    return state.task(name).wanted


def _behind(state: State, names: Sequence[TaskName]) -> list[str]:
    notes = []
    for service in dict.fromkeys(name.service for name in names):
        newest = state.newest(service)
        number = newest.number if newest else 0
        old = [name for name in names if name.service == service and (state.task(name).wanted or number) < number]
        if old:
            stay = "1 task stays" if len(old) == 1 else f"{len(old)} tasks stay"
            notes.append(f"{service}: {stay} at a revision before r{number}; move with: offerer update {service}")
    return notes


def _left_without(state: State, stopped: Sequence[Task]) -> list[str]:
    """Jobs that stay up though something they depend on goes down."""
    jobs: dict[JobName, None] = dict.fromkeys(task.name.of_job for task in stopped)
    notes = []
    for job in jobs:
        if any(task.wanted is not None for task in state.jobs[job].values()):
            continue
        for other in sorted(state.graph.dependants(job)):
            if any(task.wanted is not None for task in state.jobs.get(other, {}).values()):
                notes.append(f"{other} depends on {job} and stays up")
    return notes


def check_pushed(state: State, target: Target, *, or_up: bool = False) -> None:
    """Raise `NotFound` unless there is such a service, job or task: in the newest revision, or with `or_up` at all."""
    if target.service not in state.revisions:
        _, at, environment = target.service.partition("@")
        where = f" --env {environment}" if at else ""
        hint = did_you_mean(target.service, state.revisions) or f"; push it with: offerer push FILE{where}"
        raise NotFound(f"there is no service {target.service!r}{hint}")
    names = set(state.newest_tasks(Target(target.service)))
    if or_up:
        names.update(task.name for task in state.covered([Target(target.service)]))
    jobs = sorted({name.job for name in names} | {job.job for job in _everywhere(state, Target(target.service))})
    if target.job and target.job not in jobs:
        hint = did_you_mean(target.job, jobs) or f"; its jobs are {', '.join(jobs)}"
        raise NotFound(f"service {target.service} has no job {target.job!r}{hint}")
    if target.task and not any(target.covers(name) for name in names):
        tasks = [name.task for name in sorted(names) if name.job == target.job]
        hint = did_you_mean(target.task, tasks) or f"; its tasks are {', '.join(tasks)}"
        raise NotFound(f"job {target.service}/{target.job} has no task {target.task!r}{hint}")
