"""Updates under way: one task of a service at a time is moved to its new revision, and the next when it runs.

Pure, and durable by its shape: the update's entry says where each task is to go, each task's own record how far it is.
"""

from __future__ import annotations

from frameworks.coding.names import TaskName, natural
from frameworks.coding.state import UPDATES, State, Task, Update
from offerer import Time


def advance_updates(state: State, now: Time) -> None:
    """Set the next task going in each service whose last one has arrived; drop updates that are through."""
    for service, update in list(state.updates.items()):
        left = remaining(state, update)
        while left and moving(state, update) is None:
            task = min(left, key=lambda each: _order(state, each))
            state.want(task, update.targets[task.name], now)
            left = remaining(state, update)
        if not left:
            del state.updates[service]
            state.journal.delete(UPDATES + service)


def remaining(state: State, update: Update) -> list[Task]:
    """The tasks that have not arrived: not set going yet, or not yet running at their new revision."""
    tasks = (state.task(name) for name in update.targets)
    return [task for task in tasks if not _arrived(task, update)]


def moving(state: State, update: Update) -> Task | None:
    """The task that is on its way now."""
    for task in remaining(state, update):
        if task.wanted == update.targets[task.name]:
            return task
    return None


def _arrived(task: Task, update: Update) -> bool:
    return task.wanted == update.targets[task.name] and task.settled


def put_update(state: State, service: str, targets: dict[TaskName, int | None], who: str, now: Time) -> None:
    """Add these targets to the service's update; a later one takes the place of an earlier one of the same task."""
    earlier = state.updates.get(service)
    update = Update({**(earlier.targets if earlier else {}), **targets}, who, now)
    state.updates[service] = update
    state.journal.put(UPDATES + service, update.to_bytes())


def cancel(state: State, tasks: list[Task]) -> None:
    """These tasks are no longer to be moved: they are being taken down."""
    for service in {task.name.service for task in tasks}:
        update = state.updates.get(service)
        if update is None:
            continue
        for task in tasks:
            update.targets.pop(task.name, None)
        state.journal.put(UPDATES + service, update.to_bytes())


def _order(state: State, task: Task) -> tuple[bool, int, tuple[tuple[int, str], ...]]:
    """Those that do not run first, since moving them costs nothing; then by dependency, then by name."""
    depth = len(state.graph.all_dependencies([task.name.of_job]))
    return (task.running, depth, natural(task.name))
