"""Placements over real gRPC: launch → acknowledged RUNNING at the framework.

Three processes: the master, all executors (fake runtime, each with a stream of its own), one framework. The same
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


async def _run(port: int, framework: Placing | Reviving) -> None:
    client = asyncio.create_task(Client(framework, [f"127.0.0.1:{port}"]).run())
    done = asyncio.create_task(framework.done.wait())
    await asyncio.wait([client, done], return_when=asyncio.FIRST_COMPLETED)
    if client.done():
        await client
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)


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


def measure(
    executors: int, tasks: int, batch: int, window: int, rate: int, plot_to: Path | None
) -> dict[str, Any]:
    """Place tasks, once."""
    echoing = _Process(echo.serve)
    echoed = asyncio.run(echo.measure(echoing.said, min(tasks, 100_000), batch))
    echoing.stop()
    progress(f"echo: {echoed:,.0f} tasks/s")
    with _cluster(executors) as (master, hosts):
        framework = Placing(tasks, batch, window, rate)
        garbage.run(_run(master.said, framework))
        _plot(plot_to, framework)
        seconds = framework.last - framework.first
        return {
            "executors": executors,
            "tasks": tasks,
            "seconds": round(seconds, 3),
            "tasks_per_second": round(tasks / seconds),
            "echo_tasks_per_second": round(echoed),
            "share_of_echo": round(tasks / seconds / echoed, 3),
            "launch_ms": quantiles_ms(framework.launch_seconds),
            "offer_ms": quantiles_ms(framework.offer_seconds),
            "master_rss_mib": rss_mib(master.pid),
            "executor_rss_mib": rss_mib(hosts.pid),
        }


def _plot(path: Path | None, framework: Placing) -> None:
    """How many ran when; and of every part of the launches and offers, how long that took at most."""
    if path is None:
        return
    latencies = {
        "launch to RUNNING": _at_most_ms(framework.launch_seconds),
        "launch to the host's next offer": _at_most_ms(framework.offer_seconds),
    }
    parts = [("seconds", "tasks RUNNING", {"": framework.running}), ("% of all", "at most so many ms", latencies)]
    draw(path, parts)


def _at_most_ms(seconds: Sequence[float]) -> Curve:
    return [(100 * (n + 1) / len(seconds), 1000 * each) for n, each in enumerate(sorted(seconds))]


def measure_revive(executors: int, plot_to: Path | None, times: int = 5) -> dict[str, Any]:
    """Revive until all offers have come, a few times."""
    with _cluster(executors) as (master, _):
        framework = Reviving(executors, times)
        garbage.run(_run(master.said, framework))
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
@click.option("--executors", default=1000, show_default=True, type=click.IntRange(1), help="Hosts, each a stream.")
@click.option("--tasks", default=100_000, show_default=True, type=click.IntRange(1), help="Tasks to place.")
@click.option("--batch", default=25, show_default=True, type=click.IntRange(1), help="Most tasks of one launch.")
@click.option(
    "--window", default=2000, show_default=True, type=click.IntRange(0),
    help="Launched and not yet RUNNING at most; 0: no limit, which shows how long the queue gets.",
)  # fmt: skip
@click.option("--rate", default=0, type=click.IntRange(0), help="Launch so many a second instead of as many as go.")
@click.option("--revive", is_flag=True, help="Measure from revive to offers of all idle hosts instead.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(
    executors: int, tasks: int, batch: int, window: int, rate: int, revive: bool, plot_to: Path | None, as_json: bool
) -> None:
    """Measure placements over real gRPC."""
    check_plot(plot_to)
    if tasks > executors * 640 and not revive:
        raise click.BadParameter(f"{tasks} tasks do not fit on {executors} hosts of 640 each", param_hint="--tasks")
    if revive:
        report(measure_revive(executors, plot_to), as_json)
    else:
        report(measure(executors, tasks, batch, window, rate, plot_to), as_json)


if __name__ == "__main__":
    main()
