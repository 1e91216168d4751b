"""The `batch` framework: jobs of many instances that run to their end, tried again where they fail.

The decisions are made by `frameworks.batch.planner`, which is pure. This module is the part that touches the store.
"""

from __future__ import annotations

import asyncio
import logging

from frameworks import writer
from frameworks.batch.api import Api
from frameworks.batch.jobs import JOBS
from frameworks.batch.planner import Planner
from frameworks.batch.state import NUMBER, State
from frameworks.kept import Kept
from offerer import Context, Role, Unavailable

__all__ = ["Batch"]

_log = logging.getLogger(__name__)


class Batch(Kept):
    """Runs jobs. See ``docs/BATCH.md`` for the file format and the commands."""

    name = "batch"
    role = Role("batch")

    def __init__(self) -> None:
        self._state = State()
        self._planner = Planner(self._state)
        super().__init__(self._planner, self._state.journal)

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
