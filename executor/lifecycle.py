"""The life of every task the executor holds. Pure: events in, operations, statuses and marks out.

`next_operation` is the whole decision: from what is wanted of a task, what was observed and the time, to the single
next operation, if any. Every `on_…` method records what happened and asks it again. The caller carries out
`operations`, asks what `questions` ask, writes `marks` down, sends what `statuses` has, and calls `on_time` at
`next_deadline`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from typing import Final

from executor.allow import ALLOWED_BY_DEFAULT, Allowed
from executor.health import Check, checks_of, healthy
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
    Progressed,
    Pull,
    Remove,
    Settled,
    Signal,
    Start,
    Task,
    TaskKey,
    Verdict,
)
from executor.spec import check_task, parts
from executor.statuses import Statuses
from offerer.containers import ContainerSpec
from offerer.errors import InvalidSpec
from offerer.ids import FrameworkId, HostId, TaskId
from offerer.resources import NOTHING
from offerer.task_states import TaskState, check_transition
from offerer.types import SECOND, Reason, TaskInfo, TaskStatus, Time

KILL_AGAIN_AFTER: Final[Time] = 10 * SECOND
_RETRY_AFTER: Final[tuple[Time, ...]] = tuple(n * SECOND // 2 for n in (1, 2, 4, 8, 16))
_MESSAGE_LIMIT: Final = 4096
_KILLED_BEFORE_START: Final = "stopped before it was started"


def _images(task: Task) -> str:
    names = list(dict.fromkeys(part.image for part in parts(task.spec)))
    return f"image {names[0]}" if len(names) == 1 else f"images {', '.join(names)}"


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
        if not task.signalled and now >= task.stop_at:
            return Signal(task, task.spec.stop_signal)
    return None


def _how(task: Task, event: Exited | Lost) -> tuple[Reason, str]:
    """Why and how a container ended by itself, for people; which one only where there are several."""
    kind = who = ""
    if event.container:
        kind = "init step" if event.container in {each.name for each in task.spec.init_steps} else "container"
        who = f"{kind} {event.container} "
    if isinstance(event, Lost):
        return Reason.CONTAINER_LOST, f"{kind} {event.container}: {event.message}" if who else event.message
    if event.out_of_memory:
        return Reason.OUT_OF_MEMORY, f"{who}used more memory than its limit ({task.resources}) and was killed"
    return Reason.EXITED, f"{who}exited with code {event.exit_code}"


class Lifecycle:
    """All tasks of one executor. `incarnation` is eight random bytes of this process."""

    def __init__(
        self, host_id: HostId, incarnation: bytes, *, creates: bool, allowed: Allowed = ALLOWED_BY_DEFAULT
    ) -> None:
        self.host_id = host_id
        self.tasks: dict[TaskKey, Task] = {}
        self.statuses = Statuses(incarnation)
        self.operations: deque[Operation] = deque()
        self.questions: deque[Check] = deque()
        self.marks: list[Mark] = []
        self._creates = creates
        self._allowed = allowed
        self._found_right: ContainerSpec | None = None  # the last one, and with which resources: many tasks in a row
        self._found_right_for = NOTHING  # have the same
        self._timers: list[tuple[Time, int, Task | Check]] = []  # a heap
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
            if task.spec is not self._found_right or info.resources != self._found_right_for:
                check_task(task.spec, info.resources)
                self._allowed.check(task.spec)
                self._found_right, self._found_right_for = task.spec, info.resources
        except InvalidSpec as error:
            self._end(now, task, TaskState.ERROR, Reason.INVALID_SPEC, str(error))
            return
        task.image_missing = self._creates and any(part.pull == "always" for part in parts(task.spec))
        self._step(now, task)

    def on_kill(self, now: Time, framework_id: FrameworkId, task_id: TaskId, grace: Time | None) -> None:
        """Stop this task, after its `shutdown_delay` unless no grace is given. A second request can only hurry it."""
        key = (framework_id, task_id)
        task = self.tasks.get(key)
        if task is None:
            self._report_unknown(now, key)
            return
        if task.observed is Observed.ENDED:
            return
        serves = task.observed is Observed.RUNNING and not self._prepares(task) and grace != 0
        stop_at = now + (task.spec.shutdown_delay if serves else 0)
        kill_at = min(task.kill_at, stop_at + (task.spec.stop_grace if grace is None else max(0, grace)))
        if task.stopping and kill_at == task.kill_at and not task.unhealthy:
            return
        task.unhealthy = ""
        self._stop(task, min(stop_at, task.stop_at) if task.stopping else stop_at, kill_at)
        if task.observed is Observed.NOTHING and (task.doing is None or type(task.doing) is Pull):
            # A pull is left to end by itself: it leaves nothing behind but an image, and could take minutes.
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, _KILLED_BEFORE_START)
            return
        if task.state is not TaskState.KILLING:
            self._report(now, task, TaskState.KILLING, Reason.KILL_REQUESTED)
        self._step(now, task)

    def on_acknowledged(self, uuid: bytes) -> None:
        """The status reached its framework. After that of its end, the task is forgotten."""
        entry = self.statuses.acknowledge(uuid)
        if entry is not None and entry.status.state >= TaskState.FINISHED:
            key = entry.task.key
            if self.tasks.get(key) is entry.task:
                del self.tasks[key]
                entry.task.entry = None  # or it would stay in memory until the collector comes by
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
        """What happened to a task by itself: its container ended or vanished. One that is not held is history."""
        task = self.tasks.get(event.key)
        if task is None or task.observed is Observed.ENDED:
            return
        if type(event) is Exited or type(event) is Lost:
            self._on_ended(now, task, event)
        elif type(event) is Progressed and type(task.doing) is Pull and not task.stopping:
            self._report(now, task, TaskState.STARTING, Reason.NONE, event.message)

    def on_answered(self, now: Time, check: Check, problem: str) -> None:
        """A probe was carried out: the empty problem is a success."""
        task = check.task
        if task.observed is not Observed.RUNNING or task.stopping or check not in task.checks:
            return
        changed = check.answer(now, problem)
        self._wake_at(now + check.interval, check)
        if not changed:
            return
        if check.liveness and check.verdict is False:
            task.unhealthy = str(check)
            self._stop(task, now, now + task.spec.stop_grace)
            self._report(now, task, TaskState.KILLING, Reason.UNHEALTHY, f"unhealthy: {task.unhealthy}")
            self._step(now, task)
        elif (now_healthy := healthy(task.checks)) is not task.healthy:
            task.healthy = now_healthy
            self._report(now, task, TaskState.RUNNING, Reason.NONE, str(check) if check.verdict is False else "")

    def on_adopted(self, now: Time, adopted: Adopted, killing: Killing | None) -> None:
        """A task of an earlier executor process is still in the runtime; `killing` is what was noted of it then."""
        task = adopted.task
        if task.key in self.tasks:
            return
        self.tasks[task.key] = task
        if killing is not None:
            task.stopping = True
            task.kill_at = killing.kill_at
            if task.spec.shutdown_delay and not killing.unhealthy:
                task.stop_at = killing.kill_at - task.spec.stop_grace
                self._wake_at(task.stop_at, task)
            task.unhealthy = killing.unhealthy
        for event in adopted.events:
            self.on_event(now, event)
        if task.observed is Observed.ENDED:
            return
        if task.state is TaskState.STAGING:
            state = TaskState.STARTING
            if task.observed is Observed.RUNNING and not self._prepares(task):
                state = TaskState.KILLING if task.stopping else TaskState.RUNNING
                self._begin_checks(now, task)
            self._report(now, task, state, Reason.RECONCILIATION, "adopted by a restarted executor")
        self._wake_at(task.kill_at, task)
        self._step(now, task)

    # -- time --------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> Time:
        """When `on_time` next has something to do; `NEVER` where nothing waits."""
        timer = self._timers[0][0] if self._timers else NEVER
        return min(timer, self.statuses.next_deadline())

    def on_time(self, now: Time) -> None:
        """Do what is due: kill what did not stop in its grace, try again, send again, ask after its health."""
        self.statuses.on_time(now)
        while self._timers and self._timers[0][0] <= now:
            due = heapq.heappop(self._timers)[2]
            if type(due) is Task:
                if due.observed is not Observed.ENDED:
                    self._step(now, due)
            elif type(due) is Check and due.task.observed is Observed.RUNNING and not due.task.stopping:
                self.questions.append(due)

    # -- for the connection to the master ----------------------------------------------------------------------------

    def held(self) -> Iterable[Task]:
        """Every task, those that ended and are not acknowledged included."""
        return self.tasks.values()

    def latest(self, task: Task) -> TaskStatus:
        """The latest status of a held task, and before it reported any, one without a uuid that says where it is."""
        return task.entry.status if task.entry else TaskStatus(task.task_id, task.state, self.host_id)

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
        if type(operation) is Start and task.spec.containers and not task.alive and not self._prepares(task):
            task.alive = {each.name for each in task.spec.containers}
        if type(operation) is Pull and task.state is TaskState.STAGING:
            self._report(now, task, TaskState.STARTING, Reason.NONE, f"pulling {_images(task)}")
        self.operations.append(operation)

    def _on_succeeded(self, now: Time, operation: Operation, outcome: Outcome) -> None:
        task = operation.task
        task.container = outcome.container or task.container
        task.data = outcome.data or task.data
        kind = type(operation)
        if kind is Start:
            task.observed = Observed.RUNNING
            if self._prepares(task):
                self._report_preparing(now, task)
            elif not task.stopping:
                self._report(now, task, TaskState.RUNNING)
                self._begin_checks(now, task)
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
        else:
            task.image_missing = True

    def _on_failed(self, now: Time, operation: Operation, outcome: Outcome) -> None:
        task = operation.task
        kind = type(operation)
        if kind is Signal or kind is Remove:  # the engine would not: try again, for ever, an end is owed
            self._retry_later(now, task)
            return
        if task.first_end is not None:
            self._finish(now, task, task.first_end)
        elif task.stopping:
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, _KILLED_BEFORE_START)
        elif outcome.reason is Reason.INVALID_SPEC:
            self._end(now, task, TaskState.ERROR, outcome.reason, outcome.message)
        else:
            self._end(now, task, TaskState.FAILED, outcome.reason, outcome.message)
        if self._creates and (kind is Start or len(parts(task.spec)) > 1):
            self.operations.append(Remove(task))  # or the next executor process would start it

    # -- the end of a container, and of its task ---------------------------------------------------------------------

    def _on_ended(self, now: Time, task: Task, event: Exited | Lost) -> None:
        """A container ended. An init step is followed by what comes next; of a pod, all end with the first."""
        steps = task.spec.init_steps
        if event.container and any(step.name == event.container for step in steps[: task.position]):
            return  # told again
        if type(event) is Exited and event.data:
            task.data = event.data
        if self._prepares(task) and not task.stopping and type(event) is Exited and event.exit_code == 0:
            task.position += 1
            task.observed = Observed.CREATED
            task.doing = None  # the answer to its start may still be on its way
            self._step(now, task)
        elif task.alive and event.container:
            self._on_one_of_pod_ended(now, task, event)
        else:
            self._finish(now, task, event)

    def _on_one_of_pod_ended(self, now: Time, task: Task, event: Exited | Lost) -> None:
        task.alive -= {event.container}
        if not task.alive:
            self._finish(now, task, task.first_end or event)
        elif not task.stopping:
            task.first_end = event
            task.stopping = True  # without a mark: a restarted executor sees for itself which of them has ended
            task.kill_at = now + task.spec.stop_grace
            self._wake_at(task.kill_at, task)
            reason, message = _how(task, event)
            self._report(now, task, TaskState.KILLING, reason, f"{message}; stopping the others of its pod")
            self._step(now, task)

    def _finish(self, now: Time, task: Task, event: Exited | Lost) -> None:
        """Nothing of the task runs any more; `event` is what decided it."""
        code = event.exit_code if type(event) is Exited else None
        reason, message = _how(task, event)
        if task.unhealthy:
            message = f"stopped because it was unhealthy: {task.unhealthy}"
            self._end(now, task, TaskState.FAILED, Reason.UNHEALTHY, message, code)
        elif task.stopping and task.first_end is None:
            message = message if type(event) is Lost else "stopped as requested"
            self._end(now, task, TaskState.KILLED, Reason.KILL_REQUESTED, message, code)
        elif reason is Reason.EXITED and code == 0:
            self._end(now, task, TaskState.FINISHED, reason, message, code)
        else:
            self._end(now, task, TaskState.FAILED, reason, message, code)
        if self._creates and self._prepares(task):
            self.operations.append(Remove(task))  # what was to follow the init step

    def _prepares(self, task: Task) -> bool:
        """Whether init steps are still to end, or to begin."""
        return task.position < len(task.spec.init_steps)

    def _report_preparing(self, now: Time, task: Task) -> None:
        if task.state in (TaskState.STAGING, TaskState.STARTING):
            name = task.spec.init_steps[task.position].name
            self._report(now, task, TaskState.STARTING, Reason.NONE, f"init step {name} runs")

    def _stop(self, task: Task, stop_at: Time, kill_at: Time) -> None:
        task.stopping = True
        task.stop_at, task.kill_at = stop_at, kill_at
        if task.spec.shutdown_delay:
            self._wake_at(stop_at, task)
        self.marks.append(Killing(task.key, kill_at, task.unhealthy))
        self._wake_at(kill_at, task)

    def _begin_checks(self, now: Time, task: Task) -> None:
        spec = task.spec
        if spec.readiness is not None or spec.liveness is not None or spec.containers:
            task.checks = checks_of(task, now)
            if not task.stopping:
                self.questions.extend(task.checks)

    def _retry_later(self, now: Time, task: Task) -> None:
        task.retry_at = now + _RETRY_AFTER[min(task.retries, len(_RETRY_AFTER) - 1)]
        task.retries += 1
        self._wake_at(task.retry_at, task)

    def _wake_at(self, at: Time, what: Task | Check) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (at, self._timer_count, what))

    # -- statuses ----------------------------------------------------------------------------------------------------

    def _end(
        self, now: Time, task: Task, state: TaskState, reason: Reason, message: str, exit_code: int | None = None
    ) -> None:
        task.observed = Observed.ENDED
        task.checks = ()
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
        if state is not task.state:
            check_transition(task.state, state)
            task.state = state
        statuses = self.statuses
        if len(message) > _MESSAGE_LIMIT:
            message = f"{message[:_MESSAGE_LIMIT]}…"
        status = TaskStatus(
            task.key[1], state, self.host_id, reason, message, exit_code, now, statuses.next_uuid(), task.data,
            task.healthy if state is TaskState.RUNNING else None,
        )  # fmt: skip
        statuses.add(task, status)

    def _repeat_status(self, task: Task) -> None:
        entry = task.entry
        if entry is not None and not self.statuses.pending(entry):
            self.statuses.add(task, entry.status._replace(uuid=self.statuses.next_uuid()))

    def _report_unknown(self, now: Time, key: TaskKey) -> None:
        unknown = Task(key, NOTHING)
        self._end(now, unknown, TaskState.GONE, Reason.RECONCILIATION, "this executor has no such task")
