"""One job and its instances, and how they are written to the store. Pure.

Instances are kept in the store by the chunk, fifty to an entry, and only those that were ever placed: a job of 10,000
instances costs one entry when it is submitted, and some 200 when it has ended.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Final

from frameworks.batch.names import task_id
from frameworks.batch.spec import InstanceSettings, JobFile
from frameworks.coding.plans import TaskPlan, container_to_launch, plan_task
from offerer import HostId, PortMapping, TaskId, TaskInfo, TaskState, Time

JOBS: Final = "jobs/"
PROGRESS: Final = "progress/"
CHUNK: Final = 50
"""So many instances share an entry of the store."""

FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"
CANCELLED: Final = "CANCELLED"


@dataclass(slots=True, eq=False)
class Instance:
    """One instance that was placed at least once."""

    index: int
    attempt: int = 0
    """The number of its newest launch; it only grows, so no task id is ever used twice."""
    failures: int = 0
    """How many of its launches ended by themselves otherwise than well."""
    live: bool = False
    """Whether it has a container, or a place for one."""
    outcome: str = ""
    """``FINISHED``, ``FAILED`` or ``CANCELLED``; empty as long as it runs or is to be tried again."""
    host_id: HostId = HostId("")
    host: str = ""
    started: Time = 0
    ended: Time = 0
    exit_code: int | None = None
    message: str = ""
    """Of the newest launch that ended."""
    not_before: Time = 0
    """When it is tried again."""

    # Of the present launch, and not kept in the store.
    noted: int = 0
    """The launch has to wait until so many changes are safe in the store."""
    launched: bool = False
    status: TaskState | None = None
    ports: list[PortMapping] = field(default_factory=list)
    overran: bool = False
    """Whether it was asked to stop for its time limit."""

    def to_record(self) -> dict[str, Any]:
        """What is kept in the store; defaults are left out."""
        return {name: value for name, default in _KEPT if (value := getattr(self, name)) != default}


_KEPT: Final = tuple(
    (each.name, each.default)
    for each in fields(Instance)
    if each.name not in ("index", "noted", "launched", "status", "ports", "overran")
)


@dataclass(slots=True, eq=False)
class Job:
    """One submitted job. Of one that has ended only the counts are kept in memory."""

    id: str
    number: int
    spec: JobFile
    who: str
    at: Time
    file: str = ""
    """What the file that it came from was called."""
    started: Time = 0
    """When the first of its instances started."""
    ended: Time = 0
    outcome: str = ""
    """``finished``, ``failed`` or ``cancelled``; empty as long as it goes on."""
    stop: str = ""
    """Why no more of it is started: ``cancelled by …`` or too many failures; empty as long as it goes on."""
    stop_outcome: str = ""
    """How it ends when what still runs of it has ended."""
    why: str = ""
    """How the last instance that failed did."""
    finished: int = 0
    failed: int = 0

    # Not kept in the store.
    live: int = 0
    fresh: int = 0
    """The first instance that was never placed; all after it were not either."""
    ready: deque[int] = field(default_factory=deque)
    """Instances to be tried again now."""
    instances: dict[int, Instance] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    """The chunks that are to be written."""
    hungry_since: Time = 0
    """Since when it waits for a place and got none."""
    plan: TaskPlan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = plan_task(self.spec, InstanceSettings())

    @property
    def order(self) -> tuple[int, int]:
        """Jobs are served in this order: by priority, then first come, first served."""
        return (-self.spec.priority, self.number)

    @property
    def size(self) -> int:
        """How many instances it has."""
        return self.spec.instances

    @property
    def waiting(self) -> int:
        """How many instances have no container and are still to run; none once it was stopped."""
        return 0 if self.stop or self.outcome else self.size - self.live - self.finished - self.failed

    @property
    def startable(self) -> int:
        """How many of them may be placed now: not those that wait to be tried again, no more than `parallel`."""
        if self.stop or self.outcome:
            return 0
        due = len(self.ready) + self.size - self.fresh
        return due if self.spec.parallel is None else min(due, max(0, self.spec.parallel - self.live))

    def next_instance(self) -> Instance:
        """The instance to place next, those that were tried before first."""
        if self.ready:
            return self.instances[self.ready.popleft()]
        instance = self.instances[self.fresh] = Instance(self.fresh)
        self.fresh += 1
        return instance

    def note(self, instance: Instance) -> None:
        """Something about this instance changed that must survive."""
        self.changed.add(instance.index // CHUNK)

    def task_id(self, instance: Instance) -> TaskId:
        """The id of its newest launch."""
        return task_id(self.id, instance.index, instance.attempt)

    # -- the store --

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{JOBS}{self.id}"

    @property
    def progress_prefix(self) -> str:
        """What the keys of its chunks begin with."""
        return f"{PROGRESS}{self.id}/"

    def chunk_keys(self) -> list[str]:
        """The keys of all chunks it may have."""
        return [self.chunk_key(chunk) for chunk in range(-(-self.size // CHUNK))]

    def chunk_key(self, chunk: int) -> str:
        """``progress/resize-7/000003``."""
        return f"{self.progress_prefix}{chunk:06}"

    def to_bytes(self) -> bytes:
        """The entry of the job itself."""
        record: dict[str, Any] = {"spec": self.spec.content()}
        for name in _JOB_KEPT:
            if value := getattr(self, name):
                record[name] = value
        return json.dumps(record, ensure_ascii=False).encode()

    @staticmethod
    def from_entry(job_id: str, number: int, value: bytes) -> Job:
        """The job of an entry, without its instances. Raises ValueError, KeyError or TypeError where it is none."""
        record = json.loads(value)
        spec = JobFile.model_validate(record.pop("spec"))
        return Job(job_id, number, spec, **{name: record[name] for name in record if name in _JOB_KEPT})

    def chunk_bytes(self, chunk: int) -> bytes:
        """The entry of one chunk."""
        found = (self.instances.get(index) for index in range(chunk * CHUNK, (chunk + 1) * CHUNK))
        return json.dumps({str(each.index): each.to_record() for each in found if each}, ensure_ascii=False).encode()


_JOB_KEPT: Final = (
    "who", "at", "file", "started", "ended", "outcome", "stop", "stop_outcome", "why", "finished", "failed",
)  # fmt: skip


def read_instances(values: Iterable[bytes]) -> list[Instance]:
    """The instances of these chunks, in order."""
    found = []
    for value in values:
        found += [Instance(int(index), **record) for index, record in json.loads(value).items()]
    return sorted(found, key=lambda each: each.index)


def to_launch(job: Job, instance: Instance) -> TaskInfo:
    """The launch of this instance. The label ``offerer.group`` has executors count the job's ended containers."""
    env = {
        "OFFERER_JOB": job.id,
        "OFFERER_INSTANCE": str(instance.index),
        "OFFERER_INSTANCES": str(job.size),
        "OFFERER_ATTEMPT": str(instance.attempt),
    }
    labels = {"offerer.job": job.id, "offerer.group": f"batch/{job.spec.job}"}
    container = container_to_launch(job.plan, instance.ports, env, labels)
    return TaskInfo(job.task_id(instance), job.plan.taken(instance.ports), container.to_bytes())
