"""A whole cluster in one process, for a laptop: master, hosts that share this machine, and the built-in frameworks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from executor.daemon import Executor, ExecutorConfig
from executor.host import total_resources
from executor.records import Event, Observed, Signal, Task, TaskKey
from executor.retention import Retention
from executor.runtime import Runtime, make_runtime
from executor.spec import Host
from offerer.client import run_framework
from offerer.client.loading import load_framework
from offerer.errors import Unavailable
from offerer.master.server import Master, MasterConfig
from offerer.resources import Resources, merge_ranges
from offerer.types import SECOND

MAX_HOSTS: Final = 12
FRAMEWORKS: Final = ("coding", "batch")

_CLUSTER: Final = "dev"
_FIXED_PORTS: Final = (1, 19_999)
"""On every host: who asks for a port by number gets it, and this machine has it only once."""
_FREE_PORTS: Final = 20_000
_FREE_PORTS_EACH: Final = 1000
_KEEP_NOTHING: Final = Retention(keep_last=0, keep_for=0)
_KILL_PATIENCE: Final = 5.0  # seconds from SIGKILL to the end of a task


@dataclass(frozen=True, slots=True)
class Setup:
    """What the cluster is made of."""

    state_dir: Path
    hosts: int
    runtime: str
    docker_host: str
    listen: str
    """Address of the master; without one, the usual port, or a free one where that is taken."""
    git: str = ""
    """Where the coding framework is to keep the story."""


@contextlib.asynccontextmanager
async def running_cluster(setup: Setup, usual: str) -> AsyncIterator[Master]:
    """The cluster, ready to be used; what it started is stopped and removed at the end.

    Raises what kept it from starting. When a part of it fails later, the block is cancelled and that error raised.
    """
    master = await _started_master(setup, usual)
    executors = [Executor(_executor_config(setup, number, master.address)) for number in range(setup.hosts)]
    try:
        try:
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(each.run()) for each in executors]
                for name in FRAMEWORKS:
                    make = partial(load_framework, name, {"git": setup.git} if name == "coding" and setup.git else {})
                    parts.append(group.create_task(run_framework(make, master.address)))
                yield master
                for part in parts:
                    part.cancel()
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
    finally:
        await master.stop()
        await asyncio.gather(*(_clear(setup, number, each.host) for number, each in enumerate(executors)))


async def _started_master(setup: Setup, usual: str) -> Master:
    addresses = [setup.listen] if setup.listen else [usual, f"{usual.rpartition(':')[0]}:0"]
    for last, address in zip((False, True)[-len(addresses) :], addresses, strict=True):
        master = Master(MasterConfig(store=str(setup.state_dir / "master.db"), listen=address))
        try:
            await master.start()
        except Unavailable:
            if last:
                raise
        else:
            return master
    raise AssertionError("unreachable")


def _executor_config(setup: Setup, number: int, master: str) -> ExecutorConfig:
    name = f"host-{number + 1}"
    state_dir = setup.state_dir / name
    machine = total_resources("", setup.state_dir)
    first = _FREE_PORTS + number * _FREE_PORTS_EACH
    return ExecutorConfig(
        masters=(master,),
        runtime=_runtime(setup, state_dir),
        total=Resources(
            cpus=machine.cpus // setup.hosts,
            memory=machine.memory // setup.hosts,
            disk=machine.disk // setup.hosts,
            ports=merge_ranges((_FIXED_PORTS, (first, first + _FREE_PORTS_EACH - 1))),
        ),
        state_dir=state_dir,
        name=name,
        # Containers have a loopback of their own: theirs is the address that the executor finds out.
        address="" if setup.runtime == "docker" else "127.0.0.1",
        attributes={"zone": "abcdefghijkl"[number]},
        cluster=_CLUSTER,
    )


def _runtime(setup: Setup, state_dir: Path, retention: Retention | None = None) -> Runtime:
    return make_runtime(
        setup.runtime, state_dir=state_dir, docker_host=setup.docker_host, retention=retention or Retention()
    )


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the others."""
    first = failed.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


# -- the end --------------------------------------------------------------------------------------------------


async def _clear(setup: Setup, number: int, host: Host) -> None:
    """Stop what runs on this host, all at once, and remove what is left of every task."""
    runtime = _runtime(setup, setup.state_dir / f"host-{number + 1}", _KEEP_NOTHING)
    if not host.id or not runtime.durable:
        return
    running: dict[TaskKey, Task] = {}
    none_left = asyncio.Event()

    def on_event(event: Event) -> None:
        running.pop(event.key, None)
        if not running:
            none_left.set()

    try:
        found = await runtime.open(host, on_event)
    except Unavailable:
        return  # the engine is gone, or never was
    alive = (each.task for each in found if not each.events)
    running.update({task.key: task for task in alive if task.observed is Observed.RUNNING})
    try:
        if running:
            await _end(runtime, list(running.values()), none_left)
        await runtime.sweep(lambda: ())
    finally:
        await runtime.close()


async def _end(runtime: Runtime, tasks: Sequence[Task], none_left: asyncio.Event) -> None:
    for task in tasks:
        runtime.submit(Signal(task, task.spec.stop_signal), lambda *_: None)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(none_left.wait(), max(task.spec.stop_grace for task in tasks) / SECOND)
        return
    for task in tasks:
        runtime.submit(Signal(task, "SIGKILL"), lambda *_: None)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(none_left.wait(), _KILL_PATIENCE)
