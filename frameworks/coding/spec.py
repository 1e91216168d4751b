"""The service file as a checked model: what may be written, with which values, and what is meant where nothing is.

The messages say what is wrong with a value and how to write it; `frameworks.coding.check` adds file, line and field.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, model_validator

from frameworks.coding.names import NAME_RULE, is_label
from frameworks.coding.strategy import Restart, Strategy
from offerer import SECOND, Constraint, InvalidInput, Resources, Time

MAX_REPLICAS: Final = 1000
LEAST_MEMORY: Final = 6 << 20
"""Bytes. The engine takes no smaller limit, and less is mostly a forgotten unit."""

LARGEST_SIZE: Final = 1 << 50

_CONSTRAINT: Final = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(==|!=|=~|!~|not\s+in\b|in\b)\s*(.*?)\s*", re.DOTALL)
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# -- the values of fields -------------------------------------------------------------------------------------


def _name(value: object) -> str:
    if not isinstance(value, str) or not is_label(value):
        raise ValueError(f"{value!r} is not a name; {NAME_RULE}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        fix = f"write {str(value)!r} in quotes" if isinstance(value, int | float) else "write one text"
        raise ValueError(f"{_shown(value)} is not text; {fix}")
    return value


def _argument(value: object) -> str:
    return _text(value) if value != "" else ""


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not a size; write for example 512MiB or 2GiB")
    try:
        size = Resources.of(memory=value).memory
    except (InvalidInput, OverflowError, ValueError) as error:
        raise ValueError(str(error).removeprefix("memory: ")) from None
    if size > LARGEST_SIZE:
        raise ValueError(f"{value!r} is more than any host has; is the unit right?")
    return size


def _memory(value: object) -> int:
    size = _size(value)
    if 0 < size < LEAST_MEMORY:
        fix = f"give a unit, for example {value}MiB" if isinstance(value, int) else "6MiB is the least"
        raise ValueError(f"{value!r} is only {size} bytes; {fix}")
    return size


def _cpus(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number of cores; write for example 0.5, without quotes")
    try:
        return Resources.of(cpus=value).cpus / 1000
    except InvalidInput as error:
        raise ValueError(str(error).removeprefix("cpus: ")) from None


def _duration(value: object) -> str:
    if not isinstance(value, str) or not value or not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration; write for example 10s or 1m30s")
    return value


def parse_duration(text: str) -> Time:
    """Microseconds of a checked duration such as ``1m30s``."""
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = match.groups(default="0") if match else ("0", "0", "0")
    return (int(hours) * 3600 + int(minutes) * 60) * SECOND + round(float(seconds) * SECOND)


def _url_path(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        raise ValueError(f"{_shown(value)} is not a path such as /healthz")
    return value


def _port_or_name(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    if not isinstance(value, str) or not is_label(value):
        raise ValueError(f"{_shown(value)} is neither a port from 1 to 65535 nor the name of one")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{_shown(value)} is not a share from 0 to 1; write for example 0.75 for three of four tasks")
    return float(value)


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100:
        raise ValueError(f"{_shown(value)} is not a factor from 1 to 100; write for example 2")
    return float(value)


def _volume(value: object) -> str:
    parts = value.split(":") if isinstance(value, str) else []
    named = bool(parts) and re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", parts[0]) is not None
    if len(parts) not in (2, 3) or not (named or parts[0].startswith("/")) or not parts[1].startswith("/"):
        raise ValueError(f"{value!r} is not HOST:CONTAINER[:ro]; write for example /data/db:/var/lib/db or files:/srv")
    if parts[2:] not in ([], ["ro"], ["rw"]):
        raise ValueError(f"{value!r} ends in {parts[2]!r}; write ro (read-only) or leave it out")
    if ".." in parts[0].split("/"):
        raise ValueError(f"{value!r} contains '..'; write the path out")
    return str(value)


def _environment(value: object) -> dict[str, str]:
    strings = _strings(value)
    for name in strings:
        if not _ENV_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a variable name; use letters, digits and '_'")
    return strings


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"{_shown(value)} must map names to values, for example {{MODE: production}}")
    for name, each in value.items():
        if not isinstance(each, str):
            raise ValueError(f"{name}: {_shown(each)} is not text; write it in quotes")
    return value


def _labels(value: object) -> dict[str, str]:
    strings = _strings(value)
    for name in strings:
        if name.startswith("offerer.") or not name:
            raise ValueError(f"{name!r} is not for you to set: offerer.… is what offerer itself puts on containers")
    return strings


def _signal(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"SIG[A-Z0-9+-]+", value):
        raise ValueError(f"{value!r} is not a signal; write for example SIGTERM or SIGINT")
    return value


def _dependency(value: object) -> str:
    parts = value.split("/") if isinstance(value, str) else []
    if len(parts) not in (1, 2) or not all(map(is_label, parts)):
        raise ValueError(f"{value!r} is not JOB or SERVICE/JOB, for example mysql or core/mysql")
    return str(value)


def parse_constraint(text: object) -> Constraint:
    """``zone == a``, ``disk in [ssd, nvme]``, ``kernel =~ 6\\..*``. Raises ValueError naming the fix."""
    match = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    operator = " ".join(match[2].split()) if match else ""
    if not match or not match[3]:
        raise ValueError(f"{_shown(text)} is not a condition; write for example 'zone == a' or 'disk in [ssd, nvme]'")
    if operator in ("in", "not in"):
        listed = match[3][1:-1] if match[3][0] + match[3][-1] == "[]" else ""
        values = tuple(_unquoted(part) for part in listed.split(",") if part.strip())
        if not values:
            raise ValueError(f"{text!r}: {operator} takes a list, for example {match[1]} {operator} [a, b]")
        return Constraint(match[1], operator, values)
    if operator in ("=~", "!~"):
        try:
            re.compile(match[3])
        except re.error as error:
            raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return Constraint(match[1], operator, (_unquoted(match[3]),))


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _condition(value: object) -> str:
    parse_constraint(value)
    return str(value)


def _shown(value: object) -> str:
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), repr(value))


Name = Annotated[str, PlainValidator(_name)]
Text = Annotated[str, PlainValidator(_text)]
Argument = Annotated[str, PlainValidator(_argument)]
Labels = Annotated[dict[str, str], PlainValidator(_labels)]
Environment = Annotated[dict[str, str], PlainValidator(_environment)]
Port = Annotated[int, Field(ge=1, le=65535)]
PortOrName = Annotated[int | str, PlainValidator(_port_or_name)]
Duration = Annotated[str, PlainValidator(_duration)]


# -- the model ------------------------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PortSpec(_Part):
    """A port. Without `host`, a free host port of the offer; without `container`, the same as the host port."""

    container: Port | None = None
    host: Port | None = None
    name: Name | None = None
    protocol: Literal["tcp", "udp"] = "tcp"


class ResourceSpec(_Part):
    """What one task takes; memory and cpus are its limits too."""

    cpus: Annotated[float, PlainValidator(_cpus)] = 0.1
    memory: Annotated[int, PlainValidator(_memory)] = 128 << 20
    disk: Annotated[int, PlainValidator(_size)] = 0
    gpus: Annotated[int, Field(ge=0, le=10_000)] = 0


class ProbeSpec(_Part):
    """A question to the running container; `port` is a number in the container or the name of one of its ports."""

    http: Annotated[str, PlainValidator(_url_path)] | None = None
    tcp: PortOrName | None = None
    command: Annotated[list[Argument], Field(min_length=1)] | None = None
    port: PortOrName | None = None
    interval: Duration = "5s"
    timeout: Duration = "2s"
    failures: Annotated[int, Field(ge=1)] = 3
    successes: Annotated[int, Field(ge=1)] = 1
    grace: Duration = "10s"

    @model_validator(mode="after")
    def _one_question(self) -> ProbeSpec:
        if sum(each is not None for each in (self.http, self.tcp, self.command)) != 1:
            raise ValueError("give one of http: /path, tcp: port and command: [program, argument]")
        if self.port is not None and self.http is None:
            raise ValueError("port goes with http; write tcp: port alone")
        return self

    @property
    def asks(self) -> int | str | None:
        """The port it asks at, as it is written; None where none is."""
        return self.tcp if self.tcp is not None else self.port


class Settings(_Part):
    """How a task runs and where. The job's settings hold for all its tasks; each task may have its own."""

    image: Text | None = None
    command: list[Argument] | None = None
    env: Environment | None = None
    resources: ResourceSpec | None = None
    ports: list[PortSpec] | None = None
    volumes: list[Annotated[str, PlainValidator(_volume)]] | None = None
    health: ProbeSpec | None = None
    readiness: ProbeSpec | None = None
    liveness: ProbeSpec | None = None
    host: Text | None = None
    hosts: Annotated[list[Text], Field(min_length=1)] | None = None
    constraints: list[Annotated[str, PlainValidator(_condition)]] | None = None
    labels: Labels | None = None
    working_dir: Text | None = None
    user: Text | None = None
    pull: Literal["missing", "always", "never"] | None = None
    stop_signal: Annotated[str, PlainValidator(_signal)] | None = None
    stop_grace: Duration | None = None

    @model_validator(mode="after")
    def _one_way_to_name_hosts(self) -> Settings:
        if self.host is not None and self.hosts is not None:
            raise ValueError("both host and hosts are given; keep one of them")
        return self


class TaskSpec(Settings):
    """What one named task has of its own; `env` and `labels` are added to the job's, anything else replaces it."""


class UpdateSpec(_Part):
    """How tasks move to a new revision."""

    parallel: Annotated[int, Field(ge=1)] = 1
    order: Literal["stop-first", "start-first"] = "stop-first"
    min_healthy: Annotated[float, PlainValidator(_share)] | None = None
    max_over: Annotated[int, Field(ge=0)] | None = None
    healthy_for: Duration = "10s"
    deadline: Duration = "5m"
    on_failure: Literal["pause", "rollback", "continue"] = "pause"
    canary: Annotated[int, Field(ge=0)] = 0

    @property
    def strategy(self) -> Strategy:
        """The same, with what is left out filled in."""
        start_first = self.order == "start-first"
        return Strategy(
            self.parallel, start_first, self.min_healthy,
            (self.parallel if start_first else 0) if self.max_over is None else self.max_over,
            parse_duration(self.healthy_for), parse_duration(self.deadline), self.on_failure, self.canary,
        )  # fmt: skip


class RestartSpec(_Part):
    """When a task that ended is started again, and how soon."""

    on: Literal["always", "failure"] = "always"
    delay: Duration = "1s"
    factor: Annotated[float, PlainValidator(_factor)] = 2.0
    longest: Duration = "5m"
    quiet: Duration = "10m"

    @property
    def policy(self) -> Restart:
        """The same in numbers."""
        delay, longest, quiet = map(parse_duration, (self.delay, self.longest, self.quiet))
        return Restart(self.on == "always", delay, self.factor, longest, quiet)


Condition = Literal["started", "healthy", "finished"]
Dependency = Annotated[str, PlainValidator(_dependency)]


class JobSpec(Settings):
    """One thing to run: N like tasks (`replicas`), or named tasks each with its own host and settings."""

    tasks: Annotated[dict[Name, TaskSpec], Field(min_length=1)] | None = None
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    depends_on: Annotated[
        Annotated[list[Dependency], Tag("<list>")] | Annotated[dict[Dependency, Condition], Tag("<map>")],
        Discriminator(lambda value: "<map>" if isinstance(value, dict) else "<list>"),
    ] = []
    update: UpdateSpec | None = None
    restart: RestartSpec | None = None

    @model_validator(mode="after")
    def _one_way_to_name_tasks(self) -> JobSpec:
        if self.tasks is not None and self.replicas is not None:
            raise ValueError("both tasks and replicas are given; keep one of them")
        own = [task for task in (self.tasks or {}).values() if task.image or task.command]
        if not self.image and not self.command and (not self.tasks or len(own) < len(self.tasks)):
            raise ValueError("there is neither an image nor a command; add for example image: nginx:1.27")
        for task in (self.tasks or {"": TaskSpec()}).values():
            ports = task.ports if task.ports is not None else self.ports or []
            _check_ports(ports)
            for field in ("health", "readiness", "liveness"):
                _check_probe(field, getattr(task, field) or getattr(self, field), ports)
        return self

    @model_validator(mode="after")
    def _updates_get_on(self) -> JobSpec:
        """A strategy by which no update could ever get on is refused here, not noticed in the middle of one."""
        if self.update is None:
            return self
        count = len(self.tasks) if self.tasks else self.replicas or 1
        why = self.update.strategy.why_stuck(count)
        if why:
            raise ValueError(f"update.{why}")
        if self.update.order == "start-first":
            for name, task in (self.tasks or {"": TaskSpec()}).items():
                ports = task.ports if task.ports is not None else self.ports or []
                place = task if task.host or task.hosts else self
                hosts = [place.host] if place.host else place.hosts
                fixed = next((port.host for port in ports if port.host), None)
                if fixed and hosts and len(hosts) <= (1 if self.tasks else count):
                    where = " and ".join(map(str, hosts))
                    what = f"task {name}" if name else "it"
                    raise ValueError(
                        f"update.order: start-first cannot be: {what} takes the fixed host port {fixed} and may run "
                        f"only on {where}, where the old one has it; write order: stop-first"
                    )
        return self


class ServiceFile(_Part):
    """One service file: jobs that ship together."""

    service: Name
    jobs: Annotated[dict[Name, JobSpec], Field(min_length=1)]


def _check_probe(field: str, probe: ProbeSpec | None, ports: list[PortSpec]) -> None:
    if probe is None or probe.command or isinstance(probe.asks, int):
        return
    names = [port.name for port in ports if port.name]
    if isinstance(probe.asks, str) and probe.asks not in names:
        known = f"its ports are called {', '.join(names)}" if names else "give a number, or name one of its ports"
        raise ValueError(f"{field}: there is no port called {probe.asks!r}; {known}")
    if probe.asks is None and len(ports) != 1:
        raise ValueError(f"{field}: there are {len(ports)} ports; say which with port: NAME or a number")


def _check_ports(ports: list[PortSpec]) -> None:
    for what, keys in (
        ("host port", [(port.host, port.protocol) for port in ports if port.host]),
        ("container port", [(port.container, port.protocol) for port in ports if port.container]),
        ("name", [port.name for port in ports if port.name]),
    ):
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            shown = twice if isinstance(twice, str) else "/".join(map(str, twice))
            raise ValueError(f"ports: the {what} {shown} is given twice; keep one")
