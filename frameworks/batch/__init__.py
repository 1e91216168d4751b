"""The `batch` framework: jobs of many instances that run to their end, tried again where they fail.

The decisions are made by `frameworks.batch.planner`, which is pure. This module is the part that touches the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from frameworks import writer
from frameworks.batch.api import Api
from frameworks.batch.jobs import JOBS
from frameworks.batch.planner import Planner
from frameworks.batch.state import NUMBER, State
from frameworks.writer import Writer
from offerer import Context, Decisions, Framework, Offer, OfferId, Role, TaskStatus, Time, Unavailable

__all__ = ["Batch"]

_log = logging.getLogger(__name__)


class Batch(Framework):
    """Runs jobs. See ``docs/BATCH.md`` for the file format and the commands."""

    name = "batch"
    role = Role("batch")

    def __init__(self) -> None:
        self._state = State()
        self._planner = Planner(self._state)
        self._writer = Writer(self._state.journal)

    # -- the pure part --

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        """All tasks the cluster has of us; those we believe in and it does not have get a status each."""
        return self._noting(self._planner.registered(now, tasks))

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        """Place what waits."""
        return self._noting(self._planner.offered(now, offers))

    def on_rescinded(self, now: Time, offers: Sequence[OfferId]) -> Decisions:
        """Forget offers, and what was placed on them."""
        return self._noting(self._planner.rescinded(now, offers))

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        """Follow what became of instances."""
        return self._noting(self._planner.statuses(now, statuses))

    def on_tick(self, now: Time) -> Decisions:
        """Something became safe in the store, a job came or was cancelled, or it is time to try again."""
        return self._noting(self._planner.ticked(now))

    def _noting(self, decisions: Decisions) -> Decisions:
        """Have whatever was noted on the way written to the store."""
        self._writer.look()
        return decisions

    # -- the store --

    async def serve(self, context: Context) -> None:
        """Load the state, then keep the store up to date and answer calls until the end."""
        await self._load(context)
        context.on_call(Api(self._state, self._planner, context, self._writer.save, asyncio.sleep).handle)
        context.ready(self._state.believed())
        await self._writer.run(context)

    async def _load(self, context: Context) -> None:
        while True:
            try:
                number, (jobs, _) = await context.store.get(NUMBER), await context.store.range(JOBS)
                chunks = {entry.key: (await context.store.range(f"progress/{entry.key.removeprefix(JOBS)}/"))[0]
                          for entry in jobs if b'"outcome"' not in entry.value}  # fmt: skip
            except Unavailable as error:
                _log.warning("cannot load the jobs yet: %s", error)
                await asyncio.sleep(writer.RETRY)
                continue
            now = context.now()
            for job in self._state.load(number, jobs):
                for instance in self._state.load_instances(job, chunks.get(job.key, []), now):
                    self._planner.try_again_at(job, instance, instance.not_before)
            for problem in self._state.problems.values():
                _log.warning("left out: %s", problem)
            return
