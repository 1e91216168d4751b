"""One connection to a master: registers the host, then carries batches both ways until it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

import grpc
import grpc.aio

from executor.statuses import Entry
from offerer import clock
from offerer.errors import IllegalTransition, InvalidInput, OffererError, PeerError, Replaced, Unavailable
from offerer.types import SECOND, Time
from offerer.wire import codec
from offerer.wire.rpc_errors import from_rpc, is_cancelled

CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", codec.MAX_MESSAGE),
    ("grpc.max_send_message_length", codec.MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
"""For every channel to a master, shared ones too."""

STATUSES_PER_MESSAGE: Final = 500  # of at most some 20 KiB each: well below MAX_MESSAGE
_ANSWER_WITHIN: Final[Time] = 30 * SECOND  # a master to which thousands of hosts return at once is slow
_FINAL: Final = (InvalidInput, PeerError, IllegalTransition, Replaced)
_FINAL_CODES: Final = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


class Rejected(OffererError):
    """The master refuses this host; it would refuse it again."""


class Link:
    """See the module. `take(limit)` gives the statuses to send now; `on_message` handles what the master says."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        registration: codec.executor.RegisterHost,
        take: Callable[[int], list[Entry]],
        on_message: Callable[[codec.executor.ToExecutor], None],
    ) -> None:
        self.registered = False
        self._call = codec.ExecutorsStub(channel).Connect()
        self._registration = registration
        self._take = take
        self._on_message = on_message
        self._wake = asyncio.Event()
        self._beat = False
        self._heartbeat: Time = 5 * SECOND
        self._silence_allowed: Time = _ANSWER_WITHIN
        self._heard_at = clock.now()
        self._cut_off = False
        self._keeping_alive: asyncio.Task[None]

    def wake(self) -> None:
        """There are statuses to send: do so before the loop's next turn is over."""
        self._wake.set()

    async def run(self) -> NoReturn:
        """Carry messages until the connection breaks, and raise why: `Rejected`, or another `OffererError`."""
        sending = asyncio.create_task(self._send())
        self._keeping_alive = asyncio.create_task(self._keep_alive())
        try:
            async for message in self._call:
                self._on_received(message)
            raise Unavailable(await self._call.details() or "the master ended the stream")
        except grpc.aio.AioRpcError as error:
            raise self._explain(error) from None
        except asyncio.CancelledError:
            if is_cancelled() or not self._cut_off:
                raise
            raise Unavailable(f"the master was silent for {self._silence_allowed / SECOND:g} s") from None
        finally:
            self._call.cancel()
            sending.cancel()
            self._keeping_alive.cancel()
            await asyncio.gather(sending, self._keeping_alive, return_exceptions=True)

    def _on_received(self, message: codec.executor.ToExecutor) -> None:
        self._heard_at = clock.now()
        self._on_message(message)  # it may find that this is not the leader
        if message.HasField("registered"):
            self.registered = True
            self._heartbeat = max(message.registered.heartbeat, SECOND // 100) or self._heartbeat
            self._silence_allowed = max(message.registered.unreachable_after, 2 * self._heartbeat)
            self._keeping_alive.cancel()  # it sleeps for as long as was right before
            self._keeping_alive = asyncio.create_task(self._keep_alive())

    def _explain(self, error: grpc.aio.AioRpcError) -> OffererError:
        ours = from_rpc(error)
        final = isinstance(ours, _FINAL) or error.code() in _FINAL_CODES
        if final and (isinstance(ours, Replaced) or not self.registered):
            return Rejected(str(ours))
        return ours

    async def _send(self) -> None:
        first = codec.executor.FromExecutor(register=self._registration)
        try:
            await self._call.write(first)
            while True:
                await self._wake.wait()
                self._wake.clear()
                entries = self._take(STATUSES_PER_MESSAGE)
                if entries or self._beat:
                    self._beat = False
                    await self._call.write(_batch(entries))
                if len(entries) == STATUSES_PER_MESSAGE:
                    self._wake.set()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over; its reader says why

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat / SECOND)
            if clock.now() - self._heard_at > self._silence_allowed:
                self._cut_off = True
                self._call.cancel()
                return
            self._beat = True
            self._wake.set()


def _batch(entries: Iterable[Entry]) -> codec.executor.FromExecutor:
    message = codec.executor.FromExecutor()
    add = message.statuses.add
    for entry in entries:
        codec.write_status(add(), entry.status, entry.task.key[0])
    return message
