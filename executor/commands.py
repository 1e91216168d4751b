"""Commands beside the processes of the process runtime: in their directory, with their variables.

Files are copied with the ``tar`` of this machine: a task of the process runtime has no files of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import AsyncGenerator
from typing import Any, Final

import psutil

from executor.prober import answer_of_command
from executor.runtime import CommandOptions, Input, Inputs, LogChunk, TerminalSize
from executor.task_directory import Process
from offerer import clock
from offerer.errors import InvalidInput, NotFound, OffererError

_BLOCK: Final = 1 << 16
_CHUNKS_AHEAD: Final = 16


async def probe(main: Process, command: tuple[str, ...]) -> str:
    """Run a probe's command: what is wrong, or nothing. Raises OSError."""
    pipe = asyncio.subprocess.PIPE
    process = await _start(
        main, CommandOptions(command), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
        return answer_of_command(process.returncode or 0, output)
    finally:
        await _end(process)


async def run(main: Process, options: CommandOptions, inputs: Inputs) -> AsyncGenerator[LogChunk | int, None]:
    """Run a command: its output, and in the end its exit code. It ends with whoever listens."""
    if options.user:
        raise InvalidInput(f"user: {options.user!r} cannot be had from the process runtime; leave it out")
    started = _on_terminal(main, options, inputs) if options.tty else _on_pipes(main, options, inputs)
    try:
        async with contextlib.aclosing(started) as items:
            async for item in items:
                yield item
    except OSError as error:
        raise NotFound(f"{error.filename or options.command[0]}: {error.strerror}") from None


async def copy_from(main: Process, path: str) -> AsyncGenerator[LogChunk, None]:
    """A file or directory as a tar stream."""
    directory, name = os.path.split(path.rstrip("/") or "/")
    command = ("tar", "-c", "-C", directory or ".", name or ".")
    said = b""
    async with contextlib.aclosing(run(main, CommandOptions(command), _nothing())) as items:
        async for item in items:
            if isinstance(item, LogChunk) and not item.stderr:
                yield item
            elif isinstance(item, LogChunk):
                said += item.data
            elif item:
                raise OffererError(f"{path}: {said.decode(errors='replace').strip() or f'tar: exit code {item}'}")


async def copy_into(main: Process, path: str, inputs: Inputs) -> None:
    """Unpack a tar stream into a directory."""
    said = b""
    async with contextlib.aclosing(run(main, CommandOptions(("tar", "-x", "-C", path), stdin=True), inputs)) as items:
        async for item in items:
            if isinstance(item, LogChunk):
                said += item.data
            elif item:
                raise OffererError(f"{path}: {said.decode(errors='replace').strip() or f'tar: exit code {item}'}")


def usage(main: Process) -> dict[str, Any]:
    """What the process group uses now. Raises `NotFound` where it has ended."""
    processes = []
    cpu_time = memory = 0
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(each.pid) != main.pid:
                continue
            times, resident = each.cpu_times(), each.memory_info().rss
            cpu_time += round((times.user + times.system) * 1e6)
            memory += resident
            command = " ".join(each.cmdline())
            described = {"pid": each.pid, "user": each.username(), "cpu": each.cpu_percent(), "memory": resident}
            processes.append(described | {"command": command})
    if not processes:
        raise NotFound("the task does not run")
    return {"at": clock.now(), "cpu_time": cpu_time, "memory": memory, "memory_limit": 0, "pids": len(processes),
            "received": 0, "sent": 0, "processes": processes}  # fmt: skip


async def _start(main: Process, options: CommandOptions, **streams: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *options.command,
        cwd=options.working_dir or f"/proc/{main.pid}/cwd",
        env=main.environment(),
        start_new_session=True,
        **streams,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _on_pipes(
    main: Process, options: CommandOptions, inputs: Inputs
) -> AsyncGenerator[LogChunk | int, None]:
    pipe = asyncio.subprocess.PIPE
    stdin = pipe if options.stdin else asyncio.subprocess.DEVNULL
    process = await _start(main, options, stdin=stdin, stdout=pipe, stderr=pipe)
    chunks: asyncio.Queue[LogChunk] = asyncio.Queue(_CHUNKS_AHEAD)

    async def read(reader: asyncio.StreamReader | None, stderr: bool) -> None:
        while reader is not None and (data := await reader.read(_BLOCK)):
            await chunks.put(LogChunk(stderr, data))
        await chunks.put(LogChunk(stderr, b""))  # the end of this output

    async def feed() -> None:
        async for given in inputs:
            with contextlib.suppress(ConnectionError):  # it does not read any more
                if given.data and process.stdin is not None:
                    process.stdin.write(given.data)
                    await process.stdin.drain()
            if given.end and process.stdin is not None:
                process.stdin.close()

    helpers = [asyncio.create_task(each) for each in (read(process.stdout, False), read(process.stderr, True), feed())]
    try:
        open_outputs = 2
        while open_outputs:
            chunk = await chunks.get()
            if chunk.data:
                yield chunk
            else:
                open_outputs -= 1
        yield _exit_code(await process.wait())
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await _end(process)


async def _on_terminal(
    main: Process, options: CommandOptions, inputs: Inputs
) -> AsyncGenerator[LogChunk | int, None]:
    ours, theirs = os.openpty()
    try:
        if options.size is not None:
            _resize(ours, options.size)
        process = await _start(
            main, options, stdin=theirs, stdout=theirs, stderr=theirs,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        )  # fmt: skip
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    chunks = _read_terminal(ours)
    feeding = asyncio.create_task(_feed_terminal(ours, inputs))
    try:
        while data := await chunks.get():
            yield LogChunk(False, data)
        yield _exit_code(await process.wait())
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await _end(process)
        os.close(ours)


def _read_terminal(terminal: int) -> asyncio.Queue[bytes]:
    """What is written on it, from now on; empty is its end."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def take() -> None:
        try:
            data = os.read(terminal, _BLOCK)
        except OSError:  # so does Linux say that nobody has the other end open any more
            data = b""
        if not data:
            loop.remove_reader(terminal)
        chunks.put_nowait(data)

    loop.add_reader(terminal, take)
    return chunks


async def _feed_terminal(terminal: int, inputs: Inputs) -> None:
    async for given in inputs:
        if given.size is not None:
            _resize(terminal, given.size)
        if given.data:
            await asyncio.to_thread(os.write, terminal, given.data)


def _resize(terminal: int, size: TerminalSize) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))


def _exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code


async def _nothing() -> AsyncGenerator[Input, None]:
    nothing: tuple[Input, ...] = ()
    for never in nothing:
        yield never
