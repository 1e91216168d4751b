"""The container spec of a task: what a framework asks of an executor, as one checked record.

It travels as JSON bytes that the master never opens. `to_bytes` and `from_bytes` are exact inverses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from offerer.errors import InvalidSpec
from offerer.types import SECOND, Time

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
class ContainerSpec:
    """One container. CPU and memory limits come from the task's resources, not from here."""

    image: str = ""
    """Reference of the image; empty only for runtimes without images (``process``, ``fake``)."""
    command: tuple[str, ...] = ()
    """Arguments; empty runs what the image says. Handed over as they are, never through a shell."""
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortMapping, ...] = ()
    volumes: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """For people and tools: shown by inspect, put on the container."""
    working_dir: str = ""
    user: str = ""
    pull: str = "missing"
    """When to pull the image: ``missing``, ``always`` or ``never``."""
    stop_signal: str = "SIGTERM"
    stop_grace: Time = 10 * SECOND

    def to_bytes(self) -> bytes:
        """JSON, keys sorted, defaults left out: equal specs give equal bytes."""
        default = asdict(_DEFAULT)
        changed = {key: value for key, value in asdict(self).items() if value != default[key]}
        return json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(spec: bytes) -> ContainerSpec:
        """The spec of these bytes, validated. Raises `InvalidSpec` naming field, value and fix."""
        return _parse(spec)


_DEFAULT = ContainerSpec()


@lru_cache(maxsize=4096)  # replicas of one job share their spec byte for byte
def _parse(spec: bytes) -> ContainerSpec:
    try:
        raw = json.loads(spec or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidSpec(f"the task's spec is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise InvalidSpec(f"the task's spec is {type(raw).__name__}, it must be a JSON object")
    unknown = set(raw) - set(ContainerSpec.__dataclass_fields__)
    if unknown:
        raise InvalidSpec(f"spec: unknown field {min(unknown)!r}; this executor may be older than the framework")
    try:
        container = ContainerSpec(
            **{
                **raw,
                "command": tuple(_string("command", part) for part in _list("command", raw)),
                "ports": tuple(PortMapping(**port) for port in _list("ports", raw)),
                "volumes": tuple(Mount(**mount) for mount in _list("volumes", raw)),
            }
        )
    except TypeError as error:
        raise InvalidSpec(f"spec: {error}") from None
    return check_container(container)


def check_container(container: ContainerSpec) -> ContainerSpec:
    """The spec itself, or `InvalidSpec` naming the first field that is wrong, its value and the fix."""
    for name in ("image", "working_dir", "user", "stop_signal"):
        _string(name, getattr(container, name))
    for name in ("env", "labels"):
        mapping = getattr(container, name)
        if not isinstance(mapping, Mapping) or not all(
            isinstance(key, str) and isinstance(value, str) for key, value in mapping.items()
        ):
            raise InvalidSpec(f"spec.{name}: {mapping!r} must map strings to strings; quote numbers")
        for text in (*mapping, *mapping.values()):
            _string(name, text)
    for key in container.env:
        if not _ENV_NAME.fullmatch(key):
            raise InvalidSpec(f"spec.env: {key!r} is not a variable name; use letters, digits and '_'")
    _check_ports_and_volumes(container)
    if container.pull not in ("missing", "always", "never"):
        raise InvalidSpec(f"spec.pull: {container.pull!r} must be missing, always or never")
    if not isinstance(container.stop_grace, int) or container.stop_grace < 0:
        raise InvalidSpec(f"spec.stop_grace: {container.stop_grace!r} must be microseconds, 0 or more")
    return container


def _check_ports_and_volumes(container: ContainerSpec) -> None:
    for port in container.ports:
        for side, number in (("container", port.container), ("host", port.host)):
            if not isinstance(number, int) or not 1 <= number <= 65535:
                raise InvalidSpec(f"spec.ports.{side}: {number!r} must be a port from 1 to 65535")
        _string("ports.name", port.name)
        if port.protocol not in ("tcp", "udp"):
            raise InvalidSpec(f"spec.ports.protocol: {port.protocol!r} must be tcp or udp")
    for mount in container.volumes:
        if not _string("volumes.target", mount.target).startswith("/"):
            raise InvalidSpec(f"spec.volumes.target: {mount.target!r} must be an absolute path in the container")
        if ".." in _string("volumes.source", mount.source).split("/"):
            raise InvalidSpec(f"spec.volumes.source: {mount.source!r} must not contain '..'")


def _list(name: str, raw: Mapping[str, Any]) -> list[Any]:
    value = raw.get(name, [])
    if not isinstance(value, list):
        raise InvalidSpec(f"spec.{name}: {value!r} must be a list")
    return value


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidSpec(f"spec.{name}: {value!r} must be a string; quote it")
    if "\0" in value or not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidSpec(f"spec.{name}: {value!r} must not contain a NUL character or half a surrogate pair")
    return value
