"""The one door to the core: `Cluster.handle(now, event)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offerer.core import frameworks, hosts, offers, tasks
from offerer.core import events as e
from offerer.core.invariants import check
from offerer.core.outputs import Output
from offerer.core.state import Settings, State
from offerer.types import Time

__all__ = ["Cluster", "Settings"]


class Cluster:
    """Hosts, frameworks, offers and tasks of one cluster.

    Feed it every event with the time it happened; carry out what it returns, in order; call it with `TimePassed`
    when `next_deadline` has come. Offers are made only then, so that a batch of events is shared out once.
    An event that breaks the rules raises `PeerError` and changes nothing.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.state = State(settings or Settings())

    def handle(self, now: Time, event: e.Event) -> list[Output]:
        """What is to be done about this event. `now` never goes backwards (an earlier one counts as the last)."""
        state = self.state
        state.now = max(now, state.now)
        state.outputs = []
        _HANDLERS[type(event)](state, event)
        return state.outputs

    def next_deadline(self) -> Time | None:
        """When to call with `TimePassed`; a time already past means as soon as the batch of events is through."""
        state = self.state
        if not state.recovering and not state.allocator.idle:
            return state.now
        return state.timers.next()

    def check_invariants(self) -> None:
        """Raise AssertionError where the books do not balance (DESIGN.md section 4)."""
        check(self.state)


def _on_time_passed(state: State, _: e.TimePassed) -> None:
    state.timers.fire(state.now)
    if not state.recovering:
        offers.allocate(state)


_HANDLERS: dict[type, Callable[[State, Any], None]] = {
    e.ClusterStarted: hosts.on_cluster_started,
    e.HostRegistered: hosts.on_host_registered,
    e.HostDisconnected: hosts.on_host_disconnected,
    e.HostRemoved: hosts.on_host_removed,
    e.HostAvailabilitySet: hosts.on_host_availability_set,
    e.TaskStatusesReported: tasks.on_task_statuses_reported,
    e.StatusesAcknowledged: tasks.on_statuses_acknowledged,
    e.KillRequested: tasks.on_kill_requested,
    e.KillOrdered: tasks.on_kill_ordered,
    e.FrameworkRegistered: frameworks.on_framework_registered,
    e.FrameworkDisconnected: frameworks.on_framework_disconnected,
    e.OffersAccepted: offers.on_offers_accepted,
    e.OffersDeclined: offers.on_offers_declined,
    e.DemandStated: frameworks.on_demand_stated,
    e.OffersSuppressed: frameworks.on_offers_suppressed,
    e.OffersRevived: frameworks.on_offers_revived,
    e.RoleConfigured: frameworks.on_role_configured,
    e.TimePassed: _on_time_passed,
}
