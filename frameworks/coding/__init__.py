"""The `coding` framework: long-running services, described in YAML, kept running where they may run.

The decisions are made by `frameworks.coding.planner`, which is pure. This module is the part that touches the store:
it loads what was left, writes what the planner has noted, and watches for revisions that other tools put there.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from frameworks import writer
from frameworks.coding.api import Api
from frameworks.coding.deployments import PREFIX as DEPLOYMENTS
from frameworks.coding.planner import Planner
from frameworks.coding.revisions import PREFIX as REVISIONS
from frameworks.coding.revisions import read_revision
from frameworks.coding.records import EVERYWHERE, SCALES, TASKS, UPDATES
from frameworks.coding.secrets import PREFIX as SECRETS
from frameworks.coding.state import State
from frameworks.git import Repository
from frameworks.kept import Kept
from offerer import (
    Change,
    Compacted,
    Context,
    Decisions,
    InvalidInput,
    Time,
    Unavailable,
)

__all__ = ["Coding"]

_OTHERS: Final = (TASKS, UPDATES, SECRETS, SCALES, EVERYWHERE, DEPLOYMENTS)
_log = logging.getLogger(__name__)


class Coding(Kept):
    """Runs services. See ``docs/SERVICES.md`` for the file format and the commands."""

    name = "coding"

    def __init__(self, git: str = "") -> None:
        """With `git`, a directory, whatever is deployed is committed to the Git repository there."""
        self._state = State()
        self._planner = Planner(self._state)
        super().__init__(self._planner, self._state.journal)
        self._repository = Repository(git, self._state) if git else None

    def _noting(self, decisions: Decisions) -> Decisions:
        """Have whatever was noted on the way written to the store, and told."""
        if self._repository:
            self._repository.look()
        return super()._noting(decisions)

    # -- the store --

    async def serve(self, context: Context) -> None:
        """Load the state, then keep the store up to date and answer calls until the end."""
        revision = await self._load(context)
        context.on_call(Api(self._state, self._planner, context, self._writer.save, asyncio.sleep).handle)
        context.ready(self._state.believed())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run(context), name="coding: write to the store")
            group.create_task(self._watch(context, revision), name="coding: watch the store")
            if self._repository:
                group.create_task(self._repository.run(self._writer.look), name="coding: commit to Git")

    async def _load(self, context: Context) -> int:
        while True:
            try:
                revisions, at = await context.store.range(REVISIONS)
                others = [entry for prefix in _OTHERS for entry in (await context.store.range(prefix))[0]]
            except Unavailable as error:
                _log.warning("cannot load the services yet: %s", error)
                await asyncio.sleep(writer.RETRY)
                continue
            self._state.load([*revisions, *others], context.now())
            for problem in self._state.problems.values():
                _log.warning("left out: %s", problem)
            return at

    async def _watch(self, context: Context, after: int) -> None:
        """Take in revisions that another tool puts into the store, as if they had been pushed."""
        while True:
            try:
                async for changes in context.store.watch(REVISIONS, after):
                    for change in changes:
                        after = max(after, change.revision)
                        self._take_in(change, context.now())
                    context.wake()
            except (Unavailable, Compacted) as error:
                _log.warning("cannot watch the store now: %s", error)
            await asyncio.sleep(writer.RETRY)
            after = await self._catch_up(context, after)

    async def _catch_up(self, context: Context, after: int) -> int:
        """Read every revision, for whatever the watch has missed."""
        try:
            entries, at = await context.store.range(REVISIONS)
        except Unavailable:
            return after
        for entry in entries:
            if entry.revision > after:
                self._take_in(Change(*entry), context.now())
        return at

    def _take_in(self, change: Change, now: Time) -> None:
        """One entry under ``revisions/``: ours, seen again; a new one; or one that is reported as wrong."""
        self._state.problems.pop(change.key, None)
        if change.value is None:
            return
        self._state.note_number(change.key)
        try:
            revision = read_revision(change.key, change.value, now)
            known = self._state.revisions.get(revision.service, {}).get(revision.number)
            if known is not None:
                if not known.says_the_same(revision):
                    raise InvalidInput(f"{change.key}: a revision never changes; put the next number instead")
                return
        except InvalidInput as error:
            self._state.problems[change.key] = str(error)
            _log.warning("left out: %s", error)
            return
        self._state.add_revisions([revision])
