"""How a probe is carried out over the network, and how far a pull is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from executor.docker.pulling import Progress
from executor.prober import Prober, answer_of_command, ask_network, where_to_ask
from offerer import ContainerSpec, PortMapping, Probe
from tests.processes import free_port


@asynccontextmanager
async def answering(answer: bytes, *, hang: bool = False) -> AsyncIterator[int]:
    """A server that reads a request, says this, and closes; or does not."""
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        if hang:
            await closing.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        closing.set()
        server.close()
        await server.wait_closed()


async def ask(port: int, probe: Probe) -> str:
    prober = Prober()
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    prober.ask(probe, ask_network("127.0.0.1", port, probe), answered.set_result)
    answer = await asyncio.wait_for(answered, 10)
    await prober.close()
    return answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nfine", ""),
        (b"HTTP/1.0 302 Found\r\n\r\n", ""),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (b"HTTP/1.1 503\r\n", "status 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "GET :80/ok: the answer is not HTTP"),
        (b"", "GET :80/ok: the answer is not HTTP"),
        (b"x" * 100_000, "GET :80/ok: the answer is not HTTP"),
    ],
)
async def test_answers_over_http(answer: bytes, problem: str) -> None:
    async with answering(answer) as port:
        assert await ask(port, Probe("/ok", 80)) == problem


async def test_no_answer() -> None:
    async with answering(b"", hang=True) as port:
        assert await ask(port, Probe("/ok", 80, timeout=200_000)) == "no answer within 0.2 s"
    assert "Connect call failed" in await ask(free_port(), Probe(port=80))


async def test_that_something_listens_is_enough_for_tcp() -> None:
    async with answering(b"") as port:
        assert await ask(port, Probe(port=80)) == ""


def test_where_a_probe_goes() -> None:
    spec = ContainerSpec(ports=(PortMapping(53, 31000, "udp"), PortMapping(80, 31001), PortMapping(53, 31002)))
    assert where_to_ask(spec, Probe(port=80), "172.17.0.2") == ("172.17.0.2", 80)
    assert where_to_ask(spec, Probe(port=53), "") == ("127.0.0.1", 31002)
    assert where_to_ask(spec, Probe(port=9), "") == ("127.0.0.1", 9)


def test_what_a_command_says() -> None:
    assert answer_of_command(0, b"whatever") == ""
    assert answer_of_command(3, b"") == "exit code 3"
    assert answer_of_command(3, b"no\n such\xff table\n") == "exit code 3 (no such\ufffd table)"
    assert answer_of_command(1, b"x" * 9999) == f"exit code 1 ({'x' * 200})"


def test_a_pull_tells_now_and_then_how_far_it_is() -> None:
    clock = [0.0]
    progress = Progress("web:1", lambda: clock[0])
    assert progress.add({"status": "Pulling from web", "id": "1"}) == ""
    for layer in "abc":
        progress.add({"status": "Pulling fs layer", "id": layer})
    clock[0] = 5.0
    downloading = {"current": 1 << 20, "total": 4 << 20}
    said = progress.add({"status": "Downloading", "id": "a", "progressDetail": downloading})
    assert said == "pulling image web:1: 0 of 3 layers, 1MiB of 4MiB"
    clock[0] = 9.9
    assert progress.add({"status": "Pull complete", "id": "a"}) == ""
    clock[0] = 10.0
    assert progress.add({"status": "Already exists", "id": "b"}).startswith("pulling image web:1: 2 of 3 layers")
