"""The simulator: the same seed gives the same run, bad weather is survived, and what is wrong is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from offerer import (
    SECOND,
    ContainerSpec,
    Decline,
    Framework,
    HostId,
    InvalidInput,
    Kill,
    Launch,
    NotFound,
    Offer,
    OffererError,
    Probe,
    Resources,
    TaskId,
    TaskInfo,
    TaskStatus,
    Wake,
)
from offerer.core import tasks as core_tasks
from offerer.core.events import HostRemoved
from offerer.sim import Simulation, SimulationFailed, Weather
from offerer.sim.report import summarize
from offerer.sim.workload import Arrival, Batch
from offerer.sim.world import START

ONE = Resources.of(cpus=1, memory="1GiB")
BAD = Weather(latency=2000, jitter=20_000, loss=0.01, duplication=0.05, reordering=0.1)


def batch(*arrivals: Arrival, name: str = "batch") -> Batch:
    return Batch(name, "*", arrivals)


def arrival(at: int, tasks: int, run_for: int | None = 10, size: Resources = ONE) -> Arrival:
    return Arrival(START + at * SECOND, tasks, size, None if run_for is None else run_for * SECOND)


class One(Framework):
    """Launches one task, and declines the rest."""

    name = "one"

    def __init__(self, task: str) -> None:
        self.task, self.known = TaskId(task), False

    def on_offers(self, now: int, offers: Sequence[Offer]) -> Iterator[Launch | Decline]:
        for offer in offers:
            tasks = [] if self.known else [TaskInfo(self.task, ONE, b"{}")]
            self.known = True
            yield Launch([offer.id], tasks) if tasks else Decline([offer.id])


def stormy(seed: int, *, reverse: bool = False) -> Simulation:
    """Two frameworks on six hosts in bad weather, one of which crashes."""
    simulation = Simulation(seed, BAD, check_every=25, replay=f"stormy({seed})")
    for i in range(6):
        simulation.add_host(f"host-{i}", Resources.of(cpus=4, memory="16GiB"))
    arrivals = [arrival(n % 7, 2, 5 + n % 3) for n in range(30)]
    simulation.run(batch(*(reversed(arrivals) if reverse else arrivals), name="early"))
    simulation.run(batch(arrival(20, 30, 15), name="late"))
    simulation.advance(25 * SECOND)
    simulation.crash("host-2")
    simulation.partition("host-3")
    simulation.advance(30 * SECOND)
    simulation.start("host-2")
    simulation.heal("host-3")
    simulation.network.weather = replace(BAD, loss=0, duplication=0, reordering=0)
    simulation.advance(150 * SECOND)
    return simulation


@pytest.mark.parametrize("seed", range(8))
def test_everything_is_done_once_whatever_the_weather(seed: int) -> None:
    simulation = stormy(seed)
    simulation.check_settled()
    assert simulation.network.lost > 0
    for framework in simulation.frameworks.values():
        assert isinstance(framework.plugin, Batch)
        assert framework.plugin.done
        assert framework.plugin.finished == (60 if framework.id == "early" else 30)
        assert framework.launched == framework.ended == framework.plugin.finished + framework.plugin.retried


def test_equal_seeds_give_equal_runs_and_others_do_not() -> None:
    first = stormy(3)
    assert stormy(3).world.log_hash == first.world.log_hash
    assert stormy(3, reverse=True).world.log_hash == first.world.log_hash
    assert stormy(4).world.log_hash != first.world.log_hash


def test_what_runs_on_a_host_out_of_reach_runs_on() -> None:
    simulation = Simulation()
    simulation.add_host("alone", Resources.of(cpus=4, memory="16GiB"))
    framework = simulation.run(batch(arrival(0, 2, None)))
    simulation.advance(5 * SECOND)
    simulation.partition("alone")
    simulation.advance(60 * SECOND)
    assert {state.name for state in framework.states.values()} == {"UNREACHABLE"}
    simulation.check_settled()
    simulation.heal("alone")
    simulation.advance(10 * SECOND)
    assert {state.name for state in framework.states.values()} == {"RUNNING"}
    assert framework.ended == 0
    simulation.check_settled()


def test_a_new_master_finds_everything_as_it_was() -> None:
    simulation = Simulation()
    for i in range(3):
        simulation.add_host(f"host-{i}", Resources.of(cpus=4, memory="16GiB"))
    simulation.configure_role("*", weight=3000)
    framework = simulation.run(batch(arrival(0, 5, 60), arrival(30, 4, 10)))
    simulation.advance(10 * SECOND)
    simulation.master.restart()
    simulation.advance(10 * SECOND)
    assert len(framework.states) == 5
    assert simulation.master.cluster.state.allocator.role("*").weight == 3000
    simulation.advance(100 * SECOND)
    assert framework.ended == framework.launched == 9
    simulation.check_settled()


def test_a_host_removed_for_good_loses_its_tasks_once() -> None:
    simulation = Simulation()
    simulation.add_host("old", Resources.of(cpus=4, memory="16GiB"))
    plugin = batch(arrival(0, 2, 60))
    simulation.run(plugin)
    simulation.advance(5 * SECOND)
    simulation.crash("old")
    simulation.advance(SECOND)
    simulation.remove("old")
    simulation.add_host("new", Resources.of(cpus=4, memory="16GiB"))
    simulation.advance(120 * SECOND)
    assert (plugin.finished, plugin.retried) == (2, 2)
    simulation.check_settled()


def test_books_that_do_not_balance_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(seed=9, replay="offerer sim run x.yaml --seed 9")
    simulation.add_host("host", Resources.of(cpus=4, memory="16GiB"))
    simulation.run(batch(arrival(0, 2, 10)))
    monkeypatch.setattr(core_tasks, "release", lambda state, task: None)
    with pytest.raises(SimulationFailed, match=r"holds resources.*seed 9; replay it with: offerer sim run x.yaml"):
        simulation.advance(30 * SECOND)


def test_an_end_that_is_never_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(check_every=0)
    simulation.add_host("host", Resources.of(cpus=4, memory="16GiB"))
    framework = simulation.run(batch(arrival(0, 2, 10)))
    monkeypatch.setattr(framework._views, "news", lambda status: False)
    simulation.advance(30 * SECOND)
    with pytest.raises(SimulationFailed, match=r"takes batch\.\d to be STAGING"):
        simulation.check_settled()


def test_what_a_plugin_raises_reaches_its_author() -> None:
    class Wrong(Framework):
        name = "wrong"

        def on_offers(self, now: int, offers: object) -> None:
            raise RuntimeError("a mistake")

    simulation = Simulation()
    simulation.add_host("host", ONE)
    simulation.run(Wrong())
    with pytest.raises(RuntimeError, match="a mistake"):
        simulation.advance(SECOND)


def test_probes_are_answered() -> None:
    probe = Probe(port=80, interval=2 * SECOND, failures=2, grace=0)
    told: list[tuple[str, str, bool | None]] = []

    class Probed(Framework):
        name = "probed"

        def on_offers(self, now: int, offers: Sequence[Offer]) -> list[Launch | Decline]:
            if not offers[0].resources.contains(ONE):
                return [Decline([offers[0].id])]
            ill = ContainerSpec(liveness=probe, labels={"fake.unhealthy": "no answer"})
            specs = {"well": ContainerSpec(readiness=probe), "ill": ill}
            half = Resources.of(cpus=0.5, memory="512MiB")
            return [Launch([offers[0].id], [TaskInfo(TaskId(id), half, spec.to_bytes()) for id, spec in specs.items()])]

        def on_statuses(self, now: int, statuses: Sequence[TaskStatus]) -> None:
            told.extend((status.task_id, status.state.name, status.healthy) for status in statuses)

    simulation = Simulation()
    simulation.add_host("host", ONE)
    simulation.run(Probed())
    simulation.advance(SECOND)
    assert ("well", "RUNNING", True) in told
    simulation.advance(10 * SECOND)
    assert ("ill", "FAILED", None) in told
    simulation.check_settled()


def test_a_launch_outside_the_offer_is_answered() -> None:
    class Greedy(Framework):
        name = "greedy"
        told: list[str] = []

        def on_offers(self, now: int, offers: Sequence[Offer]) -> list[Launch]:
            return [Launch([offer.id], [TaskInfo(TaskId("big"), ONE + ONE, b"{}")]) for offer in offers]

        def on_statuses(self, now: int, statuses: Sequence[TaskStatus]) -> None:
            self.told += [status.state.name for status in statuses]

    simulation = Simulation()
    simulation.add_host("host", ONE)
    plugin = Greedy()
    simulation.run(plugin)
    simulation.advance(SECOND // 100)
    assert plugin.told[0] == "DROPPED"


def test_batch_does_not_launch_again_what_is_refused() -> None:
    simulation = Simulation()
    simulation.add_host("host", ONE)
    plugin = batch(arrival(0, 2, size=Resources()), arrival(0, 1))
    simulation.run(plugin)
    simulation.advance(30 * SECOND)
    report = summarize(simulation, [plugin], [])
    assert (plugin.refused, plugin.retried, plugin.finished, plugin.done) == (2, 0, 1, True)
    assert report["frameworks"][0]["refused"] == 2


def test_a_drained_host_takes_nothing_new_until_it_is_undrained_whatever_happens_meanwhile() -> None:
    simulation = Simulation()
    for name in ("a", "b"):
        simulation.add_host(name, Resources.of(cpus=4, memory="4GiB"))
    simulation.advance(SECOND)
    simulation.drain("a")
    simulation.cordon("b")
    plugin = batch(arrival(0, 4, None))
    simulation.run(plugin)
    simulation.advance(10 * SECOND)
    simulation.master.restart()
    simulation.crash("b")
    simulation.advance(60 * SECOND)
    simulation.start("b")
    simulation.advance(60 * SECOND)
    assert plugin.waiting == 4
    simulation.undrain("b")
    simulation.advance(10 * SECOND)
    assert plugin.waiting == 0 and not simulation.host("a").lifecycle.tasks
    simulation.check_settled()


def test_a_host_may_be_taken_out_of_use_before_it_has_registered() -> None:
    simulation = Simulation()
    for name, take_out in (("a", simulation.drain), ("b", simulation.cordon)):
        simulation.add_host(name, ONE)
        take_out(name)
    plugin = batch(arrival(0, 1, None))
    simulation.run(plugin)
    simulation.advance(10 * SECOND)
    assert plugin.waiting == 1
    simulation.undrain("a")
    simulation.advance(10 * SECOND)
    assert plugin.waiting == 0


def test_a_kill_of_an_unknown_task_is_answered_and_no_second_end() -> None:
    class Killer(Framework):
        name = "killer"
        told: list[str] = []

        def on_offers(self, now: int, offers: Sequence[Offer]) -> list[Kill | Decline]:
            return [Kill(TaskId("zz")), Decline([offer.id for offer in offers])]

        def on_statuses(self, now: int, statuses: Sequence[TaskStatus]) -> None:
            self.told += [f"{status.task_id} {status.state.name}" for status in statuses]

    simulation = Simulation()
    simulation.add_host("host", ONE)
    plugin = Killer()
    simulation.run(plugin)
    simulation.advance(60 * SECOND)
    assert plugin.told == ["zz GONE"]
    simulation.check_settled()


@pytest.mark.parametrize("weather", [Weather(), BAD], ids=["fair", "bad"])
def test_another_process_of_the_same_name_takes_over(weather: Weather) -> None:
    simulation = Simulation(weather=weather)
    simulation.add_host("host", Resources.of(cpus=4, memory="16GiB"))
    before = simulation.run(One("first"))
    simulation.advance(60 * SECOND)
    received = before.received
    after = simulation.run(One("second"))
    simulation.network.weather = Weather()
    simulation.advance(60 * SECOND)
    assert sorted(after.states) == ["first", "second"] and before.received == received
    simulation.master.restart()
    simulation.advance(30 * SECOND)
    simulation.check_settled()
    assert list(simulation.frameworks.values()) == [after]


def test_names_are_taken_once_and_must_exist() -> None:
    simulation = Simulation()
    simulation.add_host("host", ONE)
    with pytest.raises(InvalidInput, match="'host': the name is taken"):
        simulation.add_host("host", ONE)
    with pytest.raises(InvalidInput, match="'host': a host has that name"):
        simulation.run(batch(name="host"))
    with pytest.raises(NotFound, match="no host 'hots'; there are host"):
        simulation.crash("hots")
    with pytest.raises(InvalidInput, match="is up"):
        simulation.start("host")


class Once(Framework):
    """Launches one task and remembers what it was told."""

    name = "once"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.labels: dict[str, str] = {}
        self.message = ""

    def on_offers(self, now: int, offers: Sequence[Offer]) -> list[Launch | Decline]:
        if self.told:
            return [Decline([offer.id for offer in offers])]
        self.told.append("launched")
        spec = ContainerSpec(labels=self.labels).to_bytes()
        return [Launch([offers[0].id], [TaskInfo(TaskId("t"), ONE, spec)])]

    def on_registered(self, now: int, tasks: Sequence[TaskStatus]) -> None:
        self.told += [f"registered: {task.state.name}" for task in tasks]

    def on_statuses(self, now: int, statuses: Sequence[TaskStatus]) -> None:
        self.told += [status.state.name for status in statuses]
        self.message = statuses[-1].message


def test_a_task_that_comes_back_with_its_removed_host_is_stopped() -> None:
    simulation, plugin = Simulation(), Once()
    simulation.add_host("host", Resources.of(cpus=4, memory="16GiB"))
    simulation.run(plugin)
    simulation.advance(SECOND)
    simulation.partition("host")
    simulation.advance(60 * SECOND)
    simulation.master.feed(HostRemoved(HostId("host")))
    simulation.advance(SECOND)
    simulation.heal("host")
    simulation.advance(60 * SECOND)
    assert plugin.told == ["launched", "RUNNING", "UNREACHABLE", "GONE"]
    simulation.check_settled()
    simulation.master.restart()
    simulation.advance(60 * SECOND)
    assert plugin.told[4:] == []


@pytest.mark.parametrize("seed", range(40))
def test_no_kill_overtakes_its_launch_and_no_offer_a_registration(seed: int) -> None:
    class Hasty(Once):
        def on_offers(self, now: int, offers: Sequence[Offer]) -> list[Any]:
            decisions: list[Any] = list(super().on_offers(now, offers))
            return [*decisions, Kill(TaskId("t"))] if self.told == ["registered", "launched"] else decisions

        def on_registered(self, now: int, tasks: Sequence[TaskStatus]) -> None:
            self.told.append("registered")

    weather = Weather(latency=1000, jitter=4000, duplication=0.5, reordering=0.3)
    simulation, plugin = Simulation(seed, weather), Hasty()
    simulation.add_host("host", Resources.of(cpus=4, memory="16GiB"))
    simulation.run(plugin)
    simulation.advance(60 * SECOND)
    assert plugin.told[0] == "registered"
    assert not simulation.hosts["host"].lifecycle.tasks, plugin.told


def test_where_time_stands_still_the_simulation_fails() -> None:
    class Sleepless(Framework):
        name = "sleepless"

        def on_registered(self, now: int, tasks: Sequence[TaskStatus]) -> list[Wake]:
            return [Wake(now)]

        def on_tick(self, now: int) -> list[Wake]:
            return [Wake(now)]

    simulation = Simulation(replay="again")
    simulation.run(Sleepless())
    with pytest.raises(SimulationFailed, match=r"time stands still.* replay it with: again"):
        simulation.advance(SECOND)


def test_a_host_that_is_up_is_not_removed() -> None:
    simulation = Simulation()
    simulation.add_host("host", ONE)
    simulation.advance(SECOND)
    with pytest.raises(OffererError):
        simulation.remove("host")
    assert simulation.host("host").up


def test_arrivals_of_one_time_have_an_order_by_their_exact_size() -> None:
    sizes = [Resources(1000, 1 << 30), Resources(1000, (1 << 30) + 1)]
    arrivals = [Arrival(START, 1, size, SECOND) for size in sizes]
    assert list(batch(*arrivals)._to_come) == list(batch(*reversed(arrivals))._to_come)


@pytest.mark.parametrize(
    ("label", "value"), [("run_for", "inf"), ("run_for", "10s"), ("start_after", "-1"), ("exit_code", "x")]
)
def test_a_wrong_label_of_the_fake_runtime_is_named(label: str, value: str) -> None:
    simulation, plugin = Simulation(), Once()
    plugin.labels = {f"fake.{label}": value}
    simulation.add_host("host", ONE)
    simulation.run(plugin)
    simulation.advance(SECOND)
    assert plugin.told == ["launched", "ERROR"]
    assert f"spec.labels.fake.{label}: {value!r} must be" in plugin.message
