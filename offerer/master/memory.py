"""What the master itself keeps in the store: its term, the hosts it knows, roles' weights and quotas."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

from offerer.core import outputs as o
from offerer.core.events import KnownHost, RoleConfigured
from offerer.errors import OffererError
from offerer.ids import HostId, Role
from offerer.store.protocol import Compare, Delete, Put, Store
from offerer.types import Availability

log = logging.getLogger(__name__)

TERM = "master/term"
HOSTS = "master/hosts/"
ROLES = "master/roles/"


class Memory:
    """Reads it all at the start; afterwards writes behind, in order, without holding up the loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: asyncio.Queue[Put | Delete] = asyncio.Queue()

    async def take_lead(self) -> int:
        """The next term, durably."""
        entry = await self._store.get(TERM)
        term = int(entry.value) + 1 if entry is not None else 1
        compare = Compare(TERM, entry.revision if entry is not None else 0)
        await self._store.transact([Put(TERM, str(term).encode())], [compare])
        return term

    async def hosts(self) -> list[KnownHost]:
        """The hosts known from before."""
        entries, _ = await self._store.range(HOSTS)
        return [
            KnownHost(HostId(entry.key.removeprefix(HOSTS)), known["name"], Availability(known["availability"]))
            for entry in entries
            if (known := {"availability": "active", **json.loads(entry.value)})
        ]

    async def roles(self) -> list[RoleConfigured]:
        """Roles' weights and quotas."""
        entries, _ = await self._store.range(ROLES)
        return [RoleConfigured(Role(entry.key.removeprefix(ROLES)), **json.loads(entry.value)) for entry in entries]

    def persist(self, output: o.Output) -> None:
        """Write this down soon."""
        if isinstance(output, o.PersistHost):
            host = {"name": output.name, "availability": output.availability.value}
            self._queue.put_nowait(Put(HOSTS + output.host_id, json.dumps(host).encode()))
        elif isinstance(output, o.ForgetHost):
            self._queue.put_nowait(Delete(HOSTS + output.host_id))
        elif isinstance(output, o.PersistRole):
            role = {"weight": output.weight, "guarantee": dict(output.guarantee), "limit": dict(output.limit)}
            self._queue.put_nowait(Put(ROLES + output.role, json.dumps(role).encode()))

    async def write_behind(self) -> None:
        """Keep writing, until cancelled. What fails is tried again: the store may be away for a while."""
        while True:
            changes: list[Put | Delete] = [await self._queue.get()]
            while not self._queue.empty():
                changes.append(self._queue.get_nowait())
            while not await self._written(_latest(changes)):
                await asyncio.sleep(1)
            for _ in changes:
                self._queue.task_done()

    async def flush(self) -> None:
        """Wait until all is written."""
        await self._queue.join()

    async def _written(self, changes: Sequence[Put | Delete]) -> bool:
        try:
            await self._store.transact(changes)
        except OffererError as error:
            log.error("the store does not take what the master wants to remember: %s", error)
            return False
        return True


def _latest(changes: Sequence[Put | Delete]) -> list[Put | Delete]:
    """One change a key: a transaction may not touch a key twice."""
    return list({change.key: change for change in changes}.values())
