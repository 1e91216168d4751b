"""The records that the framework keeps in the store: a task with its containers, and an update under way. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from frameworks.coding.names import TaskName, parse_task_id
from offerer import HostId, PortMapping, TaskId, TaskState, Time

TASKS: Final = "tasks/"
UPDATES: Final = "updates/"
SCALES: Final = "scales/"
EVERYWHERE: Final = "everywhere/"
DRAIN: Final = "drain"
"""What `Run.moving` says of a container on a host that is being drained."""
REBALANCE: Final = "rebalance"
"""Of one that another host is to have, for balance."""
LOST: Final = "lost"
"""The same of one whose host has not answered for as long as its job waits."""


@dataclass(slots=True)
class Run:
    """One container of a task: being placed, launched, or running."""

    id: TaskId
    revision: int
    host_id: HostId
    host: str
    address: str
    ports: list[PortMapping]
    placed: Time
    launched: bool = False
    """Whether the cluster was asked to run it. Before that it is only a plan and can be dropped."""
    state: TaskState | None = None
    """The newest the cluster said of it; None where it has said nothing yet."""
    since: Time = 0
    started: Time = 0
    message: str = ""
    image_digest: str = ""
    container: str = ""
    kill_sent: Time = 0
    """When it was last asked to stop; 0: never."""
    probed: bool = False
    """Whether a probe tells if it can be used; without one, it can as soon as it runs."""
    healthy: bool | None = None
    """What that probe said last; None where it has said nothing yet."""
    ready_since: Time = 0
    """Since when it can be used without interruption, as far as this process knows."""
    evicted: bool = False
    """Whether it is to leave its host, whatever it runs."""
    moving: str = ""
    """Why another is to take its place on another host as soon as there is one (`moves`); empty where it may stay."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Of its host, when it was placed there or an offer of the host was last seen: what rules about others go by."""

    @property
    def left_behind(self) -> bool:
        """Whether another has taken its place since its host was lost, and the host is still not back."""
        return self.evicted and self.moving == LOST and self.state is TaskState.UNREACHABLE

    @property
    def number(self) -> int:
        """Which launch of its task it is."""
        parsed = parse_task_id(self.id)
        return parsed[2] if parsed else 0

    @property
    def running(self) -> bool:
        """Whether the cluster says that it runs."""
        return self.state is TaskState.RUNNING

    @property
    def ready(self) -> bool:
        """Whether it can be used: it runs, its probe says so where it has one, and nobody asked it to stop."""
        fit = self.healthy is True if self.probed else self.healthy is not False
        return self.running and fit and not self.kill_sent

    def to_record(self) -> dict[str, Any]:
        """What is kept in the store."""
        record = asdict(self)
        for transient in ("launched", "state", "kill_sent", "ready_since"):
            del record[transient]
        if not self.attributes:
            del record["attributes"]
        return record

    @staticmethod
    def from_record(record: dict[str, Any]) -> Run:
        """One that was launched, as far as we know."""
        ports = [PortMapping(**port) for port in record.pop("ports")]
        return Run(**record, ports=ports, launched=True)


@dataclass(slots=True)
class Ended:
    """How the last container of a task ended."""

    id: TaskId
    state: str
    host: str
    at: Time
    message: str
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Once:
    """What a one-off task is: a task of its job, but for the command."""

    like: str
    """The task whose settings it has."""
    command: list[str]
    """Empty: the job's own."""


@dataclass(slots=True)
class Task:
    """One instance of a job: what is wanted of it, and what runs."""

    name: TaskName
    wanted: int | None = None
    """The revision it is to run; None: it is to be down."""
    gated: bool = False
    """Whether it is being brought up and so waits for the jobs it depends on; not so once it was launched."""
    attempt: int = 0
    """The number of its newest launch. It only grows, whatever the revision, so no task id is ever used twice."""
    failures: int = 0
    """How many of its containers in a row ended by themselves without having run long."""
    not_before: Time = 0
    blocked: bool = False
    """Whether another try is of no use: the cluster called its spec invalid."""
    since: Time = 0
    """When what is wanted of it last changed."""
    finished: int | None = None
    """The revision at which it did its work and ended well; only jobs that are not always started again do."""
    planned: str = ""
    """The host where a plan that was reviewed puts it, by name; it goes there unless that does not come off soon."""
    host: str = ""
    """The host it is for, of a job with one task on each; its name is made of the host's."""
    gone: bool = False
    """Whether that host is no longer there, or no longer fits. It comes again when the host does."""
    run: Run | None = None
    old: list[Run] = field(default_factory=list)
    """Containers on their way out that `run` takes the place of: they go on until it can be used."""
    last: Ended | None = None
    once: Once | None = None
    """Set in a one-off task, which is not one of those that its job has."""
    strays: dict[TaskId, Time] = field(default_factory=dict)
    """Containers of this task that should not be, and when each was asked to stop; not kept in the store."""
    shortage: str = ""
    """Why it could not be placed the last time that was tried; not kept in the store."""
    move: str = ""
    """Why it is on its way from one host to another; empty where it is not, or was not ready before."""
    tied: bool = False
    """Whether it should move, and there is no other host that its rules allow; not kept in the store."""

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{TASKS}{self.name}"

    @property
    def settled(self) -> bool:
        """Whether it is as wanted, so that nothing is to be done about it."""
        if self.strays or any(not run.left_behind or self.wanted is None for run in self.old):
            return False
        if self.run is None:
            return self.wanted is None or self.wanted == self.finished
        return self.run.ready and self.run.revision == self.wanted and not self.run.evicted

    @property
    def refused(self) -> bool:
        """Whether it does not run and is not tried again, until somebody asks for that."""
        return self.blocked and self.run is None

    @property
    def containers(self) -> list[Run]:
        """Those it has, the one that is to stay first."""
        return [self.run, *self.old] if self.run else self.old

    @property
    def ended_once(self) -> bool:
        """Whether it is a one-off task and has ended."""
        return self.once is not None and self.wanted is None and not self.containers and not self.strays

    @property
    def leaving(self) -> Run | None:
        """The container that is to make room on its host for another of this task elsewhere, if there is one."""
        present = [self.run] if self.run else []
        return next((run for run in [*present, *self.on_their_way_out] if run.moving), None)

    @property
    def on_their_way_out(self) -> list[Run]:
        """Those in `old` of which something is still to be expected."""
        return [run for run in self.old if not run.left_behind]

    def container(self, task_id: TaskId) -> Run | None:
        """The one of this id; None where it has no such."""
        return next((run for run in self.containers if run.id == task_id), None)

    @property
    def running(self) -> bool:
        """Whether a container of it runs, of whichever revision."""
        return any(run.running for run in self.containers)

    @property
    def ready(self) -> bool:
        """Whether a container of it can be used, of whichever revision."""
        return any(run.ready for run in self.containers)

    def copy(self) -> Task:
        """Another one of the same, with containers of its own."""
        run = replace(self.run) if self.run else None
        return replace(self, run=run, old=[replace(run) for run in self.old], strays=dict(self.strays))

    def to_bytes(self) -> bytes:
        """Its entry in the store."""
        record: dict[str, Any] = {"wanted": self.wanted, "attempt": self.attempt, "since": self.since}
        for name in ("gated", "failures", "not_before", "blocked", "finished", "planned", "move", "host", "gone"):
            if getattr(self, name):
                record[name] = getattr(self, name)
        if self.run:
            record["run"] = self.run.to_record()
        if self.old:
            record["old"] = [run.to_record() for run in self.old]
        if self.last:
            record["last"] = asdict(self.last)
        if self.once:
            record["once"] = asdict(self.once)
        return json.dumps(record, ensure_ascii=False).encode()

    @staticmethod
    def from_entry(name: TaskName, value: bytes) -> Task:
        """The task of an entry. A container it names was launched, as far as we know."""
        record = json.loads(value)
        run, last, old = record.pop("run", None), record.pop("last", None), record.pop("old", [])
        once = record.pop("once", None)
        task = Task(name, **record, old=[Run.from_record(each) for each in old])
        if run:
            task.run = Run.from_record(run)
        if last:
            task.last = Ended(**last)
        if once:
            task.once = Once(**once)
        return task


@dataclass(frozen=True, slots=True)
class Scale:
    """Another number of tasks than the job's file says; it holds until a push changes what the file says."""

    replicas: int
    file: int
    """What the newest revision said when it was set."""
    who: str
    at: Time

    def to_bytes(self) -> bytes:
        """Its entry in the store."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @staticmethod
    def from_entry(value: bytes) -> Scale:
        """The one of an entry."""
        return Scale(**json.loads(value))


@dataclass(slots=True)
class Update:
    """Tasks of one service on their way to another revision. None as revision: to be taken away."""

    targets: dict[TaskName, int | None]
    origins: dict[TaskName, int | None]
    """Where each of them was before, to go back to."""
    who: str
    at: Time
    progressed: Time = 0
    """When the last task arrived, or there was another reason to be patient."""
    arrived: int = 0
    """The most tasks that had arrived at once so far."""
    back: bool = False
    """Whether it failed or was aborted, and goes back."""
    paused: str = ""
    """Why nothing further is set going until somebody says so; empty where it goes on."""
    why: str = ""
    """Why it goes back, or how it ended."""
    outcome: str = ""
    """``done``, ``failed`` or ``rolled back``; empty while it is under way."""
    promoted: set[str] = field(default_factory=set)
    """The jobs of which more than the canaries may move."""
    everywhere: dict[str, int | None] = field(default_factory=dict)
    """The jobs with one task per host that it moves, and at which revision tasks for new hosts were started before."""
    given_up: set[TaskName] = field(default_factory=set)
    """Tasks that did not come up in time and are no longer waited for."""
    restarts: dict[TaskName, int] = field(default_factory=dict)
    """The tasks that are to be started anew even at the revision they have, each with its last launch before that."""

    def to_bytes(self) -> bytes:
        """Its entry in the store."""
        record = asdict(self) | {
            "targets": {f"{name.job}/{name.task}": revision for name, revision in self.targets.items()},
            "origins": {f"{name.job}/{name.task}": revision for name, revision in self.origins.items()},
            "promoted": sorted(self.promoted),
            "given_up": sorted(f"{name.job}/{name.task}" for name in self.given_up),
            "restarts": {f"{name.job}/{name.task}": launch for name, launch in self.restarts.items()},
        }
        return json.dumps(record, ensure_ascii=False).encode()

    @staticmethod
    def from_entry(service: str, value: bytes) -> Update:
        """The update of an entry."""
        record = json.loads(value)

        def named(names: list[str]) -> list[TaskName]:
            return [TaskName(service, *name.split("/")) for name in names]

        for field_ in ("targets", "origins", "restarts"):
            revisions = record.get(field_, {})
            record[field_] = dict(zip(named(list(revisions)), revisions.values(), strict=True))
        record["promoted"] = set(record.get("promoted", ()))
        record["given_up"] = set(named(record.get("given_up", [])))
        return Update(**record)
