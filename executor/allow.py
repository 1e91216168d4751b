"""What this host lets containers have of it: the executor's ``--allow``. Pure.

Without ``--allow``, containers may mount any directory and use any device of the host, but may not be privileged.
With it, they may have what it names and nothing else::

    --allow mounts=/data,mounts=/srv,devices=/dev/fuse     these, and what is below them
    --allow mounts,devices,privileged                      everything
    --allow none                                           nothing
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from executor.spec import parts
from offerer.containers import ContainerSpec
from offerer.errors import InvalidInput, InvalidSpec

_EVERYWHERE: Final = ("/",)
_POWERFUL: Final = frozenset(
    {"ALL", "BPF", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE",
     "SYS_PTRACE", "SYS_RAWIO"}
)  # fmt: skip
"""Capabilities with which a container can take over its host: those count as privileged."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Directories and devices that may be used, with all below them, and whether containers may be privileged."""

    mounts: tuple[str, ...] = _EVERYWHERE
    devices: tuple[str, ...] = _EVERYWHERE
    privileged: bool = False

    def check(self, spec: ContainerSpec) -> None:
        """Raise `InvalidSpec` for the first thing that a container of this spec may not have here."""
        for part in parts(spec):
            for mount in part.volumes:
                if mount.source.startswith("/") and not _below(mount.source, self.mounts):
                    raise _refused(part, "volumes.source", mount.source, f"mounts={mount.source}")
            for device in part.devices:
                if not _below(device.source, self.devices):
                    raise _refused(part, "devices.source", device.source, f"devices={device.source}")
            powerful = _POWERFUL & {name.removeprefix("CAP_") for name in part.cap_add}
            if powerful and not self.privileged:
                raise _refused(part, "cap_add", min(powerful), "privileged")
            if part.privileged and not self.privileged:
                raise _refused(part, "privileged", "true", "privileged")


ALLOWED_BY_DEFAULT: Final = Allowed()


def parse_allowed(texts: Iterable[str]) -> Allowed:
    """What ``--allow`` says. Raises `InvalidInput`."""
    words = [word.strip() for text in texts for word in text.split(",")]
    if not words:
        return ALLOWED_BY_DEFAULT
    paths: dict[str, list[str]] = {"mounts": [], "devices": []}
    privileged = False
    for word in words:
        kind, equals, path = word.partition("=")
        if kind in paths and (path.startswith("/") if equals else True) and ".." not in path.split("/"):
            paths[kind].append(path or "/")
        elif word == "privileged":
            privileged = True
        elif word != "none":
            raise InvalidInput(
                f"--allow: {word!r} is not one of privileged, mounts[=/PATH], devices[=/PATH] and none"
            )
    return Allowed(tuple(paths["mounts"]), tuple(paths["devices"]), privileged)


def _below(path: str, allowed: Iterable[str]) -> bool:
    return any(each == "/" or f"{path.rstrip('/')}/".startswith(f"{each.rstrip('/')}/") for each in allowed)


def _refused(part: ContainerSpec, field: str, value: str, option: str) -> InvalidSpec:
    where = f"spec.{part.name}.{field}" if part.name else f"spec.{field}"
    return InvalidSpec(
        f"{where}: {value} is not allowed on this host; "
        f"choose another host, or start its executor with --allow {option}"
    )
