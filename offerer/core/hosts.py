"""Hosts: registered, silent, unreachable, back, removed; and what that means for their tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from offerer.core import tasks as _tasks
from offerer.core.events import (
    ClusterStarted,
    HeldTask,
    HostAvailabilitySet,
    HostDisconnected,
    HostRegistered,
    HostRemoved,
)
from offerer.core.frameworks import await_return, claimant_for
from offerer.core.offers import take_back
from offerer.core.outputs import Announce, ConfirmHost, ForgetHost, PersistHost
from offerer.core.state import Host, HostState, State, Task, TaskKey
from offerer.errors import NotFound, PeerError
from offerer.ids import HostId
from offerer.resources import NOTHING, Resources
from offerer.task_states import TRANSITIONS, TaskState
from offerer.types import Reason, TaskStatus


def on_cluster_started(state: State, event: ClusterStarted) -> None:
    """Wait for the hosts known from before; until they are back or unreachable nothing is offered."""
    state.term = event.term
    for known in event.hosts:
        host = Host(known.host_id, known.name, {}, NOTHING)
        host.availability = known.availability
        state.hosts[host.id] = host
        state.recovering[host.id] = None
        host.timer = state.timers.set(
            state.now + state.settings.unreachable_after, partial(_become_unreachable, state, host)
        )


def on_host_registered(state: State, event: HostRegistered) -> None:
    """A host is (back) here: put its books right with what its executor has, and offer what is free."""
    _check(state, event)
    host = state.hosts.get(event.host_id)
    if host is None:
        host = state.hosts[event.host_id] = Host(event.host_id, event.name, event.attributes, event.total)
        _persist(state, host)
    else:
        take_back(state, list(host.offers.values()))
    renamed = host.name != event.name
    counted = host in state.allocator.hosts
    state.allocator.change_host(host, event.name, event.attributes, event.total)
    if not counted:
        state.allocator.add_host(host)
    host.address, host.runtime, host.software = event.address, event.runtime, event.software
    _stop_timer(host)
    host.state = HostState.ACTIVE
    state.outputs.append(ConfirmHost(host.id))
    _match_tasks(state, host, event.tasks, newly_counted=not counted)
    state.allocator.set_offerable(host, host.may_be_offered)
    if renamed:
        _persist(state, host)
    _recovered(state, host)


def _persist(state: State, host: Host) -> None:
    state.outputs.append(PersistHost(host.id, host.name, host.availability))


def on_host_availability_set(state: State, event: HostAvailabilitySet) -> None:
    """Offers of it come back unless it may be used; frameworks hear of each of their tasks when draining turns."""
    host = state.hosts.get(event.host_id)
    if host is None:
        raise NotFound(f"there is no host {event.host_id!r}")
    if host.availability is event.availability:
        return
    was_draining, host.availability = host.draining, event.availability
    _persist(state, host)
    state.allocator.set_offerable(host, host.may_be_offered)
    if not host.may_be_offered:
        take_back(state, list(host.offers.values()))
    if host.draining is not was_draining:
        _tasks.tell_of_draining(state, host)


def _check(state: State, event: HostRegistered) -> None:
    owners: dict[bytes, TaskKey] = {}
    keys = set()
    ports = NOTHING
    for held in event.tasks:
        status = held.status
        key = held.framework_id, status.task_id
        framework = state.frameworks.get(held.framework_id)
        task = framework.tasks.get(status.task_id) if framework is not None else None
        if key in keys:
            raise PeerError(f"host {event.name!r} names task {key[1]!r} of {key[0]!r} twice")
        if task is not None and not task.state.terminal and task.host is not None and task.host.id != event.host_id:
            raise PeerError(f"host {event.name!r} claims task {key[1]!r} of {key[0]!r}, it is on {task.host.name!r}")
        keys.add(key)
        if status.uuid or status.state.terminal:  # of a task it has not reported yet there is none, and none is needed
            _tasks.check_uuid(state, status, task, key, owners)
        if not status.state.terminal:
            own = (task.resources if task is not None and task.claimant is not None else held.resources).ports
            before = ports.port_count()
            ports = ports + Resources(ports=own)
            if ports.port_count() != before + Resources(ports=own).port_count():
                raise PeerError(f"host {event.name!r}: task {key[1]!r} of {key[0]!r} has a port of another task's")


def _match_tasks(state: State, host: Host, held_tasks: Sequence[HeldTask], *, newly_counted: bool) -> None:
    held_by_key = {(held.framework_id, held.status.task_id): held for held in held_tasks}
    for key, task in list(host.tasks.items()):
        held = held_by_key.pop(key, None)
        if held is not None:
            _seen_again(state, host, task, held, newly_counted=newly_counted)
        elif not task.state.terminal:
            _lost(state, host, task)
        elif task.framework.retired:
            _tasks.forget(state, task)
    for held in held_by_key.values():
        _adopt(state, host, held)


def _charge(state: State, host: Host, task: Task) -> None:
    task.claimant = claimant_for(state, task.framework)
    state.allocator.charge(task.claimant, host, task.resources)


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
    status = held.status._replace(host_id=host.id)
    if status.task_id in framework.tasks:  # its framework was told meanwhile that it ended, and never that it runs
        return _tasks.stop_orphan(state, host, framework.id, status)
    if status.state.terminal and framework.retired:
        return  # nobody is left to tell
    task = Task(framework, host, held.resources, status)
    host.tasks[framework.id, status.task_id] = framework.tasks[status.task_id] = task
    if status.state.terminal:  # the executor sends it again until it is acknowledged
        task.uuids += (status.uuid,)
        state.unacknowledged[status.uuid] = task
        return
    _charge(state, host, task)
    if framework.connected:
        again = status._replace(reason=Reason.RECONCILIATION, uuid=b"", draining=host.draining)
        _tasks.tell(state, framework, again)
    early = (framework.id, status.task_id)
    if framework.retired or early in state.early_kills:
        task.killed, task.kill_grace = True, state.early_kills.pop(early, None)
        _tasks.send_kill(state, task)


def _seen_again(state: State, host: Host, task: Task, held: HeldTask, *, newly_counted: bool) -> None:
    status = held.status
    if task.state.terminal:
        if status.uuid != task.status.uuid:
            _tasks.stop_orphan(state, host, task.framework.id, status)
        return
    if newly_counted:
        task.resources = held.resources  # the executor knows; of a task that was only believed in we do not
    if status.state.terminal:
        return  # it is sent again until it is acknowledged
    if newly_counted:
        _charge(state, host, task)
    if status.state in TRANSITIONS[task.state] and not (task.acknowledged and task.status.uuid == status.uuid):
        _tell_seen(state, host, task, status)
    if task.killed:
        _tasks.send_kill(state, task)


def _tell_seen(state: State, host: Host, task: Task, status: TaskStatus) -> None:
    reason, message = status.reason, status.message
    if task.state is TaskState.UNREACHABLE:
        reason, message = Reason.HOST_RECOVERED, f"host {host.name} answers again"
        if host.id in state.recovering:  # nobody was told that it did not
            reason, message = Reason.RECONCILIATION, status.message
    _tasks.set_status(
        state, task, status._replace(host_id=host.id, reason=reason, message=message, uuid=b"", at=state.now)
    )


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
            _tasks.set_status(state, task, _tasks.unreachable(state, host, task.status.task_id))
    if host in state.allocator.hosts:
        state.allocator.remove_host(host)
    _recovered(state, host)


def on_host_removed(state: State, event: HostRemoved) -> None:
    """Its tasks are gone for good. Only a host that is not connected can be removed."""
    host = state.hosts.get(event.host_id)
    if host is None:
        raise NotFound(f"there is no host {event.host_id!r}")
    if host.state is HostState.ACTIVE:
        raise PeerError(f"host {host.name!r} is connected; stop its executor first")
    _stop_timer(host)
    message = f"host {host.name} was removed"
    for task in list(host.tasks.values()):
        task_id = task.status.task_id
        if not task.state.terminal:
            gone = _tasks.made_here(state, task_id, host.id, TaskState.GONE, Reason.HOST_REMOVED, message)
            _tasks.set_status(state, task, gone)
        elif task.framework.retired:
            _tasks.forget(state, task)
        task.host = None
    if host in state.allocator.hosts:
        state.allocator.remove_host(host)
    del state.hosts[host.id]
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
            _tasks.answer_early_kills(state)
            state.outputs.append(Announce("recovered", {"hosts": str(len(state.hosts))}))


def find_host(state: State, name_or_id: str) -> HostId:
    """The id of a host given by id or name. Raises `NotFound`."""
    if name_or_id in state.hosts:
        return HostId(name_or_id)
    found = [host.id for host in state.hosts.values() if host.name == name_or_id]
    if not found:
        raise NotFound(f"there is no host {name_or_id!r}")
    if len(found) > 1:
        listed = ", ".join(f"{host_id} ({state.hosts[host_id].state.value})" for host_id in found)
        raise NotFound(f"there are {len(found)} hosts named {name_or_id!r}; give the id of one: {listed}")
    return found[0]
