"""The loop around the core: feeds it events, carries out its outputs, wakes it when a deadline comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from offerer import clock
from offerer.core import Cluster
from offerer.core import outputs as o
from offerer.core.events import Event, TimePassed
from offerer.ids import FrameworkId, HostId
from offerer.master.journal import Journal
from offerer.master.peers import ExecutorPeer, FrameworkPeer
from offerer.types import Time

_LONGEST_WAIT: Time = 3600 * 1_000_000


class Loop:
    """One cluster in one event loop. All methods are called from that loop only."""

    def __init__(self, cluster: Cluster, journal: Journal, persist: Callable[[o.Output], None]) -> None:
        self.cluster = cluster
        self.journal = journal
        self.executors: dict[HostId, ExecutorPeer] = {}
        self.frameworks: dict[FrameworkId, FrameworkPeer] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._timer_at: Time | None = None
        self._carry_out: dict[type, Callable[[Any], None]] = {
            o.ConfirmHost: self._confirm_host,
            o.LaunchTasks: self._launch,
            o.KillTask: self._kill,
            o.AcknowledgeStatuses: self._acknowledge,
            o.ConfirmFramework: self._confirm_framework,
            o.ForwardStatuses: self._forward,
            o.SendOffers: self._send_offers,
            o.RescindOffers: self._rescind,
            o.PersistHost: persist,
            o.ForgetHost: persist,
            o.PersistRole: persist,
            o.Announce: lambda _: None,
        }

    def feed(self, event: Event) -> None:
        """Something happened. Raises `PeerError` where it cannot have; then nothing has changed."""
        now = clock.now()
        outputs = self.cluster.handle(now, event)
        self.journal.record(now, event)
        self._do(now, outputs)
        self._schedule()

    def stop(self) -> None:
        """No more waking up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _do(self, now: Time, outputs: Iterable[o.Output]) -> None:
        for output in outputs:
            self.journal.record(now, output)
            self._carry_out[type(output)](output)

    def _schedule(self) -> None:
        """Sharing out waits for the end of this turn of the loop, so that a burst of events is shared out once."""
        deadline = self.cluster.next_deadline()
        if deadline is None or (self._timer_at is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        wait = deadline - clock.now()
        self._timer_at = deadline
        if wait <= 0:
            self._timer = loop.call_soon(self._on_deadline)
        else:
            self._timer = loop.call_later(min(wait, _LONGEST_WAIT) / 1e6, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = self._timer_at = None
        now = clock.now()
        self._do(now, self.cluster.handle(now, TimePassed()))
        self._schedule()

    # -- outputs; those for a peer that just left are void: it hears everything when it registers again ---------

    def _confirm_host(self, output: o.ConfirmHost) -> None:
        self.executors[output.host_id].confirm()

    def _launch(self, output: o.LaunchTasks) -> None:
        if peer := self.executors.get(output.host_id):
            peer.launch(output.framework_id, output.tasks)

    def _kill(self, output: o.KillTask) -> None:
        if peer := self.executors.get(output.host_id):
            peer.kill(output.framework_id, output.task_id, output.grace)

    def _acknowledge(self, output: o.AcknowledgeStatuses) -> None:
        if peer := self.executors.get(output.host_id):
            peer.acknowledge(output.uuids)

    def _confirm_framework(self, output: o.ConfirmFramework) -> None:
        self.frameworks[output.framework_id].confirm(output.tasks)

    def _forward(self, output: o.ForwardStatuses) -> None:
        if peer := self.frameworks.get(output.framework_id):
            peer.forward(output.statuses)

    def _send_offers(self, output: o.SendOffers) -> None:
        if peer := self.frameworks.get(output.framework_id):
            peer.offer(output.offers)

    def _rescind(self, output: o.RescindOffers) -> None:
        if peer := self.frameworks.get(output.framework_id):
            peer.rescind(output.offer_ids)
