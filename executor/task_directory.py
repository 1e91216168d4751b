"""The directory of one task of the process runtime: what it was, its process, its output, and how it ended.

``task.json`` is written by the executor before anything runs, ``pid`` and ``exit`` by the task's supervisor. ``alive``
is a FIFO whose write end the supervisor holds: a reader sees its end as an end of file.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from executor.runtime import LogChunk, LogOptions
from executor.supervise import start_time
from offerer.types import Time

_BLOCK: Final = 1 << 16
_FOLLOW_EVERY: Final = 0.2


class Process(NamedTuple):
    """The task's main process, which leads its process group. `start_time` tells it from a later one of that pid."""

    pid: int
    start_time: str
    started_at: Time

    def signal(self, number: int) -> None:
        """Send a signal to the whole group, unless the process is gone."""
        try:
            if start_time(self.pid) == self.start_time:
                os.killpg(self.pid, number)
        except (OSError, IndexError):
            pass  # gone meanwhile

    def environment(self) -> dict[str, str]:
        """Its variables, as it was started with them. Raises OSError."""
        text = Path(f"/proc/{self.pid}/environ").read_bytes().decode(errors="surrogateescape")
        return dict(each.split("=", 1) for each in text.split("\0") if "=" in each)


class End(NamedTuple):
    """How it ended."""

    exit_code: int
    at: Time


class TaskDirectory:
    """See the module."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, record: dict[str, Any]) -> None:
        """Make it, empty but for the record. Raises OSError."""
        shutil.rmtree(self.path, ignore_errors=True)  # of an attempt that never ran
        (self.path / "work").mkdir(parents=True)
        os.mkfifo(self.path / "alive", 0o600)
        new = self.path / "task.new"
        new.write_text(json.dumps(record))
        new.replace(self.path / "task.json")

    def remove(self) -> None:
        """Remove it and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def record(self) -> dict[str, Any] | None:
        """What `create` was given; None where the executor did not get that far."""
        try:
            record = json.loads((self.path / "task.json").read_text())
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    @property
    def process(self) -> Process | None:
        """The main process; None where it did not start (yet)."""
        fields = self._fields("pid")
        return Process(int(fields[0]), fields[1], int(fields[2])) if fields else None

    @property
    def end(self) -> End | None:
        """How it ended; None where it runs, or nobody was there to see it."""
        fields = self._fields("exit")
        return End(int(fields[0]), int(fields[1])) if fields else None

    def watch(self) -> int:
        """A file descriptor that reaches its end when the supervisor does; to be closed by the caller."""
        return os.open(self.path / "alive", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def kill_rest(self) -> None:
        """Kill what may be left of the process after its supervisor."""
        if (process := self.process) is not None:
            process.signal(signal.SIGKILL)

    def _fields(self, name: str) -> list[str]:
        try:
            return (self.path / name).read_text().split()
        except OSError:
            return []

    async def logs(self, options: LogOptions) -> AsyncGenerator[LogChunk, None]:
        """What the task wrote; `tail` counts the lines of standard output and standard error each."""
        files: list[tuple[bool, BinaryIO]] = []
        watch = self.watch()
        try:
            for stderr in (False, True):
                file: BinaryIO = (self.path / ("stderr" if stderr else "stdout")).open("rb")
                files.append((stderr, file))
                if options.tail is not None:
                    file.seek(_start_of_tail(file, options.tail))
            while True:
                lives = options.follow and supervisor_lives(watch)  # asked before reading: nothing can come after
                for stderr, output in files:
                    for block in _blocks(output):
                        yield LogChunk(stderr, block)
                if not lives:
                    return
                await asyncio.sleep(_FOLLOW_EVERY)
        finally:
            os.close(watch)
            for _, output in files:
                output.close()


def supervisor_lives(watch: int) -> bool:
    """Whether the other end of a file descriptor of `TaskDirectory.watch` is still held."""
    try:
        return os.read(watch, 1) != b""
    except BlockingIOError:
        return True


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _start_of_tail(file: BinaryIO, lines: int) -> int:
    """Where the last so many lines of the file begin."""
    position = file.seek(0, os.SEEK_END)
    wanted = lines + 1  # the line break before the first of them; but one at the very end ends the last line
    end = position
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        if position == end and not block.endswith(b"\n"):
            wanted -= 1
        breaks = block.count(b"\n")
        if breaks >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return start + at + 1
        wanted -= breaks
        position = start
    return 0
