"""Start real Docker engines of our own: each with its own directory, socket and bridge, so that several run at once.

    with running_engine() as engine:
        engine.import_busybox("busybox:1")
        docker.APIClient(engine.url)

Needs root and the packages docker.io, iproute2 and busybox-static. No network and no iptables rules: published ports
are reached through the engine's own proxy. As a command, ``python -m tests.engine`` starts one and prints its address
until it is interrupted.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import docker
import docker.errors
import psutil

PACKAGES: Final = "apt-get install docker.io iproute2 busybox-static"
_START_WITHIN: Final = 60.0
_STOP_WITHIN: Final = 30.0
_APPLETS: Final = tuple(
    "sh sleep echo cat httpd wget nc true false env ls dd seq kill id hostname df awk touch grep mv mkdir stty".split()
)


def missing() -> str:
    """Why no engine can be started here, with what helps; empty where one can."""
    if os.geteuid() != 0:
        return "an engine needs root"
    for program in ("dockerd", "ip", "busybox"):
        if _program(program) is None:
            return f"{program} is not installed: {PACKAGES}"
    return ""


class Engine:
    """One ``dockerd``. `url` is for the Docker SDK and ``DOCKER_HOST``; it stays the same over a restart."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"unix://{directory}/docker.sock"
        self._bridge = f"of{secrets.token_hex(4)}"
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the end of its log."""
        if not _has_interface(self._bridge):
            _run("ip", "link", "add", self._bridge, "type", "bridge")
            _run("ip", "addr", "add", f"{_free_network()[1]}/24", "dev", self._bridge)
            _run("ip", "link", "set", self._bridge, "up")
        arguments = {
            "--host": self.url,
            "--data-root": f"{self.directory}/data",
            "--exec-root": f"{self.directory}/exec",
            "--pidfile": f"{self.directory}/pid",
            "--bridge": self._bridge,
            "--iptables": "false",
            "--ip6tables": "false",
            "--ip-masq": "false",
        }
        with (self.directory / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [str(_program("dockerd")), *(f"{name}={value}" for name, value in arguments.items())],
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C does not end it before its containers
            )
        deadline = time.monotonic() + _START_WITHIN
        while not self.answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd does not start:\n{self._end_of_log()}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it answers now. (Asked without the SDK, which leaks a socket wherever it cannot connect.)"""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(self.url.removeprefix("unix://"))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(64)
            except OSError:
                return False

    def client(self) -> contextlib.closing[docker.APIClient]:
        """Its API, to be used in a ``with`` statement."""
        return contextlib.closing(docker.APIClient(self.url, version="auto"))

    def halt(self, *, kill: bool = False) -> None:
        """End the daemon; without `kill`, it stops its containers. `start` starts it again."""
        if self._daemon is None:
            return
        self._daemon.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self._daemon.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        self._daemon = None
        self._end_containerd()

    def destroy(self) -> None:
        """End it and all of its containers, and remove every trace."""
        if self.answers():
            with contextlib.suppress(docker.errors.DockerException), self.client() as client:
                for container in client.containers(all=True):
                    client.remove_container(container["Id"], force=True)
        self.halt()
        self._end_leftovers()
        for mount in sorted(_mounts_below(self.directory), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        if _has_interface(self._bridge):
            _run("ip", "link", "del", self._bridge)
        shutil.rmtree(self.directory, ignore_errors=True)

    def import_busybox(self, *references: str, command: tuple[str, ...] = ("sh",)) -> None:
        """Make an image of the static busybox, under these names; no registry is asked."""
        with self.client() as client:
            for reference in references:
                repository, _, tag = reference.rpartition(":")
                client.import_image_from_data(
                    _busybox_tar(), repository=repository, tag=tag, changes=[f"CMD {list(command)}".replace("'", '"')]
                )

    def _end_containerd(self) -> None:
        """A killed engine's containerd dies with it; a new engine would wait for it as long as its pid is there."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            containerd = psutil.Process(int((self.directory / "exec/containerd/containerd.pid").read_text()))
            containerd.kill()
            deadline = time.monotonic() + _STOP_WITHIN
            while containerd.is_running() and time.monotonic() < deadline:
                time.sleep(0.02)

    def _end_leftovers(self) -> None:
        """After a kill the daemon's containerd and the containers' shims live on; all name our directory."""
        for process in psutil.process_iter(["cmdline"]):
            if str(self.directory) in " ".join(process.info["cmdline"] or ()) and process.pid != os.getpid():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def _end_of_log(self) -> str:
        return "\n".join((self.directory / "log").read_text(errors="replace").splitlines()[-15:])


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine in a temporary directory, gone at the end whatever happens. Raises RuntimeError."""
    reason = missing()
    if reason:
        raise RuntimeError(reason)
    engine = Engine(Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp")))  # short: it holds sockets
    try:
        engine.start()
        yield engine
    finally:
        engine.destroy()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")


def _run(name: str, *arguments: str) -> None:
    subprocess.run([str(_program(name)), *arguments], check=True, capture_output=True)


def _has_interface(name: str) -> bool:
    return name in psutil.net_if_addrs()


def _free_network() -> ipaddress.IPv4Network:
    """A /24 that no interface of this machine is in."""
    taken = [
        ipaddress.ip_address(each.address)
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family.name == "AF_INET"
    ]
    while True:
        network = ipaddress.IPv4Network(f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(256)}.0/24")
        if not any(address in network for address in taken):
            return network


def _mounts_below(directory: Path) -> list[str]:
    mounts = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    return [mount for mount in mounts if mount.startswith(f"{directory}/")]


def _busybox_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(str(_program("busybox")), "bin/busybox")
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "etc", "proc", "sys", "dev"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(directory)
    return buffer.getvalue()


def main() -> None:
    """Run one engine until interrupted; the first line on stdout is its address."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt), running_engine() as engine:
        engine.import_busybox("busybox:1")
        print(engine.url, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
