"""The service file as a checked model: what may be written, with which values, and what is meant where nothing is.

The messages say what is wrong with a value and how to write it; `frameworks.coding.check` adds file, line and field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from frameworks.coding.names import is_once
from frameworks.coding.rules import Condition as RuleOrCondition
from frameworks.coding.settings import (
    ContainerSettings,
    Part,
    PortSpec,
    ProbeSpec,
    ResourceSpec,
    SecretSpec,
    StepSettings,
)
from frameworks.coding.strategy import Restart, Strategy
from frameworks.coding.values import (
    Address,
    Condition,
    Dependency,
    Duration,
    ExtraHosts,
    Factor,
    HostName,
    Name,
    Network,
    OnHostLost,
    Share,
    Size,
    Strings,
    Text,
    parse_duration,
)

MAX_REPLICAS: Final = 1000


ADDED: Final = ("env", "labels", "secrets")
"""Fields of which a task's own values are added to the job's; any other replaces the job's."""

OF_ONE_CONTAINER: Final = tuple(
    name
    for name in ContainerSettings.model_fields
    if name not in ("env", "env_file", "labels", "health", "readiness", "liveness")
)
"""What a pod leaves to its containers."""


class Settings(ContainerSettings):
    """How a task runs and where. The job's settings hold for all its tasks; each task may have its own."""

    containers: Annotated[dict[Name, StepSettings], Field(min_length=1)] | None = None
    """Several containers in place of `image`, by name, started in this order: a pod."""
    init_steps: dict[Name, StepSettings] | None = None
    """Containers by name, each of which runs to its end before the next and before the rest starts."""
    resources: ResourceSpec | None = None
    """What the task takes. Of a pod, where left out, the sum of its containers' where each has some."""
    ports: list[PortSpec] | None = None
    """Ports, published on the host."""
    networks: list[Network] | None = None
    """Networks of the engine to join, by name; without it, its default bridge."""
    network_mode: Literal["bridge", "host"] | None = None
    """`host` is the host's own network: a port is then the same on both sides, and nothing is published."""
    hostname: HostName | None = None
    """Without it, the id of the container."""
    extra_hosts: ExtraHosts | None = None
    """Names and addresses for `/etc/hosts`; a list of `NAME:ADDRESS` will do too."""
    dns: list[Address] | None = None
    """Servers; without it, the host's."""
    dns_search: list[HostName] | None = None
    """Domains; without it, the host's."""
    sysctls: Strings | None = None
    """Of the container's namespaces."""
    shm_size: Size | None = None
    """Of `/dev/shm`; without it, 64 MiB."""
    stop_grace: Duration | None = None
    """How long it may take to stop until it is killed; without it, 10 s."""
    shutdown_delay: Duration | None = None
    """How long it goes on serving once it is no longer listed as ready, before it is asked to stop; without it, not at
    all. Give whoever looks up addresses time to look again."""
    host: Text | None = None
    """The only host it may run on."""
    hosts: Annotated[list[Text], Field(min_length=1)] | None = None
    """The only hosts it may run on."""
    constraints: list[Condition] | None = None
    """Conditions on the host's attributes and on `host`: `==`, `!=`, `in [a, b]`, `not in [a, b]`, `=~ regex`, `!~
    regex`."""

    @model_validator(mode="after")
    def _one_way_to_name_hosts(self) -> Settings:
        if self.host is not None and self.hosts is not None:
            raise ValueError("both host and hosts are given; keep one of them")
        return self

    def settings_of(self, own: Settings) -> dict[str, Any]:
        """What holds for one task of a job with these settings, and what it has of its own."""
        fields = type(own).model_fields
        given = {name: value for name in fields if (value := getattr(self, name)) is not None}
        for name in fields:
            value = getattr(own, name)
            if value is not None:
                given[name] = {**given.get(name, {}), **value} if name in ADDED else value
        if own.resources is not None and self.resources is not None:
            given["resources"] = self.resources.model_copy(update=own.resources.model_dump(exclude_unset=True))
        if own.host is not None or own.hosts is not None:  # its own place stands in for the job's
            given["host"], given["hosts"] = own.host, own.hosts
        return given


class PlacedSettings(Settings):
    """The same with what only lasting tasks can ask for: rules about the tasks beside them, and to stay or to move."""

    constraints: list[RuleOrCondition] | None = None
    """Conditions on the host's attributes and on `host` (`==`, `!=`, `in [a, b]`, `not in [a, b]`, `=~ regex`,
    `!~ regex`), and rules about the tasks beside it (`unique`, `max_per N`, `spread`, `same`, `with`, `apart`)."""
    prefer: list[RuleOrCondition] | None = None
    """The same, but they order hosts, the first first, and exclude none."""
    on_host_lost: OnHostLost | None = None
    """What becomes of a task whose host does not answer. Without it, `wait` where the task may run nowhere else or
    has a volume that it can write to, else `{move_after: 60s}`."""


class TaskSpec(PlacedSettings):
    """What one named task has of its own."""


class UpdateSpec(Part):
    """How tasks move to a new revision."""

    parallel: Annotated[int, Field(ge=1)] = 1
    """So many tasks are on their way at once."""
    order: Literal["stop-first", "start-first"] = "stop-first"
    """`start-first`: the successor runs beside the old one, which is stopped when the successor has been ready for
    `healthy_for`."""
    min_healthy: Share | None = None
    """The share of the job's tasks that stay ready, whatever else fails. Without it, 1.0 with `start-first`, and no
    floor but `parallel` with `stop-first`."""
    max_over: Annotated[int, Field(ge=0)] | None = None
    """With `start-first`, so many containers more than tasks; without it, as `parallel`."""
    healthy_for: Duration = "10s"
    """A task counts as arrived when it was ready for so long without interruption."""
    deadline: Duration = "5m"
    """The update has failed when no task arrives for so long."""
    on_failure: Literal["pause", "rollback", "continue"] = "pause"
    """`rollback` takes everything back, `continue` leaves the task behind."""
    canary: Annotated[int, Field(ge=0)] = 0
    """So many tasks first, then it waits for `offerer promote`."""

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
    """`failure` leaves one that ended well."""
    delay: Duration = "1s"
    """From the first start to the second, at least."""
    factor: Factor = 2.0
    """By which that grows with every failure."""
    longest: Duration = "5m"
    """It grows no further."""
    quiet: Duration = "10m"
    """A container that ran for so long makes up for earlier failures."""

    @property
    def policy(self) -> Restart:
        """The same in numbers."""
        delay, longest, quiet = map(parse_duration, (self.delay, self.longest, self.quiet))
        return Restart(self.on == "always", delay, self.factor, longest, quiet)


Wanted = Literal["started", "healthy", "finished"]


class JobSpec(PlacedSettings):
    """One thing to run: N like tasks (`replicas`), or named tasks each with its own host and settings."""

    tasks: Annotated[dict[Name, TaskSpec], Field(min_length=1)] | None = None
    """Named tasks, each with settings of its own."""
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """A number of like tasks, called 1, 2, 3 …; without it, 1."""
    one_per_host: bool | None = None
    """In place of `tasks` and `replicas`: one task on each host that `constraints` allow, named after it."""
    place: Literal["spread", "pack"] | None = None
    """`spread`: to the host with the fewest tasks of the job, then with most left; `pack`: to the fullest that has
    room. Without it, `spread`."""
    depends_on: Annotated[
        Annotated[list[Dependency], Tag("<list>")] | Annotated[dict[Dependency, Wanted], Tag("<map>")],
        Discriminator(lambda value: "<map>" if isinstance(value, dict) else "<list>"),
    ] = []
    """`JOB` of this service or `SERVICE/JOB`; or what each must be: `started`, `healthy` (ready) or `finished`."""
    update: UpdateSpec | None = None
    """How tasks move to a new revision. Without it, one at a time, stopped first, each arrived as soon as it is
    ready."""
    restart: RestartSpec | None = None
    """When a container that ended is started again, and how soon."""

    @model_validator(mode="after")
    def _one_way_to_name_tasks(self) -> JobSpec:
        if self.tasks is not None and self.replicas is not None:
            raise ValueError("both tasks and replicas are given; keep one of them")
        if self.one_per_host and (self.tasks is not None or self.replicas is not None):
            raise ValueError("one_per_host has as many tasks as there are hosts that fit; leave tasks and replicas out")
        for name in self.tasks or ():
            if is_once(name):
                raise ValueError(f"tasks.{name}: one-off tasks are called so; give it another name")
        for task in (self.tasks or {"": TaskSpec()}).values():
            check_settings(self.settings_of(task))
        return self

    @model_validator(mode="after")
    def _updates_get_on(self) -> JobSpec:
        """A strategy by which no update could ever get on is refused here, not noticed in the middle of one."""
        if self.update is None:
            return self
        count = MAX_REPLICAS if self.one_per_host else len(self.tasks) if self.tasks else self.replicas or 1
        why = self.update.strategy.why_stuck(count)
        if why:
            raise ValueError(f"update.{why}")
        if self.update.order == "start-first":
            for name, task in (self.tasks or {"": TaskSpec()}).items():
                ports = task.ports if task.ports is not None else self.ports or []
                place = task if task.host or task.hosts else self
                hosts = [place.host] if place.host else place.hosts
                fixed = next((port.host for port in ports if port.host), None)
                if fixed and self.one_per_host:
                    raise ValueError(
                        f"update.order: start-first cannot be: each task takes the fixed host port {fixed} of its "
                        "host, where the old one has it; write order: stop-first"
                    )
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
    """What it is called."""
    jobs: Annotated[dict[Name, JobSpec], Field(min_length=1)]
    """What ships together, by name."""

    @property
    def secrets(self) -> Iterator[tuple[tuple[str, ...], SecretSpec]]:
        """Every secret of every container, with where it is written."""
        for job_name, job in self.jobs.items():
            at: tuple[str, ...] = ("jobs", job_name)
            tasks = (((*at, "tasks", name), task) for name, task in (job.tasks or {}).items())
            for path, settings in ((at, job), *tasks):
                steps = {"containers": settings.containers or {}, "init_steps": settings.init_steps or {}}
                inner = (((*path, field, name), step) for field, all_ in steps.items() for name, step in all_.items())
                for where, each in ((path, settings), *inner):
                    for name, secret in (each.secrets or {}).items():
                        yield (*where, "secrets", name), secret


def _inner(given: Mapping[str, Any]) -> dict[str, StepSettings]:
    return given.get("containers") or {}


def check_settings(given: Mapping[str, Any]) -> None:
    """Raise ValueError for the first thing that is wrong with the settings of a task when they are taken together."""
    _check_parts(given)
    ports = given.get("ports", [])
    _check_ports(ports, given.get("network_mode") == "host")
    probed = [("", given), *((f"containers.{name}.", vars(each)) for name, each in _inner(given).items())]
    for where, settings in probed:
        for field in ("health", "readiness", "liveness"):
            _check_probe(where + field, settings.get(field), ports)


def _check_parts(given: Mapping[str, Any]) -> None:
    """One container, or several with what concerns one of them; before them, steps that run to their end."""
    containers, steps = _inner(given), given.get("init_steps") or {}
    misplaced = next((name for name in OF_ONE_CONTAINER if containers and name in given), None)
    if misplaced:
        first = next(iter(containers))
        raise ValueError(f"{misplaced} belongs to one of the containers; move it into containers.{first}")
    if not containers and not given.get("image") and not given.get("command"):
        raise ValueError("there is neither an image nor a command; add for example image: nginx:1.27")
    twice = next((name for name in steps if name in containers), None)
    if twice:
        raise ValueError(f"init_steps.{twice}: a container is called so too; choose another name")
    limit = given.get("resources") or ResourceSpec()
    for field, name, part in (
        *(("containers", name, part) for name, part in containers.items()),
        *(("init_steps", name, part) for name, part in steps.items()),
    ):
        where = f"{field}.{name}"
        if not part.image and not part.command:
            raise ValueError(f"{where} has neither an image nor a command; add for example image: nginx:1.27")
        if field == "init_steps" and (part.health or part.readiness or part.liveness):
            raise ValueError(f"{where} runs to its end; it takes no probes")
        for what in ("cpus", "memory"):
            own = getattr(part.resources, what, None)
            if own and what in limit.model_fields_set and own > getattr(limit, what):
                raise ValueError(f"{where}.resources.{what} is more than the task's own resources.{what}; give it less")


def _check_probe(field: str, probe: ProbeSpec | None, ports: list[PortSpec]) -> None:
    if probe is None or probe.command or isinstance(probe.asks, int):
        return
    names = [port.name for port in ports if port.name]
    if isinstance(probe.asks, str) and probe.asks not in names:
        known = f"its ports are called {', '.join(names)}" if names else "give a number, or name one of its ports"
        raise ValueError(f"{field}: there is no port called {probe.asks!r}; {known}")
    if probe.asks is None and len(ports) != 1:
        raise ValueError(f"{field}: there are {len(ports)} ports; say which with port: NAME or a number")


def _check_ports(ports: list[PortSpec], same: bool) -> None:
    for port in ports:
        if same and port.container and port.container != port.host:
            raise ValueError(
                f"ports: with network_mode: host a port is the same on both sides; "
                f"leave container: {port.container} out, or write host: {port.container} too"
            )
    for what, keys in (
        ("host port", [(port.host, port.protocol) for port in ports if port.host]),
        ("container port", [(port.container, port.protocol) for port in ports if port.container]),
        ("name", [port.name for port in ports if port.name]),
    ):
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            shown = twice if isinstance(twice, str) else "/".join(map(str, twice))
            raise ValueError(f"ports: the {what} {shown} is given twice; keep one")
