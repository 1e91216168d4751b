"""The allocator alone: quota arithmetic, demand, holds, and that it looks only where something changed."""

import pytest

from offerer import Constraint, Demand, Resources, Want
from offerer.allocator import Allocator, HostLedger, dominant_share
from offerer.allocator.demand import how_many_fit
from offerer.allocator.quota import capped
from offerer.resources import GIB
from offerer.types import SECOND

R = Resources.parse


def allocator_with(*hosts, claimants=("f1",)):
    allocator = Allocator()
    ledgers = {}
    for name, total in hosts:
        host = ledgers[name] = HostLedger(name, name, {}, R(total))
        allocator.add_host(host)
        allocator.set_offerable(host, True)
    made = []
    for name in claimants:
        claimant = allocator.add_claimant(name, f"role-{name}")
        allocator.set_active(claimant, True)
        made.append(claimant)
    return allocator, ledgers, made


def told(grants):
    return [(grant.claimant.name, grant.host.name, str(grant.amount)) for grant in grants]


@pytest.mark.parametrize(
    ("amount", "one", "n"),
    [
        ("cpus=4;memory=1GiB", "cpus=1", 4),
        ("cpus=4;memory=1GiB", "cpus=1;memory=512MiB", 2),
        ("cpus=4;disk=3GiB", "disk=1GiB", 3),
        ("gpus=2", "gpus=1", 2),
        ("licences=7", "licences=2", 3),
        ("cpus=4", "licences=1", 0),
        ("cpus=4;ports=80-89", "cpus=1;ports=80", 1),
        ("cpus=4;ports=81-89", "cpus=1;ports=80", 0),
        ("cpus=4", "", 9),
    ],
)
def test_how_many_tasks_fit(amount, one, n):
    assert how_many_fit(R(amount), R(one), 9) == n


@pytest.mark.parametrize(
    ("used", "total", "share"),
    [
        ("cpus=1;memory=1GiB", "cpus=4;memory=2GiB", 0.5),
        ("disk=1GiB", "cpus=4;disk=4GiB", 0.25),
        ("gpus=3", "gpus=4", 0.75),
        ("licences=1", "licences=5", 0.2),
        ("cpus=2", "cpus=1", 2.0),
        ("gpus=1", "cpus=4", 0.0),
        ("ports=80", "cpus=4;ports=80-81", 0.0),
    ],
)
def test_dominant_share(used, total, share):
    assert dominant_share(R(used), R(total)) == share


def test_a_cap_leaves_ports_and_what_is_not_named_as_it_is():
    amount = R("cpus=4;memory=1GiB;disk=2GiB;gpus=2;licences=3;fpga=1;ports=80-89")
    caps = {"cpus": 1000, "disk": 9 * GIB, "gpus": 0, "licences": 2, "fpga": 0}
    assert capped(amount, caps) == R("cpus=1;memory=1GiB;disk=2GiB;licences=2;ports=80-89")


def test_only_hosts_where_something_changed_are_looked_at():
    allocator, hosts, (f1,) = allocator_with(("h1", "cpus=1"), ("h2", "cpus=1"))
    assert not allocator.idle
    first, second = allocator.run(0)
    assert allocator.idle
    allocator.settle(first, first.amount, 0, refuse_for=SECOND)
    assert allocator.run(0) == []
    assert allocator.idle
    assert allocator.end_refusals(f1, [hosts["h1"]], SECOND, SECOND) == []
    assert told(allocator.run(SECOND)) == [("f1", "h1", "cpus=1")]
    assert second.host is hosts["h2"]


def test_a_refusal_ends_in_its_own_time_whichever_timer_asks():
    allocator, hosts, (f1,) = allocator_with(("h1", "cpus=1"))
    (grant,) = allocator.run(0)
    allocator.settle(grant, grant.amount, 0, refuse_for=10)
    assert allocator.end_refusals(f1, [hosts["h1"]], 7, 7) == []  # another refusal's timer
    assert allocator.end_refusals(f1, [hosts["h1"]], 10, 5) == [hosts["h1"]]  # too early: still standing
    assert allocator.run(5) == []
    assert allocator.end_refusals(f1, [hosts["h1"]], 10, 10) == []
    assert len(allocator.run(10)) == 1


def test_one_grant_per_framework_and_host_even_for_guarantee_and_share():
    allocator, _, _ = allocator_with(("h1", "cpus=4;memory=4GiB"))
    allocator.configure_role(allocator.role("role-f1"), guarantee={"cpus": 1000})
    assert told(allocator.run(0)) == [("f1", "h1", "cpus=4;memory=4GiB")]


def test_a_guarantee_of_some_resource_waits_for_a_host_that_has_it():
    allocator, _, _ = allocator_with(("h1", "cpus=4"), ("h2", "cpus=4;gpus=1"), claimants=("f1", "g"))
    allocator.configure_role(allocator.role("role-g"), guarantee={"gpus": 1})
    assert told(allocator.run(0)) == [("g", "h2", "cpus=4;gpus=1"), ("f1", "h1", "cpus=4")]


def test_what_a_limit_kept_back_is_offered_when_the_role_has_room_again():
    allocator, hosts, (f1,) = allocator_with(("h1", "cpus=1"), ("h2", "cpus=1"))
    allocator.configure_role(allocator.role("role-f1"), limit={"cpus": 1000})
    (grant,) = allocator.run(0)
    assert allocator.run(0) == []
    allocator.set_offerable(hosts["h1"], False)  # away when its task ends: no host has more free
    assert allocator.run(0) == []
    allocator.settle(grant, grant.amount, 0)
    assert told(allocator.run(0)) == [("f1", "h2", "cpus=1")]


def test_what_a_guarantee_kept_back_is_offered_when_it_is_met_by_what_was_found_running():
    allocator, hosts, (_, g) = allocator_with(("h1", "cpus=1"), ("h2", "cpus=1"), claimants=("f1", "g"))
    allocator.configure_role(allocator.role("role-g"), guarantee={"cpus": 2000})
    allocator.set_active(g, False)
    assert allocator.run(0) == []
    allocator.charge(g, hosts["h1"], R("cpus=1"))
    assert allocator.run(0) == []
    allocator.configure_role(allocator.role("role-g"), guarantee={"cpus": 1000})
    assert told(allocator.run(0)) == [("f1", "h2", "cpus=1")]


def test_a_host_is_not_kept_for_a_task_that_is_too_big_for_every_host():
    allocator, _, (big, _) = allocator_with(("h1", "cpus=2"), ("h2", "cpus=3"), claimants=("big", "small"))
    allocator.state_demand(big, Demand((Want(R("cpus=9")), Want(R("cpus=3;memory=1GiB")))), 0)
    first, second = allocator.run(0)
    for now in (20 * SECOND, 40 * SECOND):
        allocator.settle(first, first.amount, now)
        (first,) = allocator.run(now)
        assert told([first]) == [("small", "h1", "cpus=2")]
    allocator.add_host(larger := HostLedger("h3", "h3", {}, R("cpus=9")))
    allocator.charge(second.claimant, larger, R("cpus=1"))
    allocator.set_offerable(larger, True)
    assert allocator.run(60 * SECOND) == []  # large enough, and kept until all of it is free
    assert larger.held_for is big


def test_a_demand_is_covered_once_and_again_when_its_offer_comes_back():
    allocator, _, (f1,) = allocator_with(("h1", "cpus=4"), ("h2", "cpus=4"))
    want = Want(R("cpus=2"), 2)
    allocator.state_demand(f1, Demand((want,)), 0)
    (grant,) = allocator.run(0)
    assert grant.host.name == "h1"
    allocator.state_demand(f1, Demand((want,)), 0)  # stated again: still covered
    assert allocator.run(0) == []
    allocator.settle(grant, grant.amount, 0, refuse_for=SECOND)
    assert told(allocator.run(0)) == [("f1", "h2", "cpus=4")]


def test_a_demand_that_no_host_can_meet_gets_nothing_and_hinders_nobody():
    allocator, _, (f1, _) = allocator_with(("h1", "cpus=4"), claimants=("f1", "f2"))
    elsewhere = Constraint("zone", "==", ("x",))
    allocator.state_demand(f1, Demand((Want(R("cpus=9")), Want(R("cpus=1"), 1, (elsewhere,)))), 0)
    assert told(allocator.run(60 * SECOND)) == [("f2", "h1", "cpus=4")]


def test_the_order_does_not_depend_on_when_frameworks_came():
    names = ["c", "a", "b"]
    for order in (names, sorted(names), sorted(names, reverse=True)):
        allocator, _, _ = allocator_with(("h1", "cpus=1"), ("h2", "cpus=1"), ("h3", "cpus=1"), claimants=order)
        assert [name for name, _, _ in told(allocator.run(0))] == ["a", "b", "c"]
