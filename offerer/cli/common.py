"""What every command shares: the session with the master, options, and errors as one line and an exit code.

A module of commands looks like this::

    @click.command()
    @click.argument("framework")
    @json_option
    @pass_session
    def tasks(session: Session, framework: str, as_json: bool) -> None:
        answer = session.call(framework, "tasks", {})
        print_table(answer["tasks"], [Column("TASK", "task_id")], as_json=as_json, empty="no tasks")

Anything of `offerer.errors` that a command raises becomes ``error: …`` on stderr and an exit code: 1, or 2 for input
that is wrong on its face (`click.UsageError`), or 3 where no master answers.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, ParamSpec, TypeVar

import click

from offerer.errors import InvalidInput, OffererError, Unavailable
from offerer.types import SECOND

if TYPE_CHECKING:
    import grpc

    from offerer.wire import codec

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_MASTER: Final = "127.0.0.1:5050"
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_MASTER: Final = 3
EXIT_INTERRUPTED: Final = 130
_CONNECT_TIMEOUT: Final = 5.0  # seconds; an address where nobody listens answers at once, a dead machine never


class NoMaster(Unavailable):
    """No master answers at the address given."""


class Session:
    """The connection of one command to the master. Connects when first used; every method raises `OffererError`."""

    def __init__(self, master: str) -> None:
        self.master = master
        self.environment = ""
        """The environment whose services are meant; empty is the base one."""
        self._channel: grpc.Channel | None = None

    @property
    def operator(self) -> Any:
        """The stub of the Operator service (its calls raise `grpc.RpcError`: use it within `rpc_errors`)."""
        from offerer.wire import codec

        return codec.OperatorStub(self._connected())

    def call(
        self, framework: str, method: str, arguments: Mapping[str, Any], timeout: float = 30.0
    ) -> dict[str, Any]:
        """Ask a framework's own API; the master relays. `timeout` is in seconds."""
        from offerer.wire import codec

        if self.environment:
            arguments = {**arguments, "environment": self.environment}
        request = codec.operator.CallRequest(
            framework_id=framework,
            method=method,
            arguments=json.dumps(arguments).encode(),
            timeout=int(timeout * SECOND),
        )
        with self.rpc_errors():
            # The master's own limit comes first, so that its message says who did not answer.
            response = self.operator.Call(request, timeout=timeout + 2)
        answer = json.loads(response.answer or b"{}")
        if not isinstance(answer, dict):
            raise OffererError(f"framework {framework} answered {method} with {type(answer).__name__}, not an object")
        return answer

    def state(self, *parts: str, timeout: float = 10.0) -> codec.operator.State:
        """The state of the cluster; `parts` of it: hosts, frameworks, roles, offers, tasks."""
        from offerer.wire import codec

        request = codec.operator.GetStateRequest(**dict.fromkeys(parts, True))
        with self.rpc_errors():
            state: codec.operator.State = self.operator.GetState(request, timeout=timeout)
        return state

    def logs(
        self,
        framework: str,
        task_id: str,
        *,
        host_id: str = "",
        container: str = "",
        follow: bool = False,
        tail: int | None = None,
        timestamps: bool = False,
    ) -> Iterator[tuple[bool, bytes]]:
        """The output of a task as ``(is_stderr, bytes)`` chunks; without end where `follow` and the task runs.

        `host_id` says where a task ran that ended so long ago that the master no longer knows it, `container` which
        of a pod is meant.
        """
        from offerer.wire import codec

        request = codec.operator.TaskLogsRequest(
            task=codec.operator.TaskRequest(
                framework_id=framework, task_id=task_id, host_id=host_id, container=container
            ),
            options=codec.executor.LogsRequest(follow=follow, tail=tail, timestamps=timestamps),
        )
        with self.rpc_errors():
            for message in self.operator.Logs(request):
                for chunk in message.chunks:
                    yield chunk.stderr, chunk.data

    def events(self, *, after: int = 0, follow: bool = False) -> Iterator[codec.operator.Event]:
        """What happened in the cluster after that event number, oldest first; without end where `follow`."""
        from offerer.wire import codec

        with self.rpc_errors():
            for message in self.operator.WatchEvents(codec.operator.WatchEventsRequest(after=after, follow=follow)):
                yield from message.events

    def inspect(
        self, framework: str, task_id: str, container: str = "", timeout: float = 15.0
    ) -> dict[str, Any]:
        """What the runtime says of the task's container, of the first where it is a pod and none is named."""
        from offerer.wire import codec

        with self.rpc_errors():
            request = codec.operator.TaskRequest(framework_id=framework, task_id=task_id, container=container)
            response = self.operator.Inspect(request, timeout=timeout)
        answer: dict[str, Any] = json.loads(response.json or b"{}")
        return answer

    def rpc_errors(self) -> _RpcErrors:
        """A block in which a failed gRPC call is raised as one of `offerer.errors`."""
        return _RpcErrors(self.master)

    def close(self) -> None:
        """Let go of the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _connected(self) -> grpc.Channel:
        if self._channel is None:
            import grpc

            from offerer.wire import codec

            options = [("grpc.max_receive_message_length", codec.MAX_MESSAGE), ("grpc.enable_http_proxy", 0)]
            channel = grpc.insecure_channel(self.master, options=options)
            states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
            channel.subscribe(states.put, try_to_connect=True)
            if not _wait_until_ready(states):
                channel.close()
                raise NoMaster(_no_master(self.master))
            channel.unsubscribe(states.put)
            self._channel = channel
        return self._channel


def _wait_until_ready(states: queue.SimpleQueue[grpc.ChannelConnectivity]) -> bool:
    import grpc

    try:
        while (state := states.get(timeout=_CONNECT_TIMEOUT)) is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return False
    except queue.Empty:
        return False
    return True


def _no_master(address: str) -> str:
    return (
        f"no master answers at {address}; start one with 'offerer dev' or 'offerer-master', "
        "or name another with --master HOST:PORT"
    )


class _RpcErrors:
    def __init__(self, master: str) -> None:
        self._master = master

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        import grpc

        if isinstance(error, grpc.RpcError):
            from offerer.wire import rpc_errors

            ours = rpc_errors.from_rpc(error)
            if isinstance(ours, rpc_errors.NoAnswer):
                raise NoMaster(_no_master(self._master)) from None
            raise ours from None


# -- options --------------------------------------------------------------------------------------------------

pass_session = click.make_pass_decorator(Session)
"""Gives the command the `Session` as its first argument."""


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """Adds ``--json``, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


container_option = click.option("--container", "-c", default="", metavar="NAME", help="Of a pod.  [its first]")
"""Adds ``--container``."""


def add_environment(command: click.Command) -> None:
    """Gives the command ``--env``, and all below it, unless they have it."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            add_environment(each)
    elif all(parameter.name != "environment" for parameter in command.params):
        command.params.append(
            click.Option(
                ["--env", "environment"],
                metavar="NAME",
                envvar="OFFERER_ENV",
                show_envvar=True,
                expose_value=False,
                callback=_set_environment,
                help="The environment; without it, the base one.",
            )
        )


def _set_environment(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    session = context.find_object(Session)
    if session is not None:
        session.environment = check_environment(value or "")


def check_environment(name: str) -> str:
    """The name of an environment itself, ``*`` for all where services are listed. Raises `click.BadParameter`."""
    if name not in ("", "*") and not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
        raise click.BadParameter(f"{name!r} is not a name: up to 32 lower-case letters, digits and '-'")
    return name


def check_address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Callback for options that take ``HOST:PORT``."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/,]+):(\d{1,5})", value)
    if not match or not 1 <= int(match[2]) <= 65535:
        raise click.BadParameter(f"{value!r} is not HOST:PORT, for example {DEFAULT_MASTER}")
    return value


# -- errors ---------------------------------------------------------------------------------------------------


def one_line(message: str) -> str:
    """The message without line breaks, for stderr."""
    return " ".join(message.split())


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Print ``error: …`` and leave."""
    click.echo(f"error: {one_line(message)}", err=True)
    sys.exit(code)


def run_reporting_errors(run: Callable[[], Any]) -> NoReturn:
    """Run a command to its end and leave with its exit code, every error on purpose as one line."""
    if sys.stdout is None:  # started with a closed standard output: nobody wants to read it
        sys.stdout = open(os.devnull, "w")
    try:
        code = run()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_USAGE)
    except click.UsageError as error:
        hint = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        fail(error.format_message().rstrip(".") + hint, EXIT_USAGE)
    except click.ClickException as error:
        fail(error.format_message(), error.exit_code)
    except NoMaster as error:
        fail(str(error), EXIT_NO_MASTER)
    except InvalidInput as error:
        # These keep their lines: a service file may have several faults, one a line.
        click.echo("\n".join(f"error: {line}" for line in str(error).splitlines() if line.strip()), err=True)
        sys.exit(EXIT_FAILED)
    except OffererError as error:
        fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        _output_failed(error)
    sys.exit(code if isinstance(code, int) else 0)


def _output_failed(error: OSError) -> NoReturn:
    """The reader of the pipe left, as head does, or there is no room. An error of anything else is raised again."""
    if error.errno not in (errno.EPIPE, errno.ENOSPC):
        raise error
    sys.stdout = open(os.devnull, "w")  # Python would complain once more when it flushes at exit
    if error.errno == errno.ENOSPC:
        fail("there is no space left on the device that is written to; make room and try again")
    sys.exit(EXIT_FAILED)
