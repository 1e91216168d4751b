"""Logs, inspect, commands, files: the executor opens a stream when asked, the master passes it on to who asked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc.aio

from offerer.core.hosts import find_host
from offerer.errors import NotFound, OffererError, PeerError, Unavailable
from offerer.ids import FrameworkId, HostId, TaskId
from offerer.master.loop import Loop
from offerer.master.peers import ExecutorPeer
from offerer.wire import codec

OPEN_WITHIN = 10.0  # seconds
_AHEAD = 16  # messages read ahead of the one who asked; beyond that the executor waits

_END = None
_Item = codec.executor.FromAttachment | OffererError | None


class Attachments:
    """All open attachments."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: dict[str, asyncio.Queue[_Item]] = {}
        self._inputs: dict[str, AsyncIterator[codec.executor.ToAttachment]] = {}
        self._serving: dict[str, asyncio.Task[Any]] = {}

    async def open(
        self,
        task: codec.operator.TaskRequest,
        request: codec.executor.OpenAttachment,
        inputs: AsyncIterator[codec.executor.ToAttachment] | None = None,
    ) -> AsyncIterator[codec.executor.FromAttachment]:
        """Ask the executor of this task, pass the inputs on to it, and yield what it sends.

        Raises `NotFound`, `Unavailable`, or its error.
        """
        framework_id, task_id = FrameworkId(task.framework_id), TaskId(task.task_id)
        peer = self._peer_of(framework_id, task_id, task.host_id)
        attachment_id = request.attachment_id = secrets.token_hex(16)
        request.framework_id, request.task_id, request.container = framework_id, task_id, task.container
        queue: asyncio.Queue[_Item] = asyncio.Queue(_AHEAD)
        self._waiting[attachment_id] = queue
        if inputs is not None:
            self._inputs[attachment_id] = inputs
        peer.attach(request)
        try:
            item = await asyncio.wait_for(queue.get(), OPEN_WITHIN)
            while item is not _END:
                if isinstance(item, OffererError):
                    raise item
                if item.error:
                    raise OffererError(item.error)
                yield item
                item = await queue.get()
        except TimeoutError:
            raise Unavailable(f"the executor did not answer within {OPEN_WITHIN:g} s") from None
        finally:
            self._waiting.pop(attachment_id, None)
            self._inputs.pop(attachment_id, None)
            if (serving := self._serving.pop(attachment_id, None)) is not None:
                serving.cancel()

    def _peer_of(self, framework_id: FrameworkId, task_id: TaskId, told: str) -> ExecutorPeer:
        """The executor that has the task, or had it: the containers of ended tasks stay for a while."""
        state = self._loop.cluster.state
        framework = state.frameworks.get(framework_id)
        task = framework.tasks.get(task_id) if framework is not None else None
        if task is not None and task.host is not None:
            host_id = task.host.id
        else:
            last = self._loop.journal.last_host_of(framework_id, task_id)
            host_id = find_host(state, told) if told else last or HostId("")
        if host_id in self._loop.executors:
            return self._loop.executors[host_id]
        if host_id in state.hosts:
            raise Unavailable(f"host {state.hosts[host_id].name} of task {task_id} does not answer now")
        raise NotFound(f"there is no task {task_id!r} of framework {framework_id!r}")

    async def serve(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """An executor's side: put what comes where it is waited for."""
        message = await context.read()
        if message is grpc.aio.EOF:
            return
        attachment_id = message.attachment_id
        queue = self._waiting.get(attachment_id)
        if queue is None:
            raise PeerError(f"attachment_id: nobody waits for {attachment_id!r}")
        task = asyncio.create_task(_pass_on(context, message, queue))
        self._serving[attachment_id] = task
        inputs = self._inputs.pop(attachment_id, None)
        feeding = asyncio.create_task(_feed(context, inputs)) if inputs is not None else None
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            if feeding is not None:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)


async def _feed(
    context: grpc.aio.ServicerContext[Any, Any], inputs: AsyncIterator[codec.executor.ToAttachment]
) -> None:
    async for message in inputs:
        await context.write(message)


async def _pass_on(
    context: grpc.aio.ServicerContext[Any, Any], message: Any, queue: asyncio.Queue[_Item]
) -> None:
    try:
        while message is not grpc.aio.EOF:
            await queue.put(message)
            message = await context.read()
        await queue.put(_END)
    except asyncio.CancelledError:
        if queue.full():
            queue.get_nowait()  # the end must be heard, whatever it costs
        queue.put_nowait(Unavailable("the executor disconnected"))
        raise
