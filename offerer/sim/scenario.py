"""The fields of a scenario, and reading one from YAML. docs/SIMULATOR.md describes them; `run.py` runs it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from offerer.errors import InvalidInput
from offerer.ids import check_name
from offerer.resources import MIB, Resources, parse_bytes, parse_cpus, parse_ports
from offerer.sim.units import duration, format_duration
from offerer.sim.workload import Arrival
from offerer.sim.world import START
from offerer.types import SECOND, Time

_MOST: Final = 100_000  # times of a fault or of tasks, and samples of a run: more is a slip, and takes hours
_MOST_HOSTS: Final = 1_000_000
KINDS: Final = ("crash", "partition", "drain", "cordon", "restart_master")
"""What a fault may be."""


def _read(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Reads a value as people write it. The name of the field, which the error begins with, is that of its path."""

    def read(value: Any) -> Any:
        try:
            return parse(value)
        except InvalidInput as error:
            raise ValueError(str(error).partition(": ")[2]) from None

    return read


def _ports(value: Any) -> tuple[tuple[int, int], ...]:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidInput(f"ports: {_shown(value)} is not a port or a range, for example 31000-32000")
    return parse_ports(str(value))


def _above_nothing(value: int) -> int:
    if not value:
        raise ValueError("it must be more than 0")
    return value


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise ValueError("there is nothing in it; give at least one")
    return value


Duration = Annotated[int, BeforeValidator(_read(duration))]
Interval = Annotated[Duration, AfterValidator(_above_nothing)]
Size = Annotated[int, BeforeValidator(_read(lambda value: parse_bytes("size", value)))]
Cpus = Annotated[int, BeforeValidator(_read(parse_cpus))]
Ports = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_read(_ports))]
Name = Annotated[str, AfterValidator(_read(lambda value: check_name("name", value)))]
Probability = Annotated[float, Field(ge=0, lt=1)]
AtLeastOne = Annotated[int, Field(ge=1)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Amounts(_Fields):
    """So much of each resource."""

    cpus: Cpus = 0
    memory: Size = 0
    disk: Size = 0
    gpus: Annotated[int, Field(ge=0)] = 0

    @property
    def resources(self) -> Resources:
        """All of them."""
        return Resources(self.cpus, self.memory, self.disk, self.gpus)

    def given(self) -> dict[str, int]:
        """Those that are written, also where they are 0: a limit may be."""
        return {name: getattr(self, name) for name in Amounts.model_fields if name in self.model_fields_set}


class Hosts(Amounts):
    """So many equal hosts, ``NAME-1`` to ``NAME-n``."""

    name: Name = "host"
    count: Annotated[int, Field(ge=1, le=_MOST_HOSTS)] = 1
    ports: Ports = ()
    attributes: dict[str, str] = {}

    def total(self) -> Resources:
        """What one of them has."""
        return self.resources + Resources(ports=self.ports)

    def has(self, name: str) -> bool:
        """Whether one of them is called that."""
        stem, _, number = name.rpartition("-")
        return stem == self.name and number in map(str, range(1, self.count + 1))

    def __str__(self) -> str:
        return f"{self.name}-1" + (f" to {self.name}-{self.count}" if self.count > 1 else "")


class _Repeated(_Fields):
    """What happens at a time, or `times` times every `every`; without `times`, as long as the scenario lasts."""

    at: Duration = 0
    every: Interval | None = None
    times: AtLeastOne | None = None

    def moments(self, lasts: Time) -> range:
        """When, from the beginning on."""
        if self.every is None:
            return range(self.at, self.at + 1)
        end = max(lasts, self.at + 1) if self.times is None else self.at + self.every * self.times
        return range(self.at, end, self.every)

    def problems(self, lasts: Time, end: Time) -> Iterator[str]:
        """What is wrong with them where everything is over at the end."""
        moments = self.moments(lasts)
        if self.every is None and self.times is not None:
            yield "times: every is missing; give the time between them"
        elif self.at >= end:
            over = f"{format_duration(self.at)} is never, all is over at {format_duration(end)}"
            yield f"at: {over}; write less, or let lasts be longer"
        elif len(moments) > _MOST:
            yield f"every: that would be {len(moments)} times; make it {_MOST} at most"
        elif moments[-1] >= end:
            fit = -(-(end - self.at) // moments.step)
            over = f"{self.times} times end at {format_duration(moments[-1])}, all is over at {format_duration(end)}"
            yield f"times: {over}; write {fit}, or leave times out"


class Tasks(_Repeated, Amounts):
    """So many equal tasks, arriving once or again and again."""

    count: AtLeastOne = 1
    run_for: Duration | None = None

    def arrivals(self, lasts: Time) -> Iterator[Arrival]:
        """One for each time."""
        for at in self.moments(lasts):
            yield Arrival(START + at, self.count, self.resources, self.run_for)


class Plugin(_Fields):
    """A framework: `Batch` with tasks given here or in a trace, or any plug-in by ``plugin: module:Class``."""

    name: Name
    role: Name | None = None
    """Absent: ``*``, or what the plug-in says itself."""
    tasks: tuple[Tasks, ...] = ()
    trace: str = ""
    machine: Annotated[Size, AfterValidator(_above_nothing)] = 256 * 1024 * MIB
    plugin: str = ""
    options: dict[str, str] = {}


class RoleSettings(_Fields):
    """Weight and quota of a role."""

    role: Name
    weight: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] = 1.0
    guarantee: Amounts | None = None
    limit: Amounts | None = None


class Net(_Fields):
    """See `Weather`."""

    latency: Duration = 500
    jitter: Duration = 0
    loss: Probability = 0.0
    duplication: Probability = 0.0
    reordering: Probability = 0.0


class Fault(_Repeated):
    """At a time, something breaks or is taken out of use, and is whole again after `lasts`."""

    at: Duration
    crash: str = ""
    partition: str = ""
    drain: str = ""
    cordon: str = ""
    restart_master: bool = False
    lasts: Duration = 30 * SECOND


class Scenario(_Fields):
    """All of it. ``any`` in place of a host takes one by the dice."""

    seed: int = 1
    lasts: Duration = 10 * 60 * SECOND
    calm: Duration = 120 * SECOND
    """Time without faults at the end, after which everything must be well."""
    check_every: Annotated[int, Field(ge=0)] = 100
    sample_every: Interval = 10 * SECOND
    hosts: Annotated[tuple[Hosts, ...], AfterValidator(_not_empty)]
    frameworks: Annotated[tuple[Plugin, ...], AfterValidator(_not_empty)]
    roles: tuple[RoleSettings, ...] = ()
    network: Net = Net()
    faults: tuple[Fault, ...] = ()

    @property
    def end(self) -> Time:
        """When all is over."""
        return self.lasts + self.calm


def load(path: Path) -> Scenario:
    """Read a scenario. Raises `InvalidInput`, one line for each mistake."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)  # noqa: S506 - a SafeLoader
        if not isinstance(raw, dict):
            raise InvalidInput("it must be a mapping with at least hosts and frameworks")
        scenario = Scenario.model_validate(raw)
        problems = list(_problems(scenario))
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    except ValidationError as error:
        problems = [_explain(each) for each in error.errors()]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InvalidInput(f"{path}: {at}not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if problems:
        raise InvalidInput("\n".join(f"{path}: {problem}" for problem in problems))
    return scenario


_NOT_TEXT: Final = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, and takes what is in `options` and `attributes` as the text that is written."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                first = lines[key.value]
                raise InvalidInput(f"line {line}: {key.value!r} is given twice, first in line {first}; keep one")
            lines[key.value] = line
            if key.value in ("options", "attributes") and isinstance(value, yaml.MappingNode):
                for text in (each for pair in value.value for each in pair):
                    if isinstance(text, yaml.ScalarNode) and text.tag not in _NOT_TEXT:
                        text.tag = "tag:yaml.org,2002:str"
        return node


# -- what the types do not say -----------------------------------------------------------------------------------------


def _problems(scenario: Scenario) -> Iterator[str]:
    points = -(-scenario.lasts // scenario.sample_every)
    if points > _MOST:
        least = format_duration(-(-scenario.lasts // _MOST))
        yield f"sample_every: that would be {points} points; write {least} or more"
    names: set[str] = set()
    for n, group in enumerate(scenario.hosts):
        if group.name in names:
            yield f"hosts.{n}.name: {group.name!r} is taken; give each group of hosts its own name"
        names.add(group.name)
        if group.total().empty:
            yield f"hosts.{n}: they have nothing; give cpus and memory"
    names.clear()
    for n, framework in enumerate(scenario.frameworks):
        if framework.name in names or any(group.has(framework.name) for group in scenario.hosts):
            yield f"frameworks.{n}.name: {framework.name!r} is taken; give each framework and host its own name"
        names.add(framework.name)
        for problem in _framework_problems(scenario, framework):
            yield f"frameworks.{n}{problem}"
    names.clear()
    for n, role in enumerate(scenario.roles):
        if role.role in names:
            yield f"roles.{n}.role: {role.role!r} is set twice; keep one"
        names.add(role.role)
    for n, fault in enumerate(scenario.faults):
        for problem in _fault_problems(scenario, fault):
            yield f"faults.{n}{problem}"


def _framework_problems(scenario: Scenario, framework: Plugin) -> Iterator[str]:
    given = [name for name in ("tasks", "trace", "plugin") if getattr(framework, name)]
    if not given:
        yield ": it has no tasks; give tasks, trace or plugin"
    if len(given) > 1:
        yield f": {' and '.join(given)} do not go together; give one of them"
    for field, needed in (("options", "plugin"), ("machine", "trace")):
        if field in framework.model_fields_set and needed not in given:
            yield f".{field}: it says nothing without {needed}; leave it out, or give {needed}"
    for n, tasks in enumerate(framework.tasks):
        for problem in tasks.problems(scenario.lasts, scenario.end):
            yield f".tasks.{n}.{problem}"
        if tasks.resources.empty:
            yield f".tasks.{n}: they need nothing; give cpus or memory"
        elif not any(group.total().contains(tasks.resources) for group in scenario.hosts):
            yield f".tasks.{n}: {tasks.resources} is more than any host has; write less, or give a larger host"


def _fault_problems(scenario: Scenario, fault: Fault) -> Iterator[str]:
    for problem in fault.problems(scenario.lasts, scenario.lasts):
        yield f".{problem}"
    given = [name for name in KINDS if getattr(fault, name)]
    if len(given) != 1:
        yield f": {' and '.join(given) or 'nothing'} would happen; give one of {', '.join(KINDS)}"
        return
    kind = given[0]
    if kind == "restart_master":
        if "lasts" in fault.model_fields_set:
            yield ".lasts: the master restarts at once; leave it out"
        return
    wanted = getattr(fault, kind)
    if wanted == "any" or any(group.has(wanted) for group in scenario.hosts):
        return
    frameworks = [framework.name for framework in scenario.frameworks]
    if kind == "partition" and wanted in frameworks:
        return
    known = [str(group) for group in scenario.hosts] + (frameworks if kind == "partition" else [])
    yield f".{kind}: there is no {wanted!r}; write any, or one of {', '.join(known)}"


# -- what the types say ------------------------------------------------------------------------------------------------

_MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "": Scenario, "hosts": Hosts, "frameworks": Plugin, "tasks": Tasks, "roles": RoleSettings, "guarantee": Amounts,
    "limit": Amounts, "network": Net, "faults": Fault,
}  # fmt: skip
_BOUNDS: Final = {"ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}"}
_WANTED: Final = {
    "string": "text; write it in quotes", "int": "a whole number", "float": "a number", "finite": "a number",
    "bool": "true or false", "tuple": "a list; write [ ] around it, or - before each part",
}  # fmt: skip


def _explain(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {_message(error)}"


def _message(error: Any) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "it is missing; give it"
    if kind in ("extra_forbidden", "invalid_key"):
        fields, wrong = _fields(error["loc"][:-1]), str(error["loc"][-1])
        near = difflib.get_close_matches(wrong, fields, n=1)
        return f"unknown field; {f'did you mean {near[0]!r}?' if near else f'known here: ' + ', '.join(fields)}"
    if kind in ("model_type", "dict_type"):
        fields = _fields(error["loc"]) if kind == "model_type" else []
        known = f" of the fields {', '.join(fields)}" if fields else ", for example {zone: a}"
        return f"{_shown(given)} is not a mapping{known}"
    for bound, value in context.items():
        if bound in _BOUNDS:
            return f"{given!r} must be {_BOUNDS[bound].format(value)}"
    wanted = _WANTED.get(kind.partition("_")[0])
    return f"{_shown(given)} is not {wanted}" if wanted else f"{_shown(given)}: {error['msg']}"


def _fields(loc: tuple[int | str, ...]) -> list[str]:
    """The fields that may stand at this place."""
    return list(_MODELS[next((part for part in reversed(loc) if isinstance(part, str)), "")].model_fields)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)
