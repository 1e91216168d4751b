"""A pytest plug-in: a cluster to test a framework on. docs/TESTING.md is the tutorial.

`cluster` is simulated, in virtual time: hours take milliseconds, and every run is the same. `live_cluster` has the same
methods over real gRPC, with a real master and real executors whose runtime runs nothing; there time is real time.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import pytest

from offerer.errors import InvalidInput, NotFound, Unavailable
from offerer.framework import Framework
from offerer.resources import Resources
from offerer.task_states import TaskState
from offerer.types import SECOND, TaskStatus

if TYPE_CHECKING:
    from executor.daemon import Executor
    from executor.fake import FakeRuntime
    from offerer.core.state import State, Task
    from offerer.master.journal import Entry
    from offerer.master.server import Master

F = TypeVar("F", bound=Framework)
T = TypeVar("T")

_PATIENCE: Final = 10.0  # seconds that a live cluster gets to do what is asserted
_POLL: Final = 0.01
_LIVE_HEARTBEAT: Final = SECOND // 2
_LIVE_UNREACHABLE: Final = 2 * SECOND
_CHECK_EVERY: Final = 10  # steps


class ClusterFixture(Protocol):
    """What both fixtures can do. Times are ``"30s"``, ``"1h30m"`` or seconds."""

    @property
    def events(self) -> list[Entry]:
        """All that happened, as ``offerer events`` words it: each with `at` (µs), `kind` and `fields`."""

    def add_hosts(
        self,
        count: int,
        cpus: float = 8,
        memory: str | int = "32GiB",
        disk: str | int = "100GiB",
        gpus: int = 0,
        ports: str = "31000-32000",
        **attributes: str,
    ) -> list[str]:
        """So many equal hosts with these attributes; returns their names, ``host-1`` and on."""

    def run(self, framework: F) -> F:
        """Connect a framework; returns it."""

    def advance(self, time: str | float) -> None:
        """Let time pass."""

    def kill_host(self, name: str) -> None:
        """A host fails, with all that runs on it. Its tasks become UNREACHABLE when it has been away for long."""

    def start_host(self, name: str) -> None:
        """A host that was killed is back, with nothing on it."""

    def drain_host(self, name: str) -> None:
        """An operator wants a host empty: no more offers of it, and every status of a task there has `draining` set."""

    def undrain_host(self, name: str) -> None:
        """The host is offered again."""

    def end_task(self, task_id: str, exit_code: int = 0) -> None:
        """A running task ends by itself."""

    def tasks(self, name: str) -> list[TaskStatus]:
        """The latest status of the tasks of the framework of this name, or of all tasks ``name…`` where none is so
        named; those that ended and were acknowledged are forgotten."""

    def assert_running(self, name: str, count: int) -> None:
        """Fail unless just so many of the `tasks` of this name run (a live cluster is given 10 s to get there)."""


def _tasks(state: State, name: str) -> list[TaskStatus]:
    """By framework, or else by the beginning of the id up to a character that is no letter or digit."""
    for framework in state.frameworks.values():
        if framework.id == name:
            return [_as_told(task) for task in framework.tasks.values()]
    return [
        _as_told(task)
        for framework in state.frameworks.values()
        for task_id, task in framework.tasks.items()
        if task_id.startswith(name) and not task_id[len(name) : len(name) + 1].isalnum()
    ]


def _as_told(task: Task) -> TaskStatus:
    from offerer.core.tasks import as_told

    return as_told(task, task.status)


def _wrong(state: State, name: str, count: int) -> str:
    """Why the assertion does not hold; empty where it does."""
    tasks = _tasks(state, name)
    running = sum(task.state is TaskState.RUNNING for task in tasks)
    if running == count:
        return ""
    others = [
        f"{task.task_id} is {task.state.name}" + (f" ({task.message})" if task.message else "")
        for task in tasks
        if task.state is not TaskState.RUNNING
    ]
    hosts = [host for host in state.hosts.values() if host.offerable]
    free = ", ".join(f"{host.name} has {host.free} free" for host in hosts[:5]) or "there is no host"
    return f"{name}: {running} of {count} run; {'; '.join([*others[:5], free])}"


def _resources(cpus: float, memory: str | int, disk: str | int, gpus: int, ports: str) -> Resources:
    return Resources.of(cpus=cpus, memory=memory, disk=disk, gpus=gpus, ports=ports)


# -- in virtual time ---------------------------------------------------------------------------------------------------


class SimulatedCluster:
    """See `ClusterFixture`. `simulation` is what it is made of: for partitions, bad weather, new masters."""

    def __init__(self, seed: int = 1) -> None:
        from offerer.master.journal import Journal
        from offerer.sim import Simulation

        self.simulation = Simulation(seed, check_every=_CHECK_EVERY)
        self._journal = Journal()
        self.simulation.master.observe = self._journal.record

    @property
    def events(self) -> list[Entry]:
        return list(self._journal.after(0))

    def add_hosts(
        self,
        count: int,
        cpus: float = 8,
        memory: str | int = "32GiB",
        disk: str | int = "100GiB",
        gpus: int = 0,
        ports: str = "31000-32000",
        **attributes: str,
    ) -> list[str]:
        total = _resources(cpus, memory, disk, gpus, ports)
        first = len(self.simulation.hosts) + 1
        return [
            self.simulation.add_host(f"host-{number}", total, attributes).name
            for number in range(first, first + count)
        ]

    def run(self, framework: F) -> F:
        self.simulation.run(framework)
        return framework

    def advance(self, time: str | float) -> None:
        from offerer.sim.units import duration

        self.simulation.advance(duration(time, "time"))

    def kill_host(self, name: str) -> None:
        self.simulation.crash(name)

    def start_host(self, name: str) -> None:
        self.simulation.start(name)

    def drain_host(self, name: str) -> None:
        self.simulation.drain(name)

    def undrain_host(self, name: str) -> None:
        self.simulation.undrain(name)

    def end_task(self, task_id: str, exit_code: int = 0) -> None:
        for host in self.simulation.hosts.values():
            for key in host.lifecycle.tasks if host.up else ():
                if key[1] == task_id:
                    return host.runtime.end(key, exit_code)
        raise NotFound(f"no task {task_id!r} runs")

    def tasks(self, name: str) -> list[TaskStatus]:
        return _tasks(self.simulation.master.cluster.state, name)

    def assert_running(self, name: str, count: int) -> None:
        wrong = _wrong(self.simulation.master.cluster.state, name, count)
        assert not wrong, wrong


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    """A cluster in virtual time. Its books are checked all along, and once more after the test."""
    simulated = SimulatedCluster()
    yield simulated
    simulated.simulation.check()


# -- over real gRPC ----------------------------------------------------------------------------------------------------


class LiveCluster:
    """See `ClusterFixture`. Everything runs in one event loop, in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="live_cluster", daemon=True)
        self._thread.start()
        self._totals: dict[str, tuple[Resources, dict[str, str]]] = {}
        self._executors: dict[str, tuple[Executor, FakeRuntime, asyncio.Task[None]]] = {}
        self._clients: list[asyncio.Task[None]] = []
        self._numbers = itertools.count(1)
        self._master: Master = self._call(self._start_master(directory))

    @property
    def events(self) -> list[Entry]:
        return self._ask(lambda: list(self._master.journal.after(0)))

    def add_hosts(
        self,
        count: int,
        cpus: float = 8,
        memory: str | int = "32GiB",
        disk: str | int = "100GiB",
        gpus: int = 0,
        ports: str = "31000-32000",
        **attributes: str,
    ) -> list[str]:
        total = _resources(cpus, memory, disk, gpus, ports)
        names = [f"host-{next(self._numbers)}" for _ in range(count)]
        for name in names:
            self._totals[name] = (total, attributes)
            self._call(self._start_executor(name))
        self._await_hosts(names)
        return names

    def run(self, framework: F) -> F:
        self._call(self._start_client(framework))
        self._until(lambda: framework.name in self._master.cluster.state.frameworks, f"{framework.name} registered")
        return framework

    def advance(self, time: str | float) -> None:
        from offerer.sim.units import duration

        sleep(duration(time, "time") / SECOND)

    def kill_host(self, name: str) -> None:
        self._call(self._stop_executor(name))
        self._until(lambda: not self._offerable(name), f"{name} gone")

    def start_host(self, name: str) -> None:
        if name not in self._totals or name in self._executors:
            raise InvalidInput(f"host {name!r} was not killed; kill it first")
        self._call(self._start_executor(name))
        self._await_hosts([name])

    def drain_host(self, name: str) -> None:
        self._call(self._set_availability(name, "draining"))

    def undrain_host(self, name: str) -> None:
        self._call(self._set_availability(name, "active"))

    def end_task(self, task_id: str, exit_code: int = 0) -> None:
        self._call(self._end_task(task_id, exit_code))

    def tasks(self, name: str) -> list[TaskStatus]:
        return self._ask(lambda: _tasks(self._master.cluster.state, name))

    def assert_running(self, name: str, count: int) -> None:
        deadline = monotonic() + _PATIENCE
        while wrong := self._ask(lambda: _wrong(self._master.cluster.state, name, count)):
            assert monotonic() < deadline, wrong
            sleep(_POLL)

    def close(self) -> None:
        """Stop everything."""
        self._call(self._stop_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- in the loop's thread ----------------------------------------------------------------------------------------

    async def _start_master(self, directory: Path) -> Master:
        from offerer.master.server import Master, MasterConfig

        config = MasterConfig(
            store=str(directory / "master.db"),
            listen="127.0.0.1:0",
            heartbeat=_LIVE_HEARTBEAT,
            unreachable_after=_LIVE_UNREACHABLE,
        )
        master = Master(config)
        await master.start()
        return master

    async def _start_executor(self, name: str) -> None:
        from executor.daemon import Executor, ExecutorConfig
        from executor.fake import FakeRuntime
        from offerer.ids import HostId

        total, attributes = self._totals[name]
        runtime = FakeRuntime()
        config = ExecutorConfig(
            (self._master.address,),
            runtime,
            total,
            host_id=HostId(name),
            name=name,
            address="127.0.0.1",
            attributes=attributes,
        )
        executor = Executor(config)
        self._executors[name] = (executor, runtime, asyncio.create_task(executor.run()))

    async def _stop_executor(self, name: str) -> None:
        if name not in self._executors:
            raise NotFound(f"there is no host {name!r} up; there are {', '.join(self._executors) or 'none'}")
        await _cancelled([self._executors.pop(name)[2]])

    async def _start_client(self, framework: Framework) -> None:
        from offerer.client import Client

        self._clients.append(asyncio.create_task(Client(framework, [self._master.address]).run()))

    async def _set_availability(self, name: str, availability: str) -> None:
        import grpc.aio

        from offerer.wire import codec

        request = codec.operator.SetAvailabilityRequest(host=name, availability=availability)
        async with grpc.aio.insecure_channel(self._master.address) as channel:
            await codec.OperatorStub(channel).SetAvailability(request)

    async def _end_task(self, task_id: str, exit_code: int) -> None:
        for executor, runtime, _ in self._executors.values():
            for key in executor.lifecycle.tasks:
                if key[1] == task_id:
                    return runtime.end(key, exit_code)
        raise NotFound(f"no task {task_id!r} runs")

    async def _stop_all(self) -> None:
        await _cancelled([*self._clients, *(running for _, _, running in self._executors.values())])
        await self._master.stop()

    def _offerable(self, name: str) -> bool:
        return any(host.name == name and host.offerable for host in self._master.cluster.state.hosts.values())

    # -- from the test's thread --------------------------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _ask(self, question: Callable[[], T]) -> T:
        async def ask() -> T:
            for client in self._clients:
                if client.done():
                    client.result()  # it ended by an error that would come again
            return question()

        return self._call(ask())

    def _await_hosts(self, names: Sequence[str]) -> None:
        self._until(lambda: all(self._offerable(name) for name in names), f"{', '.join(names)} registered")

    def _until(self, ask: Callable[[], bool], what: str) -> None:
        deadline = monotonic() + _PATIENCE
        while not self._ask(ask):
            if monotonic() > deadline:
                raise Unavailable(f"live_cluster: not within {_PATIENCE:g} s: {what}")
            sleep(_POLL)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def live_cluster(tmp_path: Path) -> Iterator[LiveCluster]:
    """A cluster over real gRPC."""
    live = LiveCluster(tmp_path)
    yield live
    live.close()
