"""One plug-in against a master: connects, registers, carries messages, comes back after every break."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from offerer import __version__, clock
from offerer.client.plugin import Plugin
from offerer.errors import InvalidInput, OffererError, Replaced, Unavailable
from offerer.framework import Framework
from offerer.ids import HostId, OfferId, TaskId
from offerer.store.protocol import Store
from offerer.store.remote import RemoteStore
from offerer.types import SECOND, Time
from offerer.wire import codec
from offerer.wire.outbox import Outbox
from offerer.wire.rpc_errors import from_rpc, is_cancelled

log = logging.getLogger(__name__)

_OPTIONS = [
    ("grpc.max_receive_message_length", 2 * codec.MAX_MESSAGE),
    ("grpc.max_send_message_length", codec.MAX_MESSAGE),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
_MESSAGE_BYTES = 32 << 10  # small enough that the master hears others between two messages of ours
_DEFAULT_HEARTBEAT: Time = 5 * SECOND
_LONGEST_BACKOFF = 2.0  # seconds
Handler = Callable[[str, dict[str, object]], Awaitable[dict[str, object]]]


class _ServeFailed(Exception):
    """The plug-in's own coroutine raised; the cause says what."""


class Client:
    """Hosts one framework instance. `run` ends only by an error that would come again, or by being cancelled."""

    def __init__(self, framework: Framework, masters: Sequence[str]) -> None:
        self.plugin = Plugin(framework)
        self._framework = framework
        self._masters = masters
        self._ready = asyncio.Event()
        self._handler: Handler | None = None
        self._heartbeat = _DEFAULT_HEARTBEAT
        self._heard_at = 0
        self._hosts: dict[str, tuple[str, str, Mapping[str, str]]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self.registered = asyncio.Event()

    async def run(self) -> None:
        """Serve the plug-in. Raises `Replaced`, a rejection, or whatever the plug-in's own `serve` raises."""
        delay, attempt = 0.1, 0
        serving: asyncio.Task[None] | None = None
        try:
            while True:
                master = self._masters[attempt % len(self._masters)]
                attempt += 1
                try:
                    async with grpc.aio.insecure_channel(master, options=_OPTIONS) as channel:
                        await _reachable(channel, master)
                        if serving is None:
                            serving = self._start_serving(channel)
                        delay = 0.1
                        await self._until_broken(channel, serving)
                except (Unavailable, grpc.aio.AioRpcError) as error:
                    why = from_rpc(error) if isinstance(error, grpc.aio.AioRpcError) else error
                    log.warning("framework %s: master %s: %s", self._framework.name, master, why)
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(2 * delay, _LONGEST_BACKOFF)
        finally:
            self.plugin.stop()
            if serving is not None:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    def _start_serving(self, channel: grpc.aio.Channel) -> asyncio.Task[None] | None:
        """Start the plug-in's own coroutine, if it has one."""
        if type(self._framework).serve is Framework.serve:
            self._ready.set()
            return None
        self._context = _Context(self, channel)
        return asyncio.create_task(self._framework.serve(self._context), name=f"serve {self._framework.name}")

    async def _until_broken(self, channel: grpc.aio.Channel, serving: asyncio.Task[None] | None) -> None:
        """One connection's life. Raises why it ended."""
        if serving is not None:
            self._context.use(channel)
        connection = asyncio.create_task(self._connection(channel))
        tasks = [connection] if serving is None or serving.done() else [connection, serving]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if serving is not None and serving.done() and (failed := serving.exception()) is not None:
                raise _ServeFailed from failed
            await connection
        finally:
            connection.cancel()
            await asyncio.gather(connection, return_exceptions=True)
            self.plugin.on_disconnected()
            self.registered.clear()

    async def _connection(self, channel: grpc.aio.Channel) -> None:
        await self._ready.wait()
        call = codec.FrameworksStub(channel).Connect()
        outbox = Outbox(codec.framework.FromFramework, message_bytes=_MESSAGE_BYTES)
        self._write_registration(outbox.message(0))
        self._heard_at = clock.now()
        self._hosts.clear()
        helpers = [asyncio.create_task(outbox.pump(call.write)), asyncio.create_task(self._beat(outbox, call))]
        try:
            async for message in call:
                self._receive(message, outbox)
            raise Unavailable("the master ended the stream")
        except grpc.aio.AioRpcError as error:
            raise self._final_or_not(from_rpc(error)) from None
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            raise Unavailable("the master was silent for too long") from None
        finally:
            call.cancel()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    def _final_or_not(self, error: OffererError) -> OffererError:
        if isinstance(error, Replaced):
            return Replaced(
                f"framework {self._framework.name}: another process registered under this name and took over; "
                "give this one another --name if both are to run"
            )
        if isinstance(error, Unavailable) or self.registered.is_set():
            return Unavailable(str(error))  # cut off for what it said: comes back, and may have learnt
        return InvalidInput(f"framework {self._framework.name}: the master refuses it: {error}")

    async def _beat(self, outbox: Outbox[codec.framework.FromFramework], call: Any) -> None:
        """Say something every heartbeat, which the registration tells, and end the call when nothing comes."""
        try:
            async with asyncio.timeout(3 * self._heartbeat / SECOND):  # wait_for may swallow that we are cancelled
                await self.registered.wait()
        except TimeoutError:
            call.cancel()
        while True:
            await asyncio.sleep(self._heartbeat / SECOND)
            outbox.message(0)
            if clock.now() - self._heard_at > 3 * self._heartbeat:
                call.cancel()

    def _write_registration(self, message: codec.framework.FromFramework) -> None:
        register = message.register
        register.version = codec.PROTOCOL_VERSION
        register.framework_id = self._framework.name
        register.role = self._framework.role
        register.failover_timeout = self._framework.failover_timeout
        register.software = __version__
        for task_id, host_id in self.plugin.views.believed():
            register.tasks.add(task_id=task_id, host_id=host_id)

    def _receive(
        self, message: codec.framework.ToFramework, outbox: Outbox[codec.framework.FromFramework]
    ) -> None:
        self._heard_at = clock.now()
        if message.HasField("registered"):
            self._heartbeat = max(message.registered.heartbeat, SECOND // 100)
            self.plugin.on_registered(outbox, [codec.read_status(task) for task in message.registered.tasks])
            self.registered.set()
            log.info("framework %s: registered, role %s", self._framework.name, self._framework.role)
        if message.statuses:
            self.plugin.on_statuses([codec.read_status(each) for each in message.statuses])
        if message.rescinded:
            self.plugin.on_rescinded([OfferId(each) for each in message.rescinded])
        if message.offers:
            self.plugin.on_offers([self._read_offer(each) for each in message.offers])
        for call in message.calls:
            task = asyncio.create_task(self._answer(call))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    def _read_offer(self, message: codec.framework.Offer) -> Any:
        if message.HasField("host"):
            host = message.host
            self._hosts[message.host_id] = (host.name, host.address, dict(host.attributes))
        return codec.read_offer(message, *self._hosts[message.host_id])

    async def _answer(self, call: codec.framework.Call) -> None:
        result = codec.framework.CallResult(id=call.id)
        try:
            if self._handler is None:
                raise InvalidInput(f"framework {self._framework.name} answers no commands, so not {call.method!r}")
            arguments = json.loads(call.arguments or b"{}")
            result.answer = json.dumps(await self._handler(call.method, arguments)).encode()
        except OffererError as error:
            result.error, result.message = type(error).__name__, str(error)
        except Exception as error:
            log.exception("framework %s: %s failed", self._framework.name, call.method)
            result.error, result.message = "OffererError", f"{call.method}: internal error: {error!r}; see its log"
        if self.plugin.outbox is not None:
            self.plugin.outbox.message(len(result.answer) + 64).results.append(result)


class _Context:
    """`offerer.Context` for a client. The store follows the connection when the client changes masters."""

    def __init__(self, client: Client, channel: grpc.aio.Channel) -> None:
        self._client = client
        self.use(channel)

    def use(self, channel: grpc.aio.Channel) -> None:
        self._store = RemoteStore(channel, f"frameworks/{self._client.plugin.framework.name}/")

    @property
    def store(self) -> Store:
        return self._store

    def now(self) -> Time:
        return clock.now()

    def wake(self) -> None:
        self._client.plugin.wake(clock.now())

    def ready(self, believed: Mapping[TaskId, HostId] | None = None) -> None:
        for task_id, host_id in (believed or {}).items():
            self._client.plugin.views.believe(task_id, host_id)
        self._client._ready.set()

    def on_call(self, handler: Handler) -> None:
        self._client._handler = handler


async def _reachable(channel: grpc.aio.Channel, master: str) -> None:
    try:
        async with asyncio.timeout(5):
            await channel.channel_ready()
    except TimeoutError:
        raise Unavailable(f"no master answers at {master}") from None


async def run_framework(make: Callable[[], Framework], master: str) -> None:
    """Serve the plug-in that `make` makes until cancelled. Raises `OffererError` for what would come again.

    When the plug-in's own coroutine fails, because the store is away or by a mistake of its own, the plug-in is made
    anew, so that it loads its state again.
    """
    delay = 0.2
    while True:
        framework = make()
        client = Client(framework, master.split(","))
        started = clock.now()
        try:
            await client.run()
        except _ServeFailed as failed:
            if isinstance(failed.__cause__, Unavailable):
                log.warning("framework %s: %s; starting it again", framework.name, failed.__cause__)
            else:
                log.error("framework %s failed; starting it again", framework.name, exc_info=failed.__cause__)
        delay = 0.2 if clock.now() - started > 60 * SECOND else min(2 * delay, 30.0)
        await asyncio.sleep(delay)
