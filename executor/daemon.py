"""The executor: a lifecycle, a runtime, and a connection to the leading master, put together.

Everything happens in the event loop's thread. What the master and the runtime say goes into the lifecycle; `_settle`
then carries out what it wants. Nothing here is done per task that the lifecycle did not ask for.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import grpc
import grpc.aio

from executor.allow import ALLOWED_BY_DEFAULT, Allowed
from executor.attachments import Attachments
from executor.health import Check
from executor.host import hold_state_dir, own_address
from executor.lifecycle import Lifecycle
from executor.link import CHANNEL_OPTIONS, Link, Rejected
from executor.marks import Marks
from executor.records import NEVER, Adopted, Event, Killing, Operation, Outcome, Settled
from executor.runtime import Runtime
from executor.spec import Host
from offerer import __version__, clock
from offerer.errors import InvalidInput, OffererError, Unavailable
from offerer.ids import FrameworkId, HostId, TaskId
from offerer.resources import Resources
from offerer.types import SECOND, Time
from offerer.wire import codec

_log = logging.getLogger("offerer.executor")

_RECONNECT_FIRST: Final = 0.1  # seconds; doubled up to:
_RECONNECT_LAST: Final = 2.0
_SWEEP_SOON: Final = 1.0  # after an end was acknowledged: one sweep for many
_SWEEP_EVERY: Final = 600.0
_LONGEST_TIMER: Final[Time] = 3600 * SECOND


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """All an executor needs to know. Without `state_dir` nothing is kept: the host is a new one each time."""

    masters: tuple[str, ...]
    """HOST:PORT of each; they are tried in turn."""
    runtime: Runtime
    total: Resources
    state_dir: Path | None = None
    host_id: HostId = HostId("")
    """Only without a state directory, which otherwise has it; empty makes one up."""
    name: str = ""
    """For people; this machine's name where empty."""
    address: str = ""
    """Where published ports can be reached; found out where empty."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    cluster: str = "offerer"
    allowed: Allowed = ALLOWED_BY_DEFAULT
    """What containers may have of this host."""


class Executor:
    """One host. `channel` is a connection to the master to share with other executors instead of opening one."""

    def __init__(self, config: ExecutorConfig, channel: grpc.aio.Channel | None = None) -> None:
        if not config.masters and channel is None:
            raise InvalidInput("masters: none is named; give at least one HOST:PORT")
        self._config = config
        self._runtime = config.runtime
        self._shared_channel = channel
        self._attachments = Attachments(config.runtime)
        self._marks = Marks(None)
        self._link: Link | None = None
        self._term = 0
        self._carrying_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Time = NEVER
        self._sweeping: asyncio.Task[None] | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self.host = Host(config.host_id, config.name or socket.gethostname(), "", config.cluster)
        self.lifecycle = Lifecycle(
            config.host_id, secrets.token_bytes(8), creates=config.runtime.creates, allowed=config.allowed
        )

    async def run(self) -> None:
        """Work until `stop`. Raises `Rejected` where the master refuses this host, or what kept it from starting."""
        async with self._opened():
            connected = asyncio.create_task(self._stay_connected())
            stopped = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({connected, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if connected.done():
                    await connected
            finally:
                for each in (connected, stopped):
                    each.cancel()
                await asyncio.gather(connected, stopped, return_exceptions=True)

    def stop(self) -> None:
        """End `run`; tasks of a durable runtime run on."""
        self._stopping.set()

    # -- start and end -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        config = self._config
        made_up = config.host_id or HostId(secrets.token_hex(8))
        with nullcontext(made_up) if config.state_dir is None else hold_state_dir(config.state_dir) as host_id:
            address = config.address or own_address((config.masters or ("127.0.0.1:0",))[0])
            self.host = Host(host_id, self.host.name, address, config.cluster)
            self.lifecycle.host_id = host_id
            if config.state_dir is not None and self._runtime.durable:
                self._marks = Marks(config.state_dir / "marks")
            found = await self._runtime.open(self.host, self._on_event)
            try:
                self._adopt(found)
                yield
            finally:
                await self._close()

    async def _close(self) -> None:
        if self._sweeping is not None:
            await asyncio.wait({self._sweeping})
        for timer in (self._timer, self._sweep_timer):
            if timer is not None:
                timer.cancel()
        await self._attachments.close()
        await self._runtime.close()

    def _adopt(self, found: Iterable[Adopted]) -> None:
        now = clock.now()
        for adopted in found:
            mark = self._marks.get(adopted.task.key)
            if not isinstance(mark, Settled):
                self.lifecycle.on_adopted(now, adopted, mark if isinstance(mark, Killing) else None)
        if self.lifecycle.tasks:
            _log.info("adopted %d tasks", len(self.lifecycle.tasks))
        self._settle(now)
        if self._runtime.durable:
            self._sweep_in(_SWEEP_SOON)

    # -- the connection ----------------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        delay = _RECONNECT_FIRST
        complaint = ""
        for master in itertools.cycle(self._config.masters or ("the shared channel",)):
            since = clock.now()
            lasted = False
            try:
                await self._connect_to(master)
            except Rejected as error:
                raise Rejected(f"the master at {master} refuses this host: {error}") from None
            except OffererError as error:
                registered = self._link is not None and self._link.registered
                lasted = registered and clock.now() - since > _RECONNECT_LAST * SECOND
                reason = f"no connection to the master at {master}: {error}"
                if reason != complaint:
                    _log.warning("%s; trying on, tasks run on", reason)
                complaint = "" if lasted else reason
            finally:
                self._link = None
            delay = _RECONNECT_FIRST if lasted else min(delay * 2, _RECONNECT_LAST)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))

    async def _connect_to(self, master: str) -> NoReturn:
        """Be connected for as long as it lasts, and raise what ended it."""
        channel = self._shared_channel or grpc.aio.insecure_channel(master, options=CHANNEL_OPTIONS)
        try:
            self._link = Link(
                channel,
                self._registration(),
                lambda limit: self.lifecycle.statuses.take(clock.now(), limit),
                lambda message: self._on_message(channel, master, message),
            )
            self.lifecycle.statuses.reconnected()
            self._link.wake()
            await self._link.run()
        finally:
            if channel is not self._shared_channel:
                await channel.close()

    def _registration(self) -> codec.executor.RegisterHost:
        message = codec.executor.RegisterHost(
            version=codec.PROTOCOL_VERSION,
            host_id=self.host.id,
            name=self.host.name,
            address=self.host.address,
            attributes=self._config.attributes,
            runtime=self._runtime.name,
            software=__version__,
        )
        codec.write_resources(message.total, self._config.total)
        for task in self.lifecycle.held():
            held = message.tasks.add(framework_id=task.framework_id)
            codec.write_resources(held.resources, task.resources)
            codec.write_status(held.status, self.lifecycle.latest(task), task.framework_id)
        return message

    def _on_message(self, channel: grpc.aio.Channel, master: str, message: codec.executor.ToExecutor) -> None:
        if message.term < self._term:
            raise Unavailable(
                f"its term is {message.term}, and {self._term} was seen: another master leads "
                "(if that one is gone for good, restart this executor)"
            )
        self._term = message.term
        if message.HasField("registered"):
            _log.info("registered with the master at %s (term %d)", master, message.term)
        now = clock.now()
        lifecycle = self.lifecycle
        for launch in message.launches:
            lifecycle.on_launch(now, FrameworkId(launch.framework_id), codec.read_task(launch.task))
        for kill in message.kills:
            grace = kill.grace if kill.HasField("grace") else None
            lifecycle.on_kill(now, FrameworkId(kill.framework_id), TaskId(kill.task_id), grace)
        for uuid in message.acks:
            lifecycle.on_acknowledged(uuid)
        for attachment in message.attachments:
            self._attachments.open(channel, attachment)
        self._settle(now)

    # -- the runtime -------------------------------------------------------------------------------------------------

    def _on_done(self, operation: Operation, outcome: Outcome) -> None:
        now = clock.now()
        self.lifecycle.on_done(now, operation, outcome)
        self._settle(now)

    def _on_event(self, event: Event) -> None:
        now = clock.now()
        self.lifecycle.on_event(now, event)
        self._settle(now)

    def _on_answered(self, check: Check, problem: str) -> None:
        now = clock.now()
        self.lifecycle.on_answered(now, check, problem)
        self._settle(now)

    def _settle(self, now: Time) -> None:
        """Carry out what the lifecycle wants."""
        if self._carrying_out:  # the runtime completed an operation within `submit`: the loop below goes on
            return
        lifecycle = self.lifecycle
        self._carrying_out = True
        try:
            if lifecycle.marks:
                self._write_marks()
            while lifecycle.operations or lifecycle.questions:
                if lifecycle.operations:
                    self._runtime.submit(lifecycle.operations.popleft(), self._on_done)
                else:
                    check = lifecycle.questions.popleft()
                    self._runtime.probe(check, partial(self._on_answered, check))
        finally:
            self._carrying_out = False
        if lifecycle.statuses.ready and self._link is not None:
            self._link.wake()
        self._set_timer(now)

    def _write_marks(self) -> None:
        marks, self.lifecycle.marks = self.lifecycle.marks, []
        if not self._runtime.durable:
            return
        try:
            self._marks.add(marks)
        except OSError as error:  # a full disk must not stop the executor; the journal is a help, not the truth
            _log.error("cannot write %s: %s", self._config.state_dir, error.strerror)
        if any(isinstance(mark, Settled) for mark in marks):
            self._sweep_in(_SWEEP_SOON)

    # -- time --------------------------------------------------------------------------------------------------------

    def _set_timer(self, now: Time) -> None:
        at = min(self.lifecycle.next_deadline(), now + _LONGEST_TIMER)
        if at >= self._timer_at:  # it fires early, finds nothing to do, and is set anew
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0, at - now) / SECOND, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = NEVER
        now = clock.now()
        self.lifecycle.on_time(now)
        self._settle(now)

    def _sweep_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._sweep_timer is not None:
            if not self._sweep_timer.cancelled() and self._sweep_timer.when() <= at:
                return
            self._sweep_timer.cancel()
        self._sweep_timer = loop.call_at(at, self._begin_sweep)

    def _begin_sweep(self) -> None:
        self._sweep_timer = None
        self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        tasks = self.lifecycle.tasks
        try:
            self._marks.keep(await self._runtime.sweep(tasks.keys) | tasks.keys())
        except (OffererError, OSError) as error:
            _log.warning("cannot remove ended tasks now: %s", error)
        if not self._stopping.is_set():
            self._sweep_in(_SWEEP_EVERY)
