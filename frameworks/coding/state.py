"""What is wanted and what is: one record per task, the revisions of each service, and the updates under way.

Pure. Each `Task` is one small entry of the store; a change of it goes through `State.changed`, which puts it in the
journal and marks the task for the planner's attention.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from frameworks.coding.graph import Graph
from frameworks.coding.journal import Journal
from frameworks.coding.names import JobName, Target, TaskName, natural, parse_task_name
from frameworks.coding.plans import TaskPlan
from frameworks.coding.revisions import PREFIX as REVISIONS
from frameworks.coding.revisions import Revision, read_key, read_revision
from offerer import Entry, HostId, InvalidInput, PortMapping, TaskId, TaskState, Time

TASKS = "tasks/"
UPDATES = "updates/"


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

    @property
    def running(self) -> bool:
        """Whether the cluster says that it runs."""
        return self.state is TaskState.RUNNING


@dataclass(slots=True)
class Ended:
    """How the last container of a task ended."""

    id: TaskId
    state: str
    host: str
    at: Time
    message: str
    exit_code: int | None


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
    run: Run | None = None
    last: Ended | None = None
    strays: dict[TaskId, Time] = field(default_factory=dict)
    """Containers of this task that should not be, and when each was asked to stop; not kept in the store."""
    shortage: str = ""
    """Why it could not be placed the last time that was tried; not kept in the store."""

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{TASKS}{self.name}"

    @property
    def settled(self) -> bool:
        """Whether it is as wanted, so that nothing is to be done about it."""
        if self.strays:
            return False
        if self.wanted is None:
            return self.run is None
        return self.run is not None and self.run.running and self.run.revision == self.wanted

    @property
    def running(self) -> bool:
        """Whether a container of it runs, of whichever revision."""
        return self.run is not None and self.run.running

    def to_bytes(self) -> bytes:
        """Its entry in the store."""
        record: dict[str, Any] = {"wanted": self.wanted, "attempt": self.attempt, "since": self.since}
        for name in ("gated", "failures", "not_before", "blocked"):
            if getattr(self, name):
                record[name] = getattr(self, name)
        if self.run:
            record["run"] = asdict(self.run)
            for transient in ("launched", "state", "kill_sent"):
                del record["run"][transient]
        if self.last:
            record["last"] = asdict(self.last)
        return json.dumps(record, ensure_ascii=False).encode()

    @staticmethod
    def from_entry(name: TaskName, value: bytes) -> Task:
        """The task of an entry. A container it names was launched, as far as we know."""
        record = json.loads(value)
        run, last = record.pop("run", None), record.pop("last", None)
        task = Task(name, **record)
        if run:
            ports = [PortMapping(**port) for port in run.pop("ports")]
            task.run = Run(**run, ports=ports, launched=True)
        if last:
            task.last = Ended(**last)
        return task


@dataclass(slots=True)
class Update:
    """Tasks of one service on their way to another revision, one at a time. None as revision: to be taken away."""

    targets: dict[TaskName, int | None]
    who: str
    at: Time

    def to_bytes(self) -> bytes:
        """Its entry in the store."""
        targets = {f"{name.job}/{name.task}": revision for name, revision in self.targets.items()}
        return json.dumps({"targets": targets, "who": self.who, "at": self.at}).encode()

    @staticmethod
    def from_entry(service: str, value: bytes) -> Update:
        """The update of an entry."""
        record = json.loads(value)
        targets = {TaskName(service, *name.split("/")): revision for name, revision in record["targets"].items()}
        return Update(targets, record["who"], record["at"])


class State:
    """All that the framework knows, and the journal of what is not yet in the store."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.tasks: dict[TaskName, Task] = {}
        self.jobs: dict[JobName, dict[str, Task]] = {}
        self.revisions: dict[str, dict[int, Revision]] = {}
        self.updates: dict[str, Update] = {}
        self.graph = Graph({})
        self.unsettled: dict[TaskName, None] = {}
        """The tasks that are not as wanted, in the order they became so."""
        self.problems: dict[str, str] = {}
        """Entries of the store that could not be read, by key."""
        self._highest: dict[str, int] = {}

    # -- tasks --

    def task(self, name: TaskName) -> Task:
        """The record of this task, made if there is none."""
        task = self.tasks.get(name)
        if task is None:
            task = self.tasks[name] = self.jobs.setdefault(name.of_job, {})[name.task] = Task(name)
        return task

    def changed(self, task: Task) -> None:
        """Something about this task changed that must survive: have it written."""
        self.journal.put(task.key, task.to_bytes())
        self.attend(task)

    def attend(self, task: Task) -> None:
        """Have the planner look at this task, or forget about it where all is as wanted."""
        if task.settled:
            self.unsettled.pop(task.name, None)
        else:
            self.unsettled.setdefault(task.name)

    def want(self, task: Task, revision: int | None, now: Time, *, gated: bool = False) -> None:
        """From now on the task is to run this revision, or with None to be down. What failed before is forgotten.

        A container that a new revision leaves as it is goes on, and counts as one of that revision.
        """
        run = task.run
        if run is not None and revision is not None and self.plan(task, run.revision) == self.plan(task, revision):
            run.revision = revision
        task.wanted, task.since, task.gated = revision, now, gated
        task.failures, task.not_before, task.blocked, task.shortage = 0, 0, False, ""
        self.changed(task)

    def saved(self, task: Task) -> bool:
        """Whether what is known of this task is safe in the store."""
        return not self.journal.holds(task.key)

    def plan(self, task: Task, revision: int | None = None) -> TaskPlan | None:
        """What this task is to be at the revision wanted, or at another one."""
        number = task.wanted if revision is None else revision
        found = self.revisions.get(task.name.service, {}).get(number or 0)
        return found.plan(task.name.job, task.name.task) if found else None

    def covered(self, targets: Iterable[Target]) -> list[Task]:
        """The tasks that these targets mean, in order."""
        targets = list(targets)
        services = {target.service for target in targets}
        return sorted(
            (
                task
                for task in self.tasks.values()
                if task.name.service in services and any(target.covers(task.name) for target in targets)
            ),
            key=lambda task: natural(task.name),
        )

    # -- revisions --

    def newest(self, service: str) -> Revision | None:
        """The newest revision of a service."""
        revisions = self.revisions.get(service)
        return revisions[max(revisions)] if revisions else None

    def next_number(self, service: str) -> int:
        """The number of its next revision: above every number ever seen, even of entries that could not be read."""
        return self._highest.get(service, 0) + 1

    def add_revisions(self, revisions: Iterable[Revision]) -> None:
        """Revisions were pushed and are in the store."""
        for revision in revisions:
            self.revisions.setdefault(revision.service, {})[revision.number] = revision
            self._highest[revision.service] = max(revision.number, self._highest.get(revision.service, 0))
        self._draw_graph()

    def _draw_graph(self) -> None:
        """Push lets no cycle in, but another tool may write one: then one dependency of it does not count."""
        depends_on = self.dependencies()
        self.problems.pop("depends_on", None)
        while cycle := Graph(depends_on).cycle():
            chain = " → ".join(map(str, cycle))
            self.problems["depends_on"] = f"these jobs wait for each other: {chain}; {cycle[0]} does not wait"
            depends_on[cycle[0]] = tuple(job for job in depends_on[cycle[0]] if job != cycle[1])
        self.graph = Graph(depends_on)

    def dependencies(self) -> dict[JobName, tuple[JobName, ...]]:
        """What each job of every service depends on, by its newest revision."""
        found: dict[JobName, tuple[JobName, ...]] = {}
        for service in self.revisions:
            newest = self.newest(service)
            found.update(newest.depends_on if newest else {})
        return found

    def newest_tasks(self, target: Target) -> Iterator[TaskName]:
        """The tasks of a target as its newest revision has them."""
        newest = self.newest(target.service)
        for job in newest.jobs.values() if newest else ():
            for task in job.tasks:
                name = TaskName(target.service, job.name.job, task)
                if target.covers(name):
                    yield name

    # -- the store --

    def load(self, entries: Sequence[Entry], now: Time) -> None:
        """Everything under our prefix, as it was left. What cannot be read is a problem to report, not to die of."""
        for entry in entries:
            try:
                if entry.key.startswith(REVISIONS):
                    self._load_revision(entry.key, entry.value, now)
                elif entry.key.startswith(TASKS):
                    self._load_task(entry)
                elif entry.key.startswith(UPDATES):
                    service = entry.key.removeprefix(UPDATES)
                    self.updates[service] = Update.from_entry(service, entry.value)
            except (InvalidInput, ValueError, KeyError, TypeError) as error:
                self.problems[entry.key] = str(error)
        self._draw_graph()

    def note_number(self, key: str) -> None:
        """Remember that this revision number is taken, whatever the entry holds."""
        try:
            service, number = read_key(key)
        except InvalidInput:
            return
        self._highest[service] = max(number, self._highest.get(service, 0))

    def believed(self) -> dict[TaskId, HostId]:
        """The containers that run as far as we know, each with its host."""
        return {task.run.id: task.run.host_id for task in self.tasks.values() if task.run and task.run.launched}

    def _load_revision(self, key: str, value: bytes, now: Time) -> None:
        self.note_number(key)
        revision = read_revision(key, value, now)
        self.revisions.setdefault(revision.service, {})[revision.number] = revision

    def _load_task(self, entry: Entry) -> None:
        name = parse_task_name(entry.key.removeprefix(TASKS))
        if name is None:
            raise InvalidInput(f"{entry.key}: not {TASKS}SERVICE/JOB/TASK")
        task = self.tasks[name] = Task.from_entry(name, entry.value)
        self.jobs.setdefault(name.of_job, {})[name.task] = task
        self.attend(task)
