"""A framework's connection to its master: whatever breaks it, and whenever, the framework comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from offerer import SECOND, Framework, FrameworkId, Unavailable
from offerer.client.client import Client
from offerer.store.protocol import Put
from offerer.store.remote import RemoteStore
from offerer.wire import codec
from tests.small_master import until


class Master(codec.FrameworksServicer, codec.StoreServicer):
    """Registers so many times, and then either ends the stream or says no more. Its store is mute."""

    def __init__(self, *, registers: int = 1000, ends: bool = False) -> None:
        self._registers, self._ends = registers, ends
        self.connections = 0
        self.asked = 0
        self.address = ""

    async def Connect(self, _: object, context: grpc.aio.ServicerContext) -> None:  # type: ignore[type-arg]
        await context.read()
        self.connections += 1
        if self.connections <= self._registers:
            registered = codec.framework.FrameworkRegistered(heartbeat=SECOND // 50)
            await context.write(codec.framework.ToFramework(registered=registered))
        if not self._ends:
            await asyncio.Event().wait()

    async def Transact(self, _: object, context: object) -> codec.operator.TransactResponse:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Master]:
        server = grpc.aio.server()
        codec.add_FrameworksServicer_to_server(self, server)
        codec.add_StoreServicer_to_server(self, server)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0)


class Idle(Framework):
    """Does nothing."""

    name = FrameworkId("idle")


@pytest.mark.parametrize(
    "master",
    [Master(ends=True), Master(), Master(registers=0, ends=True), Master(registers=1)],
    ids=["ends the stream with the registration", "falls silent", "refuses without a word", "does not answer again"],
)
async def test_a_framework_comes_back_to_a_master_that(master: Master) -> None:
    async with master.serving():
        client = Client(Idle(), [master.address])
        running = asyncio.create_task(client.run())
        try:
            await until(lambda: running.done() or master.connections >= 25, "25 connections")
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.wait({running})


async def test_a_call_of_the_store_that_ends_with_its_channel_has_failed_and_no_more() -> None:
    async with Master().serving() as master:
        channel = grpc.aio.insecure_channel(master.address)
        store = RemoteStore(channel, "frameworks/idle/")
        writing = asyncio.create_task(store.transact([Put("key", b"value")]))
        await until(lambda: master.asked, "the call")
        await channel.close()
        await asyncio.wait({writing})
        assert not writing.cancelled()
        for calling in (writing, store.transact([Put("key", b"value")]), store.range(""), anext(store.watch("", 0))):
            with pytest.raises(Unavailable):
                await calling
