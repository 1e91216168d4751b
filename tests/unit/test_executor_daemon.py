"""The executor against a master that is a real gRPC server, with the fake runtime."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from executor.daemon import Executor, ExecutorConfig
from executor.fake import FakeRuntime
from executor.host import hold_state_dir
from executor.link import CHANNEL_OPTIONS, STATUSES_PER_MESSAGE, Rejected
from offerer import SECOND, ContainerSpec, FrameworkId, InvalidInput, Reason, Resources, TaskId, TaskInfo, TaskState
from offerer.errors import Replaced, Unavailable
from offerer.ids import HostId
from offerer.wire import codec
from tests.small_master import FRAMEWORK, SmallMaster, until

SPEC = ContainerSpec(image="web:1")


def config(master: SmallMaster, runtime: FakeRuntime | None = None, **changes: object) -> ExecutorConfig:
    values: dict[str, object] = {
        "masters": (master.address,),
        "runtime": runtime or FakeRuntime(),
        "total": Resources.of(cpus=4, memory="8GiB", ports="31000-31999"),
        "name": "db-1",
        "address": "10.1.2.3",
        "attributes": {"zone": "a"},
    }
    return ExecutorConfig(**(values | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def running(settings: ExecutorConfig, channel: grpc.aio.Channel | None = None) -> AsyncIterator[Executor]:
    executor = Executor(settings, channel)
    task = asyncio.create_task(executor.run())
    try:
        yield executor
    finally:
        executor.stop()
        await task
        executor.lifecycle.check_invariants()


@pytest.fixture
async def master() -> AsyncIterator[SmallMaster]:
    async with SmallMaster().serving() as serving:
        yield serving


async def test_registers_what_it_is(master: SmallMaster, tmp_path: Path) -> None:
    async with running(config(master, state_dir=tmp_path)):
        host = await master.registered()
    assert (host.version, host.name, host.address, dict(host.attributes)) == (1, "db-1", "10.1.2.3", {"zone": "a"})
    assert codec.read_resources(host.total) == Resources.of(cpus=4, memory="8GiB", ports="31000-31999")
    assert (host.runtime, len(host.tasks)) == ("fake", 0)
    async with running(config(master, state_dir=tmp_path)):
        again = await master.registered(2)
    assert again.host_id == host.host_id  # it survives the restart


async def test_runs_and_kills_a_task(master: SmallMaster) -> None:
    async with running(config(master)) as executor:
        await master.registered()
        await master.launch("t", SPEC)
        status = await master.status("t", TaskState.RUNNING)
        assert status.host_id == executor.host.id
        await master.kill("t")
        killed = await master.status("t", TaskState.KILLED)
        assert (killed.reason, killed.exit_code) == (Reason.KILL_REQUESTED, 143)
        await until(lambda: not executor.lifecycle.tasks, "the task is forgotten once its end is acknowledged")


async def test_a_task_that_ends_by_itself(master: SmallMaster) -> None:
    async with running(config(master)):
        await master.registered()
        await master.launch("t", ContainerSpec(labels={"fake.run_for": "0.01", "fake.exit_code": "3"}))
        status = await master.status("t", TaskState.FAILED)
        assert (status.reason, status.exit_code, status.message) == (Reason.EXITED, 3, "exited with code 3")


async def test_grace_ends_with_the_kill_signal(master: SmallMaster) -> None:
    async with running(config(master)):
        await master.registered()
        await master.launch("t", ContainerSpec(labels={"fake.ignores_stop": "yes"}))
        await master.status("t", TaskState.RUNNING)
        await master.kill("t", grace=SECOND // 50)
        assert (await master.status("t", TaskState.KILLED)).exit_code == 137
        assert master.states("t") == ["RUNNING", "KILLING", "KILLED"]


async def test_reports_all_it_holds_when_it_reconnects_and_resends_what_was_not_acknowledged() -> None:
    runtime = FakeRuntime()
    first = SmallMaster()
    first.acknowledges = False
    async with first.serving():
        port = int(first.address.rpartition(":")[2])
        settings = config(first, runtime)
        executor = Executor(settings)
        task = asyncio.create_task(executor.run())
        await first.registered()
        await first.launch("up", SPEC, Resources.of(cpus=2))
        await first.launch("down", SPEC)
        await first.status("up", TaskState.RUNNING)
        await first.status("down", TaskState.RUNNING)
    # No master is there now: everything goes on.
    runtime.end((FrameworkId(FRAMEWORK), TaskId("down")), 1)
    second = SmallMaster()
    async with second.serving(port):
        held = {each.status.task_id: each for each in (await second.registered()).tasks}
        assert held["up"].framework_id == FRAMEWORK
        assert codec.read_resources(held["up"].resources) == Resources.of(cpus=2)
        assert (held["up"].status.state, held["down"].status.state) == (TaskState.RUNNING, TaskState.FAILED)
        await second.status("down", TaskState.FAILED)
        assert second.states("down") == ["RUNNING", "FAILED"]  # what was sent and not acknowledged comes again
        assert second.states("up") == ["RUNNING"]
        uuids = {each.uuid for each in first.statuses}
        assert uuids <= {each.uuid for each in second.statuses}  # and is recognisable as a repetition
        executor.stop()
        await task


async def test_a_task_that_nothing_was_said_of_yet_is_reported_too(master: SmallMaster) -> None:
    master.heartbeat = master.unreachable_after = SECOND // 50  # the connection breaks at once, again and again
    async with running(config(master)):
        await master.registered()
        await master.launch("t", ContainerSpec(labels={"fake.start_after": "600"}))
        await until(lambda: master.registrations[-1].tasks, "it is held")
        [held] = master.registrations[-1].tasks
        assert (held.status.task_id, held.status.state) == ("t", TaskState.STAGING)


async def test_many_statuses_are_split_into_messages(master: SmallMaster) -> None:
    async with running(config(master)):
        await master.registered()
        message = codec.executor.ToExecutor()
        count = 2 * STATUSES_PER_MESSAGE + 1
        for n in range(count):
            info = TaskInfo(TaskId(f"t{n}"), Resources.of(cpus=0.1), SPEC.to_bytes())
            codec.write_task(message.launches.add(framework_id=FRAMEWORK).task, info)
        await master.send(message)
        await until(lambda: len(master.statuses) == count, "all are running")
        assert master.messages == 3


async def test_a_smaller_term_is_ignored(master: SmallMaster, caplog: pytest.LogCaptureFixture) -> None:
    master.term = 7
    async with running(config(master)) as executor:
        await master.registered()
        await master.launch("t", SPEC)
        await master.status("t", TaskState.RUNNING)
        master.term = 6
        await master.kill("t")
        await master.registered(2)  # it cut the connection, and is not taken in by the old term there either
        await master.registered(3)
        assert [task.state for task in executor.lifecycle.tasks.values()] == [TaskState.RUNNING]
        assert "its term is 6, and 7 was seen" in caplog.text
        master.term = 8
        await master.registered(4)
        await until(lambda: executor.lifecycle.tasks, "the task")


@pytest.mark.parametrize("error", [InvalidInput("protocol version 1 is too old"), Replaced("db-1 registered again")])
async def test_a_rejected_registration_is_final(master: SmallMaster, error: InvalidInput | Replaced) -> None:
    master.refuses = error
    with pytest.raises(Rejected, match=f"refuses this host: {error}"):
        await Executor(config(master)).run()


async def test_waits_for_a_master_and_tries_the_next(master: SmallMaster, caplog: pytest.LogCaptureFixture) -> None:
    nobody = "127.0.0.1:1"
    async with running(config(master, masters=(nobody, master.address))):
        await master.registered()
    complaints = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(complaints) == 1 and f"no connection to the master at {nobody}" in complaints[0].getMessage()


async def test_heartbeats_as_often_as_the_master_says(master: SmallMaster) -> None:
    master.heartbeat = SECOND // 50
    async with running(config(master)):
        await master.registered()
        await until(lambda: master.messages >= 5, "heartbeats")


async def test_a_silent_master_is_left(master: SmallMaster, caplog: pytest.LogCaptureFixture) -> None:
    master.heartbeat = master.unreachable_after = SECOND // 50
    async with running(config(master)):
        await master.registered(2)
    assert "the master was silent" in caplog.text


async def test_two_executors_cannot_share_a_state_directory(master: SmallMaster, tmp_path: Path) -> None:
    with hold_state_dir(tmp_path), pytest.raises(Unavailable, match="another executor uses it"):
        await Executor(config(master, state_dir=tmp_path)).run()


async def test_a_state_directory_that_cannot_be_made(master: SmallMaster, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="name one that can be written"):
        await Executor(config(master, state_dir=tmp_path / "file" / "dir")).run()


async def test_many_executors_share_one_channel(master: SmallMaster) -> None:
    async with grpc.aio.insecure_channel(master.address, options=CHANNEL_OPTIONS) as channel:
        executors = [Executor(config(master, host_id=HostId(f"h{n}")), channel) for n in range(20)]
        tasks = [asyncio.create_task(executor.run()) for executor in executors]
        await master.registered(20)
        assert {each.host_id for each in master.registrations} == {f"h{n}" for n in range(20)}
        for executor in executors:
            executor.stop()
        await asyncio.gather(*tasks)


async def test_logs_and_inspect(master: SmallMaster) -> None:
    async with running(config(master)):
        await master.registered()
        await master.launch("t", SPEC)
        await master.status("t", TaskState.RUNNING)
        out, err, error = await master.attach("t", tail=10)
        assert (out, err, error) == (b"t: the fake runtime runs nothing\n", b"", "")
        assert b'"image": "web:1"' in (await master.attach("t"))[0]
        assert (await master.attach("nix", follow=True))[2] == "task nix of shop does not run here"
