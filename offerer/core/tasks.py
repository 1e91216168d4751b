"""Tasks: their statuses on the way from the executor to the framework, acknowledgements back, kills."""

from __future__ import annotations

from offerer.core.events import KillOrdered, KillRequested, StatusesAcknowledged, TaskStatusesReported
from offerer.core.outputs import AcknowledgeStatuses, ForwardStatuses, KillTask
from offerer.core.state import Framework, Host, HostState, State, Task, TaskKey
from offerer.errors import NotFound, PeerError
from offerer.ids import FrameworkId, HostId, TaskId
from offerer.resources import NOTHING
from offerer.task_states import TRANSITIONS, TaskState, check_transition
from offerer.types import Reason, TaskStatus, Time

_MADE_HERE = b"offerer:"
"""How the uuid of a status begins that the master made: nobody waits for its acknowledgement but the master."""


def on_task_statuses_reported(state: State, event: TaskStatusesReported) -> None:
    """Take each status over, in order; what is older than what is known is acknowledged and dropped."""
    host = state.hosts.get(event.host_id)
    if host is None or host.state is not HostState.ACTIVE:
        raise PeerError(f"host {event.host_id!r} reports statuses but is not registered")
    tasks: list[Task | None] = []
    owners: dict[bytes, TaskKey] = {}
    for framework_id, status in event.statuses:
        key = framework_id, status.task_id
        task = host.tasks.get(key)
        if task is None and _lives_elsewhere(state.frameworks.get(framework_id), status.task_id):
            raise PeerError(f"task {status.task_id!r} of {framework_id!r} is not on host {host.name!r} but on another")
        check_uuid(state, status, task, key, owners)
        tasks.append(task)
    stale: list[bytes] = []
    for task, (framework_id, status) in zip(tasks, event.statuses, strict=True):
        if task is None:  # ended, handled by its framework and forgotten; the acknowledgement got lost
            stale.append(status.uuid)
            stop_orphan(state, host, framework_id, status)
        elif task.framework.retired:
            _take_for_nobody(state, task, status, stale)
        elif task.state.terminal and task.status.uuid.startswith(_MADE_HERE):
            stale.append(status.uuid)
            stop_orphan(state, host, framework_id, status)
        elif status.uuid == task.status.uuid and not task.acknowledged:
            forward(state, task, status)  # sent again
        elif status.state in TRANSITIONS[task.state] or (status.state is task.state and not status.state.terminal):
            _take(state, task, status, stale)
        else:
            stale.append(status.uuid)
    if stale:
        state.outputs.append(AcknowledgeStatuses(host.id, stale))


def check_uuid(state: State, status: TaskStatus, task: Task | None, key: TaskKey, owners: dict[bytes, TaskKey]) -> None:
    """Raise `PeerError` for a status without a uuid of its own: its acknowledgement would go astray.

    `owners` gathers the uuids of one message, each with the task whose it is.
    """
    uuid = status.uuid
    if not uuid:
        raise PeerError(f"status of task {status.task_id!r}: it has no uuid")
    if state.unacknowledged.get(uuid, task) is not task or owners.setdefault(uuid, key) != key:
        raise PeerError(f"status of task {status.task_id!r}: its uuid is that of another task's status")


def stop_orphan(state: State, host: Host, framework_id: FrameworkId, status: TaskStatus) -> None:
    """A task that ended as far as its framework was told must not live on unseen."""
    if not status.state.terminal:
        state.outputs.append(KillTask(host.id, framework_id, status.task_id, None))


def _lives_elsewhere(framework: Framework | None, task_id: TaskId) -> bool:
    task = framework.tasks.get(task_id) if framework is not None else None
    return task is not None and not task.state.terminal


def _take(state: State, task: Task, status: TaskStatus, stale: list[bytes]) -> None:
    if task.status.uuid == status.uuid:  # said before, and handled
        stale.append(status.uuid)
        return
    set_status(state, task, status)


def _take_for_nobody(state: State, task: Task, status: TaskStatus, stale: list[bytes]) -> None:
    """A status for a framework that was away too long: the executor need not keep it."""
    if status.uuid not in task.uuids:
        stale.append(status.uuid)
    if status.state in TRANSITIONS[task.state]:
        task.status = status
    if task.framework.tasks.get(status.task_id) is task:  # not forgotten by a status before, of the same batch
        let_go(state, task)


def let_go(state: State, task: Task) -> None:
    """Nobody has to hear of this task: its executor may forget its statuses, and we its end.

    While the host is away an end is kept for the framework, which may return before its host does.
    """
    host = task.host
    if host is not None and host.state is not HostState.ACTIVE:
        return
    uuids = [uuid for uuid in task.uuids if not uuid.startswith(_MADE_HERE)]
    if host is not None and uuids:
        state.outputs.append(AcknowledgeStatuses(host.id, uuids))
    for uuid in task.uuids:
        del state.unacknowledged[uuid]
    task.uuids = ()
    if task.state.terminal:
        forget(state, task)


def set_status(state: State, task: Task, status: TaskStatus) -> None:
    """The task has a new status: keep the books, tell the framework. Raises `IllegalTransition`."""
    if status.state is not task.state:
        check_transition(task.state, status.state)
    task.status = status
    task.acknowledged = False
    if status.state.terminal:
        release(state, task)
        if task.framework.retired:  # nobody is left to tell
            return forget(state, task)
    forward(state, task, status)


def release(state: State, task: Task) -> None:
    """Give back what the task held."""
    if task.claimant is not None and task.host is not None:
        state.allocator.discharge(task.claimant, task.host, task.resources)
        task.claimant = None


def forward(state: State, task: Task, status: TaskStatus) -> None:
    """Tell the framework, now or when it registers again."""
    if status.uuid and status.uuid not in task.uuids:
        task.uuids += (status.uuid,)
        state.unacknowledged[status.uuid] = task
    if task.framework.connected:
        tell(state, task.framework, as_told(task, status))


def as_told(task: Task, status: TaskStatus) -> TaskStatus:
    """A status of this task as its framework is to see it."""
    return status._replace(draining=True) if task.host is not None and task.host.draining else status


def tell_of_draining(state: State, host: Host) -> None:
    """Frameworks learn by the latest status of each task there that their host is to be emptied, or no longer is."""
    if host.state is HostState.RECOVERING:  # nothing is known of tasks there but what frameworks believe
        return
    for task in host.tasks.values():
        if task.framework.connected and not task.state.terminal:
            tell(state, task.framework, task.status._replace(draining=host.draining))


def tell(state: State, framework: Framework, status: TaskStatus) -> None:
    """Send a status, in one output with those before it."""
    last = state.outputs[-1] if state.outputs else None
    if isinstance(last, ForwardStatuses) and last.framework_id == framework.id:
        last.statuses.append(status)
    else:
        state.outputs.append(ForwardStatuses(framework.id, [status]))


def forget(state: State, task: Task) -> None:
    """The task has ended and its framework knows: nothing of it remains."""
    release(state, task)
    for uuid in task.uuids:
        state.unacknowledged.pop(uuid, None)
    task_id, framework = task.status.task_id, task.framework
    if task.host is not None:
        task.host.tasks.pop((framework.id, task_id), None)
    framework.tasks.pop(task_id, None)
    if framework.retired and not framework.tasks:
        retire_completely(state, framework)


def retire_completely(state: State, framework: Framework) -> None:
    """A framework that stayed away too long has no task left: forget it."""
    for claimant in framework.claimants.values():
        state.allocator.remove_claimant(claimant)
    state.frameworks.pop(framework.id, None)


def made_here(
    state: State, task_id: TaskId, host_id: HostId, task_state: TaskState, reason: Reason, message: str
) -> TaskStatus:
    """A status that the master makes itself; a terminal one is kept until acknowledged."""
    uuid = _MADE_HERE + state.next_id().to_bytes(8, "big") if task_state.terminal else b""
    return TaskStatus(task_id, task_state, host_id, reason, message, None, state.now, uuid)


def drop(state: State, framework: Framework, task_id: TaskId, reason: Reason, message: str) -> None:
    """A launch that cannot be: never silence. One of a task that lives already is answered with where that is."""
    task = framework.tasks.get(task_id)
    if task is not None:
        answer = as_told(task, task.status)._replace(reason=Reason.RECONCILIATION, message="launched before", uuid=b"")
        return tell(state, framework, answer) if not task.state.terminal else forward(state, task, task.status)
    _tell_end(state, framework, made_here(state, task_id, HostId(""), TaskState.DROPPED, reason, message))


def _tell_end(state: State, framework: Framework, status: TaskStatus) -> None:
    """The end of a task that no host has: kept until the framework has acknowledged it."""
    task = framework.tasks[status.task_id] = Task(framework, None, NOTHING, status)
    forward(state, task, status)


def answer_unknown(state: State, framework: Framework, task_id: TaskId, host_id: HostId) -> None:
    """A framework asks about a task that no record speaks of: only its host can know, if there is one.

    While that host is away the task is taken to be there; a host still awaited is given its time before that is said.
    """
    host = state.hosts.get(host_id)
    if host is None or host.state in (HostState.ACTIVE, HostState.DISCONNECTED):
        message = "the cluster has no such task" if host is None else f"host {host.name} does not have it"
        gone = made_here(state, task_id, host_id, TaskState.GONE, Reason.RECONCILIATION, message)
        return _tell_end(state, framework, gone)
    status = unreachable(state, host, task_id)
    task = Task(framework, host, NOTHING, status)
    framework.tasks[task_id] = host.tasks[framework.id, task_id] = task
    if host.state is HostState.UNREACHABLE:
        tell(state, framework, status)


def unreachable(state: State, host: Host, task_id: TaskId) -> TaskStatus:
    """The status of a task on a host that is silent."""
    message = f"host {host.name} does not answer"
    return made_here(state, task_id, host.id, TaskState.UNREACHABLE, Reason.HOST_UNREACHABLE, message)


def on_kill_requested(state: State, event: KillRequested) -> None:
    """Pass it on, or keep it for when the host is back. An unknown task is answered for once all hosts are here."""
    if not event.task_id:
        raise PeerError("kill: it names no task")
    framework = registered(state, event.framework_id)
    task = framework.tasks.get(event.task_id)
    if task is None and state.recovering:
        state.early_kills[framework.id, event.task_id] = event.grace
        return
    if task is None:
        return answer_unknown(state, framework, event.task_id, HostId(""))
    if task.state.terminal:
        forward(state, task, task.status)
        return
    _stop(state, task, event.grace)


def on_kill_ordered(state: State, event: KillOrdered) -> None:
    """Stop it; its framework hears how it ended, as of any other end, and may start another."""
    framework = state.frameworks.get(event.framework_id)
    task = framework.tasks.get(event.task_id) if framework is not None else None
    if task is None or task.state.terminal:
        raise NotFound(f"framework {event.framework_id!r} has no task {event.task_id!r} that runs")
    _stop(state, task, event.grace)


def _stop(state: State, task: Task, grace: Time | None) -> None:
    task.killed = True
    task.kill_grace = grace
    send_kill(state, task)


def answer_early_kills(state: State) -> None:
    """All hosts are here, or silent: what they did not bring along is not there."""
    for framework_id, task_id in state.early_kills:
        framework = state.frameworks.get(framework_id)
        if framework is not None and framework.connected and task_id not in framework.tasks:
            answer_unknown(state, framework, task_id, HostId(""))
    state.early_kills.clear()


def registered(state: State, framework_id: FrameworkId) -> Framework:
    """The framework of an event of its own. Raises `PeerError` where it is not connected."""
    framework = state.frameworks.get(framework_id)
    if framework is None or not framework.connected:
        raise PeerError(f"framework {framework_id!r} is not registered")
    return framework


def send_kill(state: State, task: Task) -> None:
    """Tell the executor, if it is there."""
    host = task.host
    if host is not None and host.state is HostState.ACTIVE:
        state.outputs.append(KillTask(host.id, task.framework.id, task.status.task_id, task.kill_grace))


def on_statuses_acknowledged(state: State, event: StatusesAcknowledged) -> None:
    """Let executors forget what frameworks have handled. One acknowledgement covers the task's earlier statuses."""
    per_host: dict[Host, list[bytes]] = {}
    for uuid in event.uuids:
        task = state.unacknowledged.get(uuid)
        if task is None or task.framework.id != event.framework_id:
            continue  # acknowledged before, or somebody else's
        position = task.uuids.index(uuid) + 1
        covered, task.uuids = task.uuids[:position], task.uuids[position:]
        for each in covered:
            del state.unacknowledged[each]
            if task.host is not None and not each.startswith(_MADE_HERE):
                per_host.setdefault(task.host, []).append(each)
        if uuid == task.status.uuid:
            task.acknowledged = True
            if task.state.terminal:
                forget(state, task)
    for host, uuids in per_host.items():
        if host.state is HostState.ACTIVE:
            state.outputs.append(AcknowledgeStatuses(host.id, uuids))
