"""Hosts: registered, silent, unreachable, back, removed; and what that means for their tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from offerer.allocator import Claimant
from offerer.core import tasks as _tasks
from offerer.core.events import ClusterStarted, HeldTask, HostDisconnected, HostRegistered, HostRemoved
from offerer.core.frameworks import await_return, claimant_for
from offerer.core.offers import take_back
from offerer.core.outputs import Announce, ConfirmHost, ForgetHost, PersistHost
from offerer.core.state import Host, HostState, State, Task
from offerer.errors import NotFound, PeerError
from offerer.ids import HostId
from offerer.resources import NOTHING
from offerer.task_states import TRANSITIONS, TaskState
from offerer.types import Reason, TaskStatus


def on_cluster_started(state: State, event: ClusterStarted) -> None:
    """Wait for the hosts known from before; until they are back or unreachable nothing is offered."""
    state.term = event.term
    for known in event.hosts:
        host = Host(known.host_id, known.name, {}, NOTHING)
        state.hosts[host.id] = host
        state.recovering[host.id] = None
        host.timer = state.timers.set(
            state.now + state.settings.unreachable_after, partial(_become_unreachable, state, host)
        )


def on_host_registered(state: State, event: HostRegistered) -> None:
    """A host is (back) here: put its books right with what its executor has, and offer what is free."""
    _check(state, event)
    host = state.hosts.get(event.host_id)
    if host is None or host.name != event.name:
        state.outputs.append(PersistHost(event.host_id, event.name))
    if host is None:
        host = state.hosts[event.host_id] = Host(event.host_id, event.name, event.attributes, event.total)
    else:
        take_back(state, list(host.offers.values()))
    counted = host in state.allocator.hosts
    state.allocator.change_host(host, event.name, event.attributes, event.total)
    if not counted:
        state.allocator.add_host(host)
    host.address, host.runtime, host.software = event.address, event.runtime, event.software
    _stop_timer(host)
    host.state = HostState.ACTIVE
    state.outputs.append(ConfirmHost(host.id))
    _match_tasks(state, host, event.tasks, newly_counted=not counted)
    state.allocator.set_offerable(host, True)
    _recovered(state, host)


def _check(state: State, event: HostRegistered) -> None:
    seen = set()
    for held in event.tasks:
        key = held.framework_id, held.status.task_id
        framework = state.frameworks.get(held.framework_id)
        task = framework.tasks.get(held.status.task_id) if framework is not None else None
        if key in seen:
            raise PeerError(f"host {event.name!r} names task {key[1]!r} of {key[0]!r} twice")
        if task is not None and not task.state.terminal and task.host is not None and task.host.id != event.host_id:
            raise PeerError(f"host {event.name!r} claims task {key[1]!r} of {key[0]!r}, it is on {task.host.name!r}")
        seen.add(key)


def _match_tasks(state: State, host: Host, held_tasks: Sequence[HeldTask], *, newly_counted: bool) -> None:
    held_keys = {(held.framework_id, held.status.task_id) for held in held_tasks}
    for key, task in list(host.tasks.items()):
        if newly_counted and not task.state.terminal:
            task.claimant = _charge(state, host, task)
        if key not in held_keys and not task.state.terminal:
            _lost(state, host, task)
    for held in held_tasks:
        known = host.tasks.get((held.framework_id, held.status.task_id))
        if known is None:
            _adopt(state, host, held)
        else:
            _seen_again(state, host, known, held.status)
    for framework_id, task_id in list(host.asked):
        if (framework_id, task_id) not in held_keys and framework_id in state.frameworks:
            _tasks.answer_unknown(state, state.frameworks[framework_id], task_id, host.id)
    host.asked.clear()


def _charge(state: State, host: Host, task: Task) -> Claimant:
    claimant = claimant_for(state, task.framework)
    state.allocator.charge(claimant, host, task.resources)
    return claimant


def _lost(state: State, host: Host, task: Task) -> None:
    task_id = task.status.task_id
    if task.state is TaskState.STAGING:
        lost, reason, message = TaskState.DROPPED, Reason.NOT_DELIVERED, f"the launch did not reach host {host.name}"
    else:
        lost, reason, message = TaskState.GONE, Reason.RECONCILIATION, f"host {host.name} no longer has it"
    _tasks.set_status(state, task, _tasks.made_here(state, task_id, host.id, lost, reason, message))


def _adopt(state: State, host: Host, held: HeldTask) -> None:
    """A task from before this master, or of a framework that is still to come back."""
    framework = state.frameworks.get(held.framework_id)
    if framework is None:
        framework = state.framework(held.framework_id)
        await_return(state, framework)
    if held.status.task_id in framework.tasks:  # a launch of this very id was dropped meanwhile: it did run
        _tasks.forget(state, framework.tasks[held.status.task_id])
    status = held.status._replace(host_id=host.id)
    task = Task(framework, host, held.resources, status)
    host.tasks[framework.id, status.task_id] = framework.tasks[status.task_id] = task
    if status.state.terminal:  # the executor sends it again until it is acknowledged
        task.uuids.append(status.uuid)
        state.unacknowledged[status.uuid] = task
        return
    task.claimant = _charge(state, host, task)
    if framework.connected:
        _tasks.tell(state, framework, status._replace(reason=Reason.RECONCILIATION, uuid=b""))


def _seen_again(state: State, host: Host, task: Task, status: TaskStatus) -> None:
    if task.acknowledged and task.status.uuid == status.uuid:
        pass
    elif not status.state.terminal and status.state in TRANSITIONS[task.state]:
        back = task.state is TaskState.UNREACHABLE
        reason = Reason.HOST_RECOVERED if back else status.reason
        message = f"host {host.name} answers again" if back else status.message
        _tasks.set_status(
            state, task, status._replace(host_id=host.id, reason=reason, message=message, uuid=b"", at=state.now)
        )
    if task.killed and not task.state.terminal:
        _tasks.send_kill(state, task)


def on_host_disconnected(state: State, event: HostDisconnected) -> None:
    """No more offers of it; its tasks are taken to run on until it has been silent for too long."""
    host = state.hosts.get(event.host_id)
    if host is None or host.state is not HostState.ACTIVE:
        return
    host.state = HostState.DISCONNECTED
    state.allocator.set_offerable(host, False)
    take_back(state, list(host.offers.values()))
    patience = max(0, state.settings.unreachable_after - event.silent_for)
    host.timer = state.timers.set(state.now + patience, partial(_become_unreachable, state, host))


def _become_unreachable(state: State, host: Host) -> None:
    host.timer = None
    host.state = HostState.UNREACHABLE
    fields = {"host": host.name, "host_id": host.id, "tasks": str(len(host.tasks))}
    state.outputs.append(Announce("host_unreachable", fields))
    for task in host.tasks.values():
        if not task.state.terminal:
            _tasks.release(state, task)
            _tell_unreachable(state, host, task)
    for framework_id, task_id in host.asked:
        if framework_id in state.frameworks:
            _tasks.answer_unknown(state, state.frameworks[framework_id], task_id, host.id)
    if host in state.allocator.hosts:
        state.allocator.remove_host(host)
    _recovered(state, host)


def _tell_unreachable(state: State, host: Host, task: Task) -> None:
    message = f"host {host.name} does not answer"
    reason = Reason.HOST_UNREACHABLE
    task_id = task.status.task_id
    _tasks.set_status(state, task, _tasks.made_here(state, task_id, host.id, TaskState.UNREACHABLE, reason, message))


def on_host_removed(state: State, event: HostRemoved) -> None:
    """Its tasks are gone for good. Only a host that is not connected can be removed."""
    host = state.hosts.get(event.host_id)
    if host is None:
        raise NotFound(f"there is no host {event.host_id!r}")
    if host.state is HostState.ACTIVE:
        raise PeerError(f"host {host.name!r} is connected; stop its executor first")
    _stop_timer(host)
    for task in list(host.tasks.values()):
        message = f"host {host.name} was removed"
        if not task.state.terminal:
            _tasks.set_status(
                state,
                task,
                _tasks.made_here(
                    state, task.status.task_id, host.id, TaskState.GONE, Reason.HOST_REMOVED, message
                ),
            )
        if task.acknowledged and task.state.terminal:
            _tasks.forget(state, task)
        task.host = None
    if host in state.allocator.hosts:
        state.allocator.remove_host(host)
    del state.hosts[host.id]
    for framework_id, task_id in host.asked:
        if framework_id in state.frameworks:
            _tasks.answer_unknown(state, state.frameworks[framework_id], task_id, host.id)
    state.outputs.append(ForgetHost(host.id))
    _recovered(state, host)


def _stop_timer(host: Host) -> None:
    if host.timer is not None:
        host.timer.cancel()
        host.timer = None


def _recovered(state: State, host: Host) -> None:
    if host.id in state.recovering:
        del state.recovering[host.id]
        if not state.recovering:
            state.outputs.append(Announce("recovered", {"hosts": str(len(state.hosts))}))


def find_host(state: State, name_or_id: str) -> HostId:
    """The id of a host given by id or name. Raises `NotFound`."""
    if name_or_id in state.hosts:
        return HostId(name_or_id)
    found = [host.id for host in state.hosts.values() if host.name == name_or_id]
    if len(found) != 1:
        raise NotFound(f"there {'is no host' if not found else f'are {len(found)} hosts'} named {name_or_id!r}")
    return found[0]
