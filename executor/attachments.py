"""Logs, inspect, commands, files and usage: each on a stream of its own, opened when the master asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Final

import grpc
import grpc.aio

from executor.records import TaskKey
from executor.runtime import CommandOptions, Input, Inputs, LogChunk, LogOptions, Runtime, TerminalSize
from offerer.errors import InvalidInput, OffererError
from offerer.ids import FrameworkId, TaskId
from offerer.wire import codec
from offerer.wire.rpc_errors import from_rpc

_log = logging.getLogger("offerer.executor")

_INPUTS_AHEAD: Final = 16  # beyond that, whoever sends waits
_USAGE_EVERY: Final = 1.0  # seconds


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
        inputs: asyncio.Queue[Input | None] = asyncio.Queue(_INPUTS_AHEAD)
        sending = asyncio.create_task(self._send(call, request, _inputs(inputs)))
        try:
            async for message in call:
                await inputs.put(_read_input(message))
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
        inputs: Inputs,
    ) -> None:
        try:
            await call.write(codec.executor.FromAttachment(attachment_id=request.attachment_id))
            try:
                async with contextlib.aclosing(self._messages(request, inputs)) as messages:
                    async for message in messages:
                        await call.write(message)
            except OffererError as error:
                await call.write(codec.executor.FromAttachment(error=str(error)))
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over; its reader says why

    async def _messages(
        self, request: codec.executor.OpenAttachment, inputs: Inputs
    ) -> AsyncGenerator[codec.executor.FromAttachment, None]:
        async with contextlib.aclosing(self._items(request, inputs)) as items:
            async for item in items:
                if isinstance(item, int):
                    yield codec.executor.FromAttachment(exit_code=item)
                else:
                    chunk = codec.executor.LogChunk(stderr=item.stderr, data=item.data)
                    yield codec.executor.FromAttachment(chunks=[chunk])

    def _items(
        self, request: codec.executor.OpenAttachment, inputs: Inputs
    ) -> AsyncGenerator[LogChunk | int, None] | AsyncGenerator[LogChunk, None]:
        runtime, container = self._runtime, request.container
        key: TaskKey = (FrameworkId(request.framework_id), TaskId(request.task_id))
        kind = request.WhichOneof("kind")
        if kind == "logs":
            logs = request.logs
            options = LogOptions(logs.follow, logs.tail if logs.HasField("tail") else None, logs.timestamps)
            return runtime.logs(key, options, container)
        if kind == "exec":
            return runtime.run(key, container, _read_command(request.exec), inputs)
        if kind == "copy" and not request.copy.into:
            return runtime.copy_from(key, container, request.copy.path)
        return self._answers(request, key, inputs)

    async def _answers(
        self, request: codec.executor.OpenAttachment, key: TaskKey, inputs: Inputs
    ) -> AsyncGenerator[LogChunk, None]:
        """The kinds that answer with something whole."""
        runtime, container = self._runtime, request.container
        kind = request.WhichOneof("kind")
        if kind == "inspect":
            yield LogChunk(False, await runtime.inspect(key, container))
        elif kind == "copy":
            await runtime.copy_into(key, container, request.copy.path, inputs)
        elif kind == "top":
            while True:
                yield LogChunk(False, await runtime.usage(key, container))
                await asyncio.sleep(_USAGE_EVERY)
        else:
            raise InvalidInput("this executor does not know that kind of attachment; it may be older than the master")


async def _inputs(queue: asyncio.Queue[Input | None]) -> AsyncGenerator[Input, None]:
    while (given := await queue.get()) is not None:
        yield given


def _read_input(message: codec.executor.ToAttachment) -> Input:
    return Input(message.input, message.end_of_input, _read_size(message))


def _read_command(message: codec.executor.ExecRequest) -> CommandOptions:
    command = tuple(message.command)
    if not command:
        raise InvalidInput("exec: () is no command; name one after --")
    return CommandOptions(
        command, message.tty, message.stdin, message.user, message.working_dir, _read_size(message)
    )


def _read_size(message: codec.executor.ToAttachment | codec.executor.ExecRequest) -> TerminalSize | None:
    return TerminalSize(message.size.rows, message.size.columns) if message.HasField("size") else None
