"""What is wanted and what is: one record per task, the revisions of each service, and the updates under way.

Pure. Each `Task` is one small entry of the store; a change of it goes through `State.changed`, which puts it in the
journal and marks the task for the planner's attention.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

from frameworks.coding.deployments import PREFIX as DEPLOYMENTS
from frameworks.coding.deployments import Deployments
from frameworks.coding.graph import Graph
from frameworks.coding.names import JobName, Target, TaskName, natural, parse_task_name
from frameworks.coding.plans import JobPlan, TaskPlan
from frameworks.coding.records import EVERYWHERE, LOST, REBALANCE, SCALES, TASKS, UPDATES, Scale, Task, Update
from frameworks.coding.revisions import PREFIX as REVISIONS
from frameworks.coding.revisions import Revision, read_key, read_revision
from frameworks.coding.secrets import PREFIX as SECRETS
from frameworks.coding.secrets import Secrets
from frameworks.coding.strategy import DEFAULT, Strategy
from frameworks.journal import Journal
from offerer import Constraint, Entry, HostId, InvalidInput, TaskId, Time


class State:
    """All that the framework knows, and the journal of what is not yet in the store."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.everywhere: dict[JobName, int] = {}
        """The jobs that are to have one task on each host, and the revision at which one for a new host is started."""
        self.tasks: dict[TaskName, Task] = {}
        self.jobs: dict[JobName, dict[str, Task]] = {}
        self.revisions: dict[str, dict[int, Revision]] = {}
        self.updates: dict[str, Update] = {}
        """Those under way, by service."""
        self.ended_updates: dict[str, Update] = {}
        """The last one of each service that ended."""
        self.secrets = Secrets()
        self.scales: dict[JobName, Scale] = {}
        """The jobs that are to have another number of tasks than their file says."""
        self.graph = Graph({})
        self.unsettled: dict[TaskName, None] = {}
        """The tasks that are not as wanted, in the order they became so."""
        self.to_move: dict[TaskName, None] = {}
        """The tasks that are to leave their host or are on their way to another, in the order they became so."""
        self.deployments = Deployments(self.journal)
        self.problems: dict[str, str] = {}
        """Entries of the store that could not be read, by key."""
        self.some_keep_apart = False
        """Whether any revision has a job that is to be apart from others."""
        self._highest: dict[str, int] = {}
        self._same: dict[tuple[int, int], bool] = {}

    def copy(self) -> State:
        """Another one that knows the same, to try something out: what is done to it changes nothing here."""
        copy = State()
        copy.tasks = {name: task.copy() for name, task in self.tasks.items()}
        for task in copy.tasks.values():
            if task.once is None:
                copy.jobs.setdefault(task.name.of_job, {})[task.name.task] = task
        copy.scales = dict(self.scales)
        copy.revisions = {service: dict(revisions) for service, revisions in self.revisions.items()}
        copy.updates, copy.ended_updates = deepcopy(self.updates), deepcopy(self.ended_updates)
        copy.secrets = self.secrets.copy()
        copy.everywhere = dict(self.everywhere)
        copy.graph, copy.unsettled, copy.to_move = self.graph, dict(self.unsettled), dict(self.to_move)
        copy._highest, copy.some_keep_apart = dict(self._highest), self.some_keep_apart
        return copy

    # -- tasks --

    def task(self, name: TaskName) -> Task:
        """The record of this task, made if there is none."""
        task = self.tasks.get(name)
        if task is None:
            task = self.tasks[name] = self.jobs.setdefault(name.of_job, {})[name.task] = Task(name)
        return task

    def changed(self, task: Task) -> None:
        """Something about this task changed that must survive: have it written."""
        self.journal.put(task.key, task)
        self.attend(task)

    def forget(self, task: Task) -> None:
        """Nothing more is to be known of this task but its history."""
        del self.tasks[task.name]
        self.unsettled.pop(task.name, None)
        self.to_move.pop(task.name, None)
        self.journal.delete(task.key)

    def attend(self, task: Task) -> None:
        """Have the planner look at this task, or forget about it where all is as wanted."""
        if task.settled:
            self.unsettled.pop(task.name, None)
        else:
            self.unsettled.setdefault(task.name)
        if task.move or task.leaving is not None:
            self.to_move.setdefault(task.name)
        else:
            self.to_move.pop(task.name, None)
            task.tied = False

    def want(self, task: Task, revision: int | None, now: Time, *, gated: bool = False) -> None:
        """From now on the task is to run this revision, or with None to be down. What failed before is forgotten.

        A container that a new revision leaves as it is goes on, and counts as one of that revision.
        """
        run = task.run
        if run is not None and run.moving == REBALANCE and not run.evicted:
            run.moving = task.planned = ""
        if run is not None and revision is not None and self.same(task, run.revision, revision):
            run.revision = revision
        task.wanted, task.since, task.gated = revision, now, gated
        if task.finished is not None:
            task.finished = revision if self.same(task, task.finished, revision) else None
        task.failures, task.not_before, task.blocked, task.shortage = 0, 0, False, ""
        self.changed(task)

    def want_everywhere(self, job: JobName, revision: int | None) -> None:
        """From now on hosts that join have a task of this job at this revision; None: they have none."""
        key = f"{EVERYWHERE}{job}"
        if revision is None:
            self.everywhere.pop(job, None)
            self.journal.delete(key)
        else:
            self.everywhere[job] = revision
            self.journal.put(key, str(revision).encode())

    def same(self, task: Task, one: int | None, other: int | None) -> bool:
        """Whether two revisions mean the same for this task: a container of one is as good as one of the other."""
        if one is None or other is None:
            return one == other
        if one == other:
            return True
        plans = self.plan(task, one), self.plan(task, other)
        key = id(plans[0]), id(plans[1])  # a revision and its plans stay for good
        found = self._same.get(key)
        if found is None:
            found = self._same[key] = plans[0] == plans[1]
        return found

    def sort_containers(self, task: Task) -> None:
        """Decide which container of a task is its present one, where a successor may start beside the old one."""
        run = task.run
        if task.wanted is None or run is not None and not run.launched:
            return
        if run is not None and not run.evicted and self.same(task, run.revision, task.wanted):
            return
        if run is not None and run.ready and not task.on_their_way_out and self.strategy(task.name.of_job).start_first:
            task.old, task.run = [run, *task.old], None  # it goes on until its successor can be relied on
            self.changed(task)
            return
        # One on its way out stays where it turns out to be what is wanted, and what was to replace it is not.
        for old in task.old:
            if old.ready and not old.evicted and self.same(task, old.revision, task.wanted):
                task.old.remove(old)
                task.old += [run] if run else []
                task.run, old.revision = old, task.wanted
                old.moving = "" if old.moving == LOST else old.moving
                self.changed(task)
                return

    def strategy(self, job: JobName) -> Strategy:
        """How the tasks of a job are replaced, by its newest revision; the default where that has no such job."""
        plan = self.job(job)
        return plan.strategy if plan else DEFAULT

    def conditions(self, job: JobName) -> Mapping[JobName, str]:
        """What the jobs that this one depends on must be, by its newest revision."""
        plan = self.job(job)
        return plan.conditions if plan else {}

    def job(self, job: JobName, number: int | None = None) -> JobPlan | None:
        """A job at its newest revision, or at another one."""
        newest = self.newest(job.service)
        found = newest if number is None else self.revisions.get(job.service, {}).get(number)
        return found.jobs.get(job.job) if found else None

    def saved(self, task: Task) -> bool:
        """Whether what is known of this task is safe in the store."""
        return not self.journal.holds(task.key)

    def plan(self, task: Task, revision: int | None = None) -> TaskPlan | None:
        """What this task is to be at the revision wanted, or at another one."""
        number = task.wanted if revision is None else revision
        found = self.revisions.get(task.name.service, {}).get(number or 0)
        job = found.jobs.get(task.name.job) if found else None
        if job is None:
            return None
        if task.once is not None:
            plan = job.everywhere or job.replica or job.tasks.get(task.once.like)
            return plan.once(task.once.command) if plan is not None else None
        if job.everywhere is not None:
            return job.of_host(task.host) if task.host else None
        if job.replica is not None and task.name.task.isdigit():
            return job.replica  # whatever its number
        return job.tasks.get(task.name.task)

    def ends_by_itself(self, task: Task) -> bool:
        """Whether it runs to its end once, so that to start another beside it would do its work twice."""
        job = self.job(task.name.of_job, task.wanted)
        return task.once is not None or job is not None and not job.restart.always

    def plan_to_place(self, task: Task) -> TaskPlan | None:
        """The same for placing it: where a reviewed plan says on which host, only there; not on a host it leaves."""
        plan, leaving = self.plan(task), task.leaving
        only = [Constraint("host", "==", (task.planned,))] if task.planned else []
        only += [Constraint("host", "!=", (leaving.host,))] if leaving is not None else []
        return replace(plan, constraints=(*plan.constraints, *only)) if plan is not None and only else plan

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
            self.some_keep_apart |= revision.keeps_apart
            for job in self.overruled(revision):
                self.scale(job, None)
        self._draw_graph()

    def overruled(self, revision: Revision) -> list[JobName]:
        """The jobs whose number of tasks was set by command, and of which this revision says something new."""
        scaled = [job for job in self.scales if job.service == revision.service]
        jobs = revision.jobs
        return [job for job in scaled if job.job not in jobs or jobs[job.job].like_tasks != self.scales[job].file]

    def scale(self, job: JobName, scale: Scale | None) -> None:
        """From now on the job is to have so many tasks, or with None as many as its file says."""
        if scale is not None:
            self.scales[job] = scale
            self.journal.put(f"{SCALES}{job}", scale.to_bytes())
        elif self.scales.pop(job, None):
            self.journal.delete(f"{SCALES}{job}")

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
        return self.tasks_of(target, newest.number if newest else 0)

    def tasks_of(self, target: Target, number: int) -> Iterator[TaskName]:
        """The tasks of a target as this revision has them."""
        revision = self.revisions.get(target.service, {}).get(number)
        for job in revision.jobs.values() if revision else ():
            scale = self.scales.get(job.name) if job.replica is not None else None
            tasks: Iterable[str] = job.scaled(scale.replicas).tasks if scale else job.tasks
            if job.everywhere is not None:
                tasks = [task.name.task for task in self.jobs.get(job.name, {}).values() if task.host and not task.gone]
            for task in tasks:
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
                elif entry.key.startswith(SECRETS):
                    self.secrets.load(entry)
                elif entry.key.startswith(TASKS):
                    self._load_task(entry)
                elif entry.key.startswith(SCALES):
                    self.scales[JobName(*entry.key.removeprefix(SCALES).split("/"))] = Scale.from_entry(entry.value)
                elif entry.key.startswith(EVERYWHERE):
                    service, _, job = entry.key.removeprefix(EVERYWHERE).partition("/")
                    self.everywhere[JobName(service, job)] = int(entry.value)
                elif entry.key.startswith(UPDATES):
                    service = entry.key.removeprefix(UPDATES)
                    update = Update.from_entry(service, entry.value)
                    (self.ended_updates if update.outcome else self.updates)[service] = update
                elif entry.key.startswith(DEPLOYMENTS):
                    self.deployments.load(entry.value)
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
        return {run.id: run.host_id for task in self.tasks.values() for run in task.containers if run.launched}

    def _load_revision(self, key: str, value: bytes, now: Time) -> None:
        self.note_number(key)
        revision = read_revision(key, value, now)
        self.revisions.setdefault(revision.service, {})[revision.number] = revision
        self.some_keep_apart |= revision.keeps_apart

    def _load_task(self, entry: Entry) -> None:
        name = parse_task_name(entry.key.removeprefix(TASKS))
        if name is None:
            raise InvalidInput(f"{entry.key}: not {TASKS}SERVICE/JOB/TASK")
        task = self.tasks[name] = Task.from_entry(name, entry.value)
        if task.once is None:
            self.jobs.setdefault(name.of_job, {})[name.task] = task
        self.attend(task)
