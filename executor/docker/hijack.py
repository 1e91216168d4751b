"""A raw stream with the engine: what HTTP's upgrade leaves of the connection over which a command was started.

Not by the SDK, which reads ahead: what a command writes at once can be lost in its buffer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from executor.runtime import LogChunk
from offerer.errors import InvalidInput, Unavailable

_BLOCK: Final = 1 << 16
_FRAME_HEADER: Final = 8
_STDERR: Final = 2


async def open_stream(
    url: str, path: str, body: Mapping[str, Any]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """POST `body` as JSON to this path of the engine, and the stream that follows. Raises `Unavailable`."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            reader, writer = await asyncio.open_unix_connection(parts.path)
        elif parts.scheme in ("tcp", "http") and parts.hostname:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 2375)
        else:
            raise InvalidInput(f"docker host {url!r}: commands need a unix:// or tcp:// address")
    except OSError as error:
        raise Unavailable(f"the Docker engine: {error.strerror or error}") from None
    data = json.dumps(body).encode()
    lines = (f"POST {path} HTTP/1.1", "Host: docker", "Content-Type: application/json", f"Content-Length: {len(data)}")
    writer.write("\r\n".join((*lines, "Connection: Upgrade", "Upgrade: tcp", "", "")).encode() + data)
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        if head[0].split()[1] in (b"101", b"200"):
            return reader, writer
        said = (await reader.read(_BLOCK)).decode(errors="replace").strip()
    except (OSError, asyncio.IncompleteReadError) as error:
        said = str(error)
    writer.close()
    raise Unavailable(f"the Docker engine: {said}")


async def raw_output(reader: asyncio.StreamReader) -> AsyncGenerator[LogChunk, None]:
    """What a command on a terminal writes: one stream, as it comes."""
    while block := await reader.read(_BLOCK):
        yield LogChunk(False, block)


async def framed_output(reader: asyncio.StreamReader) -> AsyncGenerator[LogChunk, None]:
    """What a command without a terminal writes, in the engine's frames that say on which output."""
    try:
        while True:
            header = await reader.readexactly(_FRAME_HEADER)
            yield LogChunk(header[0] == _STDERR, await reader.readexactly(int.from_bytes(header[4:], "big")))
    except asyncio.IncompleteReadError:
        return
