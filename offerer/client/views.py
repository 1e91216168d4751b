"""What the client believes of each task, so that a plug-in sees every status once and in order. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from offerer.errors import InvalidInput
from offerer.ids import HostId, TaskId
from offerer.task_states import TRANSITIONS, TaskState
from offerer.types import Reason, TaskStatus

REMEMBER_ENDED = 100_000


class _View(NamedTuple):
    state: TaskState
    host_id: HostId
    uuid: bytes
    draining: bool = False


class Views:
    """The tasks that are alive as far as this client knows, and the ids of those that ended lately."""

    def __init__(self) -> None:
        self._alive: dict[TaskId, _View] = {}
        self._ended: OrderedDict[TaskId, None] = OrderedDict()  # a dict's first is found in time that grows

    def launched(self, task_ids: Sequence[TaskId], host_id: HostId) -> None:
        """The plug-in launches tasks. Raises `InvalidInput` where one lives: a refusal would be taken for its end."""
        alive = self._alive
        launched = dict.fromkeys(task_ids, _View(TaskState.STAGING, host_id, b""))
        if len(launched) < len(task_ids) or not alive.keys().isdisjoint(launched):
            again = next(each for each in task_ids if each in alive or task_ids.count(each) > 1)
            raise InvalidInput(f"Launch.tasks: task {again!r} has not ended; give each task an id of its own")
        for task_id in task_ids:
            self._ended.pop(task_id, None)
        alive.update(launched)

    def believe(self, task_id: TaskId, host_id: HostId) -> None:
        """The plug-in's own records say that this task is alive there."""
        self._alive.setdefault(task_id, _View(TaskState.STAGING, host_id, b""))

    def believed(self) -> Iterable[tuple[TaskId, HostId]]:
        """The tasks to ask the master about."""
        return ((task_id, view.host_id) for task_id, view in self._alive.items())

    def news(self, status: TaskStatus) -> bool:
        """Whether the plug-in is to see this status; takes it over if so."""
        task_id, state = status.task_id, status.state
        if task_id in self._ended:
            return False
        view = self._alive.get(task_id)
        if view is not None:
            again = view.state == state and view.draining == status.draining
            if again and (view.uuid == status.uuid or status.reason is Reason.RECONCILIATION):
                return False
            if state != view.state and state not in TRANSITIONS[view.state]:
                return False
        if state.terminal:
            self._alive.pop(task_id, None)
            self._ended[task_id] = None
            if len(self._ended) > REMEMBER_ENDED:
                self._ended.popitem(last=False)
        else:
            self._alive[task_id] = _View(state, status.host_id, status.uuid, status.draining)
        return True

    def strays(self, statuses: Iterable[TaskStatus]) -> list[TaskId]:
        """Tasks that live although the plug-in was told that they ended: their host was removed, and came back."""
        return [each.task_id for each in statuses if each.task_id in self._ended and not each.state.terminal]

    def snapshot(self, statuses: Iterable[TaskStatus]) -> list[TaskStatus]:
        """What a registration says of all tasks: those that the plug-in was told had ended are left out."""
        return [status for status in statuses if self.news(status) or status.task_id in self._alive]
