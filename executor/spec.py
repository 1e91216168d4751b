"""From a task's spec and resources to the settings of its container. Pure.

What is published where, how much it may use, which variables it sees, and the labels from which a restarted executor
knows its tasks again: the engine is the checkpoint.
"""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from executor.records import Task, TaskKey
from offerer.containers import ContainerSpec, Mount
from offerer.errors import InvalidInput, InvalidSpec
from offerer.ids import FrameworkId, HostId, TaskId
from offerer.resources import MIB, Resources, format_cpus, format_ports
from offerer.types import SECOND

CLUSTER: Final = "offerer.cluster"
HOST: Final = "offerer.host"
FRAMEWORK: Final = "offerer.framework"
TASK: Final = "offerer.task"
RESOURCES: Final = "offerer.resources"
SPEC: Final = "offerer.spec"
KEPT: Final = "offerer.kept"
GROUP: Final = "offerer.group"
CONTAINER: Final = "offerer.container"
SECRET: Final = "offerer.secret"
GPUS: Final = "offerer.gpus"
_OURS: Final = frozenset({CLUSTER, HOST, FRAMEWORK, TASK, RESOURCES, SPEC, KEPT, CONTAINER, SECRET, GPUS})
_KEPT_FIELDS: Final = (
    "name", "ports", "host_network", "stop_signal", "stop_grace", "shutdown_delay", "readiness", "liveness",
)  # fmt: skip
_LOG_FILES: Final = ("json-file", "local")
_LOG_FILES_KEPT: Final = 5

_LEAST_MEMORY: Final = 6 * MIB  # the engine accepts no smaller limit
_LEAST_CPUS: Final = 10  # nor fewer milli-CPUs
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_.-]+")
_NOT_IN_A_VARIABLE: Final = re.compile(r"[^A-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Host:
    """What a task is told of its host, and what tells this executor's containers from those of others."""

    id: HostId
    name: str = "localhost"
    address: str = "127.0.0.1"
    cluster: str = "offerer"


def check_task(spec: ContainerSpec, resources: Resources) -> None:
    """Raise `InvalidSpec` where no runtime could accept it: what the framework must hold but does not, bad names."""
    for port in spec.ports:
        if not resources.has_port(port.host):
            raise InvalidSpec(
                f"spec.ports.host: {port.host} is not among the ports of the task's resources ({resources}); "
                "add it there, from the offer"
            )
    for part in parts(spec):
        if part.stop_signal != "SIGTERM":
            signal_number(part.stop_signal)
        for name, limit, amount in (("cpus", part.cpus, resources.cpus), ("memory", part.memory, resources.memory)):
            if limit > amount:
                raise InvalidSpec(
                    f"spec.{part.name or 'containers'}.{name}: {limit} is more than the task has ({resources}); "
                    "give it less, or the task more"
                )


def signal_number(name: str) -> int:
    """The number of ``SIGTERM`` or ``TERM``. Raises `InvalidSpec` for what is no signal."""
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    except KeyError:
        raise InvalidSpec(f"spec.stop_signal: {name!r} is not a signal; write for example SIGTERM or SIGINT") from None


# -- the containers of a task ----------------------------------------------------------------------------------------


def parts(spec: ContainerSpec) -> tuple[ContainerSpec, ...]:
    """The containers of a task in the order they start: its init steps, then those of the pod, or the only one."""
    return (*spec.init_steps, *main_parts(spec))


def main_parts(spec: ContainerSpec) -> tuple[ContainerSpec, ...]:
    """Those that run together, the one that holds the namespaces first."""
    return spec.containers or (spec,)


def container_name(key: TaskKey, host: Host, part: str = "") -> str:
    """``framework.task.hash[.part]``: for people to read, legal for the engine, and the same for the same task only."""
    digest = hashlib.sha256("\0".join((host.cluster, host.id, *key)).encode()).hexdigest()[:8]
    framework, task = (_NOT_IN_A_NAME.sub("-", part).strip("-._") for part in key)
    name = f"{framework[:40] or 'framework'}.{task[:80] or 'task'}.{digest}"
    return f"{name}.{part}" if part else name


# -- what a container is given ---------------------------------------------------------------------------------------


def environment(task: Task, host: Host, part: ContainerSpec | None = None) -> dict[str, str]:
    """The variables of a container: who and where it is, the host ports of its task, and over those what is asked."""
    part = part or task.spec
    variables = {
        "OFFERER_TASK_ID": task.task_id,
        "OFFERER_FRAMEWORK": task.framework_id,
        "OFFERER_HOST": host.name,
        "OFFERER_HOST_ADDRESS": host.address,
    }
    for index, port in enumerate(task.spec.ports):
        variables[f"PORT{index}"] = str(port.host)
        if port.name:
            variables[f"PORT_{_NOT_IN_A_VARIABLE.sub('_', port.name.upper())}"] = str(port.host)
    variables.update(part.env)
    variables.update((secret.env, secret.value) for secret in part.secrets if secret.env)
    return variables


def labels(task: Task, host: Host, part: ContainerSpec | None = None) -> dict[str, str]:
    """A container's labels: those that are asked, and those by which the executor adopts it."""
    part = part or task.spec
    asked = {**task.spec.labels, **part.labels}
    taken = _OURS & asked.keys()
    if taken:
        raise InvalidSpec(f"spec.labels: {min(taken)!r} is set by the executor; choose another name")
    ours = {
        CLUSTER: host.cluster,
        HOST: host.id,
        FRAMEWORK: task.framework_id,
        TASK: task.task_id,
        RESOURCES: _exact(task.resources),
        SPEC: hashlib.sha256(task.spec.redacted().to_bytes()).hexdigest()[:16],
        KEPT: _kept(task.spec).to_bytes().decode(),
        GROUP: group_of(task),
    }
    if part.name:
        ours[CONTAINER] = part.name
    if secret := [each.env for each in part.secrets if each.env]:
        ours[SECRET] = ",".join(secret)
    if task.gpus:
        ours[GPUS] = ",".join(map(str, task.gpus))
    return asked | ours


def group_of(task: Task) -> str:
    """The job whose ended containers are counted together for retention."""
    return task.spec.labels.get(GROUP) or task.framework_id


def own_directory(host: Host) -> str:
    """What an executor calls a directory of its own where several may run, each for a host, as in ``offerer dev``."""
    return hashlib.sha256("\0".join((host.cluster, host.id)).encode()).hexdigest()[:16]


class SecretFile(NamedTuple):
    """A file on the host that a container sees as `target`."""

    source: str
    target: str
    value: str


def secret_files(task: Task, host: Host, part: ContainerSpec, directory: str) -> list[SecretFile]:
    """The files to write for the secrets of a container, in a subdirectory of `directory` of its own."""
    own = f"{directory}/{container_name(task.key, host, part.name)}"
    return [
        SecretFile(f"{own}/{n}", each.target or f"/run/secrets/{each.name}", each.value)
        for n, each in enumerate(part.secrets)
        if not each.env
    ]


# -- as the engine wants it ------------------------------------------------------------------------------------------


class Engine(NamedTuple):
    """What has to be known of an engine to make a container with it."""

    cpus: int
    """It refuses limits above, which limit nothing."""
    log_driver: str = "json-file"
    """The one it uses unless told otherwise."""
    secrets: str = "/run/offerer/secrets"
    """The directory for the files of secrets."""


def create_arguments(task: Task, host: Host, engine: Engine, part: ContainerSpec | None = None) -> dict[str, Any]:
    """Arguments of the engine's create call for one container of the task, ``host_config`` as those of its own helper.

    Raises `InvalidSpec`.
    """
    part = part or task.spec
    if not part.image:
        raise InvalidSpec("spec.image: '' must name an image; only the process runtime does without")
    arguments: dict[str, Any] = {
        "image": part.image,
        "name": container_name(task.key, host, part.name),
        "labels": labels(task, host, part),
        "environment": environment(task, host, part),
        "stop_signal": part.stop_signal,  # the executor stops it itself; these are for the engine's own end
        "stop_timeout": -(-task.spec.stop_grace // SECOND),
        "host_config": _host_config(task, host, engine, part),
    }
    for name in ("command", "entrypoint"):
        if value := getattr(part, name):
            arguments[name] = list(value)
    for name in ("working_dir", "user"):
        if value := getattr(part, name):
            arguments[name] = value
    if _leads(task.spec, part):
        arguments["ports"] = [] if task.spec.host_network else [(p.container, p.protocol) for p in task.spec.ports]
        if task.spec.hostname:
            arguments["hostname"] = task.spec.hostname
    return arguments


def _leads(spec: ContainerSpec, part: ContainerSpec) -> bool:
    """Whether this container is the one whose namespaces the others of the pod share, or the only one."""
    return part is main_parts(spec)[0]


def _host_config(task: Task, host: Host, engine: Engine, part: ContainerSpec) -> dict[str, Any]:
    secrets = secret_files(task, host, part, engine.secrets)
    config: dict[str, Any] = {
        "binds": [*map(_bind, part.volumes), *(_bind(Mount(each.source, each.target, True)) for each in secrets)],
        **_limits(task, part, engine),
        **_namespaces(task, host, part),
        **_logging(part, engine),
    }
    for name in ("privileged", "read_only", "init"):
        if getattr(part, name):
            config[name] = True
    for name in ("cap_add", "cap_drop"):
        if value := getattr(part, name):
            config[name] = list(value)
    if part.tmpfs:
        config["tmpfs"] = {each.target: f"size={each.size}" if each.size else "" for each in part.tmpfs}
    if part.devices:
        config["devices"] = [f"{each.source}:{each.target or each.source}:{each.permissions}" for each in part.devices]
    if part.ulimits:
        config["ulimits"] = [{"Name": each.name, "Soft": each.soft, "Hard": each.hard} for each in part.ulimits]
    if task.gpus:
        config["device_requests"] = [{"DeviceIDs": [str(each) for each in task.gpus], "Capabilities": [["gpu"]]}]
    return config


def _limits(task: Task, part: ContainerSpec, engine: Engine) -> dict[str, int]:
    limits: dict[str, int] = {}
    cpus = part.cpus or task.resources.cpus
    memory = part.memory or task.resources.memory
    if cpus:
        limits["nano_cpus"] = min(max(cpus, _LEAST_CPUS), engine.cpus * 1000) * 1_000_000
    if memory:
        if memory < _LEAST_MEMORY:
            raise InvalidSpec(f"resources.memory: {memory} bytes is less than a container needs; give 6MiB")
        limits["mem_limit"] = limits["memswap_limit"] = memory  # the same: no swap on top
    if part.pids_limit:
        limits["pids_limit"] = part.pids_limit
    return limits


def _namespaces(task: Task, host: Host, part: ContainerSpec) -> dict[str, Any]:
    """Which network, IPC and PID namespaces the container has, and how its network is set up."""
    spec = task.spec
    leads = _leads(spec, part)
    if spec.containers and not leads and part in spec.containers:
        joined = f"container:{container_name(task.key, host, spec.containers[0].name)}"
        return {"network_mode": joined, "ipc_mode": joined, "pid_mode": joined}
    config: dict[str, Any] = {}
    if spec.host_network:
        config["network_mode"] = "host"
    elif spec.networks:
        config["network_mode"] = spec.networks[0]  # the others are joined before it is started
    if leads and not spec.host_network:
        config["port_bindings"] = _port_bindings(spec)
    if leads and spec.containers:
        config["ipc_mode"] = "shareable"
    if spec.extra_hosts:
        config["extra_hosts"] = dict(spec.extra_hosts)
    for name in ("dns", "dns_search"):
        if value := getattr(spec, name):
            config[name] = list(value)
    if spec.sysctls:
        config["sysctls"] = dict(spec.sysctls)
    if spec.shm_size:
        config["shm_size"] = spec.shm_size
    return config


def _logging(part: ContainerSpec, engine: Engine) -> dict[str, Any]:
    """Where the output goes; without a cap, one talkative task fills the host's disk."""
    driver = part.log_driver or engine.log_driver
    options = dict(part.log_options)
    if driver in _LOG_FILES and part.log_size and "max-size" not in options:
        size = max(1, part.log_size // _LOG_FILES_KEPT)
        options = {"max-size": str(size), "max-file": str(_LOG_FILES_KEPT)} | options
    if not options and not part.log_driver:
        return {}
    return {"log_config": {"Type": driver, "Config": options}}


def _port_bindings(spec: ContainerSpec) -> dict[str, list[int]]:
    bindings: dict[str, list[int]] = {}
    for port in spec.ports:
        bindings.setdefault(f"{port.container}/{port.protocol}", []).append(port.host)
    return bindings


def _bind(mount: Mount) -> str:
    for field, value in (("source", mount.source), ("target", mount.target)):
        if ":" in value or not value:
            raise InvalidSpec(f"spec.volumes.{field}: {value!r} must be a path without ':'")
    return f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"


# -- and back: what a restarted executor reads -----------------------------------------------------------------------


def filters(host: Host) -> list[str]:
    """The label conditions that only this executor's containers meet."""
    return [f"{CLUSTER}={host.cluster}", f"{HOST}={host.id}"]


def task_of(found: Mapping[str, str]) -> Task:
    """The task that a container with these labels was made for. Raises `InvalidInput` where they are not ours."""
    missing = [name for name in (FRAMEWORK, TASK, RESOURCES, KEPT) if name not in found]
    if missing:
        raise InvalidInput(f"the container's labels lack {missing[0]}: it was not made by this executor")
    task = Task((FrameworkId(found[FRAMEWORK]), TaskId(found[TASK])), Resources.parse(found[RESOURCES]))
    task.spec = replace(ContainerSpec.from_bytes(found[KEPT].encode()), labels={GROUP: found.get(GROUP, "")})
    task.gpus = tuple(int(each) for each in found.get(GPUS, "").split(",") if each)
    return task


def _kept(spec: ContainerSpec) -> ContainerSpec:
    """What a later executor must know of a spec to go on with its task."""
    kept = ContainerSpec(**{name: getattr(spec, name) for name in _KEPT_FIELDS})
    if not (spec.containers or spec.init_steps):
        return kept
    return replace(
        kept, containers=tuple(map(_kept, spec.containers)), init_steps=tuple(map(_kept, spec.init_steps))
    )


def _exact(resources: Resources) -> str:
    """What `Resources.parse` reads back without loss (`str` rounds memory to a tenth of a unit)."""
    parts = [f"cpus={format_cpus(resources.cpus)}", f"memory={resources.memory}", f"disk={resources.disk}"]
    parts.append(f"gpus={resources.gpus}")
    parts.extend(f"{name}={n}" for name, n in resources.counts)
    if resources.ports:
        parts.append(f"ports={format_ports(resources.ports)}")
    return ";".join(parts)
