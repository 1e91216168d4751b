"""The streams of executors and frameworks: checked on the way in, cut off with a clear error for what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc.aio
from google.protobuf.message import DecodeError

from offerer import clock
from offerer.core import events as e
from offerer.errors import InvalidInput, OffererError, PeerError, Replaced, Unavailable
from offerer.ids import DEFAULT_ROLE, FrameworkId, HostId, OfferId, Role, TaskId, check_name
from offerer.master.loop import Loop
from offerer.wire.outbox import Outbox, Overflow
from offerer.master.peers import ExecutorPeer, FrameworkPeer
from offerer.types import SECOND, Time
from offerer.wire import codec
from offerer.wire.rpc_errors import abort

REGISTER_WITHIN: Time = 10 * SECOND
WRITTEN_WITHIN: Time = SECOND
PER_TURN = 4
"""Messages of executors handled in one turn of the event loop: behind thousands of statuses, offers would be late."""
Context = grpc.aio.ServicerContext[Any, Any]


async def read(context: Context) -> Any:
    """The next message, or EOF. Raises `PeerError` for bytes that are none."""
    try:
        return await context.read()
    except DecodeError as error:
        raise PeerError(f"what came is not a message of this protocol: {error}") from None


class Timing(Protocol):
    """How often a peer is to be heard, and how long silence is borne."""

    @property
    def heartbeat(self) -> Time: ...

    @property
    def unreachable_after(self) -> Time: ...


class Stream:
    """What the streams of both kinds of peer share: first message, heartbeats, silence, replacement, clean end."""

    def __init__(self, context: Context, heartbeat: Time, patience: Time) -> None:
        self._context = context
        self.heartbeat = heartbeat
        self._patience = patience  # how long a peer may leave unread what it is sent
        self._outbox: Outbox[Any] | None = None
        self._heard_at = self._progress_at = self._beat_at = clock.now()
        self._sent = 0
        self._reader: asyncio.Task[None] | None = None
        self._over: OffererError | None = None
        self.turns: asyncio.Semaphore | None = None  # for messages; there may be thousands of others like this peer

    @property
    def silent_for(self) -> Time:
        """How long nothing has come."""
        return clock.now() - self._heard_at

    def end(self, why: OffererError) -> None:
        """Cut the peer off."""
        self._over = why
        if self._reader is not None:
            self._reader.cancel()

    def check(self, now: Time) -> None:
        """Say something every heartbeat; end it when the peer has said nothing for three, or does not read."""
        outbox = self._outbox
        if outbox is None or self._over is not None:
            return
        if now - self._beat_at >= self.heartbeat:
            self._beat_at = now
            outbox.message(0)
        if outbox.sent != self._sent or not outbox.waiting:
            self._sent, self._progress_at = outbox.sent, now
        if outbox.overflowed or now - self._progress_at > self._patience:
            self.end(Unavailable("the peer does not read what it is sent; it was cut off and may connect again"))
        elif now - self._heard_at > 3 * self.heartbeat:
            self.end(Unavailable(f"nothing came for {self.silent_for // SECOND} s; connect again"))

    async def first(self) -> Any:
        """The first message. Raises `PeerError` where none comes."""
        try:
            message = await asyncio.wait_for(read(self._context), REGISTER_WITHIN / SECOND)
        except TimeoutError:
            raise PeerError(f"no registration came within {REGISTER_WITHIN // SECOND} s") from None
        if message is grpc.aio.EOF:
            raise PeerError("the stream ended before a registration came")
        return message

    async def carry(self, outbox: Outbox[Any], receive: Callable[[Any], None]) -> None:
        """Carry messages both ways until the peer leaves. Raises an `OffererError` where it has to go."""
        self._outbox = outbox
        self._reader = reader = asyncio.create_task(self._read(receive))
        pump = asyncio.create_task(outbox.pump(self._context.write))
        try:
            done, _ = await asyncio.wait((reader, pump), return_when=asyncio.FIRST_COMPLETED)
            if self._over is not None:
                raise self._over
            for task in done:
                await task
        except Overflow:
            raise Unavailable("the peer does not read what it is sent; it was cut off and may connect again") from None
        except (grpc.aio.UsageError, grpc.aio.BaseError, asyncio.InvalidStateError):
            pass  # the connection broke while writing
        finally:
            reader.cancel()
            outbox.close()  # not cancelled at once: during a write, gRPC lets no stream end with an error
            await asyncio.wait((pump,), timeout=WRITTEN_WITHIN / SECOND)
            pump.cancel()
            await asyncio.gather(reader, pump, return_exceptions=True)

    async def _read(self, receive: Callable[[Any], None]) -> None:
        while (message := await read(self._context)) is not grpc.aio.EOF:
            self._heard_at = clock.now()
            if self.turns is not None:
                await self.turns.acquire()
                asyncio.get_running_loop().call_soon(self.turns.release)
            receive(message)


class Watch:
    """Checks all streams from one task: timers of their own for thousands of them would cost more than they do."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._streams: dict[Stream, None] = {}

    async def serve(self, context: Context, serve: Callable[[Stream], Awaitable[None]]) -> None:
        """Serve a stream, checking it meanwhile. With many peers heartbeats get rarer: 250 a second in all."""
        heartbeat = max(self._timing.heartbeat, len(self._streams) * SECOND // 250)
        stream = Stream(context, heartbeat, max(self._timing.unreachable_after, heartbeat))
        self._streams[stream] = None
        try:
            await serve(stream)
        except OffererError as error:
            await abort(context, error)
        finally:
            del self._streams[stream]

    async def run(self) -> None:
        """Check, for ever. After a time in which this process itself did not get to run, silence is nobody's fault."""
        tick = min(SECOND, self._timing.heartbeat // 2)
        last = clock.now()
        while True:
            await asyncio.sleep(tick / SECOND)
            now = clock.now()
            if now - last < 3 * tick:
                for stream in list(self._streams):
                    stream.check(now)
            last = now


class ExecutorStreams(codec.ExecutorsServicer):
    """Serves the control streams of executors."""

    def __init__(self, loop: Loop, watch: Watch, timing: Timing, term: Callable[[], int], attachments: Any) -> None:
        self._loop = loop
        self._watch = watch
        self._timing = timing
        self._term = term
        self._attachments = attachments
        self._turns = asyncio.Semaphore(PER_TURN)
        self._streams: dict[HostId, Stream] = {}

    async def Connect(self, _requests: object, context: Context) -> None:
        """One executor, from its registration to its leaving."""
        await self._watch.serve(context, self._serve)

    async def Attach(self, _requests: object, context: Context) -> None:
        """Logs and the like of one task."""
        try:
            await self._attachments.serve(context)
        except OffererError as error:
            await abort(context, error)

    async def _serve(self, stream: Stream) -> None:
        event = read_host(await stream.first())
        host_id = event.host_id
        if (old := self._streams.get(host_id)) is not None:
            old.end(Replaced("another connection under this name took over"))
            self._loop.feed(e.HostDisconnected(host_id))
        peer = ExecutorPeer(host_id, self._term(), stream.heartbeat, self._timing.unreachable_after)
        stream.turns = self._turns
        self._streams[host_id] = stream
        self._loop.executors[host_id] = peer
        try:
            self._loop.feed(event)
            await stream.carry(peer.outbox, lambda message: self._receive(host_id, message))
        finally:
            if self._streams.get(host_id) is stream:
                del self._streams[host_id], self._loop.executors[host_id]
                self._loop.feed(e.HostDisconnected(host_id, min(stream.silent_for, self._timing.unreachable_after)))

    def _receive(self, host_id: HostId, message: codec.executor.FromExecutor) -> None:
        if message.HasField("register"):
            raise PeerError("register: only the first message of a stream registers the host")
        if message.statuses:
            statuses = [
                (FrameworkId(each.framework_id), codec.read_status(each, host_id)) for each in message.statuses
            ]
            self._loop.feed(e.TaskStatusesReported(host_id, statuses))


def read_host(message: codec.executor.FromExecutor) -> e.HostRegistered:
    """The registration in an executor's first message. Raises `PeerError` naming what is wrong."""
    if not message.HasField("register"):
        raise PeerError("register: the first message of a stream must register the host")
    register = message.register
    _check_version(register.version)
    _check_name("register.host_id", register.host_id)
    _check_name("register.name", register.name)
    host_id = HostId(register.host_id)
    held = [
        e.HeldTask(
            FrameworkId(_check_name("register.tasks.framework_id", task.framework_id)),
            codec.read_resources(task.resources),
            codec.read_status(task.status, host_id),
        )
        for task in register.tasks
    ]
    return e.HostRegistered(
        host_id,
        register.name,
        register.address,
        dict(register.attributes),
        codec.read_resources(register.total),
        held,
        register.runtime,
        register.software,
    )


class FrameworkStreams(codec.FrameworksServicer):
    """Serves the streams of frameworks."""

    def __init__(self, loop: Loop, watch: Watch, term: Callable[[], int]) -> None:
        self._loop = loop
        self._watch = watch
        self._term = term
        self._streams: dict[FrameworkId, Stream] = {}

    async def Connect(self, _requests: object, context: Context) -> None:
        """One framework, from its registration to its leaving."""
        await self._watch.serve(context, self._serve)

    async def _serve(self, stream: Stream) -> None:
        first = await stream.first()
        event = read_framework(first)
        framework_id = event.framework_id
        if (old := self._streams.get(framework_id)) is not None:
            old.end(Replaced("another connection under this name took over"))
            self._loop.frameworks[framework_id].left()
            self._loop.feed(e.FrameworkDisconnected(framework_id))
        peer = FrameworkPeer(framework_id, self._term(), stream.heartbeat)
        self._streams[framework_id] = stream
        self._loop.frameworks[framework_id] = peer
        try:
            self._loop.feed(event)
            first.ClearField("register")
            self._receive(peer, first)
            await stream.carry(peer.outbox, lambda message: self._receive(peer, message))
        finally:
            peer.left()
            if self._streams.get(framework_id) is stream:
                del self._streams[framework_id], self._loop.frameworks[framework_id]
                self._loop.feed(e.FrameworkDisconnected(framework_id))

    def _receive(self, peer: FrameworkPeer, message: codec.framework.FromFramework) -> None:
        if message.HasField("register"):
            raise PeerError("register: only the first message of a stream registers the framework")
        for event in read_events(peer.id, message):
            self._loop.feed(event)
        for result in message.results:
            peer.on_result(result)


def read_framework(message: codec.framework.FromFramework) -> e.FrameworkRegistered:
    """The registration in a framework's first message. Raises `PeerError` naming what is wrong."""
    if not message.HasField("register"):
        raise PeerError("register: the first message of a stream must register the framework")
    register = message.register
    _check_version(register.version)
    return e.FrameworkRegistered(
        FrameworkId(_check_name("register.framework_id", register.framework_id)),
        (Role(_check_name("register.role", register.role or DEFAULT_ROLE)),),
        max(0, register.failover_timeout),
        {TaskId(task.task_id): HostId(task.host_id) for task in register.tasks},
    )


def read_events(framework_id: FrameworkId, message: codec.framework.FromFramework) -> list[e.Event]:
    """What a framework's message says, in the order it is to be carried out."""
    events: list[e.Event] = []
    if message.acks:
        events.append(e.StatusesAcknowledged(framework_id, message.acks))
    for accept in message.accepts:
        tasks = [codec.read_task(task) for task in accept.tasks]
        events.append(e.OffersAccepted(framework_id, list(map(OfferId, accept.offer_ids)), tasks, accept.refuse_for))
    for decline in message.declines:
        ids = list(map(OfferId, decline.offer_ids))
        events.append(e.OffersDeclined(framework_id, ids, decline.refuse_for))
    for kill in message.kills:
        grace = kill.grace if kill.HasField("grace") else None
        events.append(e.KillRequested(framework_id, TaskId(kill.task_id), grace))
    if message.HasField("demand"):
        events.append(e.DemandStated(framework_id, codec.read_demand(message.demand)))
    if message.interest == codec.framework.SUPPRESS:
        events.append(e.OffersSuppressed(framework_id))
    elif message.interest == codec.framework.REVIVE:
        events.append(e.OffersRevived(framework_id))
    return events


def _check_version(version: int) -> None:
    if version != codec.PROTOCOL_VERSION:
        raise PeerError(
            f"register.version: {version} is not the protocol version {codec.PROTOCOL_VERSION} of this master; "
            "use the same release of offerer on both sides"
        )


def _check_name(field: str, name: str) -> str:
    try:
        return check_name(field, name)
    except InvalidInput as error:
        raise PeerError(str(error)) from None
