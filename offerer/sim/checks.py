"""What must hold in a simulation: always (safety), and once nothing has gone wrong for a while (liveness)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from executor.records import Observed, TaskKey
from offerer.core.state import HostState
from offerer.ids import FrameworkId, HostId
from offerer.sim.frameworks import SimFramework
from offerer.sim.hosts import SimHost
from offerer.sim.master import SimMaster
from offerer.sim.network import Network
from offerer.sim.world import START, World
from offerer.task_states import TaskState
from offerer.types import SECOND


class SimulationFailed(AssertionError):
    """Something is wrong; the message says what, when, and how to see it again."""


def failure(wrong: str, world: World, replay: str) -> SimulationFailed:
    """The error for this, with its time, its seed and the command that replays it."""
    at = (world.now - START) / SECOND
    again = f"; replay it with: {replay}" if replay else ""
    return SimulationFailed(f"{wrong} (after {at:.6f} s and {world.steps} steps, seed {world.seed}{again})")


def check_safety(
    master: SimMaster, hosts: Mapping[str, SimHost], frameworks: Mapping[FrameworkId, SimFramework]
) -> None:
    """The books balance, every task ends once, and none is in two places."""
    master.cluster.check_invariants()
    assert not master.rejected, f"the master cut a peer off: {master.rejected[-1]}"
    seen: dict[TaskKey, str] = {}
    for host in hosts.values():
        if host.up:
            host.lifecycle.check_invariants()
            for key in _alive(host):
                other = seen.setdefault(key, host.name)
                assert other == host.name, f"task {key[1]} of {key[0]} runs on {other} and on {host.name}"
    for framework in frameworks.values():
        assert not framework.ended_again, f"{framework.id} was told twice that {framework.ended_again[-1]} has ended"


def _alive(host: SimHost) -> list[TaskKey]:
    return [key for key, task in host.lifecycle.tasks.items() if task.observed is not Observed.ENDED]


def unsettled(
    master: SimMaster,
    network: Network,
    hosts: Mapping[str, SimHost],
    frameworks: Mapping[FrameworkId, SimFramework],
) -> Iterator[str]:
    """Who can be reached and is not connected, what frameworks believe and is not so, what is free and not offered.

    Messages under way are no fault: what they will put right is wrong for a moment, what is wrong for longer is.
    """
    reachable = {name: host for name, host in hosts.items() if host.up and name not in network.cut_off}
    for host in reachable.values():
        known = master.cluster.state.hosts.get(host.id)
        if known is None or known.state is not HostState.ACTIVE:
            yield f"host {host.name} is up and not registered"
    alive = {key: host.name for host in reachable.values() for key in _alive(host)}
    hidden = {host.id for host in hosts.values()} - {host.id for host in reachable.values()}
    for framework in frameworks.values():
        if framework.id in network.cut_off:
            continue
        if framework.id in master.frameworks:
            yield from _wrongly_believed(master, framework, alive, hidden)
        else:
            yield f"framework {framework.id} is not connected"
    for key, name in alive.items():
        framework_of = frameworks.get(key[0])
        if framework_of is not None and key[0] not in network.cut_off and key[1] not in framework_of.states:
            yield f"{name} runs {key[1]}, which {key[0]} takes to have ended"
    yield from _starving(master)


def _wrongly_believed(
    master: SimMaster, framework: SimFramework, alive: Mapping[TaskKey, str], hidden: Collection[HostId]
) -> Iterator[str]:
    tasks = master.cluster.state.frameworks[framework.id].tasks
    for task_id, task_state in framework.states.items():
        task, runs_on = tasks.get(task_id), alive.get((framework.id, task_id))
        believed = f"{framework.id} takes {task_id} to be {task_state.name}"
        unreachable = task_state is TaskState.UNREACHABLE
        if task is None:
            yield f"{believed}, the master has no such task"
        elif task.host is not None and task.host.id in hidden:
            if not unreachable:
                yield f"{believed}, its host is away"
        elif runs_on is None:
            yield f"{believed}, no host has it"
        elif unreachable:
            yield f"{believed}, {runs_on} has it"


def _starving(master: SimMaster) -> Iterator[str]:
    """Invariant 6: what is free was offered to whoever wants it, or is kept for somebody, or was refused."""
    allocator = master.cluster.state.allocator
    for role in allocator.roles.clients.values():
        if role.limit or any(each.guarantee for each in allocator.roles.clients.values()):
            continue  # quota may keep it back
        for claimant in role.claimants.clients.values():
            if not claimant.active or claimant.demand is None or not claimant.demand.hungry():
                continue
            for host in allocator.hosts:
                kept = host.held_for is not None and host.held_for is not claimant
                if kept or not host.offerable or claimant in host.refusals or not allocator.worth_offering(host.free):
                    continue
                if claimant.demand.helped_by(host.name, host.attributes, host.free):
                    yield f"{claimant.framework_id} waits for what is free on {host.name} and not offered it"
