"""One run of a scenario: its cluster is built, its faults happen, and in the end everything must be well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from offerer.client.loading import explain, load_framework
from offerer.errors import InvalidInput, OffererError
from offerer.framework import Framework
from offerer.ids import DEFAULT_ROLE, Role
from offerer.sim.network import Weather
from offerer.sim.report import Report, Sample, summarize
from offerer.sim.scenario import Fault, Plugin, Scenario
from offerer.sim.simulation import Simulation
from offerer.sim.trace import read_trace
from offerer.sim.workload import Arrival, Batch
from offerer.sim.world import START
from offerer.types import Time

_LOOKS: Final = 10  # a launch or an end may be on its way just when we look whether all is settled


class Run:
    """A scenario, ready to run. `file` is where it was read from: traces and plug-ins may lie beside it.

    Its hosts and frameworks are switched on. Raises `InvalidInput` where a trace, a plug-in or a quota is wrong.
    """

    def __init__(self, scenario: Scenario, file: Path, replay: str = "") -> None:
        self.scenario = scenario
        net = scenario.network
        weather = Weather(net.latency, net.jitter, net.loss, net.duplication, net.reordering)
        self.simulation = Simulation(scenario.seed, weather, check_every=scenario.check_every, replay=replay)
        self.samples: list[Sample] = []
        self.plugins: list[Framework] = []
        where = ""
        try:
            for n, framework in enumerate(scenario.frameworks):
                where = f"frameworks.{n}"
                self.plugins.append(_plugin(framework, scenario, file.parent))
            roles = sorted({plugin.role for plugin in self.plugins})
            for n, role in enumerate(scenario.roles):
                where = f"roles.{n}"
                if role.role not in roles:
                    raise InvalidInput(f"no framework has the role {role.role!r}; they have {', '.join(roles)}")
                guarantee, limit = (None if each is None else each.given() for each in (role.guarantee, role.limit))
                self.simulation.configure_role(role.role, round(role.weight * 1000), guarantee, limit)
            where = "hosts"
            for group in sorted(scenario.hosts, key=lambda group: group.name):
                for n in range(1, group.count + 1):
                    self.simulation.add_host(f"{group.name}-{n}", group.total(), group.attributes)
            where = "frameworks"
            for plugin in sorted(self.plugins, key=lambda plugin: plugin.name):
                self.simulation.run(plugin)
        except OffererError as error:
            raise InvalidInput(f"{file}: {where}: {error}") from None

    def run(self) -> Report:
        """All of it. Raises `offerer.sim.SimulationFailed`, and whatever a plug-in raises."""
        self._advance_with_faults()
        self._calm_down()
        return summarize(self.simulation, self.plugins, self.samples)

    def _advance_with_faults(self) -> None:
        world = self.simulation.world
        agenda: list[tuple[Time, int, Fault]] = []
        for number, fault in enumerate(self.scenario.faults):
            agenda.extend((at, number, fault) for at in fault.moments(self.scenario.lasts))
        for at, _, fault in sorted(agenda, key=lambda each: each[:2]):
            world.call_at(START + at, lambda fault=fault: self._break(fault))  # type: ignore[misc]
        end = START + self.scenario.lasts
        while world.now < end:
            self.samples.append(Sample.of(self.simulation, self.plugins))
            self.simulation.advance(min(self.scenario.sample_every, end - world.now))

    def _break(self, fault: Fault) -> None:
        simulation = self.simulation
        until = simulation.world.now + fault.lasts
        if fault.restart_master:
            simulation.master.restart()
        if fault.crash and (name := self._pick(fault.crash)):
            simulation.crash(name)
            simulation.world.call_at(until, lambda: None if simulation.host(name).up else simulation.start(name))
        if fault.partition and (cut := self._pick(fault.partition)):
            simulation.partition(cut)
            simulation.world.call_at(until, lambda: simulation.heal(cut))
        for wanted, take_out in ((fault.drain, simulation.drain), (fault.cordon, simulation.cordon)):
            if wanted and (host := self._pick(wanted)):
                take_out(host)
                simulation.world.call_at(until, lambda host=host: simulation.undrain(host))  # type: ignore[misc]

    def _pick(self, wanted: str) -> str:
        """The host meant, or nothing where it is down already."""
        simulation = self.simulation
        if wanted != "any":
            return wanted if wanted in simulation.frameworks or simulation.host(wanted).up else ""
        well = [host.name for host in simulation.hosts.values() if host.up]
        return simulation.world.dice.choice(well) if well else ""

    def _calm_down(self) -> None:
        """End every fault, give all time to recover, and look whether they did."""
        simulation = self.simulation
        simulation.network.weather = replace(simulation.network.weather, loss=0.0, duplication=0.0, reordering=0.0)
        for host in simulation.hosts.values():
            if not host.up:
                simulation.start(host.name)
            simulation.undrain(host.name)
        for name in sorted(simulation.network.cut_off):
            simulation.heal(name)
        simulation.advance(self.scenario.calm)
        simulation.check_settled(_LOOKS)


def _plugin(framework: Plugin, scenario: Scenario, directory: Path) -> Framework:
    if framework.plugin:
        try:
            made = load_framework(framework.plugin, framework.options, directory)
        except OffererError:
            raise
        except Exception as error:
            raise InvalidInput(f"{framework.plugin}: cannot be made: {explain(error)}") from None
        made.name = framework.name
        made.role = Role(framework.role or made.role)
        return made
    return Batch(framework.name, framework.role or DEFAULT_ROLE, _arrivals(framework, scenario, directory))


def _arrivals(framework: Plugin, scenario: Scenario, directory: Path) -> Iterable[Arrival]:
    if not framework.trace:
        return [arrival for tasks in framework.tasks for arrival in tasks.arrivals(scenario.lasts)]
    path = directory / framework.trace
    arrivals = list(read_trace(path, framework.machine))
    if not arrivals:
        raise InvalidInput(f"{path}: there is no task in it; write a line for each under its header")
    if all(arrival.at >= START + scenario.end for arrival in arrivals):
        raise InvalidInput(f"{path}: all its tasks come when all is over; let lasts be longer")
    return arrivals
