"""What makes a container spec wrong, each in one sentence that names field, value and fix. Pure.

Checked here is what no executor could accept; what only one executor cannot give, that one refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from offerer.errors import InvalidSpec

if TYPE_CHECKING:
    from offerer.containers import ContainerSpec, Probe

_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?")
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_VOLUME_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_ULIMIT_NAME: Final = re.compile(r"[a-z]+")
_CAPABILITY: Final = re.compile(r"(CAP_)?[A-Z][A-Z_]+")
_STRINGS: Final = (
    "image", "working_dir", "user", "stop_signal", "hostname", "log_driver", "name", "pull",
)  # fmt: skip
_LISTS: Final = ("command", "entrypoint", "networks", "dns", "dns_search", "cap_add", "cap_drop")
_MAPPINGS: Final = ("env", "labels", "extra_hosts", "sysctls", "log_options")
_FLAGS: Final = ("host_network", "privileged", "read_only", "init")
_AMOUNTS: Final = {
    "stop_grace": "microseconds", "shutdown_delay": "microseconds",
    "shm_size": "bytes", "pids_limit": "a count", "log_size": "bytes",
    "cpus": "milli-CPUs", "memory": "bytes",
}  # fmt: skip
_LARGEST: Final = 1 << 62
_NOT_OF_A_POD: Final = (
    "image", "command", "entrypoint", "env", "secrets", "volumes", "tmpfs", "working_dir", "user", "cap_add",
    "cap_drop", "devices", "privileged", "read_only", "init", "ulimits", "pids_limit", "log_driver", "log_options",
)  # fmt: skip
_OF_THE_POD: Final = (
    "ports", "hostname", "networks", "host_network", "extra_hosts", "dns", "dns_search", "sysctls", "shm_size",
    "containers", "init_steps",
)  # fmt: skip


def check(spec: ContainerSpec) -> None:
    """Raise `InvalidSpec` for the first thing that is wrong."""
    _check_kinds(spec)
    for key in spec.env:
        if not _ENV_NAME.fullmatch(key):
            raise InvalidSpec(f"spec.env: {key!r} is not a variable name; use letters, digits and '_'")
    if spec.pull not in ("missing", "always", "never"):
        raise InvalidSpec(f"spec.pull: {spec.pull!r} must be missing, always or never")
    _check_ports(spec)
    _check_files(spec)
    _check_secrets(spec)
    _check_network(spec)
    _check_privileges(spec)
    for name, probe in (("readiness", spec.readiness), ("liveness", spec.liveness)):
        if probe is not None:
            _check_probe(f"spec.{name}", probe)
    _check_pod(spec)


def _check_kinds(spec: ContainerSpec) -> None:
    for name in _STRINGS:
        _string(name, getattr(spec, name))
    for name in _LISTS:
        for part in getattr(spec, name):
            _string(name, part)
    for name in _MAPPINGS:
        mapping = getattr(spec, name)
        if not isinstance(mapping, Mapping) or not all(
            isinstance(key, str) and isinstance(value, str) for key, value in mapping.items()
        ):
            raise InvalidSpec(f"spec.{name}: {mapping!r} must map strings to strings; quote numbers")
        for text in (*mapping, *mapping.values()):
            _string(name, text)
    for name in _FLAGS:
        _flag(name, getattr(spec, name))
    for name, unit in _AMOUNTS.items():
        _amount(name, getattr(spec, name), unit)


def _check_ports(spec: ContainerSpec) -> None:
    for port in spec.ports:
        for side, number in (("container", port.container), ("host", port.host)):
            _port(f"spec.ports.{side}", number)
        _string("ports.name", port.name)
        if port.protocol not in ("tcp", "udp"):
            raise InvalidSpec(f"spec.ports.protocol: {port.protocol!r} must be tcp or udp")
        if spec.host_network and port.container != port.host:
            raise InvalidSpec(
                f"spec.ports: {port.container} cannot be published as {port.host} with host_network, where a port is "
                "the host's own; give the same number twice"
            )


def _check_files(spec: ContainerSpec) -> None:
    targets: list[str] = []
    for mount in spec.volumes:
        targets.append(_path("volumes.target", mount.target))
        source = _string("volumes.source", mount.source)
        if ".." in source.split("/"):
            raise InvalidSpec(f"spec.volumes.source: {source!r} must not contain '..'")
        if not source.startswith("/") and not _VOLUME_NAME.fullmatch(source):
            raise InvalidSpec(
                f"spec.volumes.source: {source!r} must be an absolute path of the host, or the name of a volume "
                "(letters, digits, '_', '.', '-')"
            )
        _flag("volumes.read_only", mount.read_only)
    for tmpfs in spec.tmpfs:
        targets.append(_path("tmpfs.target", tmpfs.target))
        _amount("tmpfs.size", tmpfs.size, "bytes")
    for device in spec.devices:
        _path("devices.source", device.source)
        if device.target:
            _path("devices.target", device.target)
        if not isinstance(device.permissions, str) or not device.permissions or set(device.permissions) - set("rwm"):
            raise InvalidSpec(f"spec.devices.permissions: {device.permissions!r} must be letters of rwm")
    twice = _twice(targets)
    if twice:
        raise InvalidSpec(f"spec.volumes: two things are mounted on {twice!r}; keep one")
    if spec.working_dir:
        _path("working_dir", spec.working_dir)


def _check_secrets(spec: ContainerSpec) -> None:
    for secret in spec.secrets:
        name = _string("secrets.name", secret.name)
        if not _SECRET_NAME.fullmatch(name):
            raise InvalidSpec(f"spec.secrets.name: {name!r} must be letters, digits, '_', '.' and '-'")
        if not isinstance(secret.value, str) or "\0" in secret.value and secret.env:  # never show the value
            raise InvalidSpec(f"spec.secrets: the value of {name!r} must be a string without NUL characters")
        _string("secrets.target", secret.target)
        if _string("secrets.env", secret.env) and not _ENV_NAME.fullmatch(secret.env):
            raise InvalidSpec(f"spec.secrets.env: {secret.env!r} is not a variable name; use letters, digits and '_'")
        if secret.env and secret.target:
            raise InvalidSpec(f"spec.secrets: {name!r} has both a target and an env; keep one")
        if secret.target and _path("secrets.target", secret.target).endswith("/"):
            raise InvalidSpec(f"spec.secrets.target: {secret.target!r} must be the path of a file")
        if secret.env in spec.env:
            raise InvalidSpec(f"spec.secrets.env: {secret.env!r} is in env too; keep one")
    twice = _twice(secret.env or secret.target or f"/run/secrets/{secret.name}" for secret in spec.secrets)
    if twice:
        raise InvalidSpec(f"spec.secrets: two secrets go to {twice!r}; keep one")


def _check_network(spec: ContainerSpec) -> None:
    if spec.host_network and spec.networks:
        raise InvalidSpec(f"spec.networks: {list(spec.networks)} cannot be had with host_network; keep one of the two")
    if spec.host_network and spec.hostname:
        raise InvalidSpec(f"spec.hostname: {spec.hostname!r} cannot be had with host_network; leave it out")
    if spec.hostname and not _HOST_NAME.fullmatch(spec.hostname):
        raise InvalidSpec(f"spec.hostname: {spec.hostname!r} must be letters, digits, '-' and '.', at most 63")
    for network in spec.networks:
        if not _VOLUME_NAME.fullmatch(network) or network in ("host", "none"):
            hint = "write host_network" if network == "host" else "name a network of the engine"
            raise InvalidSpec(f"spec.networks: {network!r} cannot be joined; {hint}")
    for name, address in spec.extra_hosts.items():
        if not _HOST_NAME.fullmatch(name) or not address:
            raise InvalidSpec(f"spec.extra_hosts: {name!r}: {address!r} must map a host name to an address")


def _check_privileges(spec: ContainerSpec) -> None:
    for field, names in (("cap_add", spec.cap_add), ("cap_drop", spec.cap_drop)):
        for name in names:
            if not _CAPABILITY.fullmatch(name):
                raise InvalidSpec(f"spec.{field}: {name!r} is not a capability, for example NET_ADMIN")
    for limit in spec.ulimits:
        if not isinstance(limit.name, str) or not _ULIMIT_NAME.fullmatch(limit.name):
            raise InvalidSpec(f"spec.ulimits.name: {limit.name!r} is not a limit, for example nofile")
        for side, number in (("soft", limit.soft), ("hard", limit.hard)):
            if type(number) is not int or number < -1:
                raise InvalidSpec(f"spec.ulimits.{side}: {number!r} must be a count, or -1 for no limit")
        if limit.hard != -1 and not -1 < limit.soft <= limit.hard:
            raise InvalidSpec(f"spec.ulimits: {limit.name} has soft {limit.soft} above hard {limit.hard}")


def _check_probe(field: str, probe: Probe) -> None:
    for name, text in (("http", probe.http), *(("command", part) for part in probe.command)):
        if not isinstance(text, str) or "\0" in text:
            raise InvalidSpec(f"{field}.{name}: {text!r} must be a string; quote it")
    if probe.command and (probe.http or probe.port):
        raise InvalidSpec(f"{field}: it has both a command and a port; keep one")
    if not probe.command:
        _port(f"{field}.port", probe.port)
    if probe.http and (not probe.http.startswith("/") or not probe.http.isprintable() or " " in probe.http):
        raise InvalidSpec(f"{field}.http: {probe.http!r} must be a path, for example /healthz")
    for name, number in (("interval", probe.interval), ("timeout", probe.timeout)):
        if type(number) is not int or not 100_000 <= number < _LARGEST:
            raise InvalidSpec(f"{field}.{name}: {number!r} must be microseconds, 100000 (0.1 s) or more")
    for name, number in (("failures", probe.failures), ("successes", probe.successes)):
        if type(number) is not int or not 1 <= number < _LARGEST:
            raise InvalidSpec(f"{field}.{name}: {number!r} must be a count, 1 or more")
    if type(probe.grace) is not int or not 0 <= probe.grace < _LARGEST:
        raise InvalidSpec(f"{field}.grace: {probe.grace!r} must be microseconds, 0 or more")


def _check_pod(spec: ContainerSpec) -> None:
    if spec.containers:
        for name in _NOT_OF_A_POD:
            if getattr(spec, name):
                raise InvalidSpec(f"spec.{name}: it belongs to one of the pod's containers; move it there")
    inner = (*(("containers", each) for each in spec.containers), *(("init_steps", each) for each in spec.init_steps))
    names: list[str] = []
    for field, each in inner:
        if not _NAME.fullmatch(_string(f"{field}.name", each.name)):
            raise InvalidSpec(f"spec.{field}.name: {each.name!r} must be lower-case letters, digits and '-'")
        names.append(each.name)
        where = f"spec.{field}.{each.name}"
        for name in _OF_THE_POD:
            if getattr(each, name):
                raise InvalidSpec(f"{where}.{name}: it belongs to the whole task; move it there")
        if field == "init_steps" and (each.readiness or each.liveness):
            raise InvalidSpec(f"{where}: an init step runs to its end; it takes no probes")
        try:
            check(each)
        except InvalidSpec as error:
            raise InvalidSpec(str(error).replace("spec", where, 1)) from None
    twice = _twice(names)
    if twice:
        raise InvalidSpec(f"spec.containers: the name {twice!r} is given twice; choose another")


def _twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _port(field: str, number: object) -> None:
    if type(number) is not int or not 1 <= number <= 65535:
        raise InvalidSpec(f"{field}: {number!r} must be a port from 1 to 65535")


def _amount(name: str, value: object, unit: str) -> None:
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise InvalidSpec(f"spec.{name}: {value!r} must be {unit}, 0 or more")


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidSpec(f"spec.{name}: {value!r} must be true or false")


def _path(name: str, value: object) -> str:
    path = _string(name, value)
    if not path.startswith("/") or ".." in path.split("/"):
        where = "on the host" if name == "devices.source" else "in the container"
        raise InvalidSpec(f"spec.{name}: {path!r} must be an absolute path {where}")
    return path


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidSpec(f"spec.{name}: {value!r} must be a string; quote it")
    if "\0" in value or not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidSpec(f"spec.{name}: {value!r} must not contain a NUL character or half a surrogate pair")
    return value
