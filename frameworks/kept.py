"""What the built-in frameworks have in common: a planner that decides, and a store that knows of everything first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from frameworks.journal import Journal
from frameworks.writer import Writer
from offerer import Decision, Decisions, Framework, Offer, OfferId, TaskStatus, Time


class Planner(Protocol):
    """Takes in what happened, and says what to do. Pure; what it changes is noted in a journal."""

    def registered(self, now: Time, tasks: Sequence[TaskStatus]) -> list[Decision]:
        """(Re)connected; `tasks` are all that the cluster has."""

    def offered(self, now: Time, offers: Sequence[Offer]) -> list[Decision]:
        """Offers came."""

    def rescinded(self, now: Time, offers: Sequence[OfferId]) -> list[Decision]:
        """Offers are void."""

    def statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> list[Decision]:
        """Tasks changed."""

    def ticked(self, now: Time) -> list[Decision]:
        """Something became safe in the store, something else is wanted, or it is time."""


class Kept(Framework):
    """A framework made of a planner; what that notes is written to the store, which its `serve` has to see to."""

    def __init__(self, planner: Planner, journal: Journal) -> None:
        self._decide = planner
        self._writer = Writer(journal)

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        """All tasks the cluster has of us; those we believe in and it does not have get a status each."""
        return self._noting(self._decide.registered(now, tasks))

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        """Place what waits."""
        return self._noting(self._decide.offered(now, offers))

    def on_rescinded(self, now: Time, offers: Sequence[OfferId]) -> Decisions:
        """Forget offers, and what was placed on them."""
        return self._noting(self._decide.rescinded(now, offers))

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        """Follow what became of tasks."""
        return self._noting(self._decide.statuses(now, statuses))

    def on_tick(self, now: Time) -> Decisions:
        """Something became safe in the store, something else is wanted, or it is time."""
        return self._noting(self._decide.ticked(now))

    def _noting(self, decisions: Decisions) -> Decisions:
        """Have whatever was noted on the way written to the store."""
        self._writer.look()
        return decisions
