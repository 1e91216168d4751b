"""Carries out the probes that go over the network: GET or connect, from this host, within the probe's time-out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from executor.health import what_is_asked
from offerer.containers import ContainerSpec, Probe
from offerer.types import SECOND

Answered = Callable[[str], None]
"""Takes what is wrong; empty where nothing is."""

_LONGEST_ANSWER: Final = 200


class Prober:
    """The probes under way. To be made within the event loop that it belongs to."""

    def __init__(self) -> None:
        self._asking: set[asyncio.Task[None]] = set()

    def ask(self, probe: Probe, answer: Coroutine[Any, Any, str], answered: Answered) -> None:
        """Await an answer for as long as the probe allows, then tell it."""
        task = asyncio.create_task(_within(probe, answer, answered))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Give up those under way; nobody is told."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)


async def _within(probe: Probe, answer: Coroutine[Any, Any, str], answered: Answered) -> None:
    try:
        problem = await asyncio.wait_for(answer, probe.timeout / SECOND)
    except TimeoutError:
        problem = f"no answer within {probe.timeout / SECOND:g} s"
    except OSError as error:
        problem = error.strerror or str(error)
    answered(problem)


def where_to_ask(spec: ContainerSpec, probe: Probe, address: str) -> tuple[str, int]:
    """Host and port to reach the probe's port at: that of the container where it has an `address` of its own, since
    the engine's proxy accepts connections to a published port whether anything listens behind it or not.
    """
    if address:
        return address, probe.port
    published = (port.host for port in spec.ports if port.container == probe.port and port.protocol == "tcp")
    return "127.0.0.1", next(published, probe.port)


async def ask_network(address: str, port: int, probe: Probe) -> str:
    """What is wrong, or nothing. Raises OSError; takes as long as the other side does."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        if not probe.http:
            return ""
        lines = (f"GET {probe.http} HTTP/1.1", f"Host: {address}:{port}", "User-Agent: offerer", "Connection: close")
        writer.write("\r\n".join((*lines, "", "")).encode())
        status = await reader.readline()
    except ValueError:  # a line without an end
        status = b""
    finally:
        writer.close()
    words = status.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return f"{what_is_asked(probe)}: the answer is not HTTP"
    return "" if 200 <= int(words[1]) < 400 else f"status {int(words[1])}"


def answer_of_command(exit_code: int, output: bytes) -> str:
    """What is wrong: the exit code of a probe's command, and the end of what it wrote."""
    if exit_code == 0:
        return ""
    said = " ".join(output.decode(errors="replace").split())[-_LONGEST_ANSWER:]
    return f"exit code {exit_code}" + (f" ({said})" if said else "")
