"""A scenario: hosts, frameworks, a network and faults, read from YAML; run; and what came of it.

docs/SIMULATOR.md describes the fields. Everything is checked before anything runs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from offerer.errors import InvalidInput, OffererError
from offerer.framework import Framework
from offerer.resources import MIB, Resources, parse_bytes, parse_cpus
from offerer.sim.checks import SimulationFailed
from offerer.sim.network import Weather
from offerer.sim.report import Report, Sample, summarize
from offerer.sim.simulation import Simulation
from offerer.sim.units import duration
from offerer.sim.workload import Arrival, Batch
from offerer.sim.world import START
from offerer.types import SECOND, Time

_LOOKS: Final = 10  # a launch or an end may be on its way just when we look whether all is settled

Duration = Annotated[int, BeforeValidator(lambda value: _checked(duration, value))]
Size = Annotated[int, BeforeValidator(lambda value: _checked(lambda text: parse_bytes("size", text), value))]
Probability = Annotated[float, Field(ge=0, lt=1)]
AtLeastOne = Annotated[int, Field(ge=1)]
Cpus = Annotated[int, BeforeValidator(lambda value: _checked(parse_cpus, value))]


def _checked(parse: Any, value: Any) -> Any:
    """Give pydantic the error it can put beside the path of the field."""
    try:
        return parse(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from None


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Size(_Fields):
    cpus: Cpus = 0
    memory: Size = 0
    disk: Size = 0
    gpus: Annotated[int, Field(ge=0)] = 0

    @property
    def resources(self) -> Resources:
        return Resources(self.cpus, self.memory, self.disk, self.gpus)


class Hosts(_Size):
    """So many equal hosts, ``NAME-1`` to ``NAME-n``."""

    name: str = "host"
    count: AtLeastOne = 1
    ports: str = ""
    attributes: dict[str, str] = {}

    def total(self) -> Resources:
        """What one of them has."""
        return self.resources + Resources.of(ports=self.ports)


class Tasks(_Size):
    """So many equal tasks, arriving `times` times, every `every`."""

    at: Duration = 0
    count: AtLeastOne = 1
    run_for: Duration | None = None
    every: Duration = 0
    times: AtLeastOne = 1

    def arrivals(self) -> Iterator[Arrival]:
        """One for each time."""
        for n in range(self.times):
            yield Arrival(START + self.at + n * self.every, self.count, self.resources, self.run_for)


class Plugin(_Fields):
    """A framework: `Batch` with tasks given here or in a trace, or any plug-in by ``plugin: module:Class``."""

    name: str
    role: str = "*"
    tasks: tuple[Tasks, ...] = ()
    trace: str = ""
    """A CSV file with the columns submit_time, duration, cpu, memory (share of `machine`) and instances_num."""
    machine: Size = 256 * 1024 * MIB
    plugin: str = ""
    options: dict[str, str] = {}


class RoleSettings(_Fields):
    """Weight and quota of a role."""

    role: str
    weight: Annotated[float, Field(gt=0)] = 1.0
    guarantee: _Size | None = None
    limit: _Size | None = None


class Net(_Fields):
    """See `Weather`."""

    latency: Duration = 500
    jitter: Duration = 0
    loss: Probability = 0.0
    duplication: Probability = 0.0
    reordering: Probability = 0.0


class Fault(_Fields):
    """At a time, something breaks or is taken out of use, and is whole again after `lasts`."""

    at: Duration
    crash: str = ""
    partition: str = ""
    drain: str = ""
    cordon: str = ""
    restart_master: bool = False
    lasts: Duration = 30 * SECOND
    every: Duration = 0
    times: AtLeastOne = 1


class Scenario(_Fields):
    """All of it. ``any`` in place of a host takes one by the dice."""

    seed: int = 1
    lasts: Duration = 10 * 60 * SECOND
    calm: Duration = 120 * SECOND
    """Time without faults at the end, after which everything must be well."""
    check_every: Annotated[int, Field(ge=0)] = 100
    sample_every: Duration = 10 * SECOND
    hosts: tuple[Hosts, ...] = Field(min_length=1)
    frameworks: tuple[Plugin, ...] = Field(min_length=1)
    roles: tuple[RoleSettings, ...] = ()
    network: Net = Net()
    faults: tuple[Fault, ...] = ()


def load(path: Path) -> Scenario:
    """Read a scenario. Raises `InvalidInput`, one line for each fault."""
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise InvalidInput(f"{path}: it must be a mapping with at least hosts and frameworks")
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise InvalidInput("\n".join(_explain(path, each) for each in error.errors())) from None


def _explain(path: Path, error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    given = error["input"]
    shown = "" if isinstance(given, (dict, list)) or error["type"] == "missing" else f" (it is {given!r})"
    return f"{path}: {where}: {error['msg'].removeprefix('Value error, ')}{shown}"


class Run:
    """One run of a scenario. `directory` is where its trace files are looked for."""

    def __init__(self, scenario: Scenario, directory: Path, replay: str = "") -> None:
        self.scenario = scenario
        net = scenario.network
        weather = Weather(net.latency, net.jitter, net.loss, net.duplication, net.reordering)
        self.simulation = Simulation(scenario.seed, weather, check_every=scenario.check_every, replay=replay)
        self.samples: list[Sample] = []
        self.plugins: list[Framework] = [_plugin(each, directory) for each in scenario.frameworks]
        names = [plugin.name for plugin in self.plugins]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f"frameworks: two of them are called {name!r}; give each a name of its own")

    def run(self) -> Report:
        """All of it. Raises `SimulationFailed` where something may not be."""
        scenario, simulation = self.scenario, self.simulation
        for role in scenario.roles:
            simulation.configure_role(
                role.role, round(role.weight * 1000), _amounts(role.guarantee), _amounts(role.limit)
            )
        for group in sorted(scenario.hosts, key=lambda group: group.name):
            for n in range(1, group.count + 1):
                simulation.add_host(f"{group.name}-{n}", group.total(), group.attributes)
        for plugin in sorted(self.plugins, key=lambda plugin: plugin.name):
            simulation.run(plugin)
        self._advance_with_faults()
        self._calm_down()
        return summarize(simulation, self.plugins, self.samples)

    def _advance_with_faults(self) -> None:
        world = self.simulation.world
        agenda: list[tuple[Time, int, Fault]] = []
        for number, fault in enumerate(self.scenario.faults):
            agenda.extend((fault.at + n * fault.every, number, fault) for n in range(fault.times))
        for at, _, fault in sorted(agenda, key=lambda each: each[:2]):
            if at < self.scenario.lasts:
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
        for look in range(_LOOKS):
            try:
                return simulation.check_settled()
            except SimulationFailed:
                if look == _LOOKS - 1:
                    raise
            simulation.advance(SECOND // 7)


def _amounts(size: _Size | None) -> Mapping[str, int] | None:
    return None if size is None else dict(size.resources.scalars())


def _plugin(plugin: Plugin, directory: Path) -> Framework:
    if plugin.plugin:
        if plugin.tasks or plugin.trace:
            raise InvalidInput(f"frameworks.{plugin.name}: give plugin, or tasks and trace, not both")
        from offerer.client.loading import load_framework

        made = load_framework(plugin.plugin, plugin.options)
        made.name = plugin.name
        return made
    arrivals = [arrival for tasks in plugin.tasks for arrival in tasks.arrivals()]
    if plugin.trace:
        arrivals.extend(read_trace(directory / plugin.trace, plugin.machine))
    if not arrivals:
        raise InvalidInput(f"frameworks.{plugin.name}: it has no tasks; give tasks, trace or plugin")
    return Batch(plugin.name, plugin.role, arrivals)


def read_trace(path: Path, machine: int) -> Iterator[Arrival]:
    """The arrivals of a trace; memory is a share of a machine with so many bytes, rounded up to 64 MiB."""
    try:
        with path.open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    yield _arrival(row, machine)
                except (KeyError, ValueError, TypeError, OffererError) as error:
                    raise InvalidInput(f"{path}, line {number}: {error!r}; see docs/SIMULATOR.md for columns") from None
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None


def _arrival(row: Mapping[str, str], machine: int) -> Arrival:
    step = 64 * MIB
    memory = -(-round(float(row["memory"]) * machine) // step) * step
    resources = Resources(round(float(row["cpu"]) * 1000), memory)
    at, run_for = round(float(row["submit_time"]) * SECOND), round(float(row["duration"]) * SECOND)
    return Arrival(START + at, int(row["instances_num"]), resources, run_for)
