"""What must hold after every event. Tests and the simulator call it; production does not."""

from __future__ import annotations

from offerer.allocator.drf import dominant_share
from offerer.core.state import Host, HostState, State
from offerer.resources import NOTHING, Resources


def check(state: State) -> None:
    """Raise AssertionError naming the first invariant that is broken."""
    for host in state.hosts.values():
        _check_host(state, host)
    _check_claimants(state)
    _check_offers(state)
    _check_tasks(state)
    total = NOTHING
    for ledger in state.allocator.hosts:
        total = total + ledger.total.without_ports()
    assert total == state.allocator.totals.resources, "the cluster's total is the sum of its hosts'"


def _check_host(state: State, host: Host) -> None:
    """Invariant 1: offered + allocated + free = total, each part ≥ 0, port by port."""
    used = NOTHING
    for offer in host.offers.values():
        used = _disjoint_sum(used, offer.grant.amount, host)
    for task in host.tasks.values():
        assert task.host is host, f"{host.name}: a task says it is elsewhere"
        if task.claimant is not None:
            used = _disjoint_sum(used, task.resources, host)
    assert used == host.used, f"{host.name}: {host.used} used, offers and tasks hold {used}"
    assert host.free == host.total.minus_up_to(used), f"{host.name}: {host.free} free of {host.total}"
    if host.total.contains(used):
        assert host.free + used == host.total, f"{host.name}: {host.free} free and {used} used of {host.total}"
    assert host.offerable == host.may_be_offered, f"{host.name}: offerable {host.offerable}"
    if host.state in (HostState.RECOVERING, HostState.UNREACHABLE):
        assert host not in state.allocator.hosts and not host.offers, f"{host.name}: {host.state} but counted"


def _disjoint_sum(used: Resources, amount: Resources, host: Host) -> Resources:
    """Invariant 2: no port is held twice."""
    both = used + amount
    assert both.port_count() == used.port_count() + amount.port_count(), f"{host.name}: a port is held twice"
    return both


def _check_claimants(state: State) -> None:
    roles: dict[str, Resources] = {}
    for framework in state.frameworks.values():
        for role, claimant in framework.claimants.items():
            used = NOTHING
            for offer in framework.offers.values():
                if offer.grant.claimant is claimant:
                    used = used + offer.grant.amount
            for task in framework.tasks.values():
                if task.claimant is claimant:
                    used = used + task.resources
            assert _same_scalars(used, claimant.used), f"{framework.id}: {claimant.used} charged, holds {used}"
            roles[role] = roles.get(role, NOTHING) + used
            active = framework.connected and role not in framework.suppressed
            assert claimant.active == active, f"{framework.id}: active {claimant.active}"
    for ledger in state.allocator.roles.clients.values():
        held = roles.get(ledger.name, NOTHING)
        assert _same_scalars(held, ledger.used), f"role {ledger.name}: {ledger.used} charged, holds {held}"
        share = state.allocator.roles.share(ledger)
        expected = dominant_share(held, state.allocator.totals.resources) * 1000 / ledger.weight
        assert share == expected, f"role {ledger.name}: share {share}"


def _same_scalars(a: Resources, b: Resources) -> bool:
    return list(a.scalars()) == list(b.scalars())


def _check_offers(state: State) -> None:
    for offer_id, offer in state.offers.items():
        assert offer.framework.offers.get(offer_id) is offer, f"offer {offer_id} is not in its framework's list"
        assert offer.host.offers.get(offer_id) is offer, f"offer {offer_id} is not in its host's list"
        assert offer.framework.connected, f"offer {offer_id} is out to a framework that is away"
        assert offer.host.may_be_offered, f"offer {offer_id} is of a host that is away, or not to be used"
    in_frameworks = sum(len(framework.offers) for framework in state.frameworks.values())
    in_hosts = sum(len(host.offers) for host in state.hosts.values())
    assert len(state.offers) == in_frameworks == in_hosts, "an offer is in one place only"


def _check_tasks(state: State) -> None:
    on_hosts = {id(task) for host in state.hosts.values() for task in host.tasks.values()}
    for framework in state.frameworks.values():
        for task_id, task in framework.tasks.items():
            assert task.status.task_id == task_id and task.framework is framework, f"task {task_id} is misfiled"
            assert task.host is None or id(task) in on_hosts, f"task {task_id} is unknown to its host"
            assert not (task.state.terminal and task.claimant), f"task {task_id} has ended and holds resources"
            assert not (task.state.terminal and task.acknowledged), f"task {task_id} should be forgotten"
            for uuid in task.uuids:
                assert state.unacknowledged.get(uuid) is task, f"task {task_id}: a status nobody can acknowledge"
    pending = sum(len(task.uuids) for framework in state.frameworks.values() for task in framework.tasks.values())
    assert pending == len(state.unacknowledged), "every unacknowledged status belongs to one task"
