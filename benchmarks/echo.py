"""The bare minimum to compare with: a gRPC stream that carries the same batches there and back, and does nothing."""

from __future__ import annotations

import asyncio
import time
from multiprocessing.connection import Connection
from typing import Any

import grpc.aio

from offerer.ids import TaskId
from offerer.resources import Resources
from offerer.types import TaskInfo
from offerer.wire import codec


class _Echo(codec.FrameworksServicer):
    async def Connect(self, requests: Any, context: Any) -> Any:
        async for message in requests:
            yield codec.framework.ToFramework(
                statuses=[
                    codec.common.TaskStatus(task_id=task.task_id, state=codec.common.RUNNING)
                    for task in message.accepts[0].tasks
                ]
            )


def serve(pipe: Connection) -> None:
    """Process that echoes until told to stop."""

    async def run() -> None:
        server = grpc.aio.server()
        codec.add_FrameworksServicer_to_server(_Echo(), server)
        pipe.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await asyncio.to_thread(pipe.recv)
        await server.stop(0)

    asyncio.run(run())


async def measure(port: int, tasks: int, batch: int) -> float:
    """Tasks a second through the echo, `batch` a message, a few messages under way."""
    resources = Resources.of(cpus=0.1, memory="32MiB")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = codec.FrameworksStub(channel).Connect()
        started = time.perf_counter()

        async def send() -> None:
            for first in range(0, tasks, batch):
                accept = codec.framework.Accept(offer_ids=[first])
                for i in range(first, min(first + batch, tasks)):
                    codec.write_task(accept.tasks.add(), TaskInfo(TaskId(f"task-{i}"), resources, b"{}"))
                await call.write(codec.framework.FromFramework(accepts=[accept]))
            await call.done_writing()

        sender = asyncio.create_task(send())
        seen = 0
        async for message in call:
            seen += len([codec.read_status(status) for status in message.statuses])
        await sender
        assert seen == tasks, f"the echo lost {tasks - seen} tasks"
        return tasks / (time.perf_counter() - started)
