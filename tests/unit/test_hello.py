"""The example plug-in, tested as its author would: its methods are called with a time and what happened."""

from __future__ import annotations

from examples.hello_framework import Hello
from offerer import (
    SECOND,
    Decline,
    Demand,
    HostId,
    Launch,
    Offer,
    OfferId,
    Resources,
    Role,
    TaskId,
    TaskState,
    TaskStatus,
    Want,
)

NOW = 1_700_000_000 * SECOND


def offer(number: int, resources: str) -> Offer:
    return Offer(OfferId(number), HostId("h1"), "one", Role("*"), Resources.parse(resources), {})


def status(task_id: str, state: TaskState) -> TaskStatus:
    return TaskStatus(TaskId(task_id), state, HostId("h1"))


def wanted(count: int) -> Demand:
    return Demand((Want(Hello.needs, count),))


def test_it_asks_for_as_many_as_are_missing() -> None:
    hello = Hello()
    assert list(hello.on_registered(NOW, [])) == [wanted(3)]
    running, ended = status("a", TaskState.RUNNING), status("b", TaskState.FAILED)
    assert list(hello.on_registered(NOW, [running, ended])) == [wanted(2)]


def test_it_launches_what_is_missing_where_there_is_room_and_declines_the_rest() -> None:
    hello = Hello()
    hello.on_registered(NOW, [])
    small, large, late = (offer(n, f"cpus={cpus};memory=1GiB") for n, cpus in ((1, 0.2), (2, 4), (3, 4)))
    first, second, third, demand = hello.on_offers(NOW, [small, large, late])
    assert isinstance(first, Launch) and len(first.tasks) == 2
    assert isinstance(second, Launch) and len(second.tasks) == 1
    assert third == Decline([OfferId(3)])
    assert demand == wanted(0)
    launched = [*first.tasks, *second.tasks]
    assert len({task.task_id for task in launched}) == 3
    assert all(task.resources == Hello.needs for task in launched)


def test_a_copy_that_ended_is_replaced() -> None:
    hello = Hello()
    hello.on_registered(NOW, [])
    launch, _ = hello.on_offers(NOW, [offer(1, "cpus=4;memory=1GiB")])
    lost = launch.tasks[0].task_id
    assert list(hello.on_statuses(NOW, [status(lost, TaskState.RUNNING)])) == [wanted(0)]
    assert list(hello.on_statuses(NOW, [status(lost, TaskState.FAILED)])) == [wanted(1)]
    launch, demand = hello.on_offers(NOW, [offer(2, "cpus=4;memory=1GiB")])
    assert len(launch.tasks) == 1 and launch.tasks[0].task_id != lost
    assert demand == wanted(0)
