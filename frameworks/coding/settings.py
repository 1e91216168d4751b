"""How a container runs, as a service file says it: the fields of one container, its ports, resources and probes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from frameworks.coding.values import (
    Argument,
    Cpus,
    Duration,
    Environment,
    Labels,
    Memory,
    Name,
    Port,
    PortOrName,
    Signal,
    Size,
    Text,
    UrlPath,
    Volume,
)


class Part(BaseModel):
    """Anything with fields: unknown ones are refused, and no value is taken for another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PortSpec(Part):
    """A port. Without `host`, a free host port of the offer; without `container`, the same as the host port."""

    container: Port | None = None
    host: Port | None = None
    name: Name | None = None
    protocol: Literal["tcp", "udp"] = "tcp"


class ResourceSpec(Part):
    """What one task takes; memory and cpus are its limits too."""

    cpus: Cpus = 0.1
    memory: Memory = 128 << 20
    disk: Size = 0
    gpus: Annotated[int, Field(ge=0, le=10_000)] = 0


class ProbeSpec(Part):
    """A question to the running container; `port` is a number in the container or the name of one of its ports."""

    http: UrlPath | None = None
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


class ContainerSettings(Part):
    """How one container runs."""

    image: Text | None = None
    command: list[Argument] | None = None
    env: Environment | None = None
    volumes: list[Volume] | None = None
    health: ProbeSpec | None = None
    readiness: ProbeSpec | None = None
    liveness: ProbeSpec | None = None
    labels: Labels | None = None
    working_dir: Text | None = None
    user: Text | None = None
    pull: Literal["missing", "always", "never"] | None = None
    stop_signal: Signal | None = None
