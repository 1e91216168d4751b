"""One simulated cluster: hosts, frameworks, a master and a network, and what can be done to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from offerer.client.decisions import check_framework
from offerer.core import Settings
from offerer.core import events as e
from offerer.errors import InvalidInput, NotFound
from offerer.framework import Framework
from offerer.ids import FrameworkId, Role, check_name
from offerer.resources import Resources
from offerer.sim import checks
from offerer.sim.frameworks import SimFramework
from offerer.sim.hosts import SimHost
from offerer.sim.master import SimMaster
from offerer.sim.network import Network, Weather
from offerer.sim.world import Stuck, World
from offerer.types import SECOND, Availability, Time


class Simulation:
    """Build it, then `advance` it. The same calls with the same seed give the same `log_hash`.

    Every `check_every` steps (0: never) all invariants are checked. `replay` is the command that a failure prints.
    """

    def __init__(
        self,
        seed: int = 1,
        weather: Weather | None = None,
        settings: Settings | None = None,
        *,
        check_every: int = 1,
        replay: str = "",
    ) -> None:
        self.world = World(seed)
        self.network = Network(self.world, weather or Weather())
        self.master = SimMaster(self.world, settings or Settings())
        self.hosts: dict[str, SimHost] = {}
        self.frameworks: dict[FrameworkId, SimFramework] = {}
        self.replay = replay
        self._check_every = check_every
        self._unchecked = 0
        if check_every:
            self.world.after_step = self._step_done

    # -- what there is -----------------------------------------------------------------------------------------------

    def add_host(self, name: str, total: Resources, attributes: Mapping[str, str] | None = None) -> SimHost:
        """A host, switched on now."""
        if name in self.hosts or name in self.frameworks:
            raise InvalidInput(f"host {name!r}: the name is taken; give each host and framework its own")
        host = SimHost(self.world, self.network, self.master, name, total, attributes or {})
        self.hosts[name] = host
        host.start()
        return host

    def run(self, plugin: Framework) -> SimFramework:
        """A framework, connecting now. One of the same name that runs ends, and this one takes its tasks over."""
        check_framework(plugin)
        before = self.frameworks.get(FrameworkId(plugin.name))
        framework = SimFramework(self.world, self.network, self.master, plugin, heir=before is not None)
        if framework.id in self.hosts:
            raise InvalidInput(f"framework {framework.id!r}: a host has that name; give each its own")
        if before is not None:
            self.world.record(f"{framework.id} is replaced")
            before.stop()
        self.frameworks[framework.id] = framework
        framework.connect()
        return framework

    def configure_role(
        self,
        role: str,
        weight: int | None = None,
        guarantee: Mapping[str, int] | None = None,
        limit: Mapping[str, int] | None = None,
    ) -> None:
        """Set a role's weight (thousandths), guarantee and limit."""
        self.master.feed(e.RoleConfigured(Role(check_name("role", role)), weight, guarantee, limit))

    # -- what happens ------------------------------------------------------------------------------------------------

    def advance(self, time: Time) -> None:
        """Let so many microseconds pass. Raises `SimulationFailed` where an invariant breaks."""
        try:
            self.world.run_until(self.world.now + time)
        except Stuck as error:
            raise checks.failure(str(error), self.world, self.replay) from None

    def crash(self, name: str) -> None:
        """A host fails, with all that runs on it."""
        self.world.record(f"{name} crashes")
        self.host(name).crash()

    def start(self, name: str) -> None:
        """A host that failed is back, empty."""
        host = self.host(name)
        if host.up:
            raise InvalidInput(f"host {name!r} is up; crash it first")
        self.world.record(f"{name} is back")
        host.start()

    def remove(self, name: str) -> None:
        """A host that failed is gone for good, as an operator says."""
        self.master.feed(e.HostRemoved(self.host(name).id))
        self.world.record(f"{name} is removed")
        del self.hosts[name]

    def partition(self, name: str) -> None:
        """Cut a host or a framework off from the master; what runs on a host runs on."""
        self._peer(name)
        self.world.record(f"{name} is cut off")
        self.network.partition(name)

    def heal(self, name: str) -> None:
        """End the partition."""
        self._peer(name)
        self.world.record(f"{name} is reachable")
        self.network.heal(name)

    def drain(self, name: str) -> None:
        """An operator wants a host empty: it is offered to nobody, and frameworks are told of their tasks there."""
        self._set_availability(name, Availability.DRAINING)

    def cordon(self, name: str) -> None:
        """An operator has a host offered to nobody; what runs there goes on."""
        self._set_availability(name, Availability.CORDONED)

    def undrain(self, name: str) -> None:
        """The host may be used again, whether it was drained or cordoned."""
        self._set_availability(name, Availability.ACTIVE)

    def _set_availability(self, name: str, availability: Availability) -> None:
        host = self.host(name)
        self.world.record(f"{name} is {availability.value}")
        self.master.set_availability(host.id, availability)

    def host(self, name: str) -> SimHost:
        """The host of this name. Raises `NotFound`."""
        host = self.hosts.get(name)
        if host is None:
            raise NotFound(f"there is no host {name!r}; there are {', '.join(sorted(self.hosts)) or 'none'}")
        return host

    def _peer(self, name: str) -> None:
        if name not in self.frameworks:
            self.host(name)

    # -- checks ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise `SimulationFailed` where something is wrong that may never be."""
        try:
            checks.check_safety(self.master, self.hosts, self.frameworks)
        except AssertionError as error:
            raise checks.failure(str(error), self.world, self.replay) from None

    def check_settled(self, looks: int = 1) -> None:
        """Raise `SimulationFailed` where something is not as it must be once nothing went wrong for a while.

        With several looks, only what is wrong at all of them, a round trip after one another: while tasks come and go,
        some news is always on its way.
        """
        self.check()
        wrong = list(self._unsettled())
        for _ in range(looks - 1):
            if wrong:
                weather = self.network.weather
                self.advance(2 * (weather.latency + weather.jitter) + SECOND // 7)
                still = set(self._unsettled())
                wrong = [each for each in wrong if each in still]
        if wrong:
            raise checks.failure(wrong[0], self.world, self.replay)

    def _unsettled(self) -> Iterator[str]:
        return checks.unsettled(self.master, self.network, self.hosts, self.frameworks)

    def _step_done(self) -> None:
        self._unchecked += 1
        if self._unchecked >= self._check_every:
            self._unchecked = 0
            self.check()
