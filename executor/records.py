"""What the executor's parts say to each other: a task, the operations on it, their outcomes, and events of the runtime.

Records that are made for every task have slots and no checks: 100,000 of them pass through one process in a benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from offerer.containers import ContainerSpec
from offerer.ids import FrameworkId, TaskId
from offerer.resources import Resources
from offerer.task_states import TaskState
from offerer.types import Reason, Time

if TYPE_CHECKING:
    from executor.health import Check
    from executor.statuses import Entry

TaskKey = tuple[FrameworkId, TaskId]
"""A task's id is unique within its framework only."""

NEVER: Final[Time] = 1 << 62


class Observed(IntEnum):
    """What the runtime has of a task."""

    NOTHING = 0
    CREATED = 1
    RUNNING = 2
    ENDED = 3


class Task:
    """A task the executor holds: from its launch until the master has acknowledged its end."""

    __slots__ = (
        "alive",
        "checks",
        "container",
        "data",
        "doing",
        "entry",
        "first_end",
        "gpus",
        "healthy",
        "image_missing",
        "key",
        "kill_at",
        "observed",
        "position",
        "resources",
        "retries",
        "retry_at",
        "signalled",
        "spec",
        "state",
        "stop_at",
        "stopping",
        "unhealthy",
    )

    def __init__(self, key: TaskKey, resources: Resources) -> None:
        self.key = key
        self.resources = resources
        self.spec: ContainerSpec = NO_SPEC
        self.state = TaskState.STAGING  # the latest one reported
        self.entry: Entry | None = None  # and its status, on its way or acknowledged
        self.observed = Observed.NOTHING
        self.container = ""  # the runtime's own handle
        self.data = b""  # goes into every status
        self.doing: Operation | None = None  # at most one operation at a time
        self.image_missing = False
        self.stopping = False
        self.signalled = False  # the stop signal was delivered
        self.stop_at: Time = 0  # when the stop signal is due, where it is stopping
        self.kill_at: Time = NEVER  # when the stop signal's grace ends
        self.retry_at: Time = 0
        self.retries = 0
        self.position = 0  # how many of its init steps have ended
        self.alive: Set[str] = NONE_ALIVE  # of a pod that was started: the names of its containers that have not ended
        self.first_end: Exited | Lost | None = None  # of a pod that is stopped because of it
        self.gpus: tuple[int, ...] = ()  # which of the host's it has
        self.checks: tuple[Check, ...] = ()  # of its health, while it runs
        self.healthy: bool | None = None  # as it was reported
        self.unhealthy = ""  # why the executor stops it by itself

    @property
    def framework_id(self) -> FrameworkId:
        """The framework that launched it."""
        return self.key[0]

    @property
    def task_id(self) -> TaskId:
        """Its id, unique within the framework."""
        return self.key[1]

    def __repr__(self) -> str:
        return f"<Task {self.key[0]}/{self.key[1]} {self.state.name} {self.observed.name}>"


NO_SPEC: Final = ContainerSpec()
NONE_ALIVE: Final[Set[str]] = frozenset()

# -- operations: what the runtime is to do, one at a time per task ---------------------------------------------


@dataclass(slots=True, eq=False)
class Pull:
    """Fetch the image of the task's spec."""

    task: Task


@dataclass(slots=True, eq=False)
class Create:
    """Create the container; already there is success."""

    task: Task


@dataclass(slots=True, eq=False)
class Start:
    """Start it (and create it, in a runtime that has no step of its own for that); already started is success."""

    task: Task


@dataclass(slots=True, eq=False)
class Signal:
    """Send this signal, for example ``SIGTERM``; already ended is success."""

    task: Task
    signal: str


@dataclass(slots=True, eq=False)
class Remove:
    """Remove a container that was created and never ran; not there is success."""

    task: Task


Operation = Pull | Create | Start | Signal | Remove


class Verdict(Enum):
    """How an operation went."""

    DONE = "done"
    FAILED = "failed"  # the reason and message say why; the task has failed
    IMAGE_MISSING = "image missing"  # of Create: pull it first
    AWAY = "away"  # the engine does not answer: nothing is known to have changed, try again


class Outcome(NamedTuple):
    """What became of an operation."""

    verdict: Verdict = Verdict.DONE
    reason: Reason = Reason.NONE
    message: str = ""
    container: str = ""
    data: bytes = b""


DONE: Final = Outcome()
Done = Callable[[Operation, Outcome], None]

# -- events: what happened without an operation ------------------------------------------------------------------


class Exited(NamedTuple):
    """The main process of a task's container ended."""

    key: TaskKey
    exit_code: int
    out_of_memory: bool = False
    data: bytes = b""
    container: str = ""
    """Its name in a pod, or that of an init step."""


class Lost(NamedTuple):
    """A task's container is gone, and nobody of us removed it."""

    key: TaskKey
    message: str
    container: str = ""
    """As in `Exited`."""


class Progressed(NamedTuple):
    """An operation of this task that takes long goes on."""

    key: TaskKey
    message: str


Event = Exited | Lost | Progressed


class Adopted(NamedTuple):
    """A task of an earlier executor process, found in the runtime."""

    task: Task
    """With key, resources, spec, container, data, position and what was observed filled in."""
    events: tuple[Event, ...] = ()
    """What happened to it meanwhile."""


# -- marks: the little that a restarted executor must know and the engine cannot tell ----------------------------


class Killing(NamedTuple):
    """The task is being stopped; the kill signal is due at `kill_at`."""

    key: TaskKey
    kill_at: Time
    unhealthy: str = ""
    """Why, where it was not asked for."""


class Settled(NamedTuple):
    """The master acknowledged the task's end: what is left of its container is history."""

    key: TaskKey


Mark = Killing | Settled
