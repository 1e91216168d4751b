"""Placements over real gRPC: launch → acknowledged RUNNING at the framework.

Three processes: the master, all executors (fake runtime, each with a stream of its own), the frameworks. The same
batches through a bare gRPC echo, in the same run, say what the machine could do at best::

    python -m benchmarks.placement --executors 1000 --tasks 100000 --json
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import grpc.aio

from benchmarks import echo
from benchmarks.frameworks import Placing, Reviving
from benchmarks.measure import progress, quantiles_ms, report, rss_mib
from benchmarks.plots import Curve, check_plot, draw, draw_bars, plot_option
from executor.daemon import Executor, ExecutorConfig
from executor.fake import FakeRuntime
from offerer import Resources, garbage
from offerer.client import Client
from offerer.master.server import Master, MasterConfig

_HOST = Resources.of(cpus=64, memory="64GiB", ports="20000-29999")
_FIT = 640  # tasks on one host
_CHANNELS = 8


def _serve_master(pipe: Connection) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as directory:
            master = Master(MasterConfig(store=os.path.join(directory, "master.db"), listen="127.0.0.1:0"))
            await master.start()
            pipe.send(master.port)
            await asyncio.to_thread(pipe.recv)
            await master.stop()

    garbage.run(run())


def _serve_executors(pipe: Connection, port: int, executors: int) -> None:
    async def run() -> None:
        channels = [
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(_CHANNELS)
        ]
        running = []
        for i in range(executors):
            masters = (f"127.0.0.1:{port}",)
            config = ExecutorConfig(masters, FakeRuntime(), _HOST, name=f"host-{i}", address="127.0.0.1")
            running.append(asyncio.create_task(Executor(config, channels[i % _CHANNELS]).run()))
            if i % 100 == 99:  # hosts do not all start within a second; this process could not bear it either
                await asyncio.sleep(0.1)
        pipe.send("started")
        await asyncio.to_thread(pipe.recv)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    garbage.run(run())


async def _registered(port: int, executors: int) -> None:
    from offerer.wire import codec

    options = [("grpc.max_receive_message_length", codec.MAX_MESSAGE)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        operator = codec.OperatorStub(channel)
        while True:
            state = await operator.GetState(codec.operator.GetStateRequest(hosts=True))
            if sum(host.state == "active" for host in state.hosts) == executors:
                return
            await asyncio.sleep(executors / 1000)  # the question costs the master time it needs for registering


async def _run(port: int, frameworks: Sequence[Placing | Reviving]) -> None:
    """Until all are done, or one has failed."""
    clients = [asyncio.create_task(Client(each, [f"127.0.0.1:{port}"]).run()) for each in frameworks]
    done = asyncio.create_task(_all_done(frameworks))
    await asyncio.wait([*clients, done], return_when=asyncio.FIRST_COMPLETED)
    for client in clients:
        if client.done():
            await client
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def _all_done(frameworks: Sequence[Placing | Reviving]) -> None:
    for each in frameworks:
        await each.done.wait()
        if isinstance(each, Placing) and each.failed:
            return


class _Process:
    """A process of the measurement, with a pipe to it."""

    def __init__(self, target: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()
        self.said: Any = self.pipe.recv()
        self.pid = self._process.pid or 0

    def stop(self) -> None:
        """Tell it to end, and see that it does."""
        self.pipe.send("stop")
        self._process.join(20)
        self._process.kill()


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is placed, and how. `window` and `rate` are of all frameworks together; 0 is without."""

    executors: int = 1000
    tasks: int = 100_000
    frameworks: int = 1
    batch: int = 25
    window: int = 2000
    rate: int = 0

    def shares(self) -> list[Placing]:
        """Each framework's part."""
        n = self.frameworks
        window, rate = -(-self.window // n), self.rate // n
        return [
            Placing(
                self.tasks // n + (i < self.tasks % n), self.batch, window, rate, name=f"placing-{i}", alone=n == 1
            )
            for i in range(n)
        ]


def measure(load: Load, plot_to: Path | None = None) -> dict[str, Any]:
    """Place tasks, once."""
    echoing = _Process(echo.serve)
    echoed = asyncio.run(echo.measure(echoing.said, min(load.tasks, 100_000), load.batch))
    echoing.stop()
    progress(f"echo: {echoed:,.0f} tasks/s")
    with _cluster(load.executors) as (master, hosts):
        frameworks = load.shares()
        garbage.run(_run(master.said, frameworks))
        if failed := next((each.failed for each in frameworks if each.failed), ""):
            raise click.ClickException(failed)
        launches = [seconds for each in frameworks for seconds in each.launch_seconds]
        offers = [seconds for each in frameworks for seconds in each.offer_seconds]
        _plot(plot_to, frameworks, launches, offers)
        seconds = max(each.last for each in frameworks) - min(each.first for each in frameworks)
        return {
            "executors": load.executors,
            "tasks": load.tasks,
            "frameworks": load.frameworks,
            "seconds": round(seconds, 3),
            "tasks_per_second": round(load.tasks / seconds),
            "echo_tasks_per_second": round(echoed),
            "share_of_echo": round(load.tasks / seconds / echoed, 3),
            "launch_ms": quantiles_ms(launches),
            "offer_ms": quantiles_ms(offers),
            "master_rss_mib": rss_mib(master.pid),
            "executor_rss_mib": rss_mib(hosts.pid),
        }


def _plot(
    path: Path | None, frameworks: Sequence[Placing], launches: Sequence[float], offers: Sequence[float]
) -> None:
    """How many ran when; and of every part of the launches and offers, how long that took at most."""
    if path is None:
        return
    latencies = {"launch to RUNNING": _at_most_ms(launches), "launch to the host's next offer": _at_most_ms(offers)}
    running = {each.name: each.running for each in frameworks}
    draw(path, [("seconds", "tasks RUNNING", running), ("% of all", "at most so many ms", latencies)])


def _at_most_ms(seconds: Sequence[float]) -> Curve:
    return [(100 * (n + 1) / len(seconds), 1000 * each) for n, each in enumerate(sorted(seconds))]


def measure_revive(executors: int, plot_to: Path | None, times: int = 5) -> dict[str, Any]:
    """Revive until all offers have come, a few times."""
    with _cluster(executors) as (master, _):
        framework = Reviving(executors, times)
        garbage.run(_run(master.said, [framework]))
        ordered = [round(seconds * 1000, 1) for seconds in framework.seconds]
        draw_bars(plot_to, {"revive to all offers (ms)": {str(n): each for n, each in enumerate(ordered, 1)}})
        return {"executors": executors, "revive_ms": statistics.median(ordered), "all_ms": ordered}


@contextmanager
def _cluster(executors: int) -> Iterator[tuple[_Process, _Process]]:
    """A master and executors, registered."""
    master = _Process(_serve_master)
    hosts = _Process(_serve_executors, master.said, executors)
    try:
        asyncio.run(_registered(master.said, executors))
        progress(f"{executors} executors registered")
        yield master, hosts
    finally:
        hosts.stop()
        master.stop()


@click.command()
@click.option(
    "--executors", default=Load.executors, show_default=True, type=click.IntRange(1), help="Hosts, each a stream."
)
@click.option("--tasks", default=Load.tasks, show_default=True, type=click.IntRange(1), help="Tasks to place.")
@click.option(
    "--frameworks", default=Load.frameworks, show_default=True, type=click.IntRange(1), help="They share the tasks."
)
@click.option(
    "--batch", default=Load.batch, show_default=True, type=click.IntRange(1), help="Most tasks of one launch."
)
@click.option(
    "--window", default=Load.window, show_default=True, type=click.IntRange(0),
    help="Launched and not yet RUNNING at most; 0: no limit, which shows how long the queue gets.",
)  # fmt: skip
@click.option(
    "--rate", default=Load.rate, type=click.IntRange(0), help="Launch so many a second instead of as many as go."
)
@click.option("--revive", is_flag=True, help="Measure from revive to offers of all idle hosts instead.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(revive: bool, plot_to: Path | None, as_json: bool, **load: int) -> None:
    """Measure placements over real gRPC."""
    check_plot(plot_to)
    wanted = Load(**load)
    if wanted.tasks > wanted.executors * _FIT and not revive:
        text = f"{wanted.tasks} tasks do not fit on {wanted.executors} hosts of {_FIT} each"
        raise click.BadParameter(text, param_hint="--tasks")
    if wanted.frameworks > wanted.tasks:
        raise click.BadParameter(f"{wanted.frameworks} is more than there are tasks", param_hint="--frameworks")
    report(measure_revive(wanted.executors, plot_to) if revive else measure(wanted, plot_to), as_json)


if __name__ == "__main__":
    main()
