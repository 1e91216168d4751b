"""What a plug-in is: a class of at most five pure methods that return decisions.

The plumbing (connection, acknowledgement, duplicates, reconciliation) is the client's business; the same class runs
hosted by the master, in its own process (``offerer-framework``), in the simulator and in a unit test. The methods
do no I/O and read no clock: ``now`` (microseconds) is an argument. Everything returned is carried out in order.
A method may return None for "nothing to do".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from offerer.constraints import Constraint
from offerer.ids import DEFAULT_ROLE, HostId, OfferId, Role, TaskId
from offerer.resources import Resources
from offerer.types import SECOND, Offer, TaskInfo, TaskStatus, Time

if TYPE_CHECKING:
    from offerer.store.protocol import Store

DEFAULT_REFUSE_FOR: Time = 5 * SECOND
FOREVER: Time = 365 * 24 * 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Launch:
    """Use these offers (of one host) to run these tasks; what the tasks do not use goes back at once.

    With `refuse_for` above 0 the rest of the host is not offered to this framework again for that long.
    A task outside the offers gets a status ``DROPPED`` with the reason, never silence.
    """

    offers: Sequence[OfferId]
    tasks: Sequence[TaskInfo]
    refuse_for: Time = 0


@dataclass(frozen=True, slots=True)
class Decline:
    """Give these offers back; do not offer those hosts again for `refuse_for`, unless more becomes free there."""

    offers: Sequence[OfferId]
    refuse_for: Time = DEFAULT_REFUSE_FOR


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop a task: its stop signal, then after `grace` (None: what its spec says) the kill signal."""

    task_id: TaskId
    grace: Time | None = None


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


@dataclass(frozen=True, slots=True)
class Demand:
    """State what waits for resources; replaces the demand stated before.

    With a demand, the framework is offered only hosts that can help one of its wants, until the offers out
    cover all of them, on at least `choice` hosts where there are that many (more hosts: a better choice, but more
    resources held while choosing). An empty demand: no offers. `None` for `wants`: offer everything, as before.
    """

    wants: tuple[Want, ...] | None
    choice: int = 1


@dataclass(frozen=True, slots=True)
class Wake:
    """Call `Framework.on_tick` at this time (the earliest one asked for counts).

    While there is no connection it waits, and comes right after `Framework.on_registered`.
    """

    at: Time


Decision = Launch | Decline | Kill | Suppress | Revive | Demand | Wake
Decisions = Iterable[Decision] | None


class Framework:
    """Base class of plug-ins. Override what you need; every method may return None or any number of decisions."""

    name: str = ""
    """Unique in the cluster; the identity under which the framework comes back after a restart."""
    role: Role = DEFAULT_ROLE
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
