"""A runtime for machines without an engine: each task's command is a local process group, with no isolation at all.

There is no image (it is ignored), no network of its own (a task listens on its host ports, ``PORT_<NAME>``), and no
limit on CPU or memory. What it cannot give, it refuses: another user, and volumes that appear under another path.

Each task has a directory with its output and a supervisor process (`executor.supervise`) that outlives the executor and
writes down the exit code. The supervisor holds a FIFO open: its end is seen at once, by a later executor too.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import ExitStack, aclosing, suppress
from pathlib import Path
from typing import Final

from executor import commands, supervise
from executor.health import Check
from executor.pool import Pool
from executor.prober import Prober, ask_network, where_to_ask
from executor.records import (
    DONE,
    Adopted,
    Done,
    Event,
    Exited,
    Lost,
    Observed,
    Operation,
    Outcome,
    Signal,
    Start,
    Task,
    TaskKey,
    Verdict,
)
from executor.retention import DEFAULT_RETENTION, Ended, Retention, expired
from executor.runtime import CommandOptions, Inputs, LogChunk, LogOptions
from executor.spec import CLUSTER, HOST, Host, container_name, environment, group_of, labels, signal_number, task_of
from executor.task_directory import Process, TaskDirectory, supervisor_lives
from offerer import clock
from offerer.containers import ContainerSpec
from offerer.errors import InvalidInput, InvalidSpec, NotFound
from offerer.ids import HostId
from offerer.types import Reason, Time

_INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
_NOT_HERE: Final = (
    "user", "entrypoint", "containers", "init_steps", "tmpfs", "networks", "extra_hosts", "dns", "cap_add", "devices",
    "privileged", "read_only", "ulimits", "sysctls",
)  # fmt: skip
"""What a task would miss, and could do harm without. The rest of what it cannot give only limits or names a task."""
_ABOVE_STDIO: Final = 10
_PID_WITHIN: Final = 5.0  # seconds from a supervisor's start to the pid of its process
_UNKNOWN_END: Final = "how the process ended is not known: the machine went down, or its supervisor was killed"


class ProcessRuntime:
    """See the module. `directory` gets a subdirectory per task."""

    name = "process"
    creates = False
    durable = True

    def __init__(self, directory: Path, *, parallel: int = 8, retention: Retention = DEFAULT_RETENTION) -> None:
        self._directory = directory
        self._parallel = parallel
        self._retention = retention
        self._host = Host(HostId(""))
        self._watched: dict[TaskKey, int] = {}
        self._supervisors: dict[TaskKey, int] = {}  # pids of those that are our children
        self._on_event: Callable[[Event], None]
        self._loop: asyncio.AbstractEventLoop
        self._pool: Pool
        self._prober: Prober

    async def open(self, host: Host, on_event: Callable[[Event], None]) -> list[Adopted]:
        """Find what an earlier executor started, running or ended."""
        self._host, self._on_event = host, on_event
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(self._parallel, "process")
        self._prober = Prober()
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"state directory {self._directory}: {error.strerror}") from None
        found = await self._pool.run(self._adopt_all)
        for adopted in found:
            if not adopted.events:
                self._watch(adopted.task.key)
        return found

    def submit(self, operation: Operation, done: Done) -> None:
        """Start or signal a process; there is no other operation here."""

        def then(outcome: Outcome) -> None:
            done(operation, outcome)
            if type(operation) is Start and outcome.verdict is Verdict.DONE:
                self._watch(operation.task.key)

        self._pool.submit(lambda: self._carry_out(operation), then)

    def probe(self, check: Check, answered: Callable[[str], None]) -> None:
        """Ask on this machine; a command runs as the task's own did."""
        task, probe = check.task, check.probe
        if probe.command:
            main = self._of(task.key).process
            if main is None:
                return answered("the task does not run")
            answer = commands.probe(main, probe.command)
        else:
            answer = ask_network(*where_to_ask(task.spec, probe, ""), probe)
        self._prober.ask(probe, answer, answered)

    async def logs(self, key: TaskKey, options: LogOptions, container: str = "") -> AsyncGenerator[LogChunk, None]:
        """What the task wrote. There are no times in it."""
        if options.timestamps:
            raise InvalidInput("logs: the process runtime keeps no times of lines; ask without timestamps")
        async with aclosing(self._find(key).logs(options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def inspect(self, key: TaskKey, container: str = "") -> bytes:
        """The task's record, its process and how it ended."""
        directory = self._find(key)
        process, end = directory.process, directory.end
        described = {
            **(directory.record or {}),
            "directory": str(directory.path),
            "process": process._asdict() if process else None,
            "end": end._asdict() if end else None,
        }
        return json.dumps(described).encode()

    async def run(
        self, key: TaskKey, container: str, options: CommandOptions, inputs: Inputs
    ) -> AsyncGenerator[LogChunk | int, None]:
        """A command beside the task's own; it ends with whoever listens."""
        async with aclosing(commands.run(self._running(key), options, inputs)) as items:
            async for item in items:
                yield item

    async def copy_from(self, key: TaskKey, container: str, path: str) -> AsyncGenerator[LogChunk, None]:
        """Files of this machine; a relative path begins at the task's working directory."""
        async with aclosing(commands.copy_from(self._running(key), path)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def copy_into(self, key: TaskKey, container: str, path: str, inputs: Inputs) -> None:
        """The same in the other direction."""
        await commands.copy_into(self._running(key), path, inputs)

    async def usage(self, key: TaskKey, container: str) -> bytes:
        """What the task's process group uses."""
        main = self._running(key)
        return json.dumps(await self._pool.run(lambda: commands.usage(main))).encode()

    async def sweep(self, held: Callable[[], Collection[TaskKey]]) -> set[TaskKey]:
        """Remove the directories of ended tasks that retention does not keep."""
        present = await self._pool.run(self._list)
        kept = held()
        history = [each for each in present if each.key not in kept and each.at]
        removed = expired(history, self._retention, clock.now())
        await self._pool.run(lambda: self._remove(removed))
        return {each.key for each in present} - {each.key for each in removed}

    async def close(self) -> None:
        """Stop watching; the processes run on."""
        await self._prober.close()
        for watch in self._watched.values():
            self._loop.remove_reader(watch)
            os.close(watch)
        self._watched.clear()
        await self._pool.close()

    # -- in the event loop ---------------------------------------------------------------------------------------

    def _watch(self, key: TaskKey) -> None:
        watch = self._of(key).watch()
        self._watched[key] = watch
        if supervisor_lives(watch):
            self._loop.add_reader(watch, self._on_supervisor_ended, key)
        else:  # a FIFO opened after its last writer has left never becomes readable
            self._loop.call_soon(self._on_supervisor_ended, key)

    def _on_supervisor_ended(self, key: TaskKey) -> None:
        watch = self._watched.pop(key)
        self._loop.remove_reader(watch)
        os.close(watch)
        self._pool.submit(lambda: self._how_it_ended(key), self._on_event)

    def _of(self, key: TaskKey) -> TaskDirectory:
        return TaskDirectory(self._directory / container_name(key, self._host))

    def _find(self, key: TaskKey) -> TaskDirectory:
        directory = self._of(key)
        if directory.process is None:
            raise NotFound(f"task {key[1]} of {key[0]} did not run on this host, or was removed since")
        return directory

    def _running(self, key: TaskKey) -> Process:
        directory = self._find(key)
        process = directory.process
        if process is None or directory.end is not None:
            raise NotFound(f"task {key[1]} of {key[0]} does not run")
        return process

    # -- in a thread of the pool ---------------------------------------------------------------------------------

    def _carry_out(self, operation: Operation) -> Outcome:
        try:
            if type(operation) is Start:
                return self._start(operation.task)
            if type(operation) is Signal:
                if (process := self._of(operation.task.key).process) is not None:
                    process.signal(signal_number(operation.signal))
            return DONE
        except InvalidSpec as error:
            return Outcome(Verdict.FAILED, Reason.INVALID_SPEC, str(error))
        except OSError as error:
            return Outcome(Verdict.FAILED, Reason.START_FAILED, str(error))

    def _start(self, task: Task) -> Outcome:
        _check(task.spec)
        directory = self._of(task.key)
        directory.create({"labels": labels(task, self._host), "command": task.spec.command})
        own = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        supervisor, problem = _supervise(directory.path, task.spec, own | environment(task, self._host))
        process = directory.process
        if problem or process is None:
            _reap(supervisor)
            directory.remove()
            return Outcome(Verdict.FAILED, Reason.START_FAILED, problem or "its supervisor died")
        self._supervisors[task.key] = supervisor
        return Outcome(container=directory.path.name, data=self._data(directory, process))

    def _how_it_ended(self, key: TaskKey) -> Event:
        supervisor = self._supervisors.pop(key, 0)
        if supervisor:
            _reap(supervisor)
        directory = self._of(key)
        end, process = directory.end, directory.process
        if end is None or process is None:
            directory.kill_rest()
            return Lost(key, _UNKNOWN_END)
        return Exited(key, end.exit_code, data=self._data(directory, process))

    def _adopt_all(self) -> list[Adopted]:
        found = (self._adopt(TaskDirectory(path)) for path in sorted(self._directory.iterdir()))
        return [adopted for adopted in found if adopted is not None]

    def _adopt(self, directory: TaskDirectory) -> Adopted | None:
        """What is in this directory; None where it is another host's, or never ran (then it is removed)."""
        found = (directory.record or {}).get("labels", {})
        if found and (found[CLUSTER], found[HOST]) != (self._host.cluster, self._host.id):
            return None
        lives = _lives(directory)
        process = directory.process
        if not found or process is None:
            directory.remove()
            return None
        task = task_of(found)
        task.observed = Observed.RUNNING
        task.container = directory.path.name
        task.data = self._data(directory, process)
        if lives:
            return Adopted(task)
        return Adopted(task, (self._how_it_ended(task.key),))

    def _list(self) -> list[Ended]:
        """Every task there is something of; those that have not ended are dated 0."""
        present = []
        for path in self._directory.iterdir():
            directory = TaskDirectory(path)
            found = (directory.record or {}).get("labels", {})
            if (found.get(CLUSTER), found.get(HOST)) == (self._host.cluster, self._host.id):
                task = task_of(found)
                present.append(Ended(path.name, task.key, group_of(task), self._ended_at(directory)))
        return present

    def _remove(self, removed: Iterable[Ended]) -> None:
        for each in removed:
            TaskDirectory(self._directory / each.handle).remove()

    def _ended_at(self, directory: TaskDirectory) -> Time:
        end, process = directory.end, directory.process
        if end is not None:
            return end.at
        return process.started_at if process is not None and not _lives(directory) else 0

    def _data(self, directory: TaskDirectory, process: Process) -> bytes:
        end = directory.end
        data = {"name": directory.path.name, "pid": process.pid, "started_at": process.started_at}
        return json.dumps(data | ({"finished_at": end.at} if end else {})).encode()


def _check(spec: ContainerSpec) -> None:
    if not spec.command:
        raise InvalidSpec(
            "spec.command: () must be given on this host: its runtime is process, which has no images to take it from"
        )
    for name in _NOT_HERE:
        if value := getattr(spec, name):
            shown = "it" if name in ("containers", "init_steps", "secrets") else repr(value)
            raise InvalidSpec(f"spec.{name}: {shown} cannot be had from the process runtime; leave it out")
    for secret in spec.secrets:
        if not secret.env:
            raise InvalidSpec(
                f"spec.secrets: {secret.name!r} cannot be a file in the process runtime; give it an env instead"
            )
    for mount in spec.volumes:
        if mount.source != mount.target:
            raise InvalidSpec(
                f"spec.volumes.target: the process runtime cannot show {mount.source} as {mount.target}; "
                "use the same path for both"
            )


def _supervise(directory: Path, spec: ContainerSpec, variables: dict[str, str]) -> tuple[int, str]:
    """Start a supervisor; its pid, and what is wrong if anything is."""
    arguments = [str(directory), spec.working_dir or str(directory / "work"), *spec.command]
    said, say = os.pipe()
    with open(said) as answer:
        with ExitStack() as stack:

            def own(descriptor: int) -> int:
                stack.callback(os.close, descriptor)
                return descriptor

            alive = own(os.open(directory / "alive", os.O_RDWR | os.O_CLOEXEC))  # for writing only, it would wait
            # Above the two they become in the supervisor, or duplicating one could close the other.
            alive, say = (own(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STDIO)) for each in (alive, own(say)))
            supervisor = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", supervise.__file__, *arguments],
                variables,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, 0, 2),
                    (os.POSIX_SPAWN_DUP2, alive, supervise.ALIVE),
                    (os.POSIX_SPAWN_DUP2, say, supervise.READY),
                ],
                setsid=True,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        return supervisor, answer.read()


def _reap(supervisor: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(supervisor, 0)


def _lives(directory: TaskDirectory) -> bool:
    """Whether the task's supervisor lives; if so, after it has said what process it started."""
    try:
        watch = directory.watch()
    except OSError:
        return False  # the executor ended while it made the directory
    try:
        deadline = time.monotonic() + _PID_WITHIN
        while supervisor_lives(watch):
            if directory.process is not None or time.monotonic() > deadline:
                return True
            time.sleep(0.01)
        return False
    finally:
        os.close(watch)
