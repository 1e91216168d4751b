"""The master as one object: opens the store, takes the lead, serves gRPC, hosts plug-ins, stops cleanly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc.aio

from offerer.core import Cluster, Settings
from offerer.core.events import ClusterStarted
from offerer.errors import Unavailable
from offerer.master.attachments import Attachments
from offerer.master.hosting import Hosted
from offerer.master.journal import Journal
from offerer.master.loop import Loop
from offerer.master.memory import Memory
from offerer.master.operator import OperatorService
from offerer.master.streams import ExecutorStreams, FrameworkStreams, Watch
from offerer.store.protocol import Store
from offerer.store.service import StoreService
from offerer.store.sqlite import SqliteStore
from offerer.types import SECOND, Time
from offerer.wire import codec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MasterConfig:
    """What an operator sets of the master."""

    store: str
    """Path of the SQLite file; its directory must exist."""
    listen: str = "127.0.0.1:5050"
    """Address for gRPC; port 0 picks a free one."""
    frameworks: tuple[str, ...] = ()
    framework_options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``KEY=VALUE`` for the constructor of a hosted framework, by what it is called in `frameworks`."""
    """Plug-ins to host, each in a process of its own that is started again when it dies."""
    heartbeat: Time = 5 * SECOND
    unreachable_after: Time = 30 * SECOND
    settings: Settings = field(default_factory=Settings)


class Master:
    """One master. `start`, then `wait` or do other things in the same event loop, then `stop`."""

    def __init__(self, config: MasterConfig) -> None:
        self.config = config
        self.port = 0
        self.cluster = Cluster(config.settings)
        self.journal = Journal()
        self._watch = Watch(config)
        self._store: Store | None = None
        self._server: grpc.aio.Server | None = None
        self._loop: Loop | None = None
        self._memory: Memory | None = None
        self._background: list[asyncio.Task[None]] = []
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Serve. Raises `Unavailable` where the port is taken or the store is locked."""
        store = self._store = await SqliteStore.open(self.config.store)
        try:
            self._memory = memory = Memory(store)
            self._loop = loop = Loop(self.cluster, self.journal, memory.persist)
            hosts, roles = await memory.hosts(), await memory.roles()
            loop.feed(ClusterStarted(await memory.take_lead(), hosts))
            for role in roles:
                loop.feed(role)
            self._server = self._listen(loop, store)
            await self._server.start()
        except BaseException:
            await store.close()
            raise
        self._background.append(asyncio.create_task(memory.write_behind(), name="memory"))
        self._background.append(asyncio.create_task(self._watch.run(), name="watch"))
        host = self.config.listen.rpartition(":")[0]
        address = f"{'127.0.0.1' if host in ('0.0.0.0', '[::]', '') else host}:{self.port}"
        for name in self.config.frameworks:
            hosted = Hosted(name, address, self.config.framework_options.get(name, ()))
            self._background.append(asyncio.create_task(hosted.run(), name=f"framework {name}"))
        log.info("master of term %d listens on %s:%d", self.cluster.state.term, host, self.port)

    def _listen(self, loop: Loop, store: Store) -> grpc.aio.Server:
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", codec.MAX_MESSAGE),
                ("grpc.max_send_message_length", 2 * codec.MAX_MESSAGE),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ]
        )
        attachments = Attachments(loop)
        watch, timing = self._watch, self.config
        codec.add_ExecutorsServicer_to_server(ExecutorStreams(loop, watch, timing, self._term, attachments), server)
        codec.add_FrameworksServicer_to_server(FrameworkStreams(loop, watch, self._term), server)
        codec.add_OperatorServicer_to_server(OperatorService(loop, attachments), server)
        codec.add_StoreServicer_to_server(StoreService(store), server)
        try:
            self.port = server.add_insecure_port(self.config.listen)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise Unavailable(
                f"cannot listen on {self.config.listen}: the port is taken or not ours; choose another with --listen"
            )
        return server

    def _term(self) -> int:
        return self.cluster.state.term

    @property
    def address(self) -> str:
        """Where executors, frameworks and the command line reach it."""
        return f"{self.config.listen.rpartition(':')[0]}:{self.port}"

    async def wait(self) -> None:
        """Until `stop` is called."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Stop serving. Nothing that runs on the hosts is touched."""
        for task in self._background:
            if task.get_name() != "memory":
                task.cancel()
        if self._server is not None:
            await self._server.stop(grace=0.5)
        if self._loop is not None:
            self._loop.stop()
        if self._memory is not None and self._background:
            await asyncio.wait([asyncio.create_task(self._memory.flush())], timeout=5)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._store is not None:
            await self._store.close()
        self._stopped.set()
