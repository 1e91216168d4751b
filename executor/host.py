"""What there is on this machine, and who this host is: its id, its address, its resources."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from offerer.errors import InvalidInput, Unavailable
from offerer.ids import HostId
from offerer.resources import Resources, parse_ports

DEFAULT_PORTS: Final = "1-32767"
"""Outside the range from which Linux picks ports for outgoing connections (32768-60999)."""


def default_state_dir() -> Path:
    """Where an executor keeps its host id unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/offerer/executor")
    return Path.home() / ".local" / "state" / "offerer" / "executor"


@contextmanager
def hold_state_dir(directory: Path) -> Iterator[HostId]:
    """This host's id, made up the first time; while held, no other executor can use the directory.

    Raises `InvalidInput` where the directory cannot be used, `Unavailable` where another executor uses it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInput(
            f"state directory {directory}: {error.strerror}; name one that can be written with --state-dir"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(
                f"state directory {directory}: another executor uses it; stop that one, "
                "or name another directory with --state-dir"
            ) from None
        yield _host_id(directory / "host_id")
    finally:
        os.close(lock)


def _host_id(path: Path) -> HostId:
    if path.exists():
        known = path.read_text().strip()
        if known:
            return HostId(known)
    made_up = secrets.token_hex(8)
    new = path.with_suffix(".new")
    new.write_text(f"{made_up}\n")
    new.replace(path)
    return HostId(made_up)


def total_resources(named: str, directory: Path) -> Resources:
    """The host's resources: what `named` says ("cpus=8;ports=31000-32000"), and of the rest what the machine has.

    Disk is that of the file system of `directory`, or of its nearest parent that exists. Raises `InvalidInput`.
    """
    given = Resources.parse(named)
    names = {part.partition("=")[0].strip() for part in named.split(";")}
    while not directory.exists():
        directory = directory.parent
    return Resources(
        given.cpus if "cpus" in names else (psutil.cpu_count() or 1) * 1000,
        given.memory if "memory" in names else psutil.virtual_memory().total,
        given.disk if "disk" in names else psutil.disk_usage(str(directory)).total,
        given.gpus,
        given.counts,
        given.ports if "ports" in names else parse_ports(DEFAULT_PORTS),
    )


def own_address(master: str) -> str:
    """The IPv4 address at which others reach ports of this machine: the one it reaches `master` (HOST:PORT) from.

    With the master on this very machine it is not the loopback address, which inside a container is the container.
    """
    for target in (master.rpartition(":")[0].strip("[]"), "192.0.2.1"):  # the second: whatever the default route says
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))  # of a datagram socket: looks up the route, sends nothing
                address: str = probe.getsockname()[0]
        except OSError:
            continue
        if not address.startswith("127."):
            return address
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family == socket.AF_INET and not each.address.startswith("127."):
                return each.address
    return "127.0.0.1"
