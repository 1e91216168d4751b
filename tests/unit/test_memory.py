"""What the master keeps in the store, as the next master reads it."""

from __future__ import annotations

import asyncio

from offerer.core import outputs as o
from offerer.core.events import KnownHost
from offerer.ids import HostId
from offerer.master.memory import HOSTS, Memory
from offerer.store.protocol import Put
from offerer.types import Availability
from tests.memory_store import MemoryStore


async def test_the_next_master_knows_which_hosts_are_not_to_be_used() -> None:
    store = MemoryStore()
    store.write([Put(f"{HOSTS}h0", b'{"name": "old"}')])  # as written before there was anything to say of it
    memory = Memory(store)
    writing = asyncio.create_task(memory.write_behind())
    memory.persist(o.PersistHost(HostId("h1"), "db-1", Availability.DRAINING))
    memory.persist(o.PersistHost(HostId("h2"), "db-2", Availability.CORDONED))
    memory.persist(o.PersistHost(HostId("h2"), "db-2", Availability.ACTIVE))
    await memory.flush()
    writing.cancel()
    assert await Memory(store).hosts() == [
        KnownHost(HostId("h0"), "old"),
        KnownHost(HostId("h1"), "db-1", Availability.DRAINING),
        KnownHost(HostId("h2"), "db-2"),
    ]
