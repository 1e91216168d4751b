"""Frameworks: registered, away, retired; what they suppress, revive and demand."""

from __future__ import annotations

from functools import partial

from offerer.allocator import Claimant
from offerer.core import tasks as _tasks
from offerer.core.events import (
    DemandStated,
    FrameworkDisconnected,
    FrameworkRegistered,
    OffersRevived,
    OffersSuppressed,
    RoleConfigured,
)
from offerer.core.offers import take_back
from offerer.core.outputs import Announce, ConfirmFramework, PersistRole
from offerer.core.state import Framework, HostState, State, Task
from offerer.errors import InvalidInput, PeerError
from offerer.framework import Demand
from offerer.ids import DEFAULT_ROLE, FrameworkId, Role, TaskId
from offerer.resources import format_amount

_EVERYTHING = Demand(None)


def on_framework_registered(state: State, event: FrameworkRegistered) -> None:
    """A framework is (back) here: tell it of all its tasks, answer for those it believes in, offer."""
    if not event.roles:
        raise PeerError(f"framework {event.framework_id!r} names no role; name at least one, such as {DEFAULT_ROLE!r}")
    if TaskId("") in event.believed:
        raise PeerError(f"framework {event.framework_id!r} believes in a task without an id")
    framework = state.framework(event.framework_id)
    if framework.connected:
        raise PeerError(f"framework {event.framework_id!r} is connected already")
    if framework.timer is not None:
        framework.timer.cancel()
        framework.timer = None
    framework.failover_timeout = max(0, event.failover_timeout)
    framework.connected, framework.retired = True, False
    framework.suppressed.clear()
    _set_roles(state, framework, event.roles)
    known = [_tasks.as_told(task, task.status) for task in framework.tasks.values() if not _awaited(task)]
    state.outputs.append(ConfirmFramework(framework.id, known))
    for task_id, host_id in event.believed.items():
        if task_id not in framework.tasks:
            _tasks.answer_unknown(state, framework, task_id, host_id)
    for claimant in framework.claimants.values():
        state.allocator.set_active(claimant, True)


def _awaited(task: Task) -> bool:
    """Whether only the framework's own word says that there is this task, and its host is still to be heard."""
    return task.host is not None and task.host.state is HostState.RECOVERING


def _set_roles(state: State, framework: Framework, roles: tuple[Role, ...]) -> None:
    allocator = state.allocator
    for role in roles:
        if role not in framework.claimants:
            framework.claimants[role] = allocator.add_claimant(framework.id, role)
    for role, claimant in list(framework.claimants.items()):
        if role not in roles:
            heir = framework.claimants[roles[0]]
            for task in framework.tasks.values():
                if task.claimant is claimant and task.host is not None:
                    allocator.discharge(claimant, task.host, task.resources)
                    allocator.charge(heir, task.host, task.resources)
                    task.claimant = heir
            allocator.remove_claimant(claimant)
            del framework.claimants[role]


def claimant_for(state: State, framework: Framework) -> Claimant:
    """Who is charged for a task that was there before: the framework's first role."""
    if not framework.claimants:
        framework.claimants[DEFAULT_ROLE] = state.allocator.add_claimant(framework.id, DEFAULT_ROLE)
    return next(iter(framework.claimants.values()))


def on_framework_disconnected(state: State, event: FrameworkDisconnected) -> None:
    """Its offers come back; its tasks live on until its time-out."""
    framework = state.frameworks.get(event.framework_id)
    if framework is None or not framework.connected:
        return
    framework.connected = False
    take_back(state, list(framework.offers.values()), notify=False)
    for claimant in framework.claimants.values():
        state.allocator.set_active(claimant, False)
        state.allocator.revive(claimant)
        state.allocator.state_demand(claimant, _EVERYTHING, state.now)
    await_return(state, framework)


def await_return(state: State, framework: Framework) -> None:
    """Start the clock after which a framework that is away loses its tasks."""
    framework.timer = state.timers.set(state.now + framework.failover_timeout, partial(_retire, state, framework))


def _retire(state: State, framework: Framework) -> None:
    framework.timer = None
    framework.retired = True
    state.outputs.append(Announce("framework_retired", {"framework": framework.id, "tasks": str(len(framework.tasks))}))
    for task in list(framework.tasks.values()):
        if not task.state.terminal:
            task.killed = True
            _tasks.send_kill(state, task)
        _tasks.let_go(state, task)
    if not framework.tasks and framework.id in state.frameworks:
        _tasks.retire_completely(state, framework)


def _claimants(state: State, framework_id: FrameworkId, role: Role | None) -> list[Claimant]:
    framework = _tasks.registered(state, framework_id)
    if role is None:
        return list(framework.claimants.values())
    if role not in framework.claimants:
        raise PeerError(f"framework {framework_id!r} is not registered under role {role!r}")
    return [framework.claimants[role]]


def on_offers_suppressed(state: State, event: OffersSuppressed) -> None:
    """No more offers; those out stay out."""
    for claimant in _claimants(state, event.framework_id, event.role):
        state.frameworks[event.framework_id].suppressed[Role(claimant.role.name)] = None
        state.allocator.set_active(claimant, False)


def on_offers_revived(state: State, event: OffersRevived) -> None:
    """Offers again, whatever was refused."""
    for claimant in _claimants(state, event.framework_id, event.role):
        state.frameworks[event.framework_id].suppressed.pop(Role(claimant.role.name), None)
        state.allocator.revive(claimant)
        state.allocator.set_active(claimant, True)


def on_demand_stated(state: State, event: DemandStated) -> None:
    """From now on only what helps."""
    for claimant in _claimants(state, event.framework_id, event.role):
        state.allocator.state_demand(claimant, event.demand, state.now)


def on_role_configured(state: State, event: RoleConfigured) -> None:
    """New weight or quota; offers out stay out, the next ones follow it."""
    _check_role(state, event)
    role = state.allocator.role(event.role)
    state.allocator.configure_role(role, event.weight, event.guarantee, event.limit)
    state.outputs.append(PersistRole(event.role, role.weight, role.guarantee, role.limit))


def _check_role(state: State, event: RoleConfigured) -> None:
    known = state.allocator.roles.clients.get(event.role)
    if event.weight is not None and event.weight < 1:
        raise InvalidInput(f"weight of role {event.role}: {event.weight / 1000:g} must be 0.001 or more")
    guarantee = event.guarantee if event.guarantee is not None else known.guarantee if known else {}
    limit = event.limit if event.limit is not None else known.limit if known else {}
    for field, amounts in (("guarantee", guarantee), ("limit", limit)):
        for name, amount in amounts.items():
            if amount < 0 or name == "ports":
                wrong = f"{name} {amount} must be an amount of 0 or more, and not of ports"
                raise InvalidInput(f"{field} of role {event.role}: {wrong}")
    for name, amount in guarantee.items():
        most = limit.get(name, amount)
        if amount > most:
            above = f"{format_amount(name, amount)} is above the limit {format_amount(name, most)}"
            raise InvalidInput(f"guarantee of role {event.role}: {above}; raise the limit first")
