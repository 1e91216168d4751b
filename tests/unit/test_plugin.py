"""Around a plug-in: when its methods are called, and what becomes of what they return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from offerer import (
    SECOND,
    Constraint,
    Decision,
    Decisions,
    Decline,
    Demand,
    Framework,
    InvalidInput,
    Kill,
    Launch,
    Offer,
    OfferId,
    Resources,
    TaskId,
    TaskInfo,
    Time,
    Wake,
    Want,
    clock,
)
from offerer.client.plugin import Plugin
from offerer.testing import SimulatedCluster
from offerer.wire import codec
from offerer.wire.outbox import Outbox
from tests.small_master import until


class Cron(Framework):
    """Wants to be woken every ten seconds, and asks for it once only when it registers."""

    name = "cron"

    def __init__(self, every: Time = 10 * SECOND) -> None:
        self.every = every
        self.calls: list[str] = []

    def on_registered(self, now: Time, tasks: object) -> Decisions:
        self.calls.append("registered")
        return [Wake(now + self.every)] if len(self.calls) == 1 else None

    def on_tick(self, now: Time) -> Decisions:
        self.calls.append("tick")
        return [Wake(now + self.every)]


async def test_a_tick_due_while_away_comes_after_the_registration() -> None:
    cron = Cron(every=3600 * SECOND)
    plugin = Plugin(cron)
    plugin.on_registered(Outbox(codec.framework.FromFramework), [])
    plugin.on_disconnected()
    plugin.wake(clock.now())
    await until(lambda: plugin.overdue, "the time")
    for _ in range(2):
        plugin.on_registered(Outbox(codec.framework.FromFramework), [])
    plugin.stop()
    assert cron.calls == ["registered", "registered", "tick", "registered"]


def test_a_tick_due_while_away_comes_after_the_registration_in_virtual_time(cluster: SimulatedCluster) -> None:
    cron = cluster.run(Cron())
    cluster.advance("19.9s")
    assert cron.calls == ["registered", "tick"]
    cluster.simulation.master.restart()
    cluster.advance("40s")
    assert cron.calls == ["registered", "tick", "registered", "tick", "tick", "tick", "tick"]


ONE = Resources.of(cpus=1, memory="1GiB")
ID = OfferId(1)


def task(**fields: Any) -> TaskInfo:
    return TaskInfo(TaskId("t"), ONE, b"{}")._replace(**fields)


@pytest.mark.parametrize(
    ("decide", "wrong"),
    [
        (lambda: Launch([ID], [task()], refuse_for=5e6), "Launch.refuse_for: 5000000.0 must be a whole number of"),
        (lambda: Launch([ID], [task(spec="{}")]), "Launch.tasks: spec of 't': '{}' must be bytes, such as Container"),
        (lambda: Launch([ID], [task(resources="cpus=1")]), "Launch.tasks: TaskInfo.* needs a TaskId and Resources"),
        (lambda: Launch([ID], [TaskId("t")]), "Launch.tasks: str in .*; give a list of TaskInfo"),
        (lambda: Launch(ID, [task()]), "Launch.offers: 1 must be a list of offers' ids"),
        (lambda: Decline(["1"]), "Decline.offers: str in .*; give a list of offers' ids"),
        (lambda: Decline([ID], refuse_for="5s"), "Decline.refuse_for: '5s' must be a whole number of microseconds"),
        (lambda: Decline([ID], refuse_for=2**70), "Decline.refuse_for: .* must be a whole number of microseconds"),
        (lambda: Kill(TaskId("t"), grace=1e6), "Kill.grace: 1000000.0 must be a whole number"),
        (lambda: Kill(task()), "Kill.task_id: TaskInfo.* must be a TaskId"),
        (lambda: Want(ONE, -1), "Want.count: -1 must be a whole number from 0"),
        (lambda: Want(ONE, per_host=2**32), "Want.per_host: 4294967296 must be a whole number from 0 to 4294967295"),
        (lambda: Want({"cpus": 1}), "Want.resources: .* must be Resources"),
        (lambda: Want(ONE, 1, ("zone",)), "Want.constraints: str in .*; give a list of Constraint"),
        (lambda: Demand(Want(ONE)), r"Demand.wants: .* must be a list of Want, such as \(Want\(…\),\)"),
        (lambda: Demand((Want(ONE),), choice=1.5), "Demand.choice: 1.5 must be a whole number"),
        (lambda: Wake(None), "Wake.at: None must be a whole number of microseconds"),
    ],
)
def test_decisions_that_cannot_be_carried_out_are_refused_where_they_are_made(
    decide: Callable[[], Any], wrong: str
) -> None:
    with pytest.raises(InvalidInput, match=wrong):
        decide()


def test_decisions_that_can_be_carried_out_are_not_refused() -> None:
    Demand([Want(ONE, 0, (Constraint("zone", "==", ("a",)),), 2**32 - 1)], 0)
    Launch((ID, ID), (task(),), refuse_for=-1)
    Decline({ID: "one"}.keys(), 2**63 - 1)


class Answers(Framework):
    """Answers offers with whatever it is given."""

    name = "answers"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def on_offers(self, now: Time, offers: object) -> Decisions:
        return self.answer(offers) if callable(self.answer) else self.answer  # type: ignore[no-any-return]


def twice(offers: list[Offer]) -> Iterator[Decision]:
    for offer in offers:
        yield Launch([offer.id], [task(), task()])


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (Decline([ID]), r"on_offers returned Decline\(.*\); return a list of decisions"),
        (3, "on_offers returned 3; return a list of decisions"),
        (["decline"], "on_offers: 'decline' is not a decision"),
        (twice, "Launch.tasks: task 't' has not ended; give each task an id of its own"),
    ],
)
def test_an_answer_that_is_none_is_refused(cluster: SimulatedCluster, answer: Any, wrong: str) -> None:
    cluster.add_hosts(1)
    cluster.run(Answers(answer))
    with pytest.raises(InvalidInput, match=wrong):
        cluster.advance("1s")


class Named(Framework):
    """Has the name and the role that it is given."""

    def __init__(self, name: Any = "fine", role: Any = "*") -> None:
        self.name, self.role = name, role


@pytest.mark.parametrize(
    ("framework", "wrong"),
    [
        (Named, r"Named is a class; give an instance of it: Named\(\)"),
        (object(), "object: .* is no framework; derive its class from offerer.Framework"),
        (Named(""), "Named.name: '' must be 1 to 253 printable characters without"),
        (Named("bad name/x"), "Named.name: 'bad name/x' must be"),
        (Named(3), "Named.name: 3 must be"),
        (Named(role="x*y z"), r"Named.role: 'x\*y z' must be"),
        (Named(role=""), "Named.role: '' must be"),
    ],
)
def test_what_cannot_register_is_refused_at_once(cluster: SimulatedCluster, framework: Any, wrong: str) -> None:
    with pytest.raises(InvalidInput, match=wrong):
        cluster.run(framework)
    with pytest.raises(InvalidInput, match=wrong):
        Plugin(framework)
