"""The service file as a checked model: what may be written, with which values, and what is meant where nothing is.

The messages say what is wrong with a value and how to write it; `frameworks.coding.check` adds file, line and field.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from frameworks.coding.rules import Condition as RuleOrCondition
from frameworks.coding.settings import ContainerSettings, Part, PortSpec, ProbeSpec, ResourceSpec
from frameworks.coding.strategy import Restart, Strategy
from frameworks.coding.values import (
    Condition,
    Dependency,
    Duration,
    Factor,
    Name,
    OnHostLost,
    Share,
    Text,
    parse_duration,
)

MAX_REPLICAS: Final = 1000


class Settings(ContainerSettings):
    """How a task runs and where. The job's settings hold for all its tasks; each task may have its own."""

    resources: ResourceSpec | None = None
    ports: list[PortSpec] | None = None
    stop_grace: Duration | None = None
    host: Text | None = None
    hosts: Annotated[list[Text], Field(min_length=1)] | None = None
    constraints: list[Condition] | None = None

    @model_validator(mode="after")
    def _one_way_to_name_hosts(self) -> Settings:
        if self.host is not None and self.hosts is not None:
            raise ValueError("both host and hosts are given; keep one of them")
        return self


class PlacedSettings(Settings):
    """The same with what only lasting tasks can ask for: rules about the tasks beside them, and to stay or to move."""

    constraints: list[RuleOrCondition] | None = None
    prefer: list[RuleOrCondition] | None = None
    on_host_lost: OnHostLost | None = None


class TaskSpec(PlacedSettings):
    """What one named task has of its own; `env` and `labels` are added to the job's, anything else replaces it."""


class UpdateSpec(Part):
    """How tasks move to a new revision."""

    parallel: Annotated[int, Field(ge=1)] = 1
    order: Literal["stop-first", "start-first"] = "stop-first"
    min_healthy: Share | None = None
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


class RestartSpec(Part):
    """When a task that ended is started again, and how soon."""

    on: Literal["always", "failure"] = "always"
    delay: Duration = "1s"
    factor: Factor = 2.0
    longest: Duration = "5m"
    quiet: Duration = "10m"

    @property
    def policy(self) -> Restart:
        """The same in numbers."""
        delay, longest, quiet = map(parse_duration, (self.delay, self.longest, self.quiet))
        return Restart(self.on == "always", delay, self.factor, longest, quiet)


Wanted = Literal["started", "healthy", "finished"]


class JobSpec(PlacedSettings):
    """One thing to run: N like tasks (`replicas`), or named tasks each with its own host and settings."""

    tasks: Annotated[dict[Name, TaskSpec], Field(min_length=1)] | None = None
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    place: Literal["spread", "pack"] | None = None
    depends_on: Annotated[
        Annotated[list[Dependency], Tag("<list>")] | Annotated[dict[Dependency, Wanted], Tag("<map>")],
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


class ServiceFile(Part):
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
