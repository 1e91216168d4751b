"""From a task's spec and resources to the settings of its container. Pure.

What is published where, how much it may use, which variables it sees, and the labels from which a restarted executor
knows its tasks again: the engine is the checkpoint.
"""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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
STOP: Final = "offerer.stop"
GROUP: Final = "offerer.group"
_OURS: Final = frozenset({CLUSTER, HOST, FRAMEWORK, TASK, RESOURCES, SPEC, STOP})

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
    if spec.stop_signal != "SIGTERM":
        signal_number(spec.stop_signal)


def signal_number(name: str) -> int:
    """The number of ``SIGTERM`` or ``TERM``. Raises `InvalidSpec` for what is no signal."""
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    except KeyError:
        raise InvalidSpec(f"spec.stop_signal: {name!r} is not a signal; write for example SIGTERM or SIGINT") from None


# -- what a task is given ------------------------------------------------------------------------------------------


def environment(task: Task, host: Host) -> dict[str, str]:
    """The variables of a task: who and where it is, the host ports it has, and over those what its spec says."""
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
    variables.update(task.spec.env)
    return variables


def labels(task: Task, host: Host) -> dict[str, str]:
    """The container's labels: those of the spec, and those by which the executor adopts it."""
    taken = _OURS & task.spec.labels.keys()
    if taken:
        raise InvalidSpec(f"spec.labels: {min(taken)!r} is set by the executor; choose another name")
    return {
        **task.spec.labels,
        CLUSTER: host.cluster,
        HOST: host.id,
        FRAMEWORK: task.framework_id,
        TASK: task.task_id,
        RESOURCES: _exact(task.resources),
        SPEC: hashlib.sha256(task.spec.to_bytes()).hexdigest()[:16],
        STOP: f"{task.spec.stop_signal} {task.spec.stop_grace}",
        GROUP: group_of(task),
    }


def group_of(task: Task) -> str:
    """The job whose ended containers are counted together for retention."""
    return task.spec.labels.get(GROUP) or task.framework_id


def container_name(key: TaskKey, host: Host) -> str:
    """``framework.task.hash``: for people to read, legal for the engine, and the same for the same task only."""
    digest = hashlib.sha256("\0".join((host.cluster, host.id, *key)).encode()).hexdigest()[:8]
    framework, task = (_NOT_IN_A_NAME.sub("-", part).strip("-._") for part in key)
    return f"{framework[:40] or 'framework'}.{task[:80] or 'task'}.{digest}"


def create_arguments(task: Task, host: Host, engine_cpus: int) -> dict[str, Any]:
    """Arguments of the engine's create call, ``host_config`` as those of its own helper.

    `engine_cpus` is how many CPUs the engine has: it refuses limits above, which limit nothing. Raises `InvalidSpec`.
    """
    spec = task.spec
    if not spec.image:
        raise InvalidSpec("spec.image: '' must name an image; only the process runtime does without")
    arguments: dict[str, Any] = {
        "image": spec.image,
        "name": container_name(task.key, host),
        "labels": labels(task, host),
        "environment": environment(task, host),
        "ports": [(port.container, port.protocol) for port in spec.ports],
        "stop_signal": spec.stop_signal,  # the executor stops it itself; these are for the engine's own end
        "stop_timeout": -(-spec.stop_grace // SECOND),
        "host_config": {
            "port_bindings": _port_bindings(spec),
            "binds": [_bind(mount) for mount in spec.volumes],
            **_limits(task.resources, engine_cpus),
        },
    }
    if spec.command:
        arguments["command"] = list(spec.command)
    if spec.working_dir:
        arguments["working_dir"] = spec.working_dir
    if spec.user:
        arguments["user"] = spec.user
    return arguments


def _limits(resources: Resources, engine_cpus: int) -> dict[str, int]:
    limits: dict[str, int] = {}
    if resources.cpus:
        limits["nano_cpus"] = min(max(resources.cpus, _LEAST_CPUS), engine_cpus * 1000) * 1_000_000
    if resources.memory:
        if resources.memory < _LEAST_MEMORY:
            raise InvalidSpec(f"resources.memory: {resources.memory} bytes is less than a container needs; give 6MiB")
        limits["mem_limit"] = limits["memswap_limit"] = resources.memory  # the same: no swap on top
    return limits


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
    missing = [name for name in (FRAMEWORK, TASK, RESOURCES, STOP) if name not in found]
    if missing:
        raise InvalidInput(f"the container's labels lack {missing[0]}: it was not made by this executor")
    task = Task((FrameworkId(found[FRAMEWORK]), TaskId(found[TASK])), Resources.parse(found[RESOURCES]))
    stop_signal, _, grace = found[STOP].partition(" ")
    task.spec = ContainerSpec(
        stop_signal=stop_signal,
        stop_grace=int(grace) if grace.isdigit() else 10 * SECOND,
        labels={GROUP: found.get(GROUP, "")},
    )
    return task


def _exact(resources: Resources) -> str:
    """What `Resources.parse` reads back without loss (`str` rounds memory to a tenth of a unit)."""
    parts = [f"cpus={format_cpus(resources.cpus)}", f"memory={resources.memory}", f"disk={resources.disk}"]
    parts.append(f"gpus={resources.gpus}")
    parts.extend(f"{name}={n}" for name, n in resources.counts)
    if resources.ports:
        parts.append(f"ports={format_ports(resources.ports)}")
    return ";".join(parts)
