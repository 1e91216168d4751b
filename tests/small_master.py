"""A master that does only what a test of the executor tells it to: a real gRPC server, no allocation, no memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
import grpc.aio

from offerer import SECOND, ContainerSpec, Resources, TaskId, TaskInfo, TaskState, TaskStatus
from offerer.errors import OffererError
from offerer.wire import codec
from offerer.wire.rpc_errors import abort

T = TypeVar("T")
DEADLINE = 30.0
FRAMEWORK = "shop"


async def until(ask: Callable[[], T], what: str) -> T:
    """Wait until `ask` gives something true, and return it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            if answer := ask():
                return answer
            await asyncio.sleep(0.005)
    raise AssertionError(what)


class SmallMaster(codec.ExecutorsServicer):
    """`statuses` are all that came, in order; they are acknowledged at once unless `acknowledges` is set to False."""

    def __init__(self) -> None:
        self.term = 1
        self.acknowledges = True
        self.refuses: OffererError | None = None
        self.heartbeat = 5 * SECOND
        self.unreachable_after = 30 * SECOND
        self.registrations: list[codec.executor.RegisterHost] = []
        self.statuses: list[TaskStatus] = []
        self.messages = 0
        self.address = ""
        self._stream: grpc.aio.ServicerContext[codec.executor.FromExecutor, codec.executor.ToExecutor] | None = None
        self._writing = asyncio.Lock()
        self._attachments: dict[str, tuple[asyncio.Event, list[codec.executor.LogChunk], list[str]]] = {}

    async def Connect(self, _: object, context: grpc.aio.ServicerContext) -> None:  # type: ignore[type-arg, override]
        first = await context.read()
        if self.refuses is not None:
            await abort(context, self.refuses)
        registered = codec.executor.HostRegistered(heartbeat=self.heartbeat, unreachable_after=self.unreachable_after)
        await context.write(codec.executor.ToExecutor(term=self.term, registered=registered))
        self.registrations.append(first.register)
        self._stream = context
        while (message := await context.read()) is not grpc.aio.EOF:
            self.messages += 1
            self.statuses.extend(codec.read_status(each) for each in message.statuses)
            if self.acknowledges and message.statuses:
                await self.send(codec.executor.ToExecutor(acks=[each.uuid for each in message.statuses]))

    async def Attach(self, _: object, context: grpc.aio.ServicerContext) -> None:  # type: ignore[type-arg, override]
        first = await context.read()
        ended, chunks, errors = self._attachments[first.attachment_id]
        while (message := await context.read()) is not grpc.aio.EOF:
            chunks.extend(message.chunks)
            errors.extend([message.error] if message.error else [])
            if ended.is_set():
                return
        ended.set()

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[SmallMaster]:
        """Serve on this port of the loopback address; 0 takes a free one."""
        server = grpc.aio.server()
        codec.add_ExecutorsServicer_to_server(self, server)
        self.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0)

    async def registered(self, times: int = 1) -> codec.executor.RegisterHost:
        """The latest registration, once there were so many."""
        await until(lambda: len(self.registrations) >= times and self._stream is not None, f"{times} registrations")
        return self.registrations[-1]

    async def send(self, message: codec.executor.ToExecutor) -> None:
        """Send this on the control stream, under the present term."""
        message.term = self.term
        assert self._stream is not None
        async with self._writing:  # gRPC allows one write at a time
            await self._stream.write(message)

    async def launch(self, task_id: str, spec: ContainerSpec | bytes, resources: Resources | None = None) -> None:
        """Launch one task."""
        raw = spec if isinstance(spec, bytes) else spec.to_bytes()
        message = codec.executor.ToExecutor()
        task = message.launches.add(framework_id=FRAMEWORK).task
        codec.write_task(task, TaskInfo(TaskId(task_id), resources or Resources.of(cpus=0.1), raw))
        await self.send(message)

    async def kill(self, task_id: str, grace: int | None = None) -> None:
        """Kill one task."""
        message = codec.executor.ToExecutor()
        message.kills.add(framework_id=FRAMEWORK, task_id=task_id, grace=grace)
        await self.send(message)

    def states(self, task_id: str) -> list[str]:
        """The states reported of a task, repetitions left out."""
        states = [each.state.name for each in self.statuses if each.task_id == task_id]
        return [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state]

    async def status(self, task_id: str, state: TaskState) -> TaskStatus:
        """The first status of this task in this state, waiting for it; another terminal one fails the test."""

        def arrived() -> TaskStatus | None:
            for each in self.statuses:
                if each.task_id == task_id and each.state is state:
                    return each
                if each.task_id == task_id and each.state.terminal:
                    raise AssertionError(f"{task_id} is {each.state.name}, not {state.name}: {each.message}")
            return None

        found = await until(arrived, f"{task_id} {state.name}")
        assert found is not None
        return found

    async def acknowledged(self, task_id: str) -> None:
        """Wait until the executor has taken the acknowledgements so far.

        Messages come in order: it has taken them when it answers a question about a task, one that it knows.
        """
        await self.attach(task_id)

    async def attach_when_running(self, task_id: str, output: bytes) -> None:
        """Wait until the task wrote this."""
        await self.status(task_id, TaskState.RUNNING)
        await self.attach(task_id, enough=output, follow=True)

    async def attach(
        self, task_id: str, enough: bytes = b"", container: str = "", **logs: object
    ) -> tuple[bytes, bytes, str]:
        """Ask for the logs, or with no options for inspect: what came on both outputs, and the error.

        With `enough`, it ends as soon as that came instead of waiting for the end.
        """
        ended, chunks, errors = asyncio.Event(), list[codec.executor.LogChunk](), list[str]()
        attachment = f"a{len(self._attachments)}"
        self._attachments[attachment] = (ended, chunks, errors)
        message = codec.executor.ToExecutor()
        asked = message.attachments.add(attachment_id=attachment, framework_id=FRAMEWORK, task_id=task_id)
        asked.container = container
        if logs:
            asked.logs.CopyFrom(codec.executor.LogsRequest(**logs))
        else:
            asked.inspect.SetInParent()
        await self.send(message)

        def output(stderr: bool) -> bytes:
            return b"".join(chunk.data for chunk in chunks if chunk.stderr == stderr)

        await until(lambda: ended.is_set() or (enough and enough in output(False)), f"the attachment of {task_id}")
        ended.set()
        return output(False), output(True), "".join(errors)
