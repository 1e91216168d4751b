"""The allocator finds by its index what a look at everything would, whatever is granted, refused and given back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from offerer import SECOND, Constraint, Demand, Resources, Want
from offerer.allocator import Allocator, HostLedger
from offerer.allocator.index import HostIndex
from offerer.allocator.room import Sizes
from offerer.resources import GIB

NUMBER = st.integers(0, 1 << 20)
amounts = st.builds(
    lambda cpus, memory, gpus: Resources(cpus * 1000, memory * GIB, 0, gpus),
    st.integers(0, 4), st.integers(0, 4), st.integers(0, 1),
)  # fmt: skip


def chosen(items, number):
    return list(items)[number % len(items)]


@given(st.lists(st.tuples(NUMBER, st.sampled_from(["free", "away", "gone", "new"]), amounts), max_size=40),
       st.lists(amounts, min_size=1, max_size=3), NUMBER)  # fmt: skip
def test_the_index_finds_the_first_host_with_room_and_the_nearest(changes, sizes, position):
    index = HostIndex()
    hosts = []

    def add(free):
        host = HostLedger(str(len(hosts)), str(len(hosts)), {}, free)
        host.offerable = True
        index.add(host)
        hosts.append(host)
        index.raised(host)

    for n in range(70):  # more than two blocks
        add(Resources(1000) if n == 60 else Resources())
    for number, what, free in changes:
        there = [host for host in hosts if host.position >= 0]
        host = chosen(there, number)
        if what == "new":
            add(free)
        elif what == "gone":
            index.remove(host)
        else:
            host.offerable, host.free = what == "free", free
            index.lowered(host)
            index.raised(host)
    row = sorted((host for host in hosts if host.position >= 0), key=lambda host: host.position)
    assert [host.name for host in row] == sorted((host.name for host in row), key=int)
    seeking = Sizes(sizes)
    fitting = [host for host in row if host.offerable and any(host.free.contains(each) for each in sizes)]
    found, at = [], 0
    while host := index.with_room(seeking, at):
        found.append(host)
        at = host.position + 1
    assert found == fitting
    start = position % (len(row) + 1)
    assert index.with_room(seeking, start) is next((host for host in fitting if host.position >= start), None)
    even = [host for host in row if host.offerable and int(host.name) % 2 == 0]
    nearest = index.nearest(lambda free: free.cpus, lambda host: int(host.name) % 2 == 0)
    assert nearest is max(even, key=lambda host: host.free.cpus, default=None)


constraints = st.sampled_from([(), (Constraint("zone", "==", ("a",)),), (Constraint("host", "in", ("h0", "h2")),)])
sizes = st.sampled_from(
    [Resources(500), Resources(1000, GIB), Resources(3000), Resources(memory=3 * GIB), Resources(9000)]
)
wants = st.builds(Want, sizes, st.integers(0, 5), constraints, st.integers(0, 2))
some_wants = st.builds(Demand, st.lists(wants, max_size=3).map(tuple), st.integers(1, 2))
demands = st.one_of(st.just(Demand(None)), some_wants, some_wants, some_wants)
caps = st.one_of(st.none(), st.dictionaries(st.sampled_from(["cpus", "memory"]), st.integers(0, 9), max_size=2))
QUOTA_UNITS = {"cpus": 500, "memory": GIB}


def steps():
    """What may happen, each with the numbers that choose to whom."""
    return st.one_of(
        st.tuples(st.just("demand"), NUMBER, demands),
        st.tuples(st.just("suppress"), NUMBER, st.none()),
        st.tuples(st.just("revive"), NUMBER, st.none()),
        st.tuples(st.sampled_from(["decline", "launch", "finish", "away", "back", "removed"]), NUMBER, NUMBER),
        st.tuples(st.sampled_from(["guarantee", "limit"]), NUMBER, caps),
        st.tuples(st.just("later"), st.integers(0, 15), st.none()),
    )


class Books:
    """An allocator, what it granted, what runs, and the refusals to end."""

    def __init__(self):
        self.allocator = Allocator()
        self.now = 0
        self.grants, self.tasks, self.refused = [], [], []
        self.claimants = [self.allocator.add_claimant(f"f{i}", f"role{i % 3}") for i in range(4)]
        for claimant in self.claimants:
            self.allocator.set_active(claimant, True)
            self.allocator.state_demand(claimant, Demand(()), 0)
        self.hosts = []
        for i in range(6):
            self.add_host(f"h{i}")

    def add_host(self, name):
        host = HostLedger(name, name, {"zone": "ab"[len(self.hosts) % 2]}, Resources(3000, 3 * GIB))
        self.hosts.append(host)
        self.allocator.add_host(host)
        self.allocator.set_offerable(host, True)

    def step(self, what, number, more):
        allocator, claimant = self.allocator, chosen(self.claimants, number)
        match what:
            case "demand":
                allocator.state_demand(claimant, more, self.now)
            case "suppress":
                allocator.set_active(claimant, False)
            case "revive":
                allocator.revive(claimant)
                allocator.set_active(claimant, True)
            case "decline" if self.grants:
                grant = self.grants.pop(number % len(self.grants))
                refuse_for = (0, SECOND, 5 * SECOND, 100 * SECOND)[more % 4]
                allocator.settle(grant, grant.amount, self.now, refuse_for)
                self.refused.append((grant.claimant, grant.host, self.now + refuse_for))
            case "launch" if self.grants:
                grant = self.grants.pop(number % len(self.grants))
                task = Resources(500) if grant.amount.contains(Resources(500)) else grant.amount
                self.tasks.append((grant.claimant, grant.host, task))
                allocator.settle(grant, grant.amount - task, self.now)
            case "finish" if self.tasks:
                allocator.discharge(*self.tasks.pop(number % len(self.tasks)))
            case "away" | "back":
                allocator.set_offerable(chosen(self.hosts, number), what == "back")
            case "removed":
                self.remove(chosen(self.hosts, number))
            case "guarantee" | "limit":
                quota = {name: n * QUOTA_UNITS[name] for name, n in (more or {}).items()}
                allocator.configure_role(claimant.role, **{what: quota})
            case "later":
                self.now += number * SECOND
        for claimant, host, until in [each for each in self.refused if each[2] <= self.now]:
            allocator.end_refusals(claimant, [host], until, self.now)
        self.refused = [each for each in self.refused if each[2] > self.now]

    def remove(self, host):
        for grant in [each for each in self.grants if each.host is host]:
            self.allocator.settle(grant, grant.amount, self.now)
        for task in [each for each in self.tasks if each[1] is host]:
            self.allocator.discharge(*task)
        self.grants = [each for each in self.grants if each.host is not host]
        self.tasks = [each for each in self.tasks if each[1] is not host]
        self.hosts.remove(host)
        self.allocator.remove_host(host)
        self.add_host(f"{host.name}'")

    def run(self):
        for _ in range(10):
            self.grants += self.allocator.run(self.now)
            if self.allocator.idle:
                return
        raise AssertionError("it goes on and on")


@settings(max_examples=200)
@given(st.lists(steps(), min_size=3, max_size=30))
def test_a_look_at_everything_finds_nothing_more(happens):
    books = Books()
    books.run()
    for what, number, more in happens:
        books.step(what, number, more)
        books.run()
        if books.allocator.quotas:
            assert books.allocator.free == sum((host.free for host in books.hosts if host.offerable), Resources())
    books.allocator.look_everywhere()
    found = books.allocator.run(books.now)
    assert not found, [(each.claimant.name, each.host.name, str(each.amount)) for each in found]
