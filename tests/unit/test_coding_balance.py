"""Moves for balance: they improve things, touch nothing that is tied, and come to an end."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offerer import Resources
from tests.coding_cluster import SimCluster, SimHost

JOBS = ("web", "api", "db", "tied", "packed", "zoned", "apart")
SETTINGS = {
    "web": "update: {parallel: 3}",
    "api": "prefer: [disk == ssd]",
    "db": 'volumes: ["/data:/data"]',
    "tied": "host: h0",
    "packed": "place: pack",
    "zoned": "constraints: [spread zone]",
    "apart": "constraints: [host max_per 2], prefer: [spread zone]",
}
CPUS = st.sampled_from([0.1, 0.5, 1])
JOB = st.tuples(st.integers(1, 8), CPUS, st.integers(1, 8))


def cluster(jobs: dict[str, tuple[int, float, int]], first: int, then: int) -> SimCluster:
    """Everything runs on the first hosts; then the others join."""
    lines = [
        f"  {name}: {{image: x, replicas: {replicas}, resources: {{cpus: {cpus}, memory: {gib}GiB}}, {SETTINGS[name]}}}"
        for name, (replicas, cpus, gib) in jobs.items()
    ]
    c = SimCluster(host(i) for i in range(first))
    c.may_double = {f"one/{name}" for name in jobs}
    c.push("service: one\njobs:\n" + "\n".join(lines) + "\n")
    c.up("one")
    c.advance(30)
    for i in range(first, first + then):
        c.join(host(i))
    return c


def host(i: int) -> SimHost:
    total = Resources.of(cpus=4 + 4 * (i % 3), memory="32GiB")
    return SimHost(f"h{i}", total, {"zone": "abc"[i % 3], "disk": "ssd" if i % 2 else "hdd"})


def places(c: SimCluster) -> dict[str, str]:
    return {task.rsplit(".", 1)[0]: where for task, where in c.running().items()}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(JOBS), JOB, min_size=1), st.integers(1, 3), st.integers(0, 4))
def test_a_second_look_right_after_proposes_nothing(
    jobs: dict[str, tuple[int, float, int]], first: int, then: int
) -> None:
    c = cluster(jobs, first, then)
    before = places(c)
    assume(len(before) == sum(replicas for replicas, _, _ in jobs.values()))
    moves = c.rebalance()
    c.advance(300)
    after = places(c)
    moved = {str(move.task).replace("/", ".") for move in moves}
    assert len(moves) == len(moved) and before.keys() == after.keys()
    assert all(before[task] == after[task] for task in before if task not in moved)
    assert not any(move.task.job in ("db", "tied") or move.from_host == move.to_host for move in moves)
    for move in moves:
        assert after[str(move.task).replace("/", ".")] == move.to_host
    assert c.moves() == []
    if "web" in jobs:
        assert _uneven(c, "web", after) <= _uneven(c, "web", before)


def _uneven(c: SimCluster, job: str, where: dict[str, str]) -> int:
    counts = Counter(host for task, host in where.items() if task.startswith(f"one.{job}."))
    return sum(count * count for count in counts.values())


def test_many_hosts_that_join_share_what_the_first_have() -> None:
    c = cluster({"web": (8, 0.1, 1), "api": (8, 0.5, 2), "zoned": (8, 0.5, 2)}, 3, 60)
    moves = c.rebalance()
    assert len(moves) >= 12
    assert len({move.to_host for move in moves}) >= 12
