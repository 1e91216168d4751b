"""How a container runs, as a service file says it: the fields of one container, its ports, resources and probes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from frameworks.coding.values import (
    Argument,
    Capability,
    ContainerPath,
    Cpus,
    DevicePath,
    Duration,
    Environment,
    Files,
    Labels,
    Memory,
    Name,
    Port,
    PortOrName,
    SecretName,
    Signal,
    Size,
    Strings,
    Text,
    TmpfsMount,
    UlimitName,
    UlimitValue,
    UrlPath,
    Variable,
    Volume,
)


class Part(BaseModel):
    """Anything with fields: unknown ones are refused, and no value is taken for another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class PortSpec(Part):
    """A port. Without `host`, a free host port of the offer; without `container`, the same as the host port."""

    container: Port | None = None
    """In the container; without it, the same as on the host."""
    host: Port | None = None
    """On the host; without it, a free one of the offer."""
    name: Name | None = None
    """By which probes name it, and the variable `PORT_<NAME>`."""
    protocol: Literal["tcp", "udp"] = "tcp"
    """Of the transport."""


class ResourceSpec(Part):
    """What one task takes; memory and cpus are its limits too."""

    cpus: Cpus = 0.1
    """Cores, booked and the limit."""
    memory: Memory = 128 << 20
    """Booked and the limit; no swap on top."""
    disk: Size = 0
    """Booked, not limited."""
    gpus: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Whole GPUs, which no other task has."""


class ProbeSpec(Part):
    """A question to the running container; `port` is a number in the container or the name of one of its ports."""

    http: UrlPath | None = None
    """A GET of this path, whose answer must have a status from 200 to 399."""
    tcp: PortOrName | None = None
    """A connection to this port, which must be accepted."""
    command: Annotated[list[Argument], Field(min_length=1)] | None = None
    """A command in the container, which must exit with 0."""
    port: PortOrName | None = None
    """Of `http`: a number in the container, or the name of a port. With one port it can be left out."""
    interval: Duration = "5s"
    """From an answer to the next question."""
    timeout: Duration = "2s"
    """For one answer."""
    failures: Annotated[int, Field(ge=1)] = 3
    """So many in a row count as failed."""
    successes: Annotated[int, Field(ge=1)] = 1
    """So many in a row count as passed."""
    grace: Duration = "10s"
    """Failures so soon after the start count for nothing."""

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


def _by_name(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("secrets are a mapping; write for example {db-password: store}")
    return value


class SecretSpec(Part):
    """Where a secret comes from, and where the container finds it: in a file, or in a variable."""

    store: SecretName | None = None
    """The secret of this name, set with `offerer secret set`; without it, the one that is called as it is here."""
    file: Text | None = None
    """The text of this file, read by `offerer push`; relative to the service file."""
    target: ContainerPath | None = None
    """The file in the container; without it, `/run/secrets/NAME`."""
    env: Variable | None = None
    """The variable that has it, instead of a file."""

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, value: object) -> object:
        if isinstance(value, str):
            if value != "store":  # which may be the secret itself, so it is not shown
                raise ValueError("this is not where a secret comes from; write store, or {file: PATH}")
            return {}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> SecretSpec:
        if self.store is not None and self.file is not None:
            raise ValueError("both store and file are given; keep one of them")
        if self.target is not None and self.env is not None:
            raise ValueError("both target and env are given; keep one of them")
        return self


class LoggingSpec(Part):
    """Where the output goes, and how much of it is kept."""

    driver: Text | None = None
    """Of the engine; without it, the engine's default."""
    options: Strings | None = None
    """Of that driver."""
    size: Size | None = None
    """So much is kept by `json-file` and `local`, in five files; 0 is no limit. Without it, 50 MiB."""


class ContainerSettings(Part):
    """How one container runs."""

    image: Text | None = None
    """What runs. Without it there must be a command, and a runtime without images."""
    command: list[Argument] | None = None
    """Its arguments, handed over as they are, never through a shell; without it, those of the image."""
    entrypoint: Annotated[list[Argument], Field(min_length=1)] | None = None
    """What `command` are the arguments of; without it, that of the image."""
    env: Environment | None = None
    """Variables. `8080`, `0.5` and `true` are taken as written; quote what can be read in several ways (`'0644'`)."""
    env_file: Files | None = None
    """Files of `NAME=value` lines, read by `offerer push`, relative to the service file. Later ones go over earlier,
    `env` over all. What is in them is not secret."""
    secrets: Annotated[dict[SecretName, SecretSpec], BeforeValidator(_by_name)] | None = None
    """Values that nothing shows, by name: `store`, or where else they come from and go to."""
    volumes: list[Volume] | None = None
    """Directories of the host and named volumes, `HOST:CONTAINER[:ro]`. The executor's `--allow mounts` says which
    directories."""
    tmpfs: list[TmpfsMount] | None = None
    """File systems in memory, `PATH[:size=SIZE]`."""
    health: ProbeSpec | None = None
    """Both probes in one."""
    readiness: ProbeSpec | None = None
    """Whether it can serve: what updates and dependants wait for."""
    liveness: ProbeSpec | None = None
    """Whether it still works: it is restarted where not."""
    labels: Labels | None = None
    """Put on the container."""
    working_dir: Text | None = None
    """Of the process; without it, that of the image."""
    user: Text | None = None
    """`name`, `uid` or `uid:gid`; without it, that of the image."""
    pull: Literal["missing", "always", "never"] | None = None
    """When to pull the image; without it, when it is missing."""
    init: bool | None = None
    """A small init as process 1, which reaps orphans and passes signals on."""
    stop_signal: Signal | None = None
    """How it is asked to stop; without it, `SIGTERM`."""
    cap_add: list[Capability] | None = None
    """Capabilities on top of the engine's default. Those that come to being privileged need the executor's `--allow
    privileged`."""
    cap_drop: list[Capability] | None = None
    """Capabilities less; `ALL` is all."""
    devices: list[DevicePath] | None = None
    """Devices of the host, `DEVICE[:IN_THE_CONTAINER[:rwm]]`. The executor's `--allow devices` says which."""
    privileged: bool | None = None
    """Everything a process on the host could. Needs the executor's `--allow privileged`."""
    read_only: bool | None = None
    """The root file system cannot be written to."""
    ulimits: dict[UlimitName, UlimitValue] | None = None
    """Limits of the kernel: a number, or soft and hard; -1 is no limit."""
    pids_limit: Annotated[int, Field(ge=1)] | None = None
    """Processes and threads at most."""
    logging: LoggingSpec | None = None
    """Where the output goes."""


class LimitSpec(Part):
    """How much of what its task takes one of several containers may use."""

    cpus: Cpus | None = None
    """Cores, of those of the task; without it, all of them."""
    memory: Memory | None = None
    """Of that of the task; without it, all of it."""


class StepSettings(ContainerSettings):
    """One of several containers of a task: of a pod, or an init step."""

    resources: LimitSpec | None = None
    """How much of the task's resources it may use."""
