"""All jobs, those under way in the order they are served, and the journal of what is not yet in the store. Pure."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from frameworks.batch.jobs import FAILED, FINISHED, JOBS, Instance, Job, read_instances
from frameworks.batch.names import number_of
from frameworks.batch.spec import JobFile
from frameworks.journal import Journal
from offerer import SECOND, Entry, HostId, InvalidInput, TaskId, Time

NUMBER: Final = "number"
"""The key of the number that the newest job has."""
KEEP_FOR: Final = 7 * 24 * 3600 * SECOND
"""How long a job is remembered after its end."""
KEEP_LAST: Final = 1000
"""No more jobs than that are remembered after their end."""


class State:
    """What the framework knows."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.jobs: dict[str, Job] = {}
        self.queue: list[Job] = []
        """The jobs under way, in the order they are served."""
        self.ended: deque[Job] = deque()
        """Those that have ended, the oldest end first."""
        self.number = 0
        self.touched: dict[str, Job] = {}
        """The jobs of which another number of instances may wait than when the planner last counted them."""
        self.problems: dict[str, str] = {}
        """What could not be read in the store, or runs and cannot be told of, by key."""
        self._changed: dict[str, Job] = {}

    # -- what an operator does --

    def prepare(self, spec: JobFile, file: str, who: str, now: Time) -> Job:
        """The next job, to be put into the store and then added."""
        self.number += 1
        return Job(f"{spec.job}-{self.number}", self.number, spec, who, now, file)

    def add(self, job: Job) -> None:
        """A job is in the store."""
        self.jobs[job.id] = job
        if job.outcome:
            self.ended.append(job)
        else:
            bisect.insort(self.queue, job, key=lambda each: each.order)
            self.touched[job.id] = job

    def stop(self, job: Job, why: str, outcome: str, now: Time) -> list[TaskId]:
        """Start no more of it. Returns the containers of it that are to be stopped."""
        job.stop, job.stop_outcome = why, outcome
        job.ready.clear()
        self.touched[job.id] = job
        self.journal.put(job.key, job.to_bytes())
        self.conclude(job, now)
        return [job.task_id(each) for each in job.instances.values() if each.live and each.launched]

    # -- what becomes of instances --

    def note(self, job: Job, instance: Instance) -> None:
        """Something about this instance changed that must survive."""
        job.note(instance)
        self._changed[job.id] = self.touched[job.id] = job

    def started(self, job: Job, at: Time) -> None:
        """The first instance of a job runs."""
        job.started = at
        self.journal.put(job.key, job.to_bytes())

    def done(self, job: Job, instance: Instance, outcome: str, now: Time) -> None:
        """An instance has come to its end."""
        instance.outcome = outcome
        job.finished += outcome == FINISHED
        job.failed += outcome == FAILED
        if outcome == FAILED:
            job.why = f"instance {instance.index}: {instance.message}"
        self.note(job, instance)
        self.conclude(job, now)

    def conclude(self, job: Job, now: Time) -> None:
        """End a job of which nothing runs and nothing is to run any more."""
        if job.outcome or job.live or job.waiting:
            return
        job.outcome = job.stop_outcome or ("failed" if job.failed else "finished")
        job.ended = now
        self.flush(job)
        self.journal.put(job.key, job.to_bytes())
        self.queue.remove(job)
        self.ended.append(job)
        job.instances.clear()  # from here on the store has them

    def prune(self, now: Time) -> None:
        """Forget the jobs that ended long ago."""
        while self.ended and (len(self.ended) > KEEP_LAST or self.ended[0].ended < now - KEEP_FOR):
            job = self.ended.popleft()
            del self.jobs[job.id]
            for key in (job.key, *job.chunk_keys()):
                self.journal.delete(key)

    # -- the store --

    def flush(self, only: Job | None = None) -> None:
        """Note what changed about instances in the journal."""
        for job in [only] if only else list(self._changed.values()):
            for chunk in sorted(job.changed):
                self.journal.put(job.chunk_key(chunk), job.chunk_bytes(chunk))
            job.changed.clear()
            self._changed.pop(job.id, None)

    def load(self, number: Entry | None, jobs: Sequence[Entry]) -> list[Job]:
        """The jobs as they were left. Returns those of which the instances are to be loaded."""
        self.number = int(number.value) if number and number.value.isdigit() else 0
        loaded = []
        for entry in jobs:
            job_id = entry.key.removeprefix(JOBS)
            try:
                loaded.append(Job.from_entry(job_id, number_of(job_id), entry.value))
            except (InvalidInput, ValueError, KeyError, TypeError) as error:
                self.problems[entry.key] = f"{entry.key}: cannot be read: {error}"
        for job in sorted(loaded, key=lambda job: (job.ended, job.number)):
            self.number = max(self.number, job.number)
            self.add(job)
        return list(self.queue)

    def load_instances(self, job: Job, chunks: Iterable[Entry], now: Time) -> list[Instance]:
        """The instances of a job as they were left. Returns those that wait to be tried again later."""
        for entry in chunks:
            try:
                found = read_instances([entry.value])
            except (ValueError, TypeError, AttributeError) as error:
                self.problems[entry.key] = f"{entry.key}: cannot be read: {error}"
                job.stop, job.stop_outcome = "what became of its instances cannot be read", "failed"
                continue
            job.instances.update((each.index, each) for each in found)
        job.fresh = max(job.instances, default=-1) + 1
        later = []
        job.finished = job.failed = job.live = 0
        for index in range(job.fresh):
            each = job.instances.setdefault(index, Instance(index))
            each.launched = each.live
            job.live += each.live
            job.finished += each.outcome == FINISHED
            job.failed += each.outcome == FAILED
            if not each.live and not each.outcome and not job.stop:
                if each.not_before > now:
                    later.append(each)
                else:
                    job.ready.append(index)
        self.conclude(job, now)
        return later

    def believed(self) -> Mapping[TaskId, HostId]:
        """The containers that run as far as we know, each with its host."""
        return {job.task_id(each): each.host_id for job in self.queue for each in job.instances.values() if each.live}
