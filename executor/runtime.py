"""What the executor needs of whatever runs its tasks: the protocol of `docker`, `process` and `fake`.

All calls come from the event loop's thread, and all callbacks are made there. An operation may be completed within
`submit` itself (the fake one does: no thread, no loop turn) or later.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from executor.health import Check
from executor.records import Adopted, Done, Event, Operation, TaskKey
from executor.retention import DEFAULT_RETENTION, Retention
from executor.spec import Host
from offerer.errors import InvalidInput

RUNTIMES: Final = ("docker", "process", "fake")


class LogOptions(NamedTuple):
    """Which part of a task's output is wanted."""

    follow: bool = False
    tail: int | None = None
    """The last so many lines; None is all."""
    timestamps: bool = False


class LogChunk(NamedTuple):
    """A piece of a task's output, as it comes: not necessarily whole lines."""

    stderr: bool
    data: bytes


class TerminalSize(NamedTuple):
    """Of the terminal that a command is shown on."""

    rows: int
    columns: int


class CommandOptions(NamedTuple):
    """A command to run in a container."""

    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    user: str = ""
    working_dir: str = ""
    size: TerminalSize | None = None


class Input(NamedTuple):
    """What comes from whoever opened an attachment."""

    data: bytes = b""
    end: bool = False
    """There is no more data."""
    size: TerminalSize | None = None


Inputs = AsyncIterable[Input]


class Runtime(Protocol):
    """Runs tasks on this host."""

    name: str
    creates: bool
    """Whether creating is an operation of its own, before starting; without, `Create` and `Pull` never come."""
    durable: bool
    """Whether tasks outlive this process, so that another one can adopt them."""

    async def open(self, host: Host, on_event: Callable[[Event], None]) -> list[Adopted]:
        """Begin to work, and say what tasks of this host there are already. Raises `Unavailable`."""

    def submit(self, operation: Operation, done: Done) -> None:
        """Carry this out and call `done(operation, outcome)`, once."""

    def probe(self, check: Check, answered: Callable[[str], None]) -> None:
        """Carry out the check's probe within its time-out and call `answered(problem)`, once; empty is a success."""

    def logs(self, key: TaskKey, options: LogOptions, container: str = "") -> AsyncGenerator[LogChunk, None]:
        """The output of a task, ended ones included; of the container of this name in a pod, of its first where empty.

        Raises `NotFound`, `InvalidInput` or `Unavailable`.
        """

    async def inspect(self, key: TaskKey, container: str = "") -> bytes:
        """All that is known of a task's container, as JSON, without secrets. Raises `NotFound` or `Unavailable`."""

    def run(
        self, key: TaskKey, container: str, options: CommandOptions, inputs: Inputs
    ) -> AsyncGenerator[LogChunk | int, None]:
        """Run a command in a container that runs: its output, and in the end its exit code.

        This and the next three raise `NotFound`, `InvalidInput` or `Unavailable`.
        """

    def copy_from(self, key: TaskKey, container: str, path: str) -> AsyncGenerator[LogChunk, None]:
        """A file or directory of a container as a tar stream."""

    async def copy_into(self, key: TaskKey, container: str, path: str, inputs: Inputs) -> None:
        """Unpack a tar stream into a directory of a container."""

    async def usage(self, key: TaskKey, container: str) -> bytes:
        """What a container uses now, as JSON: ``{"at": µs, "cpu_time": µs, "memory": bytes, "processes": […], …}``."""

    async def sweep(self, held: Callable[[], Collection[TaskKey]]) -> set[TaskKey]:
        """Remove what retention does not keep of ended tasks, and say of which tasks something is still there.

        `held` says which tasks the executor holds, once it is known what there is: those are not touched.
        """

    async def close(self) -> None:
        """Stop working. Tasks of a durable runtime run on."""


def make_runtime(
    name: str,
    *,
    state_dir: Path | None = None,
    docker_host: str = "",
    parallel: int = 8,
    retention: Retention = DEFAULT_RETENTION,
) -> Runtime:
    """The runtime of this name. `state_dir` is where ``process`` keeps what it runs; ``docker`` needs none.

    Modules are imported when asked for: an executor of processes does not load the Docker SDK.
    """
    if name == "docker":
        from executor.docker import DockerRuntime

        return DockerRuntime(docker_host, parallel=parallel, retention=retention)
    if name == "process":
        from executor.process import ProcessRuntime

        if state_dir is None:
            raise InvalidInput("runtime process: it needs a state directory")
        return ProcessRuntime(state_dir / "tasks", parallel=parallel, retention=retention)
    if name == "fake":
        from executor.fake import FakeRuntime

        return FakeRuntime()
    raise InvalidInput(f"runtime: {name!r} is not one of {', '.join(RUNTIMES)}")
