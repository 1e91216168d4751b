"""A runtime that runs nothing, for tests, benchmarks and the simulator. Everything happens at once unless the spec's
labels say otherwise:

=================== =================================================================
``fake.start_after``  seconds until it is started
``fake.start_fails``  it cannot be started, with this message
``fake.run_for``      seconds after which it ends by itself (otherwise never)
``fake.exit_code``    what it ends with then; 0 without
``fake.ignores_stop`` any value: only SIGKILL ends it
``fake.unhealthy``    its probes fail, with this message
=================== =================================================================
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Protocol

from executor.health import Check
from executor.records import (
    DONE,
    Adopted,
    Done,
    Event,
    Exited,
    Lost,
    Operation,
    Outcome,
    Signal,
    Start,
    Task,
    TaskKey,
    Verdict,
)
from executor.runtime import CommandOptions, Inputs, LogChunk, LogOptions
from executor.spec import Host
from offerer.errors import NotFound
from offerer.types import Reason


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class FakeRuntime:
    """See the module. `call_later(seconds, callback)` is the event loop's unless given, for virtual time."""

    name = "fake"
    creates = False
    durable = False

    def __init__(self, call_later: CallLater | None = None) -> None:
        self._call_later = call_later
        self._running: dict[TaskKey, Task] = {}
        self._timers: dict[TaskKey, Timer] = {}
        self._unhealthy: dict[TaskKey, str] = {}
        self._on_event: Callable[[Event], None] = lambda event: None

    async def open(self, host: Host, on_event: Callable[[Event], None]) -> list[Adopted]:
        """Nothing outlives the process, so there is never anything to adopt."""
        self._on_event = on_event
        if self._call_later is None:
            self._call_later = asyncio.get_running_loop().call_later
        return []

    def submit(self, operation: Operation, done: Done) -> None:
        """Carry it out, at once unless the labels want it otherwise."""
        task = operation.task
        if type(operation) is Start:
            if task.spec.init_steps and task.position < len(task.spec.init_steps):
                done(operation, DONE)
                self._on_event(Exited(task.key, 0, container=task.spec.init_steps[task.position].name))
            elif task.spec.labels:
                self._start_as_scripted(task, lambda outcome: done(operation, outcome))
            else:
                self._running[task.key] = task
                done(operation, DONE)
        elif type(operation) is Signal:
            done(operation, DONE)
            self._signal(task, operation.signal)
        else:
            done(operation, DONE)

    def end(self, key: TaskKey, exit_code: int, *, out_of_memory: bool = False) -> None:
        """Let a running task end by itself now."""
        if self._running.pop(key, None) is not None:
            self._cancel(key)
            self._on_event(Exited(key, exit_code, out_of_memory))

    def lose(self, key: TaskKey) -> None:
        """Let a running task vanish now, as if somebody had removed its container."""
        if self._running.pop(key, None) is not None:
            self._cancel(key)
            self._on_event(Lost(key, "the container was removed by somebody else"))

    def probe(self, check: Check, answered: Callable[[str], None]) -> None:
        """Answer at once."""
        task = check.task
        answered(self._unhealthy.get(task.key, task.spec.labels.get("fake.unhealthy", "")))

    def set_unhealthy(self, key: TaskKey, problem: str) -> None:
        """Let the probes of a task fail from now on, or succeed where the problem is empty."""
        self._unhealthy[key] = problem

    async def logs(self, key: TaskKey, options: LogOptions, container: str = "") -> AsyncGenerator[LogChunk, None]:
        """One line that says that there is nothing to see."""
        self._check(key)
        yield LogChunk(False, f"{key[1]}: the fake runtime runs nothing\n".encode())

    async def inspect(self, key: TaskKey, container: str = "") -> bytes:
        """The spec."""
        task = self._check(key)
        return json.dumps({"runtime": "fake", "spec": json.loads(task.spec.redacted().to_bytes())}).encode()

    async def run(
        self, key: TaskKey, container: str, options: CommandOptions, inputs: Inputs
    ) -> AsyncGenerator[LogChunk | int, None]:
        """Say the command, and that it went well."""
        self._check(key)
        yield LogChunk(False, " ".join(options.command).encode() + b"\n")
        yield 0

    async def copy_from(self, key: TaskKey, container: str, path: str) -> AsyncGenerator[LogChunk, None]:
        """There are no files."""
        self._check(key)
        nothing: tuple[LogChunk, ...] = ()
        for chunk in nothing:
            yield chunk
        raise NotFound(f"{path}: the fake runtime has no files")

    async def copy_into(self, key: TaskKey, container: str, path: str, inputs: Inputs) -> None:
        """There is nowhere to put files."""
        self._check(key)
        raise NotFound(f"{path}: the fake runtime has no files")

    async def usage(self, key: TaskKey, container: str) -> bytes:
        """Nothing is used."""
        self._check(key)
        return b'{"at": 0, "cpu_time": 0, "memory": 0, "memory_limit": 0, "pids": 0, "processes": []}'

    async def sweep(self, held: Callable[[], Collection[TaskKey]]) -> set[TaskKey]:
        """Nothing is ever left of what ended."""
        return set(self._running)

    async def close(self) -> None:
        """Everything ends with the process."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._running.clear()

    def _check(self, key: TaskKey) -> Task:
        if key not in self._running:
            raise NotFound(f"task {key[1]} of {key[0]} does not run here")
        return self._running[key]

    def _start_as_scripted(self, task: Task, done: Callable[[Outcome], None]) -> None:
        labels = task.spec.labels
        try:
            delay = _seconds(labels, "fake.start_after") or 0.0
            run_for = _seconds(labels, "fake.run_for")
            exit_code = _exit_code(labels)
        except ValueError as error:
            done(Outcome(Verdict.FAILED, Reason.INVALID_SPEC, f"spec.labels.{error}"))
            return

        def start() -> None:
            if "fake.start_fails" in labels:
                done(Outcome(Verdict.FAILED, Reason.START_FAILED, labels["fake.start_fails"]))
                return
            self._running[task.key] = task
            done(DONE)
            if run_for is not None and task.key in self._running:
                self._after(run_for, task.key, lambda: self.end(task.key, exit_code))

        if delay:
            self._after(delay, task.key, start)
        else:
            start()

    def _signal(self, task: Task, name: str) -> None:
        if name == "SIGKILL" or "fake.ignores_stop" not in task.spec.labels:
            self.end(task.key, 128 + signal.Signals[name])

    def _after(self, seconds: float, key: TaskKey, callback: Callable[[], None]) -> None:
        assert self._call_later is not None, "open() first"

        def fire() -> None:
            self._timers.pop(key, None)
            callback()

        self._timers[key] = self._call_later(seconds, fire)

    def _cancel(self, key: TaskKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def _seconds(labels: Mapping[str, str], name: str) -> float | None:
    text = labels.get(name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name}: {text!r} must be a number of seconds without a unit, such as 2.5")
    return seconds


def _exit_code(labels: Mapping[str, str]) -> int:
    text = labels.get("fake.exit_code", "0")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"fake.exit_code: {text!r} must be a whole number, such as 1") from None
