"""The life of every task the executor holds. Pure: events in, operations, statuses and marks out.

`next_operation` is the whole decision: from what is wanted of a task, what was observed and the time, to the single
next operation, if any. Every `on_…` method records what happened and asks it again. The caller carries out
`operations`, writes `marks` down, sends what `statuses` has, and calls `on_time` at `next_deadline`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from typing import Final

from executor.records import (
    NEVER,
    Adopted,
    Create,
    Event,
    Exited,
    Killing,
    Lost,
    Mark,
    Observed,
    Operation,
    Outcome,
    Pull,
    Remove,
    Settled,
    Signal,
    Start,
    Task,
    TaskKey,
    Verdict,
)
from executor.spec import check_task
from executor.statuses import Statuses
from offerer.containers import ContainerSpec
from offerer.errors import InvalidSpec
from offerer.ids import FrameworkId, HostId, TaskId
from offerer.resources import NOTHING
from offerer.task_states import TRANSITIONS, TaskState
from offerer.types import SECOND, Reason, TaskInfo, TaskStatus, Time

KILL_AGAIN_AFTER: Final[Time] = 10 * SECOND
_RETRY_AFTER: Final[tuple[Time, ...]] = tuple(n * SECOND // 2 for n in (1, 2, 4, 8, 16))
_MESSAGE_LIMIT: Final = 4096
_KILLED_BEFORE_START: Final = "stopped before it was started"


def next_operation(task: Task, now: Time, *, creates: bool) -> Operation | None:
    """What to do next for this task. `creates`: creating is a step of its own in this runtime."""
    if task.doing is not None or now < task.retry_at:
        return None
    if task.observed is Observed.NOTHING:
        if task.image_missing:
            return Pull(task)
        return Create(task) if creates else Start(task)
    if task.observed is Observed.CREATED:
        return Remove(task) if task.stopping else Start(task)
    if task.observed is Observed.RUNNING and task.stopping:
        if now >= task.kill_at:
            return Signal(task, "SIGKILL")
        if not task.signalled:
            return Signal(task, task.spec.stop_signal)
    return None


class Lifecycle:
    """All tasks of one executor. `incarnation` is eight random bytes of this process."""

    def __init__(self, host_id: HostId, incarnation: bytes, *, creates: bool) -> None:
        self.host_id = host_id
        self.tasks: dict[TaskKey, Task] = {}
        self.statuses = Statuses(incarnation)
        self.operations: deque[Operation] = deque()
        self.marks: list[Mark] = []
        self._creates = creates
        self._timers: list[tuple[Time, int, Task]] = []  # a heap
        self._timer_count = 0

    # -- what the master says --------------------------------------------------------------------------------------

    def on_launch(self, now: Time, framework_id: FrameworkId, info: TaskInfo) -> None:
        """Run this task. One that is already held is not launched again: its latest status is."""
        key = (framework_id, info.task_id)
        task = self.tasks.get(key)
        if task is not None:
            self._repeat_status(task)
            return
        task = self.tasks[key] = Task(key, info.resources)
        try:
            task.spec = ContainerSpec.from_bytes(info.spec)
            check_task(task.spec, info.resources)
        except InvalidSpec as error:
            self._end(now, task, TaskState.ERROR, Reason.INVALID_SPEC, str(error))
            return
        task.image_missing = task.spec.pull == "always" and self._creates
        self._step(now, task)

    def on_kill(self, now: Time, framework_id: FrameworkId, task_id: TaskId, grace: Time | None) -> None:
        """Stop this task. A second request can only bring the end of the grace forward."""
        key = (framework_id, task_id)
        task = self.tasks.get(key)
        if task is None:
            self._report_unknown(now, key)
            return
        if task.observed is Observed.ENDED:
            return
        kill_at = min(task.kill_at, now + (task.spec.stop_grace if grace is None else max(0, grace)))
        if task.stopping and kill_at == task.kill_at:
            return
        task.stopping = True
        task.kill_at = kill_at
        self.marks.append(Killing(key, kill_at))
        if task.observed is Observed.NOTHING and (task.doing is None or type(task.doing) is Pull):
            # A pull is left to end by itself: it leaves nothing behind but an image, and could take minutes.
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, _KILLED_BEFORE_START)
            return
        if task.state is not TaskState.KILLING:
            self._report(now, task, TaskState.KILLING, Reason.KILL_REQUESTED)
        self._wake_at(kill_at, task)
        self._step(now, task)

    def on_acknowledged(self, uuid: bytes) -> None:
        """The status reached its framework. After that of its end, the task is forgotten."""
        entry = self.statuses.acknowledge(uuid)
        if entry is not None and entry.status.state >= TaskState.FINISHED:
            key = entry.task.key
            if self.tasks.get(key) is entry.task:
                del self.tasks[key]
                self.marks.append(Settled(key))

    # -- what the runtime says ---------------------------------------------------------------------------------------

    def on_done(self, now: Time, operation: Operation, outcome: Outcome) -> None:
        """An operation came to its end, well or not. One that was given up meanwhile is ignored."""
        task = operation.task
        if task.doing is not operation:
            return
        task.doing = None
        if task.observed is Observed.ENDED:
            return
        if outcome.verdict is Verdict.AWAY:
            if task.state is TaskState.STAGING:
                self._report(now, task, TaskState.STARTING, Reason.NONE, outcome.message)
            self._retry_later(now, task)
            return
        task.retries = 0
        if outcome.verdict is Verdict.IMAGE_MISSING:
            self._on_image_missing(now, task, outcome)
        elif outcome.verdict is Verdict.FAILED:
            self._on_failed(now, operation, outcome)
            return
        else:
            self._on_succeeded(now, operation, outcome)
        self._step(now, task)

    def on_event(self, now: Time, event: Event) -> None:
        """A task's container ended or vanished by itself. One that is not held is history."""
        task = self.tasks.get(event.key)
        if task is None or task.observed is Observed.ENDED:
            return
        if type(event) is Lost:
            state, reason = (
                (TaskState.KILLED, Reason.KILL_REQUESTED)
                if task.stopping
                else (TaskState.FAILED, Reason.CONTAINER_LOST)
            )
            self._end(now, task, state, reason, event.message)
        elif type(event) is Exited:
            task.data = event.data or task.data
            self._on_exited(now, task, event)

    def on_adopted(self, now: Time, adopted: Adopted, killing: Killing | None) -> None:
        """A task of an earlier executor process is still in the runtime; `killing` is what was noted of it then."""
        task = adopted.task
        if task.key in self.tasks:
            return
        self.tasks[task.key] = task
        if killing is not None:
            task.stopping = True
            task.kill_at = killing.kill_at
        if adopted.exited is not None:
            self._on_exited(now, task, adopted.exited)
        elif adopted.lost:
            self.on_event(now, Lost(task.key, adopted.lost))
        elif task.observed is Observed.RUNNING:
            state = TaskState.KILLING if task.stopping else TaskState.RUNNING
            self._report(now, task, state, Reason.RECONCILIATION, "adopted by a restarted executor")
            self._wake_at(task.kill_at, task)
            self._step(now, task)
        else:
            self._report(now, task, TaskState.STARTING, Reason.RECONCILIATION, "adopted by a restarted executor")
            self._step(now, task)

    # -- time --------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> Time:
        """When `on_time` next has something to do; `NEVER` where nothing waits."""
        timer = self._timers[0][0] if self._timers else NEVER
        return min(timer, self.statuses.next_deadline())

    def on_time(self, now: Time) -> None:
        """Do what is due: kill what did not stop in its grace, try again, send again."""
        self.statuses.on_time(now)
        while self._timers and self._timers[0][0] <= now:
            task = heapq.heappop(self._timers)[2]
            if task.observed is not Observed.ENDED:
                self._step(now, task)

    # -- for the connection to the master ----------------------------------------------------------------------------

    def held(self) -> Iterable[Task]:
        """Every task, those that ended and are not acknowledged included."""
        return self.tasks.values()

    def check_invariants(self) -> None:
        """Raise AssertionError where the records contradict each other. For tests."""
        for key, task in self.tasks.items():
            ended = task.observed is Observed.ENDED
            assert task.key == key, task
            assert task.state.terminal == ended, f"{task}: reported {task.state.name}, observed {task.observed.name}"
            assert task.entry is not None or task.state is TaskState.STAGING, f"{task} reported nothing"
            assert not ended or task.entry is None or self.statuses.pending(task.entry), f"{task}: its end got lost"
            assert task.doing is None or task.doing.task is task, f"{task} does what is another's"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _step(self, now: Time, task: Task) -> None:
        operation = next_operation(task, now, creates=self._creates)
        if operation is None:
            return
        task.doing = operation
        if type(operation) is Pull and task.state is TaskState.STAGING:
            self._report(now, task, TaskState.STARTING, Reason.NONE, f"pulling image {task.spec.image}")
        self.operations.append(operation)

    def _on_succeeded(self, now: Time, operation: Operation, outcome: Outcome) -> None:
        task = operation.task
        task.container = outcome.container or task.container
        task.data = outcome.data or task.data
        kind = type(operation)
        if kind is Start:
            task.observed = Observed.RUNNING
            if not task.stopping:
                self._report(now, task, TaskState.RUNNING)
        elif kind is Create:
            task.observed = Observed.CREATED
            if task.state is TaskState.STAGING:
                self._report(now, task, TaskState.STARTING)
        elif kind is Pull:
            task.image_missing = False
        elif kind is Remove:
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, _KILLED_BEFORE_START)
        elif type(operation) is Signal:
            task.signalled = True
            if operation.signal == "SIGKILL":  # a process can hang in the kernel for a while even so: ask again
                task.kill_at = now + KILL_AGAIN_AFTER
                self._wake_at(task.kill_at, task)

    def _on_image_missing(self, now: Time, task: Task, outcome: Outcome) -> None:
        if task.stopping:
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, _KILLED_BEFORE_START)
        elif task.spec.pull == "never":
            message = f"{outcome.message} (spec.pull is never)"
            self._end(now, task, TaskState.FAILED, Reason.IMAGE_PULL_FAILED, message)
        else:
            task.image_missing = True

    def _on_failed(self, now: Time, operation: Operation, outcome: Outcome) -> None:
        task = operation.task
        kind = type(operation)
        if kind is Signal or kind is Remove:  # the engine would not: try again, for ever, an end is owed
            self._retry_later(now, task)
            return
        if task.stopping:
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, _KILLED_BEFORE_START)
        elif outcome.reason is Reason.INVALID_SPEC:
            self._end(now, task, TaskState.ERROR, outcome.reason, outcome.message)
        else:
            self._end(now, task, TaskState.FAILED, outcome.reason, outcome.message)
        if kind is Start and self._creates:
            self.operations.append(Remove(task))  # or the next executor process would start it

    def _on_exited(self, now: Time, task: Task, exited: Exited) -> None:
        code = exited.exit_code
        if task.stopping:
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, "stopped as requested", code)
        elif exited.out_of_memory:
            message = f"used more memory than its limit ({task.resources}) and was killed"
            self._end(now, task, TaskState.FAILED, Reason.OUT_OF_MEMORY, message, code)
        elif code == 0:
            self._end(now, task, TaskState.FINISHED, Reason.EXITED, "exited with code 0", code)
        else:
            self._end(now, task, TaskState.FAILED, Reason.EXITED, f"exited with code {code}", code)

    def _retry_later(self, now: Time, task: Task) -> None:
        task.retry_at = now + _RETRY_AFTER[min(task.retries, len(_RETRY_AFTER) - 1)]
        task.retries += 1
        self._wake_at(task.retry_at, task)

    def _wake_at(self, at: Time, task: Task) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (at, self._timer_count, task))

    # -- statuses ----------------------------------------------------------------------------------------------------

    def _end(
        self, now: Time, task: Task, state: TaskState, reason: Reason, message: str, exit_code: int | None = None
    ) -> None:
        task.observed = Observed.ENDED
        self._report(now, task, state, reason, message, exit_code)

    def _report(
        self,
        now: Time,
        task: Task,
        state: TaskState,
        reason: Reason = Reason.NONE,
        message: str = "",
        exit_code: int | None = None,
    ) -> None:
        assert state in TRANSITIONS[task.state], f"{task} cannot become {state.name}"
        task.state = state
        statuses = self.statuses
        if len(message) > _MESSAGE_LIMIT:
            message = f"{message[:_MESSAGE_LIMIT]}…"
        status = TaskStatus(
            task.key[1], state, self.host_id, reason, message, exit_code, now, statuses.next_uuid(), task.data
        )
        statuses.add(task, status)

    def _repeat_status(self, task: Task) -> None:
        entry = task.entry
        if entry is not None and not self.statuses.pending(entry):
            self.statuses.add(task, entry.status._replace(uuid=self.statuses.next_uuid()))

    def _report_unknown(self, now: Time, key: TaskKey) -> None:
        unknown = Task(key, NOTHING)
        self._end(now, unknown, TaskState.GONE, Reason.RECONCILIATION, "this executor has no such task")
