"""Demand: what a framework says it waits for, and how much of it the offers out already cover."""

from __future__ import annotations

from collections.abc import Mapping

from offerer.allocator.room import Sizes
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
    """A want and how far it is covered by grants not yet settled. Change the cover through `DemandState` only."""

    __slots__ = ("capacity", "hosts", "rests_until", "since", "too_big_for", "want")

    def __init__(self, want: Want, since: Time) -> None:
        self.want = want
        self.since = since  # nothing has been granted for it from then on
        self.capacity = 0  # tasks that could run on the grants out
        self.hosts = 0  # grants out that help it
        self.rests_until: Time = 0  # no host is kept for it, after one was in vain
        self.too_big_for = -1  # the version of the cluster's total in which no host is large enough

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

    __slots__ = ("_open", "_sizes", "choice", "wants")

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
        self._cover_changed()

    def _cover_changed(self) -> None:
        self._open = [state for state in self.wants if not state.covered(self.choice)]
        self._sizes: Sizes | None = None

    def hungry(self) -> bool:
        """Whether some want is not covered yet."""
        return bool(self._open)

    def sizes(self) -> Sizes:
        """What one task of each want that is not covered yet takes."""
        if self._sizes is None:
            self._sizes = Sizes([state.want.resources for state in self._open])
        return self._sizes

    def cover(self, helps: Helps, now: Time) -> None:
        """A grant helps these wants."""
        for state, n in helps:
            state.capacity += n
            state.hosts += 1
            state.since = now
        self._cover_changed()

    def uncover(self, helps: Helps) -> None:
        """A grant helps these wants no longer. They may be of a demand that this one replaced."""
        for state, n in helps:
            state.capacity -= n
            state.hosts -= 1
        self._cover_changed()

    def waiting_since(self) -> Time | None:
        """Since when the want that has waited longest has nothing granted."""
        return min((state.since for state in self._open if not state.hosts), default=None)

    def longest_waiting(self, since: Time, version: int, now: Time) -> WantState | None:
        """The want for which nothing was granted since then or longer, the longest first.

        Not one that no host is large enough for, as the cluster is in this version of its total, nor one that rests.
        """
        waiting = [
            state
            for state in self._open
            if not state.hosts and state.since <= since and state.too_big_for != version and state.rests_until <= now
        ]
        return min(waiting, key=lambda state: state.since, default=None)

    def helped_by(self, host: str, attributes: Mapping[str, str], amount: Resources) -> Helps:
        """The wants, not covered yet, that this much of this host helps, and for how many tasks of each."""
        if not self._open or not amount.contains(self.sizes().least):
            return []
        helped = []
        for state in self._open:
            n = state.fits(host, attributes, amount)
            if n:
                helped.append((state, n))
        return helped


Helps = list[tuple[WantState, int]]
