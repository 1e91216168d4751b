"""Commands in containers, where the engine does not do as it should: an engine of a few lines that never ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from executor.docker.client import Clients
from executor.docker.sessions import Sessions, no_input
from executor.pool import Pool
from executor.runtime import CommandOptions, LogChunk

OUTPUT = b"last words"


class Engine:
    """Starts any command, says something, and then only that it has ended: never ends the output."""

    def __init__(self) -> None:
        self.code = 137

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length:")), 0)
                await reader.readexactly(length)
                if "/start" in head:
                    frame = b"\1\0\0\0" + len(OUTPUT).to_bytes(4, "big") + OUTPUT
                    writer.write(b"HTTP/1.1 101 UPGRADED\r\n\r\n" + frame)
                    await reader.read()
                    break
                body = json.dumps(self.answer(head)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def answer(self, head: str) -> dict[str, object]:
        if "/version" in head:
            return {"ApiVersion": "1.41"}
        return {"Id": "s1"} if head.startswith("POST") else {"Running": False, "ExitCode": self.code}


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[Sessions]:
    server = await asyncio.start_unix_server(Engine().serve, tmp_path / "engine.sock")
    clients, pool = Clients(f"unix://{tmp_path}/engine.sock"), Pool(2, "engine")
    try:
        yield Sessions(clients, pool)
    finally:
        await pool.close()
        clients.close()
        server.close()
        await server.wait_closed()


async def test_a_command_whose_output_the_engine_never_ends_ends_all_the_same(sessions: Sessions) -> None:
    sessions.silence = 0.05
    async with asyncio.timeout(20):
        items = [item async for item in sessions.run("c", CommandOptions(("true",)), no_input())]
    assert items == [LogChunk(False, OUTPUT), 137]
