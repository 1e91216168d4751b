"""What a plug-in is: a class of at most five pure methods that return decisions.

The plumbing (connection, acknowledgement, duplicates, reconciliation) is the client's business; the same class runs
hosted by the master, in its own process (``offerer-framework``), in the simulator and in a unit test. The methods
do no I/O and read no clock: ``now`` (microseconds) is an argument. Everything returned is carried out in order.
A method may return None for "nothing to do".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from offerer.constraints import Constraint
from offerer.errors import InvalidInput
from offerer.ids import DEFAULT_ROLE, HostId, OfferId, TaskId
from offerer.resources import Resources
from offerer.types import SECOND, Offer, TaskInfo, TaskStatus, Time

if TYPE_CHECKING:
    from offerer.store.protocol import Store

DEFAULT_REFUSE_FOR: Time = 5 * SECOND
FOREVER: Time = 365 * 24 * 3600 * SECOND

# Decisions are checked as they are made: there the plug-in's own line is in the traceback, and nothing that the wire
# cannot carry works in a simulation. Of thousands of offers and tasks only types are looked at.


def _check_time(field: str, value: Time) -> None:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise InvalidInput(f"{field}: {value!r} must be a whole number of microseconds, such as 5 * SECOND")


def _check_count(field: str, value: int, bits: int = 32) -> None:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise InvalidInput(f"{field}: {value!r} must be a whole number from 0 to {(1 << bits) - 1}")


def _check_each(field: str, values: Collection[object], kind: type, wanted: str) -> None:
    if not isinstance(values, Collection):
        raise InvalidInput(f"{field}: {values!r} must be a list of {wanted}")
    if wrong := set(map(type, values)) - {kind}:
        raise InvalidInput(f"{field}: {wrong.pop().__name__} in {values!r:.200}; give a list of {wanted}")


def _check_task(task: TaskInfo) -> None:
    if type(task.task_id) is not str or type(task.resources) is not Resources:
        raise InvalidInput(f"Launch.tasks: {task!r:.200} needs a TaskId and Resources")
    if type(task.spec) is not bytes:
        wanted = "bytes, such as ContainerSpec(…).to_bytes()"
        raise InvalidInput(f"Launch.tasks: spec of {task.task_id!r}: {task.spec!r:.80} must be {wanted}")


@dataclass(frozen=True, slots=True)
class Launch:
    """Use these offers (of one host) to run these tasks; what the tasks do not use goes back at once.

    With `refuse_for` above 0 the rest of the host is not offered to this framework again for that long.
    A task outside the offers gets a status ``DROPPED`` with the reason, never silence.
    """

    offers: Sequence[OfferId]
    tasks: Sequence[TaskInfo]
    refuse_for: Time = 0

    def __post_init__(self) -> None:
        _check_each("Launch.offers", self.offers, int, "offers' ids")
        _check_each("Launch.tasks", self.tasks, TaskInfo, "TaskInfo")
        for task in self.tasks:
            if type(task.spec) is not bytes or type(task.task_id) is not str or type(task.resources) is not Resources:
                _check_task(task)
        _check_time("Launch.refuse_for", self.refuse_for)


@dataclass(frozen=True, slots=True)
class Decline:
    """Give these offers back; do not offer those hosts again for `refuse_for`, unless more becomes free there."""

    offers: Sequence[OfferId]
    refuse_for: Time = DEFAULT_REFUSE_FOR

    def __post_init__(self) -> None:
        _check_each("Decline.offers", self.offers, int, "offers' ids")
        _check_time("Decline.refuse_for", self.refuse_for)


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop a task: its stop signal, then after `grace` (None: what its spec says) the kill signal."""

    task_id: TaskId
    grace: Time | None = None

    def __post_init__(self) -> None:
        if type(self.task_id) is not str:
            raise InvalidInput(f"Kill.task_id: {self.task_id!r:.200} must be a TaskId")
        if self.grace is not None:
            _check_time("Kill.grace", self.grace)


@dataclass(frozen=True, slots=True)
class Suppress:
    """Send no more offers until `Revive`."""


@dataclass(frozen=True, slots=True)
class Revive:
    """Send offers again, and forget every refusal."""


@dataclass(frozen=True, slots=True)
class Want:
    """One kind of task that waits: what one takes, how many wait, and which hosts may run it."""

    resources: Resources
    count: int = 1
    constraints: tuple[Constraint, ...] = ()
    per_host: int = 0
    """How many of them at most are of use on one host; 0 is any number."""

    def __post_init__(self) -> None:
        if type(self.resources) is not Resources:
            raise InvalidInput(f"Want.resources: {self.resources!r} must be Resources, such as Resources.of(cpus=1)")
        _check_count("Want.count", self.count, 63)
        if self.constraints:
            _check_each("Want.constraints", self.constraints, Constraint, "Constraint")
        _check_count("Want.per_host", self.per_host)


@dataclass(frozen=True, slots=True)
class Demand:
    """State what waits for resources; replaces the demand stated before.

    With a demand, the framework is offered only hosts that can help one of its wants, until the offers out
    cover all of them, on at least `choice` hosts where there are that many (more hosts: a better choice, but more
    resources held while choosing). An empty demand: no offers. `None` for `wants`: offer everything, as before.
    """

    wants: tuple[Want, ...] | None
    choice: int = 1

    def __post_init__(self) -> None:
        if self.wants:
            _check_each("Demand.wants", self.wants, Want, "Want, such as (Want(…),)")
        _check_count("Demand.choice", self.choice)


@dataclass(frozen=True, slots=True)
class Wake:
    """Call `Framework.on_tick` at this time (the earliest one asked for counts).

    While there is no connection it waits, and comes right after `Framework.on_registered`.
    """

    at: Time

    def __post_init__(self) -> None:
        _check_time("Wake.at", self.at)


Decision = Launch | Decline | Kill | Suppress | Revive | Demand | Wake
Decisions = Iterable[Decision] | None


class Framework:
    """Base class of plug-ins. Override what you need; every method may return None or any number of decisions."""

    name: str = ""
    """Unique in the cluster; the identity under which the framework comes back after a restart."""
    role: str = DEFAULT_ROLE
    """What it shares resources under with others; see `offerer roles`."""
    failover_timeout: ClassVar[Time] = 7 * 24 * 3600 * SECOND
    """How long its tasks live on while it is away."""

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        """(Re)connected: `tasks` are all tasks the cluster has of this framework, each with its latest status.

        Comes before any offer. Offers from before are void. Unless overridden, they are taken as news.
        """
        return self.on_statuses(now, tasks)

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        """Offers to launch on or decline. What is neither stays held until it times out (60 s)."""

    def on_rescinded(self, now: Time, offers: Sequence[OfferId]) -> Decisions:
        """These offers are void: timed out, or their host is gone."""

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        """What became of tasks: each status once, in order per task.

        One with `draining` set is of a task whose host an operator wants empty: start another elsewhere and stop it.
        When that changes, the latest status comes again. Nothing is stopped for a framework that does not care.
        """

    def on_tick(self, now: Time) -> Decisions:
        """The time asked for with `Wake` has come (never earlier), or the plug-in's coroutine called `Context.wake`."""

    # The one method that may do I/O. It runs beside the pure ones, in the same event loop, so it needs no lock.

    async def serve(self, context: Context) -> None:
        """For plug-ins with an API or a database: runs from before the first connection until the end."""


class Context(Protocol):
    """What `Framework.serve` is given."""

    @property
    def store(self) -> Store:
        """The cluster's store; keys are under this framework's own prefix, wherever the plug-in runs."""

    def now(self) -> Time:
        """The present time, the same clock as the ``now`` of the pure methods."""

    def wake(self) -> None:
        """Have `Framework.on_tick` called soon."""

    def ready(self, believed: Mapping[TaskId, HostId] | None = None) -> None:
        """State is loaded: connect to the master. Plug-ins that do not override `serve` connect at once.

        `believed` are tasks alive as far as the plug-in's own records say, each with its host: every one of them
        that the cluster does not have gets a status that says so (``GONE``, ``DROPPED`` or ``UNREACHABLE``).
        """

    def on_call(self, handler: Callable[[str, dict[str, object]], Awaitable[dict[str, object]]]) -> None:
        """Answer ``offerer`` commands: `handler(method, arguments)` returns the answer or raises `OffererError`."""
