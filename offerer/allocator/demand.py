"""Demand: what a framework says it waits for, and how much of it the offers out already cover."""

from __future__ import annotations

from collections.abc import Mapping

from offerer.framework import Demand, Want
from offerer.resources import Resources
from offerer.types import Time


def how_many_fit(amount: Resources, one: Resources, at_most: int) -> int:
    """How many tasks of size `one` fit in `amount`, up to `at_most`. Named ports fit once."""
    n = at_most
    if one.cpus:
        n = min(n, amount.cpus // one.cpus)
    if one.memory:
        n = min(n, amount.memory // one.memory)
    if one.disk:
        n = min(n, amount.disk // one.disk)
    if one.gpus:
        n = min(n, amount.gpus // one.gpus)
    for name, count in one.counts:
        n = min(n, amount.count(name) // count)
    if n and one.ports:
        n = 1 if amount.contains(Resources(ports=one.ports)) else 0
    return n


class WantState:
    """A want and how far it is covered by grants not yet settled."""

    __slots__ = ("capacity", "hosts", "since", "want")

    def __init__(self, want: Want, since: Time) -> None:
        self.want = want
        self.since = since  # nothing has been granted for it from then on
        self.capacity = 0  # tasks that could run on the grants out
        self.hosts = 0  # grants out that help it

    def fits(self, host: str, attributes: Mapping[str, str], amount: Resources) -> int:
        """How many of its tasks that much of that host could run."""
        want = self.want
        for constraint in want.constraints:
            if not constraint.matches(host, attributes):
                return 0
        return how_many_fit(amount, want.resources, min(want.count, want.per_host or want.count))

    def covered(self, choice: int) -> bool:
        """Whether the grants out can run all its tasks, on enough hosts to choose from."""
        return self.capacity >= self.want.count and self.hosts >= choice


class DemandState:
    """All wants of one claimant."""

    __slots__ = ("choice", "wants")

    def __init__(self, demand: Demand, now: Time, before: DemandState | None) -> None:
        """What is stated again keeps its time of waiting and its cover."""
        self.choice = demand.choice
        known = {(each.want.resources, each.want.constraints): each for each in before.wants} if before else {}
        self.wants: list[WantState] = []
        for want in demand.wants or ():
            if not want.count:
                continue
            state = known.pop((want.resources, want.constraints), None) or WantState(want, now)
            state.want = want
            self.wants.append(state)

    def hungry(self) -> bool:
        """Whether some want is not covered yet."""
        return any(not state.covered(self.choice) for state in self.wants)

    def longest_waiting(self, since: Time) -> WantState | None:
        """The want for which nothing was granted since then or longer, the longest first."""
        waiting = [state for state in self.wants if not state.hosts and state.since <= since]
        return min(waiting, key=lambda state: state.since, default=None)

    def helped_by(self, host: str, attributes: Mapping[str, str], amount: Resources) -> list[tuple[WantState, int]]:
        """The wants, not covered yet, that this much of this host helps, and for how many tasks of each."""
        helped = []
        for state in self.wants:
            if not state.covered(self.choice):
                n = state.fits(host, attributes, amount)
                if n:
                    helped.append((state, n))
        return helped
