"""The container spec of a task: what a framework asks of an executor, as one checked record.

It travels as JSON bytes that the master never opens. `to_bytes` and `from_bytes` are exact inverses. What makes a spec
wrong is in `offerer.container_checks`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from offerer import container_checks as checks
from offerer.errors import InvalidSpec
from offerer.types import SECOND, Time

REDACTED: Final = "***"
"""What stands in place of a secret's value wherever a spec is shown."""


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the container published on a host port (which the task must hold in its resources)."""

    container: int
    host: int
    protocol: str = "tcp"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the host (absolute path) or a named volume, seen inside the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A file system in memory, empty at every start. `size` in bytes; 0 is half of the host's memory."""

    target: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that nothing shows: a file in the container, or a variable where `env` names one."""

    name: str
    value: str
    target: str = ""
    """Path of the file; empty is ``/run/secrets/NAME``."""
    env: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the host, for example ``/dev/fuse``."""

    source: str
    target: str = ""
    """Its path in the container; empty is the same."""
    permissions: str = "rwm"
    """Any of read, write and make (mknod)."""


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of the kernel, for example ``nofile``. -1 is no limit."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to a running container. With `http` it is GET of that path on `port`, with `command` that command in
    the container; with only a `port`, whether something accepts connections there.

    An answer of status 200 to 399, exit code 0, or a connection is a success.
    """

    http: str = ""
    port: int = 0
    """The port in the container."""
    command: tuple[str, ...] = ()
    interval: Time = 5 * SECOND
    timeout: Time = 2 * SECOND
    failures: int = 3
    """So many in a row, and it counts as failed."""
    successes: int = 1
    """So many in a row, and it counts as passed."""
    grace: Time = 10 * SECOND
    """Failures during this time after the start count for nothing, unless there was a success."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container, or with `containers` a pod. CPU and memory limits come from the task's resources."""

    image: str = ""
    """Reference of the image; empty only for runtimes without images (``process``, ``fake``) and pods."""
    command: tuple[str, ...] = ()
    """Arguments; empty runs what the image says. Handed over as they are, never through a shell."""
    entrypoint: tuple[str, ...] = ()
    """What `command` are the arguments of; empty is the image's."""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    volumes: tuple[Mount, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """For people and tools: shown by inspect, put on the container."""
    working_dir: str = ""
    user: str = ""
    pull: str = "missing"
    """When to pull the image: ``missing``, ``always`` or ``never``."""
    stop_signal: str = "SIGTERM"
    stop_grace: Time = 10 * SECOND
    shutdown_delay: Time = 0
    """How long it goes on serving after it was asked to stop, until the signal: so long it may take to get about."""

    readiness: Probe | None = None
    """Whether it can serve: reported as `TaskStatus.healthy`, and nothing else."""
    liveness: Probe | None = None
    """Whether it still works: once this has failed, the executor stops the task (FAILED, ``UNHEALTHY``)."""

    hostname: str = ""
    networks: tuple[str, ...] = ()
    """Networks of the engine by name; empty is its default bridge."""
    host_network: bool = False
    """The host's own network: ports are the host's, there is nothing to publish."""
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    """Host names and their addresses, for ``/etc/hosts``."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    """Capabilities, for example ``NET_ADMIN``; ``ALL`` is all of them."""
    devices: tuple[Device, ...] = ()
    privileged: bool = False
    """Only where the executor's ``--allow`` lets it."""
    read_only: bool = False
    """The root file system cannot be written to."""
    init: bool = False
    """A small init as process 1, which reaps orphans and passes signals on."""
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shm_size: int = 0
    """Bytes of ``/dev/shm``; 0 is the engine's default, 64 MiB."""
    pids_limit: int = 0
    """Processes and threads at most; 0 is no limit."""

    log_driver: str = ""
    """The engine's default where empty."""
    log_options: Mapping[str, str] = field(default_factory=dict)
    log_size: int = 50 << 20
    """Bytes of output that are kept, with drivers that keep files (``json-file``, ``local``); 0 is no limit."""

    containers: tuple[ContainerSpec, ...] = ()
    """A pod: these share network, IPC and PID namespaces, start in order, and live and die together. The first holds
    the namespaces. Of the spec around them count what is shared: ports, networks, names, labels, probes, stop_grace,
    shutdown_delay."""
    init_steps: tuple[ContainerSpec, ...] = ()
    """Of a pod or a single container: each runs to its end, with exit code 0, before the next and the rest start."""
    name: str = ""
    """Of a container in a pod, or of an init step."""
    cpus: int = 0
    """Of a container in a pod: milli-CPUs, of those of the task, that it may use at most; 0 is all."""
    memory: int = 0
    """The same for bytes of memory."""

    def to_bytes(self) -> bytes:
        """JSON, keys sorted, defaults left out: equal specs give equal bytes."""
        return json.dumps(_plain(self), sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(spec: bytes) -> ContainerSpec:
        """The spec of these bytes, validated. Raises `InvalidSpec` naming field, value and fix."""
        return _parse(spec)

    def redacted(self) -> ContainerSpec:
        """The same with the values of secrets hidden: what may be shown."""
        if not (self.secrets or self.containers or self.init_steps):
            return self
        return replace(
            self,
            secrets=tuple(replace(secret, value=REDACTED) for secret in self.secrets),
            containers=tuple(each.redacted() for each in self.containers),
            init_steps=tuple(each.redacted() for each in self.init_steps),
        )


_DEFAULT = ContainerSpec()
_FIELDS = tuple(ContainerSpec.__dataclass_fields__)
_NESTED: Final = ("containers", "init_steps")
_RECORDS: Final[Mapping[str, type[Any]]] = {
    "ports": PortMapping,
    "volumes": Mount,
    "tmpfs": Tmpfs,
    "secrets": Secret,
    "devices": Device,
    "ulimits": Ulimit,
}


def _plain(container: ContainerSpec) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(container, name)
        if value == getattr(_DEFAULT, name):
            continue
        if name in _NESTED:
            value = [_plain(each) for each in value]
        elif name in _RECORDS:
            value = [_flat(each) for each in value]
        elif isinstance(value, Probe):
            value = _flat(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        changed[name] = value
    return changed


def _flat(record: Any) -> dict[str, Any]:
    """The fields of a record that holds no others; `dataclasses.asdict` would copy each deeply, ten times slower."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@lru_cache(maxsize=4096)  # replicas of one job share their spec byte for byte
def _parse(spec: bytes) -> ContainerSpec:
    try:
        raw = json.loads(spec or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidSpec(f"the task's spec is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise InvalidSpec(f"the task's spec is {type(raw).__name__}, it must be a JSON object")
    return check_container(_read(raw))


def _read(raw: Mapping[str, Any]) -> ContainerSpec:
    unknown = set(raw) - set(_FIELDS)
    if unknown:
        raise InvalidSpec(f"spec: unknown field {min(unknown)!r}; this executor may be older than the framework")
    values = dict(raw)
    for name, value in raw.items():
        default = getattr(_DEFAULT, name)
        if isinstance(default, tuple):
            if not isinstance(value, list):
                raise InvalidSpec(f"spec.{name}: {value!r} must be a list")
            values[name] = tuple(_element(name, each) for each in value)
        elif name in ("readiness", "liveness") and value is not None:
            values[name] = _probe(name, value)
    return ContainerSpec(**values)


def _element(name: str, value: Any) -> Any:
    record = _RECORDS.get(name)
    if record is None and name not in _NESTED:
        return value
    if not isinstance(value, dict):
        raise InvalidSpec(f"spec.{name}: {value!r} must be an object")
    if record is None:
        return _read(value)
    try:
        return record(**value)
    except TypeError as error:
        raise InvalidSpec(f"spec.{name}: {_lacking(error)}") from None


def _probe(name: str, value: Any) -> Probe:
    if not isinstance(value, dict) or not isinstance(value.get("command", []), list):
        raise InvalidSpec(f"spec.{name}: {value!r} must be an object, and its command a list")
    try:
        return Probe(**{**value, "command": tuple(value.get("command", ()))})
    except TypeError as error:
        raise InvalidSpec(f"spec.{name}: {_lacking(error)}") from None


def _lacking(error: TypeError) -> str:
    """``missing 1 required positional argument: 'host'``, without the name of the class."""
    return str(error).partition("() ")[2]


def check_container(container: ContainerSpec) -> ContainerSpec:
    """The spec itself, or `InvalidSpec` naming the first field that is wrong, its value and the fix."""
    checks.check(container)
    return container
