"""Logs and inspect: each on a stream of its own, opened when the master asks, never on the control stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

import grpc
import grpc.aio

from executor.records import TaskKey
from executor.runtime import LogOptions, Runtime
from offerer.errors import OffererError
from offerer.ids import FrameworkId, TaskId
from offerer.wire import codec
from offerer.wire.rpc_errors import from_rpc

_log = logging.getLogger("offerer.executor")


class Attachments:
    """The attachments that are open."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: set[asyncio.Task[None]] = set()

    def open(self, channel: grpc.aio.Channel, request: codec.executor.OpenAttachment) -> None:
        """Begin to send what is asked for; the stream ends with it, or when the other side has enough."""
        serving = asyncio.create_task(self._serve(channel, request))
        self._open.add(serving)
        serving.add_done_callback(self._open.discard)

    async def close(self) -> None:
        """End all of them."""
        for serving in self._open:
            serving.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, channel: grpc.aio.Channel, request: codec.executor.OpenAttachment) -> None:
        call = codec.ExecutorsStub(channel).Attach()
        sending = asyncio.create_task(self._send(call, request))
        try:
            async for _ in call:
                pass  # the other side has nothing to say; that it ends the stream is its only word
        except grpc.aio.AioRpcError as error:
            _log.info("attachment %s ended: %s", request.attachment_id, from_rpc(error))
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            call.cancel()

    async def _send(
        self,
        call: grpc.aio.StreamStreamCall[codec.executor.FromAttachment, codec.executor.ToAttachment],
        request: codec.executor.OpenAttachment,
    ) -> None:
        try:
            await call.write(codec.executor.FromAttachment(attachment_id=request.attachment_id))
            try:
                async with contextlib.aclosing(self._chunks(request)) as chunks:
                    async for chunk in chunks:
                        await call.write(codec.executor.FromAttachment(chunks=[chunk]))
            except OffererError as error:
                await call.write(codec.executor.FromAttachment(error=str(error)))
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over; its reader says why

    async def _chunks(self, request: codec.executor.OpenAttachment) -> AsyncGenerator[codec.executor.LogChunk, None]:
        key: TaskKey = (FrameworkId(request.framework_id), TaskId(request.task_id))
        if request.HasField("inspect"):
            yield codec.executor.LogChunk(data=await self._runtime.inspect(key))
            return
        logs = request.logs
        options = LogOptions(logs.follow, logs.tail if logs.HasField("tail") else None, logs.timestamps)
        async with contextlib.aclosing(self._runtime.logs(key, options)) as chunks:
            async for chunk in chunks:
                yield codec.executor.LogChunk(stderr=chunk.stderr, data=chunk.data)
