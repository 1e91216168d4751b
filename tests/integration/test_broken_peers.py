"""Peers that send rubbish get a clear error and are cut off; nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from examples.hello_framework import Hello
from executor.daemon import Executor, ExecutorConfig
from executor.fake import FakeRuntime
from offerer import Resources
from offerer.client import Client
from offerer.master.server import Master, MasterConfig
from offerer.types import SECOND
from offerer.wire import codec

common, executor, framework = codec.common, codec.executor, codec.framework
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Cluster:
    """A master in this process, with a healthy host and framework."""

    def __init__(self, master: Master) -> None:
        self.master = master
        self.channel = grpc.aio.insecure_channel(
            master.address, options=[("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
        )

    async def until(self, what: str, condition: Any) -> None:
        """Wait for it."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    def running(self) -> int:
        """Copies of hello that run."""
        hello = self.master.cluster.state.frameworks.get("hello")
        return sum(task.state.name == "RUNNING" for task in hello.tasks.values()) if hello else 0

    async def cut_off(self, service: str, *messages: Any) -> tuple[grpc.StatusCode, str]:
        """Send these and return how the master ended the stream."""
        call = self.channel.stream_stream(f"/offerer.v1.{service}", request_serializer=_bytes)()
        try:
            for message in messages:
                await call.write(message)
            async with asyncio.timeout(20):
                while await call.read() is not grpc.aio.EOF:
                    pass
        except grpc.aio.AioRpcError:
            pass
        return await call.code(), await call.details() or ""


def _bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    config = MasterConfig(store=str(tmp_path / "m.db"), listen="127.0.0.1:0", heartbeat=SECOND)
    master = Master(config)
    await master.start()
    healthy = Cluster(master)
    total = Resources.of(cpus=4, memory="4GiB", ports="1-32767")
    host = Executor(ExecutorConfig((master.address,), FakeRuntime(), total, name="healthy", address="127.0.0.1"))
    tasks = [asyncio.create_task(host.run()), asyncio.create_task(Client(Hello(), [master.address]).run())]
    try:
        await healthy.until("hello", lambda: healthy.running() == 3)
        yield healthy
        assert all(not task.done() for task in tasks), "a healthy peer noticed"
        assert healthy.running() == 3
        master.cluster.check_invariants()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await healthy.channel.close()
        await master.stop()


def host(**changes: Any) -> Any:
    """A legal registration of a host, but for the changes."""
    fields = {"version": 1, "host_id": "broken", "name": "broken", "total": common.Resources(cpus=1000)}
    return executor.FromExecutor(register=executor.RegisterHost(**{**fields, **changes}))


def hello(**changes: Any) -> Any:
    """A legal registration of a framework, but for the changes."""
    return framework.FromFramework(
        register=framework.RegisterFramework(**{"version": 1, "framework_id": "broken", **changes})
    )


def status(task_id: str, state: int = 3) -> Any:
    """A status from an executor."""
    return common.TaskStatus(task_id=task_id, framework_id="hello", state=state, uuid=b"0" * 16)


NO_OPERATOR = framework.Demand(
    wants=[framework.Want(count=1, constraints=[framework.Constraint(attribute="a", operator="~")])]
)


@pytest.mark.parametrize(
    ("service", "messages", "says"),
    [
        ("Executors/Connect", [executor.FromExecutor()], "the first message of a stream must register the host"),
        ("Executors/Connect", [host(version=7)], "register.version: 7 is not the protocol version 1"),
        ("Executors/Connect", [host(host_id="")], "register.host_id: '' must be 1 to 253 printable characters"),
        ("Executors/Connect", [host(name="a b")], "register.name: 'a b' must be"),
        ("Executors/Connect", [host(total=common.Resources(cpus=1 << 63))], "an amount is out of range"),
        (
            "Executors/Connect",
            [host(total=common.Resources(ports=[common.PortRange(first=1, last=70000)]))],
            "1-70000 is not a range of ports",
        ),
        ("Executors/Connect", [host(), host()], "only the first message of a stream registers the host"),
        (
            "Executors/Connect",
            [host(), executor.FromExecutor(statuses=[status("x", 99)])],
            "99 is not a task state we know",
        ),
        ("Executors/Attach", [executor.FromAttachment(attachment_id="guess")], "nobody waits for 'guess'"),
        ("Frameworks/Connect", [hello(version=0)], "register.version: 0 is not the protocol version 1"),
        ("Frameworks/Connect", [hello(framework_id="../x")], "register.framework_id: '../x' must be"),
        ("Frameworks/Connect", [framework.FromFramework()], "must register the framework"),
        (
            "Frameworks/Connect",
            [hello(), framework.FromFramework(demand=NO_OPERATOR)],
            "demand: constraint a ~ : '~' is not one of ==, !=, in",
        ),
    ],
)  # fmt: skip
async def test_what_breaks_the_rules_is_named(cluster: Cluster, service: str, messages: list[Any], says: str) -> None:
    code, details = await cluster.cut_off(service, *messages)
    assert (code, says in details) == (INVALID, True), details


async def test_a_status_of_someone_elses_task(cluster: Cluster) -> None:
    (task_id, *_) = cluster.master.cluster.state.frameworks["hello"].tasks  # type: ignore[index]
    code, details = await cluster.cut_off(
        "Executors/Connect", host(), executor.FromExecutor(statuses=[status(task_id, 7)])
    )
    assert code is INVALID
    assert details == f"task {task_id!r} of 'hello' is not on host 'broken' but on another"


async def test_a_host_that_claims_someone_elses_task(cluster: Cluster) -> None:
    (task_id, *_) = cluster.master.cluster.state.frameworks["hello"].tasks  # type: ignore[index]
    held = executor.HeldTask(framework_id="hello", status=status(task_id))
    code, details = await cluster.cut_off("Executors/Connect", host(tasks=[held]))
    assert code is INVALID
    assert details == f"host 'broken' claims task {task_id!r} of 'hello', it is on 'healthy'"


@pytest.mark.parametrize("service", ["Executors/Connect", "Frameworks/Connect"])
async def test_rubbish_bytes(cluster: Cluster, service: str) -> None:
    code, details = await cluster.cut_off(service, b"\xff\xfe rubbish \x00" * 10)
    assert code is INVALID
    assert "not a message of this protocol" in details


async def test_an_oversized_message(cluster: Cluster) -> None:
    code, details = await cluster.cut_off("Frameworks/Connect", hello(software="x" * (17 << 20)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "16777216" in details


async def test_bytes_that_are_not_even_grpc(cluster: Cluster) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.master.port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(20):
        await reader.read()
    writer.close()


async def test_acknowledging_and_killing_what_belongs_to_others_does_nothing(cluster: Cluster) -> None:
    (task_id, *_) = cluster.master.cluster.state.frameworks["hello"].tasks  # type: ignore[index]
    call = codec.FrameworksStub(cluster.channel).Connect()
    await call.write(hello())
    await call.write(framework.FromFramework(kills=[framework.Kill(task_id=task_id)], acks=[b"0" * 16]))
    while not (message := await call.read()).statuses:
        pass
    assert [(each.task_id, each.state) for each in message.statuses] == [(task_id, common.GONE)]
    call.cancel()
    assert cluster.running() == 3


async def test_a_peer_that_does_not_read_is_cut_off(cluster: Cluster) -> None:
    """Its own socket: registers by hand and then never reads, while the master has much to say to it."""
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    async with grpc.aio.insecure_channel(cluster.master.address, options=options) as channel:
        call = codec.FrameworksStub(channel).Connect()
        await call.write(hello())
        peers = cluster.master._loop.frameworks  # type: ignore[union-attr]
        await cluster.until("the registration", lambda: "broken" in peers)
        outbox = peers["broken"].outbox  # type: ignore[index]
        outbox._limit = 1 << 20
        for _ in range(3):
            outbox.message(1 << 20).calls.add(method="x" * (1 << 20))
        await cluster.until("the cut", lambda: "broken" not in peers)
        with pytest.raises(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert "does not read what it is sent" in (await call.details() or "")


def test_nothing_listens_on_the_executor(cluster: Cluster) -> None:
    """Executors dial in: the only listening sockets of this process are the master's."""
    import psutil

    listening = [c.laddr.port for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN]
    assert set(listening) == {cluster.master.port}
