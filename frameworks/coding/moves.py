"""Tasks that leave their host, since it is drained or lost, or for balance: which may go now, which have arrived.

Pure. A task moves when a place for it is in hand, not before: its successor starts there, and the container that is to
go stays until the successor can be relied on, whatever the order of the job's updates. So a move takes nothing from
`min_healthy`; how many tasks of a job move at once is what `parallel` says. From a host that was lost all of them move;
what they leave behind is stopped when the host is back, unless it is back before they have set off.
"""

from __future__ import annotations

from collections.abc import Iterable

from frameworks.coding.names import JobName
from frameworks.coding.obstacles import lacking_secret, steady_at
from frameworks.coding.placement import Host
from frameworks.coding.records import DRAIN, LOST, REBALANCE, Run, Task
from frameworks.coding.state import State
from offerer import TaskState, Time


def note_draining(task: Task, run: Run, draining: bool) -> None:
    """The cluster says whether the host of this container is to be emptied."""
    if run.moving == LOST and run is not task.run:
        return
    if draining:
        if run.moving == REBALANCE and run is task.run:
            task.planned = ""  # anywhere but here will do
        run.moving = DRAIN
    elif run.moving == DRAIN:
        run.moving = ""


def note_back(state: State, task: Task, run: Run) -> None:
    """The host of this container answers: it need not move for that any more, unless it is too late."""
    if run.moving != LOST:
        return
    if run is task.run:
        run.moving = ""
    elif task.run is None:  # its successor has ended meanwhile, so it may have its place back
        run.evicted = False
        if state.strategy(task.name.of_job).start_first:
            run.moving = ""


def note_lost(state: State, now: Time) -> list[Time]:
    """Have those move whose host has not answered for long enough. Returns when to look again."""
    wakes = []
    for name in state.unsettled:
        task = state.tasks[name]
        run = task.run
        if run is None or run.state is not TaskState.UNREACHABLE or run.moving == LOST or task.wanted is None:
            continue
        at = moves_at(state, task)
        if at is not None and at <= now:
            if run.moving == REBALANCE:
                task.planned = ""
            run.moving = LOST
            state.changed(task)
        elif at is not None:
            wakes.append(at)
    return wakes


def moves_at(state: State, task: Task) -> Time | None:
    """When a task whose host does not answer is moved; None: never."""
    plan, run = state.plan(task), task.run
    if plan is None or plan.on_host_lost is None or run is None:
        return None
    return run.since + plan.on_host_lost


def advance_moves(state: State, now: Time) -> list[Time]:
    """Note what has arrived, and take back what need not move any more. Returns when to look again."""
    wakes: list[Time] = []
    for name in list(state.to_move):
        task = state.tasks[name]
        if not task.move:
            continue
        left = next((run for run in task.old if run.evicted), None)
        if left is not None and left.moving == REBALANCE and not _is_in_time(state, task, now, wakes):
            left.moving = ""
        if left is not None and not left.moving:
            _stay(state, task, left)
        elif task.wanted is None or not task.old and (at := steady_at(state, task)) is not None and at <= now:
            task.move = ""
            state.changed(task)
        elif at := steady_at(state, task):
            wakes.append(at)
    return [at for at in wakes if at > now]


def _is_in_time(state: State, task: Task, now: Time, wakes: list[Time]) -> bool:
    """Whether the successor of a task moved for balance may still come up. What needs no move is not to hang in one."""
    if task.run is None:
        return False  # it has ended
    due = task.run.placed + state.strategy(task.name.of_job).deadline
    wakes.append(due)
    return now < due


def give_up(state: State, task: Task) -> None:
    """The place that was planned for it does not come off: what was to move there only for balance stays."""
    task.planned = ""
    if task.run is not None and task.run.moving == REBALANCE and not task.run.evicted:
        task.run.moving = ""
        state.changed(task)


def _stay(state: State, task: Task, run: Run) -> None:
    """This container may stay after all: its successor goes, unless that is relied on already."""
    successor = task.run
    if run.kill_sent or not state.same(task, run.revision, task.wanted) or successor and not successor.launched:
        return
    task.old.remove(run)
    task.old += [successor] if successor else []
    task.run, task.move, run.evicted = run, "", False
    run.revision = task.wanted or run.revision
    state.changed(task)


def is_back(task: Task) -> bool:
    """Whether the host that a task was to leave answers again, and its successor is not launched yet."""
    run = task.run
    if run is None or run.launched or not task.old:
        return False
    left = task.old[-1]
    return left.moving == LOST and left.evicted and left.running and left.revision == task.wanted


def set_off(task: Task) -> None:
    """A place was found: the container that is to leave makes way once its successor can be relied on."""
    run = task.run
    if run is not None:
        task.move = run.moving if run.ready else ""
        task.old.append(run)
        task.run, run.evicted = None, True


def give_up_place(task: Task) -> None:
    """The place is gone before anything was launched there: what was to leave stays for now."""
    run = task.old[-1] if task.old else None
    if run is not None and run.evicted and run.moving and not run.kill_sent:
        task.old.remove(run)
        task.run, task.move, run.evicted = run, "", False
        if run.running and run.moving == LOST:
            run.moving = ""


def movers(state: State) -> list[Task]:
    """The tasks that go as soon as there is a place for each, jobs with nothing under way only as `slots` says."""
    if not state.to_move:
        return []
    drained = draining_hosts(state)
    found = []
    for name in state.to_move:
        task = state.tasks[name]
        if not is_to_go(state, task):
            continue
        plan = state.plan(task)
        if plan is None or plan.only_on(drained) or plan.on_host_lost is None:
            task.tied = plan is not None  # one that waits for its host when that is lost does not leave it either
        elif may_set_off(state, task) and lacking_secret(state, task) is None:
            found.append(task)
    return found


def is_to_go(state: State, task: Task) -> bool:
    """Whether it is to move and has not begun to; an update that replaces it moves it too."""
    run = task.run
    if run is None or not run.moving or task.on_their_way_out:
        return False
    if run.moving == LOST:
        return run.state is TaskState.UNREACHABLE and task.wanted is not None
    if run.evicted or run.kill_sent or task.old or state.ends_by_itself(task):
        return False
    return run.launched and run.state is not TaskState.UNREACHABLE and state.same(task, run.revision, task.wanted)


def may_set_off(state: State, task: Task) -> bool:
    """Whether so few of its job are on their way that it may go too; from a host that was lost it always may."""
    return task.run is not None and task.run.moving == LOST or slots(state, task.name.of_job) > 0


def slots(state: State, job: JobName) -> int:
    """How many more tasks of a job may set off."""
    strategy = state.strategy(job)
    return strategy.at_once - sum(bool(task.move) for task in state.jobs[job].values())


def draining_hosts(state: State) -> set[str]:
    """The names of the hosts being drained that tasks of ours are on."""
    runs = (run for name in state.to_move for run in state.tasks[name].containers)
    return {run.host for run in runs if run.moving == DRAIN}


def elsewhere(state: State, hosts: Iterable[Host], task: Task) -> list[Host]:
    """The hosts that a task may be placed on at all: where it is to leave one, neither that nor any being drained."""
    left = {*draining_hosts(state), task.leaving.host} if task.leaving is not None else ()
    return [host for host in hosts if host.name not in left]
