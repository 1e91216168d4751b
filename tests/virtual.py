"""The built-in frameworks in virtual time: their planners, with a store in a dict that is written to at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frameworks.batch import planner as batch_planner
from frameworks.batch import state as batch_state
from frameworks.batch import views
from frameworks.batch.jobs import JOBS, Job, read_instances
from frameworks.batch.spec import check_job
from frameworks.coding import orders
from frameworks.coding import planner as coding_planner
from frameworks.coding import state as coding_state
from frameworks.coding.names import parse_target
from frameworks.coding.files import PushedFile
from frameworks.coding.pushes import prepare_push
from offerer import Decision, Decisions, Entry, Framework, Offer, OfferId, Put, Role, TaskStatus, Time
from offerer.sim.frameworks import SimFramework
from offerer.testing import SimulatedCluster


class Virtual(Framework):
    """A framework without its coroutine."""

    state: Any
    planner: Any

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.entries: dict[str, Entry] = {}
        self.writes = 0
        self.store_works = True
        self._cluster = cluster
        self.boot()

    def boot(self) -> None:
        """Load what the store has."""
        raise NotImplementedError

    @property
    def now(self) -> Time:
        return self._cluster.simulation.world.now

    def range(self, prefix: str) -> list[Entry]:
        return [self.entries[key] for key in sorted(self.entries) if key.startswith(prefix)]

    def restart(self) -> None:
        """The process dies with what it knew, and another one comes."""
        simulation = self._cluster.simulation
        simulation.partition(self.name)
        self._cluster.advance("5s")
        self.boot()
        simulation.heal(self.name)
        framework = simulation.frameworks.pop(self.name)  # type: ignore[call-overload]
        framework.stop()
        fresh = SimFramework(simulation.world, simulation.network, simulation.master, self, heir=True)
        for task_id, host_id in self.state.believed().items():
            fresh._views.believe(task_id, host_id)
        fresh.states.update(framework.states)
        simulation.frameworks[fresh.id] = fresh
        fresh.connect()
        self._cluster.advance("1s")

    def turn(self) -> None:
        """Something else is wanted: plan now."""
        self._cluster.simulation.frameworks[self.name]._tick()  # type: ignore[index]

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        return self._kept(now, self.planner.registered(now, tasks))

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        return self._kept(now, self.planner.offered(now, offers))

    def on_rescinded(self, now: Time, offers: Sequence[OfferId]) -> Decisions:
        return self._kept(now, self.planner.rescinded(now, offers))

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        return self._kept(now, self.planner.statuses(now, statuses))

    def on_tick(self, now: Time) -> Decisions:
        return self._kept(now, self.planner.ticked(now))

    def _kept(self, now: Time, decisions: list[Decision]) -> list[Decision]:
        """The decisions, and those of the turn after what was noted is in the store."""
        while self.store_works and not self.state.journal.empty:
            for change in self.state.journal.take():
                self.writes += 1
                if isinstance(change, Put):
                    self.entries[change.key] = Entry(change.key, change.value, 1)
                else:
                    self.entries.pop(change.key, None)
            self.state.journal.saved()
            decisions = [*decisions, *self.planner.ticked(now)]
        return decisions


class VirtualBatch(Virtual):
    name = "batch"
    role = Role("batch")

    def boot(self) -> None:
        self.state = batch_state.State()
        self.planner = batch_planner.Planner(self.state)
        for job in self.state.load(self.entries.get(batch_state.NUMBER), self.range(JOBS)):
            for instance in self.state.load_instances(job, self.range(job.progress_prefix), self.now):
                self.planner.try_again_at(job, instance, instance.not_before)

    def submit(self, text: str) -> str:
        """Submit a job; its id."""
        job: Job = self.state.prepare(check_job("job.yaml", text, {}), "job.yaml", "me", self.now)
        self.entries[job.key] = Entry(job.key, job.to_bytes(), 1)
        number = str(self.state.number).encode()
        self.entries[batch_state.NUMBER] = Entry(batch_state.NUMBER, number, 1)
        self.state.add(job)
        self.turn()
        return job.id

    def cancel(self, job: str) -> None:
        self.planner.stop(self.state.stop(self.state.jobs[job], "cancelled by me", "cancelled", self.now), self.now)
        self.turn()

    def row(self, job: str) -> dict[str, Any]:
        """What `list` shows of it."""
        return views.job_row(self.planner, self.state.jobs[job], self.now)

    def counts(self, job: str) -> tuple[int, int, int, int]:
        """Waiting, running, finished and failed instances."""
        row = self.row(job)
        return row["waiting"], row["running"], row["finished"], row["failed"]

    def instances(self, job: str) -> list[dict[str, Any]]:
        """What `show` shows of its instances, by index."""
        found = self.state.jobs[job]
        kept = read_instances(entry.value for entry in self.range(found.progress_prefix))
        listed = [found.instances[index] for index in sorted(found.instances)] if not found.outcome else kept
        return [views.instance_row(found, each, self.now) for each in listed]


class VirtualCoding(Virtual):
    name = "coding"

    def boot(self) -> None:
        self.state = coding_state.State()
        self.planner = coding_planner.Planner(self.state)
        self.state.load(self.range(""), self.now)

    def up(self, text: str) -> None:
        """Push a service file and bring it up."""
        push = prepare_push(self.state, [PushedFile("service.yaml", text)], "me", "", self.now)
        for revision in push.revisions:
            self.entries[revision.key] = Entry(revision.key, revision.to_bytes(), 1)
        self.state.add_revisions(push.revisions)
        orders.up(self.state, [parse_target(revision.service) for revision in push.revisions], self.now)
        self.turn()
