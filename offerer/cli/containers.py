"""Commands in the containers of tasks: exec, cp, top."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import shutil
import signal
import sys
import tarfile
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import click

from offerer.cli.attachment import CODING, Attachment, task_id_of
from offerer.cli.common import Session, container_option, json_option, pass_session
from offerer.errors import InvalidInput
from offerer.resources import format_bytes

if TYPE_CHECKING:
    from offerer.wire import codec

_BLOCK: Final = 1 << 16
_ID: Final = "SERVICE/JOB[/TASK] | TASK_ID"

_framework = click.option(
    "--framework", default=CODING, show_default=True, help="Whose task, where a TASK_ID is given."
)


@click.command("exec", context_settings={"ignore_unknown_options": False})
@click.argument("task", metavar=_ID)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
@click.option("--interactive", "-i", is_flag=True, help="Pass on what is typed or piped in.")
@click.option("--tty", "-t", "terminal", is_flag=True, help="Give it a terminal.")
@click.option("--user", "-u", default="", help="Whom to run it as.  [whom the container runs as]")
@click.option("--workdir", "-w", default="", help="Where to run it.  [the container's working directory]")
@container_option
@_framework
@pass_session
def exec(
    session: Session, /, task: str, command: tuple[str, ...], interactive: bool, terminal: bool, **where: str
) -> None:
    """Run a command in a task's container, and end with its exit code.

    Example: offerer exec -it core/web/2 -- sh
    """
    from offerer.wire import codec

    wanted = codec.executor.ExecRequest(
        command=command, tty=terminal, stdin=interactive, user=where["user"], working_dir=where["workdir"]
    )
    if terminal:
        wanted.size.columns, wanted.size.rows = shutil.get_terminal_size()
    request = codec.operator.AttachRequest(task=_task(session, task, where), exec=wanted)
    attachment = Attachment(session, request)
    code = 0
    with _input_to(attachment, terminal) if interactive else contextlib.nullcontext():
        for message in attachment.answers():
            _write_out(message)
            if message.HasField("exit_code"):
                code = message.exit_code
    sys.exit(code)


@click.command()
@click.argument("source")
@click.argument("destination")
@container_option
@_framework
@pass_session
def cp(session: Session, /, source: str, destination: str, **where: str) -> None:
    """Copy a file or directory from or to a task's container: one side is TASK:PATH, the other a path here or '-'.

    With '-' it is a tar stream, on stdin or stdout. A copy to a directory that exists goes into it.

    Example: offerer cp core/web/2:/var/log/web.log .
    """
    (from_task, from_path), (to_task, to_path) = _side(source), _side(destination)
    if bool(from_task) == bool(to_task):
        raise click.UsageError("one of SOURCE and DESTINATION must be TASK:PATH, and the other a path here")
    if from_task:
        _copy_out(session, from_task, from_path, to_path, where)
    else:
        _copy_in(session, from_path, to_task, to_path, where)


@click.command()
@click.argument("task", metavar=_ID)
@click.option("--once", is_flag=True, help="Show it once instead of again and again.")
@json_option
@container_option
@_framework
@pass_session
def top(session: Session, /, task: str, once: bool, as_json: bool, **where: str) -> None:
    """Show what a task's container uses, and the processes in it.

    Example: offerer top core/web/2
    """
    from offerer.wire import codec

    request = codec.operator.AttachRequest(task=_task(session, task, where), top=codec.executor.TopRequest())
    before: dict[str, Any] | None = None
    for message in Attachment(session, request).answers():
        for chunk in message.chunks:
            now = json.loads(chunk.data)
            if before is not None:  # a rate needs two
                _show_usage(before, now, as_json=as_json, clear=not once and sys.stdout.isatty())
                if once:
                    return
            before = now


# -- exec -------------------------------------------------------------------------------------------------------


def _task(session: Session, task: str, where: dict[str, str]) -> codec.operator.TaskRequest:
    from offerer.wire import codec

    framework = where["framework"]
    task_id = task_id_of(session, framework, task)
    return codec.operator.TaskRequest(framework_id=framework, task_id=task_id, container=where["container"])


def _write_out(message: codec.operator.AttachResponse) -> None:
    for chunk in message.chunks:
        stream = sys.stderr.buffer if chunk.stderr else sys.stdout.buffer
        stream.write(chunk.data)
        stream.flush()


@contextlib.contextmanager
def _input_to(attachment: Attachment, terminal: bool) -> Iterator[None]:
    """Pass on what comes on stdin, and with a terminal its size, in the state in which every key is passed on."""
    stdin = sys.stdin.fileno()
    raw = terminal and os.isatty(stdin)
    saved = termios.tcgetattr(stdin) if raw else None
    ended, end = os.pipe()
    reader = threading.Thread(target=_pass_input, args=(attachment, stdin, ended), daemon=True)

    def resized(*_: object) -> None:
        columns, rows = shutil.get_terminal_size()
        threading.Thread(target=lambda: attachment.send(rows=rows, columns=columns), daemon=True).start()

    try:
        if raw:
            tty.setraw(stdin, termios.TCSADRAIN)  # what was typed already counts
            signal.signal(signal.SIGWINCH, resized)
        reader.start()
        yield
    finally:
        os.close(end)
        if saved is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            termios.tcsetattr(stdin, termios.TCSADRAIN, saved)


def _pass_input(attachment: Attachment, stdin: int, ended: int) -> None:
    while True:
        ready, _, _ = select.select([stdin, ended], [], [])
        if ended in ready:
            os.close(ended)
            return
        data = os.read(stdin, _BLOCK)
        if not data:
            attachment.send(end=True)
            return
        attachment.send(data)


# -- cp ---------------------------------------------------------------------------------------------------------


def _side(text: str) -> tuple[str, str]:
    """The task and the path of ``TASK:PATH``; no task for a path here, which may begin with ``/`` or ``.``."""
    task, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    if not task or not path:
        raise click.UsageError(f"{text!r} is not TASK:PATH, for example core/web/2:/etc/hosts")
    return task, path


def _copy_out(session: Session, task: str, path: str, destination: str, where: dict[str, str]) -> None:
    from offerer.wire import codec

    wanted = codec.executor.CopyRequest(path=path)
    answers = Attachment(
        session, codec.operator.AttachRequest(task=_task(session, task, where), copy=wanted)
    ).answers()
    pieces = (chunk.data for message in answers for chunk in message.chunks)
    if destination == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    target = Path(destination)
    into, name = (target, "") if target.is_dir() else (target.parent, target.name)
    if not into.is_dir():
        raise InvalidInput(f"{destination}: there is no directory {into}; make it first")
    with tarfile.open(fileobj=cast(BinaryIO, _Pieces(pieces)), mode="r|") as tar:
        for member in tar:
            if name:  # the first part of every name is that of what was asked for
                rest = PurePosixPath(member.name).parts[1:]
                member = member.replace(name=str(PurePosixPath(name, *rest)), deep=False)
            tar.extract(member, into, filter="data")


def _copy_in(session: Session, source: str, task: str, path: str, where: dict[str, str]) -> None:
    from offerer.wire import codec

    directory, _, name = path.rpartition("/") if not path.endswith("/") else (path, "", "")
    if source != "-" and not Path(source).exists():
        raise InvalidInput(f"{source}: there is no such file or directory here")
    wanted = codec.executor.CopyRequest(path=(path if source == "-" else directory) or "/", into=True)
    attachment = Attachment(session, codec.operator.AttachRequest(task=_task(session, task, where), copy=wanted))
    failed: list[OSError] = []

    def send() -> None:
        try:
            if source == "-":
                for piece in iter(lambda: sys.stdin.buffer.read(_BLOCK), b""):
                    attachment.send(piece)
            else:
                with tarfile.open(fileobj=_Sender(attachment), mode="w|") as tar:
                    tar.add(source, arcname=name or Path(source).resolve().name)
            attachment.send(end=True)
        except OSError as error:
            failed.append(error)
            attachment.close()

    threading.Thread(target=send, daemon=True).start()
    for _ in attachment.answers():
        pass
    if failed:
        raise InvalidInput(f"{failed[0].filename or source}: {failed[0].strerror}; nothing, or a part, was copied")


class _Pieces(io.RawIOBase):
    """Pieces as they come, as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._left) < size and (piece := next(self._pieces, b"")):
            self._left += piece
        wanted, self._left = self._left[:size], self._left[size:]
        return wanted


class _Sender(io.RawIOBase):
    """A file to write whose content is sent as input."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment

    def write(self, data: Any) -> int:
        self._attachment.send(bytes(data))
        return len(data)


# -- top --------------------------------------------------------------------------------------------------------


def _show_usage(before: dict[str, Any], now: dict[str, Any], *, as_json: bool, clear: bool) -> None:
    passed = max(1, now["at"] - before["at"])
    cores = (now["cpu_time"] - before["cpu_time"]) / passed
    if as_json:
        click.echo(json.dumps(now | {"cpus": round(cores, 3)}))
        return
    limit = f" of {format_bytes(now['memory_limit'])}" if now["memory_limit"] else ""
    if clear:
        click.clear()
    received, sent = (format_bytes(now.get(name, 0)) for name in ("received", "sent"))
    click.echo(
        f"cpus {cores:.2f}   memory {format_bytes(now['memory'])}{limit}   processes {now['pids']}   "
        f"received {received}   sent {sent}"
    )
    click.echo(f"{'PID':>8}  {'USER':<10} {'%CPU':>5} {'MEMORY':>9}  COMMAND")
    for each in now["processes"]:
        memory = format_bytes(each["memory"])
        click.echo(f"{each['pid']:>8}  {each['user'][:10]:<10} {each['cpu']:>5.1f} {memory:>9}  {each['command']}")
