"""A pytest plug-in: a cluster to test a framework on. docs/TESTING.md is the tutorial.

`cluster` is simulated, in virtual time: hours take milliseconds, and every run is the same. `live_cluster` has the same
methods over real gRPC, with a real master and real executors whose runtime runs nothing; there time is real time.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
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
    from offerer.client import Client
    from offerer.core.state import Host, State, Task
    from offerer.ids import FrameworkId, TaskId
    from offerer.master.journal import Entry, Journal
    from offerer.master.server import Master

F = TypeVar("F", bound=Framework)
T = TypeVar("T")

_PATIENCE: Final = 10.0  # seconds that a live cluster gets to do what is asserted
_POLL: Final = 0.01
_ANSWERS_WITHIN: Final = 30.0
_ENDS_WITHIN: Final = 5.0
_MISTAKEN: Final = {"cpu": "cpus", "mem": "memory", "gpu": "gpus", "port": "ports"}
_LIVE_HEARTBEAT: Final = SECOND // 2
_LIVE_UNREACHABLE: Final = 2 * SECOND
_CHECK_EVERY: Final = 10  # steps
_KEEP: Final = 1_000_000  # events

Amounts = Mapping[str, float | str]
"""As people write them: ``{"cpus": 4, "memory": "8GiB"}``."""


class Cluster(Protocol):
    """What both fixtures can do. Times are ``"30s"``, ``"1h30m"`` or seconds."""

    @property
    def events(self) -> list[Entry]:
        """What happened, as ``offerer events`` words it: each with `at` (µs), `kind` and `fields`.

        The last million; of a live cluster the last 10,000.
        """

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
        """Connect a framework; returns it. One of the same name that runs is cut off, and this one takes over."""

    def configure_role(
        self, name: str, weight: float | None = None, guarantee: Amounts | None = None, limit: Amounts | None = None
    ) -> None:
        """Set weight and quota of a role, as ``offerer role set`` does. What is not given stays as it is."""

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

    def tasks(self, name: str, *, ended: bool = False) -> list[TaskStatus]:
        """The latest status of each task of the framework of this name, or, where none is so named, of all tasks whose
        id is `name` or begins with it and goes on with neither a letter nor a digit.

        With `ended` also of those that ended, as far back as `events` goes, in the order of their ends.
        """

    def assert_running(self, name: str, count: int) -> None:
        """Fail unless just so many of the `tasks` of this name run (a live cluster is given 10 s to get there)."""


def _tasks(state: State, journal: Journal, name: str, *, ended: bool = False) -> list[TaskStatus]:
    """By framework, or else by the beginning of the id up to a character that is no letter or digit."""
    found = {(framework.id, id): _as_told(task) for framework in state.frameworks.values()
             for id, task in framework.tasks.items()}  # fmt: skip
    known = set(state.frameworks)
    if ended:
        over: dict[tuple[FrameworkId, TaskId], TaskStatus] = {}
        for framework_id, status in journal.statuses():
            over.pop((framework_id, status.task_id), None)
            if status.state.terminal:
                over[framework_id, status.task_id] = status
        known.update(framework_id for framework_id, _ in over)
        found = {**{key: status for key, status in over.items() if key not in found}, **found}
    if name in known:
        return [status for key, status in found.items() if key[0] == name]
    start = len(name)
    return [each for key, each in found.items() if key[1].startswith(name) and not key[1][start : start + 1].isalnum()]


def _as_told(task: Task) -> TaskStatus:
    from offerer.core.tasks import as_told

    return as_told(task, task.status)


def _wrong(state: State, journal: Journal, name: str, count: int) -> str:
    """Why the assertion does not hold; empty where it does."""
    running = sum(task.state is TaskState.RUNNING for task in _tasks(state, journal, name))
    if running == count:
        return ""
    tasks = _tasks(state, journal, name, ended=True)
    others = [
        f"{task.task_id} is {task.state.name}" + (f" ({task.message})" if task.message else "")
        for task in tasks
        if task.state is not TaskState.RUNNING
    ]
    if not tasks and name not in state.frameworks:
        there = ", ".join(sorted(state.frameworks)) or "none"
        others.append(f"no framework is called {name!r}, nor a task; the frameworks are: {there}")
    hosts = [_host_in_words(host) for host in list(state.hosts.values())[:5]] or ["there is no host"]
    return f"{name}: {running} of {count} run; {'; '.join([*others[-5:], ', '.join(hosts)])}"


def _host_in_words(host: Host) -> str:
    from offerer.core.state import HostState

    if host.offerable:
        return f"{host.name} has {host.free} free"
    return f"{host.name} is {host.availability.value if host.state is HostState.ACTIVE else host.state.value}"


def _resources(cpus: float, memory: str | int, disk: str | int, gpus: int, ports: str) -> Resources:
    return Resources.of(cpus=cpus, memory=memory, disk=disk, gpus=gpus, ports=ports)


def _check_hosts(count: int, attributes: Mapping[str, object]) -> None:
    if type(count) is not int or count < 1:
        raise InvalidInput(f"add_hosts: count: {count!r} must be a whole number from 1")
    for name, value in attributes.items():
        if name in _MISTAKEN:
            raise InvalidInput(f"add_hosts: {name}: {value!r} would be an attribute; write {_MISTAKEN[name]}")
        if not isinstance(value, str):
            wanted = f"a string, as all attributes; write {str(value)!r}"
            raise InvalidInput(f"add_hosts: {name}: {value!r} must be {wanted}")


def _check_exit_code(exit_code: int) -> None:
    if type(exit_code) is not int or not 0 <= exit_code <= 255:
        raise InvalidInput(f"end_task: exit_code: {exit_code!r} must be a whole number from 0 to 255")


def _thousandths(weight: float | None) -> int | None:
    if weight is None:
        return None
    if not isinstance(weight, (int, float)) or not 0.001 <= weight <= 1e6:
        raise InvalidInput(f"configure_role: weight: {weight!r} must be a number from 0.001 to 1000000")
    return round(weight * 1000)


def _amounts(field: str, amounts: Amounts | None) -> dict[str, int] | None:
    """As the core has them; a zero that is given counts, unlike in `Resources`."""
    if amounts is None:
        return None
    if not isinstance(amounts, Mapping):
        raise InvalidInput(f'configure_role: {field}: {amounts!r} must be a mapping such as {{"cpus": 4}}')
    counts: dict[str, Any] = {**amounts}
    own: dict[str, Any] = {name: counts.pop(name) for name in ("cpus", "memory", "disk", "gpus") if name in counts}
    try:
        read = dict(Resources.of(**own, counts=counts).scalars())
    except InvalidInput as error:
        raise InvalidInput(f"configure_role: {field}: {error}") from None
    return {name: read.get(name, 0) for name in amounts}


# -- in virtual time ---------------------------------------------------------------------------------------------------


class SimulatedCluster:
    """See `Cluster`. `simulation` is what it is made of: for partitions, bad weather, new masters."""

    def __init__(self, seed: int = 1) -> None:
        from offerer.master.journal import Journal
        from offerer.sim import Simulation

        self.simulation = Simulation(seed, check_every=_CHECK_EVERY)
        self._journal = Journal(_KEEP)
        self._numbers = itertools.count(1)
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
        _check_hosts(count, attributes)
        total = _resources(cpus, memory, disk, gpus, ports)
        names = [f"host-{next(self._numbers)}" for _ in range(count)]
        return [self.simulation.add_host(name, total, attributes).name for name in names]

    def run(self, framework: F) -> F:
        self.simulation.run(framework)
        return framework

    def configure_role(
        self, name: str, weight: float | None = None, guarantee: Amounts | None = None, limit: Amounts | None = None
    ) -> None:
        amounts = _amounts("guarantee", guarantee), _amounts("limit", limit)
        self.simulation.configure_role(name, _thousandths(weight), *amounts)

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
        _check_exit_code(exit_code)
        for host in self.simulation.hosts.values():
            for key in host.lifecycle.tasks if host.up else ():
                if key[1] == task_id:
                    return host.runtime.end(key, exit_code)
        raise NotFound(f"no task {task_id!r} runs")

    def tasks(self, name: str, *, ended: bool = False) -> list[TaskStatus]:
        return _tasks(self.simulation.master.cluster.state, self._journal, name, ended=ended)

    def assert_running(self, name: str, count: int) -> None:
        if wrong := _wrong(self.simulation.master.cluster.state, self._journal, name, count):
            raise AssertionError(wrong)


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    """A cluster in virtual time. Its books are checked all along, and once more after the test."""
    simulated = SimulatedCluster()
    yield simulated
    simulated.simulation.check()


# -- over real gRPC ----------------------------------------------------------------------------------------------------


class LiveCluster:
    """See `Cluster`. Everything runs in one event loop, in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="live_cluster", daemon=True)
        self._thread.start()
        self._totals: dict[str, tuple[Resources, dict[str, str]]] = {}
        self._executors: dict[str, tuple[Executor, FakeRuntime, asyncio.Task[None]]] = {}
        self._clients: dict[str, tuple[Client, asyncio.Task[None]]] = {}
        self._raised: list[BaseException] = []  # by plug-ins
        self._told = False
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
        _check_hosts(count, attributes)
        total = _resources(cpus, memory, disk, gpus, ports)
        names = [f"host-{next(self._numbers)}" for _ in range(count)]
        for name in names:
            self._totals[name] = (total, attributes)
            self._call(self._start_executor(name))
        self._await_hosts(names)
        return names

    def run(self, framework: F) -> F:
        before = self._clients.pop(getattr(framework, "name", ""), None)
        client = self._call(self._start_client(framework))
        self._until(client.registered.is_set, f"{framework.name} registered")
        if before is not None:
            self._call(_cancelled([before[1]]))
        return framework

    def configure_role(
        self, name: str, weight: float | None = None, guarantee: Amounts | None = None, limit: Amounts | None = None
    ) -> None:
        amounts = _amounts("guarantee", guarantee), _amounts("limit", limit)
        self._call(self._set_role(name, _thousandths(weight), *amounts))

    def advance(self, time: str | float) -> None:
        from offerer.sim.units import duration

        sleep(duration(time, "time") / SECOND)
        self._raise()

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
        _check_exit_code(exit_code)
        self._call(self._end_task(task_id, exit_code))

    def tasks(self, name: str, *, ended: bool = False) -> list[TaskStatus]:
        return self._ask(lambda: _tasks(self._master.cluster.state, self._master.journal, name, ended=ended))

    def assert_running(self, name: str, count: int) -> None:
        deadline = monotonic() + _PATIENCE
        while wrong := self._ask(lambda: _wrong(self._master.cluster.state, self._master.journal, name, count)):
            if monotonic() > deadline:
                raise AssertionError(wrong)
            sleep(_POLL)

    def close(self) -> None:
        """Stop everything. Raises what a plug-in raised and no call has told of."""
        try:
            self._answer(self._stop_all())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if not self._told:
            self._raise()

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

    async def _start_client(self, framework: Framework) -> Client:
        from offerer.client import Client

        client = Client(framework, [self._master.address])
        client.plugin.raised = self._raised.append
        self._clients[framework.name] = client, asyncio.create_task(client.run())
        return client

    async def _set_availability(self, name: str, availability: str) -> None:
        from offerer.wire import codec

        request = codec.operator.SetAvailabilityRequest(host=name, availability=availability)
        await self._operate(lambda operator: operator.SetAvailability(request))

    async def _set_role(
        self, name: str, weight: int | None, guarantee: dict[str, int] | None, limit: dict[str, int] | None
    ) -> None:
        from offerer.wire import codec

        request = codec.operator.SetRoleRequest(
            role=name,
            weight_milli=weight,
            guarantee=None if guarantee is None else codec.operator.Quota(amounts=guarantee),
            limit=None if limit is None else codec.operator.Quota(amounts=limit),
        )
        await self._operate(lambda operator: operator.SetRole(request))

    async def _operate(self, call: Callable[[Any], Any]) -> None:
        import grpc.aio

        from offerer.wire import codec
        from offerer.wire.rpc_errors import from_rpc

        async with grpc.aio.insecure_channel(self._master.address) as channel:
            try:
                await call(codec.OperatorStub(channel))
            except grpc.aio.AioRpcError as error:
                raise from_rpc(error) from None

    async def _end_task(self, task_id: str, exit_code: int) -> None:
        for executor, runtime, _ in self._executors.values():
            for key in executor.lifecycle.tasks:
                if key[1] == task_id:
                    return runtime.end(key, exit_code)
        raise NotFound(f"no task {task_id!r} runs")

    async def _stop_all(self) -> None:
        self._note_ended_clients()
        clients = {name: running for name, (_, running) in self._clients.items()}
        for running in clients.values():
            running.cancel()
        if clients:
            await asyncio.wait(clients.values(), timeout=_ENDS_WITHIN)
        await _cancelled([running for _, _, running in self._executors.values()])
        await self._master.stop()
        for name, running in clients.items():
            if not running.done():
                self._raised.append(Unavailable(f"framework {name}: its serve() does not end when it is cancelled"))

    def _offerable(self, name: str) -> bool:
        return any(host.name == name and host.offerable for host in self._master.cluster.state.hosts.values())

    # -- from the test's thread --------------------------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        answer = self._answer(coroutine)
        self._note_ended_clients()
        self._raise()
        return answer

    def _answer(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_ANSWERS_WITHIN)
        except TimeoutError:
            blocks = "does a framework block, rather than await?"
            raise Unavailable(f"live_cluster: no answer within {_ANSWERS_WITHIN:g} s: {blocks}") from None

    def _ask(self, question: Callable[[], T]) -> T:
        async def ask() -> T:
            return question()

        return self._call(ask())

    def _note_ended_clients(self) -> None:
        """A client ends only by an error that would come again, or by what the plug-in's own coroutine raised."""
        for _, running in self._clients.values():
            if running.done() and not running.cancelled() and (error := running.exception()) is not None:
                self._raised.append(error.__cause__ or error)

    def _raise(self) -> None:
        if self._raised:
            self._told = True
            raise self._raised[0]

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
