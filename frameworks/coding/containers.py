"""From the settings of a service file to container specs: what can be said before a launch, and what only at one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from frameworks.coding.names import environment_in
from frameworks.coding.settings import ProbeSpec, ResourceSpec, SecretSpec, StepSettings
from frameworks.coding.values import parse_device, parse_duration, parse_tmpfs, parse_ulimit, parse_volume
from offerer import ContainerSpec, Mount, NotFound, PortMapping, Probe, Resources, Secret

_AS_THEY_ARE: Final = (
    "image", "env", "labels", "working_dir", "user", "pull", "stop_signal", "init", "privileged", "read_only",
    "pids_limit", "hostname", "extra_hosts", "sysctls", "shm_size",
)  # fmt: skip
_LISTS: Final = ("command", "entrypoint", "cap_add", "cap_drop", "networks", "dns", "dns_search")

SecretValue = Callable[[str, int], str]
"""The value of a secret, by its name in the store and version. Raises `NotFound`."""


def no_secrets(stored_as: str, _version: int) -> str:
    """For frameworks that keep none."""
    raise NotFound(f"there is no secret {stored_as}")


@dataclass(frozen=True, slots=True)
class SecretPlan:
    """A secret that a container is given."""

    name: str
    """What the container calls it."""
    stored_as: str
    version: int
    """Which value; 0 is the newest there is."""
    target: str = ""
    env: str = ""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """What of a container can only be said at its launch."""

    readiness: ProbeSpec | None = None
    liveness: ProbeSpec | None = None
    secrets: tuple[SecretPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a service file does not say itself: whose it is, and the versions of secrets it was pushed with."""

    service: str = ""
    """With its environment: ``core@staging``."""
    versions: Mapping[str, int] | None = None

    def stored_as(self, name: str, secret: SecretSpec) -> str:
        """The name in the store of a secret of this service."""
        _, at, environment = self.service.partition("@")
        if secret.file is not None:
            return f"{self.service}:{secret.file}"
        return f"{secret.store or name}{at}{environment}"


NOWHERE: Final = Surroundings()


def plan_container(given: Mapping[str, Any], around: Surroundings) -> tuple[ContainerSpec, dict[str, PartPlan]]:
    """The containers of a task with these settings; and by name, "" for the whole, what is left for the launch."""
    container, part = _one(given, around)
    parts = {"": part}
    nested: dict[str, tuple[ContainerSpec, ...]] = {"containers": (), "init_steps": ()}
    for field in nested:
        for name, settings in (given.get(field) or {}).items():
            own, parts[name] = _one(_own(given, settings), around)
            limit = settings.resources
            amounts = Resources.of(cpus=(limit and limit.cpus) or 0, memory=(limit and limit.memory) or 0)
            nested[field] += (replace(own, name=name, cpus=amounts.cpus, memory=amounts.memory),)
    if nested["containers"]:
        container = replace(container, env={})  # it went to each of them
    times = {name: parse_duration(given[name]) for name in ("stop_grace", "shutdown_delay") if name in given}
    container = replace(container, **times)  # type: ignore[arg-type]
    host_network = given.get("network_mode") == "host"
    return replace(container, host_network=host_network, **nested), parts  # type: ignore[arg-type]


def _own(given: Mapping[str, Any], settings: StepSettings) -> dict[str, Any]:
    """The settings of one container of several. The `env` of the task is for all of a pod, each one's own goes over it.

    An init step in front of a single container has nothing of that one.
    """
    own = {name: value for name, value in settings if value is not None}
    if given.get("containers"):
        own["env"] = {**given.get("env", {}), **own.get("env", {})}
    return own


def _one(given: Mapping[str, Any], around: Surroundings) -> tuple[ContainerSpec, PartPlan]:
    fields: dict[str, Any] = {name: given[name] for name in _AS_THEY_ARE if name in given}
    fields |= {name: tuple(given[name]) for name in _LISTS if name in given}
    for name, parse in (("volumes", parse_volume), ("tmpfs", parse_tmpfs), ("devices", parse_device)):
        if name in given:
            fields[name] = tuple(parse(each) for each in given[name])
    fields["volumes"] = tuple(_volume(each, around.service) for each in fields.get("volumes", ()))
    fields["ulimits"] = tuple(parse_ulimit(name, value) for name, value in given.get("ulimits", {}).items())
    logging = given.get("logging")
    if logging is not None:
        fields["log_driver"], fields["log_options"] = logging.driver or "", logging.options or {}
        if logging.size is not None:
            fields["log_size"] = logging.size
    both = given.get("health")
    secrets = tuple(_secret(name, secret, around) for name, secret in given.get("secrets", {}).items())
    part = PartPlan(given.get("readiness") or both, given.get("liveness") or both, secrets)
    return ContainerSpec(**fields), part


def _volume(mount: Mount, service: str) -> Mount:
    """A named volume is that of the environment, so that a copy of a service does not share the data of the other."""
    named = not mount.source.startswith("/")
    environment = environment_in(service)
    return replace(mount, source=f"{mount.source}_{environment}") if named and environment else mount


def _secret(name: str, secret: SecretSpec, around: Surroundings) -> SecretPlan:
    stored_as = around.stored_as(name, secret)
    version = (around.versions or {}).get(stored_as, 0)
    return SecretPlan(name, stored_as, version, secret.target or "", secret.env or "")


def resources_of(given: Mapping[str, Any]) -> ResourceSpec:
    """What the task takes. Where it does not say and each container of its pod does, that is their sum."""
    found = given.get("resources") or ResourceSpec()
    parts = (given.get("containers") or {}).values()
    sums: dict[str, float] = {}
    for name in ("cpus", "memory"):
        amounts: list[Any] = [getattr(part.resources, name, None) for part in parts]
        if name not in found.model_fields_set and amounts and None not in amounts:
            sums[name] = sum(amounts)
    return found.model_copy(update=sums)


# -- at the launch --------------------------------------------------------------------------------------------


def fill_in(
    container: ContainerSpec,
    parts: Mapping[str, PartPlan],
    ports: Sequence[PortMapping],
    env: Mapping[str, str],
    value: SecretValue,
) -> ContainerSpec:
    """The containers of a task with these host ports, these variables below their own, and the values of secrets."""

    def filled(each: ContainerSpec) -> ContainerSpec:
        part = parts[each.name]
        return replace(
            each,
            env={} if each.containers else {**env, **each.env},
            readiness=_probe(part.readiness, ports),
            liveness=_probe(part.liveness, ports),
            secrets=tuple(
                Secret(each.name, value(each.stored_as, each.version), each.target, each.env) for each in part.secrets
            ),
            containers=tuple(map(filled, each.containers)),
            init_steps=tuple(map(filled, each.init_steps)),
        )

    return replace(filled(container), ports=tuple(ports))


def _probe(spec: ProbeSpec | None, ports: Sequence[PortMapping]) -> Probe | None:
    if spec is None:
        return None
    asks, number = spec.asks, 0
    if isinstance(asks, int):
        number = asks
    elif not spec.command:
        number = next(port.container for port in ports if asks in (None, port.name))
    return Probe(
        http=spec.http or "",
        port=number,
        command=tuple(spec.command or ()),
        interval=parse_duration(spec.interval),
        timeout=parse_duration(spec.timeout),
        failures=spec.failures,
        successes=spec.successes,
        grace=parse_duration(spec.grace),
    )
