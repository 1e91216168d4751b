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
from offerer.core.state import Framework, State
from offerer.errors import PeerError
from offerer.framework import Demand
from offerer.ids import DEFAULT_ROLE, Role
from offerer.types import SECOND, Time

UNKNOWN_FAILOVER_TIMEOUT: Time = 7 * 24 * 3600 * SECOND
"""For a framework that only its tasks on some host speak of."""

_EVERYTHING = Demand(None)


def on_framework_registered(state: State, event: FrameworkRegistered) -> None:
    """A framework is (back) here: tell it of all its tasks, answer for those it believes in, offer."""
    framework = state.framework(event.framework_id)
    if framework.connected:
        raise PeerError(f"framework {event.framework_id!r} is connected already")
    if framework.timer is not None:
        framework.timer.cancel()
        framework.timer = None
    framework.failover_timeout = event.failover_timeout
    framework.connected, framework.retired = True, False
    framework.suppressed.clear()
    _set_roles(state, framework, event.roles)
    state.outputs.append(ConfirmFramework(framework.id, [task.status for task in framework.tasks.values()]))
    for task_id, host_id in event.believed.items():
        if task_id not in framework.tasks:
            _tasks.answer_unknown(state, framework, task_id, host_id)
    for claimant in framework.claimants.values():
        state.allocator.set_active(claimant, True)


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
    timeout = framework.failover_timeout or UNKNOWN_FAILOVER_TIMEOUT
    framework.timer = state.timers.set(state.now + timeout, partial(_retire, state, framework))


def _retire(state: State, framework: Framework) -> None:
    framework.timer = None
    framework.retired = True
    state.outputs.append(Announce("framework_retired", {"framework": framework.id, "tasks": str(len(framework.tasks))}))
    for task in list(framework.tasks.values()):
        if task.state.terminal:
            _tasks.forget(state, task)
        else:
            task.killed = True
            _tasks.send_kill(state, task)
    if not framework.tasks and framework.id in state.frameworks:
        _tasks.retire_completely(state, framework)


def _claimants(state: State, framework_id: str, role: Role | None) -> list[Claimant]:
    framework = state.frameworks.get(framework_id)  # type: ignore[call-overload]
    if framework is None or not framework.connected:
        raise PeerError(f"framework {framework_id!r} is not registered")
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
    role = state.allocator.role(event.role)
    state.allocator.configure_role(role, event.weight, event.guarantee, event.limit)
    state.outputs.append(PersistRole(event.role, role.weight, role.guarantee, role.limit))
