"""A framework of a simulation: a plug-in as it runs in production, and the client around it in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offerer.client.decisions import decided
from offerer.client.views import Views
from offerer.core import events as e
from offerer.core import outputs as o
from offerer.errors import InvalidInput
from offerer.framework import Decision, Decline, Demand, Framework, Kill, Launch, Revive, Suppress, Wake
from offerer.ids import FrameworkId, HostId, OfferId, Role, TaskId
from offerer.sim.master import SimMaster
from offerer.sim.network import RETRY, Network, Stream
from offerer.sim.world import Timer, World
from offerer.task_states import TaskState
from offerer.types import Reason, TaskStatus, Time


class SimFramework:
    """A plug-in, its views of tasks and the offers it holds. What it raises ends the simulation."""

    def __init__(
        self, world: World, network: Network, master: SimMaster, plugin: Framework, *, heir: bool = False
    ) -> None:
        if type(plugin).serve is not Framework.serve:
            raise InvalidInput(
                f"framework {plugin.name}: it has a coroutine of its own (serve), which needs a real event loop; "
                "run it on the live_cluster fixture"
            )
        self.id = FrameworkId(plugin.name)
        self.plugin = plugin
        self.states: dict[TaskId, TaskState] = {}
        """The latest state that the plug-in was told of each task that has not ended; STAGING until then."""
        self.ended = 0
        self.ended_again: list[TaskId] = []
        """Tasks of whose end the plug-in was told although they had ended, or were never launched. An answer to a
        question is no such news, and the heir of another process may be told what that one was told."""
        self.launched = 0
        self.received = 0  # offers
        self.declined = 0
        self._heir = heir
        self._stopped = False
        self._views = Views()
        self._offers: dict[OfferId, HostId] = {}
        self._world = world
        self._network = network
        self._master = master
        self._stream: Stream | None = None
        self._registered = False
        self._wake_at: Time | None = None
        self._timer: Timer | None = None

    # -- the connection ----------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect and register, again and again until it works."""
        if self._stream is not None or self._stopped:
            return
        stream = Stream(
            self._network,
            self.plugin.name,
            lambda event: self._master.on_framework(stream, event),
            lambda output: self._receive(output) if self._stream is stream else None,
            lambda: self._on_broken(stream),
        )
        if not self._network.connect(stream):
            self._world.call_at(self._world.now + RETRY, self.connect)
            return
        self._stream = stream
        believed = dict(self._views.believed())
        stream.up(e.FrameworkRegistered(self.id, (Role(self.plugin.role),), self.plugin.failover_timeout, believed))

    def stop(self) -> None:
        """Its process ends without a word; the master notices when another one registers under its name."""
        self._stopped = True
        self._stream = None
        if self._timer is not None:
            self._timer.cancel()

    def _on_broken(self, stream: Stream) -> None:
        self._master.framework_left(self.id, stream)
        if self._stream is stream:
            self._stream = None
            self._registered = False
            self._world.call_at(self._world.now + self._world.dice.randrange(RETRY), self.connect)

    def _receive(self, output: o.Output) -> None:
        plugin, now = self.plugin, self._world.now
        if type(output) is o.SendOffers:
            self.received += len(output.offers)
            for offer in output.offers:
                self._offers[offer.id] = offer.host_id
            self._do(decided("on_offers", plugin.on_offers(now, output.offers)))
        elif type(output) is o.ForwardStatuses:
            strays = self._views.strays(output.statuses)
            news = [status for status in output.statuses if self._views.news(status)]
            if news:
                self._note(news)
                self._do(decided("on_statuses", plugin.on_statuses(now, news)))
            self._do(map(Kill, strays))
            self._acknowledge(output.statuses)
        elif type(output) is o.RescindOffers:
            for offer_id in output.offer_ids:
                self._offers.pop(offer_id, None)
            self._do(decided("on_rescinded", plugin.on_rescinded(now, output.offer_ids)))
        elif type(output) is o.ConfirmFramework:
            self._registered = True
            self._offers.clear()
            strays, known = self._views.strays(output.tasks), self._views.snapshot(output.tasks)
            self._note(known)
            self._do(decided("on_registered", plugin.on_registered(now, known)))
            self._do(map(Kill, strays))
            self._acknowledge(output.tasks)
            if self._wake_at is not None and self._timer is None:
                self._tick()

    def _note(self, statuses: Sequence[TaskStatus]) -> None:
        for status in statuses:
            if not status.state.terminal:
                self.states[status.task_id] = status.state
            elif self.states.pop(status.task_id, None) is not None:
                self.ended += 1
            elif status.reason is not Reason.RECONCILIATION and not self._heir:
                self.ended_again.append(status.task_id)
        told = " ".join([f"{status.task_id}:{status.state.value}" for status in statuses])
        self._world.record(f"{self.id} {told}")

    def _acknowledge(self, statuses: Sequence[TaskStatus]) -> None:
        uuids = [status.uuid for status in statuses if status.uuid]
        if uuids:
            self._send(e.StatusesAcknowledged(self.id, uuids))

    def _send(self, event: e.Event) -> None:
        if self._stream is not None:
            self._stream.up(event)

    # -- what the plug-in says ---------------------------------------------------------------------------------------

    def _do(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Wake):
                self._wake(decision.at)
            elif self._registered:  # else the registration to come says it all
                self._send(self._event(decision))

    def _event(self, decision: Decision) -> e.Event:
        if isinstance(decision, Launch):
            return self._launch(decision)
        if isinstance(decision, Decline):
            self.declined += len(decision.offers)
            for offer_id in decision.offers:
                self._offers.pop(offer_id, None)
            return e.OffersDeclined(self.id, decision.offers, decision.refuse_for)
        if isinstance(decision, Kill):
            return e.KillRequested(self.id, decision.task_id, decision.grace)
        if isinstance(decision, Demand):
            return e.DemandStated(self.id, decision)
        if isinstance(decision, Suppress):
            return e.OffersSuppressed(self.id)
        assert isinstance(decision, Revive)
        return e.OffersRevived(self.id)

    def _launch(self, launch: Launch) -> e.OffersAccepted:
        host_id = next((self._offers[each] for each in launch.offers if each in self._offers), HostId(""))
        task_ids = [task.task_id for task in launch.tasks]
        self._views.launched(task_ids, host_id)
        for offer_id in launch.offers:
            self._offers.pop(offer_id, None)
        self.launched += len(task_ids)
        for task_id in task_ids:
            self.states.setdefault(task_id, TaskState.STAGING)
        return e.OffersAccepted(self.id, launch.offers, launch.tasks, launch.refuse_for)

    def _wake(self, at: Time) -> None:
        if self._wake_at is not None and self._wake_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = at
        self._timer = self._world.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._registered:  # else after the registration to come
            self._wake_at = None
            self._do(decided("on_tick", self.plugin.on_tick(self._world.now)))
