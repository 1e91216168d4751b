"""A store in memory: the protocol of `offerer.Store`, for tests of what is built on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from offerer import Change, Compare, Conflict, Delete, Entry, Put, Unavailable


class MemoryStore:
    """Everything in a dict. With `available` False every method raises `Unavailable`, as a store that is away does."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.revision = 0
        self.available = True
        self.transactions: list[list[Put | Delete]] = []
        self._changes: list[Change] = []
        self._changed = asyncio.Condition()

    async def get(self, key: str) -> Entry | None:
        self._check()
        return self.entries.get(key)

    async def range(self, prefix: str) -> tuple[list[Entry], int]:
        self._check()
        return [self.entries[key] for key in sorted(self.entries) if key.startswith(prefix)], self.revision

    async def transact(self, changes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        await asyncio.sleep(0)  # a real store gives others a turn here
        self._check()
        for compare in compares:
            entry = self.entries.get(compare.key)
            if (entry.revision if entry else 0) != compare.revision:
                raise Conflict(f"{compare.key} has changed")
        self.write(changes)
        async with self._changed:
            self._changed.notify_all()
        return self.revision

    def write(self, changes: Sequence[Put | Delete]) -> None:
        """Make the changes at once, for tests without an event loop."""
        self.revision += 1
        self.transactions.append(list(changes))
        for change in changes:
            if isinstance(change, Put):
                self.entries[change.key] = Entry(change.key, change.value, self.revision)
            else:
                self.entries.pop(change.key, None)
            self._changes.append(Change(change.key, getattr(change, "value", None), self.revision))

    async def watch(self, prefix: str, after: int) -> AsyncIterator[list[Change]]:
        while True:
            self._check()
            found = [each for each in self._changes if each.revision > after and each.key.startswith(prefix)]
            after = self.revision
            if found:
                yield found
                continue
            async with self._changed:
                while self.revision == after:
                    await self._changed.wait()

    async def close(self) -> None:
        """Nothing to let go of."""

    def _check(self) -> None:
        if not self.available:
            raise Unavailable("the store is away")
