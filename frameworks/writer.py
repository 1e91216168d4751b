"""Keeps the store up to date with a journal: writes what is noted, all of it at once, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Final

from frameworks.journal import Journal
from offerer import Conflict, Context, Delete, Put, Unavailable

RETRY: Final = 1.0
"""Seconds between tries while the store does not answer."""

_AT_ONCE: Final = 2000  # changes in one transaction
_BYTES_AT_ONCE: Final = 4 << 20  # of their values; a store takes some 8 MiB
_PATIENCE: Final = 10.0  # seconds for which a caller waits for the store
_log = logging.getLogger(__name__)


class Writer:
    """Writes one journal. `run` in a task of its own; call `look` whenever something may have been noted."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._dirty = asyncio.Event()
        self._saved = asyncio.Condition()

    def look(self) -> None:
        """Have what was noted written soon."""
        if not self._journal.empty:
            self._dirty.set()

    async def run(self, context: Context) -> None:
        """Write until cancelled. The plug-in is woken each time that something has become safe."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                for part in _parts(self._journal.take()):
                    await context.store.transact(part)
            except (Unavailable, Conflict) as error:
                _log.warning("cannot write to the store yet: %s", error)
                self._journal.failed()
                self._dirty.set()
                await asyncio.sleep(RETRY)
                continue
            self._journal.saved()
            context.wake()
            async with self._saved:
                self._saved.notify_all()

    async def save(self) -> None:
        """Wait until everything noted so far is safe. Raises `Unavailable` where the store does not answer."""
        noted = self._journal.noted
        if self._journal.empty:
            return
        self._dirty.set()
        try:
            async with asyncio.timeout(_PATIENCE), self._saved:
                await self._saved.wait_for(lambda: self._journal.safe >= noted)
        except TimeoutError:
            raise Unavailable("the store does not answer; it is noted, and done as soon as the store does") from None


def _parts(changes: Sequence[Put | Delete]) -> Iterator[Sequence[Put | Delete]]:
    """The changes in lots that each fit into one transaction."""
    first = size = 0
    for i, change in enumerate(changes):
        size += len(change.value) if isinstance(change, Put) else 0
        if i > first and (i - first >= _AT_ONCE or size > _BYTES_AT_ONCE):
            yield changes[first:i]
            first, size = i, len(change.value) if isinstance(change, Put) else 0
    if changes:
        yield changes[first:]
