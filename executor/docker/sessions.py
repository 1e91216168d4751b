"""Commands in containers that run."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any, Final

import docker.errors

from executor.docker.client import AWAY, Clients, words
from executor.inspection import log_frames
from executor.prober import answer_of_command
from offerer.containers import Probe
from offerer.types import SECOND

_KEPT_OUTPUT: Final = 1 << 12


def ask_command(clients: Clients, container: str, probe: Probe) -> str:
    """Run a probe's command, and say what is wrong, or nothing. Blocks no longer than the probe allows.

    The engine has no way to end a command: one that takes too long runs on.
    """
    client = clients.get()
    deadline = time.monotonic() + probe.timeout / SECOND
    try:
        session = client.exec_create(container, list(probe.command))["Id"]
        with contextlib.closing(client.exec_start(session, socket=True)) as stream:
            output = _read_until(stream, deadline)
        code = client.exec_inspect(session)["ExitCode"]
    except TimeoutError:
        return f"no answer within {probe.timeout / SECOND:g} s"
    except (docker.errors.DockerException, *AWAY) as error:
        return words(error)
    return answer_of_command(1 if code is None else code, output)


def _read_until(stream: Any, deadline: float) -> bytes:
    """What comes on both outputs until their end. Raises TimeoutError."""
    connection: socket.socket = stream._sock
    output = b""

    def read(n: int) -> bytes:
        whole = b""
        while len(whole) < n:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            piece = connection.recv(n - len(whole))
            if not piece:
                break
            whole += piece
        return whole

    for chunk in log_frames(read):
        output = (output + chunk.data)[-_KEPT_OUTPUT:]
    return output
