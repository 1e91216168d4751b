"""The master of a simulation: the core, its streams, and the timer that shares out what became free."""

from __future__ import annotations

from collections.abc import Callable

from offerer.core import Cluster, Settings
from offerer.core import events as e
from offerer.core import outputs as o
from offerer.errors import PeerError
from offerer.ids import FrameworkId, HostId
from offerer.sim.network import Stream
from offerer.sim.world import Timer, World
from offerer.types import Availability, Time


class SimMaster:
    """One leading master after another: `restart` replaces it, and only what it persisted remains."""

    def __init__(self, world: World, settings: Settings) -> None:
        self.cluster = Cluster(settings)
        self.term = 1
        self.hosts: dict[HostId, Stream] = {}
        self.frameworks: dict[FrameworkId, Stream] = {}
        self.observe: Callable[[Time, e.Event | o.Output], None] | None = None
        """Called with every event and output, for a journal."""
        self.offers_made = 0
        self.rejected: list[str] = []
        """What peers sent that broke the rules; each was cut off for it."""
        self.announced: list[tuple[Time, str, dict[str, str]]] = []
        self._world = world
        self._settings = settings
        self._known: dict[HostId, e.KnownHost] = {}
        self._roles: dict[str, o.PersistRole] = {}
        self._asked: dict[HostId, Availability] = {}  # of hosts that are still to register
        self._timer: Timer | None = None
        self._timer_at: Time | None = None
        self.feed(e.ClusterStarted(self.term))

    def restart(self) -> None:
        """It dies, and another one takes the lead at once: every stream breaks, and all come back."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_at = None
        streams = [*self.hosts.values(), *self.frameworks.values()]
        self.hosts.clear()
        self.frameworks.clear()
        self.term += 1
        self._world.record(f"master restarts with term {self.term}")
        self.cluster = Cluster(self._settings)
        self.feed(e.ClusterStarted(self.term, list(self._known.values())))
        for role in list(self._roles.values()):
            self.feed(e.RoleConfigured(role.role, role.weight, role.guarantee, role.limit))
        for stream in streams:
            stream.close()

    def on_host(self, stream: Stream, event: e.Event) -> None:
        """A message of an executor."""
        if type(event) is e.HostRegistered:
            self._leave_host(event.host_id, self.hosts.get(event.host_id))
            self.hosts[event.host_id] = stream
        self._feed_peer(stream, event)
        if self._asked and type(event) is e.HostRegistered and event.host_id in self._asked:
            self.feed(e.HostAvailabilitySet(event.host_id, self._asked.pop(event.host_id)))

    def on_framework(self, stream: Stream, event: e.Event) -> None:
        """A message of a framework."""
        if type(event) is e.FrameworkRegistered:
            old = self.frameworks.get(event.framework_id)
            self._leave_framework(event.framework_id, old)
            self.frameworks[event.framework_id] = stream
            if old is not None:
                old.close()
        self._feed_peer(stream, event)

    def set_availability(self, host_id: HostId, availability: Availability) -> None:
        """What an operator says of a host, now, or as soon as it is known."""
        if host_id in self.cluster.state.hosts:
            self.feed(e.HostAvailabilitySet(host_id, availability))
        else:
            self._asked[host_id] = availability

    def host_left(self, host_id: HostId, stream: Stream) -> None:
        """A stream of an executor broke."""
        if self.hosts.get(host_id) is stream:
            self._leave_host(host_id, stream)

    def framework_left(self, framework_id: FrameworkId, stream: Stream) -> None:
        """A stream of a framework broke."""
        if self.frameworks.get(framework_id) is stream:
            self._leave_framework(framework_id, stream)

    def _leave_host(self, host_id: HostId, stream: Stream | None) -> None:
        if stream is not None:
            del self.hosts[host_id]
            self.feed(e.HostDisconnected(host_id))

    def _leave_framework(self, framework_id: FrameworkId, stream: Stream | None) -> None:
        if stream is not None:
            del self.frameworks[framework_id]
            self.feed(e.FrameworkDisconnected(framework_id))

    def _feed_peer(self, stream: Stream, event: e.Event) -> None:
        try:
            self.feed(event)
        except PeerError as error:
            self.rejected.append(f"{stream.peer}: {error}")
            self._world.record(f"{stream.peer} is cut off: {error}")
            stream.close()

    def feed(self, event: e.Event) -> None:
        """Something happened."""
        outputs = self.cluster.handle(self._world.now, event)
        if self.observe is not None:
            for happened in (event, *outputs):
                self.observe(self._world.now, happened)
        for output in outputs:
            self._carry_out(output)
        deadline = self.cluster.next_deadline()
        if deadline is None or (self._timer_at is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._world.call_at(deadline, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = self._timer_at = None
        self.feed(e.TimePassed())

    def _carry_out(self, output: o.Output) -> None:
        if isinstance(output, (o.SendOffers, o.ForwardStatuses, o.RescindOffers, o.ConfirmFramework)):
            stream = self.frameworks.get(output.framework_id)
            if type(output) is o.SendOffers:
                self.offers_made += len(output.offers)
        elif isinstance(output, (o.LaunchTasks, o.KillTask, o.AcknowledgeStatuses, o.ConfirmHost)):
            stream = self.hosts.get(output.host_id)
        else:
            self._remember(output)
            return
        if stream is not None:
            stream.down(output)

    def _remember(self, output: o.PersistHost | o.ForgetHost | o.PersistRole | o.Announce) -> None:
        if isinstance(output, o.PersistHost):
            self._known[output.host_id] = e.KnownHost(output.host_id, output.name, output.availability)
        elif isinstance(output, o.ForgetHost):
            self._known.pop(output.host_id, None)
        elif isinstance(output, o.PersistRole):
            self._roles[output.role] = output
        else:
            self.announced.append((self._world.now, output.kind, output.fields))
            self._world.record(f"{output.kind} {output.fields}")
