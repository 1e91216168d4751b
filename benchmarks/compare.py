"""What one would take instead, side by side on one engine: Docker Swarm, and `docker run`, eight at a time.

Each brings a crowd of containers up, gets a killed one back, and moves all of them to another image, by its own
commands and at its own defaults, but that updates go ten at a time and that containers have the same limits. What
counts is what the engine says: the time from the command, or the kill, to the last container started. The engine is
one of our own::

    python -m benchmarks.compare --json

Needs root, docker.io and busybox-static.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import click
import docker.errors

from benchmarks.measure import progress, report, rss_mib
from benchmarks.plots import check_plot, draw_bars, plot_option
from tests.engine import Engine, missing, running_engine
from tests.processes import Processes, free_port, processes

_SCRIPT = "trap 'exit 0' TERM; sleep 1000000 & wait"
_COMMAND = ("sh", "-c", _SCRIPT)
_CPUS = 0.5  # of each container; with 0.01, its own start would take more than a second
_MEMORY = 64  # MiB
_AT_A_TIME = 8
_UPDATED_AT_A_TIME = 10
_WITHIN = 300.0  # seconds for anything
_SETTLE = 2.0  # seconds between one measurement and the next


class Contender(Protocol):
    """One way to run a crowd of containers."""

    def up(self) -> None:
        """Begin to bring them up, of the image `crowd:1`."""

    def update(self) -> None:
        """Begin to move all of them to the image `crowd:2`."""


class Bare:
    """`docker run` by hand. What gets a killed container back is the engine itself, by its restart policy."""

    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._size = size

    def _run(self, i: int, image: str) -> None:
        limits = ("--cpus", str(_CPUS), "--memory", f"{_MEMORY}m", "--restart", "always")
        _docker(self._engine, "run", "--detach", *limits, "--name", f"crowd-{i}", image, *_COMMAND)

    def _replace(self, i: int) -> None:
        _docker(self._engine, "stop", f"crowd-{i}")
        _docker(self._engine, "rm", f"crowd-{i}")
        self._run(i, "crowd:2")

    def up(self) -> None:
        """Eight at a time."""
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            list(pool.map(lambda i: self._run(i, "crowd:1"), range(self._size)))

    def update(self) -> None:
        """Stop, remove, run."""
        with ThreadPoolExecutor(_UPDATED_AT_A_TIME) as pool:
            list(pool.map(self._replace, range(self._size)))


class Swarm:
    """One service of that many replicas."""

    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._size = size

    def up(self) -> None:
        """Create the service."""
        create = ("service", "create", "--detach", "--no-resolve-image", "--name", "crowd")
        options = ("--replicas", str(self._size), "--update-parallelism", str(_UPDATED_AT_A_TIME))
        limits = ("--limit-cpu", str(_CPUS), "--limit-memory", f"{_MEMORY}M")
        _docker(self._engine, *create, *options, *limits, "crowd:1", *_COMMAND)

    def update(self) -> None:
        """Change its image."""
        _docker(self._engine, "service", "update", "--detach", "--no-resolve-image", "--image", "crowd:2", "crowd")


class Offerer:
    """Master, executor and the `coding` framework as processes, driven by the `offerer` command."""

    def __init__(self, cluster: Processes, size: int) -> None:
        self._cluster = cluster
        self._size = size
        self._push("crowd:1")

    def _push(self, image: str) -> None:
        path = self._cluster.directory / "crowd.yaml"
        path.write_text(
            "service: crowd\n"
            "jobs:\n"
            "  main:\n"
            f"    image: {image}\n"
            f'    command: [sh, -c, "{_SCRIPT}"]\n'
            f"    resources: {{cpus: {_CPUS}, memory: {_MEMORY}MiB}}\n"
            f"    replicas: {self._size}\n"
            f"    update: {{parallel: {_UPDATED_AT_A_TIME}, healthy_for: 0s}}\n"
        )
        self._offerer("push", str(path))

    def _offerer(self, *arguments: str) -> None:
        environment = {**os.environ, "OFFERER_MASTER": self._cluster.address}
        _command([sys.executable, "-m", "offerer.cli.main", *arguments], environment)

    def up(self) -> None:
        """What was pushed."""
        self._offerer("up", "crowd")

    def update(self) -> None:
        """Push the other image, and move to it."""
        self._push("crowd:2")
        self._offerer("update", "crowd")


def _docker(engine: Engine, *arguments: str) -> None:
    _command(["docker", *arguments], {**os.environ, "DOCKER_HOST": engine.url})


def _command(command: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_WITHIN, check=False)
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


class _Starts:
    """The ids of containers, as the engine starts them."""

    def __init__(self, engine: Engine) -> None:
        self._client = engine.client()
        self._queue: queue.SimpleQueue[float] = queue.SimpleQueue()

    def __enter__(self) -> _Starts:
        wanted = {"type": "container", "event": ["start"]}
        self._events = self._client.__enter__().events(decode=True, filters=wanted)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self) -> None:
        for event in self._events:
            self._queue.put(event["timeNano"] / 1e9)

    def seconds(self, began: float, n: int) -> float:
        """From then until so many have started."""
        at = began
        for _ in range(n):
            at = self._queue.get(timeout=_WITHIN)
        return at - began

    def __exit__(self, *_: object) -> None:
        self._events.close()
        self._client.__exit__(None, None, None)


def measure(contender: Contender, engine: Engine, size: int) -> dict[str, float]:
    """Up, heal, update: seconds of each."""
    with _Starts(engine) as starts, ThreadPoolExecutor(1) as pool, engine.client() as client:
        began = time.time()
        commanded = pool.submit(contender.up)
        up = starts.seconds(began, size)
        commanded.result()
        time.sleep(_SETTLE)
        victim = client.containers()[0]
        pid = client.inspect_container(victim["Id"])["State"]["Pid"]
        began = time.time()
        os.kill(pid, signal.SIGKILL)
        heal = starts.seconds(began, 1)
        time.sleep(_SETTLE)
        began = time.time()
        commanded = pool.submit(contender.update)
        update = starts.seconds(began, size)
        commanded.result()
        images = [each["Image"] for each in client.containers()]
        if images != ["crowd:2"] * size:
            raise click.ClickException(f"after the update there are not {size} of the new image: {images}")
    return {"up_s": round(up, 3), "heal_s": round(heal, 3), "update_s": round(update, 3)}


# -- each in its surroundings, of which nothing is left --------------------------------------------------------------

Figures = dict[str, float]

_BRIDGE = Path("/sys/class/net/docker_gwbridge")  # Swarm makes it


def _bare(engine: Engine, size: int) -> Figures:
    return measure(Bare(engine, size), engine, size)


def _swarm(engine: Engine, size: int) -> Figures:
    others = _BRIDGE.exists()
    _docker(engine, "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", f"127.0.0.1:{free_port()}")
    try:
        return measure(Swarm(engine, size), engine, size)
    finally:
        _docker(engine, "swarm", "leave", "--force")
        if not others:  # a bridge of this machine, which outlives the engine
            _docker(engine, "network", "rm", _BRIDGE.name)


def _offerer(engine: Engine, size: int) -> Figures:
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.redirect_stdout(sys.stderr),
        processes(Path(directory)) as cluster,
    ):
        master = cluster.master("--framework", "coding")
        resources = f"cpus={_CPUS * 2 * size};memory={_MEMORY * 2 * size}MiB"  # an update may start before it stops
        executor = cluster.executor("here", "--docker-host", engine.url, "--resources", resources)
        figures = measure(Offerer(cluster, size), engine, size)
        return {**figures, "executor_rss_mib": rss_mib(executor.pid), "master_rss_mib": rss_mib(master.pid)}


_CONTENDERS: dict[str, Callable[[Engine, int], Figures]] = {"docker": _bare, "swarm": _swarm, "offerer": _offerer}


def _clear(engine: Engine) -> None:
    with engine.client() as client:
        for container in client.containers(all=True):
            with contextlib.suppress(docker.errors.NotFound):  # Swarm is removing them too
                client.remove_container(container["Id"], force=True)


def compare(size: int, rounds: int) -> dict[str, Any]:
    """Every contender in turn, so many times. The figures are medians."""
    every: dict[str, list[Figures]] = {name: [] for name in _CONTENDERS}
    with running_engine() as engine:
        engine.import_busybox("crowd:1", "crowd:2")
        for _ in range(rounds):
            for name, contender in _CONTENDERS.items():
                try:
                    every[name].append(contender(engine, size))
                finally:
                    _clear(engine)
                progress(f"{name}: {every[name][-1]}")
    result: dict[str, Any] = {"containers": size, "rounds": rounds}
    for name, measured in every.items():
        result[name] = {key: round(statistics.median(each[key] for each in measured), 3) for key in measured[0]}
    ours = result["offerer"]
    result["up_over_docker"] = round(ours["up_s"] / result["docker"]["up_s"], 2)
    result["swarm_up_over_ours"] = round(result["swarm"]["up_s"] / ours["up_s"], 2)
    result["swarm_heal_over_ours"] = round(result["swarm"]["heal_s"] / ours["heal_s"], 2)
    return result


@click.command()
@click.option("--containers", default=50, show_default=True, type=click.IntRange(1, 500), help="Size of the crowd.")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="Take the medians of so many.")
@plot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(containers: int, rounds: int, plot_to: Path | None, as_json: bool) -> None:
    """Compare with Docker Swarm and with docker run, on a Docker engine of its own. Needs root."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clears up on its way out
    check_plot(plot_to)
    if lacking := missing() or ("" if shutil.which("docker") else "docker is not installed: apt-get install docker.io"):
        raise click.ClickException(lacking)
    result = compare(containers, rounds)
    report(result, as_json)
    names = {"up_s": "up (s)", "heal_s": "healed (s)", "update_s": "updated (s)"}
    draw_bars(plot_to, {title: {name: result[name][key] for name in _CONTENDERS} for key, title in names.items()})


if __name__ == "__main__":
    main()
