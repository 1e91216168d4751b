"""Real processes of a cluster for integration tests: started on own ports and directories, ended whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offerer.cli.common import Session
from offerer.errors import OffererError

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 60.0


def wait_for(what: str, condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Look until the condition gives something true, and return that; AssertionError after the deadline."""
    until = time.monotonic() + deadline
    last: object = None
    while time.monotonic() < until:
        try:
            last = condition()
        except OffererError as error:
            last = error
        else:
            if last:
                return last
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {deadline:g} s; last seen: {last!r}")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Daemon:
    """One process of the cluster, with its output in a file."""

    def __init__(self, name: str, command: list[str], directory: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = [sys.executable, "-m", *command]
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it (again)."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env, cwd=ROOT
            )

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to end, and see that it does."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def output(self) -> str:
        """All it has said."""
        return self.log.read_text(errors="replace")


class Processes:
    """A master, executors and frameworks, each a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.daemons: list[Daemon] = []
        self.session = Session(self.address)

    def _daemon(self, name: str, *command: str, env: dict[str, str] | None = None) -> Daemon:
        daemon = Daemon(name, list(command), self.directory, env)
        self.daemons.append(daemon)
        return daemon

    def master(self, *options: str) -> Daemon:
        """A master, answering."""
        store = str(self.directory / "master.db")
        daemon = self._daemon("master", "offerer.master", "--listen", self.address, "--store", store, *options)
        wait_for("the master", self.answers)
        return daemon

    def answers(self) -> bool:
        """Whether the master does."""
        self.session.close()
        self.session.state()
        return True

    def executor(self, name: str, *options: str, env: dict[str, str] | None = None) -> Daemon:
        """An executor, registered."""
        state = str(self.directory / name)
        command = ["executor", "--master", self.address, "--name", name, "--state-dir", state, *options]
        daemon = self._daemon(f"executor-{name}", *command, env=env)
        wait_for(f"host {name}", lambda: "active" in self.states_of(name).values())
        return daemon

    def framework(self, plugin: str, *options: str) -> Daemon:
        """A framework in a process of its own, not waited for."""
        return self._daemon(f"framework-{plugin}", "offerer.client", plugin, "--master", self.address, *options)

    def host(self, name: str) -> Any:
        """What the master says of a host."""
        return next((host for host in self.session.state("hosts").hosts if host.name == name), _NoHost)

    def states_of(self, name: str) -> dict[str, str]:
        """Host id → state of all hosts of this name."""
        return {host.host_id: host.state for host in self.session.state("hosts").hosts if host.name == name}

    def tasks(self, framework: str) -> dict[str, str]:
        """Task id → state of what is alive of a framework."""
        return {
            task.status.task_id: _state_name(task.status.state)
            for task in self.session.state("tasks").tasks
            if task.framework_id == framework and task.status.state < 6
        }

    def statuses(self, framework: str) -> list[tuple[str, str]]:
        """Every status that went to a framework, as (task, state), oldest first."""
        return [
            (event.fields["task"], event.fields["state"])
            for event in self.session.events()
            if event.kind == "task_status" and event.fields["framework"] == framework
        ]

    def stop(self) -> None:
        """End all, frameworks first, the master last."""
        self.session.close()
        for daemon in reversed(self.daemons):
            daemon.stop()


class _NoHost:
    state = "not there"


def _state_name(number: int) -> str:
    from offerer.task_states import TaskState

    return TaskState(number).name


@contextmanager
def processes(directory: Path) -> Iterator[Processes]:
    """Processes that end with the block; what they said is shown where it fails."""
    started = Processes(directory)
    try:
        yield started
    except BaseException:
        for daemon in started.daemons:
            print(f"--- {daemon.name}\n{daemon.output()[-4000:]}")
        raise
    finally:
        started.stop()
