"""Commands in containers that run, files to and from containers, and what containers use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from executor.docker.client import Clients, our_errors
from executor.docker.hijack import framed_output, open_stream, raw_output
from executor.pool import Pool
from executor.prober import answer_of_command
from executor.runtime import CommandOptions, Input, Inputs, LogChunk, TerminalSize
from executor.streams import LogReader, Stream
from offerer import clock
from offerer.errors import InvalidInput, Unavailable

T = TypeVar("T")

_KEPT_OUTPUT: Final = 1 << 12
_LAST_WORDS: Final = 1.0
"""Seconds for what a command that has ended wrote last to arrive."""
_PIECES_AHEAD: Final = 16


class Sessions:
    """`container` is always the engine's id or name of one. All raise `NotFound` or `Unavailable`."""

    silence: float = 5.0
    """Seconds without output after which to ask the engine whether a command still runs."""

    def __init__(self, clients: Clients, pool: Pool) -> None:
        self._clients = clients
        self._pool = pool

    async def probe(self, container: str, command: Sequence[str]) -> str:
        """Run a probe's command: what is wrong, or nothing.

        The engine has no way to end a command: one that is given up runs on.
        """
        output = b""
        code = 1
        options = CommandOptions(tuple(command))
        async with contextlib.aclosing(self.run(container, options, no_input())) as items:
            async for item in items:
                if isinstance(item, int):
                    code = item
                else:
                    output = (output + item.data)[-_KEPT_OUTPUT:]
        return answer_of_command(code, output)

    async def run(
        self, container: str, options: CommandOptions, inputs: Inputs
    ) -> AsyncGenerator[LogChunk | int, None]:
        """Run a command in the container: its output, and in the end its exit code."""
        session = await self._ask(lambda: self._create(container, options))
        version = await self._ask(lambda: self._clients.get().api_version)
        body = {"Detach": False, "Tty": options.tty}
        reader, writer = await open_stream(self._clients.url, f"/v{version}/exec/{session}/start", body)
        feeding = asyncio.create_task(self._feed(session, writer, inputs, options.size))
        try:
            output = raw_output(reader) if options.tty else framed_output(reader)
            async with contextlib.aclosing(self._while_it_runs(session, output)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except OSError as error:
            raise Unavailable(f"the Docker engine: {error.strerror or error}") from None
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            writer.close()
        code = (await self._ask(lambda: self._clients.get().exec_inspect(session)))["ExitCode"]
        yield 0 if code is None else int(code)

    async def _while_it_runs(
        self, session: str, output: AsyncGenerator[LogChunk, None]
    ) -> AsyncGenerator[LogChunk, None]:
        """The output, also where the engine never ends it: it may not, where the container ends meanwhile."""
        while True:
            upcoming = asyncio.ensure_future(anext(output, None))
            try:
                while not (await asyncio.wait([upcoming], timeout=self.silence))[0]:
                    if not await self._runs(session) and not (await asyncio.wait([upcoming], timeout=_LAST_WORDS))[0]:
                        return
            finally:
                if not upcoming.done():
                    upcoming.cancel()
                    await asyncio.gather(upcoming, return_exceptions=True)
            chunk = upcoming.result()
            if chunk is None:
                return
            yield chunk

    async def _runs(self, session: str) -> bool:
        return bool((await self._ask(lambda: self._clients.get().exec_inspect(session)))["Running"])

    def _create(self, container: str, options: CommandOptions) -> str:
        made: dict[str, str] = self._clients.get().exec_create(
            container,
            list(options.command),
            stdin=options.stdin,
            tty=options.tty,
            user=options.user,
            workdir=options.working_dir or None,
        )
        return made["Id"]

    async def _feed(
        self, session: str, writer: asyncio.StreamWriter, inputs: Inputs, size: TerminalSize | None
    ) -> None:
        if size is not None:
            await self._resize(session, size)
        with contextlib.suppress(OSError):  # it does not read any more
            async for given in inputs:
                if given.size is not None:
                    await self._resize(session, given.size)
                if given.data:
                    writer.write(given.data)
                    await writer.drain()
                if given.end:
                    writer.write_eof()

    async def _resize(self, session: str, size: TerminalSize) -> None:
        with contextlib.suppress(Unavailable):  # it has just ended
            await self._ask(lambda: self._clients.get().exec_resize(session, size.rows, size.columns))

    async def copy_from(self, container: str, path: str) -> AsyncGenerator[LogChunk, None]:
        """A file or directory of the container as a tar stream."""
        reader = LogReader(lambda: self._archive(container, path))
        async with contextlib.aclosing(reader.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    def _archive(self, container: str, path: str) -> Stream[LogChunk]:
        with our_errors():
            client = self._clients.make()
            try:
                pieces, _ = client.get_archive(container, path)
            except BaseException:
                client.close()
                raise

        def chunks() -> Iterator[LogChunk]:
            with contextlib.closing(client), our_errors():
                for piece in pieces:
                    yield LogChunk(False, piece)

        return _Closing(chunks(), client.close)

    async def copy_into(self, container: str, path: str, inputs: Inputs) -> None:
        """Unpack a tar stream into a directory of the container."""
        pieces: queue.Queue[bytes | None] = queue.Queue(_PIECES_AHEAD)

        def put() -> None:
            with our_errors(), contextlib.closing(self._clients.make()) as client:
                client.put_archive(container, path, iter(pieces.get, None))

        upload = asyncio.create_task(asyncio.to_thread(put))

        async def give(piece: bytes | None) -> None:
            while not upload.done():
                with contextlib.suppress(queue.Full):
                    return pieces.put_nowait(piece)
                await asyncio.sleep(0.01)

        ended = False
        try:
            async for given in inputs:
                if given.data:
                    await give(given.data)
                if given.end or upload.done():
                    ended = True
                    break
        finally:
            await give(None)
        await upload
        if not ended:
            raise InvalidInput("copy: the stream of files ended too early")

    async def usage(self, container: str) -> bytes:
        """What the container uses now, as JSON."""
        return json.dumps(await self._ask(lambda: self._usage(container))).encode()

    def _usage(self, container: str) -> dict[str, Any]:
        client = self._clients.get()
        stats = client.stats(container, stream=False, one_shot=True)
        top = client.top(container, "-eo pid,user,pcpu,rss,args")
        memory = stats["memory_stats"]
        networks = (stats.get("networks") or {}).values()
        details = memory.get("stats", {})
        cache = details.get("inactive_file", details.get("total_inactive_file", 0))
        return {
            "at": clock.now(),
            "cpu_time": stats["cpu_stats"]["cpu_usage"]["total_usage"] // 1000,
            "memory": max(0, memory.get("usage", 0) - cache),
            "memory_limit": memory.get("limit", 0),
            "pids": stats.get("pids_stats", {}).get("current", 0),
            "received": sum(each["rx_bytes"] for each in networks),
            "sent": sum(each["tx_bytes"] for each in networks),
            "processes": [
                {"pid": int(pid), "user": user, "cpu": float(cpu), "memory": int(rss) << 10, "command": command}
                for pid, user, cpu, rss, command in top["Processes"]
            ],
        }

    async def _ask(self, work: Callable[[], T]) -> T:
        with our_errors():
            return await self._pool.run(work)


async def no_input() -> AsyncGenerator[Input, None]:
    """Nothing at all."""
    nothing: tuple[Input, ...] = ()
    for never in nothing:
        yield never


class _Closing:
    """An iterator that ends when another thread closes what it reads from."""

    def __init__(self, pieces: Iterator[LogChunk], close: Callable[[], None]) -> None:
        self._pieces = pieces
        self.close = close

    def __iter__(self) -> Iterator[LogChunk]:
        return self._pieces
